//! Default settings by architecture and data. What they reach, and what else was tried, is in
//! `docs/results.md`.

use super::config::{Augment, Estimator, Optimizer, PriorMean, Schedule, Stage1Config, Stage2Config};
use crate::graph::{Graph, Op};

/// Random changes that suit a data set: digits are not mirrored, clothes and objects are.
fn augment(data: &str) -> Augment {
    match data {
        "digits" => Augment { shift: 1, flip: false },
        "mnist" => Augment { shift: 2, flip: false },
        "fashion-mnist" => Augment { shift: 2, flip: true },
        "cifar10" => Augment { shift: 4, flip: true },
        _ => Augment::default(),
    }
}

impl Stage1Config {
    /// Settings that train `architecture` well on `data` (a name; any other gets no augmentation).
    #[must_use]
    pub fn recipe(architecture: &str, data: &str) -> Self {
        let (epochs, learning_rate) = match (architecture, data) {
            (_, "digits") => (60, 2e-3),
            ("lenet5" | "mlp" | "cnn4", _) => (20, 2e-3),
            _ => (30, 3e-3),
        };
        Self {
            epochs,
            batch_size: if data == "digits" { 32 } else { 128 },
            optimizer: Optimizer::ADAM,
            learning_rate,
            weight_decay: 1e-2,
            schedule: Schedule::Cosine,
            warmup_epochs: 1,
            label_smoothing: 0.0,
            augment: augment(data),
            seed: 0,
        }
    }
}

impl Stage2Config {
    /// Settings for the first kernel of `graph` on `data`.
    #[must_use]
    pub fn recipe(graph: &Graph, data: &str) -> Self {
        let dense = graph.first_weighted().is_ok_and(|id| matches!(graph.nodes[id].op, Op::Dense { .. }));
        Self {
            epochs: if data == "digits" { 20 } else { 5 },
            batch_size: if data == "digits" { 32 } else { 128 },
            estimator: if dense { Estimator::Local } else { Estimator::Flipout },
            prior: PriorMean::Map,
            prior_sigma: 0.3,
            temperature: 1.0,
            delta: 0.2,
            sigma_floor: 1e-3,
            kl_warmup_epochs: 1,
            lr_mu: 1e-3,
            lr_log_var: 1e-2,
            schedule: Schedule::Cosine,
            augment: augment(data),
            seed: 0,
            eval_samples: 32,
        }
    }
}
