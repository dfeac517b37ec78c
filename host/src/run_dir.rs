//! The folder of a training run: its file names, and how they are read and written.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use unet_data::Split;
use unet_data::labels::LabelMap;
use unet_engine::atomic_file;
use unet_engine::folder_lock::{FolderLock, FolderLockError};
use unet_shared::digest::Digest;

use crate::config::RunConfig;
use crate::config::file::{self, ConfigFault};

/// A run folder that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RunDirError {
    /// The folder does not exist.
    #[error("{path} does not exist; expected the folder of a training run")]
    Missing {
        /// The folder.
        path: PathBuf,
    },
    /// The folder is not a run.
    #[error("{path}: expected the folder of a training run, found {found}")]
    NotARun {
        /// The folder.
        path: PathBuf,
        /// What it is instead.
        found: String,
    },
    /// A file cannot be read.
    #[error("{path}: cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A file is gone.
    #[error("{path} is missing; {remedy}")]
    Gone {
        /// The file.
        path: PathBuf,
        /// What to do.
        remedy: String,
    },
    /// A file ends before its content does, or has none.
    #[error("{path} {found}; {remedy}")]
    CutOff {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        found: &'static str,
        /// What to do.
        remedy: String,
    },
    /// The configuration cannot be used.
    #[error("{}{}: {}", path.display(), fault.line.map(|line| format!(":{line}")).unwrap_or_default(), fault.problem)]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and where.
        fault: ConfigFault,
    },
    /// A file has other content than expected.
    #[error("{path}: expected a file that this version of the program can read, found other content")]
    Parse {
        /// The file.
        path: PathBuf,
        /// The first error in it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Another process trains the run.
    #[error("{path}: cannot be trained now; wait for the other process, or stop it")]
    Locked {
        /// The folder.
        path: PathBuf,
        /// Who holds the lock.
        source: FolderLockError,
    },
    /// A file or folder cannot be written.
    #[error("{path}: cannot be written")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

const CONFIG: &str = "config.toml";
const DATASET: &str = "dataset.json";
const CHECKPOINT: &str = "checkpoint.json";
const RESULTS: &str = "results.csv";

/// The dataset as it was when the run was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DatasetSnapshot {
    /// Digest of all names and file bytes.
    pub digest: Digest,
    /// Label values and classes.
    pub labels: LabelMap,
    /// Names of the training samples.
    pub train: Vec<String>,
    /// Names of the validation samples.
    pub val: Vec<String>,
    /// Names of the test samples; none in a run that was made before they were stored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
}

impl DatasetSnapshot {
    /// Names of the samples of one split.
    pub fn names(&self, split: Split) -> &[String] {
        match split {
            Split::Train => &self.train,
            Split::Val => &self.val,
            Split::Test => &self.test,
        }
    }
}

/// A run's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDir {
    root: PathBuf,
}

impl RunDir {
    /// Creates and locks the folder of a new run, with its dataset snapshot. [`RunDir::write_config`] completes it.
    ///
    /// # Errors
    /// If something cannot be written, or another process is making the same run.
    pub fn create(root: &Path, dataset: &DatasetSnapshot) -> Result<(Self, Option<FolderLock>), RunDirError> {
        let run = Self { root: root.to_owned() };
        for folder in [run.weights_folder(), run.panels_folder(), run.export_folder()] {
            atomic_file::create_folder(&folder).map_err(|source| RunDirError::Write { path: folder, source })?;
        }
        let lock = run.lock()?;
        run.write(DATASET, json(dataset).as_bytes())?;
        Ok((run, lock))
    }

    /// Writes the run's configuration, which makes the folder a run.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_config(&self, config: &RunConfig) -> Result<(), RunDirError> {
        let text = toml::to_string(config).expect("a configuration is a table of plain values");
        self.write(CONFIG, text.as_bytes())
    }

    /// Writes the run's configuration unless its file already has these values, which may be in another order and with comments.
    ///
    /// # Errors
    /// If the file is not a valid configuration, or cannot be written.
    pub fn update_config(&self, config: &RunConfig) -> Result<(), RunDirError> {
        if self.config()? == *config { Ok(()) } else { self.write_config(config) }
    }

    /// Locks the run against other processes that train it; `None` on file systems without locks.
    ///
    /// # Errors
    /// If another process trains it.
    pub fn lock(&self) -> Result<Option<FolderLock>, RunDirError> {
        match FolderLock::new(&self.root) {
            Ok(lock) => Ok(Some(lock)),
            Err(FolderLockError::Unavailable(_)) => Ok(None),
            Err(source) => Err(RunDirError::Locked { path: self.root.clone(), source }),
        }
    }

    /// The folder of an existing run.
    ///
    /// # Errors
    /// If it does not exist or has no configuration.
    pub fn open(root: &Path) -> Result<Self, RunDirError> {
        let path = root.to_owned();
        if Self::is_run(root) {
            Ok(Self { root: path })
        } else if !root.exists() {
            Err(RunDirError::Missing { path })
        } else {
            let found = if root.is_dir() { format!("no {CONFIG} in it") } else { "a file".to_owned() };
            Err(RunDirError::NotARun { path, found })
        }
    }

    /// Whether a folder is a run.
    pub fn is_run(root: &Path) -> bool {
        root.join(CONFIG).is_file()
    }

    /// Whether a folder has nothing but what [`RunDir::create`] makes, so that a run which was interrupted there can be made anew.
    pub fn is_begun(root: &Path) -> bool {
        let run = Self { root: root.to_owned() };
        let folders = [run.weights_folder(), run.panels_folder(), run.export_folder()];
        let made = [&folders[..], &[root.join(DATASET), run.initial_weights()]].concat();
        let is_made = |entry: std::fs::DirEntry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            // What a killed process leaves of a file that it wrote.
            made.contains(&entry.path()) || name.starts_with('.') && name.ends_with(".tmp")
        };
        let has_only_these = |folder: &Path| {
            std::fs::read_dir(folder).is_ok_and(|mut entries| entries.all(|entry| entry.is_ok_and(is_made)))
        };
        has_only_these(root) && folders.iter().all(|folder| !folder.exists() || has_only_these(folder))
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The run's configuration.
    ///
    /// # Errors
    /// If the file is not a valid configuration.
    pub fn config(&self) -> Result<RunConfig, RunDirError> {
        let path = self.root.join(CONFIG);
        let bytes = self.read(CONFIG)?;
        let text = String::from_utf8(bytes).map_err(|e| RunDirError::Parse { path: path.clone(), source: e.into() })?;
        if text.trim().is_empty() {
            return Err(self.cut_off(path, "is empty"));
        }
        file::parse(&text).map_err(|fault| RunDirError::Config { path, fault })
    }

    /// The dataset as it was when the run was made.
    ///
    /// # Errors
    /// If the file is not a valid snapshot.
    pub fn dataset(&self) -> Result<DatasetSnapshot, RunDirError> {
        self.read_json(DATASET)
    }

    /// Folder of the weights and the optimizer's state.
    pub fn weights_folder(&self) -> PathBuf {
        self.root.join("weights")
    }

    /// When the run was made: when the snapshot of its dataset was written. `None` if the file system does not record it.
    pub fn made(&self) -> Option<std::time::SystemTime> {
        std::fs::metadata(self.root.join(DATASET)).and_then(|facts| facts.modified()).ok()
    }

    /// Weights of the epoch with the best validation mean IoU.
    pub fn best_weights(&self) -> PathBuf {
        self.weights_folder().join("best.bpk")
    }

    /// Weights of the last epoch.
    pub fn last_weights(&self) -> PathBuf {
        self.weights_folder().join("last.bpk")
    }

    /// Weights before the first step, if they were taken from another run.
    pub fn initial_weights(&self) -> PathBuf {
        self.weights_folder().join("initial.bpk")
    }

    /// State of a run between two epochs.
    pub fn checkpoint(&self) -> PathBuf {
        self.root.join(CHECKPOINT)
    }

    /// One row per epoch.
    pub fn results(&self) -> PathBuf {
        self.root.join(RESULTS)
    }

    /// Training and validation loss over the epochs.
    pub fn loss_curves(&self) -> PathBuf {
        self.root.join("loss.svg")
    }

    /// IoU over the epochs.
    pub fn iou_curves(&self) -> PathBuf {
        self.root.join("iou.svg")
    }

    /// The confusion matrix of the best weights.
    pub fn confusion(&self) -> PathBuf {
        self.root.join("confusion.svg")
    }

    /// The reliability diagram of the best weights.
    pub fn reliability(&self) -> PathBuf {
        self.root.join("reliability.svg")
    }

    /// Panels of original, truth and prediction.
    pub fn panels_folder(&self) -> PathBuf {
        self.root.join("panels")
    }

    /// The event file for TensorBoard.
    pub fn tensorboard(&self) -> PathBuf {
        // TensorBoard reads files that have `tfevents` in their names. Always the same name, so that no run has two.
        self.root.join("tensorboard").join("events.out.tfevents.unet-host")
    }

    /// The report, as one page.
    pub fn report(&self) -> PathBuf {
        self.root.join("report.html")
    }

    /// Evaluation record of the best weights on the validation split, computed by burn.
    pub fn float_record(&self) -> PathBuf {
        self.root.join("record_f32.json")
    }

    /// Evaluation record of the int8 model on the validation split, computed on the host.
    pub fn int8_record(&self) -> PathBuf {
        self.root.join("record_int8.json")
    }

    /// Folder of ONNX files.
    pub fn export_folder(&self) -> PathBuf {
        self.root.join("export")
    }

    /// The f32 ONNX file.
    pub fn float_onnx(&self) -> PathBuf {
        self.export_folder().join("model_f32.onnx")
    }

    /// Description of the export, stored with its file.
    pub fn export_note(&self) -> PathBuf {
        self.export_folder().join("export.json")
    }

    /// The int8 ONNX file of integer operators.
    pub fn int8_onnx(&self) -> PathBuf {
        self.export_folder().join("model_int8.onnx")
    }

    /// The int8 ONNX file of quantize-dequantize pairs.
    pub fn qdq_onnx(&self) -> PathBuf {
        self.export_folder().join("model_qdq.onnx")
    }

    /// Parameters of the quantization, stored with its files.
    pub fn quantization(&self) -> PathBuf {
        self.export_folder().join("quantization.json")
    }

    /// The path of a file of the run: `name` is relative to the folder, or a path that a method of this type returned.
    fn within(&self, name: &Path) -> PathBuf {
        if name.starts_with(&self.root) { name.to_owned() } else { self.root.join(name) }
    }

    /// Reads one of the run's files as JSON.
    ///
    /// # Errors
    /// If it is missing or has other content.
    pub fn read_json<T: serde::de::DeserializeOwned>(&self, name: impl AsRef<Path>) -> Result<T, RunDirError> {
        let path = self.within(name.as_ref());
        let bytes = self.read(&path)?;
        serde_json::from_slice(&bytes).map_err(|error| {
            if !error.is_eof() {
                return RunDirError::Parse { path, source: error.into() };
            }
            self.cut_off(path, if bytes.is_empty() { "is empty" } else { "is cut off" })
        })
    }

    /// The error for a file that ends too early.
    fn cut_off(&self, path: PathBuf, found: &'static str) -> RunDirError {
        let remedy = self.remedy(&path);
        RunDirError::CutOff { path, found, remedy }
    }

    /// What to do about a file of the run that is gone or damaged: run the verb again that writes it, or copy it again.
    fn remedy(&self, path: &Path) -> String {
        let written = [
            ("export", [self.float_onnx(), self.export_note()]),
            ("quantize", [self.int8_onnx(), self.quantization()]),
        ];
        match written.iter().find(|(_, files)| files.iter().any(|file| file == path)) {
            Some((verb, _)) => format!("run `unet-host {verb} {}` again", self.root.display()),
            None => "copy it again from where the run was trained, or train a new run".to_owned(),
        }
    }

    /// Reads one of the run's files.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(&self, name: impl AsRef<Path>) -> Result<Vec<u8>, RunDirError> {
        let path = self.within(name.as_ref());
        std::fs::read(&path).map_err(|source| {
            if source.kind() == std::io::ErrorKind::NotFound {
                return RunDirError::Gone { remedy: self.remedy(&path), path };
            }
            RunDirError::Read { path, source }
        })
    }

    /// Writes one of the run's files atomically.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, name: impl AsRef<Path>, bytes: &[u8]) -> Result<(), RunDirError> {
        let path = self.within(name.as_ref());
        atomic_file::write(&path, bytes).map_err(|source| RunDirError::Write { path, source })
    }

    /// Writes one of the run's files, and creates its folder. If the file already holds the beginning of `bytes`, the rest is appended,
    /// so that a program that follows the file can go on; otherwise the file is replaced atomically.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn extend(&self, name: impl AsRef<Path>, bytes: &[u8]) -> Result<(), RunDirError> {
        let path = self.within(name.as_ref());
        let failed = |source| RunDirError::Write { path: path.clone(), source };
        if let Some(folder) = path.parent() {
            atomic_file::create_folder(folder).map_err(failed)?;
        }
        let rest = std::fs::read(&path).ok().and_then(|before| Some(bytes.strip_prefix(&before[..])?.to_vec()));
        match rest {
            Some(rest) => {
                let file = std::fs::OpenOptions::new().append(true).open(&path);
                file.and_then(|mut file| file.write_all(&rest)).map_err(failed)
            }
            None => self.write(&path, bytes),
        }
    }

    /// Writes one of the run's files as JSON.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_json<T: Serialize>(&self, name: impl AsRef<Path>, value: &T) -> Result<(), RunDirError> {
        self.write(name, json(value).as_bytes())
    }
}

/// A value as indented JSON with a final newline.
pub fn json<T: Serialize>(value: &T) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("keys are strings and values are plain");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_extended_in_place_or_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir { root: folder.path().to_owned() };
        let path = folder.path().join("below/file");
        // Open like in a program that reads it while it grows.
        let extended = |bytes: &[u8]| {
            run.extend(&path, bytes).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), bytes);
        };
        extended(b"ab");
        let mut reader = std::fs::File::open(&path).unwrap();
        extended(b"abc");
        extended(b"abc");
        let mut seen = String::new();
        std::io::Read::read_to_string(&mut reader, &mut seen).unwrap();
        assert_eq!(seen, "abc");
        extended(b"a");
        extended(b"x");
    }

    #[test]
    fn a_file_that_is_gone_or_cut_off_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let run = RunDir { root: root.to_owned() };
        let problem = |path: PathBuf| {
            let error = run.read_json::<DatasetSnapshot>(&path).unwrap_err().to_string();
            error.strip_prefix(&format!("{} ", path.display())).unwrap_or(&error).to_owned()
        };
        let copy = "copy it again from where the run was trained, or train a new run";
        assert_eq!(problem(root.join(DATASET)), format!("is missing; {copy}"));
        let again = format!("run `unet-host export {}` again", root.display());
        assert_eq!(problem(run.export_note()), format!("is missing; {again}"));
        for (content, found) in [("", "empty"), ("{\"digest\": ", "cut off")] {
            std::fs::write(root.join(DATASET), content).unwrap();
            assert_eq!(problem(root.join(DATASET)), format!("is {found}; {copy}"));
        }
        std::fs::write(root.join(CONFIG), "\n").unwrap();
        let error = run.config().unwrap_err().to_string();
        assert_eq!(error, format!("{} is empty; {copy}", root.join(CONFIG).display()));
        std::fs::write(root.join(CONFIG), "name = \"a\"\nbsae = 8\n").unwrap();
        let error = run.config().unwrap_err().to_string();
        assert!(error.starts_with(&format!("{}:2: unknown key bsae; ", root.join(CONFIG).display())), "{error}");
    }

    #[test]
    fn a_folder_is_begun_while_it_has_no_more_than_is_made_first() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir_all(root.join("weights")).unwrap();
        std::fs::write(root.join(".dataset.json.12.0.tmp"), "").unwrap();
        std::fs::write(root.join("weights/initial.bpk"), "").unwrap();
        std::fs::write(root.join("dataset.json"), "").unwrap();
        assert!(RunDir::is_begun(root));
        std::fs::write(root.join("weights/last.bpk"), "").unwrap();
        assert!(!RunDir::is_begun(root));
        std::fs::remove_file(root.join("weights/last.bpk")).unwrap();
        std::fs::write(root.join("thesis.txt"), "").unwrap();
        assert!(!RunDir::is_begun(root) && !RunDir::is_begun(&root.join("thesis.txt")));
    }
}
