//! What a loader counts as samples: whole images, or the tiles of each. Knows sizes of images, not their pixels.

use std::ops::ControlFlow;

use unet_data::workers::in_parallel;
use unet_data::{FileError, Sample};
use unet_shared::tiles::{Grid, Tile, Tiles};

/// The pieces of the images of a split, image by image, each row by row.
#[derive(Clone, Debug)]
pub struct Pieces {
    grids: Vec<Grid>,
    /// Number of the first piece of each image, and of all.
    starts: Vec<usize>,
}

impl Pieces {
    /// One piece for each of `images` images.
    pub fn whole(images: usize) -> Self {
        Self::new(vec![Grid::new(None, 1, 1); images])
    }

    /// The tiles of the images that are larger than one, and the others whole. Reads the sizes of all images.
    ///
    /// # Errors
    /// Of the first image whose size cannot be read.
    pub fn of(samples: &[Sample], tiles: Option<Tiles>) -> Result<Self, FileError> {
        let Some(tiles) = tiles else { return Ok(Self::whole(samples.len())) };
        let mut grids: Vec<Option<Result<Grid, FileError>>> = samples.iter().map(|_| None).collect();
        let work =
            |index: usize| samples[index].image_size().map(|(width, height)| Grid::new(Some(tiles), width, height));
        in_parallel(samples.len(), work, |index, grid| {
            let failed = grid.is_err();
            grids[index] = Some(grid);
            if failed { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        Ok(Self::new(grids.into_iter().flatten().collect::<Result<_, _>>()?))
    }

    fn new(grids: Vec<Grid>) -> Self {
        let mut starts = vec![0];
        starts.extend(grids.iter().scan(0, |end, grid| {
            *end += grid.count();
            Some(*end)
        }));
        Self { grids, starts }
    }

    /// Number of pieces.
    pub fn len(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
    }

    /// Whether there are no pieces.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The image of a piece, and the piece's number within it.
    ///
    /// # Panics
    /// If there is no such piece.
    pub fn at(&self, piece: usize) -> (usize, usize) {
        assert!(piece < self.len(), "expected a piece below {}, found {piece}", self.len());
        let image = self.starts.partition_point(|&start| start <= piece) - 1;
        (image, piece - self.starts[image])
    }

    /// Number of the first piece of an image.
    pub fn first(&self, image: usize) -> usize {
        self.starts[image]
    }

    /// The tiles of an image; none if it is whole.
    pub fn tiles(&self, image: usize) -> Option<impl Iterator<Item = Tile> + use<>> {
        let grid = self.grids[image];
        (grid.count() > 1).then(|| grid.tiles())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_go_image_by_image() {
        let tiles = Some("32,0".parse().unwrap());
        let grids = [(64, 32), (10, 10), (64, 64)].map(|(width, height)| Grid::new(tiles, width, height));
        let pieces = Pieces::new(grids.to_vec());
        let found: Vec<_> = (0..pieces.len()).map(|piece| pieces.at(piece)).collect();
        assert_eq!(found, [(0, 0), (0, 1), (1, 0), (2, 0), (2, 1), (2, 2), (2, 3)]);
        assert_eq!((pieces.first(2), pieces.tiles(2).unwrap().count(), pieces.tiles(1).is_none()), (3, 4, true));
        let whole = Pieces::whole(3);
        assert_eq!((whole.len(), whole.at(2)), (3, (2, 0)));
        assert!(Pieces::whole(0).is_empty());
    }
}
