//! Writes the report of a run: curves, confusion matrix, reliability diagram, panels of the worst images, and the page with all of
//! them.

use std::collections::HashMap;

use unet_data::{Sample, Split, load_pair};
use unet_engine::picture::rgb_image;
use unet_engine::predictor::Predictor;

use super::open_run::{OpenRun, Weights};
use super::predict::mask_picture;
use super::score::{EngineChoice, Evaluation, PROGRAM, segmenter};
use crate::assessment::Assessment;
use crate::assessment::calibration::Calibration;
use crate::assessment::interval::Interval;
use crate::error::HostError;
use crate::report::html::write_report;
use crate::report::panel::{Panel, side_by_side};
use crate::report::{
    EpochPoint, ReportClass, ReportData, ReportPanel, ReportTable, save_png, write_confusion, write_iou_curves,
    write_loss_curves, write_reliability,
};
use crate::training::checkpoint::{EpochRow, load_state};
use crate::training::summary::Summary;

/// Number of panels in a report.
const PANELS: usize = 8;

pub(super) fn points(rows: &[EpochRow]) -> Vec<EpochPoint> {
    rows.iter()
        .map(|row| EpochPoint {
            epoch: row.epoch as u32,
            train_loss: Some(row.train_loss),
            val_loss: row.val_loss,
            mean_iou: row.mean_iou,
            class_iou: row.class_iou.clone(),
        })
        .collect()
}

fn classes(run: &OpenRun) -> Vec<ReportClass> {
    let entries = run.snapshot.labels.classes.iter();
    entries.map(|class| ReportClass { name: class.name.clone(), color: class.color }).collect()
}

/// Writes curves, confusion matrix, reliability diagram, panels and report.html. `evaluation` is that of the best weights on the
/// validation images; `tables` are further sections.
///
/// # Errors
/// If the run's data cannot be read or a file cannot be written.
pub fn write(run: &OpenRun, evaluation: &Evaluation, tables: Vec<ReportTable>) -> Result<(), HostError> {
    let Evaluation { record, assessment } = evaluation;
    let state = load_state(&run.dir)?;
    let rows = state.as_ref().map_or(&[][..], |state| &state.rows);
    let (epochs, classes) = (points(rows), classes(run));
    write_loss_curves(&run.dir.loss_curves(), &epochs)?;
    write_iou_curves(&run.dir.iou_curves(), &epochs, &classes)?;
    write_confusion(&run.dir.confusion(), &classes, &record.confusion)?;
    if let Some(calibration) = &assessment.calibration {
        write_reliability(&run.dir.reliability(), calibration)?;
    }
    let panels = panels(run, assessment)?;
    for (k, shown) in panels.iter().enumerate() {
        save_png(&run.dir.panels_folder().join(format!("{:02}.png", k + 1)), &side_by_side(&shown.tiles))?;
    }
    let ratio = |value: Option<f64>| value.map_or_else(|| "none".to_owned(), |v| format!("{v:.4}"));
    let seconds: f64 = rows.iter().map(|row| row.seconds).sum();
    let mut key_figures = vec![
        ("mean IoU".to_owned(), ratio(record.confusion.mean_iou())),
        ("pixel accuracy".to_owned(), ratio(record.confusion.pixel_accuracy())),
    ];
    key_figures.extend(assessed(assessment));
    if let Some(summary) = Summary::of(rows, run.config.training.first_frozen_epoch()) {
        let Summary { last, best, tail } = summary;
        key_figures.push(("best epoch".to_owned(), format!("{:.4} ({} of {})", best.mean_iou, best.epoch, rows.len())));
        key_figures.push(("last epoch".to_owned(), format!("{:.4}", last.mean_iou)));
        if tail.epochs > 1 {
            let range = format!("{:.4} to {:.4}", tail.lowest, tail.highest);
            key_figures.push((format!("last {} epochs", tail.epochs), range));
        }
    }
    key_figures.push(("training time".to_owned(), duration(seconds)));
    let model = &run.config.model;
    key_figures.push(("network".to_owned(), model.to_string()));
    let preprocess = &run.config.preprocess;
    let input = format!("{}x{}x{}", preprocess.width, preprocess.height, preprocess.channels.count());
    key_figures.push(("input".to_owned(), input));
    if let Some(tiles) = run.config.tiles {
        let (width, height, overlap) = (tiles.width(), tiles.height(), tiles.overlap());
        key_figures.push(("tiles".to_owned(), format!("{width}x{height}, overlap {overlap}")));
    }
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
        epochs,
        classes,
        confusion: Some(record.confusion.clone()),
        boundary: assessment.boundary.clone(),
        calibration: assessment.calibration.clone(),
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

/// The key figures of an assessment.
fn assessed(assessment: &Assessment) -> Vec<(String, String)> {
    let mut figures = vec![];
    if let Some(Interval { low, high, .. }) = assessment.interval {
        figures.push(("95 % interval of mean IoU".to_owned(), format!("{low:.4} to {high:.4}")));
    }
    for boundary in &assessment.boundary {
        if let Some(iou) = boundary.mean_iou() {
            figures.push((format!("boundary IoU, {} pixels", boundary.width), format!("{iou:.4}")));
        }
    }
    if let Some(error) = assessment.calibration.as_ref().and_then(Calibration::error) {
        figures.push(("calibration error".to_owned(), format!("{error:.4}")));
    }
    figures
}

/// Panels of the validation images with the lowest mean IoU.
fn panels(run: &OpenRun, assessment: &Assessment) -> Result<Vec<ReportPanel>, HostError> {
    let dataset = run.data(None)?;
    let (network, _) = segmenter(run, EngineChoice::Burn, Weights::Best)?;
    let mut predictor = Predictor::new(network, run.config.preprocess)?.with_tiles(run.config.tiles);
    let palette = run.palette();
    let samples: HashMap<&str, &Sample> =
        dataset.split(Split::Val).iter().map(|sample| (sample.name.as_str(), sample)).collect();
    let mut shown = vec![];
    for (name, iou) in assessment.worst(PANELS) {
        let Some(sample) = samples.get(name) else { continue };
        let pair = load_pair(sample, &run.table, &run.config.preprocess.samples)?;
        let prediction = predictor.predict(&pair.image.view())?.to_vec();
        let (width, height) = (pair.image.width, pair.image.height);
        let panel = Panel {
            image: &rgb_image(&pair.image.view())?,
            truth: Some(&mask_picture(pair.mask_at_image().into_owned(), width, height)),
            prediction: &mask_picture(prediction, width, height),
            palette: &palette,
        };
        shown.push(ReportPanel { caption: format!("{name}, mean IoU {iou:.4}"), tiles: panel.tiles()? });
    }
    Ok(shown)
}
