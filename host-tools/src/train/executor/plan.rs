//! A place in one arena for every activation and every gradient of a pass, by lifetime.
//!
//! Step `i` of the pass is the forward of node `i`; step `2 * nodes - i` is its backward.

use super::types::{Place, Trainable};
use crate::graph::{Activation, Graph, NodeId, Op};
use crate::plan::{Lifetime, plan};
use std::ops::Range;

/// Places for one example; a batch multiplies every offset and size by its capacity. Activations and
/// gradients have an arena each.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Layout {
    /// Where each node's output is; shape changes share their input's place.
    pub activation: Vec<Place>,
    /// Floats of one example's activations.
    pub activation_floats: usize,
    /// Where the gradient with respect to each node's output is; `None` where none is needed, and for
    /// the output node, whose gradient is the caller's.
    pub gradient: Vec<Option<Range<usize>>>,
    /// Floats of one example's gradients.
    pub gradient_floats: usize,
    /// The node whose place and gradient each node shares: itself, or what it leaves as it is.
    pub storage: Vec<NodeId>,
    /// ReLU nodes that are left to the max pooling behind them.
    pub absorbed: Vec<bool>,
    /// ReLU nodes whose derivative is saved as one bit a value, since nobody else saves their output.
    pub bits: Vec<bool>,
}

impl Layout {
    /// Whether max pooling `id` does the ReLU in front of it as well.
    pub fn pools_relu(&self, graph: &Graph, id: NodeId) -> bool {
        graph.nodes[id].inputs.iter().any(|&input| self.absorbed[input])
    }
}

/// ReLU nodes with nothing but max pooling behind them: the maximum of the window tells both
/// derivatives. Only in training: inference shows every node's output as it is.
fn absorbed(graph: &Graph, trainable: Trainable) -> Vec<bool> {
    let into_pool = |id: NodeId| {
        let readers = graph.nodes.iter().filter(|node| node.inputs.contains(&id));
        graph.output() != id && readers.clone().all(|node| matches!(node.op, Op::MaxPool(_)))
    };
    (0..graph.nodes.len())
        .map(|id| {
            let node = &graph.nodes[id];
            trainable != Trainable::None
                && matches!(node.op, Op::Activation(Activation::Relu))
                && node.inputs != [0]
                && into_pool(id)
        })
        .collect()
}

/// See [`Layout::storage`].
fn storages(graph: &Graph, absorbed: &[bool]) -> Vec<NodeId> {
    let mut storage: Vec<NodeId> = (0..graph.nodes.len()).collect();
    for (id, node) in graph.nodes.iter().enumerate() {
        if matches!(node.op, Op::Flatten) || absorbed[id] {
            storage[id] = storage[node.inputs[0]];
        }
    }
    storage
}

/// Nodes through which a gradient has to flow: those downstream of (or with) something trained.
pub(super) fn needs_gradient(graph: &Graph, trainable: Trainable) -> Vec<bool> {
    let first = graph.first_weighted().ok();
    let mut needs = vec![false; graph.nodes.len()];
    for (id, node) in graph.nodes.iter().enumerate() {
        let trained = match node.op {
            Op::Input => trainable == Trainable::Input,
            Op::BatchNorm { .. } => trainable == Trainable::All,
            _ => node.op.is_weighted() && trainable.trains_kernel(first, id),
        };
        needs[id] = trained || (trainable != Trainable::None && node.inputs.iter().any(|&i| needs[i]));
    }
    needs
}

/// Whether an activation's derivative is known from its output.
pub(super) const fn derivative_from_output(activation: Activation) -> bool {
    matches!(activation, Activation::Relu | Activation::Relu6)
}

/// Plans the pass.
pub(super) fn layout(graph: &Graph, trainable: Trainable) -> Layout {
    let absorbed = absorbed(graph, trainable);
    let storage = storages(graph, &absorbed);
    let lifetimes =
        Lifetimes { graph, trainable, needs: needs_gradient(graph, trainable), storage: &storage };
    let (activation, activation_floats) = place_all(graph, &storage, &lifetimes.activations());
    let (gradient, gradient_floats) = place_all(graph, &storage, &lifetimes.gradients());
    let bits = (0..graph.nodes.len()).map(|id| !absorbed[id] && lifetimes.saves_bits(id)).collect();
    Layout {
        activation: activation.into_iter().map(|range| range.map_or(Place::Input, Place::Arena)).collect(),
        activation_floats,
        gradient,
        gradient_floats,
        storage,
        absorbed,
        bits,
    }
}

/// Bytes of activations and gradients that stay in the caches of a few cores.
const CACHE_BYTES: usize = 1 << 20;

/// Least number of examples that are worth a pass.
const LEAST_EXAMPLES: usize = 16;

/// How many examples of a batch of `batch` should go through at a time in stage 2. Its examples do not
/// depend on each other, so that a step may take them in parts and add up the gradients: in as few equal
/// ones as keep what is between the layers in cache.
#[must_use]
pub fn part_examples(graph: &Graph, batch: usize) -> usize {
    let layout = layout(graph, Trainable::FirstLayer);
    let bytes = 4 * (layout.activation_floats + layout.gradient_floats);
    let most = (CACHE_BYTES / bytes.max(1)).max(LEAST_EXAMPLES);
    batch.div_ceil(batch.div_ceil(most).max(1)).max(1)
}

/// A tensor of the pass: its node, and the node whose tensor it may overwrite.
struct Tensor {
    node: NodeId,
    first: usize,
    last: usize,
    in_place_of: Option<NodeId>,
}

fn place_all(graph: &Graph, storage: &[NodeId], tensors: &[Tensor]) -> (Vec<Option<Range<usize>>>, usize) {
    let index_of = |node: NodeId| tensors.iter().position(|tensor| tensor.node == node);
    let lifetimes: Vec<Lifetime> = tensors
        .iter()
        .map(|tensor| Lifetime {
            size: graph.nodes[tensor.node].shape.len(),
            first: tensor.first,
            last: tensor.last,
            in_place_of: tensor.in_place_of.and_then(index_of),
        })
        .collect();
    let planned = plan(&lifetimes);
    let range = |node: NodeId| {
        let index = index_of(storage[node])?;
        Some(planned.offsets[index]..planned.offsets[index] + lifetimes[index].size)
    };
    ((0..graph.nodes.len()).map(range).collect(), planned.arena_bytes)
}

struct Lifetimes<'a> {
    graph: &'a Graph,
    trainable: Trainable,
    needs: Vec<bool>,
    storage: &'a [NodeId],
}

impl Lifetimes<'_> {
    fn backward_step(&self, id: NodeId) -> usize {
        2 * self.graph.nodes.len() - id
    }

    /// Nodes with an output of their own, but for the input.
    fn stored(&self) -> impl DoubleEndedIterator<Item = NodeId> + '_ {
        (1..self.graph.nodes.len()).filter(|&id| self.storage[id] == id)
    }

    /// Nodes that read the storage of `id`, shape changes looked through.
    fn readers(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        self.stored().filter(move |&reader| {
            self.graph.nodes[reader].inputs.iter().any(|&input| self.storage[input] == id)
        })
    }

    /// Those of the readers whose backward reads their input again.
    fn saving_readers(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let first_weighted = self.graph.first_weighted().ok();
        self.readers(id).filter(move |&reader| {
            let op = &self.graph.nodes[reader].op;
            let trained = match op {
                Op::BatchNorm { .. } => self.trainable == Trainable::All,
                _ => self.trainable.trains_kernel(first_weighted, reader),
            };
            self.needs[reader] && input_is_saved(op, trained)
        })
    }

    /// See [`Layout::bits`].
    fn saves_bits(&self, id: NodeId) -> bool {
        self.needs[id]
            && output_is_saved(&self.graph.nodes[id].op)
            && self.storage[id] != self.storage[self.graph.output()]
            && self.saving_readers(id).next().is_none()
    }

    fn activations(&self) -> Vec<Tensor> {
        let output = self.storage[self.graph.output()];
        self.stored()
            .map(|id| {
                let mut last = self.readers(id).fold(id, usize::max);
                if self.needs[id] && output_is_saved(&self.graph.nodes[id].op) && !self.saves_bits(id) {
                    last = last.max(self.backward_step(id));
                }
                last =
                    self.saving_readers(id).map(|reader| self.backward_step(reader)).fold(last, usize::max);
                if id == output {
                    last = self.backward_step(0) + 1; // the caller reads it
                }
                Tensor { node: id, first: id, last, in_place_of: self.overwritable(id) }
            })
            .collect()
    }

    /// The input that an element-wise node may overwrite, if it is not needed any more.
    fn overwritable(&self, id: NodeId) -> Option<NodeId> {
        is_elementwise(&self.graph.nodes[id].op).then(|| self.storage[self.graph.nodes[id].inputs[0]])
    }

    fn gradients(&self) -> Vec<Tensor> {
        let output = self.storage[self.graph.output()];
        let mut tensors = Vec::new();
        // The input's gradient, where it is wanted, comes last.
        for id in self.stored().rev().chain([0]).filter(|&id| self.needs[id] && id != output) {
            let readers: Vec<NodeId> = self.readers(id).filter(|&reader| self.needs[reader]).collect();
            let Some(&latest) = readers.last() else { continue };
            let inputs = &self.graph.nodes[latest].inputs;
            let reads_once = inputs.iter().filter(|&&input| self.storage[input] == id).count() == 1;
            let alone = readers.len() == 1 && reads_once && is_elementwise(&self.graph.nodes[latest].op);
            tensors.push(Tensor {
                node: id,
                first: self.backward_step(latest),
                last: self.backward_step(id),
                in_place_of: alone.then_some(latest),
            });
        }
        tensors
    }
}

const fn is_elementwise(op: &Op) -> bool {
    matches!(op, Op::Activation(_) | Op::BatchNorm { .. } | Op::Add | Op::Sub | Op::Dropout { .. })
}

/// Whether the backward of a node reads the node's own output.
fn output_is_saved(op: &Op) -> bool {
    matches!(op, Op::Activation(activation) if derivative_from_output(*activation))
}

/// Whether the backward of a node reads the node's input.
fn input_is_saved(op: &Op, trained: bool) -> bool {
    match op {
        Op::Conv2d { .. } | Op::Dense { .. } | Op::BatchNorm { .. } => trained,
        Op::Activation(activation) => !derivative_from_output(*activation),
        Op::Mul => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Shape, architectures};
    use crate::train::Executor;

    /// A stage-2 step keeps less than half of what a stage-1 step of the same batch does.
    #[test]
    fn stage_2_plans_less_than_half_of_stage_1() {
        let (digits, commands, pictures) =
            (Shape::new(28, 28, 1), Shape::new(49, 10, 1), Shape::new(32, 32, 3));
        let cases = [("lenet5", digits), ("dscnn", commands), ("resnet8", pictures), ("resnet20", pictures)];
        for (name, input) in cases {
            let graph = architectures::build(name, input, 10).unwrap();
            let bytes =
                |batch, trainable| Executor::for_training(&graph, batch, trainable).unwrap().planned_bytes();
            let first_stage = bytes(64, Trainable::All);
            let second_stage = bytes(part_examples(&graph, 64), Trainable::FirstLayer);
            assert!(2 * second_stage < first_stage, "{name}: {second_stage} and {first_stage} bytes");
        }
    }

    /// Parts are as equal as they can be, cover the batch, and are never empty.
    #[test]
    fn parts_cover_the_batch() {
        let graph = architectures::build("lenet5", Shape::new(28, 28, 1), 10).unwrap();
        for batch in [1, 2, 17, 64, 100, 1000] {
            let part = part_examples(&graph, batch);
            assert!((1..=batch).contains(&part), "{part} of {batch}");
        }
    }

    /// ReLU in front of max pooling is left to it in training, so its output is not there to be seen.
    #[test]
    fn training_leaves_relu_to_max_pooling_and_shows_no_outputs() {
        let graph = architectures::build("lenet5", Shape::new(28, 28, 1), 10).unwrap();
        let absorbed = |trainable| layout(&graph, trainable).absorbed.iter().filter(|&&yes| yes).count();
        assert_eq!((absorbed(Trainable::None), absorbed(Trainable::All)), (0, 2));
        let mut executor = Executor::for_training(&graph, 1, Trainable::All).unwrap();
        let params = crate::graph::Params::initialise(&graph, 1);
        let error = executor.infer_each(&params, &[0.0; 784], 1, &mut |_, _| ()).unwrap_err().to_string();
        assert!(error.contains("inference"), "{error}");
        let outputs = executor.infer(&params, &[0.5; 784], 1).unwrap().to_vec();
        assert_eq!(outputs, Executor::new(&graph, 1).unwrap().infer(&params, &[0.5; 784], 1).unwrap());
    }
}
