//! `MaxPool` over two spatial axes. Padding does not count.

use super::Fault;
use super::node::Node;
use super::window::Windows;
use crate::tensor::{Data, Tensor};

/// Operand x: N, C, H, W of f32, u8 or i8.
pub(super) fn max_pool(node: &Node) -> Result<Tensor, Fault> {
    node.require_integer("storage_order", 0, 0)?;
    let x = node.operand(0)?;
    let [batch, channels, height, width] = x.nchw()?;
    let windows = Windows::of(node, [height, width], None)?;
    let shape = [batch, channels, windows.output[0], windows.output[1]];
    let chosen = match x.data() {
        Data::F32(v) => winners(v, batch * channels, [height, width], &windows),
        Data::U8(v) => winners(v, batch * channels, [height, width], &windows),
        Data::I8(v) => winners(v, batch * channels, [height, width], &windows),
        other => return Err(Fault::new(format!("element type {:?} is not supported", other.data_type()))),
    };
    let chosen = chosen.ok_or_else(|| Fault::new("a window covers only padding"))?;
    Tensor::new(&shape, x.data().gather(&chosen))
}

/// The element that wins each window; `None` when a window holds no element.
fn winners<T: PartialOrd>(values: &[T], planes: usize, input: [usize; 2], windows: &Windows) -> Option<Vec<usize>> {
    let mut chosen = Vec::with_capacity(planes * windows.output[0] * windows.output[1]);
    for plane in 0..planes {
        for y in 0..windows.output[0] {
            for x in 0..windows.output[1] {
                let mut best: Option<usize> = None;
                for sy in (0..windows.kernel[0]).filter_map(|k| windows.source(0, y, k)) {
                    for sx in (0..windows.kernel[1]).filter_map(|k| windows.source(1, x, k)) {
                        let at = (plane * input[0] + sy) * input[1] + sx;
                        if best.is_none_or(|b| values[at] > values[b]) {
                            best = Some(at);
                        }
                    }
                }
                chosen.push(best?);
            }
        }
    }
    Some(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx_graph::{integers, run_one};

    #[test]
    fn each_window_gives_its_largest_value() {
        let x = Tensor::new(&[1, 1, 2, 4], Data::U8(vec![1, 2, 200, 4, 5, 6, 7, 8])).unwrap();
        let halves = vec![integers("kernel_shape", &[2, 2]), integers("strides", &[2, 2])];
        let y = run_one("MaxPool", &[&x], halves).unwrap();
        assert_eq!(y, Tensor::new(&[1, 1, 1, 2], Data::U8(vec![6, 200])).unwrap());
    }

    #[test]
    fn padding_is_below_every_value() {
        let x = Tensor::new(&[1, 1, 1, 2], Data::I8(vec![-100, -50])).unwrap();
        let padded = vec![integers("kernel_shape", &[1, 2]), integers("pads", &[0, 1, 0, 0])];
        let y = run_one("MaxPool", &[&x], padded).unwrap();
        assert_eq!(y.data(), &Data::I8(vec![-100, -50]));
    }

    #[test]
    fn a_pooling_without_a_window_is_refused() {
        let x = Tensor::new(&[1, 1, 1, 2], Data::I8(vec![0, 0])).unwrap();
        let wide = vec![integers("kernel_shape", &[1, 3])];
        let said = run_one("MaxPool", &[&x], wide).unwrap_err().to_string();
        assert_eq!(said, "node n (MaxPool): no window of [1, 3] fits into [1, 2] with pads [0, 0, 0, 0]");
        let error = run_one("MaxPool", &[&x], vec![]).unwrap_err().to_string();
        assert!(error.contains("kernel"), "{error}");
        let alone = vec![integers("kernel_shape", &[1, 1]), integers("pads", &[0, 1, 0, 0])];
        let error = run_one("MaxPool", &[&x], alone).unwrap_err().to_string();
        assert!(error.contains("only padding"), "{error}");
    }
}
