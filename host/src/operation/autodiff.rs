//! Gradients of the operations, for burn's automatic differentiation over any backend that implements [`Kernels`].
//!
//! Convolutions are compute-bound: their outputs are kept. Norm with ReLU and pooling are memory-bound: gradient
//! checkpointing recomputes their outputs.
//!
//! burn calls the gradients of operations in the order that `training::memory` describes; [`MaxPoolBackward`] and the
//! memory plan depend on it.

use std::marker::PhantomData;
use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::retro_forward::RetroForward;
use burn::backend::autodiff::checkpoint::state::BackwardStates;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::autodiff::{Autodiff, NodeId};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};

use super::backend::{Kernels, NetworkOps, NormTensors};
use super::{PixelLoss, Statistics};

/// The kinds of convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Weights of this width and height.
    Plain(usize),
    /// 3x3 with stride 2.
    Strided,
    /// 3x3 of each channel by itself, with this stride.
    Depthwise(usize),
    /// Upsampling, then 3x3.
    Upsample,
    /// 1x1, then depth-to-space.
    Up,
}

/// Gradients of a convolution. Its parents are the inputs, the weight and, if it has one, the bias.
#[derive(Debug)]
struct ConvolutionBackward;

/// State kept for a convolution's gradient.
#[derive(Clone, Debug)]
struct ConvolutionState {
    kind: Kind,
    inputs: Vec<NodeId>,
    channels: Vec<usize>,
    weight: NodeId,
}

impl<B: Kernels, const N: usize> Backward<B, N> for ConvolutionBackward {
    type State = ConvolutionState;

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let ConvolutionState { kind, inputs, channels, weight } = ops.state;
        let (input_nodes, rest) = ops.parents.split_at(inputs.len());
        let inputs: Vec<FloatTensor<B>> =
            inputs.into_iter().map(|input| checkpointer.retrieve_node_output(input)).collect();
        let weight: FloatTensor<B> = checkpointer.retrieve_node_output(weight);
        if let Some(Some(node)) = rest.get(1) {
            let found = match kind {
                Kind::Plain(_) | Kind::Strided | Kind::Depthwise(_) | Kind::Upsample => B::bias_gradient(&gradient),
                Kind::Up => B::up_convolution_bias_gradient(&gradient),
            };
            grads.register::<B>(node.id, found);
        }
        if let Some(node) = &rest[0] {
            let found = match kind {
                Kind::Plain(kernel) => B::convolution_weight_gradient(&inputs, &gradient, kernel),
                Kind::Strided => B::strided_convolution_weight_gradient(&inputs[0], &gradient),
                Kind::Depthwise(stride) => B::depthwise_convolution_weight_gradient(&inputs[0], &gradient, stride),
                Kind::Upsample => B::upsample_convolution_weight_gradient(&inputs[0], &gradient),
                Kind::Up => B::up_convolution_weight_gradient(&inputs[0], &gradient),
            };
            grads.register::<B>(node.id, found);
        }
        drop(inputs);
        if input_nodes.iter().any(Option::is_some) {
            let found = match kind {
                Kind::Plain(_) => B::convolution_input_gradient(&weight, &gradient, &channels),
                Kind::Strided => vec![B::strided_convolution_input_gradient(&weight, &gradient)],
                Kind::Depthwise(stride) => vec![B::depthwise_convolution_input_gradient(&weight, &gradient, stride)],
                Kind::Upsample => vec![B::upsample_convolution_input_gradient(&weight, &gradient)],
                Kind::Up => vec![B::up_convolution_input_gradient(&weight, &gradient)],
            };
            drop(gradient);
            for (node, found) in input_nodes.iter().zip(found) {
                if let Some(node) = node {
                    grads.register::<B>(node.id, found);
                }
            }
        }
    }
}

/// Registers a convolution with its `N` parents.
fn convolution<B: Kernels, C: CheckpointStrategy, const N: usize>(
    kind: Kind,
    inputs: Vec<FloatTensor<Autodiff<B, C>>>,
    weight: FloatTensor<Autodiff<B, C>>,
    bias: Option<FloatTensor<Autodiff<B, C>>>,
) -> FloatTensor<Autodiff<B, C>> {
    let nodes: Vec<_> = inputs.iter().chain([&weight]).chain(bias.as_ref()).map(|tensor| tensor.node()).collect();
    let nodes: [_; N] = nodes.try_into().unwrap_or_else(|_| unreachable!("the caller counts the parents"));
    let prepared = ConvolutionBackward.prepare::<C>(nodes).compute_bound().stateful();
    let compute = |inputs: Vec<FloatTensor<Autodiff<B, C>>>, weight: FloatTensor<Autodiff<B, C>>| {
        let inputs: Vec<FloatTensor<B>> = inputs.into_iter().map(|input| input.into_primitive()).collect();
        let (weight, bias) = (weight.into_primitive(), bias.map(|bias| bias.into_primitive()));
        match kind {
            Kind::Plain(_) => B::convolution(&inputs, &weight, bias.as_ref()),
            Kind::Strided => B::strided_convolution(&inputs[0], &weight, bias.as_ref()),
            Kind::Depthwise(stride) => B::depthwise_convolution(&inputs[0], &weight, bias.as_ref(), stride),
            Kind::Upsample => B::upsample_convolution(&inputs[0], &weight, bias.as_ref()),
            Kind::Up => B::up_convolution(&inputs[0], &weight, bias.as_ref()),
        }
    };
    match prepared {
        OpsKind::Tracked(mut prepared) => {
            let state = ConvolutionState {
                kind,
                channels: inputs.iter().map(|input| input.shape()[1]).collect(),
                inputs: inputs.iter().map(|input| prepared.checkpoint(input)).collect(),
                weight: prepared.checkpoint(&weight),
            };
            prepared.finish(state, compute(inputs, weight))
        }
        OpsKind::UnTracked(prepared) => prepared.finish(compute(inputs, weight)),
    }
}

/// Gradients of batch norm with ReLU.
#[derive(Debug)]
struct NormReluBackward;

/// State kept for them. Mean and variance are constants of the graph; if computed from the input, the formula includes
/// their gradients.
#[derive(Clone, Debug)]
struct NormReluState<B: Backend> {
    input: NodeId,
    gamma: NodeId,
    beta: NodeId,
    mean: FloatTensor<B>,
    variance: FloatTensor<B>,
    epsilon: f32,
    statistics: Statistics,
}

impl<B: Kernels> Backward<B, 3> for NormReluBackward {
    type State = NormReluState<B>;

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let NormReluState { input, gamma, beta, mean, variance, epsilon, statistics } = ops.state;
        let input: FloatTensor<B> = checkpointer.retrieve_node_output(input);
        let gamma = checkpointer.retrieve_node_output(gamma);
        let beta = checkpointer.retrieve_node_output(beta);
        let norm = NormTensors { gamma, beta, mean, variance, epsilon, statistics };
        let found = B::normalize_relu_gradient(&input, &norm, gradient);
        drop(input);
        for (node, found) in ops.parents.into_iter().zip(found) {
            if let Some(node) = node {
                grads.register::<B>(node.id, found);
            }
        }
    }
}

/// Recomputes a norm's output.
#[derive(Debug)]
struct NormReluAgain<B: Backend>(NormReluState<B>);

impl<B: Kernels> RetroForward for NormReluAgain<B> {
    fn forward(&self, states: &mut BackwardStates, out_node: NodeId) {
        let NormReluState { input, gamma, beta, mean, variance, epsilon, statistics } = self.0.clone();
        let input: FloatTensor<B> = states.get_state(&input);
        let (gamma, beta) = (states.get_state(&gamma), states.get_state(&beta));
        let output = B::normalize_relu(&input, &NormTensors { gamma, beta, mean, variance, epsilon, statistics });
        states.save(out_node, output);
    }
}

/// The gradient of the loss, computed in the forward pass.
#[derive(Debug)]
struct PixelLossBackward;

impl<B: Kernels> Backward<B, 1> for PixelLossBackward {
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let scalar = grads.consume::<B>(&ops.node);
        let [node] = ops.parents;
        if let Some(node) = node {
            grads.register::<B>(node.id, B::scaled(ops.state, &scalar));
        }
    }
}

/// The gradient of an addition, which is that of each of its inputs.
#[derive(Debug)]
struct AdditionBackward;

impl<B: Kernels> Backward<B, 2> for AdditionBackward {
    type State = ();

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        for node in ops.parents.into_iter().flatten() {
            grads.register::<B>(node.id, gradient.clone());
        }
    }
}

/// The gradient of max-pooling.
#[derive(Debug)]
struct MaxPoolBackward;

/// State kept for it; for a skip, the input already has a gradient, to which this one is added.
#[derive(Clone, Copy, Debug)]
struct MaxPoolState {
    input: NodeId,
    is_skip: bool,
}

impl<B: Kernels> Backward<B, 1> for MaxPoolBackward {
    type State = MaxPoolState;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let input: FloatTensor<B> = checkpointer.retrieve_node_output(ops.state.input);
        let [node] = ops.parents;
        if let Some(node) = node {
            // burn itself accumulates gradients of leaves.
            let is_made = !node.parents.is_empty();
            let sum = (ops.state.is_skip && is_made).then(|| grads.consume::<B>(&node));
            grads.register::<B>(node.id, B::max_pool_2x2_gradient(&input, &gradient, sum));
        }
    }
}

/// Recomputes a pool's output.
#[derive(Debug)]
struct MaxPoolAgain<B: Backend> {
    input: NodeId,
    backend: PhantomData<B>,
}

impl<B: Kernels> RetroForward for MaxPoolAgain<B> {
    fn forward(&self, states: &mut BackwardStates, out_node: NodeId) {
        let input: FloatTensor<B> = states.get_state(&self.input);
        states.save(out_node, B::max_pool_2x2(&input));
    }
}

impl<B: Kernels, C: CheckpointStrategy> NetworkOps for Autodiff<B, C> {
    fn network_convolution(input: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        convolution::<B, C, 2>(Kind::Plain(weight.shape()[2]), vec![input], weight, None)
    }

    fn network_convolution_biased(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        convolution::<B, C, 3>(Kind::Plain(weight.shape()[2]), vec![input], weight, Some(bias))
    }

    fn network_convolution_joined(
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        weight: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        convolution::<B, C, 3>(Kind::Plain(weight.shape()[2]), vec![first, second], weight, None)
    }

    fn network_convolution_joined_biased(
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        convolution::<B, C, 4>(Kind::Plain(weight.shape()[2]), vec![first, second], weight, Some(bias))
    }

    fn network_strided_convolution(input: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        convolution::<B, C, 2>(Kind::Strided, vec![input], weight, None)
    }

    fn network_strided_convolution_biased(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        convolution::<B, C, 3>(Kind::Strided, vec![input], weight, Some(bias))
    }

    fn network_depthwise_convolution(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        stride: usize,
    ) -> FloatTensor<Self> {
        convolution::<B, C, 2>(Kind::Depthwise(stride), vec![input], weight, None)
    }

    fn network_depthwise_convolution_biased(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        stride: usize,
    ) -> FloatTensor<Self> {
        convolution::<B, C, 3>(Kind::Depthwise(stride), vec![input], weight, Some(bias))
    }

    fn network_upsample_convolution(input: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        convolution::<B, C, 2>(Kind::Upsample, vec![input], weight, None)
    }

    fn network_upsample_convolution_biased(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        convolution::<B, C, 3>(Kind::Upsample, vec![input], weight, Some(bias))
    }

    fn network_up_convolution(input: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        convolution::<B, C, 2>(Kind::Up, vec![input], weight, None)
    }

    fn network_up_convolution_biased(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        convolution::<B, C, 3>(Kind::Up, vec![input], weight, Some(bias))
    }

    fn network_statistics(input: FloatTensor<Self>) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let (mean, variance) = B::channel_statistics(&input.into_primitive());
        (FloatTensor::<Self>::new(mean), FloatTensor::<Self>::new(variance))
    }

    fn network_norm_relu(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        epsilon: f32,
        statistics: Statistics,
    ) -> FloatTensor<Self> {
        let (mean, variance) = (mean.into_primitive(), variance.into_primitive());
        let nodes = [input.node(), gamma.node(), beta.node()];
        let state = NormReluState {
            input: nodes[0].id(),
            gamma: nodes[1].id(),
            beta: nodes[2].id(),
            mean: mean.clone(),
            variance: variance.clone(),
            epsilon,
            statistics,
        };
        let prepared = NormReluBackward
            .prepare::<C>(nodes)
            .memory_bound()
            .retro_forward(NormReluAgain::<B>(state.clone()))
            .parents([&input, &gamma, &beta])
            .stateful();
        let compute = |input: FloatTensor<Self>, gamma: FloatTensor<Self>, beta: FloatTensor<Self>| {
            let (gamma, beta) = (gamma.into_primitive(), beta.into_primitive());
            B::normalize_relu(
                &input.into_primitive(),
                &NormTensors { gamma, beta, mean, variance, epsilon, statistics },
            )
        };
        match prepared {
            OpsKind::Tracked(mut prepared) => {
                for tensor in [&input, &gamma, &beta] {
                    prepared.checkpoint(tensor);
                }
                prepared.finish(state, compute(input, gamma, beta))
            }
            OpsKind::UnTracked(prepared) => prepared.finish(compute(input, gamma, beta)),
        }
    }

    fn network_pixel_loss(logits: FloatTensor<Self>, loss: Arc<dyn PixelLoss>) -> FloatTensor<Self> {
        let prepared = PixelLossBackward.prepare::<C>([logits.node()]).compute_bound().stateful();
        let with_gradient = matches!(prepared, OpsKind::Tracked(_));
        let (loss, gradient) = B::pixel_loss(&logits.into_primitive(), &*loss, with_gradient);
        match (prepared, gradient) {
            (OpsKind::Tracked(prepared), Some(gradient)) => prepared.finish(gradient, loss),
            (OpsKind::UnTracked(prepared), _) => prepared.finish(loss),
            (OpsKind::Tracked(_), None) => unreachable!("the gradient was requested"),
        }
    }

    fn network_addition(first: FloatTensor<Self>, second: FloatTensor<Self>) -> FloatTensor<Self> {
        let prepared = AdditionBackward.prepare::<C>([first.node(), second.node()]).compute_bound().stateful();
        let sum = B::addition(first.into_primitive(), second.into_primitive());
        match prepared {
            OpsKind::Tracked(prepared) => prepared.finish((), sum),
            OpsKind::UnTracked(prepared) => prepared.finish(sum),
        }
    }

    fn network_max_pool(input: FloatTensor<Self>, is_skip: bool) -> FloatTensor<Self> {
        let node = input.node();
        let again = MaxPoolAgain::<B> { input: node.id(), backend: PhantomData };
        let prepared =
            MaxPoolBackward.prepare::<C>([node]).memory_bound().retro_forward(again).parents([&input]).stateful();
        match prepared {
            OpsKind::Tracked(mut prepared) => {
                let state = MaxPoolState { input: prepared.checkpoint(&input), is_skip };
                prepared.finish(state, B::max_pool_2x2(&input.into_primitive()))
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::max_pool_2x2(&input.into_primitive())),
        }
    }
}
