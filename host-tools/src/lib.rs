//! Host side of stf-bnn: trains spatial-temporal-fusion Bayesian networks, quantizes and exports
//! them, and evaluates the artifact through the runtime that devices use.
//!
//! Data flows one way: [`data`] and [`graph`] → [`train`] → [`quantize`] → [`export`] → the runtime
//! (`stf_bnn`) → [`calibrate`] and [`evaluate`] → [`report`]. The binary `stf` is [`commands`].

pub mod attack;
pub mod bench;
pub mod binomial;
pub mod bound;
pub mod calibrate;
pub mod commands;
pub mod compare;
pub mod data;
pub mod error;
pub mod evaluate;
pub mod export;
pub mod files;
pub mod graph;
#[cfg(feature = "onnx-import")]
pub mod import;
pub mod kernels;
pub mod keys;
pub mod logs;
pub mod normal;
pub mod onnx;
pub mod optima;
pub mod plan;
pub mod privacy;
pub mod progress;
pub mod quantize;
pub mod report;
pub mod run;
pub mod train;

pub use error::{Error, Result};
