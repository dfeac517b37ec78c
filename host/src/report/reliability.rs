//! The reliability diagram: how many pixels of each predicted probability are right (DeGroot and Fienberg 1983).

use super::axis::{ValueAxis, tick_label};
use super::svg::{Anchor, BLUE, Paint, Stroke, Svg, VERMILION};
use crate::assessment::calibration::{BINS, Calibration};

const SIZE: (u32, u32) = (560, 500);
const LEFT: f64 = 62.0;
const RIGHT: f64 = 540.0;
const TOP: f64 = 50.0;
/// Between accuracies above and shares of the pixels below.
const BOTTOM: f64 = 344.0;
const SHARES_TOP: f64 = 368.0;
const SHARES_BOTTOM: f64 = 436.0;

/// Accuracy by probability, a bar for each bin, with a line at its mean probability, where the bar would end if probabilities were
/// right; below, the share of the pixels in each bin.
pub(crate) fn reliability(calibration: &Calibration) -> Svg {
    let title = "Accuracy by predicted probability";
    let mut svg = Svg::new(SIZE.0, SIZE.1, title);
    svg.text(LEFT, 28.0, Anchor::Start, 18.0, Paint::Ink, title);
    let axis = ValueAxis::unit();
    let x = |value: f64| LEFT + axis.position(value) * (RIGHT - LEFT);
    let y = |value: f64| BOTTOM - axis.position(value) * (BOTTOM - TOP);
    let thin = |paint| Stroke { paint, width: 1.0, dashes: "" };
    for &tick in &axis.ticks {
        let (x, y) = (x(tick).round() + 0.5, y(tick).round() + 0.5);
        svg.polyline([(LEFT, y), (RIGHT, y)], thin(Paint::Grid));
        svg.text(LEFT - 10.0, y, Anchor::End, 13.0, Paint::Soft, &tick_label(tick));
        svg.polyline([(x, SHARES_BOTTOM), (x, SHARES_BOTTOM + 6.0)], thin(Paint::Soft));
        svg.text(x, SHARES_BOTTOM + 18.0, Anchor::Middle, 13.0, Paint::Soft, &tick_label(tick));
    }
    let all = calibration.pixels().max(1) as f64;
    for (number, bin) in calibration.bins().iter().enumerate() {
        let (Some(accuracy), Some(confidence)) = (bin.accuracy(), bin.confidence()) else { continue };
        let [low, high] = [number, number + 1].map(|edge| edge as f64 / BINS as f64);
        let (left, width) = (x(low) + 1.0, x(high) - x(low) - 2.0);
        let share = bin.pixels as f64 / all;
        let tooltip = format!(
            "probability {low:.3} to {high:.3}: {:.2} % of the pixels, mean probability {confidence:.4}, accuracy {accuracy:.4}",
            100.0 * share
        );
        svg.rect((left, y(accuracy)), (width, BOTTOM - y(accuracy)), Paint::Rgb(BLUE), &tooltip);
        svg.polyline(
            [(left, y(confidence)), (left + width, y(confidence))],
            Stroke { paint: Paint::Rgb(VERMILION), width: 3.0, dashes: "" },
        );
        let height = share * (SHARES_BOTTOM - SHARES_TOP);
        svg.rect((left, SHARES_BOTTOM - height), (width, height), Paint::Rgb(BLUE), &tooltip);
    }
    svg.polyline([(x(0.0), y(0.0)), (x(1.0), y(1.0))], Stroke { paint: Paint::Soft, width: 1.5, dashes: "5 4" });
    for bottom in [BOTTOM, SHARES_BOTTOM] {
        svg.polyline([(LEFT, bottom + 0.5), (RIGHT, bottom + 0.5)], thin(Paint::Soft));
    }
    svg.text_upwards(16.0, (TOP + BOTTOM) / 2.0, Anchor::Middle, 13.0, Paint::Soft, "accuracy");
    svg.text_upwards(16.0, (SHARES_TOP + SHARES_BOTTOM) / 2.0, Anchor::Middle, 13.0, Paint::Soft, "pixels");
    svg.text((LEFT + RIGHT) / 2.0, SHARES_BOTTOM + 42.0, Anchor::Middle, 13.0, Paint::Soft, "predicted probability");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_have_the_height_of_their_accuracy() {
        let mut calibration = Calibration::default();
        // Two pixels at 0.6, one of them right, and two at 1, both right.
        let step = |probability: f64| (probability * 65535.0) as u16;
        calibration.add(&[0, 1, 1, 0], &[0, 0, 1, 0], &[0.6, 0.6, 1.0, 1.0].map(step));
        let svg = reliability(&calibration).inline();
        // The area is 294 pixels high: half of it is 147, and half of the 68 below is 34.
        assert_eq!(svg.matches("height=\"147\"").count(), 1, "{svg}");
        assert_eq!((svg.matches("height=\"294\"").count(), svg.matches("height=\"34\"").count()), (1, 2));
        let tooltip = "probability 0.533 to 0.600: 50.00 % of the pixels, mean probability 0.6000, accuracy 0.5000";
        assert_eq!(svg.matches(tooltip).count(), 2, "{svg}");
        // 344 - 0.6 * 294, and the end of the axis.
        assert!(svg.contains(",167.6 ") && svg.contains(",50 "), "{svg}");
    }

    #[test]
    fn without_pixels_there_are_axes_only() {
        let svg = reliability(&Calibration::default()).inline();
        assert!(!svg.contains("#2b8ccb") && svg.contains("predicted probability"), "{svg}");
    }
}
