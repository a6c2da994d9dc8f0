//! Learning, and what must not change its bits.

use super::*;
use crate::graph::{Activation, GraphBuilder, Shape, Window};
use crate::train::testing::{Examples, conv_net, dense_net, stage1_config, with_threads};
use crate::train::{Augment, EpochSummary, Optimizer, Schedule, Silent};

fn train(graph: &Graph, config: &Stage1Config) -> Stage1State {
    stage1(graph, Examples::new().data(), config, None, &mut Silent).unwrap()
}

/// Keeps summaries and the state after two epochs; stops when asked to.
#[derive(Default)]
struct Watch {
    kept: Option<Stage1State>,
    summaries: Vec<EpochSummary>,
    batches: usize,
    stop_after: Option<usize>,
}

impl Observer for Watch {
    fn batch(&mut self, stage: u8, _: usize, done: usize, total: usize, loss: f64) {
        assert!(stage == 1 && (1..=total).contains(&done) && loss.is_finite());
        self.batches += 1;
    }
    fn stage1_epoch(&mut self, summary: &EpochSummary, state: &Stage1State) -> Result<()> {
        assert_eq!(summary.epoch, state.epoch);
        self.summaries.push(summary.clone());
        if state.epoch == 2 {
            self.kept = Some(state.clone());
        }
        Ok(())
    }
    fn stage2_epoch(&mut self, _: &EpochSummary, _: &crate::train::Stage2State) -> Result<()> {
        panic!("stage 1 reports stage 2");
    }
    fn interrupted(&self) -> bool {
        self.stop_after.is_some_and(|batches| self.batches >= batches)
    }
}

#[test]
fn it_learns_what_can_be_learned() {
    for (graph, optimizer, learning_rate) in [
        (conv_net(), Optimizer::ADAM, 0.02),
        (conv_net(), Optimizer::SGD, 0.1),
        (dense_net(), Optimizer::ADAM, 0.02),
    ] {
        let config = Stage1Config { epochs: 25, learning_rate, ..stage1_config(optimizer) };
        let config = Stage1Config { augment: Augment::default(), ..config };
        let mut watch = Watch::default();
        stage1(&graph, Examples::new().data(), &config, None, &mut watch).unwrap();
        let (first, last) = (&watch.summaries[0], &watch.summaries[24]);
        assert!(
            last.loss < 0.6 * first.loss,
            "{} {optimizer:?}: {} to {}",
            graph.name,
            first.loss,
            last.loss
        );
        assert!(last.validation.accuracy > 0.9, "{} {optimizer:?}: {:?}", graph.name, last.validation);
    }
}

#[test]
fn a_resumed_run_gives_the_same_bits() {
    for optimizer in [Optimizer::ADAM, Optimizer::SGD] {
        let (graph, config, examples) = (conv_net(), stage1_config(optimizer), Examples::new());
        let mut watch = Watch::default();
        let whole = stage1(&graph, examples.data(), &config, None, &mut watch).unwrap();
        let resumed = stage1(&graph, examples.data(), &config, watch.kept, &mut Silent).unwrap();
        assert_eq!(whole, resumed);
    }
}

/// Four batches of 4 are one of 16, with a mask of dropout for each example, up to rounding.
#[test]
fn accumulated_batches_are_one_large_batch() {
    let mut builder = GraphBuilder::new("dropout", Task::Classification, Shape::new(6, 6, 2));
    let conv = builder.conv(0, 4, Window::padded(3, 2, 1), 1, true).unwrap();
    let tanh = builder.activation(conv, Activation::Tanh).unwrap();
    let dropped = builder.dropout(tanh, 0.3).unwrap();
    builder.dense(dropped, 3, true).unwrap();
    for graph in [dense_net(), builder.finish().unwrap()] {
        let run = |batch_size, accumulate| {
            train(&graph, &Stage1Config { batch_size, accumulate, ..stage1_config(Optimizer::SGD) })
        };
        let (whole, parts) = (run(16, 1), run(4, 4));
        assert_eq!(whole.optimizer.step, parts.optimizer.step);
        let gaps = whole.params.nodes.iter().zip(&parts.params.nodes).flat_map(|(whole, parts)| {
            whole.tensors().zip(parts.tensors()).map(|((_, a), (_, b))| (a - b).mapv(f32::abs).sum())
        });
        let gap = gaps.fold(0.0, f32::max);
        assert!(gap < 1e-4, "{}: {gap}", graph.name);
    }
}

/// With batch norm, whose statistics are of the 4 examples of a batch, runs differ, and resuming keeps
/// the bits.
#[test]
fn a_resumed_run_of_accumulated_batches_gives_the_same_bits() {
    let (graph, examples) = (conv_net(), Examples::new());
    let config = Stage1Config { batch_size: 4, accumulate: 3, ..stage1_config(Optimizer::ADAM) };
    let mut watch = Watch::default();
    let whole = stage1(&graph, examples.data(), &config, None, &mut watch).unwrap();
    let resumed = stage1(&graph, examples.data(), &config, watch.kept, &mut Silent).unwrap();
    assert_eq!(whole, resumed);
    // 50 examples in steps of 12: four and a last one of 2; the observer hears of steps.
    assert_eq!((whole.optimizer.step, watch.batches), (20, 20));
}

#[test]
fn threads_do_not_change_the_bits_and_seeds_do() {
    for graph in [conv_net(), dense_net()] {
        let config = stage1_config(Optimizer::SGD);
        let run = |threads| with_threads(threads, || train(&graph, &config));
        assert_eq!(run(1), run(2));
        assert_ne!(run(1), train(&graph, &Stage1Config { seed: 12, ..config.clone() }));
    }
}

#[test]
fn weight_decay_shrinks_kernels_and_nothing_else() {
    let graph = conv_net();
    let config = Stage1Config { epochs: 1, ..stage1_config(Optimizer::ADAM) };
    // One step from the same start: the loss gradient is the same, only the decay differs.
    let config = Stage1Config { batch_size: 50, schedule: Schedule::Constant, warmup_epochs: 0, ..config };
    let without = train(&graph, &Stage1Config { weight_decay: 0.0, ..config.clone() });
    let with = train(&graph, &Stage1Config { weight_decay: 0.1, ..config.clone() });
    let start = Params::initialise(&graph, config.seed);
    for id in 0..graph.nodes.len() {
        for (name, before) in start.nodes[id].tensors() {
            let of = |state: &Stage1State| {
                state.params.nodes[id].tensors().find(|(n, _)| *n == name).unwrap().1.clone()
            };
            let expected =
                if name == "weight" { before * (0.1 * config.learning_rate) } else { before * 0.0 };
            let gap = of(&without) - of(&with) - expected;
            assert!(gap.iter().all(|gap| gap.abs() < 1e-6), "{} {name}", graph.nodes[id].name);
        }
    }
}

#[test]
fn the_schedule_spans_all_epochs() {
    let (graph, examples) = (dense_net(), Examples::new());
    let schedule = Schedule::Step { milestones: vec![0.5], gamma: 0.0 };
    let config = Stage1Config { schedule, warmup_epochs: 0, ..stage1_config(Optimizer::SGD) };
    let mut watch = Watch::default();
    let last = stage1(&graph, examples.data(), &config, None, &mut watch).unwrap();
    assert_ne!(last.params, Params::initialise(&graph, config.seed));
    // The rate is zero from the middle of the run on.
    assert_eq!(watch.kept.unwrap().params, last.params);
}

#[test]
fn an_interruption_is_heard_after_the_batch() {
    let mut watch = Watch { stop_after: Some(3), ..Watch::default() };
    let result =
        stage1(&conv_net(), Examples::new().data(), &stage1_config(Optimizer::SGD), None, &mut watch);
    assert!(matches!(result, Err(Error::Interrupted)) && watch.batches == 3);
}

#[test]
fn divergence_is_an_error_that_names_the_epoch() {
    let config = Stage1Config { learning_rate: 1e36, warmup_epochs: 0, ..stage1_config(Optimizer::SGD) };
    let result = stage1(&dense_net(), Examples::new().data(), &config, None, &mut Silent);
    assert!(matches!(result, Err(Error::NotFinite { epoch: 1, .. })), "{result:?}");
}

/// One step an epoch: no later loss would show what this step did to the weights.
#[test]
fn weights_that_the_last_step_broke_are_an_error() {
    let config = Stage1Config {
        epochs: 1,
        batch_size: 50,
        learning_rate: f32::MAX,
        warmup_epochs: 0,
        weight_decay: 1e6,
        ..stage1_config(Optimizer::SGD)
    };
    let result = stage1(&dense_net(), Examples::new().data(), &config, None, &mut Silent);
    assert!(matches!(result, Err(Error::NotFinite { epoch: 1, .. })), "{result:?}");
}

#[test]
fn settings_that_cannot_work_are_named() {
    let config = stage1_config(Optimizer::SGD);
    let broken = [
        (Stage1Config { batch_size: 0, ..config.clone() }, "batch size"),
        (Stage1Config { learning_rate: f32::NAN, ..config.clone() }, "learning rate"),
        (Stage1Config { weight_decay: -1.0, ..config.clone() }, "weight decay"),
        (Stage1Config { label_smoothing: 1.0, ..config.clone() }, "label smoothing"),
    ];
    for (config, what) in broken {
        let error = stage1(&dense_net(), Examples::new().data(), &config, None, &mut Silent).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
    }
}
