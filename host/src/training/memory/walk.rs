//! Simulates training steps on a heap without memory: what is allocated where, and how far the heap grows.

use super::graph::{F32, Graph, Kind, Step};
use super::heap::{Block, Heap};

/// The weights of an operation with their gradient and the state of Adam.
struct Parameter {
    weights: Block,
    moments: Option<[Block; 2]>,
    gradient: Option<Block>,
    /// The sum of the gradients of earlier batches of the step.
    accumulated: Option<Block>,
    /// The average of the weights, after the first step.
    average: Option<Block>,
}

/// State of the simulation.
pub(super) struct Walk<'a> {
    graph: &'a Graph,
    heap: Heap,
    /// Memory of each value while it is allocated.
    blocks: Vec<Option<Block>>,
    /// Memory of the gradient of each value while it is allocated.
    gradients: Vec<Option<Block>>,
    /// Remaining reads in the forward pass, and remaining uses in the backward pass.
    readers: Vec<usize>,
    needed: Vec<usize>,
    /// For each operation its parameter, if it has weights.
    parameters: Vec<Option<Parameter>>,
}

impl<'a> Walk<'a> {
    /// Before the first step, with only the weights allocated.
    pub fn new(graph: &'a Graph) -> Self {
        let mut heap = Heap::default();
        let parameters = graph.steps.iter().map(|step| {
            let bytes = step.kind.weights();
            (bytes > 0).then(|| Parameter {
                weights: heap.hold(bytes),
                moments: None,
                gradient: None,
                accumulated: None,
                average: None,
            })
        });
        let parameters = parameters.collect();
        let none = |_: &_| None;
        Self {
            graph,
            heap,
            blocks: graph.values.iter().map(none).collect(),
            gradients: graph.values.iter().map(|_| None).collect(),
            readers: vec![],
            needed: vec![],
            parameters,
        }
    }

    /// Peak size of the heap over that many steps.
    pub fn peak(mut self, steps: usize) -> u64 {
        for _ in 0..steps {
            self.step();
        }
        self.heap.peak()
    }

    /// One step of the optimizer. All batches of a step after the second are like the second.
    fn step(&mut self) {
        if self.graph.is_accumulating {
            self.batch();
            for parameter in self.parameters.iter_mut().flatten() {
                parameter.accumulated = parameter.gradient.take();
            }
        }
        self.batch();
        // Gradients are added in place.
        for parameter in self.parameters.iter_mut().flatten() {
            if let Some(sum) = parameter.accumulated.take() {
                parameter.gradient.replace(sum).into_iter().for_each(|added| self.heap.release(added));
            }
        }
        self.optimize();
    }

    fn batch(&mut self) {
        let graph = self.graph;
        self.readers = graph.values.iter().map(|value| value.readers).collect();
        self.needed = graph.values.iter().map(|value| value.needed).collect();
        self.hold(0);
        // Class ids of the batch and of the target are kept until the end of the step.
        let target = [graph.channel / F32; 2].map(|bytes| self.heap.hold(bytes));
        for step in &graph.steps {
            self.compute(step);
            for &input in &step.inputs {
                self.read(input);
            }
        }
        self.loss();
        for number in graph.backward_order() {
            self.backward(number, &graph.steps[number]);
        }
        for block in target {
            self.heap.release(block);
        }
    }

    fn bytes(&self, value: usize) -> u64 {
        self.graph.values[value].bytes
    }

    fn hold(&mut self, value: usize) {
        self.blocks[value] = Some(self.heap.hold(self.bytes(value)));
    }

    fn release(&mut self, value: usize) {
        if let Some(block) = self.blocks[value].take() {
            self.heap.release(block);
        }
    }

    /// Allocates temporary memory of an operation while `then` runs.
    fn with_temporary(&mut self, bytes: impl IntoIterator<Item = u64>, then: impl FnOnce(&mut Self)) {
        let blocks: Vec<Block> =
            bytes.into_iter().filter(|bytes| *bytes > 0).map(|bytes| self.heap.hold(bytes)).collect();
        then(self);
        for block in blocks {
            self.heap.release(block);
        }
    }

    /// Bytes of the copies that a compute kernel makes to read these values.
    fn copies(&self, values: &[usize]) -> Vec<u64> {
        values.iter().map(|&v| &self.graph.values[v]).map(|v| if v.planes { v.bytes } else { 0 }).collect()
    }

    /// Allocates the output of an operation whose inputs are allocated.
    fn compute(&mut self, step: &Step) {
        // In place of the second one, if nothing else reads that.
        if let (Kind::Add, &[_, second]) = (step.kind, &step.inputs[..])
            && self.readers[second] == 1
            && self.needed[second] == 0
        {
            self.blocks[step.output] = self.blocks[second].take();
            return;
        }
        let mut temporary = self.copies(&step.inputs);
        temporary.extend([step.kind.folded(), step.kind.packed()]);
        self.with_temporary(temporary, |walk| walk.hold(step.output));
    }

    /// Counts a read in the forward pass; the last one frees a value that no gradient needs.
    fn read(&mut self, value: usize) {
        self.readers[value] -= 1;
        if self.readers[value] == 0 && (self.needed[value] == 0 || self.graph.recomputed_by(value).is_some()) {
            self.release(value);
        }
    }

    /// The loss computes the gradient of the logits, after which the logits are freed.
    fn loss(&mut self) {
        let last = self.graph.values.len() - 1;
        self.gradients[last] = Some(self.heap.hold(self.bytes(last)));
        self.with_temporary([self.graph.loss_bytes], |_| {});
        self.release(last);
    }

    /// Recomputes a value that was not kept, and first its inputs.
    fn fetch(&mut self, value: usize) {
        if self.blocks[value].is_some() {
            return;
        }
        let Some(maker) = self.graph.recomputed_by(value) else { return };
        let step = &self.graph.steps[maker];
        for &input in &step.inputs {
            self.fetch(input);
        }
        self.compute(step);
        for &input in &step.inputs {
            self.used(input);
        }
    }

    /// Counts a use in the backward pass; the last one frees the value.
    fn used(&mut self, value: usize) {
        self.needed[value] -= 1;
        if self.needed[value] == 0 {
            self.release(value);
        }
    }

    fn backward(&mut self, number: usize, step: &Step) {
        let Some(block) = self.gradients[step.output].take() else { return };
        let first = step.inputs[0];
        let mut temporary = vec![];
        if step.kind.needs_inputs() {
            step.inputs.iter().for_each(|&input| self.fetch(input));
            temporary = self.copies(&step.inputs);
        }
        match step.kind {
            // Shared until either is changed.
            Kind::Add => {
                for &input in &step.inputs[1..] {
                    let copy = self.heap.hold(self.bytes(input));
                    self.add_gradient(input, copy);
                }
                self.add_gradient(first, block);
            }
            // Computed in place of the output's gradient.
            Kind::NormRelu => {
                self.with_temporary(temporary, |_| {});
                self.used(first);
                self.add_gradient(first, block);
            }
            Kind::MaxPool => {
                self.with_temporary(temporary, |_| {});
                // A skip has a gradient already, to which this one is added in place.
                if self.gradients[first].is_none() {
                    self.gradients[first] = Some(self.heap.hold(self.bytes(first)));
                }
                self.used(first);
                self.heap.release(block);
            }
            Kind::Convolution { .. } | Kind::Upsample { .. } => {
                let summing = temporary.into_iter().chain([step.kind.partial(), step.kind.folded()]);
                self.with_temporary(summing, |walk| {
                    let gradient = walk.heap.hold(step.kind.weights());
                    if let Some(parameter) = &mut walk.parameters[number] {
                        parameter.gradient = Some(gradient);
                    }
                });
                step.inputs.iter().for_each(|&input| self.used(input));
                // No gradient is computed for the images.
                if self.graph.values[first].maker.is_some() {
                    let found = self.found([step.kind.folded(), step.kind.packed()], &step.inputs);
                    for (&input, found) in step.inputs.iter().zip(found) {
                        self.add_gradient(input, found);
                    }
                }
                self.heap.release(block);
            }
        }
    }

    /// Keeps a gradient of a value, or adds it to the one that the value has.
    fn add_gradient(&mut self, value: usize, found: Block) {
        if self.gradients[value].is_some() {
            self.heap.release(found);
        } else {
            self.gradients[value] = Some(found);
        }
    }

    /// Allocates the gradients of these values, with temporary memory meanwhile.
    fn found(&mut self, temporary: impl IntoIterator<Item = u64>, inputs: &[usize]) -> Vec<Block> {
        let mut found = vec![];
        self.with_temporary(temporary, |walk| {
            found = inputs.iter().map(|&input| walk.heap.hold(walk.bytes(input))).collect();
        });
        found
    }

    /// Adam: old weights are freed after all new ones are computed, gradients one by one.
    fn optimize(&mut self) {
        let mut old = vec![];
        for (parameter, step) in self.parameters.iter_mut().zip(&self.graph.steps) {
            let Some(parameter) = parameter else { continue };
            let bytes = step.kind.weights();
            if parameter.moments.is_none() {
                parameter.moments = Some([self.heap.hold(bytes), self.heap.hold(bytes)]);
                self.heap.pass(bytes);
            }
            old.push(std::mem::replace(&mut parameter.weights, self.heap.hold(bytes)));
            if let Some(gradient) = parameter.gradient.take() {
                self.heap.release(gradient);
            }
        }
        for block in old.drain(..) {
            self.heap.release(block);
        }
        if self.graph.is_averaging {
            for parameter in self.parameters.iter_mut().flatten() {
                let average = self.heap.hold(parameter.weights.bytes());
                old.extend(parameter.average.replace(average));
            }
            for block in old {
                self.heap.release(block);
            }
        }
    }
}
