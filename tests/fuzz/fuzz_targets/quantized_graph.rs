//! Every compute kernel and number of threads against the scalar one on one thread, through the whole engine.

#![no_main]

use std::sync::atomic::{AtomicU64, Ordering};

use arbitrary::Unstructured;
use libfuzzer_sys::{Corpus, fuzz_target};
use prost::Message;
use unet_engine::inference::kernel::Kernel;
use unet_engine::inference::{Engine, EngineOptions, InferenceError, KernelChoice};
use unet_fuzz::graph::Case;

static SEEN: AtomicU64 = AtomicU64::new(0);
static ACCEPTED: AtomicU64 = AtomicU64::new(0);

fuzz_target!(|data: &[u8]| -> Corpus {
    let Ok(case) = Case::arbitrary(&mut Unstructured::new(data)) else { return Corpus::Reject };
    let onnx = case.model.encode_to_vec();
    let load = |kernel, threads| {
        let options = EngineOptions { kernel: KernelChoice::Only(kernel), threads };
        Engine::from_onnx_with(&onnx, &case.input, &case.output, &options)
    };
    let reference = load(Kernel::Scalar, 1);
    count(reference.as_ref().err());
    let Ok(mut reference) = reference else { return Corpus::Keep };
    let expected = case.frames.each_ref().map(|frame| run(&mut reference, frame));
    compare(&mut reference, &case, &expected, "scalar, 1 thread");
    for kernel in Kernel::ALL.into_iter().filter(|kernel| kernel.is_available()) {
        for threads in [1, 3] {
            if (kernel, threads) == (Kernel::Scalar, 1) {
                continue;
            }
            match load(kernel, threads) {
                Ok(mut engine) => compare(&mut engine, &case, &expected, &format!("{kernel}, {threads} threads")),
                Err(error) => panic!("scalar runs the graph, {kernel} does not: {error}"),
            }
        }
    }
    Corpus::Keep
});

/// Also runs the first frame again: nothing of another frame may remain.
fn compare(engine: &mut Engine, case: &Case, expected: &[Vec<u8>; 2], who: &str) {
    for (frame, expected) in [0, 1, 0].map(|index| (&case.frames[index], &expected[index])) {
        let found = run(engine, frame);
        if let Some(at) = (0..found.len()).find(|&at| found[at] != expected[at]) {
            panic!("{who}: expected {} at byte {at}, found {}", expected[at], found[at]);
        }
    }
}

fn run(engine: &mut Engine, frame: &[u8]) -> Vec<u8> {
    engine.run(frame).expect("a graph that loads runs").to_vec()
}

/// Prints how many graphs are accepted, at each power of two; with FUZZ_REFUSALS set, why the others are not.
fn count(refused: Option<&InferenceError>) {
    let seen = SEEN.fetch_add(1, Ordering::Relaxed) + 1;
    let accepted = ACCEPTED.fetch_add(u64::from(refused.is_none()), Ordering::Relaxed) + u64::from(refused.is_none());
    if let Some(error) = refused.filter(|_| std::env::var_os("FUZZ_REFUSALS").is_some()) {
        let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
        eprintln!("refused: {error}: {cause}");
    }
    if seen.is_power_of_two() || seen.is_multiple_of(10_000) {
        eprintln!("graphs that the integer engine takes: {accepted} of {seen}");
    }
}
