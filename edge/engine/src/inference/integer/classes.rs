//! The class of each pixel: the channel of its largest logit, ties to the lowest.

use std::ops::Range;

use super::super::kernel::{InputView, Loops, OutputView};
use super::threads::Rows;

/// Some rows of a mask.
pub(super) struct MaskRows<'a> {
    rows: Range<usize>,
    width: usize,
    bytes: &'a mut [u8],
}

impl<'a> MaskRows<'a> {
    /// All rows of the mask of logits of this shape.
    pub(super) fn new([_, height, width]: [usize; 3], bytes: &'a mut [u8]) -> Self {
        MaskRows { rows: 0..height, width, bytes }
    }
}

impl Rows for MaskRows<'_> {
    fn rows(&self) -> Range<usize> {
        self.rows.clone()
    }

    fn split(self, row: usize) -> (Self, Self) {
        let (above, below) = self.bytes.split_at_mut((row - self.rows.start) * self.width);
        (
            MaskRows { rows: self.rows.start..row, bytes: above, ..self },
            MaskRows { rows: row..self.rows.end, bytes: below, ..self },
        )
    }
}

/// The same rows of the logits and of their mask.
pub(super) struct HeadRows<'a> {
    pub(super) logits: OutputView<'a>,
    pub(super) mask: MaskRows<'a>,
}

impl HeadRows<'_> {
    /// Finds the class of each pixel of the computed logits.
    pub(super) fn classes(self, loops: &Loops) {
        let HeadRows { logits, mask } = self;
        let (stride, channels) = (logits.grid().pixel_stride(), logits.channels());
        for (row, out) in mask.rows.zip(mask.bytes.chunks_exact_mut(mask.width)) {
            row_classes(&logits.row(row)[channels.start..], stride, channels.len(), out, loops);
        }
    }
}

impl Rows for HeadRows<'_> {
    fn rows(&self) -> Range<usize> {
        self.mask.rows()
    }

    fn split(self, row: usize) -> (Self, Self) {
        let ((logits, logits_below), (mask, mask_below)) = (self.logits.split_at_row(row), self.mask.split(row));
        (HeadRows { logits, mask }, HeadRows { logits: logits_below, mask: mask_below })
    }
}

/// Finds the class of each pixel of these rows.
pub(super) fn classes(logits: &InputView<'_>, mask: MaskRows<'_>, loops: &Loops) {
    for (row, out) in mask.rows.zip(mask.bytes.chunks_exact_mut(mask.width)) {
        let channels = logits.channels();
        row_classes(&logits.row(row)[channels.start..], logits.grid().pixel_stride(), channels.len(), out, loops);
    }
}

/// `pixels` begins with the first logit of the first pixel and includes all logits of the last one.
fn row_classes(pixels: &[u8], stride: usize, channels: usize, out: &mut [u8], loops: &Loops) {
    // Few classes without other channels are the usual case; constant numbers compile to vector instructions.
    match (stride, channels) {
        (2, 2) => {
            for (pixel, out) in pixels.as_chunks::<2>().0.iter().zip(out) {
                *out = u8::from(pixel[1] > pixel[0]);
            }
        }
        (3, 3) => {
            for (&[a, b, c], out) in pixels.as_chunks().0.iter().zip(out) {
                let best = if b > a { 1 } else { 0 };
                *out = if c > a.max(b) { 2 } else { best };
            }
        }
        (4, 4) => {
            for (&pixel, out) in pixels.as_chunks().0.iter().zip(out) {
                let pixel = u32::from_le_bytes(pixel);
                // Each logit followed by how far its class is from the last one: among equal logits the lowest class is largest.
                let key = |class: u32| ((pixel >> (8 * class) & 0xff) << 2 | (3 - class)) as i32;
                *out = 3 - (key(0).max(key(1)).max(key(2).max(key(3))) & 3) as u8;
            }
        }
        _ => loops.classes(pixels, stride, channels, out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::kernel::Kernel;

    #[test]
    fn ties_go_to_the_lowest_class_and_strides_are_skipped() {
        for (stride, channels) in [(2, 2), (3, 3), (4, 4), (5, 5), (7, 4), (11, 11), (64, 16), (17, 17), (255, 255)] {
            let width = 37;
            let value = |x: usize, c: usize| ((x * 7 + c * c * 31 + x * c) % 6) as u8 * 50;
            let mut pixels = vec![255; (width - 1) * stride + channels];
            for x in 0..width {
                for c in 0..channels {
                    pixels[x * stride + c] = value(x, c);
                }
            }
            for kernel in Kernel::ALL.into_iter().filter(|kernel| kernel.is_available()) {
                let mut out = vec![99; width];
                row_classes(&pixels, stride, channels, &mut out, &kernel.loops());
                for (x, &found) in out.iter().enumerate() {
                    let largest = (0..channels).map(|c| value(x, c)).max().unwrap();
                    let expected = (0..channels).find(|&c| value(x, c) == largest).unwrap();
                    assert_eq!(usize::from(found), expected, "{kernel}: pixel {x} of {channels} in {stride}");
                }
            }
        }
    }
}
