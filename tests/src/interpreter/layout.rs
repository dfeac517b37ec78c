//! `Concat` and `DepthToSpace`: pure data movement.

use super::Fault;
use super::node::{Node, axis_of};
use crate::tensor::{Data, Tensor};

/// Any number of operands of one type, joined along `axis`.
pub(super) fn concat(node: &Node) -> Result<Tensor, Fault> {
    let parts = node.all_operands()?;
    let Some(first) = parts.first() else { return Err(Fault::new("no operands")) };
    let axis = axis_of(node.integer("axis", 0), first.shape().len())?;
    let mut shape = first.shape().to_vec();
    shape[axis] = 0;
    for part in &parts {
        let same = |(i, &d): (usize, &usize)| i == axis || d == first.shape()[i];
        if part.shape().len() != shape.len() || !part.shape().iter().enumerate().all(same) {
            return Err(Fault::new(format!("{:?} and {:?} do not join on axis {axis}", first.shape(), part.shape())));
        }
        shape[axis] += part.shape()[axis];
    }
    let outer: usize = shape[..axis].iter().product();
    let data = match first.data() {
        Data::F32(_) => join(&parts, outer, |d| if let Data::F32(v) = d { Some(v) } else { None }).map(Data::F32),
        Data::U8(_) => join(&parts, outer, |d| if let Data::U8(v) = d { Some(v) } else { None }).map(Data::U8),
        Data::I8(_) => join(&parts, outer, |d| if let Data::I8(v) = d { Some(v) } else { None }).map(Data::I8),
        Data::I32(_) => join(&parts, outer, |d| if let Data::I32(v) = d { Some(v) } else { None }).map(Data::I32),
        Data::I64(_) => join(&parts, outer, |d| if let Data::I64(v) = d { Some(v) } else { None }).map(Data::I64),
    };
    Tensor::new(&shape, data.ok_or_else(|| Fault::new("operands differ in type"))?)
}

/// The rows of all parts in turn, `outer` times; `None` when a part has another type.
fn join<T: Copy>(parts: &[&Tensor], outer: usize, elements: impl Fn(&Data) -> Option<&Vec<T>>) -> Option<Vec<T>> {
    let slices: Vec<&Vec<T>> = parts.iter().map(|p| elements(p.data())).collect::<Option<_>>()?;
    let rows = (0..outer).flat_map(|o| {
        slices.iter().flat_map(move |s| {
            let row = s.len() / outer;
            s[o * row..(o + 1) * row].iter().copied()
        })
    });
    Some(rows.collect())
}

/// Operand x: N, C*b*b, H, W. Mode `DCR` reads the channels as b, b, C and `CRD` as C, b, b.
pub(super) fn depth_to_space(node: &Node) -> Result<Tensor, Fault> {
    let x = node.operand(0)?;
    let [batch, depth, height, width] = x.nchw()?;
    let block = usize::try_from(node.integer("blocksize", 0)).unwrap_or(0);
    let area = block.checked_mul(block).filter(|&a| a > 0 && depth % a == 0);
    let area = area.ok_or_else(|| Fault::new(format!("{depth} channels do not divide into blocks of {block}")))?;
    let channels = depth / area;
    let mode = node.text("mode", "DCR")?;
    let source_channel = |c: usize, by: usize, bx: usize| match mode {
        "DCR" => Ok((by * block + bx) * channels + c),
        "CRD" => Ok((c * block + by) * block + bx),
        other => Err(Fault::new(format!("mode {other} is not supported"))),
    };
    let shape = [batch, channels, height * block, width * block];
    let mut indices = Vec::with_capacity(x.data().len());
    for n in 0..batch {
        for c in 0..channels {
            for y in 0..shape[2] {
                for column in 0..shape[3] {
                    let from = source_channel(c, y % block, column % block)?;
                    indices.push(((n * depth + from) * height + y / block) * width + column / block);
                }
            }
        }
    }
    Tensor::new(&shape, x.data().gather(&indices))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx_graph::{integer, run_one, text};

    fn u8s(shape: &[usize], values: &[u8]) -> Tensor {
        Tensor::new(shape, Data::U8(values.to_vec())).unwrap()
    }

    #[test]
    fn channels_are_joined_within_each_image() {
        let left = u8s(&[2, 1, 1, 2], &[1, 2, 3, 4]);
        let right = u8s(&[2, 2, 1, 2], &[11, 12, 13, 14, 15, 16, 17, 18]);
        let joined = run_one("Concat", &[&left, &right], vec![integer("axis", 1)]).unwrap();
        assert_eq!(joined, u8s(&[2, 3, 1, 2], &[1, 2, 11, 12, 13, 14, 3, 4, 15, 16, 17, 18]));
        let said = |right: &Tensor, axis| {
            run_one("Concat", &[&left, right], vec![integer("axis", axis)]).unwrap_err().to_string()
        };
        assert!(said(&right, 2).contains("do not join on axis 2"));
        let signed = Tensor::new(&[2, 1, 1, 2], Data::I8(vec![0; 4])).unwrap();
        assert!(said(&signed, 1).contains("operands differ in type"));
    }

    #[test]
    fn depth_to_space_has_two_orders() {
        // Eight channels of one pixel. DCR: channel c of block place p comes from 2 p + c; CRD: from 4 c + p.
        let x = u8s(&[1, 8, 1, 1], &[0, 1, 2, 3, 4, 5, 6, 7]);
        let dcr = run_one("DepthToSpace", &[&x], vec![integer("blocksize", 2)]).unwrap();
        assert_eq!(dcr, u8s(&[1, 2, 2, 2], &[0, 2, 4, 6, 1, 3, 5, 7]));
        let crd = run_one("DepthToSpace", &[&x], vec![integer("blocksize", 2), text("mode", "CRD")]).unwrap();
        assert_eq!(crd, u8s(&[1, 2, 2, 2], &[0, 1, 2, 3, 4, 5, 6, 7]));
        let said = |attributes| run_one("DepthToSpace", &[&x], attributes).unwrap_err().to_string();
        assert!(said(vec![integer("blocksize", 3)]).contains("8 channels do not divide into blocks of 3"));
        assert!(said(vec![]).contains("8 channels do not divide into blocks of 0"));
    }

    #[test]
    fn blocks_of_neighbouring_pixels_lie_side_by_side() {
        let x = u8s(&[1, 4, 1, 2], &[10, 20, 11, 21, 12, 22, 13, 23]);
        let y = run_one("DepthToSpace", &[&x], vec![integer("blocksize", 2)]).unwrap();
        assert_eq!(y, u8s(&[1, 1, 2, 4], &[10, 11, 20, 21, 12, 13, 22, 23]));
    }
}
