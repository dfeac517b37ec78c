//! The tensors of a network by their names, as weight files have them.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use burn::tensor::container::TensorContainer;

use super::Network;

/// Names, shapes and tensors.
pub struct NamedTensors {
    /// Each name, such as `encoder.0.first.conv.weight`, with its shape, in the order of the network's layers.
    pub shapes: Vec<(String, Vec<usize>)>,
    /// By name.
    pub tensors: TensorContainer<String>,
    path: Vec<String>,
}

impl Network {
    /// Its weights and running statistics.
    pub fn named_tensors(&self) -> NamedTensors {
        let mut named = NamedTensors { shapes: vec![], tensors: TensorContainer::new(), path: vec![] };
        self.visit(&mut named);
        named
    }
}

impl ModuleVisitor for NamedTensors {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let name = self.path.join(".");
        self.shapes.push((name.clone(), param.dims().to_vec()));
        self.tensors.register(name, param.val());
    }
}

/// A shape such as `8x16x3x3`.
pub fn sides(shape: &[usize]) -> String {
    shape.iter().map(ToString::to_string).collect::<Vec<_>>().join("x")
}
