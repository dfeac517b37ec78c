//! The curves of a run: loss, and IoU in the mean and by class, by epoch.
//!
//! A value that is missing or not finite is a gap in its line. Knows numbers only.

use super::axis::{ValueAxis, epoch_ticks, tick_label, value_label};
use super::svg::{Anchor, BLUE, Paint, Stroke, Svg, VERMILION, fit, text_width};
use super::{EpochPoint, ReportClass, RunCurves};

/// Size of either plot in pixels.
const SIZE: (u32, u32) = (760, 460);

/// The area of the axes in pixels.
const LEFT: f64 = 56.0;
const TOP: f64 = 50.0;
const RIGHT: f64 = 560.0;
const BOTTOM: f64 = 404.0;

/// Legend entries that fit beside the axes.
const LEGEND_ROWS: usize = 20;

/// From one legend entry to the next in pixels.
const LEGEND_LINE: f64 = 20.0;

/// Up to this many epochs each value gets a dot.
const DOTS_UP_TO: usize = 40;

/// Dashes of the classes in turn: class colours come from the dataset and need not differ for every reader.
const DASHES: [&str; 4] = ["", "9 4", "3 3", "12 3 3 3"];

/// The loss of training and validation by epoch, on a logarithmic axis if it spans much.
pub(crate) fn loss_curves(epochs: &[EpochPoint]) -> Svg {
    let series = [
        Series::new("training", stroke(BLUE, 2.2, ""), epochs, |e| e.train_loss),
        Series::new("validation", stroke(VERMILION, 2.2, "9 4"), epochs, |e| e.val_loss),
    ];
    let axis = ValueAxis::of(series.iter().flat_map(|s| s.points.iter().filter_map(|p| p.1)));
    let title = if axis.is_log { "Loss (logarithmic axis)" } else { "Loss" };
    plot(title, &series, &axis)
}

/// The mean IoU and that of each class by epoch, 0 to 1.
pub(crate) fn iou_curves(epochs: &[EpochPoint], classes: &[ReportClass]) -> Svg {
    let mean = Stroke { paint: Paint::Ink, width: 3.0, dashes: "" };
    let mut series = vec![Series::new("mean", mean, epochs, |e| e.mean_iou)];
    series.extend(classes.iter().enumerate().map(|(id, class)| {
        let stroke = stroke(line_color(class.color), 1.8, DASHES[id % DASHES.len()]);
        Series::new(&class.name, stroke, epochs, |e| e.class_iou.get(id).copied().flatten())
    }));
    plot("IoU on validation images", &series, &ValueAxis::unit())
}

/// Colours of runs in turn, with a contrast of about 3 or more on light and dark paper.
const RUNS: [[u8; 3]; 8] =
    [BLUE, VERMILION, [0, 150, 110], [190, 100, 160], [125, 110, 210], [165, 125, 20], [205, 85, 95], [125, 130, 138]];

/// The mean IoU of several runs by epoch, 0 to 1.
pub(crate) fn compared_iou(runs: &[RunCurves]) -> Svg {
    plot("Mean IoU on validation images", &compared(runs, |e| e.mean_iou), &ValueAxis::unit())
}

/// The same in the second half of each run, on an axis that shows small differences.
pub(crate) fn compared_late_iou(runs: &[RunCurves]) -> Svg {
    let mut series = compared(runs, |e| e.mean_iou);
    for line in &mut series {
        let from = line.points.len() / 2;
        line.points.drain(..from);
    }
    let axis = ValueAxis::within(series.iter().flat_map(|line| line.points.iter().filter_map(|point| point.1)));
    plot("Mean IoU, second half of each run", &series, &axis)
}

/// The loss on validation images of several runs by epoch.
pub(crate) fn compared_loss(runs: &[RunCurves]) -> Svg {
    let series = compared(runs, |e| e.val_loss);
    let axis = ValueAxis::of(series.iter().flat_map(|s| s.points.iter().filter_map(|p| p.1)));
    let title = "Loss on validation images";
    let title = if axis.is_log { format!("{title} (logarithmic axis)") } else { title.to_owned() };
    plot(&title, &series, &axis)
}

/// A line for each run: those of a series have one colour.
fn compared(runs: &[RunCurves], value: impl Fn(&EpochPoint) -> Option<f64>) -> Vec<Series<'_>> {
    runs.iter()
        .map(|run| {
            let dashes = DASHES[(run.member + run.series / RUNS.len()) % DASHES.len()];
            let line = stroke(RUNS[run.series % RUNS.len()], 1.8, dashes);
            Series::new(&run.name, line, &run.epochs, &value)
        })
        .collect()
}

fn stroke(color: [u8; 3], width: f64, dashes: &'static str) -> Stroke {
    Stroke { paint: Paint::Rgb(color), width, dashes }
}

/// A line of a plot with its name in the legend.
struct Series<'a> {
    name: &'a str,
    stroke: Stroke,
    points: Vec<(u32, Option<f64>)>,
}

impl<'a> Series<'a> {
    fn new(name: &'a str, stroke: Stroke, epochs: &[EpochPoint], value: impl Fn(&EpochPoint) -> Option<f64>) -> Self {
        let points = epochs.iter().map(|e| (e.epoch, value(e).filter(|v| v.is_finite()))).collect();
        Self { name, stroke, points }
    }

    fn last(&self) -> Option<f64> {
        self.points.iter().rev().find_map(|p| p.1)
    }
}

/// Draws the series, the first above the others.
fn plot(title: &str, series: &[Series<'_>], axis: &ValueAxis) -> Svg {
    let mut svg = Svg::new(SIZE.0, SIZE.1, title);
    svg.text(LEFT, 28.0, Anchor::Start, 18.0, Paint::Ink, title);
    let epochs = || series.iter().flat_map(|line| line.points.iter().map(|point| point.0));
    let (first, last) = (epochs().min().unwrap_or(1), epochs().max().unwrap_or(1));
    let x = |epoch: u32| match last - first {
        0 => (LEFT + RIGHT) / 2.0,
        span => LEFT + 14.0 + (RIGHT - LEFT - 28.0) * f64::from(epoch - first) / f64::from(span),
    };
    let y = |value: f64| BOTTOM - axis.position(value) * (BOTTOM - TOP);

    let thin = |paint| Stroke { paint, width: 1.0, dashes: "" };
    for &tick in &axis.ticks {
        // Half a pixel off the grid: a line of one pixel covers one row.
        let y = y(tick).round() + 0.5;
        svg.polyline([(LEFT, y), (RIGHT, y)], thin(Paint::Grid));
        svg.text(LEFT - 10.0, y, Anchor::End, 13.0, Paint::Soft, &tick_label(tick));
    }
    for epoch in epoch_ticks(first, last) {
        let x = x(epoch).round() + 0.5;
        svg.polyline([(x, BOTTOM), (x, BOTTOM + 6.0)], thin(Paint::Soft));
        svg.text(x, BOTTOM + 18.0, Anchor::Middle, 13.0, Paint::Soft, &epoch.to_string());
    }
    svg.polyline([(LEFT, BOTTOM + 0.5), (RIGHT, BOTTOM + 0.5)], thin(Paint::Soft));
    svg.text((LEFT + RIGHT) / 2.0, BOTTOM + 42.0, Anchor::Middle, 13.0, Paint::Soft, "epoch");

    if series.iter().all(|s| s.last().is_none()) {
        svg.text((LEFT + RIGHT) / 2.0, (TOP + BOTTOM) / 2.0, Anchor::Middle, 15.0, Paint::Soft, "no values yet");
    }
    for line in series.iter().rev() {
        draw_line(&mut svg, line, x, y);
    }
    legend(&mut svg, series);
    svg
}

fn draw_line(svg: &mut Svg, line: &Series<'_>, x: impl Fn(u32) -> f64, y: impl Fn(f64) -> f64) {
    for stretch in line.points.split(|p| p.1.is_none()) {
        let points: Vec<(u32, f64)> = stretch.iter().filter_map(|&(epoch, value)| Some((epoch, value?))).collect();
        if points.len() > 1 {
            svg.polyline(points.iter().map(|&(epoch, value)| (x(epoch), y(value))), line.stroke);
        }
        // A value between two gaps would be invisible as a line.
        if line.points.len() <= DOTS_UP_TO || points.len() == 1 {
            for &(epoch, value) in &points {
                let tooltip = format!("{}, epoch {epoch}: {}", line.name, value_label(value));
                svg.circle((x(epoch), y(value)), 1.2 + line.stroke.width * 0.8, line.stroke.paint, &tooltip);
            }
        }
    }
}

/// Names with the latest value of each, right of the axes.
fn legend(svg: &mut Svg, series: &[Series<'_>]) {
    let (left, right) = (RIGHT + 20.0, f64::from(SIZE.0) - 12.0);
    let shown = if series.len() > LEGEND_ROWS { LEGEND_ROWS - 1 } else { series.len() };
    let mut y = TOP + 6.0;
    for line in &series[..shown] {
        svg.polyline([(left, y), (left + 30.0, y)], line.stroke);
        let value = line.last().map_or("\u{2013}".to_owned(), value_label);
        let room = right - left - 38.0 - text_width(13.0, &value) - 6.0;
        svg.text(left + 38.0, y, Anchor::Start, 13.0, Paint::Ink, &fit(13.0, line.name, room));
        svg.text(right, y, Anchor::End, 13.0, Paint::Soft, &value);
        y += LEGEND_LINE;
    }
    if shown < series.len() {
        let more = format!("and {} more", series.len() - shown);
        svg.text(left + 38.0, y, Anchor::Start, 13.0, Paint::Soft, &more);
    }
}

/// The class's own colour, darkened or lightened until its contrast to light and dark paper is about 3 or more.
fn line_color(color: [u8; 3]) -> [u8; 3] {
    let [r, g, b] = color.map(f32::from);
    let light = 0.299 * r + 0.587 * g + 0.114 * b;
    match light {
        l if l > 150.0 => color.map(|c| (f32::from(c) * 150.0 / l) as u8),
        l if l < 110.0 => color.map(|c| {
            let share = (110.0 - l) / (255.0 - l);
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

    /// The points of the lines in a colour, the legend's samples left out.
    fn lines(svg: &Svg, color: &str) -> Vec<String> {
        let svg = svg.inline();
        let lines = svg.lines().filter(|line| line.starts_with("<polyline") && line.contains(color));
        let points = lines.map(|line| line.split('"').nth(1).unwrap().to_owned());
        points.filter(|points| !points.starts_with("580,")).collect()
    }

    #[test]
    fn a_line_goes_through_its_values() {
        let epochs = [point(1, Some(0.5), None), point(2, Some(0.25), None), point(3, Some(1.0), None)];
        // The axis ends at 1.0; the area is 354 pixels high, and 476 wide from the first epoch to the last.
        assert_eq!(lines(&loss_curves(&epochs), "#2b8ccb"), ["70,227 308,315.5 546,50"]);
        let epochs = [point(1, None, Some(0.5)), point(2, None, Some(1.0))];
        let svg = iou_curves(&epochs, &[class("disc", [0, 170, 120])]);
        assert_eq!(lines(&svg, "#00aa78"), ["70,227 546,50"]);
        assert_eq!(lines(&svg, "stroke-ink"), ["70,227 546,50"]);
        assert!(svg.inline().contains("<title>disc, epoch 2: 1.000</title>"));
    }

    #[test]
    fn a_gap_splits_the_line_and_a_lone_value_is_a_dot() {
        let with = |values: &[Option<f64>]| {
            let epochs: Vec<EpochPoint> = (1..).zip(values).map(|(e, &v)| point(e, v, None)).collect();
            let svg = loss_curves(&epochs);
            (lines(&svg, "#2b8ccb").len(), svg.inline().matches("<circle").count())
        };
        assert_eq!(with(&[Some(1.0), Some(1.0), Some(1.0)]), (1, 3));
        assert_eq!(with(&[Some(1.0), None, Some(1.0)]), (0, 2));
        assert_eq!(with(&[Some(f64::NAN), Some(1.0), Some(f64::INFINITY)]), (0, 1));
        assert_eq!(with(&[None, None]), (0, 0));
        assert_eq!(with(&[]), (0, 0));
        assert_eq!(with(&[Some(1.0); 41]), (1, 0));
    }

    #[test]
    fn any_number_of_classes_and_epochs() {
        for (classes, epochs) in [(0, 1), (1, 1), (20, 3), (40, 300)] {
            let name = |i| format!("class number {i} of a dataset with long names");
            let classes: Vec<ReportClass> = (0..classes).map(|i| class(&name(i), [255, 255, 0])).collect();
            let points: Vec<EpochPoint> = (1..=epochs).map(|e| point(e, Some(0.3), Some(0.4))).collect();
            let svg = iou_curves(&points, &classes).inline();
            assert_eq!(svg.contains("more</text>"), classes.len() > 19, "{} classes", classes.len());
        }
        for extreme in [[f64::MAX, f64::MIN_POSITIVE], [-f64::MAX, f64::MAX], [0.0, 0.0]] {
            let svg = loss_curves(&[point(1, Some(extreme[0]), None), point(u32::MAX, Some(extreme[1]), None)]);
            assert!(!svg.inline().contains("NaN") && !svg.inline().contains("inf"), "{extreme:?}");
        }
    }

    #[test]
    fn runs_of_a_series_share_a_colour_and_each_has_its_own_epochs() {
        let run = |name: &str, series, member, scores: &[f64]| {
            let epochs = (1..).zip(scores).map(|(epoch, &iou)| point(epoch, None, Some(iou))).collect();
            RunCurves { name: name.into(), series, member, epochs }
        };
        let runs = [run("a", 0, 0, &[0.5, 1.0]), run("b", 0, 1, &[0.0, 0.5]), run("c", 1, 0, &[1.0, 0.5, 0.0])];
        let svg = compared_iou(&runs);
        assert_eq!(lines(&svg, "#2b8ccb"), ["70,404 308,227", "70,227 308,50"]);
        assert_eq!(lines(&svg, "#d55e00"), ["70,50 308,227 546,404"]);
        assert!(svg.inline().contains("<title>b, epoch 2: 0.500</title>"));
        // The last epochs, 2 of 2, 2 of 2, and 2 to 3 of 3, on an axis that begins at the lowest value.
        assert_eq!(lines(&compared_late_iou(&runs), "#d55e00"), ["70,227 546,404"]);
        assert!(compared_iou(&[]).inline().contains("no values yet"));
        assert!(compared_loss(&runs).inline().contains("no values yet"));
    }

    #[test]
    fn line_colours_keep_off_white_and_black() {
        assert_eq!(line_color([0, 170, 120]), [0, 170, 120]);
        assert_eq!(line_color([255, 255, 255]), [150; 3]);
        assert_eq!(line_color([0, 0, 0]), [110; 3]);
    }
}
