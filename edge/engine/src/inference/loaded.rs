//! Reading an ONNX file: tract parses and types it, and its ends are found or compared with a manifest. Every backend begins
//! with the result. Knows nothing of packages, golden vectors or images.

mod quantization;

use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, ValueInfoProto, tensor_proto, tensor_shape_proto, type_proto};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::array::Pad;
use unet_shared::label::CLASSES_MAX;
use unet_shared::manifest::TensorEntry;

use super::backend::{Element, Port};
use super::error::{InferenceError, READING, Source};
use super::expansion::{expand_quantized, without_false_tables};
use crate::shape;

/// tract's name in messages.
pub(super) const TRACT: &str = "tract";
/// No tensor of a model for a board comes near this; a graph that needs more is broken or hostile.
const ELEMENTS_MAX: usize = 1 << 30;
/// Below 13, tract reads the inputs of Resize by other numbers than exporters write them; above 18 it is not tested.
const OPERATOR_SETS: RangeInclusive<i64> = 13..=18;

/// A graph that tract has read and typed, with its input and output: what every backend begins with.
pub(super) struct Loaded {
    /// Name of the model in messages.
    pub name: String,
    /// The graph as the file has it.
    pub graph: GraphProto,
    /// The same as tract sees it.
    pub typed: TypedModel,
    /// Its input.
    pub input: Port,
    /// Its output.
    pub output: Port,
    /// What the file says about itself, as pairs of key and text.
    pub metadata: Vec<(String, String)>,
}

impl Loaded {
    /// The model of a manifest, at the manifest's height and width or at `size`.
    ///
    /// # Errors
    ///
    /// When the ONNX cannot be read, or when its names, element types and shapes are not the given ones.
    pub(super) fn read(
        name: &str,
        onnx: &[u8],
        input: &TensorEntry,
        output: &TensorEntry,
        size: Option<[usize; 2]>,
    ) -> Result<Self, InferenceError> {
        let mut proto = proto(name, onnx)?;
        check_interface(&proto, input, output)?;
        let at_size = |shape: [usize; 4]| size.map_or(shape, |[height, width]| [shape[0], shape[1], height, width]);
        let input = Port { name: input.name.clone(), shape: at_size(input.shape), element: Element::U8 };
        if size.is_some() {
            forget_sizes(&mut proto);
        }
        let typed = typed(name, &mut proto, &input)?;
        let found = check_facts(&typed, output, size.is_none())?;
        let output = Port { name: output.name.clone(), shape: found, element: Element::U8 };
        // `check_interface` has found a graph.
        let metadata = metadata(&mut proto);
        Ok(Loaded { name: name.to_owned(), graph: proto.graph.unwrap_or_default(), typed, input, output, metadata })
    }

    /// A file without a manifest, with the input and output that it has.
    ///
    /// # Errors
    ///
    /// When the ONNX cannot be read, or its input or output is not supported.
    pub(super) fn open(name: &str, onnx: &[u8], size: Option<[usize; 2]>) -> Result<Self, InferenceError> {
        let mut proto = proto(name, onnx)?;
        let input = find_input(name, &proto, size)?;
        if size.is_some() {
            forget_sizes(&mut proto);
        }
        let typed = typed(name, &mut proto, &input)?;
        check_sizes(&typed)?;
        let metadata = metadata(&mut proto);
        let graph = proto.graph.unwrap_or_default();
        let output = find_output(name, &graph, &typed)?;
        Ok(Loaded { name: name.to_owned(), graph, typed, input, output, metadata })
    }
}

pub(super) fn graph_error(model: &str, step: &'static str, source: Source) -> InferenceError {
    InferenceError::Graph { model: model.to_owned(), backend: TRACT, step, source }
}

fn metadata(proto: &mut ModelProto) -> Vec<(String, String)> {
    std::mem::take(&mut proto.metadata_props).into_iter().map(|entry| (entry.key, entry.value)).collect()
}

fn proto(name: &str, onnx: &[u8]) -> Result<ModelProto, InferenceError> {
    let mut proto = guarded(|| tract_onnx::onnx().proto_model_for_read(&mut &*onnx))
        .map_err(|source| graph_error(name, READING, source))?;
    if let Some(graph) = &mut proto.graph {
        expand_quantized(graph);
    }
    Ok(proto)
}

/// The graph as tract sees it. The nodes of `proto` stay as they are.
fn typed(name: &str, proto: &mut ModelProto, input: &Port) -> Result<TypedModel, InferenceError> {
    let element = datum_type(input.element);
    let own = proto.graph.as_mut().map(|graph| {
        let nodes = without_false_tables(graph);
        std::mem::replace(&mut graph.node, nodes)
    });
    let typed = guarded(|| {
        let fact = InferenceFact::dt_shape(element, input.shape);
        tract_onnx::onnx().model_for_proto_model(proto)?.with_input_fact(0, fact)?.into_typed()
    });
    if let (Some(graph), Some(own)) = (&mut proto.graph, own) {
        graph.node = own;
    }
    let typed = typed.map_err(|source| graph_error(name, "typing its operators", source))?;
    check_pads(name, &typed)?;
    Ok(typed)
}

/// tract reads a negative pad, which removes pixels, as a huge one.
fn check_pads(name: &str, typed: &TypedModel) -> Result<(), InferenceError> {
    for node in typed.nodes() {
        let pads = node.op_as::<Pad>().map_or(&[][..], |pad| &pad.pads);
        let negative = pads.iter().flat_map(|&(low, high)| [low, high]).find(|&pad| pad > isize::MAX as usize);
        if let Some(pad) = negative {
            let what = format!("node {} (Pad) with pads of at least 0", node.name);
            return Err(InferenceError::Ends {
                model: name.to_owned(),
                expected: what,
                found: format!(
                    "{}, which crops; export with an input size divisible by 2^depth, for which nothing is cropped",
                    pad as isize
                ),
            });
        }
    }
    Ok(())
}

fn datum_type(element: Element) -> DatumType {
    match element {
        Element::U8 => u8::datum_type(),
        Element::I8 => i8::datum_type(),
        Element::F32 => f32::datum_type(),
        Element::I64 => i64::datum_type(),
    }
}

/// Drops the declared sizes of the output and of the tensors between, so that the graph can run at another size.
fn forget_sizes(proto: &mut ModelProto) {
    let Some(graph) = &mut proto.graph else { return };
    graph.value_info.clear();
    for value in &mut graph.output {
        if let Some(type_proto::Value::TensorType(tensor)) = value.r#type.as_mut().and_then(|kind| kind.value.as_mut())
        {
            tensor.shape = None;
        }
    }
}

/// Runs tract code and turns a panic inside it into an error: its loader indexes and unwraps on some broken graphs, and
/// a broken graph must not end the program.
pub(super) fn guarded<T>(work: impl FnOnce() -> TractResult<T>) -> Result<T, Source> {
    caught(TRACT, work)
}

/// Turns a panic inside `who` into an error.
pub(super) fn caught<T>(who: &str, work: impl FnOnce() -> TractResult<T>) -> Result<T, Source> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(Into::into),
        Err(panic) => {
            let text = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("no message");
            Err(format!("panic inside {who}: {text}").into())
        }
    }
}

/// Something in a file that is not supported.
struct Fault {
    what: &'static str,
    expected: String,
    found: String,
}

impl Fault {
    fn new(what: &'static str, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Fault { what, expected: expected.into(), found: found.into() }
    }

    /// Against a manifest.
    fn mismatch(self) -> InferenceError {
        mismatch(self.what, self.expected, self.found)
    }

    /// Of a file without a manifest.
    fn ends(self, model: &str) -> InferenceError {
        let expected = format!("{} {}", self.what, self.expected);
        InferenceError::Ends { model: model.to_owned(), expected, found: self.found }
    }
}

/// Compares what the graph declares with the manifest, before tract touches any of it.
fn check_interface(proto: &ModelProto, input: &TensorEntry, output: &TensorEntry) -> Result<(), InferenceError> {
    let graph = check_graph(proto).map_err(Fault::mismatch)?;
    check_value("input", &inputs(graph), input)?;
    check_value("output", &graph.output.iter().collect::<Vec<_>>(), output)?;
    check_made(graph, &output.name).map_err(Fault::mismatch)
}

/// Compares the quantization of input and output with the manifest's, as far as the graph states it.
///
/// # Errors
///
/// When the ONNX cannot be read, or a scale or zero point is another one.
pub(super) fn check_quantization(
    name: &str,
    onnx: &[u8],
    input: &TensorEntry,
    output: &TensorEntry,
) -> Result<(), InferenceError> {
    let graph = proto(name, onnx)?.graph.unwrap_or_default();
    quantization::check(&graph, input, output).map_err(Fault::mismatch)
}

/// The graph, if its operator set is supported and it contains all of its constants.
fn check_graph(proto: &ModelProto) -> Result<&GraphProto, Fault> {
    let graph = proto.graph.as_ref().ok_or_else(|| Fault::new("a graph", "with nodes", "none"))?;
    let operator_sets = proto.opset_import.iter().filter(|set| matches!(set.domain.as_str(), "" | "ai.onnx"));
    let versions: Vec<_> = operator_sets.map(|set| set.version).collect();
    if !matches!(versions.as_slice(), [version] if OPERATOR_SETS.contains(version)) {
        let expected = format!("of version {} to {}", OPERATOR_SETS.start(), OPERATOR_SETS.end());
        let found: Vec<_> = versions.iter().map(ToString::to_string).collect();
        let found = if found.is_empty() { "none".to_owned() } else { found.join(", ") };
        return Err(Fault::new("an operator set", expected, found));
    }
    // Constants in other files would be read from any path in the graph.
    let external = tensor_proto::DataLocation::External as i32;
    let attributes = graph.node.iter().flat_map(|node| &node.attribute);
    let mut constants = graph.initializer.iter().chain(attributes.filter_map(|attribute| attribute.t.as_ref()));
    if let Some(tensor) = constants.find(|tensor| tensor.data_location == Some(external)) {
        let found = format!("{} in another file; save the model as one file", tensor.name);
        return Err(Fault::new("constants", "inside the model", found));
    }
    // tract takes the shape and ignores the pads that follow from it.
    let shaped = |node: &&NodeProto| {
        node.op_type == "ConvTranspose" && node.attribute.iter().any(|attribute| attribute.name == "output_shape")
    };
    match graph.node.iter().find(shaped) {
        Some(node) => {
            let name = node.output.first().unwrap_or(&node.name);
            let found = format!("output_shape at the node that makes {name}; export with pads and output_padding");
            Err(Fault::new("a ConvTranspose", "with pads", found))
        }
        None => Ok(graph),
    }
}

/// The inputs that are not constants; old exporters list these too.
fn inputs(graph: &GraphProto) -> Vec<&ValueInfoProto> {
    let is_constant = |name: &str| graph.initializer.iter().any(|tensor| tensor.name == name);
    graph.input.iter().filter(|value| !is_constant(&value.name)).collect()
}

/// tract trusts a declared output and panics if no node makes it.
fn check_made(graph: &GraphProto, output: &str) -> Result<(), Fault> {
    let is_made = graph.node.iter().any(|node| node.output.iter().any(|name| name == output));
    if is_made { Ok(()) } else { Err(Fault::new("a node that makes output", output, "none")) }
}

/// The one input of a file, at `size` or at the size that it declares.
fn find_input(name: &str, proto: &ModelProto, size: Option<[usize; 2]>) -> Result<Port, InferenceError> {
    let fault = |expected: &str, found: String| Fault::new("an input", expected, found).ends(name);
    let graph = check_graph(proto).map_err(|fault| fault.ends(name))?;
    for output in &graph.output {
        check_made(graph, &output.name).map_err(|fault| fault.ends(name))?;
    }
    let inputs = inputs(graph);
    let &[value] = inputs.as_slice() else { return Err(fault("alone", inputs.len().to_string())) };
    let Some(type_proto::Value::TensorType(tensor)) = value.r#type.as_ref().and_then(|kind| kind.value.as_ref()) else {
        return Err(fault("of a tensor type", "no type".to_owned()));
    };
    let element = match tensor_proto::DataType::try_from(tensor.elem_type) {
        Ok(tensor_proto::DataType::Uint8) => Element::U8,
        Ok(tensor_proto::DataType::Int8) => Element::I8,
        Ok(tensor_proto::DataType::Float) => Element::F32,
        Ok(other) => return Err(fault("of uint8, int8 or float", other.as_str_name().to_lowercase())),
        Err(_) => return Err(fault("of uint8, int8 or float", tensor.elem_type.to_string())),
    };
    let dimensions = tensor.shape.as_ref().map_or(&[][..], |shape| shape.dim.as_slice());
    let declared: Vec<Option<usize>> = dimensions
        .iter()
        .map(|dimension| match &dimension.value {
            Some(tensor_shape_proto::dimension::Value::DimValue(value)) => {
                usize::try_from(*value).ok().filter(|&value| value > 0)
            }
            _ => None,
        })
        .collect();
    let shape = match (declared.as_slice(), size) {
        // A batch of any size can be one of 1.
        (&[None | Some(1), Some(channels), _, _], Some([height, width])) => [1, channels, height, width],
        (&[None | Some(1), Some(channels), Some(height), Some(width)], None) => [1, channels, height, width],
        _ => {
            let hint = if is_channels_last(&declared) { CHANNELS_LAST } else { "" };
            let found = dimensions_text(dimensions) + hint;
            return Err(fault("1xCxHxW (--size names H and W)", found));
        }
    };
    if is_channels_last(&declared) {
        return Err(fault("1xCxHxW", dimensions_text(dimensions) + CHANNELS_LAST));
    }
    Ok(Port { name: value.name.clone(), shape, element })
}

/// What a shape with the channels last is told.
const CHANNELS_LAST: &str =
    ", which looks like NHWC; export with the channels first (tf2onnx: --inputs-as-nchw and --outputs-as-nchw)";

/// Whether a declared shape is more likely N, H, W, C than N, C, H, W: the last dimension is a usual number of channels, and the
/// second is open or larger than an image has.
fn is_channels_last(declared: &[Option<usize>]) -> bool {
    let is_side = |dimension: Option<usize>| dimension.is_none_or(|size| size >= 16);
    matches!(declared, &[_, height, width, Some(1 | 3 | 4)] if is_side(height) && is_side(width))
}

/// The one output of a file, as tract has typed it.
fn find_output(name: &str, graph: &GraphProto, typed: &TypedModel) -> Result<Port, InferenceError> {
    let fault = |expected: &str, found: String| Fault::new("an output", expected, found).ends(name);
    let [value] = graph.output.as_slice() else { return Err(fault("alone", graph.output.len().to_string())) };
    let fact = typed.output_fact(0).map_err(|error| fault("that has a type", error.to_string()))?;
    let element = match fact.datum_type.unquantized() {
        DatumType::U8 => Element::U8,
        DatumType::I8 => Element::I8,
        DatumType::F32 => Element::F32,
        DatumType::I64 => Element::I64,
        other => return Err(fault("of uint8, int8, float or int64", format!("{other:?}").to_lowercase())),
    };
    let shape = match (fact.shape.as_concrete(), element) {
        (Some(&[1, height, width] | &[1, 1, height, width]), Element::I64) => [1, 1, height, width],
        (Some(&[1, classes, height, width]), Element::U8 | Element::I8 | Element::F32)
            if (1..=CLASSES_MAX).contains(&classes) =>
        {
            [1, classes, height, width]
        }
        _ => {
            let expected = format!("1xKxHxW of 1 to {CLASSES_MAX} classes, or class ids 1xHxW");
            return Err(fault(&expected, format!("{:?}", fact.shape)));
        }
    };
    Ok(Port { name: value.name.clone(), shape, element })
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

/// Bounds every tensor of the graph.
fn check_sizes(model: &TypedModel) -> Result<(), InferenceError> {
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
    Ok(())
}

/// Compares what tract inferred, rather than what the file declares, and bounds every tensor of the graph. Gives the
/// output's shape, which at another size than the manifest's need only have its classes.
fn check_facts(model: &TypedModel, output: &TensorEntry, exact: bool) -> Result<[usize; 4], InferenceError> {
    check_sizes(model)?;
    let fact = match model.output_fact(0) {
        Ok(fact) => fact,
        Err(error) => return Err(mismatch("output", output.name.clone(), error.to_string())),
    };
    if fact.datum_type.unquantized() != u8::datum_type() {
        return Err(mismatch("output", format!("{} of uint8", output.name), format!("{:?}", fact.datum_type)));
    }
    match fact.shape.as_concrete() {
        Some(found) if *found == output.shape => Ok(output.shape),
        Some(&[batch, classes, height, width]) if !exact && [batch, classes] == output.shape[..2] => {
            Ok([batch, classes, height, width])
        }
        Some(found) => Err(mismatch("output", shape::text(&output.shape), shape::text(found))),
        None => Err(mismatch("output", shape::text(&output.shape), format!("{:?}", fact.shape))),
    }
}

fn mismatch(what: &'static str, expected: String, found: String) -> InferenceError {
    InferenceError::Mismatch { what, expected, found }
}
