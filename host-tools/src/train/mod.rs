//! Training in two stages: the whole network as usual, then its first kernel by stochastic
//! variational inference. Both in terms of an [`Engine`]: the CPU's [`executor`], or a GPU's.

mod accumulate;
mod batches;
mod config;
pub mod engine;
mod epochs;
pub mod executor;
#[cfg(feature = "gpu")]
pub mod gpu;
pub mod loss;
pub mod memory;
pub mod methods;
mod monte_carlo;
mod observer;
mod optimizer;
mod random;
mod recipe;
mod stage1;
mod stage2;
mod state;
#[cfg(test)]
pub(crate) mod testing;
pub mod variational;

pub use batches::{Batch, Epoch};
pub use config::{Augment, Estimator, Optimizer, PriorMean, Schedule, Stage1Config, Stage2Config};
pub use engine::{Device, Draws, Engine, engine, require_device};
pub use executor::{Executor, Gradients, Pass, Perturbation, Trainable, part_examples};
pub use monte_carlo::{
    McPrediction, Sampled, predict_gaussian, predict_mc, sample_kernel, softmax, validate, validate_on,
};
pub use observer::{EpochSummary, Observer, Silent, Validation};
pub use optimizer::OptimizerState;
pub use random::{Purpose, Random, derive, normals};
pub use stage1::stage1;
pub use stage2::stage2;
pub use state::{MeanFieldState, Stage1State, Stage2State, check_finite, load_params};

use crate::data::{Dataset, Preprocessing};
use crate::error::{Error, Result};
use crate::graph::{Graph, Task};

/// What a stage is trained and watched on.
#[derive(Debug, Clone, Copy)]
pub struct TrainData<'a> {
    /// Fits the weights.
    pub train: &'a Dataset,
    /// Progress figures.
    pub validation: &'a Dataset,
    /// Normalisation of both.
    pub preprocessing: &'a Preprocessing,
}

/// Checks that the data suit the network.
fn check_data(graph: &Graph, data: &TrainData<'_>) -> Result<()> {
    for set in [data.train, data.validation] {
        set.check_fits(graph.input_shape())?;
        if set.is_empty() {
            return Err(Error::invalid(format!("split of {}", set.name), "no example", "at least one"));
        }
        let classes = graph.output_shape().len();
        if graph.task == Task::Gaussian && 2 * set.targets.len() != classes {
            let expected = format!("{}, half of the network's outputs", classes / 2);
            return Err(Error::invalid(format!("{}: targets", set.name), set.targets.len(), expected));
        }
        if graph.task == Task::Classification
            && let Some(index) = set.labels.iter().position(|&label| label as usize >= classes)
        {
            let what = format!("{}: label of example {index}", set.name);
            return Err(Error::invalid(
                what,
                set.labels[index],
                format!("below {classes}, the network's classes"),
            ));
        }
    }
    let labels = &data.train.labels;
    if graph.task == Task::Classification && labels.iter().all(|&label| label == labels[0]) {
        let what = format!("{}: classes in the training part", data.train.name);
        return Err(Error::invalid(what, "1", "at least 2"));
    }
    Ok(())
}
