//! The same operations in plain f64: the reference for the tests.

use super::planes::Size;

/// `[N, H, W, C]` in f64.
#[derive(Clone, Debug)]
pub struct Images {
    pub size: Size,
    pub channels: usize,
    pub values: Vec<f64>,
}

impl Images {
    pub fn zeros(size: Size, channels: usize) -> Self {
        Self { size, channels, values: vec![0.0; size.pixels() * channels] }
    }

    fn index(&self, n: usize, y: usize, x: usize, c: usize) -> usize {
        ((n * self.size.height + y) * self.size.width + x) * self.channels + c
    }

    fn at(&self, n: usize, y: usize, x: usize, c: usize) -> f64 {
        self.values[self.index(n, y, x, c)]
    }

    fn pixels(&self) -> impl Iterator<Item = (usize, usize, usize)> + use<> {
        let Size { images, height, width } = self.size;
        (0..images).flat_map(move |n| (0..height).flat_map(move |y| (0..width).map(move |x| (n, y, x))))
    }
}

/// Calls `visit` with the index of the output, of the input and of the weight of every product of a convolution.
fn products(x: &Images, outputs: usize, kernel: usize, mut visit: impl FnMut(usize, usize, usize)) {
    let (border, inputs) = (kernel / 2, x.channels);
    let y_shape = Images { size: x.size, channels: outputs, values: vec![] };
    for (n, row, column) in x.pixels() {
        for ky in 0..kernel {
            for kx in 0..kernel {
                let (Some(y), Some(z)) = ((row + ky).checked_sub(border), (column + kx).checked_sub(border)) else {
                    continue;
                };
                if y >= x.size.height || z >= x.size.width {
                    continue;
                }
                for o in 0..outputs {
                    for i in 0..inputs {
                        let weight = ((o * inputs + i) * kernel + ky) * kernel + kx;
                        visit(y_shape.index(n, row, column, o), x.index(n, y, z, i), weight);
                    }
                }
            }
        }
    }
}

/// Output of a convolution.
pub fn convolution(x: &Images, weights: &[f64], bias: &[f64], kernel: usize) -> Images {
    let mut out = Images::zeros(x.size, bias.len());
    for pixel in out.values.chunks_exact_mut(bias.len()) {
        pixel.copy_from_slice(bias);
    }
    products(x, bias.len(), kernel, |o, i, w| out.values[o] += x.values[i] * weights[w]);
    out
}

/// Gradients of a convolution's input, weights and bias.
pub fn convolution_gradients(
    x: &Images,
    weights: &[f64],
    gradient: &Images,
    kernel: usize,
) -> (Images, Vec<f64>, Vec<f64>) {
    let mut dx = Images::zeros(x.size, x.channels);
    let mut dw = vec![0.0; weights.len()];
    products(x, gradient.channels, kernel, |o, i, w| {
        dx.values[i] += gradient.values[o] * weights[w];
        dw[w] += gradient.values[o] * x.values[i];
    });
    let mut bias = vec![0.0; gradient.channels];
    for pixel in gradient.values.chunks_exact(gradient.channels) {
        bias.iter_mut().zip(pixel).for_each(|(b, g)| *b += g);
    }
    (dx, dw, bias)
}

/// Every second pixel in both directions, from the first on: what a stride of 2 leaves of a convolution.
pub fn every_second(x: &Images) -> Images {
    let size = Size { images: x.size.images, height: x.size.height / 2, width: x.size.width / 2 };
    let mut out = Images::zeros(size, x.channels);
    for (n, row, column) in out.pixels() {
        for c in 0..x.channels {
            let index = out.index(n, row, column, c);
            out.values[index] = x.at(n, 2 * row, 2 * column, c);
        }
    }
    out
}

/// Its gradient: the pixels in their places, with zeros between them.
pub fn every_second_gradient(gradient: &Images) -> Images {
    let size = Size { images: gradient.size.images, height: 2 * gradient.size.height, width: 2 * gradient.size.width };
    let mut out = Images::zeros(size, gradient.channels);
    for (n, row, column) in gradient.pixels() {
        for c in 0..gradient.channels {
            let index = out.index(n, 2 * row, 2 * column, c);
            out.values[index] = gradient.at(n, row, column, c);
        }
    }
    out
}

/// Every pixel twice in both directions.
pub fn upsample(x: &Images) -> Images {
    let size = Size { images: x.size.images, height: 2 * x.size.height, width: 2 * x.size.width };
    let mut out = Images::zeros(size, x.channels);
    for (n, row, column) in out.pixels() {
        for c in 0..x.channels {
            let index = out.index(n, row, column, c);
            out.values[index] = x.at(n, row / 2, column / 2, c);
        }
    }
    out
}

/// The gradient of [`upsample`]: the sum of the four.
pub fn upsample_gradient(gradient: &Images) -> Images {
    let size = Size { images: gradient.size.images, height: gradient.size.height / 2, width: gradient.size.width / 2 };
    let mut out = Images::zeros(size, gradient.channels);
    for (n, row, column) in gradient.pixels() {
        for c in 0..gradient.channels {
            let index = out.index(n, row / 2, column / 2, c);
            out.values[index] += gradient.at(n, row, column, c);
        }
    }
    out
}

/// Largest value of each 2x2 window, and its index: the first of equal ones, row by row.
pub fn pool(x: &Images) -> (Images, Vec<usize>) {
    let size = Size { images: x.size.images, height: x.size.height / 2, width: x.size.width / 2 };
    let mut out = Images::zeros(size, x.channels);
    let mut places = vec![0; out.values.len()];
    for (n, row, column) in out.pixels() {
        for c in 0..x.channels {
            let window = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(y, z)| x.index(n, 2 * row + y, 2 * column + z, c));
            let first =
                window.into_iter().fold(window[0], |best, i| if x.values[i] > x.values[best] { i } else { best });
            let index = out.index(n, row, column, c);
            (out.values[index], places[index]) = (x.values[first], first);
        }
    }
    (out, places)
}

/// Mean and biased variance a channel.
pub fn statistics(x: &Images) -> (Vec<f64>, Vec<f64>) {
    let pixels = x.size.pixels() as f64;
    let (mut mean, mut variance) = (vec![0.0; x.channels], vec![0.0; x.channels]);
    for pixel in x.values.chunks_exact(x.channels) {
        mean.iter_mut().zip(pixel).for_each(|(m, v)| *m += v / pixels);
    }
    for pixel in x.values.chunks_exact(x.channels) {
        for c in 0..x.channels {
            variance[c] += (pixel[c] - mean[c]).powi(2) / pixels;
        }
    }
    (mean, variance)
}

/// Gradients of input, gamma and beta of [`norm_relu`], by the chain rule through the variance and the mean, as in
/// section 3 of Ioffe and Szegedy (2015).
pub fn norm_relu_gradients(
    x: &Images,
    gamma: &[f64],
    beta: &[f64],
    epsilon: f64,
    gradient: &[f64],
) -> (Images, Vec<f64>, Vec<f64>) {
    let (mean, variance) = statistics(x);
    let (pixels, channels) = (x.size.pixels() as f64, x.channels);
    let mut dx = Images::zeros(x.size, channels);
    let (mut dgamma, mut dbeta) = (vec![0.0; channels], vec![0.0; channels]);
    for c in 0..channels {
        let deviation = (variance[c] + epsilon).sqrt();
        let (mut to_variance, mut to_mean) = (0.0, 0.0);
        let places = || (c..x.values.len()).step_by(channels);
        for i in places() {
            let difference = x.values[i] - mean[c];
            let positive = gamma[c] * difference / deviation + beta[c] > 0.0;
            let g = if positive { gradient[i] } else { 0.0 };
            dgamma[c] += g * difference / deviation;
            dbeta[c] += g;
            to_variance -= g * gamma[c] * difference / (2.0 * deviation.powi(3));
            to_mean -= g * gamma[c] / deviation;
            dx.values[i] = g * gamma[c] / deviation;
        }
        for i in places() {
            dx.values[i] += (2.0 * to_variance * (x.values[i] - mean[c]) + to_mean) / pixels;
        }
    }
    (dx, dgamma, dbeta)
}

/// Gradients of input, gamma and beta of [`norm_relu_by`], whose statistics are constants.
pub fn norm_relu_frozen_gradients(
    x: &Images,
    (mean, variance): &(Vec<f64>, Vec<f64>),
    gamma: &[f64],
    beta: &[f64],
    epsilon: f64,
    gradient: &[f64],
) -> (Images, Vec<f64>, Vec<f64>) {
    let mut dx = Images::zeros(x.size, x.channels);
    let (mut dgamma, mut dbeta) = (vec![0.0; x.channels], vec![0.0; x.channels]);
    for (i, (value, gradient)) in x.values.iter().zip(gradient).enumerate() {
        let c = i % x.channels;
        let deviation = (variance[c] + epsilon).sqrt();
        let h = (value - mean[c]) / deviation;
        if gamma[c] * h + beta[c] > 0.0 {
            dgamma[c] += gradient * h;
            dbeta[c] += gradient;
            dx.values[i] = gradient * gamma[c] / deviation;
        }
    }
    (dx, dgamma, dbeta)
}

/// Batch norm by the values' own statistics, then ReLU.
pub fn norm_relu(x: &Images, gamma: &[f64], beta: &[f64], epsilon: f64) -> Images {
    norm_relu_by(x, &statistics(x), gamma, beta, epsilon)
}

/// Batch norm by this mean and variance of each channel, then ReLU.
pub fn norm_relu_by(
    x: &Images,
    (mean, variance): &(Vec<f64>, Vec<f64>),
    gamma: &[f64],
    beta: &[f64],
    epsilon: f64,
) -> Images {
    let mut y = x.clone();
    for pixel in y.values.chunks_exact_mut(x.channels) {
        for c in 0..x.channels {
            pixel[c] = ((pixel[c] - mean[c]) / (variance[c] + epsilon).sqrt() * gamma[c] + beta[c]).max(0.0);
        }
    }
    y
}
