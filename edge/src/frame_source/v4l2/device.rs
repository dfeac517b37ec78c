//! An open device: what it is, what it offers, and its settings.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::io::Errno;

use super::CameraFormat;
use super::abi::{self, Format, FormatDescription, Fraction, FrameInterval, FrameSize, Parameters, text};
use super::capability::{Capabilities, Unusable};

/// Limit for drivers that never end their lists.
const LIST_MAX: u32 = 128;

/// A device that captures video.
#[derive(Debug)]
pub(super) struct Device {
    file: File,
    pub(super) capabilities: Capabilities,
}

/// Why a device cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum DeviceError {
    #[error("could not be opened")]
    Open(#[source] std::io::Error),
    #[error("{call} failed")]
    Call {
        call: &'static str,
        #[source]
        error: Errno,
    },
    #[error("expected a camera, found a file that is not a video device")]
    NotVideo,
    #[error("expected a camera, found a device that {0}")]
    Unusable(Unusable),
}

/// Frame sizes of a format.
#[derive(Debug, Clone, PartialEq)]
pub enum Sizes {
    /// One size.
    Fixed {
        /// Pixels per row.
        width: u32,
        /// Rows.
        height: u32,
        /// Frames per second, the fastest first; empty if the driver does not list them.
        rates: Vec<f64>,
    },
    /// All sizes between two, in steps.
    Range {
        /// Width and height of the smallest.
        min: [u32; 2],
        /// Width and height of the largest.
        max: [u32; 2],
        /// Step of width and height from the smallest.
        step: [u32; 2],
    },
}

impl Device {
    pub(super) fn open(path: &Path) -> Result<Self, DeviceError> {
        let mut options = File::options();
        options.read(true).write(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32);
        let file = options.open(path).map_err(DeviceError::Open)?;
        let capabilities = match Capabilities::query(file.as_fd()) {
            Ok(capabilities) => capabilities,
            Err(Errno::NOTTY | Errno::INVAL) => return Err(DeviceError::NotVideo),
            Err(error) => return Err(DeviceError::Call { call: "VIDIOC_QUERYCAP", error }),
        };
        capabilities.check().map_err(DeviceError::Unusable)?;
        Ok(Device { file, capabilities })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// The formats that it offers, each with the driver's description.
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

    /// The sizes of a format; empty if the driver does not list them.
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
                sizes.push(Sizes::Range { min: [a, d], max: [b, e], step: [c, f] });
                break;
            }
        }
        sizes
    }

    /// Frame rates of a size, the fastest first; of a range its two ends. Empty if the driver does not list them.
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

    /// Requests a format; returns what the driver chose.
    pub(super) fn set_format(&self, mut format: Format) -> Result<Format, DeviceError> {
        abi::set_format(self.fd(), &mut format).map_err(|error| DeviceError::Call { call: "VIDIOC_S_FMT", error })?;
        Ok(format)
    }

    /// Requests a rate if one is given; returns the rate in effect, if the driver reports it.
    pub(super) fn set_rate(&self, requested: Option<f64>) -> Option<f64> {
        let mut parameters = Parameters::default();
        abi::get_parameters(self.fd(), &mut parameters).ok()?;
        if let Some(requested) = requested
            && parameters.capability & abi::PARM_TIME_PER_FRAME != 0
        {
            let mut new = Parameters { time_per_frame: interval(requested), ..Parameters::default() };
            if abi::set_parameters(self.fd(), &mut new).is_ok() {
                parameters = new;
            }
        }
        rate(parameters.time_per_frame)
    }
}

/// Frames per second of an interval.
pub(super) fn rate(interval: Fraction) -> Option<f64> {
    let Fraction { numerator, denominator } = interval;
    let known = numerator > 0 && denominator > 0;
    known.then(|| f64::from(denominator) / f64::from(numerator))
}

/// The interval of a rate, which is rounded to thousandths of a frame per second.
fn interval(rate: f64) -> Fraction {
    // Rates are at most 1000.
    Fraction { numerator: 1000, denominator: (rate * 1000.0).round().max(1.0) as u32 }
}

impl CameraFormat {
    /// The four letters of V4L2.
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

/// The four letters as text.
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
    fn formats_have_four_letters() {
        assert_eq!(CameraFormat::Yuyv.code(), 0x5659_5559);
        for format in CameraFormat::ALL {
            assert_eq!(CameraFormat::from_code(format.code()), Some(format));
        }
        assert_eq!(letters(CameraFormat::Mjpeg.code()), "MJPG");
        assert_eq!(CameraFormat::from_code(0), None);
    }

    #[test]
    fn other_files_are_refused() {
        let error = Device::open(Path::new("/dev/null")).unwrap_err();
        assert_eq!(error.to_string(), "expected a camera, found a file that is not a video device");
        assert!(matches!(Device::open(Path::new("/no/such/device")), Err(DeviceError::Open(_))));
    }
}
