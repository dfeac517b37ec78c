//! What the scores of a run's epochs say: the last, the best, and how much they still move.

use super::checkpoint::{Best, EpochRow};

/// The validation mean IoU of the last epoch, of the best one, and its range over the last tenth of the epochs. Only comparable
/// epochs count: once the norms are frozen, the frozen ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// The last epoch with its mean IoU.
    pub last: Best,
    /// The best epoch; the first of several.
    pub best: Best,
    /// Number of epochs of the last tenth, at least one.
    pub tail: usize,
    /// Lowest mean IoU over them.
    pub lowest: f64,
    /// Highest mean IoU over them.
    pub highest: f64,
}

impl Summary {
    /// The summary after the last of `rows`; `None` without rows. An epoch without a score counts as 0.
    pub fn of(rows: &[EpochRow], frozen_since: Option<usize>) -> Option<Self> {
        // Epochs count from 1.
        let first = frozen_since.map_or(0, |epoch| epoch.saturating_sub(1));
        let rows = rows.get(first..).filter(|since| !since.is_empty()).unwrap_or(rows);
        let score = |row: &EpochRow| Best { epoch: row.epoch, mean_iou: row.mean_iou.unwrap_or(0.0) };
        let last = rows.last().map(score)?;
        let best = rows.iter().map(score).reduce(|best, row| if row.mean_iou > best.mean_iou { row } else { best })?;
        let tail = last.epoch.div_ceil(10).min(rows.len());
        let scores = || rows[rows.len() - tail..].iter().map(|row| score(row).mean_iou);
        let (lowest, highest) = (scores().fold(f64::INFINITY, f64::min), scores().fold(0.0, f64::max));
        Some(Self { last, best, tail, lowest, highest })
    }

    /// Highest minus lowest mean IoU over the last tenth.
    pub fn spread(&self) -> f64 {
        self.highest - self.lowest
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (last, best) = (self.last, self.best);
        write!(f, "last epoch {:.4}, best {:.4} (epoch {})", last.mean_iou, best.mean_iou, best.epoch)?;
        if self.tail > 1 {
            write!(f, ", the last {} within {:.4}", self.tail, self.spread())?;
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
        let mut scores = vec![0.5; 17];
        scores.extend([0.8, 0.75, 0.7]);
        let summary = Summary::of(&rows(&scores), None).unwrap();
        assert_eq!((summary.last.epoch, summary.last.mean_iou), (20, 0.7));
        assert_eq!((summary.best.epoch, summary.best.mean_iou), (18, 0.8));
        assert_eq!((summary.tail, summary.lowest, summary.highest), (2, 0.7, 0.75));
        assert_eq!(summary.to_string(), "last epoch 0.7000, best 0.8000 (epoch 18), the last 2 within 0.0500");
    }

    #[test]
    fn epochs_before_the_norms_are_frozen_are_not_compared() {
        let summary = Summary::of(&rows(&[0.9, 0.95, 0.7, 0.8]), Some(3)).unwrap();
        assert_eq!((summary.best.epoch, summary.tail, summary.lowest), (4, 1, 0.8));
        assert_eq!(summary.to_string(), "last epoch 0.8000, best 0.8000 (epoch 4)");
        // Before that epoch has ended.
        assert_eq!(Summary::of(&rows(&[0.9, 0.95]), Some(3)).unwrap().best.epoch, 2);
        // Never more epochs than are comparable.
        let mut scores = vec![0.5; 19];
        scores.push(0.6);
        assert_eq!(Summary::of(&rows(&scores), Some(20)).unwrap().tail, 1);
    }
}
