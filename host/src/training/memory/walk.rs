//! Steps of training on a heap that holds nothing: what lies where, and how far the heap grows.

use super::graph::{F32, Graph, Kind, Step};
use super::heap::{Block, Heap};

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
    /// The gradient of a value while it is there.
    gradients: Vec<Option<Block>>,
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
        // Class ids stay until the step ends, those of the batch and those of the target.
        let target = [graph.channel / F32; 2].map(|bytes| self.heap.hold(bytes));
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

    /// The loss makes the gradient of the logits, which are needed no more.
    fn loss(&mut self) {
        let last = self.graph.values.len() - 1;
        self.gradients[last] = Some(self.heap.hold(self.bytes(last)));
        if self.graph.loss_tensors > 0 {
            let working = std::iter::repeat_n(self.bytes(last), self.graph.loss_tensors);
            self.beside(working.chain([self.graph.channel]), |_| {});
        }
        self.release(last);
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
        let Some(block) = self.gradients[step.output].take() else { return };
        let first = step.inputs[0];
        for &input in &step.inputs {
            self.fetch(input);
        }
        let beside = self.copies(&step.inputs);
        match step.kind {
            // In the place of the gradient that it comes from.
            Kind::NormRelu => {
                self.beside(beside, |_| {});
                self.used(first);
                self.gradients[first] = Some(block);
            }
            // Added to the gradient that the skip has already.
            Kind::MaxPool => {
                self.beside(beside, |_| {});
                self.used(first);
                self.heap.release(block);
            }
            Kind::Convolution { .. } | Kind::Upsample { .. } | Kind::UpConvolution { .. } => {
                let summing = beside.into_iter().chain([step.kind.partial(), step.kind.folded()]);
                self.beside(summing, |walk| {
                    let gradient = walk.heap.hold(step.kind.weights());
                    if let Some(parameter) = &mut walk.parameters[number] {
                        parameter.gradient = Some(gradient);
                    }
                });
                step.inputs.iter().for_each(|&input| self.used(input));
                // Images have no gradient.
                if self.graph.values[first].maker.is_some() {
                    let found = self.found([step.kind.folded(), step.kind.packed()], &step.inputs);
                    for (&input, found) in step.inputs.iter().zip(found) {
                        self.gradients[input] = Some(found);
                    }
                }
                self.heap.release(block);
            }
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
