//! The windows of convolution and pooling: kernel size, strides, dilations and padding of two spatial axes.
//!
//! Knows geometry, not elements. `auto_pad` and `ceil_mode` are refused.

use super::Fault;
use super::node::Node;

/// The windows over one input of height and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Height and width of a window.
    pub kernel: [usize; 2],
    /// Height and width of the output: the number of windows.
    pub output: [usize; 2],
    strides: [usize; 2],
    dilations: [usize; 2],
    padding: [usize; 2],
    input: [usize; 2],
}

impl Windows {
    /// The windows of a node over an input of `input` = height, width. `kernel` is what the weights say; pooling has
    /// none and must state `kernel_shape`.
    pub fn of(node: &Node, input: [usize; 2], kernel: Option<[usize; 2]>) -> Result<Windows, Fault> {
        node.require_text("auto_pad", "NOTSET", "NOTSET")?;
        node.require_integer("ceil_mode", 0, 0)?;
        let stated = node.sizes("kernel_shape", kernel.unwrap_or([0, 0]))?;
        if let Some(weights) = kernel.filter(|&k| k != stated) {
            return Err(Fault::new(format!("kernel_shape {stated:?} is not the weights' {weights:?}")));
        }
        let dilations = node.sizes("dilations", [1, 1])?;
        let strides = node.sizes("strides", [1, 1])?;
        // Top, left, bottom, right.
        let pads = node.sizes("pads", [0, 0, 0, 0])?;
        if stated.contains(&0) || strides.contains(&0) || dilations.contains(&0) {
            return Err(Fault::new(format!("kernel {stated:?} with strides {strides:?}, dilations {dilations:?}")));
        }
        let mut output = [0; 2];
        for axis in 0..2 {
            let extent = (stated[axis] - 1).checked_mul(dilations[axis]).and_then(|n| n.checked_add(1));
            let padded = [pads[axis], pads[axis + 2]].iter().try_fold(input[axis], |n, &p| n.checked_add(p));
            let Some(room) = extent.zip(padded).and_then(|(extent, n)| n.checked_sub(extent)) else {
                return Err(Fault::new(format!("no window of {stated:?} fits into {input:?} with pads {pads:?}")));
            };
            output[axis] = room / strides[axis] + 1;
        }
        Ok(Windows { kernel: stated, output, strides, dilations, padding: [pads[0], pads[1]], input })
    }

    /// The input coordinate that window `at` covers with its element `offset` along `axis`; `None` in the padding.
    pub fn source(&self, axis: usize, at: usize, offset: usize) -> Option<usize> {
        (at * self.strides[axis] + offset * self.dilations[axis])
            .checked_sub(self.padding[axis])
            .filter(|&s| s < self.input[axis])
    }
}
