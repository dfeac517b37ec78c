//! `unet-edge bench`: the time of a frame, its parts, and the memory of the process.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;
use unet_data::counted;
use unet_engine::inference::kernel::Kernel;
use unet_engine::inference::{
    Description, Element, Engine, Frame, InferenceError, KernelChoice, Model, Part, PartTime,
};
use unet_engine::machine::{self, Roots};
use unet_engine::package::Package;
use unet_shared::digest::Hasher;
use unet_shared::record::Timing;

use super::{EngineArguments, Failure, Size, chain, is_onnx, print};

mod endurance;

use endurance::{Endurance, Plan};

/// Number of random frames for a file without golden vectors; more would only evict the caches.
const DRAWN_FRAMES: u32 = 4;

/// Measure a model: milliseconds from the preprocessed frame to the class of each pixel
#[derive(Debug, Args)]
pub struct Bench {
    /// A package, measured on its golden inputs, or a file `*.onnx`, on random ones
    model: PathBuf,
    #[command(flatten)]
    engine: EngineArguments,
    /// How many frames to measure
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    frames: u32,
    /// Measure for N minutes instead, with a line each minute: times, temperature and throttling. With --digest the first
    /// --frames frames give the sha256, and it is a fault if the same frame later gives other bytes
    #[arg(long, value_name = "N", value_parser = minutes, conflicts_with_all = ["profile", "peak"])]
    minutes: Option<f64>,
    /// Run at this size instead of the model's own
    #[arg(long, value_name = "WxH", allow_hyphen_values = true)]
    size: Option<Size>,
    /// Print each node's time, and its share of the peak
    #[arg(long)]
    profile: bool,
    /// Measure the peak multiply-accumulates per second of one core with the kernel's instructions
    #[arg(long)]
    peak: bool,
    /// Print a sha256 of the logits (if they are bytes) and classes of all frames, equal for every machine, kernel and number of
    /// threads. Random frames are then all different
    #[arg(long)]
    digest: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Bench {
    pub fn main(self) -> Result<(), Failure> {
        let options = self.engine.options()?;
        let refused = |error: InferenceError| Failure::model(&self.model, &error);
        let size = self.size.map(|size| [size.height, size.width]);
        // The network may be sound, and only its size be none that it can run at.
        let refused_at = |error: InferenceError, own: &dyn Fn() -> Result<Model, InferenceError>| {
            let misfit = self.size.and_then(|size| size.misfit(own().ok()?.field_of_view()));
            misfit.map_or_else(|| refused(error), Failure::input)
        };
        let drawn = if self.digest { self.frames } else { self.frames.min(DRAWN_FRAMES) };
        let (model, inputs) = if is_onnx(&self.model) {
            let bytes = std::fs::read(&self.model)
                .map_err(|error| Failure::input(format!("failed to read {}: {error}", self.model.display())))?;
            let open = |size| Model::open(&name(&self.model), &bytes, size, &options);
            let model = open(size).map_err(|error| refused_at(error, &|| open(None)))?;
            let inputs = Inputs::drawn(&model, drawn);
            (model, inputs)
        } else {
            let package = Package::read(&self.model)?;
            let own = || Engine::load_with(&package, &options);
            let engine = size.map_or_else(own, |size| Engine::load_at(&package, size, &options));
            let engine = engine.map_err(|error| refused_at(error, &|| own().map(Engine::into_model)))?;
            let golden = package.golden().map(|golden| golden.input.to_vec()).collect();
            let model = engine.into_model();
            let inputs = if size.is_none() { Inputs::Bytes(golden) } else { Inputs::drawn(&model, drawn) };
            (model, inputs)
        };
        if let Some(minutes) = self.minutes {
            return self.endure(minutes, model, &inputs);
        }
        let measured = measure(model, &inputs, &self).map_err(refused)?;
        self.report(&measured)
    }

    /// Lines go to standard output, or to standard error if standard output is one JSON document.
    fn endure(&self, minutes: f64, mut model: Model, inputs: &Inputs) -> Result<(), Failure> {
        let inputs = inputs.frames();
        let [_, _, height, width] = model.output().shape;
        let (mut mask, mut logits) = (vec![0; height * width], vec![0; model.logits_len()]);
        let failed = |error: InferenceError| Failure::fault(format!("{}: {}", name(&self.model), chain(&error)));
        for &input in inputs.iter().take(1) {
            model.segment(input, &mut mask).map_err(failed)?;
        }
        let mut hasher = Hasher::new();
        let mut seen = vec![None; inputs.len()];
        let (mut count, in_digest) = (0, if self.digest { u64::from(self.frames) } else { 0 });
        let mut inputs = inputs.iter().enumerate().cycle();
        let frame = || {
            let (index, &input) = inputs.next().ok_or_else(|| Failure::fault("found no frame to measure"))?;
            let start = Instant::now();
            model.segment(input, &mut mask).map_err(failed)?;
            let time = start.elapsed();
            count += 1;
            if self.digest {
                model.logits(&mut logits).map_err(failed)?;
                if count <= in_digest {
                    hasher.update(&logits);
                    hasher.update(&mask);
                }
                let mut one = Hasher::new();
                one.update(&logits);
                one.update(&mask);
                let found = one.finish();
                let expected = *seen[index].get_or_insert(found);
                if found != expected {
                    let problem = format!("frame {count}: expected {expected}, as the same input gave, found {found}");
                    return Err(Failure::fault(problem));
                }
            }
            Ok(time)
        };
        let show = |span: &endurance::Span| {
            if self.json {
                unet_engine::error::say(span.line());
                Ok(())
            } else {
                print(&(span.line() + "\n"))
            }
        };
        let done = endurance::run(Plan::of_minutes(minutes, in_digest), &Roots::default(), frame, show)?;
        let digest = self.digest.then(|| hasher.finish().to_string());
        self.report_endurance(&done, &model.describe(), digest)
    }

    fn report_endurance(
        &self,
        done: &Endurance,
        description: &Description,
        digest: Option<String>,
    ) -> Result<(), Failure> {
        let peak_rss_kib = machine::peak_rss_kib();
        if self.json {
            let mut document = json!({
                "minutes": done.minutes,
                "summary": done.summary,
                "peak_rss_kib": peak_rss_kib,
                "kernel": description.kernel,
                "threads": description.threads,
            });
            if let Some(digest) = digest {
                document["sha256"] = json!(digest);
            }
            return print(&format!("{document}\n"));
        }
        let mut text = format!(
            "{}; peak memory {}\n",
            done.text(description.kernel, description.threads),
            memory_text(peak_rss_kib)
        );
        if let Some(digest) = digest {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "sha256 of the first {} logits and classes: {digest}", self.frames);
        }
        print(&text)
    }

    fn report(&self, measured: &Measured) -> Result<(), Failure> {
        let kernel: Option<Kernel> = measured.description.kernel.parse().ok();
        let was_asked_for = self.engine.options()?.kernel == KernelChoice::Tract;
        let left_to_tract = measured.description.left_to_tract.as_ref().filter(|_| !was_asked_for);
        let peak = if self.peak || self.profile { kernel.and_then(Kernel::peak) } else { None };
        let nodes = if self.profile { rows(measured, peak) } else { Vec::new() };
        if self.json {
            let mut document = json!({
                "frame_ms": measured.frame_ms,
                "peak_rss_kib": measured.peak_rss_kib,
                "kernel": measured.description.kernel,
                "threads": measured.description.threads,
            });
            if let Some(reason) = left_to_tract {
                document["left_to_tract"] = json!(reason);
            }
            if let Some(digest) = &measured.digest {
                document["sha256"] = json!(digest);
            }
            if self.peak {
                document["peak_multiplications_per_second"] = json!(peak);
            }
            if self.profile {
                document["nodes"] = nodes.iter().map(Row::json).collect();
            }
            return print(&format!("{document}\n"));
        }
        let timing = Timing::of(measured.frame_ms.iter().copied());
        let memory = memory_text(measured.peak_rss_kib);
        let mut text = format!(
            "{} by {}, threads {}: median {:.2} ms, {:.2} to {:.2}; peak memory {memory}\n",
            counted(timing.frames, "frame"),
            measured.description.kernel,
            measured.description.threads,
            timing.median_ms,
            timing.min_ms,
            timing.max_ms
        );
        // Writing to a string cannot fail.
        if let Some(reason) = left_to_tract {
            let _ = writeln!(text, "left to tract: {reason}");
        }
        if let Some(digest) = &measured.digest {
            let _ = writeln!(text, "sha256 of all logits and classes: {digest}");
        }
        if let Some(peak) = peak {
            let _ = writeln!(
                text,
                "peak of one core with these instructions: {:.1} G multiply-accumulates per second",
                peak / 1e9
            );
        }
        for row in &nodes {
            let _ = writeln!(text, "{}", row.text());
        }
        if self.profile && nodes.is_empty() {
            let _ = writeln!(text, "tract runs the graph; it does not time its nodes");
        }
        print(&text)
    }
}

fn memory_text(kib: Option<u64>) -> String {
    kib.map_or_else(|| "unknown".to_owned(), |kib| format!("{kib} KiB"))
}

/// Up to a week; fractions are allowed.
fn minutes(text: &str) -> Result<f64, String> {
    const MAX: f64 = 7.0 * 24.0 * 60.0;
    match text.parse::<f64>() {
        Ok(minutes) if minutes > 0.0 && minutes <= MAX => Ok(minutes),
        _ => Err(format!("expected more than 0 and at most {MAX} minutes")),
    }
}

/// A file's name in messages.
fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// Frames of the model's input type.
enum Inputs {
    Bytes(Vec<Vec<u8>>),
    Floats(Vec<Vec<f32>>),
}

impl Inputs {
    /// Pseudo-random, the same each time: bytes, or floats from 0 to 1.
    fn drawn(model: &Model, count: u32) -> Self {
        let length: usize = model.input().shape.iter().product();
        let mut state = 1_u32;
        // Numerical Recipes' generator; the upper bits are the good ones.
        let mut byte = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let mut frame = |_| -> Vec<u8> { (0..length).map(|_| byte()).collect() };
        let frames = (0..count).map(&mut frame);
        match model.input().element {
            Element::F32 => {
                Inputs::Floats(frames.map(|frame| frame.iter().map(|&v| f32::from(v) / 255.0).collect()).collect())
            }
            _ => Inputs::Bytes(frames.collect()),
        }
    }

    fn frames(&self) -> Vec<Frame<'_>> {
        match self {
            Inputs::Bytes(frames) => frames.iter().map(|frame| Frame::Bytes(frame)).collect(),
            Inputs::Floats(frames) => frames.iter().map(|frame| Frame::Floats(frame)).collect(),
        }
    }
}

struct Measured {
    description: Description,
    frame_ms: Vec<f64>,
    /// The minimum time of each part.
    parts: Vec<PartTime>,
    peak_rss_kib: Option<u64>,
    /// Of logits and classes, if requested.
    digest: Option<String>,
}

fn measure(mut model: Model, inputs: &Inputs, arguments: &Bench) -> Result<Measured, InferenceError> {
    let Bench { frames, profile, digest, .. } = *arguments;
    let inputs = inputs.frames();
    let [_, _, height, width] = model.output().shape;
    let mut mask = vec![0; height * width];
    let mut logits = vec![0; model.logits_len()];
    let mut hasher = Hasher::new();
    let mut frame_ms = Vec::with_capacity(frames as usize);
    let mut parts: Vec<PartTime> = Vec::new();
    // The first frame touches memory and wakes threads; it is not measured.
    for &input in inputs.iter().take(1) {
        model.segment(input, &mut mask)?;
    }
    for &input in inputs.iter().cycle().take(frames as usize) {
        let start = Instant::now();
        model.segment(input, &mut mask)?;
        frame_ms.push(start.elapsed().as_secs_f64() * 1e3);
        if digest {
            model.logits(&mut logits)?;
            hasher.update(&logits);
            hasher.update(&mask);
        }
        if profile {
            let times = model.times();
            if parts.is_empty() {
                parts = times;
            } else {
                for (min, found) in parts.iter_mut().zip(times) {
                    min.time = min.time.min(found.time);
                }
            }
        }
    }
    let peak_rss_kib = machine::peak_rss_kib();
    let digest = digest.then(|| hasher.finish().to_string());
    Ok(Measured { description: model.describe(), frame_ms, parts, peak_rss_kib, digest })
}

/// A line of the profile.
struct Row {
    name: String,
    operator: String,
    kernel: String,
    time: Duration,
    share: f64,
    /// Multiply-accumulates per second; `None` if there are none.
    rate: Option<f64>,
    /// Their share of the peak of all threads.
    of_peak: Option<f64>,
}

fn rows(measured: &Measured, peak: Option<f64>) -> Vec<Row> {
    let whole: Duration = measured.parts.iter().map(|part| part.time).sum();
    let row = |part: &PartTime| {
        let (name, operator, kernel, multiplications) = match part.part {
            Part::Enter => ("(input)".to_owned(), String::new(), "move".to_owned(), 0),
            Part::Leave => ("(output)".to_owned(), String::new(), "move".to_owned(), 0),
            Part::Argmax => ("(classes)".to_owned(), String::new(), "move".to_owned(), 0),
            Part::Tract => ("(tract)".to_owned(), String::new(), "tract".to_owned(), 0),
            Part::Node(index) => {
                let node = &measured.description.nodes[index];
                (node.name.clone(), node.operator.clone(), node.kernel.clone(), node.multiplications)
            }
        };
        let seconds = part.time.as_secs_f64();
        let rate = (multiplications > 0 && seconds > 0.0).then(|| multiplications as f64 / seconds);
        let cores = measured.description.threads as f64;
        let of_peak = rate.zip(peak).map(|(rate, peak)| rate / (peak * cores));
        let share = if whole.is_zero() { 0.0 } else { seconds / whole.as_secs_f64() };
        Row { name, operator, kernel, time: part.time, share, rate, of_peak }
    };
    measured.parts.iter().map(row).collect()
}

impl Row {
    fn json(&self) -> serde_json::Value {
        json!({
            "name": self.name,
            "operator": self.operator,
            "kernel": self.kernel,
            "milliseconds": self.time.as_secs_f64() * 1e3,
            "share": self.share,
            "multiplications_per_second": self.rate,
            "share_of_peak": self.of_peak,
        })
    }

    fn text(&self) -> String {
        let rate = self.rate.map_or_else(String::new, |rate| format!("{:7.1} G/s", rate / 1e9));
        let of_peak = self.of_peak.map_or_else(String::new, |share| format!("{:5.1} % of the peak", 100.0 * share));
        let line = format!(
            "{:<24} {:<20} {:<12} {:8.3} ms {:5.1} % {rate} {of_peak}",
            self.name,
            self.operator,
            self.kernel,
            self.time.as_secs_f64() * 1e3,
            100.0 * self.share
        );
        line.trim_end().to_owned()
    }
}
