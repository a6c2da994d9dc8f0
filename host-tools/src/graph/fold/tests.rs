//! Folding against a naive evaluator.

use super::*;
use crate::graph::{Activation, GraphBuilder, Shape, Task, Window};
use stf_bnn::random::{Gaussian, UNIT};

/// Evaluates the operators of these tests by their definitions, in f64.
fn evaluate(graph: &Graph, params: &Params, input: &[f64]) -> Vec<f64> {
    let mut values: Vec<Vec<f64>> = Vec::new();
    for (id, node) in graph.nodes.iter().enumerate() {
        let read = |index: usize| &values[node.inputs[index]];
        let tensors = &params.nodes[id];
        let at = |tensor: &Option<ArrayD<f32>>, c: usize| tensor.as_ref().map_or(0.0, |t| f64::from(t[[c]]));
        let value = match node.op {
            Op::Input => input.to_vec(),
            Op::Conv2d { window, groups, .. } => {
                convolve(read(0), graph.input_of(id), node.shape, window, groups, tensors)
            }
            Op::Dense { out_features, .. } => (0..out_features)
                .map(|o| {
                    let weight = tensors.weight.as_ref().unwrap();
                    let products = read(0).iter().enumerate().map(|(i, x)| x * f64::from(weight[[o, i]]));
                    products.sum::<f64>() + at(&tensors.bias, o)
                })
                .collect(),
            Op::BatchNorm { eps, .. } => (read(0).iter().enumerate())
                .map(|(i, x)| {
                    let c = i % node.shape.channels;
                    let centred = x - at(&tensors.running_mean, c);
                    let sigma = (at(&tensors.running_var, c) + f64::from(eps)).sqrt();
                    at(&tensors.gamma, c) * centred / sigma + at(&tensors.beta, c)
                })
                .collect(),
            Op::Activation(_) => read(0).iter().map(|x| x.max(0.0)).collect(),
            Op::Add => read(0).iter().zip(read(1)).map(|(a, b)| a + b).collect(),
            _ => panic!("not in these tests: {:?}", node.op),
        };
        values.push(value);
    }
    values.pop().unwrap()
}

fn convolve(
    x: &[f64],
    input: Shape,
    output: Shape,
    window: Window,
    groups: usize,
    p: &NodeParams,
) -> Vec<f64> {
    let weight = p.weight.as_ref().unwrap();
    let (in_group, out_group) = (input.channels / groups, output.channels / groups);
    let mut y = Vec::new();
    for row in 0..output.height {
        for column in 0..output.width {
            for o in 0..output.channels {
                let mut sum = p.bias.as_ref().map_or(0.0, |bias| f64::from(bias[[o]]));
                for kr in 0..window.kernel[0] {
                    for kc in 0..window.kernel[1] {
                        let r = (row * window.stride[0] + kr).wrapping_sub(window.pad_begin[0]);
                        let c = (column * window.stride[1] + kc).wrapping_sub(window.pad_begin[1]);
                        if r >= input.height || c >= input.width {
                            continue;
                        }
                        for i in 0..in_group {
                            let channel = o / out_group * in_group + i;
                            let at = (r * input.width + c) * input.channels + channel;
                            sum += x[at] * f64::from(weight[[o, kr, kc, i]]);
                        }
                    }
                }
                y.push(sum);
            }
        }
    }
    y
}

fn random_params(graph: &Graph, seed: u64) -> Params {
    let mut gaussian = Gaussian::new(seed, 0);
    let mut next = || gaussian.sample() as f32 / UNIT as f32;
    let mut params = Params::zeros(graph);
    for node in &mut params.nodes {
        for (name, tensor) in node.tensors_mut() {
            tensor.mapv_inplace(|_| if name == "running_var" { 0.2 + next().abs() } else { 0.5 * next() });
        }
    }
    params
}

fn random_input(len: usize) -> Vec<f64> {
    let mut gaussian = Gaussian::new(99, 0);
    (0..len).map(|_| f64::from(gaussian.sample()) / f64::from(UNIT)).collect()
}

/// A residual block with every foldable form: without and with bias, grouped, dense, two in a row.
fn network() -> Graph {
    let mut b = GraphBuilder::new("test", Task::Classification, Shape::new(5, 6, 2));
    let x = b.conv(0, 4, Window::padded(3, 1, 1), 1, false).unwrap();
    let x = b.batch_norm(x).unwrap();
    let skip = b.activation(x, Activation::Relu).unwrap();
    let x = b.conv(skip, 4, Window::padded(3, 1, 1), 4, true).unwrap();
    let x = b.batch_norm(x).unwrap();
    let x = b.batch_norm(x).unwrap();
    let x = b.add(x, skip).unwrap();
    let x = b.dense(x, 3, true).unwrap();
    b.batch_norm(x).unwrap();
    b.finish().unwrap()
}

fn largest_difference(left: &[f64], right: &[f64]) -> f64 {
    assert_eq!(left.len(), right.len());
    left.iter().zip(right).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn folding_does_not_change_the_function() {
    let graph = network();
    let params = random_params(&graph, 3);
    let input = random_input(graph.input_shape().len());
    let (folded, folded_params, _) = fold_batch_norm(&graph, &params, None).unwrap();
    check(&folded).unwrap();
    let difference =
        largest_difference(&evaluate(&graph, &params, &input), &evaluate(&folded, &folded_params, &input));
    assert!(difference < 1e-5, "{difference}");
    let names: Vec<&str> = folded.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["input", "conv1", "relu1", "conv2", "add1", "dense1"]);
}

/// mu + sigma * eps folded must be the folded mu + folded sigma * eps, for any eps; a negative scale
/// flips the sign of the noise, which has no effect on its distribution.
#[test]
fn posterior_is_scaled_with_its_weight() {
    let mut b = GraphBuilder::new("test", Task::Classification, Shape::new(4, 4, 3));
    let x = b.batch_norm(0).unwrap();
    let x = b.conv(x, 5, Window::valid(3, 1), 1, false).unwrap();
    b.batch_norm(x).unwrap();
    let graph = b.finish().unwrap();
    let params = random_params(&graph, 5);
    let log_var = params.nodes[2].weight.as_ref().unwrap().mapv(|w| -4.0 + w);
    let posterior = Posterior { node: 2, log_var };
    let (folded, folded_params, folded_posterior) =
        fold_batch_norm(&graph, &params, Some(&posterior)).unwrap();
    let folded_posterior = folded_posterior.unwrap();
    // The batch norm on the input has nothing before it to fold into.
    assert_eq!(folded.nodes[1].op.name(), "BatchNorm");
    assert_eq!(folded.nodes[folded_posterior.node].name, "conv1");
    let norm = &params.nodes[3];
    let (gamma, variance) = (norm.gamma.as_ref().unwrap(), norm.running_var.as_ref().unwrap());
    for (index, &after) in folded_posterior.log_var.indexed_iter() {
        let scale = f64::from(gamma[[index[0]]]) / (f64::from(variance[[index[0]]]) + 1e-5).sqrt();
        let before = f64::from(posterior.log_var[&index]);
        let expected = scale * scale * before.exp();
        assert!((f64::from(after).exp() / expected - 1.0).abs() < 1e-5, "{index:?}");
    }
    let input = random_input(graph.input_shape().len());
    let difference =
        largest_difference(&evaluate(&graph, &params, &input), &evaluate(&folded, &folded_params, &input));
    assert!(difference < 1e-5, "{difference}");
}

#[test]
fn posterior_moves_with_its_node() {
    let graph = network();
    let params = random_params(&graph, 4);
    let node = graph.nodes.iter().position(|node| node.name == "dense1").unwrap();
    let posterior = Posterior { node, log_var: params.nodes[node].weight.clone().unwrap() };
    let (folded, folded_params, moved) = fold_batch_norm(&graph, &params, Some(&posterior)).unwrap();
    let moved = moved.unwrap();
    assert_eq!((folded.nodes[moved.node].name.as_str(), moved.node), ("dense1", 5));
    assert_eq!(folded_params.nodes[moved.node].weight.as_ref().unwrap().shape(), moved.log_var.shape());
}

#[test]
fn zero_gamma_gives_a_finite_log_var() {
    let mut b = GraphBuilder::new("test", Task::Classification, Shape::vector(3));
    let x = b.dense(0, 2, false).unwrap();
    b.batch_norm(x).unwrap();
    let graph = b.finish().unwrap();
    let mut params = random_params(&graph, 6);
    params.nodes[2].gamma.as_mut().unwrap()[[1]] = 0.0;
    let posterior = Posterior { node: 1, log_var: ArrayD::from_elem(vec![2, 3], -2.0) };
    let (_, folded, moved) = fold_batch_norm(&graph, &params, Some(&posterior)).unwrap();
    let log_var = moved.unwrap().log_var;
    for i in 0..3 {
        assert_eq!(log_var[[1, i]], LOG_VAR_FLOOR);
        assert!(log_var[[1, i]].exp().is_normal());
        assert!(log_var[[0, i]] > LOG_VAR_FLOOR);
        assert_eq!(folded.nodes[1].weight.as_ref().unwrap()[[1, i]], 0.0);
    }
    assert_eq!(folded.nodes[1].bias.as_ref().unwrap()[[1]], params.nodes[2].beta.as_ref().unwrap()[[1]]);
}

#[test]
fn a_layer_with_a_second_reader_keeps_its_batch_norm() {
    let mut b = GraphBuilder::new("test", Task::Classification, Shape::new(4, 4, 2));
    let conv = b.conv(0, 2, Window::padded(3, 1, 1), 1, false).unwrap();
    let norm = b.batch_norm(conv).unwrap();
    b.add(conv, norm).unwrap();
    let graph = b.finish().unwrap();
    let params = random_params(&graph, 8);
    let (folded, folded_params, _) = fold_batch_norm(&graph, &params, None).unwrap();
    assert_eq!((&folded, &folded_params), (&graph, &params));
}

#[test]
fn bad_tensors_are_named() {
    let graph = network();
    let params = random_params(&graph, 1);
    let message = |params: &Params, posterior: Option<&Posterior>| {
        fold_batch_norm(&graph, params, posterior).unwrap_err().to_string()
    };
    let mut missing = params.clone();
    missing.nodes[2].gamma = None;
    assert_eq!(message(&missing, None), "node bn1: shape of gamma: found none, expected [4]");
    let mut negative = params.clone();
    negative.nodes[2].running_var.as_mut().unwrap()[[3]] = -1.0;
    assert!(message(&negative, None).starts_with("node bn1: running_var + eps of channel 3"));
    let mut short = params.clone();
    short.nodes.pop();
    assert_eq!(message(&short, None), "parameters of test: found 9 nodes, expected 10 nodes");
    for node in [0, 2, 100] {
        let posterior = Posterior { node, log_var: ArrayD::zeros(vec![4]) };
        assert!(message(&params, Some(&posterior)).starts_with("posterior: node: found"));
    }
}
