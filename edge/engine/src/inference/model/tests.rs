//! Files that stand alone: each kind of ends, by the integer engine and by stock tract.

use tract_onnx::pb::tensor_proto::DataType;

use super::*;
use unet_test_support::quantized_onnx::{Conv, Graph, int};

const X: [usize; 4] = [1, 1, 4, 6];
const Y: [usize; 4] = [1, 3, 4, 6];

/// Three classes that win at dark, middle and light pixels: no bias and no slope steep enough to round otherwise anywhere.
fn conv() -> Conv {
    Conv {
        shape: [3, 1, 1, 1],
        weights: vec![0, 1, 3],
        weight_scales: vec![1.0; 3],
        bias: vec![60, 0, -200],
        pads: [0; 4],
        x: (1.0, 0),
        y: (1.0, 0),
    }
}

/// The class of each value: 60, the value itself, or three times it less 200, each within a byte.
fn expected(values: &[u8]) -> Vec<u8> {
    let class = |value: u8| {
        let logits = [60, i32::from(value), (3 * i32::from(value) - 200).clamp(0, 255)];
        let largest = logits.into_iter().max();
        logits.iter().position(|&logit| Some(logit) == largest).map_or(0, |class| class as u8)
    };
    values.iter().map(|&value| class(value)).collect()
}

fn frame() -> Vec<u8> {
    (0..24).map(|index| (index * 10) as u8).collect()
}

fn open(onnx: &[u8], size: Option<[usize; 2]>, kernel: KernelChoice) -> Result<Model, InferenceError> {
    Model::open("net.onnx", onnx, size, &EngineOptions { kernel, threads: 2 })
}

/// Both backends give `expected`, and the integer engine is one of them.
fn check(onnx: &[u8], element: Element, frame: Frame<'_>, expected: &[u8]) {
    for (kernel, name) in [(KernelChoice::Auto, "integer"), (KernelChoice::Tract, "tract")] {
        let mut model = open(onnx, None, kernel).unwrap();
        assert_eq!((model.name(), model.output().element), (name, element));
        let mut mask = vec![99; expected.len()];
        for _ in 0..2 {
            model.segment(frame, &mut mask).unwrap();
            assert_eq!(mask, expected, "{name}");
        }
        assert_eq!(model.times().is_empty(), name == "tract");
    }
}

#[test]
fn classes_win_at_their_pixels() {
    assert_eq!(expected(&[0, 60, 61, 100, 101]), [0, 0, 1, 1, 2]);
}

#[test]
fn bytes_to_bytes() {
    let onnx = Graph::new("x", X).conv("x", "y", &conv()).finish("y", Y);
    check(&onnx, Element::U8, Frame::Bytes(&frame()), &expected(&frame()));
}

#[test]
fn floats_to_floats() {
    let graph = Graph::new_as("x", X, DataType::Float).quantize("x", "q", (1.0, 0)).conv("q", "c", &conv());
    let onnx = graph.dequantize("c", "y", (1.0, 0)).finish_as("y", Y, DataType::Float, 13);
    let floats: Vec<f32> = frame().iter().map(|&value| f32::from(value) + 0.25).collect();
    check(&onnx, Element::F32, Frame::Floats(&floats), &expected(&frame()));
}

#[test]
fn class_ids_of_an_arg_max() {
    let graph = Graph::new("x", X).conv("x", "c", &conv());
    let attributes = vec![int("axis", 1), int("keepdims", 1)];
    let onnx = graph.node("ArgMax", &["c".to_owned()], "y", attributes);
    let onnx = onnx.finish_as("y", [1, 1, 4, 6], DataType::Int64, 13);
    check(&onnx, Element::I64, Frame::Bytes(&frame()), &expected(&frame()));
}

#[test]
fn a_net_runs_at_another_size_and_says_its_own() {
    let onnx = Graph::new("x", X).conv("x", "y", &conv()).finish("y", Y);
    let mut model = open(&onnx, Some([2, 12]), KernelChoice::Auto).unwrap();
    assert_eq!((model.input().shape, model.output().shape), ([1, 1, 2, 12], [1, 3, 2, 12]));
    let mut mask = vec![0; 24];
    model.segment(Frame::Bytes(&frame()), &mut mask).unwrap();
    assert_eq!(mask, expected(&frame()));
}

#[test]
fn frames_and_masks_that_do_not_fit_are_errors() {
    let onnx = Graph::new("x", X).conv("x", "y", &conv()).finish("y", Y);
    let mut model = open(&onnx, None, KernelChoice::Auto).unwrap();
    let mut said = |frame: Frame<'_>, mask: usize| model.segment(frame, &mut vec![0; mask]).unwrap_err().to_string();
    assert_eq!(said(Frame::Bytes(&[0; 23]), 24), "model input: expected 24 bytes, found 23");
    assert_eq!(said(Frame::Bytes(&[0; 24]), 25), "mask: expected 24 bytes, found 25");
    assert_eq!(said(Frame::Floats(&[0.0; 24]), 24), "model input: expected 24 bytes, found 0");
}

#[test]
fn files_with_other_ends_are_refused_by_name() {
    let said = |onnx: &[u8]| open(onnx, None, KernelChoice::Auto).unwrap_err().to_string();
    let words = Graph::new_as("x", X, DataType::Int32).max_pool("x", "y").finish("y", Y);
    assert_eq!(said(&words), "model net.onnx: expected an input of uint8, int8 or float, found int32");
    let batch = Graph::new("x", [2, 1, 4, 6]).max_pool("x", "y").finish("y", Y);
    assert_eq!(said(&batch), "model net.onnx: expected an input 1xCxHxW (--size names H and W), found 2x1x4x6");
    let old = Graph::new("x", X).max_pool("x", "y").finish_as("y", Y, DataType::Uint8, 12);
    assert_eq!(said(&old), "model net.onnx: expected an operator set of version 13 to 18, found 12");
    let unmade = Graph::new("x", X).max_pool("x", "z").finish("y", Y);
    assert_eq!(said(&unmade), "model net.onnx: expected a node that makes output y, found none");
    assert!(said(b"no model").starts_with("model net.onnx: expected an ONNX graph that tract runs"));
    let many = Graph::new("x", [1, 300, 4, 6]).max_pool("x", "y").finish("y", [1, 300, 2, 3]);
    assert!(said(&many).contains("an output 1xKxHxW of 1 to 255 classes"), "{}", said(&many));
}
