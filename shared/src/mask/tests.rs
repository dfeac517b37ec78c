//! The maps by hand and as inverses, and the argmax against a naive one.

use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::preprocess::{Filter, Fit};

fn spec(width: u32, height: u32, fit: Fit) -> Preprocess {
    Preprocess { width, height, fit, filter: Filter::Area, ..Preprocess::CLASSIC }
}

#[test]
fn letterboxed_mask_by_hand() {
    // 4x2 into 2x3: 2x1 pixels, one row below the top; columns 1 and 3, row 1 are under the centres.
    let spec = spec(2, 3, Fit::Letterbox);
    let mut out = [9; 6];
    let placement = mask_to_input(&[0, 1, 2, 3, 4, 5, 6, 7], 4, 2, &spec, &mut out).unwrap();
    assert_eq!(placement, Placement { x: 0, y: 1, width: 2, height: 1 });
    assert_eq!(out, [255, 255, 5, 7, 255, 255]);
    let mut back = [0; 8];
    mask_to_image(&out, &spec, placement, 4, 2, &mut back).unwrap();
    assert_eq!(back, [5, 5, 7, 7, 5, 5, 7, 7]);
}

#[test]
fn padded_mask_by_hand() {
    let mut out = [9; 6];
    mask_to_input(&[1, 2], 2, 1, &spec(3, 2, Fit::Pad), &mut out).unwrap();
    assert_eq!(out, [1, 2, 255, 255, 255, 255]);
}

#[test]
fn errors_name_the_object() {
    let spec = spec(4, 4, Fit::Pad);
    let mut out = [0; 16];
    let mut to_input = |len, width, height| mask_to_input(&vec![0; len], width, height, &spec, &mut out).unwrap_err();
    assert_eq!(to_input(3, 2, 2), MaskError::Mask { expected: 4, found: 3 });
    assert_eq!(to_input(0, 0, 2), MaskError::Geometry(PreprocessError::Size { width: 0, height: 2 }));
    assert_eq!(to_input(10, 5, 2), MaskError::Geometry(PreprocessError::Pad { target: (4, 4), image: (5, 2) }));
    let short = mask_to_input(&[0; 4], 2, 2, &spec, &mut [0; 3]);
    assert_eq!(short, Err(MaskError::Output { expected: 16, found: 3 }));

    let whole = Placement { x: 0, y: 0, width: 4, height: 4 };
    let to_image = |len, placement, width, height| {
        mask_to_image(&vec![0; len], &spec, placement, width, height, &mut [0; 4]).unwrap_err()
    };
    assert_eq!(to_image(15, whole, 2, 2), MaskError::Mask { expected: 16, found: 15 });
    assert_eq!(to_image(16, whole, 2, 3), MaskError::Output { expected: 6, found: 4 });
    assert_eq!(to_image(16, whole, 0, 3), MaskError::Size { width: 0, height: 3 });
    for found in [
        Placement { x: 1, ..whole },
        Placement { y: u32::MAX, ..whole },
        Placement { width: 0, ..whole },
        Placement { height: 5, ..whole },
    ] {
        assert_eq!(to_image(16, found, 2, 2), MaskError::Placement { target: (4, 4), found });
    }
    let endless = Preprocess { width: u32::MAX, height: u32::MAX, ..spec };
    let target = PreprocessError::Target { width: u32::MAX, height: u32::MAX };
    assert_eq!(mask_to_image(&[], &endless, whole, 1, 1, &mut [0]), Err(target.into()));
}

#[test]
fn argmax_by_hand() {
    const NAN: f32 = f32::NAN;
    const LOW: f32 = f32::NEG_INFINITY;
    // Columns are pixels: a tie, a clear winner, NaN against the lowest number both ways round, nothing but NaN.
    let logits = [1.0, 0.0, NAN, LOW, NAN, 1.0, 2.0, LOW, NAN, NAN];
    let mut mask = [9; 5];
    argmax_f32(&logits, 2, &mut mask).unwrap();
    assert_eq!(mask, [0, 1, 1, 0, 0]);
    let mut mask = [9; 3];
    argmax_u8(&[5, 0, 255, 5, 1, 255, 6, 1, 0], 3, &mut mask).unwrap();
    assert_eq!(mask, [2, 1, 0]);
}

#[test]
fn argmax_bounds() {
    let mut mask = [0; 2];
    assert_eq!(argmax_u8(&[], 0, &mut mask), Err(MaskError::Classes { found: 0 }));
    assert_eq!(argmax_u8(&[0; 512], 256, &mut mask), Err(MaskError::Classes { found: 256 }));
    let short = MaskError::Logits { classes: 2, pixels: 2, found: 3 };
    assert_eq!(argmax_f32(&[0.0; 3], 2, &mut mask), Err(short));
    assert_eq!(argmax_u8(&[], 3, &mut []), Ok(()));
    let logits: Vec<u8> = (0..255).collect();
    argmax_u8(&logits, 255, &mut mask[..1]).unwrap();
    assert_eq!(mask[0], 254);
}

proptest! {
    #[test]
    fn equal_sizes_are_the_identity(width in 1usize..20, height in 1usize..20, seed: u8) {
        let mask: Vec<u8> = (0..width * height).map(|i| (i as u8).wrapping_mul(31) ^ seed).collect();
        for fit in [Fit::Stretch, Fit::Letterbox, Fit::Pad] {
            let spec = spec(width as u32, height as u32, fit);
            let (mut input, mut back) = (vec![0; mask.len()], vec![0; mask.len()]);
            let placement = mask_to_input(&mask, width, height, &spec, &mut input).unwrap();
            prop_assert_eq!(&input, &mask);
            mask_to_image(&input, &spec, placement, width, height, &mut back).unwrap();
            prop_assert_eq!(&back, &mask);
        }
    }

    /// If the target has at least as many pixels on each axis, the round trip loses nothing.
    #[test]
    fn enlarging_and_going_back_is_the_identity(
        size in (1usize..20, 1usize..20),
        more in (0usize..40, 0usize..40),
        fit in prop::sample::select([Fit::Stretch, Fit::Letterbox, Fit::Pad].as_slice()),
        seed: u8,
    ) {
        let (width, height) = size;
        let spec = spec((width + more.0) as u32, (height + more.1) as u32, fit);
        let mask: Vec<u8> = (0..width * height).map(|i| (i as u8).wrapping_mul(29) ^ seed).collect();
        let mut input = vec![0; (spec.width * spec.height) as usize];
        let placement = mask_to_input(&mask, width, height, &spec, &mut input).unwrap();
        let mut back = vec![0; mask.len()];
        mask_to_image(&input, &spec, placement, width, height, &mut back).unwrap();
        prop_assert_eq!(back, mask);
    }

    #[test]
    fn back_is_the_formula(
        size in (1usize..30, 1usize..30),
        target in (1u32..30, 1u32..30),
        fit in prop::sample::select([Fit::Stretch, Fit::Letterbox].as_slice()),
        bytes in prop::collection::vec(any::<u8>(), 900),
    ) {
        let (width, height) = size;
        let spec = spec(target.0, target.1, fit);
        let mask = &bytes[..(target.0 * target.1) as usize];
        let place = spec.placement(width, height).unwrap();
        let mut out = vec![0; width * height];
        mask_to_image(mask, &spec, place, width, height, &mut out).unwrap();
        for y in 0..height {
            for x in 0..width {
                let from_x = place.x as usize + (2 * x + 1) * place.width as usize / (2 * width);
                let from_y = place.y as usize + (2 * y + 1) * place.height as usize / (2 * height);
                prop_assert_eq!(out[y * width + x], mask[from_y * target.0 as usize + from_x]);
            }
        }
    }

    #[test]
    fn argmax_is_the_naive_one(
        classes in 1usize..6,
        pixels in 1usize..1200,
        values in prop::collection::vec(0u8..8, 6000),
    ) {
        let logits = &values[..classes * pixels];
        // 7 stands for NaN in the float logits.
        let floats: Vec<f32> = logits.iter().map(|&v| if v == 7 { f32::NAN } else { f32::from(v) }).collect();
        let (mut bytes_mask, mut floats_mask) = (vec![0; pixels], vec![0; pixels]);
        argmax_u8(logits, classes, &mut bytes_mask).unwrap();
        argmax_f32(&floats, classes, &mut floats_mask).unwrap();
        for pixel in 0..pixels {
            let (mut byte, mut float) = (0, 0);
            for class in 1..classes {
                let at = |class: usize| logits[class * pixels + pixel];
                if at(class) > at(byte) {
                    byte = class;
                }
                if at(class) != 7 && (at(float) == 7 || at(class) > at(float)) {
                    float = class;
                }
            }
            prop_assert_eq!((usize::from(bytes_mask[pixel]), usize::from(floats_mask[pixel])), (byte, float));
        }
    }
}
