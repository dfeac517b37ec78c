//! What a source is to be, as the configuration's `[source]` or one word of the command line says it, and opening it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use unet_shared::image::{PixelFormat, SIDE_MAX};

use super::recording::Replay;
use super::y4m::Y4m;
use super::{Files, FrameSource, Process, SourceError};

/// Where frames are to come from.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum SourceSpec {
    /// A camera that the kernel drives.
    V4l2(CameraSpec),
    /// A program that writes frames to its standard output.
    Process(ProcessSpec),
    /// A YUV4MPEG2 stream.
    Y4m(ClipSpec),
    /// Images.
    Files(ClipSpec),
    /// What a recorder has kept.
    Recording(ClipSpec),
}

/// A camera; what is not said is left to the driver, or chosen from what it offers.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CameraSpec {
    /// Such as `/dev/video0`; the links below `/dev/v4l/by-id` stay with a camera when others come and go.
    pub device: PathBuf,
    /// Pixels a row.
    pub width: Option<Side>,
    /// Rows.
    pub height: Option<Side>,
    /// Frames a second.
    pub rate: Option<Rate>,
    /// How frames are encoded.
    pub format: Option<CameraFormat>,
}

/// The formats that cameras are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CameraFormat {
    /// 4:2:2, Y0 U Y1 V.
    Yuyv,
    /// 4:2:2, U Y0 V Y1.
    Uyvy,
    /// One byte a pixel.
    Grey,
    /// 4:2:0 in two planes.
    Nv12,
    /// A JPEG image a frame.
    Mjpeg,
}

/// A program.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "ProcessTable")]
pub struct ProcessSpec {
    /// The program and its arguments; no shell reads them.
    pub command: Vec<String>,
    /// What it writes.
    pub output: ProcessOutput,
}

/// What a program writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessOutput {
    /// A YUV4MPEG2 stream, which says its size and format itself.
    Y4m,
    /// Frames of pixels, one directly after the other.
    Raw {
        /// How the pixels lie.
        format: PixelFormat,
        /// Pixels a row.
        width: Side,
        /// Rows.
        height: Side,
        /// Bytes from one row of the first plane to the next.
        stride: u32,
    },
}

/// Frames that lie somewhere already: a stream, images, a recording.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipSpec {
    /// A file, or a folder of images; for a stream `-` is standard input.
    pub path: PathBuf,
    /// Whether it begins again at its end; standard input cannot.
    #[serde(rename = "loop", default)]
    pub repeat: bool,
    /// Frames a second; as fast as they are wanted where it is not said.
    pub rate: Option<Rate>,
}

/// Frames a second, more than 0 and at most 1000.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Deserialize)]
#[serde(try_from = "f64")]
pub struct Rate(f64);

impl Rate {
    /// Frames a second.
    pub fn per_second(self) -> f64 {
        self.0
    }

    /// From one frame to the next.
    pub fn interval(self) -> Duration {
        Duration::from_secs_f64(1.0 / self.0)
    }
}

impl TryFrom<f64> for Rate {
    type Error = String;

    fn try_from(rate: f64) -> Result<Self, String> {
        // The slowest has an interval that can still be counted in nanoseconds.
        if (1e-6..=1000.0).contains(&rate) {
            Ok(Rate(rate))
        } else {
            Err(format!("rate: expected 0.000001 to 1000 frames a second, found {rate}"))
        }
    }
}

/// A side of a frame in pixels, 1 to [`SIDE_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "u64")]
pub struct Side(u32);

impl Side {
    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u64> for Side {
    type Error = String;

    fn try_from(side: u64) -> Result<Self, String> {
        match u32::try_from(side) {
            Ok(side) if (1..=SIDE_MAX as u32).contains(&side) => Ok(Side(side)),
            _ => Err(format!("width and height: expected 1 to {SIDE_MAX} pixels, found {side}")),
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl SourceSpec {
    /// One word of the command line: `/dev/video0`, a folder, an image, `clip.y4m`, `recording.uerec`, `-` for a YUV4MPEG2
    /// stream on standard input; or the kind in front, as in `v4l2:/dev/v4l/by-id/…`, `process:rpicam-vid`, and
    /// `process:PROGRAM ARGUMENTS` for a program that writes YUV4MPEG2.
    ///
    /// # Errors
    ///
    /// When nothing is named.
    pub fn parse(word: &str) -> Result<Self, String> {
        let clip = |path: &str| ClipSpec { path: path.into(), repeat: false, rate: None };
        let y4m = |path: &str| SourceSpec::Y4m(clip(path));
        let files = |path: &str| SourceSpec::Files(clip(path));
        let recording = |path: &str| SourceSpec::Recording(clip(path));
        let camera = |device: &str| {
            let device = PathBuf::from(device);
            SourceSpec::V4l2(CameraSpec { device, width: None, height: None, rate: None, format: None })
        };
        if let Some((kind, rest)) = word.split_once(':') {
            let known = ["v4l2", "y4m", "files", "recording", "process"].contains(&kind);
            if known && rest.is_empty() {
                return Err(format!("source {word}: expected something after the colon, found nothing"));
            }
            match kind {
                "v4l2" => return Ok(camera(rest)),
                "y4m" => return Ok(y4m(rest)),
                "files" => return Ok(files(rest)),
                "recording" => return Ok(recording(rest)),
                "process" => return process(rest).map(SourceSpec::Process),
                _ => {}
            }
        }
        if word.is_empty() {
            return Err("source: expected a camera, a folder, a file or -, found nothing".to_owned());
        }
        let extension = Path::new(word).extension().unwrap_or_default().to_ascii_lowercase();
        Ok(if word == "-" || extension == "y4m" {
            y4m(word)
        } else if extension == "uerec" {
            recording(word)
        } else if word.starts_with("/dev/video") || word.starts_with("/dev/v4l/") {
            camera(word)
        } else {
            files(word)
        })
    }

    /// Opens it.
    ///
    /// # Errors
    ///
    /// [`unet_engine::error::Kind::Retry`] where it may be there later, as a camera that is unplugged; [`unet_engine::error::Kind::Fatal`] else.
    pub fn open(&self) -> Result<Box<dyn FrameSource>, SourceError> {
        match self {
            SourceSpec::Process(spec) => Ok(Box::new(Process::open(spec)?)),
            SourceSpec::Y4m(spec) => Ok(Box::new(Y4m::open(spec)?)),
            SourceSpec::Recording(spec) => Ok(Box::new(Replay::open(spec)?)),
            SourceSpec::Files(spec) => Ok(Box::new(Files::open(spec)?)),
            #[cfg(target_os = "linux")]
            SourceSpec::V4l2(spec) => Ok(Box::new(super::v4l2::Camera::open(spec)?)),
            #[cfg(not(target_os = "linux"))]
            SourceSpec::V4l2(_) => {
                let problem = "expected a source that this system has: cameras are read on Linux alone";
                Err(SourceError::new(self.name(), unet_engine::error::Kind::Fatal, problem, None))
            }
        }
    }

    /// What is opened, in messages.
    pub fn name(&self) -> String {
        match self {
            SourceSpec::V4l2(spec) => spec.device.display().to_string(),
            SourceSpec::Process(spec) => spec.command.first().cloned().unwrap_or_default(),
            SourceSpec::Y4m(spec) if spec.path.as_os_str() == "-" => "standard input".to_owned(),
            SourceSpec::Y4m(ClipSpec { path, .. })
            | SourceSpec::Files(ClipSpec { path, .. })
            | SourceSpec::Recording(ClipSpec { path, .. }) => path.display().to_string(),
        }
    }
}

fn process(words: &str) -> Result<ProcessSpec, String> {
    if let Some(preset) = Preset::ALL.into_iter().find(|preset| preset.name() == words.trim()) {
        return ProcessTable { preset: Some(preset), ..ProcessTable::default() }.try_into();
    }
    let command: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    ProcessTable { command: Some(command), ..ProcessTable::default() }.try_into()
}

/// `[source]` with `kind = "process"`, before its keys are compared with each other.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProcessTable {
    command: Option<Vec<String>>,
    preset: Option<Preset>,
    format: Option<OutputFormat>,
    width: Option<Side>,
    height: Option<Side>,
    stride: Option<u32>,
    rate: Option<Rate>,
    camera: Option<u8>,
}

/// Pixels of this format, or `y4m`, which says its format itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct OutputFormat(Option<PixelFormat>);

impl TryFrom<String> for OutputFormat {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        if name == "y4m" {
            return Ok(OutputFormat(None));
        }
        let found = PixelFormat::ALL.into_iter().find(|format| format.name() == name);
        let names = PixelFormat::ALL.map(PixelFormat::name).join(", ");
        found
            .map(|format| OutputFormat(Some(format)))
            .ok_or(format!("format: expected y4m or one of {names}, found {name:?}"))
    }
}

/// Programs for cameras that the kernel alone does not make pictures of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Preset {
    /// CSI cameras of a Raspberry Pi, through libcamera.
    RpicamVid,
    /// CSI cameras of a Jetson, through its own GStreamer elements.
    GstreamerJetson,
}

impl Preset {
    const ALL: [Preset; 2] = [Preset::RpicamVid, Preset::GstreamerJetson];

    fn name(self) -> &'static str {
        match self {
            Preset::RpicamVid => "rpicam-vid",
            Preset::GstreamerJetson => "gstreamer-jetson",
        }
    }

    fn spec(self, width: Side, height: Side, rate: Rate, camera: u8) -> Result<ProcessSpec, String> {
        let (columns, rows) = (width.get(), height.get());
        // The frames are 4:2:0; and a Pi 4 pads rows to 64 bytes, a Pi 5 to 128, without a word in the stream.
        let multiple = if self == Preset::RpicamVid { 128 } else { 2 };
        if !columns.is_multiple_of(multiple) || !rows.is_multiple_of(2) {
            return Err(format!(
                "preset {}: expected a width that is a multiple of {multiple} and an even height, found {columns}x{rows}",
                self.name()
            ));
        }
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
                // GStreamer takes fractions alone.
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
        Ok(ProcessSpec { command, output: ProcessOutput::Raw { format, width, height, stride } })
    }
}

impl TryFrom<ProcessTable> for ProcessSpec {
    type Error = String;

    fn try_from(table: ProcessTable) -> Result<Self, String> {
        let ProcessTable { command, preset, format, width, height, stride, rate, camera } = table;
        match (command, preset) {
            (Some(_), Some(_)) | (None, None) => Err("expected either command or preset".to_owned()),
            (None, Some(preset)) => {
                if format.is_some() || stride.is_some() {
                    return Err("format and stride: a preset has its own, expected neither".to_owned());
                }
                let (width, height) = (width.unwrap_or(Side(1280)), height.unwrap_or(Side(720)));
                preset.spec(width, height, rate.unwrap_or(Rate(30.0)), camera.unwrap_or(0))
            }
            (Some(command), None) => {
                if command.first().is_none_or(String::is_empty) {
                    return Err("command: expected a program and its arguments, found nothing".to_owned());
                }
                if rate.is_some() || camera.is_some() {
                    return Err("rate and camera: the command has to say them, expected neither".to_owned());
                }
                let output = match (format.and_then(|OutputFormat(pixels)| pixels), width, height) {
                    (None, None, None) if stride.is_none() => ProcessOutput::Y4m,
                    (None, ..) => {
                        return Err("width, height and stride: y4m says them itself, expected none of them".to_owned());
                    }
                    (Some(format), Some(width), Some(height)) => {
                        let packed = format.row_len(width.get() as usize) as u32;
                        let stride = stride.unwrap_or(packed);
                        ProcessOutput::Raw { format, width, height, stride }
                    }
                    (Some(format), ..) => {
                        return Err(format!("width and height are missing: {format} has to have them"));
                    }
                };
                Ok(ProcessSpec { command, output })
            }
        }
    }
}

#[cfg(test)]
mod tests;
