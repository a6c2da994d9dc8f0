//! Small networks and data for the tests of the training loops.

use super::{
    Augment, Device, Estimator, Optimizer, PriorMean, Schedule, Stage1Config, Stage2Config, TrainData,
};
use crate::data::{Dataset, Inputs, Preprocessing};
use crate::graph::{Activation, Graph, GraphBuilder, Shape, Task, Window};

/// Reproducible numbers in -1..1 by a linear congruential generator: none of the project's own.
pub(crate) fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((state >> 40) as f32 / (1u64 << 23) as f32) - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// Convolution, batch norm, tanh, dropout, pooling and two classes more than one, for 6x6x2 images.
pub(crate) fn conv_net() -> Graph {
    let mut builder = GraphBuilder::new("conv", Task::Classification, Shape::new(6, 6, 2));
    let conv = builder.conv(0, 3, Window::padded(3, 1, 1), 1, true).unwrap();
    let norm = builder.batch_norm(conv).unwrap();
    let tanh = builder.activation(norm, Activation::Tanh).unwrap();
    let dropped = builder.dropout(tanh, 0.1).unwrap();
    let second = builder.conv(dropped, 4, Window::padded(3, 2, 1), 1, false).unwrap();
    let norm = builder.batch_norm(second).unwrap();
    let tanh = builder.activation(norm, Activation::Tanh).unwrap();
    let pooled = builder.global_avg_pool(tanh).unwrap();
    builder.dense(pooled, 3, true).unwrap();
    builder.finish().unwrap()
}

/// Two dense layers for the same images.
pub(crate) fn dense_net() -> Graph {
    let mut builder = GraphBuilder::new("dense", Task::Classification, Shape::new(6, 6, 2));
    let flat = builder.flatten(0).unwrap();
    let hidden = builder.dense(flat, 5, true).unwrap();
    let tanh = builder.activation(hidden, Activation::Tanh).unwrap();
    builder.dense(tanh, 3, true).unwrap();
    builder.finish().unwrap()
}

/// `n` images 6x6x2 of three classes: noise, and a bright block whose place is the class.
pub(crate) fn blocks(n: usize, seed: u64) -> Dataset {
    let shape = Shape::new(6, 6, 2);
    let mut values = numbers(n * shape.len(), seed);
    for (index, image) in values.chunks_exact_mut(shape.len()).enumerate() {
        for row in 0..3 {
            image[((row + index % 3) * 6 + 2 * (index % 3)) * 2] += 3.0;
        }
    }
    let labels = (0..n as u32).map(|index| index % 3).collect();
    let class_names = ["a", "b", "c"].map(String::from).to_vec();
    Dataset {
        name: "blocks".into(),
        shape,
        inputs: Inputs::F32(values),
        labels,
        class_names,
        targets: Default::default(),
    }
}

/// Training and validation examples with their normalisation.
pub(crate) struct Examples {
    train: Dataset,
    validation: Dataset,
    preprocessing: Preprocessing,
}

impl Examples {
    pub(crate) fn new() -> Self {
        let train = blocks(50, 1);
        let preprocessing = Preprocessing::fit(&train).unwrap();
        Self { train, validation: blocks(30, 2), preprocessing }
    }

    pub(crate) fn data(&self) -> TrainData<'_> {
        TrainData { train: &self.train, validation: &self.validation, preprocessing: &self.preprocessing }
    }
}

pub(crate) fn stage1_config(optimizer: Optimizer) -> Stage1Config {
    Stage1Config {
        epochs: 4,
        batch_size: 16,
        accumulate: 1,
        device: Device::Cpu,
        optimizer,
        learning_rate: 0.02,
        weight_decay: 1e-3,
        schedule: Schedule::Cosine,
        warmup_epochs: 1,
        label_smoothing: 0.05,
        augment: Augment { shift: 1, flip: false },
        seed: 11,
    }
}

pub(crate) fn stage2_config(estimator: Estimator) -> Stage2Config {
    Stage2Config {
        epochs: 4,
        batch_size: 16,
        accumulate: 1,
        device: Device::Cpu,
        estimator,
        prior: PriorMean::Map,
        prior_sigma: 0.3,
        temperature: 1.0,
        delta: 0.3,
        sigma_floor: 1e-2,
        kl_warmup_epochs: 2,
        lr_mu: 1e-2,
        lr_log_var: 3e-2,
        schedule: Schedule::Cosine,
        augment: Augment { shift: 1, flip: true },
        seed: 5,
        eval_samples: 4,
    }
}

/// Runs `work` on a pool of so many threads.
pub(crate) fn with_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}
