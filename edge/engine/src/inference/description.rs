//! The description of a loaded model: what runs which node, and how much memory that takes.

use std::time::Duration;

use serde::Serialize;

/// What runs where in a loaded model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Description {
    /// [`Model::name`](super::Model::name).
    pub engine: &'static str,
    /// [`Model::kernel`](super::Model::kernel).
    pub kernel: &'static str,
    /// [`Model::threads`](super::Model::threads).
    pub threads: usize,
    /// The nodes that the integer engine runs, in order.
    pub nodes: Vec<NodeDescription>,
    /// The nodes that tract runs beside them; empty if the integer engine covers the graph, or if tract runs all of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tract_nodes: Vec<TractNode>,
    /// Bytes of the integer engine's buffers, all planned at load; `None` if tract runs the whole graph.
    pub arena_bytes: Option<usize>,
    /// Bytes of the weights as the kernel reads them.
    pub weight_bytes: Option<usize>,
    /// Why tract runs the graph or a part of it: the first node that the integer engine does not cover.
    pub left_to_tract: Option<String>,
}

/// A node that the integer engine leaves to tract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TractNode {
    /// Its name in the file.
    pub name: String,
    /// Its operator.
    pub operator: String,
    /// Why the integer engine does not run it.
    pub reason: String,
}

/// One node of the graph.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NodeDescription {
    /// Its name in the file.
    pub name: String,
    /// Its operator; two if they run as one.
    pub operator: String,
    /// The compute kernel that runs it; `move` for data movement and comparison.
    pub kernel: String,
    /// Multiply-accumulates of one frame.
    pub multiplications: u64,
    /// Their share of the integer engine's, 0 to 1.
    pub share: f64,
}

/// How long one part of the last frame took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartTime {
    /// Which part.
    pub part: Part,
    /// From its start until its last thread finished.
    pub time: Duration,
}

/// A part of a frame's computation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// An input is quantized and brought into the engine's layout: the frame, or what tract computed.
    Enter,
    /// The node at this index of [`Description::nodes`], including the borders of its output.
    Node(usize),
    /// Results are brought into tract's layout, and dequantized if tract expects f32.
    Leave,
    /// The largest logit of each pixel, unless the last convolution finds it.
    Argmax,
    /// The nodes that tract runs, all together.
    Tract,
}
