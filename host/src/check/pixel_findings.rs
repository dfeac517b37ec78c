//! Findings on unreadable files, on the pixels of images, and on sizes of images and masks that do not match.

use std::collections::BTreeMap;
use std::path::Path;

use unet_data::counted::one_or_many;
use unet_data::loaded_pair::same_shape;
use unet_data::{Annotation, FileError, counted};
use unet_shared::image::PixelFormat;

use super::examine::{Examined, ImageFacts, Unit, all_lack_bands};
use super::finding::{Finding, Kind, Severity};

/// Findings on each unit.
pub fn findings(units: &[Unit], examined: &[Examined], show: &dyn Fn(&Path) -> String) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut groups = Groups::default();
    for (unit, facts) in units.iter().zip(examined) {
        // Masks with transparent pixels share one finding on masks.
        for error in facts.unreadable() {
            if let &FileError::Bands { expected, found, .. } = error {
                groups.asked = expected;
                groups.lack_bands.push((show(error.path()), found));
                continue;
            }
            let remedy = if unit.is_pair() { "train --skip-unreadable leaves the pair out" } else { "it is not used" };
            let message = format!("{}; {remedy}", error.without_path());
            findings.push(Finding::new(Severity::Error, Kind::Unreadable, vec![show(error.path())], message));
        }
        let mask = facts.mask.as_ref().and_then(|mask| mask.as_ref().ok()).map(|(mask, _)| mask);
        if let (Some(path), Some(mask)) = (unit.mask.as_ref().map(Annotation::path), mask) {
            if let Some(really) = mask.really {
                findings.push(wrong_extension(show(path), really));
            }
            if mask.source.bit_depth >= 16 {
                groups.deep_masks.push(show(path));
            }
            if mask.source.orientation != 1 {
                groups.rotated_masks.push(show(path));
            }
        }
        let (Some(path), Some(Ok(image))) = (&unit.image, &facts.image) else {
            continue;
        };
        let name = show(path);
        if let Some(really) = image.really {
            findings.push(wrong_extension(name.clone(), really));
        }
        if image.extra_bands > 0 {
            let used = image.format.row_len(1);
            groups.extra_bands.entry((used + image.extra_bands, used.min(3))).or_default().push(name.clone());
        }
        if image.leftovers {
            groups.leftovers.push(name.clone());
        }
        if image.format == PixelFormat::Rgba8 {
            groups.alpha.push(name.clone());
        }
        if image.gray_as_rgb {
            groups.gray_as_rgb.push(name.clone());
        } else if image.format != PixelFormat::Gray8 {
            groups.has_colours = true;
        }
        let pair = unit.mask.as_ref().map(Annotation::path).zip(mask.map(|mask| mask.size));
        findings.extend(rotation(image, &name, pair, show));
        if let Some((mask_path, size)) = pair.filter(|(_, size)| *size != image.size) {
            findings.push(size_mismatch(image, name, size, show(mask_path)));
        }
    }
    findings.extend(groups.lacking_bands(examined));
    findings.extend(groups.findings());
    findings
}

/// Files that share a finding.
#[derive(Default)]
struct Groups {
    /// The highest band that is asked for, if it is missing from an image.
    asked: u16,
    /// Images without it, and how many bands they have.
    lack_bands: Vec<(String, usize)>,
    /// Images with bands that are not used, by the numbers of all bands and of those that are used.
    extra_bands: BTreeMap<(usize, usize), Vec<String>>,
    deep_masks: Vec<String>,
    rotated_masks: Vec<String>,
    alpha: Vec<String>,
    leftovers: Vec<String>,
    gray_as_rgb: Vec<String>,
    has_colours: bool,
}

impl Groups {
    /// The finding on images without the bands that are asked for.
    fn lacking_bands(&self, examined: &[Examined]) -> Option<Finding> {
        let fewest = self.lack_bands.iter().map(|(_, found)| *found).min()?;
        let most = self.lack_bands.iter().map(|(_, found)| *found).max()?;
        let files: Vec<String> = self.lack_bands.iter().map(|(name, _)| name.clone()).collect();
        let (lacking, all) = (files.len(), examined.iter().filter(|facts| facts.image.is_some()).count());
        let bands = if fewest == most { counted(most, "band") } else { format!("{fewest} to {most} bands") };
        let have = one_or_many(lacking, "has", "have");
        let asked = self.asked;
        if all_lack_bands(examined) {
            let images = if all == 1 { "the image".to_owned() } else { format!("all {all} images") };
            let choice = if fewest == 1 { "leave it out".to_owned() } else { format!("choose from 1 to {fewest}") };
            let message = format!("--bands asks for band {asked}, but {images} {have} {bands}; {choice}");
            return Some(Finding::new(Severity::Error, Kind::MissingBand, files, message));
        }
        let message = format!(
            "--bands asks for band {asked}, but {lacking} of {all} images {have} {bands}; train --skip-unreadable \
             leaves such images out"
        );
        Some(Finding::new(Severity::Error, Kind::Unreadable, files, message))
    }

    fn findings(self) -> Vec<Finding> {
        use Severity::{Info, Warning};
        let extra = self.extra_bands.into_iter().map(|((bands, used), files)| {
            let (first, others) =
                if used == 1 { ("1 is", bands.to_string()) } else { ("1-3 are", format!("{bands},1,2")) };
            let message = format!("has {bands} bands, of which {first} used; --bands {others} chooses others");
            Finding::new(Warning, Kind::ExtraBands, files, message)
        });
        let extra: Vec<Finding> = extra.collect();
        let all = [
            (Info, Kind::SixteenBit, self.deep_masks, "mask of more than 8 bits; its values are used as they are"),
            (
                Warning,
                Kind::ExifRotation,
                self.rotated_masks,
                "the mask's EXIF orientation is applied; the mask must match the image as displayed",
            ),
            (
                Warning,
                Kind::JpegLeftovers,
                self.leftovers,
                "data is left over before a marker: some cameras pad so, but a damaged file looks the same; look at the image",
            ),
            (Info, Kind::AlphaChannel, self.alpha, "RGBA image; its alpha is ignored"),
            (
                Info,
                Kind::GrayAsRgb,
                self.gray_as_rgb,
                if self.has_colours {
                    "three equal channels, unlike other images, which have colours"
                } else {
                    "three equal channels; training uses one gray channel, which has the same content and is faster, unless it is \
                     given --channels 3"
                },
            ),
        ];
        let filled = all.into_iter().filter(|(_, _, files, _)| !files.is_empty());
        let found = filled.map(|(severity, kind, files, message)| Finding::new(severity, kind, files, message));
        extra.into_iter().chain(found).collect()
    }
}

fn wrong_extension(file: String, really: &str) -> Finding {
    let message = format!("its content is {really}; it is read as that");
    Finding::new(Severity::Info, Kind::WrongExtension, vec![file], message)
}

/// What the EXIF orientation of an image means for its mask.
fn rotation(
    image: &ImageFacts,
    name: &str,
    mask: Option<(&Path, (usize, usize))>,
    show: &dyn Fn(&Path) -> String,
) -> Option<Finding> {
    let how = match image.orientation {
        2 => "mirrored left to right",
        3 => "rotated by 180 degrees",
        4 => "mirrored top to bottom",
        5 => "mirrored and rotated by 270 degrees",
        6 => "rotated by 90 degrees clockwise",
        7 => "mirrored and rotated by 90 degrees",
        8 => "rotated by 270 degrees clockwise",
        _ => return None,
    };
    let stored = if image.orientation >= 5 { (image.size.1, image.size.0) } else { image.size };
    let mut files = vec![name.to_owned()];
    let mut severity = Severity::Warning;
    let fit = match mask {
        None => "a mask must match the rotated image".to_owned(),
        Some((path, size)) => {
            files.push(show(path));
            if same_shape(size, image.size) && same_shape(size, stored) {
                "the mask must match the rotated image; its size fits either way, so check an overlay".to_owned()
            } else if same_shape(size, image.size) {
                severity = Severity::Info;
                "the mask's size fits the rotated image only, as it should".to_owned()
            } else if same_shape(size, stored) {
                severity = Severity::Error;
                "the mask's size fits only the image as stored: rotate the mask, or remove the orientation".to_owned()
            } else {
                "the mask's size fits neither".to_owned()
            }
        }
    };
    let message = format!("EXIF orientation {} is applied: the image is {how}; {fit}", image.orientation);
    Some(Finding::new(severity, Kind::ExifRotation, files, message))
}

fn size_mismatch(image: &ImageFacts, name: String, size: (usize, usize), mask: String) -> Finding {
    let (severity, consequence) = if same_shape(image.size, size) {
        (Severity::Warning, "with the same aspect ratio; the mask is resized to the image by nearest neighbour")
    } else {
        (
            Severity::Error,
            "with a different aspect ratio; replace the mask, or remove both files: no option leaves them out",
        )
    };
    let message = format!("image {}x{}, mask {}x{}, {consequence}", image.size.0, image.size.1, size.0, size.1);
    Finding::new(severity, Kind::SizeMismatch, vec![name, mask], message)
}
