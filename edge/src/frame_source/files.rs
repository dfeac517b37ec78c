//! The images of a folder, or one image, as frames; a TIFF stack has a frame for each page.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use unet_data::decode::read_bytes;
use unet_data::image_list::list_images;
use unet_data::stacks::{counted_pages, expand_images};
use unet_data::{DecodedImage, Sample};
use unet_shared::image::ColourEncoding;
use unet_shared::samples::SampleReading;

use super::clip::ClipSpec;
use super::pace::Pace;
use super::spec::{Policy, Rate, Requirement, SourceKind, SourceSpec};
use super::stream::FrameStream;
use super::{Arrival, Encoding, FrameFormat, FrameSlot, FrameSource, Kind, SourceError};
use crate::clock::{Clock, SystemClock};
use unet_engine::error::chain;

/// `kind = "files"`, with the keys of a [`ClipSpec`].
pub(crate) const KIND: SourceKind = SourceKind {
    name: "files",
    read: |section| Some(Arc::new(FilesSpec::new(ClipSpec::read(section)?))),
    from_word: |path| Ok(Arc::new(FilesSpec::new(ClipSpec::once(path)))),
    claims: |_| true,
};

#[derive(Debug)]
struct FilesSpec {
    clip: ClipSpec,
    reading: SampleReading,
}

impl FilesSpec {
    fn new(clip: ClipSpec) -> Self {
        FilesSpec { clip, reading: SampleReading::PLAIN }
    }
}

impl SourceSpec for FilesSpec {
    fn name(&self) -> String {
        self.clip.path.display().to_string()
    }

    fn policy(&self) -> Policy {
        self.clip.policy()
    }

    fn interval(&self) -> Option<Duration> {
        self.clip.interval()
    }

    fn requirement(&self) -> Requirement<'_> {
        Requirement::Path(&self.clip.path)
    }

    fn open(&self) -> Result<Box<dyn FrameSource>, SourceError> {
        Ok(Box::new(Files::open(&self.clip, self.reading)?))
    }

    fn images(&self) -> Option<&Path> {
        Some(&self.clip.path)
    }

    fn reading_as(&self, reading: &SampleReading) -> Option<Arc<dyn SourceSpec>> {
        Some(Arc::new(FilesSpec { clip: self.clip.clone(), reading: *reading }))
    }
}

/// Images in the order of their names. The frame number keeps counting when they start over.
#[derive(Debug)]
struct Files {
    name: String,
    images: Vec<Sample>,
    repeat: bool,
    reading: SampleReading,
    pace: Pace,
    next: u64,
    // How many files in a row could not be read.
    unreadable: usize,
    // JPEG images in the only file, if there are several.
    several: Option<u64>,
}

impl Files {
    /// Lists the images.
    ///
    /// # Errors
    ///
    /// If the file or folder does not exist or contains no image.
    fn open(spec: &ClipSpec, reading: SampleReading) -> Result<Self, SourceError> {
        let name = spec.path.display().to_string();
        let list = list_images(&spec.path)
            // The error names the path itself.
            .map_err(|error| SourceError::new("source", Kind::Fatal, chain(&error) + camera_advice(&name), None))?;
        if let Some(passed_over) = list.passed_over(&spec.path) {
            unet_engine::error::say(passed_over);
        }
        let mut notes = Vec::new();
        let images = expand_images(list.samples, &mut notes);
        notes.iter().for_each(unet_engine::error::say);
        let pace = Pace::new(spec.rate.map(Rate::interval));
        let several = if spec.path.is_file() { images_within(&spec.path).filter(|&count| count > 1) } else { None };
        Ok(Files { name, images, repeat: spec.repeat, reading, pace, next: 0, unreadable: 0, several })
    }

    /// The image of the frame with this number.
    fn image(&self, sequence: u64) -> &Sample {
        // There is at least one image.
        &self.images[(sequence % self.images.len() as u64) as usize]
    }
}

/// What to do about a word that names no file, but may be meant for a camera, such as `0` or `nvarguscamerasrc`.
fn camera_advice(word: &str) -> &'static str {
    let is_word = !word.contains(['/', '\\', '.']) && !Path::new(word).exists();
    let is_csi = word.contains("argus") || word.contains("libcamera") || word.contains("rpicam");
    match (is_word, is_csi) {
        (false, _) => "",
        (true, false) => "; a camera is given as /dev/video0, `unet-edge cameras` lists them",
        (true, true) => {
            "; a CSI camera needs a configuration with the preset gstreamer-jetson or rpicam-vid of a process source"
        }
    }
}

/// How many JPEG images follow each other in a file; `None` if it does not begin with one.
fn images_within(path: &Path) -> Option<u64> {
    let bytes = read_bytes(path).ok()?;
    if !bytes.starts_with(&[0xff, 0xd8]) {
        return None;
    }
    let (mut stream, mut slot) = (FrameStream::mjpeg(bytes.as_slice()), FrameSlot::default());
    while let Ok(Arrival::Frame) = stream.next(&mut slot, Duration::ZERO) {}
    Some(stream.sequence())
}

impl FrameSource for Files {
    fn describe(&self) -> String {
        let again = if self.repeat { ", looped" } else { "" };
        let name = &self.name;
        match self.several {
            Some(several) => format!(
                "{name}: holds {several} JPEG images, of which the first is read{again}; mjpeg:{name} reads all of them"
            ),
            None => format!("{name}: {}{again}", counted_pages(&self.images)),
        }
    }

    fn next_frame(&mut self, slot: &mut FrameSlot, patience: Duration) -> Result<Arrival, SourceError> {
        let count = self.images.len();
        if !self.repeat && self.next >= count as u64 {
            return Ok(Arrival::End);
        }
        if self.unreadable >= count {
            let problem = format!("expected readable images, found none among {count}");
            return Err(SourceError::new(&self.name, Kind::Fatal, problem, None));
        }
        if !self.pace.wait(&SystemClock, patience) {
            return Ok(Arrival::Nothing);
        }
        let captured = SystemClock.now();
        let sequence = self.next;
        self.next += 1;
        match self.image(sequence).decode_image(&self.reading) {
            Ok(DecodedImage { width, height, format, data, .. }) => {
                self.unreadable = 0;
                // A decoded image's sides are at most SIDE_MAX.
                let (columns, rows, stride) = (width as u32, height as u32, format.row_len(width) as u32);
                let encoding = Encoding::Pixels(format);
                *slot = FrameSlot {
                    bytes: data,
                    format: FrameFormat {
                        encoding,
                        width: columns,
                        height: rows,
                        stride,
                        colour: ColourEncoding::JPEG,
                    },
                    sequence,
                    captured,
                };
                Ok(Arrival::Frame)
            }
            Err(error) => {
                self.unreadable += 1;
                Err(SourceError::new(error.path().display().to_string(), Kind::SkipFrame, error.without_path(), None))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, RgbImage};
    use unet_shared::image::PixelFormat;

    use super::*;

    fn spec(path: &Path, repeat: bool) -> ClipSpec {
        ClipSpec { repeat, ..ClipSpec::once(path) }
    }

    #[test]
    fn images_are_ordered_by_name_and_end() {
        let folder = tempfile::tempdir().unwrap();
        RgbImage::from_raw(2, 1, vec![1, 2, 3, 4, 5, 6]).unwrap().save(folder.path().join("b.png")).unwrap();
        GrayImage::from_raw(1, 2, vec![7, 9]).unwrap().save(folder.path().join("a.png")).unwrap();
        let mut source = Files::open(&spec(folder.path(), false), SampleReading::PLAIN).unwrap();
        assert!(source.describe().ends_with(": 2 images"));
        let mut slot = FrameSlot::default();
        assert_eq!(source.next_frame(&mut slot, Duration::ZERO).unwrap(), Arrival::Frame);
        let view = slot.view().unwrap().unwrap();
        assert_eq!((view.width(), view.height(), view.format(), view.data()), (1, 2, PixelFormat::Gray8, &[7, 9][..]));
        assert_eq!(source.next_frame(&mut slot, Duration::ZERO).unwrap(), Arrival::Frame);
        assert_eq!((slot.sequence, slot.format.stride, slot.bytes.as_slice()), (1, 6, &[1, 2, 3, 4, 5, 6][..]));
        assert!(source.image(1).image.ends_with("b.png"));
        assert_eq!(source.next_frame(&mut slot, Duration::ZERO).unwrap(), Arrival::End);
    }

    #[test]
    fn an_unreadable_file_costs_one_frame() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.png"), b"text").unwrap();
        GrayImage::from_raw(1, 1, vec![7]).unwrap().save(folder.path().join("b.png")).unwrap();
        let mut source = Files::open(&spec(folder.path(), true), SampleReading::PLAIN).unwrap();
        let mut slot = FrameSlot::default();
        for round in 0..3 {
            let error = source.next_frame(&mut slot, Duration::ZERO).unwrap_err();
            assert_eq!(error.kind(), Kind::SkipFrame);
            assert!(error.to_string().contains("a.png: expected a PNG"), "{error}");
            assert_eq!(source.next_frame(&mut slot, Duration::ZERO).unwrap(), Arrival::Frame);
            assert_eq!(slot.sequence, 2 * round + 1);
        }
    }

    #[test]
    fn a_loop_without_readable_images_ends() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.png", "b.png"] {
            std::fs::write(folder.path().join(name), b"text").unwrap();
        }
        let mut source = Files::open(&spec(folder.path(), true), SampleReading::PLAIN).unwrap();
        let mut kind = || source.next_frame(&mut FrameSlot::default(), Duration::ZERO).unwrap_err().kind();
        assert_eq!([kind(), kind(), kind(), kind()], [Kind::SkipFrame, Kind::SkipFrame, Kind::Fatal, Kind::Fatal]);
    }

    #[test]
    fn frames_wait_for_their_rate() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        GrayImage::from_raw(1, 1, vec![7]).unwrap().save(&path).unwrap();
        let rate = Rate::new(0.001);
        let mut source = Files::open(&ClipSpec { path, repeat: true, rate }, SampleReading::PLAIN).unwrap();
        let mut next = || source.next_frame(&mut FrameSlot::default(), Duration::from_millis(1)).unwrap();
        assert_eq!([next(), next(), next()], [Arrival::Frame, Arrival::Nothing, Arrival::Nothing]);
    }

    #[test]
    fn a_missing_folder_is_fatal() {
        let error = Files::open(&spec(Path::new("/no/such/folder"), false), SampleReading::PLAIN).unwrap_err();
        assert_eq!(error.kind(), Kind::Fatal);
        assert!(error.to_string().starts_with("source: cannot read /no/such/folder: "), "{error}");
        assert!(!error.to_string().contains("camera"), "{error}");
        for (word, advice) in [("0", "/dev/video0"), ("nvarguscamerasrc", "gstreamer-jetson")] {
            let error = Files::open(&spec(Path::new(word), false), SampleReading::PLAIN).unwrap_err().to_string();
            assert!(error.contains("does not exist; a ") && error.contains(advice), "{error}");
        }
    }
}
