//! The numbers of a graph: weights, biases and batch-norm tensors, one [`NodeParams`] a node.

use super::{Graph, NodeId, Op};
use ndarray::ArrayD;

/// Tensors of one node; those that its operator does not have are `None`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NodeParams {
    /// Convolution `[out, kernel_h, kernel_w, in / groups]`, dense `[out, in]`.
    pub weight: Option<ArrayD<f32>>,
    /// `[out]`.
    pub bias: Option<ArrayD<f32>>,
    /// Batch-norm scale `[channels]`.
    pub gamma: Option<ArrayD<f32>>,
    /// Batch-norm shift `[channels]`.
    pub beta: Option<ArrayD<f32>>,
    /// Batch-norm running mean `[channels]`; a statistic, not trained.
    pub running_mean: Option<ArrayD<f32>>,
    /// Batch-norm running variance `[channels]`; a statistic, not trained.
    pub running_var: Option<ArrayD<f32>>,
}

/// All tensors of a graph, indexed by node.
#[derive(Debug, Clone, PartialEq)]
pub struct Params {
    /// One entry a node, in the graph's order.
    pub nodes: Vec<NodeParams>,
}

/// The variational posterior of the first weighted layer's kernel: q(w) = N(mu, exp(log_var)).
#[derive(Debug, Clone, PartialEq)]
pub struct Posterior {
    /// The weighted node whose kernel it describes. `Params` holds `mu` as that node's weight.
    pub node: NodeId,
    /// Log of the variance, in the shape of the weight.
    pub log_var: ArrayD<f32>,
}

impl NodeParams {
    /// The tensors that are there, with the names used in checkpoints.
    pub fn tensors(&self) -> impl Iterator<Item = (&'static str, &ArrayD<f32>)> {
        [
            ("weight", &self.weight),
            ("bias", &self.bias),
            ("gamma", &self.gamma),
            ("beta", &self.beta),
            ("running_mean", &self.running_mean),
            ("running_var", &self.running_var),
        ]
        .into_iter()
        .filter_map(|(name, tensor)| tensor.as_ref().map(|tensor| (name, tensor)))
    }

    /// As [`Self::tensors`], to be changed.
    pub fn tensors_mut(&mut self) -> impl Iterator<Item = (&'static str, &mut ArrayD<f32>)> {
        [
            ("weight", &mut self.weight),
            ("bias", &mut self.bias),
            ("gamma", &mut self.gamma),
            ("beta", &mut self.beta),
            ("running_mean", &mut self.running_mean),
            ("running_var", &mut self.running_var),
        ]
        .into_iter()
        .filter_map(|(name, tensor)| tensor.as_mut().map(|tensor| (name, tensor)))
    }
}

impl Params {
    /// Number of trained values: weights, biases, batch-norm scales and shifts.
    #[must_use]
    pub fn count(&self) -> usize {
        self.nodes
            .iter()
            .flat_map(NodeParams::tensors)
            .filter(|(name, _)| !name.starts_with("running"))
            .map(|(_, tensor)| tensor.len())
            .sum()
    }

    /// Zero tensors (ones for `gamma` and `running_var`) in the shapes that the graph needs.
    #[must_use]
    pub fn zeros(graph: &Graph) -> Self {
        let nodes = (0..graph.nodes.len()).map(|id| Self::zero_node(graph, id)).collect();
        Self { nodes }
    }

    fn zero_node(graph: &Graph, id: NodeId) -> NodeParams {
        let vector = |len: usize, value: f32| Some(ArrayD::from_elem(vec![len], value));
        let node = &graph.nodes[id];
        match node.op {
            Op::Conv2d { out_channels, window, groups, bias } => {
                let [kernel_h, kernel_w] = window.kernel;
                let shape = vec![out_channels, kernel_h, kernel_w, graph.input_of(id).channels / groups];
                NodeParams {
                    weight: Some(ArrayD::zeros(shape)),
                    bias: if bias { vector(out_channels, 0.0) } else { None },
                    ..NodeParams::default()
                }
            }
            Op::Dense { out_features, bias } => NodeParams {
                weight: Some(ArrayD::zeros(vec![out_features, graph.input_of(id).len()])),
                bias: if bias { vector(out_features, 0.0) } else { None },
                ..NodeParams::default()
            },
            Op::BatchNorm { .. } => {
                let channels = node.shape.channels;
                NodeParams {
                    gamma: vector(channels, 1.0),
                    beta: vector(channels, 0.0),
                    running_mean: vector(channels, 0.0),
                    running_var: vector(channels, 1.0),
                    ..NodeParams::default()
                }
            }
            _ => NodeParams::default(),
        }
    }
}
