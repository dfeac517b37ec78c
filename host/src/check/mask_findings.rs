//! Findings on mask values.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use unet_data::counted::one_or_many;
use unet_data::histogram::{LabelHistogram, as_colour, as_gray};
use unet_data::label_facts::LabelFacts;
use unet_data::labels::agreement::palette_difference;
use unet_data::labels::ranges;
use unet_data::{DatasetFile, FileError, LabelMap, counted};
use unet_shared::label::{LabelValue, Reading};

use super::examine::{Examined, MaskFacts, Unit};
use super::finding::{Finding, Kind, Severity};

/// Findings on each mask and on the values of all masks; `file` is what `dataset.toml` or the layout says of them.
pub fn findings(
    units: &[Unit],
    examined: &[Examined],
    total: &LabelHistogram,
    map: Option<&LabelMap>,
    file: Option<&DatasetFile>,
    show: &dyn Fn(&Path) -> String,
) -> Vec<Finding> {
    let reading = &file.map_or(Reading::STORED, DatasetFile::reading);
    let lists_values = file.is_some_and(DatasetFile::lists_values);
    use Severity::{Info, Warning};
    let mut masks: Vec<(String, &MaskFacts)> = Vec::new();
    for (unit, facts) in units.iter().zip(examined) {
        if let (Some(source), Some(Ok((mask, _)))) = (&unit.mask, &facts.mask) {
            masks.push((show(source.path()), mask));
        }
    }
    let named = |is: &dyn Fn(&MaskFacts) -> bool| -> Vec<String> {
        masks.iter().filter(|(_, mask)| is(mask)).map(|(name, _)| name.clone()).collect()
    };
    let plain = |mask: &MaskFacts| !mask.source.palette || mask.label.has_plain_palette();
    let mut findings: Vec<Finding> = not_opaque(units, examined, show).into_iter().collect();
    let mut add = |severity, kind, files: Vec<String>, message: String| {
        if !files.is_empty() {
            findings.push(Finding::new(severity, kind, files, message));
        }
    };
    let lossy = named(&|mask| mask.source.lossy);
    let message = format!("JPEG does not preserve values: {} distinct values in all masks", total.values.len());
    add(Warning, Kind::JpegMask, lossy, message);
    let colours = "each distinct colour is a class, in sorted order";
    add(Info, Kind::ColourMask, named(&|mask| !lists_values && mask.colours && plain(mask)), colours.into());
    let palettes = named(&|mask| !plain(mask) || mask.source.palette && !reading.palette_indices);
    let facts: Vec<LabelFacts> = masks.iter().map(|(_, mask)| mask.label.clone()).collect();
    let name_of = |index: usize| units[index].mask.as_ref().map(|mask| show(mask.path())).unwrap_or_default();
    if !reading.palette_indices {
        let message = "the values are the palette's colours, because dataset.toml or the layout says so";
        add(Info, Kind::PaletteMask, palettes, message.into());
    } else if let Some(difference) = palette_difference(&facts) {
        let colour = |rgb| LabelValue::Rgb(rgb);
        let message = format!(
            "the palettes differ: index {} is {} in {} and {} in {}; the index is the class",
            difference.index,
            colour(difference.one.1),
            name_of(difference.one.0),
            colour(difference.other.1),
            name_of(difference.other.0)
        );
        add(Warning, Kind::PaletteMask, palettes, message);
    } else {
        add(Info, Kind::PaletteMask, palettes, "the values are the indices, not the colours".into());
    }
    let message = "the file says that 0 is white; its values are used as they are stored, nothing is inverted";
    add(Warning, Kind::WhiteIsZeroMask, named(&|mask| mask.source.white_is_zero), message.into());
    let mut message = "read as 0 and 255".to_owned();
    let bright = total.values.get(&LabelValue::Gray(255)).map_or(0, |count| count.pixels);
    if is_zero_and_255(total) && bright > total.pixels / 2 {
        let share = bright as f64 / total.pixels as f64 * 100.0;
        let _ = write!(message, "; 255 has {share:.1} % of the pixels: if it is the background, the mask is inverted");
    }
    let one_bit = |mask: &MaskFacts| mask.source.bit_depth == 1 && !mask.source.palette;
    add(Info, Kind::OneBitMask, named(&one_bit), message);
    let transparent = masks.iter().map(|(_, mask)| mask.transparent).fold(0.0, f64::max) * 100.0;
    let message = format!("mask with transparent pixels, up to {transparent:.2} %; dataset.toml says what they are");
    add(Info, Kind::TransparentMask, named(&|mask| mask.transparent > 0.0), message);
    let opaque = |mask: &MaskFacts| mask.source.alpha && mask.transparent == 0.0;
    let message =
        "mask with an alpha channel, opaque everywhere, or a palette with transparent entries; the alpha is ignored";
    add(Info, Kind::AlphaChannel, named(&opaque), message.into());
    if is_zero_and_255(total) {
        let message = "the masks contain only 0 and 255: they become classes 0 and 1; 255 is not ignored";
        findings.push(Finding::new(Info, Kind::ZeroAnd255Mask, Vec::new(), message));
    }
    findings.extend(never_together(&masks, total));
    if let Some(map) = map.filter(|_| !lists_values) {
        findings.extend(of_one_mask(&masks, total, map));
    }
    let single = masks.iter().filter_map(|(name, mask)| Some((name.clone(), mask.single?))).collect();
    findings.extend(empty_masks(single, masks.len()));
    if let Some(map) = map.filter(|map| map.classes.len() == 1) {
        let message = format!("all masks contain one class, {}: there is nothing to learn", map.classes[0].name);
        findings.push(Finding::new(Warning, Kind::Classes, Vec::new(), message));
    }
    findings
}

/// Masks that are copies of their images, a finding for each.
pub fn images_as_masks(units: &[Unit], examined: &[Examined], show: &dyn Fn(&Path) -> String) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (unit, _) in units.iter().zip(examined).filter(|(_, facts)| facts.is_image_twice) {
        if let (Some(image), Some(mask)) = (&unit.image, &unit.mask) {
            let (image, mask) = (show(image), show(mask.path()));
            let message = format!("{mask} is not a mask, it is the same file as {image}; put the mask in its place");
            findings.push(Finding::new(Severity::Error, Kind::ImageAsMask, vec![mask], message));
        }
    }
    findings
}

/// Masks that cannot be read because they have transparent pixels.
fn not_opaque(units: &[Unit], examined: &[Examined], show: &dyn Fn(&Path) -> String) -> Option<Finding> {
    let (mut files, mut most, mut worst) = (Vec::new(), 0.0, String::new());
    for (unit, facts) in units.iter().zip(examined) {
        if let (Some(mask), Some(Err(FileError::Alpha { percent, .. }))) = (&unit.mask, &facts.mask) {
            files.push(show(mask.path()));
            if *percent > most {
                (most, worst) = (*percent, show(mask.path()));
            }
        }
    }
    let message = format!(
        "the mask has transparent pixels, up to {most:.2} % in {worst}; transparent = VALUE in dataset.toml, such as 0 or \
         \"#000000\", says what they are"
    );
    (!files.is_empty()).then(|| Finding::new(Severity::Error, Kind::TransparentMask, files, message))
}

fn is_zero_and_255(total: &LabelHistogram) -> bool {
    total.values.keys().eq(&[LabelValue::Gray(0), LabelValue::Gray(255)])
}

/// A few large values that never meet in a mask: several names for one class, or classes that exclude each other.
fn never_together(masks: &[(String, &MaskFacts)], total: &LabelHistogram) -> Option<Finding> {
    let large: Vec<&LabelValue> = total.values.keys().filter(|value| **value != LabelValue::Gray(0)).collect();
    let are_codes = large.iter().all(|value| matches!(value, LabelValue::Gray(32..)));
    let meet = |mask: &MaskFacts| large.iter().filter(|value| mask.label.contains(***value)).count() > 1;
    if !(2..=8).contains(&large.len()) || !are_codes || masks.iter().any(|(_, mask)| meet(mask)) {
        return None;
    }
    let values = large.iter().map(|value| value.to_string()).collect::<Vec<_>>().join(", ");
    let message = format!(
        "the values {values} are classes of their own, and no mask contains two of them; if they mean the same, list the classes in \
         dataset.toml, that one with values = [{values}]"
    );
    Some(Finding::new(Severity::Warning, Kind::Classes, Vec::new(), message))
}

/// Fewest masks of which one may stand out.
const MASKS_MIN: usize = 8;

/// Values that become classes and occur in one mask only: rare classes, or a mask of another dataset. A finding for each mask.
fn of_one_mask(masks: &[(String, &MaskFacts)], total: &LabelHistogram, map: &LabelMap) -> Vec<Finding> {
    let mut found: BTreeMap<usize, Vec<LabelValue>> = BTreeMap::new();
    for (&value, count) in total.values.iter().filter(|(_, count)| count.labels == 1) {
        let is_class = |value| map.classes.iter().any(|class| class.values.contains(&value));
        if is_class(as_gray(value)) || is_class(as_colour(value)) {
            found.entry(count.first).or_default().push(value);
        }
    }
    let all = masks.len();
    let finding = |(index, values): (usize, Vec<LabelValue>)| {
        let (name, _) = masks.iter().find(|(_, mask)| mask.label.index == index)?;
        let (noun, verb) = if values.len() == 1 { ("value", "occurs") } else { ("values", "occur") };
        let message = format!(
            "the {noun} {} {verb} in one mask only, of {all}: leave it out if it belongs to another dataset; if not, list the classes in \
             dataset.toml",
            ranges(&values)
        );
        Some(Finding::new(Severity::Warning, Kind::Classes, vec![name.clone()], message))
    };
    if all < MASKS_MIN { vec![] } else { found.into_iter().filter_map(finding).collect() }
}

/// Masks of one value: often an object was not annotated.
fn empty_masks(single: Vec<(String, LabelValue)>, count: usize) -> Option<Finding> {
    let mut values: Vec<LabelValue> = single.iter().map(|(_, value)| *value).collect();
    values.sort();
    values.dedup();
    let shown: Vec<String> = values.iter().take(8).map(LabelValue::to_string).collect();
    let files: Vec<String> = single.into_iter().map(|(name, _)| name).collect();
    let message = format!(
        "{} of {} {} only one value ({}); is an annotation missing?",
        files.len(),
        counted(count, "mask"),
        one_or_many(files.len(), "contains", "contain"),
        shown.join(", ")
    );
    (!files.is_empty()).then(|| Finding::new(Severity::Warning, Kind::EmptyMask, files, message))
}
