//! Image files with changed bytes: decoding gives an image, or an error of one line that names the file, and never panics.
//!
//! Runs for two seconds, or for `FUZZ_SECONDS`. The fuzz target `image_files` does the same with coverage to guide it.

use std::io::Cursor;
use std::path::Path;
use std::time::{Duration, Instant};

use image::{DynamicImage, GrayImage, ImageBuffer, ImageFormat, Luma, Rgb, RgbImage};
use tiff::encoder::{Compression, DeflateLevel, TiffEncoder, colortype};
use unet_data::decode::read_raster;
use unet_data::{decode_image, decode_label};
use unet_shared::samples::{Range, SampleReading};

/// A generator of reproducible numbers (Marsaglia's xorshift64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % bound.max(1)
    }
}

fn tiff_of<C: colortype::ColorType>(data: &[C::Inner], compression: Compression, big: bool) -> Vec<u8>
where
    [C::Inner]: tiff::encoder::TiffValue,
{
    let mut bytes = Cursor::new(Vec::new());
    if big {
        let mut encoder = TiffEncoder::new_big(&mut bytes).unwrap().with_compression(compression);
        encoder.write_image::<C>(13, 7, data).unwrap();
    } else {
        let mut encoder = TiffEncoder::new(&mut bytes).unwrap().with_compression(compression);
        encoder.write_image::<C>(13, 7, data).unwrap();
    }
    bytes.into_inner()
}

/// Whole files of every format.
fn seeds() -> Vec<Vec<u8>> {
    let rgb = RgbImage::from_fn(21, 17, |x, y| Rgb([(x * 11) as u8, (y * 13) as u8, (x * y) as u8]));
    let gray = GrayImage::from_fn(21, 17, |x, y| Luma([(x * 11 + y) as u8]));
    let deep = ImageBuffer::<Luma<u16>, _>::from_fn(21, 17, |x, y| Luma([(x * 300 + y * 7) as u16]));
    let images = [
        DynamicImage::from(rgb.clone()),
        DynamicImage::from(gray),
        DynamicImage::from(deep),
        DynamicImage::from(rgb).to_rgba8().into(),
    ];
    let mut seeds = Vec::new();
    for (index, image) in images.iter().enumerate() {
        for format in [ImageFormat::Png, ImageFormat::Tiff, ImageFormat::Bmp, ImageFormat::Jpeg] {
            let mut bytes = Cursor::new(Vec::new());
            let jpeg = format == ImageFormat::Jpeg;
            if (jpeg && index > 1) || (format == ImageFormat::Bmp && index == 2) {
                continue;
            }
            image.write_to(&mut bytes, format).unwrap();
            seeds.push(bytes.into_inner());
        }
    }
    let compressions =
        [Compression::Uncompressed, Compression::Lzw, Compression::Deflate(DeflateLevel::Fast), Compression::Packbits];
    for (compression, big) in compressions.into_iter().zip([false, true, false, true]) {
        seeds.push(tiff_of::<colortype::RGB8>(&[7; 13 * 7 * 3], compression, big));
        seeds.push(tiff_of::<colortype::Gray32Float>(&[0.5; 13 * 7], compression, big));
        seeds.push(tiff_of::<colortype::GrayI16>(&[-3; 13 * 7], compression, big));
        seeds.push(tiff_of::<colortype::CMYK8>(&[9; 13 * 7 * 4], compression, big));
    }
    for jpeg in ["progressive.jpg", "restarts.jpg"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/decode/jpeg").join(jpeg);
        seeds.push(std::fs::read(path).unwrap());
    }
    seeds
}

/// One to six changes: bytes set, flipped, removed, repeated, and numbers that are likely to break things.
fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(6) {
        let at = random.below(bytes.len());
        let length = random.below(9).min(bytes.len() - at);
        match random.below(6) {
            0 => bytes[at..at + length].fill(random.below(256) as u8),
            1 => bytes[at] ^= 1 << random.below(8),
            2 => drop(bytes.drain(at..at + length)),
            3 => {
                let copy = bytes[at..at + length].to_vec();
                let to = random.below(bytes.len());
                drop(bytes.splice(to..to, copy));
            }
            4 => bytes.truncate(bytes.len() - random.below(bytes.len() / 8 + 1)),
            _ => {
                let wild = [0, 1, 2, 3, 4, 8, 16, 255, 256, 0x7fff, 0xffff, 0x7fff_ffff, u32::MAX][random.below(13)];
                let number = if random.below(2) == 0 { wild.to_le_bytes() } else { wild.to_be_bytes() };
                let length = [2, 4][random.below(2)].min(bytes.len() - at);
                bytes[at..at + length].copy_from_slice(&number[..length]);
            }
        }
        if bytes.is_empty() {
            return;
        }
    }
}

#[test]
fn changed_bytes_never_panic_and_errors_name_the_file_in_one_line() {
    let seconds = std::env::var("FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let end = Instant::now() + Duration::from_secs(seconds);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image");
    let ranged = SampleReading { range: Range::new(-10.0, 3000.0).ok(), bands: None };
    let seeds = seeds();
    for seed in &seeds {
        std::fs::write(&path, seed).unwrap();
        decode_image(&path, &ranged).unwrap();
    }
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let (mut files, mut images) = (0u64, 0u64);
    while Instant::now() < end {
        let mut bytes = seeds[random.below(seeds.len())].clone();
        let state = random.0;
        damage(&mut bytes, &mut random);
        std::fs::write(&path, &bytes).unwrap();
        let decoded = std::panic::catch_unwind(|| {
            let page = if bytes.len().is_multiple_of(5) { Some(0) } else { None };
            let raster = read_raster(&path, page).and_then(|raster| raster.into_image(&path, &ranged));
            (decode_image(&path, &SampleReading::PLAIN), raster, decode_label(&path).map(drop))
        });
        let Ok((plain, raster, label)) = decoded else {
            let kept = std::env::temp_dir().join("unet-data-finding");
            std::fs::write(&kept, &bytes).unwrap();
            panic!("decoding panicked at state {state:#x}; the file is {}", kept.display());
        };
        files += 1;
        images += u64::from(plain.is_ok());
        let errors = [plain.err(), raster.err(), label.err()];
        for error in errors.into_iter().flatten() {
            let text = error.to_string();
            assert!(!text.contains('\n') && text.contains("image"), "{text}");
        }
    }
    println!("{files} files, {images} of them images");
    assert!(files > 100 && images > 0, "{files} files, {images} of them images");
}
