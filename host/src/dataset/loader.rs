//! Loads samples on threads of its own, ahead of the training step, and caches decoded ones up to a limit.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};

use serde::{Deserialize, Serialize};
use unet_data::{LoadedPair, PairError, Sample, load_pair};
use unet_shared::label::LabelTable;
use unet_shared::mask::mask_to_input;
use unet_shared::preprocess::{Preprocess, PreprocessError, Preprocessor};
use unet_shared::tiles::Tile;

use super::pieces::Pieces;
use super::truth::Truth;

/// A sample as training and validation read it.
#[derive(Clone, Debug)]
pub struct Item {
    /// The preprocessed image, `[C, H, W]` of u8.
    pub planes: Vec<u8>,
    /// The mask in the model's geometry, `[H, W]` class ids.
    pub mask: Vec<u8>,
    /// The mask at the label's own size, for counting; see [`LoaderOptions::with_truth`].
    pub truth: Option<Truth>,
}

impl Item {
    fn bytes(&self) -> u64 {
        (self.planes.len() + self.mask.len() + self.truth.as_ref().map_or(0, Truth::bytes)) as u64
    }
}

/// A sample that cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Its files cannot be decoded, do not fit each other, or contain an unknown label value.
    #[error("image {name} cannot be loaded")]
    Pair {
        /// The sample's name.
        name: String,
        /// The cause.
        #[source]
        source: Box<PairError>,
    },
    /// It cannot be preprocessed.
    #[error("image {name} cannot be preprocessed")]
    Preprocess {
        /// The sample's name.
        name: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Samples that may be ready besides those that the workers hold: a batch, so that the next step need not wait.
const READY_MAX: usize = 16;

/// How images are loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
pub struct LoaderConfig {
    /// Threads that decode and augment images ahead of the training step
    #[arg(long, default_value_t = 2)]
    pub workers: usize,
    /// Memory for decoded images, in MiB
    #[arg(long = "cache-mib", value_name = "CACHE_MIB", default_value = "512", value_parser = mebibytes)]
    pub cache_bytes: u64,
}

fn mebibytes(text: &str) -> Result<u64, std::num::ParseIntError> {
    text.parse().map(|mebibytes: u64| mebibytes.saturating_mul(1 << 20))
}

/// How the [`Loader`] of one split works.
#[derive(Clone, Copy, Debug)]
pub struct LoaderOptions {
    /// Bytes of decoded samples to keep; the others are decoded again in each epoch.
    pub cache_bytes: u64,
    /// Number of loading threads.
    pub workers: usize,
    /// Whether items carry the mask at the label's own size.
    pub with_truth: bool,
}

/// Loads the samples of one split.
#[derive(Debug)]
pub struct Loader {
    samples: Vec<Sample>,
    pieces: Pieces,
    table: LabelTable,
    preprocess: Preprocess,
    options: LoaderOptions,
    cached: Vec<OnceLock<Arc<Item>>>,
    cached_bytes: AtomicU64,
}

impl Loader {
    /// A loader over `samples`.
    ///
    /// # Errors
    /// If the preprocessing is invalid.
    pub fn new(
        samples: Vec<Sample>,
        table: LabelTable,
        preprocess: Preprocess,
        options: LoaderOptions,
    ) -> Result<Self, PreprocessError> {
        preprocess.validate()?;
        let pieces = Pieces::whole(samples.len());
        let cached = empty_cache(&pieces);
        Ok(Self { samples, pieces, table, preprocess, options, cached, cached_bytes: AtomicU64::new(0) })
    }

    /// A loader of pieces of the samples: each is an image of its own.
    #[must_use]
    pub fn with_pieces(self, pieces: Pieces) -> Self {
        let cached = empty_cache(&pieces);
        Self { pieces, cached, ..self }
    }

    /// Number of pieces: samples that are not cut, and the tiles of the others.
    pub fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Bytes of all decoded pieces without their truth: what the cache would hold.
    pub fn decoded_bytes(&self) -> u64 {
        let pixels = u64::from(self.preprocess.width) * u64::from(self.preprocess.height);
        self.len() as u64 * (self.preprocess.input_len() as u64 + pixels)
    }

    /// Bytes that the cache may hold.
    pub fn cache_bytes(&self) -> u64 {
        self.options.cache_bytes
    }

    /// The samples.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// Calls `consume` with each piece of `order` in that order, while the next ones are loaded on other threads.
    ///
    /// # Errors
    /// The first error, of loading or of `consume`, which ends it.
    pub fn for_each<E: From<LoadError>>(
        &self,
        order: &[usize],
        consume: impl FnMut(usize, Arc<Item>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.for_each_changed(order, |_, _| {}, consume)
    }

    /// The same, with `change` called on each loaded item by the thread that loaded it, in any order.
    ///
    /// # Errors
    /// See [`Loader::for_each`].
    pub fn for_each_changed<E: From<LoadError>>(
        &self,
        order: &[usize],
        change: impl Fn(usize, &mut Arc<Item>) + Sync,
        mut consume: impl FnMut(usize, Arc<Item>) -> Result<(), E>,
    ) -> Result<(), E> {
        let workers = self.options.workers.clamp(1, order.len().max(1));
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        // Number of consumed samples: a worker stays close to it, so that samples do not pile up behind one slow file.
        let consumed = (Mutex::new(0usize), Condvar::new());
        let ahead = 2 * workers + READY_MAX;
        std::thread::scope(|scope| {
            let (sender, receiver) = sync_channel(ahead);
            for _ in 0..workers {
                let (sender, next, stop, consumed, change) = (sender.clone(), &next, &stop, &consumed, &change);
                scope.spawn(move || {
                    let mut worker = Worker::default();
                    while !stop.load(Ordering::Relaxed) {
                        let position = next.fetch_add(1, Ordering::Relaxed);
                        let Some(&sample) = order.get(position) else { break };
                        let mut done = consumed.0.lock().unwrap_or_else(PoisonError::into_inner);
                        while position >= *done + ahead && !stop.load(Ordering::Relaxed) {
                            done = consumed.1.wait(done).unwrap_or_else(PoisonError::into_inner);
                        }
                        drop(done);
                        let loaded = self.item(sample, &mut worker).map(|mut item| {
                            change(sample, &mut item);
                            item
                        });
                        if sender.send((position, loaded)).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(sender);
            let result = in_order(&receiver, order, &mut |sample, item| {
                *consumed.0.lock().unwrap_or_else(PoisonError::into_inner) += 1;
                consumed.1.notify_all();
                consume(sample, item)
            });
            {
                // With the lock held, so that no worker checks the flag before this and waits after it.
                let _done = consumed.0.lock().unwrap_or_else(PoisonError::into_inner);
                stop.store(true, Ordering::Relaxed);
            }
            consumed.1.notify_all();
            drop(receiver);
            result
        })
    }

    /// The same in batches of `batch` pieces; the last one may have fewer.
    ///
    /// # Errors
    /// See [`Loader::for_each`].
    pub fn for_each_batch<E: From<LoadError>>(
        &self,
        order: &[usize],
        batch: usize,
        change: impl Fn(usize, &mut Arc<Item>) + Sync,
        mut consume: impl FnMut(&[Arc<Item>]) -> Result<(), E>,
    ) -> Result<(), E> {
        let (mut items, mut left) = (Vec::with_capacity(batch.min(order.len())), order.len());
        self.for_each_changed(order, change, |_, item| {
            items.push(item);
            left -= 1;
            if items.len() < batch && left > 0 {
                return Ok(());
            }
            let result = consume(&items);
            items.clear();
            result
        })
    }

    fn item(&self, piece: usize, worker: &mut Worker) -> Result<Arc<Item>, LoadError> {
        if let Some(item) = self.cached[piece].get() {
            return Ok(item.clone());
        }
        let (image, number) = self.pieces.at(piece);
        let name = &self.samples[image].name;
        let preprocess_error = |source: Failure| LoadError::Preprocess { name: name.clone(), source };
        let preprocessor = worker.preprocessor.get_or_insert_with(|| Preprocessor::new(self.preprocess));
        let preprocessor = preprocessor.as_mut().map_err(|error| preprocess_error(Box::new(*error)))?;
        let load = || {
            let pair = |source| LoadError::Pair { name: name.clone(), source: Box::new(source) };
            load_pair(&self.samples[image], &self.table, &self.preprocess.samples).map_err(pair)
        };
        let Some(tiles) = self.pieces.tiles(image) else {
            let item = Arc::new(self.make(load()?, preprocessor).map_err(preprocess_error)?);
            self.keep(piece, &item);
            return Ok(item);
        };
        if worker.recent.as_ref().is_none_or(|(recent, _)| *recent != image) {
            // Two large images need not be in memory at once.
            worker.recent = None;
        }
        let (_, loaded) = match &mut worker.recent {
            Some(recent) => recent,
            empty => empty.insert((image, load()?)),
        };
        let whole = loaded.mask_at_image();
        // Decoding is most of the work, so the other tiles are made too, as long as there is room.
        let (mut wanted, mut room) = (None, true);
        for tile in tiles {
            let other = self.pieces.first(image) + tile.index;
            let is_wanted = tile.index == number;
            if is_wanted || room && self.cached[other].get().is_none() {
                let item = self.make_tile(loaded, &whole, &tile, preprocessor).map_err(preprocess_error)?;
                let item = Arc::new(item);
                room &= self.keep(other, &item);
                wanted = if is_wanted { Some(item) } else { wanted };
            }
        }
        Ok(wanted.expect("a piece is a tile of its image"))
    }

    /// Keeps an item for the next epoch if there is room.
    fn keep(&self, piece: usize, item: &Arc<Item>) -> bool {
        let bytes = item.bytes();
        let room = self.cached_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes <= self.options.cache_bytes;
        // If another thread was first, its item has the same bytes.
        if !room || self.cached[piece].set(item.clone()).is_err() {
            self.cached_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        room
    }

    fn make(&self, loaded: LoadedPair, preprocessor: &mut Preprocessor) -> Result<Item, Failure> {
        let mut planes = vec![0; self.preprocess.input_len()];
        let placement = preprocessor.run(&loaded.image.view(), &mut planes)?;
        let mut mask = vec![0; (self.preprocess.width * self.preprocess.height) as usize];
        let (width, height) = (loaded.image.width, loaded.image.height);
        mask_to_input(&loaded.mask_at_image(), width, height, &self.preprocess, &mut mask)?;
        let size = (loaded.width, loaded.height);
        let truth = self.options.with_truth.then(|| Truth::whole(loaded.mask, size, placement));
        Ok(Item { planes, mask, truth })
    }

    /// The item of a tile; `whole` is the label's mask at the size of the image.
    fn make_tile(
        &self,
        loaded: &LoadedPair,
        whole: &[u8],
        tile: &Tile,
        preprocessor: &mut Preprocessor,
    ) -> Result<Item, Failure> {
        let found = (loaded.image.width, loaded.image.height);
        if found != tile.image {
            let ((width, height), found) = (tile.image, format!("{}x{}", found.0, found.1));
            return Err(format!("image: expected {width}x{height} pixels as at the start, found {found}").into());
        }
        let mut planes = vec![0; self.preprocess.input_len()];
        let placement = preprocessor.run(&loaded.image.view().crop_to(tile)?, &mut planes)?;
        let rows = tile.rows.tile.clone().map(|y| &whole[y * loaded.image.width..][tile.columns.tile.clone()]);
        let part: Vec<u8> = rows.flatten().copied().collect();
        let mut mask = vec![0; (self.preprocess.width * self.preprocess.height) as usize];
        mask_to_input(&part, tile.width(), tile.height(), &self.preprocess, &mut mask)?;
        let size = (loaded.width, loaded.height);
        let truth = self.options.with_truth.then(|| Truth::of_tile(&loaded.mask, size, tile, placement));
        Ok(Item { planes, mask, truth })
    }
}

/// Why a decoded sample cannot be preprocessed.
type Failure = Box<dyn std::error::Error + Send + Sync>;

fn empty_cache(pieces: &Pieces) -> Vec<OnceLock<Arc<Item>>> {
    (0..pieces.len()).map(|_| OnceLock::new()).collect()
}

/// What a loading thread keeps from one piece to the next.
#[derive(Default)]
struct Worker {
    preprocessor: Option<Result<Preprocessor, PreprocessError>>,
    // The last image that is cut, as its next tile is likely to follow.
    recent: Option<(usize, LoadedPair)>,
}

/// Receives the samples as the workers finish them, and passes them on in order.
fn in_order<E: From<LoadError>>(
    receiver: &Receiver<(usize, Result<Arc<Item>, LoadError>)>,
    order: &[usize],
    consume: &mut impl FnMut(usize, Arc<Item>) -> Result<(), E>,
) -> Result<(), E> {
    let mut early = BTreeMap::new();
    for (position, &sample) in order.iter().enumerate() {
        let loaded = loop {
            if let Some(loaded) = early.remove(&position) {
                break loaded;
            }
            // The workers send every position before they end, unless one panics, which the scope propagates.
            let Ok((found, loaded)) = receiver.recv() else { return Ok(()) };
            early.insert(found, loaded);
        };
        consume(sample, loaded?)?;
    }
    Ok(())
}
