//! Clears a graph of what computes nothing: `Constant` nodes become constants like the initializers, and the readers of an
//! `Identity` or of a `Cast` to the same type read what it reads.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, NodeProto};

use super::facts::Facts;
use super::node::{Constants, Node, NotCovered};
use crate::inference::backend::Element;

/// A graph without constants and aliases among its nodes.
pub(super) struct Simplified<'a> {
    /// The initializers and the values of `Constant` nodes.
    pub constants: Constants<'a>,
    /// The other nodes, in an order in which each reads only what exists.
    pub nodes: Vec<NodeProto>,
    /// What each left-out node's output stands for.
    aliases: HashMap<&'a str, &'a str>,
}

impl<'a> Simplified<'a> {
    /// Reads the nodes of `graph`, whose one input is called `input`.
    ///
    /// # Errors
    ///
    /// If a node reads what a later one makes, or makes what exists; ONNX forbids both.
    pub(super) fn new(graph: &'a GraphProto, facts: &Facts, input: &'a str) -> Result<Self, NotCovered> {
        let mut simplified = Simplified { constants: Constants::of(graph), nodes: Vec::new(), aliases: HashMap::new() };
        let made: HashSet<&str> = graph.node.iter().flat_map(|node| &node.output).map(String::as_str).collect();
        let initializers = graph.initializer.iter().map(|tensor| tensor.name.as_str());
        let mut exists: HashSet<&str> = initializers.chain([input]).collect();
        for proto in &graph.node {
            let node = Node(proto);
            let refused = |reason| NotCovered::new(node, reason);
            for name in proto.input.iter().map(String::as_str).filter(|name| !name.is_empty()) {
                if made.contains(name) && !exists.contains(name) {
                    return Err(refused(format!("operand {name}: expected one that an earlier node makes")));
                }
            }
            for name in proto.output.iter().map(String::as_str).filter(|name| !name.is_empty()) {
                if !exists.insert(name) {
                    return Err(refused(format!("output {name}: expected a name of its own")));
                }
            }
            if node.is("Constant") && simplified.constants.add(node) {
                continue;
            }
            if (node.is("Identity") || is_cast_to_same(node, facts)) && node.operand(0).is_ok() {
                simplified.aliases.insert(node.output(), simplified.resolve(&proto.input[0]));
                continue;
            }
            let mut proto = proto.clone();
            for name in &mut proto.input {
                if let Some(&original) = simplified.aliases.get(name.as_str()) {
                    original.clone_into(name);
                }
            }
            simplified.nodes.push(proto);
        }
        Ok(simplified)
    }

    /// The tensor that `name` stands for: itself unless it is an alias.
    pub(super) fn resolve<'n>(&self, name: &'n str) -> &'n str
    where
        'a: 'n,
    {
        self.aliases.get(name).copied().unwrap_or(name)
    }

    /// Each alias with the tensor that it stands for.
    pub(super) fn aliases(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.aliases.iter().map(|(alias, name)| (*alias, *name))
    }
}

fn is_cast_to_same(node: Node<'_>, facts: &Facts) -> bool {
    let to = i32::try_from(node.integer("to", 0)).ok().and_then(|to| DataType::try_from(to).ok());
    let from = node.optional(0).and_then(|name| facts.get(name)).map(|fact| match fact.element {
        Element::U8 => DataType::Uint8,
        Element::I8 => DataType::Int8,
        Element::F32 => DataType::Float,
        Element::I64 => DataType::Int64,
    });
    node.is("Cast") && from.is_some() && from == to
}
