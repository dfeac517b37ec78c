//! Weights of one network as the initial weights of another.

use std::collections::HashMap;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;
use burn::tensor::container::TensorContainer;

use super::Network;
use super::named_tensors::{NamedTensors, sides};

/// What was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transfer {
    /// Number of tensors that were taken.
    pub taken: usize,
    /// The others: the name of each, and why it was not taken.
    pub left: Vec<String>,
}

impl Network {
    /// This network with the tensors of `source` that have the same name and shape.
    #[must_use]
    pub fn with_weights_of(self, source: &Self) -> (Self, Transfer) {
        let NamedTensors { shapes, tensors, .. } = source.named_tensors();
        let shapes = shapes.into_iter().collect();
        let mut take = Take { path: vec![], shapes, tensors, transfer: Transfer::default() };
        let network = self.map(&mut take);
        (network, take.transfer)
    }
}

/// Replaces tensors by those of the same name and shape.
struct Take {
    path: Vec<String>,
    shapes: HashMap<String, Vec<usize>>,
    tensors: TensorContainer<String>,
    transfer: Transfer,
}

impl ModuleMapper for Take {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (name, shape) = (self.path.join("."), param.dims().to_vec());
        match self.shapes.get(&name) {
            Some(found) if *found == shape => {
                self.transfer.taken += 1;
                match self.tensors.remove::<Tensor<D>>(&name) {
                    Some(tensor) => param.map(|_| tensor),
                    None => param,
                }
            }
            Some(found) => {
                self.transfer.left.push(format!("{name} ({} there, {} here)", sides(found), sides(&shape)));
                param
            }
            None => {
                self.transfer.left.push(format!("{name} (not in it)"));
                param
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::test_device;
    use crate::model::{Stem, UNetConfig, Upsampling};

    /// The values of every tensor, by name.
    fn values(network: &Network) -> HashMap<String, Vec<f32>> {
        let NamedTensors { shapes, tensors, .. } = network.named_tensors();
        let value = |name: &String, dimensions: usize| {
            let data = match dimensions {
                1 => tensors.get::<Tensor<1>>(name).unwrap().into_data(),
                _ => tensors.get::<Tensor<4>>(name).unwrap().into_data(),
            };
            data.try_into_vec::<f32>().unwrap()
        };
        shapes.iter().map(|(name, shape)| (name.clone(), value(name, shape.len()))).collect()
    }

    #[test]
    fn tensors_of_the_same_name_and_shape_are_taken() {
        let device = test_device();
        let upsampling = Upsampling::Nearest;
        let source = UNetConfig {
            base: 2,
            depth: 2,
            channels: 1,
            classes: 3,
            upsampling,
            stem: Stem::Full,
            ..UNetConfig::default()
        };
        let target = UNetConfig { classes: 2, ..source.clone() };
        let (source, target) = (source.init(1, &device), target.init(2, &device));
        let (of_source, of_target) = (values(&source), values(&target));
        let (network, transfer) = target.with_weights_of(&source);
        // The last convolution has as many outputs as there are classes.
        assert_eq!(transfer.left.len(), 2, "{transfer:?}");
        assert!(transfer.left.iter().any(|left| left.ends_with("(3x2x1x1 there, 2x2x1x1 here)")), "{transfer:?}");
        assert_eq!(transfer.taken + 2, of_source.len());
        for (name, found) in values(&network) {
            let left = transfer.left.iter().any(|left| left.starts_with(&format!("{name} ")));
            assert_eq!(found, if left { &of_target[&name] } else { &of_source[&name] }[..], "{name}");
        }
        // A deeper network has layers that the source has not.
        let deeper = UNetConfig {
            base: 2,
            depth: 3,
            channels: 1,
            classes: 3,
            upsampling,
            stem: Stem::Full,
            ..UNetConfig::default()
        };
        let (_, transfer) = deeper.init(2, &device).with_weights_of(&source);
        assert!(transfer.left.iter().any(|left| left.ends_with("(not in it)")), "{transfer:?}");
    }
}
