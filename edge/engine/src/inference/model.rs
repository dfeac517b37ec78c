//! A loaded graph with the ends that its file has: bytes in a package's model, f32 in one that stands alone. From a frame to
//! a class for each pixel; whoever computes is a [`Backend`]. Knows neither packages nor manifests.

use std::fmt;

use unet_shared::manifest::TensorEntry;

use super::error::InferenceError;
use super::kernel::Kernel;
use super::tract::{self, Loaded};
use super::{Description, EngineOptions, KernelChoice, PartTime, integer};
use crate::shape;

/// Something that computes the quantized graph. Frames and masks have the sizes that [`Model`] checked.
pub(super) trait Backend: Send {
    /// The name in records and on the screen.
    fn name(&self) -> &'static str;

    /// The name of what computes its convolutions.
    fn kernel(&self) -> &'static str;

    /// How many threads it uses.
    fn threads(&self) -> usize;

    /// What runs where.
    fn describe(&self) -> Description;

    /// Computes one frame: the class of each pixel, H*W.
    fn segment(&mut self, frame: Frame<'_>, mask: &mut [u8]) -> Result<(), InferenceError>;

    /// The last frame's logits as bytes, K*H*W; those of a signed output by their bits. Zeros before the first frame.
    fn logits(&mut self, logits: &mut [u8]) -> Result<(), InferenceError>;

    /// How long each part of the last frame took; empty where that is not known.
    fn times(&self) -> Vec<PartTime> {
        Vec::new()
    }
}

/// The numbers at an end of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// Bytes, 0 to 255.
    U8,
    /// Bytes, -128 to 127.
    I8,
    /// Floats.
    F32,
    /// Class ids, as ONNX's ArgMax gives them.
    I64,
}

/// An input or output of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name in the file.
    pub name: String,
    /// N, C, H, W; of class ids C is 1.
    pub shape: [usize; 4],
    /// Its numbers.
    pub element: Element,
}

/// A frame as a model takes it, N, C, H, W.
#[derive(Debug, Clone, Copy)]
pub enum Frame<'a> {
    /// Of a model with a u8 input, or the bits of an i8 one.
    Bytes(&'a [u8]),
    /// Of a model with an f32 input.
    Floats(&'a [f32]),
}

/// A loaded graph that is ready for frames.
pub struct Model {
    backend: Box<dyn Backend>,
    input: Port,
    output: Port,
}

impl Model {
    /// Loads an ONNX file that stands alone: one input of u8, i8 or f32, N, C, H, W with a batch of 1; one output, logits of
    /// u8, i8 or f32, or the class ids of an ArgMax. `size`, height and width, is for files that leave theirs open, or to run
    /// a net of convolutions at another one. `name` stands for the file in messages.
    ///
    /// # Errors
    ///
    /// When the graph cannot be read, has other ends, or cannot be run by the kernel asked for.
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

    fn new(loaded: Loaded, options: &EngineOptions) -> Result<Self, InferenceError> {
        let (input, output) = (loaded.input.clone(), loaded.output.clone());
        Ok(Model { backend: backend(loaded, options)?, input, output })
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

    /// The graph's input.
    pub fn input(&self) -> &Port {
        &self.input
    }

    /// The graph's output.
    pub fn output(&self) -> &Port {
        &self.output
    }

    /// How long each part of the last frame took; empty where tract runs the graph.
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

    /// How many bytes the logits of a frame are; 0 where the output is none of bytes.
    pub fn logits_len(&self) -> usize {
        match self.output.element {
            Element::U8 | Element::I8 => self.output.shape.iter().product(),
            Element::F32 | Element::I64 => 0,
        }
    }

    /// The last frame's logits, K*H*W bytes; those of a signed output by their bits. Zeros before the first frame.
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

/// The integer engine where it is wanted and covers the graph, else tract.
fn backend(mut loaded: Loaded, options: &EngineOptions) -> Result<Box<dyn Backend>, InferenceError> {
    let kernel = match options.kernel {
        KernelChoice::Tract => {
            return Ok(Box::new(tract::Tract::new(loaded, "tract was asked for".to_owned())?));
        }
        KernelChoice::Auto => Kernel::best(),
        KernelChoice::Only(kernel) if kernel.is_available() => kernel,
        KernelChoice::Only(kernel) => {
            let found = "a core without its instructions".to_owned();
            return Err(InferenceError::Kernel { kernel, found });
        }
    };
    match integer::Integer::load(&mut loaded, kernel, options.threads)? {
        Ok(integer) => Ok(Box::new(integer)),
        Err(found) if options.kernel == KernelChoice::Only(kernel) => Err(InferenceError::Kernel { kernel, found }),
        Err(left) => Ok(Box::new(tract::Tract::new(loaded, left)?)),
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
