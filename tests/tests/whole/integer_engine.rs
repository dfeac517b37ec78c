//! The integer engine against the independent interpreter: every byte of every node, with each compute kernel of this core and
//! any number of threads.

use std::collections::BTreeMap;

use tract_onnx::pb::AttributeProto;
use unet_engine::inference::kernel::Kernel;
use unet_engine::inference::{Engine, EngineOptions, KernelChoice};
use unet_shared::manifest::TensorEntry;
use unet_shared::quantization::Quantization;
use unet_tests::node_models::with_output;
use unet_tests::onnx_graph::{GraphBuilder, integer, integers};
use unet_tests::random::Random;
use unet_tests::tiny_unet::TinyUnet;
use unet_tests::{Data, Graph, Tensor};

pub fn kernels() -> impl Iterator<Item = Kernel> {
    Kernel::ALL.into_iter().filter(|kernel| kernel.is_available())
}

fn entry(name: &str, tensor: &Tensor) -> TensorEntry {
    let quantization = Quantization { scale: 1.0, zero_point: 0 };
    TensorEntry { name: name.to_owned(), shape: tensor.nchw().unwrap(), quantization }
}

pub fn bytes(tensor: &Tensor) -> Vec<u8> {
    match tensor.data() {
        Data::U8(values) => values.clone(),
        other => panic!("expected u8, found {:?}", other.data_type()),
    }
}

/// Runs `frames` through the integer engine alone and compares the tensor `output` with the interpreter's.
pub fn check(model: &[u8], output: &str, frames: &[BTreeMap<String, Tensor>], options: EngineOptions) {
    check_by("integer", model, output, frames, options);
}

/// Runs `frames` and compares the tensor `output` with the interpreter's; the engine has to be the one called `name`.
pub fn check_by(name: &str, model: &[u8], output: &str, frames: &[BTreeMap<String, Tensor>], options: EngineOptions) {
    let expected_name = name;
    let model = with_output(model, output).unwrap();
    let graph = Graph::from_bytes(&model).unwrap();
    let mut engine: Option<Engine> = None;
    for frame in frames {
        let (name, input) = frame.first_key_value().unwrap();
        let expected = &graph.run(frame).unwrap()[output];
        let engine = engine.get_or_insert_with(|| {
            Engine::from_onnx_with(&model, &entry(name, input), &entry(output, expected), &options).unwrap()
        });
        assert_eq!(engine.name(), expected_name);
        assert!(engine.run(&bytes(input)).unwrap() == bytes(expected), "{output} with {options:?}");
    }
}

#[test]
fn the_logits_are_the_interpreters_for_each_kernel_and_any_number_of_threads() {
    for (seed, side) in [(1, 20), (2, 32), (3, 44)] {
        let net = TinyUnet::new(seed, side);
        let frames: Vec<_> = (0..2).map(|frame| net.frame(seed * 10 + frame)).collect();
        for kernel in kernels() {
            for threads in [1, 2, 3, 8] {
                check(&net.model, "logits", &frames, EngineOptions { kernel: KernelChoice::Only(kernel), threads });
            }
        }
    }
}

#[test]
fn every_nodes_output_is_the_interpreters() {
    let net = TinyUnet::new(4, 28);
    let frames = [net.frame(40)];
    let values = Graph::from_bytes(&net.model).unwrap().run(&frames[0]).unwrap();
    let nodes: Vec<_> = values.iter().filter(|(name, tensor)| tensor.is_quantized() && *name != "frame").collect();
    assert_eq!(nodes.len(), net.node_count - 1, "every node but the mask");
    for (name, _) in nodes {
        for kernel in kernels() {
            check(&net.model, name, &frames, EngineOptions { kernel: KernelChoice::Only(kernel), threads: 2 });
        }
    }
}

/// One convolution of random numbers with everything that ONNX lets vary.
struct Drawn {
    model: Vec<u8>,
    frame: BTreeMap<String, Tensor>,
}

fn draw(random: &mut Random) -> Drawn {
    let mut pick = |low: i64, high: i64| random.integer(low, high);
    let group = [1, 1, 2, 3, 8][pick(0, 4) as usize];
    let [depth, height, width, of_group] =
        [pick(1, 37 / group), pick(4, 19), pick(4, 40), pick(1, 35 / group)].map(|v| v as usize);
    let [channels, out] = [depth, of_group].map(|channels| channels * group as usize);
    let kernel = [[1, 1], [2, 2], [3, 3], [3, 1], [4, 3]][pick(0, 4) as usize];
    let pads: Vec<i64> = [kernel[0], kernel[1], kernel[0], kernel[1]].iter().map(|&side| pick(0, side - 1)).collect();
    let strides = [pick(1, 2), pick(1, 2)];
    let dilations = [(0, height), (1, width)].map(|(axis, size)| {
        let dilation = pick(1, 3);
        if (kernel[axis] - 1) * dilation < size as i64 { dilation } else { 1 }
    });
    let (is_unsigned, is_per_channel, has_bias) = (pick(0, 1) == 1, pick(0, 1) == 1, pick(0, 3) > 0);
    let shape = [out, depth, kernel[0] as usize, kernel[1] as usize];
    let count: usize = shape.iter().product();
    let mut builder = GraphBuilder::new();
    let frame = Tensor::new(&[1, channels, height, width], Data::U8(random.bytes(channels * height * width))).unwrap();
    let x = builder.input("x", &frame);
    let mut scalar = |name: &str, data: Data| builder.constant(name, Tensor::new(&[], data).unwrap());
    let x_scale = scalar("x_scale", Data::F32(vec![0.02]));
    let x_zero_point = scalar("x_zero_point", Data::U8(vec![random.integer(0, 255) as u8]));
    let y_scale = scalar("y_scale", Data::F32(vec![0.05 + 0.01 * (count as f32 / out as f32)]));
    let y_zero_point = scalar("y_zero_point", Data::U8(vec![random.integer(0, 255) as u8]));
    let parameters = if is_per_channel { vec![out] } else { vec![] };
    let each = parameters.iter().product::<usize>();
    let scales = (0..each).map(|_| 0.01 + 0.04 * random.unit()).collect();
    let (weights, zero_points) = if is_unsigned {
        (Data::U8(random.bytes(count)), Data::U8(random.bytes(each)))
    } else {
        let signed = |bytes: Vec<u8>| Data::I8(bytes.into_iter().map(|byte| byte as i8).collect());
        (signed(random.bytes(count)), signed(random.bytes(each)))
    };
    let w = builder.constant("w", Tensor::new(&shape, weights).unwrap());
    let w_scale = builder.constant("w_scale", Tensor::new(&parameters, Data::F32(scales)).unwrap());
    let w_zero_point = builder.constant("w_zero_point", Tensor::new(&parameters, zero_points).unwrap());
    let bias = (0..out).map(|_| random.integer(-30_000, 30_000) as i32).collect();
    let bias = builder.constant("bias", Tensor::new(&[out], Data::I32(bias)).unwrap());
    let operands =
        [&x, &x_scale, &x_zero_point, &w, &w_scale, &w_zero_point, &y_scale, &y_zero_point, &bias].map(String::as_str);
    // tract takes an operand that is not there, but none that is left out by an empty name.
    let operands = if has_bias { &operands[..] } else { &operands[..8] };
    let attributes: Vec<AttributeProto> =
        [("kernel_shape", &kernel[..]), ("pads", &pads), ("strides", &strides), ("dilations", &dilations)]
            .map(|(name, values)| integers(name, values))
            .into_iter()
            .chain([integer("group", group)])
            .collect();
    builder.node("y", "QLinearConv", operands, attributes);
    builder.output("y");
    Drawn { model: builder.finish(13), frame: BTreeMap::from([("x".to_owned(), frame)]) }
}

#[test]
fn convolutions_of_any_zero_points_pads_and_strides_are_the_interpreters() {
    let mut random = Random::new(11);
    for _ in 0..60 {
        let drawn = draw(&mut random);
        for kernel in kernels() {
            let options = EngineOptions { kernel: KernelChoice::Only(kernel), threads: 2 };
            check(&drawn.model, "y", std::slice::from_ref(&drawn.frame), options);
        }
    }
}
