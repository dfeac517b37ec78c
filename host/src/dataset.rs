//! Training data: a loader that decodes ahead, augmentation, and the demo's synthetic dataset.

pub mod augment;
pub mod loader;
pub mod synthetic;
