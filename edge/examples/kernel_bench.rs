//! How fast each convolution kernel is on the layers of a U-Net (base 16, depth 4, 256x256), against the measured peak
//! of its own instructions. One thread; the least of many short runs, so that neighbours on the core disturb little.
//!
//! `cargo run --release -p unet-edge --example kernel_bench [KERNEL...]`

use std::error::Error;
use std::time::Instant;

use unet_edge::inference::kernel::{ConvParameters, ConvSpec, Grid, InputView, Kernel, OutputView, PackedConv};

/// Side of the output, input channels, output channels, kernel size, upsampled input.
const LAYERS: [(usize, usize, usize, usize, bool); 22] = [
    (256, 1, 16, 3, false),
    (256, 16, 16, 3, false),
    (128, 16, 32, 3, false),
    (128, 32, 32, 3, false),
    (64, 32, 64, 3, false),
    (64, 64, 64, 3, false),
    (32, 64, 128, 3, false),
    (32, 128, 128, 3, false),
    (16, 128, 256, 3, false),
    (16, 256, 256, 3, false),
    (32, 256, 128, 3, true),
    (32, 256, 128, 3, false),
    (32, 128, 128, 3, false),
    (64, 128, 64, 3, true),
    (64, 128, 64, 3, false),
    (64, 64, 64, 3, false),
    (128, 64, 32, 3, true),
    (128, 64, 32, 3, false),
    (128, 32, 32, 3, false),
    (256, 32, 16, 3, true),
    (256, 32, 16, 3, false),
    (256, 16, 16, 3, false),
];

/// The head: few channels.
const HEAD: (usize, usize, usize, usize, bool) = (256, 16, 4, 1, false);

fn main() -> Result<(), Box<dyn Error>> {
    let mut kernels = std::env::args().skip(1).map(|name| name.parse()).collect::<Result<Vec<Kernel>, _>>()?;
    if kernels.is_empty() {
        kernels.extend(Kernel::ALL.into_iter().filter(|kernel| kernel.is_available()));
    }
    for kernel in kernels {
        let peak = kernel.peak().unwrap_or(f64::NAN);
        println!("{kernel}: peak {:.1} G multiply-accumulates a second", peak / 1e9);
        let [mut total, mut seconds] = [0.0, 0.0];
        for layer in LAYERS.into_iter().chain([HEAD]) {
            let (multiplications, least) = layer_time(kernel, layer)?;
            total += multiplications;
            seconds += least;
            let (side, from, to, taps, upsample) = layer;
            println!(
                "{side:4}x{side:<4} {from:3} to {to:3}, {taps}x{taps}{} {:8.3} ms {:7.1} G/s {:5.1} %",
                if upsample { " upsampled" } else { "          " },
                least * 1e3,
                multiplications / least / 1e9,
                100.0 * multiplications / least / peak
            );
        }
        println!(
            "all {:.2} ms {:.1} G/s {:.1} %",
            seconds * 1e3,
            total / seconds / 1e9,
            100.0 * total / seconds / peak
        );
    }
    Ok(())
}

/// Multiply-accumulates of a layer, and seconds.
fn layer_time(
    kernel: Kernel,
    (side, channels_in, channels_out, taps, upsample): (usize, usize, usize, usize, bool),
) -> Result<(f64, f64), Box<dyn Error>> {
    let pads = [taps / 2; 4];
    let spec = ConvSpec { kernel: [taps; 2], pads, strides: [1, 1], channels_in, channels_out, upsample };
    let from = if upsample { side / 2 } else { side };
    let input = Grid::new(from, from, 1, channels_in)?;
    let output = Grid::new(side, side, 1, channels_out)?;
    let mut state = 1_u32;
    let mut random = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state >> 8) / f64::from(1 << 24)
    };
    // Nearly normal with a standard deviation of 25, as a trained net's largest weight is some five of these.
    let mut weight = || ((0..12).map(|_| random()).sum::<f64>() * 25.0 - 150.0).clamp(-127.0, 127.0) as i8;
    let weights: Vec<i8> = (0..taps * taps * channels_in * channels_out).map(|_| weight()).collect();
    let parameters = ConvParameters {
        weights: &weights,
        weight_zero_points: &[0],
        bias: &vec![100; channels_out],
        multipliers: &vec![0.0008; channels_out],
        x_zero_point: 0,
        y_zero_point: 0,
        clamp: [0, 255],
    };
    let conv = PackedConv::new(kernel, spec, &parameters, input)?;
    let from: Vec<u8> = (0..input.bytes()).map(|index| (index.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let mut to = vec![0; output.bytes()];
    let mut scratch = vec![0; conv.scratch()];
    let mut least = f64::INFINITY;
    let began = Instant::now();
    while began.elapsed().as_secs_f64() < 0.15 {
        let input = InputView::new(input, 0..channels_in, &from)?;
        let mut output = OutputView::new(output, 0..channels_out, &mut to)?;
        let start = Instant::now();
        conv.run(&input, &mut output, &mut scratch);
        least = least.min(start.elapsed().as_secs_f64());
    }
    std::hint::black_box(&to);
    Ok((conv.multiplications() as f64, least))
}
