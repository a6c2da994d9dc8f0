//! Logits of every draw of a network on data.

use super::Net;
use crate::data::{Dataset, Preprocessing};
use crate::error::Result;
use crate::train::{Trainable, engine};

/// Examples that run together.
const BATCH: usize = 256;

/// Logits of draws.
#[derive(Debug, Clone, PartialEq)]
pub struct Logits {
    /// `[n, draws, classes]`
    pub values: Vec<f32>,
    /// Draws of each example.
    pub draws: usize,
    /// Number of classes.
    pub classes: usize,
}

impl Logits {
    /// `[draws, classes]` of each example.
    pub fn examples(&self) -> std::slice::ChunksExact<'_, f32> {
        self.values.chunks_exact(self.draws * self.classes)
    }
}

/// Runs `wanted` draws (or as many as the network has) over all examples.
///
/// # Errors
/// If the network cannot run on the data.
pub fn logits(
    net: &Net,
    data: &Dataset,
    preprocessing: &Preprocessing,
    wanted: usize,
    seed: u64,
) -> Result<Logits> {
    let (classes, draws) = (net.graph.output_shape().len(), net.draws(wanted));
    let mut inputs = Vec::new();
    let indices: Vec<usize> = (0..data.len()).collect();
    let mut values = vec![0.0; data.len() * draws * classes];
    let mut engine = engine(&net.graph, BATCH, Trainable::None, net.device)?;
    let mut sampler = net.sampler(seed);
    data.check_fits(net.graph.input_shape())?;
    for draw in 0..draws {
        sampler.turn_to(draw);
        for batch in indices.chunks(BATCH) {
            preprocessing.apply(data, batch, &mut inputs)?;
            let pass = sampler.pass(batch[0]);
            let outputs = engine.forward(sampler.params(), &inputs, batch.len(), &pass)?;
            for (&index, row) in batch.iter().zip(outputs.chunks_exact(classes)) {
                values[(index * draws + draw) * classes..][..classes].copy_from_slice(row);
            }
        }
    }
    Ok(Logits { values, draws, classes })
}
