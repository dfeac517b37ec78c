//! What a model file may get wrong, and that the integer engine and stock tract compute each operator of a quantized U-Net
//! on u8 tensors as the ONNX text says. The operators are held against a naive reference over NCHW.

use proptest::prelude::*;
use tract_onnx::pb::tensor_proto::DataType;
use unet_shared::manifest::Manifest;
use unet_shared::quantization::{Quantization, multiplier, requantize};

use super::*;
use crate::inference::kernel::Kernel;
use crate::package;
use unet_test_support::quantized_onnx::{self, Conv, Graph};
use unet_test_support::tiny_package;

/// How far stock tract's own per-channel requantization may be from the specification, in steps.
const STOCK_STEP: u8 = 1;

type Shape = [usize; 4];
type Members = Vec<(String, Vec<u8>)>;

fn entry(name: &str, shape: Shape) -> TensorEntry {
    TensorEntry { name: name.to_owned(), shape, quantization: Quantization { scale: 1.0, zero_point: 0 } }
}

/// Runs `model` from tensor `x` to tensor `y`.
fn run(model: &[u8], x: Shape, y: Shape, input: &[u8]) -> Vec<u8> {
    let [own, stock] = [KernelChoice::Auto, KernelChoice::Tract].map(|kernel| {
        let options = EngineOptions { kernel, threads: 2 };
        let mut engine = Engine::from_onnx_with(model, &entry("x", x), &entry("y", y), &options).unwrap();
        let first = engine.run(input).unwrap().to_vec();
        // The state is kept between frames, and must not keep a frame.
        engine.run(&vec![9; input.len()]).unwrap();
        assert_eq!(engine.run(input).unwrap(), first);
        first
    });
    let far = own.iter().zip(&stock).filter(|(own, stock)| own.abs_diff(**stock) > 2 * STOCK_STEP).count();
    assert_eq!(far, 0, "own {own:?}, stock {stock:?}");
    own
}

/// The specification's convolution, stride 1: padding counts as the zero point.
fn reference_conv(conv: &Conv, x: Shape, input: &[u8]) -> Vec<u8> {
    let [_, inputs, height, width] = x;
    let [outputs, _, kernel_height, kernel_width] = conv.shape;
    let [top, left, bottom, right] = conv.pads;
    let (out_height, out_width) = (height + top + bottom + 1 - kernel_height, width + left + right + 1 - kernel_width);
    let mut result = Vec::new();
    for o in 0..outputs {
        let scale = multiplier(conv.x.0, conv.weight_scales[o], conv.y.0);
        for oy in 0..out_height {
            for ox in 0..out_width {
                let mut sum = conv.bias[o];
                for i in 0..inputs {
                    for ky in 0..kernel_height {
                        for kx in 0..kernel_width {
                            let (y, x) = ((oy + ky).wrapping_sub(top), (ox + kx).wrapping_sub(left));
                            if y < height && x < width {
                                let weight = conv.weights[((o * inputs + i) * kernel_height + ky) * kernel_width + kx];
                                let value = i32::from(input[(i * height + y) * width + x]) - i32::from(conv.x.1);
                                sum += value * i32::from(weight);
                            }
                        }
                    }
                }
                result.push(requantize(sum, scale, i32::from(conv.y.1)));
            }
        }
    }
    result
}

fn ramp(len: usize, step: usize) -> Vec<u8> {
    (0..len).map(|index| (index * step) as u8).collect()
}

/// A convolution of `shape` with weights and biases that differ everywhere.
fn conv_of(shape: Shape, pads: [usize; 4], x: (f32, u8), y: (f32, u8)) -> Conv {
    let [outputs, inputs, height, width] = shape;
    let count = outputs * inputs * height * width;
    Conv {
        shape,
        weights: (0..count).map(|index| ((index * 37) % 255) as u8 as i8).map(|weight| weight.max(-127)).collect(),
        weight_scales: (0..outputs).map(|channel| 0.01 + 0.003 * channel as f32).collect(),
        bias: (0..outputs).map(|channel| channel as i32 * 701 - 900).collect(),
        pads,
        x,
        y,
    }
}

#[track_caller]
fn check_conv(conv: &Conv, size: [usize; 2], input: &[u8], tolerance: u8) {
    let x = [1, conv.shape[1], size[0], size[1]];
    let [top, left, bottom, right] = conv.pads;
    let y = [1, conv.shape[0], size[0] + top + bottom + 1 - conv.shape[2], size[1] + left + right + 1 - conv.shape[3]];
    let model = Graph::new("x", x).conv("x", "y", conv).finish("y", y);
    let found = run(&model, x, y, input);
    let expected = reference_conv(conv, x, input);
    assert_eq!(found.len(), expected.len());
    for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert!(found.abs_diff(*expected) <= tolerance, "value {index}: expected {expected}, found {found}");
    }
}

#[test]
fn conv_1x1_by_hand() {
    // (3 - 1) * 2 + 1 = 5, halved to 2.5: to the even 2, plus the zero point 10. (7 - 1) * 2 + 1 = 13, 6.5: 6, 16.
    let conv = Conv {
        shape: [1, 1, 1, 1],
        weights: vec![2],
        weight_scales: vec![0.5],
        bias: vec![1],
        pads: [0; 4],
        x: (1.0, 1),
        y: (1.0, 10),
    };
    assert_eq!(reference_conv(&conv, [1, 1, 1, 2], &[3, 7]), [12, 16]);
    let model = Graph::new("x", [1, 1, 1, 2]).conv("x", "y", &conv).finish("y", [1, 1, 1, 2]);
    let found = run(&model, [1, 1, 1, 2], [1, 1, 1, 2], &[3, 7]);
    assert!(found[0].abs_diff(12) <= STOCK_STEP && found[1].abs_diff(16) <= STOCK_STEP, "{found:?}");
}

#[test]
fn conv_3x3_pads_with_the_zero_point() {
    // All weights 1, input at the zero point everywhere: whatever the padding, every sum is the bias.
    let conv = Conv {
        shape: [1, 1, 3, 3],
        weights: vec![1; 9],
        weight_scales: vec![1.0],
        bias: vec![7],
        pads: [1; 4],
        x: (1.0, 128),
        y: (1.0, 0),
    };
    let model = Graph::new("x", [1, 1, 4, 4]).conv("x", "y", &conv).finish("y", [1, 1, 4, 4]);
    assert_eq!(run(&model, [1, 1, 4, 4], [1, 1, 4, 4], &[128; 16]), [7; 16]);
}

#[test]
fn output_zero_point_zero_clamps_like_relu_and_the_top_saturates() {
    let conv = Conv {
        shape: [2, 1, 1, 1],
        weights: vec![1, -1],
        weight_scales: vec![2.0, 1.0],
        bias: vec![0, 0],
        pads: [0; 4],
        x: (1.0, 0),
        y: (1.0, 0),
    };
    let model = Graph::new("x", [1, 1, 1, 3]).conv("x", "y", &conv).finish("y", [1, 2, 1, 3]);
    assert_eq!(run(&model, [1, 1, 1, 3], [1, 2, 1, 3], &[0, 100, 200]), [0, 200, 255, 0, 0, 0]);
}

#[test]
fn every_kernel_size_of_a_u_net_agrees_with_the_reference() {
    for (shape, pads) in [
        ([5, 3, 3, 3], [1; 4]),
        ([4, 3, 1, 1], [0; 4]),
        ([4, 2, 2, 2], [0, 0, 1, 1]),
        ([4, 2, 2, 2], [1, 1, 0, 0]),
        ([4, 2, 2, 2], [0, 1, 1, 0]),
        ([12, 3, 1, 1], [0; 4]),
        ([1, 1, 5, 5], [2; 4]),
    ] {
        for (x_zero_point, y_zero_point) in [(0, 0), (0, 131), (3, 0), (128, 128), (255, 255)] {
            let conv = conv_of(shape, pads, (0.02, x_zero_point), (0.11, y_zero_point));
            check_conv(&conv, [6, 9], &ramp(shape[1] * 54, 29), STOCK_STEP);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_convolutions_agree_within_a_step(
        seed in prop::collection::vec(any::<u8>(), 200),
        outputs in 1..6usize, inputs in 1..5usize, kernel in 1..4usize,
        height in 3..9usize, width in 3..9usize,
        x_zero_point in any::<u8>(), y_zero_point in any::<u8>(), y_scale in 0.05f32..2.0,
    ) {
        let byte = |index: usize| seed[index % seed.len()];
        let pad = usize::from(kernel == 3);
        let conv = Conv {
            shape: [outputs, inputs, kernel, kernel],
            weights: (0..outputs * inputs * kernel * kernel).map(|index| (byte(index) as i8).max(-127)).collect(),
            weight_scales: (0..outputs).map(|index| 0.001 + f32::from(byte(index + 90)) * 1e-4).collect(),
            bias: (0..outputs).map(|index| (i32::from(byte(index + 50)) - 128) * 40).collect(),
            pads: [pad; 4],
            x: (0.05, x_zero_point),
            y: (y_scale, y_zero_point),
        };
        let input: Vec<u8> = (0..inputs * height * width).map(|index| byte(index * 7 + 3)).collect();
        check_conv(&conv, [height, width], &input, STOCK_STEP);
    }
}

#[test]
fn max_pool_on_u8() {
    let model = Graph::new("x", [1, 2, 2, 4]).max_pool("x", "y").finish("y", [1, 2, 1, 2]);
    let input = [0, 255, 1, 2, 127, 128, 4, 3, 0, 0, 200, 9, 0, 0, 9, 9];
    assert_eq!(run(&model, [1, 2, 2, 4], [1, 2, 1, 2], &input), [255, 4, 0, 200]);
}

#[test]
fn nearest_resize_on_u8_repeats_pixels() {
    let expected = [1, 1, 200, 200, 1, 1, 200, 200, 3, 3, 4, 4, 3, 3, 4, 4];
    // `asymmetric` with `floor` is what the host writes; the others mean the same for a factor of 2.
    for (coordinates, nearest) in [
        ("asymmetric", "floor"),
        ("half_pixel", "round_prefer_floor"),
        ("half_pixel", "round_prefer_ceil"),
        ("pytorch_half_pixel", "round_prefer_floor"),
    ] {
        for opset in [13, 17, 18] {
            let shape = [1, 1, 4, 4];
            let model = Graph::new("x", [1, 1, 2, 2]).resize("x", "y", coordinates, nearest);
            let model = model.finish_as("y", shape, DataType::Uint8, opset);
            assert_eq!(
                run(&model, [1, 1, 2, 2], shape, &[1, 200, 3, 4]),
                expected,
                "{coordinates} {nearest}, opset {opset}"
            );
        }
    }
}

#[test]
fn depth_to_space_on_u8() {
    // DCR: channel = (block_row * 2 + block_column) * C + c. CRD: channel = c * 4 + block_row * 2 + block_column.
    let input = ramp(8, 31);
    let channel = |index: usize| input[index];
    for (mode, order) in [("DCR", [0, 2, 4, 6, 1, 3, 5, 7]), ("CRD", [0, 1, 2, 3, 4, 5, 6, 7])] {
        let model = Graph::new("x", [1, 8, 1, 1]).depth_to_space("x", "y", mode).finish("y", [1, 2, 2, 2]);
        assert_eq!(run(&model, [1, 8, 1, 1], [1, 2, 2, 2], &input), order.map(channel), "{mode}");
    }
    // And over more than one pixel: row 0 of the output is block row 0 of both pixels.
    let model = Graph::new("x", [1, 4, 1, 2]).depth_to_space("x", "y", "DCR").finish("y", [1, 1, 2, 4]);
    let found = run(&model, [1, 4, 1, 2], [1, 1, 2, 4], &[1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(found, [1, 3, 2, 4, 5, 7, 6, 8]);
}

/// Everything that follows a convolution gets a tensor whose type carries its quantization inside tract; the values
/// must pass through pool, resize, depth-to-space and concat as they are.
#[test]
fn operators_after_a_convolution_keep_its_bytes() {
    let shape = [1, 1, 4, 4];
    let identity = |channels: usize| Conv {
        shape: [channels, 1, 1, 1],
        weights: vec![1; channels],
        weight_scales: vec![1.0; channels],
        bias: vec![0; channels],
        pads: [0; 4],
        x: (0.25, 0),
        y: (0.25, 0),
    };
    let input = ramp(16, 16);
    let pooled: Vec<u8> = [5, 7, 13, 15].iter().map(|&index: &usize| input[index]).collect();

    let graph = Graph::new("x", shape).conv("x", "a", &identity(1)).max_pool("a", "p");
    let graph = graph.resize("p", "r", "asymmetric", "floor").concat(["a", "r"], "y");
    let repeated: Vec<u8> = (0..16).map(|index| pooled[(index / 8) * 2 + (index % 4) / 2]).collect();
    let expected = [input.clone(), repeated].concat();
    assert_eq!(run(&graph.finish("y", [1, 2, 4, 4]), shape, [1, 2, 4, 4], &input), expected);

    let graph = Graph::new("x", shape).conv("x", "a", &identity(4)).depth_to_space("a", "y", "DCR");
    let expected: Vec<u8> = (0..64).map(|index| input[(index / 16) * 4 + (index % 8) / 2]).collect();
    assert_eq!(run(&graph.finish("y", [1, 1, 8, 8]), shape, [1, 1, 8, 8], &input), expected);
}

/// A skip and what it is concatenated with have been made by different convolutions with one shared output quantization.
#[test]
fn a_small_u_net_agrees_with_the_reference_layer_by_layer() {
    let x = [1, 1, 8, 8];
    let quantization = (0.1, 0);
    let encoder = conv_of([4, 1, 3, 3], [1; 4], (0.02, 0), quantization);
    let bottom = conv_of([4, 4, 3, 3], [1; 4], quantization, (0.3, 0));
    let up = conv_of([16, 4, 1, 1], [0; 4], (0.3, 0), quantization);
    let head = conv_of([3, 8, 1, 1], [0; 4], quantization, (0.4, 120));
    let model = Graph::new("x", x)
        .conv("x", "skip", &encoder)
        .max_pool("skip", "pooled")
        .conv("pooled", "deep", &bottom)
        .conv("deep", "blocks", &up)
        .depth_to_space("blocks", "up", "DCR")
        .concat(["skip", "up"], "joined")
        .conv("joined", "y", &head)
        .finish("y", [1, 3, 8, 8]);
    let input = ramp(64, 41);
    let found = run(&model, x, [1, 3, 8, 8], &input);

    let skip = reference_conv(&encoder, x, &input);
    let pooled: Vec<u8> = (0..64)
        .map(|index| {
            let (channel, y, x) = (index / 16, index / 4 % 4, index % 4);
            let at = |dy: usize, dx: usize| skip[channel * 64 + (2 * y + dy) * 8 + 2 * x + dx];
            at(0, 0).max(at(0, 1)).max(at(1, 0)).max(at(1, 1))
        })
        .collect();
    let blocks = reference_conv(&up, [1, 4, 4, 4], &reference_conv(&bottom, [1, 4, 4, 4], &pooled));
    let raised = (0..256).map(|index| {
        let (channel, y, x) = (index / 64, index / 8 % 8, index % 8);
        blocks[((y % 2 * 2 + x % 2) * 4 + channel) * 16 + y / 2 * 4 + x / 2]
    });
    let joined: Vec<u8> = skip.iter().copied().chain(raised).collect();
    let expected = reference_conv(&head, [1, 8, 8, 8], &joined);
    // A step in an early layer spreads to the values that depend on it.
    let differing = found.iter().zip(&expected).filter(|(found, expected)| found.abs_diff(**expected) > 2).count();
    assert_eq!(differing, 0, "expected {expected:?}, found {found:?}");
    let distinct: std::collections::BTreeSet<_> = expected.iter().collect();
    assert!(distinct.len() > 20, "a saturated net would prove nothing: {} values", distinct.len());
}

fn tiny() -> Package {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.unet");
    let (manifest, members) = tiny_package::parts();
    package::write(&path, manifest, members).unwrap();
    Package::read(&path).unwrap()
}

#[test]
fn a_package_loads_and_gives_the_recorded_logits() {
    let mut engine = Engine::load(&tiny()).unwrap();
    let input = vec![40; tiny_package::PIXELS];
    assert_eq!(engine.run(&input).unwrap(), tiny_package::logits_of(&input));
    assert_eq!((engine.name(), engine.threads()), ("integer", 1));
    assert_eq!(engine.describe().left_to_tract, None);
}

#[test]
fn a_node_that_is_not_covered_leaves_the_graph_to_tract_and_is_named() {
    let (x, y) = ([1, 1, 4, 4], [1, 1, 2, 2]);
    let clip = Graph::new("x", x).max_pool("x", "a").node("Relu", &["a".to_owned()], "y", Vec::new()).finish("y", y);
    let load = |kernel| {
        let options = EngineOptions { kernel, threads: 1 };
        Engine::from_onnx_with(&clip, &entry("x", x), &entry("y", y), &options)
    };
    let engine = load(KernelChoice::Auto).unwrap();
    assert_eq!((engine.name(), engine.kernel()), ("tract", "tract"));
    let reason =
        "node y.node (Relu): operand a: expected f32 of a Conv or an Add with no other reader, or of an activation";
    assert_eq!(engine.describe().left_to_tract.as_deref(), Some(reason));
    let error = load(KernelChoice::Only(Kernel::Scalar)).unwrap_err();
    let expected = format!("kernel scalar can run no part of this graph: {reason}; use auto or tract");
    assert_eq!(error.to_string(), expected);
}

#[test]
fn kernels_are_chosen_by_name() {
    for kernel in Kernel::ALL {
        assert_eq!(kernel.name().parse(), Ok(KernelChoice::Only(kernel)));
    }
    assert_eq!("auto".parse(), Ok(KernelChoice::Auto));
    assert_eq!("tract".parse(), Ok(KernelChoice::Tract));
    assert!("mmx".parse::<KernelChoice>().unwrap_err().to_string().contains("found mmx"));
}

#[test]
fn golden_vectors_that_come_out_otherwise_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let load = |change: fn(&mut Manifest, &mut Members)| {
        let (mut manifest, mut members) = tiny_package::parts();
        change(&mut manifest, &mut members);
        let path = folder.path().join("golden.unet");
        package::write(&path, manifest, members).unwrap();
        Engine::load(&Package::read(&path).unwrap()).unwrap_err()
    };
    let mask = load(|_, members| members[2].1[130] = 0);
    assert_eq!(mask.to_string(), "golden vector golden/0.input: expected class 0 at (2, 8), found 1");
    let logits = load(|manifest, _| manifest.golden[0].logits = Digest::of(b"other"));
    assert!(logits.to_string().contains(&Digest::of(b"other").to_string()), "{logits}");
    assert!(matches!(logits, InferenceError::GoldenLogits { .. }));
}

/// Golden vectors are bytes on both ends, so they come out equal whatever the manifest says of the bytes' meaning.
#[test]
fn a_package_whose_quantization_is_not_the_graphs_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let load = |change: fn(&mut Manifest)| {
        let (mut manifest, members) = tiny_package::parts();
        change(&mut manifest);
        let path = folder.path().join("scale.unet");
        package::write(&path, manifest, members).unwrap();
        Engine::load(&Package::read(&path).unwrap()).unwrap_err().to_string()
    };
    let input = load(|manifest| manifest.model.input.quantization.scale *= 2.0);
    assert!(input.starts_with("manifest expects quantization of the input scale "), "{input}");
    let output = load(|manifest| manifest.model.output.quantization.zero_point ^= 1);
    assert!(output.starts_with("manifest expects quantization of the output scale "), "{output}");
}

#[track_caller]
fn check_mismatch(model: &[u8], x: TensorEntry, y: TensorEntry, expected: &str) {
    let error = Engine::from_onnx(model, &x, &y).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_graph_that_is_not_the_manifests_is_refused() {
    let (x, y) = ([1, 1, 4, 4], [1, 1, 2, 2]);
    let model = Graph::new("x", x).max_pool("x", "y").finish("y", y);
    check_mismatch(&model, entry("image", x), entry("y", y), "manifest expects input image, model has x");
    check_mismatch(&model, entry("x", x), entry("logits", y), "manifest expects output logits, model has y");
    let wide = [1, 1, 4, 6];
    check_mismatch(&model, entry("x", wide), entry("y", y), "manifest expects input 1x1x4x6, model has 1x1x4x4");
    check_mismatch(&model, entry("x", x), entry("y", x), "manifest expects output 1x1x4x4, model has 1x1x2x2");
    // What the file declares may be a lie: the shape that the operators give counts.
    let lying = Graph::new("x", x).max_pool("x", "y").finish("y", x);
    check_mismatch(&lying, entry("x", x), entry("y", x), "manifest expects output 1x1x4x4, model has 1x1x2x2");
    let float = Graph::new("x", x).max_pool("x", "y").finish_as("y", y, DataType::Float, 13);
    check_mismatch(&float, entry("x", x), entry("y", y), "manifest expects output y of uint8, model has float");
    let unmade = Graph::new("x", x).max_pool("x", "z").finish("y", y);
    check_mismatch(
        &unmade,
        entry("x", x),
        entry("y", y),
        "manifest expects a node that makes output y, model has none",
    );
    for (opset, found) in [(11, "11"), (12, "12"), (19, "19"), (0, "0")] {
        let model = Graph::new("x", x).max_pool("x", "y").finish_as("y", y, DataType::Uint8, opset);
        let expected = format!("manifest expects an operator set of version 13 to 18, model has {found}");
        check_mismatch(&model, entry("x", x), entry("y", y), &expected);
    }
    check_mismatch(&[], entry("x", x), entry("y", y), "manifest expects a graph with nodes, model has none");
}

#[test]
fn broken_models_are_errors_and_not_panics() {
    let (x, y) = ([1, 1, 4, 4], [1, 1, 2, 2]);
    let load = |model: &[u8]| Engine::from_onnx(model, &entry("x", x), &entry("y", y));
    let unknown = Graph::new("x", x).node("Frobnicate", &["x".to_owned()], "y", Vec::new()).finish("y", y);
    let error = load(&unknown).unwrap_err();
    assert!(matches!(error, InferenceError::Graph { .. }), "{error}");
    let dangling = Graph::new("x", x).max_pool("nowhere", "y").finish("y", y);
    let error = load(&dangling).unwrap_err();
    assert!(matches!(error, InferenceError::Graph { .. }), "{error}");
    // tract divides by the block size before it looks at it.
    let attributes = [("blocksize", 0)].map(|(name, value)| quantized_onnx::int(name, value)).to_vec();
    let zero = Graph::new("x", x).node("DepthToSpace", &["x".to_owned()], "y", attributes).finish("y", y);
    let error = load(&zero).unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("panic inside tract"), "{source}");
    let whole = Graph::new("x", x).max_pool("x", "y").finish("y", y);
    load(&whole).unwrap();
    for length in 0..whole.len() {
        let error = load(&whole[..length]).unwrap_err();
        let expected = matches!(error, InferenceError::Graph { .. } | InferenceError::Mismatch { .. });
        assert!(expected, "{length}: {error}");
    }
}

proptest! {
    #[test]
    fn an_altered_model_never_panics(position in any::<prop::sample::Index>(), bit in 0..8u32) {
        let conv = conv_of([2, 1, 3, 3], [1; 4], (0.1, 0), (0.1, 0));
        let (x, y) = ([1, 1, 4, 4], [1, 2, 2, 2]);
        let mut model = Graph::new("x", x).conv("x", "a", &conv).max_pool("a", "y").finish("y", y);
        let index = position.index(model.len());
        model[index] ^= 1 << bit;
        if let Ok(mut engine) = Engine::from_onnx(&model, &entry("x", x), &entry("y", y)) {
            // It may well run, to whatever numbers; or say that it does not.
            if let Ok(logits) = engine.run(&[5; 16]) {
                prop_assert_eq!(logits.len(), 8);
            }
        }
    }
}

#[test]
fn a_graph_that_asks_for_absurd_memory_is_refused() {
    let x = [1, 1, 4, 4];
    let mut graph = Graph::new("x", x);
    let mut side = 4;
    let mut from = "x".to_owned();
    for step in 0..16 {
        let to = format!("r{step}");
        graph = graph.resize(&from, &to, "asymmetric", "floor");
        (from, side) = (to, side * 2);
    }
    let y = [1, 1, side, side];
    let model = graph.finish(&from, y);
    let error = Engine::from_onnx(&model, &entry("x", x), &entry(&from, y)).unwrap_err();
    assert!(matches!(error, InferenceError::TooLarge { .. }), "{error}");
}

#[test]
fn a_frame_of_another_size_is_skipped() {
    let model = tiny_package::model();
    let mut engine = Engine::from_onnx(&model, &tiny_package::input(), &tiny_package::output()).unwrap();
    for length in [0, 255, 257] {
        let error = engine.run(&vec![0; length]).unwrap_err();
        assert_eq!(error.to_string(), format!("model input: expected 256 bytes, found {length}"));
    }
}

/// A sigmoid in f32 between two convolutions: its values at 0, 0.5 and 1 are no halves of a step.
#[test]
fn a_node_in_between_is_run_by_tract_and_the_convolutions_around_it_by_the_engine() {
    let shape = [1, 1, 1, 3];
    let conv = |y| Conv {
        shape: [1, 1, 1, 1],
        weights: vec![1],
        weight_scales: vec![1.0],
        bias: vec![0],
        pads: [0; 4],
        x: (0.5, 1),
        y,
    };
    let model = Graph::new("x", shape)
        .conv_pairs("x", "a", &conv((0.5, 1)), false)
        .dequantize("a", "a.real", (0.5, 1))
        .node("Sigmoid", &["a.real".to_owned()], "b", Vec::new())
        .quantize("b", "c", (0.5, 1))
        .conv_pairs("c", "y", &conv((0.1, 0)), false)
        .finish("y", shape);
    let options = EngineOptions { kernel: KernelChoice::Only(Kernel::Scalar), threads: 2 };
    let mut engine = Engine::from_onnx_with(&model, &entry("x", shape), &entry("y", shape), &options).unwrap();
    assert_eq!((engine.name(), engine.kernel()), ("integer+tract", "scalar"));
    for _ in 0..3 {
        // -10, 0 and 10 become 0, 0.5 and 1.
        assert_eq!(engine.run(&[0, 1, 21]).unwrap()[1..], [5, 10]);
        assert_eq!(engine.run(&[21, 21, 1]).unwrap(), [10, 10, 5]);
    }
    let description = engine.describe();
    assert_eq!(description.nodes.len(), 2);
    assert_eq!(description.tract_nodes.len(), 1);
    assert_eq!(
        description.left_to_tract.as_deref(),
        Some("node b.node (Sigmoid): expected an operator that the integer engine has")
    );
    // Both parts enter, run and leave or find the classes; the rest is tract's.
    let parts: Vec<Part> = engine.into_model().times().into_iter().map(|time| time.part).collect();
    assert_eq!(parts, [Part::Enter, Part::Node(0), Part::Leave, Part::Enter, Part::Node(1), Part::Tract]);
}

/// The last node is tract's, so that the classes are those of its f32.
#[test]
fn a_graph_that_ends_in_a_node_of_tract_gives_its_classes() {
    let shape = [1, 2, 1, 2];
    let conv = Conv {
        shape: [2, 2, 1, 1],
        weights: vec![1, 0, 0, 1],
        weight_scales: vec![1.0; 2],
        bias: vec![0; 2],
        pads: [0; 4],
        x: (1.0, 100),
        y: (1.0, 100),
    };
    let model = Graph::new("x", shape)
        .conv_pairs("x", "a", &conv, false)
        .dequantize("a", "a.real", (1.0, 100))
        .node("Softmax", &["a.real".to_owned()], "y", vec![quantized_onnx::int("axis", 1)])
        .finish_as("y", shape, DataType::Float, 13);
    let mut model = Model::open("net.onnx", &model, None, &EngineOptions::default()).unwrap();
    assert_eq!(model.name(), "integer+tract");
    let mut mask = [9; 2];
    model.segment(Frame::Bytes(&[7, 3, 2, 5]), &mut mask).unwrap();
    assert_eq!(mask, [0, 1]);
}

/// A pool that the engine lacks, on the bytes of the form with integer operators.
#[test]
fn bytes_go_from_the_engine_to_tract_and_back() {
    let shape = [1, 1, 4, 4];
    let conv = Conv {
        shape: [1, 1, 1, 1],
        weights: vec![1],
        weight_scales: vec![1.0],
        bias: vec![0],
        pads: [0; 4],
        x: (0.5, 3),
        y: (0.5, 3),
    };
    let attributes = [("kernel_shape", &[2, 2][..]), ("dilations", &[2, 2]), ("pads", &[0, 0, 2, 2])];
    let attributes = attributes.map(|(name, values)| quantized_onnx::ints(name, values)).to_vec();
    let model = Graph::new("x", shape)
        .conv("x", "a", &conv)
        .node("MaxPool", &["a".to_owned()], "b", attributes)
        .conv("b", "y", &conv)
        .finish("y", shape);
    let input = ramp(16, 15);
    // Ascending values: the largest of a window is its last, two rows below and two columns right if there are such.
    let last = |at: usize| if at < 2 { at + 2 } else { at };
    let expected: Vec<u8> = (0..16).map(|at| input[last(at / 4) * 4 + last(at % 4)]).collect();
    let mut engine = Engine::from_onnx(&model, &entry("x", shape), &entry("y", shape)).unwrap();
    assert_eq!(engine.name(), "integer+tract");
    assert_eq!(engine.run(&input).unwrap(), expected);
}
