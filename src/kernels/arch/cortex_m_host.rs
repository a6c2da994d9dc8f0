//! The Cortex-M kernels' place on a host: it computes a device's workspace. It runs the specification.

use super::cortex_m_plan as plan;
use crate::artifact::Layer;
use crate::kernels::{Isa, reference};

/// Stands for the kernels of a Cortex-M core with the DSP extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kernels) struct Dsp(());

impl Dsp {
    /// The specification runs everywhere.
    pub(in crate::kernels) const fn new() -> Self {
        Self(())
    }
}

impl Isa for Dsp {
    fn name(self) -> &'static str {
        "cortex-m-dsp"
    }

    fn scratch_values(self, layer: &Layer, _images: usize) -> usize {
        plan::scratch_values(layer).max(reference::scratch_values(layer))
    }
}
