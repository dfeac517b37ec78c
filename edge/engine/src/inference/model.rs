//! A loaded graph with the input and output of its file: bytes in a package's model, often f32 in others. From a frame to
//! a class for each pixel; a [`Backend`] computes. Knows no packages.

use std::fmt;

use unet_shared::manifest::TensorEntry;

use super::backend::{Backend, Element, Frame, Port};
use super::description::{Description, PartTime};
use super::error::InferenceError;
use super::integer::{self, Coverage};
use super::kernel::Kernel;
use super::loaded::Loaded;
use super::options::{EngineOptions, KernelChoice};
use super::tract::Tract;
use super::windows;
use crate::field_of_view::FieldOfView;
use crate::shape;

/// A loaded graph that is ready for frames.
pub struct Model {
    backend: Box<dyn Backend>,
    input: Port,
    output: Port,
    metadata: Vec<(String, String)>,
    field_of_view: Option<FieldOfView>,
}

impl Model {
    /// Loads an ONNX file without a manifest: one input of u8, i8 or f32, N, C, H, W with a batch of 1; one output, logits of
    /// u8, i8 or f32, or the class ids of an ArgMax. `size`, height and width, is for files with open sizes, or to run a
    /// fully convolutional network at another size. `name` is the file's name in messages.
    ///
    /// # Errors
    ///
    /// When the graph cannot be read, has an input or output that is not supported, or cannot be run by the requested kernel.
    pub fn open(
        name: &str,
        onnx: &[u8],
        size: Option<[usize; 2]>,
        options: &EngineOptions,
    ) -> Result<Self, InferenceError> {
        Model::new(Loaded::open(name, onnx, size)?, options)
    }

    /// Loads the model that a manifest describes, at its size or at another height and width.
    pub(super) fn of_manifest(
        name: &str,
        onnx: &[u8],
        input: &TensorEntry,
        output: &TensorEntry,
        size: Option<[usize; 2]>,
        options: &EngineOptions,
    ) -> Result<Self, InferenceError> {
        Model::new(Loaded::read(name, onnx, input, output, size)?, options)
    }

    fn new(mut loaded: Loaded, options: &EngineOptions) -> Result<Self, InferenceError> {
        let (input, output) = (loaded.input.clone(), loaded.output.clone());
        let metadata = std::mem::take(&mut loaded.metadata);
        let field_of_view = windows::field_of_view(&loaded.graph, &input.name, &output.name);
        Ok(Model { backend: backend(loaded, options)?, input, output, metadata, field_of_view })
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

    /// How far the network looks, if its operators say.
    pub fn field_of_view(&self) -> Option<FieldOfView> {
        self.field_of_view
    }

    /// The graph's input.
    pub fn input(&self) -> &Port {
        &self.input
    }

    /// The graph's output.
    pub fn output(&self) -> &Port {
        &self.output
    }

    /// What the file says about itself beside its graph, as pairs of key and text.
    pub fn metadata(&self) -> &[(String, String)] {
        &self.metadata
    }

    /// How long each part of the last frame took; empty if tract runs the whole graph.
    pub fn times(&self) -> Vec<PartTime> {
        self.backend.times()
    }

    /// Runs one frame; `mask` receives the class of each pixel, H*W. Ties go to the lowest class.
    ///
    /// # Errors
    ///
    /// When the frame has another type or size than the input, the mask another size than the output, or the backend fails.
    pub fn segment(&mut self, frame: Frame<'_>, mask: &mut [u8]) -> Result<(), InferenceError> {
        let expected = self.input.shape.iter().product();
        let (found, element) = match frame {
            Frame::Bytes(values) => (values.len(), self.input.element != Element::F32),
            Frame::Floats(values) => (values.len(), self.input.element == Element::F32),
        };
        if found != expected || !element {
            return Err(InferenceError::InputSize { expected, found: if element { found } else { 0 } });
        }
        let [_, _, height, width] = self.output.shape;
        if mask.len() != height * width {
            return Err(InferenceError::MaskSize { expected: height * width, found: mask.len() });
        }
        self.backend.segment(frame, mask)
    }

    /// The number of bytes of a frame's logits; 0 if the output is not of bytes.
    pub fn logits_len(&self) -> usize {
        match self.output.element {
            Element::U8 | Element::I8 => self.output.shape.iter().product(),
            Element::F32 | Element::I64 => 0,
        }
    }

    /// The last frame's logits, K*H*W bytes, the bit patterns of a signed output. Zeros before the first frame.
    ///
    /// # Errors
    ///
    /// When `logits` has another size than [`Model::logits_len`], or the backend fails.
    pub fn logits(&mut self, logits: &mut [u8]) -> Result<(), InferenceError> {
        let expected = self.logits_len();
        if logits.len() != expected {
            return Err(InferenceError::LogitsSize { expected, found: logits.len() });
        }
        if expected == 0 { Ok(()) } else { self.backend.logits(logits) }
    }
}

/// The integer engine for what it covers, unless tract alone was asked for.
fn backend(loaded: Loaded, options: &EngineOptions) -> Result<Box<dyn Backend>, InferenceError> {
    options.kernel.check()?;
    let kernel = match options.kernel {
        KernelChoice::Tract => return Ok(Box::new(Tract::new(loaded, "tract was asked for".to_owned())?)),
        KernelChoice::Auto => Kernel::best(),
        KernelChoice::Only(kernel) => kernel,
    };
    match integer::cover(&loaded, kernel, options.threads)? {
        Coverage::Whole(engine) => Ok(Box::new(engine)),
        Coverage::Parts(engine) => Ok(Box::new(engine)),
        Coverage::Nothing(found) if options.kernel == KernelChoice::Only(kernel) => {
            Err(InferenceError::Kernel { kernel, found })
        }
        Coverage::Nothing(reason) => Ok(Box::new(Tract::new(loaded, reason)?)),
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [input, output] = [&self.input, &self.output].map(|port| shape::text(&port.shape));
        write!(formatter, "Model({}, {input} to {output})", self.name())
    }
}

#[cfg(test)]
mod tests;
