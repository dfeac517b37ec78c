//! The network: a list of layers, the U-Net that builds one, and the weights that belong to it.
//!
//! Knows tensors and devices of burn; knows nothing of files, datasets or losses.

mod initial_weights;
pub mod layers;
pub(crate) mod named_tensors;
pub mod network;
pub mod parameters;
pub mod population;
pub mod preset;
mod stem;
mod transfer;
pub mod unet;

pub use network::Network;
pub use stem::Stem;
pub use unet::{Blocks, Skips, UNetConfig, Upsampling};
