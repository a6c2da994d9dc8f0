//! What runs a graph forward and backward: one interface for the CPU's executor and for a GPU's.
//!
//! Parameters go in and gradients come out as host tensors, at every step; batches, noise, loss and
//! optimizer are the host's, so that all devices see the same random numbers and share one loop, one
//! checkpoint format and one resume. The price on a GPU is one transfer of the trained parameters each
//! way a step (frozen ones are sent once).

use super::executor::{Executor, Gradients, Pass, Trainable};
use crate::error::Result;
use crate::graph::{Graph, NodeId, Params};
use ndarray::ArrayD;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a network runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// The host's cores: the same bits on one kind of processor, whatever the number of threads.
    #[default]
    Cpu,
    /// A GPU by Vulkan; feature `gpu`.
    Vulkan,
    /// An Apple GPU; feature `gpu`.
    Metal,
    /// An NVIDIA GPU; feature `cuda`.
    Cuda,
}

impl Device {
    /// The word on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Vulkan => "vulkan",
            Self::Metal => "metal",
            Self::Cuda => "cuda",
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Sampled kernels of one node for one batch of inputs.
pub struct Draws<'a> {
    /// The node whose kernel is sampled.
    pub node: NodeId,
    /// Number of samples.
    pub count: usize,
    /// Writes the kernel of a sample, from 0.
    pub fill: &'a mut dyn FnMut(usize, &mut ArrayD<f32>),
}

/// Runs one graph; see [`Executor`] for what the methods do.
pub trait Engine: Send {
    /// The graph that it runs.
    fn graph(&self) -> &Graph;

    /// Most examples of one pass.
    fn max_batch(&self) -> usize;

    /// Outputs `[n, out]` for inputs `[n, h, w, c]`, with running batch-norm statistics.
    ///
    /// # Errors
    /// As [`Executor::infer`].
    fn infer(&mut self, params: &Params, inputs: &[f32], n: usize) -> Result<&[f32]>;

    /// Calls `visit` with the outputs `[n, out]` under each sampled kernel, in order.
    ///
    /// # Errors
    /// As [`Executor::infer`].
    fn infer_draws(
        &mut self,
        params: &Params,
        draws: Draws<'_>,
        inputs: &[f32],
        n: usize,
        visit: &mut dyn FnMut(&[f32]),
    ) -> Result<()>;

    /// Training pass: outputs `[n, out]`.
    ///
    /// # Errors
    /// As [`Executor::forward`].
    fn forward(&mut self, params: &Params, inputs: &[f32], n: usize, pass: &Pass<'_>) -> Result<&[f32]>;

    /// Gradients of the loss whose derivative with respect to the last forward pass's outputs is
    /// `output_gradient`, `[n, out]`; given the same parameters, inputs and pass as that one.
    ///
    /// # Errors
    /// As [`Executor::backward`].
    fn backward(
        &mut self,
        params: &Params,
        inputs: &[f32],
        output_gradient: &[f32],
        n: usize,
        pass: &Pass<'_>,
        gradients: &mut Gradients,
    ) -> Result<()>;

    /// Gradient with respect to the inputs, `[n, h, w, c]`, after [`Self::backward`] of `n` examples.
    ///
    /// # Errors
    /// If the engine was not made for [`Trainable::Input`].
    fn input_gradient(&self, n: usize) -> Result<&[f32]>;

    /// Moves batch norm's running statistics towards those of the last training pass.
    ///
    /// # Errors
    /// If a device cannot be read.
    fn update_running_statistics(&self, params: &mut Params) -> Result<()>;
}

/// Checks that a device is there, for callers that write something before they use it.
///
/// # Errors
/// If it is not; names the devices that are.
pub fn require_device(device: Device) -> Result<()> {
    match device {
        Device::Cpu => Ok(()),
        #[cfg(feature = "gpu")]
        _ => super::gpu::open(device).map(drop),
        #[cfg(not(feature = "gpu"))]
        _ => Err(not_built(device)),
    }
}

/// The engine of a device, for up to `max_batch` examples at a time.
///
/// # Errors
/// If `max_batch` is zero, there is nothing to train, or there is no such device; names those that there
/// are.
pub fn engine(
    graph: &Graph,
    max_batch: usize,
    trainable: Trainable,
    device: Device,
) -> Result<Box<dyn Engine>> {
    match device {
        Device::Cpu => Ok(Box::new(Executor::for_training(graph, max_batch, trainable)?)),
        #[cfg(feature = "gpu")]
        _ => Ok(Box::new(super::gpu::GpuExecutor::new(graph, max_batch, trainable, device)?)),
        #[cfg(not(feature = "gpu"))]
        _ => Err(not_built(device)),
    }
}

#[cfg(not(feature = "gpu"))]
fn not_built(device: Device) -> crate::Error {
    let feature = if device == Device::Cuda { "cuda" } else { "gpu" };
    crate::Error::invalid(
        "device",
        format!("{device}, in a build without GPU support"),
        format!("cpu, or a build with `cargo build --release --features stf-host/{feature}`"),
    )
}

impl Engine for Executor {
    fn graph(&self) -> &Graph {
        Self::graph(self)
    }

    fn max_batch(&self) -> usize {
        Self::max_batch(self)
    }

    fn infer(&mut self, params: &Params, inputs: &[f32], n: usize) -> Result<&[f32]> {
        Self::infer(self, params, inputs, n)
    }

    fn infer_draws(
        &mut self,
        params: &Params,
        draws: Draws<'_>,
        inputs: &[f32],
        n: usize,
        visit: &mut dyn FnMut(&[f32]),
    ) -> Result<()> {
        let mut sampled = params.clone();
        for draw in 0..draws.count {
            if let Some(kernel) = &mut sampled.nodes[draws.node].weight {
                (draws.fill)(draw, kernel);
            }
            visit(Self::infer(self, &sampled, inputs, n)?);
        }
        Ok(())
    }

    fn forward(&mut self, params: &Params, inputs: &[f32], n: usize, pass: &Pass<'_>) -> Result<&[f32]> {
        Self::forward(self, params, inputs, n, pass)
    }

    fn backward(
        &mut self,
        params: &Params,
        inputs: &[f32],
        output_gradient: &[f32],
        n: usize,
        pass: &Pass<'_>,
        gradients: &mut Gradients,
    ) -> Result<()> {
        Self::backward(self, params, inputs, output_gradient, n, pass, gradients)
    }

    fn input_gradient(&self, n: usize) -> Result<&[f32]> {
        Self::input_gradient(self, n)
    }

    fn update_running_statistics(&self, params: &mut Params) -> Result<()> {
        Self::update_running_statistics(self, params);
        Ok(())
    }
}

#[cfg(all(test, not(feature = "gpu")))]
mod tests {
    use super::*;
    use crate::train::testing::dense_net;

    #[test]
    fn a_build_without_gpu_support_says_how_to_get_one() {
        let error = |device| {
            let Err(error) = engine(&dense_net(), 1, Trainable::None, device) else { panic!("no GPU") };
            error.to_string()
        };
        assert!(error(Device::Vulkan).contains("--features stf-host/gpu"), "{}", error(Device::Vulkan));
        assert!(error(Device::Cuda).contains("--features stf-host/cuda"), "{}", error(Device::Cuda));
    }
}
