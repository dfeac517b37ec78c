//! The label of a validation image at its own size, and how a mask of the model is counted against it.

use unet_shared::mask::{MaskError, mask_to_image};
use unet_shared::metrics::OwnedConfusion;
use unet_shared::preprocess::{Placement, Preprocess};
use unet_shared::tiles::{Cut, Tile};

use crate::training::error::TrainError;

/// A mask at the label's own size, or the part of it that a tile counts.
#[derive(Clone, Debug)]
pub struct Truth {
    /// Class ids, row by row.
    mask: Vec<u8>,
    size: (usize, usize),
    /// Where the image or tile lies in the model's input.
    placement: Placement,
    tile: Option<TileTruth>,
}

/// Where the counted pixels of a label lie in a tile of its image: the tile's column for each column of the label that the tile
/// keeps, and rows alike.
#[derive(Clone, Debug)]
struct TileTruth {
    size: (usize, usize),
    columns: Vec<usize>,
    rows: Vec<usize>,
}

impl Truth {
    /// The label of a whole image, `size` pixels (width, height).
    pub fn whole(mask: Vec<u8>, size: (usize, usize), placement: Placement) -> Self {
        Self { mask, size, placement, tile: None }
    }

    /// The pixels of a label of `size` that `tile` keeps: each pixel of a label is kept by one tile.
    pub fn of_tile(mask: &[u8], size: (usize, usize), tile: &Tile, placement: Placement) -> Self {
        let (columns, rows) = (kept(&tile.columns, size.0, tile.image.0), kept(&tile.rows, size.1, tile.image.1));
        let counted = rows.clone().flat_map(|y| columns.clone().map(move |x| mask[y * size.0 + x])).collect();
        let place = |cut: &Cut, label: usize, image: usize, kept: std::ops::Range<usize>| -> Vec<usize> {
            kept.map(|at| nearest(at, image, label) - cut.tile.start).collect()
        };
        let size_kept = (columns.len(), rows.len());
        let tile = TileTruth {
            size: (tile.width(), tile.height()),
            columns: place(&tile.columns, size.0, tile.image.0, columns),
            rows: place(&tile.rows, size.1, tile.image.1, rows),
        };
        Self { mask: counted, size: size_kept, placement, tile: Some(tile) }
    }

    /// Number of pixels that are counted, ignored ones included.
    pub fn pixels(&self) -> usize {
        self.mask.len()
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        let tile = self.tile.as_ref().map_or(0, |tile| tile.columns.len() + tile.rows.len());
        self.mask.len() + tile * size_of::<usize>()
    }

    /// Counts a mask of the model's size; `scratch` is memory for masks, of any content.
    ///
    /// # Errors
    /// If a mask does not have the size that it should have.
    pub fn count(
        &self,
        mask: &[u8],
        preprocess: &Preprocess,
        scratch: &mut [Vec<u8>; 2],
        confusion: &mut OwnedConfusion,
    ) -> Result<(), TrainError> {
        let [at_image, prediction] = scratch;
        let to_image = |(width, height): (usize, usize), out: &mut Vec<u8>| -> Result<(), MaskError> {
            out.resize(width * height, 0);
            mask_to_image(mask, preprocess, self.placement, width, height, out)
        };
        match &self.tile {
            None => to_image(self.size, prediction)?,
            Some(tile) => {
                to_image(tile.size, at_image)?;
                prediction.clear();
                let rows = tile.rows.iter().map(|&y| &at_image[y * tile.size.0..][..tile.size.0]);
                prediction.extend(rows.flat_map(|row| tile.columns.iter().map(|&x| row[x])));
            }
        }
        confusion.add(&self.mask, prediction)?;
        Ok(())
    }
}

/// The pixel of an image of `image` pixels under the centre of pixel `at` of a label of `label`, as
/// [`unet_shared::mask::mask_to_image`] finds it.
fn nearest(at: usize, image: usize, label: usize) -> usize {
    (2 * at + 1) * image / (2 * label)
}

/// The columns or rows of a label whose pixels of the image a tile keeps.
fn kept(cut: &Cut, label: usize, image: usize) -> std::ops::Range<usize> {
    let first_at = |bound: usize| {
        // `nearest` never falls.
        let (mut low, mut high) = (0, label);
        while low < high {
            let middle = (low + high) / 2;
            if nearest(middle, image, label) < bound { low = middle + 1 } else { high = middle }
        }
        low
    };
    first_at(cut.kept.start)..first_at(cut.kept.end)
}

#[cfg(test)]
mod tests {
    use unet_shared::tiles::Grid;

    use super::*;

    /// Counts a mask that knows the truth at the image's size, tile by tile.
    fn counted(image: (usize, usize), label: (usize, usize)) -> Vec<u64> {
        let spec = Preprocess { width: 32, height: 32, ..Preprocess::CLASSIC };
        let class = |x: usize, y: usize| ((x * 7 + y * 13) / 5 % 3) as u8;
        let truth: Vec<u8> = (0..label.1)
            .flat_map(|y| (0..label.0).map(move |x| class(nearest(x, image.0, label.0), nearest(y, image.1, label.1))))
            .collect();
        let mut confusion = OwnedConfusion::zeros(3).unwrap();
        let mut scratch = Default::default();
        for tile in Grid::new(Some("32,8".parse().unwrap()), image.0, image.1).tiles() {
            let placement = Placement { x: 0, y: 0, width: 32, height: 32 };
            let (left, top) = (tile.columns.tile.start, tile.rows.tile.start);
            let mask: Vec<u8> = (0..32).flat_map(|y| (0..32).map(move |x| class(left + x, top + y))).collect();
            let truth = Truth::of_tile(&truth, label, &tile, placement);
            truth.count(&mask, &spec, &mut scratch, &mut confusion).unwrap();
        }
        confusion.counts().to_vec()
    }

    #[test]
    fn each_pixel_of_a_label_is_counted_once() {
        for (image, label) in [((70, 50), (70, 50)), ((70, 50), (35, 25)), ((64, 32), (128, 64)), ((33, 90), (11, 30))]
        {
            let counts = counted(image, label);
            assert_eq!(counts.iter().sum::<u64>(), (label.0 * label.1) as u64, "{image:?} {label:?}");
            // All on the diagonal: truth and prediction are of the same place.
            assert_eq!(counts[0] + counts[4] + counts[8], (label.0 * label.1) as u64, "{image:?} {label:?}");
        }
    }
}
