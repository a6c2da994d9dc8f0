//! Builds graphs node by node.

use super::check::{check, infer};
use super::{Activation, Graph, Node, NodeId, Op, Shape, Task, Window};
use crate::error::{Error, Result};
use std::collections::HashMap;

/// Running statistics take this share of each new batch (PyTorch's default).
pub const BATCH_NORM_MOMENTUM: f32 = 0.1;

/// Added to the variance in batch norm (PyTorch's default).
pub const BATCH_NORM_EPS: f32 = 1e-5;

/// A graph under construction. Each method appends one node and returns its index.
#[derive(Debug, Clone)]
pub struct GraphBuilder {
    name: String,
    task: Task,
    nodes: Vec<Node>,
    counts: HashMap<&'static str, usize>,
    next_name: Option<String>,
}

impl GraphBuilder {
    /// A graph with only its input, node 0.
    #[must_use]
    pub fn new(name: impl Into<String>, task: Task, input: Shape) -> Self {
        let node = Node { name: "input".to_owned(), op: Op::Input, inputs: Vec::new(), shape: input };
        Self { name: name.into(), task, nodes: vec![node], counts: HashMap::new(), next_name: None }
    }

    /// Index of the input.
    #[must_use]
    pub const fn input(&self) -> NodeId {
        0
    }

    /// Shape of a node that is there; `None` for an unknown index.
    #[must_use]
    pub fn shape(&self, id: NodeId) -> Option<Shape> {
        self.nodes.get(id).map(|node| node.shape)
    }

    /// Gives the next node this name instead of its operator's name with a number.
    pub fn named(&mut self, name: impl Into<String>) -> &mut Self {
        self.next_name = Some(name.into());
        self
    }

    /// A convolution; `groups` equal to the input's channels is depthwise.
    ///
    /// # Errors
    /// If the window does not fit or the groups do not divide the channels.
    pub fn conv(
        &mut self,
        input: NodeId,
        out_channels: usize,
        window: Window,
        groups: usize,
        bias: bool,
    ) -> Result<NodeId> {
        self.push(Op::Conv2d { out_channels, window, groups, bias }, &[input])
    }

    /// A fully connected layer over all values of `input`.
    ///
    /// # Errors
    /// If `out_features` is zero.
    pub fn dense(&mut self, input: NodeId, out_features: usize, bias: bool) -> Result<NodeId> {
        self.push(Op::Dense { out_features, bias }, &[input])
    }

    /// Batch norm with [`BATCH_NORM_EPS`] and [`BATCH_NORM_MOMENTUM`].
    ///
    /// # Errors
    /// If `input` is not there.
    pub fn batch_norm(&mut self, input: NodeId) -> Result<NodeId> {
        self.push(Op::BatchNorm { eps: BATCH_NORM_EPS, momentum: BATCH_NORM_MOMENTUM }, &[input])
    }

    /// An element-wise function.
    ///
    /// # Errors
    /// If `input` is not there, or the function's parameter is not finite.
    pub fn activation(&mut self, input: NodeId, function: Activation) -> Result<NodeId> {
        self.push(Op::Activation(function), &[input])
    }

    /// Maximum over a window.
    ///
    /// # Errors
    /// If the window does not fit, or could lie in the padding alone.
    pub fn max_pool(&mut self, input: NodeId, window: Window) -> Result<NodeId> {
        self.push(Op::MaxPool(window), &[input])
    }

    /// Mean over a window.
    ///
    /// # Errors
    /// If the window does not fit, or could lie in the padding alone.
    pub fn avg_pool(&mut self, input: NodeId, window: Window, count_padding: bool) -> Result<NodeId> {
        self.push(Op::AvgPool { window, count_padding }, &[input])
    }

    /// Mean over all positions.
    ///
    /// # Errors
    /// If `input` is not there.
    pub fn global_avg_pool(&mut self, input: NodeId) -> Result<NodeId> {
        self.push(Op::GlobalAvgPool, &[input])
    }

    /// Sum of two nodes.
    ///
    /// # Errors
    /// If their shapes differ.
    pub fn add(&mut self, left: NodeId, right: NodeId) -> Result<NodeId> {
        self.push(Op::Add, &[left, right])
    }

    /// All values as one vector.
    ///
    /// # Errors
    /// If `input` is not there.
    pub fn flatten(&mut self, input: NodeId) -> Result<NodeId> {
        self.push(Op::Flatten, &[input])
    }

    /// Inverted dropout.
    ///
    /// # Errors
    /// If `rate` is not in 0..1.
    pub fn dropout(&mut self, input: NodeId, rate: f32) -> Result<NodeId> {
        self.push(Op::Dropout { rate }, &[input])
    }

    /// Any operator; what the named methods call, and importers that hold an [`Op`].
    ///
    /// # Errors
    /// As the method of that operator.
    pub fn push(&mut self, op: Op, inputs: &[NodeId]) -> Result<NodeId> {
        let name = self.take_name(&op);
        let id = self.nodes.len();
        if let Some(&unknown) = inputs.iter().find(|&&input| input >= id) {
            return Err(Error::invalid(
                format!("node {name}: input"),
                format!("node {unknown}"),
                format!("one of the {id} nodes before it"),
            ));
        }
        let shapes: Vec<Shape> = inputs.iter().map(|&input| self.nodes[input].shape).collect();
        let shape = infer(&name, &op, &shapes)?;
        self.nodes.push(Node { name, op, inputs: inputs.to_vec(), shape });
        Ok(id)
    }

    /// What a node that is there computes, and what it reads.
    #[must_use]
    pub fn op(&self, id: NodeId) -> Option<(Op, &[NodeId])> {
        self.nodes.get(id).map(|node| (node.op, node.inputs.as_slice()))
    }

    /// The nodes so far as a graph that is not checked: it may have nodes that nothing reads.
    #[must_use]
    pub fn into_graph(self, task: Task) -> Graph {
        Graph { name: self.name, task, nodes: self.nodes }
    }

    /// The finished graph.
    ///
    /// # Errors
    /// As [`check`].
    pub fn finish(self) -> Result<Graph> {
        let graph = Graph { name: self.name, task: self.task, nodes: self.nodes };
        check(&graph)?;
        Ok(graph)
    }

    /// The name asked for, else the operator's prefix with its next free number.
    fn take_name(&mut self, op: &Op) -> String {
        if let Some(name) = self.next_name.take() {
            return name;
        }
        let prefix = prefix(op);
        let count = self.counts.entry(prefix).or_insert(0);
        loop {
            *count += 1;
            let name = format!("{prefix}{count}");
            if self.nodes.iter().all(|node| node.name != name) {
                return name;
            }
        }
    }
}

/// What automatic names of this operator begin with.
const fn prefix(op: &Op) -> &'static str {
    match op {
        Op::Input => "input",
        Op::Conv2d { .. } => "conv",
        Op::Dense { .. } => "dense",
        Op::BatchNorm { .. } => "bn",
        Op::Activation(function) => function.name(),
        Op::MaxPool(_) => "max_pool",
        Op::AvgPool { .. } => "avg_pool",
        Op::GlobalAvgPool => "global_avg_pool",
        Op::Add => "add",
        Op::Sub => "sub",
        Op::Mul => "mul",
        Op::Concat { .. } => "concat",
        Op::Pad { .. } => "pad",
        Op::Flatten => "flatten",
        Op::Dropout { .. } => "dropout",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block() -> Graph {
        let mut b = GraphBuilder::new("test", Task::Classification, Shape::new(6, 8, 3));
        let x = b.conv(0, 4, Window::padded(3, 2, 1), 1, false).unwrap();
        let x = b.batch_norm(x).unwrap();
        let left = b.activation(x, Activation::Relu).unwrap();
        let right = b.named("shortcut").conv(left, 4, Window::padded(3, 1, 1), 4, true).unwrap();
        let x = b.add(left, right).unwrap();
        let x = b.max_pool(x, Window::valid(2, 1)).unwrap();
        let x = b.avg_pool(x, Window::padded(3, 1, 1), false).unwrap();
        let x = b.dropout(x, 0.5).unwrap();
        let x = b.flatten(x).unwrap();
        b.dense(x, 5, true).unwrap();
        b.finish().unwrap()
    }

    #[test]
    fn shapes_and_names() {
        let graph = block();
        let found: Vec<String> =
            graph.nodes.iter().map(|node| format!("{} {}", node.name, node.shape)).collect();
        let expected = [
            "input 6x8x3",
            "conv1 3x4x4",
            "bn1 3x4x4",
            "relu1 3x4x4",
            "shortcut 3x4x4",
            "add1 3x4x4",
            "max_pool1 2x3x4",
            "avg_pool1 2x3x4",
            "dropout1 2x3x4",
            "flatten1 1x1x24",
            "dense1 1x1x5",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn automatic_names_avoid_given_ones() {
        let mut b = GraphBuilder::new("test", Task::Classification, Shape::vector(3));
        let x = b.named("dense1").dense(0, 3, true).unwrap();
        let x = b.dense(x, 3, true).unwrap();
        b.named("dense1").dense(x, 3, true).unwrap();
        assert_eq!(b.nodes[2].name, "dense2");
        assert!(b.finish().unwrap_err().to_string().contains("\"dense1\""));
    }

    #[test]
    fn builder_refuses_what_cannot_work() {
        let mut b = GraphBuilder::new("test", Task::Classification, Shape::new(4, 4, 3));
        let message = |result: Result<NodeId>| result.unwrap_err().to_string();
        let window = message(b.conv(0, 8, Window::valid(5, 1), 1, true));
        assert!(window.contains("node conv1") && window.contains("4x4x3"), "{window}");
        let zero = Window { stride: [0, 1], ..Window::valid(2, 1) };
        assert!(message(b.max_pool(0, zero)).contains("sizes of at least 1"));
        assert!(message(b.max_pool(0, Window::padded(2, 1, 2))).contains("only padding"));
        let sparse = Window { dilation: [5; 2], ..Window::padded(2, 1, 3) };
        assert!(message(b.avg_pool(0, sparse, false)).contains("only padding"));
        assert!(message(b.conv(0, 8, Window::valid(1, 1), 2, true)).contains("groups"));
        assert!(message(b.conv(0, 0, Window::valid(1, 1), 1, true)).contains("groups"));
        assert!(message(b.dense(0, 0, true)).contains("weight"));
        assert!(message(b.dense(9, 1, true)).contains("node 9"));
        assert!(message(b.dropout(0, 1.0)).contains("rate"));
        let pooled = b.max_pool(0, Window::valid(2, 2)).unwrap();
        let add = message(b.add(0, pooled));
        assert!(add.contains("2x2x3") && add.contains("4x4x3"), "{add}");
    }

    #[test]
    fn an_unread_node_is_an_error() {
        let mut b = GraphBuilder::new("test", Task::Classification, Shape::vector(3));
        b.dense(0, 3, true).unwrap();
        b.dense(0, 3, true).unwrap();
        assert!(b.finish().unwrap_err().to_string().starts_with("node dense1: found no node reads it"));
    }
}
