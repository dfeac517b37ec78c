//! Runs ONNX models in stock tract, with its own optimisation and none of the project's operators.

use crate::interpreter::{Fault, Graph};
use crate::tensor::{Data, Tensor};
use std::collections::BTreeMap;
use tract_onnx::prelude::{DatumType, Framework, InferenceModelExt, IntoTValue, TValue, TVec, Tensor as TractTensor};
use tract_onnx::tract_core::internal::IntoRunnable;

/// Runs the encoded model once, and returns its outputs by name.
///
/// # Errors
/// If the bytes are not a model, tract rejects it, or an input is missing.
pub fn run(bytes: &[u8], inputs: &BTreeMap<String, Tensor>) -> Result<BTreeMap<String, Tensor>, Fault> {
    let graph = Graph::from_bytes(bytes)?;
    let tract = |e| Fault::new(format!("tract: {e:#}"));
    let operands = graph.inputs().into_iter().map(|name| {
        let tensor = inputs.get(name).ok_or_else(|| Fault::new(format!("input {name} is missing")))?;
        Ok(to_tract(tensor)?.into_tvalue())
    });
    let operands = operands.collect::<Result<TVec<TValue>, Fault>>()?;
    let model = tract_onnx::onnx().model_for_read(&mut &*bytes).map_err(tract)?;
    let plan = model.into_optimized().and_then(|m| m.into_runnable()).map_err(tract)?;
    let outputs = plan.run(operands).map_err(tract)?;
    let named = graph.outputs().into_iter().zip(&outputs);
    named.map(|(name, value)| Ok((name.to_owned(), from_tract(value)?))).collect()
}

/// The shapes of tensors of the encoded model, in the order of `names`.
///
/// # Errors
/// If the bytes are not a model, tract rejects it or does not find a tensor, or a shape is not four fixed sizes.
pub fn shapes(bytes: &[u8], names: &[&str]) -> Result<Vec<[usize; 4]>, Fault> {
    let tract = |e| Fault::new(format!("tract: {e:#}"));
    let mut model = tract_onnx::onnx().model_for_read(&mut &*bytes).map_err(tract)?;
    model.select_outputs_by_name(names).map_err(tract)?;
    let typed = model.into_typed().map_err(tract)?;
    let shape = |(index, name): (usize, &&str)| {
        let fact = typed.output_fact(index).map_err(tract)?;
        let shape = fact.shape.as_concrete().and_then(|sizes| sizes.try_into().ok());
        shape.ok_or_else(|| Fault::new(format!("tensor {name}: expected four sizes, found {:?}", fact.shape)))
    };
    names.iter().enumerate().map(shape).collect()
}

/// Converts to a tensor of tract.
fn to_tract(tensor: &Tensor) -> Result<TractTensor, Fault> {
    let shape = tensor.shape();
    let converted = match tensor.data() {
        Data::F32(v) => TractTensor::from_shape(shape, v),
        Data::U8(v) => TractTensor::from_shape(shape, v),
        Data::I8(v) => TractTensor::from_shape(shape, v),
        Data::I32(v) => TractTensor::from_shape(shape, v),
        Data::I64(v) => TractTensor::from_shape(shape, v),
    };
    converted.map_err(|e| Fault::new(format!("tract: {e:#}")))
}

/// Converts from a tensor of tract; a quantized one becomes its stored integers.
fn from_tract(tensor: &TractTensor) -> Result<Tensor, Fault> {
    let view = tensor.try_as_plain_ram();
    let data = view.and_then(|v| {
        Ok(match tensor.datum_type().unquantized() {
            DatumType::F32 => Some(Data::F32(v.as_slice::<f32>()?.to_vec())),
            DatumType::U8 => Some(Data::U8(v.as_slice::<u8>()?.to_vec())),
            DatumType::I8 => Some(Data::I8(v.as_slice::<i8>()?.to_vec())),
            DatumType::I32 => Some(Data::I32(v.as_slice::<i32>()?.to_vec())),
            DatumType::I64 => Some(Data::I64(v.as_slice::<i64>()?.to_vec())),
            _ => None,
        })
    });
    let data = data.map_err(|e| Fault::new(format!("tract: {e:#}")))?;
    let data = data.ok_or_else(|| Fault::new(format!("tract returned elements of {:?}", tensor.datum_type())))?;
    Tensor::new(tensor.shape(), data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx_graph::GraphBuilder;
    use tract_onnx::pb::tensor_proto::DataType;

    #[test]
    fn inputs_and_outputs_go_by_name() {
        let mut builder = GraphBuilder::new();
        let like = Tensor::new(&[2], Data::F32(vec![0.0; 2])).unwrap();
        let (a, b) = (builder.input("a", &like), builder.input("b", &like));
        builder.node("cut", "Relu", &[&a], vec![]);
        builder.node("sum", "Add", &[&a, &b], vec![]);
        for name in ["sum", "cut"] {
            builder.output_of(name, DataType::Float);
        }
        let of = |values: [f32; 2]| Tensor::new(&[2], Data::F32(values.to_vec())).unwrap();
        let inputs = BTreeMap::from([("b".to_owned(), of([10.0, 20.0])), ("a".to_owned(), of([-1.0, 2.0]))]);
        let outputs = run(&builder.finish(13), &inputs).unwrap();
        assert_eq!(outputs, BTreeMap::from([("cut".to_owned(), of([0.0, 2.0])), ("sum".to_owned(), of([9.0, 22.0]))]));
    }
}
