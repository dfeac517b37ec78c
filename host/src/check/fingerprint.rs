//! Whether two images are the same, also if mirrored, rotated or recompressed.
//!
//! Two fingerprints of the gray pixels: a digest that all eight symmetries of an image share, and a thumbnail for images that are similar
//! but not equal. Knows neither files nor splits.

use unet_data::DecodedImage;
use unet_shared::digest::Digest;
use unet_shared::preprocess::{Channels, Filter, Fit, Normalize, Preprocess, PreprocessError, Preprocessor};

/// Side of the thumbnail in pixels.
const SIDE: usize = 32;

/// Rings of one pixel's width around the thumbnail's centre.
const RINGS: usize = SIDE / 2;

/// Maximum difference of the thumbnails' means, and of their rings on average, between similar images, in gray levels.
const MEAN_DIFFERENCE_MAX: f32 = 3.0;

/// Minimum standard deviation of a thumbnail, in gray levels; flatter ones are never called similar.
const SPREAD_MIN: f32 = 3.0;

/// Minimum correlation of similar thumbnails: a JPEG that was mirrored and saved again measured 0.998, different images of one kind
/// of steel defect up to 0.97.
const CORRELATION_MIN: f32 = 0.99;

/// What is kept of an image to find its duplicates: about 1.2 KB.
#[derive(Debug, Clone, PartialEq)]
pub struct Fingerprint {
    /// Digest of size and pixels of the first of the eight symmetries, in the order of their values.
    pub canonical: Digest,
    /// Which symmetry that is.
    pub symmetry: u8,
    /// Whether all pixels have one value, so that equality says nothing.
    pub uniform: bool,
    aspect: f32,
    mean: f32,
    spread: f32,
    rings: [f32; RINGS],
    thumbnail: Vec<u8>,
}

impl Fingerprint {
    /// The fingerprint of an image. `hashes`: one hash per pixel of the stored samples, for images whose bytes lose
    /// detail.
    pub fn of(image: &DecodedImage, hashes: Option<&[u32]>) -> Result<Self, PreprocessError> {
        let (width, height) = (image.width, image.height);
        let view = image.view();
        let mut gray = vec![0; width * height];
        for (y, row) in gray.chunks_exact_mut(width).enumerate() {
            view.read_row(y, Channels::Gray, row)?;
        }
        let (canonical, symmetry, uniform) = match hashes {
            Some(hashes) => canonical(hashes, width, height, |hash| hash.to_le_bytes()),
            None => canonical(&gray, width, height, |value| [value]),
        };
        let mut thumbnail = vec![0; SIDE * SIDE];
        let spec = Preprocess {
            width: SIDE as u32,
            height: SIDE as u32,
            channels: Channels::Gray,
            fit: Fit::Stretch,
            filter: Filter::Area,
            normalize: Normalize::Unit,
            ..Preprocess::CLASSIC
        };
        Preprocessor::new(spec)?.run(&view, &mut thumbnail)?;
        let count = (SIDE * SIDE) as f32;
        let mean = thumbnail.iter().map(|&v| f32::from(v)).sum::<f32>() / count;
        let spread = (thumbnail.iter().map(|&v| (f32::from(v) - mean).powi(2)).sum::<f32>() / count).sqrt();
        let long = width.max(height) as f32;
        Ok(Self {
            canonical,
            symmetry,
            uniform,
            aspect: long / width.min(height) as f32,
            mean,
            spread,
            rings: rings(&thumbnail),
            thumbnail,
        })
    }

    /// The mean gray level of the thumbnail; similar images differ in it by at most [`Fingerprint::reach`].
    pub fn mean(&self) -> f32 {
        self.mean
    }

    /// Maximum difference of the means of similar images.
    pub const fn reach() -> f32 {
        MEAN_DIFFERENCE_MAX
    }

    /// Whether the other image looks the same in one of the eight symmetries.
    pub fn is_similar(&self, other: &Self) -> bool {
        self.spread >= SPREAD_MIN
            && other.spread >= SPREAD_MIN
            && (self.mean - other.mean).abs() <= MEAN_DIFFERENCE_MAX
            && (self.spread - other.spread).abs() <= MEAN_DIFFERENCE_MAX
            && (self.aspect / other.aspect - 1.0).abs() < 0.02
            // Rings are the same in all symmetries, so most pairs end here.
            && self.rings.iter().zip(&other.rings).map(|(a, b)| (a - b).abs()).sum::<f32>()
                <= MEAN_DIFFERENCE_MAX * RINGS as f32
            && (0..8).any(|symmetry| self.correlation(other, symmetry) >= CORRELATION_MIN)
    }

    /// The correlation of this thumbnail with a symmetry of the other.
    fn correlation(&self, other: &Self, symmetry: u8) -> f32 {
        let mut sum = 0.0;
        for (at, &value) in self.thumbnail.iter().enumerate() {
            let place = source(symmetry, at % SIDE, at / SIDE, SIDE, SIDE);
            sum += (f32::from(value) - self.mean) * (f32::from(other.thumbnail[place]) - other.mean);
        }
        sum / ((SIDE * SIDE) as f32 * self.spread * other.spread)
    }
}

/// The index in a `width` x `height` image of the pixel at column `x` and row `y` of its symmetry: bit 0 mirrors left and right, bit
/// 1 top and bottom, bit 2 swaps rows and columns.
fn source(symmetry: u8, x: usize, y: usize, width: usize, height: usize) -> usize {
    let (x, y) = if symmetry & 4 == 0 { (x, y) } else { (y, x) };
    let x = if symmetry & 1 == 0 { x } else { width - 1 - x };
    let y = if symmetry & 2 == 0 { y } else { height - 1 - y };
    y * width + x
}

/// The digest of the lexicographically smallest of the image's symmetries that are at least as wide as high, which one it is,
/// and whether all pixels are equal.
fn canonical<T: Copy + Ord, const N: usize>(
    pixels: &[T],
    width: usize,
    height: usize,
    bytes: impl Fn(T) -> [u8; N],
) -> (Digest, u8, bool) {
    let (long, short) = (width.max(height), width.min(height));
    let mut left: Vec<u8> = match width.cmp(&height) {
        std::cmp::Ordering::Greater => (0..4).collect(),
        std::cmp::Ordering::Less => (4..8).collect(),
        std::cmp::Ordering::Equal => (0..8).collect(),
    };
    let value = |symmetry: u8, at: usize| pixels[source(symmetry, at % long, at / long, width, height)];
    // A few pixels usually decide; for a symmetric image any of those left will do.
    for at in 0..pixels.len() {
        let min = left.iter().map(|&symmetry| value(symmetry, at)).min();
        left.retain(|&symmetry| Some(value(symmetry, at)) == min);
        if left.len() == 1 {
            break;
        }
    }
    let symmetry = left.first().copied().unwrap_or(0);
    let turned: Vec<u8> = (0..pixels.len()).flat_map(|at| bytes(value(symmetry, at))).collect();
    let size = [(long as u64).to_le_bytes(), (short as u64).to_le_bytes()].concat();
    (Digest::of_parts([size.as_slice(), &turned]), symmetry, pixels.iter().all(|pixel| *pixel == pixels[0]))
}

/// The mean gray level of each ring, from the border to the centre.
fn rings(thumbnail: &[u8]) -> [f32; RINGS] {
    let mut sums = [(0.0, 0.0); RINGS];
    for (at, &value) in thumbnail.iter().enumerate() {
        let (x, y) = (at % SIDE, at / SIDE);
        let (sum, count) = &mut sums[x.min(y).min(SIDE - 1 - x).min(SIDE - 1 - y)];
        *sum += f32::from(value);
        *count += 1.0;
    }
    sums.map(|(sum, count)| sum / count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use unet_shared::image::PixelFormat;

    fn image(width: usize, height: usize, pixel: impl Fn(usize, usize) -> u8) -> DecodedImage {
        let data = (0..width * height).map(|at| pixel(at % width, at / width)).collect();
        DecodedImage {
            width,
            height,
            format: PixelFormat::Gray8,
            data,
            orientation: 1,
            extra_bands: 0,
            leftovers: false,
            dark: None,
        }
    }

    fn pattern(seed: usize, x: usize, y: usize) -> u8 {
        let (x, y) = (x / 8 + seed, y / 8);
        ((x * x * 31 + y * 57 + x * y * 13) % 251) as u8
    }

    fn symmetry_of(image: &DecodedImage, symmetry: u8) -> DecodedImage {
        let (w, h) = (image.width, image.height);
        let (width, height) = if symmetry & 4 == 0 { (w, h) } else { (h, w) };
        let data = (0..w * h).map(|at| image.data[source(symmetry, at % width, at / width, w, h)]).collect();
        DecodedImage { width, height, data, ..image.clone() }
    }

    #[test]
    fn all_eight_symmetries_share_the_digest_and_are_similar() {
        for (width, height) in [(64, 64), (72, 48), (40, 88)] {
            let first = image(width, height, |x, y| pattern(0, x, y));
            let print = Fingerprint::of(&first, None).unwrap();
            for symmetry in 0..8 {
                let other = Fingerprint::of(&symmetry_of(&first, symmetry), None).unwrap();
                assert_eq!(other.canonical, print.canonical, "{width}x{height} symmetry {symmetry}");
                assert!(print.is_similar(&other), "{width}x{height} symmetry {symmetry}");
            }
        }
    }

    #[test]
    fn other_images_differ_and_noise_does_not() {
        let print = |image: DecodedImage| Fingerprint::of(&image, None).unwrap();
        let first = print(image(64, 64, |x, y| pattern(0, x, y)));
        let other = print(image(64, 64, |x, y| pattern(5, x, y)));
        let noisy = print(image(64, 64, |x, y| pattern(0, x, y).saturating_add(((x * 7 + y * 3) % 4) as u8)));
        assert_ne!(first.canonical, other.canonical);
        assert!(!first.is_similar(&other));
        assert_ne!(first.canonical, noisy.canonical);
        assert!(first.is_similar(&noisy));
        assert_ne!(first.canonical, print(image(128, 32, |x, y| pattern(0, x, y))).canonical);
    }

    #[test]
    fn featureless_images_are_not_called_similar() {
        let flat = Fingerprint::of(&image(64, 64, |_, _| 90), None).unwrap();
        assert!(flat.uniform && !flat.is_similar(&flat));
        // Equal bytes made from different samples.
        let hashes = |seed: u32| (0..64 * 64).map(|at| at * seed).collect::<Vec<u32>>();
        let [one, two] = [3, 5].map(|seed| Fingerprint::of(&image(64, 64, |_, _| 90), Some(&hashes(seed))).unwrap());
        assert!(!one.uniform && one.canonical != two.canonical && !one.is_similar(&two));
    }
}
