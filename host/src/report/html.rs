//! Owns report.html: one static page that holds figures, tables, panels and configuration of a run, so that the one file
//! can be mailed or archived.
//!
//! Pictures are embedded as data URIs, style is inline, there is no script and nothing is fetched. Every text that comes
//! from a file, a flag or a data set is escaped. Knows no run folder and computes nothing but what counts imply.

use std::fmt::Write;
use std::path::Path;

use image::RgbImage;
use unet_shared::metrics::OwnedConfusion;

use super::confusion::confusion_figure;
use super::plots::{iou_figure, loss_figure};
use super::{ReportClass, ReportData, ReportError, ReportTable, png_bytes, write_whole};

const STYLE: &str = include_str!("report.css");

/// Writes the page. A file that is there is replaced as a whole or not at all.
pub fn write_report(path: &Path, data: &ReportData) -> Result<(), ReportError> {
    write_whole(path, page(data)?.as_bytes())
}

/// The page as text.
pub fn page(data: &ReportData) -> Result<String, ReportError> {
    let mut out = String::new();
    let title = escape(&data.title);
    out += "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n";
    out += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
    out += "<meta name=\"color-scheme\" content=\"light dark\">\n";
    add(&mut out, format_args!("<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n"));
    add(&mut out, format_args!("<h1>{title}</h1>\n"));
    if !data.subtitle.is_empty() {
        add(&mut out, format_args!("<p class=\"subtitle\">{}</p>\n", escape(&data.subtitle)));
    }
    out += "</header>\n<main>\n";
    key_figures(&mut out, &data.key_figures);
    curves(&mut out, data)?;
    if !data.counts.is_empty() {
        scores(&mut out, &data.classes, &data.counts)?;
    }
    panels(&mut out, data)?;
    for table in &data.tables {
        section(&mut out, &table.title);
        plain_table(&mut out, table);
        out += "</section>\n";
    }
    if !data.dataset.is_empty() {
        section(&mut out, "Data set");
        let rows = data.dataset.iter().map(|(label, value)| vec![label.clone(), value.clone()]).collect();
        plain_table(&mut out, &ReportTable { rows, ..ReportTable::default() });
        out += "</section>\n";
    }
    if !data.config.is_empty() {
        section(&mut out, "Resolved configuration");
        add(&mut out, format_args!("<pre>{}</pre>\n</section>\n", escape(data.config.trim_end())));
    }
    out += "</main>\n</body>\n</html>\n";
    Ok(out)
}

fn key_figures(out: &mut String, figures: &[(String, String)]) {
    if figures.is_empty() {
        return;
    }
    out.push_str("<dl class=\"key\">\n");
    for (label, value) in figures {
        add(out, format_args!("<div><dt>{}</dt><dd>{}</dd></div>\n", escape(label), escape(value)));
    }
    out.push_str("</dl>\n");
}

fn curves(out: &mut String, data: &ReportData) -> Result<(), ReportError> {
    if data.epochs.is_empty() {
        return Ok(());
    }
    section(out, "Curves");
    out.push_str("<div class=\"pair\">\n");
    picture(out, &loss_figure(&data.epochs), "Loss by epoch", "")?;
    picture(out, &iou_figure(&data.epochs, &data.classes), "IoU by epoch", "")?;
    out.push_str("</div>\n</section>\n");
    Ok(())
}

/// The table by class and the heat map of the same counts.
fn scores(out: &mut String, classes: &[ReportClass], counts: &[u64]) -> Result<(), ReportError> {
    let k = classes.len();
    let wrong = || ReportError::Counts { classes: k, counts: counts.len(), expected: k * k };
    let matrix = OwnedConfusion::from_counts(counts.to_vec(), k).map_err(|_| wrong())?;
    let figure = confusion_figure(classes, counts)?;
    section(out, "Classes");
    out.push_str("<div class=\"pair top\">\n<div class=\"scroll\"><table>\n<thead><tr><th>class</th>");
    out.push_str(
        "<th class=\"n\">IoU</th><th class=\"n\">Dice</th><th class=\"n\">share of pixels</th></tr></thead>\n<tbody>\n",
    );
    let pixels: u128 = (0..k).map(|class| u128::from(matrix.truth_pixels(class))).sum();
    for (id, class) in classes.iter().enumerate() {
        let [r, g, b] = class.color;
        let share = (pixels > 0).then(|| 100.0 * matrix.truth_pixels(id) as f64 / pixels as f64);
        let share = share.map_or_else(dash, |share| format!("{share:.2} %"));
        add(
            out,
            format_args!("<tr><td><i style=\"background:#{r:02x}{g:02x}{b:02x}\"></i>{}</td>", escape(&class.name)),
        );
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
    picture(out, &figure, "Confusion matrix", "")?;
    out.push_str("</div>\n</section>\n");
    Ok(())
}

/// IoU with a bar behind the number, and Dice. A class that has no score has a dash.
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

fn panels(out: &mut String, data: &ReportData) -> Result<(), ReportError> {
    if data.panels.is_empty() {
        return Ok(());
    }
    section(out, "Panels");
    for panel in &data.panels {
        picture(out, &panel.image, &panel.caption, &panel.caption)?;
    }
    out.push_str("</section>\n");
    Ok(())
}

fn plain_table(out: &mut String, table: &ReportTable) {
    if !table.note.is_empty() {
        add(out, format_args!("<p>{}</p>\n", escape(&table.note)));
    }
    if table.rows.is_empty() {
        return;
    }
    // A heading stands over its cells: to the right where a cell below it is a number.
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
            // A list of names and values reads as text throughout.
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

fn section(out: &mut String, title: &str) {
    add(out, format_args!("<section>\n<h2>{}</h2>\n", escape(title)));
}

fn picture(out: &mut String, image: &RgbImage, alt: &str, caption: &str) -> Result<(), ReportError> {
    let bytes = png_bytes(image).map_err(|source| ReportError::Encode { what: alt.to_owned(), source })?;
    let (width, height) = image.dimensions();
    let data = base64(&bytes);
    let alt = escape(alt);
    add(out, format_args!("<figure><img width=\"{width}\" height=\"{height}\" alt=\"{alt}\" "));
    add(out, format_args!("src=\"data:image/png;base64,{data}\">"));
    if !caption.is_empty() {
        add(out, format_args!("<figcaption>{}</figcaption>", escape(caption)));
    }
    out.push_str("</figure>\n");
    Ok(())
}

fn add(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing into a String has no way to fail.
    let _ = out.write_fmt(text);
}

fn dash() -> String {
    "\u{2013}".to_owned()
}

/// Text as HTML shows it, within an element as well as within a quoted attribute.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            // Not allowed in HTML at all, save for the three kinds of white space.
            c if c.is_control() && !matches!(c, '\n' | '\t' | '\r') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// Base64 of RFC 4648 with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |i: usize| u32::from(three.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let known = digit <= three.len();
            out.push(if known { char::from(DIGITS[(bits >> (18 - 6 * digit)) as usize & 63]) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{EpochPoint, ReportPicture};
    use image::Rgb;

    fn full() -> ReportData {
        let class = |name: &str| ReportClass { name: name.into(), color: [10, 20, 255] };
        ReportData {
            title: "<b>run & \"co\"</b>".into(),
            subtitle: "it's <i>".into(),
            key_figures: vec![("best <u>".into(), "0.9 & more".into())],
            epochs: vec![EpochPoint { epoch: 1, train_loss: Some(0.5), ..EpochPoint::default() }],
            classes: vec![class("road<script>"), class("b"), class("never")],
            counts: vec![3, 1, 0, 0, 4, 0, 0, 0, 0],
            panels: vec![ReportPicture {
                caption: "<img src=x>".into(),
                image: RgbImage::from_pixel(1, 1, Rgb([1, 2, 3])),
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
    fn escapes_by_hand() {
        assert_eq!(escape("a<b> & \"c\" 'd'\u{0}\n"), "a&lt;b&gt; &amp; &quot;c&quot; &#39;d&#39;\u{fffd}\n");
    }

    #[test]
    fn base64_of_the_rfc() {
        let cases =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")];
        for (text, expected) in cases {
            assert_eq!(base64(text.as_bytes()), expected);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xfe]), "+//+");
    }

    #[test]
    fn nothing_of_the_user_becomes_markup_and_nothing_is_fetched() {
        let page = page(&full()).unwrap();
        for raw in ["<b>run", "<i>", "<u>", "<script", "<img src=x", "<x>", "<y>", "0.9 & more", "a&b", "http"] {
            assert!(!page.contains(raw), "{raw} stands in the page as it is");
        }
        for expected in
            ["&lt;b&gt;run &amp; &quot;co&quot;&lt;/b&gt;", "road&lt;script&gt;", "name = &quot;&lt;x&gt;&quot;"]
        {
            assert!(page.contains(expected), "{expected} is missing");
        }
    }

    #[test]
    fn the_page_is_balanced_and_has_its_pictures() {
        let page = page(&full()).unwrap();
        for tag in ["section", "table", "tr", "td", "th", "div", "figure", "main", "header", "dl", "pre", "html"] {
            let open = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
            assert_eq!(open, page.matches(&format!("</{tag}>")).count(), "{tag}");
            assert!(open > 0, "no {tag}");
        }
        // Two curves, the heat map, one panel.
        assert_eq!(page.matches("src=\"data:image/png;base64,iVBORw0KGgo").count(), 4);
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
        let wrong = ReportData { counts: vec![1, 2], ..full() };
        assert_eq!(page(&wrong).unwrap_err().to_string(), "confusion matrix of 3 classes has 2 counts, expected 9");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.html");
        write_report(&path, &full()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), page(&full()).unwrap());
    }
}
