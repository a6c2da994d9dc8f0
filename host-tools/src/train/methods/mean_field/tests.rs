use super::*;
use crate::run::Checkpoint;
use crate::train::testing::{Examples, conv_net, dense_net, stage1_config, stage2_config};
use crate::train::{Estimator, PriorMean, Schedule, Silent, validate};

fn config(kernels: Vec<NodeId>, points: Option<Stage1Config>) -> MeanFieldConfig {
    MeanFieldConfig { stage2: stage2_config(Estimator::Weight), kernels, points, samples: 2 }
}

fn weighted(graph: &Graph) -> Vec<NodeId> {
    (0..graph.nodes.len()).filter(|&id| graph.nodes[id].op.is_weighted()).collect()
}

fn trainer<'a>(graph: &'a Graph, config: &'a MeanFieldConfig) -> Trainer<'a> {
    let params = Params::initialise(graph, 3);
    let kernel = |&id: &NodeId| Kernel::new(graph, &params, id, config).unwrap();
    Trainer {
        graph,
        config,
        engine: engine(graph, 16, config.trainable(), config.stage2.device).unwrap(),
        gradients: Accumulator::new(graph, config.trainable()),
        kernels: config.kernels.iter().map(kernel).collect(),
        params,
        optimizer: OptimizerState::default(),
    }
}

/// Gradients of mu and log_var of every kernel against differences of the loss under the same noise.
fn check_differences(graph: &Graph, config: &MeanFieldConfig) {
    let data = crate::train::testing::blocks(16, 4);
    let mut inputs = Vec::new();
    Examples::new().data().preprocessing.apply(&data, &(0..16).collect::<Vec<_>>(), &mut inputs).unwrap();
    let batch = Batch::whole(inputs, data.labels);
    let mut whole = trainer(graph, config);
    whole.part(&batch, 5).unwrap();
    let step = 1.0 / 64.0;
    for index in 0..config.kernels.len() {
        let node = config.kernels[index];
        let d_mu = whole.gradients.total().nodes[node].weight.clone().unwrap();
        let found = [d_mu, whole.kernels[index].d_log_var.clone()];
        for (which, found) in found.iter().enumerate() {
            let found = found.as_slice().unwrap();
            let scale = (found.iter().map(|d| d * d).sum::<f32>() / found.len() as f32).sqrt();
            for place in (0..found.len()).step_by(1 + found.len() / 15) {
                let moved = |by: f32| {
                    let mut trainer = trainer(graph, config);
                    let kernel = &mut trainer.kernels[index];
                    let tensor = if which == 0 { &mut kernel.mu } else { &mut kernel.log_var };
                    tensor.as_slice_mut().unwrap()[place] += by;
                    trainer.part(&batch, 5).unwrap()
                };
                let wanted = ((moved(step) - moved(-step)) / f64::from(2.0 * step)) as f32;
                let gap = (found[place] - wanted).abs();
                assert!(gap < 0.03 * scale, "node {node} {which} [{place}]: {} {wanted}", found[place]);
            }
        }
    }
}

#[test]
fn gradients_of_every_kernel_are_the_differences_of_the_loss() {
    for graph in [dense_net(), conv_net()] {
        let all = weighted(&graph);
        check_differences(&graph, &config(all[1..].to_vec(), None));
        check_differences(&graph, &config(all.clone(), None));
        check_differences(&graph, &config(all, Some(stage1_config(Optimizer::ADAM))));
    }
}

/// What is not inferred stays, to the last bit; what is, moves.
#[test]
fn frozen_tensors_stay() {
    let (graph, examples) = (conv_net(), Examples::new());
    let start = Params::initialise(&graph, 3);
    let last = *weighted(&graph).last().unwrap();
    let found =
        mean_field(&graph, &start, examples.data(), &config(vec![last], None), None, &mut Silent).unwrap();
    for (id, (before, after)) in start.nodes.iter().zip(&found.params.nodes).enumerate() {
        for ((name, before), (_, after)) in before.tensors().zip(after.tensors()) {
            assert_eq!(before != after, id == last && name == "weight", "{id} {name}");
        }
    }
    let again =
        mean_field(&graph, &start, examples.data(), &config(vec![last], None), None, &mut Silent).unwrap();
    assert_eq!(again, found);
}

/// Without a likelihood that says anything, the posterior is the prior.
#[test]
fn a_hot_posterior_is_the_prior() {
    let (graph, examples) = (dense_net(), Examples::new());
    let mut config = config(weighted(&graph), None);
    config.stage2 = Stage2Config {
        temperature: 1e4,
        epochs: 60,
        lr_log_var: 0.1,
        lr_mu: 0.05,
        prior: PriorMean::Zero,
        schedule: Schedule::Cosine,
        ..config.stage2
    };
    let start = Params::initialise(&graph, 3);
    let found = mean_field(&graph, &start, examples.data(), &config, None, &mut Silent).unwrap();
    for posterior in &found.posteriors {
        let mu = found.params.nodes[posterior.node].weight.as_ref().unwrap();
        assert!(mu.iter().all(|mu| mu.abs() < 0.02));
        let wanted = 2.0 * config.stage2.prior_sigma.ln();
        assert!(posterior.log_var.iter().all(|v| (v - wanted).abs() < 0.1), "{:?}", posterior.log_var);
    }
}

#[test]
fn all_layers_learn_from_fresh_weights() {
    let (graph, examples) = (dense_net(), Examples::new());
    let points = Stage1Config { epochs: 80, ..stage1_config(Optimizer::ADAM) };
    let mut config = config(weighted(&graph), Some(points));
    config.stage2 = Stage2Config { epochs: 80, temperature: 0.01, ..config.stage2 };
    let start = Params::initialise(&graph, 3);
    let found = mean_field(&graph, &start, examples.data(), &config, None, &mut Silent).unwrap();
    let (data, pre) = (examples.data().validation, examples.data().preprocessing);
    let accuracy = |params| validate(&graph, params, None, data, pre, 1, 0).unwrap().accuracy;
    let (before, after) = (accuracy(&start), accuracy(&found.params));
    assert!(after > 0.75 && after > before + 0.15, "{before} {after}");
}

#[test]
fn settings_that_cannot_work_are_named() {
    let (graph, examples) = (dense_net(), Examples::new());
    let start = Params::initialise(&graph, 3);
    let error = |config| {
        mean_field(&graph, &start, examples.data(), &config, None, &mut Silent).unwrap_err().to_string()
    };
    assert!(error(config(vec![], None)).contains("inferred kernels"));
    assert!(error(config(vec![0], None)).contains("input"));
    assert!(error(config(vec![99], None)).contains("node 99"));
    let none = MeanFieldConfig { samples: 0, ..config(vec![2], None) };
    assert!(error(none).contains("samples"));
}

/// Keeps the state after an epoch, by way of a file.
struct Keep<'a> {
    graph: &'a Graph,
    config: &'a MeanFieldConfig,
    epoch: usize,
    file: std::path::PathBuf,
    kept: Option<MeanFieldState>,
}

impl Observer for Keep<'_> {
    fn batch(&mut self, _: u8, _: usize, _: usize, _: usize, _: f64) {}

    fn mean_field_epoch(&mut self, epochs: usize, loss: f64, state: &MeanFieldState) -> Result<()> {
        assert!(loss.is_finite() && epochs == self.config.stage2.epochs);
        if state.epoch == self.epoch {
            let mut checkpoint = Checkpoint { meta: serde_json::json!({}), ..Checkpoint::default() };
            state.store(self.graph, &mut checkpoint);
            checkpoint.save(&self.file)?;
            let mut read = Checkpoint::load(&self.file)?;
            let points = self.config.points.as_ref().map(|points| points.optimizer);
            let kernels = &self.config.kernels;
            self.kept = Some(MeanFieldState::load(self.graph, kernels, points, &mut read, &self.file)?);
            assert_eq!(self.kept.as_ref(), Some(state));
        }
        Ok(())
    }
}

/// With frozen points, and with points under either optimizer.
#[test]
fn a_resumed_inference_is_the_unbroken_one() {
    let (dir, examples) = (tempfile::tempdir().unwrap(), Examples::new());
    for graph in [dense_net(), conv_net()] {
        let sgd = Optimizer::Sgd { momentum: 0.9, nesterov: true };
        for points in [None, Some(Optimizer::ADAM), Some(sgd)] {
            let kernels = weighted(&graph)[1..].to_vec();
            let mut config = config(kernels, points.map(stage1_config));
            config.stage2.epochs = 4;
            let start = Params::initialise(&graph, 3);
            let file = dir.path().join("checkpoint");
            let mut keep = Keep { graph: &graph, config: &config, epoch: 2, file, kept: None };
            let whole = mean_field(&graph, &start, examples.data(), &config, None, &mut keep).unwrap();
            let kept = keep.kept.take();
            assert!(kept.as_ref().is_some_and(|kept| kept.epoch == 2 && *kept != whole));
            let resumed = mean_field(&graph, &start, examples.data(), &config, kept, &mut Silent).unwrap();
            assert_eq!(resumed, whole);
        }
    }
}
