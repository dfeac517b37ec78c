//! The 2-D convolution of stride 1 that keeps the image size, with a kernel size of 3x3 or 1x1, and its three gradients.
//!
//! Weights are `[outputs, inputs, kernel, kernel]`, as in burn; images are `[N, H, W, C]`. The input may be several
//! tensors whose channels are concatenated, so that a skip needs no copy.

use super::convolve::{Output, Tap, convolve};
use super::norm;
use super::packing::Weights;
use super::planes::{Place, Planes};
use super::shared::{written, written_each};
use super::weight_gradient::{THIN, Window, weight_gradient as sum_products};
use super::{InstructionSet, planes};

pub use planes::Size;

/// The shape of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// Number and size of the images.
    pub size: Size,
    /// Channels of the output.
    pub outputs: usize,
    /// Kernel size, width and height: 1 or 3.
    pub kernel: usize,
    /// The instruction set to compute with.
    pub set: InstructionSet,
}

/// An image tensor's values and its number of channels.
pub type Tensor<'a> = (&'a [f32], usize);

impl Convolution {
    fn border(&self) -> usize {
        self.kernel / 2
    }

    fn planes<'a>(&self, tensors: &[Tensor<'a>]) -> Vec<Planes<'a>> {
        let Size { height, width, .. } = self.size;
        tensors.iter().map(|&(values, channels)| Planes::dense(values, channels, height, width)).collect()
    }

    fn taps(&self) -> Vec<Tap> {
        let kernel = self.kernel;
        (0..kernel * kernel).map(|t| Tap { group: 0, y: t / kernel, x: t % kernel }).collect()
    }

    fn weights<'a>(&self, weights: &'a [f32], inputs: usize) -> Weights<'a> {
        let taps = self.kernel * self.kernel;
        assert_eq!(weights.len(), self.outputs * inputs * taps);
        Weights { values: weights, outputs: self.outputs, inputs, taps }
    }

    /// `output[o] = bias[o] + sum over channels i and taps t of input[i, t] * weights[o, i, t]`, outside the image 0.
    pub fn forward(&self, input: &[Tensor], weights: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        let table = self.set.table(self.outputs);
        let inputs = input.iter().map(|tensor| tensor.1).sum();
        let order: Vec<usize> = (0..self.kernel * self.kernel).collect();
        let packed = self.weights(weights, inputs).pack(table, &order, bias);
        let place = Place::dense(self.outputs, self.size.height, self.size.width);
        // SAFETY: every pixel and channel of the output is computed.
        unsafe {
            written(self.size.pixels() * self.outputs, |values| {
                let output = Output { values, place, taps: self.taps(), weights: packed };
                convolve(table, self.size, self.border(), &[&self.planes(input)], &[output]);
            })
        }
    }

    /// The gradient of each input tensor, `inputs` being their channels: the convolution of the output's gradient with the
    /// weights rotated by 180 degrees, inputs and outputs exchanged.
    pub fn input_gradient(&self, weights: &[f32], gradient: &[f32], inputs: &[usize]) -> Vec<Vec<f32>> {
        let total = inputs.iter().sum();
        let table = self.set.table(inputs.iter().copied().max().unwrap_or(1));
        let weights = self.weights(weights, total);
        let turned: Vec<usize> = (0..weights.taps).rev().collect();
        let planes = self.planes(&[(gradient, self.outputs)]);
        let lengths: Vec<usize> = inputs.iter().map(|channels| self.size.pixels() * channels).collect();
        // SAFETY: every pixel and channel of all of them is computed.
        unsafe {
            written_each(&lengths, |values| {
                let mut first = 0;
                let outputs: Vec<Output> = values
                    .into_iter()
                    .zip(inputs)
                    .map(|(values, &channels)| {
                        let weights = weights.pack_transposed(table, &turned, first..first + channels);
                        first += channels;
                        let place = Place::dense(channels, self.size.height, self.size.width);
                        Output { values, place, taps: self.taps(), weights }
                    })
                    .collect();
                convolve(table, self.size, self.border(), &[&planes], &outputs);
            })
        }
    }

    /// The gradient of the weights, in their order.
    pub fn weight_gradient(&self, input: &[Tensor], gradient: &[f32]) -> Vec<f32> {
        let inputs: usize = input.iter().map(|tensor| tensor.1).sum();
        // Vectors run over the input's channels, or over the gradient's if the input has few.
        let table = self.set.table(if inputs <= THIN { self.outputs } else { inputs });
        let windows = [Window::new((0..self.kernel).map(|row| (row, 0)), self.kernel)];
        let planes = self.planes(&[(gradient, self.outputs)]);
        sum_products(table, self.size, self.border(), &[&self.planes(input)], &[&planes], &windows)
    }

    /// The gradient of the bias: the sum over all pixels.
    pub fn bias_gradient(&self, gradient: &[f32]) -> Vec<f32> {
        norm::channel_sums(self.set, gradient, self.outputs)
    }
}
