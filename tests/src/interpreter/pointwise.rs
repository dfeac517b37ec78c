//! `Relu`, `LeakyRelu`, `Clip`, `Add` and `ArgMax`.

use super::Fault;
use super::node::{Node, axis_of};
use crate::tensor::{Data, Tensor};

/// `max(x, 0)` of the stored value. On 8-bit integers that is the real ReLU only where the zero point is 0.
pub(super) fn relu(node: &Node) -> Result<Tensor, Fault> {
    let x = node.operand(0)?;
    let data = match x.data() {
        Data::F32(v) => Data::F32(v.iter().map(|&v| if v < 0.0 { 0.0 } else { v }).collect()),
        Data::I8(v) => Data::I8(v.iter().map(|&v| v.max(0)).collect()),
        Data::U8(v) => Data::U8(v.clone()),
        other => return Err(Fault::new(format!("element type {:?} is not supported", other.data_type()))),
    };
    Tensor::new(x.shape(), data)
}

/// `alpha * x` of what is below 0, in f32.
pub(super) fn leaky_relu(node: &Node) -> Result<Tensor, Fault> {
    let x = node.operand(0)?;
    let alpha = node.float("alpha", 0.01);
    let values = x.as_f32()?.iter().map(|&v| if v < 0.0 { alpha * v } else { v });
    Tensor::new(x.shape(), Data::F32(values.collect()))
}

/// Operands x of f32, and perhaps a minimum and a maximum.
pub(super) fn clip(node: &Node) -> Result<Tensor, Fault> {
    let x = node.operand(0)?;
    let bound = |index: usize, absent: f32| match node.optional(index).map(Tensor::as_f32) {
        None => Ok(absent),
        Some(Ok(&[bound])) => Ok(bound),
        Some(Ok(found)) => Err(Fault::new(format!("operand {index}: expected one value, found {}", found.len()))),
        Some(Err(fault)) => Err(fault),
    };
    let (min, max) = (bound(1, f32::NEG_INFINITY)?, bound(2, f32::INFINITY)?);
    let values = x.as_f32()?.iter().map(|&v| {
        if v < min {
            min
        } else if v > max {
            max
        } else {
            v
        }
    });
    Tensor::new(x.shape(), Data::F32(values.collect()))
}

/// The f32 sum of two operands; dimensions that are 1 or absent in one are repeated.
pub(super) fn add(node: &Node) -> Result<Tensor, Fault> {
    let (a, b) = (node.operand(0)?, node.operand(1)?);
    let rank = a.shape().len().max(b.shape().len());
    let padded = |t: &Tensor| [vec![1; rank - t.shape().len()], t.shape().to_vec()].concat();
    let (a_shape, b_shape) = (padded(a), padded(b));
    let mut shape = Vec::with_capacity(rank);
    for (&m, &n) in a_shape.iter().zip(&b_shape) {
        match (m, n) {
            (m, n) if m == n || n == 1 => shape.push(m),
            (1, n) => shape.push(n),
            _ => return Err(Fault::new(format!("{:?} and {:?} do not broadcast", a.shape(), b.shape()))),
        }
    }
    let (a, b) = (a.as_f32()?, b.as_f32()?);
    let count = shape.iter().product();
    let sum = |i: usize| a[repeated(i, &shape, &a_shape)] + b[repeated(i, &shape, &b_shape)];
    Tensor::new(&shape, Data::F32((0..count).map(sum).collect()))
}

/// The element of a tensor of shape `from` at element `index` of `shape` when it is repeated.
fn repeated(mut index: usize, shape: &[usize], from: &[usize]) -> usize {
    let (mut element, mut stride) = (0, 1);
    for (&wide, &own) in shape.iter().zip(from).rev() {
        if own != 1 {
            element += index % wide * stride;
        }
        index /= wide;
        stride *= own;
    }
    element
}

/// The index of the largest element along `axis`, as i64; ties go to the lowest.
pub(super) fn arg_max(node: &Node) -> Result<Tensor, Fault> {
    node.require_integer("select_last_index", 0, 0)?;
    let x = node.operand(0)?;
    let axis = axis_of(node.integer("axis", 0), x.shape().len())?;
    let mut shape = x.shape().to_vec();
    let length = shape[axis];
    if length == 0 {
        return Err(Fault::new("no elements to choose from"));
    }
    let inner = shape[axis + 1..].iter().product();
    if node.integer("keepdims", 1) == 0 {
        shape.remove(axis);
    } else {
        shape[axis] = 1;
    }
    let indices = match x.data() {
        Data::F32(v) => largest(v, length, inner),
        Data::U8(v) => largest(v, length, inner),
        Data::I8(v) => largest(v, length, inner),
        Data::I32(v) => largest(v, length, inner),
        Data::I64(v) => largest(v, length, inner),
    };
    Tensor::new(&shape, Data::I64(indices))
}

fn largest<T: PartialOrd>(values: &[T], length: usize, inner: usize) -> Vec<i64> {
    let outer = values.len() / (length * inner).max(1);
    let mut indices = Vec::with_capacity(outer * inner);
    for o in 0..outer {
        for i in 0..inner {
            let at = |k: usize| &values[(o * length + k) * inner + i];
            let best = (1..length).fold(0, |best, k| if at(k) > at(best) { k } else { best });
            indices.push(best as i64);
        }
    }
    indices
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx_graph::{integer, run_one};
    use tract_onnx::pb::AttributeProto;

    fn f32s(shape: &[usize], values: &[f32]) -> Tensor {
        Tensor::new(shape, Data::F32(values.to_vec())).unwrap()
    }

    #[test]
    fn relu_cuts_below_zero() {
        let y = run_one("Relu", &[&f32s(&[3], &[-1.0, 0.0, 2.0])], vec![]).unwrap();
        assert_eq!(y.as_f32().unwrap(), [0.0, 0.0, 2.0]);
        let x = Tensor::new(&[2], Data::I8(vec![-5, 5])).unwrap();
        assert_eq!(run_one("Relu", &[&x], vec![]).unwrap().data(), &Data::I8(vec![0, 5]));
    }

    #[test]
    fn a_leaky_relu_and_a_clip_by_hand() {
        let x = f32s(&[3], &[-2.0, 0.5, 9.0]);
        let alpha = AttributeProto { name: "alpha".into(), f: 0.25, ..Default::default() };
        let y = run_one("LeakyRelu", &[&x], vec![alpha]).unwrap();
        assert_eq!(y.as_f32().unwrap(), [-0.5, 0.5, 9.0]);
        let (min, max) = (f32s(&[], &[0.0]), f32s(&[], &[6.0]));
        assert_eq!(run_one("Clip", &[&x, &min, &max], vec![]).unwrap().as_f32().unwrap(), [0.0, 0.5, 6.0]);
        assert_eq!(run_one("Clip", &[&x, &min], vec![]).unwrap().as_f32().unwrap(), [0.0, 0.5, 9.0]);
        assert!(run_one("Clip", &[&x, &x], vec![]).is_err());
    }

    #[test]
    fn addition_repeats_what_is_missing() {
        let x = f32s(&[1, 2, 2], &[1.0, 2.0, 3.0, 4.0]);
        let y = run_one("Add", &[&x, &f32s(&[2, 1], &[10.0, 20.0])], vec![]).unwrap();
        assert_eq!(y, f32s(&[1, 2, 2], &[11.0, 12.0, 23.0, 24.0]));
        let error = run_one("Add", &[&x, &f32s(&[3], &[0.0; 3])], vec![]).unwrap_err().to_string();
        assert!(error.contains("do not broadcast"), "{error}");
    }

    #[test]
    fn the_lowest_index_wins_a_tie() {
        // Three classes over two pixels: (1, 5, 5) and (9, 2, 9).
        let x = Tensor::new(&[1, 3, 1, 2], Data::U8(vec![1, 9, 5, 2, 5, 9])).unwrap();
        let kept = run_one("ArgMax", &[&x], vec![integer("axis", 1)]).unwrap();
        assert_eq!(kept, Tensor::new(&[1, 1, 1, 2], Data::I64(vec![1, 0])).unwrap());
        let dropped = run_one("ArgMax", &[&x], vec![integer("axis", -3), integer("keepdims", 0)]).unwrap();
        assert_eq!(dropped.shape(), [1, 1, 2]);
    }
}
