//! Runtime of spatial-temporal-fusion Bayesian networks: int8 networks whose **first layer** is
//! Bayesian, read in place from one `.stf` artifact, predicted with a few Monte-Carlo samples in
//! memory that the caller gives. `no_std`, no allocation; the same bits on every target.
//!
//! Data flows one way: [`artifact`] (bytes to a checked [`Model`]) → [`predict`] (which uses
//! [`layers`], [`kernels`], [`random`] and [`number`]) → [`uncertainty`].
//!
//! What we optimise for, in that order: the same result everywhere, no panic after
//! [`Model::from_bytes`], memory, speed, code size.
#![cfg_attr(not(feature = "std"), no_std)]

#[cfg(feature = "alloc")]
extern crate alloc;

// Unit tests build their models with the code of the integration tests.
#[cfg(test)]
extern crate self as stf_bnn;

/// Small models, as the tests outside of the crate make them.
#[cfg(test)]
#[path = "../tests/common/mod.rs"]
mod common;

#[cfg(target_endian = "big")]
compile_error!("stf-bnn reads little-endian artifacts in place: big-endian targets are not supported");

#[cfg(all(feature = "cortex-m-dsp", target_arch = "arm", target_os = "none", not(target_abi = "eabihf")))]
compile_error!("cortex-m-dsp needs an FPU: a target whose name ends in eabihf");

pub mod artifact;
pub mod audio;
mod bayes;
pub mod kernels;
pub mod layers;
mod names;
pub mod number;
pub mod predict;
pub mod random;
pub mod uncertainty;

#[cfg(feature = "alloc")]
pub use artifact::{AlignedBytes, ArtifactWriter};
pub use artifact::{ArtifactError, Model};
pub use predict::{
    Checks, Classification, Config, ConfigError, Decision, Draws, Input, Pass, PredictError, Prediction,
    Predictor, Samples,
};
