//! From a folder of images to a compared package, verb by verb.

use crate::{expect, parse, synthetic, text};

#[test]
fn train_export_quantize_package_val_predict_compare() {
    let folder = tempfile::tempdir().unwrap();
    let data = synthetic(folder.path(), 16, 4);
    let runs = folder.path().join("runs");
    let small = ["--name", "small", "--base", "4", "--depth", "2", "--epochs", "2", "--batch", "4", "--json"];
    let (out, err) = expect(0, &[&["train", text(&data), "--runs", text(&runs)], &small[..]].concat());
    let report = parse(&out);
    assert_eq!(report["epochs"], 2);
    assert!(err.contains("epoch 2/2"), "{err}");
    let run = runs.join("small");
    for file in [
        "config.toml",
        "results.csv",
        "loss.svg",
        "iou.svg",
        "confusion.svg",
        "reliability.svg",
        "report.html",
        "weights/best.bpk",
    ] {
        assert!(run.join(file).is_file(), "{file} is missing");
    }
    image::open(run.join("panels/01.png")).unwrap();
    let csv = std::fs::read_to_string(run.join("results.csv")).unwrap();
    assert_eq!(csv.lines().count(), 3, "{csv}");

    // A verb that needs another one before it names it.
    let (_, err) = expect(2, &["quantize", text(&run)]);
    assert!(err.contains("unet-host export"), "{err}");
    let (_, err) = expect(2, &["val", text(&run), "--engine", "int8"]);
    assert!(err.contains("unet-host quantize"), "{err}");

    let exported = parse(&expect(0, &["export", text(&run), "--json"]).0);
    assert_eq!(exported["verified"], true, "{exported}");
    assert_eq!(exported["frames"], 4);
    let quantized = parse(&expect(0, &["quantize", text(&run), "--json"]).0);
    assert_eq!(quantized["calibration_images"], 16);
    assert!(quantized["mean_iou_int8"].is_number(), "{quantized}");
    expect(0, &["quantize", text(&run), "--format", "qdq"]);
    let package = folder.path().join("small.unet");
    let packed = parse(&expect(0, &["package", text(&run), "--output", text(&package), "--json"]).0);
    assert_eq!(packed["golden"], 2);
    let pattern = folder.path().join("pattern.unet");
    expect(0, &["package", text(&run), "--output", text(&pattern), "--golden", "pattern"]);

    let record = |name: &str| folder.path().join(name);
    let (float, host, board) = (record("f32.json"), record("host.json"), record("board.json"));
    expect(0, &["val", text(&run), "--output", text(&float)]);
    expect(0, &["val", text(&run), "--engine", "int8", "--output", text(&host)]);
    expect(0, &["val", text(&package), "--data", text(&data), "--output", text(&board)]);
    let (out, _) = expect(0, &["compare", text(&host), text(&board)]);
    assert_eq!(out, "parity: equal, 4 frames\n");
    let (out, _) = expect(1, &["compare", text(&float), text(&board)]);
    assert!(out.contains("NOT EQUAL") && out.contains("logits differ"), "{out}");
    expect(0, &["compare", text(&float), text(&board), "--max-drop", "1"]);
    let (_, err) = expect(2, &["compare", text(&float), text(&board), "--max-drop", "-1"]);
    assert!(err.contains("--max-drop"), "{err}");

    // One changed count is found and named.
    let altered = std::fs::read_to_string(&board).unwrap();
    let mut altered: serde_json::Value = serde_json::from_str(&altered).unwrap();
    let count = altered["confusion"]["counts"][0].as_u64().unwrap();
    altered["confusion"]["counts"][0] = (count + 1).into();
    std::fs::write(record("altered.json"), altered.to_string()).unwrap();
    let (out, _) = expect(1, &["compare", text(&host), text(&record("altered.json"))]);
    assert!(out.contains("pixels of background predicted as background"), "{out}");

    let (images, masks) = (data.join("val/images"), data.join("val/masks"));
    for subject in [&run, &package] {
        let output = folder.path().join("predicted");
        let arguments =
            ["predict", text(subject), text(&images), "--output", text(&output), "--truth", text(&masks), "--json"];
        let predicted = parse(&expect(0, &arguments).0);
        assert_eq!(predicted["images"].as_array().unwrap().len(), 4);
        let mask = image::open(output.join("masks/0000.png")).unwrap().into_luma8();
        assert_eq!(mask.dimensions(), (64, 64));
        // The mask has the dataset's label values.
        let labels = [0, 60, 120, 180, 240];
        assert!(mask.as_raw().iter().all(|v| labels.contains(v)), "{:?}", &mask.as_raw()[..64]);
        image::open(output.join("panels/0000.png")).unwrap();
        std::fs::remove_dir_all(output).unwrap();
    }
    // A run may be given by a relative path.
    let output =
        crate::host().args(["quantize", "runs/small", "--images", "4"]).current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    // One broken image among good ones is reported, and the others are predicted.
    let mixed = folder.path().join("mixed");
    std::fs::create_dir(&mixed).unwrap();
    std::fs::copy(images.join("0000.png"), mixed.join("good.png")).unwrap();
    std::fs::write(mixed.join("broken.png"), b"\x89PNG\r\n\x1a\nno").unwrap();
    let output = folder.path().join("mixed-out");
    let (out, _) = expect(1, &["predict", text(&package), text(&mixed), "--output", text(&output)]);
    assert!(out.contains("broken.png") && output.join("masks/good.png").is_file(), "{out}");
    assert!(out.contains("1 of 2 images could not be read\nmasks: "), "{out}");
    // Files of an earlier prediction are replaced, which is told.
    let (_, err) = expect(1, &["predict", text(&package), text(&mixed), "--output", text(&output)]);
    assert!(err.contains("mixed-out is not empty; files of the same names are replaced"), "{err}");
    let config = std::fs::read_to_string(run.join("config.toml")).unwrap();
    std::fs::write(run.join("config.toml"), config.replace("epochs = 2", "epochs = 3")).unwrap();
    let (_, err) = expect(0, &["export", text(&run)]);
    assert!(err.contains("note: 2 of 3 epochs are trained so far"), "{err}");
}
