//! Capturing frames through V4L2 with memory-mapped buffers.

use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::io::Errno;

use super::super::deadline_read::wait_for;
use super::super::{Arrival, Encoding, FrameFormat, FrameSlot, FrameSource, Kind, SourceError};
use super::CameraSpec;
use super::abi::{self, Buffer, BufferRequest};
use super::device::{Device, DeviceError};
use super::mapping::Mapping;
use super::negotiate::{self, Negotiated, negotiate};
use crate::clock::{Clock, SystemClock};
use unet_engine::error::chain;

/// Buffers that the driver fills in turn: one being copied, one finished, two to be filled.
const BUFFERS: u32 = 4;

/// A camera that is streaming.
#[derive(Debug)]
pub(super) struct Camera {
    name: String,
    // Before the device: buffers are unmapped first.
    mappings: Vec<Mapping>,
    device: Device,
    negotiated: Negotiated,
    sequence: Counter,
}

impl Camera {
    /// Opens a camera, negotiates format, size and rate with its driver, and starts it.
    ///
    /// # Errors
    ///
    /// [`Kind::Fatal`] if it is not a camera or does not offer the configured format, else [`Kind::Retry`]: it may be
    /// unplugged, in use, or just being plugged in.
    pub(super) fn open(spec: &CameraSpec) -> Result<Self, SourceError> {
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
            let problem = format!("expected at least 2 buffers from the driver, found {}", request.count);
            return Err(SourceError::new(&self.name, Kind::Retry, problem, None));
        }
        for index in 0..request.count.min(32) {
            let mut buffer = Buffer::of(index);
            abi::query_buffer(self.device.fd(), &mut buffer).map_err(failed("VIDIOC_QUERYBUF"))?;
            let mapping = Mapping::new(self.device.fd(), buffer.offset(), buffer.length as usize)
                .map_err(|cause| SourceError::new(&self.name, Kind::Retry, "failed to map buffers", Some(cause)))?;
            self.mappings.push(mapping);
            abi::queue(self.device.fd(), &mut Buffer::of(index)).map_err(failed("VIDIOC_QBUF"))?;
        }
        abi::stream_on(self.device.fd()).map_err(failed("VIDIOC_STREAMON"))
    }

    fn lost(&self, problem: &str, error: Option<Errno>) -> SourceError {
        SourceError::new(&self.name, Kind::Retry, problem, error.map(Into::into))
    }

    /// Copies a buffer to the slot; an error says why it is not a valid frame.
    fn take(&mut self, buffer: &Buffer, slot: &mut FrameSlot) -> Result<(), String> {
        let sequence = self.sequence.count(buffer.sequence);
        if buffer.flags & abi::FLAG_ERROR != 0 {
            return Err(format!("frame {sequence}: marked as damaged by the driver"));
        }
        let (len, format) = (buffer.bytes_used as usize, self.negotiated.format);
        if len < self.negotiated.bytes_min {
            let expected = self.negotiated.bytes_min;
            return Err(format!("frame {sequence} is short: expected {expected} bytes for {format}, found {len}"));
        }
        let mapping = self.mappings.get(buffer.index as usize).ok_or("the driver returned an unknown buffer")?;
        if len > mapping.len() {
            return Err(format!("frame {sequence}: expected at most {} bytes, found {len}", mapping.len()));
        }
        slot.bytes.clear();
        // Allocates once, even if frames differ in size as JPEG does.
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

/// When a buffer was captured, if its driver uses the monotonic clock.
fn captured(buffer: &Buffer) -> Option<Duration> {
    let [seconds, microseconds] = buffer.timestamp.map(|part| u64::try_from(part).ok());
    let (seconds, microseconds) = (seconds?, u32::try_from(microseconds?).ok()?);
    let monotonic = buffer.flags & abi::FLAG_TIMESTAMP_MASK == abi::FLAG_TIMESTAMP_MONOTONIC;
    let sensible = microseconds < 1_000_000 && (seconds, microseconds) != (0, 0);
    (monotonic && sensible).then(|| Duration::new(seconds, microseconds * 1000))
}

/// Extends the driver's 32-bit frame numbers, which wrap around.
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
        DeviceError::NotVideo | DeviceError::Unusable(_) => Kind::Fatal,
        DeviceError::Open(_) | DeviceError::Call { .. } => Kind::Retry,
    };
    let hint = match error {
        DeviceError::Call { error: Errno::BUSY, .. } => "; another program may be using it",
        DeviceError::Open(cause) => match cause.kind() {
            std::io::ErrorKind::NotFound => "; plug it in, or look for its name with unet-edge cameras",
            std::io::ErrorKind::PermissionDenied => "; add the user to the group video",
            _ => "",
        },
        _ => "",
    };
    SourceError::new(name, kind, format!("{}{hint}", chain(error)), None)
}

impl FrameSource for Camera {
    fn describe(&self) -> String {
        let Negotiated { format, rate, requested, colour, .. } = &self.negotiated;
        let colour = colour.describe(format.encoding);
        let rate = rate.map_or_else(String::new, |rate| format!(", {} frames per second", round(rate)));
        let requested = requested.as_ref().map_or_else(String::new, |requested| format!(" (requested {requested})"));
        let encoding = negotiate::name(format.encoding);
        let FrameFormat { width, height, .. } = format;
        let driver = &self.device.capabilities.driver;
        format!("{} ({driver}): {encoding} {width}x{height}{rate}{requested}{colour}", self.name)
    }

    fn next_frame(&mut self, slot: &mut FrameSlot, patience: Duration) -> Result<Arrival, SourceError> {
        let events = wait_for(self.device.file(), PollFlags::IN, SystemClock.now() + patience)
            .map_err(|cause| SourceError::new(&self.name, Kind::Retry, "failed to wait for a frame", Some(cause)))?;
        if events.is_empty() {
            return Ok(Arrival::Nothing);
        }
        if !events.contains(PollFlags::IN) {
            return Err(self.lost("streaming stopped; the camera may be unplugged", None));
        }
        let mut buffer = Buffer::of(0);
        match abi::dequeue(self.device.fd(), &mut buffer) {
            Ok(()) => {}
            Err(Errno::AGAIN) if events.contains(PollFlags::ERR) => {
                return Err(self.lost("streaming stopped; the camera may be unplugged", None));
            }
            Err(Errno::AGAIN) => return Ok(Arrival::Nothing),
            Err(error @ Errno::NODEV) => return Err(self.lost("the camera was unplugged", Some(error))),
            Err(error) => return Err(self.lost("failed to dequeue a buffer", Some(error))),
        }
        let taken = self.take(&buffer, slot);
        abi::queue(self.device.fd(), &mut Buffer::of(buffer.index))
            .map_err(|error| self.lost("failed to queue a buffer", Some(error)))?;
        match taken {
            Ok(()) => Ok(Arrival::Frame),
            Err(problem) => Err(SourceError::new(&self.name, Kind::SkipFrame, problem, None)),
        }
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        // Fails for a camera that is unplugged, which needs no stopping.
        let _ = abi::stream_off(self.device.file().as_fd());
    }
}

/// A rate with two decimals.
fn round(rate: f64) -> f64 {
    (rate * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests;
