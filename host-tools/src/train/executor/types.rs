//! What goes into and comes out of a pass through the graph.

use crate::graph::{Graph, NodeId, NodeParams, Params};
use ndarray::ArrayD;
use std::ops::Range;

/// Which parameters get gradients, and with them how batch norm behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trainable {
    /// None: inference only.
    None,
    /// Every weight, bias, gamma and beta; batch norm uses the statistics of the batch (stage 1).
    All,
    /// The kernel of the first weighted node alone; batch norm uses its running statistics (stage 2).
    FirstLayer,
    /// The kernels of the weighted nodes in this range; batch norm uses its running statistics.
    Kernels {
        /// The first node of the range.
        first: NodeId,
        /// The last node of the range.
        last: NodeId,
    },
    /// Nothing, but the gradient goes all the way back to the inputs; batch norm uses its running
    /// statistics.
    Input,
}

impl Trainable {
    /// Whether the kernel of `id`, a weighted node, gets a gradient; `first` is the first weighted node.
    pub(super) fn trains_kernel(self, first: Option<NodeId>, id: NodeId) -> bool {
        match self {
            Self::None | Self::Input => false,
            Self::All => true,
            Self::FirstLayer => first == Some(id),
            Self::Kernels { first, last } => (first..=last).contains(&id),
        }
    }
}

/// How the kernel of the first weighted node is perturbed in one pass. All slices are row-major.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Perturbation<'a> {
    /// Not at all, or by a sample that the caller put into the parameters.
    #[default]
    None,
    /// Flipout (Wen et al. 2018): example `n` uses `W + delta * (r_n s_n^T)`, one perturbation with
    /// signs of its own for each example.
    Flipout {
        /// The shared perturbation, in the kernel's shape.
        delta: &'a [f32],
        /// `s`: +1 or -1, `[n, in_channels]`; dense `[n, in_features]`.
        input_signs: &'a [f32],
        /// `r`: +1 or -1, `[n, out_channels]`.
        output_signs: &'a [f32],
    },
    /// Local reparameterization (Kingma et al. 2015), dense layers only:
    /// `y = W x + sqrt(variance x^2) * eps`.
    Local {
        /// Variance of each weight, in the kernel's shape.
        variance: &'a [f32],
        /// Standard normal, `[n, out]`.
        eps: &'a [f32],
    },
}

/// Settings of one training pass.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Pass<'a> {
    /// Noise on the first weighted kernel.
    pub perturbation: Perturbation<'a>,
    /// Seed of the dropout masks.
    pub dropout_seed: u64,
    /// Whether dropout drops although not everything is trained: Monte-Carlo dropout.
    pub drops: bool,
    /// Place of the batch's first example among those that share the seed: each has a mask of its own.
    pub first_example: usize,
}

/// Gradients of the mean loss.
#[derive(Debug, Clone, PartialEq)]
pub struct Gradients {
    /// One entry a node: the tensors that are trained, `None` for everything else.
    pub nodes: Vec<NodeParams>,
    /// With respect to `delta` (flipout) or `variance` (local) of the first weighted kernel.
    pub noise: Option<ArrayD<f32>>,
}

impl Gradients {
    /// Adds other gradients of the same tensors.
    pub fn add(&mut self, other: &Self) {
        for (node, other) in self.nodes.iter_mut().zip(&other.nodes) {
            for ((_, sum), (_, other)) in node.tensors_mut().zip(other.tensors()) {
                *sum += other;
            }
        }
        if let (Some(sum), Some(other)) = (&mut self.noise, &other.noise) {
            *sum += other;
        }
    }

    /// Zero gradients for what `trainable` names.
    #[must_use]
    pub fn zeros(graph: &Graph, trainable: Trainable) -> Self {
        let mut nodes = Params::zeros(graph).nodes;
        let first = graph.first_weighted().ok();
        for (id, node) in nodes.iter_mut().enumerate() {
            node.running_mean = None;
            node.running_var = None;
            match trainable {
                Trainable::All => {
                    if let Some(gamma) = &mut node.gamma {
                        gamma.fill(0.0);
                    }
                }
                _ if trainable.trains_kernel(first, id) => {
                    *node = NodeParams { weight: node.weight.take(), ..NodeParams::default() };
                }
                _ => *node = NodeParams::default(),
            }
        }
        let noise = match trainable {
            Trainable::FirstLayer => {
                first.and_then(|id| nodes[id].weight.as_ref()).map(|weight| ArrayD::zeros(weight.raw_dim()))
            }
            _ => None,
        };
        Self { nodes, noise }
    }
}

/// Where an activation is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// The caller's input slice.
    Input,
    /// In the arena.
    Arena(Range<usize>),
}

/// Read access to one place and write access to another, which the plan keeps apart.
pub(super) fn read_write<'a>(
    arena: &'a mut [f32],
    inputs: &'a [f32],
    read: &Place,
    write: &Range<usize>,
) -> (&'a [f32], &'a mut [f32]) {
    match read {
        Place::Input => (inputs, &mut arena[write.clone()]),
        Place::Arena(range) => {
            let [read, write] = arena
                .get_disjoint_mut([range.clone(), write.clone()])
                .expect("the memory plan keeps a node's input and output apart");
            (read, write)
        }
    }
}

/// Runs `work` on a thread of the pool: what it splits up is then handed from worker to worker, without
/// waking and waiting for the caller's thread each time.
pub(super) fn on_pool<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| work())
}

/// Tasks that a batch is split into, whatever the number of threads: sums over tasks are made in the
/// order of the tasks, so that results do not depend on the threads.
pub(super) const TASKS: usize = 16;

/// Examples of one task.
pub(super) const fn chunk(n: usize) -> usize {
    if n == 0 { 1 } else { n.div_ceil(TASKS) }
}

/// Adds up equally long partial results in order.
pub(super) fn sum_partials(partials: &[Vec<f32>], out: &mut [f32]) {
    out.fill(0.0);
    for partial in partials {
        for (sum, value) in out.iter_mut().zip(partial) {
            *sum += value;
        }
    }
}
