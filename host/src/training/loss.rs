//! The loss of a run: a weighted sum of losses, as it is written on the command line and in `config.toml`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use burn::tensor::Tensor;
use clap::ValueEnum as _;
use serde::{Deserialize, Serialize};

use unet_data::any_of;

use super::losses::BatchLoss;
pub use super::losses::LossFunction;
use super::target::Target;
use crate::config::is_zero;
use crate::operation;

/// The loss of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, clap::Args)]
pub struct LossConfig {
    /// The function; its flag has another default for each command.
    #[arg(skip)]
    #[serde(rename = "loss", default, skip_serializing_if = "Loss::is_default")]
    pub function: Loss,
    /// Share of each pixel's truth that is spread over all classes, in cross-entropy, boundary and hard-pixels
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    #[serde(default, skip_serializing_if = "is_zero")]
    pub label_smoothing: f64,
}

/// The help of `--loss`: each loss with its line, and what is the default.
pub(crate) fn loss_help(default: &str) -> String {
    let mut text =
        format!("Loss function, or a weighted sum of several, such as cross-entropy+0.5*lovasz (default: {default}):");
    for loss in LossFunction::value_variants() {
        let value = loss.to_possible_value().expect("no loss is hidden");
        let help = value.get_help().map(ToString::to_string).unwrap_or_default();
        text += &format!("\n- {}: {help}", value.get_name());
    }
    text
}

/// A weighted sum of losses: none twice, each with a positive weight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Loss {
    terms: Vec<(f64, LossFunction)>,
}

/// Cross-entropy, the loss of runs whose configuration does not name one.
impl Default for Loss {
    fn default() -> Self {
        Self { terms: vec![(1.0, LossFunction::CrossEntropy)] }
    }
}

fn name(loss: LossFunction) -> String {
    loss.to_possible_value().expect("no loss is hidden").get_name().to_owned()
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let terms = self.terms.iter().map(|(weight, loss)| match weight {
            1.0 => name(*loss),
            weight => format!("{weight}*{}", name(*loss)),
        });
        f.write_str(&terms.collect::<Vec<_>>().join("+"))
    }
}

impl FromStr for Loss {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The names of earlier versions.
        let text = text.replace('_', "-");
        if text == "dice-cross-entropy" {
            return "cross-entropy+dice".parse();
        }
        let mut terms: Vec<(f64, LossFunction)> = vec![];
        for term in text.split('+') {
            let (weight, word) = term.split_once('*').unwrap_or(("1", term));
            let weight = weight.trim().parse().ok().filter(|weight: &f64| *weight > 0.0 && weight.is_finite());
            let weight = weight.ok_or_else(|| format!("expected a positive number before *, found {term:?}"))?;
            let loss = LossFunction::from_str(word.trim(), false).map_err(|_| {
                let names: Vec<String> = LossFunction::value_variants().iter().map(|loss| name(*loss)).collect();
                format!("expected {}, or a sum such as cross-entropy+0.5*dice, found {word:?}", names.join(", "))
            })?;
            if terms.iter().any(|(_, other)| *other == loss) {
                return Err(format!("expected each loss once, found {word} twice"));
            }
            terms.push((weight, loss));
        }
        Ok(Self { terms })
    }
}

impl From<Loss> for String {
    fn from(loss: Loss) -> Self {
        loss.to_string()
    }
}

impl TryFrom<String> for Loss {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl Loss {
    /// The loss of new runs: cross-entropy, which learns steadily from the start, and Lovász-softmax, which is nearest to the mean IoU
    /// that runs are judged by and does not neglect rare classes.
    pub fn of_new_runs() -> Self {
        Self { terms: vec![(1.0, LossFunction::CrossEntropy), (1.0, LossFunction::Lovasz)] }
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl LossConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// If label smoothing is out of range, or no loss of the sum has it.
    pub fn validate(&self) -> Result<(), String> {
        if !(0.0..1.0).contains(&self.label_smoothing) {
            return Err(format!(
                "--label-smoothing: expected at least 0 and less than 1, found {}",
                self.label_smoothing
            ));
        }
        if self.label_smoothing > 0.0 && !self.function.terms.iter().any(|(_, loss)| loss.is_smoothed()) {
            let smoothed: Vec<String> = LossFunction::value_variants()
                .iter()
                .filter(|loss| loss.is_smoothed())
                .map(|loss| name(*loss))
                .collect();
            return Err(format!(
                "--label-smoothing: expected a loss with {}, found {}, which has none",
                any_of(smoothed),
                self.function
            ));
        }
        Ok(())
    }

    /// Plain cross-entropy, which has a kernel of its own.
    fn is_plain(&self) -> bool {
        self.function.is_default() && self.label_smoothing == 0.0
    }

    /// Bytes that are held for each pixel besides the logits and their gradient.
    pub(super) fn pixel_bytes(&self) -> u64 {
        self.function.terms.iter().map(|(_, loss)| loss.pixel_bytes()).sum()
    }

    /// Bytes that are held besides, for this many classes and threads.
    pub(super) fn table_bytes(&self, classes: usize, threads: usize) -> u64 {
        self.function.terms.iter().map(|(_, loss)| loss.table_bytes(classes, threads)).sum()
    }

    /// The loss of a batch for logits `[N, K, H, W]`; 0 with a gradient of 0 if every pixel is ignored.
    pub fn of(&self, logits: Tensor<4>, target: &Target) -> Tensor<1> {
        if self.is_plain() {
            return cross_entropy(logits, target);
        }
        operation::pixel_loss(logits, Arc::new(self.of_batch(target)))
    }

    /// Its value alone.
    pub fn value_of(&self, logits: Tensor<4>, target: &Target) -> f64 {
        if self.is_plain() {
            return f64::from(cross_entropy(logits, target).into_scalar::<f32>());
        }
        f64::from(operation::pixel_loss_value(logits, &self.of_batch(target)))
    }

    fn of_batch(&self, target: &Target) -> BatchLoss {
        let terms = self.function.terms.clone();
        BatchLoss { terms, smoothing: self.label_smoothing, target: target.clone() }
    }
}

/// Mean of `-log softmax(logits)[class]` over the pixels that count, weighted: `sum w[class] (-log p) / sum w[class]`.
fn cross_entropy(logits: Tensor<4>, target: &Target) -> Tensor<1> {
    let scale = if target.counts() { 1.0 / target.total() } else { 0.0 };
    operation::cross_entropy(logits, &target.classes, &target.weights, scale)
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;
    use unet_shared::mask::IGNORE_INDEX;

    use super::*;
    use crate::backend::test_device;
    use crate::operation::PixelLoss as _;
    use crate::rng::Rng;

    /// Logits `[N, K, H, W]` with their target.
    struct Case {
        logits: Vec<f32>,
        shape: [usize; 4],
        mask: Vec<u8>,
        weights: Vec<f32>,
    }

    impl Case {
        /// Two images of three classes, one of them absent and one pixel in six ignored.
        fn drawn() -> Self {
            let rng = &mut Rng::new(11);
            let logits = (0..2 * 4 * 12).map(|_| rng.range_f32(-2.0, 2.0)).collect();
            let mask = (0..2 * 12).map(|i| if i % 6 == 5 { IGNORE_INDEX } else { [0, 1, 3][rng.below(3) as usize] });
            Self { logits, shape: [2, 4, 3, 4], mask: mask.collect(), weights: vec![1.0, 0.5, 2.0, 3.0] }
        }

        fn row(logits: &[f32], mask: &[u8], weights: &[f32]) -> Self {
            let shape = [1, weights.len(), 1, mask.len()];
            Self { logits: logits.to_vec(), shape, mask: mask.to_vec(), weights: weights.to_vec() }
        }

        /// Loss and gradient as training computes them.
        fn computed(&self, loss: &str) -> (f64, Vec<f32>) {
            let device = test_device().autodiff();
            let data = TensorData::new(self.logits.clone(), self.shape);
            let logits = Tensor::<4>::from_data(data, &device).require_grad();
            let target = Target::new(&self.mask, &self.weights);
            let config = config(loss);
            let value = config.of(logits.clone(), &target);
            let gradient = logits.grad(&value.backward()).unwrap().into_data().try_into_vec().unwrap();
            let value = f64::from(value.into_scalar::<f32>());
            // In f32, at the size of the sum of gradient times logits, which is subtracted from itself.
            assert!((config.value_of(logits.inner(), &target) - value).abs() < 1e-6 * value.abs().max(1.0), "{loss}");
            (value, gradient)
        }

        /// The loss as its formula says, in f64.
        fn formula(&self, loss: &str, logits: &[f64]) -> f64 {
            let [images, classes, height, width] = self.shape;
            let area = height * width;
            assert_eq!(self.mask.len(), images * area);
            let counted: Vec<usize> = (0..self.mask.len()).filter(|&i| self.mask[i] != IGNORE_INDEX).collect();
            let class = |i: usize| usize::from(self.mask[i]);
            let p = |i: usize, k: usize| {
                let exponent = |k: usize| logits[(i / area * classes + k) * area + i % area].exp();
                exponent(k) / (0..classes).map(exponent).sum::<f64>()
            };
            let weight = |k: usize| f64::from(self.weights[k]);
            let entropy = |i: usize| -p(i, class(i)).ln();
            // A mean over pixels with these weights.
            let mean = |of: &dyn Fn(usize) -> f64, pixel: &dyn Fn(usize) -> f64| {
                let total: f64 = counted.iter().map(|&i| weight(class(i)) * pixel(i)).sum();
                counted.iter().map(|&i| weight(class(i)) * pixel(i) * of(i)).sum::<f64>() / total
            };
            // A mean over the classes that occur.
            let present = |of: &dyn Fn(usize) -> f64| {
                let occur = || (0..classes).filter(|&k| counted.iter().any(|&i| class(i) == k));
                occur().map(|k| weight(k) * of(k)).sum::<f64>() / occur().map(weight).sum::<f64>()
            };
            let sums = |k: usize| {
                let own = counted.iter().filter(|&&i| class(i) == k);
                let both: f64 = own.clone().map(|&i| p(i, k)).sum();
                (both, counted.iter().map(|&i| p(i, k)).sum::<f64>(), own.count() as f64)
            };
            match loss {
                "cross-entropy" => mean(&entropy, &|_| 1.0),
                "dice" => {
                    1.0 - present(&|k| {
                        let (both, predicted, truth) = sums(k);
                        2.0 * both / (predicted + truth)
                    })
                }
                "tversky" => {
                    1.0 - present(&|k| {
                        let (both, predicted, truth) = sums(k);
                        both / (both + 0.3 * (predicted - both) + 0.7 * (truth - both))
                    })
                }
                "focal" => mean(&|i| (1.0 - p(i, class(i))).powi(2) * entropy(i), &|_| 1.0),
                "lovasz" => present(&|k| {
                    let error = |i: usize| if class(i) == k { 1.0 - p(i, k) } else { p(i, k) };
                    let mut order = counted.clone();
                    order.sort_by(|&a, &b| error(b).total_cmp(&error(a)));
                    let truth = counted.iter().filter(|&&i| class(i) == k).count() as f64;
                    let jaccard = |first: usize| {
                        let wrong = &order[..first];
                        let missed = wrong.iter().filter(|&&i| class(i) == k).count() as f64;
                        1.0 - (truth - missed) / (truth + wrong.len() as f64 - missed)
                    };
                    order.iter().enumerate().map(|(n, &i)| error(i) * (jaccard(n + 1) - jaccard(n))).sum()
                }),
                "boundary" => mean(&entropy, &|i| {
                    let place = |i: usize| (i / area, (i % area / width) as i32, (i % area % width) as i32);
                    let beside = |a: usize, b: usize| {
                        let ((na, ya, xa), (nb, yb, xb)) = (place(a), place(b));
                        na == nb && (ya - yb).abs() + (xa - xb).abs() == 1
                    };
                    let on = |a: usize| counted.iter().any(|&b| beside(a, b) && class(a) != class(b));
                    let (n, y, x) = place(i);
                    let steps = |b: usize| {
                        let (m, v, u) = place(b);
                        (n == m).then(|| (y - v).abs().max((x - u).abs()))
                    };
                    let nearest = counted.iter().filter(|&&b| on(b)).filter_map(|&b| steps(b)).min();
                    1.0 + nearest.map_or(0.0, |d| 4.0 * (-f64::from(d * d) / 18.0).exp())
                }),
                "hard-pixels" => {
                    let mut order = counted.clone();
                    order.sort_by(|&a, &b| entropy(b).total_cmp(&entropy(a)));
                    order.truncate(order.len().div_ceil(4));
                    mean(&entropy, &|i| f64::from(u8::from(order.contains(&i))))
                }
                sum => sum
                    .split('+')
                    .map(|term| match term.split_once('*') {
                        Some((factor, loss)) => factor.parse::<f64>().unwrap() * self.formula(loss, logits),
                        None => self.formula(term, logits),
                    })
                    .sum(),
            }
        }
    }

    fn config(loss: &str) -> LossConfig {
        LossConfig { function: loss.parse().unwrap(), label_smoothing: 0.0 }
    }

    fn all() -> Vec<String> {
        LossFunction::value_variants().iter().map(|loss| name(*loss)).collect()
    }

    #[test]
    fn losses_and_gradients_are_those_of_the_formulas() {
        let case = Case::drawn();
        let logits: Vec<f64> = case.logits.iter().map(|&v| f64::from(v)).collect();
        let sum = "0.5*cross-entropy+dice+2*lovasz".to_owned();
        for loss in all().into_iter().chain([sum]) {
            let (value, gradient) = case.computed(&loss);
            let expected = case.formula(&loss, &logits);
            assert!((value - expected).abs() < 1e-5, "{loss}: {value}, by the formula {expected}");
            for (index, found) in gradient.into_iter().enumerate() {
                let at = |step: f64| {
                    let mut moved = logits.clone();
                    moved[index] += step;
                    case.formula(&loss, &moved)
                };
                // Central differences are exact to the square of the step, 1e-10.
                let expected = (at(1e-5) - at(-1e-5)) / 2e-5;
                assert!((f64::from(found) - expected).abs() < 2e-6, "{loss}, {index}: {found} and {expected}");
            }
        }
    }

    /// More pixels than a part has, no multiple of a block, and more classes than Lovász-softmax counts at once.
    #[test]
    fn many_pixels_and_classes_are_those_of_the_formulas_by_any_number_of_threads() {
        let (rng, classes) = (&mut Rng::new(12), 18);
        let size = [2, 41, 53];
        let pixels: usize = size.iter().product();
        let logits: Vec<f32> = (0..pixels * classes).map(|_| rng.range_f32(-2.0, 2.0)).collect();
        let mask: Vec<u8> =
            (0..pixels).map(|_| [rng.below(18) as u8, IGNORE_INDEX][usize::from(rng.below(9) == 0)]).collect();
        let weights: Vec<f32> = (0..classes).map(|class| 0.5 + class as f32 / 9.0).collect();
        let target = Target::new(&mask, &weights);
        // In f64, from the probabilities of each pixel.
        let p: Vec<Vec<f64>> = logits
            .chunks(classes)
            .map(|logits| {
                let powers: Vec<f64> = logits.iter().map(|&logit| f64::from(logit).exp()).collect();
                let sum = powers.iter().sum::<f64>();
                powers.into_iter().map(|power| power / sum).collect()
            })
            .collect();
        let counted: Vec<usize> = (0..pixels).filter(|&i| mask[i] != IGNORE_INDEX).collect();
        let weight = |i: usize| f64::from(weights[usize::from(mask[i])]);
        let total: f64 = counted.iter().map(|&i| weight(i)).sum();
        let entropy = counted.iter().map(|&i| -weight(i) * p[i][usize::from(mask[i])].ln()).sum::<f64>() / total;
        let lovasz = |class: usize| {
            let own = |i: usize| usize::from(mask[i]) == class;
            let error = |i: usize| if own(i) { 1.0 - p[i][class] } else { p[i][class] };
            let mut order = counted.clone();
            order.sort_by(|&a, &b| error(b).total_cmp(&error(a)));
            let truth = counted.iter().filter(|&&i| own(i)).count() as f64;
            let (mut missed, mut added, mut before, mut loss) = (0.0, 0.0, 0.0, 0.0);
            for i in order {
                *(if own(i) { &mut missed } else { &mut added }) += 1.0;
                let jaccard = 1.0 - (truth - missed) / (truth + added);
                loss += error(i) * (jaccard - before);
                before = jaccard;
            }
            loss
        };
        let all: f64 = weights.iter().map(|w| f64::from(*w)).sum();
        let lovasz = (0..classes).map(|class| f64::from(weights[class]) * lovasz(class)).sum::<f64>() / all;
        let compute = |loss: &str, threads: usize| {
            let batch = config(loss).of_batch(&target);
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut gradient = vec![f32::NAN; logits.len()];
            let value = pool.install(|| batch.compute(&logits, size, Some(&mut gradient)));
            (value, gradient)
        };
        // Lovász-softmax takes errors within a bucket of 1/8192 as equal.
        for (loss, expected, tolerance) in
            [("0.5*cross-entropy", 0.5 * entropy, 1e-6), ("lovasz", lovasz, 1.0 / 8192.0)]
        {
            let (value, gradient) = compute(loss, 1);
            assert_eq!(compute(loss, 3), (value, gradient.clone()), "{loss}");
            assert!((f64::from(value) - expected).abs() <= tolerance, "{loss}: {value}, by the formula {expected}");
            for (i, gradient) in gradient.chunks(classes).enumerate() {
                // Probabilities sum to 1, whatever the logits are.
                assert!(gradient.iter().map(|g| f64::from(*g)).sum::<f64>().abs() < 1e-7, "{loss} {i}");
                assert!(mask[i] != IGNORE_INDEX || gradient.iter().all(|g| *g == 0.0), "{loss} {i}");
            }
        }
        assert_eq!(compute("dice+boundary+hard-pixels", 3), compute("dice+boundary+hard-pixels", 1));
        let (_, gradient) = compute("cross-entropy", 2);
        for (i, class) in counted.iter().flat_map(|&i| (0..classes).map(move |class| (i, class))) {
            let truth = f64::from(u8::from(usize::from(mask[i]) == class));
            let expected = weight(i) / total * (p[i][class] - truth);
            assert!((f64::from(gradient[i * classes + class]) - expected).abs() < 1e-9, "{i} {class}");
        }
    }

    #[test]
    fn smoothed_cross_entropy_by_hand() {
        // Logits (ln 3, 0): p = 3/4, 1/4. With e = 0.2: 0.8 (-ln 3/4) + 0.1 (-ln 3/4 - ln 1/4).
        let case = Case::row(&[3f32.ln(), 0.0], &[0], &[1.0, 1.0]);
        let device = test_device().autodiff();
        let logits = Tensor::<4>::from_data(TensorData::new(case.logits.clone(), case.shape), &device).require_grad();
        let config = LossConfig { label_smoothing: 0.2, ..LossConfig::default() };
        let loss = config.of(logits.clone(), &Target::new(&case.mask, &case.weights));
        let gradient: Vec<f32> = logits.grad(&loss.backward()).unwrap().into_data().try_into_vec().unwrap();
        let (a, b) = (-(0.75f64.ln()), -(0.25f64.ln()));
        assert!((f64::from(loss.into_scalar::<f32>()) - (0.9 * a + 0.1 * b)).abs() < 1e-6);
        // p minus the smoothed truth, 0.9 and 0.1.
        assert!((gradient[0] - (0.75 - 0.9)).abs() < 1e-6 && (gradient[1] - (0.25 - 0.1)).abs() < 1e-6, "{gradient:?}");
        assert!(LossConfig { label_smoothing: 1.0, ..config }.validate().unwrap_err().contains("found 1"));
        let dice = LossConfig { function: "dice".parse().unwrap(), label_smoothing: 0.1 };
        assert!(dice.validate().unwrap_err().contains("cross-entropy, boundary or hard-pixels, found dice"));
        let both = LossConfig { function: "dice+boundary".parse().unwrap(), ..dice };
        assert_eq!(both.validate(), Ok(()));
    }

    #[test]
    fn lovasz_and_focal_by_hand() {
        // Two pixels, p(0) = 3/4 for both; the second is class 1. Errors of class 0: 1/4 and 3/4, sorted 3/4 (not its own),
        // 1/4 (its own): J = 1 - 1/2, then 1. Loss 3/4 * 1/2 + 1/4 * 1/2 = 1/2. Class 1: errors 3/4 (its own), 1/4: J = 1, 1:
        // 3/4.
        let logits = [3f32.ln(), 3f32.ln(), 0.0, 0.0];
        let case = Case::row(&logits, &[0, 1], &[1.0, 1.0]);
        assert!((case.computed("lovasz").0 - 0.625).abs() < 1e-6);
        // (1/4)^2 (-ln 3/4) and (3/4)^2 (-ln 1/4), the mean.
        let expected = (0.0625 * -(0.75f64.ln()) + 0.5625 * -(0.25f64.ln())) / 2.0;
        assert!((case.computed("focal").0 - expected).abs() < 1e-6);
        // One of two pixels is a quarter, rounded up: the harder one.
        assert!((case.computed("hard-pixels").0 - -(0.25f64.ln())).abs() < 1e-6);
    }

    #[test]
    fn sums_are_read_and_written() {
        for (text, expected) in [
            ("cross-entropy", "cross-entropy"),
            ("dice_cross_entropy", "cross-entropy+dice"),
            ("0.5*hard_pixels + 1*focal", "0.5*hard-pixels+focal"),
        ] {
            assert_eq!(text.parse::<Loss>().unwrap().to_string(), expected);
        }
        for (text, expected) in [
            ("mse", "found \"mse\""),
            ("", "found \"\""),
            ("-1*dice", "expected a positive number before *"),
            ("dice+dice", "found dice twice"),
        ] {
            assert!(text.parse::<Loss>().unwrap_err().contains(expected), "{text}");
        }
    }

    #[test]
    fn equal_logits_cost_the_logarithm_of_the_classes() {
        let case = Case::row(&[0.0; 4], &[0, 1], &[1.0, 1.0]);
        assert!((case.computed("cross-entropy").0 - 2f64.ln()).abs() < 1e-6);
        // Every probability is a half: each class has 2 * 0.5 over 1 + 1.
        assert!((case.computed("cross-entropy+dice").0 - (2f64.ln() + 0.5)).abs() < 1e-6);
    }

    #[test]
    fn cross_entropy_is_a_weighted_mean_without_ignored_pixels() {
        // Pixel 0: logits (ln 3, 0), p(0) = 3/4. Pixel 1: the same, class 1, p = 1/4. Pixel 2 is ignored.
        let logits = [3f32.ln(), 3f32.ln(), 9.0, 0.0, 0.0, -9.0];
        let (a, b) = (-(0.75f64.ln()), -(0.25f64.ln()));
        let case = Case::row(&logits, &[0, 1, IGNORE_INDEX], &[1.0, 3.0]);
        let found = case.computed("cross-entropy").0;
        assert!((found - (a + 3.0 * b) / 4.0).abs() < 1e-6, "{found}");
        // Class 0: 2 * 3/4 over 6/4 + 1; class 1: 2 * 1/4 over 2/4 + 1, three times.
        let dice = (1.5 / 2.5 + 3.0 * (0.5 / 1.5)) / 4.0;
        let both = case.computed("cross-entropy+dice").0;
        assert!((both - found - (1.0 - dice)).abs() < 1e-6, "{both}");
    }

    #[test]
    fn a_mask_that_is_all_ignored_has_no_loss_and_no_gradient() {
        let case = Case::row(&[1.0, 2.0], &[IGNORE_INDEX], &[1.0, 1.0]);
        assert!(!Target::new(&case.mask, &case.weights).counts());
        for loss in all() {
            assert_eq!(case.computed(&loss), (0.0, vec![0.0, 0.0]), "{loss}");
        }
    }
}
