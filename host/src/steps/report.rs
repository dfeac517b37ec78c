//! Shows a run: curves, confusion matrix, panels of the worst frames, and the page that holds them all.

use unet_data::{Split, load_pair};
use unet_shared::record::EvaluationRecord;

use super::open_run::{OpenRun, Weights};
use super::predict::{Predictor, frame_iou, mask_picture, picture};
use super::score::{EngineChoice, PROGRAM, segmenter};
use crate::error::HostError;
use crate::progress::Progress;
use crate::report::confusion::confusion;
use crate::report::html::write_report;
use crate::report::panel::{Panel, panel};
use crate::report::plots::{iou_curves, loss_curves};
use crate::report::{EpochPoint, ReportClass, ReportData, ReportPicture, ReportTable, save_png};
use crate::training::checkpoint::{EpochRow, load_state};

/// Panels in a report, the worst frames first.
const PANELS: usize = 8;

fn points(rows: &[EpochRow]) -> Vec<EpochPoint> {
    rows.iter()
        .map(|row| EpochPoint {
            epoch: row.epoch as u32,
            train_loss: Some(row.train_loss),
            val_loss: Some(row.val_loss),
            mean_iou: row.mean_iou,
            class_iou: row.class_iou.clone(),
        })
        .collect()
}

fn classes(run: &OpenRun) -> Vec<ReportClass> {
    let entries = run.snapshot.labels.classes.iter();
    entries.map(|class| ReportClass { name: class.name.clone(), color: class.color }).collect()
}

/// Draws the curves of the epochs done so far.
///
/// # Errors
/// When a picture cannot be written.
pub fn draw_curves(run: &OpenRun, rows: &[EpochRow]) -> Result<(), HostError> {
    let points = points(rows);
    loss_curves(&run.dir.loss_curves(), &points)?;
    iou_curves(&run.dir.iou_curves(), &points, &classes(run))?;
    Ok(())
}

/// Draws curves, confusion matrix and panels, and writes report.html. `record` is the score of the best weights;
/// `tables` are further sections.
///
/// # Errors
/// When the run's data cannot be read or something cannot be written.
pub fn write(run: &OpenRun, record: &EvaluationRecord, tables: Vec<ReportTable>) -> Result<(), HostError> {
    let state = load_state(&run.dir)?;
    let rows = state.as_ref().map_or(&[][..], |state| &state.rows);
    let classes = classes(run);
    draw_curves(run, rows)?;
    confusion(&run.dir.confusion(), &classes, record.confusion.counts())?;
    let panels = panels(run)?;
    for (k, shown) in panels.iter().enumerate() {
        save_png(&run.dir.panels_folder().join(format!("{:02}.png", k + 1)), &shown.image)?;
    }
    let percent = |value: Option<f64>| value.map_or_else(|| "none".to_owned(), |v| format!("{v:.4}"));
    let seconds: f64 = rows.iter().map(|row| row.seconds).sum();
    let mut key_figures = vec![
        ("mean IoU".to_owned(), percent(record.confusion.mean_iou())),
        ("pixel accuracy".to_owned(), percent(record.confusion.pixel_accuracy())),
    ];
    if let Some(best) = state.as_ref().and_then(|state| state.best) {
        key_figures.push(("best epoch".to_owned(), format!("{} of {}", best.epoch, rows.len())));
    }
    key_figures.push(("training time".to_owned(), duration(seconds)));
    let model = &run.config.model;
    key_figures.push(("network".to_owned(), model.to_string()));
    let preprocess = &run.config.preprocess;
    let input = format!("{}x{}x{}", preprocess.width, preprocess.height, preprocess.channels.count());
    key_figures.push(("input".to_owned(), input));
    let dataset = vec![
        ("folder".to_owned(), run.config.data.display().to_string()),
        ("training images".to_owned(), run.snapshot.train.len().to_string()),
        ("validation images".to_owned(), run.snapshot.val.len().to_string()),
        ("digest".to_owned(), run.snapshot.digest.to_string()),
    ];
    let data = ReportData {
        title: run.config.name.clone(),
        subtitle: format!("{PROGRAM}, {}, {}", record.engine, record.machine),
        key_figures,
        epochs: points(rows),
        classes,
        counts: record.confusion.counts().to_vec(),
        panels,
        tables,
        dataset,
        config: toml::to_string(&run.config).unwrap_or_default(),
    };
    Ok(write_report(&run.dir.report(), &data)?)
}

/// Seconds as hours, minutes and seconds.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, _) => format!("{seconds:.1} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds:02} s"),
        (hours, minutes, _) => format!("{hours} h {minutes:02} min"),
    }
}

/// Panels of the validation frames with the lowest IoU.
fn panels(run: &OpenRun) -> Result<Vec<ReportPicture>, HostError> {
    let dataset = run.data(None)?;
    let samples = dataset.split(Split::Val);
    let (network, _) = segmenter(run, EngineChoice::Burn, Weights::Best)?;
    let mut predictor = Predictor::new(network, run.config.preprocess)?;
    let progress = Progress::new("panels", samples.len() as u64, "frames");
    let load = |k: usize| load_pair(&samples[k], &run.table);
    let mut scores: Vec<(f64, usize)> = vec![];
    for k in 0..samples.len() {
        let pair = load(k)?;
        let prediction = predictor.predict(&pair.image)?;
        // A frame without a counted pixel has nothing to be wrong about.
        let iou = frame_iou(&pair.mask_at_image(), &prediction, predictor.classes())?.unwrap_or(1.0);
        scores.push((iou, k));
        progress.inc(1);
    }
    progress.finish();
    scores.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    scores.truncate(PANELS);
    let palette = run.palette();
    let mut shown = vec![];
    for (iou, k) in scores {
        let pair = load(k)?;
        let prediction = predictor.predict(&pair.image)?;
        let (width, height) = (pair.image.width, pair.image.height);
        let name = &samples[k].name;
        let image = panel(&Panel {
            image: &picture(&pair.image),
            truth: Some(&mask_picture(pair.mask_at_image().into_owned(), width, height)),
            prediction: &mask_picture(prediction, width, height),
            palette: &palette,
            name,
            score: &format!("IoU {iou:.3}"),
        })?;
        shown.push(ReportPicture { caption: format!("{name}, mean IoU {iou:.3}"), image });
    }
    Ok(shown)
}
