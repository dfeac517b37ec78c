//! The closing lines of `unet-host train DATA --seeds N` and `--folds N`.

use unet_host::steps::series::{Series, SeriesReport};
use unet_host::steps::statistics::Statistics;

use super::ratio;
use super::table::aligned;

/// The result of a series as text: each run, then mean and spread, and for folds the scores of all counts together.
pub fn text(series: Series, report: &SeriesReport) -> String {
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<String>>();
    let mut runs = vec![words(&["run", "images", "epochs", "last", "best", "best epoch"])];
    for run in &report.runs {
        let epochs = format!("{}/{}", run.epochs, run.epochs_planned);
        let epoch = run.best_epoch.map_or_else(|| "none".to_owned(), |epoch| epoch.to_string());
        let (last, best) = (ratio(run.last_mean_iou), ratio(run.best_mean_iou));
        runs.push(vec![run.name.clone(), run.validation_images.to_string(), epochs, last, best, epoch]);
    }
    let (count, noun) = (report.runs.len(), if matches!(series, Series::Seeds(_)) { "seeds" } else { "folds" });
    let mut text = format!("mean IoU on validation images, {count} {noun}\n{}", aligned(&runs));
    let row = |name: &str, found: &Option<Statistics>| {
        let value = |value: fn(&Statistics) -> Option<f64>| ratio(found.as_ref().and_then(value));
        vec![
            name.to_owned(),
            value(|found| Some(found.mean)),
            value(|found| found.standard_deviation),
            value(|found| Some(found.lowest)),
            value(|found| Some(found.highest)),
        ]
    };
    let mut spread = vec![
        words(&[&format!("over {noun}"), "mean", "standard deviation", "lowest", "highest"]),
        row("last epoch", &report.last_mean_iou),
        row("best epoch", &report.best_mean_iou),
    ];
    spread.extend(
        report.classes.iter().zip(&report.class_iou).map(|(name, found)| row(&format!("IoU of {name}"), found)),
    );
    text += &aligned(&spread);
    if let Some(merged) = &report.merged {
        let mut classes = vec![words(&["class", "IoU", "Dice", "pixels"])];
        classes.extend(report.classes.iter().enumerate().map(|(class, name)| {
            let (iou, dice) = (merged.confusion.iou(class), merged.confusion.dice(class));
            vec![name.clone(), ratio(iou), ratio(dice), merged.confusion.truth_pixels(class).to_string()]
        }));
        text += &format!(
            "all folds together, {} images validated once each: mean IoU {}, pixel accuracy {}\n{}",
            merged.images,
            ratio(merged.mean_iou),
            ratio(merged.pixel_accuracy),
            aligned(&classes)
        );
    }
    text
}
