//! The samples of an image file as they are stored, and how they become 8-bit gray or RGB.

use image::DynamicImage;
use image::metadata::Orientation;
use unet_shared::image::PixelFormat;
use unet_shared::samples::{Range, SampleReading};

/// Samples of one kind, pixel by pixel, the bands of a pixel side by side.
#[derive(Debug, Clone, PartialEq)]
pub enum Samples {
    /// 8 bits.
    U8(Vec<u8>),
    /// 16 bits.
    U16(Vec<u16>),
    /// Any other integers.
    Integer {
        /// The samples.
        values: Vec<i64>,
        /// What they are, such as `signed 16-bit`.
        kind: &'static str,
    },
    /// Floats.
    Float {
        /// The samples.
        values: Vec<f64>,
        /// What they are, such as `32-bit float`.
        kind: &'static str,
    },
}

impl Samples {
    /// What they are.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::U8(_) => "8-bit",
            Self::U16(_) => "16-bit",
            Self::Integer { kind, .. } | Self::Float { kind, .. } => kind,
        }
    }

    /// All of their bits, the lowest byte of a sample first.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::U8(values) => values.clone(),
            Self::U16(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::Integer { values, .. } => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::Float { values, .. } => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        }
    }

    /// Whether they are wider than bytes.
    pub fn is_deep(&self) -> bool {
        !matches!(self, Self::U8(_))
    }
}

/// A file's samples, in the orientation of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Raster {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Samples of a pixel.
    pub bands: usize,
    /// How many of them, the first, are the picture: 1 for gray, 3 for red, green and blue.
    pub colours: usize,
    /// Whether the next one is alpha.
    pub alpha: bool,
    /// The samples.
    pub samples: Samples,
    /// Bits per sample in the file.
    pub bit_depth: u8,
    /// Bits that the file says its samples use, if they are fewer.
    pub declared_bits: Option<u8>,
    /// The value that the file says stands for no data.
    pub no_data: Option<f64>,
    /// How the file is to be turned.
    pub orientation: Orientation,
    /// Is a JPEG with data left over before a marker.
    pub leftovers: bool,
}

/// Why a raster does not become an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RasterError {
    /// There are fewer bands than asked for.
    Band(u16),
    /// The samples need a range.
    Range,
}

/// Pixels of 8 bits.
#[derive(Debug, PartialEq)]
pub(super) struct Bytes {
    pub width: usize,
    pub height: usize,
    pub format: PixelFormat,
    pub data: Vec<u8>,
}

impl Raster {
    /// A raster of what the decoder of most formats returns; none for a kind of pixels that it should not return.
    pub(super) fn of(pixels: DynamicImage, bit_depth: u8, orientation: Orientation) -> Option<Self> {
        let (width, height) = (pixels.width() as usize, pixels.height() as usize);
        let color = pixels.color();
        let (bands, alpha) = (usize::from(color.channel_count()), color.has_alpha());
        let samples = match pixels {
            DynamicImage::ImageLuma8(buffer) => Samples::U8(buffer.into_raw()),
            DynamicImage::ImageLumaA8(buffer) => Samples::U8(buffer.into_raw()),
            DynamicImage::ImageRgb8(buffer) => Samples::U8(buffer.into_raw()),
            DynamicImage::ImageRgba8(buffer) => Samples::U8(buffer.into_raw()),
            DynamicImage::ImageLuma16(buffer) => Samples::U16(buffer.into_raw()),
            DynamicImage::ImageLumaA16(buffer) => Samples::U16(buffer.into_raw()),
            DynamicImage::ImageRgb16(buffer) => Samples::U16(buffer.into_raw()),
            DynamicImage::ImageRgba16(buffer) => Samples::U16(buffer.into_raw()),
            _ => return None,
        };
        Some(Self {
            width,
            height,
            bands,
            colours: bands - usize::from(alpha),
            alpha,
            samples,
            bit_depth,
            declared_bits: None,
            no_data: None,
            orientation,
            leftovers: false,
        })
    }

    /// Bands that are neither picture nor alpha.
    pub fn extra_bands(&self) -> usize {
        self.bands - self.colours - usize::from(self.alpha)
    }

    /// The least and the largest finite sample, for samples that need a range; none if there is no such range.
    pub fn extent(&self) -> Option<Range> {
        let (low, high) = match &self.samples {
            Samples::U8(_) | Samples::U16(_) => return None,
            Samples::Integer { values, .. } => {
                (values.iter().copied().min()? as f64, values.iter().copied().max()? as f64)
            }
            Samples::Float { values, .. } => {
                let finite = || values.iter().copied().filter(|value| value.is_finite());
                (finite().reduce(f64::min)?, finite().reduce(f64::max)?)
            }
        };
        Range::new(low, if low < high { high } else { low + 1.0 }).ok()
    }

    /// The picture in bytes, turned.
    pub(super) fn bytes(self, reading: &SampleReading) -> Result<Bytes, RasterError> {
        let (bands, alpha) = (self.bands, self.alpha && self.colours == 3);
        let chosen: Vec<usize> = match &reading.bands {
            Some(chosen) => chosen.as_slice().iter().map(|band| usize::from(band.get()) - 1).collect(),
            None => (0..self.colours + usize::from(alpha)).collect(),
        };
        if let Some(&missing) = chosen.iter().find(|&&band| band >= bands) {
            return Err(RasterError::Band(missing as u16 + 1));
        }
        let data = match (self.samples, reading.range) {
            (Samples::U8(values), _) if chosen.len() == bands && chosen.is_sorted() => values,
            (Samples::U8(values), _) => select(&values, bands, &chosen, |value| value),
            (Samples::U16(values), None) => select(&values, bands, &chosen, |value| (value >> 8) as u8),
            (Samples::U16(values), Some(range)) => {
                let table = table(range);
                select(&values, bands, &chosen, |value| table[usize::from(value)])
            }
            (Samples::Integer { values, .. }, Some(range)) => {
                select(&values, bands, &chosen, |value| range.byte_of_integer(value))
            }
            (Samples::Float { values, .. }, Some(range)) => {
                select(&values, bands, &chosen, |value| range.byte_of_float(value))
            }
            (Samples::Integer { .. } | Samples::Float { .. }, None) => return Err(RasterError::Range),
        };
        let format = match chosen.len() {
            1 => PixelFormat::Gray8,
            3 => PixelFormat::Rgb8,
            _ => PixelFormat::Rgba8,
        };
        Ok(turned(self.width, self.height, format, data, self.orientation))
    }
}

/// The byte of each 16-bit sample.
fn table(range: Range) -> Vec<u8> {
    (0..=u16::MAX).map(|value| range.byte_of_integer(value.into())).collect()
}

fn select<T: Copy>(values: &[T], bands: usize, chosen: &[usize], byte: impl Fn(T) -> u8) -> Vec<u8> {
    values.chunks_exact(bands).flat_map(|pixel| chosen.iter().map(|&band| byte(pixel[band]))).collect()
}

fn turned(width: usize, height: usize, format: PixelFormat, data: Vec<u8>, orientation: Orientation) -> Bytes {
    if orientation == Orientation::NoTransforms {
        return Bytes { width, height, format, data };
    }
    let (columns, rows) = (width as u32, height as u32);
    let whole = "the samples fill the image";
    let mut pixels = match format {
        PixelFormat::Gray8 => DynamicImage::ImageLuma8(image::GrayImage::from_raw(columns, rows, data).expect(whole)),
        PixelFormat::Rgb8 => DynamicImage::ImageRgb8(image::RgbImage::from_raw(columns, rows, data).expect(whole)),
        _ => DynamicImage::ImageRgba8(image::RgbaImage::from_raw(columns, rows, data).expect(whole)),
    };
    pixels.apply_orientation(orientation);
    let (width, height) = (pixels.width() as usize, pixels.height() as usize);
    Bytes { width, height, format, data: pixels.into_bytes() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use unet_shared::samples::Bands;

    fn raster(bands: usize, colours: usize, alpha: bool, samples: Samples) -> Raster {
        Raster {
            width: 2,
            height: 1,
            bands,
            colours,
            alpha,
            samples,
            bit_depth: 8,
            declared_bits: None,
            no_data: None,
            orientation: Orientation::NoTransforms,
            leftovers: false,
        }
    }

    fn bands(numbers: &[u16]) -> SampleReading {
        let text = serde_json::to_string(numbers).unwrap();
        SampleReading { range: None, bands: Some(serde_json::from_str::<Bands>(&text).unwrap()) }
    }

    #[test]
    fn bands_are_chosen_by_number() {
        let four = raster(4, 3, false, Samples::U8(vec![1, 2, 3, 4, 5, 6, 7, 8]));
        assert_eq!(four.extra_bands(), 1);
        let bytes = |reading: &SampleReading| four.clone().bytes(reading).map(|bytes| (bytes.format, bytes.data));
        assert_eq!(bytes(&SampleReading::PLAIN), Ok((PixelFormat::Rgb8, vec![1, 2, 3, 5, 6, 7])));
        assert_eq!(bytes(&bands(&[4, 1, 2])), Ok((PixelFormat::Rgb8, vec![4, 1, 2, 8, 5, 6])));
        assert_eq!(bytes(&bands(&[4])), Ok((PixelFormat::Gray8, vec![4, 8])));
        assert_eq!(bytes(&bands(&[5])), Err(RasterError::Band(5)));
        // The alpha of gray is dropped, that of colours kept.
        let gray = raster(2, 1, true, Samples::U8(vec![1, 2, 3, 4]));
        assert_eq!(gray.bytes(&SampleReading::PLAIN).unwrap().data, [1, 3]);
        let rgba = raster(4, 3, true, Samples::U8(vec![1, 2, 3, 4, 5, 6, 7, 8]));
        assert_eq!(rgba.bytes(&SampleReading::PLAIN).unwrap().format, PixelFormat::Rgba8);
    }

    #[test]
    fn deep_samples_need_a_range_or_are_their_high_byte() {
        let range = SampleReading { range: Range::new(0.0, 4095.0).ok(), bands: None };
        let deep = raster(1, 1, false, Samples::U16(vec![0x0123, 0x0fff]));
        assert_eq!(deep.clone().bytes(&SampleReading::PLAIN).unwrap().data, [1, 15]);
        assert_eq!(deep.bytes(&range).unwrap().data, [18, 255]);
        for samples in [
            Samples::Integer { values: vec![-5, 4095], kind: "signed 16-bit" },
            Samples::Float { values: vec![f64::NAN, 1e9], kind: "32-bit float" },
        ] {
            let raster = raster(1, 1, false, samples);
            assert_eq!(raster.clone().bytes(&SampleReading::PLAIN).err(), Some(RasterError::Range));
            assert_eq!(raster.bytes(&range).unwrap().data, [0, 255]);
        }
    }
}
