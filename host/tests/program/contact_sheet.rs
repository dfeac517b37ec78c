//! `check --augmented` shows what a network will see.

use crate::{expect, synthetic, text};

#[test]
fn a_contact_sheet_is_equal_for_equal_seeds_and_shows_changes() {
    let folder = tempfile::tempdir().unwrap();
    let data = synthetic(folder.path(), 8, 2);
    let sheet = |name: &str, extra: &[&str]| {
        let path = folder.path().join(name);
        let (_, err) = expect(0, &[&["check", text(&data), "--output", text(&path)], extra].concat());
        (image::open(&path).unwrap().into_rgb8(), err)
    };
    let (photo, err) = sheet("photo.png", &["--augmented", "photo"]);
    // Six samples, and four epochs after the image as loaded; 64x64 pixels are shown four times as large.
    assert_eq!(photo.dimensions(), (5 * (2 * 256 + 2) + 4 * 12, 6 * 256 + 5 * 12));
    assert!(err.contains("photo.png: 6 of 8 training images"), "{err}");
    assert!(err.contains("photo: horizontal flips, scale, rotate"), "{err}");
    assert!(photo == sheet("again.png", &["--augmented", "photo", "--seed", "0"]).0);
    assert!(photo != sheet("other.png", &["--augmented", "photo", "--seed", "1"]).0);
    let (none, _) = sheet("none.png", &["--augmented", "none"]);
    let columns = |x: u32| image::imageops::crop_imm(&none, x, 0, 2 * 256 + 2, none.height()).to_image();
    assert!(columns(0) == columns(4 * (2 * 256 + 2 + 12)), "without operations every epoch is alike");
    let (tiled, err) = sheet("tiled.png", &["--augmented", "--tiles", "32,0", "--size", "32x32"]);
    assert_eq!(tiled.height(), 6 * 256 + 5 * 12);
    assert!(err.contains("at 32x32") && err.contains("default: flips both ways, quarter-turns"), "{err}");
}

#[test]
fn a_sheet_that_cannot_be_made_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let data = synthetic(folder.path(), 4, 2);
    let path = folder.path().join("sheet.png");
    let check = |code, extra: &[&str]| expect(code, &[&["check", text(&data)], extra].concat()).1;
    assert!(check(2, &["--size", "32x32"]).contains("--augmented"));
    assert!(check(2, &["--augmented", "photos"]).contains("available: photo, microscopy, symmetric, none"));
    assert!(check(2, &["--augmented", "photo,none"]).contains("at most one preset, found photo and none"));
    assert!(check(2, &["--augmented", "--size", "0x0"]).contains("found 0x0"));
    // As `train` does.
    assert!(
        check(2, &["--augmented", "--size", "33x33"])
            .contains("--size: expected width and height to be multiples of 16")
    );
    let absent = folder.path().join("absent").join("sheet.png");
    assert!(check(4, &["--augmented", "none", "--output", text(&absent)]).contains("sheet.png"));
    // JSON stays one document.
    let (out, _) = expect(0, &["check", text(&data), "--augmented", "none", "--json", "--output", text(&path)]);
    crate::parse(&out);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(data.join("train/masks/0000.png"), b"no image").unwrap();
    let err = check(1, &["--augmented", "none", "--output", text(&path)]);
    assert!(err.contains("no contact sheet: the dataset has errors"), "{err}");
    assert!(!path.exists());
}
