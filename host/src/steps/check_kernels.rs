//! Whether the training kernels are as fast as they were: each one's throughput, as a ratio to that of a plain matrix product
//! in the same run, against the ratio that was recorded. The machine's clock and its other programs weigh on both.

use std::hint::black_box;
use std::time::Instant;

use burn::tensor::{Device, Tensor, TensorData};
use serde::Serialize;

use crate::backend::Backend;
use crate::error::HostError;
use crate::operation::Operators;
use unet_kernels::adam::{self, Factors};
use unet_kernels::convolution::{Convolution, Size};
use unet_kernels::depthwise::DepthwiseConvolution;
use unet_kernels::norm::{self, Norm};
use unet_kernels::upsample::UpsampleConvolution;
use unet_kernels::{InstructionSet, pool};

/// A kernel that falls below this share of its recorded ratio is reported.
pub const LEAST_SHARE: f64 = 2.0 / 3.0;
/// Rounds; in each every kernel takes a turn beside a matrix product.
const ROUNDS: usize = 15;
/// Times that a kernel which seems slow gets as many rounds again: a machine that is busy slows some of them down.
const REPEATS: usize = 5;
/// Side of the matrices.
const MATRIX: usize = 512;

/// Ratios as recorded: billions of multiply-adds a second, or of values for kernels that only pass over memory, over the
/// billions of multiply-adds a second of the matrix product. Recorded on one core of a Zen 4 (AMD EPYC) server on
/// 2026-11-26 by `bench-train --check --kernels SET`; the matrix product always takes the widest registers. Those of depthwise
/// convolutions were recorded on a Zen 5 with other programs on it, on 2026-11-30: the lower of two runs.
const RECORDED: [(&str, [f64; 3]); KERNELS] = [
    // avx512, avx2, portable
    ("convolution 3x3, 1 to 16", [0.325, 0.269, 0.157]),
    ("convolution 3x3, 8 to 8", [0.713, 0.694, 0.308]),
    ("convolution 3x3, 64 to 64", [0.915, 0.866, 0.260]),
    ("convolution 3x3, gradient of the input", [0.904, 0.866, 0.292]),
    ("convolution 3x3, gradient of the weights", [0.819, 0.804, 0.311]),
    ("convolution 3x3, gradient of the weights, 8 to 8", [0.711, 0.663, 0.339]),
    ("convolution 3x3, gradient of the weights, 1 to 16", [0.212, 0.205, 0.131]),
    ("convolution 1x1", [0.615, 0.517, 0.248]),
    ("convolution 1x1, gradient of the weights", [0.485, 0.466, 0.218]),
    ("upsampling with convolution", [0.855, 0.805, 0.320]),
    ("upsampling, gradient of the input", [0.792, 0.753, 0.305]),
    ("upsampling, gradient of the weights", [0.756, 0.685, 0.292]),
    ("depthwise convolution", [0.288, 0.403, 0.234]),
    ("depthwise convolution, gradient of the input", [0.319, 0.361, 0.234]),
    ("depthwise convolution, gradient of the weights", [0.201, 0.169, 0.107]),
    ("depthwise convolution, stride 2", [0.094, 0.087, 0.059]),
    ("depthwise, stride 2, gradient of the input", [0.099, 0.105, 0.135]),
    ("depthwise, stride 2, gradient of the weights", [0.082, 0.078, 0.061]),
    ("batch statistics", [0.031, 0.034, 0.028]),
    ("batch norm with ReLU", [0.036, 0.033, 0.031]),
    ("batch norm with ReLU, gradient", [0.015, 0.012, 0.007]),
    ("max-pooling", [0.036, 0.038, 0.033]),
    ("max-pooling, gradient", [0.027, 0.028, 0.024]),
    ("Adam", [0.013, 0.014, 0.011]),
];

/// Kernels that are held to a ratio.
const KERNELS: usize = 24;

/// One kernel's speed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KernelSpeed {
    /// Which one.
    pub kernel: &'static str,
    /// Its throughput over the matrix product's.
    pub ratio: f64,
    /// What was recorded; none for an instruction set that nothing was recorded for.
    pub recorded: Option<f64>,
    /// Whether it kept [`LEAST_SHARE`] of what was recorded.
    pub holds: bool,
}

/// What the check found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KernelCheck {
    /// The instruction set of the kernels.
    pub kernels: &'static str,
    /// Billions of multiply-adds a second of the matrix product, by one thread.
    pub matrix_product_gmacs: f64,
    /// Each kernel.
    pub speeds: Vec<KernelSpeed>,
}

impl KernelCheck {
    /// Whether all kernels hold.
    pub fn holds(&self) -> bool {
        self.speeds.iter().all(|speed| speed.holds)
    }
}

/// A kernel on fixed data, and how many billions of multiply-adds or values a call takes.
struct Case {
    work: f64,
    call: Box<dyn Fn() + Send + Sync>,
}

/// Numbers that are neither all alike nor denormal.
fn numbers(length: usize) -> Vec<f32> {
    (0..length).map(|i| ((i * 37 + 11) % 101) as f32 * 0.02 - 1.0).collect()
}

fn convolution(inputs: usize, outputs: usize, kernel: usize, side: usize, which: fn(&Convolution, &Data)) -> Case {
    let size = Size { images: 2, height: side, width: side };
    let data = Data {
        inputs,
        input: numbers(size.pixels() * inputs),
        gradient: numbers(size.pixels() * outputs),
        weights: numbers(inputs * outputs * kernel * kernel),
    };
    let convolution = Convolution { size, outputs, kernel, set: Operators::instruction_set() };
    let work = (size.pixels() * inputs * outputs * kernel * kernel) as f64 / 1e9;
    Case { work, call: Box::new(move || which(&convolution, &data)) }
}

fn upsampling(which: fn(&UpsampleConvolution, &Data)) -> Case {
    let (inputs, outputs) = (64, 32);
    let size = Size { images: 2, height: 32, width: 32 };
    let data = Data {
        inputs,
        input: numbers(size.pixels() * inputs),
        gradient: numbers(4 * size.pixels() * outputs),
        weights: numbers(inputs * outputs * 9),
    };
    let operation = UpsampleConvolution { size, inputs, outputs, set: Operators::instruction_set() };
    // Four taps for each of four output pixels.
    let work = (size.pixels() * inputs * outputs * 16) as f64 / 1e9;
    Case { work, call: Box::new(move || which(&operation, &data)) }
}

fn depthwise(stride: usize, which: fn(&DepthwiseConvolution, &Data)) -> Case {
    // Of a core's second cache, as in `passes`.
    let (channels, side) = (32, 48);
    let size = Size { images: 1, height: side / stride, width: side / stride };
    let data = Data {
        inputs: channels,
        input: numbers(side * side * channels),
        gradient: numbers(size.pixels() * channels),
        weights: numbers(channels * 9),
    };
    let operation = DepthwiseConvolution { size, channels, stride, set: Operators::instruction_set() };
    Case { work: (size.pixels() * channels * 9) as f64 / 1e9, call: Box::new(move || which(&operation, &data)) }
}

/// What a convolution is called with.
struct Data {
    inputs: usize,
    input: Vec<f32>,
    gradient: Vec<f32>,
    weights: Vec<f32>,
}

impl Data {
    fn tensors(&self) -> [(&[f32], usize); 1] {
        [(&self.input, self.inputs)]
    }
}

fn passes(which: fn(&[f32], &[f32], &[f32])) -> Case {
    // Of a core's second cache, so that memory is no part of it.
    let pixels = 32 * 32;
    let (x, gradient, ones) =
        (numbers(pixels * PASS_CHANNELS), numbers(pixels * PASS_CHANNELS), vec![1f32; PASS_CHANNELS]);
    Case { work: x.len() as f64 / 1e9, call: Box::new(move || which(&x, &gradient, &ones)) }
}

const PASS_CHANNELS: usize = 32;
const PASS_SIZE: Size = Size { images: 1, height: 32, width: 32 };

fn norm_of(ones: &[f32]) -> Norm<'_> {
    Norm { gamma: ones, beta: ones, mean: ones, variance: ones, epsilon: 1e-5 }
}

fn cases() -> [Case; KERNELS] {
    fn forward(c: &Convolution, d: &Data) {
        black_box(c.forward(&d.tensors(), &d.weights, None));
    }
    fn of_input(c: &Convolution, d: &Data) {
        black_box(c.input_gradient(&d.weights, &d.gradient, &[d.inputs]));
    }
    fn of_weights(c: &Convolution, d: &Data) {
        black_box(c.weight_gradient(&d.tensors(), &d.gradient));
    }
    fn depthwise_forward(c: &DepthwiseConvolution, d: &Data) {
        black_box(c.forward(&d.input, &d.weights, None));
    }
    fn depthwise_of_input(c: &DepthwiseConvolution, d: &Data) {
        black_box(c.input_gradient(&d.weights, &d.gradient));
    }
    fn depthwise_of_weights(c: &DepthwiseConvolution, d: &Data) {
        black_box(c.weight_gradient(&d.input, &d.gradient));
    }
    [
        convolution(1, 16, 3, 128, forward),
        convolution(8, 8, 3, 128, forward),
        convolution(64, 64, 3, 48, forward),
        convolution(64, 64, 3, 48, of_input),
        convolution(64, 64, 3, 48, of_weights),
        convolution(8, 8, 3, 128, of_weights),
        convolution(1, 16, 3, 128, of_weights),
        convolution(64, 64, 1, 64, forward),
        convolution(64, 64, 1, 64, of_weights),
        upsampling(|u, d| {
            black_box(u.forward(&d.input, &d.weights, None));
        }),
        upsampling(|u, d| {
            black_box(u.input_gradient(&d.weights, &d.gradient));
        }),
        upsampling(|u, d| {
            black_box(u.weight_gradient(&d.input, &d.gradient));
        }),
        depthwise(1, depthwise_forward),
        depthwise(1, depthwise_of_input),
        depthwise(1, depthwise_of_weights),
        depthwise(2, depthwise_forward),
        depthwise(2, depthwise_of_input),
        depthwise(2, depthwise_of_weights),
        passes(|x, _, _| {
            black_box(norm::statistics(Operators::instruction_set(), x, PASS_CHANNELS));
        }),
        passes(|x, _, ones| {
            black_box(norm_of(ones).forward(Operators::instruction_set(), x));
        }),
        passes(|x, gradient, ones| {
            let mut gradient = gradient.to_vec();
            black_box(norm_of(ones).backward(Operators::instruction_set(), x, &mut gradient));
        }),
        passes(|x, _, _| {
            black_box(pool::forward(Operators::instruction_set(), x, PASS_SIZE, PASS_CHANNELS));
        }),
        passes(|x, gradient, _| {
            let gradient = &gradient[..x.len() / 4];
            let mut sum = vec![0f32; x.len()];
            pool::add_gradient(Operators::instruction_set(), x, gradient, PASS_SIZE, PASS_CHANNELS, &mut sum);
            black_box(sum);
        }),
        passes(|x, gradient, _| {
            let factors = Factors { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-8, correction: 1.0, rate: 1e-3 };
            let (mut weights, mut first, mut second) = (x.to_vec(), x.to_vec(), vec![1f32; x.len()]);
            adam::step(Operators::instruction_set(), &factors, &mut weights, gradient, &mut first, &mut second);
            black_box((weights, first, second));
        }),
    ]
}

/// Seconds of one call.
fn seconds(call: &dyn Fn()) -> f64 {
    let start = Instant::now();
    call();
    start.elapsed().as_secs_f64()
}

/// Times every kernel beside a matrix product, by one thread. `progress` is called after each of as many rounds as it is
/// told first.
///
/// # Errors
/// When the program was built without burn's flex backend, whose matrix product is the measure, and where burn's operators
/// are in use.
pub fn check_kernels(progress: &mut dyn FnMut(usize)) -> Result<KernelCheck, HostError> {
    let device = Backend::Flex.device()?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let pool = pool.map_err(|error| HostError::Usage(format!("a thread cannot be started: {error}")))?;
    let Operators::Kernels(set) = Operators::in_use() else {
        return Err(HostError::Usage("--check times the project's kernels: expected no --kernels stock".to_owned()));
    };
    let cases = cases();
    let (mut best, mut best_product) = ([f64::INFINITY; KERNELS], f64::INFINITY);
    let matrix =
        |device: &Device| Tensor::<2>::from_data(TensorData::new(numbers(MATRIX * MATRIX), [MATRIX, MATRIX]), device);
    let (a, b) = (matrix(&device), matrix(&device));
    let column = match set {
        InstructionSet::Avx512 => Some(0),
        InstructionSet::Avx2 => Some(1),
        InstructionSet::Portable if cfg!(target_arch = "x86_64") => Some(2),
        InstructionSet::Portable | InstructionSet::Neon => None,
    };
    let speed = |index: usize, best: f64, best_product: f64| {
        let (kernel, recorded) = RECORDED[index];
        let ratio = cases[index].work / best / gmacs(best_product);
        let recorded = column.map(|column| recorded[column]);
        KernelSpeed { kernel, ratio, recorded, holds: recorded.is_none_or(|recorded| ratio >= LEAST_SHARE * recorded) }
    };
    for round in 0..ROUNDS * (1 + REPEATS) {
        for (index, case) in cases.iter().enumerate() {
            if round >= ROUNDS && speed(index, best[index], best_product).holds {
                continue;
            }
            // Each kernel beside a product of its own, so that both see the machine in one state.
            let (product, kernel) = pool.install(|| {
                let product = seconds(&|| {
                    black_box(a.clone().matmul(b.clone()));
                });
                (product, seconds(&*case.call))
            });
            best_product = best_product.min(product);
            best[index] = best[index].min(kernel);
        }
        if round < ROUNDS {
            progress(ROUNDS);
        }
    }
    let speeds = (0..KERNELS).map(|index| speed(index, best[index], best_product)).collect();
    Ok(KernelCheck { kernels: set.name(), matrix_product_gmacs: gmacs(best_product), speeds })
}

/// Billions of multiply-adds a second of a matrix product that takes `seconds`.
fn gmacs(seconds: f64) -> f64 {
    (MATRIX * MATRIX * MATRIX) as f64 / 1e9 / seconds
}
