//! 2x2 max-pooling of stride 2, and its gradient. Height and width are even.

use rayon::prelude::*;

use super::InstructionSet;
use super::planes::Size;
use super::shared::written;

/// `[N, H, W, C]` to `[N, H / 2, W / 2, C]`.
pub fn forward(set: InstructionSet, x: &[f32], size: Size, channels: usize) -> Vec<f32> {
    let (table, row) = (set.table(channels.max(16)), size.width * channels);
    check(x, size, channels);
    // SAFETY: each pair of rows gives a row of the output, which is written whole, by one thread.
    unsafe {
        written(x.len() / 4, |y| {
            x.par_chunks_exact(2 * row).enumerate().for_each(|(number, x)| {
                let (upper, lower) = x.split_at(row);
                (table.pool)(upper, lower, channels, y.part(number * row / 2, row / 2));
            });
        })
    }
}

/// The gradient of the input: of each window, that of the output goes to the first largest value.
pub fn backward(set: InstructionSet, x: &[f32], gradient: &[f32], size: Size, channels: usize) -> Vec<f32> {
    let (table, row) = (set.table(channels.max(16)), size.width * channels);
    check(x, size, channels);
    assert_eq!(gradient.len(), x.len() / 4);
    // SAFETY: each pair of rows is written whole, by one thread.
    unsafe {
        written(x.len(), |out| {
            x.par_chunks_exact(2 * row).zip(gradient.par_chunks_exact(row / 2)).enumerate().for_each(
                |(number, (x, gradient))| {
                    let (upper, lower) = x.split_at(row);
                    let (to_upper, to_lower) = out.part(number * 2 * row, 2 * row).split_at_mut(row);
                    (table.pool_gradient)(upper, lower, gradient, channels, to_upper, to_lower);
                },
            );
        })
    }
}

fn check(x: &[f32], size: Size, channels: usize) {
    assert!(
        size.height.is_multiple_of(2) && size.width.is_multiple_of(2) && size.width > 0 && channels > 0,
        "2x2 windows fill the image"
    );
    assert_eq!(x.len(), size.pixels() * channels);
}
