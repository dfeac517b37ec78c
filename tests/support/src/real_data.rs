//! Finds real data for tests: the environment variable `SEG_DATA` is the directory of the datasets; other material is
//! beside it.
//!
//! A test that uses these is marked `#[cfg_attr(not(seg_data), ignore = "set SEG_DATA to the directory of the
//! datasets")]`, so that the test runner reports it as ignored if there is no data. Its package needs
//! `tests/seg_data.rs` as its build script.

use std::path::{Path, PathBuf};

/// The directory of the dataset `name`.
///
/// # Panics
/// If `SEG_DATA` is not set, or has no such directory.
pub fn dataset(name: &str) -> PathBuf {
    let path = seg_data().join(name);
    assert!(
        path.is_dir(),
        "expected a directory of the dataset {name} in SEG_DATA, found no directory {}",
        path.display()
    );
    path
}

/// A file or directory beside the datasets, such as `cases/datasets/voc`.
///
/// # Panics
/// If `SEG_DATA` is not set, or there is no such file or directory.
pub fn beside_datasets(path: impl AsRef<Path>) -> PathBuf {
    let datasets = seg_data();
    let datasets = datasets.canonicalize().unwrap_or_else(|error| panic!("SEG_DATA={}: {error}", datasets.display()));
    let path = datasets.parent().unwrap_or(&datasets).join(path);
    assert!(path.exists(), "expected real data beside the directory SEG_DATA, found nothing at {}", path.display());
    path
}

fn seg_data() -> PathBuf {
    let path = std::env::var_os("SEG_DATA").filter(|path| !path.is_empty()).map(PathBuf::from);
    path.expect(
        "SEG_DATA is not set: expected the directory of the datasets, both when tests are built and when they run",
    )
}
