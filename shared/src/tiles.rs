//! Tiles: an image that is larger than a model's input is cut into overlapping tiles, and each pixel takes its class from one
//! of them.
//!
//! Neighbouring tiles are cut in the middle of their overlap, so a pixel belongs to the tile in which it is furthest from an
//! edge. Integers only: the same cuts on every machine. Knows no pixels, no models and no files.

use core::fmt;
use core::ops::Range;
use core::str::FromStr;

use crate::image::SIDE_MAX;

/// The smallest side of a tile, in pixels.
pub const TILE_SIDE_MIN: u32 = 16;

/// Size and overlap of tiles, in pixels of the image. All are even, so that tiles also begin on whole chroma samples of camera
/// frames; the overlap is smaller than each side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "alloc",
    derive(serde::Serialize, serde::Deserialize),
    serde(try_from = "alloc::string::String", into = "alloc::string::String")
)]
pub struct Tiles {
    width: u32,
    height: u32,
    overlap: u32,
}

/// Why a text or numbers are not tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TilesError {
    /// The text is neither SIZE nor SIZE,OVERLAP.
    Text,
    /// A side is odd or out of range.
    Side {
        /// The side found.
        found: u32,
    },
    /// The overlap is odd, or not smaller than the sides.
    Overlap {
        /// The smaller side.
        side: u32,
        /// The overlap found.
        found: u32,
    },
}

impl fmt::Display for TilesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Text => {
                f.write_str("expected SIZE or SIZE,OVERLAP in pixels of the image, such as 512, 512,128 or 640x480,64")
            }
            Self::Side { found } => {
                write!(f, "side of a tile: expected an even number from {TILE_SIDE_MIN} to {SIDE_MAX}, found {found}")
            }
            Self::Overlap { side, found } => {
                write!(f, "overlap of tiles: expected an even number below their side of {side}, found {found}")
            }
        }
    }
}

impl core::error::Error for TilesError {}

impl Tiles {
    /// Tiles of `width` x `height`. Without an `overlap`, a quarter of the smaller side, rounded up to a multiple of 16, and at
    /// most half of it.
    ///
    /// # Errors
    /// If a number is odd or out of range.
    pub fn new(width: u32, height: u32, overlap: Option<u32>) -> Result<Self, TilesError> {
        for found in [width, height] {
            if !(TILE_SIDE_MIN..=SIDE_MAX as u32).contains(&found) || !found.is_multiple_of(2) {
                return Err(TilesError::Side { found });
            }
        }
        let side = width.min(height);
        let overlap = overlap.unwrap_or_else(|| (side / 4).next_multiple_of(16).min(side / 4 * 2));
        if overlap >= side || !overlap.is_multiple_of(2) {
            return Err(TilesError::Overlap { side, found: overlap });
        }
        Ok(Self { width, height, overlap })
    }

    /// Width of a tile.
    #[must_use]
    pub const fn width(&self) -> u32 {
        self.width
    }

    /// Height of a tile.
    #[must_use]
    pub const fn height(&self) -> u32 {
        self.height
    }

    /// Pixels that neighbouring tiles share; the last two of a row or column may share more.
    #[must_use]
    pub const fn overlap(&self) -> u32 {
        self.overlap
    }
}

impl fmt::Display for Tiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{},{}", self.width, self.height, self.overlap)
    }
}

/// `SIZE[,OVERLAP]`, where SIZE is one number or WIDTHxHEIGHT.
impl FromStr for Tiles {
    type Err = TilesError;

    fn from_str(text: &str) -> Result<Self, TilesError> {
        let number = |text: &str| text.trim().parse::<u32>().map_err(|_| TilesError::Text);
        let (size, overlap) = match text.split_once(',') {
            Some((size, overlap)) => (size, Some(number(overlap)?)),
            None => (text, None),
        };
        let (width, height) = size.split_once('x').unwrap_or((size, size));
        Self::new(number(width)?, number(height)?, overlap)
    }
}

#[cfg(feature = "alloc")]
impl TryFrom<alloc::string::String> for Tiles {
    type Error = TilesError;

    fn try_from(text: alloc::string::String) -> Result<Self, TilesError> {
        text.parse()
    }
}

#[cfg(feature = "alloc")]
impl From<Tiles> for alloc::string::String {
    fn from(tiles: Tiles) -> Self {
        alloc::format!("{tiles}")
    }
}

/// What a flag or a key says about tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TilesChoice {
    /// `none`: images are not cut.
    Whole,
    /// Images larger than a tile are cut.
    Cut(Tiles),
}

impl TilesChoice {
    /// What was chosen, or else what the model was trained with.
    #[must_use]
    pub fn or_trained(choice: Option<Self>, trained: Option<Tiles>) -> Option<Tiles> {
        match choice {
            Some(Self::Whole) => None,
            Some(Self::Cut(tiles)) => Some(tiles),
            None => trained,
        }
    }
}

impl FromStr for TilesChoice {
    type Err = TilesError;

    fn from_str(text: &str) -> Result<Self, TilesError> {
        if text == "none" { Ok(Self::Whole) } else { text.parse().map(Self::Cut) }
    }
}

/// The cuts of an image along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Axis {
    side: usize,
    tile: usize,
    step: usize,
    count: usize,
}

impl Axis {
    fn new(side: usize, tile: usize, overlap: usize) -> Self {
        // Positive: the overlap is smaller than a tile.
        let step = tile - overlap;
        let count = 1 + side.saturating_sub(tile).div_ceil(step);
        Self { side, tile: tile.min(side), step, count }
    }

    fn whole(side: usize) -> Self {
        Self { side, tile: side, step: side.max(1), count: 1 }
    }

    /// The last tile is moved back so that it is full.
    fn start(&self, index: usize) -> usize {
        (index * self.step).min(self.side - self.tile)
    }

    /// Where the tiles `index - 1` and `index` are cut: the middle of what they share.
    fn seam(&self, index: usize) -> usize {
        let start = self.start(index);
        start + (self.start(index - 1) + self.tile - start) / 2
    }

    fn cut(&self, index: usize) -> Cut {
        let start = self.start(index);
        let kept_start = if index == 0 { 0 } else { self.seam(index) };
        let kept_end = if index + 1 == self.count { self.side } else { self.seam(index + 1) };
        Cut { tile: start..start + self.tile, kept: kept_start..kept_end }
    }
}

/// Columns or rows of a tile, in pixels of the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// What the model sees.
    pub tile: Range<usize>,
    /// Those of them that take their class from this tile.
    pub kept: Range<usize>,
}

/// A tile of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Its columns.
    pub columns: Cut,
    /// Its rows.
    pub rows: Cut,
    /// Its number, row by row from the top left, from 0.
    pub index: usize,
    /// Number of tiles of the image.
    pub count: usize,
    /// Width and height of the image.
    pub image: (usize, usize),
}

impl Tile {
    /// Whether it is the whole image.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.count == 1
    }

    /// Whether it is the last of its image.
    #[must_use]
    pub const fn is_last(&self) -> bool {
        self.index + 1 == self.count
    }

    /// Width in pixels.
    #[must_use]
    pub fn width(&self) -> usize {
        self.columns.tile.len()
    }

    /// Height in pixels.
    #[must_use]
    pub fn height(&self) -> usize {
        self.rows.tile.len()
    }
}

/// The tiles of images of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    columns: Axis,
    rows: Axis,
}

impl Grid {
    /// The tiles of an image of `width` x `height` pixels. An axis on which the image is not larger than a tile is not cut;
    /// without `tiles` none is.
    #[must_use]
    pub fn new(tiles: Option<Tiles>, width: usize, height: usize) -> Self {
        match tiles {
            Some(tiles) => {
                let axis = |side, tile: u32| Axis::new(side, tile as usize, tiles.overlap as usize);
                Self { columns: axis(width, tiles.width), rows: axis(height, tiles.height) }
            }
            None => Self { columns: Axis::whole(width), rows: Axis::whole(height) },
        }
    }

    /// Number of tiles.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.columns.count * self.rows.count
    }

    /// Tile `index`, counted row by row; none beyond the last.
    #[must_use]
    pub fn tile(&self, index: usize) -> Option<Tile> {
        let count = self.count();
        (index < count).then(|| Tile {
            columns: self.columns.cut(index % self.columns.count),
            rows: self.rows.cut(index / self.columns.count),
            index,
            count,
            image: (self.columns.side, self.rows.side),
        })
    }

    /// All tiles, row by row.
    pub fn tiles(self) -> impl Iterator<Item = Tile> {
        (0..self.count()).filter_map(move |index| self.tile(index))
    }
}

#[cfg(test)]
mod tests;
