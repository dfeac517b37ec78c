//! Random quantized graphs that the integer engine should take: chains, skips and small U-Nets.

use arbitrary::{Result, Unstructured};
use tract_onnx::pb::ModelProto;
use unet_shared::manifest::TensorEntry;
use unet_shared::quantization::Quantization;
use unet_test_support::quantized_onnx::{Bytes, Graph, QLinearConv};

use crate::numbers::{Numbers, Values};

/// Multiply-accumulates of one frame, so that an input takes milliseconds.
const MACS_MAX: usize = 200_000;
const SIDE_MAX: usize = 24;
const CHANNELS_MAX: usize = 20;
/// The largest side or number of channels after upsampling or concatenation.
const GROWN_MAX: usize = 48;

/// A model with its declared input and output, and frames.
pub struct Case {
    /// The graph.
    pub model: ModelProto,
    /// Its input.
    pub input: TensorEntry,
    /// Its output.
    pub output: TensorEntry,
    /// Frames for it.
    pub frames: [Vec<u8>; 2],
}

/// One activation.
#[derive(Clone, Debug)]
struct Tensor {
    name: String,
    channels: usize,
    size: [usize; 2],
    signed: bool,
    scale: f32,
    /// That of the unsigned form.
    zero_point: u8,
}

struct Builder<'a, 'b> {
    bytes: &'a mut Unstructured<'b>,
    graph: Graph,
    tensors: Vec<Tensor>,
    macs_left: usize,
}

/// Requirements of a convolution; the rest is random.
#[derive(Default)]
struct Wanted {
    kernel: Option<usize>,
    /// The output has the size of the input.
    same: bool,
    channels: Option<usize>,
    unsigned: bool,
}

impl Case {
    /// A graph and two frames for it.
    pub fn arbitrary(bytes: &mut Unstructured<'_>) -> Result<Case> {
        let size = [bytes.int_in_range(1..=SIDE_MAX)?, bytes.int_in_range(1..=SIDE_MAX)?];
        let channels = *bytes.choose(&[1, 3, 4, 2, 7, 8, 16, 20])?;
        let is_unet = bytes.ratio(1, 3)?;
        // So that sizes match again after pooling and upsampling.
        let size = if is_unet { size.map(|side| side.next_multiple_of(4)) } else { size };
        let zero_point = zero_point(bytes)?;
        let name = "image".to_owned();
        let frame = Tensor { name: name.clone(), channels, size, signed: false, scale: 0.01, zero_point };
        let shape = [1, channels, size[0], size[1]];
        let graph = Graph::new(&name, shape);
        let mut builder = Builder { bytes, graph, tensors: vec![frame], macs_left: MACS_MAX };
        if is_unet {
            let depth = builder.bytes.int_in_range(1..=2)?;
            builder.unet(0, depth)?;
        }
        for _ in 0..builder.bytes.int_in_range(0..=6)? {
            builder.step()?;
        }
        let last = builder.last();
        if last == 0 || builder.tensors[last].signed {
            builder.conv(last, Wanted { unsigned: true, ..Wanted::default() })?;
        }
        let last = builder.tensors[builder.last()].clone();
        let Builder { bytes, graph, .. } = builder;
        let output_shape = [1, last.channels, last.size[0], last.size[1]];
        let model = graph.into_model(&last.name, output_shape, bytes.int_in_range(13..=18)?);
        let count = shape.iter().product();
        let mut frame = || -> Result<Vec<u8>> {
            let values = Values::arbitrary(bytes)?;
            Ok(Numbers::arbitrary(bytes, values)?.pixels(count))
        };
        let frames = [frame()?, frame()?];
        // Used by callers of the engine; the engine itself only compares names and shapes.
        let quantization = Quantization { scale: 1.0, zero_point: 0 };
        Ok(Case {
            model,
            input: TensorEntry { name, shape, quantization },
            output: TensorEntry { name: last.name, shape: output_shape, quantization },
            frames,
        })
    }
}

impl Builder<'_, '_> {
    fn last(&self) -> usize {
        self.tensors.len() - 1
    }

    /// Adds a tensor like `like` with other channels and size.
    fn push(&mut self, like: &Tensor, channels: usize, size: [usize; 2]) -> usize {
        let name = format!("t{}", self.tensors.len());
        self.tensors.push(Tensor { name, channels, size, ..like.clone() });
        self.last()
    }

    /// Adds the node that computes tensor `y`.
    fn add(&mut self, y: usize, node: impl FnOnce(Graph, &str) -> Graph) {
        self.graph = node(std::mem::take(&mut self.graph), &self.tensors[y].name);
    }

    /// Any operator on a recent tensor.
    fn step(&mut self) -> Result<()> {
        let back = if self.bytes.ratio(3, 4)? { 0 } else { self.bytes.int_in_range(0..=self.last())? };
        let x = self.last() - back;
        let Tensor { channels, size, .. } = self.tensors[x];
        match self.bytes.int_in_range(0..=15)? {
            8..=9 if size[0] >= 2 && size[1] >= 2 => self.max_pool(x),
            10..=11 if size[0] * 2 <= GROWN_MAX && size[1] * 2 <= GROWN_MAX => self.resize(x)?,
            12..=13 => return self.join(x),
            14..=15 if channels % 4 == 0 && size[0] * 2 <= GROWN_MAX && size[1] * 2 <= GROWN_MAX => {
                self.depth_to_space(x)
            }
            _ => self.conv(x, Wanted::default())?,
        };
        Ok(())
    }

    /// Encoder, bottleneck and decoder, with a skip per level.
    fn unet(&mut self, x: usize, depth: usize) -> Result<usize> {
        let same = || Wanted { kernel: Some(3), same: true, unsigned: true, ..Wanted::default() };
        let skip = self.conv(x, same())?;
        if depth == 0 {
            return Ok(skip);
        }
        let pooled = self.max_pool(skip);
        let below = self.unet(pooled, depth - 1)?;
        let grown = match self.bytes.int_in_range(0..=2)? {
            0 => self.resize(below)?,
            1 => {
                let grown = self.resize(below)?;
                self.conv(grown, same())?
            }
            _ => {
                let channels = Some(4 * self.bytes.int_in_range(1..=4)?);
                let quarters = self.conv(below, Wanted { channels, kernel: Some(1), ..same() })?;
                self.depth_to_space(quarters)
            }
        };
        let parts = if self.bytes.arbitrary()? { [skip, grown] } else { [grown, skip] };
        let joined = self.concat(&parts);
        self.conv(joined, same())
    }

    fn max_pool(&mut self, x: usize) -> usize {
        let x = self.tensors[x].clone();
        let y = self.push(&x, x.channels, x.size.map(|side| side / 2));
        self.add(y, |graph, y| graph.max_pool(&x.name, y));
        y
    }

    fn resize(&mut self, x: usize) -> Result<usize> {
        let x = self.tensors[x].clone();
        let spellings =
            [["asymmetric", "floor"], ["half_pixel", "round_prefer_floor"], ["half_pixel", "round_prefer_ceil"]];
        let [coordinates, nearest] = *self.bytes.choose(&spellings)?;
        let y = self.push(&x, x.channels, x.size.map(|side| side * 2));
        self.add(y, |graph, y| graph.resize(&x.name, y, coordinates, nearest));
        Ok(y)
    }

    fn depth_to_space(&mut self, x: usize) -> usize {
        let x = self.tensors[x].clone();
        let y = self.push(&x, x.channels / 4, x.size.map(|side| side * 2));
        self.add(y, |graph, y| graph.depth_to_space(&x.name, y, "DCR"));
        y
    }

    /// Concatenates a tensor with one or two that fit, possibly itself.
    fn join(&mut self, x: usize) -> Result<()> {
        let mut parts = vec![x];
        for _ in 0..self.bytes.int_in_range(1..=2)? {
            let left = GROWN_MAX.saturating_sub(parts.iter().map(|&part| self.tensors[part].channels).sum());
            let like = &self.tensors[x];
            let fits =
                |other: &Tensor| other.size == like.size && other.signed == like.signed && other.channels <= left;
            let fitting: Vec<usize> = (0..self.tensors.len()).filter(|&other| fits(&self.tensors[other])).collect();
            if !fitting.is_empty() {
                let at = self.bytes.int_in_range(0..=parts.len())?;
                parts.insert(at, *self.bytes.choose(&fitting)?);
            }
        }
        self.concat(&parts);
        Ok(())
    }

    fn concat(&mut self, parts: &[usize]) -> usize {
        let parts: Vec<Tensor> = parts.iter().map(|&part| self.tensors[part].clone()).collect();
        let channels = parts.iter().map(|part| part.channels).sum();
        let y = self.push(&parts[0], channels, parts[0].size);
        let names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
        self.add(y, |graph, y| graph.concat(names, y));
        y
    }

    fn conv(&mut self, x: usize, wanted: Wanted) -> Result<usize> {
        let x = self.tensors[x].clone();
        let bytes = &mut *self.bytes;
        let mut side = || -> Result<usize> { Ok(*bytes.choose(&[3, 1, 2, 4, 3, 1, 2, 4, 3, 5, 7])?) };
        let kernel = match wanted.kernel {
            Some(side) => [side; 2],
            None => [side()?, side()?],
        };
        let (mut pads, mut strides) = ([0; 4], [1; 2]);
        for axis in 0..2 {
            let most = kernel[axis] - 1;
            if wanted.same {
                (pads[axis], pads[axis + 2]) = (kernel[axis] / 2, most - kernel[axis] / 2);
                continue;
            }
            (pads[axis], pads[axis + 2]) = (bytes.int_in_range(0..=most)?, bytes.int_in_range(0..=most)?);
            // Any padding below the kernel size, but at least as much as it needs.
            pads[axis] = pads[axis].max(kernel[axis].saturating_sub(x.size[axis] + pads[axis + 2]).min(most));
            strides[axis] = if bytes.ratio(1, 4)? { 2 } else { 1 };
        }
        let size: [usize; 2] =
            std::array::from_fn(|axis| (x.size[axis] + pads[axis] + pads[axis + 2] - kernel[axis]) / strides[axis] + 1);
        let a_channel = (x.channels * kernel[0] * kernel[1] * size[0] * size[1]).max(1);
        // Shared among about six.
        let affordable = (self.macs_left / 4 / a_channel).clamp(1, CHANNELS_MAX);
        let channels = match wanted.channels {
            Some(channels) => channels,
            None => bytes.int_in_range(1..=affordable)?,
        };
        self.macs_left = self.macs_left.saturating_sub(a_channel * channels);

        let values = Values::arbitrary(bytes)?;
        let mut numbers = Numbers::arbitrary(bytes, values)?;
        let fan_in = x.channels * kernel[0] * kernel[1];
        let count = fan_in * channels;
        let signed_weights = bytes.ratio(1, 2)?;
        let flip = if signed_weights { 0 } else { 0x80 };
        let weights = numbers.weights(count).into_iter().map(|weight| weight as u8 ^ flip).collect();
        let scales = if bytes.arbitrary()? { channels } else { 1 };
        let zero_points = if bytes.ratio(1, 4)? { channels } else { 1 };
        let is_symmetric = bytes.ratio(1, 2)?;
        let weight_zero_points =
            (0..zero_points).map(|_| if is_symmetric { flip } else { numbers.bits() as u8 }).collect();
        // So that outputs cover the range of a byte and beyond.
        let usual = [0.02, 0.1, 0.003, 0.5][bytes.int_in_range(0..=3)?] / (fan_in as f32).sqrt();
        let is_tied = bytes.ratio(1, 8)?;
        let (mut weight_scales, y_scale): (Vec<f32>, f32) = if is_tied {
            // A power of two: many sums are halfway between two bytes.
            (vec![1.0 / 64.0; scales], x.scale)
        } else {
            ((0..scales).map(|_| usual * numbers.factor()).collect(), x.scale * numbers.factor())
        };
        if bytes.ratio(1, 16)? {
            let extremes = [f32::MIN_POSITIVE, 1e-44, 1e-20, 1.0, 1e4, 1e9, 1e20, f32::MAX];
            let index = numbers.below(scales as u64) as usize;
            weight_scales[index] = *bytes.choose(&extremes)?;
        }
        let signed = !wanted.unsigned && bytes.ratio(1, 5)?;
        let (y_zero_point, bias) = (zero_point(bytes)?, bytes.ratio(7, 8)?);
        // Sometimes different from that of the tensor, which is allowed.
        let x_zero_point = if bytes.ratio(1, 32)? { zero_point(bytes)? } else { x.zero_point };
        let scalar = |value: u8, signed: bool| Bytes { raw: vec![value ^ if signed { 0x80 } else { 0 }], signed };
        let conv = QLinearConv {
            shape: [channels, x.channels, kernel[0], kernel[1]],
            x: (x.scale, scalar(x_zero_point, x.signed)),
            weights: Bytes { raw: weights, signed: signed_weights },
            weight_scales,
            weight_zero_points: Bytes { raw: weight_zero_points, signed: signed_weights },
            y: (y_scale, scalar(y_zero_point, signed)),
            bias: bias.then(|| numbers.biases(channels)),
            pads,
            strides,
        };
        let like = Tensor { signed, scale: y_scale, zero_point: y_zero_point, ..x.clone() };
        let y = self.push(&like, channels, size);
        self.add(y, |graph, y| graph.qlinear_conv(&x.name, y, &conv));
        Ok(y)
    }
}

fn zero_point(bytes: &mut Unstructured<'_>) -> Result<u8> {
    // Zero is the zero point after ReLU, and lets tensors share a buffer.
    let usual = [0, 0, 0, 0, 128, 128, 255, 3, 77];
    bytes.choose(&usual).copied()
}
