//! Why a model could not be loaded or run.

use unet_shared::digest::Digest;

use super::kernel::Kernel;
use crate::error::Kind;

/// What tract or a library says.
pub(super) type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a model could not be loaded or run.
#[derive(Debug, thiserror::Error)]
pub enum InferenceError {
    /// The bytes are no ONNX model, or one that the backend cannot run.
    #[error("model {model}: expected an ONNX graph that {backend} runs, found one that fails at {step}")]
    Graph {
        /// Name of the model, as the manifest gives it.
        model: String,
        /// The backend.
        backend: &'static str,
        /// What was being done.
        step: &'static str,
        /// What the backend said.
        #[source]
        source: Source,
    },
    /// The graph is not the one that the manifest describes.
    #[error("manifest expects {what} {expected}, model has {found}")]
    Mismatch {
        /// Which property.
        what: &'static str,
        /// What the manifest says.
        expected: String,
        /// What the graph says.
        found: String,
    },
    /// A file that stands alone has ends that no frame fits.
    #[error("model {model}: expected {expected}, found {found}")]
    Ends {
        /// Name of the model.
        model: String,
        /// What can be run.
        expected: String,
        /// What the file says.
        found: String,
    },
    /// The graph asks for more memory than any model of a package.
    #[error("tensor {name} of the model: expected at most {expected} elements, found {found}")]
    TooLarge {
        /// The tensor.
        name: String,
        /// The bound.
        expected: usize,
        /// What the graph says.
        found: String,
    },
    /// The kernel that was asked for cannot run this graph, or not on this core.
    #[error("kernel {kernel}: expected a graph and a core that it runs, found {found}")]
    Kernel {
        /// The kernel asked for.
        kernel: Kernel,
        /// The node that is not covered, or what the core lacks.
        found: String,
    },
    /// A frame of the wrong size.
    #[error("model input: expected {expected} bytes, found {found}")]
    InputSize {
        /// Values of one frame.
        expected: usize,
        /// Values given; none of them where they are of another type.
        found: usize,
    },
    /// A mask of the wrong size.
    #[error("mask: expected {expected} bytes, found {found}")]
    MaskSize {
        /// Pixels of the output.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
    /// The buffer for the logits has another size than they have.
    #[error("buffer for the logits: expected {expected} bytes, found {found}")]
    LogitsSize {
        /// Bytes of the output; 0 where it is none of bytes.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
    /// The backend failed on a frame.
    #[error("could not run the model by {backend}")]
    Run {
        /// The backend.
        backend: &'static str,
        /// What the backend said.
        #[source]
        source: Source,
    },
    /// This machine computes other logits than the one that made the package.
    #[error("golden vector {name}: expected logits with sha256 {expected}, found {found}")]
    GoldenLogits {
        /// The golden input.
        name: String,
        /// Recorded.
        expected: Digest,
        /// Computed here.
        found: Digest,
    },
    /// The recorded mask is not the argmax of the logits.
    #[error("golden vector {name}: expected class {expected} at ({x}, {y}), found {found}")]
    GoldenMask {
        /// The golden input.
        name: String,
        /// Column of the first pixel that differs.
        x: usize,
        /// Row of the first pixel that differs.
        y: usize,
        /// Recorded.
        expected: u8,
        /// Computed here.
        found: u8,
    },
}

impl InferenceError {
    /// How to go on: a frame that fails is skipped, a model that does not load stays that way.
    pub fn kind(&self) -> Kind {
        match self {
            InferenceError::InputSize { .. }
            | InferenceError::MaskSize { .. }
            | InferenceError::LogitsSize { .. }
            | InferenceError::Run { .. } => Kind::SkipFrame,
            InferenceError::Graph { .. }
            | InferenceError::Mismatch { .. }
            | InferenceError::Ends { .. }
            | InferenceError::TooLarge { .. }
            | InferenceError::Kernel { .. }
            | InferenceError::GoldenLogits { .. }
            | InferenceError::GoldenMask { .. } => Kind::Fatal,
        }
    }
}
