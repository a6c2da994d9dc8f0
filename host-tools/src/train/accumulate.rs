//! Gradient accumulation: a step over more examples than memory holds at a time is made of several
//! batches, each of which adds its share of the step's gradient.

use super::batches::Batch;
use super::executor::{Gradients, Trainable};
use crate::graph::Graph;

/// Gradients of the step under way.
#[derive(Debug, Clone)]
pub(super) struct Accumulator {
    batch: Gradients,
    /// Over the batches of the step so far; made when the first step of several batches comes.
    sum: Option<Gradients>,
    is_summed: bool,
}

impl Accumulator {
    pub fn new(graph: &Graph, trainable: Trainable) -> Self {
        Self { batch: Gradients::zeros(graph, trainable), sum: None, is_summed: false }
    }

    /// Where the backward pass of one batch writes.
    pub const fn batch_mut(&mut self) -> &mut Gradients {
        &mut self.batch
    }

    /// Takes in what [`Self::batch_mut`] holds, the gradients of `batch`.
    pub fn add(&mut self, batch: &Batch) {
        self.is_summed = !batch.is_whole_step();
        match &mut self.sum {
            _ if !self.is_summed => {}
            Some(sum) if batch.first > 0 => sum.add(&self.batch),
            sum => *sum = Some(self.batch.clone()),
        }
    }

    /// Gradients of the step, after its last batch.
    pub fn total(&self) -> &Gradients {
        match &self.sum {
            Some(sum) if self.is_summed => sum,
            _ => &self.batch,
        }
    }
}

/// Turns the gradient of a batch's mean loss into its share of the step's mean loss.
pub(super) fn scale_to_step(gradient: &mut [f32], batch: &Batch) {
    if !batch.is_whole_step() {
        let share = batch.labels.len() as f32 / batch.step_examples as f32;
        gradient.iter_mut().for_each(|d| *d *= share);
    }
}
