//! The stock tract backend: reads the ONNX text of a model, compares its input and output with the manifest, and runs
//! it as tract optimises it. Does not know packages, golden vectors or images.

use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tract_onnx::pb::{GraphProto, ModelProto, ValueInfoProto, tensor_proto, tensor_shape_proto, type_proto};
use tract_onnx::prelude::*;
use unet_shared::manifest::TensorEntry;

use super::{Backend, Description, InferenceError, Source};
use crate::shape;

const NAME: &str = "tract";
/// No tensor of a model that a board runs comes near this; a graph that asks for more is broken or hostile.
const ELEMENTS_MAX: usize = 1 << 30;
/// Below 13, tract reads the inputs of Resize by other numbers than exporters write them; above 18 it is not tested.
const OPERATOR_SETS: RangeInclusive<i64> = 13..=18;

pub(super) struct Tract {
    // One state for all frames: it keeps tract's constants and operator states.
    state: TypedSimpleState,
    shape: [usize; 4],
    left: String,
}

/// A graph that tract has read and typed, and that is the one of the manifest: what every backend begins with.
pub(super) struct Loaded {
    /// Name of the model in messages.
    pub name: String,
    /// The graph as the file has it.
    pub graph: GraphProto,
    /// The same as tract sees it.
    pub typed: TypedModel,
}

impl Loaded {
    /// # Errors
    ///
    /// When the ONNX cannot be read, or when its names, element types and shapes are not the given ones.
    pub(super) fn read(
        name: &str,
        onnx: &[u8],
        input: &TensorEntry,
        output: &TensorEntry,
    ) -> Result<Self, InferenceError> {
        let proto = guarded(|| tract_onnx::onnx().proto_model_for_read(&mut &*onnx))
            .map_err(|source| graph_error(name, "reading", source))?;
        check_interface(&proto, input, output)?;
        let typed = guarded(|| typed_model(&proto, input))
            .map_err(|source| graph_error(name, "typing its operators", source))?;
        check_facts(&typed, output)?;
        // `check_interface` has found one.
        let graph = proto.graph.unwrap_or_default();
        Ok(Loaded { name: name.to_owned(), graph, typed })
    }
}

fn graph_error(model: &str, step: &'static str, source: Source) -> InferenceError {
    InferenceError::Graph { model: model.to_owned(), backend: NAME, step, source }
}

impl Tract {
    /// Takes the whole graph; `left` says why no other backend does.
    ///
    /// # Errors
    ///
    /// When tract cannot optimise the graph.
    pub(super) fn new(loaded: Loaded, shape: [usize; 4], left: String) -> Result<Self, InferenceError> {
        let Loaded { name, typed, .. } = loaded;
        let state = guarded(|| typed.into_optimized()?.into_runnable()?.spawn())
            .map_err(|source| graph_error(&name, "optimising", source))?;
        Ok(Tract { state, shape, left })
    }
}

impl Backend for Tract {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kernel(&self) -> &'static str {
        NAME
    }

    fn threads(&self) -> usize {
        1
    }

    fn describe(&self) -> Description {
        Description {
            engine: NAME,
            kernel: NAME,
            threads: 1,
            nodes: Vec::new(),
            arena_bytes: None,
            weight_bytes: None,
            left_to_tract: Some(self.left.clone()),
        }
    }

    fn run(&mut self, input: &[u8], logits: &mut [u8]) -> Result<(), InferenceError> {
        let (state, shape) = (&mut self.state, &self.shape);
        guarded(|| {
            let outputs = state.run(tvec!(Tensor::from_shape(shape, input)?.into()))?;
            let found =
                outputs.first().ok_or_else(|| TractError::msg("the graph gave no output"))?.try_as_plain_ram()?;
            let found = found.as_slice::<u8>()?;
            ensure_len(found.len(), logits.len())?;
            logits.copy_from_slice(found);
            Ok(())
        })
        .map_err(|source| InferenceError::Run { backend: NAME, source })
    }
}

fn ensure_len(found: usize, expected: usize) -> TractResult<()> {
    if found == expected { Ok(()) } else { Err(TractError::msg(format!("expected {expected} logits, found {found}"))) }
}

/// Runs tract code and turns a panic inside it into an error: its loader indexes and unwraps on some broken graphs, and
/// a broken graph must not end the program.
pub(super) fn guarded<T>(work: impl FnOnce() -> TractResult<T>) -> Result<T, Source> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(Into::into),
        Err(panic) => {
            let text = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("no message");
            Err(format!("panic inside tract: {text}").into())
        }
    }
}

fn typed_model(proto: &ModelProto, input: &TensorEntry) -> TractResult<TypedModel> {
    let fact = InferenceFact::dt_shape(u8::datum_type(), input.shape);
    tract_onnx::onnx().model_for_proto_model(proto)?.with_input_fact(0, fact)?.into_typed()
}

/// Compares what the graph declares with the manifest, before tract touches any of it.
fn check_interface(proto: &ModelProto, input: &TensorEntry, output: &TensorEntry) -> Result<(), InferenceError> {
    let Some(graph) = &proto.graph else {
        return Err(mismatch("a graph", "with nodes".to_owned(), "none".to_owned()));
    };
    let operator_sets = proto.opset_import.iter().filter(|set| matches!(set.domain.as_str(), "" | "ai.onnx"));
    let versions: Vec<_> = operator_sets.map(|set| set.version).collect();
    if !matches!(versions.as_slice(), [version] if OPERATOR_SETS.contains(version)) {
        let expected = format!("of version {} to {}", OPERATOR_SETS.start(), OPERATOR_SETS.end());
        let found: Vec<_> = versions.iter().map(ToString::to_string).collect();
        return Err(mismatch(
            "an operator set",
            expected,
            if found.is_empty() { "none".to_owned() } else { found.join(", ") },
        ));
    }
    // Old exporters list constants among the inputs.
    let is_constant = |name: &str| graph.initializer.iter().any(|tensor| tensor.name == name);
    let inputs: Vec<_> = graph.input.iter().filter(|value| !is_constant(&value.name)).collect();
    let outputs: Vec<_> = graph.output.iter().collect();
    check_value("input", &inputs, input)?;
    check_value("output", &outputs, output)?;
    // tract takes a declared output on trust and panics where no node makes it.
    if !graph.node.iter().any(|node| node.output.contains(&output.name)) {
        return Err(mismatch("a node that makes output", output.name.clone(), "none".to_owned()));
    }
    // Constants in other files would be read from wherever the graph says.
    let external = tensor_proto::DataLocation::External as i32;
    if let Some(tensor) = graph.initializer.iter().find(|tensor| tensor.data_location == Some(external)) {
        return Err(mismatch("constants", "inside the model".to_owned(), format!("{} in another file", tensor.name)));
    }
    Ok(())
}

fn check_value(role: &'static str, found: &[&ValueInfoProto], expected: &TensorEntry) -> Result<(), InferenceError> {
    let &[value] = found else {
        let names: Vec<_> = found.iter().map(|value| value.name.as_str()).collect();
        return Err(mismatch(
            role,
            format!("{} alone", expected.name),
            format!("{} ({})", names.len(), names.join(", ")),
        ));
    };
    if value.name != expected.name {
        return Err(mismatch(role, expected.name.clone(), value.name.clone()));
    }
    let tensor = value.r#type.as_ref().and_then(|kind| kind.value.as_ref());
    let Some(type_proto::Value::TensorType(tensor)) = tensor else {
        return Err(mismatch(role, "of a tensor type".to_owned(), "no type".to_owned()));
    };
    let element = tensor_proto::DataType::try_from(tensor.elem_type);
    if element != Ok(tensor_proto::DataType::Uint8) {
        let found =
            element.map_or_else(|_| tensor.elem_type.to_string(), |element| element.as_str_name().to_lowercase());
        return Err(mismatch(role, format!("{} of uint8", expected.name), found));
    }
    let Some(declared) = &tensor.shape else { return Ok(()) };
    // A dimension that is a name fits any size; tract is given the manifest's.
    let fits = |dimension: &tensor_shape_proto::Dimension, size: usize| match &dimension.value {
        Some(tensor_shape_proto::dimension::Value::DimValue(value)) => usize::try_from(*value) == Ok(size),
        _ => true,
    };
    let same_rank = declared.dim.len() == expected.shape.len();
    if !same_rank || !declared.dim.iter().zip(expected.shape).all(|(dimension, size)| fits(dimension, size)) {
        return Err(mismatch(role, shape::text(&expected.shape), dimensions_text(&declared.dim)));
    }
    Ok(())
}

fn dimensions_text(dimensions: &[tensor_shape_proto::Dimension]) -> String {
    let text = |dimension: &tensor_shape_proto::Dimension| match &dimension.value {
        Some(tensor_shape_proto::dimension::Value::DimValue(value)) => value.to_string(),
        Some(tensor_shape_proto::dimension::Value::DimParam(name)) => name.clone(),
        None => "?".to_owned(),
    };
    dimensions.iter().map(text).collect::<Vec<_>>().join("x")
}

/// Compares what tract inferred, rather than what the file declares, and bounds every tensor of the graph.
fn check_facts(model: &TypedModel, output: &TensorEntry) -> Result<(), InferenceError> {
    for node in model.nodes() {
        for fact in node.outputs.iter().map(|outlet| &outlet.fact) {
            let elements = fact
                .shape
                .as_concrete()
                .and_then(|shape| shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size)));
            if elements.is_none_or(|elements| elements > ELEMENTS_MAX) {
                let found = format!("{:?}", fact.shape);
                return Err(InferenceError::TooLarge { name: node.name.clone(), expected: ELEMENTS_MAX, found });
            }
        }
    }
    let fact = match model.output_fact(0) {
        Ok(fact) => fact,
        Err(error) => return Err(mismatch("output", output.name.clone(), error.to_string())),
    };
    if fact.datum_type.unquantized() != u8::datum_type() {
        return Err(mismatch("output", format!("{} of uint8", output.name), format!("{:?}", fact.datum_type)));
    }
    match fact.shape.as_concrete() {
        Some(found) if *found == output.shape => Ok(()),
        Some(found) => Err(mismatch("output", shape::text(&output.shape), shape::text(found))),
        None => Err(mismatch("output", shape::text(&output.shape), format!("{:?}", fact.shape))),
    }
}

fn mismatch(what: &'static str, expected: String, found: String) -> InferenceError {
    InferenceError::Mismatch { what, expected, found }
}
