//! The probability of the predicted class at each pixel of an image, from the logits of its tiles.

use unet_engine::pixel_values::{AsItIs, join_tile, resize_into};
use unet_engine::segmenter::Logits;
use unet_kernels::InstructionSet;
use unet_kernels::confidence::confidences;
use unet_shared::mask::MaskError;
use unet_shared::preprocess::{Placement, Preprocess};
use unet_shared::tiles::Tile;

use super::calibration::steps;

/// Collects the probabilities of one image after another; all are in steps of 1/65535.
#[derive(Debug)]
pub(super) struct Confidences {
    spec: Preprocess,
    set: InstructionSet,
    probabilities: Vec<f32>,
    // Of the last tile, at the model's size.
    tile: Vec<u16>,
    // Of an image of several tiles, at its size.
    joined: Vec<u16>,
    resized: Vec<u16>,
    place: Place,
}

/// Where the probabilities of the current image are.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// Nowhere: the model gave no logits.
    None,
    /// In `tile`.
    Whole(Placement),
    /// In `joined`.
    Joined((usize, usize)),
}

impl Confidences {
    /// Of a model whose input `spec` describes.
    pub fn new(spec: Preprocess) -> Self {
        let set = InstructionSet::available()[0];
        let (tile, joined, resized) = (vec![], vec![], vec![]);
        Self { spec, set, probabilities: vec![], tile, joined, resized, place: Place::None }
    }

    /// Takes those of a tile, or of an image that is not cut.
    ///
    /// # Errors
    /// If there are not the same number of logits for each pixel, or the placement is not within the model's input.
    pub fn add(&mut self, tile: &Tile, placement: Placement, logits: Option<Logits<'_>>) -> Result<(), MaskError> {
        self.place = Place::None;
        let Some(logits) = logits else { return Ok(()) };
        let pixels = self.spec.width as usize * self.spec.height as usize;
        let found = match logits {
            Logits::Float(values) => values.len(),
            Logits::Quantized { values, .. } => values.len(),
        };
        if found == 0 || !found.is_multiple_of(pixels) {
            return Err(MaskError::Logits { classes: found / pixels.max(1), pixels, found });
        }
        self.tile.resize(pixels, 0);
        match logits {
            Logits::Float(values) => {
                self.probabilities.resize(pixels, 0.0);
                confidences(self.set, values, &mut self.probabilities);
                for (to, &from) in self.tile.iter_mut().zip(&self.probabilities) {
                    *to = steps(from);
                }
            }
            Logits::Quantized { values, scale } => quantized(values, scale, &mut self.tile),
        }
        if tile.is_whole() {
            self.place = Place::Whole(placement);
            return Ok(());
        }
        self.joined.resize(tile.image.0 * tile.image.1, 0);
        join_tile(&self.tile, &self.spec, placement, tile, &mut self.resized, &mut self.joined)?;
        self.place = Place::Joined(tile.image);
        Ok(())
    }

    /// Those of the image whose tiles were all taken, at another size of it; none from a model without logits.
    ///
    /// # Errors
    /// If a side is 0 or too large.
    pub fn at(&mut self, size: (usize, usize)) -> Result<Option<&[u16]>, MaskError> {
        let (values, from, placement) = match self.place {
            Place::None => return Ok(None),
            Place::Whole(placement) => (&self.tile, (self.spec.width, self.spec.height), placement),
            Place::Joined((width, height)) => {
                // Sides of an image fit.
                let (width, height) = (width as u32, height as u32);
                (&self.joined, (width, height), Placement { x: 0, y: 0, width, height })
            }
        };
        let AsItIs(as_it_is) = resize_into(values, from, placement, size, &mut self.resized)?;
        Ok(Some(if as_it_is { values } else { &self.resized }))
    }
}

/// `1 / sum over classes of exp(scale * (byte - largest byte))` for each pixel of `values`, which are class by class.
fn quantized(values: &[u8], scale: f32, out: &mut [u16]) {
    let powers: [f32; 256] = std::array::from_fn(|below| (-scale * below as f32).exp());
    let pixels = out.len();
    let mut largest = values[..pixels].to_vec();
    for plane in values.chunks_exact(pixels).skip(1) {
        largest.iter_mut().zip(plane).for_each(|(largest, &value)| *largest = (*largest).max(value));
    }
    let mut sums = vec![0f32; pixels];
    for plane in values.chunks_exact(pixels) {
        for ((sum, &value), &largest) in sums.iter_mut().zip(plane).zip(&largest) {
            *sum += powers[usize::from(largest - value)];
        }
    }
    out.iter_mut().zip(sums).for_each(|(to, sum)| *to = steps(1.0 / sum));
}

#[cfg(test)]
mod tests {
    use unet_shared::tiles::Grid;

    use super::*;

    const SPEC: Preprocess = Preprocess { width: 16, height: 16, ..Preprocess::CLASSIC };
    const WHOLE: Placement = Placement { x: 0, y: 0, width: 16, height: 16 };

    fn probability(logits: &[f32]) -> f64 {
        let powers = logits.iter().map(|&logit| f64::from(logit).exp());
        powers.clone().fold(0.0, f64::max) / powers.sum::<f64>()
    }

    #[test]
    fn quantized_logits_have_the_probabilities_of_their_real_values() {
        let values: Vec<u8> = (0..3 * 256).map(|at| (at * 89 % 256) as u8).collect();
        let real: Vec<f32> = values.iter().map(|&value| 0.05 * (f32::from(value) - 100.0)).collect();
        let tile = Grid::new(None, 16, 16).tile(0).unwrap();
        let mut confidences = Confidences::new(SPEC);
        let mut of = |logits| {
            confidences.add(&tile, WHOLE, Some(logits)).unwrap();
            confidences.at((16, 16)).unwrap().unwrap().to_vec()
        };
        let (int8, float) = (of(Logits::Quantized { values: &values, scale: 0.05 }), of(Logits::Float(&real)));
        for at in 0..256 {
            let expected = probability(&[real[at], real[256 + at], real[512 + at]]) * 65535.0;
            for found in [int8[at], float[at]] {
                assert!((f64::from(found) - expected).abs() <= 1.0, "pixel {at}: {found} {expected}");
            }
        }
    }

    #[test]
    fn tiles_are_joined_as_their_classes_are() {
        let mut confidences = Confidences::new(SPEC);
        for tile in Grid::new(Some("16,4".parse().unwrap()), 40, 16).tiles() {
            // More sure from column to column of the image.
            let logits: Vec<f32> = (0..512)
                .map(|at| if at < 256 { (tile.columns.tile.start + at % 16) as f32 / 10.0 } else { 0.0 })
                .collect();
            confidences.add(&tile, WHOLE, Some(Logits::Float(&logits))).unwrap();
        }
        let found = confidences.at((40, 16)).unwrap().unwrap();
        for (at, &found) in found.iter().enumerate() {
            let expected = probability(&[(at % 40) as f32 / 10.0, 0.0]) * 65535.0;
            assert!((f64::from(found) - expected).abs() <= 1.0, "pixel {at}: {found} {expected}");
        }
        // A label of half the size.
        assert_eq!(confidences.at((20, 8)).unwrap().unwrap().len(), 160);
    }

    #[test]
    fn without_logits_there_are_none_and_too_few_are_refused() {
        let tile = Grid::new(None, 16, 16).tile(0).unwrap();
        let mut confidences = Confidences::new(SPEC);
        confidences.add(&tile, WHOLE, None).unwrap();
        assert_eq!(confidences.at((16, 16)).unwrap(), None);
        let error = confidences.add(&tile, WHOLE, Some(Logits::Float(&[0.0; 300]))).unwrap_err();
        assert_eq!(error, MaskError::Logits { classes: 1, pixels: 256, found: 300 });
    }
}
