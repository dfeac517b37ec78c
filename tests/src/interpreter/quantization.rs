//! The rounding of quantized operators, `QuantizeLinear` and `DequantizeLinear`.
//!
//! A quantized type is known by its zero point, as in ONNX: its element type is the operator's output type.

use super::Fault;
use super::node::{Node, axis_of};
use crate::tensor::{Data, Tensor};

/// The 8-bit types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Byte {
    /// 0..=255.
    Unsigned,
    /// -128..=127.
    Signed,
}

impl Byte {
    /// The type of `zero_point`.
    pub(super) fn of(zero_point: &Tensor) -> Result<Byte, Fault> {
        match zero_point.data() {
            Data::U8(_) => Ok(Byte::Unsigned),
            Data::I8(_) => Ok(Byte::Signed),
            other => Err(Fault::new(format!("expected an 8-bit zero point, found {:?}", other.data_type()))),
        }
    }

    /// Elements of this type from integers that are in its range.
    pub(super) fn data(self, values: &[i32]) -> Data {
        match self {
            Byte::Unsigned => Data::U8(values.iter().map(|&v| v as u8).collect()),
            Byte::Signed => Data::I8(values.iter().map(|&v| v as i8).collect()),
        }
    }

    /// `saturate(round_half_even(value) + zero_point)`. The zero point is added after rounding, as in the text of
    /// `QuantizeLinear` and in the project's contract for `QLinearConv`; a NaN counts as zero.
    pub fn saturate(self, value: f32, zero_point: i32) -> i32 {
        let (low, high) = match self {
            Byte::Unsigned => (0, 255),
            Byte::Signed => (-128, 127),
        };
        // The conversion saturates, so what is added to it must not wrap.
        (value.round_ties_even() as i32).saturating_add(zero_point).clamp(low, high)
    }
}

/// A parameter that is one value, or one for each index of an axis.
pub(super) struct PerAxis<T> {
    values: Vec<T>,
}

impl<T: Copy> PerAxis<T> {
    /// `values` of a tensor for an axis of `length`.
    pub fn new(name: &str, values: Vec<T>, length: usize) -> Result<PerAxis<T>, Fault> {
        if values.len() != 1 && values.len() != length {
            return Err(Fault::new(format!("{name}: expected 1 or {length} values, found {}", values.len())));
        }
        Ok(PerAxis { values })
    }

    /// The value for `index`.
    pub fn at(&self, index: usize) -> T {
        if self.values.len() == 1 { self.values[0] } else { self.values[index] }
    }
}

/// The one value of `values`.
pub(super) fn single<T: Copy>(name: &str, values: &[T]) -> Result<T, Fault> {
    match values {
        [value] => Ok(*value),
        _ => Err(Fault::new(format!("{name}: expected 1 value, found {}", values.len()))),
    }
}

/// For each element of `shape` in row-major order, its index along `axis`.
fn indices_along(shape: &[usize], axis: usize) -> impl Iterator<Item = usize> {
    let inner: usize = shape[axis + 1..].iter().product();
    let (length, total) = (shape[axis], shape.iter().product());
    (0..total).map(move |i| i / inner % length)
}

/// The axis of the parameters, and its length; a scalar has one of length 1.
fn axis_and_length(node: &Node, shape: &[usize], scales: usize) -> Result<(Option<usize>, usize), Fault> {
    if scales == 1 {
        return Ok((None, 1));
    }
    let axis = axis_of(node.integer("axis", 1), shape.len())?;
    Ok((Some(axis), shape[axis]))
}

/// `y = saturate(round_half_even(x / y_scale) + y_zero_point)`; operands x, y_scale, y_zero_point (absent: u8 zero).
pub(super) fn quantize_linear(node: &Node) -> Result<Tensor, Fault> {
    node.require_integer("block_size", 0, 0)?;
    let (x, scales) = (node.operand(0)?, node.operand(1)?.as_f32()?);
    let (byte, zero_points) = match node.optional(2) {
        Some(zero_point) => (Byte::of(zero_point)?, zero_point.to_i32()?),
        None => (Byte::Unsigned, vec![0]),
    };
    let (axis, length) = axis_and_length(node, x.shape(), scales.len().max(zero_points.len()))?;
    let scales = PerAxis::new("y_scale", scales.to_vec(), length)?;
    let zero_points = PerAxis::new("y_zero_point", zero_points, length)?;
    let quantize = |(&v, c): (&f32, usize)| byte.saturate(v / scales.at(c), zero_points.at(c));
    let values = x.as_f32()?;
    let quantized: Vec<i32> = match axis {
        None => values.iter().map(|v| quantize((v, 0))).collect(),
        Some(axis) => values.iter().zip(indices_along(x.shape(), axis)).map(quantize).collect(),
    };
    Tensor::new(x.shape(), byte.data(&quantized))
}

/// `y = (x - x_zero_point) * x_scale`; operands x, x_scale, x_zero_point (absent: zero).
pub(super) fn dequantize_linear(node: &Node) -> Result<Tensor, Fault> {
    node.require_integer("block_size", 0, 0)?;
    let (x, scales) = (node.operand(0)?, node.operand(1)?.as_f32()?);
    let zero_points = node.optional(2).map_or(Ok(vec![0]), Tensor::to_i32)?;
    let (axis, length) = axis_and_length(node, x.shape(), scales.len().max(zero_points.len()))?;
    let scales = PerAxis::new("x_scale", scales.to_vec(), length)?;
    let zero_points = PerAxis::new("x_zero_point", zero_points, length)?;
    let dequantize = |(&v, c): (&i32, usize)| v.wrapping_sub(zero_points.at(c)) as f32 * scales.at(c);
    let values = x.to_i32()?;
    let real: Vec<f32> = match axis {
        None => values.iter().map(|v| dequantize((v, 0))).collect(),
        Some(axis) => values.iter().zip(indices_along(x.shape(), axis)).map(dequantize).collect(),
    };
    Tensor::new(x.shape(), Data::F32(real))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx_graph::{integer, run_one};

    fn f32s(shape: &[usize], values: &[f32]) -> Tensor {
        Tensor::new(shape, Data::F32(values.to_vec())).unwrap()
    }

    #[test]
    fn halves_go_to_the_even_neighbour_before_the_zero_point_is_added() {
        for (value, zero_point, expected) in [
            (0.5, 0, 0),
            (1.5, 0, 2),
            (2.5, 0, 2),
            (-0.5, 10, 10),
            (-1.5, 10, 8),
            // Adding an odd zero point first would round 1.5 to 2.
            (0.5, 1, 1),
            (300.0, 0, 255),
            (-300.0, 7, 0),
            (f32::INFINITY, 3, 255),
            (f32::NEG_INFINITY, 3, 0),
            (f32::NAN, 3, 3),
        ] {
            assert_eq!(Byte::Unsigned.saturate(value, zero_point), expected, "{value} + {zero_point}");
        }
        assert_eq!(Byte::Signed.saturate(200.0, -3), 127);
        assert_eq!(Byte::Signed.saturate(-200.0, 3), -128);
    }

    #[test]
    fn quantize_divides_by_the_scale() {
        let zero_point = Tensor::new(&[], Data::I8(vec![-1])).unwrap();
        let x = f32s(&[4], &[0.0, 0.25, 0.75, -100.0]);
        let y = run_one("QuantizeLinear", &[&x, &f32s(&[], &[0.5]), &zero_point], vec![]).unwrap();
        assert_eq!(y.data(), &Data::I8(vec![-1, -1, 1, -128]));
        let y = run_one("QuantizeLinear", &[&x, &f32s(&[], &[0.5])], vec![]).unwrap();
        assert_eq!(y.data(), &Data::U8(vec![0, 0, 2, 0]));
    }

    #[test]
    fn a_scale_for_each_channel_follows_its_axis() {
        let x = f32s(&[1, 2, 2], &[1.0, 2.0, 1.0, 2.0]);
        let zero_point = Tensor::new(&[2], Data::U8(vec![0, 5])).unwrap();
        let y = run_one("QuantizeLinear", &[&x, &f32s(&[2], &[1.0, 0.5]), &zero_point], vec![]).unwrap();
        assert_eq!(y.data(), &Data::U8(vec![1, 2, 7, 9]));
        let zero_point = Tensor::new(&[2], Data::U8(vec![1, 5])).unwrap();
        let last = vec![integer("axis", -1)];
        let back = run_one("DequantizeLinear", &[&y, &f32s(&[2], &[1.0, 10.0]), &zero_point], last).unwrap();
        assert_eq!(back.as_f32().unwrap(), [0.0, -30.0, 6.0, 40.0]);
    }

    #[test]
    fn a_bias_of_32_bits_is_dequantized_too() {
        let x = Tensor::new(&[2], Data::I32(vec![-100_000, 3])).unwrap();
        let y = run_one("DequantizeLinear", &[&x, &f32s(&[], &[0.5])], vec![]).unwrap();
        assert_eq!(y.as_f32().unwrap(), [-50_000.0, 1.5]);
    }

    #[test]
    fn parameters_that_fit_no_axis_are_refused() {
        let x = f32s(&[1, 2], &[1.0, 2.0]);
        let said = run_one("QuantizeLinear", &[&x, &f32s(&[3], &[1.0; 3])], vec![]).unwrap_err().to_string();
        assert_eq!(said, "node n (QuantizeLinear): y_scale: expected 1 or 2 values, found 3");
    }
}
