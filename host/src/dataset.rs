//! From a data set's folders to what training reads: a loader that decodes ahead, flips, and the demo's synthetic set.

pub mod augment;
pub mod loader;
pub mod synthetic;
