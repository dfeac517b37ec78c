//! Parameters and gradients of a network by name, for comparisons with other frameworks.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor};

use super::Network;

/// A parameter or its gradient.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    /// Path in weight files, such as `encoder.0.first.conv.weight`.
    pub name: String,
    /// Shape.
    pub shape: Vec<usize>,
    /// Values, row-major.
    pub values: Vec<f32>,
}

/// All trainable parameters in the order of weight files, without running statistics.
pub fn parameters(network: &Network) -> Vec<Named> {
    collect(network, None)
}

/// The gradients of all parameters that have one, in the order of weight files.
pub fn gradients(network: &Network, gradients: &Gradients) -> Vec<Named> {
    collect(network, Some(gradients))
}

fn collect(network: &Network, gradients: Option<&Gradients>) -> Vec<Named> {
    let mut collector = Collector { gradients, path: vec![], found: vec![] };
    network.visit(&mut collector);
    collector.found
}

struct Collector<'a> {
    gradients: Option<&'a Gradients>,
    path: Vec<String>,
    found: Vec<Named>,
}

impl ModuleVisitor for Collector<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val();
        // burn also visits running statistics.
        if !tensor.is_require_grad() {
            return;
        }
        let values = match self.gradients {
            None => Some(tensor.inner()),
            Some(gradients) => tensor.grad(gradients),
        };
        let Some(values) = values else { return };
        self.found.push(Named {
            name: self.path.join("."),
            shape: values.dims().to_vec(),
            values: values.into_data().convert::<f32>().try_into_vec().expect("values convert to f32"),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::test_device;
    use crate::model::{Stem, UNetConfig, Upsampling};

    #[test]
    fn every_parameter_has_a_name_and_a_gradient() {
        let device = test_device().autodiff();
        let config = UNetConfig {
            base: 2,
            depth: 1,
            channels: 1,
            classes: 3,
            upsampling: Upsampling::Nearest,
            stem: Stem::Full,
            ..UNetConfig::default()
        };
        let network = config.init(1, &device);
        let found = parameters(&network);
        let loss = network.forward(Tensor::ones([1, 1, 4, 4], &device)).sum();
        let slopes = gradients(&network, &loss.backward());
        // 7 convolutions with a norm of two parameters each, and a head of two.
        assert_eq!(found.len(), 7 * 3 + 2);
        assert_eq!(found.iter().map(|p| p.values.len()).sum::<usize>(), network.num_params() - 2 * (4 * 2 + 2 * 4 + 2));
        let places = |named: &[Named]| named.iter().map(|p| (p.name.clone(), p.shape.clone())).collect::<Vec<_>>();
        assert_eq!(places(&found), places(&slopes));
        let head = found.iter().find(|p| p.name == "head.weight").expect("the head has weights");
        assert_eq!(head.shape, [3, 2, 1, 1]);
        assert_eq!(found[0].name, "encoder.0.first.conv.weight");
        // The derivative of the sum of logits by a class's bias is 1 for each pixel.
        assert_eq!(slopes.iter().find(|p| p.name == "head.bias").expect("the head has a bias").values, [16.0; 3]);
    }
}
