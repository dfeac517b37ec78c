//! Whether probabilities can be believed: of the pixels that a network is 90 % sure of, are 90 % right?

use serde::Serialize;
use unet_shared::mask::IGNORE_INDEX;

/// Bins of equal width from 0 to 1.
pub const BINS: usize = 15;
/// A probability is counted in steps of 1/65535, so that sums are exact in any order. 15 bins divide that without a remainder.
const STEPS: u16 = u16::MAX;
const BIN_STEPS: u16 = STEPS / BINS as u16;

/// A probability in steps. At least one, since the largest of K probabilities is never 0; also if it is not a number.
pub(super) fn steps(probability: f32) -> u16 {
    // The cast saturates, and makes NaN 0.
    ((probability * f32::from(STEPS)).round() as u16).max(1)
}

/// Pixels by how sure the network is of their class: the probability by softmax of the logits, without temperature. Each pixel of a
/// label counts once, at the label's size, with the probability of the pixel that it takes its class from; ignored pixels do not
/// count.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(into = "Written")]
pub struct Calibration {
    bins: [Bin; BINS],
}

/// The pixels whose probability is in `(number / 15, (number + 1) / 15]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bin {
    /// Number of pixels.
    pub pixels: u64,
    /// Those of them whose class is right.
    pub correct: u64,
    /// Sum of their probabilities in steps.
    steps: u64,
}

impl Bin {
    /// The share of pixels that are right; none of no pixels.
    pub fn accuracy(&self) -> Option<f64> {
        (self.pixels > 0).then(|| self.correct as f64 / self.pixels as f64)
    }

    /// The mean probability; none of no pixels.
    pub fn confidence(&self) -> Option<f64> {
        (self.pixels > 0).then(|| self.steps as f64 / (self.pixels as f64 * f64::from(STEPS)))
    }
}

impl Calibration {
    /// Counts an image. `confidences` are the probabilities of the predicted classes in steps.
    pub(crate) fn add(&mut self, truth: &[u8], prediction: &[u8], confidences: &[u16]) {
        for ((&truth, &prediction), &confidence) in truth.iter().zip(prediction).zip(confidences) {
            if truth != IGNORE_INDEX {
                let bin = &mut self.bins[usize::from(confidence.saturating_sub(1) / BIN_STEPS)];
                bin.pixels += 1;
                bin.correct += u64::from(truth == prediction);
                bin.steps += u64::from(confidence);
            }
        }
    }

    /// The bins, from low probabilities to high ones.
    pub fn bins(&self) -> &[Bin; BINS] {
        &self.bins
    }

    /// Number of pixels.
    pub fn pixels(&self) -> u64 {
        self.bins.iter().map(|bin| bin.pixels).sum()
    }

    /// Expected calibration error (Naeini et al. 2015, Guo et al. 2017): the difference between accuracy and mean probability of a
    /// bin, averaged over the pixels. None if no pixel counts.
    pub fn error(&self) -> Option<f64> {
        let apart = |bin: &Bin| (bin.correct as f64 - bin.steps as f64 / f64::from(STEPS)).abs();
        let pixels = self.pixels();
        (pixels > 0).then(|| self.bins.iter().map(apart).sum::<f64>() / pixels as f64)
    }
}

/// [`Calibration`] in JSON.
#[derive(Serialize)]
struct Written {
    error: Option<f64>,
    bins: Vec<WrittenBin>,
}

#[derive(Serialize)]
struct WrittenBin {
    pixels: u64,
    accuracy: Option<f64>,
    confidence: Option<f64>,
}

impl From<Calibration> for Written {
    fn from(of: Calibration) -> Self {
        let bin = |bin: &Bin| WrittenBin { pixels: bin.pixels, accuracy: bin.accuracy(), confidence: bin.confidence() };
        Self { error: of.error(), bins: of.bins.iter().map(bin).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_by_hand() {
        let mut calibration = Calibration::default();
        assert_eq!(calibration.error(), None);
        // Two pixels at 0.6, one right; two at 1.0, both right; one is ignored.
        let sure = [0.6, 0.6, 1.0, 1.0, 0.1].map(steps);
        calibration.add(&[0, 1, 1, 0, 255], &[0, 0, 1, 0, 0], &sure);
        let [low, high] = [8, 14].map(|bin| calibration.bins()[bin]);
        assert_eq!((low.pixels, low.correct, low.accuracy()), (2, 1, Some(0.5)));
        assert_eq!((high.pixels, high.correct, high.confidence()), (2, 2, Some(1.0)));
        assert_eq!(calibration.pixels(), 4);
        assert!((low.confidence().unwrap() - 0.6).abs() < 1e-5);
        // (2 * 0.1 + 2 * 0) / 4
        assert!((calibration.error().unwrap() - 0.05).abs() < 1e-5);
        let json = serde_json::to_value(&calibration).unwrap();
        assert_eq!(json["bins"][14]["accuracy"], 1.0);
        assert_eq!(json["bins"][0]["confidence"], serde_json::Value::Null);
    }

    #[test]
    fn a_bin_includes_its_upper_end() {
        let bin = |probability: f32| {
            let mut calibration = Calibration::default();
            calibration.add(&[0], &[0], &[steps(probability)]);
            calibration.bins().iter().position(|bin| bin.pixels == 1).unwrap()
        };
        assert_eq!([0.0, 1.0 / 15.0, 0.067, 0.2, 0.5, 0.9333, 0.9334, 1.0].map(bin), [0, 0, 1, 2, 7, 13, 14, 14]);
        assert_eq!([f32::NAN, -1.0, f32::INFINITY].map(bin), [0, 0, 14]);
        assert_eq!(u16::MAX % BINS as u16, 0);
    }
}
