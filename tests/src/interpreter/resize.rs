//! `Resize`: nearest neighbours of any type, and linear interpolation of f32.

use super::Fault;
use super::node::Node;
use crate::tensor::{Data, Tensor};

/// Operands x, roi, scales, sizes.
pub(super) fn resize(node: &Node) -> Result<Tensor, Fault> {
    let x = node.operand(0)?;
    let given = |index: usize| node.optional(index).filter(|t| !t.data().is_empty());
    let (scales, shape): (Vec<f32>, Vec<usize>) = match (given(2), given(3)) {
        (Some(scales), None) => {
            let scales = scales.as_f32()?;
            let sized = |(&d, &s): (&usize, &f32)| (d as f32 * s).floor() as usize;
            (scales.to_vec(), x.shape().iter().zip(scales).map(sized).collect())
        }
        (None, Some(sizes)) => {
            let sizes = sizes.as_i64()?.iter().map(|&s| usize::try_from(s));
            let sizes: Vec<usize> = sizes.collect::<Result<_, _>>().map_err(|_| Fault::new("a size is negative"))?;
            (sizes.iter().zip(x.shape()).map(|(&s, &d)| s as f32 / d as f32).collect(), sizes)
        }
        _ => return Err(Fault::new("expected either scales or sizes")),
    };
    if scales.len() != x.shape().len() || scales.iter().any(|s| !s.is_finite() || *s <= 0.0) {
        return Err(Fault::new(format!("scales {scales:?} do not fit shape {:?}", x.shape())));
    }
    if x.data().is_empty() {
        return Err(Fault::new(format!("shape {:?} has nothing to resize", x.shape())));
    }
    match node.text("mode", "nearest")? {
        "nearest" => nearest(node, x, &scales, &shape),
        "linear" => linear(node, x, &scales, &shape),
        found => Err(Fault::new(format!("mode: expected nearest or linear, found {found}"))),
    }
}

/// Asymmetric, floor: `source = floor(destination / scale)`.
fn nearest(node: &Node, x: &Tensor, scales: &[f32], shape: &[usize]) -> Result<Tensor, Fault> {
    node.require_text("coordinate_transformation_mode", "half_pixel", "asymmetric")?;
    node.require_text("nearest_mode", "round_prefer_floor", "floor")?;
    // Row-major indices grow by one axis at a time.
    let mut indices = vec![0usize];
    for ((&length, &scale), &resized) in x.shape().iter().zip(scales).zip(shape) {
        let source = |d: usize| ((d as f32 / scale).floor() as usize).min(length - 1);
        let row: Vec<usize> = (0..resized).map(source).collect();
        indices = indices.iter().flat_map(|&outer| row.iter().map(move |&s| outer * length + s)).collect();
    }
    Tensor::new(shape, x.data().gather(&indices))
}

/// Between the two neighbours along each axis, `source = (destination + 0.5) / scale - 0.5`, held within the tensor. Kept in f64 and
/// rounded once.
fn linear(node: &Node, x: &Tensor, scales: &[f32], shape: &[usize]) -> Result<Tensor, Fault> {
    node.require_text("coordinate_transformation_mode", "half_pixel", "half_pixel")?;
    let mut values: Vec<f64> = x.as_f32()?.iter().map(|&value| f64::from(value)).collect();
    let mut inner: usize = x.shape().iter().product();
    let mut outer = 1;
    for ((&length, &scale), &resized) in x.shape().iter().zip(scales).zip(shape) {
        inner /= length;
        let mut next = Vec::with_capacity(outer * resized * inner);
        for block in values.chunks_exact(length * inner) {
            for destination in 0..resized {
                let source = (destination as f64 + 0.5) / f64::from(scale) - 0.5;
                let source = source.clamp(0.0, (length - 1) as f64);
                let (low, share) = (source.floor() as usize, source.fract());
                let high = (low + 1).min(length - 1);
                let row = |at: usize| &block[at * inner..(at + 1) * inner];
                next.extend(row(low).iter().zip(row(high)).map(|(low, high)| low * (1.0 - share) + high * share));
            }
        }
        outer *= resized;
        values = next;
    }
    Tensor::new(shape, Data::F32(values.into_iter().map(|value| value as f32).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx_graph::{run_one, text};

    fn u8s(shape: &[usize], values: &[u8]) -> Tensor {
        Tensor::new(shape, Data::U8(values.to_vec())).unwrap()
    }

    fn nearest() -> Vec<tract_onnx::pb::AttributeProto> {
        vec![
            text("mode", "nearest"),
            text("coordinate_transformation_mode", "asymmetric"),
            text("nearest_mode", "floor"),
        ]
    }

    #[test]
    fn doubling_repeats_rows_and_columns() {
        let x = u8s(&[1, 1, 2, 2], &[1, 2, 3, 4]);
        let empty = Tensor::new(&[0], Data::F32(vec![])).unwrap();
        let scales = Tensor::new(&[4], Data::F32(vec![1.0, 1.0, 2.0, 2.0])).unwrap();
        let doubled = u8s(&[1, 1, 4, 4], &[1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4]);
        assert_eq!(run_one("Resize", &[&x, &empty, &scales], nearest()).unwrap(), doubled);
        let sizes = Tensor::new(&[4], Data::I64(vec![1, 1, 4, 4])).unwrap();
        assert_eq!(run_one("Resize", &[&x, &empty, &empty, &sizes], nearest()).unwrap(), doubled);
    }

    #[test]
    fn another_way_to_resize_is_refused() {
        let x = u8s(&[1, 1, 1, 1], &[1]);
        let empty = Tensor::new(&[0], Data::F32(vec![])).unwrap();
        let scales = Tensor::new(&[4], Data::F32(vec![1.0, 1.0, 2.0, 2.0])).unwrap();
        let said = run_one("Resize", &[&x, &empty, &scales], vec![text("mode", "cubic")]).unwrap_err().to_string();
        assert_eq!(said, "node n (Resize): mode: expected nearest or linear, found cubic");
        let none = Tensor::new(&[4], Data::F32(vec![1.0, 1.0, 0.0, 2.0])).unwrap();
        assert!(run_one("Resize", &[&x, &empty, &none], nearest()).is_err());
        assert!(run_one("Resize", &[&x], nearest()).is_err());
        let nothing = u8s(&[1, 1, 0, 1], &[]);
        let sizes = Tensor::new(&[4], Data::I64(vec![1, 1, 2, 2])).unwrap();
        assert!(run_one("Resize", &[&nothing, &empty, &empty, &sizes], nearest()).is_err());
    }

    #[test]
    fn linear_interpolation_goes_between_pixel_centres() {
        let x = Tensor::new(&[1, 1, 1, 2], Data::F32(vec![0.0, 8.0])).unwrap();
        let empty = Tensor::new(&[0], Data::F32(vec![])).unwrap();
        let scales = Tensor::new(&[4], Data::F32(vec![1.0, 1.0, 2.0, 2.0])).unwrap();
        let attributes = || vec![text("mode", "linear"), text("coordinate_transformation_mode", "half_pixel")];
        let y = run_one("Resize", &[&x, &empty, &scales], attributes()).unwrap();
        // Sources -0.25, 0.25, 0.75 and 1.25; both rows are the one there is.
        assert_eq!(y.as_f32().unwrap(), [0.0, 2.0, 6.0, 8.0, 0.0, 2.0, 6.0, 8.0]);
        let bytes = u8s(&[1, 1, 1, 2], &[0, 8]);
        assert!(run_one("Resize", &[&bytes, &empty, &scales], attributes()).is_err());
    }
}
