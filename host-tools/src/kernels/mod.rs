//! Float kernels of the trainer; the only room of the host tool with `unsafe`.
#![allow(unsafe_code)]

pub mod direct;
pub mod gemm;
pub mod max_pool;
pub mod relu;
pub mod simd;
