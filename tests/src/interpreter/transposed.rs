//! The quantized transposed convolution: each input value is multiplied with the kernel and added to the output.
//!
//! Sums, multiplier and rounding are those of `QLinearConv`.

use super::Fault;
use super::convolution::multiplier;
use super::node::Node;
use super::quantization::{Byte, PerAxis, single};
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
    let (x, w, y_zero_point) = (node.operand(0)?, node.operand(3)?, node.operand(7)?);
    let [batch, in_channels, height, width] = x.nchw()?;
    let [w_channels, channels, rows, columns] = w.nchw()?;
    if (batch, w_channels) != (1, in_channels) {
        return Err(Fault::new(format!("weights for {w_channels} channels, the input has {batch}x{in_channels}")));
    }
    let x_scale = single("x_scale", node.operand(1)?.as_f32()?)?;
    let x_zero_point = single("x_zero_point", &node.operand(2)?.to_i32()?)?;
    let w_scale = PerAxis::new("w_scale", node.operand(4)?.as_f32()?.to_vec(), channels)?;
    let w_zero_point = PerAxis::new("w_zero_point", node.operand(5)?.to_i32()?, channels)?;
    let y_scale = single("y_scale", node.operand(6)?.as_f32()?)?;
    let byte = Byte::of(y_zero_point)?;
    let y_zero_point = single("y_zero_point", &y_zero_point.to_i32()?)?;
    let bias = node.optional(8).map_or(Ok(vec![0; channels]), Tensor::to_i32)?;
    if bias.len() != channels || [height, width, rows, columns].contains(&0) {
        return Err(Fault::new(format!("bias of {} values for {channels} channels, or an empty operand", bias.len())));
    }
    let (x, w) = (x.to_i32()?, w.to_i32()?);
    let [out_height, out_width] = [(height - 1) * strides[0] + rows, (width - 1) * strides[1] + columns];
    let mut quantized = Vec::with_capacity(channels * out_height * out_width);
    for channel in 0..channels {
        let mut sums = vec![bias[channel]; out_height * out_width];
        for (at, value) in x.iter().enumerate() {
            let (channel_in, row, column) = (at / (height * width), at / width % height, at % width);
            for tap in 0..rows * columns {
                let to = (row * strides[0] + tap / columns) * out_width + column * strides[1] + tap % columns;
                let weight = w[(channel_in * channels + channel) * rows * columns + tap] - w_zero_point.at(channel);
                sums[to] = sums[to].wrapping_add((value - x_zero_point) * weight);
            }
        }
        let multiplier = multiplier(x_scale, w_scale.at(channel), y_scale);
        quantized.extend(sums.iter().map(|&sum| byte.saturate(sum as f32 * multiplier, y_zero_point)));
    }
    Tensor::new(&[1, channels, out_height, out_width], byte.data(&quantized))
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
