//! The keys of a program: its command or a preset, and what it writes.

use std::sync::Arc;

use unet_shared::image::PixelFormat;

use super::super::spec::{Policy, Rate, Reopen, Requirement, Side, SourceKind, SourceSpec};
use super::super::{FrameSource, SourceError};
use crate::section::{Lined, Section};

/// `kind = "process"`. On the command line the name of a preset, or a program with arguments that writes YUV4MPEG2.
pub(crate) const KIND: SourceKind = SourceKind { name: "process", read, from_word, claims: |_| false };

/// A program that writes frames to its standard output.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ProcessSpec {
    /// `command`: the program and its arguments; there is no shell.
    pub(super) command: Vec<String>,
    /// `format`, `width`, `height`, `stride`: what it writes.
    pub(super) output: ProcessOutput,
}

/// What a program writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProcessOutput {
    /// A YUV4MPEG2 stream, whose header contains size and format.
    Y4m,
    /// Raw frames, one directly after the other.
    Raw {
        /// Pixel format.
        format: PixelFormat,
        /// Pixels per row.
        width: Side,
        /// Rows.
        height: Side,
        /// Bytes from one row of the first plane to the next.
        stride: u32,
    },
}

impl SourceSpec for ProcessSpec {
    fn name(&self) -> String {
        self.command.first().cloned().unwrap_or_default()
    }

    fn policy(&self) -> Policy {
        Policy { live: true, reopen: Reopen::AfterError }
    }

    fn requirement(&self) -> Requirement<'_> {
        Requirement::Program(self.command.first().map_or("", String::as_str))
    }

    fn open(&self) -> Result<Box<dyn FrameSource>, SourceError> {
        Ok(Box::new(super::Process::open(self)?))
    }
}

const COMMAND_EXAMPLE: &str = "[\"ffmpeg\", \"-i\", \"clip.mp4\"]";

fn from_word(words: &str) -> Result<Arc<dyn SourceSpec>, String> {
    if let Some(preset) = Preset::ALL.into_iter().find(|preset| preset.name() == words.trim()) {
        return Ok(Arc::new(preset.spec(PresetKeys::DEFAULT)));
    }
    let command: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    match command.is_empty() {
        true => Err("expected a program and its arguments, found nothing".to_owned()),
        false => Ok(Arc::new(ProcessSpec { command, output: ProcessOutput::Y4m })),
    }
}

fn read(section: &mut Section<'_, '_>) -> Option<Arc<dyn SourceSpec>> {
    let command = section.texts("command", COMMAND_EXAMPLE);
    let preset = section.choice("preset", &Preset::ALL.map(|preset| (preset.name(), preset)));
    let formats = PixelFormat::ALL.map(|format| (format.name(), Some(format)));
    let formats: Vec<_> = std::iter::once(("y4m", None)).chain(formats).collect();
    let format = section.choice("format", &formats);
    let [width, height] = ["width", "height"].map(|key| Side::read(section, key));
    let stride = section.integer("stride", 0..=u64::from(u32::MAX), "0 to 4294967295 bytes");
    let rate = Rate::read(section);
    let camera = section.integer("camera", 0..=255, "0 to 255");
    let refuse_all = |keys: &[&str], reason: &str| {
        for key in keys {
            section.refuse_with(key, reason);
        }
    };
    let spec = match (section.has("command"), section.has("preset")) {
        (true, true) => {
            section.refuse_with("preset", "expected either command or preset, found both");
            return None;
        }
        (false, false) => {
            section.require("command", "a program and its arguments, or preset in its place");
            return None;
        }
        (false, true) => {
            refuse_all(&["format", "stride"], "a preset sets this itself");
            let default = PresetKeys::DEFAULT;
            let keys = PresetKeys {
                width: width.unwrap_or(default.width),
                height: height.unwrap_or(default.height),
                rate: rate.unwrap_or(default.rate),
                camera: camera.map_or(default.camera, |camera| camera as u8),
            };
            let preset = preset?;
            let multiple = preset.width_multiple();
            if !keys.width.get().is_multiple_of(multiple) {
                section.refuse("width", &format!("a multiple of {multiple} for preset {}", preset.name()));
            }
            if !keys.height.get().is_multiple_of(2) {
                section.refuse("height", &format!("an even height for preset {}", preset.name()));
            }
            preset.spec(keys)
        }
        (true, false) => {
            refuse_all(&["rate", "camera"], "only a preset has this key; pass it as an argument of the command");
            let output = output(section, format.flatten(), [width, height], stride);
            let command: Vec<String> = command?.into_iter().map(|Lined { value, .. }| value).collect();
            if command.first().is_none_or(String::is_empty) {
                section.refuse("command", &format!("a program and its arguments, such as {COMMAND_EXAMPLE}"));
            }
            ProcessSpec { command, output: output? }
        }
    };
    Some(Arc::new(spec))
}

fn output(
    section: &Section<'_, '_>,
    format: Option<PixelFormat>,
    [width, height]: [Option<Side>; 2],
    stride: Option<u64>,
) -> Option<ProcessOutput> {
    let Some(format) = format else {
        for key in ["width", "height", "stride"] {
            section.refuse_with(key, "only raw formats have this key; the y4m header contains the size");
        }
        return Some(ProcessOutput::Y4m);
    };
    for key in ["width", "height"] {
        section.require(key, &format!("the number of pixels, for format {format}"));
    }
    let (width, height) = (width?, height?);
    let packed = format.row_len(width.get() as usize) as u32;
    let stride = stride.map_or(packed, |stride| stride as u32);
    Some(ProcessOutput::Raw { format, width, height, stride })
}

/// Programs for cameras whose driver alone does not deliver usable frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Preset {
    /// CSI cameras of a Raspberry Pi, through libcamera.
    RpicamVid,
    /// CSI cameras of a Jetson, through NVIDIA's GStreamer elements.
    GstreamerJetson,
}

/// `width`, `height`, `rate` and `camera` of a preset.
#[derive(Debug, Clone, Copy)]
struct PresetKeys {
    width: Side,
    height: Side,
    rate: Rate,
    camera: u8,
}

impl PresetKeys {
    const DEFAULT: PresetKeys = PresetKeys {
        width: Side::new(1280).expect("within its range"),
        height: Side::new(720).expect("within its range"),
        rate: Rate::THIRTY,
        camera: 0,
    };
}

impl Preset {
    const ALL: [Preset; 2] = [Preset::RpicamVid, Preset::GstreamerJetson];

    fn name(self) -> &'static str {
        match self {
            Preset::RpicamVid => "rpicam-vid",
            Preset::GstreamerJetson => "gstreamer-jetson",
        }
    }

    /// Frames are 4:2:0, hence even. A Pi 4 pads rows to 64 bytes and a Pi 5 to 128, and the stream does not contain the stride.
    fn width_multiple(self) -> u32 {
        match self {
            Preset::RpicamVid => 128,
            Preset::GstreamerJetson => 2,
        }
    }

    fn spec(self, keys: PresetKeys) -> ProcessSpec {
        let PresetKeys { width, height, rate, camera } = keys;
        let (columns, rows) = (width.get(), height.get());
        let (command, format, stride) = match self {
            Preset::RpicamVid => {
                let command = format!(
                    "rpicam-vid --nopreview --timeout 0 --verbose 0 --codec yuv420 --flush --camera {camera} \
                     --width {columns} --height {rows} --framerate {} --output -",
                    rate.per_second()
                );
                (command, PixelFormat::I420, columns)
            }
            Preset::GstreamerJetson => {
                // GStreamer only accepts fractions.
                let thousandths = (rate.per_second() * 1000.0).round().max(1.0);
                let size = format!("width={columns},height={rows}");
                let command = format!(
                    "gst-launch-1.0 --quiet nvarguscamerasrc sensor-id={camera} ! \
                     video/x-raw(memory:NVMM),{size},framerate={thousandths}/1000 ! nvvidconv ! \
                     video/x-raw,format=NV12,{size} ! fdsink fd=1 sync=false"
                );
                (command, PixelFormat::Nv12, columns.next_multiple_of(4))
            }
        };
        let command = command.split_whitespace().map(str::to_owned).collect();
        ProcessSpec { command, output: ProcessOutput::Raw { format, width, height, stride } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::section::tests::{problems, read_ok};

    fn spec(text: &str) -> String {
        format!("{:?}", read_ok(text, read))
    }

    fn raw(format: PixelFormat, width: u32, height: u32, stride: u32) -> ProcessOutput {
        let [width, height] = [width, height].map(|side| Side::new(side).unwrap());
        ProcessOutput::Raw { format, width, height, stride }
    }

    #[test]
    fn a_command_writes_y4m_or_raw_frames() {
        let command = ["ffmpeg", "-i", "x"].map(str::to_owned).to_vec();
        let expected = ProcessSpec { command, output: ProcessOutput::Y4m };
        assert_eq!(spec("command = ['ffmpeg', '-i', 'x']"), format!("{expected:?}"));
        assert_eq!(spec("command = ['ffmpeg', '-i', 'x']\nformat = 'y4m'"), format!("{expected:?}"));
        let command = vec!["x".to_owned()];
        for (stride, expected) in [("", 8), ("stride = 16", 16)] {
            let expected = ProcessSpec { command: command.clone(), output: raw(PixelFormat::Yuyv, 4, 2, expected) };
            let found = spec(&format!("command = ['x']\nformat = 'yuyv'\nwidth = 4\nheight = 2\n{stride}"));
            assert_eq!(found, format!("{expected:?}"));
        }
    }

    #[test]
    fn presets_are_commands() {
        let command = "rpicam-vid --nopreview --timeout 0 --verbose 0 --codec yuv420 --flush --camera 1 --width 640 \
                       --height 480 --framerate 15 --output -";
        let command = command.split(' ').map(str::to_owned).collect();
        let expected = ProcessSpec { command, output: raw(PixelFormat::I420, 640, 480, 640) };
        let found = spec("preset = 'rpicam-vid'\nwidth = 640\nheight = 480\nrate = 15\ncamera = 1");
        assert_eq!(found, format!("{expected:?}"));
        let command = "gst-launch-1.0 --quiet nvarguscamerasrc sensor-id=0 ! \
             video/x-raw(memory:NVMM),width=1280,height=720,framerate=30000/1000 ! nvvidconv ! \
             video/x-raw,format=NV12,width=1280,height=720 ! fdsink fd=1 sync=false";
        let command = command.split(' ').map(str::to_owned).collect();
        let expected = ProcessSpec { command, output: raw(PixelFormat::Nv12, 1280, 720, 1280) };
        assert_eq!(format!("{:?}", from_word("gstreamer-jetson").unwrap()), format!("{expected:?}"));
    }

    #[test]
    fn every_wrong_key_is_reported_at_its_line() {
        for (text, expected) in [
            ("", &["1: section: command is missing: expected a program and its arguments, or preset in its place"][..]),
            (
                "command = ['x']\npreset = 'rpicam-vid'",
                &["2: section: preset = 'rpicam-vid': expected either command or preset, found both"],
            ),
            (
                "preset = 'rpicam-vid'\nformat = 'y4m'\nstride = 3\nwidth = 648\nheight = 481",
                &[
                    "2: section: format = 'y4m': a preset sets this itself",
                    "3: section: stride = 3: a preset sets this itself",
                    "4: section: width = 648: expected a multiple of 128 for preset rpicam-vid",
                    "5: section: height = 481: expected an even height for preset rpicam-vid",
                ],
            ),
            (
                "command = []\nrate = 3\ncamera = 0\nwidth = 3",
                &[
                    "1: section: command = []: expected a program and its arguments, such as [\"ffmpeg\", \"-i\", \"clip.mp4\"]",
                    "2: section: rate = 3: only a preset has this key; pass it as an argument of the command",
                    "3: section: camera = 0: only a preset has this key; pass it as an argument of the command",
                    "4: section: width = 3: only raw formats have this key; the y4m header contains the size",
                ],
            ),
            (
                "command = ['x']\nformat = 'nv12'\nwidth = 0",
                &[
                    "1: section: height is missing: expected the number of pixels, for format nv12",
                    "3: section: width = 0: expected 1 to 16384 pixels",
                ],
            ),
            (
                "command = 'x'\nformat = 'yuv'",
                &[
                    "1: section: command = 'x': expected a list of strings, such as [\"ffmpeg\", \"-i\", \"clip.mp4\"]",
                    "2: section: format = 'yuv': expected one of y4m, gray8, rgb8, bgr8, rgba8, yuyv, uyvy, nv12, i420; did you mean \"yuyv\"?",
                ],
            ),
        ] {
            assert_eq!(problems(text, read), expected, "{text}");
        }
        assert!(from_word(" ").unwrap_err().contains("found nothing"));
    }
}
