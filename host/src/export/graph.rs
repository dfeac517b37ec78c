//! A segmentation network as a list of operators, for export, calibration and quantization.
//!
//! Knows shapes and weights; knows neither burn nor protobuf.

/// Index of a tensor in a [`Graph`]: 0 is the image, `i + 1` the output of node `i`.
pub type TensorId = usize;

/// Name of the network's input, in ONNX files too.
pub const INPUT_NAME: &str = "image";
/// Name of the network's output, in ONNX files too.
pub const OUTPUT_NAME: &str = "logits";

/// A convolution with bias, ReLU folded in.
#[derive(Clone, Debug, PartialEq)]
pub struct Convolution {
    /// `[channels_out, channels_in / groups, kernel[0], kernel[1]]`, row-major.
    pub weight: Vec<f32>,
    /// One value for each output channel.
    pub bias: Vec<f32>,
    /// Number of output channels.
    pub channels_out: usize,
    /// Number of input channels.
    pub channels_in: usize,
    /// Parts of the channels that are convolved by themselves: as many as channels in a depthwise convolution, otherwise 1.
    pub groups: usize,
    /// Kernel size: height and width.
    pub kernel: [usize; 2],
    /// Pixels between a window and the next, in both directions.
    pub stride: usize,
    /// Padding with zeros: top, left, bottom, right (ONNX's order).
    pub pads: [usize; 4],
    /// Whether ReLU follows.
    pub relu: bool,
}

impl Convolution {
    /// Shape of the weights.
    pub fn weight_shape(&self) -> [usize; 4] {
        [self.channels_out, self.channels_in / self.groups.max(1), self.kernel[0], self.kernel[1]]
    }
}

/// What a node computes.
#[derive(Clone, Debug, PartialEq)]
pub enum Operator {
    /// Convolution with bias and optional ReLU.
    Conv(Convolution),
    /// Maximum over 2x2 with stride 2.
    MaxPool,
    /// Nearest-neighbor upsampling by 2.
    UpsampleNearest,
    /// `[4 C, H, W]` to `[C, 2 H, 2 W]`, ONNX's mode DCR.
    DepthToSpace,
    /// Concatenation of channels.
    Concat,
    /// The sum of two tensors of one shape.
    Add,
}

impl Operator {
    /// Whether outputs are copies of inputs, so that both share one quantization.
    pub fn only_moves_values(&self) -> bool {
        !matches!(self, Self::Conv(_) | Self::Add)
    }
}

/// One operator with its inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Name of the node and of its output tensor.
    pub name: String,
    /// What it computes.
    pub operator: Operator,
    /// The tensors that it reads.
    pub inputs: Vec<TensorId>,
}

/// A network in order of evaluation; the last node computes the logits.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    /// Channels, height and width of the image.
    pub input: [usize; 3],
    /// The operators.
    pub nodes: Vec<Node>,
}

/// A node whose inputs or weights do not match it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("node {node}: {problem}")]
pub struct GraphError {
    /// The node's name.
    pub node: String,
    /// What was expected and what was found.
    pub problem: String,
}

impl Graph {
    /// Adds a node and returns its output.
    pub fn push(&mut self, name: impl Into<String>, operator: Operator, inputs: Vec<TensorId>) -> TensorId {
        self.nodes.push(Node { name: name.into(), operator, inputs });
        self.nodes.len()
    }

    /// Name of a tensor: that of the input, or of the node that computes it.
    pub fn tensor_name(&self, tensor: TensorId) -> &str {
        match tensor.checked_sub(1) {
            None => INPUT_NAME,
            Some(node) if node + 1 == self.nodes.len() => OUTPUT_NAME,
            Some(node) => &self.nodes[node].name,
        }
    }

    /// Channels, height and width of every tensor, the input first.
    ///
    /// # Errors
    /// If a node's inputs do not match it.
    pub fn shapes(&self) -> Result<Vec<[usize; 3]>, GraphError> {
        let mut shapes = vec![self.input];
        for node in &self.nodes {
            let fail = |problem: String| GraphError { node: node.name.clone(), problem };
            let inputs = node
                .inputs
                .iter()
                .map(|&i| {
                    shapes
                        .get(i)
                        .copied()
                        .ok_or_else(|| fail(format!("expected an earlier tensor as input, found tensor {i}")))
                })
                .collect::<Result<Vec<_>, _>>()?;
            let [channels, height, width] =
                *inputs.first().ok_or_else(|| fail("expected an input, found none".to_owned()))?;
            let (expected, fits) = match node.operator {
                Operator::Concat => ("two inputs or more", inputs.len() >= 2),
                Operator::Add => ("two inputs", inputs.len() == 2),
                _ => ("one input", inputs.len() == 1),
            };
            if !fits {
                return Err(fail(format!("expected {expected}, found {}", inputs.len())));
            }
            shapes.push(match &node.operator {
                Operator::Conv(conv) => {
                    if conv.channels_in != channels {
                        return Err(fail(format!("expected {} channels, found {channels}", conv.channels_in)));
                    }
                    let groups = conv.groups;
                    if groups == 0 || [conv.channels_in, conv.channels_out].iter().any(|c| !c.is_multiple_of(groups)) {
                        return Err(fail(format!(
                            "expected groups that part {} inputs and {} outputs evenly, found {groups}",
                            conv.channels_in, conv.channels_out
                        )));
                    }
                    let weights: usize = conv.weight_shape().iter().product();
                    if conv.weight.len() != weights || conv.bias.len() != conv.channels_out {
                        return Err(fail(format!(
                            "expected {weights} weights and {} biases, found {} and {}",
                            conv.channels_out,
                            conv.weight.len(),
                            conv.bias.len()
                        )));
                    }
                    let size = |size: usize, pads: usize, kernel: usize| {
                        (size + pads).checked_sub(kernel).map(|last| last / conv.stride + 1).ok_or_else(|| {
                            fail(format!(
                                "expected a side of at least {kernel} pixels with padding, found {}",
                                size + pads
                            ))
                        })
                    };
                    [
                        conv.channels_out,
                        size(height, conv.pads[0] + conv.pads[2], conv.kernel[0])?,
                        size(width, conv.pads[1] + conv.pads[3], conv.kernel[1])?,
                    ]
                }
                Operator::MaxPool if height % 2 == 1 || width % 2 == 1 => {
                    return Err(fail(format!("expected even height and width, found {height}x{width}")));
                }
                Operator::MaxPool => [channels, height / 2, width / 2],
                Operator::UpsampleNearest => [channels, 2 * height, 2 * width],
                Operator::DepthToSpace if channels % 4 != 0 => {
                    return Err(fail(format!("expected a multiple of 4 channels, found {channels}")));
                }
                Operator::DepthToSpace => [channels / 4, 2 * height, 2 * width],
                Operator::Add => {
                    if inputs[0] != inputs[1] {
                        return Err(fail(format!(
                            "expected inputs of one shape, found {:?} and {:?}",
                            inputs[0], inputs[1]
                        )));
                    }
                    inputs[0]
                }
                Operator::Concat => {
                    if let Some(other) = inputs.iter().find(|other| other[1..] != [height, width]) {
                        return Err(fail(format!("expected inputs of one size, found {:?} and {other:?}", inputs[0])));
                    }
                    [inputs.iter().map(|input| input[0]).sum(), height, width]
                }
            });
        }
        Ok(shapes)
    }

    /// Multiply-accumulates of one frame.
    ///
    /// # Errors
    /// As [`Graph::shapes`].
    pub fn multiplications(&self) -> Result<u64, GraphError> {
        let shapes = self.shapes()?;
        Ok(self
            .nodes
            .iter()
            .zip(&shapes[1..])
            .map(|(node, [_, height, width])| match &node.operator {
                Operator::Conv(conv) => (conv.weight.len() * height * width) as u64,
                _ => 0,
            })
            .sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conv(channels_in: usize, channels_out: usize, kernel: usize) -> Operator {
        Operator::Conv(Convolution {
            weight: vec![0.0; channels_out * channels_in * kernel * kernel],
            bias: vec![0.0; channels_out],
            channels_out,
            channels_in,
            groups: 1,
            kernel: [kernel; 2],
            stride: 1,
            pads: [kernel / 2; 4],
            relu: true,
        })
    }

    fn small() -> Graph {
        let mut graph = Graph { input: [1, 8, 4], nodes: vec![] };
        let skip = graph.push("down", conv(1, 2, 3), vec![0]);
        let pooled = graph.push("pool", Operator::MaxPool, vec![skip]);
        let deep = graph.push("deep", conv(2, 8, 1), vec![pooled]);
        let up = graph.push("up", Operator::DepthToSpace, vec![deep]);
        let both = graph.push("both", Operator::Concat, vec![skip, up]);
        graph.push("head", conv(4, 3, 1), vec![both]);
        graph
    }

    #[test]
    fn shapes_follow_the_operators() {
        let expected = [[1, 8, 4], [2, 8, 4], [2, 4, 2], [8, 4, 2], [2, 8, 4], [4, 8, 4], [3, 8, 4]];
        assert_eq!(small().shapes().unwrap(), expected);
        assert_eq!(small().multiplications().unwrap(), 18 * 32 + 16 * 8 + 12 * 32);
        assert_eq!(small().tensor_name(0), "image");
        assert_eq!(small().tensor_name(2), "pool");
        assert_eq!(small().tensor_name(6), "logits");
    }

    #[test]
    fn an_inconsistent_node_is_named() {
        let mut graph = small();
        graph.input = [1, 7, 4];
        assert_eq!(graph.shapes().unwrap_err().to_string(), "node pool: expected even height and width, found 7x4");
        let mut graph = small();
        graph.nodes[0].inputs = vec![3];
        assert!(graph.shapes().unwrap_err().to_string().contains("expected an earlier tensor"));
        let mut graph = small();
        graph.nodes[2].operator = conv(3, 8, 1);
        assert_eq!(graph.shapes().unwrap_err().to_string(), "node deep: expected 3 channels, found 2");
    }
}
