//! The pixels of a label in borrowed memory.

use super::{LabelError, LabelValue};
use crate::image::SIDE_MAX;

/// The samples of a label, row by row without padding.
#[derive(Clone, Copy, Debug)]
pub enum LabelSamples<'a> {
    /// One byte per pixel.
    Gray8(&'a [u8]),
    /// One 16-bit value per pixel.
    Gray16(&'a [u16]),
    /// Three bytes per pixel.
    Rgb8(&'a [u8]),
}

/// The output of decoding; the mutable form of [`LabelSamples`].
#[derive(Debug)]
pub enum LabelSamplesMut<'a> {
    /// One byte per pixel.
    Gray8(&'a mut [u8]),
    /// One 16-bit value per pixel.
    Gray16(&'a mut [u16]),
    /// Three bytes per pixel.
    Rgb8(&'a mut [u8]),
}

/// A view of a label in borrowed memory, whose length is checked when it is made.
#[derive(Clone, Copy, Debug)]
pub struct LabelView<'a> {
    samples: LabelSamples<'a>,
    width: usize,
    height: usize,
}

impl<'a> LabelView<'a> {
    /// A view of `width` x `height` pixels.
    ///
    /// # Errors
    /// If a side is 0 or too long, or there are not exactly as many samples as pixels.
    pub fn new(samples: LabelSamples<'a>, width: usize, height: usize) -> Result<Self, LabelError> {
        if !(1..=SIDE_MAX).contains(&width) || !(1..=SIDE_MAX).contains(&height) {
            return Err(LabelError::Size { width, height });
        }
        let pixels = width * height;
        match samples {
            LabelSamples::Gray8(data) => check_len(pixels, data.len())?,
            LabelSamples::Gray16(data) => check_len(pixels, data.len())?,
            LabelSamples::Rgb8(data) => check_len(pixels * 3, data.len())?,
        }
        Ok(Self { samples, width, height })
    }

    /// A view of 8-bit gray samples.
    ///
    /// # Errors
    /// As for [`LabelView::new`].
    pub fn gray8(data: &'a [u8], width: usize, height: usize) -> Result<Self, LabelError> {
        Self::new(LabelSamples::Gray8(data), width, height)
    }

    /// A view of 16-bit gray samples.
    ///
    /// # Errors
    /// As for [`LabelView::new`].
    pub fn gray16(data: &'a [u16], width: usize, height: usize) -> Result<Self, LabelError> {
        Self::new(LabelSamples::Gray16(data), width, height)
    }

    /// A view of RGB samples, three bytes per pixel.
    ///
    /// # Errors
    /// As for [`LabelView::new`].
    pub fn rgb8(data: &'a [u8], width: usize, height: usize) -> Result<Self, LabelError> {
        Self::new(LabelSamples::Rgb8(data), width, height)
    }

    /// Pixels per row.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    #[must_use]
    pub const fn height(&self) -> usize {
        self.height
    }

    /// The samples.
    #[must_use]
    pub const fn samples(&self) -> LabelSamples<'a> {
        self.samples
    }

    /// Calls `visit` with the index and value of every pixel, row by row, until it fails.
    pub(super) fn try_for_each<E>(&self, mut visit: impl FnMut(usize, LabelValue) -> Result<(), E>) -> Result<(), E> {
        match self.samples {
            LabelSamples::Gray8(data) => {
                data.iter().enumerate().try_for_each(|(i, &value)| visit(i, LabelValue::Gray(value.into())))
            }
            LabelSamples::Gray16(data) => {
                data.iter().enumerate().try_for_each(|(i, &value)| visit(i, LabelValue::Gray(value)))
            }
            LabelSamples::Rgb8(data) => {
                data.as_chunks().0.iter().enumerate().try_for_each(|(i, &value)| visit(i, LabelValue::Rgb(value)))
            }
        }
    }
}

pub(super) fn check_len(expected: usize, found: usize) -> Result<(), LabelError> {
    if expected == found { Ok(()) } else { Err(LabelError::Length { expected, found }) }
}
