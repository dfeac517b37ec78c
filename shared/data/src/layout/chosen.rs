//! Folders and endings that a person chose, where the names alone do not say which files are images and which are masks.

use std::path::{Path, PathBuf};

use super::{Contents, Format, image_folders, pair_trees};
use crate::choice::FolderChoice;
use crate::dataset_file::DATASET_FILE;
use crate::listing::{Folder, Kind, Listing};
use crate::pairing::{pair_by_keys, stem};

pub(super) static FORMAT: Format = Format {
    name: "chosen",
    description: "chosen by --images, --masks or --suffix",
    patterns: &[
        "any folders of DATA with --images FOLDER, --masks FOLDER or --suffix SUFFIX (or these keys in dataset.toml)",
    ],
    // `layout::read` asks `read_chosen` instead.
    read: |_| Ok(None),
};

/// Reads the chosen folders; each folder of masks belongs to the folder of images beside it. What is not in `flags` was chosen in
/// dataset.toml.
pub(super) fn read_chosen(listing: &Listing, choice: &FolderChoice, flags: &FolderChoice) -> Result<Contents, String> {
    let of_kind =
        |kind| -> Vec<&Folder> { image_folders(listing).filter(|folder| folder.kind == Some(kind)).collect() };
    let said = |key: &str, folder: &Path, by_flag: bool| match by_flag {
        true => format!("--{key} {}", folder.display()),
        false => format!("{DATASET_FILE}: {key} = \"{}\"", folder.display()),
    };
    let stated_images = choice.images.as_deref().map(|folder| {
        let said = said("images", folder, flags.images.is_some());
        find(listing, folder, &said, &folders(listing, &[]))
    });
    let stated_images = stated_images.transpose()?;
    // Masks may lie among the images if an ending tells them apart.
    let others = |images: &[&Folder]| folders(listing, if choice.suffix.is_some() { &[] } else { images });
    let mut masks = match &choice.masks {
        Some(folder) => {
            let said = said("masks", folder, flags.masks.is_some());
            find(listing, folder, &said, &others(stated_images.as_deref().unwrap_or_default()))?
        }
        None => of_kind(Kind::Masks),
    };
    let suffix = choice.suffix.as_deref().map(str::to_lowercase);
    if let (Some(suffix), None) = (&suffix, &choice.masks) {
        masks.retain(|folder| listing.images_below(folder).iter().any(|path| has_suffix(path, suffix)));
    }
    let images = match &stated_images {
        Some(images) => images.clone(),
        None => of_kind(Kind::Images),
    };
    let mut contents = Contents::default();
    let for_masks = others(&images);
    if masks.is_empty() && suffix.is_some() {
        // Masks among the images.
        let roots = if images.is_empty() { image_folders(listing).collect() } else { images };
        masks = roots
            .into_iter()
            .filter(|folder| {
                folder.images.iter().any(|path| suffix.as_ref().is_some_and(|suffix| has_suffix(path, suffix)))
            })
            .collect();
    }
    if masks.is_empty() {
        let what = choice.suffix.as_ref().map_or_else(String::new, |suffix| format!(" whose names end in {suffix}"));
        return Err(match for_masks.as_str() {
            "" => format!("found no folder of masks{what}, and no other folder has image files; add the masks"),
            folders => format!("found no folder of masks{what}; --masks FOLDER chooses one of {folders}"),
        });
    }
    for masks in masks {
        let images = match stated_images.as_deref() {
            Some([only]) => only,
            _ => images_for(listing, masks, stated_images.as_deref().unwrap_or_default(), suffix.as_deref())?,
        };
        let pairing = match &suffix {
            Some(suffix) => with_suffix(listing, images, masks, suffix),
            None => pair_trees(listing, images, masks),
        };
        match contents.parts.iter_mut().find(|(split, _)| *split == masks.split) {
            Some((_, part)) => {
                part.samples.extend(pairing.samples);
                part.problems.extend(pairing.problems);
                part.notes.extend(pairing.notes);
            }
            None => contents.parts.push((masks.split, pairing)),
        }
    }
    for (_, part) in &mut contents.parts {
        part.samples.sort_by(|a, b| a.name.cmp(&b.name));
        if let Some(pair) = part.samples.windows(2).find(|pair| pair[0].name == pair[1].name) {
            let (first, second) = (listing.show(&pair[0].image), listing.show(&pair[1].image));
            return Err(format!("{first} and {second} have the same name; choose one folder by its whole path"));
        }
    }
    Ok(contents)
}

/// The folders that a choice names; `said` is the choice in words, and `candidates` are the folders that it may name.
fn find<'a>(listing: &'a Listing, stated: &Path, said: &str, candidates: &str) -> Result<Vec<&'a Folder>, String> {
    let whole: PathBuf = listing.root.join(stated).components().collect();
    let ends: PathBuf = stated.components().filter(|part| matches!(part, std::path::Component::Normal(_))).collect();
    let has_files = |folder: &&Folder| !listing.images_below(folder).is_empty();
    let folders_of = |matches: &dyn Fn(&Path) -> bool| -> Vec<&Folder> {
        listing
            .folders
            .iter()
            .filter(|folder| matches(&folder.path.components().collect::<PathBuf>()))
            .filter(has_files)
            .collect()
    };
    let exact = folders_of(&|path| path == whole);
    let found = if exact.is_empty() { folders_of(&|path| path.ends_with(&ends)) } else { exact };
    if found.is_empty() || ends.as_os_str().is_empty() && whole != listing.root {
        let one_of = if candidates.is_empty() { String::new() } else { format!(", one of {candidates}") };
        return Err(format!("{said}: expected a folder with image files{one_of}, found none"));
    }
    Ok(found)
}

/// The images of a folder of masks: of the folders that were chosen or whose names say images, the one beside the masks, else
/// the only one; else the only other folder beside the masks, or the masks' own if endings tell them apart.
fn images_for<'a>(
    listing: &'a Listing,
    masks: &'a Folder,
    stated: &[&'a Folder],
    suffix: Option<&str>,
) -> Result<&'a Folder, String> {
    let candidates: Vec<&Folder> = if stated.is_empty() {
        image_folders(listing).filter(|folder| folder.kind == Some(Kind::Images)).collect()
    } else {
        stated.to_vec()
    };
    let only = |found: Vec<&'a Folder>| if let [only] = found.as_slice() { Some(*only) } else { None };
    let beside = |folder: &&&Folder| folder.path.parent() == masks.path.parent() && folder.path != masks.path;
    let others = || listing.folders.iter().filter(|folder| beside(&folder) && !folder.images.is_empty());
    let own = suffix.filter(|suffix| masks.images.iter().any(|path| !has_suffix(path, suffix))).map(|_| masks);
    only(candidates.iter().filter(beside).copied().collect())
        .or_else(|| only(candidates.iter().filter(|folder| folder.split == masks.split).copied().collect()))
        .or_else(|| only(candidates))
        .or(own)
        .or_else(|| only(others().collect()))
        .or_else(|| listing.folders.first().filter(|root| !root.images.is_empty() && root.path != masks.path))
        .ok_or_else(|| {
            let (masks, folders) = (listing.show(&masks.path), folders(listing, &[]));
            format!("found no single folder of images for {masks}; --images FOLDER chooses one of {folders}")
        })
}

/// The folders with image files, without those that are `taken`.
fn folders(listing: &Listing, taken: &[&Folder]) -> String {
    const SHOWN: usize = 12;
    let is_taken = |folder: &Folder| taken.iter().any(|taken| taken.path == folder.path);
    let found: Vec<&Folder> =
        listing.folders.iter().filter(|folder| !folder.images.is_empty() && !is_taken(folder)).collect();
    let names: Vec<String> = found.iter().take(SHOWN).map(|folder| listing.show(&folder.path)).collect();
    let more = if found.len() > SHOWN { format!(" and {} more", found.len() - SHOWN) } else { String::new() };
    names.join(", ") + &more
}

fn has_suffix(path: &Path, suffix: &str) -> bool {
    stem(path).to_lowercase().strip_suffix(suffix).is_some_and(|rest| !rest.is_empty())
}

/// Pairs masks whose stems are those of the images and the suffix, in the same place below their folders.
fn with_suffix(listing: &Listing, images: &Folder, masks: &Folder, suffix: &str) -> crate::pairing::Pairing {
    let (images, masks) = (images.path.clone(), masks.path.clone());
    let below = |path: &Path| -> Vec<PathBuf> {
        listing.folders.iter().filter(|folder| folder.path.starts_with(path)).flat_map(|f| &f.images).cloned().collect()
    };
    let shared = images == masks;
    let image_files: Vec<PathBuf> =
        below(&images).into_iter().filter(|path| !shared || !has_suffix(path, suffix)).collect();
    // Other files among the masks are reported as unused.
    let mask_files: Vec<PathBuf> = below(&masks).into_iter().filter(|path| has_suffix(path, suffix)).collect();
    let place = |path: &Path, folder: &Path| {
        let path = path.strip_prefix(folder).unwrap_or(path).with_extension("");
        path.to_string_lossy().replace('\\', "/").to_lowercase()
    };
    let mask_key = |path: &Path| {
        let place = place(path, &masks);
        place.strip_suffix(suffix).map_or_else(|| place.clone(), str::to_owned)
    };
    pair_by_keys(&image_files, &mask_files, |path| place(path, &images), mask_key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::testing::{Folder, gray};
    use crate::{Dataset, DatasetError, OpenOptions};

    /// The folders of DRIVE, in which field-of-view masks are named like the images and annotations are not.
    fn drive() -> Folder {
        let folder = Folder::new();
        for number in [21, 22, 23] {
            folder.image(&format!("training/images/{number}_training.tif"));
            gray(1, &[(0, 0, 0)]).save(folder.path(&format!("training/1st_manual/{number}_manual1.png"))).unwrap();
            gray(255, &[]).save(folder.path(&format!("training/mask/{number}_training_mask.png"))).unwrap();
        }
        folder
    }

    fn open(folder: &Folder, images: &str, masks: &str, suffix: &str) -> Result<Dataset, DatasetError> {
        fn some(text: &str) -> Option<&str> {
            Some(text).filter(|text| !text.is_empty())
        }
        let choice = FolderChoice {
            images: some(images).map(PathBuf::from),
            masks: some(masks).map(PathBuf::from),
            suffix: some(suffix).map(str::to_owned),
        };
        Dataset::open(folder.root(), &OpenOptions { choice, ..OpenOptions::default() })
    }

    #[test]
    fn two_folders_of_masks_are_refused_until_one_is_chosen() {
        let folder = drive();
        let message = folder.try_open().unwrap_err().to_string();
        assert!(message.contains("training/mask and training/1st_manual"), "{message}");
        assert!(message.contains("--masks training/1st_manual or --masks training/mask chooses"), "{message}");
        for masks in ["1st_manual", "training/1st_manual", "./training/1st_manual/"] {
            let dataset = open(&folder, "", masks, "").unwrap();
            assert_eq!((dataset.layout.name(), dataset.train.len() + dataset.val.len()), ("chosen", 3));
            let label = dataset.train[0].label.as_ref().unwrap().path().to_owned();
            assert!(
                label.ends_with(format!("training/1st_manual/{}_manual1.png", &dataset.train[0].name[..2])),
                "{label:?}"
            );
            assert_eq!(
                dataset.notes,
                [
                    "images and masks are paired by their names without the endings _training and _manual1",
                    "there is no validation folder: 1 of 3 training pairs are used for validation (--val-ratio, --split-seed)"
                ]
            );
            assert_eq!(dataset.unused[0].to_string(), "training/mask (3 image files: masks without images)");
        }
        let message = open(&folder, "", "2nd_manual", "").unwrap_err().to_string();
        assert!(
            message.contains("--masks 2nd_manual: expected a folder with image files, one of training/1st_manual"),
            "{message}"
        );
        let message = open(&folder, "training/images", "2nd_manual", "").unwrap_err().to_string();
        assert!(message.contains("one of training/1st_manual, training/mask, found none"), "{message}");
        for (key, place) in [("images", "training/1st_manual, training/images"), ("masks", "training/1st_manual, ")] {
            folder.text("dataset.toml", &format!("{key} = 'nowhere'"));
            let message = folder.try_open().unwrap_err().to_string();
            let expected =
                format!("dataset.toml: {key} = \"nowhere\": expected a folder with image files, one of {place}");
            assert!(message.contains(&expected), "{message}");
        }
        folder.text("dataset.toml", "masks = 'training/mask'");
        assert_eq!(folder.open().train.len(), 2);
        // The command line takes precedence.
        assert_eq!(open(&folder, "", "1st_manual", "").unwrap().notes.len(), 2);
    }

    #[test]
    fn suffixes_choose_among_masks_beside_each_other() {
        let folder = Folder::new();
        for name in ["a", "b"] {
            folder.image(&format!("scans/{name}.png"));
            for ending in ["_liver", "_vessel"] {
                gray(1, &[]).save(folder.path(&format!("drawn/{name}{ending}.png"))).unwrap();
            }
        }
        let dataset = open(&folder, "scans", "drawn", "_vessel").unwrap();
        assert_eq!((dataset.train.len(), dataset.val.len(), dataset.problems.len()), (1, 1, 0));
        assert!(
            dataset.train[0]
                .label
                .as_ref()
                .unwrap()
                .path()
                .ends_with(format!("drawn/{}_vessel.png", dataset.train[0].name))
        );
        assert_eq!(dataset.unused[0].to_string(), "drawn (2 image files: not named by the annotations)");
        let folder = Folder::new();
        for name in ["a", "b"] {
            folder.image(&format!("{name}.png"));
            gray(1, &[]).save(folder.path(&format!("{name}-seg3.png"))).unwrap();
        }
        let dataset = open(&folder, "", "", "-seg3").unwrap();
        assert_eq!((dataset.train.len(), dataset.val.len(), dataset.problems.len()), (1, 1, 0));
        let message = open(&folder, "", "", "_none").unwrap_err().to_string();
        assert!(message.contains("found no folder of masks whose names end in _none"), "{message}");
    }

    #[test]
    fn images_are_not_offered_as_masks() {
        let folder = Folder::new();
        folder.image("images/a.png");
        folder.image("drawn/a.png");
        let message = open(&folder, "images", "", "").unwrap_err().to_string();
        assert!(message.ends_with("found no folder of masks; --masks FOLDER chooses one of drawn"), "{message}");
        let folder = Folder::new();
        folder.image("images/a.png");
        let message = open(&folder, "images", "", "").unwrap_err().to_string();
        assert!(
            message.contains("found no folder of masks, and no other folder has image files; add the masks"),
            "{message}"
        );
    }
}
