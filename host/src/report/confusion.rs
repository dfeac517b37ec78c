//! Owns the picture of a confusion matrix: a heat map whose rows are truth and whose columns are prediction.
//!
//! Each row is divided by its sum, so that a rare class shows as clearly as a frequent one. Counts come in as they are;
//! nothing is decided from the rounded shares.

use std::path::Path;

use image::RgbImage;

use super::canvas::{Anchor, Canvas, fit, ink, text_width};
use super::{ReportClass, ReportError, save_png};

/// Longest class name in pixels.
const NAME_ROOM: f32 = 150.0;

/// A class that does not occur in the truth has no shares.
const ABSENT: [u8; 3] = [236, 237, 239];

/// Writes the heat map of `counts` (row = truth, column = prediction, classes x classes, row by row) as PNG.
pub fn confusion(path: &Path, classes: &[ReportClass], counts: &[u64]) -> Result<(), ReportError> {
    save_png(path, &confusion_figure(classes, counts)?)
}

/// The heat map of `counts` (row = truth, column = prediction, classes x classes, row by row). The picture grows with the
/// number of classes, up to cells too small for numbers.
pub fn confusion_figure(classes: &[ReportClass], counts: &[u64]) -> Result<RgbImage, ReportError> {
    let k = classes.len();
    if counts.len() != k * k {
        return Err(ReportError::Counts { classes: k, counts: counts.len(), expected: k * k });
    }
    if k == 0 {
        return Err(ReportError::Empty { what: "a confusion matrix without classes" });
    }
    let cell: i64 = match k {
        1..=5 => 94,
        6..=8 => 66,
        9..=12 => 52,
        13..=20 => 42,
        21..=60 => 20,
        _ => 8,
    };
    let (name_size, number_size) = if cell >= 42 { (13.0, if cell >= 66 { 15.0 } else { 12.0 }) } else { (9.0, 0.0) };
    // Names of cells lower than a line would run into each other.
    let every = if cell >= 20 { 1 } else { 2 };
    let names: Vec<String> = classes.iter().map(|class| fit(name_size, &class.name, NAME_ROOM)).collect();
    let name_room = names.iter().map(|name| text_width(name_size, name)).fold(40.0, f32::max).ceil();
    let flat = names.iter().all(|name| text_width(name_size, name) <= cell as f32 - 8.0);

    let side = cell * k as i64;
    let left = 44 + name_room as i64;
    let top = 84;
    let below = if flat { 30 } else { name_room as i64 + 16 };
    // The title alone needs some width.
    let width = (left + side + 24).max(420);
    let height = top + side + below + 32;
    let mut canvas = Canvas::new(width as u32, height as u32, ink::WHITE);
    canvas.text(20.0, 26.0, Anchor::Left, 18.0, ink::BLACK, "Confusion matrix");
    canvas.text(20.0, 52.0, Anchor::Left, 13.0, ink::GRAY, "share of each true class in percent");

    for (truth, row) in counts.chunks(k).enumerate() {
        let total: u128 = row.iter().copied().map(u128::from).sum();
        let y = top + truth as i64 * cell;
        for (prediction, &count) in row.iter().enumerate() {
            let x = left + prediction as i64 * cell;
            let share = if total == 0 { None } else { Some(count as f64 / total as f64) };
            canvas.rect(x, y, cell - 1, cell - 1, share.map_or(ABSENT, heat));
            if number_size > 0.0 {
                let text = share.map_or("\u{2013}".to_owned(), |share| percent(share, count));
                let color = if share.is_some_and(|share| share > 0.55) { ink::WHITE } else { ink::BLACK };
                let middle = (x as f32 + cell as f32 / 2.0, y as f32 + cell as f32 / 2.0);
                canvas.text(middle.0, middle.1, Anchor::Center, number_size, color, &text);
            }
        }
    }
    for (id, name) in names.iter().enumerate().step_by(every) {
        let along = (id as i64 * cell) as f32 + cell as f32 / 2.0;
        canvas.text(left as f32 - 8.0, top as f32 + along, Anchor::Right, name_size, ink::BLACK, name);
        if flat {
            let y = (top + side) as f32 + 14.0;
            canvas.text(left as f32 + along, y, Anchor::Center, name_size, ink::BLACK, name);
        } else {
            let y = (top + side) as f32 + 8.0;
            canvas.text_upwards(left as f32 + along, y, Anchor::Right, name_size, ink::BLACK, name);
        }
    }
    let middle = (left as f32 + side as f32 / 2.0, top as f32 + side as f32 / 2.0);
    canvas.text_upwards(22.0, middle.1, Anchor::Center, 13.0, ink::GRAY, "truth");
    canvas.text(middle.0, height as f32 - 18.0, Anchor::Center, 13.0, ink::GRAY, "prediction");
    Ok(canvas.into_image())
}

/// A share of 0 to 1 in percent. 100 and 0 are only said of all and of none.
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
    // The square root lifts small confusions, which are what one looks for, off the paper.
    let position = share.clamp(0.0, 1.0).sqrt() * (STOPS.len() - 1) as f64;
    let stop = (position as usize).min(STOPS.len() - 2);
    let part = position - stop as f64;
    std::array::from_fn(|i| (STOPS[stop][i] + (STOPS[stop + 1][i] - STOPS[stop][i]) * part).round() as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(count: usize, name: &str) -> Vec<ReportClass> {
        (0..count).map(|i| ReportClass { name: format!("{name}{i}"), color: [0, 0, 0] }).collect()
    }

    fn has(image: &RgbImage, color: [u8; 3]) -> usize {
        image.pixels().filter(|p| p.0 == color).count()
    }

    #[test]
    fn cells_have_the_colour_of_their_share() {
        let image = confusion_figure(&classes(2, "c"), &[3, 1, 0, 0]).unwrap();
        let cell = 93 * 93;
        for color in [heat(0.75), heat(0.25)] {
            assert!(has(&image, color) > cell * 8 / 10, "cell of {color:?} is missing");
        }
        assert!(has(&image, ABSENT) > 2 * cell * 8 / 10, "the absent class has no gray row");
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
            let image = confusion_figure(&classes(k, "a name that is rather long for a class "), &counts).unwrap();
            assert!(image.width() <= 2400 && image.height() <= 2400, "{k} classes: {:?}", image.dimensions());
        }
        assert!(confusion_figure(&classes(3, "c"), &[u64::MAX; 9]).is_ok());
    }

    #[test]
    fn counts_that_do_not_fit_are_refused() {
        let error = confusion_figure(&classes(2, "c"), &[1, 2, 3]).unwrap_err();
        assert_eq!(error.to_string(), "confusion matrix of 2 classes has 3 counts, expected 4");
        assert!(confusion_figure(&[], &[]).is_err());
    }
}
