//! Cameras that the kernel drives, through V4L2 with memory-mapped streaming. Owns negotiation and what becomes of each
//! buffer; knows no drivers, only what the interface promises.

mod abi;
mod device;
mod listing;
mod mapping;
mod negotiate;

use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::io::Errno;

use super::deadline_read::wait_for;
use super::{Arrival, CameraSpec, Encoding, FrameFormat, FrameSlot, FrameSource, SourceError};
use crate::clock::{Clock, SystemClock};
use abi::{Buffer, BufferRequest};
use device::{Device, DeviceError};
use mapping::Mapping;
use negotiate::{Negotiated, negotiate};
use unet_engine::error::{Kind, chain};

pub use device::Sizes;
pub use listing::{CameraInfo, FormatInfo, list_cameras};

/// Buffers that the driver fills in turn: one being copied, one that is finished, two to be filled.
const BUFFERS: u32 = 4;

/// A camera that is streaming.
#[derive(Debug)]
pub struct Camera {
    name: String,
    // Before the device: buffers are unmapped first.
    mappings: Vec<Mapping>,
    device: Device,
    negotiated: Negotiated,
    sequence: Counter,
}

impl Camera {
    /// Opens a camera, agrees with its driver on format, size and rate, and starts it.
    ///
    /// # Errors
    ///
    /// [`Kind::Fatal`] where it is no camera or does not have the format that is asked for, [`Kind::Retry`] else: it may be
    /// unplugged, in use, or just appearing.
    pub fn open(spec: &CameraSpec) -> Result<Self, SourceError> {
        let name = spec.device.display().to_string();
        let device = Device::open(&spec.device).map_err(|error| device_error(&name, &error))?;
        let negotiated = match negotiate(&device, spec) {
            Ok(negotiated) => negotiated,
            Err(negotiate::Refusal::Device(error)) => return Err(device_error(&name, &error)),
            Err(negotiate::Refusal::Never(problem)) => return Err(SourceError::new(name, Kind::Fatal, problem, None)),
        };
        let mut camera = Camera { name, mappings: Vec::new(), device, negotiated, sequence: Counter::default() };
        camera.start()?;
        Ok(camera)
    }

    fn start(&mut self) -> Result<(), SourceError> {
        let failed = |call: &'static str| {
            let name = self.name.clone();
            move |error: Errno| device_error(&name, &DeviceError::Call { call, error })
        };
        let memory = abi::MEMORY_MMAP;
        let mut request = BufferRequest { count: BUFFERS, kind: abi::CAPTURE, memory, ..BufferRequest::default() };
        abi::request_buffers(self.device.fd(), &mut request).map_err(failed("VIDIOC_REQBUFS"))?;
        if request.count < 2 {
            let problem = format!("expected at least 2 buffers of the driver, found {}", request.count);
            return Err(SourceError::new(&self.name, Kind::Retry, problem, None));
        }
        for index in 0..request.count.min(32) {
            let mut buffer = Buffer::of(index);
            abi::query_buffer(self.device.fd(), &mut buffer).map_err(failed("VIDIOC_QUERYBUF"))?;
            let mapping = Mapping::new(self.device.fd(), buffer.offset(), buffer.length as usize)
                .map_err(|cause| SourceError::new(&self.name, Kind::Retry, "could not map its buffers", Some(cause)))?;
            self.mappings.push(mapping);
            abi::queue(self.device.fd(), &mut Buffer::of(index)).map_err(failed("VIDIOC_QBUF"))?;
        }
        abi::stream_on(self.device.fd()).map_err(failed("VIDIOC_STREAMON"))
    }

    /// What the driver gives.
    pub fn format(&self) -> FrameFormat {
        self.negotiated.format
    }

    /// Frames a second, where the driver says.
    pub fn rate(&self) -> Option<f64> {
        self.negotiated.rate
    }

    fn lost(&self, problem: &str, error: Option<Errno>) -> SourceError {
        SourceError::new(&self.name, Kind::Retry, problem, error.map(Into::into))
    }

    /// What a buffer holds goes to the slot; an error says why it is no frame.
    fn take(&mut self, buffer: &Buffer, slot: &mut FrameSlot) -> Result<(), String> {
        let sequence = self.sequence.count(buffer.sequence);
        if buffer.flags & abi::FLAG_ERROR != 0 {
            return Err(format!("frame {sequence}: the driver says that it is damaged"));
        }
        let (len, format) = (buffer.bytes_used as usize, self.negotiated.format);
        if len < self.negotiated.bytes_min {
            let expected = self.negotiated.bytes_min;
            return Err(format!("frame {sequence} is short: expected {expected} bytes for {format}, found {len}"));
        }
        let mapping = self.mappings.get(buffer.index as usize).ok_or("the driver gave a buffer that is not its own")?;
        if len > mapping.len() {
            return Err(format!("frame {sequence}: expected at most {} bytes, found {len}", mapping.len()));
        }
        slot.bytes.clear();
        // Once for all frames, also where their number of bytes changes, as with JPEG.
        slot.bytes.reserve_exact(mapping.len());
        mapping.copy_to(&mut slot.bytes, len);
        if format.encoding == Encoding::Jpeg && !slot.bytes.starts_with(&[0xff, 0xd8]) {
            return Err(format!("frame {sequence}: expected a JPEG image, found other bytes"));
        }
        (slot.format, slot.sequence) = (format, sequence);
        slot.captured = captured(buffer).unwrap_or_else(|| SystemClock.now());
        Ok(())
    }
}

/// When a buffer was captured, where its driver stamps with the clock that all of this is measured by.
fn captured(buffer: &Buffer) -> Option<Duration> {
    let [seconds, microseconds] = buffer.timestamp.map(|part| u64::try_from(part).ok());
    let (seconds, microseconds) = (seconds?, u32::try_from(microseconds?).ok()?);
    let monotonic = buffer.flags & abi::FLAG_TIMESTAMP_MASK == abi::FLAG_TIMESTAMP_MONOTONIC;
    let sensible = microseconds < 1_000_000 && (seconds, microseconds) != (0, 0);
    (monotonic && sensible).then(|| Duration::new(seconds, microseconds * 1000))
}

/// The driver's numbers, which have 32 bits, going on where they begin again.
#[derive(Debug, Default)]
struct Counter {
    last: Option<(u32, u64)>,
}

impl Counter {
    fn count(&mut self, found: u32) -> u64 {
        let number = match self.last {
            None => u64::from(found),
            Some((last, number)) => number + u64::from(found.wrapping_sub(last)),
        };
        self.last = Some((found, number));
        number
    }
}

fn device_error(name: &str, error: &DeviceError) -> SourceError {
    let kind = match error {
        DeviceError::Kind { .. } => Kind::Fatal,
        DeviceError::Open(_) | DeviceError::Call { .. } => Kind::Retry,
    };
    let hint = match error {
        DeviceError::Call { error: Errno::BUSY, .. } => "; another program may be using it",
        DeviceError::Open(cause) => match cause.kind() {
            std::io::ErrorKind::NotFound => "; it is not plugged in, or has another name: see unet-edge cameras",
            std::io::ErrorKind::PermissionDenied => "; the user has to be in the group video",
            _ => "",
        },
        _ => "",
    };
    SourceError::new(name, kind, format!("{}{hint}", chain(error)), None)
}

impl FrameSource for Camera {
    fn describe(&self) -> String {
        let Negotiated { format, rate, asked, .. } = &self.negotiated;
        let rate = rate.map_or_else(String::new, |rate| format!(", {} frames a second", round(rate)));
        let asked = asked.as_ref().map_or_else(String::new, |asked| format!(" (asked for {asked})"));
        let encoding = negotiate::name(format.encoding);
        let FrameFormat { width, height, .. } = format;
        format!("{} ({}): {encoding} {width}x{height}{rate}{asked}", self.name, self.device.driver)
    }

    fn next_frame(&mut self, slot: &mut FrameSlot, patience: Duration) -> Result<Arrival, SourceError> {
        let events = wait_for(self.device.file(), PollFlags::IN, SystemClock.now() + patience)
            .map_err(|cause| SourceError::new(&self.name, Kind::Retry, "could not be waited for", Some(cause)))?;
        if events.is_empty() {
            return Ok(Arrival::Nothing);
        }
        if !events.contains(PollFlags::IN) {
            return Err(self.lost("streaming has stopped; it may be unplugged", None));
        }
        let mut buffer = Buffer::of(0);
        match abi::dequeue(self.device.fd(), &mut buffer) {
            Ok(()) => {}
            Err(Errno::AGAIN) if events.contains(PollFlags::ERR) => {
                return Err(self.lost("streaming has stopped; it may be unplugged", None));
            }
            Err(Errno::AGAIN) => return Ok(Arrival::Nothing),
            Err(error @ Errno::NODEV) => return Err(self.lost("it has been unplugged", Some(error))),
            Err(error) => return Err(self.lost("gives no frames any more", Some(error))),
        }
        let taken = self.take(&buffer, slot);
        abi::queue(self.device.fd(), &mut Buffer::of(buffer.index))
            .map_err(|error| self.lost("takes its buffers no more", Some(error)))?;
        match taken {
            Ok(()) => Ok(Arrival::Frame),
            Err(problem) => Err(SourceError::new(&self.name, Kind::SkipFrame, problem, None)),
        }
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        // One that is unplugged cannot be stopped, and need not be.
        let _ = abi::stream_off(self.device.file().as_fd());
    }
}

/// A rate for a person: two digits after the point at most.
fn round(rate: f64) -> f64 {
    (rate * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests;
