//! What `val`, `train` and the report say beyond the counts.

use std::path::Path;

use serde_json::Value;
use unet_shared::record::EvaluationRecord;

use crate::{expect, parse, synthetic, text};

fn train(data: &Path, runs: &Path, name: &str) -> (Value, std::path::PathBuf) {
    let small = [
        "--name",
        name,
        "--base",
        "4",
        "--depth",
        "2",
        "--epochs",
        "2",
        "--batch",
        "4",
        "--ignore",
        "255",
        "--class-weights",
        "none",
        "--json",
    ];
    let (out, _) = expect(0, &[&["train", text(data), "--runs", text(runs)], &small[..]].concat());
    (parse(&out), runs.join(name))
}

/// The names and scores of a list of images.
fn scores(images: &Value) -> Vec<(String, Option<f64>)> {
    let images = images.as_array().expect("a list of images").iter();
    images.map(|image| (image["name"].as_str().unwrap().to_owned(), image["mean_iou"].as_f64())).collect()
}

#[test]
fn every_engine_is_judged_and_the_worst_images_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let data = synthetic(folder.path(), 12, 5);
    // The label of one image is ignored throughout.
    let ignored = data.join("val/masks/0001.png");
    let mask = image::open(&ignored).unwrap().into_luma8();
    image::GrayImage::from_pixel(mask.width(), mask.height(), image::Luma([255])).save(&ignored).unwrap();
    let (trained, run) = train(&data, &folder.path().join("runs"), "judged");

    // The order and the scores are those of single predictions.
    let images = scores(&trained["assessment"]["images"]);
    let output = folder.path().join("predicted");
    let (images_of, truth) = (data.join("val/images"), data.join("val/masks"));
    let arguments =
        ["predict", text(&run), text(&images_of), "--truth", text(&truth), "--output", text(&output), "--json"];
    let mut predicted = scores(&parse(&expect(0, &arguments).0)["images"]);
    predicted.sort_by(|a, b| a.1.unwrap_or(2.0).total_cmp(&b.1.unwrap_or(2.0)));
    assert_eq!(images, predicted);
    assert_eq!(images[4], ("0001".to_owned(), None));

    // The record in JSON is that of the file, with the assessment beside it.
    let file = folder.path().join("record.json");
    let (out, _) = expect(0, &["val", text(&run), "--json", "--output", text(&file)]);
    let printed = parse(&out);
    assert_eq!(printed["assessment"], trained["assessment"]);
    let written = EvaluationRecord::from_json(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(EvaluationRecord::from_json(out.as_bytes()).unwrap(), written);
    assert!(!std::fs::read_to_string(&file).unwrap().contains("assessment"));

    let assessment = &printed["assessment"];
    let score = written.confusion.mean_iou().unwrap();
    let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("expected a number: {assessment}"));
    let interval = &assessment["interval"];
    assert!(number(&interval["low"]) <= score && score <= number(&interval["high"]), "{interval} {score}");
    assert_eq!(interval["images"], 4);
    let widths: Vec<_> = assessment["boundary"].as_array().unwrap().iter().map(|of| of["width"].as_u64()).collect();
    assert_eq!(widths, [Some(2), Some(5)]);
    assert_eq!(assessment["boundary"][0]["class_iou"].as_array().unwrap().len(), written.classes.len());
    let bins = assessment["calibration"]["bins"].as_array().unwrap();
    let sum = |of: &dyn Fn(&Value) -> f64| bins.iter().filter(|bin| bin["pixels"] != 0).map(of).sum::<f64>();
    let pixels = sum(&|bin| number(&bin["pixels"]));
    assert_eq!(pixels, written.confusion.total() as f64);
    let right = sum(&|bin| number(&bin["pixels"]) * number(&bin["accuracy"])) / pixels;
    assert!((right - written.confusion.pixel_accuracy().unwrap()).abs() < 1e-9, "{right}");
    let apart = |bin: &Value| number(&bin["pixels"]) * (number(&bin["accuracy"]) - number(&bin["confidence"])).abs();
    let error = number(&assessment["calibration"]["error"]);
    assert!((sum(&apart) / pixels - error).abs() < 1e-9, "{error}");

    let (out, _) = expect(0, &["val", text(&run), "--worst", "2"]);
    let (low, high) = (number(&interval["low"]), number(&interval["high"]));
    for line in [
        format!("  95 % interval of the mean IoU: {low:.4} to {high:.4}, bootstrap over 4 images; lowest image "),
        format!(
            "  mean boundary IoU {:.4} (width 2), {:.4} (width 5); calibration error {error:.4}\n",
            number(&assessment["boundary"][0]["mean_iou"]),
            number(&assessment["boundary"][1]["mean_iou"])
        ),
        format!(
            "  worst images:\n    IoU {:.4}  {}\n    IoU {:.4}  {}\n",
            images[0].1.unwrap(),
            images[0].0,
            images[1].1.unwrap(),
            images[1].0
        ),
    ] {
        assert!(out.contains(&line), "{line} is missing: {out}");
    }
    assert_eq!(out.split("worst images:\n").nth(1).unwrap().lines().count(), 2, "{out}");

    let report = std::fs::read_to_string(run.join("report.html")).unwrap();
    assert!(report.contains(&format!("Expected calibration error {error:.4}.")));
    let mut places = images[..4].iter().map(|(name, iou)| {
        let caption = format!("<figcaption>{name}, mean IoU {:.4}</figcaption>", iou.unwrap());
        report.find(&caption).unwrap_or_else(|| panic!("{caption} is missing"))
    });
    assert!(places.by_ref().is_sorted() && !report.contains("<figcaption>0001,"));

    // The int8 engine and a package give probabilities too, and the same ones.
    expect(0, &["export", text(&run)]);
    expect(0, &["quantize", text(&run)]);
    let package = folder.path().join("judged.unet");
    expect(0, &["package", text(&run), "--output", text(&package)]);
    let int8 = parse(&expect(0, &["val", text(&run), "--engine", "int8", "--json"]).0);
    for (flag, value) in [("--engine", "burn"), ("--weights", "last")] {
        let (_, err) = expect(2, &["val", text(&package), "--data", text(&data), flag, value]);
        assert!(err.contains(&format!("{flag} {value} needs the folder of a run; a package")), "{err}");
    }
    let packed = parse(&expect(0, &["val", text(&package), "--data", text(&data), "--json"]).0);
    assert_eq!(int8["assessment"], packed["assessment"]);
    assert!((number(&int8["assessment"]["calibration"]["error"]) - error).abs() < 0.05, "{int8}");
}

#[test]
fn one_image_has_no_interval() {
    let folder = tempfile::tempdir().unwrap();
    let data = synthetic(folder.path(), 4, 1);
    let (trained, run) = train(&data, &folder.path().join("runs"), "one");
    assert_eq!(trained["assessment"]["interval"], Value::Null);
    assert_eq!(trained["assessment"]["images"][0]["mean_iou"], trained["mean_iou"]);
    let (out, _) = expect(0, &["val", text(&run)]);
    assert!(out.contains("95 % interval of the mean IoU: none, fewer than 2 images; lowest image "), "{out}");
    let (_, err) = expect(2, &["val", text(&run), "--worst", "-1"]);
    assert!(err.contains("--worst") && !err.contains("unexpected argument"), "{err}");
}
