//! Every operator's gradients against PyTorch's: `golden/gradients.json`, made by
//! `golden/make_gradients.py`, which says what the cases are.

use ndarray::ArrayD;
use serde::Deserialize;
use std::collections::BTreeMap;
use stf_host::graph::{Activation, Graph, GraphBuilder, NodeId, Op, Params, Shape, Task, Window};
use stf_host::train::{Executor, Gradients, Pass, Trainable};

const EXAMPLES: usize = 3;
const INPUT: Shape = Shape::new(7, 6, 3);

/// Of a node's largest gradient. (Not of each tensor's: a bias before batch norm has the gradient
/// zero, as a sum of 126 numbers that cancel.) PyTorch's gradients are f64, ours f32.
const TOLERANCE: f64 = 1e-5;

#[derive(Deserialize)]
struct Golden {
    loss: f64,
    gradients: BTreeMap<String, Vec<f64>>,
}

/// Uniform in -1..1, by SplitMix64 of (seed, index).
fn uniform(seed: u64, count: usize) -> Vec<f32> {
    let value = |index: u64| {
        let z = (seed << 32).wrapping_add(index).wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let z = z ^ (z >> 31);
        (z >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count as u64).map(value).collect()
}

fn window(kernel: [usize; 2], stride: [usize; 2], pad_begin: [usize; 2], pad_end: [usize; 2]) -> Window {
    Window { kernel, stride, dilation: [1; 2], pad_begin, pad_end }
}

/// Appends the operator of a case behind `x`.
fn operator(net: &mut GraphBuilder, name: &str, x: NodeId) -> NodeId {
    let one = [1, 1];
    let node = match name {
        "conv3x3" => net.named("op").conv(x, 6, Window::padded(3, 1, 1), 1, true),
        "conv3x2_stride2" => net.named("op").conv(x, 20, window([3, 2], [2, 2], [1, 0], [0, 1]), 1, false),
        "conv_dilated" => {
            let window = Window { dilation: [2, 2], ..window([2, 3], one, one, [1, 2]) };
            net.named("op").conv(x, 3, window, 1, true)
        }
        "conv_grouped" => net.named("op").conv(x, 6, Window::padded(3, 1, 1), 2, true),
        "conv1x1_stride2" => net.named("op").conv(x, 16, Window::valid(1, 2), 1, true),
        "depthwise" => net.named("op").conv(x, 4, window([3, 3], [2, 1], one, one), 4, true),
        "batch_norm" => net.named("op").batch_norm(x),
        "max_pool" => net.named("op").max_pool(x, window([3, 2], [2, 1], [1, 0], [0, 1])),
        "avg_pool" => net.named("op").avg_pool(x, Window::padded(3, 2, 1), false),
        "avg_pool_padded" => net.named("op").avg_pool(x, Window::padded(3, 2, 1), true),
        "global_avg_pool" => net.named("op").global_avg_pool(x),
        "add" => {
            let branch = net.named("op").conv(x, 4, Window::valid(1, 1), 1, true).unwrap();
            net.add(x, branch)
        }
        "sub" | "mul" => {
            let branch = net.named("op").conv(x, 4, Window::valid(1, 1), 1, true).unwrap();
            net.push(if name == "sub" { Op::Sub } else { Op::Mul }, &[x, branch])
        }
        "mul_channels" => {
            let mean = net.global_avg_pool(x).unwrap();
            let scores = net.named("op").conv(mean, 4, Window::valid(1, 1), 1, true).unwrap();
            let gate = net.activation(scores, Activation::Sigmoid).unwrap();
            net.push(Op::Mul, &[x, gate])
        }
        "concat_rows" => {
            let branch = window([3, 1], one, [0; 2], [0; 2]);
            let branch = net.named("op").conv(x, 4, branch, 1, true).unwrap();
            net.push(Op::Concat { axis: 0 }, &[x, branch])
        }
        "concat_columns" => {
            let branch = window([1, 2], one, [0; 2], [0; 2]);
            let branch = net.named("op").conv(x, 4, branch, 1, true).unwrap();
            net.push(Op::Concat { axis: 1 }, &[branch, x])
        }
        "concat_channels" => {
            let branch = net.named("op").conv(x, 3, Window::valid(1, 1), 1, true).unwrap();
            net.push(Op::Concat { axis: 2 }, &[x, branch])
        }
        "pad" => net.push(Op::Pad { begin: [0, 2], end: [3, 1] }, &[x]),
        _ => net.named("op").activation(x, activation(name)),
    };
    node.unwrap()
}

fn activation(name: &str) -> Activation {
    match name {
        "relu" => Activation::Relu,
        "relu6" => Activation::Relu6,
        "leaky_relu" => Activation::LeakyRelu(0.1),
        "sigmoid" => Activation::Sigmoid,
        "tanh" => Activation::Tanh,
        "hard_sigmoid" => Activation::HardSigmoid,
        "hard_swish" => Activation::HardSwish,
        "elu" => Activation::Elu(1.3),
        "gelu" => Activation::Gelu,
        "clip" => Activation::Clip { min: -0.3, max: 0.4 },
        "ramp" => Activation::Ramp { slope: 0.7, offset: 0.4 },
        "swish" => Activation::Swish,
        "erf" => Activation::Erf,
        _ => panic!("golden case {name} has no operator here"),
    }
}

fn build(name: &str) -> Graph {
    let mut net = GraphBuilder::new(name, Task::Classification, INPUT);
    let stem = net.named("stem").conv(0, 4, Window::valid(1, 1), 1, true).unwrap();
    let op = operator(&mut net, name, stem);
    net.named("head").dense(op, 5, true).unwrap();
    net.finish().unwrap()
}

/// The golden script's numbers, tensor after tensor.
fn numbers(graph: &Graph) -> Params {
    let mut params = Params::zeros(graph);
    let mut seed = 10;
    for (node, tensors) in graph.nodes.iter().zip(&mut params.nodes) {
        let is_norm = matches!(node.op, Op::BatchNorm { .. });
        for (name, tensor) in tensors.tensors_mut() {
            let (scale, shift) =
                if is_norm && matches!(name, "gamma" | "running_var") { (0.4, 1.0) } else { (0.5, 0.0) };
            let values = uniform(seed, tensor.len());
            tensor.iter_mut().zip(values).for_each(|(slot, value)| *slot = value * scale + shift);
            seed += 1;
        }
    }
    params
}

fn check(name: &str, golden: &Golden) {
    let graph = build(name);
    let params = numbers(&graph);
    let inputs = uniform(1, EXAMPLES * INPUT.len());
    let mut executor = Executor::for_training(&graph, EXAMPLES, Trainable::All).unwrap();
    let outputs = executor.forward(&params, &inputs, EXAMPLES, &Pass::default()).unwrap();
    let c = uniform(2, outputs.len());
    let terms =
        outputs.iter().zip(&c).map(|(&y, &c)| f64::from(c) * f64::from(y) + 0.5 * f64::from(y).powi(2));
    let loss: f64 = terms.sum();
    assert!(
        (loss - golden.loss).abs() < TOLERANCE * golden.loss.abs().max(1.0),
        "{name}: {loss} {}",
        golden.loss
    );
    let slope: Vec<f32> = outputs.iter().zip(&c).map(|(y, c)| c + y).collect();
    let mut gradients = Gradients::zeros(&graph, Trainable::All);
    executor.backward(&params, &inputs, &slope, EXAMPLES, &Pass::default(), &mut gradients).unwrap();
    let mut compared = 0;
    for (node, tensors) in graph.nodes.iter().zip(&gradients.nodes) {
        let values = tensors.tensors().flat_map(|(_, tensor)| tensor);
        let largest = f64::from(values.fold(1.0_f32, |largest, value| largest.max(value.abs())));
        for (tensor, found) in tensors.tensors() {
            let key = format!("{}/{tensor}", node.name);
            compare(&format!("{name}: {key}"), found, &golden.gradients[&key], TOLERANCE * largest);
            compared += 1;
        }
    }
    assert_eq!(compared, golden.gradients.len(), "{name}: tensors of both sides");
}

fn compare(what: &str, found: &ArrayD<f32>, expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(*found) - expected).abs();
        assert!(error <= tolerance, "{what}[{index}]: {found}, PyTorch {expected}");
    }
}

#[test]
fn every_operator_has_the_gradients_of_pytorch() {
    let text = include_str!("golden/gradients.json");
    let golden: BTreeMap<String, Golden> = serde_json::from_str(text).unwrap();
    assert_eq!(golden.len(), 32);
    for (name, golden) in &golden {
        check(name, golden);
    }
}
