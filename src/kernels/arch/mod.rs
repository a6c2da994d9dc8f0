//! Kernels of one instruction set each; a value of a module's type proves that the CPU has it.

#[cfg(all(target_arch = "x86_64", feature = "std"))]
pub(super) mod x86_64;
