//! A list of layers with weights on a device: a burn module that computes by interpreting the list.

use std::sync::Arc;

use burn::module::{Devices, Module, ModuleMapper, ModuleVisitor};
use burn::nn::BatchNorm;
use burn::nn::conv::Conv2d;
use burn::tensor::{Device, Tensor, TensorData};

use super::initial_weights::{batch_norm, conv2d};
use super::layers::{Convolution, ConvolutionKind, Layer, Layers, Node};
use super::population::Population;
use crate::operation::{
    add, convolve, convolve_depthwise, max_pool, max_pool_of_skip, measured_norm_relu, norm_relu, up_convolve,
    upsample_and_convolve,
};
use crate::rng::Rng;

/// A network: its layers and their parameters.
#[derive(Clone, Debug)]
pub struct Network {
    layers: Arc<Layers>,
    /// One entry a layer; none for a layer without parameters.
    parameters: Vec<Option<Parameters>>,
}

/// The parameters of a convolution with what follows it.
#[derive(Module, Debug)]
pub struct Parameters {
    /// Weights, and a bias if the layer has one.
    pub conv: Conv2d,
    /// The batch norm, if the layer has one.
    pub norm: Option<BatchNorm>,
}

impl Network {
    /// Fresh weights, drawn from `rng` layer by layer.
    pub fn new(layers: Layers, rng: &mut Rng, device: &Device) -> Self {
        let parameters = layers.nodes().iter().map(|node| {
            let Layer::Convolution(convolution) = node.layer else { return None };
            let shape = layers.weight_shape(node)?;
            let groups = layers.input_channels(node) / shape[1];
            let conv = conv2d(shape, groups, convolution.kind.stride(), convolution.bias, rng, device);
            let norm = convolution.norm_relu.then(|| batch_norm(convolution.outputs, rng, device));
            Some(Parameters { conv, norm })
        });
        let parameters = parameters.collect();
        Self { layers: Arc::new(layers), parameters }
    }

    /// The list that is interpreted.
    pub fn layers(&self) -> &Layers {
        &self.layers
    }

    /// Each layer with its parameters, in order of evaluation.
    pub fn nodes(&self) -> impl Iterator<Item = (&Node, Option<&Parameters>)> {
        self.layers.nodes().iter().zip(self.parameters.iter().map(Option::as_ref))
    }

    /// Images `[N, channels, H, W]` to logits `[N, classes, H, W]`; H and W are multiples of [`Layers::size_multiple`].
    pub fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        self.evaluate(images, &mut |_, norm, input| norm_relu(norm, input))
    }

    /// Adds the statistics of each norm's input on these images to `population`. Each norm normalizes by the statistics of the
    /// batch, as in training.
    pub fn measure(&self, images: Tensor<4>, population: &mut Population) {
        self.evaluate(images, &mut |index, norm, input| {
            let [batch, _, height, width] = input.dims();
            let (output, [mean, variance]) = measured_norm_relu(norm, input);
            let values = [mean, variance].map(|values| values.into_data().convert::<f32>());
            let [mean, variance] = values.map(|data| data.try_into_vec::<f32>().expect("statistics convert to f32"));
            population.add(index, batch * height * width, &mean, &variance);
            output
        });
    }

    /// Freezes the norms: from now on they normalize by constants, in training too. Scale and shift still learn. The constants
    /// are the statistics of `population`; without one, the running statistics.
    #[must_use]
    pub fn with_frozen_norms(mut self, population: Option<&Population>) -> Self {
        for (index, parameters) in self.parameters.iter_mut().enumerate() {
            let Some(norm) = parameters.as_mut().and_then(|parameters| parameters.norm.as_mut()) else { continue };
            norm.training = norm.training.clone().with_value(false);
            let Some([mean, variance]) = population.and_then(|population| population.statistics(index)) else {
                continue;
            };
            for (running, values) in [(&norm.running_mean, mean), (&norm.running_var, variance)] {
                let device = running.value_sync().device();
                running.update(Tensor::from_data(TensorData::from(values.as_slice()), &device));
                running.value_sync();
            }
        }
        self
    }

    fn evaluate(
        &self,
        images: Tensor<4>,
        norm_relu: &mut dyn FnMut(usize, &BatchNorm, Tensor<4>) -> Tensor<4>,
    ) -> Tensor<4> {
        let mut left = self.layers.readers();
        let mut values: Vec<Option<Tensor<4>>> = vec![None; left.len()];
        values[0] = Some(images);
        for (index, (node, parameters)) in self.nodes().enumerate() {
            let mut inputs = node.inputs.iter().map(|&input| {
                left[input] -= 1;
                // The last reader takes the tensor, so that nothing keeps it alive.
                let value = if left[input] == 0 { values[input].take() } else { values[input].clone() };
                value.expect("an activation is kept until its last reader")
            });
            let first = inputs.next().expect("a layer reads something");
            let second = inputs.next();
            drop(inputs);
            values[index + 1] = Some(match (node.layer, parameters) {
                (Layer::Convolution(convolution), Some(parameters)) => {
                    let output = parameters.convolve(convolution, first, second);
                    match &parameters.norm {
                        Some(norm) => norm_relu(index, norm, output),
                        None => output,
                    }
                }
                (Layer::Convolution(_), None) => unreachable!("a convolution has parameters"),
                (Layer::MaxPool, _) if self.layers.reads_skip(index) => max_pool_of_skip(first),
                (Layer::MaxPool, _) => max_pool(first),
                (Layer::Add, _) => add(first, second.expect("an addition reads two activations")),
            });
        }
        values.pop().flatten().expect("the last layer makes the logits")
    }
}

impl Parameters {
    fn convolve(&self, convolution: Convolution, first: Tensor<4>, second: Option<Tensor<4>>) -> Tensor<4> {
        match convolution.kind {
            ConvolutionKind::Pointwise | ConvolutionKind::Same | ConvolutionKind::Strided => {
                convolve(&self.conv, first, second)
            }
            ConvolutionKind::Depthwise => convolve_depthwise(&self.conv, first),
            ConvolutionKind::Upsampling => upsample_and_convolve(&self.conv, first),
            ConvolutionKind::UpConvolution => up_convolve(&self.conv, first),
        }
    }
}

/// What burn's error messages and adapters know a part of a path as.
const CONTAINER: &str = "Struct:Network";

/// Visits and maps parameters by the paths of the list, in the order of weight files; everything else is the parameters'.
impl Module for Network {
    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        for index in self.layers.storage_order() {
            let Some(parameters) = &self.parameters[index] else { continue };
            let path = &self.layers.nodes()[index].path;
            path.split('.').for_each(|part| visitor.enter_module(part, CONTAINER));
            match parameters.norm {
                Some(_) => parameters.visit(visitor),
                None => parameters.conv.visit(visitor),
            }
            path.rsplit('.').for_each(|part| visitor.exit_module(part, CONTAINER));
        }
    }

    fn map<M: ModuleMapper>(mut self, mapper: &mut M) -> Self {
        for index in self.layers.storage_order() {
            let Some(parameters) = self.parameters[index].take() else { continue };
            let path = &self.layers.nodes()[index].path;
            path.split('.').for_each(|part| mapper.enter_module(part, CONTAINER));
            self.parameters[index] = Some(match parameters.norm {
                Some(_) => parameters.map(mapper),
                None => Parameters { conv: parameters.conv.map(mapper), norm: None },
            });
            path.rsplit('.').for_each(|part| mapper.exit_module(part, CONTAINER));
        }
        self
    }

    fn collect_devices(&self, devices: Devices) -> Devices {
        self.parameters.collect_devices(devices)
    }

    fn fork(self, device: &Device) -> Self {
        Self { parameters: self.parameters.fork(device), ..self }
    }

    fn to_device(self, device: &Device) -> Self {
        Self { parameters: self.parameters.to_device(device), ..self }
    }

    fn valid(&self) -> Self {
        Self { layers: Arc::clone(&self.layers), parameters: self.parameters.valid() }
    }

    fn train(self) -> Self {
        Self { parameters: self.parameters.train(), ..self }
    }

    fn materialize(self) -> Self {
        Self { parameters: self.parameters.materialize(), ..self }
    }
}
