//! Every instruction set that the core has against plain Rust: equal bytes.

use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::InstructionSet;
use crate::image::{ColourEncoding, ImageView, Matrix, PixelFormat, Range, SIDE_MAX};
use crate::preprocess::{Channels, Filter, Fit, Normalize, Preprocess, Scratch};
use crate::pseudo_random::pseudo_random;
use crate::samples::SampleReading;

const FITS: [Fit; 3] = [Fit::Stretch, Fit::Letterbox, Fit::Pad];
const FILTERS: [Filter; 3] = [Filter::Nearest, Filter::Bilinear, Filter::Area];
const CHANNELS: [Channels; 2] = [Channels::Gray, Channels::Rgb];

fn vector_sets() -> impl Iterator<Item = InstructionSet> {
    InstructionSet::ALL.into_iter().filter(|set| *set != InstructionSet::Scalar && set.is_available())
}

fn spec(target: (u32, u32), channels: Channels, fit: Fit, filter: Filter) -> Preprocess {
    Preprocess {
        width: target.0,
        height: target.1,
        channels,
        fit,
        filter,
        normalize: Normalize::Unit,
        fill: 114,
        samples: SampleReading::PLAIN,
    }
}

/// Runs with scratch that is dirty and just long enough.
fn run(set: InstructionSet, spec: &Preprocess, view: &ImageView<'_>) -> Vec<u8> {
    let needed = spec.scratch_len(view.width());
    let mut scratch = Scratch {
        row: &mut vec![0xA5; needed.row],
        resized: &mut vec![0xA5A5; needed.resized],
        sums: &mut vec![0xA5A5_A5A5; needed.sums],
        taps: &mut vec![0xA5A5; needed.taps],
    };
    let mut out = vec![0xA5; spec.input_len()];
    spec.run_on(set, view, &mut out, &mut scratch).unwrap();
    out
}

fn check_run(spec: &Preprocess, view: &ImageView<'_>) {
    let expected = run(InstructionSet::Scalar, spec, view);
    for set in vector_sets() {
        let found = run(set, spec, view);
        let differs = found.iter().zip(&expected).position(|(found, expected)| found != expected);
        assert_eq!(differs, None, "{}: {spec:?} {} {}x{}", set.name(), view.format(), view.width(), view.height());
    }
}

fn check_rows(view: &ImageView<'_>) {
    for (channels, y) in CHANNELS.into_iter().flat_map(|channels| (0..view.height()).map(move |y| (channels, y))) {
        let mut expected = vec![0; view.width() * channels.count()];
        view.read_row_on(InstructionSet::Scalar, y, channels, &mut expected).unwrap();
        for set in vector_sets() {
            let mut found = vec![0xA5; expected.len()];
            view.read_row_on(set, y, channels, &mut found).unwrap();
            assert_eq!(found, expected, "{}: {} {channels:?} {} wide", set.name(), view.format(), view.width());
        }
    }
}

fn encodings() -> impl Iterator<Item = ColourEncoding> {
    Range::ALL.into_iter().flat_map(|range| Matrix::ALL.map(|matrix| ColourEncoding { range, matrix }))
}

fn is_whole(format: PixelFormat, width: usize) -> bool {
    width.is_multiple_of(2) || !format.needs_even_width()
}

/// The bytes end where the last row ends, so that a sanitizer finds reads beyond.
fn view_of(bytes: &[u8], (width, height): (usize, usize), padding: usize, format: PixelFormat) -> ImageView<'_> {
    let stride = format.row_len(width) + padding;
    let view = |len: usize| ImageView::new(&bytes[..len], width, height, stride, format);
    let Err(crate::image::ImageError::Data { expected, .. }) = view(0) else { panic!("an image of no bytes") };
    view(expected).unwrap()
}

#[test]
fn the_best_is_available() {
    assert!(InstructionSet::best().is_available() && InstructionSet::Scalar.is_available());
    assert_eq!(vector_sets().last().unwrap_or(InstructionSet::Scalar), InstructionSet::best());
    #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
    assert_eq!(InstructionSet::best(), InstructionSet::Neon);
}

#[test]
fn rows_of_every_width_and_format() {
    let bytes = pseudo_random(4096);
    for format in PixelFormat::ALL {
        for width in (1..=67).filter(|&width| is_whole(format, width)) {
            for padding in [0, 6] {
                for encoding in encodings() {
                    check_rows(&view_of(&bytes, (width, 2), padding, format).encoded(encoding));
                }
            }
        }
    }
}

/// Every chroma with luma at, around and far from the ends of its range.
#[test]
fn every_chroma() {
    let lumas = [0, 1, 15, 16, 17, 81, 126, 127, 128, 129, 200, 234, 235, 236, 254, 255];
    for u in 0..=255 {
        let row: Vec<u8> =
            (0..=255).flat_map(|v| lumas.as_chunks::<2>().0.iter().flat_map(move |&[y0, y1]| [y0, u, y1, v])).collect();
        for encoding in encodings() {
            check_rows(&ImageView::packed(&row, row.len() / 2, 1, PixelFormat::Yuyv).unwrap().encoded(encoding));
        }
    }
}

/// Every pair of red and blue with some greens, including sums that end in a half.
#[test]
fn every_red_and_blue() {
    for r in 0..=255 {
        let row: Vec<u8> =
            (0..=255).flat_map(|b| [0, 1, 37, 128, 254, 255].into_iter().flat_map(move |g| [r, g, b])).collect();
        check_rows(&ImageView::packed(&row, row.len() / 3, 1, PixelFormat::Rgb8).unwrap());
    }
}

#[test]
fn a_camera_frame() {
    let bytes = pseudo_random(1280 * 96 * 2);
    for filter in FILTERS {
        for channels in CHANNELS {
            let view = ImageView::packed(&bytes, 1280, 96, PixelFormat::Yuyv).unwrap();
            check_run(&spec((256, 36), channels, Fit::Stretch, filter), &view);
            check_run(&spec((256, 256), channels, Fit::Letterbox, filter), &view);
            check_run(&spec((1281, 97), channels, Fit::Pad, filter), &view);
        }
    }
}

/// The largest sums, the widest windows, and windows that begin early.
#[test]
fn extreme_sides() {
    for value in [0, 255] {
        let bytes = vec![value; SIDE_MAX];
        for (from, to) in [(SIDE_MAX, 8), (SIDE_MAX, 9), (SIDE_MAX, SIDE_MAX as u32), (9, SIDE_MAX as u32), (16, 9)] {
            let view = ImageView::packed(&bytes[..from], from, 1, PixelFormat::Gray8).unwrap();
            for filter in FILTERS {
                for channels in CHANNELS {
                    check_run(&spec((to, 2), channels, Fit::Stretch, filter), &view);
                }
            }
        }
    }
}

/// Any letterbox fits into the scratch that its target needs.
#[test]
fn narrow_letterboxes_fit_their_scratch() {
    let bytes = pseudo_random(120 * 130);
    for height in 1..=130 {
        for width in [100, 111, 120] {
            let view = ImageView::packed(&bytes[..width * height], width, height, PixelFormat::Gray8).unwrap();
            for side in [15, 16, 17, 23, 24] {
                check_run(&spec((side, 15), Channels::Gray, Fit::Letterbox, Filter::Area), &view);
            }
        }
    }
}

proptest! {
    #[test]
    fn random_shapes(
        format in prop::sample::select(PixelFormat::ALL.as_slice()),
        half in (1usize..80, 1usize..12),
        odd: (bool, bool),
        padding in 0usize..5,
        target in (1u32..90, 1u32..30),
        how in (
            prop::sample::select(CHANNELS.as_slice()),
            prop::sample::select(FITS.as_slice()),
            prop::sample::select(FILTERS.as_slice()),
        ),
        encoding in 0usize..4,
        bytes in prop::collection::vec(any::<u8>(), 170 * 4 * 24),
    ) {
        let encoding = encodings().nth(encoding).unwrap();
        let less = |half: usize, odd: bool| half * 2 - usize::from(odd);
        let width = less(half.0, odd.0 && !format.needs_even_width());
        let size = (width, less(half.1, odd.1 && !format.needs_even_height()));
        let (channels, fit, filter) = how;
        // Padding goes to the target, at least as large as the image.
        let target = if fit == Fit::Pad { (size.0 as u32 + target.0 - 1, size.1 as u32 + target.1 - 1) } else { target };
        let view = view_of(&bytes, size, padding * 2, format).encoded(encoding);
        check_rows(&view);
        check_run(&spec(target, channels, fit, filter), &view);
    }
}
