//! Default settings by architecture and data. What they reach, and what else was tried, is in
//! `docs/results.md`.

use super::Device;
use super::config::{Augment, Estimator, Optimizer, PriorMean, Schedule, Stage1Config, Stage2Config};
use crate::graph::{Graph, Op};

/// Random changes that suit a data set: digits are not mirrored, clothes and objects are.
fn augment(data: &str) -> Augment {
    match data {
        "digits" => Augment { shift: 1, flip: false },
        "mnist" => Augment { shift: 2, flip: false },
        "fashion-mnist" => Augment { shift: 1, flip: true },
        "cifar10" => Augment { shift: 4, flip: true },
        _ => Augment::default(),
    }
}

/// Name of a data set of which some speakers were chosen.
fn without_speakers(data: &str) -> &str {
    data.split_once('@').map_or(data, |(name, _)| name)
}

/// Whether a data set has a few thousand examples.
fn is_small(data: &str) -> bool {
    ["digits", "spoken-digits"].contains(&data)
}

impl Stage1Config {
    /// Settings that train `architecture` well on `data` (a name; any other gets no augmentation).
    #[must_use]
    pub fn recipe(architecture: &str, data: &str) -> Self {
        let data = without_speakers(data);
        let (epochs, optimizer, learning_rate, weight_decay) = match (architecture, data) {
            (_, "spoken-digits") => (40, Optimizer::ADAM, 3e-3, 1e-2),
            (_, "digits") => (60, Optimizer::ADAM, 2e-3, 1e-2),
            ("lenet5", "fashion-mnist") => (40, Optimizer::ADAM, 3e-3, 5e-2),
            ("lenet5" | "mlp" | "mlp_large" | "cnn4", _) => (20, Optimizer::ADAM, 2e-3, 1e-2),
            (_, "cifar10") => (36, Optimizer::SGD, 0.1, 5e-4),
            _ => (30, Optimizer::ADAM, 3e-3, 1e-2),
        };
        Self {
            epochs,
            batch_size: if is_small(data) { 32 } else { 128 },
            accumulate: 1,
            device: Device::Cpu,
            optimizer,
            learning_rate,
            weight_decay,
            schedule: Schedule::Cosine,
            warmup_epochs: 1,
            label_smoothing: 0.0,
            augment: augment(data),
            seed: 0,
        }
    }
}

/// Steps that a regression takes at least in each stage, as far as the epochs' bounds let it.
const REGRESSION_STEPS: [usize; 2] = [1000, 300];

/// Examples of a step of a regression.
const REGRESSION_BATCH: usize = 32;

fn regression_epochs(steps: usize, examples: usize, bounds: (usize, usize)) -> usize {
    (steps * REGRESSION_BATCH / examples.max(1)).clamp(bounds.0, bounds.1)
}

impl Stage1Config {
    /// Settings of a regression on so many training examples. Tables are small: with more steps, or less
    /// weight decay, variances shrink to those of the training targets (`docs/results.md`).
    #[must_use]
    pub fn regression(architecture: &str, examples: usize) -> Self {
        Self {
            epochs: regression_epochs(REGRESSION_STEPS[0], examples, (20, 40)),
            batch_size: REGRESSION_BATCH,
            learning_rate: 1e-3,
            weight_decay: (3000.0 / examples.max(1) as f32).clamp(3e-2, 3.0),
            ..Self::recipe(architecture, "")
        }
    }
}

impl Stage2Config {
    /// Settings of a regression on so many training examples.
    #[must_use]
    pub fn regression(graph: &Graph, examples: usize) -> Self {
        Self {
            epochs: regression_epochs(REGRESSION_STEPS[1], examples, (5, 10)),
            batch_size: REGRESSION_BATCH,
            ..Self::recipe(graph, "")
        }
    }
}

impl Stage2Config {
    /// Settings for the first kernel of `graph` on `data`.
    ///
    /// At temperature 1 the likelihood of tens of thousands of examples leaves a few hundred weights
    /// next to no width, and where the network still errs often the draws say little. Fashion-MNIST
    /// therefore gets a temperature: as wide as the clean figures allow (`docs/decisions.md`). ResNet-8 on CIFAR-10 does not bear one.
    /// The few recordings of `spoken-digits` say so little that at 1 the prior widens the posterior (`docs/audio.md`).
    #[must_use]
    pub fn recipe(graph: &Graph, data: &str) -> Self {
        let dense = graph.first_weighted().is_ok_and(|id| matches!(graph.nodes[id].op, Op::Dense { .. }));
        let data = without_speakers(data);
        let (prior_sigma, temperature, lr_log_var) = match data {
            "mnist" | "cifar10" => (1.0, 1.0, 3e-2),
            "fashion-mnist" => (1.0, 20.0, 3e-2),
            "digits" => (0.05, 1.0, 1e-2),
            "spoken-digits" => (0.1, 0.1, 1e-2),
            _ => (0.3, 1.0, 1e-2),
        };
        Self {
            epochs: if is_small(data) { 20 } else { 5 },
            batch_size: if is_small(data) { 32 } else { 128 },
            accumulate: 1,
            device: Device::Cpu,
            estimator: if dense { Estimator::Local } else { Estimator::Flipout },
            prior: PriorMean::Map,
            prior_sigma,
            temperature,
            delta: 0.2,
            sigma_floor: 1e-3,
            kl_warmup_epochs: 1,
            lr_mu: 1e-4,
            lr_log_var,
            schedule: Schedule::Cosine,
            augment: augment(data),
            seed: 0,
            eval_samples: 32,
        }
    }

    /// Settings for a network that was trained elsewhere: it stands at an optimum of data that may be more
    /// than those at hand, so the posterior starts narrower around it and its mean hardly moves.
    #[must_use]
    pub fn imported(graph: &Graph, data: &str) -> Self {
        Self { delta: 0.05, lr_mu: 1e-5, ..Self::recipe(graph, data) }
    }
}
