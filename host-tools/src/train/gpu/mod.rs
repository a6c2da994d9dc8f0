//! The graph on a GPU, by burn: feature `gpu`. Its operators are the framework's, its gradients come from
//! the framework's automatic differentiation; what is drawn at random comes from the host.
//!
//! Tensors lie on the device as `[n, channels, height, width]`; parameters keep the host's layout, so that
//! gradients come back in it.

mod device;
mod executor;
mod forward;
mod operators;
#[cfg(test)]
mod tests;

pub(super) use device::open;
pub use executor::GpuExecutor;
