//! Many inputs over several cores: the same bits as one after another.

use super::{Config, ConfigError, Input, PredictError, Prediction, Predictor};
use crate::artifact::Model;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::num::NonZero;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Why not all inputs could be predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PredictAllError {
    /// The settings.
    Config(ConfigError),
    /// One of the inputs; the first one of those found.
    Input {
        /// Its index.
        index: usize,
        /// What is wrong with it.
        error: PredictError,
    },
}

impl fmt::Display for PredictAllError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Input { index, error } => write!(f, "input {index}: {error}"),
        }
    }
}

impl core::error::Error for PredictAllError {}

/// Predicts inputs `0..count` on so many threads, each with a workspace of its own on the heap, and
/// returns what `result` makes of each prediction, in the order of the inputs.
///
/// Input `i` has counter `i`: the results are those of one predictor that takes all inputs in turn.
///
/// # Errors
/// If a setting is out of range, or an input cannot be predicted.
pub fn predict_all<'i, T: Send>(
    model: &Model<'_>,
    config: Config,
    threads: NonZero<usize>,
    count: usize,
    input: impl Fn(usize) -> Input<'i> + Sync,
    result: impl Fn(usize, Prediction<'_>) -> T + Sync,
) -> Result<Vec<T>, PredictAllError> {
    let bytes = model.workspace_bytes(&config).map_err(PredictAllError::Config)?;
    let next = AtomicUsize::new(0);
    let work = || {
        let mut workspace = vec![0; bytes];
        let mut predictor = Predictor::new(model, config, &mut workspace).map_err(PredictAllError::Config)?;
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return Ok(done);
            }
            predictor.set_counter(index as u64);
            match predictor.predict(input(index)) {
                Ok(prediction) => done.push((index, result(index, prediction))),
                Err(error) => {
                    // Nobody starts another one.
                    next.store(count, Ordering::Relaxed);
                    return Err(PredictAllError::Input { index, error });
                }
            }
        }
    };
    let parts: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (1..threads.get().min(count)).map(|_| scope.spawn(work)).collect();
        let own = work();
        let others = workers.into_iter().map(|worker| match worker.join() {
            Ok(part) => part,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        core::iter::once(own).chain(others).collect()
    });
    let mut all = Vec::with_capacity(count);
    for part in parts {
        all.extend(part?);
    }
    all.sort_unstable_by_key(|&(index, _)| index);
    Ok(all.into_iter().map(|(_, value)| value).collect())
}
