//! Cameras with a V4L2 driver. What the configuration says about one is read on every system; only Linux can open it.

#[cfg(target_os = "linux")]
mod abi;
#[cfg(target_os = "linux")]
mod camera;
#[cfg(target_os = "linux")]
mod capability;
#[cfg(target_os = "linux")]
mod colorspace;
#[cfg(target_os = "linux")]
mod device;
#[cfg(target_os = "linux")]
mod listing;
#[cfg(target_os = "linux")]
mod mapping;
#[cfg(target_os = "linux")]
mod negotiate;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use unet_shared::image::PixelFormat;

use super::colour::{JPEG_COLOUR, Said};
use super::spec::{Policy, Rate, Reopen, Requirement, Side, SourceKind, SourceSpec, read_path};
use super::{Encoding, FrameSource, SourceError};
use crate::section::Section;

#[cfg(target_os = "linux")]
pub(crate) use capability::Capabilities;
#[cfg(target_os = "linux")]
pub use device::Sizes;
#[cfg(target_os = "linux")]
pub use listing::{CameraInfo, FormatInfo, list_cameras};

/// `kind = "v4l2"`
pub(crate) const KIND: SourceKind = SourceKind {
    name: "v4l2",
    read,
    from_word: |device| Ok(Arc::new(CameraSpec::of(device))),
    claims: |word| word.starts_with("/dev/video") || word.starts_with("/dev/v4l/"),
};

/// A camera. What is not set is left to the driver, or chosen from what it offers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CameraSpec {
    /// `device`, such as `/dev/video0`; the links below `/dev/v4l/by-id` keep pointing to a camera when others are added.
    pub(crate) device: PathBuf,
    /// `width` in pixels.
    pub(crate) width: Option<Side>,
    /// `height` in pixels.
    pub(crate) height: Option<Side>,
    /// `rate` in frames per second.
    pub(crate) rate: Option<Rate>,
    /// `format`
    pub(crate) format: Option<CameraFormat>,
    /// `range` and `matrix`, in place of what the driver states.
    pub(super) colour: Said,
}

impl CameraSpec {
    /// A camera with the driver's settings.
    pub(crate) fn of(device: impl Into<PathBuf>) -> Self {
        CameraSpec {
            device: device.into(),
            width: None,
            height: None,
            rate: None,
            format: None,
            colour: Said::default(),
        }
    }
}

fn read(section: &mut Section<'_, '_>) -> Option<Arc<dyn SourceSpec>> {
    section.require("device", "the path of a camera, such as \"/dev/video0\"");
    let device = read_path(section, "device");
    let [width, height] = ["width", "height"].map(|key| Side::read(section, key));
    let rate = Rate::read(section);
    let format = section.choice("format", &CameraFormat::ALL.map(|format| (format.name(), format)));
    let colour = Said::read(section);
    match format.map(CameraFormat::encoding) {
        Some(Encoding::Pixels(format)) => Said::check(section, format),
        Some(Encoding::Jpeg) => Said::refuse(section, JPEG_COLOUR),
        None => {}
    }
    Some(Arc::new(CameraSpec { device: device?.value, width, height, rate, format, colour }))
}

impl SourceSpec for CameraSpec {
    fn name(&self) -> String {
        self.device.display().to_string()
    }

    fn policy(&self) -> Policy {
        Policy { live: true, reopen: Reopen::AfterErrorOrEnd }
    }

    fn interval(&self) -> Option<Duration> {
        self.rate.map(Rate::interval)
    }

    fn requirement(&self) -> Requirement<'_> {
        Requirement::Camera(&self.device)
    }

    #[cfg(target_os = "linux")]
    fn open(&self) -> Result<Box<dyn FrameSource>, SourceError> {
        Ok(Box::new(camera::Camera::open(self)?))
    }

    #[cfg(not(target_os = "linux"))]
    fn open(&self) -> Result<Box<dyn FrameSource>, SourceError> {
        let problem = "cameras are only supported on Linux";
        Err(SourceError::new(self.name(), super::Kind::Fatal, problem, None))
    }
}

/// A format that cameras are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CameraFormat {
    /// 4:2:2, Y0 U Y1 V.
    Yuyv,
    /// 4:2:2, U Y0 V Y1.
    Uyvy,
    /// One byte per pixel.
    Grey,
    /// 4:2:0 in two planes.
    Nv12,
    /// One JPEG image per frame.
    Mjpeg,
}

impl CameraFormat {
    /// All formats in the order of preference: uncompressed colour, then JPEG, which has to be decoded, then gray, which colour
    /// cameras offer as well.
    pub const ALL: [CameraFormat; 5] =
        [CameraFormat::Yuyv, CameraFormat::Uyvy, CameraFormat::Nv12, CameraFormat::Mjpeg, CameraFormat::Grey];

    /// As the configuration spells it.
    pub fn name(self) -> &'static str {
        match self {
            CameraFormat::Yuyv => "yuyv",
            CameraFormat::Uyvy => "uyvy",
            CameraFormat::Grey => "grey",
            CameraFormat::Nv12 => "nv12",
            CameraFormat::Mjpeg => "mjpeg",
        }
    }

    /// Encoding of its frames.
    pub fn encoding(self) -> Encoding {
        match self {
            CameraFormat::Yuyv => Encoding::Pixels(PixelFormat::Yuyv),
            CameraFormat::Uyvy => Encoding::Pixels(PixelFormat::Uyvy),
            CameraFormat::Grey => Encoding::Pixels(PixelFormat::Gray8),
            CameraFormat::Nv12 => Encoding::Pixels(PixelFormat::Nv12),
            CameraFormat::Mjpeg => Encoding::Jpeg,
        }
    }
}

#[cfg(test)]
mod spec_tests {
    use super::*;
    use crate::section::tests::{problems, read_ok};

    #[test]
    fn a_camera_is_read_from_its_keys() {
        let spec = read_ok("device = '/dev/video0'\nwidth = 640\nheight = 480\nrate = 30\nformat = 'mjpeg'", read);
        let expected = CameraSpec {
            device: "/dev/video0".into(),
            width: Side::new(640),
            height: Side::new(480),
            rate: Rate::new(30.0),
            format: Some(CameraFormat::Mjpeg),
            colour: Said::default(),
        };
        assert_eq!(format!("{spec:?}"), format!("{expected:?}"));
        assert_eq!(spec.policy(), Policy { live: true, reopen: Reopen::AfterErrorOrEnd });
    }

    #[test]
    fn each_wrong_key_is_reported_at_its_line() {
        let text = "device = ''\nwidth = '640'\nheight = 65535\nrate = '30/1'\nformat = 'MJPG'\nspeed = 3";
        assert_eq!(
            problems(text, read),
            [
                "1: section: device = '': expected a non-empty string in quotes",
                "2: section: width = '640': expected 1 to 16384 pixels, without quotes: width = 640",
                "3: section: height = 65535: expected 1 to 16384 pixels",
                "4: section: rate = '30/1': expected 0.000001 to 1000 frames per second: a number without quotes",
                "5: section: format = 'MJPG': expected yuyv, uyvy, nv12, mjpeg or grey; did you mean \"mjpeg\"?",
                "6: section: unknown key \"speed\"; known keys are device, width, height, rate, format, range, matrix",
            ]
        );
        let text = "device = 'a'\nformat = 'mjpeg'\nrange = 'full'\nmatrix = 'bt709'";
        let expected = |line: &str| format!("{line}: JPEG frames are always full range bt601");
        assert_eq!(
            problems(text, read),
            [expected("3: section: range = 'full'"), expected("4: section: matrix = 'bt709'")]
        );
        let url = "1: section: device = 'rtsp://a/b': expected a path, found a URL, which needs ffmpeg: kind = \"process\", preset = \
                   \"ffmpeg\" and this as its input";
        assert_eq!(problems("device = 'rtsp://a/b'", read), [url]);
        let missing = "1: section: device is missing: expected the path of a camera, such as \"/dev/video0\"";
        assert_eq!(problems("", read), [missing]);
    }
}
