//! The confusion matrix as a heat map whose rows are truth and whose columns are prediction.
//!
//! Each row is divided by its sum, so that a rare class shows as clearly as a frequent one.

use unet_shared::metrics::OwnedConfusion;

use super::svg::{Anchor, Paint, Stroke, Svg, fit, text_width};
use super::{ReportClass, ReportError};

/// Width of the longest class name in pixels.
const NAME_ROOM: f64 = 150.0;

/// Cells of a class that does not occur in the truth: it has no shares.
const ABSENT: [u8; 3] = [236, 237, 239];

/// Text on light and on dark cells, whose colours are the same in both themes.
const DARK: [u8; 3] = [28, 30, 34];
const WHITE: [u8; 3] = [255, 255, 255];

/// Up to this many classes each cell has a tooltip with its count; beyond, the file would grow too large.
const TOOLTIPS_UP_TO: usize = 60;

/// Draws the counts. The plot grows with the number of classes, up to cells too small for numbers.
///
/// # Errors
/// If there is not one class for each row.
pub(crate) fn confusion_matrix(classes: &[ReportClass], counts: &OwnedConfusion) -> Result<Svg, ReportError> {
    let k = counts.classes();
    if classes.len() != k {
        let names = classes.len();
        return Err(ReportError::Fault(format!("the confusion matrix has {k} classes, the report {names}")));
    }
    let cell = match k {
        ..=5 => 94.0,
        6..=8 => 66.0,
        9..=12 => 52.0,
        13..=20 => 42.0,
        21..=60 => 20.0,
        _ => 8.0,
    };
    let (name_size, number_size) = match k {
        ..=8 => (13.0, Some(15.0)),
        9..=20 => (13.0, Some(12.0)),
        _ => (9.0, None),
    };
    // Names of cells lower than a line would overlap.
    let every = if cell >= 20.0 { 1 } else { 2 };
    let names: Vec<String> = classes.iter().map(|class| fit(name_size, &class.name, NAME_ROOM)).collect();
    let name_room = names.iter().map(|name| text_width(name_size, name)).fold(40.0, f64::max).ceil();
    let is_flat = names.iter().all(|name| text_width(name_size, name) <= cell - 8.0);

    let side = cell * k as f64;
    let (left, top) = (44.0 + name_room, 84.0);
    let below = if is_flat { 30.0 } else { name_room + 16.0 };
    // The title alone needs some width.
    let width = (left + side + 24.0).max(420.0);
    let height = top + side + below + 32.0;
    let mut svg = Svg::new(width as u32, height as u32, "Confusion matrix");
    svg.text(20.0, 26.0, Anchor::Start, 18.0, Paint::Ink, "Confusion matrix");
    svg.text(20.0, 52.0, Anchor::Start, 13.0, Paint::Soft, "percent of the pixels of each true class");

    for (truth, row) in counts.counts().chunks(k).enumerate() {
        let total: u128 = row.iter().copied().map(u128::from).sum();
        let y = top + truth as f64 * cell;
        // Most cells of a large matrix are 0: one rectangle for all of them keeps the file small.
        let background = if total == 0 { ABSENT } else { heat(0.0) };
        svg.rect((left, y), (side - 1.0, cell - 1.0), Paint::Rgb(background), "");
        for (prediction, &count) in row.iter().enumerate() {
            let x = left + prediction as f64 * cell;
            let share = (total > 0).then(|| count as f64 / total as f64);
            if let Some(share) = share.filter(|_| count > 0) {
                let tooltip = if k <= TOOLTIPS_UP_TO {
                    let (truth, prediction) = (&classes[truth].name, &classes[prediction].name);
                    format!("{truth} predicted as {prediction}: {count} pixels, {} %", percent(share, count))
                } else {
                    String::new()
                };
                svg.rect((x, y), (cell - 1.0, cell - 1.0), Paint::Rgb(heat(share)), &tooltip);
            }
            if let Some(size) = number_size {
                let text = share.map_or("\u{2013}".to_owned(), |share| percent(share, count));
                let color = if share.is_some_and(|share| share > 0.45) { WHITE } else { DARK };
                svg.text(x + cell / 2.0, y + cell / 2.0, Anchor::Middle, size, Paint::Rgb(color), &text);
            }
        }
    }
    let gap = Stroke { paint: Paint::Paper, width: 1.0, dashes: "" };
    for column in 1..k {
        let x = left + column as f64 * cell - 0.5;
        svg.polyline([(x, top), (x, top + side)], gap);
    }
    for (id, name) in names.iter().enumerate().step_by(every) {
        let along = id as f64 * cell + cell / 2.0;
        svg.text(left - 8.0, top + along, Anchor::End, name_size, Paint::Ink, name);
        if is_flat {
            svg.text(left + along, top + side + 14.0, Anchor::Middle, name_size, Paint::Ink, name);
        } else {
            svg.text_upwards(left + along, top + side + 8.0, Anchor::End, name_size, Paint::Ink, name);
        }
    }
    svg.text_upwards(22.0, top + side / 2.0, Anchor::Middle, 13.0, Paint::Soft, "truth");
    svg.text(left + side / 2.0, height - 18.0, Anchor::Middle, 13.0, Paint::Soft, "prediction");
    Ok(svg)
}

/// A share of 0 to 1 in percent. Only an exact 0 is written as 0, and only an exact 1 as 100.
fn percent(share: f64, count: u64) -> String {
    let text = format!("{:.1}", 100.0 * share);
    match text.as_str() {
        "0.0" if count > 0 => "<0.1".into(),
        "0.0" => "0".into(),
        "100.0" if share < 1.0 => ">99.9".into(),
        "100.0" => "100".into(),
        _ => text,
    }
}

/// From almost white over blue to dark blue, by even steps of lightness.
fn heat(share: f64) -> [u8; 3] {
    const STOPS: [[f64; 3]; 4] =
        [[246.0, 249.0, 253.0], [170.0, 203.0, 232.0], [66.0, 133.0, 196.0], [8.0, 48.0, 107.0]];
    // The square root makes small confusions, which are what one looks for, visible.
    let position = share.clamp(0.0, 1.0).sqrt() * (STOPS.len() - 1) as f64;
    let stop = (position as usize).min(STOPS.len() - 2);
    let part = position - stop as f64;
    std::array::from_fn(|i| (STOPS[stop][i] + (STOPS[stop + 1][i] - STOPS[stop][i]) * part).round() as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(counts: Vec<u64>, k: usize, name: &str) -> String {
        let classes: Vec<ReportClass> =
            (0..k).map(|i| ReportClass { name: format!("{name}{i}"), color: [0, 0, 0] }).collect();
        confusion_matrix(&classes, &OwnedConfusion::from_counts(counts, k).unwrap()).unwrap().inline()
    }

    #[test]
    fn cells_have_the_colour_and_number_of_their_share() {
        let svg = draw(vec![3, 1, 0, 0], 2, "c");
        let hex = |[r, g, b]: [u8; 3]| format!("fill=\"#{r:02x}{g:02x}{b:02x}\"");
        for (share, tooltip) in
            [(0.75, "c0 predicted as c0: 3 pixels, 75.0 %"), (0.25, "c0 predicted as c1: 1 pixels, 25.0 %")]
        {
            let cell = format!("width=\"93\" height=\"93\" {}><title>{tooltip}</title>", hex(heat(share)));
            assert!(svg.contains(&cell), "{cell} is missing");
        }
        assert_eq!(svg.matches(&hex(ABSENT)).count(), 1, "no row for the absent class");
        assert_eq!(svg.matches("\u{2013}</text>").count(), 2);
        assert!(svg.contains(">75.0</text>") && svg.contains(">25.0</text>"));
    }

    #[test]
    fn heat_ends_and_middle() {
        assert_eq!((heat(0.0), heat(1.0)), ([246, 249, 253], [8, 48, 107]));
        assert_eq!(heat(4.0 / 9.0), [66, 133, 196]);
        assert_eq!(heat(7.0), heat(1.0));
    }

    #[test]
    fn percents_by_hand() {
        let cases = [(0.5, 1, "50.0"), (0.0, 0, "0"), (1e-5, 1, "<0.1"), (1.0, 9, "100"), (0.99999, 9, ">99.9")];
        for (share, count, expected) in cases {
            assert_eq!(percent(share, count), expected);
        }
    }

    #[test]
    fn any_number_of_classes() {
        for k in [1, 2, 5, 8, 12, 20, 21, 61, 255] {
            let counts: Vec<u64> = (0..k * k).map(|i| (i % 7) as u64).collect();
            let svg = draw(counts, k, "a name that is rather long for a class ");
            assert!(svg.len() < 10 << 20, "{k} classes: {} bytes", svg.len());
        }
        draw(vec![u64::MAX / 9; 9], 3, "c");
    }

    #[test]
    fn counts_of_other_classes_are_refused() {
        let counts = OwnedConfusion::zeros(3).unwrap();
        let error = confusion_matrix(&[], &counts).unwrap_err();
        assert_eq!(error.to_string(), "the confusion matrix has 3 classes, the report 0");
    }
}
