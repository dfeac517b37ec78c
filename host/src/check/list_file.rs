//! List files and split files in datasets: training does not read them, but a check reports what is wrong with them.
//!
//! Text lists have a sample per line; YAML and JSON files have a list per split.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use unet_data::Split;
use unet_data::listing::{split_of, words};
use unet_data::pairing::stem;

use super::finding::{Finding, Kind, Severity};

/// Maximum size of a list, in bytes.
const LIST_BYTES_MAX: u64 = 64 << 20;

/// The content of a list file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListFile {
    /// Its name in findings.
    pub name: String,
    /// The entries of each split; a text list has one split, from its name.
    pub splits: BTreeMap<Split, BTreeSet<String>>,
    /// Number of lines or entries that name files.
    pub entries: usize,
    /// Number of entries with an absolute path.
    pub absolute: usize,
    /// The first absolute path.
    pub first_absolute: Option<String>,
}

/// Whether a file has the extension of a list.
pub fn has_list_extension(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    matches!(extension.as_deref(), Some("txt" | "csv" | "tsv" | "lst" | "yaml" | "yml" | "json"))
}

impl ListFile {
    /// Reads a list; none if the file is too large, not text, or names neither files nor splits.
    pub fn read(path: &Path, name: String) -> Option<Self> {
        if std::fs::metadata(path).ok()?.len() > LIST_BYTES_MAX {
            return None;
        }
        let text = std::fs::read_to_string(path).ok()?;
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        let stated = words(&stem(path)).iter().find_map(|word| split_of(word));
        match extension.as_deref() {
            Some("yaml" | "yml" | "json") => Self::of_splits(&text, name),
            _ => Self::of_lines(&text, name, stated),
        }
    }

    /// Reads one sample per line: its image, possibly its mask.
    fn of_lines(text: &str, name: String, split: Option<Split>) -> Option<Self> {
        let mut list = Self { name, ..Self::default() };
        for line in text.lines() {
            let mut tokens = line.split(|c: char| c.is_whitespace() || c == ',' || c == ';').filter(|t| !t.is_empty());
            let Some(first) = tokens.next().filter(|token| !token.starts_with('#')) else {
                continue;
            };
            // Prose has words too; a line of a list begins with a path, or is a single name.
            let named = is_file_name(first) || split.is_some() && tokens.clone().next().is_none();
            if !named {
                continue;
            }
            list.add(first, split);
        }
        (list.entries > 0).then_some(list)
    }

    /// Reads keys that are splits, each with a list. Brackets, quotes and dashes are skipped, so that JSON and both styles of YAML are read.
    fn of_splits(text: &str, name: String) -> Option<Self> {
        let mut list = Self { name, ..Self::default() };
        let mut split = None;
        let spaced = text.replace(": ", " : ").replace(":\n", " :\n").replace("\":", "\" :");
        let is_gap = |c: char| c.is_whitespace() || "[]{},\"'".contains(c);
        let tokens: Vec<&str> = spaced.split(is_gap).filter(|token| !token.is_empty() && *token != "-").collect();
        for (at, token) in tokens.iter().enumerate() {
            if tokens.get(at + 1) == Some(&":") {
                split = words(token).iter().find_map(|word| split_of(word));
            } else if *token != ":" && split.is_some() {
                list.add(token, split);
            }
        }
        (list.entries > 0).then_some(list)
    }

    fn add(&mut self, entry: &str, split: Option<Split>) {
        self.entries += 1;
        if is_absolute(entry) {
            self.absolute += 1;
            self.first_absolute.get_or_insert_with(|| entry.to_owned());
        }
        if let Some(split) = split {
            self.splits.entry(split).or_default().insert(entry.to_owned());
        }
    }
}

/// Findings on each list and on overlaps between them.
pub fn findings(lists: &[ListFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut splits: BTreeMap<Split, (BTreeSet<&str>, BTreeSet<&str>)> = BTreeMap::new();
    for list in lists {
        if let Some(first) = &list.first_absolute {
            let exists = if Path::new(first).exists() { "exists" } else { "does not exist on this machine" };
            let message = format!(
                "{} of {} entries are absolute paths; the first, {first}, {exists}; lists are not read: arrange the files in split \
                 folders",
                list.absolute, list.entries
            );
            findings.push(Finding::new(Severity::Warning, Kind::ListFile, vec![list.name.clone()], message));
        } else {
            let message = format!(
                "a list of {} entries; lists are not read: arrange the files in split folders to keep the split",
                list.entries
            );
            findings.push(Finding::new(Severity::Info, Kind::ListFile, vec![list.name.clone()], message));
        }
        for (split, entries) in &list.splits {
            let (names, files) = splits.entry(*split).or_default();
            names.extend(entries.iter().map(String::as_str));
            files.insert(&list.name);
        }
    }
    let splits: Vec<_> = splits.into_iter().collect();
    for (at, (split, (names, files))) in splits.iter().enumerate() {
        for (other, (other_names, other_files)) in &splits[at + 1..] {
            let shared: Vec<&str> = names.intersection(other_names).copied().collect();
            if shared.is_empty() {
                continue;
            }
            let shown = shared.iter().take(10).copied().collect::<Vec<_>>().join(", ");
            let more = if shared.len() > 10 { ", and more" } else { "" };
            let entries =
                if shared.len() == 1 { "1 entry is".to_owned() } else { format!("{} entries are", shared.len()) };
            let message = format!("{entries} in both {split} and {other}: {shown}{more}");
            let files = files.union(other_files).map(|&name| name.to_owned()).collect();
            // Training does not read the lists.
            findings.push(Finding::new(Severity::Warning, Kind::SplitOverlap, files, message));
        }
    }
    findings
}

fn is_absolute(entry: &str) -> bool {
    let bytes = entry.as_bytes();
    entry.starts_with('/')
        || entry.starts_with("\\\\")
        || bytes.len() > 2 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':' && matches!(bytes[2], b'/' | b'\\')
}

/// Whether a word has the extension of an image.
fn is_file_name(word: &str) -> bool {
    let extension = Path::new(word).extension().map(|extension| extension.to_string_lossy().to_lowercase());
    matches!(extension.as_deref(), Some("png" | "jpg" | "jpeg" | "tif" | "tiff" | "bmp" | "gif" | "mat"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, text: &str) -> Option<ListFile> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        ListFile::read(&path, name.into())
    }

    fn kinds(lists: &[ListFile]) -> Vec<(Kind, Severity)> {
        findings(lists).into_iter().map(|finding| (finding.kind, finding.severity)).collect()
    }

    #[test]
    fn absolute_paths_are_found() {
        let list = read("train.txt", "/SegNet/a.png /SegNet/annot/a.png\nC:\\b.png\nc.png\n\n").unwrap();
        assert_eq!((list.entries, list.absolute), (3, 2));
        assert_eq!(kinds(&[list]), [(Kind::ListFile, Severity::Warning)]);
    }

    #[test]
    fn overlap_within_a_split_file_is_found_in_each_style() {
        let texts = [
            ("a.yaml", "train: [2, 5, 28]\ntest: [1, 28]\nseed: [5, 1]\n"),
            ("b.yml", "train:\n  - 2\n  - 28\ntest:\n  - 28\n  - 3\n"),
            ("c.json", "{\"train\": [\"2\", \"28\"], \"test\":[\"28\"]}"),
        ];
        for (name, text) in texts {
            let findings = findings(&[read(name, text).unwrap()]);
            let overlap = findings.last().unwrap();
            assert_eq!(overlap.kind, Kind::SplitOverlap, "{name}");
            assert!(overlap.message.contains("1 entry is in both train and test: 28"), "{}", overlap.message);
        }
    }

    #[test]
    fn overlap_between_lists_is_found() {
        let (train, val) = (read("train.txt", "a\nb\n").unwrap(), read("val.txt", "b\nc\n").unwrap());
        assert!(kinds(&[train.clone(), val]).contains(&(Kind::SplitOverlap, Severity::Warning)));
        assert_eq!(kinds(&[train]), [(Kind::ListFile, Severity::Info)]);
    }

    #[test]
    fn prose_and_settings_are_not_lists() {
        assert_eq!(read("README.txt", "Pictures of a field.\nLicence: MIT, see a.png\n"), None);
        assert_eq!(read("settings.yaml", "classes: [a, b]\nname: field\n"), None);
        assert_eq!(read("broken.json", "{{{"), None);
    }
}
