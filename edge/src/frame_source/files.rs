//! Images of a folder, or one image, as frames.

use std::path::{Path, PathBuf};
use std::time::Duration;

use unet_data::dataset::list_images;
use unet_data::{DecodedImage, decode_image};

use super::clock::{Pace, SystemClock};
use super::{Arrival, ClipSpec, Encoding, FrameFormat, FrameSlot, FrameSource, SourceError, monotonic};
use unet_engine::error::{Kind, chain};

/// Images by name. A frame's sequence number counts them, over rounds too; [`Files::path`] gives the file of one.
#[derive(Debug)]
pub struct Files {
    name: String,
    images: Vec<PathBuf>,
    repeat: bool,
    pace: Pace,
    next: u64,
    // How many of the last files in a row gave no frame.
    unreadable: usize,
}

impl Files {
    /// Lists the images.
    ///
    /// # Errors
    ///
    /// When there is no such file or folder, or no image in it.
    pub fn open(spec: &ClipSpec) -> Result<Self, SourceError> {
        let name = spec.path.display().to_string();
        let images = list_images(&spec.path)
            .map_err(|error| SourceError::new(&name, Kind::Fatal, chain(&error), None))?
            .into_iter()
            .map(|sample| sample.image)
            .collect();
        let pace = Pace::new(spec.rate.map(super::Rate::interval));
        Ok(Files { name, images, repeat: spec.repeat, pace, next: 0, unreadable: 0 })
    }

    /// The images in the order in which they come.
    pub fn images(&self) -> &[PathBuf] {
        &self.images
    }

    /// The file of the frame with this sequence number.
    pub fn path(&self, sequence: u64) -> &Path {
        // There is at least one image.
        &self.images[(sequence % self.images.len() as u64) as usize]
    }
}

impl FrameSource for Files {
    fn describe(&self) -> String {
        let (count, again) = (self.images.len(), if self.repeat { ", again and again" } else { "" });
        format!("{}: {count} image{}{again}", self.name, if count == 1 { "" } else { "s" })
    }

    fn next_frame(&mut self, slot: &mut FrameSlot, patience: Duration) -> Result<Arrival, SourceError> {
        let count = self.images.len();
        if !self.repeat && self.next >= count as u64 {
            return Ok(Arrival::End);
        }
        if self.unreadable >= count {
            let problem = format!("expected an image that can be read, found none among {count}");
            return Err(SourceError::new(&self.name, Kind::Fatal, problem, None));
        }
        if !self.pace.wait(&mut SystemClock, patience) {
            return Ok(Arrival::Nothing);
        }
        let captured = monotonic();
        let sequence = self.next;
        self.next += 1;
        match decode_image(self.path(sequence)) {
            Ok(DecodedImage { width, height, format, data, .. }) => {
                self.unreadable = 0;
                // A decoded image's sides are at most SIDE_MAX.
                let (columns, rows, stride) = (width as u32, height as u32, format.row_len(width) as u32);
                let encoding = Encoding::Pixels(format);
                *slot = FrameSlot {
                    bytes: data,
                    format: FrameFormat { encoding, width: columns, height: rows, stride },
                    sequence,
                    captured,
                };
                Ok(Arrival::Frame)
            }
            Err(error) => {
                self.unreadable += 1;
                Err(SourceError::new(&self.name, Kind::SkipFrame, chain(&error), None))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, RgbImage};
    use unet_shared::image::PixelFormat;

    use super::super::Rate;
    use super::*;

    fn spec(path: &Path, repeat: bool) -> ClipSpec {
        ClipSpec { path: path.to_owned(), repeat, rate: None }
    }

    #[test]
    fn images_come_by_name_and_end() {
        let folder = tempfile::tempdir().unwrap();
        RgbImage::from_raw(2, 1, vec![1, 2, 3, 4, 5, 6]).unwrap().save(folder.path().join("b.png")).unwrap();
        GrayImage::from_raw(1, 2, vec![7, 9]).unwrap().save(folder.path().join("a.png")).unwrap();
        let mut source = Files::open(&spec(folder.path(), false)).unwrap();
        assert!(source.describe().ends_with(": 2 images"));
        let mut slot = FrameSlot::default();
        assert_eq!(source.next_frame(&mut slot, Duration::ZERO).unwrap(), Arrival::Frame);
        let view = slot.view().unwrap().unwrap();
        assert_eq!((view.width(), view.height(), view.format(), view.data()), (1, 2, PixelFormat::Gray8, &[7, 9][..]));
        assert_eq!(source.next_frame(&mut slot, Duration::ZERO).unwrap(), Arrival::Frame);
        assert_eq!((slot.sequence, slot.format.stride, slot.bytes.as_slice()), (1, 6, &[1, 2, 3, 4, 5, 6][..]));
        assert!(source.path(1).ends_with("b.png"));
        assert_eq!(source.next_frame(&mut slot, Duration::ZERO).unwrap(), Arrival::End);
    }

    #[test]
    fn a_file_that_is_no_image_costs_one_frame() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.png"), b"text").unwrap();
        GrayImage::from_raw(1, 1, vec![7]).unwrap().save(folder.path().join("b.png")).unwrap();
        let mut source = Files::open(&spec(folder.path(), true)).unwrap();
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
    fn a_loop_without_any_image_ends() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.png", "b.png"] {
            std::fs::write(folder.path().join(name), b"text").unwrap();
        }
        let mut source = Files::open(&spec(folder.path(), true)).unwrap();
        let mut kind = || source.next_frame(&mut FrameSlot::default(), Duration::ZERO).unwrap_err().kind();
        assert_eq!([kind(), kind(), kind(), kind()], [Kind::SkipFrame, Kind::SkipFrame, Kind::Fatal, Kind::Fatal]);
    }

    #[test]
    fn a_rate_holds_frames_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        GrayImage::from_raw(1, 1, vec![7]).unwrap().save(&path).unwrap();
        let rate = Rate::try_from(0.001).unwrap();
        let mut source = Files::open(&ClipSpec { path, repeat: true, rate: Some(rate) }).unwrap();
        let mut next = || source.next_frame(&mut FrameSlot::default(), Duration::from_millis(1)).unwrap();
        assert_eq!([next(), next(), next()], [Arrival::Frame, Arrival::Nothing, Arrival::Nothing]);
    }

    #[test]
    fn what_is_not_there_is_fatal() {
        let error = Files::open(&spec(Path::new("/no/such/folder"), false)).unwrap_err();
        assert_eq!(error.kind(), Kind::Fatal);
        assert!(error.to_string().starts_with("/no/such/folder: "), "{error}");
    }
}
