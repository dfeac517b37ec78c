//! An opened run: its configuration, classes, data and trained network.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use unet_data::{Dataset, DecodedImage, Sample, Split};
use unet_engine::folder_lock::FolderLock;
use unet_shared::digest::Digest;
use unet_shared::label::LabelTable;
use unet_shared::preprocess::{PreprocessError, Preprocessor};
use unet_shared::tiles::Grid;

use super::provenance::QuantizationNote;
use crate::config::settings::{NOT_SET, differences};
use crate::config::{RunConfig, as_key};
use crate::error::HostError;
use crate::model::Network;
use crate::run_dir::{DatasetSnapshot, RunDir};
use crate::training::checkpoint::{check_best_weights, load_state, load_weights};
use crate::training::trainer::is_trained;

/// Which weights of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Weights {
    /// Those of the epoch with the best validation mean IoU
    #[default]
    Best,
    /// Those of the last epoch
    Last,
}

/// A run with the contents of its folder.
#[derive(Clone, Debug)]
pub struct OpenRun {
    /// The folder.
    pub dir: RunDir,
    /// How it was made.
    pub config: RunConfig,
    /// Its dataset, as it was when the run was made.
    pub snapshot: DatasetSnapshot,
    /// From label values to class ids.
    pub table: LabelTable,
}

/// A run that no other process trains until this is dropped.
#[derive(Debug)]
pub struct LockedRun {
    pub(super) run: OpenRun,
    _lock: Option<FolderLock>,
}

impl LockedRun {
    /// Opens a run's folder to train the run.
    ///
    /// # Errors
    /// As [`OpenRun::open`], or if another process trains it.
    pub fn open(root: &Path) -> Result<Self, HostError> {
        // Before anything is read that another process might change.
        let lock = RunDir::open(root)?.lock()?;
        Self::with_lock(root, lock)
    }

    /// Opens a run's folder, which is locked already.
    pub(super) fn with_lock(root: &Path, lock: Option<FolderLock>) -> Result<Self, HostError> {
        Ok(Self { run: OpenRun::open(root)?, _lock: lock })
    }
}

impl std::ops::Deref for LockedRun {
    type Target = OpenRun;

    fn deref(&self) -> &OpenRun {
        &self.run
    }
}

impl OpenRun {
    /// Opens a run's folder.
    ///
    /// # Errors
    /// If the folder is not a run, or its files are damaged.
    pub fn open(root: &Path) -> Result<Self, HostError> {
        let dir = RunDir::open(root)?;
        let (config, snapshot) = (dir.config()?, dir.dataset()?);
        let refused = |problem: String| {
            let path = root.join("config.toml");
            HostError::Usage(format!("{}: {}", path.display(), as_key(&problem)))
        };
        config.validate().map_err(refused)?;
        if let Some((key, trained, found)) = edited_input(&dir, &config) {
            let remedy = if trained == NOT_SET { "remove it".to_owned() } else { format!("restore {key} = {trained}") };
            return Err(refused(format!("{key} is {found}, but the run was trained with {trained}; {remedy}")));
        }
        let (expected, found) = (snapshot.labels.classes.len(), config.model.classes);
        if expected != found {
            let root = root.display();
            return Err(HostError::Usage(format!(
                "{root}: expected {expected} classes, as the run's dataset has, found {found} in its configuration"
            )));
        }
        let table = snapshot.labels.table()?;
        Ok(Self { dir, config, snapshot, table })
    }

    /// Names of the classes, by id.
    pub fn class_names(&self) -> Vec<String> {
        self.snapshot.labels.names()
    }

    /// Colours of the classes, by id.
    pub fn palette(&self) -> Vec<[u8; 3]> {
        self.snapshot.labels.classes.iter().map(|class| class.color).collect()
    }

    /// The dataset that the run was trained on, or the one in `data`, split in the same way. If the run leaves out unreadable
    /// files, its own dataset has the pairs that were readable when the run was made, without decoding any again.
    ///
    /// # Errors
    /// If the folder is not a dataset.
    pub fn data(&self, data: Option<&Path>) -> Result<Dataset, HostError> {
        let options = self.config.open_options();
        if let Some(data) = data {
            let mut dataset = Dataset::open(data, &options)?;
            if self.config.skip_unreadable {
                dataset.leave_out_unreadable(&self.config.preprocess.samples, self.table.reading());
            }
            return Ok(dataset);
        }
        let data = &self.config.data;
        if !data.exists() {
            let data = data.display();
            return Err(HostError::Usage(format!(
                "{data}: the run's dataset does not exist; move it back, or save its new path in the run: unet-host train --resume {} \
                 --data PATH (val takes --data PATH too)",
                self.dir.root().display()
            )));
        }
        let mut dataset = Dataset::open(data, &options)?;
        if self.config.skip_unreadable {
            let [train, val, test] = Split::ALL.map(|split| self.snapshot.names(split).iter().collect::<HashSet<_>>());
            dataset.retain(|split, sample| match split {
                Split::Train => train.contains(&sample.name),
                Split::Val => val.contains(&sample.name),
                // Runs that were made before these names were stored keep all.
                Split::Test => test.is_empty() || test.contains(&sample.name),
            });
        }
        Ok(dataset)
    }

    /// How many epochs are trained, and of how many, if the run is still trained or was interrupted.
    ///
    /// # Errors
    /// If its checkpoint cannot be read.
    pub fn unfinished(&self) -> Result<Option<(usize, usize)>, HostError> {
        let state = load_state(&self.dir)?.filter(|state| !is_trained(state, &self.config.training));
        Ok(state.map(|state| (state.rows.len(), self.config.training.epochs)))
    }

    /// Path of the weights.
    pub fn weights_path(&self, weights: Weights) -> PathBuf {
        match weights {
            Weights::Best => self.dir.best_weights(),
            Weights::Last => self.dir.last_weights(),
        }
    }

    /// Digest of the weights' file.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn weights_digest(&self, weights: Weights) -> Result<Digest, HostError> {
        let path = self.weights_path(weights);
        let bytes = std::fs::read(&path).map_err(|source| HostError::Read { path, source })?;
        Ok(Digest::of(&bytes))
    }

    /// The trained network.
    ///
    /// # Errors
    /// If the run does not have these weights yet, or they are damaged.
    pub fn model(&self, weights: Weights, device: &Device) -> Result<Network, HostError> {
        let path = self.weights_path(weights);
        if !path.is_file() {
            let path = path.display();
            let epochs = load_state(&self.dir)?.map_or(0, |state| state.rows.len());
            return Err(HostError::Usage(match epochs {
                0 => format!("{path}: expected trained weights, found no file; train at least one epoch"),
                _ => format!(
                    "{path} is missing, though {} trained; copy it again from where the run was trained, or train a new run",
                    if epochs == 1 { "1 epoch is".to_owned() } else { format!("{epochs} epochs are") }
                ),
            }));
        }
        if weights == Weights::Best {
            check_best_weights(&self.dir)?;
        }
        // Loading replaces every weight, so the seed does not matter.
        Ok(load_weights(self.config.model.init(self.config.seed, device), &path)?)
    }

    /// Decodes and preprocesses an image; of one that is cut into tiles, the one in the middle.
    ///
    /// # Errors
    /// If it cannot be decoded or does not fit the input.
    pub fn planes(&self, sample: &Sample) -> Result<(DecodedImage, Vec<u8>), HostError> {
        let image = sample.decode_image(&self.config.preprocess.samples)?;
        let middle = Grid::new(self.config.tiles, image.width, image.height).count() / 2;
        let planes = self.planes_of_tiles(&image, [middle])?.swap_remove(0);
        Ok((image, planes))
    }

    /// Decodes an image, and preprocesses `count` of its tiles, spread evenly over it, or all of them if there are fewer; the
    /// whole image if it is not cut.
    ///
    /// # Errors
    /// As [`OpenRun::planes`].
    pub fn inputs(&self, sample: &Sample, count: usize) -> Result<Vec<Vec<u8>>, HostError> {
        let image = sample.decode_image(&self.config.preprocess.samples)?;
        let tiles = Grid::new(self.config.tiles, image.width, image.height).count();
        let count = count.min(tiles);
        self.planes_of_tiles(&image, (0..count).map(|k| k * tiles / count))
    }

    /// The planes of the tiles of these numbers.
    fn planes_of_tiles(
        &self,
        image: &DecodedImage,
        numbers: impl IntoIterator<Item = usize>,
    ) -> Result<Vec<Vec<u8>>, HostError> {
        let grid = Grid::new(self.config.tiles, image.width, image.height);
        let mut preprocessor = Preprocessor::new(self.config.preprocess)?;
        let view = image.view();
        let tiles = numbers.into_iter().filter_map(|number| grid.tile(number));
        let planes = tiles.map(|tile| {
            let mut planes = vec![0; self.config.preprocess.input_len()];
            preprocessor.run(&view.crop_to(&tile).map_err(PreprocessError::Image)?, &mut planes)?;
            Ok(planes)
        });
        planes.collect()
    }
}

/// The first key of the network's input that was edited after training, with its value then and now; `None` if none was, or the run
/// does not know what it was trained with.
fn edited_input(dir: &RunDir, config: &RunConfig) -> Option<(String, String, String)> {
    let mut trained = config.clone();
    // Files that cannot be read are reported by those who need them.
    if let Some(preprocess) = load_state(dir).ok().flatten().and_then(|state| state.preprocess) {
        trained.preprocess = preprocess;
    } else if let Ok(note) = dir.read_json::<QuantizationNote>(dir.quantization()) {
        let [_, _, height, width] = note.model.input.shape;
        (trained.preprocess.width, trained.preprocess.height) =
            (u32::try_from(width).ok()?, u32::try_from(height).ok()?);
    }
    let (key, trained, found) = differences(&trained, config).into_iter().next()?;
    Some((key.rsplit('.').next().unwrap_or_default().to_owned(), trained, found))
}

/// `count` samples, spread evenly over `samples`, or all of them if there are fewer.
pub fn spread(samples: &[Sample], count: usize) -> Vec<&Sample> {
    let count = count.min(samples.len());
    (0..count).map(|k| &samples[k * samples.len() / count]).collect()
}
