//! `unet-edge inspect`: the contents of a package, and whether it computes here what it computed on the workstation; or what
//! runs where in an ONNX file.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use unet_engine::field_of_view::FieldOfView;
use unet_engine::inference::{Description, Element, Model, Port};
use unet_engine::package::Package;
use unet_engine::segmenter::Segmenter as _;
use unet_shared::manifest::{Manifest, TensorEntry};
use unet_shared::preprocess::Normalize;

use super::{EngineArguments, Failure, Size, is_onnx, load, print, print_json, ratio_text};

/// Check a package, re-run its golden vectors and print its contents; or print what runs where in an ONNX file
#[derive(Debug, Args)]
pub struct Inspect {
    /// A package, or a file `*.onnx`
    package: PathBuf,
    #[command(flatten)]
    engine: EngineArguments,
    /// Input size, for an ONNX file without a fixed one
    #[arg(long, value_name = "WxH", allow_hyphen_values = true)]
    size: Option<Size>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Inspect {
    pub fn main(self) -> Result<(), Failure> {
        if is_onnx(&self.package) {
            return self.onnx();
        }
        if self.size.is_some() {
            return Err(Failure::input(format!("--size: expected a file *.onnx, found {}", self.package.display())));
        }
        let (package, mut predictor) = load(&self.package, &self.engine)?;
        let engine = predictor.segmenter_mut().engine_mut().describe();
        let field_of_view = predictor.segmenter().field_of_view();
        if self.json {
            return print_json(&json!({
                "file": self.package.display().to_string(),
                "digest": package.digest,
                "bytes": package.size(),
                "engine": engine,
                "field_of_view": field_of_view,
                "golden": { "vectors": package.manifest.golden.len(), "passed": true },
                "manifest": package.manifest,
            }));
        }
        print(&text(&self.package.display().to_string(), &package, &engine, field_of_view))
    }

    fn onnx(&self) -> Result<(), Failure> {
        let file = self.package.display();
        let bytes =
            std::fs::read(&self.package).map_err(|error| Failure::input(format!("failed to read {file}: {error}")))?;
        let name = self.package.file_name().unwrap_or(self.package.as_os_str()).to_string_lossy();
        let size = self.size.map(|size| [size.height, size.width]);
        let options = self.engine.options()?;
        let model = Model::open(&name, &bytes, size, &options).map_err(|error| {
            let own = || Model::open(&name, &bytes, None, &options).ok()?.field_of_view();
            let misfit = self.size.and_then(|size| size.misfit(own()));
            misfit.map_or_else(|| Failure::model(&self.package, &error), Failure::input)
        })?;
        let (engine, field_of_view) = (model.describe(), model.field_of_view());
        if self.json {
            let metadata: BTreeMap<_, _> = model.metadata().iter().cloned().collect();
            let bytes = bytes.len();
            return print_json(&json!({
                "file": file.to_string(), "bytes": bytes, "engine": engine, "metadata": metadata, "field_of_view": field_of_view,
            }));
        }
        let mut lines = Lines::default();
        lines.add("model", format!("{file}, {} bytes", bytes.len()));
        lines.add("input", port_text(model.input()));
        lines.add("output", port_text(model.output()));
        for (index, (key, value)) in model.metadata().iter().enumerate() {
            lines.add(if index == 0 { "metadata" } else { "" }, one_line(&format!("{key}: {value}")));
        }
        lines.add("receptive field", field_text(field_of_view));
        engine_lines(&mut lines, &engine);
        print(&lines.0)
    }
}

/// Without what would end the line or move the cursor.
fn one_line(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

fn field_text(field_of_view: Option<FieldOfView>) -> String {
    match field_of_view {
        Some(view) => {
            format!("{} pixels each way; unscaled tiles that overlap by {} show no seams", view.radius, view.overlap())
        }
        None => "unknown: an operator depends on the whole image, or is not known here".to_owned(),
    }
}

fn port_text(port: &Port) -> String {
    let element = match port.element {
        Element::U8 => "u8",
        Element::I8 => "i8",
        Element::F32 => "f32",
        Element::I64 => "i64",
    };
    let shape: Vec<_> = port.shape.iter().map(ToString::to_string).collect();
    format!("{} {element} {}", port.name, shape.join("x"))
}

fn text(file: &str, package: &Package, engine: &Description, field_of_view: Option<FieldOfView>) -> String {
    let manifest = &package.manifest;
    let mut lines = Lines::default();
    lines.add("package", format!("{file}, {} bytes, sha256 {}", package.size(), package.digest));
    lines.add(
        "model",
        format!("{} (manifest version {}, made by {})", manifest.name, manifest.version, manifest.created_by),
    );
    lines.add("input", tensor_text(&manifest.model.input));
    lines.add("output", tensor_text(&manifest.model.output));
    lines.add("preprocessing", preprocess_text(manifest));
    if let Some(tiles) = manifest.tiles {
        let (width, height, overlap) = (tiles.width(), tiles.height(), tiles.overlap());
        lines.add("tiles", format!("{width}x{height} pixels, overlap {overlap}, as in training"));
    }
    for (id, class) in manifest.classes.iter().enumerate() {
        let [red, green, blue] = class.color;
        let values: Vec<_> = class.values.iter().map(ToString::to_string).collect();
        let text = format!("{id} {}, label {}, shown as #{red:02x}{green:02x}{blue:02x}", class.name, values.join(" "));
        lines.add(if id == 0 { "classes" } else { "" }, text);
    }
    if !manifest.ignore.is_empty() {
        let values: Vec<_> = manifest.ignore.iter().map(ToString::to_string).collect();
        lines.add("ignored labels", values.join(" "));
    }
    for (index, member) in manifest.members.iter().enumerate() {
        let text = format!("{}, {} bytes, sha256 {}", member.name, member.size, member.sha256);
        lines.add(if index == 0 { "members" } else { "" }, text);
    }
    let provenance = &manifest.provenance;
    lines.add(
        "trained as",
        format!("run {}, seed {}, code {}", provenance.run, provenance.seed, provenance.code_version),
    );
    lines.add("dataset", provenance.dataset.to_string());
    lines.add("weights", provenance.weights.to_string());
    let (f32_iou, int8_iou) = (ratio_text(provenance.mean_iou_f32), ratio_text(provenance.mean_iou_int8));
    lines.add("mean IoU", format!("f32 {f32_iou}, int8 {int8_iou}"));
    lines.add("receptive field", field_text(field_of_view));
    let golden = manifest.golden.len();
    lines.add("golden vectors", format!("{golden} of {golden} passed by {}", engine.engine));
    engine_lines(&mut lines, engine);
    lines.0
}

/// What computes, how much memory that takes, and a line for each node.
fn engine_lines(lines: &mut Lines, engine: &Description) {
    let (Some(arena), Some(weights)) = (engine.arena_bytes, engine.weight_bytes) else {
        let reason = engine.left_to_tract.as_deref().unwrap_or("no reason");
        lines.add("engine", format!("tract runs the whole graph: {reason}"));
        return;
    };
    let threads = if engine.threads == 1 { "thread" } else { "threads" };
    lines.add("engine", format!("{}, kernel {}, {} {threads}", engine.engine, engine.kernel, engine.threads));
    lines.add("memory", format!("{arena} bytes of buffers, {weights} bytes of packed weights"));
    let total: u64 = engine.nodes.iter().map(|node| node.multiplications).sum();
    for (index, node) in engine.nodes.iter().enumerate() {
        let text = format!(
            "{:<24} {:<20} {:<12} {:>6.2} % of {total} multiply-accumulates",
            node.name,
            node.operator,
            node.kernel,
            100.0 * node.share,
        );
        lines.add(if index == 0 { "nodes" } else { "" }, text);
    }
    for (index, node) in engine.tract_nodes.iter().enumerate() {
        let text = format!("{:<24} {:<20} {:<12} {}", node.name, node.operator, "tract", node.reason);
        lines.add(if index == 0 { "left to tract" } else { "" }, text);
    }
}

/// Two columns of text.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn add(&mut self, key: &str, value: impl AsRef<str>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{key:<16}{}", value.as_ref());
    }
}

fn tensor_text(tensor: &TensorEntry) -> String {
    let shape: Vec<_> = tensor.shape.iter().map(ToString::to_string).collect();
    let quantization = tensor.quantization;
    format!(
        "{} u8 {}, scale {}, zero point {}",
        tensor.name,
        shape.join("x"),
        quantization.scale,
        quantization.zero_point
    )
}

fn preprocess_text(manifest: &Manifest) -> String {
    let spec = &manifest.preprocess;
    let normalize = match spec.normalize {
        Normalize::Unit => "divided by 255".to_owned(),
        Normalize::MeanStd { mean, std } => format!("divided by 255, mean {mean:?}, standard deviation {std:?}"),
    };
    let words = format!("{:?}, {:?}, {:?} filter", spec.channels, spec.fit, spec.filter).to_lowercase();
    let mut text = format!("{}x{} {words}, {normalize}, outside filled with {}", spec.width, spec.height, spec.fill);
    if let Some(bands) = spec.samples.bands {
        let bands: Vec<_> = bands.as_slice().iter().map(ToString::to_string).collect();
        let _ = write!(text, "; bands {} of image files", bands.join(","));
    }
    if let Some(range) = spec.samples.range {
        let _ = write!(text, "; {range} in image files of more than 8 bits become 0 to 255");
    }
    text
}
