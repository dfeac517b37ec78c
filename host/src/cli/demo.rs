//! `unet-host demo`: the whole path on a synthetic dataset.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;
use unet_data::Split;
use unet_engine::exit::Exit;
use unet_host::dataset::augment::Flips;
use unet_host::dataset::synthetic::{SyntheticConfig, generate};
use unet_host::error::HostError;
use unet_host::parity::compare;
use unet_host::quantize::Format;
use unet_host::report::ReportTable;
use unet_host::steps::export::ExportOptions;
use unet_host::steps::report;
use unet_host::steps::score::{EngineChoice, Evaluation, evaluate_run};
use unet_host::steps::train::{TrainOptions, finish, start, validate};
use unet_host::steps::{OpenRun, Weights, export, package, quantize};
use unet_host::training::memory::MemoryOptions;
use unet_shared::record::EvaluationRecord;

/// Options of the demo.
#[derive(Debug, clap::Args)]
pub struct Demo {
    /// Folder for dataset, run and package; replaced if it is that of an earlier demo
    #[arg(long, default_value = "demo")]
    output: PathBuf,
    /// Seed of dataset and training
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Passes over the training images
    #[arg(long, default_value_t = EPOCHS)]
    epochs: usize,
    /// Number of training images; a quarter as many are used for validation
    #[arg(long, default_value_t = IMAGES)]
    images: usize,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Results of the demo.
#[derive(Debug, Serialize)]
struct Report {
    mean_iou_f32_burn: Option<f64>,
    mean_iou_f32_tract: Option<f64>,
    mean_iou_int8_host: Option<f64>,
    mean_iou_int8_edge: Option<f64>,
    parity_equal: bool,
    frames: usize,
    package: PathBuf,
    report: PathBuf,
    seconds: f64,
}

/// Required mean IoU of a demo that is not shortened.
const MEAN_IOU_MIN: f64 = 0.85;
/// Largest drop of mean IoU by quantization.
const DROP_MAX: f64 = 0.01;
/// Passes over the training images.
const EPOCHS: usize = 10;
/// Number of training images.
const IMAGES: usize = 160;

/// Marks a demo's folder, so that no other folder is ever deleted.
const MARK: &str = ".unet-demo";

impl Demo {
    /// Whether it trains too little to reach the required mean IoU.
    fn is_shortened(&self) -> bool {
        self.epochs < EPOCHS || self.images < IMAGES
    }

    pub fn run(self) -> Result<Exit, HostError> {
        let begin = Instant::now();
        if self.images == 0 {
            return Err(HostError::Usage("--images: expected at least 1, found 0".to_owned()));
        }
        let data = self.output.join("data");
        let config = SyntheticConfig {
            seed: self.seed,
            train: self.images,
            val: (self.images / 4).max(1),
            ..SyntheticConfig::default()
        };
        let mut options =
            TrainOptions { runs: self.output.join("runs"), name: Some("demo".to_owned()), ..TrainOptions::default() };
        options.config.seed = self.seed;
        (options.config.model.base, options.config.model.depth) = (8, 3);
        let training = &mut options.config.training;
        training.epochs = self.epochs;
        // Few steps: a higher rate than the default for real data.
        training.learning_rate = 5e-3;
        options.augment.flips = Some(Flips::BOTH);
        // Before an earlier demo is deleted.
        validate(&options)?;
        clear(&self.output)?;
        generate(&data, &config)?;
        let memory = MemoryOptions::default();
        let run = start(&data, &options, memory)?;
        let (_, burn) = finish(&run, memory, &mut super::train::Watcher::new(self.epochs))?;
        let exported = export::export(&run, &ExportOptions::default())?;
        unet_engine::error::say(super::export::text(&exported).trim_end());
        let quantized = quantize::quantize(&run, Format::Qlinear, super::quantize::CALIBRATION_IMAGES)?;
        unet_engine::error::say(super::quantize::text(&quantized).trim_end());
        let packed = package::package(&run, None, package::GoldenSource::Frames)?;
        unet_engine::error::say(super::package::text(&packed).trim_end());
        let record = |engine| Ok::<_, HostError>(evaluate_run(&run, engine, Weights::Best, Split::Val, None)?.record);
        let (tract, host) = (record(EngineChoice::TractF32)?, record(EngineChoice::Int8)?);
        let edge = edge_record(&self.output, &packed.path, &data)?;
        let parity = compare(&host, &edge);
        let records =
            [("f32 by burn", &burn.record), ("f32 by tract", &tract), ("int8 by host", &host), ("int8 by edge", &edge)];
        show(&run, &burn, &records, &super::compare::text(&parity))?;
        let report = Report {
            mean_iou_f32_burn: burn.record.confusion.mean_iou(),
            mean_iou_f32_tract: tract.confusion.mean_iou(),
            mean_iou_int8_host: host.confusion.mean_iou(),
            mean_iou_int8_edge: edge.confusion.mean_iou(),
            parity_equal: parity.equal,
            frames: parity.frames,
            package: packed.path,
            report: run.dir.report(),
            seconds: begin.elapsed().as_secs_f64(),
        };
        super::print(self.json, &report, || {
            format!(
                "mean IoU f32 by burn:   {}\nmean IoU f32 by tract:  {}\nmean IoU int8 by host:  {}\n\
                 mean IoU int8 by edge:  {}\n{}package: {}\nreport: {}\n{}\n",
                super::ratio(report.mean_iou_f32_burn),
                super::ratio(report.mean_iou_f32_tract),
                super::ratio(report.mean_iou_int8_host),
                super::ratio(report.mean_iou_int8_edge),
                super::compare::text(&parity),
                report.package.display(),
                report.report.display(),
                report::duration(report.seconds),
            )
        })?;
        let mut found = !parity.equal || !exported.verification.verified;
        if !self.is_shortened() {
            let lowest = report.mean_iou_f32_burn.is_none_or(|iou| iou < MEAN_IOU_MIN);
            let drop = report.mean_iou_f32_tract.zip(report.mean_iou_int8_host).map(|(a, b)| a - b);
            if lowest || drop.is_none_or(|drop| drop > DROP_MAX) {
                unet_engine::error::say(format_args!(
                    "demo failed: expected a mean IoU of at least {MEAN_IOU_MIN} and an int8 drop of at most {DROP_MAX}"
                ));
                found = true;
            }
        }
        Ok(if found { Exit::Fault } else { Exit::Success })
    }
}

/// Creates the demo's folder, after deleting that of an earlier demo. Any other folder must be empty.
fn clear(output: &Path) -> Result<(), HostError> {
    let failed = |source| HostError::Write { path: output.to_owned(), source };
    if output.exists() {
        let is_empty = std::fs::read_dir(output).map_err(failed)?.next().is_none();
        if !is_empty && !output.join(MARK).is_file() {
            return Err(HostError::Usage(format!(
                "{}: expected an empty folder or that of an earlier demo, found other files; choose another --output",
                output.display()
            )));
        }
        std::fs::remove_dir_all(output).map_err(failed)?;
    }
    unet_engine::atomic_file::create_folder(output).map_err(failed)?;
    std::fs::write(output.join(MARK), b"").map_err(failed)
}

/// Scores the package as a board does: with the engine, in a process of its own that has only the package and the data.
fn edge_record(output: &Path, package: &Path, data: &Path) -> Result<EvaluationRecord, HostError> {
    let program = std::env::current_exe().map_err(|source| HostError::Read { path: "this program".into(), source })?;
    let path = output.join("record_edge.json");
    let status = std::process::Command::new(&program)
        .arg("val")
        .arg(package)
        .arg("--data")
        .arg(data)
        .arg("--output")
        .arg(&path)
        .stdout(std::process::Stdio::null())
        .status()
        .map_err(|source| HostError::Read { path: program.clone(), source })?;
    if !status.success() {
        return Err(HostError::Usage(format!("{}: evaluation failed with {status}", package.display())));
    }
    let bytes = std::fs::read(&path).map_err(|source| HostError::Read { path: path.clone(), source })?;
    EvaluationRecord::from_json(&bytes).map_err(|source| HostError::Record { path, source })
}

/// Writes the report again, with a table of the engines.
fn show(
    run: &OpenRun,
    evaluation: &Evaluation,
    records: &[(&str, &EvaluationRecord)],
    parity: &str,
) -> Result<(), HostError> {
    let rows = records
        .iter()
        .map(|(name, record)| {
            let confusion = &record.confusion;
            vec![
                (*name).to_owned(),
                super::ratio(confusion.mean_iou()),
                super::ratio(confusion.pixel_accuracy()),
                format!("{:.2}", record.timing.median_ms),
            ]
        })
        .collect();
    let columns = ["engine", "mean IoU", "pixel accuracy", "ms a frame"];
    let table = ReportTable {
        title: "From training to the board".to_owned(),
        note: parity.trim_end().to_owned(),
        columns: columns.map(str::to_owned).to_vec(),
        rows,
    };
    report::write(run, evaluation, vec![table])
}
