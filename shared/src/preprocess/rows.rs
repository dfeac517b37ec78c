//! The row operations of one resize: the reference, or those of an instruction set.
//!
//! The reference keeps channels interleaved from the source row to the sums; the vector forms keep one channel after
//! the other, because they read neighbours of one channel at a time. The resulting bytes are the same.

use super::resize::{self, Axis};
use super::windows::{self, Windows};
use super::{Channels, PreprocessError};
use crate::image::ImageView;
use crate::vector::{InstructionSet, Operations};

/// Reads, resizes and sums the rows of one image.
pub(super) struct Rows<'a> {
    channels: Channels,
    way: Way<'a>,
}

enum Way<'a> {
    Reference { taps: &'a [u16] },
    Vector { operations: &'static Operations, windows: Windows<'a> },
}

/// The most elements of `taps` that [`Rows::new`] needs.
pub(super) const fn taps_len(source: usize, target: usize) -> usize {
    let (taps, windows) = (resize::taps_len(source, target), windows::len(source, target));
    if taps > windows { taps } else { windows }
}

impl<'a> Rows<'a> {
    /// The reference if the core lacks the instruction set, or the image is too small for its vectors.
    pub(super) fn new(instructions: InstructionSet, columns: &Axis, channels: Channels, taps: &'a mut [u16]) -> Self {
        let fits = Windows::fits(columns);
        let way = match instructions.operations() {
            Some(operations) if fits => Way::Vector { operations, windows: Windows::new(columns, taps) },
            _ => Way::Reference { taps: columns.write_taps(taps) },
        };
        Self { channels, way }
    }

    /// Row `y` of the view at the target width, with eight fraction bits; `row` is scratch.
    pub(super) fn read(
        &self,
        view: &ImageView<'_>,
        y: usize,
        row: &mut [u8],
        out: &mut [u16],
    ) -> Result<(), PreprocessError> {
        let source = view.row(y, self.channels, row)?;
        match (&self.way, self.channels) {
            (Way::Reference { taps }, Channels::Gray) => {
                source.convert(Channels::Gray, row);
                resize::horizontal::<1>(row, taps, out);
            }
            (Way::Reference { taps }, Channels::Rgb) => {
                source.convert(Channels::Rgb, row);
                resize::horizontal::<3>(row, taps, out);
            }
            (Way::Vector { operations, windows }, channels) => {
                operations.separate(&source, channels, row);
                let targets = out.chunks_exact_mut(windows.starts().len());
                for (from, to) in row.chunks_exact(windows.source()).zip(targets) {
                    operations.horizontal(from, windows, to);
                }
            }
        }
        Ok(())
    }

    /// Adds a weighted row to the sums.
    pub(super) fn accumulate(&self, row: &[u16], weight: u32, sums: &mut [u32]) {
        match &self.way {
            Way::Reference { .. } => resize::accumulate(row, weight, sums),
            Way::Vector { operations, .. } => operations.accumulate(row, weight, sums),
        }
    }

    /// Writes one channel of the sums as bytes.
    pub(super) fn finish(&self, sums: &[u32], channel: usize, out: &mut [u8]) {
        match (&self.way, self.channels) {
            (Way::Reference { .. }, Channels::Gray) => resize::finish::<1>(sums, channel, out),
            (Way::Reference { .. }, Channels::Rgb) => resize::finish::<3>(sums, channel, out),
            (Way::Vector { operations, .. }, _) => {
                operations.finish(&sums[channel * out.len()..][..out.len()], out);
            }
        }
    }
}
