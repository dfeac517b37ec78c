//! Compute kernels on the layers of a U-Net, one thread: `cargo bench -p unet-engine --bench kernels`.
//!
//! `-- --peak [KERNEL...]` prints instead how much of its peak each kernel reaches on each layer.

mod layers;
mod peak;

use std::error::Error;

use divan::counter::ItemsCount;
use layers::{LAYERS, Prepared};
use unet_engine::inference::kernel::Kernel;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    if arguments.next().as_deref() == Some("--peak") {
        return peak::print(arguments);
    }
    divan::main();
    Ok(())
}

/// Items are multiply-accumulates.
#[divan::bench(args = kernels(), sample_count = 20)]
fn all_layers(bencher: divan::Bencher<'_, '_>, kernel: Kernel) {
    let mut layers: Vec<Prepared> =
        LAYERS.iter().map(|&layer| Prepared::new(kernel, layer).expect("the layers are valid")).collect();
    let macs: u64 = layers.iter().map(Prepared::macs).sum();
    bencher.counter(ItemsCount::new(macs)).bench_local(|| {
        for layer in &mut layers {
            layer.run().expect("the buffers fit");
        }
    });
}

/// On the fastest kernel.
#[divan::bench(args = 0..LAYERS.len(), sample_count = 50)]
fn layer(bencher: divan::Bencher<'_, '_>, index: usize) {
    let mut layer = Prepared::new(Kernel::best(), LAYERS[index]).expect("the layers are valid");
    bencher.counter(ItemsCount::new(layer.macs())).bench_local(|| layer.run().expect("the buffers fit"));
}

/// All available, without the scalar one, which takes seconds, if there is another.
fn kernels() -> Vec<Kernel> {
    let mut kernels: Vec<Kernel> = Kernel::ALL.into_iter().filter(|kernel| kernel.is_available()).collect();
    if kernels.len() > 1 {
        kernels.retain(|&kernel| kernel != Kernel::Scalar);
    }
    kernels
}
