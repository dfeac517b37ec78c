//! The network: a U-Net, its configuration and its initial weights.
//!
//! Knows tensors and devices of burn; knows nothing of files, data sets or losses.

pub mod blocks;
pub mod parameters;
pub mod unet;

pub use unet::{UNet, UNetConfig, Upsampling};
