//! The samples of an image file as they are stored, and how they become 8-bit gray or RGB.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use image::DynamicImage;
use image::metadata::Orientation;
use unet_shared::image::PixelFormat;
use unet_shared::samples::{Bands, Range, SampleReading};

/// What samples are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleKind {
    /// Unsigned, of 8 bits.
    U8,
    /// Unsigned, of 16 bits or of fewer in 16.
    U16,
    /// Unsigned, of 32 bits.
    U32,
    /// Unsigned, of 64 bits.
    U64,
    /// Signed, of 8 bits.
    I8,
    /// Signed, of 16 bits.
    I16,
    /// Signed, of 32 bits.
    I32,
    /// Signed, of 64 bits.
    I64,
    /// Floats of 16 bits.
    F16,
    /// Floats of 32 bits.
    F32,
    /// Floats of 64 bits.
    F64,
}

impl SampleKind {
    /// The name in messages, such as `16-bit`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::U8 => "8-bit",
            Self::U16 => "16-bit",
            Self::U32 => "32-bit",
            Self::U64 => "64-bit",
            Self::I8 => "signed 8-bit",
            Self::I16 => "signed 16-bit",
            Self::I32 => "signed 32-bit",
            Self::I64 => "signed 64-bit",
            Self::F16 => "16-bit float",
            Self::F32 => "32-bit float",
            Self::F64 => "64-bit float",
        }
    }
}

impl fmt::Display for SampleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

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
        /// What they are, such as [`SampleKind::I16`].
        kind: SampleKind,
    },
    /// Floats.
    Float {
        /// The samples.
        values: Vec<f64>,
        /// What they are, such as [`SampleKind::F32`].
        kind: SampleKind,
    },
}

impl Samples {
    /// What they are.
    pub fn kind(&self) -> SampleKind {
        match self {
            Self::U8(_) => SampleKind::U8,
            Self::U16(_) => SampleKind::U16,
            Self::Integer { kind, .. } | Self::Float { kind, .. } => *kind,
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::U8(values) => values.len(),
            Self::U16(values) => values.len(),
            Self::Integer { values, .. } => values.len(),
            Self::Float { values, .. } => values.len(),
        }
    }

    /// One of them as a number; none beyond the last.
    pub(crate) fn get(&self, index: usize) -> Option<f64> {
        match self {
            Self::U8(values) => values.get(index).map(|&value| value.into()),
            Self::U16(values) => values.get(index).map(|&value| value.into()),
            Self::Integer { values, .. } => values.get(index).map(|&value| value as f64),
            Self::Float { values, .. } => values.get(index).copied(),
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

    /// Whether only a range makes bytes of them; 16 bits have a high byte.
    pub fn needs_range(&self) -> bool {
        matches!(self, Self::Integer { .. } | Self::Float { .. })
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
    /// How many leading bands are colour: 1 for gray, 3 for red, green and blue.
    pub colours: usize,
    /// Whether the next one is alpha.
    pub alpha: bool,
    /// The samples.
    pub samples: Samples,
    /// Bits per sample in the file.
    pub bit_depth: u8,
    /// Bits that the file says its samples use, if they are fewer.
    pub declared_bits: Option<u8>,
    /// The file's no-data value.
    pub no_data: Option<f64>,
    /// The orientation to apply.
    pub orientation: Orientation,
    /// Whether it is a JPEG with data left over before a marker.
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
    /// A raster of what the decoder of most formats returns; `None` for pixel types it never returns.
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

    /// The indices of the bands that are used: those chosen, else all of the picture.
    pub(crate) fn used_bands(&self, chosen: Option<&Bands>) -> Vec<usize> {
        match chosen {
            Some(bands) => bands.indices().collect(),
            None => (0..self.colours).collect(),
        }
    }

    /// Whether a sample is a number that does not stand for no data.
    pub(crate) fn is_data(&self, value: f64) -> bool {
        value.is_finite() && self.no_data.is_none_or(|none| none != value)
    }

    /// A display range for this image alone: the least depth of 8 to 14 bits that holds its 16-bit samples, or the least
    /// and the largest of other samples, without no-data values. `None` for bytes and for the high byte.
    pub fn own_range(&self) -> Option<Range> {
        let (low, high) = match &self.samples {
            Samples::U8(_) => return None,
            Samples::U16(values) => {
                let largest = values.iter().copied().max()?;
                let depth = [8, 10, 12, 14].into_iter().find(|bits| largest >> bits == 0)?;
                (0.0, f64::from((1u16 << depth) - 1))
            }
            samples @ (Samples::Integer { .. } | Samples::Float { .. }) => (0..samples.len())
                .filter_map(|index| samples.get(index))
                .filter(|&value| self.is_data(value))
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value))),
        };
        Range::new(low, if low < high { high } else { low + 1.0 }).ok()
    }

    /// Whether the picture has three bands that are equal in every pixel. Samples are compared as they are stored: colours that
    /// differ in their low bits alone are colours.
    pub fn is_gray_as_rgb(&self, bands: Option<&Bands>) -> bool {
        fn equal<T: PartialEq>(values: &[T], bands: usize, [a, b, c]: [usize; 3]) -> bool {
            values.chunks_exact(bands).all(|pixel| pixel[a] == pixel[b] && pixel[b] == pixel[c])
        }
        let Ok(chosen) = <[usize; 3]>::try_from(self.used_bands(bands)) else { return false };
        if chosen.iter().any(|&band| band >= self.bands) {
            return false;
        }
        match &self.samples {
            Samples::U8(values) => equal(values, self.bands, chosen),
            Samples::U16(values) => equal(values, self.bands, chosen),
            Samples::Integer { values, .. } => equal(values, self.bands, chosen),
            Samples::Float { values, .. } => equal(values, self.bands, chosen),
        }
    }

    /// A hash of all bits of each pixel, after orientation.
    pub fn pixel_hashes(&self) -> Vec<u32> {
        let bytes = self.samples.to_bytes();
        let pixels = bytes.chunks_exact((bytes.len() / (self.width * self.height).max(1)).max(1));
        // FNV-1a.
        let hash = |pixel: &[u8]| {
            pixel.iter().fold(0x811c_9dc5_u32, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
        };
        let hashes = pixels.flat_map(|pixel| hash(pixel).to_le_bytes()).collect();
        let turned = turned(self.width, self.height, PixelFormat::Rgba8, hashes, self.orientation).data;
        turned.chunks_exact(4).map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])).collect()
    }

    /// The picture in bytes, after orientation.
    pub(super) fn bytes(self, reading: &SampleReading) -> Result<Bytes, RasterError> {
        let (bands, alpha) = (self.bands, self.alpha && self.colours == 3);
        let mut chosen = self.used_bands(reading.bands.as_ref());
        if reading.bands.is_none() && alpha {
            chosen.push(self.colours);
        }
        if let Some(&missing) = chosen.iter().find(|&&band| band >= bands) {
            return Err(RasterError::Band(missing as u16 + 1));
        }
        let data = match (self.samples, reading.range) {
            (Samples::U8(values), _) if are_all(&chosen, bands) => values,
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
type Table = [u8; 1 << 16];

/// The table for a range. A thread keeps the last one, since a model has one range for all images.
fn table(range: Range) -> Rc<Table> {
    thread_local! {
        static KEPT: RefCell<Option<(Range, Rc<Table>)>> = const { RefCell::new(None) };
    }
    KEPT.with_borrow_mut(|kept| match kept {
        Some((known, table)) if *known == range => Rc::clone(table),
        _ => {
            let mut table = Rc::new([0; 1 << 16]);
            for (value, byte) in (0..).zip(Rc::make_mut(&mut table)) {
                *byte = range.byte_of_integer(value);
            }
            *kept = Some((range, Rc::clone(&table)));
            table
        }
    })
}

/// Whether all bands are chosen, in their order.
fn are_all(chosen: &[usize], bands: usize) -> bool {
    chosen.iter().copied().eq(0..bands)
}

/// The bytes of the chosen bands.
fn select<T: Copy>(values: &[T], bands: usize, chosen: &[usize], byte: impl Fn(T) -> u8) -> Vec<u8> {
    if are_all(chosen, bands) {
        return values.iter().map(|&value| byte(value)).collect();
    }
    let pixels = values.chunks_exact(bands);
    let mut bytes = Vec::with_capacity(pixels.len() * chosen.len());
    pixels.for_each(|pixel| bytes.extend(chosen.iter().map(|&band| byte(pixel[band]))));
    bytes
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
    use proptest::prelude::*;

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
        let three = raster(3, 3, false, Samples::U8(vec![1, 2, 3, 5, 6, 7]));
        for (numbers, expected) in
            [([1, 2, 3], [1, 2, 3, 5, 6, 7]), ([1, 1, 2], [1, 1, 2, 5, 5, 6]), ([2, 2, 2], [2, 2, 2, 6, 6, 6])]
        {
            assert_eq!(three.clone().bytes(&bands(&numbers)).unwrap().data, expected, "{numbers:?}");
        }
        // The alpha of gray is dropped, that of colours kept.
        let gray = raster(2, 1, true, Samples::U8(vec![1, 2, 3, 4]));
        assert_eq!(gray.bytes(&SampleReading::PLAIN).unwrap().data, [1, 3]);
        let rgba = raster(4, 3, true, Samples::U8(vec![1, 2, 3, 4, 5, 6, 7, 8]));
        assert_eq!(rgba.bytes(&SampleReading::PLAIN).unwrap().format, PixelFormat::Rgba8);
    }

    #[test]
    fn a_picture_is_seen_in_a_range_of_its_own() {
        let range = |samples: Samples| raster(1, 1, false, samples).own_range();
        assert_eq!(range(Samples::U8(vec![1, 2])), None);
        for (largest, high) in [(255, 255.0), (256, 1023.0), (4095, 4095.0), (16383, 16383.0)] {
            assert_eq!(range(Samples::U16(vec![3, largest])), Range::new(0.0, high).ok());
        }
        assert_eq!(range(Samples::U16(vec![3, 16384])), None);
        let mut float =
            raster(1, 1, false, Samples::Float { values: vec![-9999.0, 2.0, f64::NAN, 5.0], kind: SampleKind::F32 });
        assert_eq!(float.own_range(), Range::new(-9999.0, 5.0).ok());
        float.no_data = Some(-9999.0);
        assert_eq!(float.own_range(), Range::new(2.0, 5.0).ok());
    }

    #[test]
    fn colours_in_the_low_bits_alone_are_colours() {
        let deep = raster(3, 3, false, Samples::U16(vec![7, 7, 7, 9, 9, 9]));
        assert!(deep.is_gray_as_rgb(None) && deep.is_gray_as_rgb(bands(&[3, 2, 1]).bands.as_ref()));
        assert!(
            !deep.is_gray_as_rgb(bands(&[1]).bands.as_ref()) && !deep.is_gray_as_rgb(bands(&[1, 2, 4]).bands.as_ref())
        );
        let coloured = raster(3, 3, false, Samples::U16(vec![7, 7, 7, 9, 9, 8]));
        assert!(!coloured.is_gray_as_rgb(None));
        let hashes = [deep.pixel_hashes(), coloured.pixel_hashes()];
        assert_eq!((hashes[0].len(), hashes[0][0]), (2, hashes[1][0]));
        assert_ne!(hashes[0][1], hashes[1][1]);
        // Three bands of four.
        let four = raster(4, 3, false, Samples::U8(vec![5, 5, 5, 1, 6, 6, 6, 2]));
        assert!(four.is_gray_as_rgb(None) && !four.is_gray_as_rgb(bands(&[4, 1, 2]).bands.as_ref()));
    }

    #[test]
    fn deep_samples_need_a_range_or_are_their_high_byte() {
        let range = SampleReading { range: Range::new(0.0, 4095.0).ok(), bands: None };
        let deep = raster(1, 1, false, Samples::U16(vec![0x0123, 0x0fff]));
        assert_eq!(deep.clone().bytes(&SampleReading::PLAIN).unwrap().data, [1, 15]);
        assert!(deep.samples.is_deep() && !deep.samples.needs_range());
        assert_eq!(deep.bytes(&range).unwrap().data, [18, 255]);
        for samples in [
            Samples::Integer { values: vec![-5, 4095], kind: SampleKind::I16 },
            Samples::Float { values: vec![f64::NAN, 1e9], kind: SampleKind::F32 },
        ] {
            assert!(samples.is_deep() && samples.needs_range());
            let raster = raster(1, 1, false, samples);
            assert_eq!(raster.clone().bytes(&SampleReading::PLAIN).err(), Some(RasterError::Range));
            assert_eq!(raster.bytes(&range).unwrap().data, [0, 255]);
        }
    }
    proptest! {
        /// The formula is that of the first version, which divided in i128 for each value.
        #[test]
        fn bytes_are_those_of_the_plain_formula(
            values in prop::collection::vec(any::<u16>(), 24),
            ranges in prop::collection::vec((-70_000i64..70_000, 0i64..140_000), 1..4),
            numbers in prop_oneof![
                Just(None),
                (1u16..=3).prop_map(|band| Some(vec![band])),
                prop::collection::vec(1u16..=3, 3).prop_map(Some),
            ],
        ) {
            let raster = raster(3, 3, false, Samples::U16(values.clone()));
            let chosen: Vec<usize> =
                numbers.as_ref().map_or(vec![0, 1, 2], |all| all.iter().map(|&band| usize::from(band) - 1).collect());
            // Each range twice: its table is kept or made anew.
            for (low, span) in ranges.iter().chain(&ranges) {
                let formula = |value: u16| {
                    let (low, span) = (i128::from(*low), i128::from((*span).max(1)));
                    let above = i128::from(value) - low;
                    ((above.clamp(0, span) * 510 + span) / (2 * span)) as u8
                };
                let expected: Vec<u8> =
                    values.chunks(3).flat_map(|pixel| chosen.iter().map(move |&band| formula(pixel[band]))).collect();
                let range = Range::new(*low as f64, (*low + (*span).max(1)) as f64).unwrap();
                let bands = numbers.as_deref().and_then(|numbers| bands(numbers).bands);
                let found = raster.clone().bytes(&SampleReading { range: Some(range), bands }).unwrap().data;
                prop_assert_eq!(found, expected);
            }
        }
    }
}
