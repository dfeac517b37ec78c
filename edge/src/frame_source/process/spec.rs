//! The keys of a program: its command or a preset, and what it writes.

use std::sync::Arc;

use unet_shared::image::{ColourEncoding, Matrix, PixelFormat};

use super::super::colour::{Colour, JPEG_COLOUR, Said};
use super::super::spec::{Policy, Rate, Reopen, Requirement, Side, SourceKind, SourceSpec};
use super::super::{FrameSource, SourceError};
use super::ffmpeg;
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
    /// `range` and `matrix`, and what is known of the frames of a preset.
    pub(super) colour: Colour,
    /// How the pipeline treats it.
    pub(super) policy: Policy,
}

impl ProcessSpec {
    /// A program that is started again after errors.
    pub(super) fn new(command: Vec<String>, output: ProcessOutput) -> Self {
        let policy = Policy { live: true, reopen: Reopen::AfterError };
        ProcessSpec { command, output, colour: Colour::default(), policy }
    }
}

/// What a program writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProcessOutput {
    /// A YUV4MPEG2 stream, whose header contains size and format.
    Y4m,
    /// JPEG images, one after another.
    Mjpeg,
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
        self.policy
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
        return match preset.takes_input() {
            true => Err("expected a configuration, since the preset needs an input".to_owned()),
            false => Ok(Arc::new(preset.spec(PresetKeys::default()))),
        };
    }
    let command: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    match command.is_empty() {
        true => Err("expected a program and its arguments, found nothing".to_owned()),
        false => Ok(Arc::new(ProcessSpec::new(command, ProcessOutput::Y4m))),
    }
}

fn read(section: &mut Section<'_, '_>) -> Option<Arc<dyn SourceSpec>> {
    let command = section.texts("command", COMMAND_EXAMPLE);
    let preset = section.choice("preset", &Preset::ALL.map(|preset| (preset.name(), preset)));
    let formats = PixelFormat::ALL.map(|format| (format.name(), Written::Raw(format)));
    let formats: Vec<_> = [("y4m", Written::Y4m), ("mjpeg", Written::Mjpeg)].into_iter().chain(formats).collect();
    let format = section.choice("format", &formats);
    let [width, height] = ["width", "height"].map(|key| Side::read(section, key));
    let stride = section.integer("stride", 0..=u64::from(u32::MAX), "0 to 4294967295 bytes");
    let rate = Rate::read(section);
    let camera = section.integer("camera", 0..=255, "0 to 255");
    let input = section.text("input");
    let configured = Said::read(section);
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
            let preset = preset?;
            if preset.takes_input() {
                refuse_all(&["camera"], "preset ffmpeg has an input in its place");
                section.require("input", "the URL of a stream, or a file");
            } else {
                refuse_all(&["input"], "only preset ffmpeg has this key");
            }
            let input = input.map(|input| input.value);
            let keys = PresetKeys { width, height, rate, camera: camera.map_or(0, |camera| camera as u8), input };
            let multiple = preset.width_multiple();
            let odd = |side: Option<Side>, multiple| side.is_some_and(|side| !side.get().is_multiple_of(multiple));
            if odd(width, multiple) {
                section.refuse("width", &format!("a multiple of {multiple} for preset {}", preset.name()));
            }
            if odd(height, 2) {
                section.refuse("height", &format!("an even height for preset {}", preset.name()));
            }
            preset.spec(keys)
        }
        (true, false) => {
            refuse_all(
                &["rate", "camera", "input"],
                "only a preset has this key; pass it as an argument of the command",
            );
            // Without a valid format, what depends on it cannot be checked.
            let written = match section.has("format") {
                true => format,
                false => Some(Written::Y4m),
            };
            let output = written.and_then(|written| output(section, written, [width, height], stride));
            let command: Vec<String> = command?.into_iter().map(|Lined { value, .. }| value).collect();
            if command.first().is_none_or(String::is_empty) {
                section.refuse("command", &format!("a program and its arguments, such as {COMMAND_EXAMPLE}"));
            }
            ProcessSpec::new(command, output?)
        }
    };
    Some(Arc::new(ProcessSpec { colour: Colour { configured, ..spec.colour }, ..spec }))
}

/// The values of `format`.
#[derive(Debug, Clone, Copy)]
enum Written {
    Y4m,
    Mjpeg,
    Raw(PixelFormat),
}

fn output(
    section: &Section<'_, '_>,
    written: Written,
    [width, height]: [Option<Side>; 2],
    stride: Option<u64>,
) -> Option<ProcessOutput> {
    let (output, header) = match written {
        Written::Raw(format) => {
            Said::check(section, format);
            for key in ["width", "height"] {
                section.require(key, &format!("the number of pixels, for format {format}"));
            }
            let (width, height) = (width?, height?);
            let packed = format.row_len(width.get() as usize) as u32;
            let stride = stride.map_or(packed, |stride| stride as u32);
            return Some(ProcessOutput::Raw { format, width, height, stride });
        }
        Written::Mjpeg => {
            Said::refuse(section, JPEG_COLOUR);
            (ProcessOutput::Mjpeg, "each JPEG")
        }
        Written::Y4m => (ProcessOutput::Y4m, "the y4m"),
    };
    for key in ["width", "height", "stride"] {
        section.refuse_with(key, &format!("only raw formats have this key; {header} header contains the size"));
    }
    Some(output)
}

/// Programs for cameras whose driver alone does not deliver usable frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Preset {
    /// CSI cameras of a Raspberry Pi, through libcamera.
    RpicamVid,
    /// CSI cameras of a Jetson, through NVIDIA's GStreamer elements.
    GstreamerJetson,
    /// Network streams and video files.
    Ffmpeg,
}

/// `width`, `height`, `rate`, `camera` and `input` of a preset.
#[derive(Debug, Clone, Default)]
struct PresetKeys {
    width: Option<Side>,
    height: Option<Side>,
    rate: Option<Rate>,
    camera: u8,
    input: Option<String>,
}

impl PresetKeys {
    const WIDTH: Side = Side::new(1280).expect("within its range");
    const HEIGHT: Side = Side::new(720).expect("within its range");
}

impl Preset {
    const ALL: [Preset; 3] = [Preset::RpicamVid, Preset::GstreamerJetson, Preset::Ffmpeg];

    fn name(self) -> &'static str {
        match self {
            Preset::RpicamVid => "rpicam-vid",
            Preset::GstreamerJetson => "gstreamer-jetson",
            Preset::Ffmpeg => "ffmpeg",
        }
    }

    fn takes_input(self) -> bool {
        self == Preset::Ffmpeg
    }

    /// Frames are 4:2:0, hence even. A Pi 4 pads rows to 64 bytes and a Pi 5 to 128, and the stream does not contain the stride.
    fn width_multiple(self) -> u32 {
        match self {
            Preset::RpicamVid => 128,
            Preset::GstreamerJetson | Preset::Ffmpeg => 2,
        }
    }

    fn spec(self, keys: PresetKeys) -> ProcessSpec {
        let PresetKeys { width, height, rate, camera, input } = keys;
        let (size, given_rate) = ([width, height], rate);
        let (width, height) = (width.unwrap_or(PresetKeys::WIDTH), height.unwrap_or(PresetKeys::HEIGHT));
        let (columns, rows, rate) = (width.get(), height.get(), rate.unwrap_or(Rate::THIRTY));
        let (command, format, stride, stated) = match self {
            Preset::RpicamVid => {
                let command = format!(
                    "rpicam-vid --nopreview --timeout 0 --verbose 0 --codec yuv420 --flush --camera {camera} \
                     --width {columns} --height {rows} --framerate {} --output -",
                    rate.per_second()
                );
                // It asks libcamera for the colour space sYCC whenever the codec is yuv420.
                (command, PixelFormat::I420, columns, Said::both(ColourEncoding::JPEG))
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
                (command, PixelFormat::Nv12, columns.next_multiple_of(4), Said::default())
            }
            Preset::Ffmpeg => {
                let input = input.unwrap_or_default();
                let spec = ProcessSpec::new(ffmpeg::command(&input, size, given_rate), ProcessOutput::Y4m);
                // The range is in the header of the stream, the matrix is not.
                let stated = Said { range: None, matrix: Some(Matrix::Bt601) };
                return ProcessSpec {
                    colour: Colour { stated, ..Colour::default() },
                    policy: ffmpeg::policy(&input),
                    ..spec
                };
            }
        };
        let command = command.split_whitespace().map(str::to_owned).collect();
        let colour = Colour { stated, ..Colour::default() };
        let output = ProcessOutput::Raw { format, width, height, stride };
        ProcessSpec { colour, ..ProcessSpec::new(command, output) }
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
        let expected = ProcessSpec::new(command, ProcessOutput::Y4m);
        assert_eq!(spec("command = ['ffmpeg', '-i', 'x']"), format!("{expected:?}"));
        assert_eq!(spec("command = ['ffmpeg', '-i', 'x']\nformat = 'y4m'"), format!("{expected:?}"));
        let command = vec!["x".to_owned()];
        for (stride, expected) in [("", 8), ("stride = 16", 16)] {
            let expected = ProcessSpec::new(command.clone(), raw(PixelFormat::Yuyv, 4, 2, expected));
            let found = spec(&format!("command = ['x']\nformat = 'yuyv'\nwidth = 4\nheight = 2\n{stride}"));
            assert_eq!(found, format!("{expected:?}"));
        }
    }

    #[test]
    fn presets_are_commands() {
        let full = Colour { stated: Said::both(ColourEncoding::JPEG), ..Colour::default() };
        let command = "rpicam-vid --nopreview --timeout 0 --verbose 0 --codec yuv420 --flush --camera 1 --width 640 \
                       --height 480 --framerate 15 --output -";
        let command = command.split(' ').map(str::to_owned).collect();
        let expected = ProcessSpec { colour: full, ..ProcessSpec::new(command, raw(PixelFormat::I420, 640, 480, 640)) };
        let found = spec("preset = 'rpicam-vid'\nwidth = 640\nheight = 480\nrate = 15\ncamera = 1");
        assert_eq!(found, format!("{expected:?}"));
        let command = "gst-launch-1.0 --quiet nvarguscamerasrc sensor-id=0 ! \
             video/x-raw(memory:NVMM),width=1280,height=720,framerate=30000/1000 ! nvvidconv ! \
             video/x-raw,format=NV12,width=1280,height=720 ! fdsink fd=1 sync=false";
        let command = command.split(' ').map(str::to_owned).collect();
        let expected = ProcessSpec::new(command, raw(PixelFormat::Nv12, 1280, 720, 1280));
        assert_eq!(format!("{:?}", from_word("gstreamer-jetson").unwrap()), format!("{expected:?}"));
    }

    #[test]
    fn ffmpeg_reads_an_input() {
        let text = "preset = 'ffmpeg'\ninput = 'rtsp://x/y'\nwidth = 640\nheight = 360\nrate = 5";
        let command = "ffmpeg -nostdin -loglevel error -rtsp_transport tcp -i rtsp://x/y -an -vf \
             fps=5,scale=w=640:h=360:out_color_matrix=bt601:out_range=limited -pix_fmt yuv420p -f yuv4mpegpipe -";
        let command: Vec<String> = command.split(' ').map(str::to_owned).collect();
        let found = spec(text);
        assert!(found.starts_with(&format!("ProcessSpec {{ command: {command:?}, output: Y4m")), "{found}");
        let sides = "preset = 'ffmpeg'\ninput = 'a.mp4'\nwidth = 641\ncamera = 1";
        assert_eq!(
            problems(sides, read),
            [
                "3: section: width = 641: expected a multiple of 2 for preset ffmpeg",
                "4: section: camera = 1: preset ffmpeg has an input in its place",
            ]
        );
        let missing = ["1: section: input is missing: expected the URL of a stream, or a file"];
        assert_eq!(problems("preset = 'ffmpeg'", read), missing);
        assert!(from_word("ffmpeg").is_err());
    }

    #[test]
    fn range_and_matrix_belong_to_yuv() {
        let command = "command = ['x']\nwidth = 4\nheight = 2\n";
        let text = format!("{command}format = 'rgb8'\nrange = 'full'\nmatrix = 'bt709'");
        assert_eq!(
            problems(&text, read),
            [
                "5: section: range = 'full': the format rgb8 has no luma, hence no range",
                "6: section: matrix = 'bt709': the format rgb8 has no chroma, hence no matrix",
            ]
        );
        let text = format!("{command}format = 'mjpeg'\nrange = 'full'");
        assert_eq!(problems(&text, read)[2..], ["5: section: range = 'full': JPEG frames are always full range bt601"]);
        let found = spec(&format!("{command}format = 'i422'\nrange = 'full'\nmatrix = 'bt709'"));
        assert!(found.contains("configured: Said { range: Some(Full), matrix: Some(Bt709) }"), "{found}");
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
                    "2: section: format = 'yuv': expected y4m, mjpeg, gray8, rgb8, bgr8, rgba8, yuyv, uyvy, nv12, i420, i422 or i444; did you mean \"yuyv\"?",
                ],
            ),
        ] {
            assert_eq!(problems(text, read), expected, "{text}");
        }
        assert!(from_word(" ").unwrap_err().contains("found nothing"));
    }
}
