//! `unet-host bench-train`.

use std::fmt::Write as _;

use serde::Serialize;
use unet_engine::exit::Exit;
use unet_host::error::HostError;
use unet_host::progress::Progress;
use unet_host::steps::bench_train::{BenchTrainOptions, BenchTrainReport, bench_train};
use unet_host::steps::check_kernels::{KernelCheck, check_kernels};
use unet_shared::record::Timing;

/// The training step to time.
#[derive(Debug, clap::Args)]
pub struct BenchTrain {
    #[command(flatten)]
    options: BenchTrainOptions,
    /// Instead, compare the speed of each compute kernel with the recorded one, as a ratio to a matrix product; exit code 1 if
    /// one is slower
    #[arg(long, conflicts_with_all = super::ids::<BenchTrainOptions>())]
    check: bool,
    /// Print one JSON document, in one line
    #[arg(long)]
    json: bool,
}

impl BenchTrain {
    pub fn run(self) -> Result<Exit, HostError> {
        if self.check {
            return check(self.json);
        }
        let options = self.options;
        let progress = Progress::new("bench-train", options.steps.into(), "steps");
        let report = bench_train(&options, &mut |seconds, loss| {
            progress.message(format!("{seconds:.3} s, loss {loss:.4}"));
            progress.inc(1);
        })?;
        progress.finish();
        super::write(&if self.json { json_line(&report) } else { text(&options, &report) })?;
        Ok(Exit::Success)
    }
}

/// Times the compute kernels and reports those that became slower.
fn check(json: bool) -> Result<Exit, HostError> {
    let mut progress = None;
    let found = check_kernels(&mut |rounds| {
        progress.get_or_insert_with(|| Progress::new("bench-train --check", rounds as u64, "rounds")).inc(1);
    })?;
    if let Some(progress) = progress {
        progress.finish();
    }
    super::write(&if json { json_line(&found) } else { check_text(&found) })?;
    Ok(if found.holds() { Exit::Success } else { Exit::Fault })
}

fn check_text(found: &KernelCheck) -> String {
    let mut text = format!(
        "{} on one thread; a matrix product computes {:.1} GMAC/s\n{:<52}{:>8}{:>10}\n",
        found.kernels, found.matrix_product_gmacs, "throughput relative to the matrix product", "found", "recorded",
    );
    for speed in &found.speeds {
        let recorded = speed.recorded.map_or_else(|| "none".to_owned(), |recorded| format!("{recorded:.3}"));
        let verdict = if speed.holds { "" } else { "  slower by a third or more" };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:<52}{:>8.3}{recorded:>10}{verdict}", speed.kernel, speed.ratio);
    }
    text
}

/// One line, so that scripts find it by its first character.
fn json_line<T: Serialize>(report: &T) -> String {
    let line = serde_json::to_string(report).expect("keys are strings and values are plain");
    format!("{line}\n")
}

/// Times of the steps after the first, which touches memory and starts threads; of the first if there is no other.
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
    let others = match report.step_s.len() {
        0 | 1 => format!("{:>9}", "none"),
        _ => format!(
            "{:9.3} s min, {:.3} s median, {:.3} s max, {:.2} images/s",
            steps.min_ms / 1e3,
            steps.median_ms / 1e3,
            steps.max_ms / 1e3,
            options.batch as f64 * 1e3 / steps.median_ms
        ),
    };
    let mut text = format!(
        "{}, {} classes, batch {} of {width}x{height}x{}, {}, threads {}\n\
         first step       {first:9.3} s\n\
         other steps      {others}\n\
         loss             {:9.4} first, {:.4} last\n\
         peak memory      {memory:>9}\n",
        options.preset.network(options.model.clone()),
        options.classes,
        options.batch,
        options.channels.count(),
        report.backend.name(),
        report.threads,
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
