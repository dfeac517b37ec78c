//! Inputs of the fuzz targets, made from the bytes that the fuzzer mutates: numbers, quantized graphs, and damaged
//! models and packages.

pub mod damage;
pub mod graph;
pub mod numbers;
