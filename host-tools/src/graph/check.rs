//! Checks graphs, built here or read from files: one rule for the shapes of both.

use super::{Activation, Graph, Node, NodeId, Op, Shape, Window};
use crate::error::{Error, Result};
use std::collections::HashSet;

/// Largest number of values an activation or a weight may have; keeps sizes far from overflow.
const MAX_LEN: usize = 1 << 31;

/// Checks a whole graph, also one read from a file: names are unique, node 0 is the only input, each
/// node reads earlier ones, every shape is what its operator makes of its inputs, every node but the
/// last, the output, is read.
///
/// # Errors
/// The first of these that does not hold; the error names the node.
pub fn check(graph: &Graph) -> Result<()> {
    let Some(first) = graph.nodes.first() else {
        return Err(Error::invalid(format!("network {}", graph.name), "no node", "an input"));
    };
    check_input(first)?;
    let mut names = HashSet::from([first.name.as_str()]);
    let mut used = vec![false; graph.nodes.len()];
    for (id, node) in graph.nodes.iter().enumerate().skip(1) {
        if node.name.is_empty() || !names.insert(&node.name) {
            return Err(Error::invalid(
                format!("network {}: node {id}", graph.name),
                format!("name {:?}", node.name),
                "a name of its own",
            ));
        }
        check_node(graph, id)?;
        for &input in &node.inputs {
            used[input] = true;
        }
    }
    used[graph.output()] = true;
    match used.iter().position(|used| !used) {
        Some(id) => Err(Error::invalid(
            format!("node {}", graph.nodes[id].name),
            "no node reads it",
            "only the last node, the output, unread",
        )),
        None => Ok(()),
    }
}

fn check_input(node: &Node) -> Result<()> {
    let field = || format!("node {}", node.name);
    if node.op != Op::Input {
        return Err(Error::invalid(field(), node.op.name(), "Input as node 0"));
    }
    if !node.inputs.is_empty() {
        return Err(Error::invalid(field(), format!("inputs {:?}", node.inputs), "no inputs"));
    }
    check_size(&node.name, node.shape)
}

fn check_node(graph: &Graph, id: NodeId) -> Result<()> {
    let node = &graph.nodes[id];
    if let Some(&later) = node.inputs.iter().find(|&&input| input >= id) {
        return Err(Error::invalid(
            format!("node {}: input", node.name),
            format!("node {later}"),
            format!("one of the {id} nodes before it"),
        ));
    }
    let shapes: Vec<Shape> = node.inputs.iter().map(|&input| graph.nodes[input].shape).collect();
    let shape = infer(&node.name, &node.op, &shapes)?;
    if shape != node.shape {
        return Err(Error::invalid(format!("node {}: shape", node.name), node.shape, shape));
    }
    Ok(())
}

/// Shape of the output of `op`, and whether it can work on these inputs at all.
pub(super) fn infer(name: &str, op: &Op, inputs: &[Shape]) -> Result<Shape> {
    let shape = match (op, inputs) {
        (Op::Input, _) => {
            return Err(Error::invalid(format!("node {name}"), "Input", "Input only as node 0"));
        }
        (Op::Add | Op::Sub | Op::Mul | Op::Concat { .. }, &[left, right]) => {
            infer_binary(name, op, left, right)?
        }
        (Op::Add | Op::Sub | Op::Mul | Op::Concat { .. }, _) => return Err(wrong_arity(name, inputs, 2)),
        (_, &[input]) => infer_unary(name, op, input)?,
        _ => return Err(wrong_arity(name, inputs, 1)),
    };
    check_size(name, shape)?;
    Ok(shape)
}

fn infer_binary(name: &str, op: &Op, left: Shape, right: Shape) -> Result<Shape> {
    let misfit =
        |expected: String| Err(Error::invalid(format!("node {name}: second input"), right, expected));
    match *op {
        Op::Concat { axis } => {
            let [mut sizes, other] = [left, right].map(|s| [s.height, s.width, s.channels]);
            if axis > 2 || (0..3).any(|i| i != axis && sizes[i] != other[i]) {
                return misfit(format!("{left}, as the first, but for axis {axis}"));
            }
            sizes[axis] = sizes[axis].saturating_add(other[axis]);
            Ok(Shape::new(sizes[0], sizes[1], sizes[2]))
        }
        Op::Mul if right == Shape::vector(left.channels) => Ok(left),
        _ if left == right => Ok(left),
        _ => misfit(format!("{left}, as the first")),
    }
}

fn wrong_arity(name: &str, inputs: &[Shape], expected: usize) -> Error {
    Error::invalid(format!("node {name}: inputs"), inputs.len(), expected)
}

pub(super) fn check_size(name: &str, shape: Shape) -> Result<()> {
    let len = shape.height.checked_mul(shape.width).and_then(|area| area.checked_mul(shape.channels));
    match len {
        Some(1..=MAX_LEN) => Ok(()),
        _ => Err(Error::invalid(format!("node {name}: shape"), shape, "1 to 2^31 values")),
    }
}

fn infer_unary(name: &str, op: &Op, input: Shape) -> Result<Shape> {
    match *op {
        Op::Conv2d { out_channels, window, groups, .. } => {
            check_groups(name, groups, input.channels, out_channels)?;
            let [height, width] = window_output(name, &window, input)?;
            check_weight(name, &[out_channels, window.kernel[0], window.kernel[1], input.channels / groups])?;
            Ok(Shape::new(height, width, out_channels))
        }
        Op::Dense { out_features, .. } => {
            check_weight(name, &[out_features, input.len()])?;
            Ok(Shape::vector(out_features))
        }
        Op::Pad { begin, end } => padded(name, begin, end, input),
        Op::MaxPool(window) | Op::AvgPool { window, .. } => {
            let [height, width] = window_output(name, &window, input)?;
            check_pool_padding(name, &window, input, [height, width])?;
            Ok(Shape::new(height, width, input.channels))
        }
        Op::GlobalAvgPool => Ok(Shape::vector(input.channels)),
        Op::Flatten => Ok(Shape::vector(input.len())),
        Op::BatchNorm { .. } | Op::Activation(_) | Op::Dropout { .. } => {
            check_numbers(name, op)?;
            Ok(input)
        }
        // `infer` handles these two.
        _ => Err(wrong_arity(name, &[input], if *op == Op::Input { 0 } else { 2 })),
    }
}

fn padded(name: &str, begin: [usize; 2], end: [usize; 2], input: Shape) -> Result<Shape> {
    if begin.iter().chain(&end).any(|&pad| pad > 1 << 15) {
        let found = format!("{begin:?} to {end:?}");
        return Err(Error::invalid(format!("node {name}: padding"), found, "up to 32768 a side"));
    }
    Ok(Shape::new(begin[0] + input.height + end[0], begin[1] + input.width + end[1], input.channels))
}

fn check_groups(name: &str, groups: usize, inputs: usize, outputs: usize) -> Result<()> {
    if groups == 0 || outputs == 0 || !inputs.is_multiple_of(groups) || !outputs.is_multiple_of(groups) {
        return Err(Error::invalid(
            format!("node {name}: groups"),
            format!("{groups} for {inputs} input and {outputs} output channels"),
            "a divisor of both, and at least one channel",
        ));
    }
    Ok(())
}

fn check_weight(name: &str, sizes: &[usize]) -> Result<()> {
    let len = sizes.iter().try_fold(1_usize, |len, &size| len.checked_mul(size));
    match len {
        Some(1..=MAX_LEN) => Ok(()),
        _ => Err(Error::invalid(format!("node {name}: weight"), format!("{sizes:?}"), "1 to 2^31 values")),
    }
}

/// Rows and columns after the window; the error names the node and its input's shape.
fn window_output(name: &str, window: &Window, input: Shape) -> Result<[usize; 2]> {
    let sizes = [window.kernel, window.stride, window.dilation, window.pad_begin, window.pad_end];
    if sizes.iter().flatten().any(|&size| size > 1 << 15) {
        return Err(Error::invalid(
            format!("node {name}: window"),
            format!("{window:?}"),
            "sizes up to 32768",
        ));
    }
    window.output(input).map_err(|error| match error {
        Error::Invalid { what, found, expected } => {
            Error::invalid(format!("node {name}: {what} on input {input}"), found, expected)
        }
        other => other,
    })
}

/// A pooling window that saw nothing but padding would have no maximum and no mean.
fn check_pool_padding(name: &str, window: &Window, input: Shape, output: [usize; 2]) -> Result<()> {
    for (axis, size) in [input.height, input.width].into_iter().enumerate() {
        let pad = window.pad_begin[axis];
        let sees_input = |out: usize| {
            let start = out * window.stride[axis];
            (0..window.kernel[axis])
                .any(|tap| (pad..pad + size).contains(&(start + tap * window.dilation[axis])))
        };
        if let Some(out) = (0..output[axis]).find(|&out| !sees_input(out)) {
            return Err(Error::invalid(
                format!("node {name}: {window:?} on input {input}"),
                format!("only padding under window {out} of axis {axis}"),
                "an element of the input in every pooling window",
            ));
        }
    }
    Ok(())
}

/// Numbers that would turn every output into one that is not finite.
fn check_numbers(name: &str, op: &Op) -> Result<()> {
    let bad = |field: &str, value: f32, expected: &str| {
        Err(Error::invalid(format!("node {name}: {field}"), value, expected))
    };
    match *op {
        Op::BatchNorm { eps, .. } if !(eps.is_finite() && eps >= 0.0) => bad("eps", eps, "0 or more"),
        Op::BatchNorm { momentum, .. } if !(0.0..=1.0).contains(&momentum) => {
            bad("momentum", momentum, "0 to 1")
        }
        Op::Dropout { rate } if !(0.0..1.0).contains(&rate) => {
            bad("rate", rate, "at least 0 and less than 1")
        }
        Op::Activation(Activation::LeakyRelu(slope)) if !slope.is_finite() => bad("slope", slope, "finite"),
        Op::Activation(Activation::Clip { min, max })
            if !(min.is_finite() && max.is_finite() && min <= max) =>
        {
            bad("min", min, "a finite number up to max")
        }
        Op::Activation(Activation::Ramp { slope, offset }) if !(slope.is_finite() && offset.is_finite()) => {
            bad("slope", slope, "finite numbers")
        }
        Op::Activation(Activation::Elu(alpha)) if !alpha.is_finite() => bad("alpha", alpha, "finite"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{GraphBuilder, Task};

    fn block() -> Graph {
        let mut b = GraphBuilder::new("test", Task::Classification, Shape::new(6, 8, 3));
        let x = b.conv(0, 4, Window::padded(3, 2, 1), 1, false).unwrap();
        let x = b.batch_norm(x).unwrap();
        let left = b.activation(x, Activation::Relu).unwrap();
        let right = b.conv(left, 4, Window::padded(3, 1, 1), 4, true).unwrap();
        let x = b.add(left, right).unwrap();
        b.dense(x, 5, true).unwrap();
        b.finish().unwrap()
    }

    /// Every way to spoil a graph that a file can hold.
    #[test]
    fn check_finds_each_inconsistency() {
        type Spoil = fn(&mut Graph);
        let cases: [(&str, Spoil); 9] = [
            ("no node", |g| g.nodes.clear()),
            ("Input as node 0", |g| g.nodes[0].op = Op::Flatten),
            ("Input only as node 0", |g| g.nodes[3].op = Op::Input),
            ("no inputs", |g| g.nodes[0].inputs = vec![0]),
            ("node 7", |g| g.nodes[4].inputs = vec![7]),
            ("node bn1: inputs", |g| g.nodes[2].inputs = vec![1, 1]),
            ("node add1: inputs", |g| g.nodes[5].inputs = vec![1]),
            ("node conv1: shape", |g| g.nodes[1].shape.width = 5),
            ("name", |g| g.nodes[3].name = "bn1".to_owned()),
        ];
        check(&block()).unwrap();
        for (expected, spoil) in cases {
            let mut graph = block();
            spoil(&mut graph);
            let error = check(&graph).unwrap_err().to_string();
            assert!(error.contains(expected), "{error} does not name {expected}");
        }
    }
}
