//! Findings on mask values.

use std::fmt::Write;
use std::path::Path;

use unet_data::LabelMap;
use unet_data::histogram::LabelHistogram;
use unet_shared::label::LabelValue;

use super::examine::{Examined, Unit};
use super::finding::{Finding, Kind, Severity};

/// Findings on each mask and on the values of all masks.
pub fn findings(
    units: &[Unit],
    examined: &[Examined],
    total: &LabelHistogram,
    map: Option<&LabelMap>,
    show: &dyn Fn(&Path) -> String,
) -> Vec<Finding> {
    use Severity::{Info, Warning};
    let (mut one_bit, mut colour, mut palette, mut jpeg, mut alpha) = (vec![], vec![], vec![], vec![], vec![]);
    let mut soft: Vec<(String, usize, f64)> = Vec::new();
    let mut single: Vec<(String, LabelValue)> = Vec::new();
    let mut count = 0;
    for (unit, facts) in units.iter().zip(examined) {
        let (Some(mask_source), Some(Ok((mask, _)))) = (&unit.mask, &facts.mask) else {
            continue;
        };
        count += 1;
        let name = show(mask_source.path());
        if let Some(value) = mask.single {
            single.push((name.clone(), value));
        }
        if mask.source.lossy {
            jpeg.push(name.clone());
        } else if let Some((values, share)) = mask.between {
            soft.push((name.clone(), values, share));
        }
        if mask.source.alpha {
            alpha.push(name.clone());
        }
        if mask.source.palette {
            palette.push(name);
        } else if mask.colours {
            colour.push(name);
        } else if mask.source.bit_depth == 1 {
            one_bit.push(name);
        }
    }
    let joined = map.map_or(0, |map| map.joined.len());
    let remedy = if joined > 0 {
        "each value between is mapped to the class with the nearest value"
    } else {
        "save the masks without smoothing, or list the classes in dataset.toml with join_between = true"
    };
    let mut findings = Vec::new();
    let mut add = |severity, kind, files: Vec<String>, message: String| {
        if !files.is_empty() {
            findings.push(Finding::new(severity, kind, files, message));
        }
    };
    if !soft.is_empty() {
        let max = soft.iter().map(|(_, values, _)| *values).max().unwrap_or(0);
        let share = soft.iter().map(|(_, _, share)| *share).fold(0.0, f64::max) * 100.0;
        let message = format!(
            "anti-aliased or scaled mask: up to {max} values that occur only between areas, on up to {share:.2} % of the pixels; {remedy}"
        );
        add(Warning, Kind::AntiAliasedMask, soft.into_iter().map(|(name, ..)| name).collect(), message);
    }
    let message =
        format!("JPEG does not preserve values: {} distinct values in all masks; {remedy}", total.values.len());
    add(Warning, Kind::JpegMask, jpeg, message);
    let colours = "RGB mask: each distinct colour is a class, in sorted order";
    add(Info, Kind::ColourMask, colour, colours.into());
    let message = "palette mask: the palette's colours are the classes, not the indices".into();
    add(Info, Kind::ColourMask, palette, message);
    let mut message = "1-bit mask, read as 0 and 255".to_owned();
    let bright = total.values.get(&LabelValue::Gray(255)).map_or(0, |count| count.pixels);
    if is_zero_and_255(total) && bright > total.pixels / 2 {
        let share = bright as f64 / total.pixels as f64 * 100.0;
        let _ = write!(message, "; 255 has {share:.1} % of the pixels: if it is the background, the mask is inverted");
    }
    add(Info, Kind::OneBitMask, one_bit, message);
    add(Info, Kind::AlphaChannel, alpha, "mask with an alpha channel, opaque everywhere; the alpha is ignored".into());
    if is_zero_and_255(total) {
        let message = "the masks contain only 0 and 255: they become classes 0 and 1; 255 is not ignored";
        findings.push(Finding::new(Info, Kind::ZeroAnd255Mask, Vec::new(), message));
    }
    findings.extend(empty_masks(single, count));
    if let Some(map) = map.filter(|map| map.classes.len() == 1) {
        let message = format!("all masks contain one class, {}: there is nothing to learn", map.classes[0].name);
        findings.push(Finding::new(Warning, Kind::Classes, Vec::new(), message));
    }
    findings
}

fn is_zero_and_255(total: &LabelHistogram) -> bool {
    total.values.keys().eq(&[LabelValue::Gray(0), LabelValue::Gray(255)])
}

/// Masks of one value: often an object was not annotated.
fn empty_masks(single: Vec<(String, LabelValue)>, count: usize) -> Option<Finding> {
    let mut values: Vec<LabelValue> = single.iter().map(|(_, value)| *value).collect();
    values.sort();
    values.dedup();
    let shown: Vec<String> = values.iter().take(8).map(LabelValue::to_string).collect();
    let files: Vec<String> = single.into_iter().map(|(name, _)| name).collect();
    let message = format!(
        "{} of {count} masks contain only one value ({}); is an annotation missing?",
        files.len(),
        shown.join(", ")
    );
    (!files.is_empty()).then(|| Finding::new(Severity::Warning, Kind::EmptyMask, files, message))
}
