//! Axes of plots: the range of values, where the ticks are, and how numbers are written. Knows no pixels.

/// Above this ratio of largest to smallest value a linear axis would show the end of a run as a flat line.
const LOG_FROM_RATIO: f64 = 30.0;

/// The vertical axis.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ValueAxis {
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) is_log: bool,
    pub(crate) ticks: Vec<f64>,
}

impl ValueAxis {
    /// From 0 to 1.
    pub(crate) fn unit() -> Self {
        Self { low: 0.0, high: 1.0, is_log: false, ticks: vec![0.0, 0.2, 0.4, 0.6, 0.8, 1.0] }
    }

    /// From 0 (or below, if a value is negative) to a round number above the largest value; logarithmic if the values span
    /// more than a factor of [`LOG_FROM_RATIO`]. All values are finite.
    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Self {
        let Some((min, max)) = ends(values) else { return Self::unit() };
        if min > 0.0 && max / min > LOG_FROM_RATIO {
            return Self::decades(min, max);
        }
        let low = min.min(0.0);
        let high = if max > low { max } else { low + 1.0 };
        let step = round_step((high - low) / 5.0);
        let (first, last) = ((low / step).floor(), (high / step).ceil());
        let ticks = (0..=(last - first) as usize).map(|i| (first + i as f64) * step).collect();
        Self { low: first * step, high: last * step, is_log: false, ticks }
    }

    /// From a round number below the smallest value to one above the largest. All values are finite.
    pub(crate) fn within(values: impl Iterator<Item = f64>) -> Self {
        let Some((min, max)) = ends(values) else { return Self::unit() };
        // Values that are equal, or nearly so, are in the middle of their axis.
        let size = min.abs().max(max.abs());
        let margin = if max - min > 1e-9 * size { 0.0 } else { (size * 0.01).max(1e-3) };
        let (low, high) = (min - margin, max + margin);
        let step = round_step((high - low) / 5.0);
        // In units of the step, as the difference of large numbers is not.
        let (first, last) = ((low / step + 1e-9).floor(), (high / step - 1e-9).ceil());
        let ticks = (0..=((last - first) as usize).min(20)).map(|i| (first + i as f64) * step).collect();
        Self { low: first * step, high: last * step, is_log: false, ticks }
    }

    fn decades(min: f64, max: f64) -> Self {
        let (first, last) = (min.log10().floor() as i32, max.log10().ceil() as i32);
        let every = (last - first) / 8 + 1;
        let ticks = (first..=last).step_by(every as usize).map(|power| 10f64.powi(power)).collect();
        Self { low: 10f64.powi(first), high: 10f64.powi(last), is_log: true, ticks }
    }

    /// Where a value is on the axis: 0 at its low end, 1 at its high end.
    pub(crate) fn position(&self, value: f64) -> f64 {
        let position = if self.is_log {
            (value.log10() - self.low.log10()) / (self.high.log10() - self.low.log10())
        } else {
            (value - self.low) / (self.high - self.low)
        };
        position.clamp(0.0, 1.0)
    }
}

/// The smallest and the largest value; none without values. The difference of the two does not overflow.
fn ends(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let values = values.map(|v| v.clamp(-1e300, 1e300));
    values.fold(None, |ends, v| Some(ends.map_or((v, v), |(min, max): (f64, f64)| (min.min(v), max.max(v)))))
}

/// The smallest of 1, 2, 5 times a power of ten that is not below `step`.
fn round_step(step: f64) -> f64 {
    let power = 10f64.powi(step.log10().floor().clamp(-300.0, 300.0) as i32);
    [1.0, 2.0, 5.0].into_iter().map(|m| m * power).find(|&s| s >= step * 0.999_999).unwrap_or(10.0 * power)
}

/// At most eleven epochs: the first, and multiples of a round number.
pub(crate) fn epoch_ticks(first: u32, last: u32) -> Vec<u32> {
    let step = round_step(f64::from(last - first) / 9.0).max(1.0) as u32;
    if step == 1 {
        return (first..=last).collect();
    }
    // A multiple right after the first would be printed over it.
    let multiples = (first / step + 1..=last / step).map(|i| i * step).filter(|&epoch| epoch - first > step / 3);
    std::iter::once(first).chain(multiples).collect()
}

pub(crate) fn tick_label(value: f64) -> String {
    // 3 * 0.1 is 0.30000000000000004.
    let tidy = format!("{value:.6}").trim_end_matches('0').trim_end_matches('.').to_owned();
    if value != 0.0 && !(1e-4..1e5).contains(&value.abs()) { format!("{value:.0e}") } else { tidy }
}

/// A number with three decimals, or in powers of ten if these would show nothing.
pub(crate) fn value_label(value: f64) -> String {
    if value != 0.0 && !(1e-3..1e4).contains(&value.abs()) { format!("{value:.1e}") } else { format!("{value:.3}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_by_hand() {
        let of = |values: &[f64]| ValueAxis::of(values.iter().copied());
        assert_eq!(of(&[]), ValueAxis::unit());
        let axis = of(&[0.9, 2.3]);
        assert_eq!((axis.low, axis.high, axis.is_log), (0.0, 2.5, false));
        assert_eq!(axis.ticks, [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]);
        assert_eq!(axis.position(0.5), 0.2);
        let axis = of(&[0.02, 3.0]);
        assert_eq!((axis.low, axis.high, axis.is_log), (0.01, 10.0, true));
        assert_eq!(axis.ticks.len(), 4);
        assert!((axis.position(1.0) - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(of(&[0.0, 0.0]).ticks, [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(of(&[-3.0, 1.0]).low, -3.0);
        for extreme in
            [&[1e300][..], &[1e-300], &[-1e300, 1e300], &[f64::MAX, f64::MIN_POSITIVE], &[-f64::MAX, f64::MAX]]
        {
            let axis = of(extreme);
            assert!(axis.ticks.len() <= 21 && axis.ticks.iter().all(|tick| tick.is_finite()), "{extreme:?}: {axis:?}");
        }
    }

    #[test]
    fn an_axis_around_its_values_by_hand() {
        let of = |values: &[f64]| ValueAxis::within(values.iter().copied());
        assert_eq!(of(&[]), ValueAxis::unit());
        let axis = of(&[0.86, 0.9]);
        assert!((axis.low - 0.86).abs() < 1e-12 && (axis.high - 0.9).abs() < 1e-12, "{axis:?}");
        assert_eq!(axis.ticks.len(), 5);
        let axis = of(&[0.861, 0.897]);
        assert!((axis.low - 0.86).abs() < 1e-12 && (axis.high - 0.9).abs() < 1e-12, "{axis:?}");
        let axis = of(&[0.5, 0.5]);
        assert!((axis.position(0.5) - 0.5).abs() < 1e-6, "{axis:?}");
        for extreme in [&[0.0][..], &[1e300, -1e300], &[1e300], &[1.0, 1.0 + 1e-15], &[f64::MIN_POSITIVE]] {
            let axis = of(extreme);
            assert!(axis.ticks.len() <= 21 && axis.low < axis.high, "{extreme:?}: {axis:?}");
        }
    }

    #[test]
    fn epoch_ticks_by_hand() {
        assert_eq!(epoch_ticks(1, 1), [1]);
        assert_eq!(epoch_ticks(1, 4), [1, 2, 3, 4]);
        assert_eq!(epoch_ticks(1, 40), [1, 5, 10, 15, 20, 25, 30, 35, 40]);
        assert_eq!(epoch_ticks(4, 40), [4, 10, 15, 20, 25, 30, 35, 40]);
        assert_eq!(epoch_ticks(1, 200).last(), Some(&200));
        assert!(epoch_ticks(0, u32::MAX).len() <= 11);
    }

    #[test]
    fn labels_by_hand() {
        assert_eq!([0.6000000000000001, 0.0, 2.5, 1000.0, 0.001].map(tick_label), ["0.6", "0", "2.5", "1000", "0.001"]);
        assert_eq!([1e-6, 1e6].map(tick_label), ["1e-6", "1e6"]);
        assert_eq!([0.51239, 1.2e-5, 0.0].map(value_label), ["0.512", "1.2e-5", "0.000"]);
    }
}
