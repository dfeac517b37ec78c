//! Images of more than 8 bits.

use super::*;

/// Saves gray samples of 16 bits.
fn save_deep(path: &Path, pixel: impl Fn(u32, u32) -> u16) {
    ImageBuffer::from_fn(64, 48, |x, y| Luma([pixel(x, y)])).save(path).unwrap();
}

#[test]
fn deep_images_are_compared_by_all_of_their_bits() {
    let root = valid();
    // Dark images with a hot pixel: their high bytes are equal.
    let scene = |seed: u32| {
        let picture = picture(seed, 64, 48);
        move |x: u32, y: u32| if (x, y) == (9, 7) { u16::MAX } else { u16::from(picture.get_pixel(x, y).0[0]) }
    };
    for seed in 0..4 {
        save_deep(&path(&root, &format!("images/{seed}.png")), scene(seed));
    }
    let kinds = |root: &TempDir| found(root).into_iter().map(|(kind, ..)| kind).collect::<Vec<_>>();
    assert_eq!(kinds(&root), [Kind::SixteenBit]);
    // The same samples, mirrored.
    let first = scene(0);
    save_deep(&path(&root, "images/1.png"), |x, y| first(63 - x, y));
    let same = |kind: &Kind| matches!(kind, Kind::SameImageInTwoSplits | Kind::SameImageTwice);
    assert_eq!(kinds(&root).iter().filter(|kind| same(kind)).count(), 1, "{}", report(&root).text(false));
}

#[test]
fn colours_in_the_low_byte_are_colours() {
    let root = valid();
    for seed in 0..4 {
        let picture = picture(seed, 64, 48);
        let pixel = |x, y| {
            let level = u16::from(picture.get_pixel(x, y).0[0]);
            Rgb([level, level / 2, 255 - level])
        };
        ImageBuffer::from_fn(64, 48, pixel).save(path(&root, &format!("images/{seed}.png"))).unwrap();
    }
    let checked = check(root.path(), &CheckOptions::default(), &mut |_, _| {}).unwrap();
    assert_eq!(checked.content, Content::Colour);
    assert_eq!(found(&root).into_iter().map(|(kind, ..)| kind).collect::<Vec<_>>(), [Kind::SixteenBit]);
}

#[test]
fn requested_bands_and_range_give_no_finding() {
    let root = valid();
    for seed in 0..4 {
        let name = path(&root, &format!("images/{seed}.png"));
        fs::remove_file(&name).unwrap();
        let picture = picture(seed, 64, 48);
        // Gray as red, green and blue, and infrared, which is no alpha: tag, type, count and value; the four depths are behind.
        let entries: [(u16, u16, u32, u32); 10] = [
            (256, 4, 1, 64),
            (257, 4, 1, 48),
            (258, 3, 4, 134),
            (259, 3, 1, 1),
            (262, 3, 1, 2),
            (273, 4, 1, 142),
            (277, 3, 1, 4),
            (278, 4, 1, 48),
            (279, 4, 1, 64 * 48 * 4),
            (338, 3, 1, 0),
        ];
        let mut bytes = b"II*\0\x08\0\0\0\x0a\0".to_vec();
        for (tag, kind, count, value) in entries {
            bytes.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
            bytes.extend([count.to_le_bytes(), value.to_le_bytes()].concat());
        }
        bytes.extend([0; 4]);
        bytes.extend([8, 0].repeat(4));
        bytes.extend(picture.as_raw().iter().flat_map(|&level| [level, level, level, 255 - level]));
        let name = name.with_extension("tif");
        fs::write(&name, bytes).unwrap();
    }
    let check_with = |options: &CheckOptions| {
        let checked = check(root.path(), options, &mut |_, _| {}).unwrap();
        (checked.report.findings.iter().map(|finding| finding.kind).collect::<Vec<_>>(), checked.content)
    };
    let all = CheckOptions::default();
    assert_eq!(check_with(&all), (vec![Kind::ExtraBands, Kind::GrayAsRgb], Content::GrayAsRgb));
    let bands =
        |numbers: &str| CheckOptions { bands: serde_json::from_str(numbers).unwrap(), ..CheckOptions::default() };
    assert_eq!(check_with(&bands("[4,1,2]")), (vec![], Content::Colour));
    assert_eq!(check_with(&bands("[4]")), (vec![], Content::Gray));
    assert_eq!(check_with(&bands("[5]")).0, [Kind::MissingBand]);
    // Samples of two kinds have no common range but a given one.
    fs::remove_file(path(&root, "images/0.tif")).unwrap();
    save_deep(&path(&root, "images/0.png"), |x, y| (x * y) as u16);
    fs::remove_file(path(&root, "images/1.tif")).unwrap();
    let half = Rgb([0.25f32, 0.5, 0.75]);
    image::Rgb32FImage::from_pixel(64, 48, half).save(path(&root, "images/1.tif")).unwrap();
    let severity = |range: &str| {
        let options = CheckOptions { range: range.parse().unwrap(), ..CheckOptions::default() };
        let report = check(root.path(), &options, &mut |_, _| {}).unwrap().report;
        report.findings.iter().find(|finding| finding.kind == Kind::SixteenBit).map(|finding| finding.severity)
    };
    assert_eq!([severity("auto"), severity("0,4095")], [Some(Severity::Error), Some(Severity::Info)]);
}

#[test]
fn a_pair_of_float_samples_loads_with_a_range_only() {
    let root = valid();
    for seed in 0..4 {
        fs::remove_file(path(&root, &format!("images/{seed}.png"))).unwrap();
        let picture = picture(seed, 64, 48);
        let pixel = |x, y| Rgb([f32::from(picture.get_pixel(x, y).0[0]) / 255.0; 3]);
        image::Rgb32FImage::from_fn(64, 48, pixel).save(path(&root, &format!("images/{seed}.tif"))).unwrap();
    }
    let checked = check(root.path(), &CheckOptions::default(), &mut |_, _| {}).unwrap();
    let range = checked.levels.as_ref().unwrap().range;
    let facts = *checked.pairs.facts(&checked.dataset.as_ref().unwrap().train[0]).unwrap();
    assert!(range.is_some() && facts.loads(range) && !facts.loads(None));
    let usable = checked.usable().unwrap();
    assert_eq!((usable.samples.range, usable.samples.bands), (range, None));
}

#[test]
fn an_image_of_no_range_is_readable() {
    let root = valid();
    fs::remove_file(path(&root, "images/1.png")).unwrap();
    image::Rgb32FImage::from_pixel(64, 48, Rgb([f32::NAN; 3])).save(path(&root, "images/1.tif")).unwrap();
    let options = CheckOptions { range: "0,1".parse().unwrap(), ..CheckOptions::default() };
    let checked = check(root.path(), &options, &mut |_, _| {}).unwrap();
    assert_eq!((checked.unreadable, checked.report.images_unreadable), (0, 0), "{}", checked.report.text(true));
}
