//! A segmentation network as a list of operators: what export, calibration and quantization work on.
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
    /// `[channels_out, channels_in, kernel[0], kernel[1]]`, row-major.
    pub weight: Vec<f32>,
    /// One value an output channel.
    pub bias: Vec<f32>,
    /// Number of output channels.
    pub channels_out: usize,
    /// Number of input channels.
    pub channels_in: usize,
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Pixels between a window and the next, in both directions.
    pub stride: usize,
    /// Padding with zeros: top, left, bottom, right (ONNX's order).
    pub pads: [usize; 4],
    /// Whether negative results become zero.
    pub relu: bool,
}

/// What a node computes.
#[derive(Clone, Debug, PartialEq)]
pub enum Operator {
    /// Convolution, bias, and ReLU where it says so.
    Conv(Convolution),
    /// Maximum over 2x2 with stride 2.
    MaxPool,
    /// Each pixel becomes 2x2 equal ones.
    UpsampleNearest,
    /// `[4 C, H, W]` to `[C, 2 H, 2 W]`, ONNX's mode DCR.
    DepthToSpace,
    /// Channels one after the other.
    Concat,
}

impl Operator {
    /// Whether its outputs are among its inputs, so that both share one quantization.
    pub fn only_moves_values(&self) -> bool {
        !matches!(self, Self::Conv(_))
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

/// A network in the order of evaluation; the last node makes the logits.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    /// Channels, height and width of the image.
    pub input: [usize; 3],
    /// The operators.
    pub nodes: Vec<Node>,
}

/// A graph that does not fit together.
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

    /// Name of a tensor: the input's, or that of the node that makes it.
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
    /// When a node's inputs do not fit it.
    pub fn shapes(&self) -> Result<Vec<[usize; 3]>, GraphError> {
        let mut shapes = vec![self.input];
        for node in &self.nodes {
            let fail = |problem: String| GraphError { node: node.name.clone(), problem };
            let inputs = node
                .inputs
                .iter()
                .map(|&i| shapes.get(i).copied().ok_or_else(|| fail(format!("reads tensor {i}, which comes later"))))
                .collect::<Result<Vec<_>, _>>()?;
            let [channels, height, width] =
                *inputs.first().ok_or_else(|| fail("expects an input, has none".to_owned()))?;
            let (expected, fits) = match node.operator {
                Operator::Concat => ("two inputs or more", inputs.len() >= 2),
                _ => ("one input", inputs.len() == 1),
            };
            if !fits {
                return Err(fail(format!("expects {expected}, has {}", inputs.len())));
            }
            shapes.push(match &node.operator {
                Operator::Conv(conv) => {
                    if conv.channels_in != channels {
                        return Err(fail(format!("expects {} channels, has {channels}", conv.channels_in)));
                    }
                    let weights = conv.channels_out * conv.channels_in * conv.kernel[0] * conv.kernel[1];
                    if conv.weight.len() != weights || conv.bias.len() != conv.channels_out {
                        return Err(fail(format!(
                            "expects {weights} weights and {} biases, has {} and {}",
                            conv.channels_out,
                            conv.weight.len(),
                            conv.bias.len()
                        )));
                    }
                    let size = |size: usize, pads: usize, kernel: usize| {
                        (size + pads)
                            .checked_sub(kernel)
                            .map(|last| last / conv.stride + 1)
                            .ok_or_else(|| fail(format!("a kernel of {kernel} does not fit a side of {size}")))
                    };
                    [
                        conv.channels_out,
                        size(height, conv.pads[0] + conv.pads[2], conv.kernel[0])?,
                        size(width, conv.pads[1] + conv.pads[3], conv.kernel[1])?,
                    ]
                }
                Operator::MaxPool if height % 2 == 1 || width % 2 == 1 => {
                    return Err(fail(format!("expects even height and width, has {height}x{width}")));
                }
                Operator::MaxPool => [channels, height / 2, width / 2],
                Operator::UpsampleNearest => [channels, 2 * height, 2 * width],
                Operator::DepthToSpace if channels % 4 != 0 => {
                    return Err(fail(format!("expects a multiple of 4 channels, has {channels}")));
                }
                Operator::DepthToSpace => [channels / 4, 2 * height, 2 * width],
                Operator::Concat => {
                    if let Some(other) = inputs.iter().find(|other| other[1..] != [height, width]) {
                        return Err(fail(format!("expects inputs of one size, has {:?} and {other:?}", inputs[0])));
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
    fn what_does_not_fit_is_said() {
        let mut graph = small();
        graph.input = [1, 7, 4];
        assert_eq!(graph.shapes().unwrap_err().to_string(), "node pool: expects even height and width, has 7x4");
        let mut graph = small();
        graph.nodes[0].inputs = vec![3];
        assert!(graph.shapes().unwrap_err().to_string().contains("comes later"));
        let mut graph = small();
        graph.nodes[2].operator = conv(3, 8, 1);
        assert_eq!(graph.shapes().unwrap_err().to_string(), "node deep: expects 3 channels, has 2");
    }
}
