//! `QLinearConv` and the float `Conv`.
//!
//! ONNX says of the quantized one that its output is the convolution's, requantized, and leaves rounding and order open.
//! The project's contract closes that: the accumulator is an i32 of `(x - x_zero_point) * (w - w_zero_point)` to which the
//! bias is added as an integer; `m[c] = (x_scale * w_scale[c]) / y_scale` in f32, in that order; `v = f32(accumulator) *
//! m[c]`; `q = saturate(round_half_even(v) + y_zero_point)`. Padding is the real number zero, so it adds nothing.

use super::Fault;
use super::node::Node;
use super::quantization::{Byte, PerAxis, single};
use super::window::Windows;
use crate::tensor::{Data, Tensor};

/// The shapes of a convolution.
struct Geometry {
    batch: usize,
    in_channels: usize,
    out_channels: usize,
    groups: usize,
    input: [usize; 2],
    windows: Windows,
}

impl Geometry {
    fn of(node: &Node, x: &Tensor, w: &Tensor) -> Result<Geometry, Fault> {
        let [batch, in_channels, height, width] = x.nchw()?;
        let [out_channels, w_channels, kernel_height, kernel_width] = w.nchw()?;
        let groups = usize::try_from(node.integer("group", 1)).unwrap_or(0);
        if groups == 0 || w_channels * groups != in_channels || out_channels % groups != 0 {
            return Err(Fault::new(format!(
                "{groups} groups: weights of {w_channels} to {out_channels} channels, the input has {in_channels}"
            )));
        }
        let windows = Windows::of(node, [height, width], Some([kernel_height, kernel_width]))?;
        Ok(Geometry { batch, in_channels, out_channels, groups, input: [height, width], windows })
    }

    fn output_shape(&self) -> [usize; 4] {
        [self.batch, self.out_channels, self.windows.output[0], self.windows.output[1]]
    }

    /// Calls `add(output element, input element, weight element)` for every product of image `n` and channel `c`; the
    /// output element is counted within that channel's plane.
    fn for_each_product(&self, n: usize, c: usize, mut add: impl FnMut(usize, usize, usize)) {
        let [kernel_height, kernel_width] = self.windows.kernel;
        let depth = self.in_channels / self.groups;
        let first = c / (self.out_channels / self.groups) * depth;
        for i in 0..depth {
            let plane = (n * self.in_channels + first + i) * self.input[0] * self.input[1];
            for ky in 0..kernel_height {
                for kx in 0..kernel_width {
                    let weight = ((c * depth + i) * kernel_height + ky) * kernel_width + kx;
                    for y in 0..self.windows.output[0] {
                        let Some(sy) = self.windows.source(0, y, ky) else { continue };
                        for x in 0..self.windows.output[1] {
                            let Some(sx) = self.windows.source(1, x, kx) else { continue };
                            add(y * self.windows.output[1] + x, plane + sy * self.input[1] + sx, weight);
                        }
                    }
                }
            }
        }
    }
}

/// The operands of a quantized convolution: x, x_scale, x_zero_point, w, w_scale, w_zero_point, y_scale, y_zero_point and perhaps an
/// i32 bias.
pub(super) struct Operands {
    /// The input less its zero point.
    pub x: Vec<i32>,
    w: Vec<i32>,
    x_scale: f32,
    w_scale: PerAxis<f32>,
    w_zero_point: PerAxis<i32>,
    y_scale: f32,
    y_zero_point: i32,
    byte: Byte,
    /// One for each output channel.
    pub bias: Vec<i32>,
}

impl Operands {
    /// Those of a node with this many output channels.
    pub fn of(node: &Node, channels: usize) -> Result<Operands, Fault> {
        let (x, w, y_zero_point) = (node.operand(0)?, node.operand(3)?, node.operand(7)?);
        for (name, tensor) in [("x", x), ("w", w)] {
            if !tensor.is_quantized() {
                let found = tensor.data().data_type();
                return Err(Fault::new(format!("{name}: expected 8-bit elements, found {found:?}")));
            }
        }
        let bias = match node.optional(8).map(|b| (b, b.data())) {
            None => vec![0; channels],
            Some((_, Data::I32(bias))) if bias.len() == channels => bias.clone(),
            Some((b, _)) => return Err(Fault::new(format!("bias: expected {channels} i32, found {:?}", b.shape()))),
        };
        let x_zero_point = single("x_zero_point", &node.operand(2)?.to_i32()?)?;
        Ok(Operands {
            x: x.to_i32()?.iter().map(|v| v - x_zero_point).collect(),
            w: w.to_i32()?,
            x_scale: single("x_scale", node.operand(1)?.as_f32()?)?,
            w_scale: PerAxis::new("w_scale", node.operand(4)?.as_f32()?.to_vec(), channels)?,
            w_zero_point: PerAxis::new("w_zero_point", node.operand(5)?.to_i32()?, channels)?,
            y_scale: single("y_scale", node.operand(6)?.as_f32()?)?,
            y_zero_point: single("y_zero_point", &y_zero_point.to_i32()?)?,
            byte: Byte::of(y_zero_point)?,
            bias,
        })
    }

    /// Element `index` of the weights less the zero point of output channel `channel`.
    pub fn weight(&self, index: usize, channel: usize) -> i32 {
        self.w[index] - self.w_zero_point.at(channel)
    }

    /// The sums of an output channel in steps of the output, with its zero point.
    pub fn quantize<'a>(&self, sums: &'a [i32], channel: usize) -> impl Iterator<Item = i32> + use<'a> {
        let multiplier = multiplier(self.x_scale, self.w_scale.at(channel), self.y_scale);
        let (byte, zero_point) = (self.byte, self.y_zero_point);
        sums.iter().map(move |&sum| byte.saturate(sum as f32 * multiplier, zero_point))
    }

    /// The output of these values.
    pub fn output(&self, shape: &[usize], quantized: &[i32]) -> Result<Tensor, Fault> {
        Tensor::new(shape, self.byte.data(quantized))
    }
}

/// See [`Operands`].
pub(super) fn qlinear_conv(node: &Node) -> Result<Tensor, Fault> {
    let geometry = Geometry::of(node, node.operand(0)?, node.operand(3)?)?;
    let operands = Operands::of(node, geometry.out_channels)?;
    let plane = geometry.windows.output[0] * geometry.windows.output[1];
    let mut quantized = Vec::with_capacity(geometry.batch * geometry.out_channels * plane);
    for n in 0..geometry.batch {
        for (c, &bias) in operands.bias.iter().enumerate() {
            let mut accumulators = vec![bias; plane];
            // A real accumulator of 32 bits wraps, and so does this one.
            geometry.for_each_product(n, c, |at, source, weight| {
                accumulators[at] = accumulators[at].wrapping_add(operands.x[source] * operands.weight(weight, c));
            });
            quantized.extend(operands.quantize(&accumulators, c));
        }
    }
    operands.output(&geometry.output_shape(), &quantized)
}

/// `(x_scale * w_scale) / y_scale`, each step rounded to f32.
pub fn multiplier(x_scale: f32, w_scale: f32, y_scale: f32) -> f32 {
    (x_scale * w_scale) / y_scale
}

/// Operands x, w and perhaps a bias, all f32. Sums are kept in f64 and rounded once.
pub(super) fn conv(node: &Node) -> Result<Tensor, Fault> {
    let geometry = Geometry::of(node, node.operand(0)?, node.operand(1)?)?;
    let (x, w) = (node.operand(0)?.as_f32()?, node.operand(1)?.as_f32()?);
    let bias = node.optional(2).map_or(Ok(vec![0.0; geometry.out_channels]), |b| b.as_f32().map(<[f32]>::to_vec))?;
    if bias.len() != geometry.out_channels {
        return Err(Fault::new(format!("bias: expected {} values, found {}", geometry.out_channels, bias.len())));
    }
    let plane = geometry.windows.output[0] * geometry.windows.output[1];
    let mut sums = Vec::with_capacity(geometry.batch * geometry.out_channels * plane);
    for n in 0..geometry.batch {
        for (c, &bias) in bias.iter().enumerate() {
            let mut accumulators = vec![f64::from(bias); plane];
            geometry.for_each_product(n, c, |at, source, weight| {
                accumulators[at] += f64::from(x[source]) * f64::from(w[weight]);
            });
            sums.extend(accumulators.iter().map(|&a| a as f32));
        }
    }
    Tensor::new(&geometry.output_shape(), Data::F32(sums))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx_graph::{integer, integers, run_one};
    use tract_onnx::pb::AttributeProto;

    fn u8s(shape: &[usize], values: &[u8]) -> Tensor {
        Tensor::new(shape, Data::U8(values.to_vec())).unwrap()
    }

    fn i8s(shape: &[usize], values: &[i8]) -> Tensor {
        Tensor::new(shape, Data::I8(values.to_vec())).unwrap()
    }

    fn f32s(shape: &[usize], values: &[f32]) -> Tensor {
        Tensor::new(shape, Data::F32(values.to_vec())).unwrap()
    }

    /// x, x scale and zero point, w, w scales and zero points, y scale and zero point, bias, attributes.
    struct Case {
        x: Tensor,
        x_quantization: (f32, u8),
        w: Tensor,
        w_scale: Tensor,
        w_zero_point: Tensor,
        y_scale: f32,
        y_zero_point: Tensor,
        bias: Option<Vec<i32>>,
        attributes: Vec<AttributeProto>,
    }

    impl Case {
        fn check(self, shape: &[usize], expected: Data) {
            let (x_scale, x_zero_point) = (f32s(&[], &[self.x_quantization.0]), u8s(&[], &[self.x_quantization.1]));
            let y_scale = f32s(&[], &[self.y_scale]);
            let bias = self.bias.map(|b| Tensor::new(&[b.len()], Data::I32(b)).unwrap());
            let mut operands = vec![
                &self.x,
                &x_scale,
                &x_zero_point,
                &self.w,
                &self.w_scale,
                &self.w_zero_point,
                &y_scale,
                &self.y_zero_point,
            ];
            operands.extend(bias.as_ref());
            let y = run_one("QLinearConv", &operands, self.attributes).unwrap();
            assert_eq!(y, Tensor::new(shape, expected).unwrap());
        }
    }

    #[test]
    fn one_by_one_with_two_channels() {
        // Pixels (1,2) and (3,4) in two planes; weights 2 and -1: sums 2*1-3 = -1 and 2*2-4 = 0; bias 5: 4 and 5;
        // m = 0.5*1/1: 2 and 2.5, which goes to 2; zero point 10.
        Case {
            x: u8s(&[1, 2, 1, 2], &[1, 2, 3, 4]),
            x_quantization: (0.5, 0),
            w: i8s(&[1, 2, 1, 1], &[2, -1]),
            w_scale: f32s(&[], &[1.0]),
            w_zero_point: i8s(&[], &[0]),
            y_scale: 1.0,
            y_zero_point: u8s(&[], &[10]),
            bias: Some(vec![5]),
            attributes: vec![],
        }
        .check(&[1, 1, 1, 2], Data::U8(vec![12, 12]));
    }

    #[test]
    fn each_channel_has_its_scale_and_zero_point() {
        // x - 3 = 2. Channel 0: (130-128)*2 = 4, m 1: 4. Channel 1: (120-100)*2 = 40, m 0.25: 10. Signed output, zero -4.
        Case {
            x: u8s(&[1, 1, 1, 1], &[5]),
            x_quantization: (1.0, 3),
            w: u8s(&[2, 1, 1, 1], &[130, 120]),
            w_scale: f32s(&[2], &[1.0, 0.25]),
            w_zero_point: u8s(&[2], &[128, 100]),
            y_scale: 1.0,
            y_zero_point: i8s(&[], &[-4]),
            bias: None,
            attributes: vec![],
        }
        .check(&[1, 2, 1, 1], Data::I8(vec![0, 6]));
    }

    #[test]
    fn padding_is_the_real_zero() {
        // All real values are 7 - 7 = 0 but the centre's 2; with a kernel of ones every window holds it once.
        // Were the padding a stored 0, corners would see -7 from it.
        let mut x = [7; 9];
        x[4] = 9;
        Case {
            x: u8s(&[1, 1, 3, 3], &x),
            x_quantization: (1.0, 7),
            w: i8s(&[1, 1, 3, 3], &[1; 9]),
            w_scale: f32s(&[], &[1.0]),
            w_zero_point: i8s(&[], &[0]),
            y_scale: 1.0,
            y_zero_point: u8s(&[], &[0]),
            bias: None,
            attributes: vec![integers("pads", &[1, 1, 1, 1])],
        }
        .check(&[1, 1, 3, 3], Data::U8(vec![2; 9]));
    }

    #[test]
    fn strides_and_uneven_padding_move_the_windows() {
        // One row 1 2 3 4, padded by one zero on the left; windows of two at stride two: (0,1) and (2,3);
        // the fifth place holds no third window. Weights 1 and 10.
        Case {
            x: u8s(&[1, 1, 1, 4], &[1, 2, 3, 4]),
            x_quantization: (1.0, 0),
            w: i8s(&[1, 1, 1, 2], &[1, 10]),
            w_scale: f32s(&[], &[1.0]),
            w_zero_point: i8s(&[], &[0]),
            y_scale: 1.0,
            y_zero_point: u8s(&[], &[0]),
            bias: None,
            attributes: vec![integers("pads", &[0, 1, 0, 0]), integers("strides", &[1, 2])],
        }
        .check(&[1, 1, 1, 2], Data::U8(vec![10, 32]));
    }

    #[test]
    fn the_output_saturates() {
        for (weight, expected) in [(100, 255), (-100, 0)] {
            Case {
                x: u8s(&[1, 1, 1, 1], &[200]),
                x_quantization: (1.0, 0),
                w: i8s(&[1, 1, 1, 1], &[weight]),
                w_scale: f32s(&[], &[1.0]),
                w_zero_point: i8s(&[], &[0]),
                y_scale: 1.0,
                y_zero_point: u8s(&[], &[128]),
                bias: None,
                attributes: vec![],
            }
            .check(&[1, 1, 1, 1], Data::U8(vec![expected]));
        }
    }

    #[test]
    fn a_float_convolution_correlates_and_adds_the_bias() {
        let x = f32s(&[1, 1, 2, 2], &[1.0, 2.0, 3.0, 4.0]);
        let w = f32s(&[1, 1, 2, 2], &[1.0, 0.5, 0.25, 0.0]);
        let y = run_one("Conv", &[&x, &w, &f32s(&[1], &[-0.5])], vec![]).unwrap();
        // 1 + 1 + 0.75 + 0 - 0.5, and not the flipped kernel's 4 + 1.5 + 0.5 - 0.5.
        assert_eq!(y, f32s(&[1, 1, 1, 1], &[2.25]));
    }

    #[test]
    fn groups_read_their_own_channels_and_dilated_taps_leave_gaps() {
        let x = f32s(&[1, 2, 1, 3], &[1.0, 2.0, 3.0, 10.0, 20.0, 30.0]);
        // One channel each: 1 + 3 * 2, and 2 * 10 - 30.
        let w = f32s(&[2, 1, 1, 2], &[1.0, 2.0, 2.0, -1.0]);
        let attributes = vec![integer("group", 2), integers("dilations", &[1, 2])];
        let y = run_one("Conv", &[&x, &w], attributes).unwrap();
        assert_eq!(y, f32s(&[1, 2, 1, 1], &[7.0, -10.0]));
        let said = run_one("Conv", &[&x, &w], vec![integer("group", 3)]).unwrap_err().to_string();
        assert_eq!(said, "node n (Conv): 3 groups: weights of 1 to 2 channels, the input has 2");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let x = f32s(&[1, 1, 2, 2], &[0.0; 4]);
        let deep = f32s(&[1, 2, 1, 1], &[0.0; 2]);
        let said = run_one("Conv", &[&x, &deep], vec![]).unwrap_err().to_string();
        assert_eq!(said, "node n (Conv): 1 groups: weights of 2 to 1 channels, the input has 1");
        let w = f32s(&[1, 1, 1, 1], &[0.0]);
        for (attribute, what) in [
            (integers("dilations", &[0, 2]), "kernel [1, 1] with strides [1, 1], dilations [0, 2]"),
            (integers("pads", &[-1, 0, 0, 0]), "pads: expected 4 sizes, found [-1, 0, 0, 0]"),
            (integers("strides", &[0, 1]), "kernel [1, 1] with strides [0, 1], dilations [1, 1]"),
            (integers("kernel_shape", &[3, 3]), "kernel_shape [3, 3] is not the weights' [1, 1]"),
        ] {
            let said = run_one("Conv", &[&x, &w], vec![attribute]).unwrap_err().to_string();
            assert_eq!(said, format!("node n (Conv): {what}"));
        }
    }
}
