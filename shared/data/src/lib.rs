//! From a folder to samples, and from files to pixels: the one way that host and edge both go.
//!
//! Owns decoding, layouts, pairing, splits, `dataset.toml` and label maps. Knows no training, no model and no package.

pub mod dataset;
pub mod dataset_file;
pub mod decode;
pub mod histogram;
pub mod labels;
pub mod layout;
pub mod pairing;
pub mod workers;

pub use dataset::{Dataset, DatasetError, OpenOptions, Sample, Split};
pub use dataset_file::DatasetFile;
pub use decode::{DecodedImage, DecodedLabel, FileError, decode_image, decode_label};
pub use labels::{LabelMap, LabelsError, LoadedPair, PairError, collect_labels, dataset_digest, load_pair};
