//! The identity of a dataset: a digest of its names and files, and of how its labels are read.

use std::ops::ControlFlow;

use super::dataset::Dataset;
use super::decode::{FileError, read_bytes, read_raster};
use super::labels::LabelMap;
use super::sample::{Sample, Split};
use super::workers::in_parallel;
use unet_shared::digest::{Digest, Hasher};

/// A digest over the names and files of all samples, split by split, and over the classes of the label values. It does not
/// depend on where the dataset is stored.
pub fn dataset_digest(dataset: &Dataset, labels: &LabelMap) -> Result<Digest, FileError> {
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
    use std::path::Path;
    use unet_shared::label::Reading;

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
            let digest = dataset_digest(&dataset, &map).unwrap();
            std::mem::swap(&mut dataset.train, &mut dataset.val);
            assert_ne!(dataset_digest(&dataset, &map).unwrap(), digest);
            digest
        };
        assert_eq!(digest(["a", "b"], 1), digest(["a", "b"], 1));
        assert_ne!(digest(["a", "b"], 1), digest(["a", "c"], 1));
        assert_ne!(digest(["a", "b"], 1), digest(["a", "b"], 2));
    }

    #[test]
    fn digest_covers_what_the_values_mean() {
        let (_folder, dataset) = open(["a", "b"], 1);
        let digest = |text: &str| dataset_digest(&dataset, &labels(&dataset, text)).unwrap();
        let plain = digest("");
        assert_eq!(digest("[[class]]\nname='a'\nvalue=0\n[[class]]\nname='b'\nvalue=1"), plain);
        assert_ne!(digest("[[class]]\nname='a'\nvalue=1\n[[class]]\nname='b'\nvalue=0"), plain);
        assert_ne!(digest("ignore = 1"), plain);
        assert_ne!(digest("labels = 'instances'"), plain);
        // Of a run made before the reading was stored: its files alone.
        let old = LabelMap { reading: Reading::default(), ..labels(&dataset, "") };
        let other = LabelMap { reading: Reading::default(), ..labels(&dataset, "ignore = 1") };
        assert_eq!(dataset_digest(&dataset, &old).unwrap(), dataset_digest(&dataset, &other).unwrap());
    }
}
