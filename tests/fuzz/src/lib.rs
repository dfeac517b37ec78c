//! What the fuzz targets feed: numbers, quantized graphs, and damaged models and packages, all made from the bytes that
//! the fuzzer mutates.

pub mod damage;
pub mod graph;
pub mod numbers;
