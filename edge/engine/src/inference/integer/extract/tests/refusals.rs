//! Graphs that the engine refuses, with each reason.

use super::*;

fn node<'a>(graph: &'a mut GraphProto, output: &str) -> &'a mut NodeProto {
    graph.node.iter_mut().find(|node| node.output[0] == output).unwrap()
}

fn set_constant(graph: &mut GraphProto, name: &str, kind: DataType, shape: &[i64], raw_data: Vec<u8>) {
    let tensor = graph.initializer.iter_mut().find(|tensor| tensor.name == name).unwrap();
    (tensor.data_type, tensor.dims, tensor.raw_data) = (kind as i32, shape.to_vec(), raw_data);
}

#[track_caller]
fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[test]
fn a_bias_in_other_steps_than_the_sums_is_refused() {
    let scale = |values: [f32; 2]| {
        move |graph: &mut GraphProto| set_constant(graph, "y.bias_scale", DataType::Float, &[2], floats(&values))
    };
    let (one, two) = (0.02 * 0.01, 0.02 * 0.007f32);
    // A scale that is off by one f32 step is accepted.
    let mut graph = pairs();
    scale([one, two.next_up()])(&mut graph);
    assert_eq!(program(&graph, X, "y"), program(&pairs(), X, "y"));
    check_refusal(
        scale([one, 2.0 * two]),
        "node y.linear.node (Conv): y.bias_scale: expected x_scale * w_scale 1.4e-4, found \
         2.8e-4 for output channel 1",
    );
    check_refusal(
        scale([one, f32::NAN]),
        "node y.linear.node (Conv): y.bias_scale: expected x_scale * w_scale 1.4e-4, found NaN for \
         output channel 1",
    );
    check_refusal(
        |graph| set_constant(graph, "y.bias_scale", DataType::Float, &[1, 2], floats(&[one, two])),
        "node y.linear.node (Conv): y.bias_scale: expected values along axis 0, found [1, 2] along axis 0",
    );
    check_refusal(
        |graph| {
            let mut zeros = graph.initializer[2].clone();
            zeros.name = "zeros".to_owned();
            graph.initializer.push(zeros);
            node(graph, "y.b").input.push("zeros".to_owned());
            set_constant(graph, "zeros", DataType::Int32, &[2], [0i32, 1].map(i32::to_le_bytes).concat());
        },
        "node y.linear.node (Conv): zeros: expected 0 for a bias, found 1",
    );
    check_refusal(
        |graph| {
            let bias = floats(&[0.5, 1.0]);
            set_constant(graph, "y.bias", DataType::Float, &[2], bias);
            node(graph, "y.linear").input[2] = "y.bias".to_owned();
        },
        "node y.linear.node (Conv): operand y.bias: expected a constant that DequantizeLinear makes f32",
    );
    check_refusal(
        |graph| {
            set_constant(graph, "y.bias", DataType::Int32, &[1], vec![0; 4]);
        },
        "node y.linear.node (Conv): bias: expected 2 values, found 1",
    );
}

#[test]
fn weights_that_are_no_dequantized_constant_by_output_channel_are_refused() {
    check_refusal(
        |graph| node(graph, "y.linear").input[1] = "y.x".to_owned(),
        "node y.linear.node (Conv): operand y.x: expected a constant that DequantizeLinear makes f32",
    );
    check_refusal(
        |graph| node(graph, "y.w").attribute = vec![int("axis", 1)],
        "node y.linear.node (Conv): y.weight_scale: expected values along axis 0, found [2] along axis 1",
    );
    check_refusal(
        |graph| node(graph, "y.w").attribute.clear(),
        "node y.linear.node (Conv): y.weight_scale: expected values along axis 0, found [2] along axis 1",
    );
    check_refusal(
        |graph| set_constant(graph, "y.weight", DataType::Int32, &[2, 3, 3, 3], vec![0; 216]),
        "node y.linear.node (Conv): y.weight: expected 8-bit values, found type 6",
    );
    // Along the last axis from behind it is the same one.
    let mut graph = pairs();
    node(&mut graph, "y.w").attribute = vec![int("axis", -4)];
    assert_eq!(program(&graph, X, "y"), program(&pairs(), X, "y"));
}

#[test]
fn a_convolution_beyond_the_engines_is_refused_in_this_form_too() {
    check_refusal(
        |graph| node(graph, "y.linear").attribute.push(int("group", 3)),
        "node y.linear.node (Conv): group: expected a divisor of 2 channels, found 3",
    );
    check_refusal(
        |graph| node(graph, "y.linear").attribute.push(quantized_onnx::ints("dilations", &[0, 2])),
        "node y.linear.node (Conv): dilations: expected 1 to 255, found [0, 2]",
    );
    check_refusal(
        |graph| set_constant(graph, "y.weight_scale", DataType::Float, &[2], floats(&[0.01, 0.0])),
        "node y.linear.node (Conv): y.bias_scale: expected x_scale * w_scale 0e0, found 1.4e-4 for output channel 1",
    );
    check_refusal(
        |graph| {
            set_constant(graph, "y.weight_scale", DataType::Float, &[2], floats(&[0.01, 0.0]));
            node(graph, "y.linear").input.pop();
        },
        "node y.node (QuantizeLinear): scales: expected a finite quotient above zero, found 0",
    );
}

#[test]
fn f32_that_stand_for_no_integers_are_refused() {
    // A convolution of what no DequantizeLinear has made.
    check_refusal(
        |graph| node(graph, "y.linear").input[0] = "x".to_owned(),
        "node y.linear.node (Conv): operand x: expected f32, found 8 bits",
    );
    // A graph that ends before its QuantizeLinear.
    let error = program(&pairs(), X, "y.linear").unwrap_err();
    let reason = "expected a QuantizeLinear behind it, found the graph's output";
    assert_eq!(error.to_string(), format!("node y.linear.node (Conv): {reason}"));
    // What has been quantized already.
    check_refusal(
        |graph| node(graph, "y").input[0] = "x".to_owned(),
        "node y.node (QuantizeLinear): operand x: expected f32 of quantized operators with no other reader",
    );
    let mixed = Graph::new("x", X).dequantize("x", "a", (0.1, 3)).concat(["a", "x"], "b");
    let mixed = read(&mixed.quantize("b", "y", (0.1, 3)).finish("y", X));
    assert_eq!(refusal(&mixed, X), "node b.node (Concat): operand x: expected 4x4 and one type");
    let joined = Graph::new("x", X).dequantize("x", "a", (0.1, 3)).concat(["a", "a"], "b").max_pool("b", "c");
    let joined = read(&joined.quantize("c", "y", (0.1, 3)).finish("y", X));
    assert_eq!(
        refusal(&joined, X),
        "node c.node (MaxPool): operand b: expected an 8-bit activation, or one dequantized"
    );
}

#[test]
fn sums_that_two_nodes_read_are_refused() {
    let reason = "operand c.linear: expected f32 of quantized operators with no other reader";
    let twice = Graph::new("x", X).conv_pairs("x", "c", &conv_3x3(), false).quantize("c.linear", "d", (0.2, 0));
    let twice = read(&twice.concat(["c", "d"], "y").finish("y", [1, 4, 4, 4]));
    assert_eq!(refusal(&twice, X), format!("node d.node (QuantizeLinear): {reason}"));
    // Dequantized activations may have any number of readers.
    let shared = Graph::new("x", X).dequantize("x", "a", (0.1, 0)).quantize("a", "b", (0.2, 0));
    let shared = read(&shared.quantize("a", "c", (0.3, 0)).concat(["b", "c"], "y").finish("y", [1, 6, 4, 4]));
    assert_eq!(program(&shared, X, "y").unwrap().steps.len(), 3);
}

#[test]
fn scales_of_activations_that_are_no_single_positive_number_are_refused() {
    for (scale, found) in [(0.0, "0"), (-0.5, "-0.5"), (f32::INFINITY, "inf"), (f32::NAN, "NaN")] {
        check_refusal(
            |graph| set_constant(graph, "y.x.scale", DataType::Float, &[], floats(&[scale])),
            &format!("node y.x.node (DequantizeLinear): scale: expected a finite one above zero, found {found}"),
        );
    }
    check_refusal(
        |graph| set_constant(graph, "y.scale", DataType::Float, &[2], floats(&[1.0, 2.0])),
        "node y.node (QuantizeLinear): y.scale: expected 1 value, found 2",
    );
}

#[test]
fn a_node_that_makes_a_constant_or_the_input_anew_is_refused() {
    for name in ["y.scale", "x"] {
        check_refusal(
            |graph| {
                node(graph, "y.linear").output[0] = name.to_owned();
                node(graph, "y").input[0] = name.to_owned();
            },
            &format!("node y.linear.node (Conv): output {name}: expected a name of its own"),
        );
    }
    // An f32 input that has been read counts as well.
    let again = Graph::new_as("x", X, DataType::Float).quantize("x", "a", (0.1, 0)).dequantize("a", "x", (0.1, 0));
    let again = read(&again.quantize("x", "y", (0.1, 0)).finish("y", X));
    assert_eq!(refusal(&again, X), "node x.node (DequantizeLinear): output x: expected a name of its own");
}

#[test]
fn an_integer_convolution_of_f32_is_refused() {
    let graph = Graph::new("x", X).dequantize("x", "a", (0.02, 7)).conv("a", "y", &conv_3x3());
    let graph = read(&graph.finish("y", Y));
    assert_eq!(refusal(&graph, X), "node y.node (QLinearConv): operand a: expected 8 bits, found f32");
}
