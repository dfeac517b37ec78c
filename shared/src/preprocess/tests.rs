//! Resizing by hand and against floating point, placements, tables, and bytes that every architecture must produce.

use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::image::PixelFormat;
use crate::pseudo_random::pseudo_random;
use crate::samples::SampleReading;

const FITS: [Fit; 3] = [Fit::Stretch, Fit::Letterbox, Fit::Pad];
const FILTERS: [Filter; 3] = [Filter::Nearest, Filter::Bilinear, Filter::Area];

fn spec(width: u32, height: u32, channels: Channels, fit: Fit, filter: Filter) -> Preprocess {
    Preprocess {
        width,
        height,
        channels,
        fit,
        filter,
        normalize: Normalize::Unit,
        fill: 114,
        samples: SampleReading::PLAIN,
    }
}

/// Runs with dirty scratch of the minimal length.
fn run(spec: &Preprocess, view: &ImageView<'_>) -> (Placement, Vec<u8>) {
    let needed = spec.scratch_len(view.width());
    let mut scratch = Scratch {
        row: &mut vec![0xA5; needed.row],
        resized: &mut vec![0xA5A5; needed.resized],
        sums: &mut vec![0xA5A5_A5A5; needed.sums],
        taps: &mut vec![0xA5A5; needed.taps],
    };
    let mut out = vec![0xA5; spec.input_len()];
    let placement = spec.run(view, &mut out, &mut scratch).unwrap();
    (placement, out)
}

/// FNV-1a, 64 bits.
fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[test]
fn rows_and_columns_by_hand() {
    let check = |source: &[u8], filter, expected: &[u8]| {
        let (from, to) = (source.len(), expected.len() as u32);
        let row = ImageView::packed(source, from, 1, PixelFormat::Gray8).unwrap();
        assert_eq!(run(&spec(to, 1, Channels::Gray, Fit::Stretch, filter), &row).1, expected);
        let column = ImageView::packed(source, 1, from, PixelFormat::Gray8).unwrap();
        assert_eq!(run(&spec(1, to, Channels::Gray, Fit::Stretch, filter), &column).1, expected);
    };
    check(&[0, 10, 20, 30], Filter::Area, &[5, 25]);
    check(&[0, 90, 180], Filter::Area, &[30, 150]); // (0*2 + 90)/3 and (90 + 180*2)/3
    check(&[1, 2, 3, 4, 5], Filter::Area, &[3]);
    check(&[0, 255], Filter::Area, &[128]); // 127.5 rounds up
    check(&[0, 100], Filter::Bilinear, &[0, 25, 75, 100]);
    check(&[0, 100], Filter::Area, &[0, 25, 75, 100]);
    check(&[0, 10, 20, 30], Filter::Bilinear, &[5, 25]);
    check(&[0, 10, 20, 30], Filter::Nearest, &[10, 30]);
    check(&[0, 100, 200], Filter::Nearest, &[0, 0, 100, 100, 200, 200]);
    check(&[77], Filter::Bilinear, &[77, 77, 77]);
    check(&[1, 2, 3], Filter::Area, &[1, 2, 3]);
}

#[test]
fn channels_become_planes() {
    let pixels = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
    let view = ImageView::packed(&pixels, 2, 2, PixelFormat::Rgb8).unwrap();
    let same = spec(2, 2, Channels::Rgb, Fit::Stretch, Filter::Area);
    assert_eq!(run(&same, &view).1, [1, 4, 7, 10, 2, 5, 8, 11, 3, 6, 9, 12]);
    let half = spec(1, 1, Channels::Rgb, Fit::Stretch, Filter::Area);
    assert_eq!(run(&half, &view).1, [6, 7, 8]); // 5.5, 6.5, 7.5
}

#[test]
fn placements_by_hand() {
    let check = |fit, target: (u32, u32), image: (usize, usize), expected: (u32, u32, u32, u32)| {
        let spec = spec(target.0, target.1, Channels::Gray, fit, Filter::Area);
        let (x, y, width, height) = expected;
        assert_eq!(spec.placement(image.0, image.1), Ok(Placement { x, y, width, height }), "{image:?}");
    };
    check(Fit::Stretch, (64, 48), (7, 900), (0, 0, 64, 48));
    check(Fit::Letterbox, (64, 64), (200, 100), (0, 16, 64, 32));
    check(Fit::Letterbox, (64, 64), (100, 200), (16, 0, 32, 64));
    check(Fit::Letterbox, (10, 10), (3, 2), (0, 1, 10, 7)); // 6.67 rows, the odd one below
    check(Fit::Letterbox, (64, 64), (1, 1000), (31, 0, 1, 64)); // 0.064 columns
    check(Fit::Letterbox, (1, 16384), (16384, 1), (0, 8191, 1, 1));
    check(Fit::Letterbox, (16384, 16384), (16384, 16384), (0, 0, 16384, 16384));
    check(Fit::Pad, (8, 6), (5, 6), (0, 0, 5, 6));
}

#[test]
fn pad_fills_the_rest() {
    let view = ImageView::packed(&[1, 2], 2, 1, PixelFormat::Gray8).unwrap();
    let (_, out) = run(&spec(3, 2, Channels::Gray, Fit::Pad, Filter::Area), &view);
    assert_eq!(out, [1, 2, 114, 114, 114, 114]);
}

#[test]
fn letterbox_fills_above_and_below() {
    let view = ImageView::packed(&[10, 30, 20, 40], 4, 1, PixelFormat::Gray8).unwrap();
    let (_, out) = run(&spec(2, 3, Channels::Gray, Fit::Letterbox, Filter::Area), &view);
    assert_eq!(out, [114, 114, 20, 30, 114, 114]);
}

#[test]
fn errors_name_what_does_not_fit() {
    let data = [0; 12];
    let view = ImageView::packed(&data, 4, 3, PixelFormat::Gray8).unwrap();
    let target = spec(3, 3, Channels::Gray, Fit::Pad, Filter::Area);
    assert_eq!(target.placement(4, 3), Err(PreprocessError::Pad { target: (3, 3), image: (4, 3) }));
    assert_eq!(target.placement(0, 3), Err(PreprocessError::Size { width: 0, height: 3 }));
    assert_eq!(target.placement(3, usize::MAX), Err(PreprocessError::Size { width: 3, height: usize::MAX }));
    for (width, height) in [(0, 3), (3, 0), (16385, 3), (u32::MAX, u32::MAX)] {
        let wrong = Preprocess { width, height, ..target };
        assert_eq!(wrong.validate(), Err(PreprocessError::Target { width, height }));
        assert_eq!(wrong.placement(1, 1), Err(PreprocessError::Target { width, height }));
        // No overflow, even unchecked.
        assert!(wrong.input_len() == 0 || wrong.scratch_len(usize::MAX).row == usize::MAX);
    }

    let stretch = Preprocess { fit: Fit::Stretch, ..target };
    let run_with = |out: usize, row: usize, resized: usize, sums: usize, taps: usize| {
        let mut scratch = Scratch {
            row: &mut vec![0; row],
            resized: &mut vec![0; resized],
            sums: &mut vec![0; sums],
            taps: &mut vec![0; taps],
        };
        stretch.run(&view, &mut vec![0; out], &mut scratch)
    };
    let short = |expected| Err(PreprocessError::Scratch { expected, found: expected - 1 });
    assert_eq!(run_with(9, 4, 6, 3, 34), Ok(Placement { x: 0, y: 0, width: 3, height: 3 }));
    assert_eq!(run_with(8, 4, 6, 3, 34), Err(PreprocessError::Output { expected: 9, found: 8 }));
    assert_eq!(run_with(9, 3, 6, 3, 34), short(4));
    assert_eq!(run_with(9, 4, 5, 3, 34), short(6));
    assert_eq!(run_with(9, 4, 6, 2, 34), short(3));
    assert_eq!(run_with(9, 4, 6, 3, 33), short(34));
}

#[test]
fn normalization_must_be_finite() {
    let check = |channel: usize, mean: f32, std: f32| {
        let (mut means, mut stds) = ([0.5; 3], [0.25; 3]);
        (means[channel], stds[channel]) = (mean, std);
        Preprocess { normalize: Normalize::MeanStd { mean: means, std: stds }, ..Preprocess::CLASSIC }.validate()
    };
    assert_eq!(check(0, 0.485, 0.229), Ok(()));
    for (mean, std) in [
        (f32::NAN, 1.0),
        (f32::INFINITY, 1.0),
        (0.5, 0.0),
        (0.5, -1.0),
        (0.5, f32::INFINITY),
        (0.5, f32::NAN),
        (0.0, 1e-40),
    ] {
        for channel in 0..3 {
            let error = check(channel, mean, std);
            assert!(matches!(error, Err(PreprocessError::MeanStd { channel: found, .. }) if found == channel));
        }
    }
    assert_eq!(Preprocess::CLASSIC.validate(), Ok(()));
    assert_eq!(Preprocess::CLASSIC.input_len(), 1 << 20);
}

#[test]
fn tables_by_hand() {
    let unit = Preprocess::CLASSIC;
    assert_eq!([0, 51, 255].map(|v| unit.float_table(0)[v]), [0.0, 0.2, 1.0]);
    let identity: [u8; 256] = core::array::from_fn(|v| v as u8);
    assert_eq!(unit.quantized_table(0, 1.0 / 255.0, 0), identity);

    let normalize = Normalize::MeanStd { mean: [0.5, 0.0, 1.0], std: [0.5, 2.0, 0.25] };
    let spec = Preprocess { normalize, ..unit };
    assert_eq!([0, 255].map(|v| spec.float_table(0)[v]), [-1.0, 1.0]);
    assert_eq!([0, 255].map(|v| spec.float_table(1)[v]), [0.0, 0.5]);
    assert_eq!([0, 255].map(|v| spec.float_table(2)[v]), [-4.0, 0.0]);
    assert_eq!(spec.float_table(9), spec.float_table(2));
    // -1 / 0.5 + 3 = 1, 1 / 0.5 + 3 = 5; -4 / 0.5 + 3 saturates.
    assert_eq!([0, 255].map(|v| spec.quantized_table(0, 0.5, 3)[v]), [1, 5]);
    assert_eq!([0, 255].map(|v| spec.quantized_table(2, 0.5, 3)[v]), [0, 3]);
}

/// The digests come from a second implementation, in exact rationals and written from the specification alone. Every
/// architecture, instruction set and row operation must reproduce them.
#[test]
fn golden_digests() {
    let pixels = pseudo_random(37 * 23 * 3);
    let view = ImageView::packed(&pixels, 37, 23, PixelFormat::Rgb8).unwrap();
    // The width shrinks and, stretched, the height grows.
    let cases = [
        (Fit::Stretch, Filter::Nearest, 0x6d94_01f6_4b6a_7a38),
        (Fit::Stretch, Filter::Bilinear, 0xec77_25f9_d143_e60b),
        (Fit::Stretch, Filter::Area, 0x9e8c_063a_2b44_b907),
        (Fit::Letterbox, Filter::Nearest, 0xb2aa_47d4_6071_7e78),
        (Fit::Letterbox, Filter::Bilinear, 0x6f85_7a9e_9c08_bb91),
        (Fit::Letterbox, Filter::Area, 0x4e43_9380_f077_326e),
        (Fit::Pad, Filter::Nearest, 0x7a32_1537_94ae_7725),
        (Fit::Pad, Filter::Bilinear, 0x7a32_1537_94ae_7725),
        (Fit::Pad, Filter::Area, 0x7a32_1537_94ae_7725),
    ];
    for (fit, filter, expected) in cases {
        let (width, height) = if fit == Fit::Pad { (41, 29) } else { (29, 31) };
        let (_, out) = run(&spec(width, height, Channels::Rgb, fit, filter), &view);
        assert_eq!(digest(&out), expected, "{fit:?} {filter:?}");
    }
    let pixels = pseudo_random(38 * 22 * 2);
    let view = ImageView::packed(&pixels, 38, 22, PixelFormat::Yuyv).unwrap();
    let gray = Preprocess { fill: 0, ..spec(16, 16, Channels::Gray, Fit::Letterbox, Filter::Area) };
    assert_eq!(digest(&run(&gray, &view).1), 0xe9fc_568f_699c_0c00);
}

/// The largest products of the resize stay within u32.
#[test]
fn extreme_sides_stay_exact() {
    let bright = vec![255; SIDE_MAX];
    for (width, height) in [(SIDE_MAX, 1), (1, SIDE_MAX)] {
        let view = ImageView::packed(&bright, width, height, PixelFormat::Gray8).unwrap();
        for filter in FILTERS {
            for side in [1, 3, SIDE_MAX as u32 - 1, SIDE_MAX as u32] {
                let (to_width, to_height) = if width == 1 { (1, side) } else { (side, 1) };
                let (_, out) = run(&spec(to_width, to_height, Channels::Gray, Fit::Stretch, filter), &view);
                assert!(out.iter().all(|&value| value == 255), "{filter:?} {width} to {side}");
            }
        }
    }
}

/// The weights of one axis in floating point: for each target index, source index and weight.
fn float_taps(source: usize, target: usize, filter: Filter) -> Vec<Vec<(usize, f64)>> {
    let scale = source as f64 / target as f64;
    let taps = |index: usize| {
        if filter == Filter::Area && source > target {
            let (start, end) = (index as f64 * scale, (index + 1) as f64 * scale);
            let covered = |at: usize| (end.min((at + 1) as f64) - start.max(at as f64)).max(0.0);
            return (0..source).map(|at| (at, covered(at) / scale)).collect();
        }
        if filter == Filter::Nearest {
            return vec![((2 * index + 1) * source / (2 * target), 1.0)];
        }
        let centre = ((index as f64 + 0.5) * scale - 0.5).clamp(0.0, (source - 1) as f64);
        let first = centre.floor();
        let next = (first as usize + 1).min(source - 1);
        vec![(first as usize, 1.0 - (centre - first)), (next, centre - first)]
    };
    (0..target).map(taps).collect()
}

proptest! {
    #[test]
    fn resize_is_within_a_level_of_floating_point(
        size in (1usize..40, 1usize..40),
        target in (1u32..40, 1u32..40),
        filter in prop::sample::select(FILTERS.as_slice()),
        bytes in prop::collection::vec(any::<u8>(), 1600),
    ) {
        let (width, height) = size;
        let view = ImageView::packed(&bytes[..width * height], width, height, PixelFormat::Gray8).unwrap();
        let (_, out) = run(&spec(target.0, target.1, Channels::Gray, Fit::Stretch, filter), &view);
        let columns = float_taps(width, target.0 as usize, filter);
        let rows = float_taps(height, target.1 as usize, filter);
        for (y, row) in rows.iter().enumerate() {
            for (x, column) in columns.iter().enumerate() {
                let mut expected = 0.0;
                for &(from_y, weight_y) in row {
                    for &(from_x, weight_x) in column {
                        expected += weight_y * weight_x * f64::from(bytes[from_y * width + from_x]);
                    }
                }
                let found = out[y * target.0 as usize + x];
                // Half a level for the final rounding, half for the weights' 14 bits.
                prop_assert!((f64::from(found) - expected).abs() <= 1.0, "{found} for {expected} at {x}, {y}");
            }
        }
    }

    #[test]
    fn weights_add_up_and_fit_their_scratch(
        source in 1u32..=SIDE_MAX as u32,
        target in 1u32..=SIDE_MAX as u32,
        filter in prop::sample::select(FILTERS.as_slice()),
    ) {
        let axis = resize::Axis::new(source, target, filter);
        let mut out = vec![0; resize::taps_len(source as usize, target as usize)];
        let mut taps = axis.write_taps(&mut out);
        let mut indices = 0;
        while let [first, count, rest @ ..] = taps {
            let (weights, next) = rest.split_at(usize::from(*count));
            prop_assert_eq!(weights.iter().map(|&weight| u32::from(weight)).sum::<u32>(), 1 << 14);
            prop_assert!(u32::from(*first) + u32::from(*count) <= source);
            prop_assert!(*count > 0);
            (taps, indices) = (next, indices + 1);
        }
        prop_assert_eq!(indices, target);
    }

    #[test]
    fn a_constant_stays_exactly_what_it_is(
        value: u8,
        size in (1usize..50, 1usize..50),
        target in (1u32..50, 1u32..50),
        filter in prop::sample::select(FILTERS.as_slice()),
    ) {
        let pixels = vec![value; size.0 * size.1 * 3];
        let view = ImageView::packed(&pixels, size.0, size.1, PixelFormat::Rgb8).unwrap();
        for channels in [Channels::Gray, Channels::Rgb] {
            let (_, out) = run(&spec(target.0, target.1, channels, Fit::Stretch, filter), &view);
            prop_assert!(out.iter().all(|&found| found == value));
        }
    }

    #[test]
    fn its_own_size_is_the_identity(
        size in (1usize..24, 1usize..24),
        fit in prop::sample::select(FITS.as_slice()),
        filter in prop::sample::select(FILTERS.as_slice()),
        bytes in prop::collection::vec(any::<u8>(), 576),
    ) {
        let pixels = &bytes[..size.0 * size.1];
        let view = ImageView::packed(pixels, size.0, size.1, PixelFormat::Gray8).unwrap();
        let (_, out) = run(&spec(size.0 as u32, size.1 as u32, Channels::Gray, fit, filter), &view);
        prop_assert_eq!(out, pixels);
    }

    /// Every format and stride gives the same as its rows read as RGB or gray.
    #[test]
    fn formats_and_strides_do_not_matter_after_the_row(
        format in prop::sample::select([
            PixelFormat::Bgr8, PixelFormat::Rgba8, PixelFormat::Yuyv, PixelFormat::Uyvy, PixelFormat::Nv12, PixelFormat::I420,
        ].as_slice()),
        half in (1usize..9, 1usize..9),
        padding in 0usize..3,
        target in (1u32..20, 1u32..20),
        filter in prop::sample::select(FILTERS.as_slice()),
        bytes in prop::collection::vec(any::<u8>(), 2048),
    ) {
        let (width, height) = (half.0 * 2, half.1 * 2);
        let view = ImageView::new(&bytes, width, height, format.row_len(width) + padding * 2, format).unwrap();
        for (channels, plain) in [(Channels::Gray, PixelFormat::Gray8), (Channels::Rgb, PixelFormat::Rgb8)] {
            let mut rows = vec![0; width * height * channels.count()];
            for (y, row) in rows.chunks_exact_mut(width * channels.count()).enumerate() {
                view.read_row(y, channels, row).unwrap();
            }
            let plain = ImageView::packed(&rows, width, height, plain).unwrap();
            let spec = spec(target.0, target.1, channels, Fit::Letterbox, filter);
            prop_assert_eq!(run(&spec, &view), run(&spec, &plain));
        }
    }

    #[test]
    fn letterbox_keeps_the_shape_and_the_centre(
        image in (1usize..=SIDE_MAX, 1usize..=SIDE_MAX),
        target in (1u32..=SIDE_MAX as u32, 1u32..=SIDE_MAX as u32),
    ) {
        let spec = spec(target.0, target.1, Channels::Gray, Fit::Letterbox, Filter::Area);
        let place = spec.placement(image.0, image.1).unwrap();
        prop_assert!(place.is_within(target.0, target.1));
        prop_assert!(place.width == target.0 || place.height == target.1);
        let (right, below) = (target.0 - place.width - place.x, target.1 - place.height - place.y);
        prop_assert!((right - place.x) <= 1 && (below - place.y) <= 1);
        // The computed side is within half a pixel of the exact one, or the minimum of one pixel.
        let scale = (f64::from(target.0) / image.0 as f64).min(f64::from(target.1) / image.1 as f64);
        for (found, side) in [(place.width, image.0), (place.height, image.1)] {
            let exact = side as f64 * scale;
            prop_assert!((f64::from(found) - exact).abs() <= 0.5 + 1e-9 || (found == 1 && exact < 1.0));
        }
    }

    #[test]
    fn nearest_steps_are_the_formula(source in 1u32..=SIDE_MAX as u32, target in 1u32..=SIDE_MAX as u32) {
        let expected = (0..target).map(|index| ((2 * index + 1) * source / (2 * target)) as usize);
        prop_assert!(resize::nearest_indices(source, target).eq(expected));
    }
}

#[cfg(feature = "alloc")]
mod owned {
    //! The preprocessor with its own scratch, and the serialized specification.

    use super::*;

    #[test]
    fn scratch_grows_and_shrinking_images_reuse_it() {
        let spec = spec(9, 7, Channels::Rgb, Fit::Letterbox, Filter::Area);
        let mut preprocessor = Preprocessor::new(spec).unwrap();
        let pixels = pseudo_random(31 * 17 * 3);
        for (width, height) in [(5, 4), (31, 17), (1, 1), (12, 17)] {
            let view = ImageView::packed(&pixels, width, height, PixelFormat::Rgb8).unwrap();
            let mut out = vec![0; preprocessor.spec().input_len()];
            let placement = preprocessor.run(&view, &mut out).unwrap();
            assert_eq!((placement, out), run(&spec, &view));
        }
    }

    #[test]
    fn an_invalid_specification_is_refused() {
        let error = Preprocessor::new(Preprocess { width: 0, ..Preprocess::CLASSIC }).err();
        assert_eq!(error, Some(PreprocessError::Target { width: 0, height: 1024 }));
    }

    #[test]
    fn serialized_form() {
        let json = r#"{"width":1024,"height":1024,"channels":"gray","fit":"stretch","filter":"area","normalize":"unit","fill":0}"#;
        assert_eq!(serde_json::to_string(&Preprocess::CLASSIC).unwrap(), json);
        assert_eq!(serde_json::from_str::<Preprocess>(json).unwrap(), Preprocess::CLASSIC);
        let normalize = Normalize::MeanStd { mean: [0.5, 0.25, 0.125], std: [1.0, 2.0, 3.0] };
        let json = r#"{"mean_std":{"mean":[0.5,0.25,0.125],"std":[1.0,2.0,3.0]}}"#;
        assert_eq!(serde_json::to_string(&normalize).unwrap(), json);
        assert_eq!(serde_json::from_str::<Normalize>(json).unwrap(), normalize);
    }
}
