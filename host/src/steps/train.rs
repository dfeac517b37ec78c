//! Starts or resumes a run, and trains it to its end and its report.

use std::path::{Path, PathBuf};

use unet_data::levels::RangeRequest;
use unet_data::{Dataset, PairError, Sample, Split, counted, dataset_digest, load_pair};
use unet_shared::digest::Digest;
use unet_shared::label::LabelTable;
use unet_shared::preprocess::{Channels, Fit, Preprocess, PreprocessError};
use unet_shared::samples::Bands;
use unet_shared::tiles::{Grid, Tiles};

use super::open_run::{LockedRun, OpenRun, Weights};
use super::report;
use super::score::{EngineChoice, Evaluation, evaluate_run};
use super::transfer::initial_weights;
use crate::check::{CheckOptions, Checked, Content, Kind, LabelOptions, Pairs, Severity, Usable, check};
use crate::config::{InitialWeights, InputOptions, RunConfig, SampleOptions, defaults, nearest_multiple};
use crate::dataset::augment::{AugmentOptions, Augmentation};
use crate::dataset::loader::{Loader, LoaderOptions};
use crate::dataset::pieces::Pieces;
use crate::error::HostError;
use crate::memory;
use crate::model::UNetConfig;
use crate::model::preset::PresetOption;
use crate::progress::Progress;
use crate::run_dir::{DatasetSnapshot, RunDir};
use crate::tensorboard;
use crate::training::class_weights::ClassWeights;
use crate::training::loss::{Loss, loss_help};
use crate::training::memory::{MemoryOptions, MemoryPlan, StepShape};
use crate::training::trainer::{Observer, Outcome, train};

/// The request for a new run: its configuration, and options that the dataset resolves to the rest of the configuration.
#[derive(Clone, Debug, clap::Args)]
pub struct TrainOptions {
    /// Name of the run (default: the dataset's)
    #[arg(long)]
    pub name: Option<String>,
    /// Folder for run folders
    #[arg(long, default_value = "runs/train")]
    pub runs: PathBuf,
    /// How labels are read.
    #[command(flatten)]
    pub labels: LabelOptions,
    /// Train even if `check` finds errors, without files that have no partner. It does not leave out pairs: --skip-unreadable leaves
    /// out those with a damaged file, and a mask of another shape than its image has to be replaced or removed
    #[arg(long)]
    pub despite_errors: bool,
    /// Fixed preset: one gray channel, stretched to 1024x1024, divided by 255, and cross-entropy with equal class weights
    /// unless --loss and --class-weights are given
    #[arg(long, conflicts_with_all = ["InputOptions", "SampleOptions"])]
    pub classic: bool,
    /// Size and channels are found from the images if not given.
    #[command(flatten)]
    pub input: InputOptions,
    /// Which samples of images are used.
    #[command(flatten)]
    pub samples: SampleOptions,
    /// The network, if by its name.
    #[command(flatten)]
    pub preset: PresetOption,
    /// Images per step (default: 8, fewer for large inputs)
    #[arg(long)]
    pub batch: Option<usize>,
    /// Weights of the classes in the loss: none; balanced, by the inverse square root of their pixels; effective, by the inverse of
    /// their effective number of pixels, which favours rare classes more; or one number per class, separated by commas
    /// (default: balanced)
    #[arg(long, value_parser = clap::value_parser!(ClassWeights), allow_hyphen_values = true)]
    pub class_weights: Option<ClassWeights>,
    /// The loss function; its help lists them.
    #[arg(long, value_name = "FUNCTION", allow_hyphen_values = true)]
    #[arg(help = loss_help(&Loss::of_new_runs().to_string()))]
    pub loss: Option<Loss>,
    /// Start from the best weights of this run, where names and shapes fit: for another dataset, other classes or channels
    #[arg(long, value_name = "RUN")]
    pub from: Option<PathBuf>,
    /// Random changes of training images.
    #[command(flatten)]
    pub augment: AugmentOptions,
    /// Everything that does not depend on the dataset.
    #[command(flatten)]
    pub config: RunConfig,
}

impl Default for TrainOptions {
    fn default() -> Self {
        defaults()
    }
}

impl TrainOptions {
    fn loss(&self) -> Loss {
        let default = || if self.classic { Loss::default() } else { Loss::of_new_runs() };
        self.loss.clone().unwrap_or_else(default)
    }

    fn class_weights(&self) -> ClassWeights {
        let default = || if self.classic { ClassWeights::Equal } else { ClassWeights::Balanced };
        self.class_weights.clone().unwrap_or_else(default)
    }
}

/// Folders of unused files that are named before training; `check` names all.
const UNUSED_SHOWN: usize = 4;
/// Longest side of a default input size.
const DEFAULT_SIDE_MAX: usize = 512;
/// Pixels of a default batch.
const DEFAULT_BATCH_PIXELS: usize = 1 << 19;
/// Images of a default batch.
const DEFAULT_BATCH_MAX: usize = 8;
/// Number of images that determine the default size.
const INSPECTED_IMAGES: usize = 16;

/// Default size: the largest width and height of some of the images, scaled to at most [`DEFAULT_SIDE_MAX`] and rounded to the
/// nearest multiple of `multiple` (for padding: not scaled, and rounded up). Images that are cut are as large as their tiles.
fn default_size(samples: &[Sample], multiple: usize, fit: Fit, tiles: Option<Tiles>, pairs: &Pairs) -> (u32, u32) {
    let (mut width, mut height) = (1, 1);
    // Every padded image must fit unscaled.
    let count = if fit == Fit::Pad { samples.len() } else { INSPECTED_IMAGES };
    for sample in super::open_run::spread(samples, count) {
        // One that cannot be read is reported with its pair.
        let Some(image) = pairs.facts(sample).map(|facts| facts.size).or_else(|| sample.image_size().ok()) else {
            continue;
        };
        let piece = tiles.map_or((usize::MAX, usize::MAX), |tiles| (tiles.width() as usize, tiles.height() as usize));
        (width, height) = (image.0.min(piece.0).max(width), image.1.min(piece.1).max(height));
    }
    let longest = width.max(height);
    let side = |side: usize| {
        if fit == Fit::Pad {
            return (side.div_ceil(multiple) * multiple) as u32;
        }
        let scaled = if longest > DEFAULT_SIDE_MAX { side * DEFAULT_SIDE_MAX / longest } else { side };
        nearest_multiple(scaled, multiple) as u32
    };
    (side(width), side(height))
}

/// From images to the network's input: what was asked for, and otherwise what suits the training images. Sides that are not given
/// are multiples of `multiple`.
pub(super) fn resolve_input(
    found: &Usable,
    input: &InputOptions,
    multiple: usize,
    tiles: Option<Tiles>,
) -> Result<Preprocess, HostError> {
    let channels = match found.samples.bands {
        Some(Bands::Gray(_)) => Channels::Gray,
        Some(Bands::Rgb(_)) => Channels::Rgb,
        None => found.content.channels(),
    };
    let size = default_size(&found.dataset.train, multiple, input.fit, tiles, &found.pairs);
    let preprocess = input.preprocess(size, channels).map_err(HostError::Usage)?;
    Ok(Preprocess { samples: found.samples, ..preprocess })
}

/// Loads the pairs that `check` has not shown to be loadable, so that a broken one is reported before the first
/// epoch, and checks that each image fits the input.
fn validate_pairs(
    dataset: &Dataset,
    pairs: &Pairs,
    table: &LabelTable,
    preprocess: &Preprocess,
    tiles: Option<Tiles>,
) -> Result<(), HostError> {
    for sample in dataset.train.iter().chain(&dataset.val) {
        let size = match pairs.facts(sample).filter(|facts| facts.loads(preprocess.samples.range)) {
            Some(facts) => facts.size,
            None => match load_pair(sample, table, &preprocess.samples) {
                Ok(pair) => (pair.image.width, pair.image.height),
                Err(PairError::File(error)) if error.is_unreadable() => {
                    let error = error.with_causes();
                    return Err(HostError::Usage(format!("{error}; --skip-unreadable leaves the pair out")));
                }
                // `check` has told of it, so only the flag leads here.
                Err(error @ PairError::Size { .. }) => {
                    return Err(HostError::Usage(format!(
                        "{error}; --despite-errors does not leave out such pairs: replace the mask, or remove both files"
                    )));
                }
                Err(error) => return Err(error.into()),
            },
        };
        // All tiles of an image have one size.
        if let Some(tile) = Grid::new(tiles, size.0, size.1).tile(0) {
            preprocess.placement(tile.width(), tile.height()).map_err(|error| misplaced(error, sample, tiles))?;
        }
    }
    Ok(())
}

/// The error for an image that does not fit the input.
fn misplaced(error: PreprocessError, sample: &Sample, tiles: Option<Tiles>) -> HostError {
    let PreprocessError::Pad { target: (width, height), image } = error else { return error.into() };
    let (path, tile) = (sample.image.display(), if tiles.is_some() { "a tile of " } else { "" });
    HostError::Usage(format!(
        "--fit pad: {tile}{path} is {}x{}, larger than the input, {width}x{height}; choose --fit letterbox or a larger --size",
        image.0, image.1
    ))
}

/// Checks the options as far as they do not depend on the dataset, which takes longer to read, and returns the configuration that
/// they ask for, which the dataset completes. Reads and writes nothing but the run that `--from` names.
///
/// # Errors
/// Names the first option that cannot be used.
pub fn validate(options: &TrainOptions) -> Result<RunConfig, HostError> {
    let mut config = options.config.clone();
    config.backend.device()?;
    config.training.augmentation = options.augment.resolve().map_err(HostError::Usage)?;
    config.training.optimizer.resolve();
    config.model = options.preset.network(config.model);
    config.training.loss.function = options.loss();
    check_unicode(&options.runs)?;
    if let Some(from) = &options.from {
        check_unicode(from)?;
    }
    // Not of a configuration that was written already, whose run would not open any more.
    if config.training.patience == Some(0) {
        return Err(HostError::Usage("--patience: expected at least 1, found 0".to_owned()));
    }
    let mut filled = config.clone();
    // What the dataset decides gets values that cause no error.
    let side = 1 << (filled.model.depth + filled.model.stem.halvings()).min(16);
    filled.preprocess = options.input.preprocess((side, side), Channels::Gray).map_err(HostError::Usage)?;
    filled.model.channels = filled.preprocess.channels.count();
    filled.model.classes = 2;
    filled.training.batch = options.batch.unwrap_or(1);
    filled.training.class_weights = vec![1.0; 2];
    filled.validate().map_err(HostError::Usage)?;
    options.from.as_deref().map_or(Ok(()), |from| OpenRun::open(from).map(drop))?;
    Ok(config)
}

/// A new run, before its folder is created.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// Its configuration, complete but for its name and its initial weights.
    pub config: RunConfig,
    /// Its dataset.
    pub snapshot: DatasetSnapshot,
    /// The run whose weights it starts from.
    pub from: Option<PathBuf>,
    /// The dataset's name.
    pub dataset: String,
}

impl NewRun {
    /// Completes the requested configuration by what the dataset in `data` says. Writes nothing.
    ///
    /// # Errors
    /// If the dataset cannot be used, an option does not fit it, or a step does not fit into memory.
    pub fn plan(data: &Path, options: &TrainOptions, memory: MemoryOptions) -> Result<Self, HostError> {
        // Before anything is read or written.
        let mut config = validate(options)?;
        config.data = path_to_keep(data)?;
        let from = options.from.as_deref().map(path_to_keep).transpose()?;
        let found = checked_dataset(data, options)?;
        config.preprocess = resolve_input(&found, &options.input, config.model.size_multiple(), config.tiles)?;
        let Usable { dataset, labels, pairs, .. } = found;
        let digest = dataset_digest(&dataset, &labels, &config.preprocess.samples)?;
        let [train, val, test] =
            Split::ALL.map(|split| dataset.split(split).iter().map(|sample| sample.name.clone()).collect());
        let snapshot = DatasetSnapshot { digest, labels, train, val, test };
        if options.augment.is_empty() && !options.classic {
            config.training.augmentation = Augmentation::default_for(&config.preprocess);
            if config.preprocess.channels == Channels::Gray {
                unet_engine::error::say(
                    "note: gray images are flipped both ways, and turned if they are square; --flips horizontal keeps them upright",
                );
            }
        }
        if options.classic {
            config.preprocess = Preprocess { samples: config.preprocess.samples, ..Preprocess::CLASSIC };
        }
        config.model.channels = config.preprocess.channels.count();
        config.model.classes = snapshot.labels.classes.len();
        warn_of_narrow_first_level(&config.model);
        config.training.batch = options.batch.unwrap_or_else(|| default_batch(&config.preprocess));
        config.training.class_weights = options.class_weights().of(&vec![1; config.model.classes]);
        config.code_version = env!("CARGO_PKG_VERSION").to_owned();
        config.validate().map_err(HostError::Usage)?;
        let table = snapshot.labels.table()?;
        validate_pairs(&dataset, &pairs, &table, &config.preprocess, config.tiles)?;
        plan_memory(&config, &dataset, None, memory)?;
        let pixels = pairs.training_pixels(&table);
        if pixels.iter().all(|&count| count == 0) {
            let data = data.display();
            return Err(HostError::Usage(format!(
                "{data}: expected labelled training pixels, found only ignored ones"
            )));
        }
        config.training.class_weights = options.class_weights().of(&pixels);
        if config.training.augmentation.needs_class_pixels() {
            config.training.augmentation.class_pixels = pixels;
        }
        Ok(Self { config, snapshot, from, dataset: dataset.name() })
    }

    /// Creates and locks the run's folder.
    ///
    /// # Errors
    /// If the initial weights cannot be taken, the folder cannot be written, or another process is making the same run.
    pub fn create(self, root: &Path) -> Result<LockedRun, HostError> {
        let Self { mut config, snapshot, from, .. } = self;
        config.name = root.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        // Before the run's folder is made.
        let initial = from.as_deref().map(|from| initial_weights(from, &config)).transpose()?;
        let (dir, lock) = RunDir::create(root, &snapshot)?;
        if let (Some(bytes), Some(from)) = (initial, from) {
            dir.write(dir.initial_weights(), &bytes)?;
            config.initial = Some(InitialWeights { from, weights: Digest::of(&bytes) });
        }
        dir.write_config(&config)?;
        LockedRun::with_lock(root, lock)
    }
}

/// The logits are computed from the first level alone; `host/ACCURACY.md` has scores by its channels.
fn warn_of_narrow_first_level(model: &UNetConfig) {
    let (channels, classes) = (model.width(0), model.classes);
    if channels < classes {
        unet_engine::error::say(format_args!(
            "warning: the first level has {} for {classes} classes; fewer channels than classes usually cost much mean IoU: see --base \
             and --widths",
            counted(channels, "channel")
        ));
    }
}

/// A path as the configuration of a run has it: absolute, since a run may be resumed from another working directory.
pub(super) fn path_to_keep(path: &Path) -> Result<PathBuf, HostError> {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    check_unicode(&path)?;
    Ok(path)
}

/// Checks that a path can be written as text.
fn check_unicode(path: &Path) -> Result<(), HostError> {
    match path.to_str() {
        Some(_) => Ok(()),
        None => Err(HostError::Usage(format!("{}: expected a path that is valid Unicode", path.display()))),
    }
}

/// Creates and locks the folder of a new run on the dataset in `data`.
///
/// # Errors
/// If the run's name is taken, the dataset cannot be used, an option does not fit it, a step does not fit into memory, or the folder
/// cannot be written.
pub fn start(data: &Path, options: &TrainOptions, memory: MemoryOptions) -> Result<LockedRun, HostError> {
    let (runs, requested) = (&options.runs, options.name.as_deref());
    if let Some(name) = requested {
        // Before the dataset is read.
        run_folder(runs, name, true)?;
    }
    let new = NewRun::plan(data, options, memory)?;
    let root = run_folder(runs, requested.unwrap_or(&new.dataset), requested.is_some())?;
    new.create(&root)
}

/// The dataset in `data` with the requested split. What `check` warns of is printed; what it calls an error is one.
fn checked_dataset(data: &Path, options: &TrainOptions) -> Result<Usable, HostError> {
    let open = options.config.open_options();
    // From the names of files alone, before anything is decoded.
    let names = Dataset::open(data, &open)?;
    if names.train.is_empty() {
        let unused = names.unused.iter().take(UNUSED_SHOWN).map(|unused| format!("; not used: {unused}"));
        return Err(HostError::Usage(format!(
            "{}: expected pairs to train on, found none; put them into train/images and train/masks{}",
            data.display(),
            unused.collect::<String>()
        )));
    }
    let mut progress: Option<(Progress, usize)> = None;
    let SampleOptions { range, bands } = options.samples;
    let (skip_unreadable, labels) = (options.config.skip_unreadable, options.labels.clone());
    let request = CheckOptions { open, skip_unreadable, labels, bands, range };
    let checked = check(data, &request, &mut |done, all| {
        let (progress, shown) = progress.get_or_insert_with(|| (Progress::new("checking", all as u64, "pairs"), 0));
        progress.inc(done.saturating_sub(*shown) as u64);
        *shown = done;
    })?;
    if let Some((progress, _)) = progress {
        progress.finish();
    }
    let report = &checked.report;
    for note in &report.notes {
        unet_engine::error::say(format_args!("note: {note}"));
    }
    if !report.unused.is_empty() {
        let files: usize = report.unused.iter().map(|unused| unused.files).sum();
        let folders: Vec<String> = report.unused.iter().take(UNUSED_SHOWN).map(ToString::to_string).collect();
        let more = report.unused.len().saturating_sub(UNUSED_SHOWN);
        let more = if more > 0 { format!(" and {}", counted(more, "more folder")) } else { String::new() };
        let (files, folders) = (counted(files, "image file"), folders.join(", "));
        unet_engine::error::say(format_args!("note: {files} not used: {folders}{more}"));
    }
    for line in report.lines(Severity::Warning) {
        unet_engine::error::say(format_args!("warning: {line}"));
    }
    let (count, errors) = (report.of(Severity::Error).count(), report.lines(Severity::Error));
    let hint = remedy(&checked);
    let Some(found) = checked.usable() else {
        return Err(refused(data, &errors, count, ""));
    };
    if options.despite_errors {
        errors.iter().for_each(|error| unet_engine::error::say(format_args!("warning: {error}")));
    } else if !errors.is_empty() {
        return Err(refused(data, &errors, count, hint));
    }
    found.dataset.skipped().iter().for_each(unet_engine::error::say);
    unet_engine::error::say(format_args!("labels: {}", found.labels.assumption));
    if found.levels.deep == 0 && range != RangeRequest::default() {
        unet_engine::error::say("note: --range has no effect: no image has more than 8 bits");
    }
    if found.levels.deep > 0 {
        unet_engine::error::say(&found.levels);
    }
    let asked = options.input.channels.is_some() || bands.is_some() || options.classic;
    if found.content == Content::GrayAsRgb && !asked {
        unet_engine::error::say(
            "images: all are gray, stored as RGB; training uses one channel (--channels 3 uses three)",
        );
    }
    Ok(found)
}

/// The flags that let training continue despite errors, if any.
fn remedy(checked: &Checked) -> &'static str {
    let errors = || checked.report.of(Severity::Error);
    let all = errors().count();
    match (checked.unreadable, errors().any(|finding| finding.kind.stops_training())) {
        (_, true) => "",
        (0, false) if errors().all(|finding| matches!(finding.kind, Kind::UnpairedImage | Kind::UnpairedMask)) => {
            "; --despite-errors leaves out files without a partner"
        }
        (0, false) => "; --despite-errors trains anyway",
        // Its own message names the flag.
        (1, false) if all == 1 => "",
        (unreadable, false) if unreadable == all => "; --skip-unreadable leaves out the pairs that cannot be read",
        _ => "; --skip-unreadable and --despite-errors together train on the rest",
    }
}

/// The error for a dataset in which `check` finds `count` errors. `errors` are the lines about them, which are printed unless there
/// is only one.
fn refused(data: &Path, errors: &[String], count: usize, hint: &str) -> HostError {
    let data = data.display();
    HostError::Usage(match errors {
        [error] => format!("{data}: {error}{hint}"),
        errors => {
            errors.iter().for_each(|error| unet_engine::error::say(format_args!("error: {error}")));
            format!("{data}: the dataset has {}{hint}", counted(count, "error"))
        }
    })
}

fn default_batch(preprocess: &Preprocess) -> usize {
    let pixels = (preprocess.width as usize * preprocess.height as usize).max(1);
    (DEFAULT_BATCH_PIXELS / pixels).clamp(1, DEFAULT_BATCH_MAX)
}

/// Checks that a run's name is that of a folder.
pub(super) fn check_name(name: &str) -> Result<(), HostError> {
    if name.is_empty() || name.contains(['/', '\\']) || name == "." || name == ".." {
        return Err(HostError::Usage(format!("--name: expected a folder name, found {name:?}")));
    }
    Ok(())
}

/// The folder of a new run. A requested name must be free; a default one gets a number if it is not.
fn run_folder(runs: &Path, name: &str, requested: bool) -> Result<PathBuf, HostError> {
    check_name(name)?;
    let root = runs.join(name);
    if !root.exists() {
        return Ok(root);
    }
    if requested {
        let root = root.display();
        return Err(HostError::Usage(if RunDir::is_run(&runs.join(name)) {
            format!("{root}: run already exists; resume it with --resume {root}, or choose another --name")
        } else {
            format!("{root}: already exists and is not a run directory; remove it, or choose another --name")
        }));
    }
    Ok((2u64..).map(|k| runs.join(format!("{name}-{k}"))).find(|root| !root.exists()).unwrap_or(root))
}

/// Cache sizes of the training and the validation split, in proportion to their samples: both are read once per epoch.
fn cache_shares(config: &RunConfig, dataset: &Dataset) -> [u64; 2] {
    let samples = (dataset.train.len() + dataset.val.len()).max(1) as u128;
    [&dataset.train, &dataset.val]
        .map(|split| (u128::from(config.training.loader.cache_bytes) * split.len() as u128 / samples) as u64)
}

/// Decides whether gradient checkpointing is needed to fit into memory. `pieces` are the numbers of training and validation images,
/// or of tiles if images are cut; none if that is not known yet.
fn plan_memory(
    config: &RunConfig,
    dataset: &Dataset,
    pieces: Option<[usize; 2]>,
    options: MemoryOptions,
) -> Result<MemoryPlan, HostError> {
    let (width, height) = (config.preprocess.width as usize, config.preprocess.height as usize);
    // Planes and mask; for validation also the mask at the image's size, which is taken to be that of the first image.
    let sample = (config.preprocess.input_len() + width * height) as u64;
    let truth = match dataset.val.first() {
        Some(first) => first.image_size().map(|(width, height)| (width * height) as u64)?,
        None => 0,
    };
    let shares = cache_shares(config, dataset);
    // Unknown many tiles fill a batch and the cache.
    let [train, val] = pieces.unwrap_or(match config.tiles {
        Some(_) => [usize::MAX; 2],
        None => [dataset.train.len(), dataset.val.len()],
    });
    let kept = (train as u64).saturating_mul(sample).min(shares[0])
        + (val as u64).saturating_mul(sample + truth).min(shares[1]);
    let shape = StepShape::of(config, train);
    Ok(MemoryPlan::new(shape.as_ref(), kept, options, memory::available_bytes())?)
}

/// What is trained and scored on if images are cut; `images` are the training and validation images.
fn say_tiles(tiles: Tiles, images: [usize; 2], training: &Loader, validation: &Loader) {
    if [training.len(), validation.len()] == images {
        unet_engine::error::say(format_args!("tiles {tiles}: no image is larger than a tile, so none is cut"));
        return;
    }
    let (width, height, overlap) = (tiles.width(), tiles.height(), tiles.overlap());
    unet_engine::error::say(format_args!(
        "tiles of {width}x{height} pixels, overlap {overlap}: {} for training, {} for validation, where each pixel counts once, in \
         the tile that keeps it",
        training.len(),
        validation.len()
    ));
    let (needed, cache) = (training.decoded_bytes(), training.cache_bytes());
    if needed > cache {
        let mebibytes = |bytes: u64| bytes.div_ceil(1 << 20);
        let (needed, cache) = (mebibytes(needed), mebibytes(cache));
        unet_engine::error::say(format_args!(
            "warning: decoded training tiles take {needed} MiB, and {cache} MiB are for them: an image is decoded again for each \
             tile beyond that; --cache-mib of a new run avoids it"
        ));
    }
}

/// Trains a run to its end, scores its best weights and writes its report. `memory` may differ from that of an earlier call,
/// since gradient checkpointing changes no number.
///
/// # Errors
/// If anything fails.
pub fn finish(
    run: &LockedRun,
    memory: MemoryOptions,
    observer: &mut dyn Observer,
) -> Result<(Outcome, Evaluation), HostError> {
    let dataset = run.data(None)?;
    let loader = |split, with_truth, cache_bytes| -> Result<Loader, HostError> {
        let options = LoaderOptions { cache_bytes, workers: run.config.training.loader.workers, with_truth };
        let samples = dataset.split(split);
        let pieces = Pieces::of(samples, run.config.tiles)?;
        let loader = Loader::new(samples.to_vec(), run.table.clone(), run.config.preprocess, options)?;
        Ok(loader.with_pieces(pieces))
    };
    let [train_share, val_share] = cache_shares(&run.config, &dataset);
    let training = loader(Split::Train, false, train_share)?;
    let validation = loader(Split::Val, true, val_share)?;
    let plan = plan_memory(&run.config, &dataset, Some([training.len(), validation.len()]), memory)?;
    unet_engine::error::say(plan);
    if let Some(tiles) = run.config.tiles {
        let images = [dataset.train.len(), dataset.val.len()];
        say_tiles(tiles, images, &training, &validation);
    }
    let outcome =
        train(&run.dir, &run.config, &run.class_names(), plan.checkpointing, &training, &validation, observer)?;
    let evaluation = evaluate_run(run, EngineChoice::Burn, Weights::Best, Split::Val, None)?;
    run.dir.write_json(run.dir.float_record(), &evaluation.record)?;
    report::write(run, &evaluation, vec![])?;
    tensorboard::write(&run.dir, &outcome.rows, &run.class_names(), &tensorboard::panels(&run.dir)?)?;
    Ok((outcome, evaluation))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_name_that_is_taken_gets_a_number_and_a_requested_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(run_folder(folder.path(), "a", false).unwrap(), folder.path().join("a"));
        std::fs::create_dir(folder.path().join("a")).unwrap();
        assert_eq!(run_folder(folder.path(), "a", false).unwrap(), folder.path().join("a-2"));
        let refused = |name| run_folder(folder.path(), name, true).unwrap_err().to_string();
        assert!(refused("a").contains("not a run directory"), "{}", refused("a"));
        assert!(refused("../a").contains("expected a folder name"), "{}", refused("../a"));
    }
}
