//! Folders of small images, and the same data in two layouts compared.

use std::fs;
use std::path::{Path, PathBuf};
use unet_shared::samples::SampleReading;

use image::{DynamicImage, GrayImage, Luma};

use crate::labels::{LabelMap, collect_labels};
use crate::{Dataset, DatasetError, OpenOptions, Sample, Split, load_pair};

pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn root(&self) -> &Path {
        self.0.path()
    }

    /// A path in a folder that exists.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    /// An image of 4x4 pixels that depends on its stem.
    pub(crate) fn image(&self, name: &str) {
        let path = self.path(name);
        let seed = path
            .file_stem()
            .unwrap()
            .to_string_lossy()
            .bytes()
            .fold(7u32, |sum, byte| sum * 31 % 251 + u32::from(byte));
        let image = GrayImage::from_fn(4, 4, |x, y| Luma([((seed + x * 16 + y * 64) % 256) as u8]));
        DynamicImage::from(image).to_rgb8().save(path).unwrap();
    }

    pub(crate) fn text(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn try_open(&self) -> Result<Dataset, DatasetError> {
        Dataset::open(self.root(), &OpenOptions::default())
    }

    pub(crate) fn open(&self) -> Dataset {
        self.try_open().unwrap_or_else(|error| panic!("{error}"))
    }
}

/// A label of 4x4 pixels of one value, apart from some pixels.
pub(crate) fn gray(value: u8, pixels: &[(u32, u32, u8)]) -> GrayImage {
    let mut mask = GrayImage::from_pixel(4, 4, Luma([value]));
    pixels.iter().for_each(|&(x, y, value)| mask.put_pixel(x, y, Luma([value])));
    mask
}

pub(crate) fn labels_of(dataset: &Dataset) -> LabelMap {
    let samples: Vec<Sample> = dataset.samples().cloned().collect();
    let map = collect_labels(&samples, dataset.file.as_ref()).unwrap();
    // Who lists the classes differs.
    LabelMap { assumption: String::new(), ..map }
}

/// Expects the same samples, pixels and class ids in each split.
pub(crate) fn assert_equal_to_plain(dataset: &Dataset, plain: &Dataset) {
    let (table, plain_table) = (labels_of(dataset).table().unwrap(), labels_of(plain).table().unwrap());
    for split in Split::ALL {
        let names = |dataset: &Dataset| dataset.split(split).iter().map(|s| s.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(dataset), names(plain), "{split}");
        for (sample, plain) in dataset.split(split).iter().zip(plain.split(split)) {
            assert_eq!(
                sample.decode_image(&SampleReading::PLAIN).unwrap(),
                plain.decode_image(&SampleReading::PLAIN).unwrap()
            );
            let (pair, plain) = (
                load_pair(sample, &table, &SampleReading::PLAIN).unwrap(),
                load_pair(plain, &plain_table, &SampleReading::PLAIN).unwrap(),
            );
            assert_eq!(pair, plain, "{}", sample.name);
        }
    }
}
