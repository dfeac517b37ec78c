//! Images that are there twice: a model that was trained on what it is scored on has learnt nothing that the score shows.

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

/// Compares all images with each other; those that are alike but not equal only across splits, since neighbours in a film or a
/// volume are alike by nature.
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

/// Groups of equal images, mirrored and turned ones among them.
fn same(prints: &[Print]) -> Vec<Finding> {
    let mut groups: BTreeMap<[u8; 32], Vec<&Print>> = BTreeMap::new();
    for print in prints {
        groups.entry(print.print.canonical.0).or_default().push(print);
    }
    let mut findings = Vec::new();
    for group in groups.into_values().filter(|group| group.len() > 1) {
        let turned = group.iter().any(|print| print.print.symmetry != group[0].print.symmetry);
        let how = if turned { "the same image, mirrored or turned" } else { "the same image" };
        let files = group.iter().map(|print| print.file.clone()).collect();
        findings.push(if group.iter().any(|print| print.split != group[0].split) {
            let message = format!("{how}, is in {}: scores on it mean nothing", splits(&group));
            Finding::new(Severity::Error, Kind::SameImageInTwoSplits, files, message)
        } else {
            let message = format!("{how}, is there {} times in one split", group.len());
            Finding::new(Severity::Warning, Kind::SameImageTwice, files, message)
        });
    }
    findings
}

/// Pairs of images in different splits that look the same but are not equal, such as a JPEG that was mirrored and saved anew.
fn similar(mut prints: Vec<Print>) -> Vec<Finding> {
    prints.sort_by(|a, b| a.print.mean().total_cmp(&b.print.mean()).then_with(|| a.file.cmp(&b.file)));
    let mut findings = Vec::new();
    for (at, a) in prints.iter().enumerate() {
        let near = prints[at + 1..].iter().take_while(|b| b.print.mean() - a.print.mean() <= Fingerprint::reach());
        for b in near {
            if a.split != b.split && a.print.canonical != b.print.canonical && a.print.is_like(b.print) {
                let mut pair = [a, b];
                pair.sort_by(|a, b| a.file.cmp(&b.file));
                let message = format!(
                    "the two look the same, perhaps mirrored, turned or compressed anew, and are in {}: scores on the one mean little",
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
    let mut names: Vec<&str> = group.iter().map(|print| print.split.map_or("no split", Split::name)).collect();
    names.sort_unstable();
    names.dedup();
    names.join(" and ")
}
