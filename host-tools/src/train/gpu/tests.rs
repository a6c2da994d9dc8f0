//! The GPU's passes, training and predictions against the CPU's. `cargo xtask gpu-test` runs them, on a
//! software driver where there is no GPU; elsewhere they say that they skip it.

use crate::data::{self, Dataset, Preprocessing};
use crate::error::Result;
use crate::graph::params::Posterior;
use crate::graph::{Activation, Graph, GraphBuilder, Op, Params, Shape, Task, Window, architectures};
use crate::train::loss::softmax_cross_entropy;
use crate::train::testing::{numbers, stage1_config, stage2_config};
use crate::train::{
    Device, EpochSummary, Estimator, Gradients, Observer, Optimizer, Pass, Perturbation, Stage1Config,
    Stage1State, Stage2Config, Stage2State, TrainData, Trainable, engine, predict_mc, stage1, stage2,
};

const SHAPE: Shape = Shape { height: 8, width: 8, channels: 1 };

/// Whether to run: there is a device, or the caller insists on one.
fn has_device() -> bool {
    let found = super::device::open(Device::Vulkan);
    if std::env::var_os("STF_GPU_TEST").is_none() && found.is_err() {
        println!("skipped: no Vulkan device");
        return false;
    }
    found.map(|_| true).unwrap_or_else(|error| panic!("{error}"))
}

/// A strided residual block with batch norm, odd padding on two sides, and every other operator.
fn residual() -> Graph {
    let mut builder = GraphBuilder::new("residual", Task::Classification, SHAPE);
    let first = builder.conv(0, 4, Window::same([4, 3], [1, 2], SHAPE), 1, false).unwrap();
    let norm = builder.batch_norm(first).unwrap();
    let start = builder.activation(norm, Activation::Relu).unwrap();
    let wise = builder.conv(start, 4, Window::padded(3, 1, 1), 4, true).unwrap();
    let norm = builder.batch_norm(wise).unwrap();
    let tanh = builder.activation(norm, Activation::Tanh).unwrap();
    let sum = builder.add(tanh, start).unwrap();
    let dropped = builder.dropout(sum, 0.2).unwrap();
    let pooled = builder.max_pool(dropped, Window::padded(3, 2, 1)).unwrap();
    let swish = builder.activation(pooled, Activation::HardSwish).unwrap();
    let mean = builder.avg_pool(swish, Window::valid(2, 1), true).unwrap();
    builder.dense(mean, 10, true).unwrap();
    builder.finish().unwrap()
}

/// Differences, products, concatenations along every axis, padding, and functions that imports bring; the
/// input goes round the first layer.
fn joints() -> Graph {
    let mut builder = GraphBuilder::new("joints", Task::Classification, SHAPE);
    let first = builder.conv(0, 4, Window::padded(3, 2, 1), 1, true).unwrap();
    let swish = builder.activation(first, Activation::Swish).unwrap();
    let erf = builder.activation(first, Activation::Erf).unwrap();
    let difference = builder.push(Op::Sub, &[swish, erf]).unwrap();
    let mean = builder.global_avg_pool(difference).unwrap();
    let gate = builder.activation(mean, Activation::Ramp { slope: 0.3, offset: 0.4 }).unwrap();
    let scaled = builder.push(Op::Mul, &[difference, gate]).unwrap();
    let product = builder.push(Op::Mul, &[scaled, swish]).unwrap();
    let left = builder.push(Op::Concat { axis: 0 }, &[product, scaled]).unwrap();
    let right = builder.push(Op::Concat { axis: 0 }, &[erf, product]).unwrap();
    let columns = builder.push(Op::Concat { axis: 1 }, &[left, right]).unwrap();
    let channels = builder.push(Op::Concat { axis: 2 }, &[columns, 0]).unwrap();
    let padded = builder.push(Op::Pad { begin: [1, 0], end: [0, 2] }, &[channels]).unwrap();
    let conv = builder.conv(padded, 3, Window::valid(3, 2), 1, true).unwrap();
    let clip = builder.activation(conv, Activation::Clip { min: -0.5, max: 0.7 }).unwrap();
    builder.dense(clip, 10, true).unwrap();
    builder.finish().unwrap()
}

fn nets() -> Vec<Graph> {
    let known = ["mlp", "lenet5"].map(|name| architectures::build(name, SHAPE, 10).unwrap());
    known.into_iter().chain([residual(), joints()]).collect()
}

/// Parameters as in the middle of training: no tensor is all zeros or ones.
fn params(graph: &Graph) -> Params {
    let mut params = Params::initialise(graph, 3);
    for (id, node) in params.nodes.iter_mut().enumerate() {
        for (name, tensor) in node.tensors_mut().filter(|(name, _)| *name != "weight") {
            let positive = f32::from(u8::from(matches!(name, "gamma" | "running_var")));
            let values = numbers(tensor.len(), 20 + id as u64);
            tensor.iter_mut().zip(values).for_each(|(t, v)| *t = positive + 0.3 * v);
        }
    }
    params
}

/// Largest difference in units of the root mean square of `expected`.
fn distance(expected: &[f32], found: &[f32]) -> f64 {
    assert_eq!(expected.len(), found.len());
    let square: f64 = expected.iter().map(|v| f64::from(*v).powi(2)).sum();
    let scale = (square / expected.len() as f64).sqrt().max(1e-12);
    let gap = |(a, b): (&f32, &f32)| (f64::from(*a) - f64::from(*b)).abs();
    expected.iter().zip(found).map(gap).fold(0.0, f64::max) / scale
}

struct Step {
    loss: f64,
    gradients: Gradients,
    params: Params,
}

fn step(graph: &Graph, device: Device, trainable: Trainable, pass: &Pass<'_>) -> Result<Step> {
    let n = 6;
    let (inputs, mut params) = (numbers(n * SHAPE.len(), 5), params(graph));
    let labels: Vec<u32> = (0..n as u32).collect();
    let mut engine = engine(graph, n, trainable, device)?;
    let outputs = engine.forward(&params, &inputs, n, pass)?;
    let (loss, slope) = softmax_cross_entropy(outputs, &labels, 10, 0.0);
    let mut gradients = Gradients::zeros(graph, trainable);
    engine.backward(&params, &inputs, &slope, n, pass, &mut gradients)?;
    if trainable == Trainable::All {
        engine.update_running_statistics(&mut params)?;
    }
    Ok(Step { loss, gradients, params })
}

/// One step on both devices: loss within 1e-5, every tensor's gradient within 1e-4 of its size.
fn compare_step(graph: &Graph, trainable: Trainable, pass: &Pass<'_>, what: &str) {
    let [cpu, gpu] =
        [Device::Cpu, Device::Vulkan].map(|device| step(graph, device, trainable, pass).unwrap());
    let loss = (cpu.loss - gpu.loss).abs() / cpu.loss;
    let mut worst = 0.0_f64;
    for (expected, found) in cpu.gradients.nodes.iter().zip(&gpu.gradients.nodes) {
        for ((_, expected), (_, found)) in expected.tensors().zip(found.tensors()) {
            let [expected, found] =
                [expected, found].map(|tensor| tensor.iter().copied().collect::<Vec<_>>());
            // A bias before batch norm has no gradient but rounding.
            if expected.iter().any(|v| v.abs() > 1e-6) {
                worst = worst.max(distance(&expected, &found));
            }
        }
    }
    if let (Some(expected), Some(found)) = (&cpu.gradients.noise, &gpu.gradients.noise) {
        let [expected, found] = [expected, found].map(|tensor| tensor.iter().copied().collect::<Vec<_>>());
        worst = worst.max(distance(&expected, &found));
    }
    println!("{} {what}: loss {:.6}, apart by {loss:.1e}; gradients by {worst:.1e}", graph.name, cpu.loss);
    assert!(loss < 1e-5, "{} {what}: loss {} {}", graph.name, cpu.loss, gpu.loss);
    assert!(worst < 1e-4, "{} {what}: gradients apart by {worst}", graph.name);
    for (expected, found) in cpu.params.nodes.iter().zip(&gpu.params.nodes) {
        for ((name, expected), (_, found)) in expected.tensors().zip(found.tensors()) {
            let gap = (expected - found).mapv(f32::abs).fold(0.0f32, |a, b| a.max(*b));
            assert!(gap < 1e-5, "{} {what} {name}: {gap}", graph.name);
        }
    }
}

#[test]
fn one_step_is_the_cpus() {
    if !has_device() {
        return;
    }
    for graph in nets() {
        let plain = Pass { dropout_seed: 7, first_example: 2, ..Pass::default() };
        compare_step(&graph, Trainable::All, &plain, "stage 1");
        compare_step(&graph, Trainable::FirstLayer, &plain, "first layer");
        let first = graph.first_weighted().unwrap();
        let is_dense = graph.name == "mlp";
        let weights = params(&graph).nodes[first].weight.as_ref().unwrap().len();
        let outputs = graph.nodes[first].shape.channels;
        let inputs = if is_dense { SHAPE.len() } else { SHAPE.channels };
        let signs = |count, seed| numbers(6 * count, seed).iter().map(|v| v.signum()).collect::<Vec<f32>>();
        let (delta, r, s) = (numbers(weights, 8), signs(inputs, 9), signs(outputs, 10));
        let flipout = Perturbation::Flipout { delta: &delta, input_signs: &r, output_signs: &s };
        let pass = Pass { perturbation: flipout, ..Pass::default() };
        compare_step(&graph, Trainable::FirstLayer, &pass, "flipout");
        if is_dense {
            let variance: Vec<f32> = delta.iter().map(|v| 0.01 + v * v).collect();
            let eps = numbers(6 * outputs, 11);
            let local = Perturbation::Local { variance: &variance, eps: &eps };
            compare_step(&graph, Trainable::FirstLayer, &Pass { perturbation: local, ..pass }, "local");
        }
    }
}

/// What attacks need: the way back to the inputs, with dropout as Monte-Carlo dropout has it.
#[test]
fn input_gradients_are_the_cpus() {
    if !has_device() {
        return;
    }
    for graph in nets() {
        let (n, params) = (6, params(&graph));
        let (inputs, labels) = (numbers(n * SHAPE.len(), 5), [0, 1, 2, 3, 4, 5]);
        let pass = Pass { dropout_seed: 7, drops: true, first_example: 2, ..Pass::default() };
        let [cpu, gpu] = [Device::Cpu, Device::Vulkan].map(|device| {
            let mut engine = engine(&graph, n, Trainable::Input, device).unwrap();
            let outputs = engine.forward(&params, &inputs, n, &pass).unwrap().to_vec();
            let (_, slope) = softmax_cross_entropy(&outputs, &labels, 10, 0.0);
            let mut nothing = Gradients::zeros(&graph, Trainable::Input);
            engine.backward(&params, &inputs, &slope, n, &pass, &mut nothing).unwrap();
            (outputs, engine.input_gradient(n).unwrap().to_vec())
        });
        let apart = [distance(&cpu.0, &gpu.0), distance(&cpu.1, &gpu.1)];
        println!("{}: outputs apart by {:.1e}, input gradients by {:.1e}", graph.name, apart[0], apart[1]);
        assert!(apart[0] < 1e-5 && apart[1] < 1e-4, "{}: {apart:?}", graph.name);
        let mut predictor = engine(&graph, n, Trainable::None, Device::Vulkan).unwrap();
        let dropped = predictor.forward(&params, &inputs, n, &pass).unwrap();
        assert!(distance(&cpu.0, dropped) < 1e-5, "{}", graph.name);
    }
}

/// Losses of all steps.
#[derive(Default)]
struct Losses(Vec<f64>);

impl Observer for Losses {
    fn batch(&mut self, _: u8, _: usize, _: usize, _: usize, loss: f64) {
        self.0.push(loss);
    }
    fn stage1_epoch(&mut self, summary: &EpochSummary, _: &Stage1State) -> Result<()> {
        self.0.push(summary.validation.nll);
        Ok(())
    }
    fn stage2_epoch(&mut self, summary: &EpochSummary, _: &Stage2State) -> Result<()> {
        self.0.push(summary.validation.nll);
        Ok(())
    }
}

fn digits() -> (Dataset, Dataset, Preprocessing) {
    let splits = data::splits(data::load("digits", None).unwrap(), 0).unwrap();
    let front = |set: &Dataset, n: usize| set.select(&(0..n).collect::<Vec<_>>()).unwrap();
    let train = front(&splits.train, 128);
    let preprocessing = Preprocessing::fit(&train).unwrap();
    (train, front(&splits.validation, 40), preprocessing)
}

struct Run {
    losses: Vec<f64>,
    probabilities: Vec<f32>,
    information: Vec<f32>,
}

/// Two epochs of both stages and a prediction with 8 samples.
fn run(graph: &Graph, device: Device) -> Run {
    let (train, validation, preprocessing) = digits();
    let data = TrainData { train: &train, validation: &validation, preprocessing: &preprocessing };
    let mut losses = Losses::default();
    let config = Stage1Config { epochs: 2, batch_size: 32, device, ..stage1_config(Optimizer::SGD) };
    let plain = stage1(graph, data, &config, None, &mut losses).unwrap();
    let estimator = if graph.name == "mlp" { Estimator::Local } else { Estimator::Flipout };
    let config =
        Stage2Config { epochs: 2, batch_size: 16, accumulate: 2, device, ..stage2_config(estimator) };
    let state = stage2(graph, &plain.params, data, &config, None, &mut losses).unwrap();
    // The same posterior on both devices: what is compared is the prediction.
    let posterior = Posterior { node: state.posterior.node, log_var: state.posterior.log_var.mapv(|_| -3.0) };
    let mut inputs = Vec::new();
    preprocessing.apply(&validation, &[3, 1, 4, 15, 9, 26, 5], &mut inputs).unwrap();
    let mut engine = engine(graph, 7, Trainable::None, device).unwrap();
    let found = predict_mc(engine.as_mut(), &params(graph), Some(&posterior), &inputs, 7, 8, 1).unwrap();
    Run { losses: losses.0, probabilities: found.probabilities, information: found.mutual_information }
}

/// First losses within 1e-5, all within 1e-3 (rounding grows from step to step), predictions within 1e-5.
#[test]
fn both_stages_and_predictions_are_the_cpus() {
    if !has_device() {
        return;
    }
    for graph in nets() {
        let [cpu, gpu] = [Device::Cpu, Device::Vulkan].map(|device| run(&graph, device));
        assert_eq!((cpu.losses.len(), gpu.losses.len()), (20, 20));
        let gaps: Vec<f64> =
            cpu.losses.iter().zip(&gpu.losses).map(|(a, b)| (a - b).abs() / a.abs()).collect();
        let worst = gaps.iter().copied().fold(0.0, f64::max);
        let apart = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let prediction = apart(&cpu.probabilities, &gpu.probabilities);
        let information = apart(&cpu.information, &gpu.information);
        println!(
            "{}: first loss apart by {:.1e}, worst of {} by {worst:.1e}; 8-sample probabilities by \
             {prediction:.1e}, mutual information by {information:.1e}",
            graph.name,
            gaps[0],
            gaps.len()
        );
        assert!(gaps[0] < 1e-5, "{}: {:?} {:?}", graph.name, cpu.losses, gpu.losses);
        assert!(worst < 1e-3, "{}: {:?} {:?}", graph.name, cpu.losses, gpu.losses);
        assert!(prediction < 1e-5 && information < 1e-5, "{}: {prediction} {information}", graph.name);
    }
}

/// A first layer with groups, and a second path that goes round it: draws of one example and the example
/// itself meet at the sum.
#[test]
fn draws_meet_what_has_none() {
    if !has_device() {
        return;
    }
    let mut builder = GraphBuilder::new("round", Task::Classification, Shape::new(5, 5, 4));
    let wise = builder.conv(0, 4, Window::padded(3, 1, 1), 4, true).unwrap();
    let sum = builder.add(0, wise).unwrap();
    let sum = builder.add(sum, 0).unwrap();
    builder.dense(sum, 3, true).unwrap();
    let graph = builder.finish().unwrap();
    let params = params(&graph);
    let weight = params.nodes[wise].weight.as_ref().unwrap();
    let posterior = Posterior { node: wise, log_var: weight.mapv(|_| -1.0) };
    let inputs = numbers(3 * 100, 4);
    let [cpu, gpu] = [Device::Cpu, Device::Vulkan].map(|device| {
        let mut engine = engine(&graph, 3, Trainable::None, device).unwrap();
        predict_mc(engine.as_mut(), &params, Some(&posterior), &inputs, 3, 5, 2).unwrap()
    });
    let apart = cpu.probabilities.iter().zip(&gpu.probabilities).map(|(a, b)| (a - b).abs());
    assert!(apart.fold(0.0, f32::max) < 1e-5, "{:?} {:?}", cpu.probabilities, gpu.probabilities);
}

#[test]
fn a_device_that_is_not_there_is_an_error_that_names_those_that_are() {
    let foreign = if cfg!(target_vendor = "apple") { Device::Vulkan } else { Device::Metal };
    let Err(error) = engine(&nets()[0], 1, Trainable::None, foreign) else { panic!("{foreign} here?") };
    let message = error.to_string();
    println!("{message}");
    assert!(message.contains("expected cpu"), "{message}");
}
