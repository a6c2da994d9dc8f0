//! Kernels of one instruction set each; a value of a module's type proves that the CPU has it.

#[cfg(all(target_arch = "aarch64", feature = "std"))]
pub(super) mod aarch64;
#[cfg(all(target_arch = "x86_64", feature = "std"))]
pub(super) mod x86_64;

#[cfg(all(feature = "cortex-m-dsp", target_arch = "arm", target_os = "none"))]
pub(super) mod cortex_m;
#[cfg(all(feature = "cortex-m-dsp", not(all(target_arch = "arm", target_os = "none"))))]
#[path = "cortex_m_host.rs"]
pub(super) mod cortex_m;
#[cfg(feature = "cortex-m-dsp")]
mod cortex_m_plan;
#[cfg(all(feature = "cortex-m-dsp", target_os = "none"))]
pub(super) use cortex_m_plan::serves;
