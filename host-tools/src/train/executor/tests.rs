//! Gradients of every operator against central differences, and what must not depend on how the work
//! is split.

use super::{Executor, Gradients, Pass, Perturbation, Trainable};
use crate::graph::{Activation, Graph, GraphBuilder, NodeId, NodeParams, Op, Params, Shape, Task, Window};
use ndarray::ArrayD;

/// Reproducible numbers in -1..1, without a generator's dependency.
fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            ((state >> 40) as f32 / (1u64 << 23) as f32) - 1.0
        })
        .collect()
}

fn randomised(graph: &Graph) -> Params {
    let mut params = Params::zeros(graph);
    for (id, node) in params.nodes.iter_mut().enumerate() {
        for (name, tensor) in node.tensors_mut() {
            let values = numbers(tensor.len(), (id * 31 + name.len()) as u64);
            let positive = name == "running_var" || name == "gamma";
            for (slot, value) in tensor.iter_mut().zip(values) {
                *slot = if positive { 1.0 + 0.4 * value } else { 0.5 * value };
            }
        }
    }
    params
}

/// A loss that weighs every output differently: sum of c_i * y_i + y_i^2 / 2, in f64.
fn loss(outputs: &[f32]) -> f64 {
    let weights = numbers(outputs.len(), 77);
    outputs.iter().zip(weights).map(|(y, c)| f64::from(*y) * f64::from(c) + 0.5 * f64::from(*y).powi(2)).sum()
}

fn loss_gradient(outputs: &[f32]) -> Vec<f32> {
    outputs.iter().zip(numbers(outputs.len(), 77)).map(|(y, c)| c + y).collect()
}

struct Case {
    graph: Graph,
    params: Params,
    inputs: Vec<f32>,
    n: usize,
    trainable: Trainable,
}

impl Case {
    fn new(graph: Graph, n: usize, trainable: Trainable) -> Self {
        let params = randomised(&graph);
        let inputs = numbers(n * graph.input_shape().len(), 5);
        Self { graph, params, inputs, n, trainable }
    }

    fn loss(&self, params: &Params, pass: &Pass<'_>) -> f64 {
        let mut executor = Executor::for_training(&self.graph, self.n, self.trainable).unwrap();
        loss(executor.forward(params, &self.inputs, self.n, pass).unwrap())
    }

    fn gradients(&self, pass: &Pass<'_>) -> Gradients {
        // A larger capacity than the batch: places must follow the batch, not the capacity.
        let mut executor = Executor::for_training(&self.graph, self.n + 3, self.trainable).unwrap();
        let outputs = executor.forward(&self.params, &self.inputs, self.n, pass).unwrap().to_vec();
        let mut gradients = Gradients::zeros(&self.graph, self.trainable);
        // Whatever was in there before must not show.
        for tensor in gradients.nodes.iter_mut().flat_map(NodeParams::tensors_mut) {
            tensor.1.fill(f32::NAN);
        }
        executor
            .backward(&self.params, &self.inputs, &loss_gradient(&outputs), self.n, pass, &mut gradients)
            .unwrap();
        gradients
    }

    /// Every trained value (every `stride`-th of large tensors) against central differences.
    fn check(&self, pass: &Pass<'_>) {
        let gradients = self.gradients(pass);
        let mut checked = 0;
        for id in 0..self.graph.nodes.len() {
            for (name, gradient) in gradients.nodes[id].tensors() {
                for index in (0..gradient.len()).step_by(1 + gradient.len() / 40) {
                    let got = f64::from(gradient.as_slice().unwrap()[index]);
                    let wanted = self.difference(id, name, index, pass);
                    let what = format!("{} {name}[{index}]", self.graph.nodes[id].name);
                    assert!(
                        (got - wanted).abs() <= 2e-2 * wanted.abs().max(0.3),
                        "{what}: {got} for {wanted}"
                    );
                    checked += 1;
                }
            }
        }
        assert!(checked > 0, "nothing was trained");
    }

    /// The gradient with respect to the inputs against central differences.
    fn check_inputs(&mut self, pass: &Pass<'_>) {
        let mut executor = Executor::for_training(&self.graph, self.n + 1, self.trainable).unwrap();
        let outputs = executor.forward(&self.params, &self.inputs, self.n, pass).unwrap().to_vec();
        let (d, mut none) = (loss_gradient(&outputs), Gradients::zeros(&self.graph, self.trainable));
        executor.backward(&self.params, &self.inputs, &d, self.n, pass, &mut none).unwrap();
        assert!(none.nodes.iter().all(|node| node.tensors().next().is_none()));
        let gradient = executor.input_gradient(self.n).unwrap().to_vec();
        assert_eq!(gradient.len(), self.inputs.len());
        for index in (0..gradient.len()).step_by(7) {
            let (kept, step) = (self.inputs[index], 2e-3f32);
            let mut moved = |by: f32| {
                self.inputs[index] = kept + by;
                self.loss(&self.params, pass)
            };
            let wanted = (moved(step) - moved(-step)) / (2.0 * f64::from(step));
            self.inputs[index] = kept;
            let got = f64::from(gradient[index]);
            assert!((got - wanted).abs() <= 2e-2 * wanted.abs().max(0.3), "x[{index}]: {got} for {wanted}");
        }
    }

    fn difference(&self, id: NodeId, name: &str, index: usize, pass: &Pass<'_>) -> f64 {
        let step = 2e-3f32;
        let moved = |by: f32| {
            let mut params = self.params.clone();
            let (_, tensor) = params.nodes[id].tensors_mut().find(|(n, _)| *n == name).unwrap();
            tensor.as_slice_mut().unwrap()[index] += by;
            self.loss(&params, pass)
        };
        (moved(step) - moved(-step)) / (2.0 * f64::from(step))
    }
}

/// input -> smooth conv -> the operator under test -> dense: kinks are the only enemies of differences,
/// so activations around the operator are smooth.
fn sandwich(input: Shape, build: impl FnOnce(&mut GraphBuilder, NodeId) -> NodeId) -> Graph {
    let mut b = GraphBuilder::new("test", Task::Classification, input);
    let conv = b.conv(0, 4, Window::padded(3, 1, 1), 1, true).unwrap();
    let smooth = b.activation(conv, Activation::Tanh).unwrap();
    let middle = build(&mut b, smooth);
    let smooth = b.activation(middle, Activation::Sigmoid).unwrap();
    b.dense(smooth, 3, true).unwrap();
    b.finish().unwrap()
}

const INPUT: Shape = Shape::new(5, 6, 2);

pub(super) fn check_operator(build: impl FnOnce(&mut GraphBuilder, NodeId) -> NodeId) {
    let graph = sandwich(INPUT, build);
    Case::new(graph.clone(), 3, Trainable::All).check(&Pass::default());
    Case::new(graph.clone(), 3, Trainable::FirstLayer).check(&Pass::default());
    let (last, input) = (graph.output(), Trainable::Input);
    Case::new(graph.clone(), 3, Trainable::Kernels { first: 0, last }).check(&Pass::default());
    Case::new(graph.clone(), 3, Trainable::Kernels { first: last, last }).check(&Pass::default());
    Case::new(graph, 3, input).check_inputs(&Pass::default());
}

fn window(
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    begin: [usize; 2],
    end: [usize; 2],
) -> Window {
    Window { kernel, stride, dilation, pad_begin: begin, pad_end: end }
}

#[test]
fn convolutions() {
    for w in [
        Window::padded(3, 1, 1),
        Window::valid(1, 1),
        Window::valid(1, 2),
        Window::padded(3, 2, 1),
        window([2, 3], [1, 1], [1, 1], [0, 2], [1, 0]),
        window([2, 3], [2, 1], [1, 1], [1, 0], [0, 1]),
        window([2, 2], [1, 1], [2, 3], [1, 1], [1, 2]),
        window([3, 1], [1, 2], [1, 1], [3, 0], [0, 0]), // padding wider than the kernel's reach
    ] {
        check_operator(|b, x| b.conv(x, 5, w, 1, true).unwrap());
    }
}

#[test]
fn grouped_and_depthwise_convolutions() {
    for (groups, out) in [(2, 6), (4, 4), (4, 8)] {
        for w in
            [Window::padded(3, 1, 1), Window::padded(3, 2, 1), window([2, 2], [1, 1], [2, 1], [1, 0], [0, 1])]
        {
            check_operator(|b, x| b.conv(x, out, w, groups, true).unwrap());
        }
    }
}

#[test]
fn dense_layers() {
    check_operator(|b, x| {
        let flat = b.flatten(x).unwrap();
        b.dense(flat, 7, true).unwrap()
    });
    check_operator(|b, x| b.dense(x, 40, false).unwrap());
}

#[test]
fn batch_norm() {
    check_operator(|b, x| b.batch_norm(x).unwrap());
    check_operator(|b, x| {
        let conv = b.conv(x, 4, Window::valid(2, 1), 1, false).unwrap();
        let norm = b.batch_norm(conv).unwrap();
        // Its input is read twice, so it cannot be overwritten and its gradient is a sum.
        b.add(norm, conv).unwrap()
    });
}

#[test]
fn pooling() {
    check_operator(|b, x| b.max_pool(x, Window::valid(2, 2)).unwrap());
    check_operator(|b, x| b.max_pool(x, Window::padded(3, 2, 1)).unwrap());
    for count_padding in [false, true] {
        check_operator(|b, x| b.avg_pool(x, Window::padded(3, 2, 1), count_padding).unwrap());
    }
    check_operator(|b, x| b.global_avg_pool(x).unwrap());
}

#[test]
fn residual_sums() {
    check_operator(|b, x| b.add(x, x).unwrap());
    check_operator(|b, x| {
        let branch = b.conv(x, 4, Window::padded(3, 1, 1), 1, true).unwrap();
        let sum = b.add(branch, x).unwrap();
        let third = b.conv(sum, 4, Window::valid(1, 1), 1, false).unwrap();
        let all = b.add(sum, third).unwrap();
        b.add(all, x).unwrap()
    });
}

#[test]
fn products_differences_concatenations_and_padding() {
    check_operator(|b, x| {
        let y = b.conv(x, 3, Window::padded(3, 1, 1), 1, true).unwrap();
        let z = b.conv(y, 3, Window::padded(3, 1, 1), 1, true).unwrap();
        let difference = b.push(Op::Sub, &[z, y]).unwrap();
        let reversed = b.push(Op::Sub, &[y, difference]).unwrap();
        let product = b.push(Op::Mul, &[reversed, z]).unwrap();
        let mean = b.global_avg_pool(product).unwrap();
        let gate = b.activation(mean, Activation::Sigmoid).unwrap();
        let gated = b.push(Op::Mul, &[product, gate]).unwrap();
        b.push(Op::Mul, &[gated, gated]).unwrap()
    });
    for axis in 0..3 {
        check_operator(|b, x| {
            let y = b.conv(x, 3, Window::padded(3, 1, 1), 1, true).unwrap();
            let z = b.conv(y, 3, Window::padded(3, 1, 1), 1, true).unwrap();
            let joined = b.push(Op::Concat { axis }, &[y, z]).unwrap();
            let twice = b.push(Op::Concat { axis: 2 }, &[joined, joined]).unwrap();
            b.push(Op::Pad { begin: [1, 0], end: [2, 3] }, &[twice]).unwrap()
        });
    }
}

#[test]
fn activations_away_from_their_kinks() {
    use Activation::{Elu, Erf, Gelu, HardSigmoid, HardSwish, LeakyRelu, Relu, Relu6, Sigmoid, Swish, Tanh};
    let (clip, ramp) =
        (Activation::Clip { min: 0.0, max: 9.0 }, Activation::Ramp { slope: 0.1, offset: 0.2 });
    let simple = [Erf, Gelu, HardSigmoid, HardSwish, Relu, Relu6, Sigmoid, Swish, Tanh];
    for activation in simple.into_iter().chain([Elu(0.7), LeakyRelu(0.1), clip, ramp]) {
        // Batch norm's beta of at least 2 keeps nearly all values on one side of zero.
        let graph = sandwich(INPUT, |b, x| {
            let doubled = b.add(x, x).unwrap();
            b.activation(doubled, activation).unwrap()
        });
        let mut case = Case::new(graph, 2, Trainable::All);
        case.params.nodes[1].bias = Some(ArrayD::from_elem(vec![4], 2.5));
        case.check(&Pass::default());
    }
}

#[test]
fn dropout_masks_forward_and_backward_alike_and_keeps_the_mean() {
    let graph = sandwich(INPUT, |b, x| b.dropout(x, 0.4).unwrap());
    let pass = Pass { dropout_seed: 3, ..Pass::default() };
    Case::new(graph.clone(), 3, Trainable::All).check(&pass);
    let case = Case::new(graph, 3, Trainable::All);
    assert_ne!(case.loss(&case.params, &pass), case.loss(&case.params, &Pass { dropout_seed: 4, ..pass }));

    let mut values = vec![1.0; 100_000];
    super::elementwise::drop_out(0.4, 9, 1, 0, &mut values);
    let mean = values.iter().sum::<f32>() / values.len() as f32;
    assert!((mean - 1.0).abs() < 0.01, "{mean}");
}

fn first_kernel_len(graph: &Graph) -> usize {
    Params::zeros(graph).nodes[1].weight.as_ref().unwrap().len()
}

fn signs(count: usize, seed: u64) -> Vec<f32> {
    numbers(count, seed).iter().map(|v| v.signum()).collect()
}

fn conv_first(groups: usize) -> Graph {
    let mut b = GraphBuilder::new("conv", Task::Classification, Shape::new(5, 5, 4));
    let conv = b.conv(0, 4, Window::padded(3, 2, 1), groups, true).unwrap();
    let smooth = b.activation(conv, Activation::Tanh).unwrap();
    b.dense(smooth, 3, true).unwrap();
    b.finish().unwrap()
}

fn dense_first() -> Graph {
    let mut b = GraphBuilder::new("dense", Task::Classification, Shape::new(2, 3, 2));
    let flat = b.flatten(0).unwrap();
    let dense = b.dense(flat, 8, true).unwrap();
    let smooth = b.activation(dense, Activation::Tanh).unwrap();
    b.dense(smooth, 3, true).unwrap();
    b.finish().unwrap()
}

/// d loss / d noise against central differences, and d loss / d mean under the same noise.
fn check_noise(graph: Graph, noise: &[f32], pass_of: impl for<'a> Fn(&'a [f32]) -> Perturbation<'a>) {
    let case = Case::new(graph, 3, Trainable::FirstLayer);
    let pass = Pass { perturbation: pass_of(noise), ..Pass::default() };
    case.check(&pass);
    let gradient = case.gradients(&pass).noise.unwrap();
    for index in 0..noise.len() {
        let moved = |by: f32| {
            let mut noise = noise.to_vec();
            noise[index] += by;
            case.loss(&case.params, &Pass { perturbation: pass_of(&noise), ..Pass::default() })
        };
        let wanted = (moved(5e-3) - moved(-5e-3)) / 1e-2;
        let got = f64::from(gradient.as_slice().unwrap()[index]);
        assert!((got - wanted).abs() <= 2e-2 * wanted.abs().max(0.3), "noise[{index}]: {got} for {wanted}");
    }
}

#[test]
fn flipout_gradients() {
    for graph in [conv_first(1), conv_first(2), conv_first(4), dense_first()] {
        let inputs = if matches!(graph.nodes[1].op, Op::Conv2d { .. }) { 4 } else { 12 };
        let first = graph.first_weighted().unwrap();
        let outputs = graph.nodes[first].shape.channels;
        let len = Params::zeros(&graph).nodes[first].weight.as_ref().unwrap().len();
        let (input_signs, output_signs) = (signs(3 * inputs, 8).leak(), signs(3 * outputs, 9).leak());
        check_noise(graph, &numbers(len, 6), |delta| Perturbation::Flipout {
            delta,
            input_signs,
            output_signs,
        });
    }
}

#[test]
fn local_reparameterization_gradients() {
    let graph = dense_first();
    let variance: Vec<f32> = numbers(8 * 12, 6).iter().map(|v| 0.3 + 0.2 * v).collect();
    let eps = numbers(3 * 8, 4).leak();
    check_noise(graph, &variance, |variance| Perturbation::Local { variance, eps });
}

/// With all signs +1, flipout is the plain layer with `W + delta`.
#[test]
fn flipout_with_equal_signs_is_the_perturbed_layer() {
    let graph = conv_first(1);
    let case = Case::new(graph, 3, Trainable::FirstLayer);
    let delta = numbers(first_kernel_len(&case.graph), 6);
    let ones = vec![1.0; 12];
    let flipout = Perturbation::Flipout { delta: &delta, input_signs: &ones, output_signs: &ones };
    let mut moved = case.params.clone();
    for (w, d) in moved.nodes[1].weight.as_mut().unwrap().iter_mut().zip(&delta) {
        *w += d;
    }
    let perturbed = case.loss(&case.params, &Pass { perturbation: flipout, ..Pass::default() });
    let plain = case.loss(&moved, &Pass::default());
    assert!((perturbed - plain).abs() < 1e-5 * plain.abs(), "{perturbed} {plain}");
}

#[test]
fn local_reparameterization_of_a_convolution_is_refused_with_the_reason() {
    let graph = conv_first(1);
    let mut executor = Executor::for_training(&graph, 2, Trainable::FirstLayer).unwrap();
    let pass = Pass { perturbation: Perturbation::Local { variance: &[], eps: &[] }, ..Pass::default() };
    let error = executor.forward(&Params::zeros(&graph), &[0.0; 200], 2, &pass).unwrap_err().to_string();
    assert!(error.contains("local") && error.contains("convolution"), "{error}");
}

#[test]
fn wrong_sizes_are_errors() {
    let graph = conv_first(1);
    let params = Params::zeros(&graph);
    assert!(Executor::new(&graph, 0).is_err());
    let mut executor = Executor::new(&graph, 2).unwrap();
    assert!(executor.infer(&params, &[0.0; 99], 1).is_err());
    assert!(executor.infer(&params, &[0.0; 300], 3).is_err());
    assert!(executor.infer(&params, &[], 0).is_err());
}

/// Same bits on one thread and on several, forward and backward.
#[test]
fn threads_do_not_change_a_bit() {
    let graph = sandwich(Shape::new(9, 9, 3), |b, x| {
        let conv = b.conv(x, 16, Window::padded(3, 1, 1), 1, false).unwrap();
        let norm = b.batch_norm(conv).unwrap();
        let relu = b.activation(norm, Activation::Relu).unwrap();
        let depthwise = b.conv(relu, 16, Window::padded(3, 1, 1), 16, true).unwrap();
        b.add(depthwise, relu).unwrap()
    });
    let case = Case::new(graph, 37, Trainable::All);
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| (case.loss(&case.params, &Pass::default()), case.gradients(&Pass::default())))
    };
    let one = with(1);
    assert!(one == with(2) && one == with(5));
}

/// A batch norm by its own batch, and the running statistics that it leaves behind.
#[test]
fn running_statistics_move_by_the_momentum() {
    let mut b = GraphBuilder::new("norm", Task::Classification, Shape::new(1, 1, 1));
    let dense = b.dense(0, 1, false).unwrap();
    b.batch_norm(dense).unwrap();
    let graph = b.finish().unwrap();
    let mut params = Params::zeros(&graph);
    params.nodes[1].weight = Some(ArrayD::from_elem(vec![1, 1], 1.0));
    let mut executor = Executor::for_training(&graph, 4, Trainable::All).unwrap();
    let y = executor.forward(&params, &[1.0, 2.0, 3.0, 6.0], 4, &Pass::default()).unwrap().to_vec();
    assert!(y.iter().sum::<f32>().abs() < 1e-5 && (y.iter().map(|v| v * v).sum::<f32>() - 4.0).abs() < 1e-3);
    executor.update_running_statistics(&mut params);
    let Op::BatchNorm { momentum, .. } = graph.nodes[2].op else { panic!("batch norm expected") };
    let running = |tensor: &Option<ArrayD<f32>>| tensor.as_ref().unwrap()[[0]];
    assert!((running(&params.nodes[2].running_mean) - 3.0 * momentum).abs() < 1e-6);
    // Squared distances 4 + 1 + 0 + 9, divided by n - 1.
    let expected = (1.0 - momentum) + momentum * 14.0 / 3.0;
    assert!((running(&params.nodes[2].running_var) - expected).abs() < 1e-5);
}

/// Planned memory is the point of the plan: stage 2 needs a fraction of stage 1's.
#[test]
fn a_frozen_backbone_saves_no_activations() {
    let graph = sandwich(Shape::new(16, 16, 3), |b, mut x| {
        for _ in 0..8 {
            x = b.conv(x, 4, Window::padded(3, 1, 1), 1, false).unwrap();
            x = b.batch_norm(x).unwrap();
            x = b.activation(x, Activation::Relu).unwrap();
        }
        x
    });
    let bytes = |trainable| Executor::for_training(&graph, 8, trainable).unwrap().planned_bytes();
    assert!(bytes(Trainable::None) * 3 < bytes(Trainable::FirstLayer) * 2);
    assert!(bytes(Trainable::FirstLayer) * 10 < bytes(Trainable::All) * 7);
}

/// Monte-Carlo dropout: running statistics, and masks that the seed decides; the way back has the same.
#[test]
fn dropout_drops_at_prediction_if_asked() {
    let graph = sandwich(INPUT, |b, x| b.dropout(x, 0.4).unwrap());
    let mut case = Case::new(graph, 3, Trainable::Input);
    let pass = |seed, drops| Pass { dropout_seed: seed, drops, ..Pass::default() };
    let loss = |seed, drops| case.loss(&case.params, &pass(seed, drops));
    assert_eq!(loss(1, false), loss(2, false));
    assert_eq!(loss(1, true), loss(1, true));
    assert!(loss(1, true) != loss(2, true) && loss(1, true) != loss(1, false));
    case.check_inputs(&pass(1, true));
}

/// A dense layer first, behind a change of shape; two readers of the input.
#[test]
fn gradients_reach_inputs_however_they_are_read() {
    let mut b = GraphBuilder::new("dense", Task::Classification, INPUT);
    let flat = b.flatten(0).unwrap();
    b.dense(flat, 4, true).unwrap();
    Case::new(b.finish().unwrap(), 2, Trainable::Input).check_inputs(&Pass::default());
    let mut b = GraphBuilder::new("two", Task::Classification, INPUT);
    let conv = b.conv(0, 2, Window::padded(3, 1, 1), 1, true).unwrap();
    let sum = b.add(0, conv).unwrap();
    b.dense(sum, 3, true).unwrap();
    Case::new(b.finish().unwrap(), 2, Trainable::Input).check_inputs(&Pass::default());
    let graph = sandwich(INPUT, |_, x| x);
    assert!(Executor::new(&graph, 1).unwrap().input_gradient(1).is_err());
}
