//! A network as a list of layers: the one description that initialization, forward pass, counts, memory plan and export
//! interpret. An architecture is a function that builds such a list, as [`super::unet`] does.
//!
//! Knows names, channels and sizes relative to the image; knows neither tensors nor weights.

use unet_engine::field_of_view::{FieldOfView, Window, WindowLayer};

/// Index of an activation: 0 is the images, `i + 1` the output of layer `i`.
pub type ValueId = usize;

/// Kernel size, stride and resampling of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConvolutionKind {
    /// 1x1.
    Pointwise,
    /// 3x3, padded by 1.
    Same,
    /// 3x3 with stride 2, padded by 1: halves height and width.
    Strided,
    /// 3x3 padded by 1, one filter for each channel.
    Depthwise,
    /// Nearest-neighbor upsampling by 2, then 3x3 padded by 1.
    Upsampling,
    /// 1x1 to four times the channels, then depth-to-space: exactly a 2x2 transposed convolution of stride 2.
    UpConvolution,
}

impl ConvolutionKind {
    /// Width and height of the weights.
    pub fn kernel_size(self) -> usize {
        match self {
            Self::Pointwise | Self::UpConvolution => 1,
            Self::Same | Self::Strided | Self::Depthwise | Self::Upsampling => 3,
        }
    }

    /// The stride between the windows of the convolution itself.
    pub fn stride(self) -> usize {
        if self == Self::Strided { 2 } else { 1 }
    }

    /// Output channels of the weights for each channel of the layer's output: more than one where depth-to-space follows.
    pub fn channels_per_output(self) -> usize {
        if self == Self::UpConvolution { 4 } else { 1 }
    }

    /// How many times height and width are halved; negative if they are doubled.
    fn halvings(self) -> isize {
        match self {
            Self::Pointwise | Self::Same | Self::Depthwise => 0,
            Self::Strided => 1,
            Self::Upsampling | Self::UpConvolution => -1,
        }
    }
}

/// A convolution. With stride 1 and without resampling, it may read two inputs, whose channels are concatenated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// Kernel size, stride and resampling.
    pub kind: ConvolutionKind,
    /// Channels of the output.
    pub outputs: usize,
    /// Whether the convolution adds a bias.
    pub bias: bool,
    /// Whether batch norm and ReLU follow.
    pub norm_relu: bool,
}

/// What a layer computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// Convolution, then batch norm with ReLU if it has them.
    Convolution(Convolution),
    /// 2x2 max-pooling of stride 2.
    MaxPool,
    /// The sum of two activations of one shape.
    Add,
}

/// A layer with its place in the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Name in exported files.
    pub name: String,
    /// Where its parameters are in weight files: `PATH.conv` and `PATH.norm`, or `PATH` itself for a convolution without
    /// batch norm.
    pub path: String,
    /// What it computes.
    pub layer: Layer,
    /// What it reads.
    pub inputs: Vec<ValueId>,
}

/// Shape of an activation, relative to the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    /// Channels.
    pub channels: usize,
    /// How many times the image's height and width are halved.
    pub halvings: usize,
    /// Differentiable operations on the longest path from the images; a convolution and its batch norm are two.
    pub depth: usize,
}

/// The layers of a network in order of evaluation; the last one makes the logits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layers {
    nodes: Vec<Node>,
    values: Vec<Value>,
}

impl Layers {
    /// No layers yet, on images of that many channels.
    pub fn new(channels: usize) -> Self {
        Self { nodes: vec![], values: vec![Value { channels, halvings: 0, depth: 0 }] }
    }

    /// Adds a layer whose parameters have its name in weight files, and returns its output.
    pub fn push(&mut self, name: impl Into<String>, layer: Layer, inputs: &[ValueId]) -> ValueId {
        let name = name.into();
        self.push_at(name.clone(), name, layer, inputs)
    }

    /// Adds a layer and returns its output.
    ///
    /// # Panics
    /// If there are more or fewer inputs than the layer can read, they do not exist or differ in size, or the output is larger
    /// than the image. Configurations cannot cause this, only a mistake in an architecture.
    pub fn push_at(
        &mut self,
        name: impl Into<String>,
        path: impl Into<String>,
        layer: Layer,
        inputs: &[ValueId],
    ) -> ValueId {
        let (name, path) = (name.into(), path.into());
        let read: Vec<Value> = inputs.iter().map(|&input| self.values[input]).collect();
        let readable = match layer {
            Layer::Convolution(Convolution { kind: ConvolutionKind::Pointwise | ConvolutionKind::Same, .. }) => 1..=2,
            Layer::Convolution(_) | Layer::MaxPool => 1..=1,
            Layer::Add => 2..=2,
        };
        assert!(readable.contains(&read.len()), "layer {name} reads {} activations", read.len());
        let input = read[0];
        assert!(read.iter().all(|value| value.halvings == input.halvings), "inputs of {name} differ in size: {read:?}");
        let depth = self.reading_depth(inputs);
        if let Layer::Convolution(Convolution { kind: ConvolutionKind::Depthwise, outputs, .. }) = layer {
            assert_eq!(outputs, input.channels, "outputs of {name}, a filter for each channel");
        }
        let value = match layer {
            Layer::Convolution(convolution) => Value {
                channels: convolution.outputs,
                halvings: input
                    .halvings
                    .checked_add_signed(convolution.kind.halvings())
                    .unwrap_or_else(|| panic!("layer {name} enlarges beyond the image's size")),
                depth: depth + usize::from(convolution.norm_relu),
            },
            Layer::MaxPool => Value { channels: input.channels, halvings: input.halvings + 1, depth },
            Layer::Add => {
                assert_eq!(read[0].channels, read[1].channels, "inputs of {name} differ in channels");
                Value { depth, ..input }
            }
        };
        self.nodes.push(Node { name, path, layer, inputs: inputs.to_vec() });
        self.values.push(value);
        self.nodes.len()
    }

    /// The layers in order of evaluation.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The activations: the images, then each layer's output.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// Channels of the images.
    pub fn image_channels(&self) -> usize {
        self.values[0].channels
    }

    /// Channels of the logits.
    pub fn classes(&self) -> usize {
        self.values[self.nodes.len()].channels
    }

    /// The image's height and width must be multiples of this.
    pub fn size_multiple(&self) -> usize {
        1 << self.values.iter().map(|value| value.halvings).max().unwrap_or(0)
    }

    /// How far the network looks.
    pub fn field_of_view(&self) -> Option<FieldOfView> {
        let gather = |size, stride| Window::Gather { size, stride, dilation: 1, before: size / 2 };
        let mut layers: Vec<WindowLayer> = vec![];
        // The layer of each value, as more than one window may make it.
        let mut made_by = vec![0];
        for node in &self.nodes {
            let windows = match node.layer {
                Layer::MaxPool => vec![Window::Gather { size: 2, stride: 2, dilation: 1, before: 0 }],
                Layer::Add => vec![Window::Point],
                Layer::Convolution(convolution) => match convolution.kind {
                    ConvolutionKind::Pointwise => vec![Window::Point],
                    ConvolutionKind::Same | ConvolutionKind::Depthwise => vec![gather(3, 1)],
                    ConvolutionKind::Strided => vec![gather(3, 2)],
                    ConvolutionKind::Upsampling => vec![Window::Enlarge { factor: 2 }, gather(3, 1)],
                    ConvolutionKind::UpConvolution => vec![Window::Enlarge { factor: 2 }],
                },
            };
            let mut inputs: Vec<usize> = node.inputs.iter().map(|&input| made_by[input]).collect();
            for window in windows {
                layers.push(WindowLayer { inputs, windows: [window; 2] });
                inputs = vec![layers.len()];
            }
            made_by.push(layers.len());
        }
        FieldOfView::of(&layers)
    }

    /// Channels that a layer reads.
    pub fn input_channels(&self, node: &Node) -> usize {
        node.inputs.iter().map(|&input| self.values[input].channels).sum()
    }

    /// Shape of a layer's weights, `[outputs, inputs of a group, height, width]`; none for a layer without weights.
    pub fn weight_shape(&self, node: &Node) -> Option<[usize; 4]> {
        let Layer::Convolution(Convolution { kind, outputs, .. }) = node.layer else { return None };
        let size = kind.kernel_size();
        let inputs = if kind == ConvolutionKind::Depthwise { 1 } else { self.input_channels(node) };
        Some([outputs * kind.channels_per_output(), inputs, size, size])
    }

    /// Weights of all convolutions, which are nearly all of a network's parameters.
    pub fn weights(&self) -> u64 {
        self.nodes.iter().map(|node| self.layer_weights(node)).sum()
    }

    /// Trained numbers: weights, biases, and scale and shift of each channel of a norm.
    pub fn parameters(&self) -> u64 {
        let others = self.nodes.iter().map(|node| match node.layer {
            Layer::Convolution(Convolution { kind, outputs, bias, norm_relu }) => {
                usize::from(bias) * outputs * kind.channels_per_output() + usize::from(norm_relu) * 2 * outputs
            }
            Layer::MaxPool | Layer::Add => 0,
        });
        self.weights() + others.sum::<usize>() as u64
    }

    fn layer_weights(&self, node: &Node) -> u64 {
        self.weight_shape(node).map_or(0, |shape| shape.iter().map(|&side| side as u64).product())
    }

    /// Multiply-accumulates of one image.
    pub fn multiply_accumulates(&self, height: usize, width: usize) -> u64 {
        let pixels = |value: ValueId| {
            let halvings = self.values[value].halvings;
            ((height >> halvings) * (width >> halvings)) as u64
        };
        let layers = self.nodes.iter().enumerate().map(|(index, node)| {
            // An up-convolution multiplies before it enlarges.
            let at = match node.layer {
                Layer::Convolution(Convolution { kind: ConvolutionKind::UpConvolution, .. }) => node.inputs[0],
                _ => index + 1,
            };
            self.layer_weights(node) * pixels(at)
        });
        layers.sum()
    }

    /// How many layers read each activation.
    pub fn readers(&self) -> Vec<usize> {
        let mut readers = vec![0; self.values.len()];
        for &input in self.nodes.iter().flat_map(|node| &node.inputs) {
            readers[input] += 1;
        }
        readers
    }

    /// Whether a deeper layer reads an input of layer `index` too. Its gradient is then computed before this layer's (see
    /// `training::memory`).
    pub fn reads_skip(&self, index: usize) -> bool {
        let depth = self.reading_depth(&self.nodes[index].inputs);
        let mut others = self.nodes.iter().enumerate().filter(|&(other, _)| other != index);
        let shares = |inputs: &[ValueId]| inputs.iter().any(|input| self.nodes[index].inputs.contains(input));
        others.any(|(_, other)| shares(&other.inputs) && self.reading_depth(&other.inputs) > depth)
    }

    /// Depth of an operation that reads these activations.
    fn reading_depth(&self, inputs: &[ValueId]) -> usize {
        1 + inputs.iter().map(|&input| self.values[input].depth).max().unwrap_or(0)
    }

    /// Indices of the layers in the order of weight files: grouped by the first part of their paths.
    pub fn storage_order(&self) -> Vec<usize> {
        let group = |node: &Node| node.path.split('.').next().unwrap_or_default().to_owned();
        let mut groups: Vec<String> = vec![];
        for node in &self.nodes {
            if !groups.contains(&group(node)) {
                groups.push(group(node));
            }
        }
        let mut order: Vec<usize> = (0..self.nodes.len()).collect();
        order.sort_by_key(|&index| groups.iter().position(|name| *name == group(&self.nodes[index])));
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conv(kind: ConvolutionKind, outputs: usize) -> Layer {
        Layer::Convolution(Convolution { kind, outputs, bias: false, norm_relu: true })
    }

    /// Two branches at half and full size, joined at full size.
    fn branches() -> Layers {
        let mut layers = Layers::new(3);
        let wide = layers.push("wide.0", conv(ConvolutionKind::Same, 4), &[0]);
        let small = layers.push("small.0", conv(ConvolutionKind::Strided, 8), &[0]);
        let small = layers.push("small.1", conv(ConvolutionKind::UpConvolution, 2), &[small]);
        layers.push_at("logits", "wide.head", conv(ConvolutionKind::Pointwise, 5), &[wide, small]);
        layers
    }

    #[test]
    fn shapes_and_counts_are_those_computed_by_hand() {
        let layers = branches();
        let shapes: Vec<_> =
            layers.values().iter().map(|value| (value.channels, value.halvings, value.depth)).collect();
        assert_eq!(shapes, [(3, 0, 0), (4, 0, 2), (8, 1, 2), (2, 0, 4), (5, 0, 6)]);
        assert_eq!((layers.size_multiple(), layers.classes(), layers.image_channels()), (2, 5, 3));
        assert_eq!(layers.weights(), 9 * 3 * 4 + 9 * 3 * 8 + 8 * 8 + 6 * 5);
        let expected = (9 * 3 * 4 + 6 * 5) * (4 * 6) + (9 * 3 * 8 + 8 * 8) * (2 * 3);
        assert_eq!(layers.multiply_accumulates(4, 6), expected);
        assert_eq!(layers.readers(), [2, 1, 1, 1, 0]);
    }

    #[test]
    fn an_addition_keeps_the_shape_and_has_no_weights() {
        let mut layers = Layers::new(2);
        let a = layers.push("a", conv(ConvolutionKind::Same, 4), &[0]);
        let b = layers.push("b", conv(ConvolutionKind::Same, 4), &[a]);
        let sum = layers.push("sum", Layer::Add, &[a, b]);
        assert_eq!(layers.values()[sum], Value { channels: 4, halvings: 0, depth: 5 });
        assert_eq!(layers.weights(), 9 * (2 * 4 + 4 * 4));
        assert_eq!(layers.weight_shape(&layers.nodes()[2]), None);
    }

    #[test]
    fn a_depthwise_convolution_has_nine_weights_a_channel() {
        let mut layers = Layers::new(1);
        let a = layers.push("a", conv(ConvolutionKind::Same, 6), &[0]);
        layers.push("b", conv(ConvolutionKind::Depthwise, 6), &[a]);
        assert_eq!(layers.weight_shape(&layers.nodes()[1]), Some([6, 1, 3, 3]));
        assert_eq!(layers.multiply_accumulates(4, 5), (9 * 6 + 9 * 6) * 20);
        assert_eq!(layers.values()[2], Value { channels: 6, halvings: 0, depth: 4 });
    }

    #[test]
    fn weight_files_keep_the_parts_of_a_network_together() {
        assert_eq!(branches().storage_order(), [0, 3, 1, 2]);
    }

    #[test]
    fn an_input_is_a_skip_for_all_readers_but_the_deepest() {
        let mut layers = Layers::new(1);
        let skip = layers.push("a", conv(ConvolutionKind::Same, 2), &[0]);
        let small = layers.push("pool", Layer::MaxPool, &[skip]);
        let large = layers.push("up", conv(ConvolutionKind::Upsampling, 2), &[small]);
        layers.push("join", conv(ConvolutionKind::Same, 2), &[skip, large]);
        let found: Vec<bool> = (0..4).map(|index| layers.reads_skip(index)).collect();
        assert_eq!(found, [false, true, false, false]);
    }
}
