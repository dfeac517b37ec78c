//! Why a verb failed, and the exit code that it ends with.
//!
//! Stages have error types of their own. Up here nobody tells them apart but by the exit code, so each is boxed together with its
//! code; a new one is a line in the table below.

use std::error::Error;
use std::path::PathBuf;

use burn::tensor::ExecutionError;
use unet_data::{DatasetError, FileError, LabelsError, PairError};
use unet_engine::evaluate::EvaluateError;
use unet_engine::exit::Exit;
use unet_engine::inference::InferenceError;
use unet_engine::package::PackageError;
use unet_engine::picture::PictureError;
use unet_engine::predictor::{LoadError as PackageLoadError, PredictError};
use unet_engine::segmenter::SegmentError;
use unet_onnx::OnnxError;
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
use crate::float_engine::FloatEngineError;
use crate::quantize::CalibrationError;
use crate::report::ReportError;
use crate::run_dir::RunDirError;
use crate::training::checkpoint::CheckpointError;
use crate::training::error::TrainError;
use crate::training::memory::DoesNotFit;

/// Why a verb failed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what each variant means")]
pub enum HostError {
    /// Bad input that no stage has an error for.
    #[error("{0}")]
    Usage(String),
    #[error("failed to read {path}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("failed to write {path}")]
    Write { path: PathBuf, source: std::io::Error },
    #[error("{path}: {}", record_problem(source))]
    Record { path: PathBuf, source: DocumentError },
    #[error("the device failed in step {step}")]
    Device { step: usize, source: ExecutionError },
    #[error(
        "step {step}: expected a finite loss on random images, found {loss}; this backend computes wrong results here"
    )]
    BenchLoss { step: usize, loss: f64 },
    /// An error of a stage.
    #[error(transparent)]
    Stage(StageError),
}

/// Why a file cannot be read as an evaluation record.
fn record_problem(error: &DocumentError) -> &'static str {
    match error {
        DocumentError::Version { expected, found, .. } if found > expected => {
            "made by a newer program; compare it with that, or evaluate again"
        }
        DocumentError::Version { .. } => "made by an older program; evaluate again",
        DocumentError::Format { .. } => {
            "not an evaluation record, or incomplete; `unet-host val --output` and `unet-edge evaluate --output` write one"
        }
    }
}

impl HostError {
    /// The exit code for this kind of failure.
    pub fn exit_code(&self) -> Exit {
        match self {
            Self::Usage(_) | Self::Read { .. } | Self::Record { .. } => Exit::Input,
            Self::Write { .. } => Exit::Write,
            Self::Device { .. } => Exit::Device,
            Self::BenchLoss { .. } => Exit::Internal,
            Self::Stage(error) => error.exit_code,
        }
    }
}

/// An error of a stage, of whatever type, with its exit code. It reads like the error that it holds.
#[derive(Debug)]
pub struct StageError {
    exit_code: Exit,
    error: Box<dyn Error + Send + Sync>,
}

impl std::fmt::Display for StageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for StageError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

/// The exit code for an error of a stage.
trait ExitCode {
    fn exit_code(&self) -> Exit;
}

impl<E: ExitCode + Error + Send + Sync + 'static> From<E> for HostError {
    fn from(error: E) -> Self {
        Self::Stage(StageError { exit_code: error.exit_code(), error: Box::new(error) })
    }
}

/// Types all of whose errors end with one exit code.
macro_rules! exit_codes {
    ($($error:ty => $code:ident),+ $(,)?) => {
        $(impl ExitCode for $error {
            fn exit_code(&self) -> Exit {
                Exit::$code
            }
        })+
    };
}

exit_codes! {
    BackendError => Device,
    CalibrationError => Input,
    CheckError => Input,
    ClassListError => Input,
    DatasetError => Input,
    DoesNotFit => Input,
    EvaluateError => Input,
    FileError => Input,
    FloatEngineError => Input,
    GraphError => Internal,
    InferenceError => Input,
    LabelsError => Input,
    LoadError => Input,
    MaskError => Internal,
    MetricsError => Internal,
    OnnxError => Input,
    PairError => Input,
    PictureError => Internal,
    png::EncodingError => Internal,
    PackageLoadError => Input,
    PreprocessError => Input,
    SegmentError => Internal,
}

impl ExitCode for CheckpointError {
    fn exit_code(&self) -> Exit {
        match self {
            Self::Files(error) => error.exit_code(),
            Self::Damaged { .. } | Self::OtherNetwork { .. } | Self::Record { .. } | Self::Version { .. } => {
                Exit::Input
            }
        }
    }
}

impl ExitCode for PackageError {
    fn exit_code(&self) -> Exit {
        match self {
            Self::Read { .. } | Self::NotAPackage { .. } | Self::Refused { .. } | Self::NotWritten { .. } => {
                Exit::Input
            }
            Self::Write { .. } => Exit::Write,
        }
    }
}

impl ExitCode for PredictError {
    fn exit_code(&self) -> Exit {
        match self {
            Self::Preprocess(error) => error.exit_code(),
            Self::Segment(error) => error.exit_code(),
            Self::Mask(error) => error.exit_code(),
            Self::NoImage => Exit::Internal,
        }
    }
}

impl ExitCode for ReportError {
    fn exit_code(&self) -> Exit {
        match self {
            Self::Fault(_) => Exit::Internal,
            Self::Write { .. } => Exit::Write,
        }
    }
}

impl ExitCode for RunDirError {
    fn exit_code(&self) -> Exit {
        match self {
            Self::Missing { .. }
            | Self::NotARun { .. }
            | Self::Read { .. }
            | Self::Gone { .. }
            | Self::CutOff { .. }
            | Self::Config { .. }
            | Self::Parse { .. }
            | Self::Locked { .. } => Exit::Input,
            Self::Write { .. } => Exit::Write,
        }
    }
}

impl ExitCode for SyntheticError {
    fn exit_code(&self) -> Exit {
        match self {
            Self::Size { .. } | Self::Count { .. } | Self::NotEmpty { .. } => Exit::Input,
            Self::Write { .. } | Self::Encode { .. } => Exit::Write,
        }
    }
}

impl ExitCode for TrainError {
    fn exit_code(&self) -> Exit {
        match self {
            Self::Backend(error) => error.exit_code(),
            Self::Load(error) => error.exit_code(),
            Self::Checkpoint(error) => error.exit_code(),
            Self::Diverged { .. } => Exit::Input,
            Self::Mask(error) => error.exit_code(),
            Self::Metrics(error) => error.exit_code(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn an_error_keeps_its_message_causes_and_exit_code_on_its_way_up() {
        let write = |path: &str| RunDirError::Write { path: path.into(), source: io::Error::other("disk full") };
        let nested = TrainError::Checkpoint(CheckpointError::Files(write("a/b")));
        let expected = unet_engine::error::chain(&nested);
        assert!(expected.contains("a/b") && expected.ends_with("disk full"), "{expected}");
        let error = HostError::from(nested);
        assert_eq!(error.exit_code(), Exit::Write);
        assert_eq!(unet_engine::error::chain(&error), expected);
        let error = HostError::from(TrainError::Diverged { epoch: 1, step: 2, learning_rate: 0.5 });
        assert_eq!(error.exit_code(), Exit::Input);
    }
}
