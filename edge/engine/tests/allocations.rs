//! What a frame allocates once the first one has run: nothing.

use unet_engine::inference::{Engine, EngineOptions, KernelChoice};
use unet_shared::manifest::TensorEntry;
use unet_shared::quantization::Quantization;
use unet_test_support::counting_allocator::{Counting, allocations, wait_until_quiet};
use unet_test_support::quantized_onnx::{Conv, Graph};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const FRAMES: usize = 10;

fn entry(name: &str, shape: [usize; 4]) -> TensorEntry {
    TensorEntry { name: name.to_owned(), shape, quantization: Quantization { scale: 1.0, zero_point: 0 } }
}

fn conv(out: usize, channels: usize, side: usize) -> Conv {
    Conv {
        shape: [out, channels, side, side],
        weights: (0..out * channels * side * side).map(|index| (index * 37 % 251) as u8 as i8).collect(),
        weight_scales: vec![0.01; out],
        bias: vec![5; out],
        pads: [side / 2; 4],
        x: (0.1, 0),
        y: (0.2, 0),
    }
}

/// Allocations of all of [`FRAMES`] after the first.
fn measure(model: &[u8], shape: [usize; 4], output: [usize; 4], threads: usize) -> u64 {
    let options = EngineOptions { kernel: KernelChoice::Auto, threads };
    let mut engine = Engine::from_onnx_with(model, &entry("x", shape), &entry("y", output), &options).unwrap();
    assert_eq!(engine.name(), "integer");
    let frame = vec![77; shape.iter().product()];
    engine.run(&frame).unwrap();
    let before = allocations();
    for _ in 0..FRAMES {
        engine.run(&frame).unwrap();
    }
    allocations() - before
}

// One test, as the counters are the process's.
#[test]
fn a_frame_allocates_nothing() {
    wait_until_quiet();
    let (x, y) = ([1, 1, 4, 4], [1, 2, 4, 4]);
    let smallest = Graph::new("x", x).conv("x", "y", &conv(2, 1, 1)).finish("y", y);
    let (wide, logits) = ([1, 3, 64, 64], [1, 4, 64, 64]);
    let net = Graph::new("x", wide)
        .conv("x", "skip", &conv(24, 3, 3))
        .max_pool("skip", "pooled")
        .conv("pooled", "deep", &conv(96, 24, 3))
        .depth_to_space("deep", "raised", "DCR")
        .concat(["skip", "raised"], "joined")
        .conv("joined", "head", &conv(16, 48, 3))
        .max_pool("head", "half")
        .resize("half", "grown", "asymmetric", "floor")
        .conv("grown", "y", &conv(4, 16, 3))
        .finish("y", logits);
    // The counters do count.
    let seen = allocations();
    drop(std::hint::black_box(vec![1u8; 100]));
    assert_eq!(allocations(), seen + 1);
    assert_eq!(measure(&smallest, x, y, 1), 0);
    // The classes are found behind data movement.
    let enlarged = [1, 2, 128, 128];
    let enlarging = Graph::new("x", wide)
        .conv("x", "quarters", &conv(32, 3, 1))
        .max_pool("quarters", "half")
        .depth_to_space("half", "up", "DCR")
        .depth_to_space("up", "y", "DCR")
        .finish("y", enlarged);
    for threads in [1, 2, 4] {
        assert_eq!(measure(&net, wide, logits, threads), 0, "{threads} threads");
        assert_eq!(measure(&enlarging, wide, enlarged, threads), 0, "{threads} threads");
    }
}
