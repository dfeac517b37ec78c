#![no_std]
//! What workstation and board have to agree on, bit for bit: preprocessing, label encoding, metrics, quantization.
//!
//! Everything here is deterministic: integer arithmetic, or f32 steps in a stated order. Knows no clock, no training
//! framework, no inference engine, no camera and no files. Without features nothing
//! allocates: tables are bounded, and overflow is an error.

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

#[cfg(feature = "alloc")]
pub mod digest;
#[cfg(feature = "alloc")]
pub mod document;
pub mod image;
pub mod label;
#[cfg(feature = "alloc")]
pub mod manifest;
pub mod mask;
pub mod metrics;
pub mod palette;
pub mod preprocess;
#[cfg(test)]
mod pseudo_random;
pub mod quantization;
#[cfg(feature = "alloc")]
pub mod record;
pub mod vector;
