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
}

/// The node whose storage `id` shares: itself, or what it merely reshapes.
pub(super) fn storage(graph: &Graph, id: NodeId) -> NodeId {
    match graph.nodes[id].op {
        Op::Flatten => storage(graph, graph.nodes[id].inputs[0]),
        _ => id,
    }
}

/// Nodes through which a gradient has to flow: those downstream of (or with) something trained.
pub(super) fn needs_gradient(graph: &Graph, trainable: Trainable) -> Vec<bool> {
    let first = graph.first_weighted().ok();
    let mut needs = vec![false; graph.nodes.len()];
    for (id, node) in graph.nodes.iter().enumerate() {
        let trained = match trainable {
            Trainable::None => false,
            Trainable::All => node.op.is_weighted() || matches!(node.op, Op::BatchNorm { .. }),
            Trainable::FirstLayer => first == Some(id),
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
    let lifetimes = Lifetimes { graph, trainable, needs: needs_gradient(graph, trainable) };
    let (activation, activation_floats) = place_all(graph, &lifetimes.activations());
    let (gradient, gradient_floats) = place_all(graph, &lifetimes.gradients());
    Layout {
        activation: activation.into_iter().map(|range| range.map_or(Place::Input, Place::Arena)).collect(),
        activation_floats,
        gradient,
        gradient_floats,
    }
}

/// A tensor of the pass: its node, and the node whose tensor it may overwrite.
struct Tensor {
    node: NodeId,
    first: usize,
    last: usize,
    in_place_of: Option<NodeId>,
}

fn place_all(graph: &Graph, tensors: &[Tensor]) -> (Vec<Option<Range<usize>>>, usize) {
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
        let index = index_of(storage(graph, node))?;
        Some(planned.offsets[index]..planned.offsets[index] + lifetimes[index].size)
    };
    ((0..graph.nodes.len()).map(range).collect(), planned.arena_bytes)
}

struct Lifetimes<'a> {
    graph: &'a Graph,
    trainable: Trainable,
    needs: Vec<bool>,
}

impl Lifetimes<'_> {
    fn backward_step(&self, id: NodeId) -> usize {
        2 * self.graph.nodes.len() - id
    }

    /// Nodes with an output of their own, but for the input.
    fn stored(&self) -> impl DoubleEndedIterator<Item = NodeId> + '_ {
        (1..self.graph.nodes.len())
            .filter(|&id| storage(self.graph, id) == id && storage(self.graph, id) != 0)
    }

    /// Nodes that read the storage of `id`, shape changes looked through.
    fn readers(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        self.stored().filter(move |&reader| {
            self.graph.nodes[reader].inputs.iter().any(|&input| storage(self.graph, input) == id)
        })
    }

    fn activations(&self) -> Vec<Tensor> {
        let first_weighted = self.graph.first_weighted().ok();
        let output = storage(self.graph, self.graph.output());
        self.stored()
            .map(|id| {
                let mut last = self.readers(id).fold(id, usize::max);
                if self.needs[id] && output_is_saved(&self.graph.nodes[id].op) {
                    last = last.max(self.backward_step(id));
                }
                for reader in self.readers(id) {
                    let trained = self.trainable == Trainable::All || first_weighted == Some(reader);
                    if self.needs[reader] && input_is_saved(&self.graph.nodes[reader].op, trained) {
                        last = last.max(self.backward_step(reader));
                    }
                }
                if id == output {
                    last = self.backward_step(0) + 1; // the caller reads it
                }
                Tensor { node: id, first: id, last, in_place_of: self.overwritable(id) }
            })
            .collect()
    }

    /// The input that an element-wise node may overwrite, if it is not needed any more.
    fn overwritable(&self, id: NodeId) -> Option<NodeId> {
        is_elementwise(&self.graph.nodes[id].op).then(|| storage(self.graph, self.graph.nodes[id].inputs[0]))
    }

    fn gradients(&self) -> Vec<Tensor> {
        let output = storage(self.graph, self.graph.output());
        let mut tensors = Vec::new();
        for id in self.stored().rev().filter(|&id| self.needs[id] && id != output) {
            let readers: Vec<NodeId> = self.readers(id).filter(|&reader| self.needs[reader]).collect();
            let Some(&latest) = readers.last() else { continue };
            let inputs = &self.graph.nodes[latest].inputs;
            let reads_once = inputs.iter().filter(|&&input| storage(self.graph, input) == id).count() == 1;
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
