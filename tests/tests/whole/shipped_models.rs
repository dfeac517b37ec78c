//! The shipped models: each folder is complete, its package loads and passes its golden vectors, and its record is that
//! of its package. On the real dataset the package must give the same integers as its record.

use std::path::{Path, PathBuf};

use unet_data::Split;
use unet_engine::package::Package;
use unet_engine::segmenter::Int8Segmenter;
use unet_host::config::FolderOptions;
use unet_host::export::float_onnx;
use unet_host::parity::compare;
use unet_host::steps::score::evaluate_package;
use unet_shared::record::EvaluationRecord;
use unet_test_support::real_data::dataset;

use crate::repository::root;

/// The folders of the models by name.
fn models() -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(root().join("models")).unwrap().map(|entry| entry.unwrap().path());
    let mut models: Vec<_> = entries
        .filter(|path| path.is_dir())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), path))
        .collect();
    models.sort();
    assert!(!models.is_empty(), "no model is shipped");
    models
}

fn record(folder: &Path) -> EvaluationRecord {
    EvaluationRecord::from_json(&std::fs::read(folder.join("parity.json")).unwrap()).unwrap()
}

#[test]
fn each_model_is_whole_and_its_record_is_its_own() {
    for (name, folder) in models() {
        let package = Package::read(&folder.join(format!("{name}.unet"))).unwrap();
        Int8Segmenter::load(&package).unwrap();
        let record = record(&folder);
        assert_eq!(record.package, Some(package.digest), "{name}");
        let provenance = &package.manifest.provenance;
        assert_eq!(record.confusion.mean_iou(), provenance.mean_iou_int8, "{name}");
        let graph = float_onnx::read(&std::fs::read(folder.join(format!("{name}_f32.onnx"))).unwrap()).unwrap();
        let [_, channels, height, width] = package.manifest.model.input.shape;
        assert_eq!(graph.input, [channels, height, width], "{name}");
        let card = std::fs::read_to_string(folder.join("card.md")).unwrap();
        assert!(card.contains(&package.digest.to_string()), "{name}: the card is of another package");
        for iou in [provenance.mean_iou_f32, provenance.mean_iou_int8] {
            let iou = format!("{:.4}", iou.unwrap());
            assert!(card.contains(&iou), "{name}: the card does not give {iou}");
        }
    }
}

#[test]
#[cfg_attr(not(seg_data), ignore = "set SEG_DATA to the directory of the datasets")]
fn each_model_gives_the_integers_of_its_record() {
    for (name, folder) in models() {
        let path = folder.join(format!("{name}.unet"));
        let found = evaluate_package(&path, &dataset(&name), &FolderOptions::default(), Split::Val, None, false)
            .unwrap()
            .record;
        let parity = compare(&record(&folder), &found);
        assert!(parity.equal, "{name}: {:?}", parity.differences);
        assert_eq!(parity.frames, 50);
    }
}
