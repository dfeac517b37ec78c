//! Both forms of a graph give equal programs; numbers are checked by hand.

mod refusals;

use prost::Message;
use tract_onnx::pb::ModelProto;

use super::super::executor::{Executor, Exit, Prepared};
use super::*;
use crate::inference::backend::Frame;
use crate::inference::kernel::Kernel;
use tract_onnx::pb::{AttributeProto, GraphProto, tensor_proto::DataType, type_proto};
use unet_test_support::quantized_onnx::{self, Conv, Graph, int};

fn read(model: &[u8]) -> GraphProto {
    ModelProto::decode(model).unwrap().graph.unwrap()
}

/// 2 channels out of 3 by 3x3, with ReLU's zero point.
fn conv_3x3() -> Conv {
    Conv {
        shape: [2, 3, 3, 3],
        weights: (0..54).map(|index| index * 5 - 127).map(|weight: i32| weight as i8).collect(),
        weight_scales: vec![0.01, 0.007],
        bias: vec![-700, 41],
        pads: [1; 4],
        x: (0.02, 7),
        y: (0.3, 0),
    }
}

const X: [usize; 4] = [1, 3, 4, 4];
const Y: [usize; 4] = [1, 2, 4, 4];

/// [`conv_3x3`] in pairs, from `x` to `y`.
fn pairs() -> GraphProto {
    read(&Graph::new("x", X).conv_pairs("x", "y", &conv_3x3(), false).finish("y", Y))
}

/// What is covered, by what tract would know of the graph's input and of `facts`, N, C, H, W of f32.
fn extraction(
    graph: &GraphProto,
    shape: [usize; 4],
    output: &str,
    facts: &[(&str, [usize; 4])],
) -> Result<Extraction, NotCovered> {
    let input = &graph.input[0];
    let element = match input.r#type.as_ref().and_then(|kind| kind.value.as_ref()) {
        Some(type_proto::Value::TensorType(tensor)) if tensor.elem_type == DataType::Float as i32 => Element::F32,
        Some(type_proto::Value::TensorType(tensor)) if tensor.elem_type == DataType::Int8 as i32 => Element::I8,
        _ => Element::U8,
    };
    let facts = facts.iter().map(|&(name, shape)| (name, shape, Element::F32));
    let mut facts = Facts::of_shapes(facts.chain([(input.name.as_str(), shape, element)]));
    let simplified = Simplified::new(graph, &facts, &input.name)?;
    facts.name_aliases(simplified.aliases());
    extract(&simplified, &facts, output)
}

/// The program of a graph that is wholly covered, or its first node that is not.
fn program(graph: &GraphProto, shape: [usize; 4], output: &str) -> Result<Program, NotCovered> {
    let Extraction { program, outside } = extraction(graph, shape, output, &[])?;
    NotCovered::first_of(&outside).cloned().map_or(Ok(program), Err)
}

/// What two forms of one net have in common: all but names.
fn nameless(mut program: Program) -> Program {
    program.tensors.iter_mut().for_each(|tensor| tensor.name.clear());
    program.steps.iter_mut().for_each(|step| step.node.clear());
    program
}

/// The `N` bytes of the quantized output, whatever is made of them behind it.
fn run<const N: usize>(graph: &GraphProto, shape: [usize; 4], frame: Frame<'_>) -> [u8; N] {
    let prepared = Prepared::new(program(graph, shape, "y").unwrap(), Kernel::Scalar).unwrap();
    let [_, height, width] = prepared.program.tensors[prepared.program.output.unwrap()].shape;
    let mut executor = Executor::new(&prepared, 1).unwrap();
    executor.run(&prepared, 0, |_| frame, &mut [], &mut vec![0; height * width]);
    let mut found = [0; N];
    executor.logits(&prepared, &mut found);
    found
}

/// Runs a graph from u8 to `N` bytes.
fn bytes<const N: usize>(graph: &GraphProto, shape: [usize; 4], frame: &[u8]) -> [u8; N] {
    run(graph, shape, Frame::Bytes(frame))
}

#[test]
fn both_forms_of_a_convolution_are_one_program() {
    for y_zero_point in [0, 128] {
        let conv = Conv { y: (0.3, y_zero_point), ..conv_3x3() };
        let integers = read(&Graph::new("x", X).conv("x", "y", &conv).finish("y", Y));
        let integers = nameless(program(&integers, X, "y").unwrap());
        for relu in [false, true] {
            let pairs = read(&Graph::new("x", X).conv_pairs("x", "y", &conv, relu).finish("y", Y));
            let mut expected = integers.clone();
            if let Operator::Conv(conv) = &mut expected.steps[0].operator {
                conv.clamp[0] = if relu { y_zero_point } else { 0 };
            }
            assert_eq!(nameless(program(&pairs, X, "y").unwrap()), expected, "zero point {y_zero_point}, ReLU {relu}");
        }
    }
}

#[test]
fn both_forms_of_a_small_u_net_are_one_program() {
    let shared = (0.3, 4);
    let one_by_one = |out: usize, inner: usize, x, y| Conv {
        shape: [out, inner, 1, 1],
        weights: vec![3; out * inner],
        weight_scales: vec![0.1; out],
        bias: vec![5; out],
        pads: [0; 4],
        x,
        y,
    };
    let first = one_by_one(2, 4, (0.1, 3), shared);
    let narrow = one_by_one(1, 2, shared, (0.2, 0));
    let quarters = one_by_one(8, 1, (0.2, 0), shared);
    let head = one_by_one(2, 4, shared, (0.5, 90));
    let (x, y) = ([1, 4, 4, 4], [1, 2, 8, 8]);
    let integers = Graph::new("x", x)
        .conv("x", "first", &first)
        .max_pool("first", "pool")
        .conv("pool", "narrow", &narrow)
        .conv("narrow", "quarters", &quarters)
        .depth_to_space("quarters", "up", "DCR")
        .concat(["up", "first"], "joined")
        .resize("joined", "large", "asymmetric", "floor")
        .conv("large", "y", &head)
        .finish("y", y);
    // The pool and the concatenation read one DequantizeLinear.
    let pairs = Graph::new("x", x)
        .conv_pairs("x", "first", &first, false)
        .dequantize("first", "first.real", shared)
        .max_pool("first.real", "pool.real")
        .quantize("pool.real", "pool", shared)
        .conv_pairs("pool", "narrow", &narrow, true)
        .conv_pairs("narrow", "quarters", &quarters, false)
        .dequantize("quarters", "quarters.real", shared)
        .depth_to_space("quarters.real", "up.real", "DCR")
        .quantize("up.real", "up", shared)
        .dequantize("up", "up.again", shared)
        .concat(["up.again", "first.real"], "joined.real")
        .quantize("joined.real", "joined", shared)
        .dequantize("joined", "joined.again", shared)
        .resize("joined.again", "large.real", "asymmetric", "floor")
        .quantize("large.real", "large", shared)
        .conv_pairs("large", "y", &head, false)
        .finish("y", y);
    let [integers, pairs] = [integers, pairs].map(|model| nameless(program(&read(&model), x, "y").unwrap()));
    assert_eq!(integers.steps.len(), 8);
    assert_eq!(pairs, integers);
}

#[test]
fn f32_ends_and_a_relu_by_hand() {
    // 0.5 and -1 at 0.25 around 10 are 12 and 6. Sums (12 - 10) * 2 + 3 = 7 and (6 - 10) * 2 + 3 = -5, each 0.25 * 0.5.
    // 0.875 / 0.25 = 3.5 goes to 4, -2.5 to -2 or by the ReLU to 0; around 100.
    let conv = Conv {
        shape: [1, 1, 1, 1],
        weights: vec![2],
        weight_scales: vec![0.5],
        bias: vec![3],
        pads: [0; 4],
        x: (0.25, 10),
        y: (0.25, 100),
    };
    let shape = [1, 1, 1, 2];
    for (relu, expected) in [(false, [104, 98]), (true, [104, 100])] {
        let graph = Graph::new_as("x", shape, DataType::Float).quantize("x", "q", conv.x);
        let graph = graph.conv_pairs("q", "c", &conv, relu).dequantize("c", "y", conv.y);
        let graph = read(&graph.finish_as("y", shape, DataType::Float, 13));
        assert_eq!(run(&graph, shape, Frame::Floats(&[0.5, -1.0])), expected);
    }
}

#[test]
fn parts_of_other_scales_pass_a_table_and_equal_ones_do_not() {
    // At 0.5 around 1, the bytes 4, 6 and 0 are 1.5, 2.5 and -0.5: to 2, 2 and -0, around 3. At 1 around 3 they stay.
    let (half, whole) = ((0.5, 1), (1.0, 3));
    let (x, y) = ([1, 1, 1, 3], [1, 2, 1, 3]);
    let graph = Graph::new("x", x).dequantize("x", "a", half).dequantize("x", "b", whole);
    let graph = read(&graph.concat(["a", "b"], "c").quantize("c", "y", whole).finish("y", y));
    assert_eq!(bytes(&graph, x, &[4, 6, 0]), [5, 5, 3, 4, 6, 0]);
    let steps = program(&graph, x, "y").unwrap().steps;
    let operators: Vec<_> = steps.iter().map(|step| step.operator.name()).collect();
    assert_eq!(operators, ["DequantizeLinear, QuantizeLinear", "Concat"]);
}

#[test]
fn a_move_to_another_scale_moves_and_maps() {
    // The largest is 200, at 0.5 around 100 that is 50, at 0.25 around 0 it is 200 again; then 80 at 1 around 30.
    let shape = [1, 1, 2, 2];
    let graph = Graph::new("x", shape).dequantize("x", "a", (0.5, 100)).max_pool("a", "b");
    let graph = read(&graph.quantize("b", "y", (1.0, 30)).finish("y", [1, 1, 1, 1]));
    assert_eq!(bytes(&graph, shape, &[1, 2, 200, 4]), [80]);
}

/// A signed tensor without a zero point has the zero point 0, which is 128 here.
#[test]
fn signed_bytes_without_a_zero_point_are_themselves() {
    let shape = [1, 1, 2, 2];
    let mut graph = Graph::new_as("x", shape, DataType::Int8);
    graph.constant("scale", DataType::Float, &[], 0.5f32.to_le_bytes().to_vec());
    graph.constant("zero", DataType::Int8, &[], vec![0]);
    let graph = graph.node("DequantizeLinear", &["x", "scale"].map(str::to_owned), "a", Vec::new());
    let graph =
        graph.max_pool("a", "b").node("QuantizeLinear", &["b", "scale", "zero"].map(str::to_owned), "y", Vec::new());
    let graph = read(&graph.finish_as("y", [1, 1, 1, 1], DataType::Int8, 13));
    let program = program(&graph, shape, "y").unwrap();
    assert_eq!((program.steps.len(), program.tensors[program.output.unwrap()].signed), (1, true));
    let frame = [-3i8, -9, -128, -5].map(|value| value as u8);
    assert_eq!(bytes(&graph, shape, &frame), [-3i8 as u8]);
    // To u8 the same reals need another byte each: the type counts as well as the table.
    let model = Graph::new_as("x", shape, DataType::Int8).dequantize("x", "a", (0.5, 3)).quantize("a", "y", (0.5, 3));
    let graph = read(&model.finish("y", shape));
    assert_eq!(refusal(&graph, shape), "node a.node (DequantizeLinear): zero point: expected the type of x");
}

fn refusal(graph: &GraphProto, shape: [usize; 4]) -> String {
    program(graph, shape, "y").unwrap_err().to_string()
}

fn check_refusal(change: impl FnOnce(&mut GraphProto), expected: &str) {
    let mut graph = pairs();
    change(&mut graph);
    assert_eq!(refusal(&graph, X), expected);
}

#[test]
fn classes_are_those_of_the_logits_before_an_arg_max() {
    let shape = [1, 3, 1, 2];
    let axis = |value| vec![int("axis", value), int("keepdims", 0)];
    let from = |of: &str, value| {
        Graph::new("x", shape).dequantize("x", "a", (0.5, 3)).node("ArgMax", &[of.to_owned()], "y", axis(value))
    };
    for of in ["x", "a"] {
        let graph =
            read(&from(of, 1).conv("x", "unread", &conv_3x3()).finish_as("y", [1, 1, 1, 2], DataType::Int64, 13));
        assert_eq!(refusal(&graph, shape), "node y (output): expected quantized operators before it, found none");
    }
    let graph = read(&from("x", 2).finish_as("y", [1, 3, 1, 2], DataType::Int64, 13));
    assert_eq!(refusal(&graph, shape), "node y.node (ArgMax): axis: expected 1, found 2");
    let conv = Conv {
        shape: [2, 3, 1, 1],
        weights: vec![1, 0, 0, 0, 1, 0],
        weight_scales: vec![1.0; 2],
        bias: vec![0; 2],
        pads: [0; 4],
        x: (1.0, 0),
        y: (1.0, 0),
    };
    let graph = Graph::new("x", shape).conv("x", "c", &conv).node("ArgMax", &["c".to_owned()], "y", axis(-3));
    let graph = read(&graph.finish_as("y", [1, 1, 1, 2], DataType::Int64, 13));
    let prepared = Prepared::new(program(&graph, shape, "y").unwrap(), Kernel::Scalar).unwrap();
    let mut mask = [9; 2];
    let frame = Frame::Bytes(&[90, 10, 20, 200, 0, 0]);
    Executor::new(&prepared, 1).unwrap().run(&prepared, 0, |_| frame, &mut [], &mut mask);
    assert_eq!(mask, [0, 1]);
}

/// A 1x1 convolution of one channel that keeps its bytes.
fn identity(quantization: (f32, u8)) -> Conv {
    Conv {
        shape: [1, 1, 1, 1],
        weights: vec![1],
        weight_scales: vec![1.0],
        bias: vec![0],
        pads: [0; 4],
        x: quantization,
        y: quantization,
    }
}

#[test]
fn constants_of_nodes_identities_and_casts_to_the_same_type_change_nothing() {
    let shape = [1, 1, 2, 2];
    let plain = |graph: Graph| graph.conv_pairs("x", "c", &identity((0.5, 3)), true).dequantize("c", "y", (0.5, 3));
    let expected = read(&plain(Graph::new("x", shape)).finish_as("y", shape, DataType::Float, 13));
    let mut graph = plain(Graph::new("x", shape));
    graph = graph.node("Identity", &["y".to_owned()], "z", Vec::new());
    graph = graph.node("Cast", &["z".to_owned()], "end", vec![int("to", 1)]);
    let mut graph = read(&graph.finish_as("end", shape, DataType::Float, 13));
    let constants = std::mem::take(&mut graph.initializer).into_iter().map(|mut tensor| {
        let output = vec![std::mem::take(&mut tensor.name)];
        let value = AttributeProto { name: "value".to_owned(), t: Some(tensor), ..AttributeProto::default() };
        NodeProto { op_type: "Constant".to_owned(), output, attribute: vec![value], ..NodeProto::default() }
    });
    graph.node.splice(0..0, constants.collect::<Vec<_>>());
    let found = extraction(&graph, shape, "end", &[("z", shape)]).unwrap();
    assert_eq!(found, extraction(&expected, shape, "y", &[]).unwrap());
    assert_eq!(found.outside, []);
}

#[test]
fn functions_of_one_value_become_tables() {
    // At 0.5 around 4, the bytes 0, 4, 6 and 24 are -2, 0, 1 and 10.
    let shape = [1, 1, 1, 4];
    let through = |operator: &str, inputs: &[&str], attributes| {
        let mut graph = Graph::new("x", shape);
        for (name, value) in [("zero", 0.0f32), ("six", 6.0)] {
            graph.constant(name, DataType::Float, &[], value.to_le_bytes().to_vec());
        }
        let graph = graph.dequantize("x", "a", (0.5, 4));
        let inputs: Vec<String> = inputs.iter().map(|&name| name.to_owned()).collect();
        let graph = graph.node(operator, &inputs, "b", attributes).quantize("b", "y", (0.5, 10));
        bytes::<4>(&read(&graph.finish("y", shape)), shape, &[0, 4, 6, 24])
    };
    assert_eq!(through("Relu", &["a"], Vec::new()), [10, 10, 12, 30]);
    assert_eq!(through("Clip", &["a", "zero", "six"], Vec::new()), [10, 10, 12, 22]);
    assert_eq!(through("Clip", &["a", "", "six"], Vec::new()), [6, 10, 12, 22]);
    let alpha = AttributeProto { name: "alpha".to_owned(), f: 0.25, ..AttributeProto::default() };
    // -2 becomes -0.5, one step below.
    assert_eq!(through("LeakyRelu", &["a"], vec![alpha]), [9, 10, 12, 30]);
}

/// A ReLU that the file has behind the convolution's QuantizeLinear, on signed bytes around 0.
#[test]
fn a_table_that_only_clamps_is_done_by_the_convolution() {
    let shape = [1, 1, 1, 3];
    let graph = Graph::new("x", shape).conv_pairs("x", "c", &identity((0.5, 100)), false);
    let graph = graph.dequantize("c", "d", (0.5, 100)).node("Relu", &["d".to_owned()], "e", Vec::new());
    let graph = read(&graph.quantize("e", "y", (0.5, 100)).finish("y", shape));
    let prepared = Prepared::new(program(&graph, shape, "y").unwrap(), Kernel::Scalar).unwrap();
    assert_eq!(prepared.program.steps.len(), 1);
    assert_eq!(bytes(&graph, shape, &[3, 100, 107]), [100, 100, 107]);
}

/// `x` through a convolution to `a`; the larger of `a` and itself in f32 to `sum`; a convolution of that to `b`; `a` and `b` joined to `y`.
fn residual() -> GraphProto {
    let shape = [1, 1, 2, 2];
    let (half, whole) = ((0.5, 0), (1.0, 0));
    let graph = Graph::new("x", shape)
        .conv_pairs("x", "a", &identity(half), false)
        .dequantize("a", "a.real", half)
        .node("Max", &["a.real", "a.real"].map(str::to_owned), "sum", Vec::new())
        .quantize("sum", "sum.bytes", whole)
        .conv_pairs("sum.bytes", "b", &identity(whole), false)
        .dequantize("b", "b.real", whole)
        .concat(["a.real", "b.real"], "joined")
        .quantize("joined", "y", whole);
    read(&graph.finish("y", [1, 2, 2, 2]))
}

#[test]
fn what_is_covered_around_a_node_that_is_not_becomes_two_parts() {
    let shape = [1, 1, 2, 2];
    let Extraction { program, outside } = extraction(&residual(), shape, "y", &[("sum", shape)]).unwrap();
    let reason = "expected an operator that the integer engine has".to_owned();
    let (node, operator) = ("sum.node".to_owned(), "Max".to_owned());
    assert_eq!(outside, [NotCovered { node, operator, reason, is_cause: true }]);
    let steps: Vec<_> = program.steps.iter().map(|step| (step.operator.name(), step.part)).collect();
    // The table that brings `a` to the scale of the joined tensor needs nothing of the second part.
    let table = "DequantizeLinear, QuantizeLinear";
    assert_eq!(steps, [("QLinearConv", 0), (table, 0), ("QLinearConv", 1), ("Concat", 1)]);
    let names = |boundaries: &[Boundary]| boundaries.iter().map(|one| one.name.clone()).collect::<Vec<_>>();
    let parts: Vec<_> = program.parts.iter().map(|part| (names(&part.entries), names(&part.exits))).collect();
    let list = |name: &str| vec![name.to_owned()];
    assert_eq!(parts, [(list("x"), list("a.real")), (list("sum"), vec![])]);
    assert_eq!(program.parts[0].exits[0].form, Form::Floats(Quantization { scale: 0.5, zero_point: 0 }));
    assert_eq!(program.output, Some(program.tensors.len() - 1));
}

#[test]
fn an_addition_is_one_step_with_its_relu() {
    let shape = [1, 1, 1, 4];
    let graph = |relu: bool| {
        let graph = Graph::new("x", shape)
            .conv_pairs("x", "a", &identity((0.5, 10)), false)
            .dequantize("a", "a.real", (0.5, 10))
            .dequantize("x", "x.real", (0.25, 0))
            .node("Add", &["a.real", "x.real"].map(str::to_owned), "sum", Vec::new());
        let (graph, sum) = match relu {
            true => (graph.node("Relu", &["sum".to_owned()], "cut", Vec::new()), "cut"),
            false => (graph, "sum"),
        };
        read(&graph.quantize(sum, "y", (1.0, 100)).finish("y", shape))
    };
    // a = (q - 10) / 2, x = q / 4: 3/4 q - 5, halves to the even neighbour.
    let bytes = [0, 2, 10, 30];
    assert_eq!(run(&graph(false), shape, Frame::Bytes(&bytes)), [95, 96, 102, 118]);
    assert_eq!(run(&graph(true), shape, Frame::Bytes(&bytes)), [100, 100, 102, 118]);
    let names: Vec<_> = program(&graph(true), shape, "y").unwrap().steps.iter().map(|s| s.operator.name()).collect();
    assert_eq!(names, ["QLinearConv", "Add"]);
}

#[test]
fn a_transposed_convolution_of_2x2_is_pointwise_with_depth_to_space() {
    let shape = [1, 1, 1, 2];
    let mut graph = Graph::new("x", shape).dequantize("x", "x.real", (0.5, 1));
    graph.constant("weight", DataType::Int8, &[1, 1, 2, 2], vec![1, 2, 3, 4]);
    graph.constant("weight.scale", DataType::Float, &[1], 1f32.to_le_bytes().to_vec());
    let transposed = |graph: Graph, attributes: &[(&str, &[usize])]| {
        let attributes = attributes.iter().map(|(name, values)| quantized_onnx::ints(name, values)).collect();
        let graph = graph
            .node("DequantizeLinear", &["weight", "weight.scale"].map(str::to_owned), "weight.real", Vec::new())
            .node("ConvTranspose", &["x.real", "weight.real"].map(str::to_owned), "sums", attributes)
            .quantize("sums", "y", (0.5, 10));
        read(&graph.finish("y", [1, 1, 2, 4]))
    };
    let found = transposed(graph, &[("strides", &[2, 2]), ("kernel_shape", &[2, 2])]);
    let names: Vec<_> = program(&found, shape, "y").unwrap().steps.iter().map(|s| s.operator.name()).collect();
    assert_eq!(names, ["QLinearConv", "DepthToSpace"]);
    // Values 1 and 3 in halves, less the zero point; each becomes its four products.
    assert_eq!(run(&found, shape, Frame::Bytes(&[2, 4])), [11, 12, 13, 16, 13, 14, 19, 22]);
}

#[test]
fn an_addition_of_other_than_two_activations_of_one_shape_is_left_to_tract() {
    let shape = [1, 1, 2, 2];
    let mut graph =
        Graph::new("x", shape).conv_pairs("x", "a", &identity((0.5, 0)), false).dequantize("a", "a.real", (0.5, 0));
    graph.constant("one", DataType::Float, &[1], 1f32.to_le_bytes().to_vec());
    let graph =
        graph.node("Add", &["a.real", "one"].map(str::to_owned), "sum", Vec::new()).quantize("sum", "y", (0.5, 0));
    let error = program(&read(&graph.finish("y", shape)), shape, "y").unwrap_err().to_string();
    assert_eq!(error, "node sum.node (Add): operand one: expected an 8-bit activation, or one dequantized");
}

#[test]
fn a_tensor_stays_between_parts_while_what_tract_reads_leaves() {
    let shape = [1, 1, 2, 2];
    let program = extraction(&residual(), shape, "y", &[("sum", shape)]).unwrap().program;
    let prepared = Prepared::new(program, Kernel::Scalar).unwrap();
    let mut executor = Executor::new(&prepared, 2).unwrap();
    let (mut sum, mut mask) = ([0.0; 4], [9; 4]);
    executor.run(&prepared, 0, |_| Frame::Bytes(&[1, 2, 3, 8]), &mut [Exit::Floats(&mut sum)], &mut []);
    assert_eq!(sum, [0.5, 1.0, 1.5, 4.0]);
    let sum = sum.map(|value| 2.0 * value);
    executor.run(&prepared, 1, |_| Frame::Floats(&sum), &mut [], &mut mask);
    let mut logits = [0; 8];
    executor.logits(&prepared, &mut logits);
    // 0.5 and 1.5 go to the even neighbour.
    assert_eq!(logits, [0, 1, 2, 4, 1, 2, 3, 8]);
    assert_eq!(mask, [1; 4]);
}

#[test]
fn sums_that_tract_reads_are_left_to_it_with_what_makes_them() {
    let shape = [1, 1, 2, 2];
    let graph = Graph::new("x", shape)
        .conv_pairs("x", "a", &identity((0.5, 0)), false)
        .conv_pairs("a", "b", &identity((0.5, 0)), false)
        .node("Sigmoid", &["b.linear".to_owned()], "y", Vec::new());
    let graph = read(&graph.finish_as("y", shape, DataType::Float, 13));
    let Extraction { program, outside } = extraction(&graph, shape, "y", &[]).unwrap();
    assert_eq!((program.steps.len(), program.output, program.parts[0].exits[0].name.as_str()), (1, None, "b.x"));
    let outside: Vec<_> = outside.iter().map(ToString::to_string).collect();
    assert_eq!(
        outside,
        [
            "node b.linear.node (Conv): expected a reader that is covered, found y.node (Sigmoid)",
            "node y.node (Sigmoid): expected an operator that the integer engine has",
        ]
    );
}

#[test]
fn data_movement_between_nodes_of_tract_stays_with_tract() {
    let shape = [1, 1, 4, 4];
    let graph = Graph::new("x", shape)
        .conv_pairs("x", "a", &identity((0.5, 0)), false)
        .dequantize("a", "a.real", (0.5, 0))
        .node("Sigmoid", &["a.real".to_owned()], "b", Vec::new())
        .quantize("b", "c", (0.1, 0))
        .dequantize("c", "d", (0.1, 0))
        .max_pool("d", "e")
        .node("Sigmoid", &["e".to_owned()], "y", Vec::new());
    let graph = read(&graph.finish_as("y", [1, 1, 2, 2], DataType::Float, 13));
    let Extraction { program, outside } = extraction(&graph, shape, "y", &[("b", shape)]).unwrap();
    assert_eq!((program.parts.len(), program.steps.len()), (1, 1));
    let operators: Vec<_> = outside.iter().map(|node| node.operator.as_str()).collect();
    assert_eq!(operators, ["Sigmoid", "QuantizeLinear", "DequantizeLinear", "MaxPool", "Sigmoid"]);
    assert_eq!(outside[1].reason, TOO_SMALL);
}

#[test]
fn nodes_out_of_order_are_refused() {
    check_refusal(
        |graph| graph.node.reverse(),
        "node y.node (QuantizeLinear): operand y.linear: expected one that an earlier node makes",
    );
}
