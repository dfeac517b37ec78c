//! Whether two f32 evaluations of one network agree as well as f32 allows.
//!
//! No fixed bound does: a trained network may amplify a rounding error a thousandfold where its field of view is ambiguous, and
//! folding batch norm rounds every weight once. How much rounding changes the logits is therefore measured on the network and the
//! frames themselves, by moving every parameter to one of its two neighbours in f32 ([`nudged`]). A worst-case bound (the sum of
//! all magnitudes, layer after layer) would be many orders of magnitude above that and find nothing.

use serde::Serialize;

use super::graph::{Graph, Operator};
use crate::rng::Rng;

/// How many times the difference that [`nudged`] parameters make is allowed: a margin on an estimate, not a bound. Each of the two
/// evaluations rounds its sums in another order, and the folded parameters are rounded in one of them: three errors of the same
/// kind, and the largest of some million values varies by a small factor from one draw to the next. Exports of seven runs trained
/// on thin cracks, one per seed, differed by 0.1 to 1.3 times the estimate.
pub const ALLOWED: f64 = 8.0;
/// The least rms difference that is allowed, relative to the range of the logits, and a sixteenth of the least largest one: for a
/// network so small that its neighbours in f32 give the same logits.
const ALLOWED_LEAST: f64 = f32::EPSILON as f64;

/// How far two evaluations are apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Difference {
    /// The largest absolute difference of a value; infinite if one is NaN.
    pub largest: f64,
    /// The root of the mean squared difference.
    pub rms: f64,
    #[serde(skip)]
    values: u64,
}

impl Difference {
    /// Adds two evaluations of one frame.
    pub fn add<A: Copy + Into<f64>, B: Copy + Into<f64>>(&mut self, a: &[A], b: &[B]) {
        let mut squares = self.rms * self.rms * self.values as f64;
        if a.len() != b.len() {
            self.largest = f64::INFINITY;
        }
        for (&a, &b) in a.iter().zip(b) {
            let difference = (a.into() - b.into()).abs();
            // NaN on either side must not count as equal.
            let difference = if difference.is_nan() { f64::INFINITY } else { difference };
            self.largest = self.largest.max(difference);
            squares += difference * difference;
        }
        self.values += a.len() as u64;
        self.rms = (squares / self.values.max(1) as f64).sqrt();
    }

    /// What is allowed where nudged parameters make this difference and the logits have this range.
    pub fn allowed(self, range: f64) -> Self {
        let least = ALLOWED_LEAST * range;
        Self { largest: (ALLOWED * self.largest).max(16.0 * least), rms: (ALLOWED * self.rms).max(least), ..self }
    }

    /// Whether both measures are at most those of `allowed`.
    pub fn is_within(self, allowed: Self) -> bool {
        self.largest <= allowed.largest && self.rms <= allowed.rms
    }
}

/// The graph with each weight and bias moved to the next f32 above or below, by the flip of a coin from `seed`; 0 stays.
pub fn nudged(graph: &Graph, seed: u64) -> Graph {
    let mut rng = Rng::new(seed);
    let mut moved = graph.clone();
    for node in &mut moved.nodes {
        if let Operator::Conv(conv) = &mut node.operator {
            for value in conv.weight.iter_mut().chain(&mut conv.bias) {
                let neighbour = if rng.below(2) == 0 { value.next_up() } else { value.next_down() };
                *value = if *value == 0.0 { 0.0 } else { neighbour };
            }
        }
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::test_device;
    use crate::export::fold::graph_of;
    use crate::model::{Stem, UNetConfig, Upsampling};

    #[test]
    fn differences_of_several_frames_are_one() {
        let mut difference = Difference::default();
        difference.add(&[1.0f32, 2.0], &[1.0f64, 5.0]);
        difference.add(&[0.0f32, 0.0], &[4.0f64, 0.0]);
        assert_eq!((difference.largest, difference.rms), (4.0, 2.5));
        for (a, b) in [(&[f32::NAN, 0.0][..], &[0.0f64, 0.0][..]), (&[0.0], &[0.0, 0.0])] {
            let mut difference = Difference::default();
            difference.add(a, b);
            assert_eq!(difference.largest, f64::INFINITY);
            assert!(!difference.is_within(Difference { largest: 1e30, ..difference }));
        }
    }

    #[test]
    fn every_parameter_moves_by_one_step() {
        let config = UNetConfig {
            base: 3,
            depth: 1,
            channels: 1,
            classes: 2,
            upsampling: Upsampling::Nearest,
            stem: Stem::Full,
            ..UNetConfig::default()
        };
        let graph = graph_of(&config.init(5, &test_device()), 16, 16);
        let moved = nudged(&graph, 3);
        let (mut up, mut down) = (0, 0);
        for (a, b) in graph.nodes.iter().zip(&moved.nodes) {
            let (Operator::Conv(a), Operator::Conv(b)) = (&a.operator, &b.operator) else { continue };
            for (a, b) in a.weight.iter().chain(&a.bias).zip(b.weight.iter().chain(&b.bias)) {
                match (*b == a.next_up(), *b == a.next_down()) {
                    (true, _) => up += 1,
                    (_, true) => down += 1,
                    _ => assert!(*a == 0.0 && *b == 0.0),
                }
            }
        }
        assert!(up > 100 && down > 100, "{up} and {down}");
        assert_eq!(moved, nudged(&graph, 3));
        assert_ne!(moved, nudged(&graph, 4));
    }
}
