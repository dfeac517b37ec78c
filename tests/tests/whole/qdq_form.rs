//! The form in pairs of `DequantizeLinear` and `QuantizeLinear`, run as integers: the same bytes as the host's other form of
//! the same network, and as the interpreter, which computes the f32 in between, wherever f32 is exact.

use std::collections::BTreeMap;

use unet_engine::inference::{Engine, EngineOptions, Frame, KernelChoice, Model};
use unet_host::backend::Backend;
use unet_host::export::fold::graph_of;
use unet_host::model::UNetConfig;
use unet_host::quantize::{Format, calibrate, rewrite};
use unet_shared::manifest::TensorEntry;
use unet_shared::preprocess::Preprocess;
use unet_tests::node_models::with_output_of;
use unet_tests::onnx_graph::{GraphBuilder, integer, integers, text};
use unet_tests::random::Random;
use unet_tests::tensor::Difference;
use unet_tests::{Data, Graph, Tensor};

use crate::integer_engine::{bytes, check, check_by, kernels};
use crate::tiny_run::VARIANTS;

const SIDE: usize = 32;

#[test]
fn both_forms_of_the_host_give_equal_logits_by_each_kernel() {
    for variant in &VARIANTS {
        let channels = variant.channels.count();
        let config = UNetConfig {
            base: 4,
            depth: 2,
            channels,
            classes: 3,
            upsampling: variant.upsampling,
            skips: variant.skips,
            blocks: variant.blocks,
            stem: variant.stem,
            ..UNetConfig::default()
        };
        let graph = graph_of(&config.init(5, &Backend::Flex.device().unwrap()), SIDE, SIDE);
        let preprocess = Preprocess {
            width: SIDE as u32,
            height: SIDE as u32,
            channels: variant.channels,
            normalize: variant.normalize,
            ..Preprocess::CLASSIC
        };
        let mut random = Random::new(21);
        let images = (0..4).map(|_| {
            let tables = (0..channels).map(|channel| preprocess.float_table(channel));
            tables.flat_map(|table| random.bytes(SIDE * SIDE).into_iter().map(move |v| table[usize::from(v)])).collect()
        });
        let calibration = calibrate(&graph, &preprocess, images, || ()).unwrap();
        let forms = [Format::Qlinear, Format::Qdq].map(|format| rewrite(&graph, &calibration, format).unwrap());
        let entry = |name: &str, channels, quantization| TensorEntry {
            name: name.to_owned(),
            shape: [1, channels, SIDE, SIDE],
            quantization,
        };
        let input = entry("image", channels, forms[0].input);
        let output = entry("logits", config.classes, forms[0].output);
        let mut random = Random::new(22);
        for _ in 0..2 {
            let frame = Tensor::new(&input.shape, Data::U8(random.bytes(channels * SIDE * SIDE))).unwrap();
            let reference = Graph::from_bytes(&forms[0].bytes).unwrap();
            let expected = reference.run(&BTreeMap::from([("image".to_owned(), frame.clone())])).unwrap();
            let expected = bytes(&expected["logits"]);
            let distinct: std::collections::BTreeSet<_> = expected.iter().collect();
            assert!(distinct.len() > 50, "{}: {} distinct values prove little", variant.name, distinct.len());
            for kernel in kernels() {
                for form in &forms {
                    let options = EngineOptions { kernel: KernelChoice::Only(kernel), threads: 2 };
                    let mut engine = Engine::from_onnx_with(&form.bytes, &input, &output, &options).unwrap();
                    assert_eq!((engine.name(), engine.kernel()), ("integer", kernel.name()));
                    assert!(engine.run(&bytes(&frame)).unwrap() == expected, "{} by {kernel}", variant.name);
                }
            }
        }
    }
}

/// A graph of pairs in the making.
struct Pairs {
    builder: GraphBuilder,
    constants: usize,
}

impl Pairs {
    fn constant(&mut self, shape: &[usize], data: Data) -> String {
        self.constants += 1;
        self.builder.constant(&format!("constant{}", self.constants), Tensor::new(shape, data).unwrap())
    }

    /// `operator` with one scale and zero point of u8.
    fn pair(&mut self, operator: &str, x: &str, y: &str, (scale, zero_point): (f32, u8)) -> String {
        self.pair_of(operator, x, y, scale, Data::U8(vec![zero_point]))
    }

    /// The same with a zero point of either type.
    fn pair_of(&mut self, operator: &str, x: &str, y: &str, scale: f32, zero_point: Data) -> String {
        let scale = self.constant(&[], Data::F32(vec![scale]));
        let zero_point = self.constant(&[], zero_point);
        self.builder.node(y, operator, &[x, &scale, &zero_point], vec![])
    }

    /// A constant dequantized by `scales` along its first axis, or by the one there is.
    fn dequantized(&mut self, y: &str, value: &str, scales: Vec<f32>, zero_points: Option<Data>) -> String {
        let shape = if scales.len() == 1 { vec![] } else { vec![scales.len()] };
        let scale = self.constant(&shape, Data::F32(scales));
        let zero_point = zero_points.map(|data| self.constant(&shape, data));
        let operands: Vec<&str> = [value, &scale].into_iter().chain(zero_point.as_deref()).collect();
        self.builder.node(y, "DequantizeLinear", &operands, vec![integer("axis", 0)])
    }
}

/// One convolution of random numbers in pairs. All scales are powers of two, so that f32 holds its values exactly.
fn draw(random: &mut Random) -> (Vec<u8>, BTreeMap<String, Tensor>) {
    let mut pick = |low: i64, high: i64| random.integer(low, high);
    let [channels, height, width, out] = [pick(1, 20), pick(4, 13), pick(4, 21), pick(1, 35)].map(|v| v as usize);
    let kernel = [[1, 1], [2, 2], [3, 3], [3, 1], [4, 3]][pick(0, 4) as usize];
    let pads: Vec<i64> = [kernel[0], kernel[1], kernel[0], kernel[1]].iter().map(|&side| pick(0, side - 1)).collect();
    let strides = [pick(1, 2), pick(1, 2)];
    let [is_unsigned, is_per_channel, has_zero_points, has_bias, has_relu] = std::array::from_fn(|_| pick(0, 1) == 1);
    let shape = [out, channels, kernel[0] as usize, kernel[1] as usize];
    let count: usize = shape.iter().product();
    let frame = Tensor::new(&[1, channels, height, width], Data::U8(random.bytes(channels * height * width))).unwrap();
    let mut pairs = Pairs { builder: GraphBuilder::new(), constants: 0 };
    pairs.builder.input("x", &frame);

    let x_scale = 0.5f32.powi(6);
    let x = pairs.pair("DequantizeLinear", "x", "x.real", (x_scale, random.integer(0, 255) as u8));
    let each = if is_per_channel { out } else { 1 };
    let scales: Vec<f32> = (0..each).map(|_| 0.5f32.powi(random.integer(6, 8) as i32)).collect();
    let signed = |bytes: Vec<u8>| Data::I8(bytes.into_iter().map(|byte| byte as i8).collect());
    let (weights, zero_points) = (random.bytes(count), random.bytes(each));
    let (weights, zero_points) =
        if is_unsigned { (Data::U8(weights), Data::U8(zero_points)) } else { (signed(weights), signed(zero_points)) };
    let weights = pairs.constant(&shape, weights);
    let w = pairs.dequantized("w.real", &weights, scales.clone(), has_zero_points.then_some(zero_points));
    let bias: Vec<i32> = (0..out).map(|_| random.integer(-30_000, 30_000) as i32).collect();
    let bias = pairs.constant(&[out], Data::I32(bias));
    let b = pairs.dequantized("b.real", &bias, scales.iter().map(|scale| x_scale * scale).collect(), None);
    let operands = [&x, &w, &b].map(String::as_str);
    let attributes = vec![integers("kernel_shape", &kernel), integers("pads", &pads), integers("strides", &strides)];
    let mut y = pairs.builder.node("conv", "Conv", if has_bias { &operands } else { &operands[..2] }, attributes);
    if has_relu {
        y = pairs.builder.node("relu", "Relu", &[&y], vec![]);
    }
    // Some 60 steps for the deviation of sums of random bytes.
    let deviations = (74.0 * 74.0 * (count as f32 / out as f32).sqrt() / 60.0).log2().round() as i32;
    let y_scale = x_scale * 0.5f32.powi(7) * 2f32.powi(deviations);
    pairs.pair("QuantizeLinear", &y, "y", (y_scale, random.integer(0, 255) as u8));
    pairs.builder.output("y");
    (pairs.builder.finish(13), BTreeMap::from([("x".to_owned(), frame)]))
}

#[test]
fn convolutions_in_pairs_are_the_interpreters() {
    let mut random = Random::new(12);
    for _ in 0..60 {
        let (model, frame) = draw(&mut random);
        for kernel in kernels() {
            let options = EngineOptions { kernel: KernelChoice::Only(kernel), threads: 2 };
            check(&model, "y", std::slice::from_ref(&frame), options);
        }
    }
}

/// Pooling, upsampling, depth-to-space and concatenation between pairs whose two ends differ, as other quantizers write
/// them, and a skip whose scale is not that of what it is joined with.
#[test]
fn data_movement_between_other_scales_is_the_interpreters() {
    let mut random = Random::new(13);
    for _ in 0..20 {
        let frame = Tensor::new(&[1, 4, 12, 20], Data::U8(random.bytes(4 * 12 * 20))).unwrap();
        let mut pairs = Pairs { builder: GraphBuilder::new(), constants: 0 };
        pairs.builder.input("x", &frame);
        let mut quantization = || (0.01 + 0.02 * random.unit(), random.integer(60, 190) as u8);
        let first = quantization();
        let skip = pairs.pair("DequantizeLinear", "x", "skip", first);
        let halves = vec![integers("kernel_shape", &[2, 2]), integers("strides", &[2, 2])];
        pairs.builder.node("pool", "MaxPool", &[&skip], halves);
        pairs.pair("QuantizeLinear", "pool", "pool.bytes", quantization());
        pairs.pair("DequantizeLinear", "pool.bytes", "pool.real", quantization());
        let scales = pairs.constant(&[4], Data::F32(vec![1.0, 1.0, 2.0, 2.0]));
        let nearest =
            [("mode", "nearest"), ("coordinate_transformation_mode", "asymmetric"), ("nearest_mode", "floor")];
        let nearest = nearest.map(|(name, value)| text(name, value)).to_vec();
        pairs.builder.node("up", "Resize", &["pool.real", "", &scales], nearest);
        pairs.pair("QuantizeLinear", "up", "up.bytes", quantization());
        pairs.pair("DequantizeLinear", "up.bytes", "up.real", quantization());
        pairs.builder.node("joined", "Concat", &[&skip, "up.real", &skip], vec![integer("axis", 1)]);
        // As onnxruntime's quantizer has it: the whole has the scale of one of its parts.
        pairs.pair("QuantizeLinear", "joined", "joined.bytes", first);
        pairs.pair("DequantizeLinear", "joined.bytes", "joined.real", quantization());
        let blocks = vec![integer("blocksize", 2), text("mode", "DCR")];
        pairs.builder.node("blocks", "DepthToSpace", &["joined.real"], blocks);
        pairs.pair("QuantizeLinear", "blocks", "y", quantization());
        pairs.builder.output("y");
        let frames = [BTreeMap::from([("x".to_owned(), frame)])];
        let model = pairs.builder.finish(13);
        for output in ["pool.bytes", "up.bytes", "joined.bytes", "y"] {
            for threads in [1, 3] {
                check(&model, output, &frames, EngineOptions { kernel: KernelChoice::Auto, threads });
            }
        }
    }
}

/// A residual addition between convolutions, and an upsampling by linear
/// interpolation that is joined with a skip, which the engine does if `up_zero_point` is that before it, 120. All scales are powers of two,
/// so that f32 is exact.
fn draw_with_nodes_of_tract(random: &mut Random, up_zero_point: u8) -> (Vec<u8>, BTreeMap<String, Tensor>) {
    let frame = Tensor::new(&[1, 3, 8, 12], Data::U8(random.bytes(3 * 8 * 12))).unwrap();
    let mut pairs = Pairs { builder: GraphBuilder::new(), constants: 0 };
    pairs.builder.input("x", &frame);
    let scale = 0.5f32.powi(4);
    let real = pairs.pair("DequantizeLinear", "x", "x.real", (scale, 120));
    let conv = |pairs: &mut Pairs, random: &mut Random, x: &str, y: &str, [out, inner]: [usize; 2], stride| {
        let weights = random.bytes(out * inner * 9).into_iter().map(|byte| (byte as i8) / 16).collect();
        let weights = pairs.constant(&[out, inner, 3, 3], Data::I8(weights));
        let w = pairs.dequantized(&format!("{y}.w"), &weights, vec![0.5f32.powi(5); out], None);
        let bias = (0..out).map(|_| random.integer(-300, 300) as i32).collect();
        let bias = pairs.constant(&[out], Data::I32(bias));
        let b = pairs.dequantized(&format!("{y}.b"), &bias, vec![scale * 0.5f32.powi(5); out], None);
        let attributes = vec![integers("pads", &[1; 4]), integers("strides", &[stride; 2])];
        pairs.builder.node(&format!("{y}.f32"), "Conv", &[x, &w, &b], attributes);
        pairs.pair("QuantizeLinear", &format!("{y}.f32"), y, (scale, 120));
        pairs.pair("DequantizeLinear", y, &format!("{y}.real"), (scale, 120))
    };
    let stem = conv(&mut pairs, random, &real, "stem", [8, 3], 1);
    let inner = conv(&mut pairs, random, &stem, "inner", [8, 8], 1);
    pairs.builder.node("sum", "Add", &[&inner, &stem], vec![]);
    pairs.builder.node("cut", "Relu", &["sum"], vec![]);
    pairs.pair("QuantizeLinear", "cut", "sum.bytes", (2.0 * scale, 0));
    pairs.pair("DequantizeLinear", "sum.bytes", "sum.real", (2.0 * scale, 0));
    // The scale of this one's bias is not that of its sums, so that tract runs it.
    let deep = conv(&mut pairs, random, "sum.real", "deep", [8, 8], 2);
    let low = conv(&mut pairs, random, &deep, "low", [4, 8], 1);
    let scales = pairs.constant(&[4], Data::F32(vec![1.0, 1.0, 2.0, 2.0]));
    let linear = [("mode", "linear"), ("coordinate_transformation_mode", "half_pixel")];
    let linear = linear.map(|(name, value)| text(name, value)).to_vec();
    pairs.builder.node("up", "Resize", &[&low, "", &scales], linear);
    // Behind another quantization the engine does not interpolate.
    pairs.pair("QuantizeLinear", "up", "up.bytes", (scale, up_zero_point));
    pairs.pair("DequantizeLinear", "up.bytes", "up.real", (scale, up_zero_point));
    pairs.builder.node("joined", "Concat", &[&stem, "up.real"], vec![integer("axis", 1)]);
    pairs.pair("QuantizeLinear", "joined", "joined.bytes", (scale, 120));
    pairs.pair("DequantizeLinear", "joined.bytes", "joined.real", (scale, 120));
    conv(&mut pairs, random, "joined.real", "y", [3, 12], 1);
    pairs.builder.output("y");
    (pairs.builder.finish(13), BTreeMap::from([("x".to_owned(), frame)]))
}

#[test]
fn parts_around_nodes_of_tract_are_the_interpreters() {
    let mut random = Random::new(14);
    for up_zero_point in [120, 121, 120, 119, 120, 64] {
        let (model, frame) = draw_with_nodes_of_tract(&mut random, up_zero_point);
        for kernel in kernels() {
            for threads in [1, 3] {
                let options = EngineOptions { kernel: KernelChoice::Only(kernel), threads };
                check_by("integer+tract", &model, "y", std::slice::from_ref(&frame), options);
            }
        }
    }
}

/// The sum of a u8 tensor and a tensor of either type, pooled by windows that are not square, and enlarged by a transposed convolution.
fn draw_sum_pool_and_transposed(
    random: &mut Random,
    is_signed: bool,
    has_relu: bool,
) -> (Vec<u8>, BTreeMap<String, Tensor>) {
    let [channels, out, height, width] = [3, 2, 9, 15];
    let frame = Tensor::new(&[1, channels, height, width], Data::U8(random.bytes(channels * height * width))).unwrap();
    let mut pairs = Pairs { builder: GraphBuilder::new(), constants: 0 };
    pairs.builder.input("x", &frame);
    let zero_point = |random: &mut Random| {
        let byte = random.integer(60, 190) as u8;
        if is_signed { Data::I8(vec![byte.wrapping_sub(128) as i8]) } else { Data::U8(vec![byte]) }
    };
    let first = pairs.pair("DequantizeLinear", "x", "x.real", (0.02, random.integer(100, 156) as u8));
    let (scale, zero) = (0.01 + 0.03 * random.unit(), zero_point(random));
    pairs.pair_of("QuantizeLinear", &first, "other", scale, zero.clone());
    pairs.pair_of("DequantizeLinear", "other", "other.real", scale, zero);
    pairs.builder.node("sum", "Add", &["other.real", &first], vec![]);
    let sum = if has_relu { pairs.builder.node("cut", "Relu", &["sum"], vec![]) } else { "sum".to_owned() };
    let (scale, zero) = (0.04 + 0.02 * random.unit(), zero_point(random));
    pairs.pair_of("QuantizeLinear", &sum, "sum.bytes", scale, zero.clone());
    pairs.pair_of("DequantizeLinear", "sum.bytes", "sum.real", scale, zero.clone());
    let windows = [("kernel_shape", &[3, 2][..]), ("strides", &[2, 1]), ("pads", &[1, 0, 0, 1])];
    let windows = windows.map(|(name, values)| integers(name, values)).to_vec();
    pairs.builder.node("pool", "MaxPool", &["sum.real"], windows);
    pairs.pair_of("QuantizeLinear", "pool", "pool.bytes", scale, zero.clone());
    pairs.pair_of("DequantizeLinear", "pool.bytes", "pool.real", scale, zero);
    let weights = random.bytes(channels * out * 4).into_iter().map(|byte| byte as i8).collect();
    let weights = pairs.constant(&[channels, out, 2, 2], Data::I8(weights));
    let scales: Vec<f32> = (0..out).map(|_| 0.01 + 0.01 * random.unit()).collect();
    let [w_scale, b_scale] = [scales.clone(), scales.iter().map(|w| w * scale).collect()]
        .map(|scales| pairs.constant(&[out], Data::F32(scales)));
    let zeros = pairs.constant(&[out], Data::I8(vec![5; out]));
    pairs.builder.node("w.real", "DequantizeLinear", &[&weights, &w_scale, &zeros], vec![integer("axis", 1)]);
    let bias = (0..out).map(|_| random.integer(-9000, 9000) as i32).collect();
    let bias = pairs.constant(&[out], Data::I32(bias));
    pairs.builder.node("b.real", "DequantizeLinear", &[&bias, &b_scale], vec![integer("axis", 0)]);
    let strides = vec![integers("kernel_shape", &[2, 2]), integers("strides", &[2, 2])];
    pairs.builder.node("large", "ConvTranspose", &["pool.real", "w.real", "b.real"], strides);
    pairs.pair("QuantizeLinear", "large", "y", (0.05, random.integer(60, 190) as u8));
    pairs.builder.output("y");
    (pairs.builder.finish(13), BTreeMap::from([("x".to_owned(), frame)]))
}

#[test]
fn sums_pools_and_transposed_convolutions_are_the_interpreters() {
    let mut random = Random::new(16);
    for round in 0..16 {
        let (model, frame) = draw_sum_pool_and_transposed(&mut random, round % 2 == 1, round % 4 > 1);
        let expected = Graph::from_bytes(&model).unwrap().in_integers().run(&frame).unwrap()["y"].clone();
        let distinct: std::collections::BTreeSet<_> = bytes(&expected).iter().copied().collect();
        assert!(distinct.len() > 20, "{} distinct values prove little", distinct.len());
        for kernel in kernels() {
            let options = EngineOptions { kernel: KernelChoice::Only(kernel), threads: 1 + round % 3 };
            let mut engine = Model::open("drawn", &model, None, &options).unwrap();
            assert_eq!(engine.name(), "integer");
            let Data::U8(pixels) = frame["x"].data() else { unreachable!("frames are u8") };
            let mut mask = vec![0; expected.shape()[2] * expected.shape()[3]];
            engine.segment(Frame::Bytes(pixels), &mut mask).unwrap();
            let mut found = vec![0; engine.logits_len()];
            engine.logits(&mut found).unwrap();
            assert_eq!(found, bytes(&expected), "round {round}, {kernel}");
        }
    }
}

/// The kit's graphs as people have them, where `SEG_DATA` names the kit's folder of data sets: each runs in the engine as far as
/// it is covered. Its quantized logits are exactly those of integer arithmetic if the engine covers it, else within one step.
#[test]
fn the_kits_graphs_are_within_a_step_of_exact_arithmetic() {
    let folder = std::env::var_os("SEG_DATA").map(|data| std::path::PathBuf::from(data).join("../cases/models"));
    let Some(folder) = folder.filter(|folder| folder.is_dir()) else {
        println!("skipped: SEG_DATA names no folder beside which cases/models lies");
        return;
    };
    let mut random = Random::new(15);
    let pixels = (0..3 * 96 * 128).map(|_| random.unit()).collect();
    let frame = Tensor::new(&[1, 3, 96, 128], Data::F32(pixels)).unwrap();
    let inputs = BTreeMap::from([("input".to_owned(), frame.clone())]);
    for (name, engine) in [
        ("z_identity_end", "integer"),
        ("z_constant_nodes", "integer"),
        ("q_nearest_QDQ_US_pc", "integer"),
        ("q_nearest_QDQ_SS_pc", "integer"),
        ("q_nearest_nopre", "integer"),
        ("q_nearest_actsym", "integer"),
        ("q_act_relu6_QDQ_SS", "integer"),
        ("q_act_leaky_QDQ_US", "integer"),
        ("q_bilinear_halfpixel_QDQ_US", "integer"),
        ("q_resunet_QDQ_US", "integer"),
        ("q_mobileunet_QDQ_US", "integer"),
        ("q_dilated_QDQ_US", "integer"),
        ("q_grouped_QDQ_SS", "integer"),
        ("q_maxpool3_QDQ_US", "integer"),
        ("q_convt2_QDQ_US", "integer"),
    ] {
        let model = std::fs::read(folder.join(format!("{name}.onnx"))).unwrap();
        let graph = Graph::from_bytes(&model).unwrap().in_integers();
        let values = graph.run(&inputs).unwrap();
        let last = graph.nodes().iter().rev().find(|node| node.op_type == "QLinearConv").unwrap();
        let expected = &values[&last.output[0]];
        let model = with_output_of(&model, &last.output[0], expected).unwrap();
        let mut model =
            Model::open(name, &model, None, &EngineOptions { kernel: KernelChoice::Auto, threads: 2 }).unwrap();
        assert_eq!(model.name(), engine, "{name}");
        let mut mask = vec![0; 96 * 128];
        model.segment(Frame::Floats(frame.as_f32().unwrap()), &mut mask).unwrap();
        let mut found = vec![0; model.logits_len()];
        model.logits(&mut found).unwrap();
        let found = match expected.data() {
            Data::I8(_) => Data::I8(found.into_iter().map(|byte| byte as i8).collect()),
            _ => Data::U8(found),
        };
        let difference = Difference::between(&Tensor::new(expected.shape(), found).unwrap(), expected).unwrap();
        println!("{name}: {difference:?}");
        let step_max = if engine == "integer" { 0 } else { 1 };
        assert!(difference.step_max <= step_max, "{name}: {difference:?}");
    }
}
