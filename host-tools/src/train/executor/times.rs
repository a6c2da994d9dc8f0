//! What each node of a training pass takes.

use super::Executor;
use super::types::Pass;
use crate::error::Result;
use crate::graph::{NodeId, Params};
use std::time::{Duration, Instant};

/// Time of one node's operators in one training pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Times {
    /// Its output.
    pub forward: Duration,
    /// The gradient of what it read; batch norm's parameters included.
    pub input_gradient: Duration,
    /// The gradients of a kernel and its bias.
    pub weight_gradient: Duration,
}

impl Executor {
    /// From now on training passes measure what each node takes.
    pub fn measure(&mut self) {
        self.times = Some(vec![Times::default(); self.graph.nodes.len()]);
    }

    /// What each node took in the last [`Self::forward`] and [`Self::backward`] since [`Self::measure`];
    /// nothing before that.
    #[must_use]
    pub fn times(&self) -> &[Times] {
        self.times.as_deref().unwrap_or_default()
    }

    pub(super) fn timed_forward(
        &mut self,
        id: NodeId,
        params: &Params,
        inputs: &[f32],
        n: usize,
        pass: &Pass<'_>,
        batch_statistics: bool,
    ) -> Result<()> {
        self.timed(
            id,
            |times| &mut times.forward,
            |executor| executor.forward_node(id, params, inputs, n, pass, batch_statistics),
        )
    }

    /// Does `work` and notes its time, if that is wanted.
    pub(super) fn timed<R>(
        &mut self,
        id: NodeId,
        slot: impl FnOnce(&mut Times) -> &mut Duration,
        work: impl FnOnce(&mut Self) -> R,
    ) -> R {
        if self.times.is_none() {
            return work(self);
        }
        let started = Instant::now();
        let result = work(self);
        if let Some(times) = &mut self.times {
            *slot(&mut times[id]) = started.elapsed();
        }
        result
    }
}
