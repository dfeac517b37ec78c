//! Export to f32 ONNX: tract and the interpreter compute from the file what burn computes.

use std::collections::BTreeMap;

use unet_data::Split;
use unet_host::backend::Backend;
use unet_host::export::float_onnx;
use unet_host::export::fold;
use unet_host::export::graph::Operator;
use unet_host::quantize::Format;
use unet_host::segmenter::BurnSegmenter;
use unet_host::steps::export::{self, ExportOptions};
use unet_host::steps::verify::verify;
use unet_host::steps::{Weights, quantize};
use unet_tests::{Data, Graph, Tensor};

use crate::tiny_run::{VARIANTS, train};

#[test]
fn the_exported_file_computes_what_burn_computes() {
    for variant in &VARIANTS {
        let folder = tempfile::tempdir().unwrap();
        let (run, report) = train(folder.path(), variant);
        assert!(report.verification.verified, "{}: {report:?}", variant.name);
        assert_eq!(report.verification.frames, 8);
        let device = Backend::Flex.device().unwrap();
        let model = run.model(Weights::Best, &device).unwrap();
        let preprocess = run.config.preprocess;
        let burn = BurnSegmenter::new(&model, Backend::Flex, &device, preprocess);
        let onnx = Graph::from_bytes(&std::fs::read(run.dir.float_onnx()).unwrap()).unwrap();
        let shape = [1, preprocess.channels.count(), preprocess.height as usize, preprocess.width as usize];
        for sample in run.data(None).unwrap().split(Split::Val).iter().take(2) {
            let (_, planes) = run.planes(sample).unwrap();
            let pixels = shape[2] * shape[3];
            let values = planes
                .chunks_exact(pixels)
                .enumerate()
                .flat_map(|(channel, plane)| {
                    let table = preprocess.float_table(channel);
                    plane.iter().map(move |&v| table[usize::from(v)])
                })
                .collect();
            let image = Tensor::new(&shape, Data::F32(values)).unwrap();
            let outputs = onnx.run(&BTreeMap::from([("image".to_owned(), image)])).unwrap();
            let (ours, theirs) = (burn.logits(&planes), outputs["logits"].as_f32().unwrap());
            assert_eq!(ours.len(), theirs.len());
            for (a, b) in ours.iter().zip(theirs) {
                assert!(
                    f64::from((a - b).abs()) <= report.verification.allowed.largest,
                    "{}: burn {a}, interpreter {b}",
                    variant.name
                );
            }
        }
    }
}

/// Folding is only tested if training moved the statistics of the batch norms away from 0 and 1.
#[test]
fn folding_is_tested_on_moved_statistics() {
    let folder = tempfile::tempdir().unwrap();
    let (run, _) = train(folder.path(), &VARIANTS[0]);
    let device = Backend::Flex.device().unwrap();
    let trained = run.model(Weights::Best, &device).unwrap();
    let fresh = run.config.model.init(run.config.seed, &device);
    let bias = |model| match &fold::graph_of(model, 64, 64).nodes[0].operator {
        unet_host::export::graph::Operator::Conv(conv) => conv.bias.clone(),
        _ => panic!("the first node is a convolution"),
    };
    assert!(bias(&fresh).iter().all(|b| *b == 0.0));
    assert!(bias(&trained).iter().any(|b| b.abs() > 1e-3), "{:?}", bias(&trained));
}

/// The right file of the same run is verified in the first test.
#[test]
fn a_file_with_one_other_weight_or_class_is_not_verified() {
    let folder = tempfile::tempdir().unwrap();
    let (run, _) = train(folder.path(), &VARIANTS[0]);
    let model = run.model(Weights::Best, &Backend::Flex.device().unwrap()).unwrap();
    let graph = float_onnx::read(&std::fs::read(run.dir.float_onnx()).unwrap()).unwrap();
    let convolutions = graph.nodes.iter().enumerate().filter(|(_, node)| matches!(node.operator, Operator::Conv(_)));
    let convolutions: Vec<usize> = convolutions.map(|(index, _)| index).collect();
    for &index in [convolutions.first(), convolutions.last()].into_iter().flatten() {
        let mut changed = graph.clone();
        let Operator::Conv(conv) = &mut changed.nodes[index].operator else { panic!("a convolution") };
        let a_channel = conv.weight.len() / conv.channels_out;
        let largest = conv.weight[..a_channel].iter().fold(0f32, |max, w| max.max(w.abs()));
        conv.weight[a_channel - 1] += 1e-3 * largest;
        let found = verify(&run, &model, &float_onnx::write(&changed).unwrap()).unwrap();
        assert!(!found.verified);
        let named = found.other_parameter.unwrap();
        assert!(named.starts_with(&format!("{}: expected weight [0, ", graph.nodes[index].name)), "{named}");
    }
    let last = convolutions.last().copied().unwrap();
    let mut shifted = graph.clone();
    let Operator::Conv(conv) = &mut shifted.nodes[last].operator else { panic!("a convolution") };
    conv.bias[1] += 100.0;
    let found = verify(&run, &model, &float_onnx::write(&shifted).unwrap()).unwrap();
    assert!(!found.verified && found.burn_and_tract.largest > 99.0 && found.burn_and_f64.largest > 99.0, "{found:?}");
    // tract and f64 read the same wrong file.
    assert!(found.tract_and_f64.is_within(found.allowed) && found.pixels_of_another_class > 0, "{found:?}");
}

/// Metadata of a file, by key.
fn metadata(path: std::path::PathBuf) -> BTreeMap<String, String> {
    unet_onnx::metadata(&std::fs::read(path).unwrap()).unwrap().into_iter().collect()
}

#[test]
fn files_say_their_classes_preprocessing_and_license() {
    let folder = tempfile::tempdir().unwrap();
    let (run, _) = train(folder.path(), &VARIANTS[1]);
    let plain = std::fs::read(run.dir.float_onnx()).unwrap();
    assert!(!metadata(run.dir.float_onnx()).contains_key("license"));
    let options = ExportOptions { license: Some("CC-BY-4.0".to_owned()), ..ExportOptions::default() };
    export::export(&run, &options).unwrap();
    quantize::quantize(&run, Format::Qlinear, 8).unwrap();
    let found = metadata(run.dir.float_onnx());
    assert_eq!(found["license"], "CC-BY-4.0");
    assert_eq!(serde_json::from_str::<Vec<String>>(&found["classes"]).unwrap(), run.class_names());
    let preprocess: unet_shared::preprocess::Preprocess = serde_json::from_str(&found["preprocess"]).unwrap();
    assert_eq!(preprocess, run.config.preprocess);
    assert_eq!(metadata(run.dir.int8_onnx()), found);
    let bare = |bytes: &[u8]| unet_onnx::with_metadata(bytes, &[]).unwrap();
    assert_eq!(bare(&plain), bare(&std::fs::read(run.dir.float_onnx()).unwrap()));
}

#[test]
fn the_file_is_read_back_as_the_graph_that_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let (run, report) = train(folder.path(), &VARIANTS[1]);
    let bytes = std::fs::read(run.dir.float_onnx()).unwrap();
    let graph = float_onnx::read(&bytes).unwrap();
    assert_eq!(graph.multiplications().unwrap(), report.macs);
    assert_eq!(float_onnx::write(&graph).unwrap(), unet_onnx::with_metadata(&bytes, &[]).unwrap());
}
