//! Export to f32 ONNX: tract and the interpreter compute from the file what burn computes.

use std::collections::BTreeMap;

use unet_data::Split;
use unet_host::backend::Backend;
use unet_host::export::float_onnx;
use unet_host::export::fold;
use unet_host::segmenter::BurnSegmenter;
use unet_host::steps::Weights;
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

#[test]
fn the_file_is_read_back_as_the_graph_that_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let (run, report) = train(folder.path(), &VARIANTS[1]);
    let bytes = std::fs::read(run.dir.float_onnx()).unwrap();
    let graph = float_onnx::read(&bytes).unwrap();
    assert_eq!(graph.multiplications().unwrap(), report.macs);
    assert_eq!(float_onnx::write(&graph).unwrap(), unet_onnx::with_metadata(&bytes, &[]).unwrap());
}
