//! Files that stand alone: each kind of ends, by the integer engine and by stock tract.

use tract_onnx::pb::tensor_proto::DataType;

use super::*;
use unet_test_support::quantized_onnx::{Conv, Graph, int, ints};

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
    assert!(said(b"no model").starts_with("model net.onnx cannot be read: it is damaged or not an ONNX file"));
    let many = Graph::new("x", [1, 300, 4, 6]).max_pool("x", "y").finish("y", [1, 300, 2, 3]);
    assert!(said(&many).contains("an output 1xKxHxW of 1 to 255 classes"), "{}", said(&many));
}

/// The bytes of the output, by the integer engine for what it covers and by tract alone.
fn logits(onnx: &[u8], frame: &[u8]) -> [Vec<u8>; 2] {
    [KernelChoice::Auto, KernelChoice::Tract].map(|kernel| {
        let mut model = open(onnx, None, kernel).unwrap();
        let [_, _, height, width] = model.output().shape;
        model.segment(Frame::Bytes(frame), &mut vec![0; height * width]).unwrap();
        let mut logits = vec![0; model.logits_len()];
        model.logits(&mut logits).unwrap();
        logits
    })
}

#[test]
fn operators_of_onnxruntimes_quantizer_stand_for_three() {
    let mut graph = Graph::new("x", X).conv("x", "c", &conv());
    graph.constant("two", DataType::Float, &[], 2f32.to_le_bytes().to_vec());
    graph.constant("one", DataType::Float, &[], 1f32.to_le_bytes().to_vec());
    graph.constant("zero", DataType::Uint8, &[], vec![0]);
    let inputs = ["two", "zero", "c", "one", "zero", "c", "two", "zero"].map(str::to_owned);
    let graph = graph.node("QLinearConcat", &inputs, "y", vec![int("axis", 1)]);
    let mut model = graph.into_model("y", [1, 6, 4, 6], 13);
    let node = model.graph.as_mut().unwrap().node.last_mut().unwrap();
    node.domain = "com.microsoft".to_owned();
    let bytes = prost::Message::encode_to_vec(&model);
    let classes = |value: u8| [60, i32::from(value), (3 * i32::from(value) - 200).clamp(0, 255)];
    let halved = |logit: i32| (logit as f32 / 2.0).round_ties_even() as u8;
    let mut expected = Vec::new();
    for class in 0..6 {
        let of = |value: &u8| classes(*value)[class % 3];
        expected.extend(frame().iter().map(|value| if class < 3 { halved(of(value)) } else { of(value) as u8 }));
    }
    assert_eq!(logits(&bytes, &frame()), [expected.clone(), expected]);
    assert_eq!(open(&bytes, None, KernelChoice::Auto).unwrap().name(), "integer");
}

#[test]
fn what_moves_pixels_between_dequantized_and_quantized_is_no_function_of_one_value() {
    let mut graph = Graph::new("x", X).dequantize("x", "real", (1.0, 0));
    let pads: Vec<u8> = [0i64, 0, 1, 0, 0, 0, 0, 2].iter().flat_map(|pad| pad.to_le_bytes()).collect();
    graph.constant("pads", DataType::Int64, &[8], pads);
    let graph = graph.node("Pad", &["real".to_owned(), "pads".to_owned()], "padded", Vec::new());
    let onnx = graph.quantize("padded", "y", (0.5, 3)).finish("y", [1, 1, 5, 8]);
    let mut expected = vec![3; 40];
    for (index, value) in frame().into_iter().enumerate() {
        expected[8 + index / 6 * 8 + index % 6] = (2 * i32::from(value) + 3).min(255) as u8;
    }
    assert_eq!(logits(&onnx, &frame()), [expected.clone(), expected]);
}

#[test]
fn what_tract_would_compute_wrongly_is_refused_by_name() {
    let said = |onnx: &[u8]| open(onnx, None, KernelChoice::Auto).unwrap_err().to_string();
    let words = |values: &[i64]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let mut graph = Graph::new_as("x", X, DataType::Float);
    graph.constant("pads", DataType::Int64, &[8], words(&[0, 0, -1, 0, 0, 0, 0, -2]));
    let onnx = graph.node("Pad", &["x", "pads"].map(str::to_owned), "y", Vec::new());
    let onnx = onnx.finish_as("y", [1, 1, 3, 4], DataType::Float, 13);
    assert_eq!(
        said(&onnx),
        "model net.onnx: expected node y.node (Pad) with pads of at least 0, found -1, which crops; export with an input \
         size divisible by 2^depth, for which nothing is cropped"
    );

    let mut graph = Graph::new_as("x", X, DataType::Float);
    graph.constant("w", DataType::Float, &[1, 1, 3, 3], vec![0; 36]);
    let attributes = vec![ints("strides", &[2, 2]), ints("output_shape", &[8, 12])];
    let onnx = graph.node("ConvTranspose", &["x", "w"].map(str::to_owned), "y", attributes);
    assert_eq!(
        said(&onnx.finish_as("y", [1, 1, 8, 12], DataType::Float, 13)),
        "model net.onnx: expected a ConvTranspose with pads, found output_shape at the node that makes y; export with pads and \
         output_padding"
    );

    let last = Graph::new_as("x", [1, 96, 128, 3], DataType::Float).node("Relu", &["x".to_owned()], "y", Vec::new());
    assert_eq!(
        said(&last.finish_as("y", [1, 96, 128, 3], DataType::Float, 13)),
        "model net.onnx: expected an input 1xCxHxW, found 1x96x128x3, which looks like NHWC; export with the channels first \
         (tf2onnx: --inputs-as-nchw and --outputs-as-nchw)"
    );

    let mut other = Graph::new("x", X).conv("x", "y", &conv()).into_model("y", Y, 13);
    let tensor = &mut other.graph.as_mut().unwrap().initializer[0];
    tensor.data_location = Some(1);
    let name = tensor.name.clone();
    assert_eq!(
        said(&prost::Message::encode_to_vec(&other)),
        format!(
            "model net.onnx: expected constants inside the model, found {name} in another file; save the model as one file"
        )
    );
}
