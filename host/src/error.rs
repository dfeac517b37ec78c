//! What the program ends with: one error type above those of the stages, and the exit code of each kind.

use std::path::PathBuf;

use burn::tensor::ExecutionError;
use unet_data::{DatasetError, FileError, LabelsError, PairError};
use unet_engine::evaluate::EvaluateError;
use unet_engine::inference::InferenceError;
use unet_engine::package::PackageError;
use unet_engine::picture::PictureError;
use unet_engine::segmenter::SegmentError;
use unet_shared::document::DocumentError;
use unet_shared::manifest::ClassListError;
use unet_shared::mask::MaskError;
use unet_shared::metrics::MetricsError;
use unet_shared::preprocess::PreprocessError;

use crate::backend::BackendError;
use crate::check::CheckError;
use crate::dataset::loader::LoadError;
use crate::dataset::synthetic::SyntheticError;
use crate::export::graph::GraphError;
use crate::export::onnx::OnnxError;
use crate::float_engine::FloatEngineError;
use crate::quantize::CalibrationError;
use crate::report::ReportError;
use crate::run_dir::RunDirError;
use crate::training::checkpoint::CheckpointError;
use crate::training::error::TrainError;
use crate::training::memory::DoesNotFit;

/// The exit codes that the README documents.
pub mod exit {
    /// Everything went well.
    pub const SUCCESS: u8 = 0;
    /// A check or a comparison found a fault or a difference.
    pub const FOUND: u8 = 1;
    /// A flag, a file or a folder is not what it should be.
    pub const BAD_INPUT: u8 = 2;
    /// The backend, its driver or its device is missing.
    pub const NO_BACKEND: u8 = 3;
    /// Something could not be written.
    pub const NOT_WRITTEN: u8 = 4;
    /// A fault of the program itself.
    pub const INTERNAL: u8 = 70;
}

/// Why a verb failed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant is the error of the stage that it names")]
pub enum HostError {
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Backend(#[from] BackendError),
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    #[error(transparent)]
    Labels(#[from] LabelsError),
    #[error("the classes are no table of label values")]
    Classes(#[from] ClassListError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Pair(#[from] PairError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Check(#[from] CheckError),
    #[error("{path}: cannot be read")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path}: cannot be written")]
    Write { path: PathBuf, source: std::io::Error },
    #[error("{path}: is no evaluation record of this version")]
    Record { path: PathBuf, source: DocumentError },
    #[error(transparent)]
    RunDir(#[from] RunDirError),
    #[error(transparent)]
    Train(#[from] TrainError),
    #[error(transparent)]
    Memory(#[from] DoesNotFit),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Preprocess(#[from] PreprocessError),
    #[error(transparent)]
    Graph(#[from] GraphError),
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    #[error(transparent)]
    FloatEngine(#[from] FloatEngineError),
    #[error(transparent)]
    Calibration(#[from] CalibrationError),
    #[error(transparent)]
    Package(#[from] PackageError),
    #[error(transparent)]
    Inference(#[from] InferenceError),
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    #[error(transparent)]
    Picture(#[from] PictureError),
    #[error(transparent)]
    Segment(#[from] SegmentError),
    #[error(transparent)]
    Mask(#[from] MaskError),
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    #[error(transparent)]
    Report(#[from] ReportError),
    #[error(transparent)]
    Synthetic(#[from] SyntheticError),
    #[error("the device failed in step {step}")]
    Device { step: usize, source: ExecutionError },
    #[error("expected a finite loss of random images, found {loss} in step {step}: this backend computes wrongly here")]
    BenchLoss { step: usize, loss: f64 },
}

impl HostError {
    /// The exit code that tells this kind of failure.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Backend(_) | Self::Train(TrainError::Backend(_)) | Self::Device { .. } => exit::NO_BACKEND,
            Self::BenchLoss { .. } => exit::INTERNAL,
            Self::Write { .. } => exit::NOT_WRITTEN,
            Self::Report(ReportError::Write { .. }) => exit::NOT_WRITTEN,
            Self::Report(_) => exit::INTERNAL,
            Self::Synthetic(SyntheticError::Write { .. } | SyntheticError::Encode { .. }) => exit::NOT_WRITTEN,
            Self::RunDir(error) => run_dir_code(error),
            Self::Checkpoint(CheckpointError::Files(error))
            | Self::Train(TrainError::Checkpoint(CheckpointError::Files(error))) => run_dir_code(error),
            Self::Package(PackageError::Write { .. }) => exit::NOT_WRITTEN,
            Self::Graph(_) | Self::Mask(_) | Self::Metrics(_) | Self::Segment(_) | Self::Picture(_) => exit::INTERNAL,
            Self::Train(TrainError::Mask(_) | TrainError::Metrics(_)) => exit::INTERNAL,
            _ => exit::BAD_INPUT,
        }
    }
}

fn run_dir_code(error: &RunDirError) -> u8 {
    if matches!(error, RunDirError::Write { .. }) { exit::NOT_WRITTEN } else { exit::BAD_INPUT }
}
