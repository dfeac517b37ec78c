use super::*;
use image::codecs::jpeg::JpegEncoder;
use image::metadata::Orientation;
use std::cell::Cell;
use std::io::{Cursor, SeekFrom};
use tiff::encoder::{Compression, DeflateLevel, TiffEncoder, colortype};
use unet_shared::samples::{Range, SampleReading};

/// A page of 5x3 pixels whose data is one strip.
#[derive(Clone)]
struct Page {
    bands: u16,
    bits: u16,
    format: u16,
    photometric: u16,
    compression: u16,
    data: Vec<u8>,
    /// Further entries: tag, kind and values.
    tags: Vec<(u16, u16, Vec<u64>)>,
}

const SIZE: (u64, u64) = (5, 3);
const PIXELS: usize = 15;

const SHORT: u16 = 3;
const LONG: u16 = 4;

impl Page {
    fn gray(bits: u16, format: u16, data: Vec<u8>) -> Self {
        Self { bands: 1, bits, format, photometric: BLACK_IS_ZERO, compression: 1, data, tags: Vec::new() }
    }

    fn rgb(bands: u16, data: Vec<u8>) -> Self {
        Self { bands, photometric: RGB, ..Self::gray(8, 1, data) }
    }

    fn with(mut self, tag: u16, kind: u16, values: &[u64]) -> Self {
        self.tags.push((tag, kind, values.to_vec()));
        self
    }
}

fn number(value: u64, len: usize, little: bool) -> Vec<u8> {
    let bytes = value.to_le_bytes()[..len].to_vec();
    if little { bytes } else { bytes.into_iter().rev().collect() }
}

/// A file of these pages. Samples must be in its order of bytes.
fn file(little: bool, big: bool, pages: &[Page]) -> Vec<u8> {
    let offset = if big { 8 } else { 4 };
    let mut bytes = if little { b"II".to_vec() } else { b"MM".to_vec() };
    if big {
        bytes.extend([43, 8, 0].iter().flat_map(|&value| number(value, 2, little)));
    } else {
        bytes.extend(number(42, 2, little));
    }
    let mut link = bytes.len();
    bytes.extend(vec![0; offset]);
    for page in pages {
        let strip = bytes.len() as u64;
        bytes.extend(&page.data);
        let each = |value: u16| vec![u64::from(value); page.bands.into()];
        let mut entries = vec![
            (256, LONG, vec![SIZE.0]),
            (257, LONG, vec![SIZE.1]),
            (258, SHORT, each(page.bits)),
            (259, SHORT, vec![page.compression.into()]),
            (262, SHORT, vec![page.photometric.into()]),
            (273, LONG, vec![strip]),
            (277, SHORT, vec![page.bands.into()]),
            (278, LONG, vec![SIZE.1]),
            (279, LONG, vec![page.data.len() as u64]),
            (339, SHORT, each(page.format)),
        ];
        for (tag, kind, values) in &page.tags {
            entries.retain(|(other, ..)| other != tag);
            entries.push((*tag, *kind, values.clone()));
        }
        entries.sort_by_key(|(tag, ..)| *tag);
        let directory = bytes.len();
        let mut further = Vec::new();
        let length = if big { 8 + 20 * entries.len() + 8 } else { 2 + 12 * entries.len() + 4 };
        bytes.extend(number(entries.len() as u64, if big { 8 } else { 2 }, little));
        for (tag, kind, values) in entries {
            let len = [0, 1, 1, 2, 4][usize::from(kind)];
            let mut value: Vec<u8> = values.iter().flat_map(|&value| number(value, len, little)).collect();
            if value.len() > offset {
                let at = (directory + length + further.len()) as u64;
                further.extend(value);
                value = number(at, offset, little);
            }
            value.resize(offset, 0);
            bytes.extend([number(tag.into(), 2, little), number(kind.into(), 2, little)].concat());
            bytes.extend(number(values.len() as u64, offset, little));
            bytes.extend(value);
        }
        bytes[link..link + offset].copy_from_slice(&number(directory as u64, offset, little));
        link = bytes.len();
        bytes.extend(vec![0; offset]);
        bytes.extend(further);
    }
    bytes
}

/// Reads the page with an index, or else the file's image.
fn decode(bytes: Vec<u8>, page: Option<usize>) -> Result<Raster, TiffProblem> {
    let numbers = Numbers::of(&bytes).unwrap();
    super::decode(TiffFile::new(Cursor::new(bytes), numbers).unwrap(), page)
}

fn read(page: &Page) -> Raster {
    decode(file(true, false, std::slice::from_ref(page)), None).unwrap_or_else(|problem| panic!("{problem:?}"))
}

fn refusal(page: &Page) -> String {
    match decode(file(true, false, std::slice::from_ref(page)), None) {
        Err(TiffProblem::Kind(found)) => found,
        other => panic!("{other:?}"),
    }
}

/// Values of 5x3 pixels.
fn ramp<T>(value: impl Fn(usize) -> T) -> Vec<T> {
    (0..PIXELS).map(value).collect()
}

#[test]
fn samples_of_any_kind_have_their_values_in_both_orders_of_bytes_and_sizes_of_offsets() {
    for (little, big) in [(true, false), (false, false), (true, true), (false, true)] {
        let page = |bits: u16, format: u16, value: &dyn Fn(usize) -> u64| {
            let data = (0..PIXELS).flat_map(|at| number(value(at), usize::from(bits / 8), little)).collect();
            decode(file(little, big, &[Page::gray(bits, format, data)]), None).unwrap()
        };
        assert_eq!(page(8, 1, &|at| at as u64 * 9).samples, Samples::U8(ramp(|at| at as u8 * 9)));
        assert_eq!(page(16, 1, &|at| at as u64 * 4000).samples, Samples::U16(ramp(|at| at as u16 * 4000)));
        let integers = |scale: i64, kind| Samples::Integer { values: ramp(|at| (at as i64 - 7) * scale), kind };
        assert_eq!(page(8, 2, &|at| (at as i64 - 7) as u64 & 0xff).samples, integers(1, SampleKind::I8));
        assert_eq!(page(16, 2, &|at| ((at as i64 - 7) * 500) as u64 & 0xffff).samples, integers(500, SampleKind::I16));
        assert_eq!(page(32, 2, &|at| ((at as i64 - 7) * 70_000) as u64).samples, integers(70_000, SampleKind::I32));
        let wide = Samples::Integer { values: ramp(|at| at as i64 * 250_000_000), kind: SampleKind::U32 };
        assert_eq!(page(32, 1, &|at| at as u64 * 250_000_000).samples, wide);
        let floats = |kind| Samples::Float { values: ramp(|at| at as f64 * 0.25 - 1.0), kind };
        let value = |at: usize| at as f64 * 0.25 - 1.0;
        assert_eq!(page(32, 3, &|at| (value(at) as f32).to_bits().into()).samples, floats(SampleKind::F32));
        assert_eq!(page(64, 3, &|at| value(at).to_bits()).samples, floats(SampleKind::F64));
        // 1, 1.5 and -2 in half precision.
        let half = page(16, 3, &|at| [0x3c00, 0x3e00, 0xc000][at % 3]);
        assert_eq!(half.samples, Samples::Float { values: ramp(|at| [1.0, 1.5, -2.0][at % 3]), kind: SampleKind::F16 });
    }
}

#[test]
fn packed_samples_of_twelve_bits_are_read_as_such() {
    let pack = |values: &[u16], bits: usize, row: usize| -> Vec<u8> {
        let rows = values.chunks_exact(row).flat_map(|row| {
            let mut all: Vec<u8> =
                row.iter().flat_map(|value| (0..bits).rev().map(move |bit| (value >> bit & 1) as u8)).collect();
            all.resize(all.len().div_ceil(8) * 8, 0);
            all.chunks_exact(8).map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | bit)).collect::<Vec<u8>>()
        });
        rows.collect()
    };
    for bits in [10u16, 12, 14] {
        let most = (1u16 << bits) - 1;
        let values = ramp(|at| most - 61 * at as u16);
        let page = Page::gray(bits, 1, pack(&values, bits.into(), 5));
        let raster = read(&page);
        assert_eq!(
            (raster.samples.clone(), raster.width, raster.bit_depth),
            (Samples::U16(values.clone()), 5, bits as u8)
        );
        let inverted = read(&Page { photometric: WHITE_IS_ZERO, ..page.clone() });
        assert_eq!(inverted.samples, Samples::U16(values.iter().map(|value| most - value).collect()));
        let big_endian = file(false, true, std::slice::from_ref(&page));
        assert_eq!(decode(big_endian, None).unwrap().samples, raster.samples);
        let colours: Vec<u16> = (0..3 * PIXELS as u16).map(|at| at * 22).collect();
        let rgb = Page { bands: 3, photometric: RGB, ..Page::gray(bits, 1, pack(&colours, bits.into(), 15)) };
        let rgb = read(&rgb);
        assert_eq!((rgb.samples, rgb.colours, rgb.width), (Samples::U16(colours), 3, 5));
    }
    let odd = Page::gray(12, 2, vec![0; 24]);
    assert_eq!(refusal(&odd), "TIFF with 12-bit signed gray samples and no compression");
}

#[test]
fn every_meaning_of_samples_becomes_gray_or_rgb() {
    let bytes = ramp(|at| at as u8 * 16);
    let white = read(&Page { photometric: WHITE_IS_ZERO, ..Page::gray(8, 1, bytes.clone()) });
    assert_eq!(white.samples, Samples::U8(bytes.iter().map(|byte| 255 - byte).collect()));
    // One bit: 5 pixels in a byte for each row.
    let bits = read(&Page::gray(1, 1, vec![0b1010_0000, 0b0101_1000, 0]));
    let row = |bits: [u8; 5]| bits.map(|bit| bit * 255);
    let expected = [row([1, 0, 1, 0, 0]), row([0, 1, 0, 1, 1]), row([0; 5])].concat();
    assert_eq!(bits.samples, Samples::U8(expected));
    // A palette of 16-bit colours: reds, greens, then blues.
    let map: Vec<u64> = (0..3 * 256).map(|at| if at < 256 { at * 257 } else { 0x1200 }).collect();
    let palette = Page { photometric: PALETTE, ..Page::gray(8, 1, bytes.clone()) }.with(320, SHORT, &map);
    let expected = bytes.iter().flat_map(|&index| [index, 0x12, 0x12]).collect();
    assert_eq!(read(&palette).samples, Samples::U8(expected));
    let inks = Page { bands: 4, photometric: CMYK, ..Page::rgb(4, [0, 255, 51, 0].repeat(PIXELS)) };
    assert_eq!(read(&inks).samples, Samples::U8([255, 0, 204].repeat(PIXELS)));
    let luma = Page { photometric: YCBCR, ..Page::rgb(3, [90, 128, 128].repeat(PIXELS)) }.with(530, SHORT, &[1, 1]);
    assert_eq!(read(&luma).samples, Samples::U8([90; 3].repeat(PIXELS)));
    let subsampled = Page { photometric: YCBCR, ..Page::rgb(3, [90, 128, 128].repeat(PIXELS)) };
    assert_eq!(refusal(&subsampled.with(530, SHORT, &[2, 2])), "TIFF with 8-bit YCbCr samples and no compression");
}

#[test]
fn bands_side_by_side_and_one_after_the_other_are_the_same_and_further_ones_are_counted() {
    let woven: Vec<u8> = (0..5 * PIXELS).map(|at| (at % 5 * 40 + at / 5) as u8).collect();
    let page = Page::rgb(5, woven.clone()).with(338, SHORT, &[0, 0]);
    let raster = read(&page);
    assert_eq!((raster.bands, raster.colours, raster.extra_bands(), raster.alpha), (5, 3, 2, false));
    let planes: Vec<u8> = (0..5).flat_map(|band| woven.iter().skip(band).step_by(5).copied()).collect();
    let (length, strips) = (PIXELS as u64, 5);
    let offsets: Vec<u64> = (0..strips).map(|strip| 8 + strip * length).collect();
    let planar = Page::rgb(5, planes).with(338, SHORT, &[0, 0]).with(284, SHORT, &[2]);
    let planar = planar.with(273, LONG, &offsets).with(279, LONG, &[length; 5]);
    assert_eq!(read(&planar), raster);
    let rgba = read(&Page::rgb(4, vec![9; 4 * PIXELS]).with(338, SHORT, &[2]));
    assert_eq!((rgba.extra_bands(), rgba.alpha), (0, true));
    let infrared = read(&Page::rgb(4, vec![9; 4 * PIXELS]).with(338, SHORT, &[0]));
    assert_eq!((infrared.extra_bands(), infrared.alpha), (1, false));
}

#[test]
fn what_the_file_says_of_its_samples_is_kept() {
    let page = Page::gray(16, 1, ramp(|at| at as u16 * 200).iter().flat_map(|value| value.to_le_bytes()).collect());
    assert_eq!(read(&page).declared_bits, None);
    assert_eq!(read(&page.clone().with(281, SHORT, &[4095])).declared_bits, Some(12));
    let no_data: Vec<u64> = b"-9999\0".iter().map(|&byte| byte.into()).collect();
    assert_eq!(read(&page.clone().with(42113, 2, &no_data)).no_data, Some(-9999.0));
    assert_eq!(read(&page.with(274, SHORT, &[6])).orientation, Orientation::Rotate90);
}

#[test]
fn every_compression_that_is_read_gives_the_same_samples_and_others_are_named() {
    let data: Vec<u8> = (0..3 * PIXELS).map(|at| (at * 5) as u8).collect();
    let plain = read(&Page::rgb(3, data.clone()));
    for compression in [Compression::Lzw, Compression::Deflate(DeflateLevel::Best), Compression::Packbits] {
        let mut bytes = Cursor::new(Vec::new());
        let mut encoder = TiffEncoder::new(&mut bytes).unwrap().with_compression(compression);
        encoder.write_image::<colortype::RGB8>(5, 3, &data).unwrap();
        assert_eq!(decode(bytes.into_inner(), None).unwrap(), plain);
    }
    // A Zstandard frame whose only block is stored as it is (RFC 8878).
    let length = data.len() as u8;
    let frame = [&[0x28, 0xb5, 0x2f, 0xfd, 0x20, length, length << 3 | 1, length >> 5, 0], data.as_slice()].concat();
    assert_eq!(read(&Page { compression: 50000, data: frame, ..Page::rgb(3, vec![]) }), plain);
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, 100).encode(&data, 5, 3, image::ExtendedColorType::Rgb8).unwrap();
    let inside = read(&Page { compression: 7, photometric: YCBCR, data: jpeg.clone(), ..Page::rgb(3, vec![]) });
    let expected = image::load_from_memory(&jpeg).unwrap().to_rgb8();
    let Samples::U8(found) = &inside.samples else { panic!("{inside:?}") };
    assert!(found.iter().zip(expected.as_raw()).all(|(a, b)| a.abs_diff(*b) <= 2), "{found:?} {expected:?}");
    for (compression, name) in
        [(34925, "LZMA"), (50001, "WebP"), (34712, "JPEG 2000"), (34887, "LERC"), (50002, "JPEG XL")]
    {
        let page = Page { compression, ..Page::rgb(3, data.clone()) };
        let found = decode(file(true, false, &[page]), None);
        assert!(
            matches!(&found, Err(TiffProblem::Compression(found)) if *found == format!("{name} compression")),
            "{found:?}"
        );
    }
    assert_eq!(
        refusal(&Page::gray(64, 6, vec![0; 8 * PIXELS])),
        "TIFF with 64-bit complex gray samples and no compression"
    );
    assert_eq!(
        refusal(&Page { photometric: 8, ..Page::rgb(3, data) }),
        "TIFF with 8-bit CIELab samples and no compression"
    );
    let error = super::super::FileError::TiffKind { path: "a.tif".into(), found: "x".to_owned() }.to_string();
    assert!(error.contains("gdal_translate") && error.contains("magick"), "{error}");
    let error = TiffProblem::Compression("LZMA compression".to_owned()).of_file("a.tif".as_ref()).to_string();
    assert!(error.starts_with("a.tif: LZMA compression of TIFF files is not supported; convert it, "), "{error}");
    assert!(error.contains("gdal_translate") && error.contains("magick"), "{error}");
}

#[test]
fn a_smaller_copy_before_the_image_is_passed_over() {
    let full = Page::rgb(3, vec![7; 3 * PIXELS]);
    let copy = Page { data: vec![1; 3 * 2], ..full.clone() }.with(256, LONG, &[2]).with(257, LONG, &[1]);
    let copy = copy.with(278, LONG, &[1]);
    for copy in [copy.clone().with(254, LONG, &[1]), copy] {
        let both = decode(file(true, false, &[copy.clone(), full.clone()]), None).unwrap();
        assert_eq!(both, read(&full));
        // Unless it is asked for.
        assert_eq!(decode(file(true, false, &[copy, full.clone()]), Some(0)).unwrap().width, 2);
    }
}

#[test]
fn float_images_become_bytes_by_one_range() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("float.tif");
    let data = ramp(|at| at as f32 / 14.0).iter().flat_map(|value| value.to_le_bytes()).collect();
    std::fs::write(&path, file(true, false, &[Page::gray(32, 3, data)])).unwrap();
    let reading = |low, high| SampleReading { range: Range::new(low, high).ok(), bands: None };
    let image = |path: &Path, reading| super::super::decode_image(path, &reading).unwrap().data;
    assert_eq!(image(&path, reading(0.0, 1.0)), ramp(|at| (at as f64 / 14.0 * 255.0).round() as u8));
    assert_eq!(image(&path, reading(0.5, 0.6))[..7], [0; 7]);
    let error = super::super::decode_image(&path, &SampleReading::PLAIN).unwrap_err().to_string();
    assert!(error.contains("32-bit float samples, which need a range"), "{error}");
}

#[test]
fn the_size_is_that_of_the_decoded_image() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tif");
    let full = Page::gray(8, 1, vec![7; PIXELS]);
    let sized = |page: &Page, (width, height): (u64, u64)| {
        let data = vec![9; (width * height) as usize];
        Page { data, ..page.clone() }.with(256, SHORT, &[width]).with(257, LONG, &[height]).with(278, LONG, &[height])
    };
    let turned = |page: &Page, orientation| page.clone().with(274, SHORT, &[orientation]);
    let thumbnail = sized(&full, (2, 1)).with(254, LONG, &[1]);
    let packed = Page::gray(12, 1, vec![0; 24]);
    for (little, big) in [(true, false), (false, false), (true, true), (false, true)] {
        for (pages, chosen, expected) in [
            (vec![full.clone()], None, (5, 3)),
            (vec![turned(&full, 3)], None, (5, 3)),
            (vec![turned(&full, 6)], None, (3, 5)),
            (vec![turned(&full, 9)], None, (5, 3)),
            (vec![packed.clone()], None, (5, 3)),
            (vec![turned(&packed, 8)], None, (3, 5)),
            (vec![thumbnail.clone(), full.clone()], None, (5, 3)),
            (vec![sized(&full, (2, 1)), turned(&full, 5)], None, (3, 5)),
            (vec![turned(&thumbnail, 6), full.clone()], Some(0), (1, 2)),
            (vec![full.clone(), turned(&full, 6), sized(&full, (9, 4))], Some(1), (3, 5)),
            (vec![full.clone(), turned(&full, 6), sized(&full, (9, 4))], Some(2), (9, 4)),
        ] {
            std::fs::write(&path, file(little, big, &pages)).unwrap();
            let raster = super::super::read_raster(&path, chosen).unwrap();
            assert_eq!(super::super::image_size(&path, chosen).unwrap(), expected);
            let image = raster.into_image(&path, &SampleReading::PLAIN).unwrap();
            assert_eq!((image.width, image.height), expected);
        }
    }
    let refused = |page: Page, chosen| {
        std::fs::write(&path, file(true, false, &[page])).unwrap();
        let size = super::super::image_size(&path, chosen).unwrap_err().to_string();
        assert_eq!(size, super::super::read_raster(&path, chosen).unwrap_err().to_string());
        size
    };
    let long = Page { data: vec![0; SIDE_MAX + 1], ..full.clone() }.with(256, LONG, &[SIDE_MAX as u64 + 1]);
    assert!(
        refused(long.with(257, LONG, &[1]).with(278, LONG, &[1]), None).contains("16385x1 pixels, expected at most")
    );
    assert!(refused(full.clone().with(256, LONG, &[0]), None).contains("is damaged or cut off"));
    assert!(refused(full, Some(1)).contains("a page 2, found none"));
}

#[test]
fn samples_that_need_too_much_memory_are_refused_before_they_are_decoded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tif");
    let side = SIDE_MAX as u64;
    // Of one band, samples of 8 bytes need just as much as is allowed.
    for (bits, format, bands) in [(64, 3, 2), (32, 3, 2), (8, 2, 2), (32, 1, 2), (16, 1, 5), (12, 1, 5), (1, 1, 9)] {
        let page = Page { bands, photometric: BLACK_IS_ZERO, ..Page::gray(bits, format, vec![0; 8]) };
        let page = page.with(256, LONG, &[side]).with(257, LONG, &[side]).with(278, LONG, &[side]);
        std::fs::write(&path, file(true, false, &[page])).unwrap();
        let error = super::super::read_raster(&path, None).unwrap_err().to_string();
        let expected = format!("is too large: {side}x{side}x{bands} samples need more than 2048 MiB of memory");
        assert!(error.contains(&expected), "{error}");
    }
}

/// Counts the bytes that are read.
struct Counted<'a>(Cursor<&'a [u8]>, &'a Cell<usize>);

impl Read for Counted<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(to)?;
        self.1.set(self.1.get() + count);
        Ok(count)
    }
}

impl Seek for Counted<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

#[test]
fn to_read_every_page_of_a_stack_the_file_is_read_once() {
    let side = 64;
    let mut stack = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut stack).unwrap();
    for page in 0..40u8 {
        encoder.write_image::<colortype::Gray16>(side, side, &vec![u16::from(page); (side * side) as usize]).unwrap();
    }
    let (bytes, read) = (stack.into_inner(), Cell::new(0));
    for page in 0..40 {
        let counted = Counted(Cursor::new(&bytes), &read);
        let raster = super::decode(TiffFile::new(counted, Numbers::of(&bytes).unwrap()).unwrap(), Some(page)).unwrap();
        assert_eq!(raster.samples, Samples::U16(vec![page as u16; (side * side) as usize]));
    }
    // Beside the pages themselves, the way to each: 39 times 40 halves of at most 512 bytes; and, twice, the file's head and
    // the page's directory.
    let ways = (40 * 39 / 2 + 4 * 40) * 512;
    assert!(read.get() < bytes.len() * 2 + ways, "{} bytes read of a file of {}", read.get(), bytes.len());
}
