//! `unet-host bench-train`.

use std::fmt::Write as _;

use serde::Serialize;
use unet_host::backend::Backend;
use unet_host::error::{HostError, exit};
use unet_host::model::{Stem, Upsampling};
use unet_host::progress::Progress;
use unet_host::steps::bench_train::{BenchNetwork, BenchTrainOptions, BenchTrainReport, bench_train};
use unet_host::steps::check_kernels::{KernelCheck, check_kernels};
use unet_host::steps::train::TrainOptions;
use unet_shared::preprocess::Channels;
use unet_shared::record::Timing;

/// Which step to time.
#[derive(Debug, clap::Args)]
pub struct BenchTrain {
    /// Channels of the network's first level
    #[arg(long, default_value_t = 16)]
    base: usize,
    /// Number of times that the network halves the image
    #[arg(long, default_value_t = 4)]
    depth: usize,
    /// Input size as one side or as WIDTHxHEIGHT, multiples of 2^depth times the stem
    #[arg(long, default_value = "256", value_parser = parse_size)]
    size: (u32, u32),
    /// Images a step
    #[arg(long, default_value_t = 4)]
    batch: usize,
    /// Colour channels of the input, 1 or 3
    #[arg(long, default_value = "1", value_parser = super::train::parse_channels)]
    channels: Channels,
    /// Classes of the masks
    #[arg(long, default_value_t = 4)]
    classes: usize,
    /// Steps to time; the first is not like those that follow, and is told apart from them
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    steps: u32,
    /// The network: in the textbook's form, as other frameworks are timed, or in the form that `train` trains
    #[arg(long, value_enum, default_value_t = BenchNetwork::Plain)]
    network: BenchNetwork,
    /// How the decoder doubles the image
    #[arg(long, value_enum, default_value_t = Upsampling::Nearest)]
    upsampling: Upsampling,
    /// Shrink the image by this factor before the first level, and enlarge the logits again
    #[arg(long, value_enum, default_value_t = Stem::Full)]
    stem: Stem,
    /// Compute cheap tensors again in the backward pass instead of keeping them
    #[arg(long)]
    checkpointing: bool,
    /// What computes
    #[arg(long, value_enum, default_value_t = TrainOptions::default_backend())]
    backend: Backend,
    /// Say for each part of the step how long it takes
    #[arg(long)]
    profile: bool,
    /// Say instead whether each kernel is as fast as recorded, as a ratio to a matrix product; exit code 1 where one is not
    #[arg(long, conflicts_with_all = ["base", "depth", "size", "batch", "channels", "classes", "steps", "network", "upsampling", "stem", "checkpointing", "backend", "profile"])]
    check: bool,
    /// Print one JSON document, in one line
    #[arg(long)]
    json: bool,
}

fn parse_size(text: &str) -> Result<(u32, u32), String> {
    match text.parse() {
        Ok(side) => Ok((side, side)),
        Err(_) => super::train::parse_size(text)
            .map_err(|_| "expected a side, such as 256, or WIDTHxHEIGHT, such as 480x352".to_owned()),
    }
}

impl BenchTrain {
    pub fn run(self) -> Result<u8, HostError> {
        if self.check {
            return check(self.json);
        }
        let options = BenchTrainOptions {
            base: self.base,
            depth: self.depth,
            size: self.size,
            batch: self.batch,
            channels: self.channels,
            classes: self.classes,
            steps: self.steps as usize,
            backend: self.backend,
            network: self.network,
            upsampling: self.upsampling,
            stem: self.stem,
            checkpointing: self.checkpointing,
            profile: self.profile,
        };
        let progress = Progress::new("bench-train", self.steps.into(), "steps");
        let report = bench_train(&options, &mut |seconds, loss| {
            progress.message(format!("{seconds:.3} s, loss {loss:.4}"));
            progress.inc(1);
        })?;
        progress.finish();
        super::write(&if self.json { json_line(&report) } else { text(&options, &report) })?;
        Ok(exit::SUCCESS)
    }
}

/// Times the kernels and says which of them fell behind.
fn check(json: bool) -> Result<u8, HostError> {
    let mut progress = None;
    let found = check_kernels(&mut |rounds| {
        progress.get_or_insert_with(|| Progress::new("bench-train --check", rounds as u64, "rounds")).inc(1);
    })?;
    if let Some(progress) = progress {
        progress.finish();
    }
    super::write(&if json { json_line(&found) } else { check_text(&found) })?;
    Ok(if found.holds() { exit::SUCCESS } else { exit::FOUND })
}

fn check_text(found: &KernelCheck) -> String {
    let mut text = format!(
        "{} by one thread; a matrix product takes {:.1} billion multiply-adds a second\n{:<52}{:>8}{:>10}\n",
        found.kernels, found.matrix_product_gmacs, "throughput over the matrix product's", "found", "recorded",
    );
    for speed in &found.speeds {
        let recorded = speed.recorded.map_or_else(|| "none".to_owned(), |recorded| format!("{recorded:.3}"));
        let verdict = if speed.holds { "" } else { "  fell by a third or more" };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:<52}{:>8.3}{recorded:>10}{verdict}", speed.kernel, speed.ratio);
    }
    text
}

/// One line, which scripts find by its first character.
fn json_line<T: Serialize>(report: &T) -> String {
    let line = serde_json::to_string(report).expect("keys are texts and values are plain");
    format!("{line}\n")
}

/// Times of the steps after the first, which touches memory and wakes threads up; of the first where it is alone.
fn timing(step_s: &[f64]) -> Timing {
    let after = if step_s.len() > 1 { &step_s[1..] } else { step_s };
    Timing::of(after.iter().map(|seconds| seconds * 1e3))
}

fn text(options: &BenchTrainOptions, report: &BenchTrainReport) -> String {
    let (width, height) = options.size;
    let steps = timing(&report.step_s);
    let memory =
        report.peak_rss_kib.map_or_else(|| "unknown".to_owned(), |kib| format!("{:.0} MiB", kib as f64 / 1024.0));
    let first = report.step_s.first().copied().unwrap_or_default();
    let stem = if options.stem.is_full() { String::new() } else { format!(", stem {}", u8::from(options.stem)) };
    let mut text = format!(
        "base {}, depth {}{stem}, {} classes, batch {} of {width}x{height}x{}, {}, threads {}\n\
         first step       {first:9.3} s\n\
         steps after it   {:9.3} s at least, {:.3} s median, {:.3} s at most, {:.2} images/s\n\
         loss             {:9.4} at first, {:.4} at last\n\
         peak memory      {memory:>9}\n",
        options.base,
        options.depth,
        options.classes,
        options.batch,
        options.channels.count(),
        report.backend.name(),
        report.threads,
        steps.min_ms / 1e3,
        steps.median_ms / 1e3,
        steps.max_ms / 1e3,
        options.batch as f64 * 1e3 / steps.median_ms,
        report.losses.first().copied().unwrap_or_default(),
        report.losses.last().copied().unwrap_or_default(),
    );
    for (title, profile) in [("by part", &report.parts), ("by operation", &report.operations)] {
        if profile.is_empty() {
            continue;
        }
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{title}, median over the steps");
        for part in profile.parts() {
            let part_ms = timing(&part.step_s).median_ms;
            let share = 100.0 * part_ms / steps.median_ms;
            let _ = writeln!(text, "  {:<40}{:9.4} s {share:5.1} %", part.name, part_ms / 1e3);
        }
    }
    text
}
