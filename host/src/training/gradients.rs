//! The gradients of several batches, summed, and scaled before a step of the optimizer.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::Tensor;

use crate::model::Network;

/// Gradients of the batches since the last step.
#[derive(Default)]
pub struct Accumulated {
    gradients: GradientsAccumulator<Network>,
    batches: usize,
}

impl Accumulated {
    /// Adds the gradients of a batch.
    pub fn add(&mut self, model: &Network, gradients: GradientsParams) {
        self.gradients.accumulate(model, gradients);
        self.batches += 1;
    }

    /// Number of batches whose gradients are held.
    pub fn batches(&self) -> usize {
        self.batches
    }

    /// Their mean, scaled down to a norm of `clip` over all parameters if it is larger. Nothing is held afterwards.
    pub fn take(&mut self, model: &Network, clip: Option<f64>) -> GradientsParams {
        let mut gradients = self.gradients.grads();
        let mut factor = 1.0 / std::mem::take(&mut self.batches).max(1) as f64;
        if let Some(clip) = clip {
            let mut squares = Squares { gradients: &gradients, sum: 0.0 };
            model.visit(&mut squares);
            let norm = squares.sum.sqrt() * factor;
            if norm > clip {
                factor *= clip / norm;
            }
        }
        if factor != 1.0 {
            model.visit(&mut Scale { gradients: &mut gradients, factor });
        }
        gradients
    }
}

/// The sum of the squares of all gradients.
struct Squares<'a> {
    gradients: &'a GradientsParams,
    sum: f64,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            // On the host and in order, so that the sum does not depend on the number of threads.
            let values = gradient.into_data().convert::<f32>();
            let values = values.try_into_vec::<f32>().expect("gradients convert to f32");
            self.sum += values.iter().map(|value| f64::from(*value) * f64::from(*value)).sum::<f64>();
        }
    }
}

/// Multiplies each gradient.
struct Scale<'a> {
    gradients: &'a mut GradientsParams,
    factor: f64,
}

impl ModuleVisitor for Scale<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            self.gradients.register(param.id, gradient.mul_scalar(self.factor));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::test_device;
    use crate::model::{Stem, UNetConfig, Upsampling};

    /// Sets every gradient to a value.
    struct Fill(GradientsParams, f32);

    impl ModuleVisitor for Fill {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.register(param.id, param.val().inner().zeros_like().add_scalar(self.1));
        }
    }

    /// Collects the values of all gradients.
    struct Values<'a>(&'a GradientsParams, Vec<f32>);

    impl ModuleVisitor for Values<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = self.0.get::<D>(param.id) {
                self.1.extend(gradient.into_data().try_into_vec::<f32>().unwrap());
            }
        }
    }

    #[test]
    fn the_mean_of_batches_is_scaled_down_to_the_norm() {
        let device = test_device().autodiff();
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
        let model = config.init(1, &device);
        let filled = |value| {
            let mut fill = Fill(GradientsParams::new(), value);
            model.visit(&mut fill);
            fill.0
        };
        let mut accumulated = Accumulated::default();
        let mut take = |clip| {
            accumulated.add(&model, filled(1.0));
            accumulated.add(&model, filled(3.0));
            assert_eq!(accumulated.batches(), 2);
            let gradients = accumulated.take(&model, clip);
            assert_eq!(accumulated.batches(), 0);
            let mut values = Values(&gradients, vec![]);
            model.visit(&mut values);
            values.1
        };
        let mean = take(None);
        assert!(mean.len() > 100 && mean.iter().all(|value| *value == 2.0));
        // The norm is 2 sqrt(n).
        let root = (mean.len() as f64).sqrt();
        assert!(take(Some(1.0)).iter().all(|value| (f64::from(*value) - 1.0 / root).abs() < 1e-6));
        assert!(take(Some(2.1 * root)).iter().all(|value| *value == 2.0));
    }
}
