//! Sorts what the walk has found into parts: steps that need nothing in between from a node outside.
//!
//! Each tensor has a level: how many times a way from the graph's input to it comes from the engine back to a node outside and
//! on. The steps of one level are one part. None of them can depend on another through a node outside, which would raise its level;
//! and no two parts can be one, as each level has a tensor that depends on the level before through a node outside. So the parts
//! have one order, which the tensors between them enforce.

use std::collections::{BTreeMap, HashMap};

use super::super::node::{Node, NotCovered};
use super::super::program::{Boundary, Form, Operator, Part, Program, Step, TensorId};
use super::{Extraction, MadeAt, Operand, Reader, TOO_SMALL, Value};

/// The parts.
pub(super) struct Partition {
    pub extraction: Extraction,
    /// The nodes of parts beside which tract runs and which have no convolution.
    pub too_small: Vec<usize>,
}

/// Where a tensor comes from.
#[derive(Clone, Copy)]
enum Origin {
    Entry(usize),
    Step(usize),
}

/// What the graph's output depends on.
struct Needs<'a> {
    tensors: Vec<bool>,
    /// Tensors of the program that nodes outside read, by their names in the file.
    exits: BTreeMap<&'a str, Operand>,
    /// Nodes that run outside.
    nodes: Vec<bool>,
    /// The tensor of the program that is the graph's output, or its logits.
    output: Option<TensorId>,
}

enum Need<'a> {
    Tensor(TensorId),
    /// For a node outside.
    Name(&'a str),
}

impl<'a> Needs<'a> {
    fn of(reader: &Reader<'a>, origins: &[Origin], output: &'a str) -> Self {
        let nodes = reader.nodes.iter().enumerate();
        let makers: HashMap<&str, usize> =
            nodes.flat_map(|(index, node)| node.output.iter().map(move |name| (name.as_str(), index))).collect();
        let mut needs = Needs {
            tensors: vec![false; reader.tensors.len()],
            exits: BTreeMap::new(),
            nodes: vec![false; reader.nodes.len()],
            output: None,
        };
        let mut open = vec![match reader.values.get(output) {
            Some(Value::Activation(Operand { tensor, .. }) | Value::Classes(tensor)) => {
                needs.output = Some(*tensor);
                Need::Tensor(*tensor)
            }
            _ => Need::Name(output),
        }];
        while let Some(need) = open.pop() {
            match need {
                Need::Tensor(tensor) => {
                    if !std::mem::replace(&mut needs.tensors[tensor], true) {
                        match origins[tensor] {
                            Origin::Entry(entry) => {
                                let name = reader.entries[entry].made.name.as_str();
                                // As long as the graph, not as this list.
                                if let Some((&name, _)) = makers.get_key_value(name) {
                                    open.push(Need::Name(name));
                                }
                            }
                            Origin::Step(step) => {
                                open.extend(reader.steps[step].made.inputs.iter().map(|&input| Need::Tensor(input)));
                            }
                        }
                    }
                }
                Need::Name(name) => match reader.values.get(name) {
                    Some(Value::Activation(operand)) if is_exit(reader, origins, *operand) => {
                        needs.exits.insert(name, *operand);
                        open.push(Need::Tensor(operand.tensor));
                    }
                    _ => {
                        if let Some(&maker) = makers.get(name)
                            && !std::mem::replace(&mut needs.nodes[maker], true)
                        {
                            open.extend(reader.nodes[maker].input.iter().map(|name| Need::Name(name)));
                        }
                    }
                },
            }
        }
        needs
    }
}

/// Bytes that come from outside are there already, and what dequantizes them too.
fn is_exit(reader: &Reader<'_>, origins: &[Origin], operand: Operand) -> bool {
    match origins[operand.tensor] {
        Origin::Entry(entry) => reader.entries[entry].made.form != Form::Bytes,
        Origin::Step(_) => true,
    }
}

/// The level of each tensor.
fn levels(reader: &Reader<'_>, needs: &Needs<'_>) -> Vec<usize> {
    let mut levels = vec![0; reader.tensors.len()];
    // Of what nodes outside make.
    let mut outside: HashMap<&str, usize> = HashMap::new();
    let level_of = |name: &str, levels: &[usize], outside: &HashMap<&str, usize>| match needs.exits.get(name) {
        Some(operand) => levels[operand.tensor] + 1,
        None => outside.get(name).copied().unwrap_or(0),
    };
    let (mut entries, mut steps) = (reader.entries.iter().peekable(), reader.steps.iter().peekable());
    for (index, node) in reader.nodes.iter().enumerate() {
        while let Some(entry) = entries.next_if(|entry| entry.node == index) {
            levels[entry.made.tensor] = level_of(&entry.made.name, &levels, &outside);
        }
        while let Some(step) = steps.next_if(|step| step.node == index) {
            levels[step.made.output] = step.made.inputs.iter().map(|&input| levels[input]).max().unwrap_or(0);
        }
        if needs.nodes[index] {
            let level = node.input.iter().map(|name| level_of(name, &levels, &outside)).max().unwrap_or(0);
            outside.extend(node.output.iter().map(|name| (name.as_str(), level)));
        }
    }
    levels
}

/// The nodes that run outside, but for those whose results are known before the first frame.
fn outside(reader: &Reader<'_>, needs: &Needs<'_>) -> Vec<NotCovered> {
    let is_constant = |name: &String| {
        reader.constants.contains(name) || matches!(reader.values.get(name.as_str()), Some(Value::Constant(_)))
    };
    let runs = |index: usize| {
        let inputs = &reader.nodes[index].input;
        needs.nodes[index] && (inputs.is_empty() || !inputs.iter().filter(|name| !name.is_empty()).all(is_constant))
    };
    let indices = (0..reader.nodes.len()).filter(|&index| runs(index));
    indices
        .map(|index| {
            let node = Node(&reader.nodes[index]);
            if let Some(reason) = reader.refused.get(&index) {
                return NotCovered { is_cause: reason != TOO_SMALL, ..NotCovered::new(node, reason.clone()) };
            }
            let reads = |other: &usize| {
                needs.nodes[*other] && reader.nodes[*other].input.iter().any(|name| name == node.output())
            };
            match (0..reader.nodes.len()).find(reads).map(|other| Node(&reader.nodes[other])) {
                Some(other) => {
                    let reason =
                        format!("expected a reader that is covered, found {} ({})", other.name(), other.0.op_type);
                    NotCovered { is_cause: false, ..NotCovered::new(node, reason) }
                }
                None => {
                    NotCovered::new(node, "expected a QuantizeLinear behind it, found the graph's output".to_owned())
                }
            }
        })
        .collect()
}

/// Sorts what `reader` has found into parts.
///
/// # Errors
///
/// If there is nothing to run: the first node that is not covered.
pub(super) fn partition<'a>(reader: Reader<'a>, output: &'a str) -> Result<Partition, NotCovered> {
    let mut origins = vec![Origin::Step(0); reader.tensors.len()];
    for (index, entry) in reader.entries.iter().enumerate() {
        origins[entry.made.tensor] = Origin::Entry(index);
    }
    for (index, step) in reader.steps.iter().enumerate() {
        origins[step.made.output] = Origin::Step(index);
    }
    let needs = Needs::of(&reader, &origins, output);
    let levels = levels(&reader, &needs);
    let outside = outside(&reader, &needs);

    // Only what is needed, with new indices.
    let mut ids = vec![0; reader.tensors.len()];
    let mut tensors = Vec::new();
    for (id, tensor) in reader.tensors.into_iter().enumerate().filter(|(id, _)| needs.tensors[*id]) {
        ids[id] = tensors.len();
        tensors.push(tensor);
    }
    let steps: Vec<MadeAt<Step>> = reader.steps.into_iter().filter(|step| needs.tensors[step.made.output]).collect();
    let entries: Vec<MadeAt<Boundary>> =
        reader.entries.into_iter().filter(|entry| needs.tensors[entry.made.tensor]).collect();
    if steps.is_empty() {
        return Err(NotCovered::first_of(&outside).cloned().unwrap_or_else(|| NotCovered {
            node: output.to_owned(),
            operator: "output".to_owned(),
            reason: "expected quantized operators before it, found none".to_owned(),
            is_cause: true,
        }));
    }
    let count = levels.iter().enumerate().filter(|(id, _)| needs.tensors[*id]).map(|(_, level)| level + 1).max();
    let mut parts = vec![Part::default(); count.unwrap_or(0)];
    let mut is_worth_it = vec![outside.is_empty(); parts.len()];
    let made_at = steps.iter().map(|step| (levels[step.made.output], step.node));
    let made_at: Vec<_> = made_at.chain(entries.iter().map(|entry| (levels[entry.made.tensor], entry.node))).collect();
    let mut ordered = Vec::with_capacity(steps.len());
    for MadeAt { made, .. } in steps {
        let part = levels[made.output];
        is_worth_it[part] |= matches!(made.operator, Operator::Conv(_));
        let inputs = made.inputs.into_iter().map(|input| ids[input]).collect();
        ordered.push(Step { part, inputs, output: ids[made.output], ..made });
    }
    // Within a part the file's order stays.
    ordered.sort_by_key(|step| step.part);
    for MadeAt { made, .. } in entries {
        parts[levels[made.tensor]].entries.push(Boundary { tensor: ids[made.tensor], ..made });
    }
    for (name, operand) in needs.exits {
        let form = operand.real.map_or(Form::Bytes, Form::Floats);
        let exit = Boundary { name: name.to_owned(), tensor: ids[operand.tensor], form };
        parts[levels[operand.tensor]].exits.push(exit);
    }
    let too_small = made_at.into_iter().filter(|(part, _)| !is_worth_it[*part]).map(|(_, node)| node).collect();
    let program = Program { tensors, steps: ordered, parts, output: needs.output.map(|output| ids[output]) };
    Ok(Partition { extraction: Extraction { program, outside }, too_small })
}
