//! Random blur.

use std::sync::Arc;

use crate::dataset::loader::Item;
use crate::rng::Rng;

/// Binomial kernels; their deviations are 0.7 and 1 pixels.
const KERNELS: [&[u16]; 2] = [&[1, 2, 1], &[1, 4, 6, 4, 1]];

/// Blurs a quarter of the images by a kernel of 3 or of 5 pixels a side.
pub(super) fn apply(rng: &mut Rng, width: usize, item: &mut Arc<Item>) {
    let (is_blurred, kernel) = (rng.below(4) == 0, KERNELS[rng.below(KERNELS.len() as u64) as usize]);
    if is_blurred {
        let item = Arc::make_mut(item);
        let mut sums = Vec::new();
        item.planes.chunks_exact_mut(item.mask.len()).for_each(|plane| blur(kernel, width, plane, &mut sums));
    }
}

/// Blurs a plane; pixels outside repeat the border. The kernel's sum squared times 255 fits into 16 bits,
/// so both passes are summed and rounded once.
fn blur(kernel: &[u16], width: usize, plane: &mut [u8], sums: &mut Vec<u16>) {
    let (height, radius) = (plane.len() / width, kernel.len() / 2);
    let square: u16 = kernel.iter().sum::<u16>().pow(2);
    let shift = square.trailing_zeros();
    // Sums of columns, with `radius` more at both ends of each row.
    let stride = width + 2 * radius;
    sums.clear();
    sums.resize(stride * height, 0);
    for (y, sums) in sums.chunks_exact_mut(stride).enumerate() {
        for (k, weight) in kernel.iter().enumerate() {
            let row = &plane[(y + k).saturating_sub(radius).min(height - 1) * width..][..width];
            for (sum, &pixel) in sums[radius..].iter_mut().zip(row) {
                *sum += weight * u16::from(pixel);
            }
        }
        let (first, last) = (sums[radius], sums[radius + width - 1]);
        sums[..radius].fill(first);
        sums[radius + width..].fill(last);
    }
    for (row, sums) in plane.chunks_exact_mut(width).zip(sums.chunks_exact(stride)) {
        match *kernel {
            [a, b, c] => {
                for ((pixel, s), (t, u)) in row.iter_mut().zip(sums).zip(sums[1..].iter().zip(&sums[2..])) {
                    *pixel = ((a * s + b * t + c * u + square / 2) >> shift) as u8;
                }
            }
            _ => {
                for (x, pixel) in row.iter_mut().enumerate() {
                    let sum: u16 = kernel.iter().zip(&sums[x..]).map(|(weight, sum)| weight * sum).sum();
                    *pixel = ((sum + square / 2) >> shift) as u8;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blurred(kernel: &[u16], width: usize, plane: &[u8]) -> Vec<u8> {
        let mut plane = plane.to_vec();
        blur(kernel, width, &mut plane, &mut Vec::new());
        plane
    }

    #[test]
    fn a_point_becomes_the_kernel() {
        let mut point = [0; 25];
        point[12] = 160;
        // 160 / 16 times 1, 2 and 4.
        let expected = [0, 0, 0, 0, 0, 0, 10, 20, 10, 0, 0, 20, 40, 20, 0, 0, 10, 20, 10, 0, 0, 0, 0, 0, 0];
        assert_eq!(blurred(KERNELS[0], 5, &point), expected);
        point[12] = 255;
        // 255 / 256 times the products of 1, 4, 6, 4 and 1.
        assert_eq!(blurred(KERNELS[1], 5, &point)[..10], [1, 4, 6, 4, 1, 4, 16, 24, 16, 4]);
    }

    #[test]
    fn borders_are_continued_and_equal_pixels_stay() {
        for kernel in KERNELS {
            assert_eq!(blurred(kernel, 3, &[255; 6]), [255; 6]);
            assert_eq!(blurred(kernel, 1, &[9]), [9]);
        }
        // (3 * 0 + 80) / 4 at one end, and (0 + 3 * 80) / 4 at the other.
        assert_eq!(blurred(KERNELS[0], 2, &[0, 80]), [20, 60]);
        assert_eq!(blurred(KERNELS[0], 1, &[0, 80]), [20, 60]);
    }
}
