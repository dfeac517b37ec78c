//! A graph in pairs of `DequantizeLinear` and `QuantizeLinear` as the integers that it stands for.

use std::collections::{HashMap, HashSet};

use super::Graph;
use crate::tensor::{Data, Tensor};
use tract_onnx::pb::NodeProto;

impl Graph {
    /// The same graph with each `Conv` between pairs as one `QLinearConv` of the same constants, each `ConvTranspose` as one
    /// `QLinearConvTranspose`, which is the interpreter's own, and each linear `Resize` between pairs
    /// of one quantization in steps of it: both are exact then. Run as it is, a graph in pairs rounds each f32 of a sum's terms, and
    /// a value that this brings over a half spreads to all behind it.
    #[must_use]
    pub fn in_integers(self) -> Graph {
        self.with_exact_convolutions().with_exact_interpolation()
    }

    /// The scale cancels where it is the same before and behind, so that 1 serves as well, of which every multiple is exact.
    fn with_exact_interpolation(mut self) -> Graph {
        const ONE: &str = "in_integers.one";
        let same = |graph: &Graph, one: &[String], other: &[String]| {
            one.len() == other.len()
                && one.iter().zip(other).all(|(a, b)| {
                    a == b || graph.initializers.get(a).is_some_and(|value| graph.initializers.get(b) == Some(value))
                })
        };
        let nodes = self.proto.node.clone();
        let find = |name: &str, operator: &str| {
            nodes.iter().find(|node| node.output[0] == name).filter(|node| node.op_type == operator)
        };
        let mut exact = Vec::new();
        for node in &nodes {
            let resize = find(&node.input.first().cloned().unwrap_or_default(), "Resize");
            let dequantize = resize.and_then(|resize| find(&resize.input[0], "DequantizeLinear"));
            match (node.op_type.as_str(), resize, dequantize) {
                ("QuantizeLinear", Some(resize), Some(dequantize))
                    if same(&self, &dequantize.input[1..], &node.input[1..]) =>
                {
                    let (mut from, mut between, mut to) = (dequantize.clone(), resize.clone(), node.clone());
                    from.input[1] = ONE.into();
                    from.output[0] += ".steps";
                    between.input[0] = from.output[0].clone();
                    between.output[0] += ".steps";
                    to.input[0] = between.output[0].clone();
                    to.input[1] = ONE.into();
                    exact.extend([from, between, to]);
                }
                _ => exact.push(node.clone()),
            }
        }
        self.proto.node = exact;
        self.initializers.extend(Tensor::new(&[], Data::F32(vec![1.0])).map(|one| (ONE.into(), one)));
        self
    }

    fn with_exact_convolutions(mut self) -> Graph {
        let nodes = &self.proto.node;
        let outputs = |index: usize| nodes[index].output.iter().map(move |name| (name.as_str(), index));
        let makers: HashMap<&str, usize> = (0..nodes.len()).flat_map(outputs).collect();
        let maker = |name: &String, operator: &str| {
            makers.get(name.as_str()).map(|&index| &nodes[index]).filter(|node| node.op_type == operator)
        };
        let mut readers: HashMap<&str, usize> = HashMap::new();
        for name in nodes.iter().flat_map(|node| &node.input).chain(self.proto.output.iter().map(|output| &output.name))
        {
            *readers.entry(name).or_default() += 1;
        }
        let mut fused: Vec<(usize, NodeProto)> = Vec::new();
        let mut gone: HashSet<String> = HashSet::new();
        for (index, quantize) in nodes.iter().enumerate().filter(|(_, node)| node.op_type == "QuantizeLinear") {
            let made = &quantize.input[0];
            let conv = maker(made, "Conv").or_else(|| maker(made, "ConvTranspose"));
            let Some(conv) = conv.filter(|conv| readers[conv.output[0].as_str()] == 1) else { continue };
            let operands: Option<Vec<_>> = conv.input.iter().map(|name| maker(name, "DequantizeLinear")).collect();
            let Some([x, w, bias @ ..]) = operands.as_deref() else { continue };
            if [*x, w, quantize].iter().any(|node| node.input.len() != 3) {
                continue;
            }
            let input = [&x.input[..], &w.input, &quantize.input[1..]].concat();
            let bias = bias.iter().map(|bias| bias.input[0].clone());
            gone.insert(conv.output[0].clone());
            let node = NodeProto {
                op_type: format!("QLinear{}", conv.op_type),
                input: input.into_iter().chain(bias).collect(),
                attribute: conv.attribute.clone(),
                ..quantize.clone()
            };
            fused.push((index, node));
        }
        for (index, node) in fused {
            self.proto.node[index] = node;
        }
        self.proto.node.retain(|node| !gone.contains(&node.output[0]));
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::onnx_graph::{GraphBuilder, text};

    #[test]
    fn a_convolution_between_pairs_becomes_one_of_integers() {
        let mut builder = GraphBuilder::new();
        let tensor = |shape: &[usize], data| Tensor::new(shape, data).unwrap();
        let x = tensor(&[1, 1, 1, 2], Data::U8(vec![3, 9]));
        builder.input("x", &x);
        builder.constant("half", tensor(&[], Data::F32(vec![0.5])));
        builder.constant("one", tensor(&[], Data::U8(vec![1])));
        builder.constant("signed", tensor(&[], Data::I8(vec![0])));
        builder.constant("weight", tensor(&[1, 1, 1, 1], Data::I8(vec![2])));
        builder.constant("bias", tensor(&[1], Data::I32(vec![1])));
        builder.constant("quarter", tensor(&[], Data::F32(vec![0.25])));
        builder.node("a", "DequantizeLinear", &["x", "half", "one"], vec![]);
        builder.node("w", "DequantizeLinear", &["weight", "half", "signed"], vec![]);
        builder.node("b", "DequantizeLinear", &["bias", "quarter"], vec![]);
        builder.node("c", "Conv", &["a", "w", "b"], vec![]);
        builder.node("y", "QuantizeLinear", &["c", "half", "one"], vec![]);
        builder.output("y");
        let graph = Graph::from_bytes(&builder.finish(13)).unwrap();
        let inputs = BTreeMap::from([("x".to_owned(), x)]);
        // (3 - 1) * 2 + 1 = 5 and 17, each 0.25 of 0.5: 2.5 goes to 2 and 8.5 to 8, around 1.
        let expected = Data::U8(vec![3, 9]);
        assert_eq!(graph.run(&inputs).unwrap()["y"].data(), &expected);
        let integers = graph.in_integers();
        let operators: Vec<_> = integers.nodes().iter().map(|node| node.op_type.as_str()).collect();
        assert_eq!(operators, ["DequantizeLinear", "DequantizeLinear", "DequantizeLinear", "QLinearConv"]);
        assert_eq!(integers.run(&inputs).unwrap()["y"].data(), &expected);
    }
    #[test]
    fn a_linear_resize_between_equal_pairs_is_in_steps() {
        let mut builder = GraphBuilder::new();
        let tensor = |shape: &[usize], data| Tensor::new(shape, data).unwrap();
        let x = tensor(&[1, 1, 1, 2], Data::U8(vec![1, 3]));
        builder.input("x", &x);
        builder.constant("scale", tensor(&[], Data::F32(vec![0.1])));
        builder.constant("zero", tensor(&[], Data::U8(vec![0])));
        builder.constant("scales", tensor(&[4], Data::F32(vec![1.0, 1.0, 1.0, 2.0])));
        builder.node("a", "DequantizeLinear", &["x", "scale", "zero"], vec![]);
        let attributes = vec![text("mode", "linear"), text("coordinate_transformation_mode", "half_pixel")];
        builder.node("b", "Resize", &["a", "", "scales"], attributes);
        builder.node("y", "QuantizeLinear", &["b", "scale", "zero"], vec![]);
        builder.output("y");
        let graph = Graph::from_bytes(&builder.finish(13)).unwrap().in_integers();
        // 1, 1.5, 2.5 and 3: halves go to the even neighbour, whatever 0.1 is in f32.
        let values = graph.run(&BTreeMap::from([("x".to_owned(), x)])).unwrap();
        assert_eq!(values["y"].data(), &Data::U8(vec![1, 2, 2, 3]));
    }
}
