//! Temporary directories with given files.

use std::fs;

use tempfile::TempDir;

/// Writes each file of `files`, a path and its content, into a new temporary directory.
pub fn folder_tree(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("temporary folders can be made");
    for (path, content) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("files lie in the folder")).expect("folders can be made");
        fs::write(path, content).expect("files can be written");
    }
    folder
}
