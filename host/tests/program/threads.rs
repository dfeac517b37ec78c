//! Training gives the same bits with any number of threads.

use crate::resume::OPERATIONS;
use crate::{expect, synthetic, text};

/// With each instruction set of the compute kernels, which run on flex.
#[cfg(feature = "flex")]
#[test]
fn steps_have_equal_losses_with_any_number_of_threads() {
    use unet_host::operation::Operators;

    use crate::parse;

    for kernels in Operators::available().into_iter().filter(|operators| *operators != Operators::Stock) {
        for shape in [
            "--base 8 --size 64 --batch 4",
            "--base 5 --size 48x80 --batch 3 --channels 3 --network ours",
            "--base 3 --size 64 --batch 3 --loss dice-cross-entropy --optimizer adamw",
        ] {
            let losses = |threads: &str| {
                let line = format!(
                    "bench-train {shape} --depth 3 --steps 5 --json --kernels {} --threads {threads}",
                    kernels.name()
                );
                let report = parse(&expect(0, &line.split(' ').collect::<Vec<_>>()).0);
                assert_eq!(report["threads"].to_string(), threads);
                assert_eq!(report["losses"].as_array().unwrap().len(), 5);
                report["losses"].clone()
            };
            let one = losses("1");
            for threads in ["2", "3"] {
                assert_eq!(losses(threads), one, "{}, {shape}, {threads} threads", kernels.name());
            }
        }
    }
}

#[test]
fn runs_have_equal_weights_with_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let data = synthetic(folder.path(), 24, 4);
    let runs = folder.path().join("runs");
    for upsampling in ["nearest", "up-convolution"] {
        let weights = |threads: &str| {
            let name = format!("{upsampling}-{threads}");
            let shape = ["--base", "4", "--depth", "3", "--epochs", "2", "--batch", "5", "--upsampling", upsampling];
            let names = ["train", text(&data), "--runs", text(&runs), "--name", &name, "--threads", threads];
            expect(0, &[&names[..], &shape[..]].concat());
            std::fs::read(runs.join(name).join("weights/last.bpk")).unwrap()
        };
        assert!(weights("1") == weights("2"), "{upsampling}: weights depend on the number of threads");
    }
}

#[test]
fn runs_have_equal_weights_with_any_number_of_loading_threads() {
    let folder = tempfile::tempdir().unwrap();
    let data = synthetic(folder.path(), 24, 4);
    let runs = folder.path().join("runs");
    let weights = |workers: &str, cache: &str| {
        let name = format!("{workers}-{cache}");
        let shape = ["--base", "4", "--depth", "2", "--epochs", "2", "--batch", "5", "--augment", OPERATIONS];
        let names = ["train", text(&data), "--runs", text(&runs), "--name", &name];
        expect(0, &[&names[..], &shape[..], &["--workers", workers, "--cache-mib", cache]].concat());
        std::fs::read(runs.join(name).join("weights/last.bpk")).unwrap()
    };
    let one = weights("1", "512");
    assert!(weights("4", "512") == one, "weights depend on the number of loading threads");
    assert!(weights("3", "0") == one, "weights depend on the cache");
}
