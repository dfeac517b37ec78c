//! What is said of a loaded model: who runs which node, and what memory that takes.

use std::time::Duration;

use serde::Serialize;

/// What runs where in a loaded model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Description {
    /// [`Engine::name`].
    pub engine: &'static str,
    /// [`Engine::kernel`].
    pub kernel: &'static str,
    /// [`Engine::threads`].
    pub threads: usize,
    /// The nodes that our operator took over, in the order in which they run.
    pub nodes: Vec<NodeDescription>,
    /// Bytes of the buffers, all planned at load; `None` where tract makes them frame by frame.
    pub arena_bytes: Option<usize>,
    /// Bytes of the weights as the kernel reads them.
    pub weight_bytes: Option<usize>,
    /// Why tract runs the graph, where it does: the node that the integer engine does not cover.
    pub left_to_tract: Option<String>,
}

/// One node of the graph.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NodeDescription {
    /// Its name in the file.
    pub name: String,
    /// Its operator; two where they run as one.
    pub operator: String,
    /// The kernel that runs it; `move` where bytes are only moved or compared.
    pub kernel: String,
    /// Multiplications of one frame.
    pub multiplications: u64,
    /// Their share of the graph's, 0 to 1.
    pub share: f64,
}

/// How long one part of the last frame took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartTime {
    /// Which part.
    pub part: Part,
    /// From its start to when its last thread was done.
    pub time: Duration,
}

/// A part of a frame's way through the integer engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The caller's numbers become the first tensor.
    Enter,
    /// The node at this index of [`Description::nodes`], borders of its output included.
    Node(usize),
    /// The largest logit of each pixel, where no convolution has it with its rows.
    Argmax,
}
