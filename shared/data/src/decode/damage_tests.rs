//! Files with changed bytes, cut off or not: an error or an image, whatever the damage. Proptest prints what fails.

use std::io::Cursor;
use std::{fs, iter};

use image::{DynamicImage, ImageBuffer, ImageFormat, Rgb};
use proptest::prelude::*;
use unet_shared::samples::{Range, SampleReading};

use super::{OwnedSamples, decode_image, decode_label, image_size, tiff_pages};

const FILES: [(ImageFormat, bool); 6] = [
    (ImageFormat::Png, false),
    (ImageFormat::Png, true),
    (ImageFormat::Jpeg, false),
    (ImageFormat::Bmp, false),
    (ImageFormat::Tiff, false),
    (ImageFormat::Tiff, true),
];

fn encoded((format, deep): (ImageFormat, bool)) -> Vec<u8> {
    let image =
        ImageBuffer::from_fn(19, 11, |x, y| Rgb([x * 13 + y * 7, x * 5, y * 20].map(|level| level as u16 * 200)));
    let image = DynamicImage::ImageRgb16(image);
    let image = if deep { image } else { DynamicImage::from(image.to_rgb8()) };
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn damaged_files_are_errors_or_images(
        kind in 0..FILES.len(),
        // Headers are short, so that half of the changes are made in them.
        changes in prop::collection::vec((prop_oneof![0..64usize, any::<usize>()], any::<u8>()), 1..4),
        cut in prop::option::weighted(0.2, any::<usize>()),
        from_end: bool,
    ) {
        let mut bytes = encoded(FILES[kind]);
        let len = bytes.len();
        for (at, value) in changes {
            let at = at % len;
            bytes[if from_end { len - 1 - at } else { at }] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut % len);
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        fs::write(&path, &bytes).unwrap();
        let range = SampleReading { range: Range::new(0.0, 4095.0).ok(), bands: None };
        for reading in [SampleReading::PLAIN, range] {
            if let Ok(image) = decode_image(&path, &reading) {
                prop_assert!(image.width > 0 && image.height > 0);
                prop_assert_eq!(image.data.len(), image.height * image.format.row_len(image.width));
                prop_assert_eq!(image_size(&path, None).unwrap(), (image.width, image.height));
            }
        }
        if let Ok(label) = decode_label(&path) {
            let samples = match &label.samples {
                OwnedSamples::Gray8(samples) => samples.len(),
                OwnedSamples::Gray16(samples) => samples.len(),
                OwnedSamples::Rgb8(samples) => samples.len() / 3,
            };
            prop_assert_eq!(samples, label.width * label.height);
        }
        prop_assert!(iter::zip(tiff_pages(&path), 0..=len).count() <= len);
    }
}
