//! An open device: who it is, what it offers, and what it is set to.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::io::Errno;
use unet_shared::image::PixelFormat;

use super::super::{CameraFormat, Encoding};
use super::abi::{self, Capability, Format, FormatDescription, Fraction, FrameInterval, FrameSize, Parameters};

/// Drivers that never end their lists are cut off.
const LIST_MAX: u32 = 128;

/// A device that captures video.
#[derive(Debug)]
pub(super) struct Device {
    file: File,
    pub(super) driver: String,
    pub(super) card: String,
    pub(super) bus: String,
}

/// Why a device is no camera of ours.
#[derive(Debug, thiserror::Error)]
pub(super) enum DeviceError {
    #[error("could not be opened")]
    Open(#[source] std::io::Error),
    #[error("{call}: refused by the driver")]
    Call {
        call: &'static str,
        #[source]
        error: Errno,
    },
    #[error("expected a camera, found {found}")]
    Kind { found: &'static str },
}

/// Sizes that a format has.
#[derive(Debug, Clone, PartialEq)]
pub enum Sizes {
    /// One.
    Fixed {
        /// Pixels a row.
        width: u32,
        /// Rows.
        height: u32,
        /// Frames a second, the fastest first; empty where the driver does not say.
        rates: Vec<f64>,
    },
    /// All between two, in steps.
    Range {
        /// Width and height of the smallest.
        least: [u32; 2],
        /// Width and height of the largest.
        greatest: [u32; 2],
        /// What width and height are multiples of, above the least.
        step: [u32; 2],
    },
}

impl Device {
    pub(super) fn open(path: &Path) -> Result<Self, DeviceError> {
        let mut options = File::options();
        options.read(true).write(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32);
        let file = options.open(path).map_err(DeviceError::Open)?;
        let mut capability = Capability::default();
        match abi::query_capability(file.as_fd(), &mut capability) {
            Ok(()) => {}
            Err(Errno::NOTTY | Errno::INVAL) => {
                return Err(DeviceError::Kind { found: "something that is no video device" });
            }
            Err(error) => return Err(DeviceError::Call { call: "VIDIOC_QUERYCAP", error }),
        }
        let all = capability.capabilities;
        let abilities = if all & abi::CAP_DEVICE_CAPS == 0 { all } else { capability.device_caps };
        let found = if abilities & abi::CAP_CAPTURE == 0 {
            let planes = abilities & abi::CAP_CAPTURE_MPLANE != 0;
            Some(if planes {
                "one with several planes a frame, which are not read"
            } else {
                "a device that captures no video"
            })
        } else if abilities & abi::CAP_STREAMING == 0 {
            Some("one that has no memory to be mapped")
        } else {
            None
        };
        if let Some(found) = found {
            return Err(DeviceError::Kind { found });
        }
        let [driver, card, bus] = [&capability.driver[..], &capability.card[..], &capability.bus_info[..]].map(text);
        Ok(Device { file, driver, card, bus })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// The formats that it offers, each with what the driver calls it.
    pub(super) fn formats(&self) -> Vec<(u32, String)> {
        let mut formats = Vec::new();
        for index in 0..LIST_MAX {
            let mut description = FormatDescription { index, kind: abi::CAPTURE, ..FormatDescription::default() };
            if abi::list_format(self.fd(), &mut description).is_err() {
                break;
            }
            formats.push((description.pixel_format, text(&description.description)));
        }
        formats
    }

    /// The sizes of a format; none where the driver does not say.
    pub(super) fn sizes(&self, pixel_format: u32) -> Vec<Sizes> {
        let mut sizes = Vec::new();
        for index in 0..LIST_MAX {
            let mut size = FrameSize { index, pixel_format, ..FrameSize::default() };
            if abi::list_size(self.fd(), &mut size).is_err() {
                break;
            }
            let [a, b, c, d, e, f] = size.sides;
            if size.kind == abi::SIZE_DISCRETE {
                sizes.push(Sizes::Fixed { width: a, height: b, rates: self.rates(pixel_format, a, b) });
            } else {
                sizes.push(Sizes::Range { least: [a, d], greatest: [b, e], step: [c, f] });
                break;
            }
        }
        sizes
    }

    /// Frames a second that a size has, the fastest first; of a range its two ends. Empty where the driver does not say.
    pub(super) fn rates(&self, pixel_format: u32, width: u32, height: u32) -> Vec<f64> {
        let mut rates = Vec::new();
        for index in 0..LIST_MAX {
            let mut interval = FrameInterval { index, pixel_format, width, height, ..FrameInterval::default() };
            if abi::list_interval(self.fd(), &mut interval).is_err() {
                break;
            }
            let [first, last, _] = interval.intervals;
            rates.extend(rate(first));
            if interval.kind != abi::INTERVAL_DISCRETE {
                rates.extend(rate(last));
                break;
            }
        }
        rates.sort_by(|a, b| b.total_cmp(a));
        rates.dedup();
        rates
    }

    pub(super) fn format(&self) -> Result<Format, DeviceError> {
        let mut format = Format::default();
        abi::get_format(self.fd(), &mut format).map_err(|error| DeviceError::Call { call: "VIDIOC_G_FMT", error })?;
        Ok(format)
    }

    /// Asks for a format; what comes back is what the driver has made of it.
    pub(super) fn set_format(&self, mut format: Format) -> Result<Format, DeviceError> {
        abi::set_format(self.fd(), &mut format).map_err(|error| DeviceError::Call { call: "VIDIOC_S_FMT", error })?;
        Ok(format)
    }

    /// Asks for a rate where one is wanted; the rate that it has then, where the driver says.
    pub(super) fn set_rate(&self, wanted: Option<f64>) -> Option<f64> {
        let mut parameters = Parameters::default();
        abi::get_parameters(self.fd(), &mut parameters).ok()?;
        if let Some(wanted) = wanted
            && parameters.capability & abi::PARM_TIME_PER_FRAME != 0
        {
            let mut asked = Parameters { time_per_frame: interval(wanted), ..Parameters::default() };
            if abi::set_parameters(self.fd(), &mut asked).is_ok() {
                parameters = asked;
            }
        }
        rate(parameters.time_per_frame)
    }
}

/// Frames a second of an interval.
pub(super) fn rate(interval: Fraction) -> Option<f64> {
    let Fraction { numerator, denominator } = interval;
    let known = numerator > 0 && denominator > 0;
    known.then(|| f64::from(denominator) / f64::from(numerator))
}

/// The interval of a rate, in thousandths of a frame.
fn interval(rate: f64) -> Fraction {
    // Rates are at most 1000.
    Fraction { numerator: 1000, denominator: (rate * 1000.0).round().max(1.0) as u32 }
}

/// A text that ends with the first zero.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

impl CameraFormat {
    /// All of them, the one that is asked for soonest first: pixels in colour, then JPEG, which has to be decoded, then gray,
    /// which a camera in colour offers too.
    pub const ALL: [CameraFormat; 5] =
        [CameraFormat::Yuyv, CameraFormat::Uyvy, CameraFormat::Nv12, CameraFormat::Mjpeg, CameraFormat::Grey];

    /// As the configuration writes it.
    pub fn name(self) -> &'static str {
        match self {
            CameraFormat::Yuyv => "yuyv",
            CameraFormat::Uyvy => "uyvy",
            CameraFormat::Grey => "grey",
            CameraFormat::Nv12 => "nv12",
            CameraFormat::Mjpeg => "mjpeg",
        }
    }

    /// What its frames hold.
    pub fn encoding(self) -> Encoding {
        match self {
            CameraFormat::Yuyv => Encoding::Pixels(PixelFormat::Yuyv),
            CameraFormat::Uyvy => Encoding::Pixels(PixelFormat::Uyvy),
            CameraFormat::Grey => Encoding::Pixels(PixelFormat::Gray8),
            CameraFormat::Nv12 => Encoding::Pixels(PixelFormat::Nv12),
            CameraFormat::Mjpeg => Encoding::Jpeg,
        }
    }

    /// The kernel's four letters.
    pub(super) fn code(self) -> u32 {
        u32::from_le_bytes(match self {
            CameraFormat::Yuyv => *b"YUYV",
            CameraFormat::Uyvy => *b"UYVY",
            CameraFormat::Grey => *b"GREY",
            CameraFormat::Nv12 => *b"NV12",
            CameraFormat::Mjpeg => *b"MJPG",
        })
    }

    pub(super) fn from_code(code: u32) -> Option<Self> {
        CameraFormat::ALL.into_iter().find(|format| format.code() == code)
    }
}

/// Four letters, for a person.
pub(super) fn letters(code: u32) -> String {
    code.to_le_bytes().escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_the_inverse_of_intervals() {
        assert_eq!(rate(Fraction { numerator: 1, denominator: 30 }), Some(30.0));
        assert_eq!(rate(Fraction { numerator: 0, denominator: 30 }), None);
        assert_eq!(rate(Fraction { numerator: 1, denominator: 0 }), None);
        assert_eq!(interval(29.97), Fraction { numerator: 1000, denominator: 29970 });
        assert_eq!(interval(0.000_001), Fraction { numerator: 1000, denominator: 1 });
    }

    #[test]
    fn formats_have_the_kernels_letters() {
        assert_eq!(CameraFormat::Yuyv.code(), 0x5659_5559);
        for format in CameraFormat::ALL {
            assert_eq!(CameraFormat::from_code(format.code()), Some(format));
        }
        assert_eq!(letters(CameraFormat::Mjpeg.code()), "MJPG");
        assert_eq!(CameraFormat::from_code(0), None);
    }

    #[test]
    fn what_is_no_camera_is_told() {
        let error = Device::open(Path::new("/dev/null")).unwrap_err();
        assert_eq!(error.to_string(), "expected a camera, found something that is no video device");
        assert!(matches!(Device::open(Path::new("/no/such/device")), Err(DeviceError::Open(_))));
    }
}
