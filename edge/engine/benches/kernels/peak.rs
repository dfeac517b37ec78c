//! The speed of each compute kernel on the layers of a U-Net (base 16, depth 4, 256x256), relative to the measured peak of its
//! own instructions. One thread; the minimum of many short runs, since other processes disturb.

use std::error::Error;
use std::time::Instant;

use crate::layers::{LAYERS, Prepared};
use unet_engine::inference::kernel::Kernel;

/// Prints the table of the kernels with these names, or of all available ones.
pub fn print(names: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let mut kernels = names.map(|name| name.parse()).collect::<Result<Vec<Kernel>, _>>()?;
    if kernels.is_empty() {
        kernels.extend(Kernel::ALL.into_iter().filter(|kernel| kernel.is_available()));
    }
    for kernel in kernels {
        let peak = kernel.peak().unwrap_or(f64::NAN);
        println!("{kernel}: peak {:.1} G multiply-accumulates a second", peak / 1e9);
        let line = |name: &str, macs: f64, seconds: f64| {
            let rate = macs / seconds;
            println!("{name} {:8.3} ms {:7.1} G/s {:5.1} %", seconds * 1e3, rate / 1e9, 100.0 * rate / peak);
        };
        let (mut all, mut plain) = ([0.0; 2], [0.0; 2]);
        for layer in LAYERS {
            let mut prepared = Prepared::new(kernel, layer)?;
            let macs = prepared.macs() as f64;
            let seconds = minimum(&mut prepared)?;
            line(&layer.to_string(), macs, seconds);
            let is_plain = layer.taps == 3 && layer.from >= 16 && !layer.upsample;
            for sums in [&mut all].into_iter().chain(is_plain.then_some(&mut plain)) {
                sums[0] += macs;
                sums[1] += seconds;
            }
        }
        // Excluded: the first layer (one channel), the head (few), and upsampled ones, which multiply less than counted.
        line("3x3 from 16 channels on, not upsampled", plain[0], plain[1]);
        line("all", all[0], all[1]);
    }
    Ok(())
}

fn minimum(layer: &mut Prepared) -> Result<f64, Box<dyn Error>> {
    let mut minimum = f64::INFINITY;
    let began = Instant::now();
    while began.elapsed().as_secs_f64() < 0.15 {
        let start = Instant::now();
        layer.run()?;
        minimum = minimum.min(start.elapsed().as_secs_f64());
    }
    Ok(minimum)
}
