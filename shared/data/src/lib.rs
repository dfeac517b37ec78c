//! Reads datasets: from a directory to samples, and from files to pixels and masks. Host and edge both read through
//! this crate.
//!
//! Owns decoding, layouts, pairing, splits, `dataset.toml` and label maps. Knows no training, no model and no package.

pub mod annotation;
mod causes;
pub mod choice;
pub mod counted;
pub mod dataset;
pub mod dataset_digest;
pub mod dataset_file;
pub mod decode;
pub mod drawing;
mod folds;
pub mod histogram;
pub mod image_list;
pub mod label_facts;
pub mod labels;
pub mod layout;
pub mod levels;
pub mod listing;
pub mod loaded_pair;
pub mod pairing;
pub mod run_lengths;
pub mod sample;
mod split_by_ratio;
pub mod stacks;
pub mod unused;
pub mod workers;

pub use annotation::Annotation;
pub use causes::{chain, toml_problem};
pub use choice::FolderChoice;
pub use counted::{any_of, counted};
pub use dataset::{Dataset, DatasetError, OpenOptions};
pub use dataset_digest::dataset_digest;
pub use dataset_file::DatasetFile;
pub use decode::{DecodedImage, DecodedLabel, FileError, decode_image, decode_label};
pub use labels::{LabelMap, LabelsError, collect_labels};
pub use loaded_pair::{LoadedPair, PairError, load_pair};
pub use sample::{Sample, Split};
pub use unused::Unused;
