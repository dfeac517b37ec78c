//! Shows what a network will see: training images of a dataset as the loader prepares and augments them.

use std::path::PathBuf;
use std::sync::Arc;

use image::{GrayImage, Rgb, RgbImage};
use unet_shared::tiles::Tiles;

use super::train::resolve_input;
use crate::check::{Checked, Usable};
use crate::config::{InputOptions, RunConfig, check_size};
use crate::dataset::augment::{Augmentation, NamedList};
use crate::dataset::loader::{Item, Loader, LoaderOptions};
use crate::dataset::pieces::Pieces;
use crate::error::HostError;
use crate::progress::Progress;
use crate::report::contact_sheet::{Cell, contact_sheet};
use crate::report::save_png;

/// Images of a sheet, spread over the training images.
const ROWS: usize = 6;
/// Epochs of a sheet.
const EPOCHS: usize = 4;

/// What a contact sheet shows; as `train` would with the same options.
#[derive(Clone, Debug, clap::Args)]
pub struct ContactSheetOptions {
    /// PNG to write (default: augmented-NAMES.png in the current folder)
    #[arg(long, value_name = "FILE", requires = "augmented")]
    pub output: Option<PathBuf>,
    /// Seed of the run whose images are shown
    #[arg(long, default_value_t = 0, requires = "augmented")]
    pub seed: u64,
    /// Cut images larger than SIZE into tiles, as `train` does
    #[arg(long, value_name = "SIZE[,OVERLAP]", requires = "augmented")]
    pub tiles: Option<Tiles>,
    /// The input, as `train` resolves it.
    #[command(flatten)]
    pub input: InputOptions,
}

/// Writes the sheet of a checked dataset, and returns a line that says what it shows. Empty `names` mean
/// `train`'s default.
///
/// # Errors
/// If the dataset has no pairs to train on, an option does not fit it, an image cannot be loaded, or the file cannot be written.
pub fn write(checked: Checked, names: &NamedList, options: &ContactSheetOptions) -> Result<String, HostError> {
    let Some(found) = checked.usable() else {
        return Err(HostError::Usage("--augmented: expected a dataset that can be trained on".to_owned()));
    };
    let mut augmentation = names.resolve().map_err(HostError::Usage)?;
    let (table, model) = (found.labels.table()?, RunConfig::default().model);
    let preprocess = resolve_input(&found, &options.input, model.size_multiple(), options.tiles)?;
    // What `train` would refuse with these options.
    check_size(&preprocess, &model).map_err(HostError::Usage)?;
    preprocess.validate()?;
    if names.is_empty() {
        augmentation = Augmentation::default_for(&preprocess);
    }
    if augmentation.needs_class_pixels() {
        augmentation.class_pixels = found.pairs.training_pixels(&table);
    }
    let Usable { dataset, labels, .. } = found;
    let pieces = Pieces::of(&dataset.train, options.tiles)?;
    let loading = LoaderOptions { cache_bytes: 0, workers: 2, with_truth: false };
    let loader = Loader::new(dataset.train, table, preprocess, loading)?.with_pieces(pieces);
    let palette: Vec<[u8; 3]> = labels.classes.iter().map(|class| class.color).collect();
    let rows = rows(&loader, &augmentation, options.seed, preprocess.width as usize, &palette)?;
    let path = options.output.clone().unwrap_or_else(|| PathBuf::from(format!("augmented-{names}.png")));
    save_png(&path, &contact_sheet(&rows))?;
    let (shown, all, input) = (rows.len(), loader.len(), format!("{}x{}", preprocess.width, preprocess.height));
    let unit = if options.tiles.is_some() { "training images or tiles" } else { "training images" };
    Ok(format!(
        "contact sheet: {}: {shown} of {all} {unit}, one per row: as loaded at {input}, then as in epochs 1 to {EPOCHS} with \
         seed {}, each with its mask overlay to the right; {names}: {augmentation}",
        path.display(),
        options.seed,
    ))
}

/// One row per piece: as loaded, and as in the first epochs.
fn rows(
    loader: &Loader,
    augmentation: &Augmentation,
    seed: u64,
    width: usize,
    palette: &[[u8; 3]],
) -> Result<Vec<Vec<Cell>>, HostError> {
    let count = ROWS.min(loader.len());
    let order: Vec<usize> = (0..count).map(|row| row * loader.len() / count).collect();
    let augmenter = augmentation.augmenter(seed, width);
    let progress = Progress::new("augmenting", count as u64, "images");
    let mut rows = Vec::with_capacity(count);
    loader.for_each(&order, |piece, item| -> Result<(), HostError> {
        let mut row = vec![cell(&item, width, palette)?];
        for epoch in 1..=EPOCHS {
            let mut changed = Arc::clone(&item);
            augmenter.apply(epoch, piece, &mut changed);
            row.push(cell(&changed, width, palette)?);
        }
        rows.push(row);
        progress.inc(1);
        Ok(())
    })?;
    progress.finish();
    Ok(rows)
}

fn cell(item: &Item, width: usize, palette: &[[u8; 3]]) -> Result<Cell, HostError> {
    let pixels = item.mask.len();
    let size = (width as u32, (pixels / width) as u32);
    // The first plane three times, or the three planes.
    let channel = |number: usize| &item.planes[number * pixels % item.planes.len()..][..pixels];
    let [red, green, blue] = [0, 1, 2].map(channel);
    let image = RgbImage::from_fn(size.0, size.1, |x, y| {
        let at = y as usize * width + x as usize;
        Rgb([red[at], green[at], blue[at]])
    });
    let mask = GrayImage::from_raw(size.0, size.1, item.mask.clone()).expect("a mask has the size of its input");
    Ok(Cell::new(&image, &mask, palette)?)
}
