//! Images other than 8-bit gray and RGB: the messages about them, the range and bands that are chosen, and skipped files.

use std::fs;
use std::path::{Path, PathBuf};

use image::{GrayImage, ImageBuffer, Luma, Rgb, RgbImage};

use crate::{expect, text};

/// Options of a small network.
const SMALL: [&str; 8] = ["--base", "2", "--depth", "1", "--epochs", "1", "--size", "32x32"];

/// Six pairs of 32 x 32 pixels; `save` writes the image of a bright square, from its levels.
fn dataset(folder: &Path, save: impl Fn(u32, &Path, &dyn Fn(u32, u32) -> u8)) -> PathBuf {
    let data = folder.join("data");
    for part in ["images", "masks"] {
        fs::create_dir_all(data.join(part)).unwrap();
    }
    for k in 0..6 {
        let inside = move |x: u32, y: u32| (4 + k..16 + k).contains(&x) && (6 + k..20 + k).contains(&y);
        let level = move |x: u32, y: u32| ((x * 7 + y * 13 + k * 5) % 40) as u8 + if inside(x, y) { 160 } else { 20 };
        save(k, &data.join(format!("images/{k}.png")), &level);
        let label = GrayImage::from_fn(32, 32, |x, y| Luma([inside(x, y).into()]));
        label.save(data.join(format!("masks/{k}.png"))).unwrap();
    }
    data
}

fn train(code: i32, data: &Path, runs: &Path, extra: &[&str]) -> (String, String) {
    expect(code, &[&["train", text(data), "--runs", text(runs)], &SMALL[..], extra].concat())
}

#[test]
fn the_range_of_twelve_bits_is_printed_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let data = dataset(folder.path(), |_, path, level| {
        let deep = ImageBuffer::from_fn(32, 32, |x, y| Luma([u16::from(level(x, y)) * 16]));
        deep.save(path).unwrap();
    });
    let runs = folder.path().join("runs");
    let told = "samples: 16-bit with values from 320 to 3184; 12 bits, which hold all values, are mapped to 0 to 255";
    let (out, _) = expect(0, &["check", text(&data)]);
    assert!(out.contains(told.trim_start_matches("samples: ")), "{out}");
    let (out, _) = expect(0, &["check", text(&data), "--range", "320,3200"]);
    assert!(out.contains("320 to 3200 are mapped to 0 to 255, as given"), "{out}");
    let (_, err) = train(0, &data, &runs, &[]);
    assert!(err.contains(told), "{err}");
    let config = |name: &str| fs::read_to_string(runs.join(name).join("config.toml")).unwrap();
    assert!(config("data").contains("range = [0.0, 4095.0]"), "{}", config("data"));
    let (_, err) = train(0, &data, &runs, &["--range", "320,3200", "--name", "given"]);
    assert!(err.contains("320 to 3200 are mapped to 0 to 255, as given"), "{err}");
    assert!(config("given").contains("range = [320.0, 3200.0]"), "{}", config("given"));
    let (_, err) = train(2, &data, &runs, &["--range", "9,9", "--name", "none"]);
    assert!(err.contains("two numbers, the lower first"), "{err}");
}

#[test]
fn eight_bit_colours_in_16_bit_files_are_not_gray() {
    let folder = tempfile::tempdir().unwrap();
    let data = dataset(folder.path(), |_, path, level| {
        let pixel = |x, y| Rgb([level(x, y).into(), 90, u16::from(255 - level(x, y))]);
        ImageBuffer::from_fn(32, 32, pixel).save(path).unwrap();
    });
    let runs = folder.path().join("runs");
    let (_, err) = train(0, &data, &runs, &[]);
    assert!(err.contains("input 32x32x3") && !err.contains("stored as RGB"), "{err}");
}

#[test]
fn bands_are_chosen_and_one_that_is_absent_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = dataset(folder.path(), |k, path, level| {
        let pixel = |x, y| Rgb([level(x, y), (x + k) as u8, y as u8]);
        RgbImage::from_fn(32, 32, pixel).save(path).unwrap();
    });
    let runs = folder.path().join("runs");
    let (_, err) = train(0, &data, &runs, &["--bands", "1"]);
    assert!(err.contains("input 32x32x1"), "{err}");
    let (_, err) = train(2, &data, &runs, &["--bands", "4,1,2", "--name", "absent"]);
    assert!(err.contains("--bands asks for band 4, but all 6 images have 3 bands; choose from 1 to 3"), "{err}");
    let (out, _) = expect(1, &["check", text(&data), "--bands", "4,1,2"]);
    assert!(out.contains("--bands asks for band 4, but all 6 images have 3 bands; choose from 1 to 3"), "{out}");
    let first = data.join("images/0.png");
    let three = fs::read(&first).unwrap();
    image::open(&first).unwrap().to_rgba8().save(&first).unwrap();
    let (out, _) = expect(1, &["check", text(&data), "--bands", "4"]);
    assert!(out.contains("unreadable file: --bands asks for band 4, but 5 of 6 images have 3 bands"), "{out}");
    fs::write(&first, three).unwrap();
    // Packages read the same band.
    let run = runs.join("data");
    let package = folder.path().join("one.unet");
    expect(0, &["export", text(&run)]);
    expect(0, &["quantize", text(&run)]);
    expect(0, &["package", text(&run), "--output", text(&package)]);
    expect(0, &["predict", text(&package), text(&data.join("images")), "--output", text(&folder.path().join("masks"))]);
}

#[test]
fn damaged_images_stop_a_command_or_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let data = dataset(folder.path(), |_, path, level| {
        let image = GrayImage::from_fn(32, 32, |x, y| Luma([level(x, y)]));
        image.save(path.with_extension("jpg")).unwrap();
    });
    let damaged = data.join("images/3.jpg");
    let bytes = fs::read(&damaged).unwrap();
    fs::write(&damaged, [&bytes[..bytes.len() / 2], &[0xff, 0xd9]].concat()).unwrap();
    let runs = folder.path().join("runs");
    let (out, _) = expect(1, &["check", text(&data)]);
    assert!(out.contains("images/3.jpg") && out.contains("--skip-unreadable"), "{out}");
    let (_, err) = train(2, &data, &runs, &[]);
    assert!(err.contains("3.jpg") && err.contains("--skip-unreadable"), "{err}");
    let (_, err) = train(0, &data, &runs, &["--skip-unreadable"]);
    assert!(err.contains("1 of 6 pairs cannot be read and are left out") && err.contains("3.jpg is cut off"), "{err}");
    // The run remembers that.
    expect(0, &["val", text(&runs.join("data"))]);
    let images = data.join("images");
    let predict = |code, output: &str, extra: &[&str]| {
        let output = folder.path().join(output);
        let run = runs.join("data");
        expect(code, &[&["predict", text(&run), text(&images), "--output", text(&output)], extra].concat())
    };
    let (out, err) = predict(1, "stopped", &[]);
    assert!(format!("{out}{err}").contains("images/3.jpg is cut off"), "{out}{err}");
    predict(0, "skipped", &["--skip-unreadable"]);
}

#[test]
fn samples_without_a_range_are_answered_with_the_flag_that_gives_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = crate::synthetic(folder.path(), 4, 2);
    // The range is chosen over the training images, none of which needs one.
    let image = data.join("val/images/0001.png");
    let levels = image::open(&image).unwrap().into_rgb32f();
    fs::remove_file(&image).unwrap();
    levels.save(image.with_extension("tif")).unwrap();
    let runs = folder.path().join("runs");
    for extra in [&[][..], &["--skip-unreadable"], &["--despite-errors"]] {
        let (_, err) = train(2, &data, &runs, extra);
        assert!(err.contains("0001.tif") && err.contains("need a range") && err.contains("--range LOW,HIGH"), "{err}");
        assert!(!err.contains("--skip-unreadable") && !err.contains("left out"), "{err}");
    }
    train(0, &data, &runs, &["--range", "0,1"]);
}
