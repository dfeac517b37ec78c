//! Pairs images with masks by the names of the files.
//!
//! Knows neither the meaning of folders nor the content of files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::listing::has_jpeg_extension;
use super::sample::Sample;

/// Suffixes of a mask's stem, after one of `_`, `-`, `.` or a space; also prefixes, before one of these.
const MASK_WORDS: [&str; 16] = [
    "ground_truth",
    "groundtruth",
    "annotations",
    "annotation",
    "annot",
    "segmentation",
    "labels",
    "label",
    "labelids",
    "lbl",
    "masks",
    "mask",
    "target",
    "matte",
    "seg",
    "gt",
];

/// Suffixes and prefixes of an image's stem.
const IMAGE_WORDS: [&str; 8] = ["images", "image", "img", "rgb", "photo", "sat", "original", "input"];

/// A file without a partner, or with too many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PairingProblem {
    /// The image has no mask.
    UnpairedImage(PathBuf),
    /// The mask has no image.
    UnpairedMask(PathBuf),
    /// There are several images or masks of the same name.
    Ambiguous {
        /// The name.
        name: String,
        /// The images.
        images: Vec<PathBuf>,
        /// The masks.
        masks: Vec<PathBuf>,
    },
}

/// Pairs of image and mask, and the files that are left over.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Pairing {
    /// Pairs, sorted by name.
    pub samples: Vec<Sample>,
    /// Files that could not be paired.
    pub problems: Vec<PairingProblem>,
    /// How they were paired, if their names alone did not say it.
    pub notes: Vec<String>,
}

impl PairingProblem {
    pub(crate) fn is_unpaired_image(&self) -> bool {
        matches!(self, Self::UnpairedImage(_))
    }

    /// The files concerned.
    pub(crate) fn files(&self) -> Vec<&PathBuf> {
        match self {
            Self::UnpairedImage(path) | Self::UnpairedMask(path) => vec![path],
            Self::Ambiguous { images, masks, .. } => images.iter().chain(masks).collect(),
        }
    }
}

/// Pairs images with masks, ignoring case: first by equal stems, then by the mask's stem without a suffix or prefix
/// such as `_mask`, then by both stems without theirs. If nothing pairs, by the stems without the ending that all images or
/// all masks have, which is noted.
pub fn pair(images: &[PathBuf], masks: &[PathBuf]) -> Pairing {
    let whole = |path: &Path| stem(path).to_lowercase();
    let without = |path: &Path, words: &[&str]| {
        let stem = whole(path);
        strip(&stem, words).unwrap_or(&stem).to_owned()
    };
    let mask_key = |path: &Path| without(path, &MASK_WORDS);
    let image_key = |path: &Path| without(path, &IMAGE_WORDS);
    let mut pairing = Pairing::default();
    let (images, masks) = pairing.pair_by(images, masks, whole, whole);
    let (images, masks) = pairing.pair_by(&images, &masks, whole, mask_key);
    let mut left = pairing.pair_by(&images, &masks, image_key, mask_key);
    if pairing.samples.is_empty() && pairing.problems.is_empty() {
        let (image_ending, mask_ending) = (common_ending(&left.0), common_ending(&left.1));
        if !image_ending.is_empty() || !mask_ending.is_empty() {
            let key = |path: &Path, ending: &str| {
                let stem = whole(path);
                stem.strip_suffix(ending).map_or_else(|| stem.clone(), str::to_owned)
            };
            left = pairing.pair_by(&left.0, &left.1, |path| key(path, &image_ending), |path| key(path, &mask_ending));
            if !pairing.samples.is_empty() {
                let endings: Vec<String> =
                    [image_ending, mask_ending].into_iter().filter(|ending| !ending.is_empty()).collect();
                let (plural, endings) = (if endings.len() == 1 { "" } else { "s" }, endings.join(" and "));
                let note = format!("images and masks are paired by their names without the ending{plural} {endings}");
                pairing.notes.push(note);
            }
        }
    }
    pairing.finish(left)
}

/// The ending, in lower case and from a separator on, that the stems of all files have; of several files only.
fn common_ending(paths: &[PathBuf]) -> String {
    let stems: Vec<String> = paths.iter().map(|path| stem(path).to_lowercase()).collect();
    let [first, rest @ ..] = stems.as_slice() else { return String::new() };
    let ends =
        first.char_indices().map(|(at, _)| at).filter(|&at| at > 0 && first[at..].starts_with(['_', '-', '.', ' ']));
    let ending = ends
        .map(|at| &first[at..])
        .find(|ending| rest.iter().all(|stem| stem.strip_suffix(ending).is_some_and(|rest| !rest.is_empty())));
    if rest.is_empty() { String::new() } else { ending.unwrap_or_default().to_owned() }
}

/// Pairs images with masks by keys that are made of their paths.
pub(crate) fn pair_by_keys(
    images: &[PathBuf],
    masks: &[PathBuf],
    image_key: impl Fn(&Path) -> String,
    mask_key: impl Fn(&Path) -> String,
) -> Pairing {
    let mut pairing = Pairing::default();
    let left = pairing.pair_by(images, masks, image_key, mask_key);
    pairing.finish(left)
}

/// Separates the images of one folder from its masks: a stem such as `NAME_mask` is that of a mask, and of two files
/// that differ only in the extension, one of them a JPEG, the JPEG is the image. Returns images and masks.
pub fn part(files: &[PathBuf]) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let (mut masks, rest): (Vec<PathBuf>, Vec<PathBuf>) = files.iter().cloned().partition(|path| is_mask_name(path));
    let mut by_stem: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for path in rest {
        by_stem.entry(stem(&path).to_lowercase()).or_default().push(path);
    }
    let mut images = Vec::new();
    for mut paths in by_stem.into_values() {
        paths.sort_by_key(|path| !has_jpeg_extension(path));
        if paths.len() == 2 && has_jpeg_extension(&paths[0]) && !has_jpeg_extension(&paths[1]) {
            masks.extend(paths.pop());
        }
        images.append(&mut paths);
    }
    images.sort();
    masks.sort();
    (images, masks)
}

/// Whether a file is a mask, according to its name.
pub fn is_mask_name(path: &Path) -> bool {
    strip(&stem(path).to_lowercase(), &MASK_WORDS).is_some()
}

/// A file's name without its extension.
pub fn stem(path: &Path) -> String {
    path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The stem without the suffix, or else the prefix, that is one of `words`; none if it has neither, or nothing else.
fn strip<'a>(stem: &'a str, words: &[&str]) -> Option<&'a str> {
    let separator = ['_', '-', '.', ' '];
    let rest = |rest: &'a str, stripped: Option<&'a str>| stripped.filter(|name| !name.is_empty() && !rest.is_empty());
    let ending = words.iter().find_map(|word| {
        let before = stem.strip_suffix(word)?;
        rest(before, before.strip_suffix(separator))
    });
    ending.or_else(|| {
        words.iter().find_map(|word| {
            let after = stem.strip_prefix(word)?;
            rest(after, after.strip_prefix(separator))
        })
    })
}

impl Pairing {
    /// Pairs images and masks whose keys match one to one; returns the others.
    fn pair_by(
        &mut self,
        images: &[PathBuf],
        masks: &[PathBuf],
        image_key: impl Fn(&Path) -> String,
        mask_key: impl Fn(&Path) -> String,
    ) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let mut groups: BTreeMap<String, (Vec<PathBuf>, Vec<PathBuf>)> = BTreeMap::new();
        for image in images {
            groups.entry(image_key(image)).or_default().0.push(image.clone());
        }
        for mask in masks {
            groups.entry(mask_key(mask)).or_default().1.push(mask.clone());
        }
        let (mut images_left, mut masks_left) = (Vec::new(), Vec::new());
        for (name, (mut images, mut masks)) in groups {
            if images.is_empty() || masks.is_empty() {
                images_left.append(&mut images);
                masks_left.append(&mut masks);
            } else if let ([image], [mask]) = (images.as_slice(), masks.as_slice()) {
                let name = stem(image);
                self.samples.push(Sample { name, image: image.clone(), page: None, label: Some(mask.clone().into()) });
            } else {
                self.problems.push(PairingProblem::Ambiguous { name, images, masks });
            }
        }
        (images_left, masks_left)
    }

    /// Notes the images and masks that are left over, and sorts the pairs by name.
    fn finish(mut self, (images, masks): (Vec<PathBuf>, Vec<PathBuf>)) -> Self {
        self.problems.extend(images.into_iter().map(PairingProblem::UnpairedImage));
        self.problems.extend(masks.into_iter().map(PairingProblem::UnpairedMask));
        self.samples.sort_by(|a, b| a.name.cmp(&b.name));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    fn names(pairing: &Pairing) -> Vec<(String, String)> {
        let label = |sample: &Sample| sample.label.as_ref().unwrap().path().to_string_lossy().into_owned();
        pairing.samples.iter().map(|sample| (sample.name.clone(), label(sample))).collect()
    }

    fn check(images: &[&str], masks: &[&str], expected: &[(&str, &str)], problems: usize) {
        let pairing = pair(&paths(images), &paths(masks));
        let expected: Vec<_> = expected.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect();
        assert_eq!(names(&pairing), expected, "{images:?} {masks:?}");
        assert_eq!(pairing.problems.len(), problems, "{:?}", pairing.problems);
    }

    #[test]
    fn pairs_by_stem_and_by_endings() {
        check(&["b.jpg", "a.jpg"], &["a.png", "b.png"], &[("a", "a.png"), ("b", "b.png")], 0);
        check(&["IMG_3464.JPG"], &["IMG_3464_mask.png"], &[("IMG_3464", "IMG_3464_mask.png")], 0);
        check(&["001_image.png"], &["001_annotation.png"], &[("001_image", "001_annotation.png")], 0);
        check(&["img_7.png"], &["mask_7.png"], &[("img_7", "mask_7.png")], 0);
        check(&["Scene.PNG"], &["scene-GT.tif"], &[("Scene", "scene-GT.tif")], 0);
    }

    #[test]
    fn equal_stems_win_over_endings() {
        check(&["a.png", "a_image.png"], &["a.png", "a_mask.png"], &[("a", "a.png"), ("a_image", "a_mask.png")], 0);
        // Images whose names end as those of masks do.
        check(&["x_mask.jpg"], &["x_mask.png"], &[("x_mask", "x_mask.png")], 0);
    }

    #[test]
    fn what_has_no_partner_or_two_is_a_problem() {
        check(&["a.png", "b.png"], &["b.png", "c.png"], &[("b", "b.png")], 2);
        let pairing = pair(&paths(&["a.jpg"]), &paths(&["a.png", "a.tif"]));
        assert!(pairing.samples.is_empty());
        assert!(matches!(&pairing.problems[..], [PairingProblem::Ambiguous { masks, .. }] if masks.len() == 2));
    }

    #[test]
    fn one_folder_is_parted_by_ending_or_by_extension() {
        let part = |names: &[&str]| part(&paths(names));
        assert_eq!(part(&["a.png", "a_mask.png"]), (paths(&["a.png"]), paths(&["a_mask.png"])));
        assert_eq!(part(&["a.jpg", "a.png"]), (paths(&["a.jpg"]), paths(&["a.png"])));
        assert_eq!(part(&["0.png", "0_predict.png"]), (paths(&["0.png", "0_predict.png"]), vec![]));
        // Two PNGs of one name cannot be told apart, and a stem that is nothing but the word is a name.
        assert_eq!(part(&["mask.png", "a.tif", "a.png"]).1, paths(&[]));
    }
}
