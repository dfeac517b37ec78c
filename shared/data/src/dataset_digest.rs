//! The identity of a dataset: a digest of its names and files, and of how its labels are read.

use std::ops::ControlFlow;

use super::dataset::Dataset;
use super::decode::{FileError, read_bytes, read_raster};
use super::labels::LabelMap;
use super::sample::{Sample, Split};
use super::workers::in_parallel;
use unet_shared::digest::{Digest, Hasher};
use unet_shared::samples::SampleReading;

/// A digest over the names and files of all samples, split by split, and over the classes of the label values. It does not
/// depend on where the dataset is stored. Pages of stacks count as the bytes that they become if `reading` is plain, and with
/// all their samples if not.
pub fn dataset_digest(dataset: &Dataset, labels: &LabelMap, reading: &SampleReading) -> Result<Digest, FileError> {
    let samples: Vec<(Split, &Sample)> = Split::ALL
        .into_iter()
        .flat_map(|split| dataset.split(split).iter().map(move |sample| (split, sample)))
        .collect();
    let mut digests: Vec<Option<Result<Digest, FileError>>> = samples.iter().map(|_| None).collect();
    let work = |index: usize| {
        let (split, sample) = samples[index];
        let mut hasher = Hasher::new();
        // Lengths first, so that different datasets never hash the same bytes.
        let mut part = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        part(split.name().as_bytes());
        part(sample.name.as_bytes());
        match sample.page {
            None => part(&read_bytes(&sample.image)?),
            // All digests were made like this before samples had a range.
            Some(_) if *reading == SampleReading::PLAIN => part(&sample.decode_image(reading)?.data),
            Some(_) => part(&read_raster(&sample.image, sample.page)?.samples.to_bytes()),
        }
        if let Some(label) = &sample.label {
            label.for_each_part(&mut part)?;
        }
        Ok(hasher.finish())
    };
    in_parallel(samples.len(), work, |index, digest| {
        let failed = digest.is_err();
        digests[index] = Some(digest);
        if failed { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let mut hasher = Hasher::new();
    for digest in digests.into_iter().flatten() {
        hasher.update(&digest?.0);
    }
    hasher.update(&labels.interpretation());
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset_file::DatasetFile;
    use crate::labels::collect_labels;
    use crate::layout::testing::Folder;
    use std::fs::File;
    use std::path::Path;
    use tiff::encoder::colortype::{ColorType, Gray8, Gray16};
    use tiff::encoder::{TiffEncoder, TiffValue};
    use unet_shared::label::Reading;
    use unet_shared::samples::Range;

    fn open(names: [&str; 2], label: u8) -> (tempfile::TempDir, Dataset) {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            Sample::gray(folder.path(), name, 1, vec![label, 0]);
        }
        let dataset = Dataset::open(folder.path(), &Default::default()).unwrap();
        (folder, dataset)
    }

    fn labels(dataset: &Dataset, text: &str) -> LabelMap {
        let samples: Vec<Sample> = dataset.samples().cloned().collect();
        collect_labels(&samples, Some(&DatasetFile::parse(text, Path::new("dataset.toml")).unwrap())).unwrap()
    }

    #[test]
    fn digest_covers_names_bytes_and_splits_but_not_the_path() {
        let digest = |names, label| {
            let (_folder, mut dataset) = open(names, label);
            let map = labels(&dataset, "");
            let digest = dataset_digest(&dataset, &map, &SampleReading::PLAIN).unwrap();
            std::mem::swap(&mut dataset.train, &mut dataset.val);
            assert_ne!(dataset_digest(&dataset, &map, &SampleReading::PLAIN).unwrap(), digest);
            digest
        };
        assert_eq!(digest(["a", "b"], 1), digest(["a", "b"], 1));
        assert_ne!(digest(["a", "b"], 1), digest(["a", "c"], 1));
        assert_ne!(digest(["a", "b"], 1), digest(["a", "b"], 2));
    }

    #[test]
    fn digest_covers_what_the_values_mean() {
        let (_folder, dataset) = open(["a", "b"], 1);
        let digest = |text: &str| dataset_digest(&dataset, &labels(&dataset, text), &SampleReading::PLAIN).unwrap();
        let plain = digest("");
        assert_eq!(digest("[[class]]\nname='a'\nvalue=0\n[[class]]\nname='b'\nvalue=1"), plain);
        assert_ne!(digest("[[class]]\nname='a'\nvalue=1\n[[class]]\nname='b'\nvalue=0"), plain);
        assert_ne!(digest("ignore = 1"), plain);
        assert_ne!(digest("labels = 'instances'"), plain);
        // Of a run made before the reading was stored: its files alone.
        let old = LabelMap { reading: Reading::default(), ..labels(&dataset, "") };
        let other = LabelMap { reading: Reading::default(), ..labels(&dataset, "ignore = 1") };
        let digest = |labels| dataset_digest(&dataset, labels, &SampleReading::PLAIN).unwrap();
        assert_eq!(digest(&old), digest(&other));
    }

    /// A stack of three pages of 4x4 gray samples.
    fn stack<C: ColorType>(path: &Path, sample: impl Fn(u8, u8, u8) -> C::Inner)
    where
        [C::Inner]: TiffValue,
    {
        let mut file = TiffEncoder::new(File::create(path).unwrap()).unwrap();
        for page in 0..3 {
            let samples: Vec<C::Inner> = (0..16).map(|at| sample(page, at % 4, at / 4)).collect();
            file.write_image::<C>(4, 4, &samples).unwrap();
        }
    }

    #[test]
    fn plain_stacks_have_the_digests_of_runs_made_before_ranges() {
        let range = SampleReading { range: Range::new(0.0, 4095.0).ok(), bands: None };
        let digest = |low: Option<u8>, reading| {
            let folder = Folder::new();
            let byte = |page, x, y| page * 40 + x * 3 + y;
            let image = folder.path("images/s.tif");
            match low {
                Some(low) => stack::<Gray16>(&image, |page, x, y| u16::from_be_bytes([byte(page, x, y), low])),
                None => stack::<Gray8>(&image, byte),
            }
            stack::<Gray8>(&folder.path("masks/s.tif"), |page, x, y| if (x, y) == (0, 0) { 1 } else { page });
            let mut dataset = folder.open();
            let mut samples: Vec<Sample> = dataset.samples().cloned().collect();
            samples.sort_by(|a, b| a.name.cmp(&b.name));
            dataset.train = samples.split_off(1);
            dataset.val = samples;
            dataset_digest(&dataset, &labels(&dataset, ""), reading).unwrap().to_string()
        };
        // As the last version without ranges stored it in the run, of 8 and of 16 bits.
        let stored = "73e5ce368f34e245927858f56167e28680b64965188ff95dd58763b232b9a1d3";
        for low in [None, Some(7), Some(8)] {
            assert_eq!(digest(low, &SampleReading::PLAIN), stored, "{low:?}");
        }
        assert_ne!(digest(Some(7), &range), digest(Some(8), &range));
    }
}
