//! `unet-edge cameras`: the V4L2 cameras with their formats, sizes and rates.

use std::fmt::Write as _;

use clap::Args;
use unet_edge::frame_source::v4l2::{CameraInfo, FormatInfo, Sizes, list_cameras};

use super::{Exit, Failure, print};

/// List cameras with their formats, sizes and rates
#[derive(Debug, Args)]
pub struct Cameras {}

impl Cameras {
    pub fn main(self) -> Result<(), Failure> {
        let cameras = list_cameras();
        if cameras.is_empty() {
            let error = "no camera found: expected a device such as /dev/video0. Is it plugged in? A CSI camera needs a program \
                         that delivers its frames, such as the preset rpicam-vid or gstreamer-jetson of a process source";
            return Err(Failure { exit: Exit::Device, error: error.into() });
        }
        print(&cameras.iter().map(camera_text).collect::<Vec<_>>().join("\n"))
    }
}

fn camera_text(camera: &CameraInfo) -> String {
    let device = camera.device.display();
    if let Some(problem) = &camera.problem {
        return format!("{device}: {problem}\n");
    }
    let CameraInfo { card, driver, bus, formats, .. } = camera;
    let mut text = format!("{device}: {card}\n  driver {driver}, at {bus}\n");
    for FormatInfo { code, description, known, sizes } in formats {
        let known = known.map_or_else(|| "unsupported".to_owned(), |format| format!("format = \"{}\"", format.name()));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {code}  {known:<19} {description}");
        for size in sizes {
            let _ = writeln!(text, "        {}", size_text(size));
        }
    }
    text
}

fn size_text(size: &Sizes) -> String {
    match size {
        Sizes::Fixed { width, height, rates } if rates.is_empty() => format!("{width}x{height}"),
        Sizes::Fixed { width, height, rates } => {
            let rates: Vec<String> = rates.iter().map(|rate| format!("{}", (rate * 100.0).round() / 100.0)).collect();
            format!("{:<11} {} frames per second", format!("{width}x{height}"), rates.join(", "))
        }
        Sizes::Range { min: [a, b], max: [c, d], step: [e, f] } => {
            format!("{a}x{b} to {c}x{d} in steps of {e}x{f}")
        }
    }
}

#[cfg(test)]
mod tests {
    use unet_edge::frame_source::v4l2::CameraFormat;

    use super::*;

    #[test]
    fn a_camera_is_listed_with_what_it_offers() {
        let sizes = vec![
            Sizes::Fixed { width: 640, height: 480, rates: vec![30.0, 30000.0 / 1001.0, 15.0] },
            Sizes::Fixed { width: 32, height: 32, rates: Vec::new() },
            Sizes::Range { min: [16, 8], max: [1920, 1080], step: [2, 1] },
        ];
        let format = |code: &str, description: &str, known, sizes| FormatInfo {
            code: code.to_owned(),
            description: description.to_owned(),
            known,
            sizes,
        };
        let camera = CameraInfo {
            device: "/dev/video0".into(),
            driver: "vivid".to_owned(),
            card: "vivid camera".to_owned(),
            bus: "platform:vivid-000".to_owned(),
            formats: vec![
                format("YUYV", "YUYV 4:2:2", Some(CameraFormat::Yuyv), sizes),
                format("H264", "H.264", None, Vec::new()),
            ],
            problem: None,
        };
        let expected = "\
/dev/video0: vivid camera
  driver vivid, at platform:vivid-000
  YUYV  format = \"yuyv\"     YUYV 4:2:2
        640x480     30, 29.97, 15 frames per second
        32x32
        16x8 to 1920x1080 in steps of 2x1
  H264  unsupported         H.264
";
        assert_eq!(camera_text(&camera), expected);
        let problem = Some("could not be opened: permission denied".to_owned());
        let text = camera_text(&CameraInfo { problem, ..camera });
        assert_eq!(text, "/dev/video0: could not be opened: permission denied\n");
    }
}
