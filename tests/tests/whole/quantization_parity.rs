//! The quantized file: stock tract against the interpreter, node by node; both forms against each other; and the same
//! counts from the host's path and from the edge's package.

use std::collections::BTreeMap;

use unet_data::Split;
use unet_host::parity::compare;
use unet_host::quantize::Format;
use unet_host::steps::provenance::QuantizationNote;
use unet_host::steps::score::{EngineChoice, evaluate_run};
use unet_host::steps::{OpenRun, Weights, quantize};
use unet_tests::tensor::Difference;
use unet_tests::{Data, Graph, Tensor};

use crate::interpreter_vs_tract::check;
use crate::tiny_run::{VARIANTS, evaluate_package, train};

/// The u8 model inputs of the run's first validation frames.
pub fn inputs(run: &OpenRun, count: usize) -> Vec<BTreeMap<String, Tensor>> {
    let entry = QuantizationNote::load(run).unwrap().model.input;
    let tables: Vec<[u8; 256]> = (0..entry.shape[1])
        .map(|c| {
            let q = entry.quantization;
            run.config.preprocess.quantized_table(c, q.scale, q.zero_point as u8)
        })
        .collect();
    let pixels = entry.shape[2] * entry.shape[3];
    let dataset = run.data(None).unwrap();
    let frames = dataset.split(Split::Val).iter().take(count).map(|sample| {
        let (_, planes) = run.planes(sample).unwrap();
        let values = planes
            .chunks_exact(pixels)
            .zip(&tables)
            .flat_map(|(plane, table)| plane.iter().map(|&v| table[usize::from(v)]))
            .collect();
        let image = Tensor::new(&entry.shape, Data::U8(values)).unwrap();
        BTreeMap::from([("image".to_owned(), image)])
    });
    frames.collect()
}

#[test]
fn a_trained_network_agrees_node_by_node_and_in_both_forms() {
    for variant in &VARIANTS {
        let folder = tempfile::tempdir().unwrap();
        let (run, _) = train(folder.path(), variant);
        quantize::quantize(&run, Format::Qlinear, 16).unwrap();
        quantize::quantize(&run, Format::Qdq, 16).unwrap();
        let integer = std::fs::read(run.dir.int8_onnx()).unwrap();
        let pairs = Graph::from_bytes(&std::fs::read(run.dir.qdq_onnx()).unwrap()).unwrap();
        let integers = Graph::from_bytes(&integer).unwrap();
        for frame in inputs(&run, 2) {
            check(&integer, &frame);
            // The float form rounds f32 sums where the integer form is exact, so a value near a half may fall to the
            // other side and move the nodes behind it; the classes must be the same all but everywhere.
            let (a, b) = (integers.run(&frame).unwrap(), pairs.run(&frame).unwrap());
            let difference = Difference::between(&a["logits"], &b["logits"]).unwrap();
            assert!(difference.step_max <= 2, "{}: {difference:?}", variant.name);
            assert!(difference.share() <= 0.01, "{}: {difference:?}", variant.name);
        }
    }
}

#[test]
fn the_edge_counts_what_the_host_counts() {
    for variant in &VARIANTS {
        let folder = tempfile::tempdir().unwrap();
        let (run, _) = train(folder.path(), variant);
        let report = quantize::quantize(&run, Format::Qlinear, 16).unwrap();
        let host = evaluate_run(&run, EngineChoice::Int8, Weights::Best, Split::Val, None).unwrap().record;
        assert_eq!(host.confusion.mean_iou(), report.mean_iou_int8);
        let edge = evaluate_package(&run);
        let parity = compare(&host, &edge);
        assert!(parity.equal, "{}: {:?}", variant.name, parity.differences);
        assert_eq!(parity.frames, 8);
        // A comparison that could not fail would prove nothing: the f32 record of the same frames has other logits.
        let float = evaluate_run(&run, EngineChoice::Burn, Weights::Best, Split::Val, None).unwrap().record;
        assert!(!compare(&float, &edge).equal);
    }
}
