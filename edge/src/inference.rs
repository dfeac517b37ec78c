//! Running the quantized model of a package: u8 planes in, u8 logits out.
//!
//! [`Engine`] owns the checks that hold for whatever computes: that the graph's input and output are the ones of the
//! manifest, that a frame has the right size, that golden vectors come out as they were recorded. Who computes is a
//! [`Backend`]: our integer engine where it covers the graph, else stock tract. It knows nothing of images, classes' names
//! or files.

use std::str::FromStr;

use serde::Serialize;
use unet_shared::digest::Digest;
use unet_shared::manifest::TensorEntry;
use unet_shared::mask::argmax_u8;

use crate::error::Kind;
use crate::package::{Golden, Package};
use crate::shape;

mod integer;
pub mod kernel;
mod tract;

use kernel::{Kernel, UnknownKernel};

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Something that computes the quantized graph.
trait Backend: Send {
    /// The name in records and on the screen.
    fn name(&self) -> &'static str;

    /// The name of what computes its convolutions.
    fn kernel(&self) -> &'static str;

    /// How many threads it uses.
    fn threads(&self) -> usize;

    /// What runs where.
    fn describe(&self) -> Description;

    /// Computes one frame. Both slices have the sizes that the engine checked at load.
    fn run(&mut self, input: &[u8], logits: &mut [u8]) -> Result<(), InferenceError>;
}

/// Who is to compute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KernelChoice {
    /// The fastest kernel of this core where the integer engine covers the graph, else tract.
    #[default]
    Auto,
    /// Stock tract.
    Tract,
    /// This kernel, or an error.
    Only(Kernel),
}

impl FromStr for KernelChoice {
    type Err = UnknownKernel;

    fn from_str(name: &str) -> Result<Self, UnknownKernel> {
        match name {
            "auto" => Ok(KernelChoice::Auto),
            "tract" => Ok(KernelChoice::Tract),
            name => name.parse().map(KernelChoice::Only),
        }
    }
}

/// How a model is to be run. Any choice gives the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineOptions {
    /// Who computes.
    pub kernel: KernelChoice,
    /// How many threads share a frame; at least 1. tract itself uses one.
    pub threads: usize,
}

impl EngineOptions {
    /// The largest number of threads that an engine makes.
    pub const THREADS_MAX: usize = integer::THREADS_MAX;
}

impl Default for EngineOptions {
    fn default() -> Self {
        EngineOptions { kernel: KernelChoice::Auto, threads: 1 }
    }
}

/// What runs where in a loaded model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Description {
    /// [`Engine::name`].
    pub engine: &'static str,
    /// [`Engine::kernel`].
    pub kernel: &'static str,
    /// [`Engine::threads`].
    pub threads: usize,
    /// The nodes that our operator took over, in the order in which they run.
    pub nodes: Vec<NodeDescription>,
    /// Bytes of the buffers, all planned at load; `None` where tract makes them frame by frame.
    pub arena_bytes: Option<usize>,
    /// Bytes of the weights as the kernel reads them.
    pub weight_bytes: Option<usize>,
    /// Why tract runs the graph, where it does: the node that the integer engine does not cover.
    pub left_to_tract: Option<String>,
}

/// One node of the graph.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NodeDescription {
    /// Its name in the file.
    pub name: String,
    /// Its operator; two where they run as one.
    pub operator: String,
    /// The kernel that runs it; `move` where bytes are only moved or compared.
    pub kernel: String,
    /// Multiplications of one frame.
    pub multiplications: u64,
    /// Their share of the graph's, 0 to 1.
    pub share: f64,
}

/// A loaded model that is ready for frames.
pub struct Engine {
    backend: Box<dyn Backend>,
    input: TensorEntry,
    output: TensorEntry,
    logits: Vec<u8>,
}

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
        /// Bytes of one frame.
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
            InferenceError::InputSize { .. } | InferenceError::Run { .. } => Kind::SkipFrame,
            InferenceError::Graph { .. }
            | InferenceError::Mismatch { .. }
            | InferenceError::TooLarge { .. }
            | InferenceError::Kernel { .. }
            | InferenceError::GoldenLogits { .. }
            | InferenceError::GoldenMask { .. } => Kind::Fatal,
        }
    }
}

impl Engine {
    /// Loads the model of a package and re-runs its golden vectors.
    ///
    /// # Errors
    ///
    /// When the graph is not what the manifest says, or gives other logits or masks than recorded.
    pub fn load(package: &Package) -> Result<Self, InferenceError> {
        Engine::load_with(package, &EngineOptions::default())
    }

    /// As [`Engine::load`], with a choice of kernel and threads.
    ///
    /// # Errors
    ///
    /// As [`Engine::load`], and when the kernel asked for cannot run the graph.
    pub fn load_with(package: &Package, options: &EngineOptions) -> Result<Self, InferenceError> {
        let model = &package.manifest.model;
        let mut engine = Engine::from_onnx_named(&model.file, package.model(), &model.input, &model.output, options)?;
        for golden in package.golden() {
            engine.check_golden(&golden)?;
        }
        Ok(engine)
    }

    /// Loads a model that is not in a package, without golden vectors: what a packager does before it has any.
    ///
    /// # Errors
    ///
    /// When the graph cannot be read, or has not the given input and output, both u8.
    pub fn from_onnx(onnx: &[u8], input: &TensorEntry, output: &TensorEntry) -> Result<Self, InferenceError> {
        Engine::from_onnx_with(onnx, input, output, &EngineOptions::default())
    }

    /// As [`Engine::from_onnx`], with a choice of kernel and threads.
    ///
    /// # Errors
    ///
    /// As [`Engine::from_onnx`], and when the kernel asked for cannot run the graph.
    pub fn from_onnx_with(
        onnx: &[u8],
        input: &TensorEntry,
        output: &TensorEntry,
        options: &EngineOptions,
    ) -> Result<Self, InferenceError> {
        Engine::from_onnx_named("ONNX", onnx, input, output, options)
    }

    fn from_onnx_named(
        name: &str,
        onnx: &[u8],
        input: &TensorEntry,
        output: &TensorEntry,
        options: &EngineOptions,
    ) -> Result<Self, InferenceError> {
        let loaded = tract::Loaded::read(name, onnx, input, output)?;
        let backend = backend(loaded, input, output, options)?;
        // The backend has found these very dimensions in a graph that fits into memory.
        let logits = vec![0; output.shape.iter().product()];
        Ok(Engine { backend, input: input.clone(), output: output.clone(), logits })
    }

    /// Name of what computes, for records.
    pub fn name(&self) -> &'static str {
        self.backend.name()
    }

    /// Name of what computes the convolutions: an instruction set, or tract.
    pub fn kernel(&self) -> &'static str {
        self.backend.kernel()
    }

    /// How many threads share a frame.
    pub fn threads(&self) -> usize {
        self.backend.threads()
    }

    /// What runs where.
    pub fn describe(&self) -> Description {
        self.backend.describe()
    }

    /// The model's input as the manifest describes it.
    pub fn input(&self) -> &TensorEntry {
        &self.input
    }

    /// The quantized logits of the last frame, u8, `K*H*W`; zeros before the first.
    pub fn logits(&self) -> &[u8] {
        &self.logits
    }

    /// The model's output as the manifest describes it.
    pub fn output(&self) -> &TensorEntry {
        &self.output
    }

    /// Runs one frame: `input` is the quantized model input, `C*H*W` bytes. The result is the quantized logits, `K*H*W`
    /// bytes, valid until the next call.
    ///
    /// # Errors
    ///
    /// When `input` has another size, or the backend fails.
    pub fn run(&mut self, input: &[u8]) -> Result<&[u8], InferenceError> {
        let expected = self.input.shape.iter().product();
        if input.len() != expected {
            return Err(InferenceError::InputSize { expected, found: input.len() });
        }
        self.backend.run(input, &mut self.logits)?;
        Ok(&self.logits)
    }

    fn check_golden(&mut self, golden: &Golden<'_>) -> Result<(), InferenceError> {
        let [_, classes, _, width] = self.output.shape;
        let logits = self.run(golden.input)?;
        let found = Digest::of(logits);
        if found != golden.logits {
            return Err(InferenceError::GoldenLogits { name: golden.name.to_owned(), expected: golden.logits, found });
        }
        let mut mask = vec![0; golden.mask.len()];
        argmax_u8(logits, classes, &mut mask)
            .map_err(|error| InferenceError::Run { backend: "argmax", source: Box::new(error) })?;
        match mask.iter().zip(golden.mask).position(|(found, expected)| found != expected) {
            None => Ok(()),
            Some(index) => Err(InferenceError::GoldenMask {
                name: golden.name.to_owned(),
                x: index % width,
                y: index / width,
                expected: golden.mask[index],
                found: mask[index],
            }),
        }
    }
}

/// The integer engine where it is wanted and covers the graph, else tract.
fn backend(
    mut loaded: tract::Loaded,
    input: &TensorEntry,
    output: &TensorEntry,
    options: &EngineOptions,
) -> Result<Box<dyn Backend>, InferenceError> {
    let kernel = match options.kernel {
        KernelChoice::Tract => {
            let asked = "tract was asked for".to_owned();
            return Ok(Box::new(tract::Tract::new(loaded, input.shape, asked)?));
        }
        KernelChoice::Auto => Kernel::best(),
        KernelChoice::Only(kernel) if kernel.is_available() => kernel,
        KernelChoice::Only(kernel) => {
            let found = "a core without its instructions".to_owned();
            return Err(InferenceError::Kernel { kernel, found });
        }
    };
    match integer::Integer::load(&mut loaded, input, output, kernel, options.threads)? {
        Ok(integer) => Ok(Box::new(integer)),
        Err(found) if options.kernel == KernelChoice::Only(kernel) => Err(InferenceError::Kernel { kernel, found }),
        Err(left) => Ok(Box::new(tract::Tract::new(loaded, input.shape, left)?)),
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "Engine({}, {} to {})",
            self.name(),
            shape::text(&self.input.shape),
            shape::text(&self.output.shape)
        )
    }
}

#[cfg(test)]
mod tests;
