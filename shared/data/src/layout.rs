//! The layouts that a dataset may have on disk, and the list of their readers.
//!
//! Each reader recognises its layout and pairs images with masks; all return the same [`Contents`]. A new one is a file
//! below this one, with its [`Format`], and a line in [`FORMATS`].

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fmt;
use std::path::{Component, Path, PathBuf};

use serde::{Serialize, Serializer};

use super::annotation::Annotation;
use super::choice::FolderChoice;
use super::counted::{any_of, counted};
use super::dataset_file::DatasetFile;
use super::decode::read_bytes;
use super::histogram::LabelHistogram;
use super::listing::{Folder, Kind, Listing, is_result_folder};
use super::pairing::{Pairing, pair};
use super::sample::{Sample, Split};

mod cellpose;
mod chosen;
mod cityscapes;
mod classes;
mod coco;
mod colour_table;
mod encoded_mask;
mod label_studio;
mod labelme;
mod mask_sets;
mod nnunet;
mod one_folder;
mod splits;
#[cfg(test)]
pub(crate) mod testing;
mod two_folders;
mod ultralytics;
mod voc;

/// All readers, in the order in which they are asked: formats that are known by files or folders of their own, then folders
/// of images and masks, then annotations that are drawn, which may lie beside finished masks.
static FORMATS: [&Format; 15] = [
    &chosen::FORMAT,
    &nnunet::FORMAT,
    &voc::FORMAT,
    &cityscapes::FORMAT,
    &ultralytics::FORMAT,
    &label_studio::MASKS,
    &colour_table::FORMAT,
    &cellpose::FORMAT,
    &mask_sets::FORMAT,
    &splits::FORMAT,
    &two_folders::FORMAT,
    &coco::FORMAT,
    &labelme::FORMAT,
    &label_studio::FORMAT,
    &one_folder::FORMAT,
];

/// A reader of one layout.
struct Format {
    /// Name in reports.
    name: &'static str,
    /// Description for people.
    description: &'static str,
    /// Patterns of paths, for the error that lists what is accepted.
    patterns: &'static [&'static str],
    /// Reads a folder: `Ok(None)` if it has another layout, and an error if it has this one but cannot be read.
    read: fn(&Listing) -> Result<Option<Contents>, String>,
}

/// The layout of a dataset.
#[derive(Clone, Copy)]
pub struct Layout(&'static Format);

impl Layout {
    /// The name in reports, such as `two_folders`.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// Whether any folder of images matches, whatever its names.
    pub(crate) fn is_any_folder(self) -> bool {
        self == Self(&one_folder::FORMAT)
    }
}

impl PartialEq for Layout {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Layout {}

impl fmt::Debug for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.description)
    }
}

impl Serialize for Layout {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// What a reader finds in a folder.
#[derive(Default)]
pub(crate) struct Contents {
    /// The pairs of each split; `None` if the layout does not state the split.
    pub(crate) parts: Vec<(Option<Split>, Pairing)>,
    /// Classes and ignored values, if the format states them itself. `dataset.toml` takes precedence.
    pub(crate) classes: Option<DatasetFile>,
    /// What the reader assumed or left out, a sentence each.
    pub(crate) notes: Vec<String>,
    /// Image files that belong to the format and are not needed, or that a note mentions.
    pub(crate) companions: Vec<PathBuf>,
    /// Files other than images that were read: lists, tables and annotations.
    pub(crate) read: Vec<PathBuf>,
}

impl Contents {
    /// Pairs without splits or classes.
    fn unsplit(pairing: Pairing) -> Self {
        Self { parts: vec![(None, pairing)], ..Self::default() }
    }
}

/// Asks each reader for the contents of a folder: `Ok(None)` if none recognises it, and an error if the one that does cannot
/// read it. Folders that the flags choose count more than those that dataset.toml chooses, `file`.
pub(crate) fn read(
    listing: &Listing,
    flags: &FolderChoice,
    file: FolderChoice,
) -> Result<Option<(Layout, Contents)>, String> {
    let choice = flags.clone().or(file);
    if !choice.is_empty() {
        return Ok(Some((Layout(&chosen::FORMAT), chosen::read_chosen(listing, &choice, flags)?)));
    }
    for format in FORMATS {
        if let Some(contents) = (format.read)(listing)? {
            return Ok(Some((Layout(format), contents)));
        }
    }
    Ok(None)
}

/// The accepted layouts, for the reader of an error.
pub const ACCEPTED_LAYOUTS: AcceptedLayouts = AcceptedLayouts;

/// Displays as a list of the accepted layouts.
#[derive(Debug, Clone, Copy)]
pub struct AcceptedLayouts;

impl fmt::Display for AcceptedLayouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("accepted layouts:\n")?;
        FORMATS.iter().flat_map(|format| format.patterns).try_for_each(|pattern| writeln!(f, "  {pattern}"))?;
        write!(
            f,
            "folders may also be called img, imgs, photos, frames; labels, annotations, ground_truth, gt, segmentation; \
             training, validation, testing;\n\
             {PAIRING_RULE}; files are PNG, JPEG, TIFF or BMP",
        )
    }
}

/// How names pair images with masks.
pub(crate) const PAIRING_RULE: &str =
    "image and mask share their stem, apart from endings such as _image, _mask, _label, _annotation, _gt";

/// Levels of folders below the root whose names state a layout.
const LAYOUT_DEPTH_MAX: usize = 3;

/// The folders whose names belong to a layout and that hold images, themselves or in folders of other names below them.
fn image_folders(listing: &Listing) -> impl Iterator<Item = &Folder> {
    let holds_images = |folder: &&Folder| {
        let nested = |below: &Folder| !below.known && !below.images.is_empty() && below.path.starts_with(&folder.path);
        !folder.images.is_empty() || folder.kind.is_some() && folder.depth > 0 && listing.folders.iter().any(nested)
    };
    listing.folders.iter().filter(|folder| folder.known && folder.depth <= LAYOUT_DEPTH_MAX).filter(holds_images)
}

/// The only one of some folders.
fn only_folder<'a>(mut found: impl Iterator<Item = &'a Folder>) -> Option<&'a Folder> {
    found.next().filter(|_| found.next().is_none())
}

/// The folder called `name` in another.
fn subfolder<'a>(listing: &'a Listing, root: &Folder, name: &str) -> Option<&'a Folder> {
    let path = root.path.join(name);
    listing.folders.iter().find(|folder| folder.path == path)
}

/// The only dataset of a format, if the folder has one.
fn only_root<'a>(
    listing: &Listing,
    mut roots: impl Iterator<Item = &'a Folder>,
    format: &str,
) -> Result<Option<&'a Folder>, String> {
    match (roots.next(), roots.next()) {
        (Some(first), Some(second)) => {
            let (first, second) = (listing.show(&first.path), listing.show(&second.path));
            Err(format!("{first} and {second} are both {format} datasets: expected the path of one"))
        }
        (root, _) => Ok(root),
    }
}

/// The text of a list or an annotation file.
fn read_text(listing: &Listing, path: &Path) -> Result<String, String> {
    let mut bytes = read_bytes(path).map_err(|error| {
        let cause = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        format!("{}: {cause}", listing.show(path))
    })?;
    // Programs on Windows may begin a file with a byte order mark.
    if bytes.starts_with("\u{feff}".as_bytes()) {
        bytes.drain(..'\u{feff}'.len_utf8());
    }
    String::from_utf8(bytes).map_err(|_| format!("{}: expected text in UTF-8, found other bytes", listing.show(path)))
}

/// Files of annotations that are damaged, each with what is wrong, for the error about a folder without a pair.
pub(crate) fn damaged_annotations(listing: &Listing) -> String {
    let mut found = String::new();
    for path in listing.folders.iter().flat_map(|folder| &folder.others) {
        let is =
            |extensions: &[&str]| path.extension().is_some_and(|found| extensions.iter().any(|known| found == *known));
        let problem = if is(&["json"]) {
            let parsed = read_text(listing, path).map(|text| serde_json::from_str::<serde::de::IgnoredAny>(&text));
            let problem = |error: serde_json::Error| {
                format!("is not valid JSON (line {}, column {})", error.line(), error.column())
            };
            parsed.ok().and_then(|parsed| parsed.err().map(problem))
        } else if is(&["yaml", "yml"]) {
            read_text(listing, path).ok().and_then(|text| ultralytics::incomplete(&text))
        } else {
            None
        };
        if let Some(problem) = problem {
            found += &format!("{} {problem}; if it is cut off, copy it again; ", listing.show(path));
        }
    }
    found
}

/// The images of a folder by their file names, to find those that a file from another machine names.
struct ImageIndex<'a> {
    by_name: HashMap<&'a OsStr, Vec<&'a PathBuf>>,
    by_stem: HashMap<&'a OsStr, Vec<&'a PathBuf>>,
}

impl<'a> ImageIndex<'a> {
    fn of(listing: &'a Listing) -> Self {
        let mut index = Self { by_name: HashMap::new(), by_stem: HashMap::new() };
        for image in listing.folders.iter().flat_map(|folder| &folder.images) {
            index.by_name.entry(image.file_name().unwrap_or_default()).or_default().push(image);
            index.by_stem.entry(image.file_stem().unwrap_or_default()).or_default().push(image);
        }
        index
    }

    /// The images whose file is called like that of a path.
    fn named_like(&self, path: &Path) -> &[&'a PathBuf] {
        path.file_name().and_then(|name| self.by_name.get(name)).map_or(&[], Vec::as_slice)
    }

    /// The images whose file is called like that of a path, apart from the extension.
    fn with_stem_of(&self, path: &Path) -> &[&'a PathBuf] {
        path.file_stem().and_then(|stem| self.by_stem.get(stem)).map_or(&[], Vec::as_slice)
    }

    /// The image with this path.
    fn at(&self, path: &Path) -> Option<&'a PathBuf> {
        self.named_like(path).iter().copied().find(|image| *image == path)
    }

    /// The only image whose path ends like this.
    fn only_one_at_end(&self, end: &Path) -> Option<&'a PathBuf> {
        let mut found = self.named_like(end).iter().copied().filter(|image| image.ends_with(end));
        found.next().filter(|_| found.next().is_none())
    }

    /// The image that shares the longest ending with the path, if only one does.
    fn at_end(&self, stated: &Path) -> Option<&'a PathBuf> {
        let names: Vec<Component<'_>> =
            stated.components().filter(|part| matches!(part, Component::Normal(_))).collect();
        (0..names.len()).find_map(|skipped| self.only_one_at_end(&names[skipped..].iter().collect::<PathBuf>()))
    }
}

/// Sorts samples by name; those that share a stem are named by their path, with its extension if they share that as well.
fn name_apart(listing: &Listing, samples: &mut [Sample]) {
    let longer: [&dyn Fn(&Path) -> String; 2] =
        [&|image| listing.show(&image.with_extension("")), &|image| listing.show(image)];
    for longer in longer {
        let mut names: BTreeMap<String, usize> = BTreeMap::new();
        samples.iter().for_each(|sample| *names.entry(sample.name.clone()).or_default() += 1);
        for sample in samples.iter_mut().filter(|sample| names.get(&sample.name).is_some_and(|&images| images > 1)) {
            sample.name = longer(&sample.image);
        }
    }
    samples.sort_by(|a, b| a.name.cmp(&b.name));
}

/// Pairs the files of two folders, and those of folders below that lie in the same place in both. Other nested files are
/// left out.
fn pair_trees(listing: &Listing, images: &Folder, masks: &Folder) -> Pairing {
    let mut all = if images.images.is_empty() && masks.images.is_empty() {
        Pairing::default()
    } else {
        pair(&images.images, &masks.images)
    };
    for nested in listing.folders.iter().filter(|folder| folder.path != images.path && !folder.images.is_empty()) {
        let Ok(place) = nested.path.strip_prefix(&images.path) else { continue };
        let partner = masks.path.join(place);
        let Some(partner) = listing.folders.iter().find(|folder| folder.path == partner) else { continue };
        if nested.path == partner.path || partner.images.is_empty() {
            continue;
        }
        let Pairing { mut samples, problems, notes } = pair(&nested.images, &partner.images);
        let place = place.to_string_lossy().replace('\\', "/");
        samples.iter_mut().for_each(|sample| sample.name = format!("{place}/{}", sample.name));
        all.samples.extend(samples);
        all.problems.extend(problems);
        all.notes.extend(notes);
    }
    all.samples.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// Most values of files that may be masks.
const MASK_VALUES_MAX: usize = 32;

/// Refuses a folder of masks if the folder beside it may hold the masks as well: as many files, of few values, under a name
/// that says nothing. Folders called `masks` or `labels` are what they say.
fn refuse_rivals(listing: &Listing, images: &Folder, masks: &Folder) -> Result<(), String> {
    let name = masks.path.file_name().map(|name| name.to_string_lossy().to_lowercase());
    if matches!(name.as_deref(), Some("masks" | "labels")) {
        return Ok(());
    }
    let may_be_masks = |folder: &&Folder| {
        let beside = folder.path.parent() == masks.path.parent() && folder.kind.is_none() && folder.depth > 0;
        let count = listing.images_below(images).len();
        beside
            && !is_result_folder(&folder.path)
            && folder.images.len() == count
            && folder.images.first().is_some_and(|first| {
                let values =
                    Annotation::File(first.clone()).decode().map(|label| LabelHistogram::of(&label, 0).values.len());
                values.is_ok_and(|values| values <= MASK_VALUES_MAX)
            })
    };
    let Some(rival) = listing.folders.iter().find(may_be_masks) else { return Ok(()) };
    let (images, masks, rival) = (listing.show(&images.path), listing.show(&masks.path), listing.show(&rival.path));
    Err(format!("{masks} and {rival} may both hold the masks of {images}; --masks {rival} or --masks {masks} chooses"))
}

/// The only folder of `found`; of several, the only one that is itself called `images` or `masks`.
fn one_of<'a>(listing: &Listing, found: impl Iterator<Item = &'a Folder>) -> Result<Option<&'a Folder>, String> {
    let found: Vec<&Folder> = found.collect();
    if found.len() <= 1 {
        return Ok(found.first().copied());
    }
    let plain = |folder: &&&Folder| {
        let name = folder.path.file_name().map(|name| name.to_string_lossy().to_lowercase());
        matches!(name.as_deref(), Some("images" | "masks"))
    };
    let mut plainly = found.iter().filter(plain);
    match (plainly.next(), plainly.next()) {
        (Some(folder), None) => Ok(Some(folder)),
        _ => {
            let names: Vec<String> = found.iter().map(|folder| listing.show(&folder.path)).collect();
            let flag = if found.iter().all(|folder| folder.kind == Some(Kind::Masks)) { "masks" } else { "images" };
            let (folders, choice) = (names.join(", "), any_of(names.iter().map(|name| format!("--{flag} {name}"))));
            Err(format!("folders {folders} are ambiguous; {choice} chooses"))
        }
    }
}

/// What a folder without an accepted layout holds.
pub(crate) fn describe_folders(listing: &Listing) -> String {
    if let Some(found) = describe_images_alone(listing) {
        return found;
    }
    let mut parts = Vec::new();
    for folder in &listing.folders {
        let (images, others) = (folder.images.len(), folder.others.len());
        if images + others > 0 {
            let (images, others) = (counted(images, "image file"), counted(others, "other file"));
            parts.push(format!("{} ({images}, {others})", listing.show(&folder.path)));
        }
    }
    match parts.len() {
        0 => "no file in it or the folders below".into(),
        1..=6 => format!("found {}, which is no layout of images and masks", parts.join(", ")),
        n => format!(
            "found {} and {}, which is no layout of images and masks",
            parts[..6].join(", "),
            counted(n - 6, "more folder")
        ),
    }
}

/// What is missing from a folder whose files are all in folders that are called images; none for any other.
fn describe_images_alone(listing: &Listing) -> Option<String> {
    let mut folders = listing.folders.iter().filter(|folder| !folder.images.is_empty());
    let first = folders.next()?;
    // Other files may be masks of a kind that is not read.
    let is_empty = |folder: &Folder| folder.images.is_empty() && folder.others.is_empty();
    let alone = listing.folders.iter().all(|folder| is_empty(folder) || folder.kind == Some(Kind::Images));
    let images = listing.folders.iter().map(|folder| folder.images.len()).sum();
    let expected = first.path.with_file_name("masks").join(first.images.first()?.with_extension("png").file_name()?);
    let more = match folders.count() {
        0 => String::new(),
        more => format!(" and {}", counted(more, "more folder")),
    };
    alone.then(|| {
        format!(
            "found {} in {}{more} but no masks; expected masks such as {}, or --masks FOLDER if they are elsewhere",
            counted(images, "image"),
            listing.show(&first.path),
            listing.show(&expected)
        )
    })
}
