//! Running a quantized model: numbers of a frame in, a class for each pixel out, and the quantized logits where they are
//! asked for.
//!
//! A [`Model`] is a loaded graph. An [`Engine`] is one of a package, and owns the checks that hold for whatever computes: that
//! the graph's input and output are the ones of the manifest, and that golden vectors come out as they were recorded. Who
//! computes is our integer engine where it covers the graph, else stock tract. Knows nothing of images, classes' names or
//! files.

use std::str::FromStr;

use unet_shared::digest::Digest;
use unet_shared::manifest::TensorEntry;

use crate::package::{Golden, Package};
use crate::shape;

mod description;
mod error;
mod integer;
pub mod kernel;
mod model;
mod tract;

pub use description::{Description, NodeDescription, Part, PartTime};
pub use error::InferenceError;
use kernel::{Kernel, UnknownKernel};
pub use model::{Element, Frame, Model, Port};

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

/// The loaded model of a package that is ready for frames.
pub struct Engine {
    model: Model,
    input: TensorEntry,
    output: TensorEntry,
    logits: Vec<u8>,
    /// Of [`Engine::run`]'s frame; whoever wants only the mask brings one.
    mask: Vec<u8>,
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
        let entry = &package.manifest.model;
        let mut engine = Engine::new(&entry.file, package.model(), [&entry.input, &entry.output], None, options)?;
        for golden in package.golden() {
            engine.check_golden(&golden)?;
        }
        Ok(engine)
    }

    /// The model of a package for frames of another height and width; golden vectors are re-run at the package's own.
    ///
    /// # Errors
    ///
    /// As [`Engine::load_with`], and when the graph does not fit the size.
    pub fn load_at(package: &Package, size: [usize; 2], options: &EngineOptions) -> Result<Self, InferenceError> {
        drop(Engine::load_with(package, options)?);
        let entry = &package.manifest.model;
        Engine::new(&entry.file, package.model(), [&entry.input, &entry.output], Some(size), options)
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
        Engine::new("ONNX", onnx, [input, output], None, options)
    }

    fn new(
        name: &str,
        onnx: &[u8],
        [input, output]: [&TensorEntry; 2],
        size: Option<[usize; 2]>,
        options: &EngineOptions,
    ) -> Result<Self, InferenceError> {
        let model = Model::of_manifest(name, onnx, input, output, size, options)?;
        let at = |entry: &TensorEntry, shape| TensorEntry { shape, ..entry.clone() };
        let (input, output) = (at(input, model.input().shape), at(output, model.output().shape));
        // The backend has found these very dimensions in a graph that fits into memory.
        let [_, _, height, width] = output.shape;
        let (logits, mask) = (vec![0; output.shape.iter().product()], vec![0; height * width]);
        Ok(Engine { model, input, output, logits, mask })
    }

    /// Name of what computes, for records.
    pub fn name(&self) -> &'static str {
        self.model.name()
    }

    /// Name of what computes the convolutions: an instruction set, or tract.
    pub fn kernel(&self) -> &'static str {
        self.model.kernel()
    }

    /// How many threads share a frame.
    pub fn threads(&self) -> usize {
        self.model.threads()
    }

    /// What runs where.
    pub fn describe(&self) -> Description {
        self.model.describe()
    }

    /// The model behind the manifest.
    pub fn into_model(self) -> Model {
        self.model
    }

    /// The model's input as the manifest describes it.
    pub fn input(&self) -> &TensorEntry {
        &self.input
    }

    /// The model's output as the manifest describes it.
    pub fn output(&self) -> &TensorEntry {
        &self.output
    }

    /// Runs one frame: `input` is the quantized model input, `C*H*W` bytes; `mask` receives the class of each pixel, `H*W`.
    ///
    /// # Errors
    ///
    /// When a slice has another size, or the backend fails.
    pub fn segment(&mut self, input: &[u8], mask: &mut [u8]) -> Result<(), InferenceError> {
        self.model.segment(Frame::Bytes(input), mask)
    }

    /// The quantized logits of the last frame, u8, `K*H*W`; zeros before the first.
    ///
    /// # Errors
    ///
    /// When the backend cannot give them.
    pub fn logits(&mut self) -> Result<&[u8], InferenceError> {
        self.model.logits(&mut self.logits)?;
        Ok(&self.logits)
    }

    /// Runs one frame as [`Engine::segment`] does. The result is the quantized logits, `K*H*W` bytes, valid until the next
    /// call.
    ///
    /// # Errors
    ///
    /// When `input` has another size, or the backend fails.
    pub fn run(&mut self, input: &[u8]) -> Result<&[u8], InferenceError> {
        self.model.segment(Frame::Bytes(input), &mut self.mask)?;
        self.logits()
    }

    fn check_golden(&mut self, golden: &Golden<'_>) -> Result<(), InferenceError> {
        let [_, _, _, width] = self.output.shape;
        let found = Digest::of(self.run(golden.input)?);
        if found != golden.logits {
            return Err(InferenceError::GoldenLogits { name: golden.name.to_owned(), expected: golden.logits, found });
        }
        match self.mask.iter().zip(golden.mask).position(|(found, expected)| found != expected) {
            None => Ok(()),
            Some(index) => Err(InferenceError::GoldenMask {
                name: golden.name.to_owned(),
                x: index % width,
                y: index / width,
                expected: golden.mask[index],
                found: self.mask[index],
            }),
        }
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [input, output] = [&self.input, &self.output].map(|entry| shape::text(&entry.shape));
        write!(formatter, "Engine({}, {input} to {output})", self.name())
    }
}

#[cfg(test)]
mod tests;
