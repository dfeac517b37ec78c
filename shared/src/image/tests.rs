//! Every format against the formula of one pixel, and the checks of a view.

use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

fn gray_of_rgb(rgb: [u8; 3]) -> u8 {
    let [r, g, b] = rgb.map(u64::from);
    ((9798 * r + 19235 * g + 3735 * b + 16384) / 32768) as u8
}

fn byte(numerator: i64) -> u8 {
    numerator.div_euclid(256).clamp(0, 255) as u8
}

/// One pixel, located and converted on its own: gray and RGB.
fn pixel(view: &ImageView<'_>, x: usize, y: usize) -> (u8, [u8; 3]) {
    let at = |i: usize| view.data()[i];
    let (stride, height) = (view.stride(), view.height());
    let row = y * stride;
    let ColourEncoding { range, matrix } = view.encoding();
    let (luma, u, v) = match view.format() {
        PixelFormat::Gray8 if range == Range::Full => return (at(row + x), [at(row + x); 3]),
        PixelFormat::Gray8 => (at(row + x), 128, 128),
        PixelFormat::Rgb8 | PixelFormat::Bgr8 | PixelFormat::Rgba8 => {
            let bytes = if view.format() == PixelFormat::Rgba8 { 4 } else { 3 };
            let start = row + x * bytes;
            let mut rgb = [at(start), at(start + 1), at(start + 2)];
            if view.format() == PixelFormat::Bgr8 {
                rgb.reverse();
            }
            return (gray_of_rgb(rgb), rgb);
        }
        PixelFormat::Yuyv => (at(row + x * 2), at(row + x / 2 * 4 + 1), at(row + x / 2 * 4 + 3)),
        PixelFormat::Uyvy => (at(row + x * 2 + 1), at(row + x / 2 * 4), at(row + x / 2 * 4 + 2)),
        PixelFormat::Nv12 => {
            let chroma = stride * height + y / 2 * stride + x / 2 * 2;
            (at(row + x), at(chroma), at(chroma + 1))
        }
        PixelFormat::I420 => {
            let u = stride * height + y / 2 * (stride / 2) + x / 2;
            (at(row + x), at(u), at(u + stride / 2 * (height / 2)))
        }
        PixelFormat::I422 => {
            let u = stride * height + y * (stride / 2) + x / 2;
            (at(row + x), at(u), at(u + stride / 2 * height))
        }
        PixelFormat::I444 => (at(row + x), at(stride * height + row + x), at(stride * height * 2 + row + x)),
    };
    let c = match range {
        Range::Limited => 298 * (i64::from(luma) - 16),
        Range::Full => 256 * i64::from(luma),
    };
    let (u, v) = (i64::from(u) - 128, i64::from(v) - 128);
    let (gray, r, g, b) = match (range, matrix) {
        (Range::Limited, Matrix::Bt601) => (0, 409 * v, -100 * u - 208 * v, 516 * u),
        (Range::Limited, Matrix::Bt709) => (30 * u + 57 * v, 459 * v, -55 * u - 136 * v, 541 * u),
        (Range::Full, Matrix::Bt601) => (0, 359 * v, -88 * u - 183 * v, 454 * u),
        (Range::Full, Matrix::Bt709) => (26 * u + 50 * v, 403 * v, -48 * u - 120 * v, 475 * u),
    };
    (byte(c + gray + 128), [r, g, b].map(|colour| byte(c + colour + 128)))
}

proptest! {
    #[test]
    fn rows_are_the_formula_of_each_pixel(
        format in prop::sample::select(PixelFormat::ALL.as_slice()),
        half_width in 1usize..9,
        half_height in 1usize..5,
        odd: (bool, bool),
        padding in 0usize..5,
        range in prop::sample::select(Range::ALL.as_slice()),
        matrix in prop::sample::select(Matrix::ALL.as_slice()),
        bytes in prop::collection::vec(any::<u8>(), 2048),
    ) {
        let width = half_width * 2 - usize::from(odd.0 && !format.needs_even_width());
        let height = half_height * 2 - usize::from(odd.1 && !format.needs_even_height());
        let stride = format.row_len(width) + padding * 2;
        let len = format.data_len(width, height, stride).unwrap();
        let view = ImageView::new(&bytes[..len], width, height, stride, format).unwrap();
        let view = view.encoded(ColourEncoding { range, matrix });
        let (mut gray, mut rgb) = (vec![0; width], vec![0; width * 3]);
        for y in 0..height {
            view.read_row(y, Channels::Gray, &mut gray).unwrap();
            view.read_row(y, Channels::Rgb, &mut rgb).unwrap();
            for x in 0..width {
                let (expected_gray, expected_rgb) = pixel(&view, x, y);
                prop_assert_eq!(gray[x], expected_gray);
                prop_assert_eq!(&rgb[x * 3..x * 3 + 3], expected_rgb);
            }
        }
    }

    #[test]
    fn no_header_panics(
        format in prop::sample::select(PixelFormat::ALL.as_slice()),
        width: usize,
        height: usize,
        stride: usize,
        small in 0usize..40,
        use_small: [bool; 3],
        len in 0usize..3000,
    ) {
        let pick = |small_one: bool, value: usize| if small_one { value % 41 + small % 3 } else { value };
        let (width, height) = (pick(use_small[0], width), pick(use_small[1], height));
        let stride = pick(use_small[2], stride);
        let data = vec![7; len];
        if let Ok(view) = ImageView::new(&data, width, height, stride, format) {
            let mut out = vec![0; width * 3];
            for y in 0..height {
                prop_assert_eq!(view.read_row(y, Channels::Rgb, &mut out), Ok(()));
            }
        }
    }
}

#[test]
fn a_part_has_the_pixels_of_the_whole() {
    let (width, height) = (12, 10);
    for format in PixelFormat::ALL {
        let stride = format.row_len(width) + 4;
        let data: Vec<u8> = (0..stride * height * 3).map(|index| (index * 89 % 253) as u8).collect();
        let view = ImageView::new(&data, width, height, stride, format).unwrap();
        let part = view.crop(2, 4, 8, 6).unwrap();
        // A part of a part.
        for (part, x, y, columns, rows) in [(part, 2, 4, 8, 6), (part.crop(4, 2, 2, 4).unwrap(), 6, 6, 2, 4)] {
            for channels in [Channels::Gray, Channels::Rgb] {
                let count = channels.count();
                let (mut all, mut some) = (vec![0; width * count], vec![0; columns * count]);
                for row in 0..rows {
                    view.read_row(y + row, channels, &mut all).unwrap();
                    part.read_row(row, channels, &mut some).unwrap();
                    assert_eq!(some, all[x * count..(x + columns) * count], "{format}, row {row}");
                }
                assert!(part.read_row(rows, channels, &mut some).is_err());
            }
        }
        for (x, y, columns, rows) in [(0, 0, 0, 2), (0, 0, 14, 2), (10, 0, 4, 2), (0, 8, 2, 4), (usize::MAX, 0, 2, 2)] {
            let error = ImageError::Crop { image: (width, height), found: (x, y, columns, rows) };
            assert_eq!(view.crop(x, y, columns, rows).err(), Some(error), "{format}");
        }
        assert_eq!(view.crop(1, 0, 2, 2).is_err(), format.needs_even_width(), "{format}");
        assert_eq!(view.crop(0, 1, 2, 2).is_err(), format.needs_even_height(), "{format}");
    }
}

#[test]
fn colours_by_hand() {
    let cases = [([255, 255, 255], 255), ([255, 0, 0], 76), ([0, 255, 0], 150), ([0, 0, 255], 29), ([9, 9, 9], 9)];
    for (rgb, gray) in cases {
        assert_eq!(colour::gray_of_rgb(rgb[0], rgb[1], rgb[2]), gray, "{rgb:?}");
    }
    // Black, white, and the red, green and blue of the colour bars, as the recommendations have them: `FACTORS` is the encoding.
    fn check<const FACTORS: usize>(yuv: [[u8; 3]; 5]) {
        let expected = [[0; 3], [255; 3], [255, 0, 0], [0, 255, 0], [0, 0, 255]];
        for (yuv, rgb) in yuv.into_iter().zip(expected) {
            let found = colour::rgb_of_yuv::<FACTORS>(yuv);
            assert!(found.iter().zip(rgb).all(|(found, rgb)| found.abs_diff(rgb) <= 1), "{FACTORS} {yuv:?} {found:?}");
            let [r, g, b] = rgb;
            let gray = colour::gray_of_yuv::<FACTORS>(yuv);
            assert!(gray.abs_diff(colour::gray_of_rgb(r, g, b)) <= 1, "{FACTORS} {yuv:?} {gray}");
        }
    }
    check::<0>([[16, 128, 128], [235, 128, 128], [81, 90, 240], [145, 54, 34], [41, 240, 110]]);
    check::<1>([[16, 128, 128], [235, 128, 128], [63, 102, 240], [173, 42, 26], [32, 240, 118]]);
    check::<2>([[0, 128, 128], [255, 128, 128], [76, 85, 255], [150, 44, 21], [29, 255, 107]]);
    check::<3>([[0, 128, 128], [255, 128, 128], [54, 99, 255], [182, 30, 12], [18, 255, 116]]);
    assert_eq!([0, 16, 126, 235, 255].map(|y| colour::gray_of_yuv::<0>([y, 128, 128])), [0, 0, 128, 255, 255]);
    assert_eq!(colour::rgb_of_yuv::<0>([81, 90, 240]), [255, 0, 0]);
    for y in 0..=255 {
        assert_eq!(colour::rgb_of_yuv::<2>([y, 128, 128]), [y; 3]);
    }
}

#[test]
fn every_gray_is_unchanged() {
    for gray in 0..=255 {
        assert_eq!(colour::gray_of_rgb(gray, gray, gray), gray);
    }
}

#[test]
fn a_view_names_what_does_not_fit() {
    let data = [0; 64];
    let check = |width, height, stride, format, expected| {
        assert_eq!(ImageView::new(&data, width, height, stride, format).err(), Some(expected));
    };
    use PixelFormat::{Gray8, I420, Nv12, Rgb8, Yuyv};
    check(0, 1, 8, Gray8, ImageError::Size { width: 0, height: 1 });
    check(1, SIDE_MAX + 1, 8, Gray8, ImageError::Size { width: 1, height: SIDE_MAX + 1 });
    check(3, 2, 8, Yuyv, ImageError::OddSide { format: Yuyv, width: 3, height: 2 });
    check(4, 3, 8, Nv12, ImageError::OddSide { format: Nv12, width: 4, height: 3 });
    check(4, 2, 11, Rgb8, ImageError::Stride { expected: 12, found: 11 });
    check(4, 2, 5, I420, ImageError::OddStride { format: I420, found: 5 });
    check(4, 3, usize::MAX, Gray8, ImageError::TooLarge);
    check(4, 2, usize::MAX, Nv12, ImageError::TooLarge);
    check(4, 2, usize::MAX - 1, I420, ImageError::TooLarge);
    check(8, 9, 8, Gray8, ImageError::Data { expected: 72, found: 64 });
    // Y: 4 rows of 12; UV: one whole row and 10 bytes of the next.
    check(10, 4, 12, Nv12, ImageError::Data { expected: 70, found: 64 });
    // Y: 4 rows of 12; U: 2 rows of 6; V: one whole row and 5 bytes of the next.
    check(10, 4, 12, I420, ImageError::Data { expected: 71, found: 64 });
    // The last row needs no padding.
    ImageView::new(&data, 4, 7, 10, Gray8).unwrap();
}

#[test]
fn a_row_names_what_does_not_fit() {
    let data: Vec<u8> = (0..6).collect();
    let view = ImageView::packed(&data, 3, 2, PixelFormat::Gray8).unwrap();
    let mut out = [0; 3];
    assert_eq!(view.read_row(2, Channels::Gray, &mut out), Err(ImageError::Row { y: 2, height: 2 }));
    assert_eq!(view.read_row(1, Channels::Rgb, &mut out), Err(ImageError::Output { expected: 9, found: 3 }));
    assert_eq!(view.read_row(1, Channels::Gray, &mut out), Ok(()));
    assert_eq!(out, [3, 4, 5]);
}
