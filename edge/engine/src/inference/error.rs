//! Why a model could not be loaded or run.

use unet_data::any_of;
use unet_shared::digest::Digest;

use super::kernel::Kernel;

/// An error of tract or another library.
pub(super) type Source = Box<dyn std::error::Error + Send + Sync>;

/// The values of `--kernel` that this CPU supports.
fn available_kernels() -> String {
    let kernels = Kernel::ALL.into_iter().filter(|kernel| kernel.is_available()).map(Kernel::name);
    any_of(["auto", "tract"].into_iter().chain(kernels))
}

/// The first step: from bytes to a graph.
pub(super) const READING: &str = "reading";

/// Why a model could not be loaded or run.
#[derive(Debug, thiserror::Error)]
pub enum InferenceError {
    /// The bytes are not an ONNX model, or not one that the backend can run.
    #[error(
        "model {model} {}",
        if *step == READING {
            "cannot be read: it is damaged or not an ONNX file".to_owned()
        } else {
            format!("cannot be run by {backend}, which fails at {step}")
        }
    )]
    Graph {
        /// Name of the model in the manifest.
        model: String,
        /// The backend.
        backend: &'static str,
        /// The step that failed.
        step: &'static str,
        /// The backend's error.
        #[source]
        source: Source,
    },
    /// The graph is not the one that the manifest describes.
    #[error("manifest expects {what} {expected}, model has {found}")]
    Mismatch {
        /// The property.
        what: &'static str,
        /// In the manifest.
        expected: String,
        /// In the graph.
        found: String,
    },
    /// A file without a manifest has an input or output that is not supported.
    #[error("model {model}: expected {expected}, found {found}")]
    Ends {
        /// Name of the model.
        model: String,
        /// What is supported.
        expected: String,
        /// In the file.
        found: String,
    },
    /// The graph needs more memory than any model of a package.
    #[error("tensor {name} of the model: expected at most {expected} elements, found {found}")]
    TooLarge {
        /// The tensor.
        name: String,
        /// The bound.
        expected: usize,
        /// In the graph.
        found: String,
    },
    /// The requested compute kernel can run nothing of this graph.
    #[error("kernel {kernel} can run no part of this graph: {found}; use auto or tract")]
    Kernel {
        /// The requested kernel.
        kernel: Kernel,
        /// The node that is not covered.
        found: String,
    },
    /// This CPU lacks the instructions of the requested compute kernel.
    #[error("kernel {kernel}: this CPU lacks its instructions; use {}", available_kernels())]
    Instructions {
        /// The requested kernel.
        kernel: Kernel,
    },
    /// A frame of the wrong size.
    #[error("model input: expected {expected} bytes, found {found}")]
    InputSize {
        /// Values of one frame.
        expected: usize,
        /// Values found; 0 if they have another type.
        found: usize,
    },
    /// A mask of the wrong size.
    #[error("mask: expected {expected} bytes, found {found}")]
    MaskSize {
        /// Pixels of the output.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// The buffer for the logits has the wrong size.
    #[error("buffer for the logits: expected {expected} bytes, found {found}")]
    LogitsSize {
        /// Bytes of the output; 0 if it is not of bytes.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// The backend failed on a frame.
    #[error("could not run the model by {backend}")]
    Run {
        /// The backend.
        backend: &'static str,
        /// The backend's error.
        #[source]
        source: Source,
    },
    /// This machine computes other logits than recorded in the package.
    #[error("golden vector {name}: expected logits with sha256 {expected}, found {found}")]
    GoldenLogits {
        /// The golden input.
        name: String,
        /// Recorded.
        expected: Digest,
        /// Computed here.
        found: Digest,
    },
    /// tract was requested, and its logits differ from the recorded ones of the integer engine.
    #[error(
        "the package is intact, but tract does not reproduce golden vector {name}: it may round a value by one step differently \
         from the integer engine, which recorded logits with sha256 {expected}, found {found}; use kernel auto"
    )]
    TractLogits {
        /// The golden input.
        name: String,
        /// Recorded.
        expected: Digest,
        /// Computed by tract.
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
