//! The learning rate over a run.

use serde::{Deserialize, Serialize};

/// A learning rate schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleKind {
    /// Linear warmup over the first twentieth of the steps, then half a cosine down to a hundredth
    Cosine,
    /// Constant, and halved when the validation loss has not fallen for three epochs
    Plateau,
    /// Constant
    Constant,
    /// Polynomial decay to 0, with power 0.9
    Poly,
    /// Cosine rise from 1/25 of the rate over the first 30 % of the steps, then cosine fall to 1/10000 of the initial rate
    OneCycle,
}

/// Epochs without a better validation loss after which [`ScheduleKind::Plateau`] halves the rate.
const PLATEAU_PATIENCE: usize = 3;
/// Power of [`ScheduleKind::Poly`], as DeepLab (Chen et al. 2017) and nnU-Net have it.
const POLY_POWER: f64 = 0.9;
/// Share of the steps in which [`ScheduleKind::OneCycle`] rises, as in PyTorch, like the next two.
const ONE_CYCLE_RISE: f64 = 0.3;
/// Maximum rate divided by the initial rate.
const ONE_CYCLE_START: f64 = 25.0;
/// Initial rate divided by the final rate.
const ONE_CYCLE_END: f64 = 1e4;

/// A schedule with its state, saved in each checkpoint. The rate is a function of step and state, which burn's schedulers
/// are not: they count their own calls, cannot follow the validation loss, and have no polynomial decay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    kind: ScheduleKind,
    base: f64,
    steps: usize,
    /// Plateau only: the current rate, the best loss, and the epochs since.
    rate: f64,
    best_loss: Option<f64>,
    epochs_since: usize,
}

impl Schedule {
    /// A schedule over `steps` optimizer steps whose maximum rate is `base`.
    pub fn new(kind: ScheduleKind, base: f64, steps: usize) -> Self {
        Self { kind, base, steps: steps.max(1), rate: base, best_loss: None, epochs_since: 0 }
    }

    /// The rate of optimizer step `step`, counted from 0 over the whole run.
    pub fn rate(&self, step: usize) -> f64 {
        match self.kind {
            ScheduleKind::Constant => self.base,
            ScheduleKind::Plateau => self.rate,
            ScheduleKind::OneCycle => {
                let start = self.base / ONE_CYCLE_START;
                let (last, peak) = (self.steps as f64 - 1.0, ONE_CYCLE_RISE * self.steps as f64 - 1.0);
                let cosine = |from: f64, to: f64, share: f64| {
                    to + (from - to) / 2.0 * (1.0 + (std::f64::consts::PI * share.clamp(0.0, 1.0)).cos())
                };
                let step = step as f64;
                if step <= peak {
                    return cosine(start, self.base, step / peak.max(f64::MIN_POSITIVE));
                }
                cosine(
                    self.base,
                    start / ONE_CYCLE_END,
                    (step - peak.max(0.0)) / (last - peak.max(0.0)).max(f64::MIN_POSITIVE),
                )
            }
            ScheduleKind::Poly => {
                let left = 1.0 - step as f64 / self.steps as f64;
                self.base * left.max(0.0).powf(POLY_POWER)
            }
            ScheduleKind::Cosine => {
                let warmup = (self.steps / 20).max(1);
                if step < warmup {
                    return self.base * (step + 1) as f64 / warmup as f64;
                }
                let share = (step - warmup) as f64 / (self.steps - warmup).max(1) as f64;
                self.base * (0.01 + 0.99 * 0.5 * (1.0 + (std::f64::consts::PI * share.min(1.0)).cos()))
            }
        }
    }

    /// Changes the number of optimizer steps of the whole run.
    pub fn set_steps(&mut self, steps: usize) {
        self.steps = steps.max(1);
    }

    /// Forgets the validation losses so far, with which the following ones are not comparable.
    pub fn forget_losses(&mut self) {
        (self.best_loss, self.epochs_since) = (None, 0);
    }

    /// Takes the validation loss at the end of an epoch.
    pub fn epoch_ended(&mut self, validation_loss: f64) {
        if self.best_loss.is_none_or(|best| validation_loss < best) {
            self.best_loss = Some(validation_loss);
            self.epochs_since = 0;
            return;
        }
        self.epochs_since += 1;
        if self.epochs_since >= PLATEAU_PATIENCE {
            self.rate *= 0.5;
            self.epochs_since = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosine_rises_then_falls_to_a_hundredth() {
        let schedule = Schedule::new(ScheduleKind::Cosine, 1.0, 200);
        assert!((schedule.rate(0) - 0.1).abs() < 1e-12);
        assert_eq!(schedule.rate(9), 1.0);
        assert_eq!(schedule.rate(10), 1.0);
        // Half way between step 10 and step 200.
        assert!((schedule.rate(105) - 0.505).abs() < 1e-12);
        assert!((schedule.rate(200) - 0.01).abs() < 1e-12);
        assert!((schedule.rate(500) - 0.01).abs() < 1e-12);
    }

    #[test]
    fn one_cycle_rises_and_falls_as_in_pytorch() {
        let schedule = Schedule::new(ScheduleKind::OneCycle, 1.0, 100);
        assert!((schedule.rate(0) - 0.04).abs() < 1e-12);
        // Half way up to step 29, and half way down from there to step 99.
        assert!((0.5 * (schedule.rate(14) + schedule.rate(15)) - 0.52).abs() < 1e-3);
        assert!((schedule.rate(29) - 1.0).abs() < 1e-12);
        assert!((schedule.rate(64) - 0.5 * (1.0 + 4e-6)).abs() < 1e-12);
        assert!((schedule.rate(99) - 4e-6).abs() < 1e-12);
        assert!((schedule.rate(200) - 4e-6).abs() < 1e-12);
        // Runs of a few steps have finite rates.
        for steps in 1..5 {
            let schedule = Schedule::new(ScheduleKind::OneCycle, 1.0, steps);
            assert!((0..steps).all(|step| (0.0..=1.0).contains(&schedule.rate(step))), "{steps}");
        }
    }

    #[test]
    fn poly_falls_to_nothing() {
        let schedule = Schedule::new(ScheduleKind::Poly, 2.0, 100);
        assert_eq!(schedule.rate(0), 2.0);
        // Half of the steps are left: 2 * 0.5^0.9.
        assert!((schedule.rate(50) - 1.071_773_462_536_293_2).abs() < 1e-12);
        assert!(schedule.rate(99) > 0.0);
        assert_eq!(schedule.rate(100), 0.0);
        assert_eq!(schedule.rate(101), 0.0);
    }

    #[test]
    fn a_plateau_halves_after_its_patience() {
        let mut schedule = Schedule::new(ScheduleKind::Plateau, 1.0, 10);
        for loss in [3.0, 2.0, 2.0, 2.5] {
            schedule.epoch_ended(loss);
            assert_eq!(schedule.rate(0), 1.0);
        }
        schedule.epoch_ended(2.0);
        assert_eq!(schedule.rate(0), 0.5);
        schedule.epoch_ended(1.0);
        assert_eq!(schedule.rate(0), 0.5);
        // Losses of another kind: the first one is the best again.
        schedule.forget_losses();
        for loss in [9.0, 9.5, 9.5] {
            schedule.epoch_ended(loss);
            assert_eq!(schedule.rate(0), 0.5);
        }
        schedule.epoch_ended(9.5);
        assert_eq!(schedule.rate(0), 0.25);
    }
}
