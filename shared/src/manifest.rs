//! The manifest of a package: the model's input and output, its classes, and the package's other members.
//!
//! Knows neither files nor archives, only the content of `manifest.json`. Sizes, digests and the graph's own shapes are
//! checked by the code that reads the package.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::fold::Fold;
use crate::label::{LabelError, LabelTable, LabelValue, Reading};
use crate::preprocess::Preprocess;
use crate::quantization::Quantization;
use crate::tiles::Tiles;

/// The version of the manifest's format that this crate writes and reads.
pub const MANIFEST_VERSION: u32 = 1;

/// The content of `manifest.json` in a package.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`MANIFEST_VERSION`] at the time of writing.
    pub version: u32,
    /// Name of the model.
    pub name: String,
    /// Program and version that wrote the package.
    pub created_by: String,
    /// Preprocessing from pixels to the model's input.
    pub preprocess: Preprocess,
    /// How images larger than a tile are cut, if the model was trained on tiles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tiles: Option<Tiles>,
    /// The classes, by id.
    pub classes: Vec<ClassEntry>,
    /// Label values that are ignored in training and scoring.
    pub ignore: Vec<LabelValue>,
    /// How label files are read.
    #[serde(default, skip_serializing_if = "Reading::is_default")]
    pub reading: Reading,
    /// The graph, its input and its output.
    pub model: ModelEntry,
    /// Inputs with the outputs that the engine must compute on the device.
    pub golden: Vec<GoldenEntry>,
    /// Every other member of the package.
    pub members: Vec<MemberEntry>,
    /// Provenance of the model.
    pub provenance: Provenance,
}

/// One class: its name, its label values, and its display colour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassEntry {
    /// Display name.
    pub name: String,
    /// Label values of this class; masks are written with the first.
    pub values: Vec<LabelValue>,
    /// Colour of overlays, RGB.
    pub color: [u8; 3],
}

/// The graph of a package.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelEntry {
    /// Name of the member that holds the ONNX bytes.
    pub file: String,
    /// The graph's input.
    pub input: TensorEntry,
    /// The graph's output.
    pub output: TensorEntry,
}

/// An input or output of a graph.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TensorEntry {
    /// Name in the graph.
    pub name: String,
    /// Shape as N, C, H, W.
    pub shape: [usize; 4],
    /// Quantization of the u8 values.
    pub quantization: Quantization,
}

/// One golden vector: an input and the expected output of the engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoldenEntry {
    /// Member with the model's input, u8, NCHW.
    pub input: String,
    /// Member with the mask, u8, H*W.
    pub mask: String,
    /// Digest of the quantized logits, u8, K*H*W.
    pub logits: Digest,
}

/// One member of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberEntry {
    /// Name within the package.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// Digest of the bytes.
    pub sha256: Digest,
}

/// Provenance of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// Name of the training run.
    pub run: String,
    /// Seed of the run.
    pub seed: u64,
    /// Digest of the training dataset.
    pub dataset: Digest,
    /// Digest of the trained weights.
    pub weights: Digest,
    /// Version of the code that trained it.
    pub code_version: String,
    /// Share of the pairs for validation, if the layout of the dataset states no split.
    pub val_ratio: f64,
    /// Seed of that split.
    pub split_seed: u64,
    /// How that split divides stacks.
    #[serde(default = "StackSplit::unstated", skip_serializing_if = "StackSplit::is_unstated")]
    pub stacks: StackSplit,
    /// The fold that was for validation, if the dataset was divided into folds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fold: Option<Fold>,
    /// Mean IoU of the f32 model on the validation split, if it was scored.
    pub mean_iou_f32: Option<f64>,
    /// Mean IoU of the int8 model on the validation split, if it was scored.
    pub mean_iou_int8: Option<f64>,
}

/// How a split by ratio divides the slices of image stacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StackSplit {
    /// All slices of a stack are on one side; those of a single stack are cut once.
    Whole,
    /// Each slice on its own: runs and packages that do not state this were made before stacks were kept whole.
    Slices,
}

impl StackSplit {
    /// The default where it is not stated.
    pub const fn unstated() -> Self {
        Self::Slices
    }

    /// Whether files need not state it.
    pub const fn is_unstated(&self) -> bool {
        matches!(self, Self::Slices)
    }
}

/// Why a class list cannot be made a label table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClassListError {
    /// The values of class `id` cannot be added to the table.
    Class {
        /// Id of the class.
        id: usize,
        /// The table's error.
        source: LabelError,
    },
    /// An ignored value cannot be added to the table.
    Ignore(LabelError),
}

impl fmt::Display for ClassListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Class { id, source } => write!(f, "class {id}: {source}"),
            Self::Ignore(source) => write!(f, "ignored values: {source}"),
        }
    }
}

impl core::error::Error for ClassListError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Class { source, .. } | Self::Ignore(source) => Some(source),
        }
    }
}

/// The table from label values to ids for a list of classes and a list of ignored values.
pub fn label_table(classes: &[ClassEntry], ignore: &[LabelValue]) -> Result<LabelTable, ClassListError> {
    let mut table = LabelTable::new();
    for (id, class) in classes.iter().enumerate() {
        table.push_class(&class.values).map_err(|source| ClassListError::Class { id, source })?;
    }
    for value in ignore {
        table.push_ignore(*value).map_err(ClassListError::Ignore)?;
    }
    Ok(table)
}

impl Manifest {
    /// The table from label values to ids of this manifest's classes.
    pub fn label_table(&self) -> Result<LabelTable, ClassListError> {
        Ok(label_table(&self.classes, &self.ignore)?.with_reading(self.reading))
    }

    /// Reads a manifest from JSON, its version first.
    #[cfg(feature = "std")]
    pub fn from_json(bytes: &[u8]) -> Result<Self, crate::document::DocumentError> {
        crate::document::parse_versioned("manifest", MANIFEST_VERSION, bytes)
    }
}
