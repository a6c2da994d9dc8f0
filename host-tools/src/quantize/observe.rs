//! Watches every activation of the float network on the calibration split, through sampled first
//! layers: the ranges must hold for the draws that the device will make, not for their mean alone.

use super::range::{Extent, Histogram};
use crate::data::{Dataset, Preprocessing};
use crate::error::Result;
use crate::graph::params::Posterior;
use crate::graph::{Graph, NodeId, Params};
use crate::train::{Executor, sample_kernel};

/// Examples that run together.
const BATCH: usize = 64;

/// What to watch the network with.
#[derive(Debug, Clone, Copy)]
pub struct Observation<'a> {
    /// The folded graph.
    pub graph: &'a Graph,
    /// Its folded parameters; the first layer's weight is mu.
    pub params: &'a Params,
    /// The first layer's folded posterior, if it has one.
    pub posterior: Option<&'a Posterior>,
    /// Examples of the calibration split.
    pub data: &'a Dataset,
    /// Normalisation before the first layer.
    pub preprocessing: &'a Preprocessing,
    /// At most so many examples are used, see [`Dataset::sample`].
    pub max_examples: usize,
    /// Seed of the sampled first layers; batch `i` uses draw `i`.
    pub seed: u64,
}

impl Observation<'_> {
    /// A histogram of every node's outputs, in the order of the graph's nodes.
    ///
    /// # Errors
    /// If an activation is not finite, or the network cannot run on the data.
    pub fn histograms(&self) -> Result<Vec<Histogram>> {
        let mut extents = vec![Extent::default(); self.graph.nodes.len()];
        self.visit(&mut |id, values| extents[id].add(values))?;
        let mut histograms = extents
            .into_iter()
            .zip(&self.graph.nodes)
            .map(|(extent, node)| Histogram::new(extent, &node.name))
            .collect::<Result<Vec<_>>>()?;
        self.visit(&mut |id, values| histograms[id].add(values))?;
        Ok(histograms)
    }

    fn visit(&self, visit: &mut dyn FnMut(NodeId, &[f32])) -> Result<()> {
        let mut executor = Executor::new(self.graph, BATCH)?;
        let mut params = self.params.clone();
        let mut inputs = Vec::new();
        let indices = self.data.sample(self.max_examples);
        for (draw, batch) in indices.chunks(BATCH).enumerate() {
            if let Some(posterior) = self.posterior {
                sample_kernel(&mut params, self.params, posterior, self.seed, draw as u64);
            }
            self.preprocessing.apply(self.data, batch, &mut inputs)?;
            executor.infer_each(&params, &inputs, batch.len(), visit)?;
        }
        Ok(())
    }
}
