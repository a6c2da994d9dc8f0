//! Images a second and peak memory of one training step, two stages, four networks.
//!
//! ```text
//! cargo bench --bench train                              every row, 5 s each
//! cargo bench --bench train -- resnet20 frozen 10        one row: network, mode, seconds
//! ```
//!
//! Networks: `lenet`, `dscnn`, `resnet20`, `mlp`. Modes: `train` updates everything (stage 1),
//! `frozen` the first kernel alone, without noise, `flipout` the first kernel's mu and log_var by
//! flipout (stage 2), `eval` nothing. Batch 64 (`BATCH`), threads by `RAYON_NUM_THREADS`.
//!
//! Starting numbers and inputs are made by a formula, so that another framework can start from the
//! same: with equal formula, network and step the first losses printed must agree. Each row runs in a
//! process of its own, for its peak memory.

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};
use stf_host::Result;
use stf_host::graph::{Activation, Graph, GraphBuilder, NodeId, Op, Params, Shape, Task, Window};
use stf_host::train::{
    Executor, Gradients, Optimizer, OptimizerState, Pass, Perturbation, Trainable, on_pool,
};

const NETWORKS: [&str; 4] = ["lenet", "dscnn", "resnet20", "mlp"];
const MODES: [&str; 3] = ["train", "frozen", "flipout"];
const SGD: Optimizer = Optimizer::Sgd { momentum: 0.9, nesterov: false };

fn main() -> ExitCode {
    // `cargo bench` adds `--bench`.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    match &words[..] {
        [] => every_row(),
        [network, mode, rest @ ..] => {
            let seconds = rest.first().and_then(|word| word.parse().ok()).unwrap_or(5.0);
            match Row::new(network, mode).and_then(|row| row.run(Duration::from_secs_f64(seconds))) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    eprintln!("{error}");
                    ExitCode::FAILURE
                }
            }
        }
        [_] => {
            eprintln!("usage: train [NETWORK MODE [SECONDS]]");
            ExitCode::from(2)
        }
    }
}

fn every_row() -> ExitCode {
    let Ok(program) = std::env::current_exe() else { return ExitCode::FAILURE };
    for network in NETWORKS {
        for mode in MODES {
            if !Command::new(&program).args([network, mode]).status().is_ok_and(|status| status.success()) {
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

/// One network in one mode, with everything a step needs.
struct Row {
    network: String,
    mode: String,
    executor: Executor,
    params: Params,
    gradients: Gradients,
    optimizer: OptimizerState,
    inputs: Vec<f32>,
    labels: Vec<usize>,
    learning_rate: f32,
    noise: Option<Noise>,
}

/// Flipout's random numbers of a step; the same every step, as their cost is not what is measured.
struct Noise {
    first: NodeId,
    eps: Vec<f32>,
    log_var: Vec<f32>,
    delta: Vec<f32>,
    input_signs: Vec<f32>,
    output_signs: Vec<f32>,
}

impl Row {
    fn new(network: &str, mode: &str) -> Result<Self> {
        let graph = build(network)?;
        let batch = std::env::var("BATCH").ok().and_then(|text| text.parse().ok()).unwrap_or(64);
        let trainable = match mode {
            "train" => Trainable::All,
            "frozen" | "flipout" => Trainable::FirstLayer,
            _ => Trainable::None,
        };
        let shape = graph.input_shape();
        let planes = uniform(1000, batch * shape.len(), 1.0);
        let inputs = planes.chunks_exact(shape.len()).flat_map(|image| channels_last(image, shape)).collect();
        let classes = graph.output_shape().len();
        let noise = if mode == "flipout" { Some(Noise::new(&graph, batch)?) } else { None };
        Ok(Self {
            network: network.to_owned(),
            mode: mode.to_owned(),
            executor: Executor::for_training(&graph, batch, trainable)?,
            params: start(&graph),
            gradients: Gradients::zeros(&graph, trainable),
            optimizer: OptimizerState::default(),
            inputs,
            labels: (0..batch).map(|i| i * 7 % classes).collect(),
            learning_rate: if mode == "train" { 0.02 } else { 1e-3 },
            noise,
        })
    }

    fn run(mut self, duration: Duration) -> Result<()> {
        let losses = (0..4).map(|_| on_pool(|| self.step())).collect::<Result<Vec<f32>>>()?;
        let (started, mut times, mut last) = (Instant::now(), Vec::new(), 0.0);
        while started.elapsed() < duration || times.len() < 4 {
            let step = Instant::now();
            last = on_pool(|| self.step())?;
            times.push(step.elapsed().as_secs_f64());
        }
        times.sort_by(f64::total_cmp);
        let rate = |seconds: f64| self.labels.len() as f64 / seconds;
        println!(
            "RESULT fw=stf model={} mode={} best={:.1} med={:.1} n={} rss_mb={:.0} planned_mb={:.1} losses={losses:.5?} last={last:.4}",
            self.network,
            self.mode,
            rate(times[0]),
            rate(times[times.len() / 2]),
            times.len(),
            peak_mb().unwrap_or(f64::NAN),
            self.executor.planned_bytes() as f64 / 1e6,
        );
        Ok(())
    }

    /// One step; returns the loss before it.
    fn step(&mut self) -> Result<f32> {
        let n = self.labels.len();
        let pass = Pass {
            perturbation: self.noise.as_mut().map_or(Perturbation::None, Noise::perturbation),
            dropout_seed: 0,
        };
        let logits = if self.mode == "eval" {
            self.executor.infer(&self.params, &self.inputs, n)?
        } else {
            self.executor.forward(&self.params, &self.inputs, n, &pass)?
        };
        let (loss, slope) = cross_entropy(logits, &self.labels);
        if self.mode == "eval" {
            return Ok(loss);
        }
        self.executor.backward(&self.params, &self.inputs, &slope, n, &pass, &mut self.gradients)?;
        if self.mode == "train" {
            self.executor.update_running_statistics(&mut self.params);
        }
        self.descend();
        Ok(loss)
    }

    /// SGD with momentum on every tensor that has a gradient; log_var by its chain rule.
    fn descend(&mut self) {
        self.optimizer.advance();
        for (id, gradients) in self.gradients.nodes.iter().enumerate() {
            for (name, value) in self.params.nodes[id].tensors_mut() {
                let found = gradients.tensors().find(|(other, _)| *other == name);
                if let Some((_, gradient)) = found {
                    let key = format!("{id}/{name}");
                    self.optimizer.apply(SGD, &key, value, gradient, self.learning_rate, 0.0);
                }
            }
        }
        if let (Some(noise), Some(gradient)) = (&mut self.noise, &self.gradients.noise) {
            for (((log_var, delta), eps), g) in
                noise.log_var.iter_mut().zip(&noise.delta).zip(&noise.eps).zip(gradient)
            {
                // delta = eps * exp(log_var / 2), hence d delta / d log_var = delta / 2.
                debug_assert!((delta - eps * (0.5 * *log_var).exp()).abs() < 1e-3);
                *log_var -= self.learning_rate * g * delta * 0.5;
            }
        }
    }
}

impl Noise {
    fn new(graph: &Graph, batch: usize) -> Result<Self> {
        let first = graph.first_weighted()?;
        let (inputs, outputs) = match graph.nodes[first].op {
            Op::Conv2d { out_channels, .. } => (graph.input_of(first).channels, out_channels),
            _ => (graph.input_of(first).len(), graph.nodes[first].shape.len()),
        };
        let weights = outputs * graph.fan_in(first);
        let signs = |seed, count| uniform(seed, count, 1.0).iter().map(|value| value.signum()).collect();
        Ok(Self {
            first,
            eps: uniform(2000, weights, 1.0),
            log_var: vec![-8.0; weights],
            delta: vec![0.0; weights],
            input_signs: signs(2001, batch * inputs),
            output_signs: signs(2002, batch * outputs),
        })
    }

    fn perturbation(&mut self) -> Perturbation<'_> {
        debug_assert_eq!(self.eps.len(), self.delta.len(), "kernel of node {}", self.first);
        for ((delta, eps), log_var) in self.delta.iter_mut().zip(&self.eps).zip(&self.log_var) {
            *delta = eps * (0.5 * log_var).exp();
        }
        let Self { delta, input_signs, output_signs, .. } = self;
        Perturbation::Flipout { delta, input_signs, output_signs }
    }
}

fn build(network: &str) -> Result<Graph> {
    let input = match network {
        "resnet20" => Shape::new(32, 32, 3),
        "dscnn" => Shape::new(49, 10, 1),
        "lenet" | "mlp" => Shape::new(28, 28, 1),
        _ => return Err(stf_host::Error::invalid("network", network, NETWORKS.join(", "))),
    };
    let mut net = Net(GraphBuilder::new(network, Task::Classification, input));
    match network {
        "resnet20" => net.resnet20()?,
        "dscnn" => net.dscnn()?,
        "lenet" => net.lenet()?,
        _ => net.mlp()?,
    };
    net.0.finish()
}

/// The four networks, layer for layer as their peers are usually written in PyTorch.
struct Net(GraphBuilder);

impl Net {
    fn conv_bn(&mut self, x: NodeId, channels: usize, window: Window, groups: usize) -> Result<NodeId> {
        let conv = self.0.conv(x, channels, window, groups, false)?;
        self.0.batch_norm(conv)
    }

    fn relu(&mut self, x: NodeId) -> Result<NodeId> {
        self.0.activation(x, Activation::Relu)
    }

    fn block(&mut self, x: NodeId, channels: usize, stride: usize) -> Result<NodeId> {
        let a = self.conv_bn(x, channels, Window::padded(3, stride, 1), 1)?;
        let a = self.relu(a)?;
        let b = self.conv_bn(a, channels, Window::padded(3, 1, 1), 1)?;
        let shortcut = if stride == 1 { x } else { self.conv_bn(x, channels, Window::valid(1, stride), 1)? };
        let sum = self.0.add(b, shortcut)?;
        self.relu(sum)
    }

    fn resnet20(&mut self) -> Result<NodeId> {
        let stem = self.conv_bn(0, 16, Window::padded(3, 1, 1), 1)?;
        let mut x = self.relu(stem)?;
        for (stage, channels) in [16, 32, 64].into_iter().enumerate() {
            for block in 0..3 {
                x = self.block(x, channels, if stage > 0 && block == 0 { 2 } else { 1 })?;
            }
        }
        let mean = self.0.global_avg_pool(x)?;
        self.0.dense(mean, 10, true)
    }

    fn dscnn(&mut self) -> Result<NodeId> {
        let stem =
            Window { kernel: [10, 4], stride: [2; 2], dilation: [1; 2], pad_begin: [4, 1], pad_end: [4, 1] };
        let stem = self.conv_bn(0, 64, stem, 1)?;
        let mut x = self.relu(stem)?;
        for _ in 0..4 {
            let depthwise = self.conv_bn(x, 64, Window::padded(3, 1, 1), 64)?;
            let depthwise = self.relu(depthwise)?;
            let pointwise = self.conv_bn(depthwise, 64, Window::valid(1, 1), 1)?;
            x = self.relu(pointwise)?;
        }
        let mean = self.0.global_avg_pool(x)?;
        self.0.dense(mean, 12, true)
    }

    fn lenet(&mut self) -> Result<NodeId> {
        let mut x = self.0.conv(0, 6, Window::padded(5, 1, 2), 1, true)?;
        x = self.relu(x)?;
        x = self.0.max_pool(x, Window::valid(2, 2))?;
        x = self.0.conv(x, 16, Window::valid(5, 1), 1, true)?;
        x = self.relu(x)?;
        x = self.0.max_pool(x, Window::valid(2, 2))?;
        x = self.0.flatten(x)?;
        self.head(x, &[120, 84])
    }

    fn mlp(&mut self) -> Result<NodeId> {
        self.head(0, &[400, 400])
    }

    fn head(&mut self, mut x: NodeId, hidden: &[usize]) -> Result<NodeId> {
        for &features in hidden {
            x = self.0.dense(x, features, true)?;
            x = self.relu(x)?;
        }
        self.0.dense(x, 10, true)
    }
}

/// Kernel `k` (from 1) is uniform from stream `k`: within sqrt(6 / fan_in) in a convolution, and
/// sqrt(1 / fan_in) in a dense layer, written in the order of channels-first frameworks.
fn start(graph: &Graph) -> Params {
    let mut params = Params::zeros(graph);
    let mut stream = 0;
    for (id, node) in graph.nodes.iter().enumerate() {
        let Some(weight) = &mut params.nodes[id].weight else { continue };
        stream += 1;
        let fan_in = graph.fan_in(id);
        let (gain, kernel) = match node.op {
            Op::Conv2d { window, groups, .. } => {
                let [height, width] = window.kernel;
                (6.0, Shape::new(height, width, graph.input_of(id).channels / groups))
            }
            _ => (1.0, before_flatten(graph, id)),
        };
        let values = uniform(stream, weight.len(), (gain / fan_in as f64).sqrt() as f32);
        let values =
            values.chunks_exact(fan_in).flat_map(|kernel_values| channels_last(kernel_values, kernel));
        for (weight, value) in weight.iter_mut().zip(values) {
            *weight = value;
        }
    }
    params
}

/// The shape whose values a dense layer reads, looking through a flatten.
fn before_flatten(graph: &Graph, id: NodeId) -> Shape {
    let input = graph.nodes[id].inputs[0];
    match graph.nodes[input].op {
        Op::Flatten => graph.input_of(input),
        _ => graph.nodes[input].shape,
    }
}

/// CHW to HWC.
fn channels_last(values: &[f32], shape: Shape) -> Vec<f32> {
    let plane = shape.height * shape.width;
    (0..values.len()).map(|i| values[i % shape.channels * plane + i / shape.channels]).collect()
}

/// Uniform in -scale..scale, by SplitMix64 of (seed, index).
fn uniform(seed: u64, count: usize, scale: f32) -> Vec<f32> {
    let value = |index: u64| {
        let z = (seed << 32).wrapping_add(index).wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let z = z ^ (z >> 31);
        ((z >> 40) as f32 / (1 << 23) as f32 - 1.0) * scale
    };
    (0..count as u64).map(value).collect()
}

/// Mean cross-entropy and its derivative with respect to the logits.
fn cross_entropy(logits: &[f32], labels: &[usize]) -> (f32, Vec<f32>) {
    let (n, classes) = (labels.len(), logits.len() / labels.len());
    let (mut loss, mut slope) = (0.0, vec![0.0; logits.len()]);
    for ((row, slope), &label) in
        logits.chunks_exact(classes).zip(slope.chunks_exact_mut(classes)).zip(labels)
    {
        let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = row.iter().map(|x| (x - max).exp()).sum();
        for (slope, x) in slope.iter_mut().zip(row) {
            *slope = (x - max).exp() / sum / n as f32;
        }
        slope[label] -= 1.0 / n as f32;
        loss += sum.ln() + max - row[label];
    }
    (loss / n as f32, slope)
}

/// Peak resident memory of this process in MB, where the system tells it.
fn peak_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}
