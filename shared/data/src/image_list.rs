//! The images of a directory without labels.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::counted::counted;
use super::dataset::DatasetError;
use super::listing::{Listing, show_below};
use super::pairing::stem;
use super::sample::Sample;

/// Images without labels: input for a model.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageList {
    /// The images, sorted by path, each with a name of its own for its results.
    pub samples: Vec<Sample>,
    /// Images in folders below, which are passed over.
    pub below: Vec<PathBuf>,
}

impl ImageList {
    /// The images that are passed over, for people; none if there are none.
    pub fn passed_over(&self, root: &Path) -> Option<String> {
        const SHOWN: usize = 4;
        let names: Vec<String> = self.below.iter().take(SHOWN).map(|path| show_below(root, path)).collect();
        let more = self.below.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let count = self.below.len();
        let images = counted(count, "image");
        (count > 0)
            .then(|| format!("{images} in folders below {} passed over: {}{more}", root.display(), names.join(", ")))
    }
}

/// Refuses a folder for results that would mix them with `what` in the folder `input`, or replace those files.
///
/// # Errors
/// If `output` is that folder, or the results' folders of masks, overlays or panels in it are.
pub fn refuse_output_in(input: &Path, what: &str, output: &Path) -> Result<(), String> {
    let Some(found) = input.canonicalize().ok().filter(|path| path.is_dir()) else { return Ok(()) };
    let is_input = |path: &Path| path.canonicalize().is_ok_and(|path| path == found);
    let (input, shown) = (input.display(), output.display());
    if is_input(output) {
        return Err(format!("--output {shown} is the folder of {what}; choose another"));
    }
    match ["masks", "overlays", "panels"].iter().any(|folder| is_input(&output.join(folder))) {
        true => Err(format!("--output {shown} would replace {what} in {input}; choose another folder")),
        false => Ok(()),
    }
}

/// The images of a directory, without those of the directories below, or the single image `path`.
pub fn list_images(path: &Path) -> Result<ImageList, DatasetError> {
    if path.is_file() {
        let sample = Sample { name: stem(path), image: path.into(), page: None, label: None };
        return Ok(ImageList { samples: vec![sample], below: Vec::new() });
    }
    let mut folders = Listing::of(path)?.folders.into_iter();
    let images = folders.next().map(|folder| folder.images).unwrap_or_default();
    let below: Vec<PathBuf> = folders.flat_map(|folder| folder.images).collect();
    if images.is_empty() {
        let found = match below.len() {
            0 => "no PNG, JPEG, TIFF or BMP file in it".into(),
            count => format!("no PNG, JPEG, TIFF or BMP file in it, {count} in folders below"),
        };
        return Err(DatasetError::NoImages { path: path.into(), found });
    }
    let names = result_names(&images);
    let sample = |(image, name)| Sample { name, image, page: None, label: None };
    Ok(ImageList { samples: images.into_iter().zip(names).map(sample).collect(), below })
}

/// A name for the results of each image: its stem, or its whole file name if another has the same name otherwise, as for
/// `a.png`, `a.jpg` and `a.png.jpg`.
fn result_names(images: &[PathBuf]) -> Vec<String> {
    let mut names: Vec<String> = images.iter().map(|path| stem(path)).collect();
    loop {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        names.iter().for_each(|name| *counts.entry(name).or_default() += 1);
        let whole =
            |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let next: Vec<String> = images
            .iter()
            .zip(&names)
            .map(|(path, name)| if counts[name.as_str()] > 1 { whole(path) } else { name.clone() })
            .collect();
        if next == names {
            return names;
        }
        names = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::tests::folder;

    #[test]
    fn results_do_not_go_where_their_images_are() {
        let root = folder(&["data/masks/a.png", "data/b.png"]);
        let refused = |input: &str, output: &str| {
            refuse_output_in(&root.path().join(input), "the input images", &root.path().join(output)).err()
        };
        assert!(refused("data", "data").unwrap().contains("is the folder of the input images"));
        assert!(refused("data", "data/../data/").is_some());
        assert!(refused("data/masks", "data").unwrap().contains("would replace the input images"));
        for (input, output) in [("data", "new"), ("data", "data/new"), ("data/b.png", "data"), ("nowhere", "nowhere")] {
            assert_eq!(refused(input, output), None, "{input} {output}");
        }
    }

    #[test]
    fn every_image_has_a_name_of_its_own_and_folders_below_are_named() {
        let root = folder(&["a.png", "a.jpg", "a.png.jpg", "B.PNG", "sub/b.png", "sub/deep/c.png", "notes.txt"]);
        let list = list_images(root.path()).unwrap();
        let names: Vec<&str> = list.samples.iter().map(|sample| sample.name.as_str()).collect();
        assert_eq!(names, ["B", "a.jpg", "a.png", "a.png.jpg"]);
        let told = list.passed_over(root.path()).unwrap();
        assert!(told.starts_with("2 images in folders below") && told.ends_with("sub/b.png, sub/deep/c.png"), "{told}");
        let single = list_images(&root.path().join("a.jpg")).unwrap();
        assert_eq!((single.samples[0].name.as_str(), single.passed_over(root.path())), ("a", None));
        let nested = list_images(folder(&["sub/b.png"]).path()).unwrap_err().to_string();
        assert!(nested.contains("1 in folders below"), "{nested}");
    }
}
