#![no_std]
//! The contract between workstation and board, bit for bit: preprocessing, label encoding, metrics, quantization.
//!
//! Everything here is deterministic: integer arithmetic, or f32 steps in a stated order. Knows no clock, no training
//! framework, no inference engine, no camera and no files. Without features nothing allocates: tables are bounded, and
//! overflow is an error.
//!
//! | module | what it defines |
//! |---|---|
//! | [`image`] | views of borrowed pixels, their formats, and the conversion to gray or RGB |
//! | [`preprocess`] | pixels to the u8 planes of a model's input: colour, resize, placement, tables |
//! | [`label`], [`mask`] | label values to class ids and back; masks between the sizes of image and model; argmax |
//! | [`tiles`] | cutting a large image into overlapping tiles |
//! | [`metrics`] | the confusion matrix, and IoU, Dice and accuracy derived from it |
//! | [`quantization`] | scale, zero point, and the one rounding rule |
//! | [`samples`] | which bands and values of an image file become bytes |
//! | [`palette`] | display colours of classes |
//! | [`vector`] | AVX2 and NEON forms of the row operations |
//! | `digest`, `manifest`, `record`, `document` (feature `alloc`) | SHA-256; the content of packages and evaluation records |
//!
//! # Example
//!
//! An image becomes the planes of a model's input, and its label becomes class ids:
//!
//! ```
//! use unet_shared::image::{ImageView, PixelFormat};
//! use unet_shared::label::{LabelTable, LabelValue, LabelView};
//! use unet_shared::mask::IGNORE_INDEX;
//! use unet_shared::preprocess::{Preprocess, Scratch};
//!
//! // Two pixels of gray, each the mean of four pixels of the image.
//! let spec = Preprocess { width: 2, height: 1, ..Preprocess::CLASSIC };
//! let pixels = [0, 10, 100, 110, 20, 30, 120, 130];
//! let image = ImageView::packed(&pixels, 4, 2, PixelFormat::Gray8)?;
//! let (mut row, mut resized, mut sums, mut taps) = ([0; 64], [0; 64], [0; 64], [0; 64]);
//! let mut scratch = Scratch { row: &mut row, resized: &mut resized, sums: &mut sums, taps: &mut taps };
//! let mut planes = [0; 2];
//! spec.run(&image, &mut planes, &mut scratch)?;
//! assert_eq!(planes, [15, 115]);
//!
//! let mut labels = LabelTable::new();
//! let background = labels.push_class(&[LabelValue::Gray(29)])?;
//! let crack = labels.push_class(&[LabelValue::Gray(76)])?;
//! labels.push_ignore(LabelValue::Gray(255))?;
//! let mut mask = [0; 4];
//! labels.encode(&LabelView::gray8(&[29, 76, 255, 29], 4, 1)?, &mut mask)?;
//! assert_eq!(mask, [background, crack, IGNORE_INDEX, background]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

#[cfg(feature = "alloc")]
pub mod digest;
#[cfg(feature = "alloc")]
pub mod document;
pub mod fold;
pub mod image;
pub mod label;
#[cfg(feature = "alloc")]
pub mod manifest;
pub mod mask;
pub mod metrics;
pub mod palette;
pub mod preprocess;
#[cfg(test)]
mod pseudo_random;
pub mod quantization;
#[cfg(feature = "alloc")]
pub mod record;
pub mod samples;
pub mod tiles;
pub mod vector;
