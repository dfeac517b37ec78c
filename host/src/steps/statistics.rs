//! Mean and spread of a score over several runs.

use serde::Serialize;

/// Mean and spread of some values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Statistics {
    /// Number of values.
    pub count: usize,
    /// Arithmetic mean.
    pub mean: f64,
    /// Standard deviation of a sample, with n - 1 in the denominator; none for a single value.
    pub standard_deviation: Option<f64>,
    /// Lowest value.
    pub lowest: f64,
    /// Highest value.
    pub highest: f64,
}

impl Statistics {
    /// The statistics of the values that there are; none without any.
    pub fn of(values: impl IntoIterator<Item = Option<f64>>) -> Option<Self> {
        let values: Vec<f64> = values.into_iter().flatten().collect();
        if values.is_empty() {
            return None;
        }
        let count = values.len();
        let mean = values.iter().sum::<f64>() / count as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Some(Self {
            count,
            mean,
            standard_deviation: (count > 1).then(|| (squares / (count - 1) as f64).sqrt()),
            lowest: values.iter().copied().fold(f64::INFINITY, f64::min),
            highest: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_by_hand() {
        assert_eq!(Statistics::of([None, None]), None);
        let one = Statistics::of([None, Some(0.5)]).unwrap();
        assert_eq!((one.count, one.mean, one.standard_deviation), (1, 0.5, None));
        let found = Statistics::of([2.0, 4.0, 4.0, 6.0].map(Some)).unwrap();
        assert_eq!((found.mean, found.lowest, found.highest), (4.0, 2.0, 6.0));
        assert!((found.standard_deviation.unwrap() - (8.0f64 / 3.0).sqrt()).abs() < 1e-12);
    }
}
