//! A folder with given files.

use std::fs;

use tempfile::TempDir;

/// Writes each file of `files`, given by its path and its content, below a new temporary folder.
pub fn folder_tree(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("temporary folders can be made");
    for (path, content) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("files lie in the folder")).expect("folders can be made");
        fs::write(path, content).expect("files can be written");
    }
    folder
}
