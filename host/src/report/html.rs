//! report.html: one static page with plots, tables, panels and configuration of a run, so that the one file can be mailed or
//! archived.
//!
//! Images are data URIs, plots and style are inline, there is no script and nothing is fetched. Every text that comes from a
//! file, a flag or a dataset is escaped. Knows no run folder and derives nothing but scores from counts.

use std::fmt::Write;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use unet_shared::metrics::OwnedConfusion;

use super::confusion::confusion_matrix;
use super::curves::{iou_curves, loss_curves};
use super::markup::escape;
use super::panel::Tile;
use super::reliability::reliability;
use super::svg::{self, Svg};
use super::{ReportClass, ReportData, ReportError, ReportTable, png_bytes, write_whole};
use crate::assessment::boundary::BoundaryIou;

const STYLE: &str = include_str!("report.css");

/// Writes the page. An existing file is replaced as a whole or not at all.
///
/// # Errors
/// If the data contradict each other or the file cannot be written.
pub fn write_report(path: &Path, data: &ReportData) -> Result<(), ReportError> {
    write_whole(path, page(data)?.as_bytes())
}

/// The page as text.
fn page(data: &ReportData) -> Result<String, ReportError> {
    let mut out = begin(&data.title, &data.subtitle);
    key_figures(&mut out, &data.key_figures);
    curves(&mut out, data);
    if let Some(counts) = &data.confusion {
        scores(&mut out, &data.classes, counts)?;
    }
    boundaries_and_calibration(&mut out, data);
    panels(&mut out, data)?;
    for table in &data.tables {
        section(&mut out, &table.title);
        plain_table(&mut out, table);
        out += "</section>\n";
    }
    if !data.dataset.is_empty() {
        section(&mut out, "Dataset");
        let rows = data.dataset.iter().map(|(label, value)| vec![label.clone(), value.clone()]).collect();
        plain_table(&mut out, &ReportTable { rows, ..ReportTable::default() });
        out += "</section>\n";
    }
    if !data.config.is_empty() {
        section(&mut out, "Resolved configuration");
        add(&mut out, format_args!("<pre>{}</pre>\n</section>\n", escape(data.config.trim_end())));
    }
    out += END;
    Ok(out)
}

/// The page up to its first section.
pub(super) fn begin(title: &str, subtitle: &str) -> String {
    let mut out = String::new();
    let title = escape(title);
    out += "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n";
    out += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
    out += "<meta name=\"color-scheme\" content=\"light dark\">\n";
    let plots = svg::STYLE;
    add(&mut out, format_args!("<title>{title}</title>\n<style>\n{STYLE}{plots}</style>\n</head>\n<body>\n<header>\n"));
    add(&mut out, format_args!("<h1>{title}</h1>\n"));
    if !subtitle.is_empty() {
        add(&mut out, format_args!("<p class=\"subtitle\">{}</p>\n", escape(subtitle)));
    }
    out += "</header>\n<main>\n";
    out
}

/// What follows the last section.
pub(super) const END: &str = "</main>\n</body>\n</html>\n";

pub(super) fn key_figures(out: &mut String, figures: &[(String, String)]) {
    if figures.is_empty() {
        return;
    }
    out.push_str("<dl class=\"key\">\n");
    for (label, value) in figures {
        add(out, format_args!("<div><dt>{}</dt><dd>{}</dd></div>\n", escape(label), escape(value)));
    }
    out.push_str("</dl>\n");
}

fn curves(out: &mut String, data: &ReportData) {
    if data.epochs.is_empty() {
        return;
    }
    section(out, "Curves");
    out.push_str("<div class=\"pair\">\n");
    plot(out, &loss_curves(&data.epochs));
    plot(out, &iou_curves(&data.epochs, &data.classes));
    out.push_str("</div>\n</section>\n");
}

/// The table of classes and the heat map of the same counts.
fn scores(out: &mut String, classes: &[ReportClass], matrix: &OwnedConfusion) -> Result<(), ReportError> {
    let heat_map = confusion_matrix(classes, matrix)?;
    let k = matrix.classes();
    section(out, "Classes");
    out.push_str("<div class=\"pair top\">\n<div class=\"scroll\"><table>\n<thead><tr><th>class</th>");
    out.push_str(
        "<th class=\"n\">IoU</th><th class=\"n\">Dice</th><th class=\"n\">share of pixels</th></tr></thead>\n<tbody>\n",
    );
    let pixels: u128 = (0..k).map(|class| u128::from(matrix.truth_pixels(class))).sum();
    for (id, class) in classes.iter().enumerate() {
        let share = (pixels > 0).then(|| 100.0 * matrix.truth_pixels(id) as f64 / pixels as f64);
        let share = share.map_or_else(dash, |share| format!("{share:.2} %"));
        out.push_str("<tr>");
        class_cell(out, class);
        score_cells(out, matrix.iou(id), matrix.dice(id));
        add(out, format_args!("<td class=\"n\">{share}</td></tr>\n"));
    }
    let dices: Vec<f64> = (0..k).filter_map(|id| matrix.dice(id)).collect();
    let mean_dice = (!dices.is_empty()).then(|| dices.iter().sum::<f64>() / dices.len() as f64);
    out.push_str("</tbody>\n<tfoot><tr><td>mean</td>");
    score_cells(out, matrix.mean_iou(), mean_dice);
    let accuracy = matrix.pixel_accuracy().map_or_else(dash, |a| format!("{a:.4}"));
    out.push_str("<td></td></tr>\n");
    add(out, format_args!("<tr><td>pixel accuracy</td><td class=\"n\">{accuracy}</td><td></td><td></td></tr>"));
    out.push_str("</tfoot>\n</table></div>\n");
    plot(out, &heat_map);
    out.push_str("</div>\n</section>\n");
    Ok(())
}

/// IoU with a bar before the number, and Dice; a dash for a class without a score.
fn score_cells(out: &mut String, iou: Option<f64>, dice: Option<f64>) {
    match iou {
        Some(iou) => add(
            out,
            format_args!("<td class=\"n\"><meter min=\"0\" max=\"1\" value=\"{iou:.4}\"></meter> {iou:.4}</td>"),
        ),
        None => add(out, format_args!("<td class=\"n\">{}</td>", dash())),
    }
    add(out, format_args!("<td class=\"n\">{}</td>", dice.map_or_else(dash, |dice| format!("{dice:.4}"))));
}

/// The table of boundary IoU by class and width.
fn boundaries(out: &mut String, classes: &[ReportClass], widths: &[BoundaryIou]) {
    let row = |out: &mut String, score: &dyn Fn(&BoundaryIou) -> Option<f64>| {
        for boundary in widths {
            let iou = score(boundary).map_or_else(dash, |iou| format!("{iou:.4}"));
            add(out, format_args!("<td class=\"n\">{iou}</td>"));
        }
    };
    out.push_str("<p>Boundary IoU: the IoU of each class's pixels that are at most this far from another class.</p>\n");
    out.push_str("<div class=\"scroll\"><table>\n<thead><tr><th>class</th>");
    for boundary in widths {
        add(out, format_args!("<th class=\"n\">{} pixels</th>", boundary.width));
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for (id, class) in classes.iter().enumerate() {
        out.push_str("<tr>");
        class_cell(out, class);
        row(out, &|boundary| boundary.class_iou(id));
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n<tfoot><tr><td>mean</td>");
    row(out, &BoundaryIou::mean_iou);
    out.push_str("</tr></tfoot>\n</table></div>\n");
}

/// A class with its colour.
fn class_cell(out: &mut String, class: &ReportClass) {
    let [r, g, b] = class.color;
    let name = escape(&class.name);
    add(out, format_args!("<td><i style=\"background:#{r:02x}{g:02x}{b:02x}\"></i>{name}</td>"));
}

/// The boundary IoU of each class and width, and the reliability diagram.
fn boundaries_and_calibration(out: &mut String, data: &ReportData) {
    if data.boundary.is_empty() && data.calibration.is_none() {
        return;
    }
    section(out, "Boundaries and calibration");
    out.push_str("<div class=\"pair top\">\n<div>\n");
    if !data.boundary.is_empty() {
        boundaries(out, &data.classes, &data.boundary);
    }
    out.push_str("</div>\n<div>\n");
    if let Some((calibration, error)) = data.calibration.as_ref().and_then(|found| Some((found, found.error()?))) {
        add(
            out,
            format_args!(
                "<p>Expected calibration error {error:.4}. A bar is the accuracy of the pixels predicted with these probabilities; it \
                 would end at the orange line if the probabilities were right. Below: the share of all pixels.</p>\n"
            ),
        );
        plot(out, &reliability(calibration));
    }
    out.push_str("</div>\n</div>\n</section>\n");
}

fn panels(out: &mut String, data: &ReportData) -> Result<(), ReportError> {
    if data.panels.is_empty() {
        return Ok(());
    }
    section(out, "Worst images");
    for panel in &data.panels {
        add(out, format_args!("<figure><figcaption>{}</figcaption>\n<div class=\"tiles\">\n", escape(&panel.caption)));
        for tile in &panel.tiles {
            image(out, tile)?;
        }
        out.push_str("</div></figure>\n");
    }
    out.push_str("</section>\n");
    Ok(())
}

pub(super) fn plain_table(out: &mut String, table: &ReportTable) {
    if !table.note.is_empty() {
        add(out, format_args!("<p>{}</p>\n", escape(&table.note)));
    }
    if table.rows.is_empty() {
        return;
    }
    // A heading is aligned like its cells: to the right if any of them is a number.
    let numeric = |column: usize| table.rows.iter().any(|row| row.get(column).is_some_and(|cell| is_number(cell)));
    out.push_str("<div class=\"scroll\"><table>\n");
    if !table.columns.is_empty() {
        out.push_str("<thead><tr>");
        for (column, name) in table.columns.iter().enumerate() {
            add(out, format_args!("<th{}>{}</th>", align(numeric(column)), escape(name)));
        }
        out.push_str("</tr></thead>\n");
    }
    out.push_str("<tbody>\n");
    for row in &table.rows {
        out.push_str("<tr>");
        for cell in row {
            // A list of names and values is text throughout.
            let right = !table.columns.is_empty() && is_number(cell);
            add(out, format_args!("<td{}>{}</td>", align(right), escape(cell)));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table></div>\n");
}

fn align(right: bool) -> &'static str {
    if right { " class=\"n\"" } else { "" }
}

fn is_number(cell: &str) -> bool {
    let digits = cell.trim().trim_end_matches('%').trim_end();
    digits.parse::<f64>().is_ok() || cell == dash()
}

pub(super) fn section(out: &mut String, title: &str) {
    add(out, format_args!("<section>\n<h2>{}</h2>\n", escape(title)));
}

pub(super) fn plot(out: &mut String, plot: &Svg) {
    add(out, format_args!("<figure>{}</figure>\n", plot.inline()));
}

fn image(out: &mut String, tile: &Tile) -> Result<(), ReportError> {
    let (width, height) = tile.image.dimensions();
    let (title, data) = (escape(tile.title), STANDARD.encode(png_bytes(&tile.image)?));
    add(out, format_args!("<div>{title}<img width=\"{width}\" height=\"{height}\" alt=\"{title}\" "));
    add(out, format_args!("src=\"data:image/png;base64,{data}\"></div>\n"));
    Ok(())
}

fn add(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = out.write_fmt(text);
}

/// In place of a value that is missing.
pub(crate) fn dash() -> String {
    "\u{2013}".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assessment::boundary::of_image;
    use crate::assessment::calibration::Calibration;
    use crate::report::{EpochPoint, ReportPanel};
    use image::{Rgb, RgbImage};

    fn full() -> ReportData {
        let mut calibration = Calibration::default();
        calibration.add(&[0, 0, 1], &[0, 1, 1], &[u16::MAX; 3]);
        let class = |name: &str| ReportClass { name: name.into(), color: [10, 20, 255] };
        ReportData {
            title: "<b>run & \"co\"</b>".into(),
            subtitle: "it's <i>".into(),
            key_figures: vec![("best <u>".into(), "0.9 & more".into())],
            epochs: vec![EpochPoint { epoch: 1, train_loss: Some(0.5), ..EpochPoint::default() }],
            classes: vec![class("road<script>"), class("b"), class("never")],
            confusion: Some(OwnedConfusion::from_counts(vec![3, 1, 0, 0, 4, 0, 0, 0, 0], 3).unwrap()),
            boundary: of_image(&[0, 0, 1, 1], &[0, 1, 1, 1], (4, 1), 3),
            calibration: Some(calibration),
            panels: vec![ReportPanel {
                caption: "<img src=x>".into(),
                tiles: vec![Tile { title: "image", image: RgbImage::from_pixel(1, 1, Rgb([1, 2, 3])) }],
            }],
            tables: vec![ReportTable {
                title: "Quantization <x>".into(),
                note: "a < b".into(),
                columns: vec!["class".into(), "f32 <y>".into()],
                rows: vec![vec!["<td>".into(), "0.91".into()]],
            }],
            dataset: vec![("root".into(), "a&b".into())],
            config: "name = \"<x>\"\n".into(),
        }
    }

    #[test]
    fn nothing_of_the_user_becomes_markup_and_nothing_is_fetched() {
        let page = page(&full()).unwrap();
        for raw in ["<b>run", "<i>", "<u>", "<script", "<img src=x", "<x>", "<y>", "0.9 & more", "a&b"] {
            assert!(!page.contains(raw), "{raw} is in the page as it is");
        }
        // Names of XML namespaces are all that looks like an address.
        let fetched = page.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
        assert!(!fetched.contains("http") && !fetched.contains("url("));
        for expected in
            ["&lt;b&gt;run &amp; &quot;co&quot;&lt;/b&gt;", "road&lt;script&gt;", "name = &quot;&lt;x&gt;&quot;"]
        {
            assert!(page.contains(expected), "{expected} is missing");
        }
    }

    #[test]
    fn the_page_is_balanced_and_has_its_plots_and_images() {
        let page = page(&full()).unwrap();
        for tag in ["section", "table", "tr", "td", "th", "div", "figure", "main", "header", "dl", "pre", "html", "svg"]
        {
            let open = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
            assert_eq!(open, page.matches(&format!("</{tag}>")).count(), "{tag}");
            assert!(open > 0, "no {tag}");
        }
        for plot in ["Loss", "IoU on validation images", "Confusion matrix", "Accuracy by predicted probability"] {
            assert_eq!(page.matches(&format!("aria-label=\"{plot}\"")).count(), 1, "{plot}");
        }
        assert_eq!(page.matches("src=\"data:image/png;base64,iVBORw0KGgo").count(), 1);
    }

    #[test]
    fn scores_by_hand() {
        let page = page(&full()).unwrap();
        // Class 0: IoU 3/4, Dice 6/7, 4 of 8 pixels. Class 1: IoU 4/5, Dice 8/9. The third occurs nowhere.
        for expected in
            ["0.7500</td>", "0.8571</td>", "50.00 %</td>", "0.8000</td>", "0.8889</td>", "0.7750</td>", "0.8750</td>"]
        {
            assert!(page.contains(expected), "{expected} is missing");
        }
        // Boundary pixels of class 0: 2 and 1, one shared; of class 1 by width 2: 2 and 2, one shared, by 5: 2 and 3, two shared.
        let row = |class: &str, cells: [&str; 2]| {
            let cells: String = cells.iter().map(|cell| format!("<td class=\"n\">{cell}</td>")).collect();
            format!("{class}</td>{cells}</tr>")
        };
        for expected in
            [row("b", ["0.3333", "0.6667"]), row("never", ["\u{2013}"; 2]), row("mean", ["0.4167", "0.5833"])]
        {
            assert!(page.contains(&expected), "{expected} is missing");
        }
        // All three pixels at a probability of 1, two of them right.
        assert!(page.contains("Expected calibration error 0.3333."));
        // The first table with the class.
        let absent = page.split("never</td>").nth(1).unwrap();
        assert!(
            absent.starts_with("<td class=\"n\">\u{2013}</td><td class=\"n\">\u{2013}</td><td class=\"n\">0.00 %</td>")
        );
    }

    #[test]
    fn an_empty_report_is_a_page() {
        let page = page(&ReportData::default()).unwrap();
        assert!(page.contains("<main>\n</main>"), "{page}");
    }

    #[test]
    fn counts_that_do_not_fit_are_refused_and_a_file_is_written() {
        let wrong = ReportData { classes: vec![], ..full() };
        assert_eq!(page(&wrong).unwrap_err().to_string(), "the confusion matrix has 3 classes, the report 0");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.html");
        write_report(&path, &full()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), page(&full()).unwrap());
    }
}
