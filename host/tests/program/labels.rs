//! How labels are understood: what `check` says, what `train` refuses, and what a run remembers.

use std::fs;
use std::path::{Path, PathBuf};

use image::{GrayImage, Luma, Rgb, RgbImage};

use crate::{expect, parse, text};

/// Options of a small network.
const SMALL: [&str; 8] = ["--base", "2", "--depth", "1", "--epochs", "1", "--size", "32x32"];

/// Images of 32 x 32 pixels with a bright square, each at another place, and their masks, of which `mask` gives the value
/// inside.
fn dataset(folder: &Path, count: u32, mask: impl Fn(u32) -> u8) -> PathBuf {
    let data = folder.join("data");
    for part in ["images", "masks"] {
        fs::create_dir_all(data.join(part)).unwrap();
    }
    for k in 0..count {
        let inside = |x: u32, y: u32| (4 + k % 8..16 + k % 8).contains(&x) && (6 + k % 5..20 + k % 5).contains(&y);
        let image = RgbImage::from_fn(32, 32, |x, y| {
            let bright = if inside(x, y) { 200 } else { 40 };
            Rgb([bright, (x * 7 % 40) as u8, (y * 5 % 40 + k) as u8])
        });
        image.save(data.join(format!("images/{k:02}.png"))).unwrap();
        let label = GrayImage::from_fn(32, 32, |x, y| Luma([if inside(x, y) { mask(k) } else { 0 }]));
        label.save(data.join(format!("masks/{k:02}.png"))).unwrap();
    }
    data
}

fn train(code: i32, data: &Path, runs: &Path, extra: &[&str]) -> (String, String) {
    expect(code, &[&["train", text(data), "--runs", text(runs)], &SMALL[..], extra].concat())
}

#[test]
fn two_encodings_in_one_set_stop_training_until_dataset_toml_says_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let data = dataset(folder.path(), 6, |k| if k == 3 { 1 } else { 255 });
    let runs = folder.path().join("runs");
    let (out, _) = expect(1, &["check", text(&data)]);
    assert!(out.contains("1 error, 0 warnings, 0 notes"), "{out}");
    let (_, err) = train(2, &data, &runs, &[]);
    for part in ["masks/03.png has the values 0, 1", ".png has the values 0, 255", "dataset.toml"] {
        assert!(out.contains(part) && err.contains(part), "{part}: {out} {err}");
    }
    assert!(!runs.exists(), "a refused run must leave no folder");
    // The classes of the message, as they stand there.
    let list = |text: &str| {
        let lines = text.lines().map(str::trim).skip_while(|line| *line != "[[class]]");
        lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(list(&out), list(&err));
    assert!(list(&err).contains("name = \"object\"\nvalues = [1, 255]"), "{err}");
    fs::write(data.join("dataset.toml"), list(&err).replace("background", "ground").replace("object", "part")).unwrap();
    let (out, _) = expect(0, &["check", text(&data)]);
    assert!(out.contains("labels  gray values as dataset.toml lists them"), "{out}");
    let (out, err) = train(0, &data, &runs, &[]);
    assert!(err.contains("labels: gray values as dataset.toml lists them"), "{err}");
    assert!(out.contains("ground") && out.contains("part"), "{out}");
}

#[test]
fn smoothed_masks_train_only_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let data = dataset(folder.path(), 4, |_| 255);
    for mask in fs::read_dir(data.join("masks")).unwrap() {
        let path = mask.unwrap().path();
        let mask = image::open(&path).unwrap().into_luma8();
        image::imageops::blur(&mask, 1.0).save(&path).unwrap();
    }
    let runs = folder.path().join("runs");
    let (_, err) = train(2, &data, &runs, &[]);
    assert!(err.contains("smoothed, scaled or compressed") && err.contains("--snap"), "{err}");
    let (out, err) = train(0, &data, &runs, &["--snap"]);
    assert!(err.contains("gray values 0, 255 as classes 0-1") && err.contains("because --snap says so"), "{err}");
    assert!(out.contains("255  IoU"), "{out}");
    // A run reads the masks as it was told to, without being told again.
    expect(0, &["val", text(&runs.join("data"))]);
    expect(1, &["check", text(&data)]);
    expect(0, &["check", text(&data), "--snap"]);
}

#[test]
fn gray_images_stored_as_rgb_train_as_one_channel() {
    let folder = tempfile::tempdir().unwrap();
    let data = dataset(folder.path(), 4, |_| 255);
    let runs = folder.path().join("runs");
    let channels = |name: &str, extra: &[&str]| {
        let (_, err) = train(0, &data, &runs, &[&["--name", name], extra].concat());
        (fs::read_to_string(runs.join(name).join("config.toml")).unwrap().contains("channels = \"gray\""), err)
    };
    assert!(!channels("colour", &[]).0);
    for image in fs::read_dir(data.join("images")).unwrap() {
        let path = image.unwrap().path();
        let gray = image::open(&path).unwrap().into_luma8();
        image::DynamicImage::from(gray).into_rgb8().save(&path).unwrap();
    }
    let (gray, err) = channels("gray", &[]);
    assert!(gray && err.contains("stored as RGB; training uses one channel"), "{err}");
    assert!(!channels("three", &["--channels", "3"]).0);
}

#[test]
fn the_loss_of_ignored_pixels_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let data = dataset(folder.path(), 6, |_| 1);
    for split in ["train", "val"] {
        for part in ["images", "masks"] {
            fs::create_dir_all(data.join(split).join(part)).unwrap();
        }
    }
    for k in 0..6 {
        let split = if k < 4 { "train" } else { "val" };
        let mask = data.join(format!("masks/{k:02}.png"));
        if k >= 4 {
            GrayImage::from_pixel(32, 32, Luma([7])).save(&mask).unwrap();
        }
        for part in ["images", "masks"] {
            let name = format!("{part}/{k:02}.png");
            fs::rename(data.join(&name), data.join(split).join(&name)).unwrap();
        }
    }
    for part in ["images", "masks"] {
        fs::remove_dir(data.join(part)).unwrap();
    }
    let runs = folder.path().join("runs");
    let (out, err) = train(0, &data, &runs, &["--ignore", "7"]);
    assert!(err.contains("validation loss none, mean IoU none") && !err.contains("(best)"), "{err}");
    assert!(out.contains("mean IoU: none, as no validation pixel counts\n"), "{out}");
    assert!(out.contains("interval of the mean IoU: none, fewer than 2 images have pixels that count\n"), "{out}");
    let (out, _) = expect(0, &["runs", text(&runs)]);
    assert!(!out.contains("0.0000"), "{out}");
    assert!(err.contains("every labelled pixel of val is ignored"), "{err}");
    let rows = fs::read_to_string(runs.join("data/results.csv")).unwrap();
    assert!(rows.lines().nth(1).unwrap().split(',').nth(2).unwrap().is_empty(), "{rows}");
    fs::remove_file(runs.join("data/report.html")).unwrap();
    expect(0, &["train", "--resume", text(&runs.join("data"))]);
}

/// Saves a mask as a BMP file whose palette shows the index 0 as `zero` and the index 1 as `one`.
fn save_with_palette(mask: &Path, zero: [u8; 3], one: [u8; 3]) {
    let path = mask.with_extension("bmp");
    image::open(mask).unwrap().into_luma8().save(&path).unwrap();
    fs::remove_file(mask).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    for (index, [r, g, b]) in [zero, one].into_iter().enumerate() {
        bytes[54 + index * 4..][..3].copy_from_slice(&[b, g, r]);
    }
    fs::write(&path, bytes).unwrap();
}

#[test]
fn a_run_made_before_palettes_were_read_by_index_still_reads_its_masks() {
    let folder = tempfile::tempdir().unwrap();
    let data = dataset(folder.path(), 5, |_| 1);
    for k in 0..5 {
        save_with_palette(&data.join(format!("masks/{k:02}.png")), [0; 3], [128, 0, 0]);
    }
    let runs = folder.path().join("runs");
    let (_, err) = train(0, &data, &runs, &["--name", "new"]);
    assert!(err.contains("labels: palette indices 0, 1 as classes 0-1"), "{err}");
    // The folder of an older run: its classes are colours, and nothing says how labels are read.
    fs::write(data.join("dataset.toml"), "palette = 'colors'").unwrap();
    train(0, &data, &runs, &["--name", "old"]);
    let snapshot = runs.join("old/dataset.json");
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&snapshot).unwrap()).unwrap();
    let labels = json["labels"].as_object_mut().unwrap();
    assert_eq!(labels["classes"][1]["values"][0], "#800000");
    for key in ["reading", "assumption"] {
        assert!(labels.remove(key).is_some(), "{key}");
    }
    fs::write(&snapshot, json.to_string()).unwrap();
    fs::remove_file(data.join("dataset.toml")).unwrap();
    let pixels = |name: &str| {
        let (out, _) = expect(0, &["val", text(&runs.join(name)), "--json"]);
        parse(&out)["frames"].as_array().unwrap().iter().map(|frame| frame["label"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(pixels("old"), pixels("new"), "both see the same masks");
    // The digest covers what values mean: of equal files read in two ways it differs.
    let digest = |name: &str| {
        let bytes = fs::read(runs.join(name).join("dataset.json")).unwrap();
        serde_json::from_slice::<serde_json::Value>(&bytes).unwrap()["digest"].clone()
    };
    assert_ne!(digest("old"), digest("new"));
}

#[test]
fn litter_is_passed_over_and_each_image_has_a_result() {
    let folder = tempfile::tempdir().unwrap();
    let data = dataset(folder.path(), 4, |_| 255);
    for litter in ["images/thumbs.db", "masks/Desktop.ini", "images/._00.png", "masks/EHTHUMBS.DB", "__MACOSX/00.png"] {
        fs::create_dir_all(data.join(litter).parent().unwrap()).unwrap();
        fs::write(data.join(litter), b"litter").unwrap();
    }
    let (out, _) = expect(0, &["check", text(&data)]);
    assert!(out.contains("0 errors, 0 warnings, 1 note") && out.contains("4 images, 4 masks"), "{out}");
    let runs = folder.path().join("runs");
    train(0, &data, &runs, &[]);
    let input = folder.path().join("in");
    fs::create_dir_all(input.join("sub")).unwrap();
    let image = image::open(data.join("images/00.png")).unwrap();
    for name in ["a.png", "a.jpg", "a.png.jpg", "sub/b.png"] {
        image.save(input.join(name)).unwrap();
    }
    let output = folder.path().join("out");
    let (_, err) = expect(0, &["predict", text(&runs.join("data")), text(&input), "--output", text(&output)]);
    assert!(err.contains("1 image in folders below") && err.contains("sub/b.png"), "{err}");
    let mut masks: Vec<String> = fs::read_dir(output.join("masks"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    masks.sort();
    assert_eq!(masks, ["a.jpg.png", "a.png.jpg.png", "a.png.png"]);
}

#[test]
fn errors_of_check_stop_training_unless_told_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let data = dataset(folder.path(), 5, |_| 255);
    fs::copy(data.join("images/00.png"), data.join("images/alone.png")).unwrap();
    let runs = folder.path().join("runs");
    let (_, err) = train(2, &data, &runs, &[]);
    assert!(
        err.contains("image without mask") && err.contains("alone.png") && err.contains("--despite-errors"),
        "{err}"
    );
    let (_, err) = train(0, &data, &runs, &["--despite-errors"]);
    assert!(err.contains("warning: image without mask"), "{err}");
}

#[test]
fn a_first_level_narrower_than_the_classes_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let data = dataset(folder.path(), 6, |_| 255);
    let narrow = |base: &str| {
        let runs = folder.path().join(base);
        let options = ["train", text(&data), "--runs", text(&runs), "--base", base, "--depth", "1", "--epochs", "1"];
        expect(0, &[&options[..], &["--size", "32x32"]].concat()).1.contains("warning: the first level has ")
    };
    assert!(narrow("1") && !narrow("2"));
}
