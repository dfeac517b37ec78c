//! End-to-end tests through the public APIs, one module per contract.

mod architecture;
mod dataset_readers;
mod deep_images;
mod export_roundtrip;
mod folded_upsampling;
mod golden;
mod integer_engine;
mod interpreter_vs_tract;
// The program of the proof makes its own system calls, so it is for a single platform.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod no_std;
mod preprocess_agreement;
mod qdq_form;
mod quantization_parity;
mod real_datasets;
mod repository;
mod shipped_models;
mod tiles;
mod tiny_run;
