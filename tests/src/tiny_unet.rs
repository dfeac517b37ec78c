//! A seeded U-Net of a few channels, quantized like the host's exports: u8 activations, s8 weights with a scale per
//! channel and scalar zero points, and one quantization for a skip and the tensor it is concatenated with. It upsamples
//! in both ways: nearest + 3x3 convolution, and 1x1 convolution + depth-to-space.
//!
//! Its weights are random and its scales fit one frame: it is for comparing runtimes, and segments nothing.

use crate::onnx_graph::{GraphBuilder, integer, integers, run_one, text};
use crate::random::Random;
use crate::tensor::{Data, Tensor};
use std::collections::BTreeMap;
use tract_onnx::pb::{AttributeProto, tensor_proto::DataType};

const CLASSES: usize = 3;
/// The scale of every activation but the frame.
const ACTIVATION_SCALE: f32 = 0.03;
/// Output steps per standard deviation of a channel's sums, so that outputs cover most of the range.
const STEPS_PER_DEVIATION: f64 = 60.0;

/// The model and its input size.
#[derive(Clone, Debug)]
pub struct TinyUnet {
    /// The encoded model: input `frame` u8 1x1xSxS, outputs `logits` u8 1x3xSxS and `mask` i64 1x1xSxS.
    pub model: Vec<u8>,
    /// The number of nodes, all of which touch 8-bit tensors.
    pub node_count: usize,
    side: usize,
}

struct Builder {
    graph: GraphBuilder,
    random: Random,
    node_count: usize,
    /// Every constant, and every activation on the frame that the scales are fitted to.
    values: BTreeMap<String, Tensor>,
}

/// A u8 activation: its tensor, channels and zero point. The scale is that of the frame or [`ACTIVATION_SCALE`].
#[derive(Clone)]
struct Activation {
    name: String,
    channels: usize,
    zero_point: u8,
    scale: f32,
}

impl TinyUnet {
    /// A network for frames of `side` x `side`; `side` must be a multiple of 4.
    pub fn new(seed: u64, side: usize) -> TinyUnet {
        let values = blobs(seed ^ 0x5eed, side);
        let mut b = Builder { graph: GraphBuilder::new(), random: Random::new(seed), node_count: 0, values };
        let name = b.graph.input("frame", &b.values["frame"]);
        let frame = Activation { name, channels: 1, zero_point: 0, scale: 1.0 / 255.0 };

        let skip0 = b.double("down0", &frame, 6);
        let pooled0 = b.pool("pool0", &skip0);
        let skip1 = b.double("down1", &pooled0, 10);
        let pooled1 = b.pool("pool1", &skip1);
        let bottleneck = b.double("bottleneck", &pooled1, 16);

        let grown1 = b.nearest("grow1", &bottleneck);
        let up1 = b.convolution("up1", &grown1, 10, 3, skip1.zero_point);
        let joined1 = b.join("join1", &skip1, &up1);
        let decoded1 = b.double("decode1", &joined1, 10);

        let quarters = b.convolution("quarters0", &decoded1, 4 * 6, 1, skip0.zero_point);
        let up0 = b.interleave("up0", &quarters);
        let joined0 = b.join("join0", &skip0, &up0);
        let decoded0 = b.double("decode0", &joined0, 6);

        let logits = b.convolution("logits", &decoded0, CLASSES, 1, 128);
        b.node("mask", "ArgMax", &[&logits.name], vec![integer("axis", 1)]);
        b.graph.output("logits");
        b.graph.output_of("mask", DataType::Int64);
        TinyUnet { model: b.graph.finish(13), node_count: b.node_count, side }
    }

    /// A frame of random blobs, by the name of the input.
    pub fn frame(&self, seed: u64) -> BTreeMap<String, Tensor> {
        blobs(seed, self.side)
    }
}

/// Noise over a few bright squares, by the name `frame`: smooth and rough parts saturate a network in different places.
fn blobs(seed: u64, side: usize) -> BTreeMap<String, Tensor> {
    let mut random = Random::new(seed);
    let squares: Vec<[i64; 3]> = (0..4).map(|_| std::array::from_fn(|_| random.integer(0, side as i64))).collect();
    let mut pixels = vec![0u8; side * side];
    for (i, pixel) in pixels.iter_mut().enumerate() {
        let (y, x) = ((i / side) as i64, (i % side) as i64);
        let hits = squares.iter().filter(|s| (y - s[0]).abs() * 3 < s[2] && (x - s[1]).abs() * 3 < s[2]).count();
        *pixel = (hits as i64 * 60 + random.integer(0, 70)).min(255) as u8;
    }
    let frame = Tensor::new(&[1, 1, side, side], Data::U8(pixels)).expect("the shape matches the data");
    BTreeMap::from([("frame".to_owned(), frame)])
}

impl Builder {
    fn node(&mut self, name: &str, op: &str, operands: &[&str], attributes: Vec<AttributeProto>) -> String {
        self.node_count += 1;
        let left_out = Tensor::new(&[0], Data::F32(vec![])).expect("no elements");
        let tensors: Vec<&Tensor> = operands.iter().map(|&o| self.values.get(o).unwrap_or(&left_out)).collect();
        let value =
            run_one(op, &tensors, attributes.clone()).expect("the interpreter has all operators of the network");
        self.values.insert(name.to_owned(), value);
        self.graph.node(name, op, operands, attributes)
    }

    fn constant(&mut self, name: String, shape: &[usize], data: Data) -> String {
        let value = Tensor::new(shape, data).expect("the shape matches the data");
        self.values.insert(name.clone(), value.clone());
        self.graph.constant(&name, value)
    }

    /// A convolution that keeps the size, with a ReLU if the zero point is 0. Its bias and scales give the sums of each
    /// channel on the fitted frame a mean of zero and the same standard deviation.
    fn convolution(&mut self, name: &str, x: &Activation, channels: usize, side: usize, zero_point: u8) -> Activation {
        let shape = [channels, x.channels, side, side];
        let weights: Vec<i8> = (0..shape.iter().product()).map(|_| self.random.integer(-127, 127) as i8).collect();
        let (pad, kernel) = ((side / 2) as i64, side as i64);
        let attributes = vec![integers("kernel_shape", &[kernel, kernel]), integers("pads", &[pad; 4])];

        let centred = self.values[&x.name].to_i32().expect("activations are u8");
        let centred = Data::F32(centred.iter().map(|v| (v - i32::from(x.zero_point)) as f32).collect());
        let centred = Tensor::new(self.values[&x.name].shape(), centred).expect("the shape matches the data");
        let floats = Data::F32(weights.iter().map(|&w| f32::from(w)).collect());
        let floats = Tensor::new(&shape, floats).expect("the shape matches the data");
        let sums = run_one("Conv", &[&centred, &floats], attributes.clone()).expect("a plain convolution");
        let sums = sums.as_f32().expect("a convolution of f32");
        let (mut bias, mut scales) = (Vec::new(), Vec::new());
        for plane in sums.chunks_exact(sums.len() / channels) {
            let mean = plane.iter().map(|&v| f64::from(v)).sum::<f64>() / plane.len() as f64;
            let variance = plane.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / plane.len() as f64;
            bias.push(-mean as i32);
            let multiplier = STEPS_PER_DEVIATION / variance.sqrt().max(1.0);
            scales.push((multiplier * f64::from(ACTIVATION_SCALE / x.scale)) as f32);
        }

        let operands = [
            self.constant(format!("{name}_x_scale"), &[], Data::F32(vec![x.scale])),
            self.constant(format!("{name}_x_zero_point"), &[], Data::U8(vec![x.zero_point])),
            self.constant(format!("{name}_w"), &shape, Data::I8(weights)),
            self.constant(format!("{name}_w_scale"), &[channels], Data::F32(scales)),
            self.constant(format!("{name}_w_zero_point"), &[], Data::I8(vec![0])),
            self.constant(format!("{name}_y_scale"), &[], Data::F32(vec![ACTIVATION_SCALE])),
            self.constant(format!("{name}_y_zero_point"), &[], Data::U8(vec![zero_point])),
            self.constant(format!("{name}_bias"), &[channels], Data::I32(bias)),
        ];
        let operands: Vec<&str> = [x.name.as_str()].into_iter().chain(operands.iter().map(String::as_str)).collect();
        let name = self.node(name, "QLinearConv", &operands, attributes);
        Activation { name, channels, zero_point, scale: ACTIVATION_SCALE }
    }

    fn double(&mut self, name: &str, x: &Activation, channels: usize) -> Activation {
        let first = self.convolution(&format!("{name}a"), x, channels, 3, 0);
        self.convolution(&format!("{name}b"), &first, channels, 3, 0)
    }

    fn pool(&mut self, name: &str, x: &Activation) -> Activation {
        let halves = vec![integers("kernel_shape", &[2, 2]), integers("strides", &[2, 2])];
        Activation { name: self.node(name, "MaxPool", &[&x.name], halves), ..x.clone() }
    }

    fn nearest(&mut self, name: &str, x: &Activation) -> Activation {
        let scales = self.constant(format!("{name}_scales"), &[4], Data::F32(vec![1.0, 1.0, 2.0, 2.0]));
        let attributes = vec![
            text("mode", "nearest"),
            text("coordinate_transformation_mode", "asymmetric"),
            text("nearest_mode", "floor"),
        ];
        Activation { name: self.node(name, "Resize", &[&x.name, "", &scales], attributes), ..x.clone() }
    }

    fn interleave(&mut self, name: &str, x: &Activation) -> Activation {
        let attributes = vec![integer("blocksize", 2), text("mode", "DCR")];
        let name = self.node(name, "DepthToSpace", &[&x.name], attributes);
        Activation { name, channels: x.channels / 4, ..x.clone() }
    }

    fn join(&mut self, name: &str, skip: &Activation, up: &Activation) -> Activation {
        let name = self.node(name, "Concat", &[&skip.name, &up.name], vec![integer("axis", 1)]);
        Activation { name, channels: skip.channels + up.channels, ..skip.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interpreter::Graph;

    #[test]
    fn activations_cover_the_range() {
        let tiny = TinyUnet::new(7, 32);
        let values = Graph::from_bytes(&tiny.model).unwrap().run(&tiny.frame(8)).unwrap();
        assert_eq!(values["mask"].shape(), [1, 1, 32, 32]);
        for (name, tensor) in values.iter().filter(|(_, t)| t.is_quantized()) {
            let mut distinct = tensor.to_i32().unwrap();
            distinct.sort_unstable();
            distinct.dedup();
            assert!(distinct.len() > 50, "{name} has only {} distinct values", distinct.len());
        }
    }
}
