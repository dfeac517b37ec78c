//! What the scores of a run's epochs say: the last, the best, and how much they still move.

use super::checkpoint::{Best, EpochRow};

/// The validation mean IoU of the last epoch, of the best one, and its range over the last tenth of the epochs. Only comparable
/// epochs count: once the norms are frozen, the frozen ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// The last epoch with its mean IoU.
    pub last: Best,
    /// The best epoch; the earliest of equals.
    pub best: Best,
    /// The last tenth of the epochs.
    pub tail: Tail,
}

/// The range of the mean IoU over the last tenth of the epochs, at least one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tail {
    /// Number of epochs.
    pub epochs: usize,
    /// Lowest mean IoU.
    pub lowest: f64,
    /// Highest mean IoU.
    pub highest: f64,
}

impl Tail {
    /// The tail of a run whose comparable epochs so far are `rows`, which are not empty.
    pub fn of(rows: &[EpochRow]) -> Self {
        let epochs = rows.last().map_or(0, |last| last.epoch).div_ceil(10).min(rows.len());
        let scores = || rows[rows.len() - epochs..].iter().map(EpochRow::score);
        Self { epochs, lowest: scores().fold(f64::INFINITY, f64::min), highest: scores().fold(0.0, f64::max) }
    }

    /// Highest minus lowest.
    pub fn spread(&self) -> f64 {
        self.highest - self.lowest
    }
}

impl Summary {
    /// The summary after the last of `rows`; none without a score. An epoch without one counts as 0.
    pub fn of(rows: &[EpochRow], first_frozen: Option<usize>) -> Option<Self> {
        let frozen = rows.iter().position(|row| Some(row.epoch) == first_frozen);
        let rows = &rows[frozen.unwrap_or(0)..];
        rows.iter().find(|row| row.mean_iou.is_some())?;
        let score = |row: &EpochRow| Best { epoch: row.epoch, mean_iou: row.score() };
        let last = rows.last().map(score)?;
        let best = rows.iter().map(score).reduce(|best, row| if row.mean_iou > best.mean_iou { row } else { best })?;
        Some(Self { last, best, tail: Tail::of(rows) })
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (last, best, tail) = (self.last, self.best, self.tail);
        write!(f, "last epoch {:.4}, best {:.4} (epoch {})", last.mean_iou, best.mean_iou, best.epoch)?;
        if tail.epochs > 1 {
            write!(f, ", the last {} within {:.4}", tail.epochs, tail.spread())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(scores: &[f64]) -> Vec<EpochRow> {
        let row =
            |(index, &mean_iou): (usize, &f64)| EpochRow { mean_iou: Some(mean_iou), ..EpochRow::empty(index + 1) };
        scores.iter().enumerate().map(row).collect()
    }

    #[test]
    fn a_summary_by_hand() {
        assert_eq!(Summary::of(&[], None), None);
        // No validation pixel counts.
        assert_eq!(Summary::of(&[EpochRow::empty(1), EpochRow::empty(2)], None), None);
        let mut scores = vec![0.5; 17];
        scores.extend([0.8, 0.75, 0.7]);
        let summary = Summary::of(&rows(&scores), None).unwrap();
        assert_eq!((summary.last.epoch, summary.last.mean_iou), (20, 0.7));
        assert_eq!((summary.best.epoch, summary.best.mean_iou), (18, 0.8));
        assert_eq!(summary.tail, Tail { epochs: 2, lowest: 0.7, highest: 0.75 });
        assert_eq!(summary.to_string(), "last epoch 0.7000, best 0.8000 (epoch 18), the last 2 within 0.0500");
    }

    #[test]
    fn epochs_before_the_norms_are_frozen_are_not_compared() {
        let summary = Summary::of(&rows(&[0.9, 0.95, 0.7, 0.8]), Some(3)).unwrap();
        assert_eq!((summary.best.epoch, summary.tail.epochs, summary.tail.lowest), (4, 1, 0.8));
        assert_eq!(summary.to_string(), "last epoch 0.8000, best 0.8000 (epoch 4)");
        // Before that epoch has ended.
        assert_eq!(Summary::of(&rows(&[0.9, 0.95]), Some(3)).unwrap().best.epoch, 2);
        // Never more epochs than are comparable.
        let mut scores = vec![0.5; 19];
        scores.push(0.6);
        assert_eq!(Summary::of(&rows(&scores), Some(20)).unwrap().tail.epochs, 1);
    }
}
