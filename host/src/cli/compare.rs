//! `unet-host compare A.json B.json`.

use std::path::{Path, PathBuf};

use unet_data::counted;
use unet_engine::exit::Exit;
use unet_host::error::HostError;
use unet_host::parity::{Difference, DropReport, Parity, compare, compare_within};
use unet_shared::record::EvaluationRecord;

/// Which records to compare, and how.
#[derive(Debug, clap::Args)]
pub struct Compare {
    /// Evaluation record
    first: PathBuf,
    /// Evaluation record of the same data
    second: PathBuf,
    /// Compare IoU instead: no class, nor the mean, may be lower in the second record by more than this
    #[arg(long)]
    max_drop: Option<f64>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Compare {
    pub fn run(self) -> Result<Exit, HostError> {
        let (first, second) = (read(&self.first)?, read(&self.second)?);
        let passed = match self.max_drop {
            None => {
                let parity = compare(&first, &second);
                super::print(self.json, &parity, || text(&parity))?;
                parity.equal
            }
            Some(max_drop) if (0.0..=1.0).contains(&max_drop) => {
                let report = compare_within(&first, &second, max_drop);
                super::print(self.json, &report, || drop_text(&report))?;
                report.within
            }
            Some(found) => {
                return Err(HostError::Usage(format!(
                    "--max-drop: expected a drop of IoU from 0 to 1, such as 0.05, found {found}"
                )));
            }
        };
        Ok(if passed { Exit::Success } else { Exit::Fault })
    }
}

fn read(path: &Path) -> Result<EvaluationRecord, HostError> {
    let bytes = std::fs::read(path).map_err(|source| HostError::Read { path: path.to_owned(), source })?;
    EvaluationRecord::from_json(&bytes).map_err(|source| HostError::Record { path: path.to_owned(), source })
}

/// Maximum number of differences to print; JSON has all.
const SHOWN: usize = 20;

/// An exact comparison as text.
pub fn text(parity: &Parity) -> String {
    if parity.equal {
        return format!("parity: equal, {}\n", counted(parity.frames, "frame"));
    }
    let count = parity.differences.len();
    let over = match parity.frames {
        0 => "the records have no frame in common".to_owned(),
        frames => format!("{} over {}", counted(count, "difference"), counted(frames, "frame")),
    };
    let mut text = format!("parity: NOT EQUAL, {over}\n");
    if parity
        .differences
        .iter()
        .any(|difference| matches!(difference, Difference::Subject { what, .. } if what == "engine"))
    {
        text += "  records of different networks are never equal; --max-drop compares their IoU\n";
    }
    for difference in parity.differences.iter().take(SHOWN) {
        text += &format!("  {difference}\n");
    }
    if count > SHOWN {
        text += &format!("  and {} more\n", count - SHOWN);
    }
    text
}

/// A comparison within a drop as text.
fn drop_text(report: &DropReport) -> String {
    let width = report.classes.iter().map(|c| c.class.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for difference in &report.differences {
        text += &format!("different data: {difference}\n");
    }
    for class in &report.classes {
        let drop = class.drop.map_or_else(|| "none".to_owned(), |d| format!("{d:+.4}"));
        let (first, second) = (super::ratio(class.first), super::ratio(class.second));
        let mark = if class.within { "" } else { "  TOO LARGE" };
        text += &format!("  {:width$}  first {first}  second {second}  drop {drop}{mark}\n", class.class);
    }
    if !report.judged {
        return text + "drop: NOT JUDGED, the records are not of the same data\n";
    }
    let verdict = if report.within { "within" } else { "NOT WITHIN" };
    text + &format!("drop: {verdict} {}\n", report.max_drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_other_data_are_not_judged() {
        let difference = |what: &str| Difference::Subject {
            what: what.to_owned(),
            first: "one".to_owned(),
            second: "two".to_owned(),
        };
        let mut report = DropReport {
            max_drop: 0.5,
            within: false,
            judged: false,
            classes: vec![],
            differences: vec![difference("tiles")],
        };
        let expected = "different data: tiles: one in the first, two in the second\n\
                        drop: NOT JUDGED, the records are not of the same data\n";
        assert_eq!(drop_text(&report), expected);
        report = DropReport { judged: true, differences: vec![], ..report };
        assert_eq!(drop_text(&report), "drop: NOT WITHIN 0.5\n");
    }

    #[test]
    fn the_way_to_compare_other_networks_is_named() {
        let difference =
            |what: &str| Difference::Subject { what: what.to_owned(), first: String::new(), second: String::new() };
        let hint = |what: &str| {
            text(&Parity { frames: 1, equal: false, differences: vec![difference(what)] })
                .contains("--max-drop compares")
        };
        assert!(hint("engine") && !hint("split"));
    }
}
