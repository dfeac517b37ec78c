//! Golden files: each image in `tests/golden/` is the reviewed result of one case.
//!
//! `UPDATE_GOLDEN=1` rewrites them. If a result differs, the result and an image of the differences are left in the
//! target directory, and the test names them.

use std::path::{Path, PathBuf};

use image::GrayImage;
use unet_host::dataset::synthetic::{SyntheticConfig, SyntheticSplit, frame};
use unet_shared::image::{ImageView, PixelFormat};
use unet_shared::preprocess::{Channels, Filter, Fit, Preprocess, Preprocessor};

use crate::repository::root;

/// One case, with the name of its image.
fn cases() -> Vec<(String, GrayImage)> {
    let config = SyntheticConfig { seed: 11, train: 1, val: 1, width: 96, height: 64 };
    let (gray, _) = frame(&config, SyntheticSplit::Train, 0).unwrap();
    // Three different bytes per pixel: the gray frame, its complement, and its rows upside down.
    let rgb: Vec<u8> = gray
        .as_raw()
        .iter()
        .zip(gray.as_raw().iter().rev())
        .flat_map(|(&value, &mirrored)| [value, 255 - value, mirrored])
        .collect();
    let (width, height) = (96, 64);
    let gray_view = ImageView::packed(gray.as_raw(), width, height, PixelFormat::Gray8).unwrap();
    let rgb_view = ImageView::packed(&rgb, width, height, PixelFormat::Rgb8).unwrap();
    let mut cases = vec![];
    for (fit_name, fit) in [("stretch", Fit::Stretch), ("letterbox", Fit::Letterbox), ("pad", Fit::Pad)] {
        for (filter_name, filter) in
            [("nearest", Filter::Nearest), ("bilinear", Filter::Bilinear), ("area", Filter::Area)]
        {
            let sizes: &[(u32, u32)] = if fit == Fit::Pad { &[(112, 80)] } else { &[(40, 40), (144, 112)] };
            for &(to_width, to_height) in sizes {
                for (view, channels, colour) in
                    [(&gray_view, Channels::Gray, "gray"), (&rgb_view, Channels::Rgb, "rgb")]
                {
                    let spec = Preprocess {
                        width: to_width,
                        height: to_height,
                        channels,
                        fit,
                        filter,
                        fill: 20,
                        ..Preprocess::CLASSIC
                    };
                    let mut planes = vec![0; spec.input_len()];
                    Preprocessor::new(spec).unwrap().run(view, &mut planes).unwrap();
                    // The planes are stacked vertically.
                    let rows = to_height * channels.count() as u32;
                    let image = GrayImage::from_raw(to_width, rows, planes).unwrap();
                    let name = format!("{fit_name}-{filter_name}-{colour}-{to_width}x{to_height}.png");
                    cases.push((name, image));
                }
            }
        }
    }
    cases
}

fn difference(expected: &GrayImage, found: &GrayImage) -> Option<GrayImage> {
    if expected == found {
        return None;
    }
    Some(GrayImage::from_fn(found.width(), found.height(), |x, y| {
        let same = expected.get_pixel_checked(x, y) == found.get_pixel_checked(x, y);
        image::Luma([if same { 0 } else { 255 }])
    }))
}

#[test]
fn every_case_matches_its_golden_image() {
    let folder = root().join("tests/golden");
    let update = std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1");
    let left = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("golden");
    let mut names: Vec<String> = vec![];
    let mut faults = vec![];
    std::fs::create_dir_all(&left).unwrap();
    for (name, found) in cases() {
        let path = folder.join(&name);
        if update {
            std::fs::create_dir_all(&folder).unwrap();
            found.save(&path).unwrap();
        }
        let expected = read(&path);
        if let Some(difference) = difference(&expected, &found) {
            let (actual, where_) = (left.join(format!("actual-{name}")), left.join(format!("difference-{name}")));
            found.save(&actual).unwrap();
            difference.save(&where_).unwrap();
            faults.push(format!("{name}: see {} and {}", actual.display(), where_.display()));
        }
        names.push(name);
    }
    // An image without a case is never compared, so it must not exist.
    for entry in std::fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        if name.ends_with(".png") && !names.contains(&name) {
            faults.push(format!("{name}: no case has this name"));
        }
    }
    assert!(faults.is_empty(), "golden images differ (UPDATE_GOLDEN=1 accepts):\n{}", faults.join("\n"));
}

fn read(path: &Path) -> GrayImage {
    image::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).into_luma8()
}
