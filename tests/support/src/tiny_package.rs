//! A package small enough to compute by hand: a 16x16 gray image, and a model of one 1x1 convolution whose logits are
//! 128 for class 0 and the pixel itself for class 1. So a pixel is class 1 if it is above 128.

use unet_shared::digest::Digest;
use unet_shared::label::LabelValue;
use unet_shared::manifest::{
    ClassEntry, GoldenEntry, MANIFEST_VERSION, Manifest, ModelEntry, Provenance, StackSplit, TensorEntry,
};
use unet_shared::preprocess::{Channels, Filter, Fit, Normalize, Preprocess};
use unet_shared::quantization::Quantization;

use super::quantized_onnx::{Conv, Graph};

pub const SIDE: usize = 16;
pub const PIXELS: usize = SIDE * SIDE;

/// The scale of pixels and logits; weights have 1.
const STEP: f32 = 1.0 / 255.0;

/// Pixels above this are class 1.
pub const THRESHOLD: u8 = 128;

pub fn preprocess() -> Preprocess {
    Preprocess {
        width: SIDE as u32,
        height: SIDE as u32,
        channels: Channels::Gray,
        fit: Fit::Stretch,
        filter: Filter::Area,
        normalize: Normalize::Unit,
        ..Preprocess::CLASSIC
    }
}

pub fn input() -> TensorEntry {
    let quantization = Quantization { scale: STEP, zero_point: 0 };
    TensorEntry { name: "image".to_owned(), shape: [1, 1, SIDE, SIDE], quantization }
}

pub fn output() -> TensorEntry {
    let quantization = Quantization { scale: STEP, zero_point: 0 };
    TensorEntry { name: "logits".to_owned(), shape: [1, 2, SIDE, SIDE], quantization }
}

/// Weights 0 and 1, bias 128 and 0.
pub fn model() -> Vec<u8> {
    let conv = Conv {
        shape: [2, 1, 1, 1],
        weights: vec![0, 1],
        weight_scales: vec![1.0, 1.0],
        bias: vec![i32::from(THRESHOLD), 0],
        pads: [0; 4],
        x: (STEP, 0),
        y: (STEP, 0),
    };
    Graph::new("image", [1, 1, SIDE, SIDE]).conv("image", "logits", &conv).finish("logits", [1, 2, SIDE, SIDE])
}

/// The quantized logits for a model input, by the model's definition.
pub fn logits_of(input: &[u8]) -> Vec<u8> {
    [vec![THRESHOLD; input.len()], input.to_vec()].concat()
}

/// The mask for a model input, by the model's definition.
pub fn mask_of(input: &[u8]) -> Vec<u8> {
    input.iter().map(|&pixel| u8::from(pixel > THRESHOLD)).collect()
}

/// Every gray value once.
pub fn golden_input() -> Vec<u8> {
    (0..=255).collect()
}

/// A manifest without its list of members, and the members.
pub fn parts() -> (Manifest, Vec<(String, Vec<u8>)>) {
    let golden = golden_input();
    let class =
        |name: &str, value, color| ClassEntry { name: name.to_owned(), values: vec![LabelValue::Gray(value)], color };
    let manifest = Manifest {
        version: MANIFEST_VERSION,
        name: "tiny".to_owned(),
        created_by: "unet-edge tests".to_owned(),
        preprocess: preprocess(),
        tiles: None,
        classes: vec![class("dark", 29, [0, 0, 0]), class("bright", 226, [255, 0, 0])],
        ignore: Vec::new(),
        reading: Default::default(),
        model: ModelEntry { file: "model.onnx".to_owned(), input: input(), output: output() },
        golden: vec![GoldenEntry {
            input: "golden/0.input".to_owned(),
            mask: "golden/0.mask".to_owned(),
            logits: Digest::of(&logits_of(&golden)),
        }],
        members: Vec::new(),
        provenance: Provenance {
            run: "tiny-run".to_owned(),
            seed: 7,
            dataset: Digest::of(b"dataset"),
            weights: Digest::of(b"weights"),
            code_version: "test".to_owned(),
            val_ratio: 0.2,
            stacks: StackSplit::Whole,
            split_seed: 0,
            fold: None,
            mean_iou_f32: Some(0.9),
            mean_iou_int8: None,
        },
    };
    let members = vec![
        ("model.onnx".to_owned(), model()),
        ("golden/0.input".to_owned(), golden.clone()),
        ("golden/0.mask".to_owned(), mask_of(&golden)),
    ];
    (manifest, members)
}
