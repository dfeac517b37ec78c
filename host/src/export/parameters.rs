//! Compares the weights and biases of an exported graph with those that a trained [`Network`] has, batch norm included.
//!
//! Written from the formula of the batch norm, not from the code that folds it: one weight of thousands changes the logits less
//! than the rounding of all others does, so only here a wrong one is sure to be seen.

use burn::nn::BatchNorm;

use super::fold::values;
use super::graph::{Convolution, Graph, OUTPUT_NAME, Operator};
use crate::model::Network;
use crate::model::layers::{ConvolutionKind, Layer};
use crate::model::network::Parameters;

/// Largest error of rounding a number to f32, relative to it.
const ROUNDING: f64 = f32::EPSILON as f64 / 2.0;
/// The same for numbers too small to be normal.
const SMALLEST: f64 = f32::MIN_POSITIVE as f64;

/// A weight or bias that is not the trained one, or a layer that the graph lacks.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{layer}: expected {expected}, found {found}")]
pub struct OtherParameter {
    /// Name of the convolution.
    pub layer: String,
    /// From the trained network.
    pub expected: String,
    /// In the graph.
    pub found: String,
}

/// Compares all of them, and returns how many there are.
///
/// # Errors
/// The first that differs by more than the f32 rounding of the folded value, or the first convolution that the graph lacks.
pub fn compare(model: &Network, graph: &Graph) -> Result<usize, OtherParameter> {
    let layers = model.layers().nodes().len();
    let mut left: Vec<(&str, &Convolution)> = graph
        .nodes
        .iter()
        .filter_map(|node| match &node.operator {
            Operator::Conv(conv) => Some((node.name.as_str(), conv)),
            _ => None,
        })
        .collect();
    let mut take = |name: &str| {
        let at = left.iter().position(|(found, _)| *found == name)?;
        Some(left.swap_remove(at).1)
    };
    let mut compared = 0;
    for (index, (node, parameters)) in model.nodes().enumerate() {
        let (Layer::Convolution(layer), Some(parameters)) = (node.layer, parameters) else { continue };
        let name = if index + 1 == layers { OUTPUT_NAME } else { &node.name };
        let trained = Trained::new(parameters, layer.kind.channels_per_output());
        let lacks = || OtherParameter {
            layer: name.to_owned(),
            expected: "a convolution".to_owned(),
            found: "none of this name".to_owned(),
        };
        let phases = [[0, 0], [0, 1], [1, 0], [1, 1]];
        match (layer.kind, take(&format!("{name}.phase_00"))) {
            (ConvolutionKind::Upsampling, Some(first)) => {
                compared += trained.compare(&format!("{name}.phase_00"), first, Some(phases[0]))?;
                for phase @ [y, x] in &phases[1..] {
                    let name = format!("{name}.phase_{y}{x}");
                    let conv = take(&name).ok_or_else(lacks)?;
                    compared += trained.compare(&name, conv, Some(*phase))?;
                }
                continue;
            }
            (ConvolutionKind::UpConvolution, _) => {
                let name = format!("{name}.conv");
                let conv = take(&name).ok_or_else(lacks)?;
                compared += trained.compare(&name, conv, None)?;
            }
            _ => {
                let conv = take(name).ok_or_else(lacks)?;
                compared += trained.compare(name, conv, None)?;
            }
        }
    }
    match left.first() {
        None => Ok(compared),
        Some((name, _)) => Err(OtherParameter {
            layer: (*name).to_owned(),
            expected: "no other convolution than those of the network".to_owned(),
            found: "one".to_owned(),
        }),
    }
}

/// The parameters of a layer, in f64.
struct Trained {
    /// `[channels_out, channels_in / groups, size, size]`.
    weight: Vec<f32>,
    bias: Vec<f32>,
    channels_out: usize,
    size: usize,
    norm: Option<Norm>,
    /// Channels of the convolution for each of the norm.
    repeats: usize,
}

struct Norm {
    gamma: Vec<f32>,
    beta: Vec<f32>,
    mean: Vec<f32>,
    variance: Vec<f32>,
    epsilon: f64,
}

impl Norm {
    fn new(norm: &BatchNorm) -> Self {
        Self {
            gamma: values(norm.gamma.val()),
            beta: values(norm.beta.val()),
            mean: values(norm.running_mean.value_sync()),
            variance: values(norm.running_var.value_sync()),
            epsilon: norm.epsilon,
        }
    }

    fn deviation(&self, channel: usize) -> f64 {
        (f64::from(self.variance[channel]) + self.epsilon).sqrt()
    }
}

/// A number that f32 holds rounded, and how far the rounding may be from it.
struct Expected {
    value: f64,
    error: f64,
}

impl Trained {
    fn new(parameters: &Parameters, repeats: usize) -> Self {
        let [channels_out, _, size, _] = parameters.conv.weight.dims();
        let bias = parameters.conv.bias.as_ref();
        Self {
            weight: values(parameters.conv.weight.val()),
            bias: bias.map_or_else(|| vec![0.0; channels_out], |bias| values(bias.val())),
            channels_out,
            size,
            norm: parameters.norm.as_ref().map(Norm::new),
            repeats,
        }
    }

    fn norm(&self, out: usize) -> Option<(&Norm, usize)> {
        self.norm.as_ref().map(|norm| (norm, out % (self.channels_out / self.repeats)))
    }

    /// A weight behind the norm.
    fn weight(&self, out: usize, weight: f32) -> Expected {
        let weight = f64::from(weight);
        let value = self.norm(out).map_or(weight, |(norm, c)| weight * f64::from(norm.gamma[c]) / norm.deviation(c));
        Expected { value, error: ROUNDING * value.abs() + SMALLEST }
    }

    /// What the norm makes of a convolution whose weights are 0.
    fn bias(&self, out: usize) -> Expected {
        let bias = f64::from(self.bias[out]);
        let Some((norm, c)) = self.norm(out) else { return Expected { value: bias, error: 0.0 } };
        let [gamma, beta, mean] = [&norm.gamma, &norm.beta, &norm.mean].map(|values| f64::from(values[c]));
        let value = gamma * (bias - mean) / norm.deviation(c) + beta;
        // The sum may cancel: its terms are rounded to f64.
        let terms = (gamma * bias / norm.deviation(c)).abs() + (gamma * mean / norm.deviation(c)).abs() + beta.abs();
        Expected { value, error: ROUNDING * value.abs() + 8.0 * f64::EPSILON * terms + SMALLEST }
    }

    /// Compares a convolution of the graph, or one of the four 2x2 convolutions that stand for upsampling and a 3x3 one.
    fn compare(&self, name: &str, found: &Convolution, phase: Option<[usize; 2]>) -> Result<usize, OtherParameter> {
        let other = |what: String, expected: f64, found: f32| OtherParameter {
            layer: name.to_owned(),
            expected: format!("{what} {:e} as trained", expected as f32),
            found: format!("{found:e}"),
        };
        let window = self.size * self.size;
        let windows = self.weight.chunks_exact(window);
        let size = if phase.is_some() { 2 } else { self.size };
        if found.weight.len() != windows.len() * size * size || found.bias.len() != self.channels_out {
            return Err(OtherParameter {
                layer: name.to_owned(),
                expected: format!("{} weights and {} biases", windows.len() * size * size, self.channels_out),
                found: format!("{} and {}", found.weight.len(), found.bias.len()),
            });
        }
        let relu = self.norm.is_some();
        if found.relu != relu {
            let is = |relu| if relu { "a ReLU" } else { "no ReLU" }.to_owned();
            return Err(OtherParameter { layer: name.to_owned(), expected: is(relu), found: is(found.relu) });
        }
        let inputs = windows.len() / self.channels_out;
        for (at, (window, found)) in windows.zip(found.weight.chunks_exact(size * size)).enumerate() {
            let (out, input) = (at / inputs, at % inputs);
            for (tap, &found) in found.iter().enumerate() {
                let expected = match phase {
                    None => self.weight(out, window[tap]),
                    Some(phase) => sum(covered(phase, tap).map(|tap| self.weight(out, window[tap]))),
                };
                // NaN is no smaller than anything.
                let is_near = (f64::from(found) - expected.value).abs() <= expected.error * (1.0 + 1e-6);
                if !is_near {
                    let what = format!("weight [{out}, {input}, {}, {}]", tap / size, tap % size);
                    return Err(other(what, expected.value, found));
                }
            }
        }
        for (out, &found) in found.bias.iter().enumerate() {
            let expected = self.bias(out);
            let is_near = (f64::from(found) - expected.value).abs() <= expected.error * (1.0 + 1e-6);
            if !is_near {
                return Err(other(format!("bias [{out}]"), expected.value, found));
            }
        }
        Ok(found.weight.len() + found.bias.len())
    }
}

/// The taps of a 3x3 window around the enlarged pixel `phase` of a small pixel that read the small pixel of tap `tap` of the
/// phase's 2x2 window.
fn covered([y, x]: [usize; 2], tap: usize) -> impl Iterator<Item = usize> {
    // Row `phase + k - 1` of the enlarged image is row `(phase + k - 1) / 2` of the small one, rounded down; the 2x2 window
    // starts at row `phase - 1`.
    let reads = |phase: usize, k: usize, small: usize| (phase + k).div_ceil(2) == small + phase;
    (0..9).filter(move |k| reads(y, k / 3, tap / 2) && reads(x, k % 3, tap % 2))
}

/// Rounded terms, added and rounded again.
fn sum(terms: impl Iterator<Item = Expected>) -> Expected {
    let (value, error) = terms.fold((0.0, 0.0), |(value, error), term| (value + term.value, error + term.error));
    Expected { value, error: error + ROUNDING * (value.abs() + error) }
}

#[cfg(test)]
mod tests {
    use burn::module::{Module, ModuleMapper, Param};
    use burn::tensor::{Tensor, TensorData};

    use super::*;
    use crate::backend::test_device;
    use crate::export::fold::graph_of;
    use crate::export::fold_upsample::fold_upsampling;
    use crate::model::{Stem, UNetConfig, Upsampling};
    use crate::rng::Rng;

    /// Replaces every vector, those of the batch norms among them, by numbers from 0.25 to 4.
    struct Disturb(Rng);

    impl ModuleMapper for Disturb {
        fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
            if D > 1 {
                return parameter;
            }
            let (id, tensor, mapper) = parameter.consume();
            let (shape, device) = (tensor.dims(), tensor.device());
            let drawn: Vec<f32> = (0..tensor.shape().num_elements()).map(|_| self.0.range_f32(0.25, 4.0)).collect();
            Param::from_mapped_value(id, Tensor::from_data(TensorData::new(drawn, shape), &device), mapper)
        }
    }

    /// Each kind of layer, and each with its graphs.
    fn networks() -> Vec<(Network, Graph)> {
        let forms = [
            (Upsampling::Nearest, Stem::Full),
            (Upsampling::UpConvolution, Stem::Half),
            (Upsampling::Nearest, Stem::Quarter),
        ];
        let device = test_device();
        let config = |(upsampling, stem)| UNetConfig {
            base: 3,
            depth: 2,
            channels: 2,
            classes: 3,
            upsampling,
            stem,
            ..UNetConfig::default()
        };
        let models = forms.map(|form| config(form).init(5, &device)).into_iter();
        let models = models.chain([config(forms[0]).init_plain(5, &device)]);
        let models = models.map(|model| model.map(&mut Disturb(Rng::new(7))));
        models
            .flat_map(|model| {
                let graph = graph_of(&model, 16, 32);
                [(model.clone(), fold_upsampling(&graph).unwrap()), (model, graph)]
            })
            .collect()
    }

    fn convolutions(graph: &mut Graph) -> impl Iterator<Item = (&str, &mut Convolution)> {
        graph.nodes.iter_mut().filter_map(|node| match &mut node.operator {
            Operator::Conv(conv) => Some((node.name.as_str(), conv)),
            _ => None,
        })
    }

    #[test]
    fn a_folded_network_has_the_parameters_of_the_trained_one() {
        for (model, mut graph) in networks() {
            let count = compare(&model, &graph).unwrap();
            let expected: usize = convolutions(&mut graph).map(|(_, conv)| conv.weight.len() + conv.bias.len()).sum();
            assert_eq!(count, expected);
        }
    }

    #[test]
    fn a_weight_changed_by_a_thousandth_of_the_largest_of_its_channel_is_found_in_every_layer() {
        for (model, graph) in networks() {
            let count = convolutions(&mut graph.clone()).count();
            for index in 0..count {
                let mut changed = graph.clone();
                let (name, conv) = convolutions(&mut changed).nth(index).unwrap();
                let a_channel = conv.weight.len() / conv.channels_out;
                let last = conv.weight.len() - a_channel;
                let largest = conv.weight[last..].iter().fold(0f32, |max, w| max.max(w.abs()));
                conv.weight[last] += 1e-3 * largest;
                let name = name.to_owned();
                let error = compare(&model, &changed).unwrap_err();
                assert_eq!(error.layer, name);
                assert!(error.expected.starts_with("weight ["), "{error}");

                let mut changed = graph.clone();
                let (_, conv) = convolutions(&mut changed).nth(index).unwrap();
                conv.bias[0] += 1e-3 * conv.bias[0].abs().max(1e-3);
                assert!(compare(&model, &changed).unwrap_err().expected.starts_with("bias [0]"));

                let mut changed = graph.clone();
                let (_, conv) = convolutions(&mut changed).nth(index).unwrap();
                conv.relu = !conv.relu;
                assert!(compare(&model, &changed).unwrap_err().found.ends_with("ReLU"));
            }
        }
    }

    #[test]
    fn a_layer_that_is_missing_or_too_many_is_named() {
        let (model, graph) = networks().swap_remove(1);
        let mut renamed = graph.clone();
        renamed.nodes[0].name = "other".to_owned();
        let error = compare(&model, &renamed).unwrap_err().to_string();
        assert_eq!(error, format!("{}: expected a convolution, found none of this name", graph.nodes[0].name));
        let mut doubled = graph;
        let node = doubled.nodes[0].clone();
        doubled.push("other", node.operator, node.inputs);
        let error = compare(&model, &doubled).unwrap_err().to_string();
        assert_eq!(error, "other: expected no other convolution than those of the network, found one");
    }
}
