//! Runs an f32 ONNX file with tract, to verify exports and to observe activations for calibration.

use std::sync::Arc;

use tract_onnx::prelude::*;

/// tract failed to load or run an f32 model.
#[derive(Debug, thiserror::Error)]
#[error("tract failed to {action} the f32 model")]
pub struct FloatEngineError {
    action: &'static str,
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

fn failed(action: &'static str) -> impl Fn(TractError) -> FloatEngineError {
    move |error| FloatEngineError { action, source: error.into() }
}

/// An f32 model with one input of a fixed size, and one or more of its tensors as outputs.
#[derive(Debug)]
pub struct FloatEngine {
    state: TypedSimpleState,
    shape: [usize; 4],
}

impl FloatEngine {
    /// Loads `bytes` for an input of `[channels, height, width]`. `outputs` names the tensors to return; if empty, the outputs
    /// that the file declares.
    ///
    /// # Errors
    /// If tract cannot load the file, or an output does not exist.
    pub fn new(bytes: &[u8], input: [usize; 3], outputs: &[&str]) -> Result<Self, FloatEngineError> {
        let shape = [1, input[0], input[1], input[2]];
        let mut model = tract_onnx::onnx().model_for_read(&mut &bytes[..]).map_err(failed("load"))?;
        model.set_input_fact(0, f32::fact(shape).into()).map_err(failed("set the input of"))?;
        if !outputs.is_empty() {
            model.select_outputs_by_name(outputs).map_err(failed("find the outputs of"))?;
        }
        let plan = model.into_optimized().and_then(|m| m.into_runnable()).map_err(failed("plan"))?;
        Ok(Self { state: Arc::new(plan).spawn().map_err(failed("start"))?, shape })
    }

    /// Runs one image, `channels * height * width` values, and returns each output's values, row-major.
    ///
    /// # Errors
    /// If the number of values does not match the input, or tract fails.
    pub fn run(&mut self, image: &[f32]) -> Result<Vec<Vec<f32>>, FloatEngineError> {
        let input = Tensor::from_shape(&self.shape, image).map_err(failed("convert the input of"))?;
        let outputs = self.state.run(tvec!(input.into_tvalue())).map_err(failed("run"))?;
        outputs
            .iter()
            .map(|value| value.try_as_plain_ram().and_then(|view| Ok(view.as_slice::<f32>()?.to_vec())))
            .collect::<TractResult<_>>()
            .map_err(failed("read the outputs of"))
    }
}
