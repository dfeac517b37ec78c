//! `unet-edge evaluate`: scores a package on a labelled dataset and writes the evaluation record.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use unet_data::{Dataset, FolderChoice, OpenOptions, Split, counted};
use unet_engine::evaluate::{RecordMeta, evaluate};
use unet_engine::{atomic_file, machine};
use unet_shared::digest::Digest;
use unet_shared::record::EvaluationRecord;

use super::{EngineArguments, Failure, TilesArgument, json_text, load, print, print_json, ratio_text};

/// Score a package on a labelled dataset
#[derive(Debug, Args)]
pub struct Evaluate {
    /// The package
    package: PathBuf,
    #[command(flatten)]
    engine: EngineArguments,
    /// The dataset's folder
    data: PathBuf,
    /// Which split: train, val or test
    #[arg(long, default_value_t = Split::Val)]
    split: Split,
    /// Share of the pairs that is the validation split where folders do not say (default: as in training)
    #[arg(long)]
    val_ratio: Option<f64>,
    /// Seed of that split (default: as in training)
    #[arg(long)]
    split_seed: Option<u64>,
    /// Leave out pairs with a file that cannot be read, and say which
    #[arg(long)]
    skip_unreadable: bool,
    /// Folder of the images below the dataset's, or the end of its path (default: found by its name)
    #[arg(long, value_name = "FOLDER")]
    images: Option<PathBuf>,
    /// Folder of the masks, likewise
    #[arg(long, value_name = "FOLDER")]
    masks: Option<PathBuf>,
    /// What a mask's name has after that of its image, such as _mask
    #[arg(long, allow_hyphen_values = true)]
    suffix: Option<String>,
    #[command(flatten)]
    tiles: TilesArgument,
    /// Write the evaluation record here
    #[arg(long)]
    output: Option<PathBuf>,
    /// Print the evaluation record as one JSON document
    #[arg(long)]
    json: bool,
}

impl Evaluate {
    pub fn main(self) -> Result<(), Failure> {
        if let Some(path) = &self.output {
            atomic_file::check(path).map_err(|error| Failure::write(path, error))?;
        }
        let (package, predictor) = load(&self.package, &self.engine)?;
        let mut predictor = self.tiles.apply(predictor);
        let provenance = &package.manifest.provenance;
        let options = OpenOptions {
            val_ratio: self.val_ratio.unwrap_or(provenance.val_ratio),
            seed: self.split_seed.unwrap_or(provenance.split_seed),
            stacks: provenance.stacks,
            // A ratio asks for another split.
            fold: provenance.fold.filter(|_| self.val_ratio.is_none()),
            choice: FolderChoice { images: self.images, masks: self.masks, suffix: self.suffix },
        };
        let mut dataset = Dataset::open(&self.data, &options).map_err(Failure::input)?;
        let manifest = &package.manifest;
        // Checked when the package was read.
        let labels = manifest.label_table().map_err(Failure::input)?;
        if self.skip_unreadable {
            dataset.leave_out_unreadable(&manifest.preprocess.samples, labels.reading());
        }
        dataset.skipped().iter().for_each(unet_engine::error::say);
        if !dataset.problems.is_empty() {
            unet_engine::error::say(format_args!(
                "files of {1} that are not used: {0}; `unet-host check` lists them",
                dataset.problems.len(),
                self.data.display()
            ));
        }
        let meta = RecordMeta {
            program: concat!("unet-edge ", env!("CARGO_PKG_VERSION")).to_owned(),
            machine: machine::name(),
            model: Digest::of(package.model()),
            package: Some(package.digest),
            dataset: dataset.name(),
            split: self.split.name().to_owned(),
            classes: manifest.classes.iter().map(|class| class.name.clone()).collect(),
        };
        let samples = dataset.samples_of(self.split).map_err(Failure::input)?;
        let mut progress = |done: usize, all: usize| {
            // Ten lines for any number of images.
            if done == all || done.is_multiple_of(all.div_ceil(10)) {
                unet_engine::error::say(format_args!("{done}/{all} images"));
            }
        };
        let record = evaluate(samples, &labels, &mut predictor, meta, &mut progress)
            .map_err(|error| Failure::input(error.with_remedy()))?;
        if let Some(path) = &self.output {
            let text = json_text(&record)? + "\n";
            atomic_file::write(path, text.as_bytes()).map_err(|error| Failure::write(path, error))?;
        }
        if self.json { print_json(&record) } else { print(&text(&record)) }
    }
}

fn text(record: &EvaluationRecord) -> String {
    let confusion = &record.confusion;
    let width = record.classes.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(5);
    let mut text = format!("{:<width$}  {:>7}  {:>7}  {:>12}\n", "class", "IoU", "Dice", "pixels");
    for (id, name) in record.classes.iter().enumerate() {
        let (iou, dice) = (ratio_text(confusion.iou(id)), ratio_text(confusion.dice(id)));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:<width$}  {iou:>7}  {dice:>7}  {:>12}", confusion.truth_pixels(id));
    }
    let (iou, accuracy) = (ratio_text(confusion.mean_iou()), ratio_text(confusion.pixel_accuracy()));
    let _ = writeln!(text, "mean IoU {iou}, pixel accuracy {accuracy}, {}", counted(record.frames.len(), "image"));
    if let Some(line) = unet_engine::evaluate::tiles_line(record) {
        let _ = writeln!(text, "{line}");
    }
    let timing = &record.timing;
    let _ = writeln!(
        text,
        "{} on {}: {:.2} ms an image (median; {:.2} to {:.2})",
        record.engine, record.machine, timing.median_ms, timing.min_ms, timing.max_ms
    );
    text
}
