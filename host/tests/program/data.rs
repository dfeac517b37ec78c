//! Real datasets: files that break loaders, and classes that are ignored or absent.

use std::path::PathBuf;

use unet_test_support::real_data::dataset;

use crate::{expect, run, text};

#[test]
#[cfg_attr(not(seg_data), ignore = "set SEG_DATA to the directory of the datasets")]
fn each_file_that_breaks_loaders_is_named_and_trains_or_is_refused() {
    let nasties = dataset("nasties");
    let scratch = tempfile::tempdir().unwrap();
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(nasties).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()).collect();
    folders.sort();
    assert!(!folders.is_empty());
    let mut trained = vec![];
    for folder in folders {
        let output = run(&["check", text(&folder), "--json"]);
        assert!(matches!(output.status.code(), Some(0 | 1)), "check {}: {output:?}", folder.display());
        let report = crate::parse(&String::from_utf8_lossy(&output.stdout));
        let findings = report["findings"].as_array().unwrap();
        assert!(!findings.is_empty(), "{}: nothing found", folder.display());
        let small = ["--base", "2", "--depth", "1", "--epochs", "1", "--size", "32x32"];
        let runs = scratch.path().join("runs");
        let output = run(&[&["train", text(&folder), "--runs", text(&runs)], &small[..]].concat());
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(!err.contains("panicked"), "train {}: {err}", folder.display());
        println!("{}: exit {:?}", folder.display(), output.status.code());
        match output.status.code() {
            Some(0) => trained.push(folder.file_name().unwrap().to_string_lossy().into_owned()),
            Some(2) => assert!(err.contains("accepted layouts") || err.contains("--snap"), "{err}"),
            other => panic!("train {}: exit {other:?}: {err}", folder.display()),
        }
    }
    // Those whose layout is accepted; the findings of `check` are tested with it.
    let accepted = ["exif_orientation3", "mask_size_differs", "rgb_colour_mask_tiff", "rgba_image_instance_masks"];
    assert_eq!(trained, accepted);
}

#[test]
#[cfg_attr(not(seg_data), ignore = "set SEG_DATA to the directory of the datasets")]
fn an_ignored_class_and_absent_classes_leave_no_nan() {
    let camvid = dataset("camvid");
    // A few pairs, in which some classes are absent.
    let scratch = tempfile::tempdir().unwrap();
    for (split, count) in [("train", 6), ("val", 3)] {
        for folder in ["images", "masks"] {
            let to = scratch.path().join("data").join(split).join(folder);
            std::fs::create_dir_all(&to).unwrap();
            let mut files: Vec<PathBuf> =
                std::fs::read_dir(camvid.join(split).join(folder)).unwrap().map(|e| e.unwrap().path()).collect();
            files.sort();
            for file in files.iter().take(count) {
                std::fs::copy(file, to.join(file.file_name().unwrap())).unwrap();
            }
        }
    }
    let data = scratch.path().join("data");
    let runs = scratch.path().join("runs");
    let small =
        ["--name", "camvid", "--base", "4", "--depth", "2", "--epochs", "1", "--size", "96x64", "--ignore", "11"];
    expect(0, &[&["train", text(&data), "--runs", text(&runs)], &small[..]].concat());
    let record = std::fs::read_to_string(runs.join("camvid/record_f32.json")).unwrap();
    let csv = std::fs::read_to_string(runs.join("camvid/results.csv")).unwrap();
    for text in [&record, &csv] {
        assert!(!text.to_lowercase().contains("nan") && !text.contains("inf"), "{text}");
    }
    let parsed: serde_json::Value = serde_json::from_str(&record).unwrap();
    assert_eq!(parsed["classes"].as_array().unwrap().len(), 11);
}
