//! Owns the curves of a run: loss, and IoU in the mean and by class, over the epochs.
//!
//! Knows numbers only; a value that is missing or not finite is a gap in its line.

use std::path::Path;

use image::RgbImage;

use super::canvas::{Anchor, Canvas, fit, ink, text_width};
use super::{EpochPoint, ReportClass, ReportError, save_png};

/// Size of either figure in pixels.
pub const SIZE: (u32, u32) = (900, 540);

const TRAIN: [u8; 3] = [31, 119, 180];
const VAL: [u8; 3] = [214, 90, 16];

/// Where the axes lie: left, top, right, bottom in pixels.
const LEFT: f32 = 66.0;
const TOP: f32 = 56.0;
const RIGHT: f32 = 676.0;
const BOTTOM: f32 = 482.0;

/// Beyond this ratio of greatest to least loss a linear axis would show the end of the run as a flat line.
const LOG_FROM_RATIO: f64 = 30.0;

/// Legend entries that fit beside the axes.
const LEGEND_ROWS: usize = 21;

/// From one legend entry to the next in pixels.
const LEGEND_LINE: f32 = 20.0;

/// Up to this many epochs each value gets a dot.
const DOTS_UP_TO: usize = 40;

/// Writes the losses of training and validation over the epochs as PNG.
pub fn loss_curves(path: &Path, epochs: &[EpochPoint]) -> Result<(), ReportError> {
    save_png(path, &loss_figure(epochs))
}

/// Writes the mean IoU and that of each class over the epochs as PNG.
pub fn iou_curves(path: &Path, epochs: &[EpochPoint], classes: &[ReportClass]) -> Result<(), ReportError> {
    save_png(path, &iou_figure(epochs, classes))
}

/// The losses of training and validation over the epochs, [`SIZE`] pixels; with a logarithmic axis when they span much.
pub fn loss_figure(epochs: &[EpochPoint]) -> RgbImage {
    let series = vec![
        Series::new("training", TRAIN, 2.2, epochs, |e| e.train_loss),
        Series::new("validation", VAL, 2.2, epochs, |e| e.val_loss),
    ];
    let range = Range::of_losses(series.iter().flat_map(|s| s.points.iter().filter_map(|p| p.1)));
    figure("Loss", &series, &range, epochs)
}

/// The mean IoU and that of each class over the epochs, 0 to 1, [`SIZE`] pixels.
pub fn iou_figure(epochs: &[EpochPoint], classes: &[ReportClass]) -> RgbImage {
    let mut series: Vec<Series> = classes
        .iter()
        .enumerate()
        .map(|(id, class)| {
            let value = move |e: &EpochPoint| e.class_iou.get(id).copied().flatten();
            Series::new(&class.name, line_color(class.color), 1.5, epochs, value)
        })
        .collect();
    // Last, so that it lies above the others; the legend names it first.
    series.push(Series::new("mean", ink::BLACK, 3.0, epochs, |e| e.mean_iou));
    series.rotate_right(1);
    figure("IoU on validation images", &series, &Range::unit(), epochs)
}

struct Series<'a> {
    name: &'a str,
    color: [u8; 3],
    width: f32,
    points: Vec<(u32, Option<f64>)>,
}

impl<'a> Series<'a> {
    fn new(
        name: &'a str,
        color: [u8; 3],
        width: f32,
        epochs: &[EpochPoint],
        value: impl Fn(&EpochPoint) -> Option<f64>,
    ) -> Self {
        let points = epochs.iter().map(|e| (e.epoch, value(e).filter(|v| v.is_finite()))).collect();
        Self { name, color, width, points }
    }

    fn last(&self) -> Option<f64> {
        self.points.iter().rev().find_map(|p| p.1)
    }
}

/// The vertical axis: its ends, whether it is logarithmic, and where its lines lie.
#[derive(Debug, Clone, PartialEq)]
struct Range {
    low: f64,
    high: f64,
    log: bool,
    ticks: Vec<f64>,
}

impl Range {
    fn unit() -> Self {
        Self { low: 0.0, high: 1.0, log: false, ticks: vec![0.0, 0.2, 0.4, 0.6, 0.8, 1.0] }
    }

    /// From 0 (or the least value, were one negative) to a round number above the greatest.
    fn of_losses(values: impl Iterator<Item = f64>) -> Self {
        let (least, greatest) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, g), v| (l.min(v), g.max(v)));
        if least > greatest {
            return Self::unit();
        }
        if least > 0.0 && greatest / least > LOG_FROM_RATIO {
            return Self::decades(least, greatest);
        }
        let low = least.min(0.0);
        let high = if greatest > low { greatest } else { low + 1.0 };
        let step = round_step((high - low) / 5.0);
        let (first, last) = ((low / step).floor(), (high / step).ceil());
        // A span that cannot be told from its end (1e300 and the like) has no lines between.
        let count = if (last - first) <= 20.0 { (last - first) as usize } else { 0 };
        let ticks = (0..=count).map(|i| (first + i as f64) * step).collect();
        Self { low: first * step, high: last * step, log: false, ticks }
    }

    fn decades(least: f64, greatest: f64) -> Self {
        let (first, last) = (least.log10().floor() as i32, greatest.log10().ceil() as i32);
        let every = (last - first) / 8 + 1;
        let ticks = (first..=last).step_by(every as usize).map(|power| 10f64.powi(power)).collect();
        Self { low: 10f64.powi(first), high: 10f64.powi(last), log: true, ticks }
    }

    fn y(&self, value: f64) -> f32 {
        let share = if self.log {
            (value.log10() - self.low.log10()) / (self.high.log10() - self.low.log10())
        } else {
            (value - self.low) / (self.high - self.low)
        };
        BOTTOM - share.clamp(0.0, 1.0) as f32 * (BOTTOM - TOP)
    }
}

/// The least of 1, 2, 5 times a power of ten that is not below `step`.
fn round_step(step: f64) -> f64 {
    let power = 10f64.powi(step.log10().floor().clamp(-300.0, 300.0) as i32);
    [1.0, 2.0, 5.0].into_iter().map(|m| m * power).find(|&s| s >= step * 0.999_999).unwrap_or(10.0 * power)
}

fn figure(title: &str, series: &[Series<'_>], range: &Range, epochs: &[EpochPoint]) -> RgbImage {
    let mut canvas = Canvas::new(SIZE.0, SIZE.1, ink::WHITE);
    canvas.text(LEFT, 28.0, Anchor::Left, 18.0, ink::BLACK, title);
    let first = epochs.iter().map(|e| e.epoch).min().unwrap_or(1);
    let last = epochs.iter().map(|e| e.epoch).max().unwrap_or(1);
    let x = |epoch: u32| match last - first {
        0 => (LEFT + RIGHT) / 2.0,
        span => LEFT + 14.0 + (RIGHT - LEFT - 28.0) * (epoch - first) as f32 / span as f32,
    };

    for &tick in &range.ticks {
        let y = range.y(tick).round();
        canvas.rect(LEFT as i64, y as i64, (RIGHT - LEFT) as i64, 1, ink::GRID);
        canvas.text(LEFT - 10.0, y, Anchor::Right, 13.0, ink::GRAY, &tick_label(tick));
    }
    for epoch in epoch_ticks(first, last) {
        canvas.rect(x(epoch) as i64, BOTTOM as i64, 1, 6, ink::GRAY);
        canvas.text(x(epoch) + 0.5, BOTTOM + 18.0, Anchor::Center, 13.0, ink::GRAY, &epoch.to_string());
    }
    canvas.rect(LEFT as i64, BOTTOM as i64, (RIGHT - LEFT) as i64, 1, ink::GRAY);
    canvas.text((LEFT + RIGHT) / 2.0, BOTTOM + 42.0, Anchor::Center, 13.0, ink::GRAY, "epoch");

    if series.iter().all(|s| s.last().is_none()) {
        let middle = ((LEFT + RIGHT) / 2.0, (TOP + BOTTOM) / 2.0);
        canvas.text(middle.0, middle.1, Anchor::Center, 15.0, ink::GRAY, "no values yet");
    }
    for line in series.iter().rev() {
        draw_line(&mut canvas, line, &x, range);
    }
    legend(&mut canvas, series);
    canvas.into_image()
}

fn draw_line(canvas: &mut Canvas, line: &Series<'_>, x: &impl Fn(u32) -> f32, range: &Range) {
    for stretch in line.points.split(|p| p.1.is_none()) {
        let points: Vec<(f32, f32)> =
            stretch.iter().filter_map(|&(epoch, value)| Some((x(epoch) + 0.5, range.y(value?) + 0.5))).collect();
        if points.len() > 1 {
            canvas.polyline(&points, line.width, line.color);
        }
        // A value between two gaps would be invisible as a line.
        if line.points.len() <= DOTS_UP_TO || points.len() == 1 {
            for &point in &points {
                canvas.dot(point, 1.2 + line.width * 0.8, line.color);
            }
        }
    }
}

/// Names with the latest value of each, right of the axes.
fn legend(canvas: &mut Canvas, series: &[Series<'_>]) {
    let (left, right) = (RIGHT + 24.0, SIZE.0 as f32 - 14.0);
    let shown = if series.len() > LEGEND_ROWS { LEGEND_ROWS - 1 } else { series.len() };
    let mut y = TOP + 6.0;
    for line in &series[..shown] {
        canvas.polyline(&[(left, y + 0.5), (left + 20.0, y + 0.5)], line.width.max(2.0), line.color);
        let value = line.last().map_or("\u{2013}".to_owned(), |v| short(v, 3));
        let room = right - left - 28.0 - text_width(13.0, &value) - 8.0;
        canvas.text(left + 28.0, y, Anchor::Left, 13.0, ink::BLACK, &fit(13.0, line.name, room));
        canvas.text(right, y, Anchor::Right, 13.0, ink::GRAY, &value);
        y += LEGEND_LINE;
    }
    if shown < series.len() {
        let more = format!("and {} more", series.len() - shown);
        canvas.text(left + 28.0, y, Anchor::Left, 13.0, ink::GRAY, &more);
    }
}

/// At most ten epochs at round distances, the first and the last epoch among them where they fall on one.
fn epoch_ticks(first: u32, last: u32) -> Vec<u32> {
    let step = round_step(f64::from(last - first) / 9.0).max(1.0) as u32;
    if step == 1 {
        return (first..=last).collect();
    }
    std::iter::once(first).chain((first / step + 1..=last / step).map(|i| i * step)).collect()
}

fn tick_label(value: f64) -> String {
    // What is left of 3 * 0.1 after its last digit is not worth a label of seventeen.
    let tidy = format!("{value:.6}").trim_end_matches('0').trim_end_matches('.').to_owned();
    if value != 0.0 && !(1e-4..1e5).contains(&value.abs()) { format!("{value:.0e}") } else { tidy }
}

/// A number with so many decimals, or in powers of ten where these would show nothing.
fn short(value: f64, decimals: usize) -> String {
    if value != 0.0 && !(1e-3..1e4).contains(&value.abs()) {
        format!("{value:.1e}")
    } else {
        format!("{value:.decimals$}")
    }
}

/// The class's own colour, darkened or lightened until it can be told from the paper and from the mean's black.
fn line_color(color: [u8; 3]) -> [u8; 3] {
    let [r, g, b] = color.map(f32::from);
    let light = 0.299 * r + 0.587 * g + 0.114 * b;
    match light {
        l if l > 175.0 => color.map(|c| (f32::from(c) * 175.0 / l) as u8),
        l if l < 95.0 => color.map(|c| {
            let share = (95.0 - l) / (255.0 - l);
            (f32::from(c) + (255.0 - f32::from(c)) * share) as u8
        }),
        _ => color,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(name: &str, color: [u8; 3]) -> ReportClass {
        ReportClass { name: name.into(), color }
    }

    fn point(epoch: u32, loss: Option<f64>, iou: Option<f64>) -> EpochPoint {
        EpochPoint { epoch, train_loss: loss, val_loss: None, mean_iou: iou, class_iou: vec![iou] }
    }

    fn count(image: &RgbImage, color: [u8; 3], within: std::ops::Range<u32>) -> usize {
        image.enumerate_pixels().filter(|(x, _, p)| within.contains(x) && p.0 == color).count()
    }

    #[test]
    fn curves_are_there_in_their_colours() {
        let epochs: Vec<EpochPoint> = (1..=5)
            .map(|e| EpochPoint { val_loss: Some(0.5), ..point(e, Some(1.0 / f64::from(e)), Some(0.1 * f64::from(e))) })
            .collect();
        let axes = LEFT as u32..RIGHT as u32;
        let loss = loss_figure(&epochs);
        assert_eq!(loss.dimensions(), SIZE);
        assert!(count(&loss, TRAIN, axes.clone()) > 500);
        assert!(count(&loss, VAL, axes.clone()) > 500);
        let green = [0, 158, 115];
        let iou = iou_figure(&epochs, &[class("disc", green)]);
        assert!(count(&iou, green, RIGHT as u32..SIZE.0) > 10, "no legend");
        assert!(count(&iou, ink::BLACK, axes.clone()) > 500, "no mean");
        // The mean lies over the one class.
        let apart: Vec<EpochPoint> = epochs
            .iter()
            .map(|e| EpochPoint { mean_iou: Some(0.9), class_iou: vec![Some(0.5)], ..e.clone() })
            .collect();
        assert!(count(&iou_figure(&apart, &[class("disc", green)]), green, axes) > 400, "no class");
    }

    #[test]
    fn a_gap_splits_the_line_and_a_lone_value_is_a_dot() {
        let with = |values: &[Option<f64>]| {
            let epochs: Vec<EpochPoint> = (1..).zip(values).map(|(e, &v)| point(e, v, None)).collect();
            count(&loss_figure(&epochs), TRAIN, LEFT as u32..RIGHT as u32)
        };
        let (whole, gap, lone) = (
            with(&[Some(1.0), Some(1.0), Some(1.0)]),
            with(&[Some(1.0), None, Some(1.0)]),
            with(&[Some(f64::NAN), Some(1.0), Some(f64::INFINITY)]),
        );
        assert!(whole > 10 * gap && gap > lone && lone > 5, "{whole} {gap} {lone}");
        assert_eq!(with(&[None, None]), 0);
        assert_eq!(with(&[]), 0);
    }

    #[test]
    fn ranges_by_hand() {
        let of = |values: &[f64]| Range::of_losses(values.iter().copied());
        assert_eq!(of(&[]), Range::unit());
        let range = of(&[0.9, 2.3]);
        assert_eq!((range.low, range.high, range.log), (0.0, 2.5, false));
        assert_eq!(range.ticks, [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]);
        let range = of(&[0.02, 3.0]);
        assert_eq!((range.low, range.high, range.log), (0.01, 10.0, true));
        assert_eq!(range.ticks.len(), 4);
        assert!((range.y(1.0) - (BOTTOM - (BOTTOM - TOP) * 2.0 / 3.0)).abs() < 1e-3);
        assert_eq!(of(&[0.0, 0.0]).ticks, [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(of(&[-3.0, 1.0]).low, -3.0);
        for extreme in
            [&[1e300][..], &[1e-300], &[-1e300, 1e300], &[f64::MAX, f64::MIN_POSITIVE], &[-f64::MAX, f64::MAX]]
        {
            let epochs = [point(1, Some(extreme[0]), None), point(2, extreme.last().copied(), None)];
            assert_eq!(loss_figure(&epochs).dimensions(), SIZE);
        }
    }

    #[test]
    fn epoch_ticks_by_hand() {
        assert_eq!(epoch_ticks(1, 1), [1]);
        assert_eq!(epoch_ticks(1, 4), [1, 2, 3, 4]);
        assert_eq!(epoch_ticks(1, 40), [1, 5, 10, 15, 20, 25, 30, 35, 40]);
        assert_eq!(epoch_ticks(1, 200).last(), Some(&200));
        assert!(epoch_ticks(0, u32::MAX).len() <= 11);
    }

    #[test]
    fn labels_by_hand() {
        assert_eq!([0.6000000000000001, 0.0, 2.5, 1000.0, 0.001].map(tick_label), ["0.6", "0", "2.5", "1000", "0.001"]);
        assert_eq!([1e-6, 1e6].map(tick_label), ["1e-6", "1e6"]);
        assert_eq!(
            (short(0.51239, 3), short(1.2e-5, 3), short(0.0, 3)),
            ("0.512".into(), "1.2e-5".into(), "0.000".into())
        );
    }

    #[test]
    fn any_number_of_classes_and_epochs() {
        for (classes, epochs) in [(0, 1), (1, 1), (20, 3), (40, 300)] {
            let name = |i| format!("class number {i} of a data set with long names");
            let classes: Vec<ReportClass> = (0..classes).map(|i| class(&name(i), [255, 255, 0])).collect();
            let points: Vec<EpochPoint> = (1..=epochs).map(|e| point(e, Some(0.3), Some(0.4))).collect();
            assert_eq!(iou_figure(&points, &classes).dimensions(), SIZE);
        }
    }

    #[test]
    fn line_colours_keep_off_white_and_black() {
        assert_eq!(line_color([0, 158, 115]), [0, 158, 115]);
        assert_eq!(line_color([255, 255, 255]), [175, 175, 175]);
        assert_eq!(line_color([0, 0, 0]), [95, 95, 95]);
    }
}
