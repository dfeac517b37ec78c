//! Loads samples on threads of its own, ahead of the training step, and caches decoded ones up to a limit.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};

use serde::{Deserialize, Serialize};
use unet_data::{PairError, Sample, load_pair};
use unet_shared::label::LabelTable;
use unet_shared::mask::mask_to_input;
use unet_shared::preprocess::{Placement, Preprocess, PreprocessError, Preprocessor};

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

/// A mask at the label's own size.
#[derive(Clone, Debug)]
pub struct Truth {
    /// Class ids, row by row.
    pub mask: Vec<u8>,
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Where the image lies in the model's input.
    pub placement: Placement,
}

impl Item {
    fn bytes(&self) -> u64 {
        (self.planes.len() + self.mask.len() + self.truth.as_ref().map_or(0, |t| t.mask.len())) as u64
    }
}

/// A sample that cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Its files cannot be decoded, do not fit each other, or contain an unknown label value.
    #[error("sample {name} cannot be loaded")]
    Pair {
        /// The sample's name.
        name: String,
        /// The cause.
        #[source]
        source: Box<PairError>,
    },
    /// It cannot be preprocessed.
    #[error("sample {name} cannot be preprocessed")]
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
        let cached = samples.iter().map(|_| OnceLock::new()).collect();
        Ok(Self { samples, table, preprocess, options, cached, cached_bytes: AtomicU64::new(0) })
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// The samples.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// Calls `consume` with each sample of `order` in that order, while the next ones are loaded on other threads.
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
                    let mut preprocessor = None;
                    while !stop.load(Ordering::Relaxed) {
                        let position = next.fetch_add(1, Ordering::Relaxed);
                        let Some(&sample) = order.get(position) else { break };
                        let mut done = consumed.0.lock().unwrap_or_else(PoisonError::into_inner);
                        while position >= *done + ahead && !stop.load(Ordering::Relaxed) {
                            done = consumed.1.wait(done).unwrap_or_else(PoisonError::into_inner);
                        }
                        drop(done);
                        let loaded = self.item(sample, &mut preprocessor).map(|mut item| {
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

    fn item(&self, sample: usize, preprocessor: &mut Option<Preprocessor>) -> Result<Arc<Item>, LoadError> {
        if let Some(item) = self.cached[sample].get() {
            return Ok(item.clone());
        }
        let item = Arc::new(self.load(sample, preprocessor)?);
        let bytes = item.bytes();
        if self.cached_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes <= self.options.cache_bytes {
            // If another thread was first, its item has the same bytes.
            let _ = self.cached[sample].set(item.clone());
        } else {
            self.cached_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        Ok(item)
    }

    fn load(&self, sample: usize, preprocessor: &mut Option<Preprocessor>) -> Result<Item, LoadError> {
        let sample = &self.samples[sample];
        let pair = |source| LoadError::Pair { name: sample.name.clone(), source: Box::new(source) };
        let loaded = load_pair(sample, &self.table).map_err(pair)?;
        let fail = |source: Box<dyn std::error::Error + Send + Sync>| LoadError::Preprocess {
            name: sample.name.clone(),
            source,
        };
        let preprocessor = match preprocessor {
            Some(preprocessor) => preprocessor,
            None => preprocessor.insert(Preprocessor::new(self.preprocess).map_err(|e| fail(e.into()))?),
        };
        let mut planes = vec![0; self.preprocess.input_len()];
        let placement = preprocessor.run(&loaded.image.view(), &mut planes).map_err(|e| fail(e.into()))?;
        let mut mask = vec![0; (self.preprocess.width * self.preprocess.height) as usize];
        let (width, height) = (loaded.image.width, loaded.image.height);
        mask_to_input(&loaded.mask_at_image(), width, height, &self.preprocess, &mut mask)
            .map_err(|e| fail(e.into()))?;
        let (width, height) = (loaded.width, loaded.height);
        let truth = self.options.with_truth.then_some(Truth { mask: loaded.mask, width, height, placement });
        Ok(Item { planes, mask, truth })
    }
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
