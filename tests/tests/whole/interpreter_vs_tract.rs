//! Each quantized node, fed the same inputs, in stock tract and in the interpreter.

use std::collections::BTreeMap;
use unet_test_support::real_data::beside_datasets;
use unet_tests::onnx_graph::{GraphBuilder, integers};
use unet_tests::random::Random;
use unet_tests::tensor::Difference;
use unet_tests::tiny_unet::TinyUnet;
use unet_tests::{Data, Graph, Tensor, node_models, stock_tract};

/// Stock tract rounds a per-channel requantization its own way, so a value near a half may fall to the other side: by one
/// step, and seldom.
const STEP_MAX: u32 = 1;
const SHARE_MAX: f64 = 0.001;

/// Feeds every quantized node of `model` what the interpreter computed before it, and says where the two differ.
pub fn check(model: &[u8], inputs: &BTreeMap<String, Tensor>) {
    let values = Graph::from_bytes(model).unwrap().run(inputs).unwrap();
    let nodes = node_models(model, &values).unwrap();
    assert!(!nodes.is_empty(), "the graph has no quantized node");
    let mut faults = Vec::new();
    let (mut counted, mut differing) = (0, 0);
    for node in nodes {
        let inputs = node.inputs.iter().map(|name| (name.clone(), values[name].clone())).collect();
        let found = stock_tract::run(&node.bytes, &inputs).unwrap_or_else(|e| panic!("{}: {e}", node.name));
        let (found, expected) = (&found[&node.output], &values[&node.output]);
        if !expected.is_quantized() {
            // A dequantized or an argmax output is exact.
            assert_eq!(found, expected, "node {} ({})", node.name, node.op_type);
            continue;
        }
        let difference = Difference::between(found, expected).unwrap_or_else(|e| panic!("{}: {e}", node.name));
        counted += difference.values;
        differing += difference.differing;
        if difference.step_max > STEP_MAX || difference.share() > SHARE_MAX {
            faults.push(format!("node {} ({}): {difference:?}", node.name, node.op_type));
        }
    }
    println!("{differing} of {counted} values differ between stock tract and the interpreter");
    assert!(faults.is_empty(), "more than {SHARE_MAX} of values or {STEP_MAX} step:\n{}", faults.join("\n"));
}

#[test]
fn tiny_unets_agree_node_by_node() {
    for seed in 0..4 {
        let tiny = TinyUnet::new(seed, 64);
        check(&tiny.model, &tiny.frame(seed + 100));
    }
}

/// A node's zero points, strides and types beyond those that our own exporter writes.
#[test]
fn convolutions_of_other_quantizations_agree() {
    let mut random = Random::new(5);
    for (x_zero_point, w_zero_point, y_zero_point, stride, bias) in
        [(0u8, 0i8, 0u8, 1i64, true), (113, 0, 97, 1, true), (113, -7, 0, 2, false), (255, 31, 255, 1, true)]
    {
        let (channels, outputs, side) = (5, 7, 41);
        let mut builder = GraphBuilder::new();
        let tensor = |shape: &[usize], data| Tensor::new(shape, data).unwrap();
        let x = tensor(&[1, channels, side, side], Data::U8(random.bytes(channels * side * side)));
        let weights = (0..outputs * channels * 9).map(|_| random.integer(-128, 127) as i8).collect();
        let scales = (0..outputs).map(|_| 0.001 + 0.003 * random.unit()).collect();
        let biases = (0..outputs).map(|_| random.integer(-20_000, 20_000) as i32).collect();
        builder.input("x", &x);
        builder.constant("x_scale", tensor(&[], Data::F32(vec![0.017])));
        builder.constant("x_zero_point", tensor(&[], Data::U8(vec![x_zero_point])));
        builder.constant("w", tensor(&[outputs, channels, 3, 3], Data::I8(weights)));
        builder.constant("w_scale", tensor(&[outputs], Data::F32(scales)));
        builder.constant("w_zero_point", tensor(&[], Data::I8(vec![w_zero_point])));
        builder.constant("y_scale", tensor(&[], Data::F32(vec![0.05])));
        builder.constant("y_zero_point", tensor(&[], Data::U8(vec![y_zero_point])));
        let mut operands =
            vec!["x", "x_scale", "x_zero_point", "w", "w_scale", "w_zero_point", "y_scale", "y_zero_point"];
        if bias {
            builder.constant("bias", tensor(&[outputs], Data::I32(biases)));
            operands.push("bias");
        }
        let attributes = vec![integers("pads", &[1; 4]), integers("strides", &[stride; 2])];
        let y = builder.node("y", "QLinearConv", &operands, attributes);
        builder.output(&y);
        check(&builder.finish(13), &BTreeMap::from([("x".to_owned(), x)]));
    }
}

/// A quantized U-Net with 16 base channels, stored beside the datasets.
#[test]
#[cfg_attr(not(seg_data), ignore = "set SEG_DATA to the directory of the datasets")]
fn the_kits_model_agrees_node_by_node() {
    let model = beside_datasets("evidence/models/b16n_own_u8_pcz.onnx");
    let mut random = Random::new(6);
    let pixels = (0..256 * 256).map(|i| ((i / 256 + i % 256) as f32 / 512.0 + random.unit()) / 2.0).collect();
    let frame = Tensor::new(&[1, 1, 256, 256], Data::F32(pixels)).unwrap();
    check(&std::fs::read(model).unwrap(), &BTreeMap::from([("input".to_owned(), frame)]));
}
