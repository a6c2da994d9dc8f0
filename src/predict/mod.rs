//! Monte-Carlo prediction in memory that the caller gives.
//!
//! A [`Predictor`] couples a checked [`Model`](crate::Model), a [`Config`] and a workspace. The
//! result of a prediction does not depend on how the work is laid out (`tile`, `cache_mean`).

mod adaptive;
mod config;
mod head;
mod input;
mod noise;
mod predictor;
mod recheck;
mod steps;
mod summary;
#[cfg(feature = "threads")]
mod threads;
mod workspace;

pub(crate) use head::Head;

pub use adaptive::{Checks, Decision};
pub use config::{AdaptiveNeed, Config, ConfigError, Draws, Samples};
pub use input::{Input, PredictError};
pub use predictor::{Pass, Predictor};
pub use summary::{Classification, MAX_LOG_VAR, Prediction};
#[cfg(feature = "threads")]
pub use threads::{PredictAllError, predict_all};
