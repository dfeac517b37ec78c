//! What the engine runs of a graph, for people and for `inspect --json`.

use super::executor::{Executor, Prepared};
use super::node::NotCovered;
use super::program::Operator;
use crate::inference::description::{Description, NodeDescription, TractNode};

/// `outside` are the nodes that tract runs.
pub(super) fn describe(
    engine: &'static str,
    prepared: &Prepared,
    executor: &Executor,
    threads: usize,
    outside: &[NotCovered],
) -> Description {
    let program = &prepared.program;
    let total: u64 = program.steps.iter().map(|step| program.macs(step)).sum();
    let nodes = program.steps.iter().enumerate().map(|(index, step)| {
        let convolution = prepared.convolutions().find(|(at, _)| *at == index);
        let multiplications = program.macs(step);
        NodeDescription {
            name: step.node.clone(),
            operator: match &step.operator {
                Operator::Conv(conv) if conv.shape.upsample => "Resize, QLinearConv",
                other => other.name(),
            }
            .to_owned(),
            kernel: match (convolution, &step.operator) {
                (Some((_, conv)), _) => conv.kernel().name(),
                (None, Operator::Add(_)) => "add",
                (None, _) => "move",
            }
            .to_owned(),
            multiplications,
            share: if total == 0 { 0.0 } else { multiplications as f64 / total as f64 },
        }
    });
    let tract_node = |node: &NotCovered| TractNode {
        name: node.node.clone(),
        operator: node.operator.clone(),
        reason: node.reason.clone(),
    };
    Description {
        engine,
        kernel: prepared.kernel.name(),
        threads,
        nodes: nodes.collect(),
        tract_nodes: outside.iter().map(tract_node).collect(),
        arena_bytes: Some(prepared.arena_bytes() + executor.scratch_bytes()),
        weight_bytes: Some(prepared.weight_bytes()),
        left_to_tract: NotCovered::first_of(outside).map(|first| match outside.len() {
            1 => first.to_string(),
            count => format!("{count} nodes, the first: {first}"),
        }),
    }
}
