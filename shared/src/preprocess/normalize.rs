//! From bytes to a float model's input. Knows nothing of quantization.

use super::PreprocessError;

/// The formula from a byte to a float.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "alloc", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Normalize {
    /// `v / 255`.
    Unit,
    /// `(v / 255 - mean) / std` per channel; gray uses the first.
    MeanStd {
        /// Means of red (or gray), green and blue, on the scale 0 to 1.
        mean: [f32; 3],
        /// Standard deviations, on the same scale; positive.
        std: [f32; 3],
    },
}

impl Normalize {
    /// Checks that every byte gives a finite number in all three channels.
    pub(super) fn validate(&self) -> Result<(), PreprocessError> {
        let Self::MeanStd { mean, std } = *self else { return Ok(()) };
        for channel in 0..3 {
            // The formula is monotone in the byte: both ends finite means all finite.
            let finite = self.apply(0, channel).is_finite() && self.apply(255, channel).is_finite();
            if !(finite && std[channel] > 0.0 && std[channel].is_finite()) {
                return Err(PreprocessError::MeanStd { channel, mean: mean[channel], std: std[channel] });
            }
        }
        Ok(())
    }

    /// The formula, each step rounded to f32. A channel beyond the third is treated as the third.
    pub(super) fn apply(&self, value: u8, channel: usize) -> f32 {
        let unit = f32::from(value) / 255.0;
        match self {
            Self::Unit => unit,
            Self::MeanStd { mean, std } => {
                let channel = channel.min(2);
                (unit - mean[channel]) / std[channel]
            }
        }
    }
}
