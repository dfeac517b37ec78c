//! The statistics of a network's norms over a whole set of images, from those of its batches.

/// Mean and variance of the input of each norm over several batches, weighted by their pixels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Population {
    /// By index of the layer.
    moments: Vec<Moments>,
}

/// Sums over pixels, for each channel.
#[derive(Clone, Debug, Default, PartialEq)]
struct Moments {
    pixels: f64,
    /// Sums of the values.
    sums: Vec<f64>,
    /// Sums of their squares.
    squares: Vec<f64>,
}

impl Population {
    /// Adds the mean and the biased variance of each channel over `pixels` pixels at the norm of layer `index`.
    pub fn add(&mut self, index: usize, pixels: usize, mean: &[f32], variance: &[f32]) {
        if self.moments.len() <= index {
            self.moments.resize_with(index + 1, Moments::default);
        }
        let moments = &mut self.moments[index];
        moments.sums.resize(mean.len(), 0.0);
        moments.squares.resize(mean.len(), 0.0);
        let pixels = pixels as f64;
        moments.pixels += pixels;
        for (channel, (&mean, &variance)) in mean.iter().zip(variance).enumerate() {
            let (mean, variance) = (f64::from(mean), f64::from(variance));
            moments.sums[channel] += pixels * mean;
            moments.squares[channel] += pixels * (variance + mean * mean);
        }
    }

    /// Mean and biased variance of each channel over everything that was added at layer `index`; none if nothing was.
    pub fn statistics(&self, index: usize) -> Option<[Vec<f32>; 2]> {
        let Moments { pixels, sums, squares } = self.moments.get(index).filter(|moments| moments.pixels > 0.0)?;
        let mean = sums.iter().map(|sum| (sum / pixels) as f32).collect();
        let variance = sums.iter().zip(squares).map(|(sum, square)| {
            let mean = sum / pixels;
            let variance = square / pixels - mean * mean;
            // `max` would turn NaN into 0.
            if variance < 0.0 { 0.0 } else { variance as f32 }
        });
        Some([mean, variance.collect()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_of_different_sizes_make_the_statistics_of_all_their_pixels() {
        // Channel 0: 1, 3 and 5, 5, 6; mean 4, variance (9 + 1 + 1 + 1 + 4) / 5. Channel 1: all 2.
        let mut population = Population::default();
        population.add(3, 2, &[2.0, 2.0], &[1.0, 0.0]);
        population.add(3, 3, &[16.0 / 3.0, 2.0], &[2.0 / 9.0, 0.0]);
        let [mean, variance] = population.statistics(3).unwrap();
        assert!((mean[0] - 4.0).abs() < 1e-6 && (variance[0] - 3.2).abs() < 1e-6, "{mean:?} {variance:?}");
        assert_eq!((mean[1], variance[1]), (2.0, 0.0));
        assert_eq!((population.statistics(0), population.statistics(4)), (None, None));
    }
}
