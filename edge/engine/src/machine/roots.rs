//! The directories in which Linux describes the machine, in one type, so that tests can use their own.

use std::fs;
use std::path::{Path, PathBuf};

/// Locations of `/sys`, `/proc` and `/dev`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    /// `/sys`
    pub sys: PathBuf,
    /// `/proc`
    pub proc: PathBuf,
    /// `/dev`
    pub dev: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Roots::below(Path::new("/"))
    }
}

impl Roots {
    /// Below another root.
    pub fn below(root: &Path) -> Self {
        let [sys, proc, dev] = ["sys", "proc", "dev"].map(|name| root.join(name));
        Roots { sys, proc, dev }
    }

    /// A device as these roots have it: `/dev/video0` is `video0` below [`Roots::dev`]; other paths stay as they are.
    pub fn device(&self, path: &Path) -> PathBuf {
        path.strip_prefix("/dev").map_or_else(|_| path.to_owned(), |rest| self.dev.join(rest))
    }
}

/// Content of a small file of Linux, trimmed; `None` if it is missing or empty. Device trees end their texts with a zero.
pub fn text(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let text = text.trim_matches(|character: char| character.is_whitespace() || character == '\0');
    if text.is_empty() { None } else { Some(text.to_owned()) }
}

/// As [`text`], parsed as a number.
pub fn number<N: std::str::FromStr>(path: &Path) -> Option<N> {
    text(path)?.parse().ok()
}

/// Entries `PREFIX*` of a directory, numbered ones in numeric order; none if the directory is missing.
pub fn entries(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<(u64, String)> = entries
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            let number = name.strip_prefix(prefix)?.parse().unwrap_or(u64::MAX);
            Some((number, name))
        })
        .collect();
    found.sort_unstable();
    found.into_iter().map(|(_, name)| folder.join(name)).collect()
}

/// Test files by path, with their content.
#[cfg(test)]
pub(crate) fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, Roots) {
    let folder = unet_test_support::folder_tree::folder_tree(files);
    let roots = Roots::below(folder.path());
    (folder, roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_in_the_order_of_their_numbers() {
        let (_folder, roots) = tree(&[("dev/video10", ""), ("dev/video2", ""), ("dev/videos", ""), ("dev/null", "")]);
        let names = ["video2", "video10", "videos"].map(|name| roots.dev.join(name));
        assert_eq!(entries(&roots.dev, "video"), names);
        assert!(entries(&roots.dev.join("none"), "video").is_empty());
    }

    #[test]
    fn texts_and_numbers_are_without_space() {
        let (_folder, roots) = tree(&[("proc/model", "Pi 4\0"), ("proc/empty", "\n"), ("proc/number", " 12\n")]);
        assert_eq!(text(&roots.proc.join("model")).as_deref(), Some("Pi 4"));
        assert_eq!(text(&roots.proc.join("empty")), None);
        assert_eq!(number(&roots.proc.join("number")), Some(12_u32));
        assert_eq!(number::<u32>(&roots.proc.join("model")), None);
    }

    #[test]
    fn devices_move_with_their_root() {
        let roots = Roots::below(Path::new("/board"));
        assert_eq!(roots.device(Path::new("/dev/v4l/by-id/a")), Path::new("/board/dev/v4l/by-id/a"));
        assert_eq!(roots.device(Path::new("dev/video0")), Path::new("dev/video0"));
        assert_eq!(Roots::default().device(Path::new("/dev/video0")), Path::new("/dev/video0"));
    }
}
