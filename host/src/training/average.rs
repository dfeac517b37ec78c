//! An exponential moving average of the weights, which is validated and exported in place of the weights of the last step.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::Tensor;
use burn::tensor::container::TensorContainer;

use crate::model::Network;

/// The average of a network's weights and running statistics over the steps so far.
#[derive(Clone, Debug)]
pub struct Average {
    network: Network,
    decay: f64,
    steps: usize,
}

impl Average {
    /// The average before the first step, which is `network`. Each step moves it by 1 - `decay` of the way to the new weights, and
    /// the first ones by more.
    pub fn new(network: &Network, decay: f64) -> Self {
        Self { network: network.valid(), decay, steps: 0 }
    }

    /// Forgets the steps so far.
    pub fn restart(&mut self, network: &Network) {
        *self = Self::new(network, self.decay);
    }

    /// Continues from a checkpoint.
    pub fn restore(&mut self, network: Network, steps: usize) {
        *self = Self { network, steps, decay: self.decay };
    }

    /// Adds the weights after a step.
    pub fn add(&mut self, network: &Network) {
        self.steps += 1;
        let mut latest = Tensors(TensorContainer::new());
        network.valid().visit(&mut latest);
        let mut approach = Approach { latest: latest.0, share: 1.0 - self.decay() };
        self.network = self.network.clone().map(&mut approach);
    }

    /// The averaged network, without differentiation.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Number of steps in it.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// The decay of the latest step, after `tf.train.ExponentialMovingAverage`: low at first, so that the initial weights are soon
    /// forgotten.
    fn decay(&self) -> f64 {
        let steps = self.steps as f64;
        self.decay.min((1.0 + steps) / (10.0 + steps))
    }
}

/// Collects every tensor of a module.
struct Tensors(TensorContainer<ParamId>);

impl ModuleVisitor for Tensors {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.register(param.id, param.val());
    }
}

/// Moves each tensor of a module a share of the way to the latest one.
struct Approach {
    latest: TensorContainer<ParamId>,
    share: f64,
}

impl ModuleMapper for Approach {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let latest = self.latest.remove::<Tensor<D>>(&param.id);
        let share = self.share;
        param.map(|average| match latest {
            // In this form an average of equal values is that value, to the bit.
            Some(latest) => average.clone() + (latest - average).mul_scalar(share),
            None => average,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::test_device;
    use crate::model::{Stem, UNetConfig, Upsampling};

    /// Sets every tensor to a value.
    struct Fill(f32);

    impl ModuleMapper for Fill {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|tensor| tensor.zeros_like().add_scalar(self.0))
        }
    }

    /// Collects the values of all tensors.
    struct Values(Vec<f32>);

    impl ModuleVisitor for Values {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.extend(param.val().into_data().try_into_vec::<f32>().unwrap());
        }
    }

    #[test]
    fn an_average_by_hand() {
        let upsampling = Upsampling::Nearest;
        let config = UNetConfig {
            base: 2,
            depth: 1,
            channels: 1,
            classes: 2,
            upsampling,
            stem: Stem::Full,
            ..UNetConfig::default()
        };
        let network = config.init(1, &test_device().autodiff());
        let filled = |value| network.clone().map(&mut Fill(value));
        let mut average = Average::new(&filled(1.0), 0.2);
        let expect = |average: &Average, expected: f32| {
            let mut values = Values(vec![]);
            average.network().visit(&mut values);
            assert!(values.0.len() > 100);
            assert!(values.0.iter().all(|value| (value - expected).abs() < 1e-6), "{expected}: {:?}", values.0[0]);
        };
        // (1 + 1) / (10 + 1) is less than 0.2: 1 + (3 - 1) * 9/11.
        average.add(&filled(3.0));
        expect(&average, 29.0 / 11.0);
        // (1 + 2) / (10 + 2) is more: a fifth of the old average and four fifths of 5.
        average.add(&filled(5.0));
        expect(&average, 29.0 / 55.0 + 4.0);
        assert_eq!(average.steps(), 2);
        let mut third = Average::new(&network, 0.2);
        third.restore(average.network().clone(), 2);
        for average in [&mut average, &mut third] {
            average.add(&filled(0.0));
        }
        let mut values = [Values(vec![]), Values(vec![])];
        average.network().visit(&mut values[0]);
        third.network().visit(&mut values[1]);
        assert_eq!(values[0].0, values[1].0);
    }

    #[test]
    fn an_average_of_equal_weights_is_their_value() {
        let upsampling = Upsampling::Nearest;
        let config = UNetConfig {
            base: 2,
            depth: 1,
            channels: 1,
            classes: 2,
            upsampling,
            stem: Stem::Full,
            ..UNetConfig::default()
        };
        let network = config.init(1, &test_device().autodiff());
        let mut average = Average::new(&network, 0.999);
        (0..20).for_each(|_| average.add(&network));
        let mut values = [Values(vec![]), Values(vec![])];
        network.visit(&mut values[0]);
        average.network().visit(&mut values[1]);
        assert_eq!(values[0].0, values[1].0);
    }
}
