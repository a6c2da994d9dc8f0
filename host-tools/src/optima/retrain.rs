//! Retrains one kernel from a fresh start; every other number stays.

use super::Wish;
use crate::compare::{Seeded, Settings};
use crate::error::{Error, Result};
use crate::graph::{NodeId, Params};
use crate::progress::{Progress, interrupt};
use crate::train::loss::softmax_cross_entropy;
use crate::train::{Epoch, Executor, Gradients, Optimizer, OptimizerState, Pass, Schedule};
use crate::train::{Trainable, check_finite};
use ndarray::ArrayD;

/// What helps when a layer diverges.
const HINT: &str = "try a smaller learning rate";

/// Tells the random numbers of this loop from those of the stages.
const STAGE: u64 = 5;

/// A solution: the kernel of `node`, trained by Adam with a cosine from the start that `start` decides,
/// with the augmentation of stage 1 and no weight decay.
///
/// # Errors
/// If the loss diverges, or the user interrupts.
pub fn retrain(
    settings: &Settings,
    seeded: &Seeded,
    wish: &Wish,
    plain: &Params,
    node: NodeId,
    start: u64,
) -> Result<ArrayD<f32>> {
    let Seeded { seed, splits, graph, preprocessing } = seeded;
    let stage1 = settings.stage1(&splits.train.name, *seed);
    let missing = || Error::invalid(format!("kernel of {}", graph.nodes[node].name), "none", "a tensor");
    let mut params = plain.clone();
    let fresh = Params::initialise(graph, seed.wrapping_add((start + 1) << 32));
    params.nodes[node].weight = fresh.nodes[node].weight.clone();
    let trainable = Trainable::Kernels { first: node, last: node };
    let batch_size = stage1.batch_size.min(splits.train.len());
    // A step's examples together: one backward pass, one step.
    let mut executor = Executor::for_training(graph, batch_size, trainable)?;
    let (mut gradients, mut optimizer) = (Gradients::zeros(graph, trainable), OptimizerState::default());
    let (schedule, classes) = (Schedule::Cosine, graph.output_shape().len());
    let label = format!("{} start {start}", graph.nodes[node].name);
    for epoch in 0..wish.epochs {
        let batches = Epoch {
            data: &splits.train,
            preprocessing,
            augment: stage1.augment,
            batch_size,
            part_size: batch_size,
            accumulate: 1,
            seed: (seed.wrapping_add(start), STAGE, epoch as u64),
        };
        let steps = batches.len();
        let mut progress = Progress::new(&format!("{label} epoch {}", epoch + 1), steps as u64);
        batches.each(|step, batch| {
            let n = batch.labels.len();
            let outputs = executor.forward(&params, &batch.inputs, n, &Pass::default())?;
            let (loss, d) = softmax_cross_entropy(outputs, &batch.labels, classes, 0.0);
            if !loss.is_finite() {
                return Err(Error::NotFinite {
                    what: "loss of the layer",
                    value: loss as f32,
                    epoch: epoch + 1,
                    hint: HINT,
                });
            }
            executor.backward(&params, &batch.inputs, &d, n, &Pass::default(), &mut gradients)?;
            let rate = wish.learning_rate * schedule.factor(epoch * steps + step, wish.epochs * steps, 0);
            let gradient = gradients.nodes[node].weight.as_ref().ok_or_else(missing)?;
            let weight = params.nodes[node].weight.as_mut().ok_or_else(missing)?;
            optimizer.advance();
            optimizer.apply(Optimizer::ADAM, "weight", weight, gradient, rate, 0.0);
            progress.set(step as u64 + 1, &format!("loss {loss:.4}"));
            if interrupt::requested() { Err(Error::Interrupted) } else { Ok(()) }
        })?;
    }
    let weight = params.nodes[node].weight.take().ok_or_else(missing)?;
    check_finite([&weight], wish.epochs, HINT)?;
    Ok(weight)
}
