//! Masks that annotation files contain as PNG in base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::decode::decode_png;
use crate::run_lengths::RunLengths;

/// The nonzero pixels of a base64 PNG, with or without a data-URL prefix; the error says what was found.
pub(super) fn decode(text: &str) -> Result<RunLengths, String> {
    let text = text.split_once("base64,").map_or(text, |(_, data)| data).trim();
    let bytes = STANDARD.decode(text).map_err(|error| format!("expected a PNG in base64, found {error}"))?;
    let mask = decode_png(&bytes).map_err(|error| format!("expected a PNG in base64, found {error}"))?.into_luma16();
    let (width, height) = (mask.width() as usize, mask.height() as usize);
    let inside: Vec<u8> = mask.into_raw().into_iter().map(|sample| u8::from(sample != 0)).collect();
    Ok(RunLengths::of(&inside, width, height, 1))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Cursor;

    use super::*;
    use image::{DynamicImage, GrayImage, ImageFormat, Luma};

    /// A gray mask as annotation tools store it.
    pub(crate) fn encode(mask: &GrayImage) -> String {
        let mut png = Cursor::new(Vec::new());
        mask.write_to(&mut png, ImageFormat::Png).unwrap();
        STANDARD.encode(png.into_inner())
    }

    #[test]
    fn every_nonzero_value_is_inside() {
        let mask = GrayImage::from_fn(3, 2, |x, y| Luma([[[0, 1, 0], [0, 255, 7]][y as usize][x as usize]]));
        let expected = RunLengths::of(&[0, 1, 0, 0, 1, 1], 3, 2, 1);
        let text = encode(&mask);
        assert_eq!(decode(&text).unwrap(), expected);
        assert_eq!(decode(&format!("data:image/png;base64,{text}\n")).unwrap(), expected);
        let mut colour = Cursor::new(Vec::new());
        DynamicImage::from(mask).to_rgb8().write_to(&mut colour, ImageFormat::Png).unwrap();
        assert_eq!(decode(&STANDARD.encode(colour.into_inner())).unwrap(), expected);
    }

    #[test]
    fn what_is_no_mask_is_refused() {
        for text in ["", "!", "aGVsbG8=", "iVBORw0KGgo="] {
            let error = decode(text).unwrap_err();
            assert!(error.starts_with("expected a PNG in base64, found "), "{error}");
        }
    }
}
