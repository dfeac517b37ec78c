//! How a dataset differs from the one that a run was made on, as far as its names and files tell.

use std::collections::HashSet;
use std::path::Path;
use std::time::SystemTime;

use unet_data::listing::show_below;
use unet_data::pairing::{PairingProblem, stem};
use unet_data::{Dataset, Split, counted};

use crate::run_dir::DatasetSnapshot;

/// Names that are listed; of more only the number.
const SHOWN: usize = 3;

/// What is different in `dataset`, whose digest is not that of the run. `made`: when the run was made; files that are newer
/// are named if all names are as they were.
pub(super) fn difference(snapshot: &DatasetSnapshot, dataset: &Dataset, made: Option<SystemTime>) -> String {
    let mut parts = Vec::new();
    let (mut shared, mut all) = (0, 0);
    for split in Split::ALL {
        let before = snapshot.names(split);
        let now: Vec<&String> = dataset.split(split).iter().map(|sample| &sample.name).collect();
        // Runs that were made before the names of the test split were stored have none.
        if split == Split::Test && before.is_empty() {
            continue;
        }
        let (was, is): (HashSet<&String>, HashSet<&String>) = (before.iter().collect(), now.iter().copied().collect());
        let missing: Vec<&String> = before.iter().filter(|name| !is.contains(name)).collect();
        let new: Vec<&String> = now.iter().copied().filter(|name| !was.contains(name)).collect();
        shared += before.len() - missing.len();
        all += now.len();
        if missing.is_empty() && new.is_empty() {
            continue;
        }
        let kind = match split {
            Split::Train => "training",
            Split::Val => "validation",
            Split::Test => "test",
        };
        let mut part = format!("{} when the run was made, {} now", pairs(before.len(), kind), now.len());
        if !missing.is_empty() {
            let names = missing.iter().map(|name| with_reason(name, dataset));
            part += &format!("; missing: {}", some(names, missing.len()));
        }
        if !new.is_empty() {
            part += &format!("; new: {}", some(new.iter().map(ToString::to_string), new.len()));
        }
        parts.push(part);
    }
    if parts.is_empty() {
        return changed_files(dataset, made);
    }
    if shared == 0 {
        let example = snapshot.train.first().map(|name| format!(", such as {name}")).unwrap_or_default();
        return format!("none of its {} is one of the run's{example}; it is another dataset", pairs(all, ""));
    }
    parts.join("; ")
}

/// A number of pairs, such as `12 training pairs`.
fn pairs(count: usize, kind: &str) -> String {
    counted(count, format!("{kind} pair").trim_start())
}

/// The first few of `count` items.
fn some(items: impl Iterator<Item = String>, count: usize) -> String {
    let shown = items.take(SHOWN).collect::<Vec<_>>().join(", ");
    if count > SHOWN { format!("{shown} and {} more", count - SHOWN) } else { shown }
}

/// The name of a pair that is missing, and the file that is left of it.
fn with_reason(name: &str, dataset: &Dataset) -> String {
    let show = |path: &Path| show_below(&dataset.root, path);
    let left = dataset.problems.iter().find_map(|problem| match problem {
        PairingProblem::UnpairedImage(path) if stem(path) == name => Some(format!("{} has no mask", show(path))),
        PairingProblem::UnpairedMask(path) if stem(path) == name => Some(format!("{} has no image", show(path))),
        _ => None,
    });
    left.map_or_else(|| name.to_owned(), |left| format!("{name} ({left})"))
}

/// The difference if all names are the same: files with other content.
fn changed_files(dataset: &Dataset, made: Option<SystemTime>) -> String {
    let newer = |path: &Path| {
        let modified = std::fs::metadata(path).and_then(|facts| facts.modified()).ok();
        modified.zip(made).is_some_and(|(modified, made)| modified > made)
    };
    // A file may have several samples: the pages of a stack, the masks of a COCO file.
    let mut seen = HashSet::new();
    let mut files: Vec<String> = Vec::new();
    for sample in dataset.samples() {
        let paths = std::iter::once(sample.image.as_path()).chain(sample.label.iter().map(|label| label.path()));
        let changed = paths.filter(|path| seen.insert(*path) && newer(path));
        files.extend(changed.map(|path| show_below(&dataset.root, path)));
    }
    let same = "it has the same pairs, but files of other content";
    if files.is_empty() {
        return same.to_owned();
    }
    let count = files.len();
    format!("{same}; modified since: {}", some(files.into_iter(), count))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use image::GrayImage;
    use unet_data::{OpenOptions, collect_labels};
    use unet_shared::digest::Digest;

    use super::*;

    fn snapshot(dataset: &Dataset) -> DatasetSnapshot {
        let samples: Vec<_> = dataset.samples().cloned().collect();
        let [train, val, test] =
            Split::ALL.map(|split| dataset.split(split).iter().map(|sample| sample.name.clone()).collect());
        DatasetSnapshot { digest: Digest::of(b""), labels: collect_labels(&samples, None).unwrap(), train, val, test }
    }

    #[test]
    fn missing_new_and_changed_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = |split: &str, part: &str, name: &str| folder.path().join(split).join(part).join(name);
        for (split, names) in [("train", &["a.png", "b.png", "c.png"][..]), ("val", &["a.png", "d.png"])] {
            for part in ["images", "masks"] {
                fs::create_dir_all(folder.path().join(split).join(part)).unwrap();
                for name in names {
                    GrayImage::from_raw(2, 1, vec![0, 1]).unwrap().save(path(split, part, name)).unwrap();
                }
            }
        }
        let open = || Dataset::open(folder.path(), &OpenOptions::default()).unwrap();
        let before = snapshot(&open());
        let long_ago = SystemTime::UNIX_EPOCH;
        let soon = SystemTime::now() + Duration::from_secs(60);
        let same = "it has the same pairs, but files of other content";
        assert_eq!(difference(&before, &open(), Some(soon)), same);
        assert_eq!(difference(&before, &open(), None), same);
        let expected =
            format!("{same}; modified since: train/images/a.png, train/masks/a.png, train/images/b.png and 7 more");
        assert_eq!(difference(&before, &open(), Some(long_ago)), expected);
        // Two samples of each file, as of the pages of a stack, count once.
        let mut doubled = open();
        doubled.train = doubled.train.iter().flat_map(|sample| [sample.clone(), sample.clone()]).collect();
        assert_eq!(difference(&before, &doubled, Some(long_ago)), expected);

        fs::remove_file(path("train", "masks", "b.png")).unwrap();
        fs::copy(path("val", "images", "a.png"), path("val", "images", "e.png")).unwrap();
        fs::copy(path("val", "masks", "a.png"), path("val", "masks", "e.png")).unwrap();
        let expected = "3 training pairs when the run was made, 2 now; missing: b (train/images/b.png has no mask); \
                        2 validation pairs when the run was made, 3 now; new: e";
        assert_eq!(difference(&before, &open(), None), expected);

        let other = DatasetSnapshot { train: vec!["x".into()], val: vec!["y".into()], ..before };
        let expected = "none of its 5 pairs is one of the run's, such as x; it is another dataset";
        assert_eq!(difference(&other, &open(), None), expected);
    }
}
