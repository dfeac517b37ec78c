//! The layout of an image's channels in a slice.

/// Images of some channels as a view of a slice: channel `c` of pixel `(x, y)` of image `n` is the value
/// `offset + n * image + y * row + x * pixel + c`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Channels of a pixel.
    pub channels: usize,
    /// Index of the first value.
    pub offset: usize,
    /// Values between a pixel and the next.
    pub pixel: usize,
    /// Values between a row and the next.
    pub row: usize,
    /// Values between an image and the next.
    pub image: usize,
}

impl Place {
    /// Dense images `[N, height, width, channels]`.
    pub fn dense(channels: usize, height: usize, width: usize) -> Self {
        Self { channels, offset: 0, pixel: channels, row: width * channels, image: height * width * channels }
    }

    /// Every second row and column, from `(phase_x, phase_y)`, of dense images `[N, 2 * height, 2 * width, channels]`.
    pub fn phase(channels: usize, height: usize, width: usize, phase_y: usize, phase_x: usize) -> Self {
        let row = 2 * width * channels;
        Self {
            channels,
            offset: phase_y * row + phase_x * channels,
            pixel: 2 * channels,
            row: 2 * row,
            image: 2 * height * row,
        }
    }

    /// Index of the first channel of a pixel.
    pub fn index(&self, image: usize, y: usize, x: usize) -> usize {
        self.offset + image * self.image + y * self.row + x * self.pixel
    }

    /// Minimum length of a slice with `images` images of that size.
    pub fn needed(&self, images: usize, height: usize, width: usize) -> usize {
        if images * height * width == 0 { 0 } else { self.index(images - 1, height - 1, width - 1) + self.channels }
    }
}

/// A [`Place`] with the slice that it is a view of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planes<'a> {
    /// The slice.
    pub values: &'a [f32],
    /// Their layout.
    pub place: Place,
}

impl<'a> Planes<'a> {
    /// Dense images.
    pub fn dense(values: &'a [f32], channels: usize, height: usize, width: usize) -> Self {
        Self { values, place: Place::dense(channels, height, width) }
    }
}

/// The four parities of an enlarged image's rows and columns, `(row, column)`.
pub(super) const PHASES: [(usize, usize); 4] = [(0, 0), (0, 1), (1, 0), (1, 1)];

/// The four phases of images of `channels` channels, of twice the `size`.
pub(super) fn phases(values: &[f32], channels: usize, size: Size) -> [[Planes<'_>; 1]; 4] {
    PHASES.map(|(y, x)| [Planes { values, place: Place::phase(channels, size.height, size.width, y, x) }])
}

/// Number and size of images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Number of images.
    pub images: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Size {
    /// Pixels of all images together.
    pub fn pixels(&self) -> usize {
        self.images * self.height * self.width
    }
}
