//! The page that compares runs: tables, and the curves of all runs over each other.

use std::path::Path;

use super::curves::{compared_iou, compared_late_iou, compared_loss};
use super::html::{END, begin, key_figures, plain_table, plot, section};
use super::{ReportError, ReportTable, RunCurves, write_whole};

/// The content of the page from top to bottom; what is empty is left out.
#[derive(Debug, Clone, Default)]
pub struct Comparison {
    /// The page's heading.
    pub title: String,
    /// A line under the heading.
    pub subtitle: String,
    /// The most important numbers as (label, value).
    pub key_figures: Vec<(String, String)>,
    /// Tables of runs; the first column has names.
    pub tables: Vec<ReportTable>,
    /// The curves.
    pub runs: Vec<RunCurves>,
}

/// Writes the page. An existing file is replaced as a whole or not at all.
///
/// # Errors
/// If the file cannot be written.
pub fn write_comparison(path: &Path, comparison: &Comparison) -> Result<(), ReportError> {
    write_whole(path, page(comparison).as_bytes())
}

/// The page as text.
fn page(comparison: &Comparison) -> String {
    let mut out = begin(&comparison.title, &comparison.subtitle);
    key_figures(&mut out, &comparison.key_figures);
    for table in &comparison.tables {
        section(&mut out, &table.title);
        out.push_str("<div class=\"runs\">\n");
        plain_table(&mut out, table);
        out.push_str("</div>\n</section>\n");
    }
    let runs = &comparison.runs;
    if runs.iter().any(|run| !run.epochs.is_empty()) {
        section(&mut out, "Curves");
        out.push_str("<div class=\"pair\">\n");
        for curves in [compared_iou(runs), compared_late_iou(runs), compared_loss(runs)] {
            out.push_str("<div class=\"scroll compared\">\n");
            plot(&mut out, &curves);
            out.push_str("</div>\n");
        }
        out.push_str("</div>\n</section>\n");
    }
    out + END
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::EpochPoint;

    #[test]
    fn the_page_has_all_parts_and_nothing_of_the_user_becomes_markup() {
        let epochs = vec![EpochPoint { epoch: 1, mean_iou: Some(0.5), val_loss: Some(1.0), ..EpochPoint::default() }];
        let comparison = Comparison {
            title: "<b>".into(),
            subtitle: "<i>".into(),
            key_figures: vec![("runs".into(), "<u>".into())],
            tables: vec![ReportTable {
                title: "Runs".into(),
                columns: vec!["run".into(), "best".into()],
                rows: vec![vec!["<s>".into(), "0.5".into()]],
                ..ReportTable::default()
            }],
            runs: vec![RunCurves { name: "<q>".into(), epochs, ..RunCurves::default() }],
        };
        let page = page(&comparison);
        for raw in ["<b>", "<i>", "<u>", "<s>", "<q>", "<script"] {
            assert!(!page.contains(raw), "{raw} is in the page as it is");
        }
        for plot in ["Mean IoU on validation images", "Mean IoU, second half of each run", "Loss on validation images"]
        {
            assert_eq!(page.matches(&format!("aria-label=\"{plot}\"")).count(), 1, "{plot}");
        }
        for tag in ["section", "table", "tr", "td", "th", "div", "figure", "main", "svg", "html"] {
            let open = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
            assert_eq!(open, page.matches(&format!("</{tag}>")).count(), "{tag}");
        }
        assert!(!super::page(&Comparison::default()).contains("<section"));
    }
}
