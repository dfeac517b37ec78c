//! The identity of a dataset: a digest of its names and files.

use std::ops::ControlFlow;

use super::dataset::Dataset;
use super::decode::{FileError, read_bytes};
use super::sample::{Sample, Split};
use super::workers::in_parallel;
use unet_shared::digest::{Digest, Hasher};

/// A digest over the names and files of all samples, split by split. It does not depend on where the dataset is stored.
pub fn dataset_digest(dataset: &Dataset) -> Result<Digest, FileError> {
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
            Some(_) => part(&sample.decode_image()?.data),
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
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_covers_names_bytes_and_splits_but_not_the_path() {
        let open = |names: [&str; 2], label: u8| {
            let folder = tempfile::tempdir().unwrap();
            for name in names {
                Sample::gray(folder.path(), name, 1, vec![label]);
            }
            let mut dataset = Dataset::open(folder.path(), &Default::default()).unwrap();
            let digest = dataset_digest(&dataset).unwrap();
            std::mem::swap(&mut dataset.train, &mut dataset.val);
            assert_ne!(dataset_digest(&dataset).unwrap(), digest);
            digest
        };
        assert_eq!(open(["a", "b"], 1), open(["a", "b"], 1));
        assert_ne!(open(["a", "b"], 1), open(["a", "c"], 1));
        assert_ne!(open(["a", "b"], 1), open(["a", "b"], 2));
    }
}
