mod deep_images;
mod values;

use super::*;
use image::{GrayImage, ImageBuffer, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use std::fs;
use tempfile::TempDir;
use unet_data::layout::Layout;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn path(root: &TempDir, name: &str) -> PathBuf {
    let path = root.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    path
}

/// A different image for each seed, whose cells are not the blocks of a JPEG.
fn picture(seed: u32, width: u32, height: u32) -> GrayImage {
    let cell = |x: u32, y: u32| {
        (x.wrapping_mul(73) ^ y.wrapping_mul(151) ^ seed.wrapping_mul(40_503)).wrapping_mul(2_654_435_761) >> 24
    };
    GrayImage::from_fn(width, height, |x, y| Luma([(cell(x / 7 + seed, y / 7)) as u8]))
}

/// The left half 0, the right half `value`.
fn halves(value: u8, width: u32, height: u32) -> GrayImage {
    GrayImage::from_fn(width, height, |x, _| Luma([if x < width / 2 { 0 } else { value }]))
}

/// A valid dataset of two folders with four pairs of 64x48 and classes 0 to 2.
fn valid() -> TempDir {
    let root = folder();
    for seed in 0..4 {
        picture(seed, 64, 48).save(path(&root, &format!("images/{seed}.png"))).unwrap();
        let mut mask = halves(1, 64, 48);
        mask.put_pixel(0, 0, Luma([2]));
        mask.save(path(&root, &format!("masks/{seed}.png"))).unwrap();
    }
    root
}

fn report(root: &TempDir) -> CheckReport {
    let report = check(root.path(), &CheckOptions::default(), &mut |_, _| {}).unwrap().report;
    assert!(!report.text(true).is_empty());
    report
}

/// The findings as kind, severity and files.
fn found(root: &TempDir) -> Vec<(Kind, Severity, Vec<String>)> {
    report(root).findings.into_iter().map(|f| (f.kind, f.severity, f.files)).collect()
}

/// Changes a valid dataset and expects exactly one finding.
fn expect(change: impl Fn(&TempDir), kind: Kind, severity: Severity, files: &[&str]) {
    let root = valid();
    change(&root);
    let files: Vec<String> = files.iter().map(|file| file.to_string()).collect();
    assert_eq!(found(&root), [(kind, severity, files)], "{}", report(&root).text(false));
}

#[test]
fn a_valid_dataset_has_no_finding() {
    let root = valid();
    let mut steps = Vec::new();
    let report = check(root.path(), &CheckOptions::default(), &mut |done, all| steps.push((done, all)));
    let report = report.unwrap().report;
    assert_eq!(report.findings, []);
    assert!(!report.has_errors());
    assert_eq!(steps, [(1, 4), (2, 4), (3, 4), (4, 4)]);
    assert_eq!(report.layout.map(Layout::name), Some("two_folders"));
    assert_eq!(report.splits.iter().map(|s| s.pairs).collect::<Vec<_>>(), [3, 1, 0]);
    assert_eq!(report.sizes, [SizeSummary { width: 64, height: 48, images: 4 }]);
    let values: Vec<_> = report.values.iter().map(|v| (v.value.to_string(), v.masks, v.class)).collect();
    let expected = [("0", 4, Some(0)), ("1", 4, Some(1)), ("2", 4, Some(2))];
    assert_eq!(values, expected.map(|(value, masks, class)| (value.to_string(), masks, class)));
    assert_eq!(report.values[1].share, 0.5);
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["layout"], "two_folders");
    assert_eq!(json["classes"][2]["name"], "2");
}

#[test]
fn files_left_over_and_unreadable() {
    use Severity::{Error, Info};
    expect(
        |root| picture(9, 64, 48).save(path(root, "images/extra.png")).unwrap(),
        Kind::UnpairedImage,
        Error,
        &["images/extra.png"],
    );
    expect(
        |root| halves(1, 64, 48).save(path(root, "masks/extra.png")).unwrap(),
        Kind::UnpairedMask,
        Error,
        &["masks/extra.png"],
    );
    expect(
        |root| {
            let bytes = fs::read(path(root, "images/2.png")).unwrap();
            fs::write(path(root, "images/2.png"), &bytes[..bytes.len() / 2]).unwrap();
        },
        Kind::Unreadable,
        Error,
        &["images/2.png"],
    );
    expect(
        |root| fs::write(path(root, "masks/097.mat"), b"MATLAB 5.0 MAT-file").unwrap(),
        Kind::Unreadable,
        Error,
        &["masks/097.mat"],
    );
    expect(
        |root| fs::rename(path(root, "images/1.png"), path(root, "images/1.jpg")).unwrap(),
        Kind::WrongExtension,
        Info,
        &["images/1.jpg"],
    );
}

#[test]
fn pixels_of_images() {
    use Severity::{Error, Info, Warning};
    expect(
        |root| picture(1, 32, 48).save(path(root, "images/1.png")).unwrap(),
        Kind::SizeMismatch,
        Error,
        &["images/1.png", "masks/1.png"],
    );
    expect(
        |root| picture(1, 128, 96).save(path(root, "images/1.png")).unwrap(),
        Kind::SizeMismatch,
        Warning,
        &["images/1.png", "masks/1.png"],
    );
    let deep = |shift: u32| {
        move |root: &TempDir| {
            let deep = |x, y| Luma([u16::from(picture(1, 64, 48).get_pixel(x, y).0[0]) << shift]);
            ImageBuffer::from_fn(64, 48, deep).save(path(root, "images/1.png")).unwrap();
        }
    };
    expect(deep(8), Kind::SixteenBit, Info, &["images/1.png"]);
    expect(deep(4), Kind::SixteenBit, Info, &["images/1.png"]);
    expect(
        |root| {
            let pixel = |x, y| Rgba([picture(1, 64, 48).get_pixel(x, y).0[0], x as u8, 7, 9]);
            RgbaImage::from_fn(64, 48, pixel).save(path(root, "images/1.png")).unwrap();
        },
        Kind::AlphaChannel,
        Info,
        &["images/1.png"],
    );
}

/// Writes `image` as JPEG with an EXIF orientation.
fn save_rotated(image: &GrayImage, orientation: u8, path: &Path) {
    image.save(path).unwrap();
    let plain = fs::read(path).unwrap();
    let mut exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    let mut bytes = plain[..2].to_vec();
    bytes.extend([0xff, 0xe1]);
    bytes.extend((exif.len() as u16 + 2).to_be_bytes());
    bytes.extend(exif);
    bytes.extend(&plain[2..]);
    fs::write(path, bytes).unwrap();
}

#[test]
fn exif_rotation_and_whether_the_mask_fits() {
    let rotated = |width: u32, height: u32, orientation: u8| {
        let root = valid();
        fs::remove_file(path(&root, "images/1.png")).unwrap();
        save_rotated(&picture(1, width, height), orientation, &path(&root, "images/1.jpg"));
        found(&root).into_iter().map(|(kind, severity, _)| (kind, severity)).collect::<Vec<_>>()
    };
    use Severity::{Error, Info, Warning};
    // By 180 degrees the size fits either way; by 90 degrees the mask of 64x48 fits the image as displayed, or as stored.
    assert_eq!(rotated(64, 48, 3), [(Kind::ExifRotation, Warning)]);
    assert_eq!(rotated(48, 64, 6), [(Kind::ExifRotation, Info)]);
    assert_eq!(rotated(64, 48, 6), [(Kind::SizeMismatch, Error), (Kind::ExifRotation, Error)]);
    assert_eq!(rotated(64, 48, 1), []);
}

/// A mask of two areas with a ramp of nine values between them.
fn soft(width: u32, height: u32) -> GrayImage {
    let middle = width / 2;
    GrayImage::from_fn(width, height, |x, _| Luma([(x.clamp(middle - 5, middle + 5) + 5 - middle) as u8 * 25]))
}

#[test]
fn values_of_masks() {
    use Severity::{Error, Info, Warning};
    expect(
        |root| GrayImage::new(64, 48).save(path(root, "masks/1.png")).unwrap(),
        Kind::EmptyMask,
        Warning,
        &["masks/1.png"],
    );
    let rewrite = |root: &TempDir, seeds: std::ops::Range<u32>, save: &dyn Fn(&Path)| {
        seeds.for_each(|seed| save(&path(root, &format!("masks/{seed}.png"))));
    };
    expect(
        |root| rewrite(root, 0..4, &|path| halves(255, 64, 48).save(path).unwrap()),
        Kind::ZeroAnd255Mask,
        Info,
        &[],
    );
    let colour = |x: u32, _| Rgb(if x < 20 { [0, 0, 0] } else { [255, 0, 0] });
    let root = valid();
    rewrite(&root, 0..4, &|path| RgbImage::from_fn(64, 48, colour).save(path).unwrap());
    let colours = report(&root);
    assert_eq!(colours.findings[0].kind, Kind::ColourMask);
    assert_eq!((colours.findings.len(), colours.findings[0].files.len()), (1, 4));
    assert_eq!(colours.values[1].value, LabelValue::Rgb([255, 0, 0]));
    let root = valid();
    rewrite(&root, 0..4, &|path| soft(64, 48).save(path).unwrap());
    let smoothed = report(&root);
    assert_eq!((smoothed.findings[0].kind, smoothed.findings[0].severity), (Kind::AntiAliasedMask, Error));
    assert_eq!((smoothed.findings.len(), smoothed.classes.len()), (1, 0), "{}", smoothed.text(false));
    let message = &smoothed.findings[0].message;
    assert!(message.contains("9 values on 14.062 % of its pixels") && message.contains("--snap"), "{message}");
    let snap = CheckOptions { labels: LabelOptions { snap: true, ..Default::default() }, ..Default::default() };
    let snapped = check(root.path(), &snap, &mut |_, _| {}).unwrap().report;
    assert_eq!((snapped.findings.len(), snapped.classes.len()), (0, 2), "{}", snapped.text(false));
    let root = valid();
    for seed in 0..4 {
        fs::remove_file(path(&root, &format!("masks/{seed}.png"))).unwrap();
        let disc = |x: u32, y: u32| Luma([if x.abs_diff(30).pow(2) + y.abs_diff(20).pow(2) < 200 { 255u8 } else { 0 }]);
        GrayImage::from_fn(64, 48, disc).save(path(&root, &format!("masks/{seed}.jpg"))).unwrap();
    }
    let lossy = report(&root);
    assert_eq!((lossy.findings[0].kind, lossy.findings[0].severity), (Kind::AntiAliasedMask, Error));
    assert_eq!((lossy.findings[1].kind, lossy.findings[1].files.len()), (Kind::JpegMask, 4));
    let snapped = check(root.path(), &snap, &mut |_, _| {}).unwrap().report;
    assert_eq!((snapped.has_errors(), snapped.classes.len()), (false, 2), "{}", snapped.text(false));
}

#[test]
fn values_that_the_dataset_file_does_not_list() {
    let root = valid();
    fs::write(path(&root, "dataset.toml"), "[[class]]\nname='a'\nvalue=0\n[[class]]\nname='b'\nvalue=1").unwrap();
    let report = report(&root);
    assert_eq!(report.findings[0].kind, Kind::Classes);
    assert!(report.findings[0].message.starts_with("the value 2 occurs in "), "{}", report.findings[0].message);
    fs::write(path(&root, "dataset.toml"), "clas = 3").unwrap();
    assert_eq!(found(&root)[0].0, Kind::DatasetFile);
}

#[test]
fn the_same_image_in_two_splits() {
    let root = folder();
    for (name, seed) in [("train/images/a", 1), ("train/images/b", 2), ("val/images/c", 3)] {
        picture(seed, 64, 48).save(path(&root, &format!("{name}.png"))).unwrap();
        halves(1, 64, 48).save(path(&root, &format!("{}.png", name.replace("images", "masks")))).unwrap();
    }
    assert_eq!(found(&root), []);
    let expected = |kind, severity, a: &str, b: &str| [(kind, severity, vec![a.to_string(), b.to_string()])];
    let same = expected(Kind::SameImageInTwoSplits, Severity::Error, "train/images/a.png", "val/images/c.png");
    let first = picture(1, 64, 48);
    for copy in [first.clone(), image::imageops::flip_horizontal(&first), image::imageops::rotate180(&first)] {
        copy.save(path(&root, "val/images/c.png")).unwrap();
        assert_eq!(found(&root), same);
    }
    // Rotated by 90 degrees its mask no longer fits, but it is still the same image.
    image::imageops::rotate90(&first).save(path(&root, "val/images/c.png")).unwrap();
    assert!(found(&root).contains(&same[0]));
    // Mirrored and saved as JPEG, its pixels are no longer equal.
    fs::remove_file(path(&root, "val/images/c.png")).unwrap();
    image::imageops::flip_vertical(&first).save(path(&root, "val/images/c.jpg")).unwrap();
    let similar = expected(Kind::SimilarImageInTwoSplits, Severity::Error, "train/images/a.png", "val/images/c.jpg");
    assert_eq!(found(&root), similar);
    picture(3, 64, 48).save(path(&root, "val/images/c.jpg")).unwrap();
    image::imageops::flip_vertical(&first).save(path(&root, "train/images/b.png")).unwrap();
    let twice = expected(Kind::SameImageTwice, Severity::Warning, "train/images/a.png", "train/images/b.png");
    assert_eq!(found(&root), twice);
}

#[test]
fn masks_of_objects_are_read_or_named() {
    let root = folder();
    for image in ["58c5", "77aa"] {
        picture(image.len() as u32, 64, 48).save(path(&root, &format!("{image}/images/{image}.png"))).unwrap();
        for name in ["m1", "m2"] {
            halves(255, 64, 48).save(path(&root, &format!("{image}/masks/{name}.png"))).unwrap();
        }
    }
    let text = report(&root).text(false);
    assert!(text.contains("4 masks are parts of their images, of class object"), "{text}");
    let root = valid();
    fs::rename(path(&root, "masks/1.png"), path(&root, "masks/1_0.png")).unwrap();
    fs::copy(path(&root, "masks/1_0.png"), path(&root, "masks/1_1.png")).unwrap();
    let kinds = |root: &TempDir| found(root).into_iter().map(|(kind, ..)| kind).collect::<Vec<_>>();
    assert_eq!(kinds(&root), [Kind::InstanceMasks]);
}

#[test]
fn unused_files_are_counted_and_named() {
    let root = valid();
    for name in ["images/rejected/9.png", "thermal/0.png"] {
        picture(9, 64, 48).save(path(&root, name)).unwrap();
    }
    let report = report(&root);
    let text = report.text(false);
    assert_eq!(report.unused.len(), 2, "{text}");
    assert!(text.contains("0 notes, 2 image files not used\n"), "{text}");
    assert!(
        text.contains(" unused  images/rejected (1 image file: nested, without partners in the same place)"),
        "{text}"
    );
    assert!(text.contains(" unused  thermal (1 image file: not a folder of this layout)"), "{text}");
}

#[test]
fn a_layout_that_can_be_read_in_two_ways_is_the_only_finding() {
    let root = folder();
    for seed in 0..3 {
        picture(seed, 64, 48).save(path(&root, &format!("images/{seed}.png"))).unwrap();
        for masks in ["manual", "mask"] {
            halves(1, 64, 48).save(path(&root, &format!("{masks}/{seed}.png"))).unwrap();
        }
    }
    let report = report(&root);
    let (text, message) = (report.text(false), &report.findings[0].message);
    assert_eq!((report.findings.len(), report.findings[0].kind), (1, Kind::Layout), "{text}");
    assert!(message.contains("--masks") && !message.contains("accepted layouts"), "{message}");
    assert!(!text.contains("files "), "{text}");
    fs::write(path(&root, "dataset.toml"), "masks = 'manual'").unwrap();
    assert!(!super::check(root.path(), &CheckOptions::default(), &mut |_, _| {}).unwrap().report.has_errors());
}

#[test]
fn the_mask_that_an_image_lacks_is_named_like_the_others() {
    for (mask, expected) in [("a.png", "b.png"), ("a_mask.png", "b_mask.png"), ("mask_a.png", "mask_b.png")] {
        let root = folder();
        picture(1, 64, 48).save(path(&root, "images/a.png")).unwrap();
        picture(2, 64, 48).save(path(&root, "images/b.png")).unwrap();
        halves(1, 64, 48).save(path(&root, &format!("masks/{mask}"))).unwrap();
        let findings = report(&root).findings;
        let finding = findings.iter().find(|finding| finding.kind == Kind::UnpairedImage).unwrap();
        let expected = format!("expected masks/{expected}, found no such file");
        assert_eq!((finding.message.as_str(), &*finding.files), (&*expected, &["images/b.png".to_owned()][..]));
    }
}

#[test]
fn a_missing_validation_split_has_one_cause() {
    let root = folder();
    for name in ["a", "b"] {
        halves(1, 64, 48).save(path(&root, &format!("masks/{name}.png"))).unwrap();
    }
    let cause = |options: &CheckOptions| {
        let report = check(root.path(), options, &mut |_, _| {}).unwrap().report;
        let finding = report.findings.into_iter().find(|finding| finding.kind == Kind::NoValidation).unwrap();
        assert!(finding.message.ends_with("computed on the training pairs and say nothing about new images"));
        finding.message.split("; ").next().unwrap().to_owned()
    };
    picture(1, 64, 48).save(path(&root, "images/a.png")).unwrap();
    assert_eq!(cause(&CheckOptions::default()), "there is only one pair, so none is left for validation");
    picture(2, 64, 48).save(path(&root, "images/b.png")).unwrap();
    let none = OpenOptions { val_ratio: 0.0, ..OpenOptions::default() };
    assert_eq!(
        cause(&CheckOptions { open: none, ..CheckOptions::default() }),
        "--val-ratio 0 leaves no pair for validation"
    );
    std::fs::write(path(&root, "images/b.png"), "text").unwrap();
    let skipping = CheckOptions { skip_unreadable: true, ..CheckOptions::default() };
    assert_eq!(cause(&skipping), "no other pair that can be read is left for validation");
}

#[test]
fn unreadable_files_are_counted() {
    let root = valid();
    fs::write(path(&root, "images/1.png"), b"text").unwrap();
    fs::write(path(&root, "masks/1.png"), b"text").unwrap();
    fs::write(path(&root, "masks/2.png"), b"text").unwrap();
    let options = CheckOptions::default();
    let found = check(root.path(), &options, &mut |_, _| {}).unwrap();
    let text = found.report.text(false);
    assert!(text.contains("files   4 images (1 unreadable), 4 masks (2 unreadable)\n"), "{text}");
    assert_eq!(found.unreadable, 3);
    // Left out, they are those that an opened dataset leaves out.
    let skipping = CheckOptions { skip_unreadable: true, ..options };
    let skipped = check(root.path(), &skipping, &mut |_, _| {}).unwrap();
    assert_eq!((skipped.unreadable, skipped.report.findings.len()), (0, 0), "{}", skipped.report.text(true));
    let mut opened = Dataset::open(root.path(), &skipping.open).unwrap();
    opened.leave_out_unreadable(&SampleReading::PLAIN, &Reading::STORED);
    assert_eq!(skipped.dataset.unwrap(), opened);
    assert_eq!(opened.unreadable.len(), 2);
}

#[test]
fn masks_with_transparent_pixels_are_not_called_unreadable() {
    let root = valid();
    let mut mask = RgbaImage::from_pixel(64, 48, Rgba([0, 0, 0, 255]));
    mask.put_pixel(3, 3, Rgba([0; 4]));
    mask.save(path(&root, "masks/1.png")).unwrap();
    let text = report(&root).text(false);
    assert!(text.contains("files   4 images, 4 masks\n") && text.contains("transparent = VALUE"), "{text}");
}

#[test]
fn an_image_outside_the_pairs_is_in_no_split() {
    let root = valid();
    for name in ["0", "1", "2", "3", "extra"] {
        picture(0, 64, 48).save(path(&root, &format!("images/{name}.png"))).unwrap();
    }
    let findings = report(&root).findings;
    let same = findings.iter().find(|finding| finding.kind == Kind::SameImageInTwoSplits).unwrap();
    let expected =
        "the same image is in train and val (and once more, outside the pairs): scores on it are meaningless";
    assert_eq!(same.message, expected);
}

#[test]
fn a_pair_that_is_left_out_does_not_rename_those_after_it() {
    let root = valid();
    fs::write(path(&root, "images/0.png"), b"text").unwrap();
    // The last pair has a mask of another encoding, a mask of another size and a value that `dataset.toml` does not list.
    let colour = |x: u32, _| Rgb(if x < 32 { [0, 0, 0] } else { [255, 0, 0] });
    RgbImage::from_fn(64, 48, colour).save(path(&root, "masks/3.png")).unwrap();
    halves(1, 32, 48).save(path(&root, "masks/1.png")).unwrap();
    let skipping = CheckOptions { skip_unreadable: true, ..CheckOptions::default() };
    let findings = |root: &TempDir| check(root.path(), &skipping, &mut |_, _| {}).unwrap().report.findings;
    let found = findings(&root);
    let of = |kind| found.iter().find(|finding| finding.kind == kind).unwrap_or_else(|| panic!("{kind:?}: {found:?}"));
    assert_eq!(of(Kind::SizeMismatch).files, ["images/1.png", "masks/1.png"]);
    let message = &of(Kind::MixedEncodings).message;
    assert!(message.contains("masks/3.png") && !message.contains("masks/0.png"), "{message}");
    // Only the last mask has the value, and it is the last unit.
    let root = valid();
    fs::write(path(&root, "images/0.png"), b"text").unwrap();
    let mut mask = halves(1, 64, 48);
    mask.put_pixel(5, 5, Luma([77]));
    mask.save(path(&root, "masks/3.png")).unwrap();
    fs::write(path(&root, "dataset.toml"), "[[class]]\nname='a'\nvalues=[0, 2]\n[[class]]\nname='b'\nvalue=1").unwrap();
    let found = findings(&root);
    assert_eq!(found[0].kind, Kind::Classes, "{found:?}");
    assert!(found[0].message.contains("masks/3.png"), "{found:?}");
}

#[test]
fn pairs_that_were_examined_need_not_be_loaded_again() {
    use unet_data::load_pair;
    let root = valid();
    let colour = |x: u32, _| Rgb(if x < 20 { [9, 9, 9] } else { [255, 0, 0] });
    RgbImage::from_fn(64, 48, colour).save(path(&root, "masks/0.png")).unwrap();
    picture(1, 32, 48).save(path(&root, "images/1.png")).unwrap();
    let options = CheckOptions {
        labels: LabelOptions { ignore: vec![LabelValue::Gray(9)], ..LabelOptions::default() },
        open: OpenOptions { val_ratio: 0.0, ..OpenOptions::default() },
        ..CheckOptions::default()
    };
    fs::write(path(&root, "dataset.toml"), "labels = 'classes'").unwrap();
    let checked = check(root.path(), &options, &mut |_, _| {}).unwrap();
    let dataset = checked.dataset.unwrap();
    let table = checked.labels.map(|labels| labels.table().unwrap());
    let table = table.unwrap_or_else(|| panic!("{}", checked.report.text(true)));
    let mut pixels = vec![0; table.class_count()];
    for sample in &dataset.train {
        let loaded = load_pair(sample, &table, &SampleReading::PLAIN);
        let facts = checked.pairs.facts(sample);
        assert_eq!(
            facts.map(|facts| facts.size),
            loaded.as_ref().ok().map(|pair| (pair.image.width, pair.image.height))
        );
        let Ok(pair) = loaded else { continue };
        pair.mask.iter().filter(|&&id| id != IGNORE_INDEX).for_each(|&id| pixels[usize::from(id)] += 1);
    }
    // The mask whose image has another shape stops training before its pixels count.
    let all = checked.pairs.training_pixels(&table);
    assert_eq!(dataset.train.len(), 4);
    assert_eq!(all.iter().sum::<u64>() - pixels.iter().sum::<u64>(), 64 * 48);
    assert!(checked.pairs.facts(&dataset.train[0]).unwrap().loads(None));
    // Without the bands that are asked for, it cannot.
    let bands = serde_json::from_str("[2]").unwrap();
    let options = CheckOptions { bands: Some(bands), ..options };
    let checked = check(root.path(), &options, &mut |_, _| {}).unwrap();
    assert_eq!(checked.pairs.facts(&dataset.train[0]), None);
}

#[test]
fn an_ignored_value_that_does_not_occur_is_a_warning() {
    let root = valid();
    let labels = LabelOptions { ignore: vec![LabelValue::Gray(2), LabelValue::Gray(999)], ..LabelOptions::default() };
    let report = check(root.path(), &CheckOptions { labels, ..Default::default() }, &mut |_, _| {}).unwrap().report;
    let found: Vec<_> = report.findings.iter().map(|finding| (finding.severity, finding.message.as_str())).collect();
    assert_eq!(found, [(Severity::Warning, "--ignore 999: no mask has this value")]);
}

#[test]
fn a_folder_of_unknown_layout_is_checked_too() {
    let root = folder();
    picture(1, 64, 48).save(path(&root, "0.png")).unwrap();
    let deep = ImageBuffer::<Luma<u16>, _>::from_fn(32, 32, |x, y| Luma([(x * y * 60) as u16]));
    deep.save(path(&root, "0_predict.png")).unwrap();
    let kinds: Vec<Kind> = found(&root).into_iter().map(|(kind, ..)| kind).collect();
    assert_eq!(kinds, [Kind::Layout, Kind::UnpairedImage, Kind::PredictionFile, Kind::SixteenBit]);
    let empty = report(&folder());
    assert_eq!((empty.findings[0].kind, empty.findings.len()), (Kind::Layout, 1));
    let missing = check(&root.path().join("missing"), &CheckOptions::default(), &mut |_, _| {});
    assert!(matches!(missing, Err(CheckError::Missing { .. })));
}

/// Garbage under every extension is reported, file by file.
#[test]
fn garbage_is_reported() {
    let root = folder();
    let mut count = 0;
    for (kind, bytes) in
        [("e", Vec::new()), ("z", vec![0; 99]), ("p", b"\x89PNG\r\n\x1a\n\0\0".to_vec()), ("j", vec![0xff, 0xd8, 0xff])]
    {
        for extension in ["png", "jpg", "tif", "bmp", "mat", "npy"] {
            fs::write(path(&root, &format!("images/{kind}{extension}.{extension}")), &bytes).unwrap();
            fs::write(path(&root, &format!("masks/{kind}{extension}.{extension}")), &bytes).unwrap();
            count += 2;
        }
    }
    let unreadable = found(&root).into_iter().filter(|(kind, ..)| *kind == Kind::Unreadable).count();
    assert_eq!(unreadable, count);
}

#[test]
fn one_class_is_an_error() {
    let root = valid();
    for seed in 0..4 {
        GrayImage::from_pixel(64, 48, Luma([7])).save(path(&root, &format!("masks/{seed}.png"))).unwrap();
    }
    let findings = report(&root).findings;
    let found = findings.iter().find(|finding| finding.kind == Kind::Classes).unwrap();
    assert_eq!(found.severity, Severity::Error);
    assert!(
        found.message.starts_with("the masks have only the value 7: expected at least two classes"),
        "{}",
        found.message
    );
}
