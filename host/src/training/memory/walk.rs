//! Steps of training on a heap that holds nothing: what lies where, and how far the heap grows.

use super::graph::{F32, Graph, Kind, Step};
use super::heap::{Block, Heap};

/// The gradient of a value.
struct Gradient {
    block: Block,
    /// Whether channels come before pixels.
    planes: bool,
}

/// A parameter with its weights and what Adam keeps of it.
struct Parameter {
    weights: Block,
    moments: Option<[Block; 2]>,
    gradient: Option<Block>,
}

/// Where everything lies.
pub(super) struct Walk<'a> {
    graph: &'a Graph,
    heap: Heap,
    /// Where a value lies while it is there.
    blocks: Vec<Option<Block>>,
    gradients: Vec<Option<Gradient>>,
    /// Reads that are left in the forward pass, and uses that are left in the backward pass.
    readers: Vec<usize>,
    needed: Vec<usize>,
    /// One an operation, for those that have weights.
    parameters: Vec<Option<Parameter>>,
}

impl<'a> Walk<'a> {
    /// Before the first step: the weights are there.
    pub fn new(graph: &'a Graph) -> Self {
        let mut heap = Heap::default();
        let parameters = graph.steps.iter().map(|step| {
            let bytes = step.kind.weights();
            (bytes > 0).then(|| Parameter { weights: heap.hold(bytes), moments: None, gradient: None })
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

    /// The largest size of the heap in that many steps.
    pub fn peak(mut self, steps: usize) -> u64 {
        for _ in 0..steps {
            self.step();
        }
        self.heap.most()
    }

    fn step(&mut self) {
        let graph = self.graph;
        self.readers = graph.values.iter().map(|value| value.readers).collect();
        self.needed = graph.values.iter().map(|value| value.needed).collect();
        self.hold(0);
        // Class ids, and the weight of each class at each pixel, stay until the step ends.
        let target = [graph.channel / F32, self.logits()].map(|bytes| self.heap.hold(bytes));
        for step in &graph.steps {
            self.compute(step);
            for &input in &step.inputs {
                self.read(input);
            }
        }
        self.loss();
        for (number, step) in graph.steps.iter().enumerate().rev() {
            self.backward(number, step);
        }
        self.optimize();
        for block in target {
            self.heap.release(block);
        }
    }

    fn logits(&self) -> u64 {
        self.bytes(self.graph.values.len() - 1)
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

    /// Holds what an operation needs beside its tensors while `then` is run.
    fn beside(&mut self, bytes: impl IntoIterator<Item = u64>, then: impl FnOnce(&mut Self)) {
        let blocks: Vec<Block> =
            bytes.into_iter().filter(|bytes| *bytes > 0).map(|bytes| self.heap.hold(bytes)).collect();
        then(self);
        for block in blocks {
            self.heap.release(block);
        }
    }

    /// Bytes of the copies that a kernel makes to read these values.
    fn copies(&self, values: &[usize]) -> Vec<u64> {
        values.iter().map(|&v| &self.graph.values[v]).map(|v| if v.planes { v.bytes } else { 0 }).collect()
    }

    /// Makes the output of an operation whose inputs are there.
    fn compute(&mut self, step: &Step) {
        if step.kind == Kind::DepthToSpace {
            // A copy in plain order, and of that one the larger image.
            self.beside([self.bytes(step.output)], |walk| {
                if walk.needed[step.inputs[0]] == 0 {
                    walk.release(step.inputs[0]);
                }
                walk.hold(step.output);
            });
            return;
        }
        let mut beside = self.copies(&step.inputs);
        beside.extend([step.kind.folded(), step.kind.packed()]);
        self.beside(beside, |walk| walk.hold(step.output));
    }

    /// In the forward pass, a value that nobody reads again and no gradient needs is released.
    fn read(&mut self, value: usize) {
        self.readers[value] -= 1;
        if self.readers[value] == 0 && (self.needed[value] == 0 || self.graph.again(value).is_some()) {
            self.release(value);
        }
    }

    /// The logarithm of softmax, weighed and summed, forward and backward, as burn's operators do it: all that they make is
    /// as large as the logits or as one channel of them.
    fn loss(&mut self) {
        let (logits, channel, last) = (self.logits(), self.graph.channel, self.graph.values.len() - 1);
        // The largest logit of each pixel, from a copy in plain order; the logits less that.
        let largest = self.largest(logits, channel);
        let shifted = self.heap.hold(logits);
        self.release(last);
        self.heap.release(largest);
        // Their exponents, summed; the logarithm of the sum; logarithms of probabilities.
        let exponents = self.heap.hold(logits);
        let sum = self.heap.hold(channel);
        self.heap.release(exponents);
        let logarithm = self.heap.hold(channel);
        let probabilities = self.heap.hold(logits);
        self.heap.release(logarithm);
        self.heap.release(probabilities);
        // Backward: the gradient of these, and the sum of its negative.
        let gradient = self.heap.hold(logits);
        let negative = self.heap.hold(logits);
        let negative_sum = self.heap.hold(channel);
        self.heap.release(negative);
        self.heap.release(sum);
        // Spread over the classes, times the exponents that are computed in place of what was kept.
        let spread = self.heap.hold(logits);
        self.heap.pass(channel);
        self.heap.release(negative_sum);
        self.heap.release(spread);
        self.heap.release(gradient);
        self.gradients[last] = Some(Gradient { block: shifted, planes: true });
    }

    fn largest(&mut self, logits: u64, channel: u64) -> Block {
        let copy = self.heap.hold(logits);
        let largest = self.heap.hold(channel);
        self.heap.release(copy);
        largest
    }

    /// Computes a value again that was not kept, and before it what it is made from.
    fn fetch(&mut self, value: usize) {
        if self.blocks[value].is_some() {
            return;
        }
        let Some(maker) = self.graph.again(value) else { return };
        let step = &self.graph.steps[maker];
        for &input in &step.inputs {
            self.fetch(input);
        }
        self.compute(step);
        for &input in &step.inputs {
            self.used(input);
        }
    }

    /// Counts a use in the backward pass; the last one releases.
    fn used(&mut self, value: usize) {
        self.needed[value] -= 1;
        if self.needed[value] == 0 {
            self.release(value);
        }
    }

    fn backward(&mut self, number: usize, step: &Step) {
        let bytes = self.bytes(step.output);
        let Some(Gradient { block, planes }) = self.gradients[step.output].take() else { return };
        let copy = if planes { bytes } else { 0 };
        let first = step.inputs[0];
        if step.kind == Kind::DepthToSpace {
            // A copy in plain order, and of that one the smaller image.
            let plain = self.heap.hold(bytes);
            self.heap.release(block);
            let block = self.heap.hold(bytes);
            self.heap.release(plain);
            self.gradients[first] = Some(Gradient { block, planes: true });
            return;
        }
        for &input in &step.inputs {
            self.fetch(input);
        }
        let mut beside = self.copies(&step.inputs);
        beside.push(copy);
        let found: Vec<Block>;
        if step.kind.weights() > 0 {
            beside.extend([step.kind.partial(), step.kind.folded()]);
            self.beside(beside, |walk| {
                let gradient = walk.heap.hold(step.kind.weights());
                if let Some(parameter) = &mut walk.parameters[number] {
                    parameter.gradient = Some(gradient);
                }
            });
            step.inputs.iter().for_each(|&input| self.used(input));
            if self.graph.values[first].maker.is_none() {
                // Images have no gradient.
                self.heap.release(block);
                return;
            }
            let packing = [copy, step.kind.folded(), step.kind.packed()];
            found = self.found(packing, &step.inputs);
        } else {
            found = self.found(beside, &step.inputs);
            self.used(first);
        }
        self.heap.release(block);
        for (&input, block) in step.inputs.iter().zip(found) {
            self.add(input, block);
        }
    }

    /// The gradients of these values, and what it takes to compute them.
    fn found(&mut self, beside: impl IntoIterator<Item = u64>, inputs: &[usize]) -> Vec<Block> {
        let mut found = vec![];
        self.beside(beside, |walk| {
            found = inputs.iter().map(|&input| walk.heap.hold(walk.bytes(input))).collect();
        });
        found
    }

    /// A first gradient is the value's; burn adds a second one to it in plain order.
    fn add(&mut self, value: usize, block: Block) {
        let gradient = match self.gradients[value].take() {
            None => Gradient { block, planes: false },
            Some(before) => {
                let sum = self.heap.hold(self.bytes(value));
                self.heap.release(before.block);
                self.heap.release(block);
                Gradient { block: sum, planes: true }
            }
        };
        self.gradients[value] = Some(gradient);
    }

    /// Adam: the old weights stay until all new ones are there, and gradients go one by one.
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
        for block in old {
            self.heap.release(block);
        }
    }
}
