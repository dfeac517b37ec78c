//! `unet-host predict RUN IMAGES --output DIR`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde::Serialize;
use unet_data::counted::one_or_many;
use unet_data::decode::tiff_pages;
use unet_data::image_list::{list_images, refuse_output_in};
use unet_data::pairing::{Pairing, pair};
use unet_data::stacks::expand_images;
use unet_data::{Annotation, Sample, counted, load_pair};
use unet_engine::exit::Exit;
use unet_engine::package::Package;
use unet_engine::picture::{OVERLAY_ALPHA, label_png, paint_mask, rgb_image};
use unet_engine::predictor::Predictor;
use unet_engine::segmenter::{Int8Segmenter, Segmenter};
use unet_host::error::HostError;
use unet_host::mask_format::{CocoFile, MaskFormat, palette_png};
use unet_host::progress::Progress;
use unet_host::report::panel::{Panel, side_by_side};
use unet_host::report::save_png;
use unet_host::run_dir::{RunDir, json};
use unet_host::steps::predict::{frame_iou, mask_picture};
use unet_host::steps::score::{EngineChoice, segmenter};
use unet_host::steps::{OpenRun, Weights};
use unet_shared::label::LabelTable;
use unet_shared::tiles::TilesChoice;

/// What to predict.
#[derive(Debug, clap::Args)]
pub struct Predict {
    /// Folder of a run, or a package
    subject: PathBuf,
    /// An image, or a folder of images
    images: PathBuf,
    /// Folder for masks, overlays, and panels of image, truth, prediction and overlay side by side; created if missing
    #[arg(long)]
    output: PathBuf,
    /// Folder of masks of the same names: panels then show them, and each image gets an IoU
    #[arg(long)]
    truth: Option<PathBuf>,
    /// Engine that computes a run's predictions; a package is always int8 (default for a run: burn)
    #[arg(long, value_enum)]
    engine: Option<EngineChoice>,
    /// Weights of the run (default: best)
    #[arg(long, value_enum)]
    weights: Option<Weights>,
    /// Exit with success even if some images could not be read; they are still listed
    #[arg(long)]
    skip_unreadable: bool,
    /// Cut images larger than SIZE into tiles: 512, 512,128 or 640x480,64, in pixels of the image; or none. By default OVERLAP is
    /// a quarter of the smaller side, rounded up to a multiple of 16, and at most half of the side. Tiles of the model's input
    /// size are not scaled (default: as in training)
    #[arg(long, value_name = "SIZE[,OVERLAP]", allow_hyphen_values = true)]
    tiles: Option<TilesChoice>,
    /// Format of the masks: PNG with label values, PNG with a palette, or one COCO file, OUTPUT/masks.json
    #[arg(long, value_enum, default_value_t = MaskFormat::Png)]
    format: MaskFormat,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// The prediction for one image.
#[derive(Debug, Serialize)]
struct Predicted {
    name: String,
    mask: PathBuf,
    overlay: PathBuf,
    panel: PathBuf,
    /// Share of the pixels of each class.
    shares: Vec<f64>,
    mean_iou: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Report {
    images: Vec<Predicted>,
    /// Errors of images without a prediction.
    failed: Vec<String>,
}

/// A network and the meaning of its classes.
struct Subject {
    predictor: Predictor<Box<dyn Segmenter>>,
    table: LabelTable,
    palette: Vec<[u8; 3]>,
    names: Vec<String>,
}

/// Where results go, and as what.
struct Output<'a> {
    folder: &'a Path,
    table: &'a LabelTable,
    palette: &'a [[u8; 3]],
    format: MaskFormat,
    /// The masks of all images so far, for [`MaskFormat::Coco`].
    coco: CocoFile,
    /// Whether a warning about an image was printed: only the first one is.
    warned: bool,
}

impl Predict {
    fn subject(&self) -> Result<Subject, HostError> {
        if RunDir::is_run(&self.subject) {
            let run = OpenRun::open(&self.subject)?;
            let (segmenter, _) =
                segmenter(&run, self.engine.unwrap_or(EngineChoice::Burn), self.weights.unwrap_or_default())?;
            let palette = run.palette();
            let tiles = TilesChoice::or_trained(self.tiles, run.config.tiles);
            let predictor = Predictor::new(segmenter, run.config.preprocess)?.with_tiles(tiles);
            let names = run.class_names();
            return Ok(Subject { predictor, table: run.table, palette, names });
        }
        super::refuse_neither(&self.subject)?;
        super::refuse_of_package(self.engine, self.weights)?;
        let package = Package::read(&self.subject)?;
        let manifest = &package.manifest;
        let segmenter: Box<dyn Segmenter> = Box::new(Int8Segmenter::load(&package)?);
        Ok(Subject {
            predictor: Predictor::new(segmenter, manifest.preprocess)?
                .with_tiles(TilesChoice::or_trained(self.tiles, manifest.tiles)),
            table: manifest.label_table()?,
            palette: manifest.classes.iter().map(|class| class.color).collect(),
            names: manifest.classes.iter().map(|class| class.name.clone()).collect(),
        })
    }

    pub fn run(self) -> Result<Exit, HostError> {
        refuse_output_in(&self.images, "the input images", &self.output).map_err(HostError::Usage)?;
        if let Some(truth) = &self.truth {
            refuse_output_in(truth, "the masks of --truth", &self.output).map_err(HostError::Usage)?;
        }
        let Subject { mut predictor, table, palette, names } = self.subject()?;
        if let Some(note) = predictor.tiles_note() {
            unet_engine::error::say(note);
        }
        let list = list_images(&self.images)?;
        if let Some(passed_over) = list.passed_over(&self.images) {
            unet_engine::error::say(passed_over);
        }
        let mut notes = vec![];
        let samples = expand_images(list.samples, &mut notes);
        notes.iter().for_each(|note| unet_engine::error::say(format_args!("note: {note}")));
        let truths = self.truth.as_deref().map(list_images).transpose()?.map_or_else(Vec::new, |list| list.samples);
        let paths = |samples: &[Sample]| {
            let mut paths: Vec<PathBuf> = samples.iter().map(|sample| sample.image.clone()).collect();
            // The slices of a stack share a file.
            paths.dedup();
            paths
        };
        let images = paths(&samples);
        let pairing = pair(&images, &paths(&truths));
        if let Some(folder) = &self.truth {
            missing_labels(folder, &truths, &images, &pairing)?;
        }
        if std::fs::read_dir(&self.output).is_ok_and(|mut entries| entries.next().is_some()) {
            let output = self.output.display();
            unet_engine::error::say(format_args!("note: {output} is not empty; files of the same names are replaced"));
        }
        let folders = ["overlays", "panels", "masks"];
        for folder in &folders[..if self.format == MaskFormat::Coco { 2 } else { 3 }] {
            let path = self.output.join(folder);
            unet_engine::atomic_file::create_folder(&path).map_err(|source| HostError::Write { path, source })?;
        }
        let progress = Progress::new("predicting", samples.len() as u64, "images");
        let coco = CocoFile::new(&names);
        let mut output =
            Output { folder: &self.output, table: &table, palette: &palette, format: self.format, coco, warned: false };
        let mut report = Report { images: vec![], failed: vec![] };
        for sample in &samples {
            let truth = pairing.samples.iter().find(|paired| paired.image == sample.image);
            let truth = truth.and_then(|paired| paired.label.clone()).map(|label| match (label, sample.page) {
                (Annotation::File(path), Some(page)) if tiff_pages(&path).len() > page => {
                    Annotation::Page { path, page }
                }
                (label, _) => label,
            });
            match one(sample, truth.as_ref(), &mut predictor, &mut output) {
                Ok(predicted) => report.images.push(predicted),
                // A broken image does not stop the others; a full disk does.
                Err(error) if error.exit_code() == Exit::Input => report.failed.push(unet_engine::error::chain(&error)),
                Err(error) => return Err(error),
            }
            progress.inc(1);
        }
        progress.finish();
        if self.format == MaskFormat::Coco {
            let path = output.coco_path();
            unet_engine::atomic_file::write(&path, json(&output.coco).as_bytes())
                .map_err(|source| HostError::Write { path, source })?;
        }
        super::print(self.json, &report, || text(&report, &self.output))?;
        Ok(if report.failed.is_empty() || self.skip_unreadable { Exit::Success } else { Exit::Fault })
    }
}

/// Warns of images that have no label of the same name in `folder`, whose labels are `truths`.
///
/// # Errors
/// If no image has one.
fn missing_labels(folder: &Path, truths: &[Sample], images: &[PathBuf], pairing: &Pairing) -> Result<(), HostError> {
    let paired: HashSet<&Path> = pairing.samples.iter().map(|sample| sample.image.as_path()).collect();
    let Some(alone) = images.iter().find(|image| !paired.contains(image.as_path())) else { return Ok(()) };
    let mut expected = folder.join(alone.file_name().unwrap_or_default());
    if let Some(extension) = truths.first().and_then(|label| label.image.extension()) {
        expected.set_extension(extension);
    }
    let (alone, expected, all) = (alone.display(), expected.display(), images.len());
    if paired.is_empty() {
        return Err(HostError::Usage(format!(
            "--truth {}: expected masks named like the images, such as {expected} for {alone}; none of the {} there is",
            folder.display(),
            counted(truths.len(), "file")
        )));
    }
    unet_engine::error::say(format_args!(
        "warning: only {} of {} {} a mask of the same name; {alone} has none, expected {expected}",
        paired.len(),
        counted(all, "image"),
        one_or_many(paired.len(), "has", "have")
    ));
    Ok(())
}

impl Output<'_> {
    fn coco_path(&self) -> PathBuf {
        self.folder.join("masks.json")
    }
}

fn one(
    sample: &Sample,
    truth: Option<&Annotation>,
    predictor: &mut Predictor<Box<dyn Segmenter>>,
    output: &mut Output<'_>,
) -> Result<Predicted, HostError> {
    let (table, palette) = (output.table, output.palette);
    let reading = predictor.spec().samples;
    let image = sample.decode_image(&reading)?;
    if let Some(warning) = image.warning()
        && !std::mem::replace(&mut output.warned, true)
    {
        unet_engine::error::say(format_args!("warning: {}: {warning}", sample.image.display()));
    }
    let (width, height) = (image.width, image.height);
    let prediction = predictor.predict(&image.view())?.to_vec();
    let truth = truth
        .map(|label| {
            let sample = Sample { label: Some(label.clone()), ..sample.clone() };
            Ok::<_, HostError>(load_pair(&sample, table, &reading)?.mask_at_image().into_owned())
        })
        .transpose()?;
    let mean_iou =
        truth.as_deref().map(|truth| frame_iou(truth, &prediction, predictor.segmenter().classes())).transpose()?;
    let mean_iou = mean_iou.flatten();
    let shares = (0..predictor.segmenter().classes())
        .map(|class| {
            prediction.iter().filter(|&&p| usize::from(p) == class).count() as f64 / prediction.len().max(1) as f64
        })
        .collect();
    let path = |folder: &str| output.folder.join(folder).join(format!("{}.png", sample.name));
    let (mut mask_path, overlay_path, panel_path) = (path("masks"), path("overlays"), path("panels"));
    let encoded = match output.format {
        MaskFormat::Png => Some(label_png(&prediction, width, height, table)?),
        MaskFormat::Palette => Some(palette_png(&prediction, width as u32, height as u32, palette)?),
        MaskFormat::Coco => {
            let file_name = sample.image.file_name().unwrap_or_default().to_string_lossy();
            let file_name = if sample.page.is_some() { sample.name.clone() } else { file_name.into_owned() };
            output.coco.add(file_name, &prediction, width, height);
            mask_path = output.coco_path();
            None
        }
    };
    if let Some(encoded) = encoded {
        unet_engine::atomic_file::write(&mask_path, &encoded)
            .map_err(|source| HostError::Write { path: mask_path.clone(), source })?;
    }
    // A large image is in memory once.
    let (mut picture, mask) = (rgb_image(&image.view())?, mask_picture(prediction, width, height));
    drop(image);
    let truth = truth.map(|truth| mask_picture(truth, width, height));
    let panel = Panel { image: &picture, truth: truth.as_ref(), prediction: &mask, palette };
    save_png(&panel_path, &side_by_side(&panel.tiles()?))?;
    paint_mask(&mut picture, &mask, palette, OVERLAY_ALPHA)?;
    save_png(&overlay_path, &picture)?;
    Ok(Predicted {
        name: sample.name.clone(),
        mask: mask_path,
        overlay: overlay_path,
        panel: panel_path,
        shares,
        mean_iou,
    })
}

fn text(report: &Report, output: &Path) -> String {
    let mut text = String::new();
    for image in &report.images {
        let iou = image.mean_iou.map_or_else(String::new, |iou| format!("  mean IoU {iou:.4}"));
        text += &format!("{}  {}{iou}\n", image.name, image.panel.display());
    }
    for failure in &report.failed {
        text += &format!("failed: {failure}\n");
    }
    if let count @ 1.. = report.failed.len() {
        text += &format!("{count} of {} could not be read\n", counted(count + report.images.len(), "image"));
    }
    if let Some(Predicted { mask, .. }) = report.images.first() {
        let masks = if mask.ends_with("masks.json") { mask.as_path() } else { mask.parent().unwrap_or(output) };
        let output = output.display();
        text += &format!("masks: {}, overlays: {output}/overlays, panels: {output}/panels\n", masks.display());
    }
    text
}
