//! The objective's gradients against differences, the estimators against each other, and what must
//! not change: frozen parameters, and every bit under resuming and under other numbers of threads.

use super::*;
use crate::data::Preprocessing;
use crate::train::testing::{Examples, conv_net, dense_net, numbers, stage2_config, with_threads};
use crate::train::{Device, EpochSummary, Estimator, PriorMean, Schedule, Silent};
use std::ops::Range;

/// A network with a wide posterior in the middle of training, and one batch for it.
struct Case {
    graph: Graph,
    config: Stage2Config,
    state: Stage2State,
    batch: Batch,
}

impl Case {
    fn new(graph: Graph, estimator: Estimator) -> Self {
        let config = stage2_config(estimator);
        let node = graph.first_weighted().unwrap();
        let params = trained_looking(&graph);
        let mut state = fresh_state(&graph, &params, node, &config).unwrap();
        // Away from the start, where mu is the prior's mean and that part of the gradient is zero.
        let count = state.posterior.log_var.len();
        state.prior_mean.iter_mut().zip(numbers(count, 8)).for_each(|(m, v)| *m += 0.2 * v);
        state.posterior.log_var.iter_mut().zip(numbers(count, 9)).for_each(|(l, v)| *l = v - 2.5);
        let n = 8;
        let inputs = numbers(n * graph.input_shape().len(), 10).into_iter().map(|v| 1.5 * v).collect();
        let batch = Batch::whole(inputs, (0..n as u32).map(|i| i % 3).collect());
        Self { graph, config, state, batch }
    }

    fn trainer(&self) -> Trainer<'_> {
        Trainer {
            graph: &self.graph,
            config: &self.config,
            node: self.state.posterior.node,
            executor: engine(&self.graph, self.batch.labels.len(), Trainable::FirstLayer, Device::Cpu)
                .unwrap(),
            gradients: Accumulator::new(&self.graph, Trainable::FirstLayer),
            noise: None,
            sampled: self.state.params.clone(),
        }
    }

    /// One step whose learning rates are zero; its objective.
    fn step(&self, state: &mut Stage2State, kl_weight: f32, at: usize) -> f64 {
        let mut trainer = self.trainer();
        let nll = trainer.likelihood(state, &self.batch, at).unwrap();
        trainer.step(state, nll, kl_weight, 0.0).unwrap()
    }

    /// The objective with the noise of step `at`.
    fn objective(&self, state: &Stage2State, kl_weight: f32, at: usize) -> f64 {
        self.step(&mut state.clone(), kl_weight, at)
    }
}

/// Weights of usual size, and batch norm whose statistics are not those of the batch.
fn trained_looking(graph: &Graph) -> Params {
    let mut params = Params::initialise(graph, 3);
    for (id, node) in params.nodes.iter_mut().enumerate() {
        for (name, tensor) in node.tensors_mut() {
            let positive = matches!(name, "gamma" | "running_var");
            if name != "weight" {
                let values = numbers(tensor.len(), 20 + id as u64);
                tensor.iter_mut().zip(values).for_each(|(t, v)| *t = f32::from(positive) + 0.3 * v);
            }
        }
    }
    params
}

/// Adam's mean of gradients after its first step is a tenth of that step's gradient: so this is the
/// gradient that training itself used.
fn used_gradient(state: &Stage2State, name: &str) -> Vec<f64> {
    state.optimizer.first[name].iter().map(|m| f64::from(*m) / 0.1).collect()
}

fn check_against_differences(graph: Graph, estimator: Estimator) {
    let case = Case::new(graph, estimator);
    let (kl_weight, at) = (0.02, 6);
    let mut stepped = case.state.clone();
    case.step(&mut stepped, kl_weight, at);
    let step = 1.0 / 64.0;
    let difference = |change: &dyn Fn(&mut Stage2State, f32)| {
        let moved = |by: f32| {
            let mut state = case.state.clone();
            change(&mut state, by);
            case.objective(&state, kl_weight, at)
        };
        (moved(step) - moved(-step)) / f64::from(2.0 * step)
    };
    let node = case.state.posterior.node;
    let (of_mu, of_log_var) = (used_gradient(&stepped, "mu"), used_gradient(&stepped, "log_var"));
    let scale =
        |gradient: &[f64]| (gradient.iter().map(|g| g * g).sum::<f64>() / gradient.len() as f64).sqrt();
    for index in (0..of_mu.len()).step_by(1 + of_mu.len() / 60) {
        let wanted = difference(&|state, by| {
            state.params.nodes[node].weight.as_mut().unwrap().as_slice_mut().unwrap()[index] += by;
        });
        assert!(
            (of_mu[index] - wanted).abs() < 0.01 * scale(&of_mu),
            "mu {index}: {} {wanted}",
            of_mu[index]
        );
        let wanted = difference(&|state, by| {
            state.posterior.log_var.as_slice_mut().unwrap()[index] += by;
        });
        let found = of_log_var[index];
        assert!((found - wanted).abs() < 0.01 * scale(&of_log_var), "log_var {index}: {found} {wanted}");
    }
}

#[test]
fn the_gradients_are_the_differences_of_the_objective() {
    check_against_differences(dense_net(), Estimator::Flipout);
    check_against_differences(dense_net(), Estimator::Local);
    check_against_differences(dense_net(), Estimator::Weight);
    check_against_differences(conv_net(), Estimator::Flipout);
    check_against_differences(conv_net(), Estimator::Weight);
}

/// Mean of each gradient component over draws, and its standard error.
struct Average {
    mean: Vec<f64>,
    error: Vec<f64>,
}

impl Average {
    /// Of `[d mu, d log_var]`, one after the other.
    fn of(graph: &Graph, estimator: Estimator, draws: usize, first_draw: usize) -> Self {
        let case = Case::new(graph.clone(), estimator);
        let mut trainer = case.trainer();
        let count = 2 * case.state.posterior.log_var.len();
        let (mut sum, mut squares) = (vec![0.0; count], vec![0.0; count]);
        for at in first_draw..first_draw + draws {
            trainer.likelihood(&case.state, &case.batch, at).unwrap();
            let (d_mu, d_log_var) = trainer.likelihood_gradient(&case.state).unwrap();
            for (index, gradient) in d_mu.iter().chain(&d_log_var).enumerate() {
                sum[index] += f64::from(*gradient);
                squares[index] += f64::from(*gradient).powi(2);
            }
        }
        let mean: Vec<f64> = sum.iter().map(|sum| sum / draws as f64).collect();
        let error =
            squares.iter().zip(&mean).map(|(s, m)| ((s / draws as f64 - m * m) / draws as f64).sqrt());
        Self { error: error.collect(), mean }
    }

    /// Root mean square, over the components in `range`, of the differences in standard errors: about 1
    /// if both have one expectation. `factor` is put on this side.
    fn distance(&self, other: &Self, range: Range<usize>, factor: f64) -> f64 {
        let count = range.len() as f64;
        let terms = range.map(|i| {
            let variance = (factor * self.error[i]).powi(2) + other.error[i].powi(2);
            (factor * self.mean[i] - other.mean[i]).powi(2) / variance
        });
        (terms.sum::<f64>() / count).sqrt()
    }
}

fn check_one_expectation(averages: &[Average]) {
    for (index, left) in averages.iter().enumerate() {
        for right in &averages[index + 1..] {
            let count = left.mean.len() / 2;
            for range in [0..count, count..2 * count] {
                let distance = left.distance(right, range.clone(), 1.0);
                assert!(distance < 1.3, "{range:?}: the expectations are {distance} standard errors apart");
                // The usual mistakes: sigma for sigma / 2, variance for sigma. They must show.
                for factor in [0.5, 2.0] {
                    let distance = left.distance(right, range.clone(), factor);
                    assert!(distance > 1.8, "{range:?}: a factor {factor} would not show: {distance}");
                }
            }
        }
    }
}

#[test]
fn all_three_estimators_have_one_expectation_on_a_dense_layer() {
    let graph = dense_net();
    let estimators = [Estimator::Flipout, Estimator::Local, Estimator::Weight];
    let average = |(index, estimator)| Average::of(&graph, estimator, 20_000, index * 100_000);
    check_one_expectation(&estimators.into_iter().enumerate().map(average).collect::<Vec<_>>());
}

#[test]
fn flipout_and_weight_have_one_expectation_on_a_convolution() {
    let graph = conv_net();
    let average = |(index, estimator)| Average::of(&graph, estimator, 6_000, index * 100_000);
    let averages: Vec<_> =
        [Estimator::Flipout, Estimator::Weight].into_iter().enumerate().map(average).collect();
    check_one_expectation(&averages);
}

fn train(graph: &Graph, config: &Stage2Config) -> (Params, Stage2State) {
    let params = trained_looking(graph);
    let examples = Examples::new();
    let state = stage2(graph, &params, examples.data(), config, None, &mut Silent).unwrap();
    (params, state)
}

#[test]
fn frozen_parameters_keep_every_bit() {
    for (graph, estimator) in
        [(conv_net(), Estimator::Flipout), (conv_net(), Estimator::Weight), (dense_net(), Estimator::Local)]
    {
        let (mut before, mut after) = train(&graph, &stage2_config(estimator));
        let node = after.posterior.node;
        let mu = before.nodes[node].weight.take().unwrap();
        assert_ne!(mu, after.params.nodes[node].weight.take().unwrap(), "mu has not moved");
        let bits = |params: &Params| -> Vec<u32> {
            let tensors = params.nodes.iter().flat_map(|node| node.tensors());
            tensors.flat_map(|(_, tensor)| tensor.iter().map(|v| v.to_bits())).collect()
        };
        assert_eq!(bits(&before), bits(&after.params));
        assert_eq!(after.prior_mean, mu);
    }
}

#[test]
fn a_pull_that_drowns_the_data_leads_to_the_prior() {
    let graph = dense_net();
    let config = Stage2Config {
        epochs: 150,
        temperature: 1e6,
        prior: PriorMean::Zero,
        prior_sigma: 0.2,
        ..stage2_config(Estimator::Local)
    };
    let (_, state) = train(&graph, &config);
    let mu = state.params.nodes[state.posterior.node].weight.as_ref().unwrap();
    assert!(mu.iter().all(|mu| mu.abs() < 0.02), "mu is not at zero");
    assert!(state.posterior.log_var.iter().all(|l| ((0.5 * l).exp() - 0.2).abs() < 0.01), "sigma is not 0.2");
}

/// Keeps the state after one epoch, as a checkpoint would.
struct Keep {
    epoch: usize,
    kept: Option<Stage2State>,
    summaries: Vec<EpochSummary>,
}

impl Keep {
    fn after(epoch: usize) -> Self {
        Self { epoch, kept: None, summaries: Vec::new() }
    }
}

impl Observer for Keep {
    fn batch(&mut self, _: u8, _: usize, _: usize, _: usize, _: f64) {}
    fn stage1_epoch(&mut self, _: &EpochSummary, _: &super::super::Stage1State) -> Result<()> {
        panic!("stage 2 reports stage 1");
    }
    fn stage2_epoch(&mut self, summary: &EpochSummary, state: &Stage2State) -> Result<()> {
        self.summaries.push(summary.clone());
        if state.epoch == self.epoch {
            self.kept = Some(state.clone());
        }
        Ok(())
    }
}

#[test]
fn a_resumed_run_gives_the_same_bits() {
    for (graph, estimator) in [(conv_net(), Estimator::Flipout), (dense_net(), Estimator::Local)] {
        let (config, params, examples) = (stage2_config(estimator), trained_looking(&graph), Examples::new());
        let mut keep = Keep::after(2);
        let whole = stage2(&graph, &params, examples.data(), &config, None, &mut keep).unwrap();
        let resumed = stage2(&graph, &params, examples.data(), &config, keep.kept, &mut Silent).unwrap();
        assert_eq!(whole, resumed);
        assert_eq!(keep.summaries.iter().map(|s| s.epoch).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert!(keep.summaries.iter().all(|s| s.stage == 2 && s.kl.is_some_and(|kl| kl > 0.0)));
    }
}

#[test]
fn threads_do_not_change_the_bits() {
    for (graph, estimator) in [(conv_net(), Estimator::Flipout), (dense_net(), Estimator::Local)] {
        let run = |threads| with_threads(threads, || train(&graph, &stage2_config(estimator)).1);
        assert_eq!(run(1), run(2));
    }
}

#[test]
fn the_kl_weight_grows_linearly_to_one() {
    assert_eq!([0, 1, 3, 4, 9].map(|step| warm_up(step, 4)), [0.25, 0.5, 1.0, 1.0, 1.0]);
    assert_eq!(warm_up(0, 0), 1.0);
}

/// One step an epoch and steps too small to move anything: what is left of the KL term is its warm-up,
/// and what changes the likelihood is the noise.
#[test]
fn warm_up_and_noise_go_on_from_epoch_to_epoch() {
    let (graph, examples) = (conv_net(), Examples::new());
    let config = Stage2Config {
        batch_size: 50,
        kl_warmup_epochs: 4,
        lr_mu: 1e-12,
        lr_log_var: 1e-12,
        augment: Default::default(),
        ..stage2_config(Estimator::Flipout)
    };
    let mut keep = Keep::after(1);
    stage2(&graph, &trained_looking(&graph), examples.data(), &config, None, &mut keep).unwrap();
    for (summary, share) in keep.summaries.iter().zip([0.25, 0.5, 0.75, 1.0]) {
        let found = summary.loss - summary.nll.unwrap();
        let wanted = share * summary.kl.unwrap() / 50.0;
        assert!((found - wanted).abs() < 1e-5 * wanted, "epoch {}: {found} for {wanted}", summary.epoch);
    }
    let nll: Vec<f64> = keep.summaries.iter().map(|summary| summary.nll.unwrap()).collect();
    assert!((1..4).all(|epoch| (nll[epoch] - nll[0]).abs() > 1e-6), "the same noise in every epoch: {nll:?}");
}

#[test]
fn the_schedule_spans_all_epochs() {
    let (graph, examples) = (conv_net(), Examples::new());
    let schedule = super::super::Schedule::Step { milestones: vec![0.5], gamma: 0.0 };
    let config = Stage2Config { schedule, ..stage2_config(Estimator::Flipout) };
    let params = trained_looking(&graph);
    let after = |epoch| {
        let mut keep = Keep::after(epoch);
        stage2(&graph, &params, examples.data(), &config, None, &mut keep).unwrap();
        let state = keep.kept.unwrap();
        (state.params, state.posterior)
    };
    assert_ne!(after(1), after(2));
    assert_eq!(after(2), after(4));
}

#[test]
fn local_noise_for_a_convolution_is_refused() {
    let (graph, examples) = (conv_net(), Examples::new());
    let config = stage2_config(Estimator::Local);
    let error =
        stage2(&graph, &trained_looking(&graph), examples.data(), &config, None, &mut Silent).unwrap_err();
    assert!(error.to_string().contains("convolution"), "{error}");
}

#[test]
fn divergence_is_an_error_that_names_the_epoch() {
    let (graph, examples) = (dense_net(), Examples::new());
    let config = Stage2Config {
        lr_log_var: 1e3,
        schedule: super::super::Schedule::Constant,
        ..stage2_config(Estimator::Weight)
    };
    let error =
        stage2(&graph, &trained_looking(&graph), examples.data(), &config, None, &mut Silent).unwrap_err();
    assert!(matches!(error, Error::NotFinite { epoch: 1.., .. }), "{error}");
}

#[test]
fn data_of_another_shape_are_refused() {
    let graph = dense_net();
    let mut set = crate::train::testing::blocks(9, 1);
    let preprocessing = Preprocessing::fit(&set).unwrap();
    set.labels[4] = 3;
    let data = TrainData { train: &set, validation: &set, preprocessing: &preprocessing };
    let error =
        stage2(&graph, &trained_looking(&graph), data, &stage2_config(Estimator::Local), None, &mut Silent)
            .unwrap_err();
    assert!(error.to_string().contains("label of example 4"), "{error}");
}

/// Four batches of 4 are one of 16: the same noise, the same gradient up to rounding (batch norm uses
/// its running statistics in this stage).
#[test]
fn accumulated_batches_are_one_large_batch() {
    let cases = [
        (conv_net(), Estimator::Flipout),
        (conv_net(), Estimator::Weight),
        (dense_net(), Estimator::Local),
        (dense_net(), Estimator::Flipout),
    ];
    for (graph, estimator) in cases {
        let config = stage2_config(estimator);
        let params = trained_looking(&graph);
        let run = |batch_size, accumulate| {
            let config = Stage2Config { batch_size, accumulate, ..config.clone() };
            stage2(&graph, &params, Examples::new().data(), &config, None, &mut Silent).unwrap()
        };
        let (whole, parts) = (run(16, 1), run(4, 4));
        let tensors = |state: &Stage2State| {
            let mu = state.params.nodes[state.posterior.node].weight.clone().unwrap();
            [mu, state.posterior.log_var.clone()]
        };
        for (whole, parts) in tensors(&whole).iter().zip(&tensors(&parts)) {
            let gap = (whole - parts).mapv(f32::abs).fold(0.0, |a: f32, b| a.max(*b));
            assert!(gap < 2e-4, "{} {estimator:?}: {gap}", graph.name);
        }
        assert_eq!(whole.optimizer.step, parts.optimizer.step);
    }
}

#[test]
fn a_resumed_run_of_accumulated_batches_gives_the_same_bits() {
    let (graph, examples) = (conv_net(), Examples::new());
    let config = Stage2Config { batch_size: 4, accumulate: 3, ..stage2_config(Estimator::Flipout) };
    let params = trained_looking(&graph);
    let half = Stage2Config { schedule: Schedule::Constant, ..config };
    let run = |epochs, start| {
        let config = Stage2Config { epochs, ..half.clone() };
        stage2(&graph, &params, examples.data(), &config, start, &mut Silent).unwrap()
    };
    assert_eq!(run(4, None), run(4, Some(run(2, None))));
}
