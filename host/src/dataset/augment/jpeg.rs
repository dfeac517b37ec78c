//! The losses of JPEG compression.

use std::sync::Arc;

use image::codecs::jpeg::{JpegDecoder, JpegEncoder};
use image::{ExtendedColorType, ImageDecoder as _};

use crate::dataset::loader::Item;
use crate::rng::Rng;

/// Lowest and highest quality.
const QUALITY: [i32; 2] = [40, 95];

/// Compresses a quarter of the images as JPEG of a quality of 40 to 95, and reads them again.
pub(super) fn apply(rng: &mut Rng, width: usize, item: &mut Arc<Item>) {
    let (is_compressed, quality) = (rng.below(4) == 0, rng.between(QUALITY[0], QUALITY[1]));
    if is_compressed {
        let item = Arc::make_mut(item);
        compress(quality as u8, width, &mut item.planes, item.mask.len());
    }
}

fn compress(quality: u8, width: usize, planes: &mut [u8], pixels: usize) {
    let channels = planes.len() / pixels;
    let mut interleaved = vec![0; planes.len()];
    for (channel, plane) in planes.chunks_exact(pixels).enumerate() {
        interleaved.iter_mut().skip(channel).step_by(channels).zip(plane).for_each(|(to, from)| *to = *from);
    }
    let color = if channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
    let mut file = Vec::with_capacity(planes.len() / 2);
    // A side has at most 16384 pixels, JPEG allows 65535, and memory is the only place that is written to.
    let encoder = JpegEncoder::new_with_quality(&mut file, quality);
    { encoder }
        .encode(&interleaved, width as u32, (pixels / width) as u32, color)
        .expect("pixels of this size are encoded");
    let decoder = JpegDecoder::new(std::io::Cursor::new(&file)).expect("the file was made here");
    decoder.read_image(&mut interleaved).expect("the file was made here, of this many bytes");
    for (channel, plane) in planes.chunks_exact_mut(pixels).enumerate() {
        plane.iter_mut().zip(interleaved.iter().skip(channel).step_by(channels)).for_each(|(to, from)| *to = *from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean distance between planes and their compressed form.
    fn loss(quality: u8, width: usize, planes: &[u8], pixels: usize) -> f64 {
        let mut compressed = planes.to_vec();
        compress(quality, width, &mut compressed, pixels);
        let distance: u64 = planes.iter().zip(&compressed).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        distance as f64 / planes.len() as f64
    }

    #[test]
    fn equal_pixels_stay_and_a_lower_quality_loses_more() {
        assert_eq!(loss(40, 24, &[128; 24 * 17], 24 * 17), 0.0);
        let planes: Vec<u8> = (0..3 * 40 * 30u32).map(|i| (i * 7 % 40 * 5 + i / 1200 * 20) as u8).collect();
        let losses = [95, 70, 40].map(|quality| loss(quality, 40, &planes, 1200));
        assert!(losses[0] > 0.0 && losses[0] < losses[1] && losses[1] < losses[2] && losses[2] < 30.0, "{losses:?}");
    }

    #[test]
    fn channels_stay_apart() {
        // Each channel has a value of its own; compression in YCbCr changes it by at most a few gray values.
        let planes: Vec<u8> = [200, 90, 30].iter().flat_map(|&value| [value; 64]).collect();
        assert!(loss(90, 8, &planes, 64) <= 3.0);
    }
}
