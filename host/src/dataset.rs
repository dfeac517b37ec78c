//! Training data: a loader that decodes ahead, of images or of their tiles, augmentation, and the demo's synthetic dataset.

pub mod augment;
pub mod loader;
pub mod pieces;
pub mod synthetic;
pub mod truth;
