//! 2x2 max-pooling of stride 2, and its gradient. Height and width are even.

use rayon::prelude::*;

use super::instruction_set::InstructionSet;
use super::planes::Size;
use super::shared::written;

/// `[N, H, W, C]` to `[N, H / 2, W / 2, C]`.
pub fn forward(set: InstructionSet, x: &[f32], size: Size, channels: usize) -> Vec<f32> {
    let (table, row) = (set.table(channels.max(16)), size.width * channels);
    check(x, size, channels);
    // SAFETY: each pair of rows makes one row of the output; one thread writes all of it.
    unsafe {
        written(x.len() / 4, |y| {
            x.par_chunks_exact(2 * row).enumerate().for_each(|(number, x)| {
                let (upper, lower) = x.split_at(row);
                (table.pool)(upper, lower, channels, y.unwritten_part(number * row / 2, row / 2));
            });
        })
    }
}

/// Adds the gradient of the input to `sum`: the gradient of each output goes to the first largest value of its window.
pub fn add_gradient(set: InstructionSet, x: &[f32], gradient: &[f32], size: Size, channels: usize, sum: &mut [f32]) {
    let (table, row) = (set.table(channels.max(16)), size.width * channels);
    check(x, size, channels);
    assert!(gradient.len() == x.len() / 4 && sum.len() == x.len());
    let windows = x.par_chunks_exact(2 * row).zip(gradient.par_chunks_exact(row / 2));
    windows.zip(sum.par_chunks_exact_mut(2 * row)).for_each(|((x, gradient), sum)| {
        let (upper, lower) = x.split_at(row);
        let (to_upper, to_lower) = sum.split_at_mut(row);
        // SAFETY: the table was chosen for this CPU.
        unsafe { (table.pool_gradient)(upper, lower, gradient, channels, to_upper, to_lower) };
    });
}

fn check(x: &[f32], size: Size, channels: usize) {
    assert!(
        size.height.is_multiple_of(2) && size.width.is_multiple_of(2) && size.width > 0 && channels > 0,
        "2x2 windows fill the image"
    );
    assert_eq!(x.len(), size.pixels() * channels);
}
