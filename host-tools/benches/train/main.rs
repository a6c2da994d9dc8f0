//! Images a second and peak memory of one training step, two stages, four networks.
//!
//! ```text
//! cargo bench --bench train                              every row, 5 s each
//! cargo bench --bench train -- resnet20 frozen 10        one row: network, mode, seconds
//! cargo bench --bench train -- operators resnet20 2      each operator's share of the f32 limit
//! cargo bench --bench train -- operators lenet 2 frozen  the same where the first kernel alone is trained
//! ```
//!
//! Networks: `lenet`, `dscnn`, `resnet20`, `mlp`. Modes: `train` updates everything (stage 1),
//! `frozen` the first kernel alone, without noise, `flipout` the first kernel's mu and log_var by
//! flipout (stage 2), `eval` nothing. Batch 64 (`BATCH`), threads by `RAYON_NUM_THREADS`.
//!
//! Starting numbers and inputs are made by a formula, so that another framework can start from the
//! same: with equal formula, network and step the first losses printed must agree. Each row runs in a
//! process of its own, for its peak memory.

mod networks;
mod operators;

use networks::{NETWORKS, build, channels_last, start, uniform};
use std::ops::Range;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};
use stf_host::Result;
use stf_host::graph::{Graph, Op, Params};
use stf_host::train::{
    Executor, Gradients, Optimizer, OptimizerState, Pass, Perturbation, Trainable, part_examples,
};

const MODES: [&str; 3] = ["train", "frozen", "flipout"];
const SGD: Optimizer = Optimizer::Sgd { momentum: 0.9, nesterov: false };

fn main() -> ExitCode {
    // `cargo bench` adds `--bench`.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    match &words[..] {
        [] => every_row(),
        [word, rest @ ..] if word == "operators" => {
            let seconds = rest.get(1).and_then(|word| word.parse().ok()).unwrap_or(2.0);
            let trainable = match rest.get(2).map(String::as_str) {
                Some("frozen") => Trainable::FirstLayer,
                _ => Trainable::All,
            };
            report(operators::table(
                rest.first().map(String::as_str),
                trainable,
                Duration::from_secs_f64(seconds),
            ))
        }
        [network, mode, rest @ ..] => {
            let seconds = rest.first().and_then(|word| word.parse().ok()).unwrap_or(5.0);
            report(Row::new(network, mode).and_then(|row| row.run(Duration::from_secs_f64(seconds))))
        }
        [_] => {
            eprintln!("usage: train [NETWORK MODE [SECONDS] | operators [NETWORK [SECONDS [frozen]]]]");
            ExitCode::from(2)
        }
    }
}

fn report(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
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
    /// Over the parts of a batch that goes through in several.
    sum: Option<Gradients>,
    optimizer: OptimizerState,
    inputs: Vec<f32>,
    labels: Vec<usize>,
    learning_rate: f32,
    noise: Option<Noise>,
}

/// Flipout's random numbers of a step; the same every step, as their cost is not what is measured.
struct Noise {
    batch: usize,
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
        let part = if trainable == Trainable::FirstLayer { part_examples(&graph, batch) } else { batch };
        Ok(Self {
            network: network.to_owned(),
            mode: mode.to_owned(),
            executor: Executor::for_training(&graph, part, trainable)?,
            params: start(&graph),
            gradients: Gradients::zeros(&graph, trainable),
            sum: (part < batch).then(|| Gradients::zeros(&graph, trainable)),
            optimizer: OptimizerState::default(),
            inputs,
            labels: (0..batch).map(|i| i * 7 % classes).collect(),
            learning_rate: if mode == "train" { 0.02 } else { 1e-3 },
            noise,
        })
    }

    fn run(mut self, duration: Duration) -> Result<()> {
        let losses = (0..4).map(|_| self.step()).collect::<Result<Vec<f32>>>()?;
        let (started, mut times, mut last) = (Instant::now(), Vec::new(), 0.0);
        while started.elapsed() < duration || times.len() < 4 {
            let step = Instant::now();
            last = self.step()?;
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
        let (n, part) = (self.labels.len(), self.executor.max_batch());
        let mut total = 0.0;
        for first in (0..n).step_by(part) {
            total += self.part(first..(first + part).min(n))?;
            match &mut self.sum {
                Some(sum) if first == 0 => sum.clone_from(&self.gradients),
                Some(sum) => sum.add(&self.gradients),
                None => {}
            }
        }
        if self.mode != "eval" {
            self.descend();
        }
        Ok(total)
    }

    /// Forward and backward of a part of the batch; returns its share of the loss.
    fn part(&mut self, examples: Range<usize>) -> Result<f32> {
        let (all, n) = (self.labels.len(), examples.len());
        let share = n as f32 / all as f32;
        let pass = Pass {
            perturbation: self
                .noise
                .as_mut()
                .map_or(Perturbation::None, |noise| noise.perturbation(&examples)),
            ..Pass::default()
        };
        let size = self.inputs.len() / all;
        let inputs = &self.inputs[examples.start * size..examples.end * size];
        let logits = if self.mode == "eval" {
            self.executor.infer(&self.params, inputs, n)?
        } else {
            self.executor.forward(&self.params, inputs, n, &pass)?
        };
        let (loss, mut slope) = cross_entropy(logits, &self.labels[examples]);
        if self.mode != "eval" {
            slope.iter_mut().for_each(|slope| *slope *= share);
            self.executor.backward(&self.params, inputs, &slope, n, &pass, &mut self.gradients)?;
        }
        if self.mode == "train" {
            self.executor.update_running_statistics(&mut self.params);
        }
        Ok(loss * share)
    }

    /// SGD with momentum on every tensor that has a gradient; log_var by its chain rule.
    fn descend(&mut self) {
        self.optimizer.advance();
        let total = self.sum.as_ref().unwrap_or(&self.gradients);
        for (id, gradients) in total.nodes.iter().enumerate() {
            for (name, value) in self.params.nodes[id].tensors_mut() {
                let found = gradients.tensors().find(|(other, _)| *other == name);
                if let Some((_, gradient)) = found {
                    let key = format!("{id}/{name}");
                    self.optimizer.apply(SGD, &key, value, gradient, self.learning_rate, 0.0);
                }
            }
        }
        if let (Some(noise), Some(gradient)) = (&mut self.noise, &total.noise) {
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
            batch,
            eps: uniform(2000, weights, 1.0),
            log_var: vec![-8.0; weights],
            delta: vec![0.0; weights],
            input_signs: signs(2001, batch * inputs),
            output_signs: signs(2002, batch * outputs),
        })
    }

    /// For some examples of the batch; the first of them draw delta.
    fn perturbation(&mut self, examples: &Range<usize>) -> Perturbation<'_> {
        if examples.start == 0 {
            for ((delta, eps), log_var) in self.delta.iter_mut().zip(&self.eps).zip(&self.log_var) {
                *delta = eps * (0.5 * log_var).exp();
            }
        }
        let Self { delta, input_signs, output_signs, batch, .. } = self;
        let part = |signs: &'_ [f32]| {
            let size = signs.len() / *batch;
            examples.start * size..examples.end * size
        };
        let (inputs, outputs) = (part(input_signs), part(output_signs));
        Perturbation::Flipout {
            delta,
            input_signs: &input_signs[inputs],
            output_signs: &output_signs[outputs],
        }
    }
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
