//! The quantized transposed convolution: each input value is multiplied with the kernel and added to the output.
//!
//! Sums, multiplier and rounding are those of `QLinearConv`.

use super::Fault;
use super::convolution::Operands;
use super::node::Node;
use crate::tensor::Tensor;

/// The operands of `QLinearConv`, with weights of input channel, output channel, row, column. Only without padding, dilation and groups.
pub(super) fn qlinear_conv_transpose(node: &Node) -> Result<Tensor, Fault> {
    node.require_integer("group", 1, 1)?;
    let strides = node.sizes("strides", [1, 1])?;
    node.require_text("auto_pad", "NOTSET", "NOTSET")?;
    let plain = [node.sizes("dilations", [1, 1])?, node.sizes("output_padding", [0, 0])?.map(|n| n + 1)];
    if plain != [[1, 1]; 2] || node.sizes("pads", [0; 4])? != [0; 4] {
        return Err(Fault::new("padding and dilation are not supported"));
    }
    let [batch, in_channels, height, width] = node.operand(0)?.nchw()?;
    let [w_channels, channels, rows, columns] = node.operand(3)?.nchw()?;
    if (batch, w_channels) != (1, in_channels) || [height, width, rows, columns].contains(&0) {
        let found = format!("{batch}x{in_channels}x{height}x{width}");
        return Err(Fault::new(format!("weights for {w_channels} channels, the input is {found}")));
    }
    let operands = Operands::of(node, channels)?;
    let [out_height, out_width] = [(height - 1) * strides[0] + rows, (width - 1) * strides[1] + columns];
    let mut quantized = Vec::with_capacity(channels * out_height * out_width);
    for channel in 0..channels {
        let mut sums = vec![operands.bias[channel]; out_height * out_width];
        for (at, value) in operands.x.iter().enumerate() {
            let (channel_in, row, column) = (at / (height * width), at / width % height, at % width);
            for tap in 0..rows * columns {
                let to = (row * strides[0] + tap / columns) * out_width + column * strides[1] + tap % columns;
                let weight = operands.weight((channel_in * channels + channel) * rows * columns + tap, channel);
                sums[to] = sums[to].wrapping_add(value * weight);
            }
        }
        quantized.extend(operands.quantize(&sums, channel));
    }
    operands.output(&[1, channels, out_height, out_width], &quantized)
}

#[cfg(test)]
mod tests {
    use crate::onnx_graph::{integers, run_one};
    use crate::tensor::{Data, Tensor};

    #[test]
    fn overlapping_kernels_add_up() {
        let tensor = |shape: &[usize], data| Tensor::new(shape, data).unwrap();
        let (one, zero) = (tensor(&[], Data::F32(vec![1.0])), tensor(&[], Data::U8(vec![0])));
        let x = tensor(&[1, 1, 1, 2], Data::U8(vec![3, 5]));
        let w = tensor(&[1, 1, 1, 3], Data::I8(vec![1, 2, 4]));
        let signed = tensor(&[], Data::I8(vec![0]));
        let y = |strides: [usize; 2]| {
            let attributes = vec![integers("strides", &strides.map(|n| n as i64))];
            run_one("QLinearConvTranspose", &[&x, &one, &zero, &w, &one, &signed, &one, &zero], attributes).unwrap()
        };
        // 3 * (1, 2, 4) and 5 * (1, 2, 4), one and two columns apart.
        assert_eq!(y([1, 1]), tensor(&[1, 1, 1, 4], Data::U8(vec![3, 11, 22, 20])));
        assert_eq!(y([1, 2]), tensor(&[1, 1, 1, 5], Data::U8(vec![3, 6, 17, 10, 20])));
    }
}
