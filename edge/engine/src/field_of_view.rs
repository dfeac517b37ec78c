//! How far a network looks: the pixels of the image on which a pixel's logits depend. Tiles whose overlap is at least twice that
//! far have no visible border.
//!
//! Follows from the layers alone, whose windows are walked back from an output pixel to the image. Knows no weights: a trained
//! network may use less. Networks in which every pixel depends on the whole image have no field of view.

use std::fmt;

use serde::Serialize;
use unet_shared::preprocess::Preprocess;
use unet_shared::tiles::Tiles;

/// Beyond these, layers are no segmentation network's, and the arithmetic below could overflow.
const MULTIPLE_MAX: i64 = 1 << 12;
const REACH_MAX: i64 = 1 << 40;
/// The largest size, stride or padding of a window.
const WINDOW_MAX: i64 = 1 << 16;

/// How far a network looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FieldOfView {
    /// The furthest pixel that a pixel's logits depend on, in pixels of the model's input along one axis.
    pub radius: u32,
    /// A shift of the image by a multiple of this many pixels shifts the logits and changes nothing else.
    pub multiple: u32,
}

/// Which pixels of its inputs a pixel of a layer's output depends on, along one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// The pixel at its own place.
    Point,
    /// A convolution or pooling: `size` pixels `dilation` apart, from `before` pixels before `stride` times its place.
    Gather {
        /// Pixels of the window.
        size: i64,
        /// From window to window.
        stride: i64,
        /// From pixel to pixel of a window.
        dilation: i64,
        /// Padding at the start.
        before: i64,
    },
    /// Nearest upsampling, or depth-to-space: the pixel at its place divided by `factor`.
    Enlarge {
        /// Output pixels for each input pixel.
        factor: i64,
    },
    /// Linear upsampling: the two pixels around its place divided by `factor`.
    Interpolate {
        /// Output pixels for each input pixel.
        factor: i64,
    },
    /// A transposed convolution, with the numbers of the convolution that it is the transpose of.
    Scatter {
        /// Pixels of the window.
        size: i64,
        /// Output pixels for each input pixel.
        stride: i64,
        /// From pixel to pixel of a window.
        dilation: i64,
        /// Padding at the start.
        before: i64,
    },
}

/// A layer: what it reads (0 is the image, `i + 1` the output of layer `i`), and its windows down and across.
#[derive(Debug, Clone)]
pub struct WindowLayer {
    /// The values that it reads.
    pub inputs: Vec<usize>,
    /// Windows along rows and columns.
    pub windows: [Window; 2],
}

impl Window {
    fn is_plausible(self) -> bool {
        let sizes = match self {
            Self::Point => return true,
            Self::Gather { size, stride, dilation, before } | Self::Scatter { size, stride, dilation, before } => {
                return [size, stride, dilation].iter().all(|n| (1..=WINDOW_MAX).contains(n))
                    && (0..=WINDOW_MAX).contains(&before);
            }
            Self::Enlarge { factor } | Self::Interpolate { factor } => factor,
        };
        (1..=WINDOW_MAX).contains(&sizes)
    }

    /// Input pixels for each output pixel, as a fraction.
    fn scale(self) -> (i64, i64) {
        match self {
            Self::Point => (1, 1),
            Self::Gather { stride, .. } => (stride, 1),
            Self::Enlarge { factor } | Self::Interpolate { factor } | Self::Scatter { stride: factor, .. } => {
                (1, factor)
            }
        }
    }

    /// The first and the last input pixel that the output pixels `first` to `last` depend on.
    fn back(self, (first, last): (i64, i64)) -> (i64, i64) {
        match self {
            Self::Point => (first, last),
            Self::Gather { size, stride, dilation, before } => {
                (first * stride - before, last * stride - before + (size - 1) * dilation)
            }
            Self::Enlarge { factor } => (first.div_euclid(factor), last.div_euclid(factor)),
            // Whether pixels have their place at their centres or at their starts.
            Self::Interpolate { factor } => {
                ((2 * first + 1 - factor).div_euclid(2 * factor), last.div_euclid(factor) + 1)
            }
            Self::Scatter { size, stride, dilation, before } => {
                let ceil = |n: i64| -(-n).div_euclid(stride);
                (ceil(first + before - (size - 1) * dilation), (last + before).div_euclid(stride))
            }
        }
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl FieldOfView {
    /// Of a network of these layers, the last of which makes the logits; none if they do not end at the image's size, or are not
    /// layers of one network.
    pub fn of(layers: &[WindowLayer]) -> Option<Self> {
        let [rows, columns] = [0, 1].map(|axis| axis_field(layers, axis));
        let (rows, columns) = (rows?, columns?);
        let multiple = rows.1 / gcd(rows.1, columns.1) * columns.1;
        let radius = rows.0.max(columns.0);
        Some(Self { radius: u32::try_from(radius).ok()?, multiple: u32::try_from(multiple).ok()? })
    }

    /// The smallest overlap of tiles with which no border is visible: half of it covers the radius, and tiles begin at whole
    /// multiples if their size is one.
    pub fn overlap(&self) -> u64 {
        (2 * u64::from(self.radius)).next_multiple_of(u64::from(self.multiple.max(2)))
    }
}

/// Radius and multiple along one axis.
fn axis_field(layers: &[WindowLayer], axis: usize) -> Option<(i64, i64)> {
    let mut scales = vec![(1, 1)];
    let mut multiple = 1;
    for layer in layers {
        let window = layer.windows[axis];
        let of_inputs: Option<Vec<(i64, i64)>> = layer.inputs.iter().map(|&input| scales.get(input).copied()).collect();
        let of_inputs = of_inputs?;
        let &(numerator, denominator) = of_inputs.first()?;
        if !window.is_plausible() || of_inputs.iter().any(|&scale| scale != (numerator, denominator)) {
            return None;
        }
        let (up, down) = window.scale();
        let (numerator, denominator) = (numerator * up, denominator * down);
        let common = gcd(numerator, denominator);
        let (numerator, denominator) = (numerator / common, denominator / common);
        multiple = multiple / gcd(multiple, numerator) * numerator;
        if multiple > MULTIPLE_MAX || denominator > MULTIPLE_MAX {
            return None;
        }
        scales.push((numerator, denominator));
    }
    if layers.is_empty() || scales.last() != Some(&(1, 1)) {
        return None;
    }
    let mut radius = 0;
    // The windows of a pixel depend on its place within a multiple.
    for place in 0..multiple {
        let (first, last) = reach(layers, axis, place)?;
        radius = radius.max(place - first).max(last - place);
    }
    Some((radius, multiple))
}

/// The first and the last pixel of the image that the logits at `place` depend on.
fn reach(layers: &[WindowLayer], axis: usize, place: i64) -> Option<(i64, i64)> {
    let mut reached: Vec<Option<(i64, i64)>> = vec![None; layers.len() + 1];
    reached[layers.len()] = Some((place, place));
    for (index, layer) in layers.iter().enumerate().rev() {
        let Some(span) = reached[index + 1] else { continue };
        let (first, last) = layer.windows[axis].back(span);
        if first < -REACH_MAX || last > REACH_MAX {
            return None;
        }
        for &input in &layer.inputs {
            let joined = reached[input].map_or((first, last), |(a, b)| (a.min(first), b.max(last)));
            reached[input] = Some(joined);
        }
    }
    reached[0]
}

/// What tiles mean for a model: a line to show before the first image.
#[derive(Debug, Clone, Copy)]
pub struct TilesNote {
    /// The tiles.
    pub tiles: Tiles,
    /// The model's preprocessing.
    pub preprocess: Preprocess,
    /// How far the network looks, if that is known.
    pub field_of_view: Option<FieldOfView>,
}

impl fmt::Display for TilesNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tiles, preprocess, field_of_view } = self;
        let (width, height, overlap) = (tiles.width(), tiles.height(), tiles.overlap());
        write!(f, "tiles: images larger than {width}x{height} pixels are cut, overlap {overlap}")?;
        if (width, height) != (preprocess.width, preprocess.height) {
            let (width, height) = (preprocess.width, preprocess.height);
            return write!(f, "; each tile is fitted to the model's input of {width}x{height}, so seams may show");
        }
        let Some(view) = field_of_view else {
            return f.write_str("; the receptive field is unknown, so seams may show");
        };
        let (radius, needed) = (view.radius, view.overlap());
        let multiple = u64::from(view.multiple.max(2));
        write!(f, "; the receptive field is {radius} pixels each way, ")?;
        if u64::from(overlap) >= needed && u64::from(overlap).is_multiple_of(multiple) {
            f.write_str("so no seam shows")
        } else if needed < u64::from(width.min(height)) {
            write!(f, "so seams may show (none with an overlap of {needed})")
        } else {
            f.write_str("more than tiles of this size can overlap, so seams may show")
        }
    }
}

#[cfg(test)]
mod tests;
