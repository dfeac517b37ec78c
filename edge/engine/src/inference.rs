//! Running a quantized model: a frame in, a class for each pixel out, and the quantized logits on request.
//!
//! A [`Model`] is a loaded graph. An [`Engine`] is the model of a package; it checks that the graph's input and output match
//! the manifest, and that the golden vectors give the recorded results. The integer engine computes what it covers of a graph,
//! tract the rest. Knows nothing of images, class names or files.

use unet_shared::digest::Digest;
use unet_shared::manifest::TensorEntry;

use crate::field_of_view::FieldOfView;
use crate::package::{Golden, Package};
use crate::shape;

mod backend;
mod description;
mod error;
mod expansion;
mod integer;
pub mod kernel;
mod loaded;
mod model;
mod options;
mod tract;
mod windows;

pub use backend::{Element, Frame, Port};
pub use description::{Description, NodeDescription, Part, PartTime, TractNode};
pub use error::InferenceError;
pub use model::Model;
pub use options::{EngineOptions, KernelChoice};

/// The loaded model of a package, ready for frames.
pub struct Engine {
    model: Model,
    input: TensorEntry,
    output: TensorEntry,
    logits: Vec<u8>,
    /// For [`Engine::run`]; [`Engine::segment`] writes to the caller's.
    mask: Vec<u8>,
}

impl Engine {
    /// Loads the model of a package and re-runs its golden vectors.
    ///
    /// # Errors
    ///
    /// When the graph does not match the manifest, or gives other logits or masks than recorded.
    pub fn load(package: &Package) -> Result<Self, InferenceError> {
        Engine::load_with(package, &EngineOptions::default())
    }

    /// As [`Engine::load`], with a choice of kernel and threads.
    ///
    /// # Errors
    ///
    /// As [`Engine::load`], and when the requested kernel cannot run the graph.
    pub fn load_with(package: &Package, options: &EngineOptions) -> Result<Self, InferenceError> {
        let entry = &package.manifest.model;
        loaded::check_quantization(&entry.file, package.model(), &entry.input, &entry.output)?;
        let mut engine = Engine::new(&entry.file, package.model(), [&entry.input, &entry.output], None, options)?;
        for golden in package.golden() {
            engine.check_golden(&golden).map_err(|error| match error {
                InferenceError::GoldenLogits { name, expected, found } if options.kernel == KernelChoice::Tract => {
                    InferenceError::TractLogits { name, expected, found }
                }
                error => error,
            })?;
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
    /// As [`Engine::from_onnx`], and when the requested kernel cannot run the graph.
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

    /// How far the network looks, if its operators say.
    pub fn field_of_view(&self) -> Option<FieldOfView> {
        self.model.field_of_view()
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
