//! Finds duplicate images: a score on images of the training split says nothing about new ones.

use std::collections::BTreeMap;
use std::path::Path;

use unet_data::Split;

use super::examine::{Examined, Unit};
use super::finding::{Finding, Kind, Severity};
use super::fingerprint::Fingerprint;

/// One image.
struct Print<'a> {
    file: String,
    split: Option<Split>,
    print: &'a Fingerprint,
}

/// Compares all images with each other. Similar but unequal ones are reported only across splits, since neighbours in a video or
/// a volume are always similar.
pub fn findings(units: &[Unit], examined: &[Examined], show: &dyn Fn(&Path) -> String) -> Vec<Finding> {
    let mut prints: Vec<Print> = Vec::new();
    for (unit, facts) in units.iter().zip(examined) {
        if let (Some(path), Some(Ok(image))) = (&unit.image, &facts.image)
            && let Some(print) = &image.fingerprint
        {
            prints.push(Print { file: show(path), split: unit.split, print });
        }
    }
    let mut findings = same(&prints);
    findings.extend(similar(prints));
    findings
}

/// Groups of equal images, including mirrored and rotated ones.
fn same(prints: &[Print]) -> Vec<Finding> {
    let mut groups: BTreeMap<[u8; 32], Vec<&Print>> = BTreeMap::new();
    for print in prints {
        groups.entry(print.print.canonical.0).or_default().push(print);
    }
    let mut findings = Vec::new();
    for group in groups.into_values().filter(|group| group.len() > 1) {
        let is_rotated = group.iter().any(|print| print.print.symmetry != group[0].print.symmetry);
        let how = if is_rotated { "the same image, mirrored or rotated," } else { "the same image" };
        let files = group.iter().map(|print| print.file.clone()).collect();
        findings.push(if group.iter().any(|print| print.split != group[0].split) {
            let message = format!("{how} is in {}: scores on it are meaningless", splits(&group));
            Finding::new(Severity::Error, Kind::SameImageInTwoSplits, files, message)
        } else {
            let message = format!("{how} occurs {} times in one split", group.len());
            Finding::new(Severity::Warning, Kind::SameImageTwice, files, message)
        });
    }
    findings
}

/// Pairs of images in different splits that look the same but are not equal, such as a JPEG that was mirrored and saved again.
fn similar(mut prints: Vec<Print>) -> Vec<Finding> {
    prints.sort_by(|a, b| a.print.mean().total_cmp(&b.print.mean()).then_with(|| a.file.cmp(&b.file)));
    let mut findings = Vec::new();
    for (at, a) in prints.iter().enumerate() {
        let near = prints[at + 1..].iter().take_while(|b| b.print.mean() - a.print.mean() <= Fingerprint::reach());
        for b in near {
            if a.split != b.split && a.print.canonical != b.print.canonical && a.print.is_similar(b.print) {
                let mut pair = [a, b];
                pair.sort_by(|a, b| a.file.cmp(&b.file));
                let message = format!(
                    "the two look the same, possibly mirrored, rotated or recompressed, and are in {}: scores on them mean little",
                    splits(&pair)
                );
                let files = pair.iter().map(|print| print.file.clone()).collect();
                findings.push(Finding::new(Severity::Error, Kind::SimilarImageInTwoSplits, files, message));
            }
        }
    }
    findings
}

fn splits(group: &[&Print]) -> String {
    let mut names: Vec<&str> = group.iter().filter_map(|print| print.split).map(Split::name).collect();
    names.sort_unstable();
    names.dedup();
    // Only a file that is in no pair is in no split.
    let others = match group.iter().filter(|print| print.split.is_none()).count() {
        0 => String::new(),
        1 => " (and once more, outside the pairs)".to_owned(),
        times => format!(" (and {times} times more, outside the pairs)"),
    };
    names.join(" and ") + &others
}
