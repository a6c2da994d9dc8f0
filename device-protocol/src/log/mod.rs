//! Predictions logged on devices: one row a prediction (or target), and figures of any number of rows in fixed
//! memory, by the runtime's own accumulators. Parts of a log merge like partial aggregates of SQL.
//!
//! `docs/logs.md` says which columns there are.

mod figures;
mod tally;
mod writer;

pub use figures::{ClassFigures, IntervalRow, LogFigures, ReliabilityBin, TargetFigures};
pub use tally::{ClassTally, Tally, TargetTally};
pub use writer::{LogFormat, LogWriter};

/// What figures need of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Row {
    /// A prediction of a classifier.
    Class {
        /// The right class; `None` if nobody knew it.
        label: Option<u32>,
        /// Mean probabilities, `[classes]`.
        probabilities: Vec<f32>,
        /// Passes through the network that it took.
        passes: Option<u16>,
    },
    /// A prediction of one target of a Gaussian regression, in its units.
    Target {
        /// The value; `None` if nobody knew it.
        y: Option<f32>,
        /// Mean.
        mean: f32,
        /// Variance that the input leaves open.
        aleatoric_variance: f32,
        /// Variance that the network does not know better.
        epistemic_variance: f32,
        /// Ends of a prediction interval.
        interval: Option<(f32, f32)>,
    },
}
