//! How to predict.

use crate::artifact::{Model, Operator};
use crate::kernels::Kernels;
use crate::names::names;
use core::fmt;

/// How many passes a prediction averages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Samples {
    /// One pass with zero noise: the network of the posterior mean.
    Mean,
    /// This many draws of the first layer, 1 to [`Config::MAX_SAMPLES`]. On a plain artifact, whose
    /// draws would all be the same, it is one pass, and the prediction says so.
    MonteCarlo(u16),
    /// As many draws as the artifact's rule needs to settle the class: see
    /// [`Adaptive`](crate::artifact::Adaptive). On a plain artifact it is one pass.
    Adaptive,
}

impl Samples {
    /// The greatest number of passes that a result of this model averages.
    #[must_use]
    pub fn most(self, model: &Model<'_>) -> u16 {
        match self {
            Self::Mean => 1,
            Self::MonteCarlo(samples) => samples,
            Self::Adaptive => model.manifest().adaptive.map_or(1, |rule| rule.samples_max),
        }
    }
}

/// Whether every prediction has draws of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Draws {
    /// New draws for every prediction, by its counter.
    Fresh,
    /// The same draws for every input (those of counter 0): an implicit ensemble. Its noise is drawn
    /// once, into the workspace.
    Fixed,
}

/// Settings of a [`Predictor`](super::Predictor).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Config {
    /// Number of passes.
    pub samples: Samples,
    /// Seed of the noise.
    pub seed: u64,
    /// Whether each prediction has draws of its own.
    pub draws: Draws,
    /// Draws come in pairs with opposite noise: half the noise convolutions, and the first-order
    /// error of the mean cancels. The last draw of an odd number has no partner.
    pub antithetic: bool,
    /// Draws that run through the network side by side, each with an arena of its own; at least 1.
    /// More than there are draws is the same as their number. Changes no result.
    pub tile: u16,
    /// Keep the first layer's mean accumulators (and, where a tile splits a pair, the second draw's
    /// first activations) for all draws of an input, instead of computing them again: more memory,
    /// less time, same result.
    pub cache_mean: bool,
    /// Kernels that run; `None`: the fastest of this CPU. Changes no result, but the workspace's size:
    /// some keep packed weights there. [`Kernels::REFERENCE`] needs as much as any device does.
    pub kernels: Option<Kernels>,
}

impl Config {
    /// Most draws of one prediction.
    pub const MAX_SAMPLES: u16 = 1024;

    /// The kernels that these settings choose on this CPU.
    #[must_use]
    pub fn kernels(&self) -> Kernels {
        self.kernels.unwrap_or_else(Kernels::detect)
    }
}

impl Default for Config {
    /// 8 fresh antithetic draws, one after another.
    fn default() -> Self {
        Self {
            samples: Samples::MonteCarlo(8),
            seed: 0,
            draws: Draws::Fresh,
            antithetic: true,
            tile: 1,
            cache_mean: true,
            kernels: None,
        }
    }
}

names! {
    /// What adaptive samples need.
    AdaptiveNeed {
        Rule = "an artifact with an adaptive rule",
        Fresh = "fresh draws",
        Antithetic = "antithetic draws",
        NotAntithetic = "draws that are not antithetic",
    }
}

/// Why a predictor cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ConfigError {
    /// The number of samples is not in `1..=1024`.
    Samples {
        /// The number.
        found: u16,
    },
    /// The tile is zero.
    Tile,
    /// Adaptive samples that the artifact's rule does not cover.
    Adaptive {
        /// What is missing.
        expected: AdaptiveNeed,
    },
    /// A layer whose operator is not among those that the program holds.
    Operator {
        /// Index of the layer.
        layer: u16,
        /// Its kind.
        operator: Operator,
    },
    /// A task other than classification, whose outputs the program's operators do not serve.
    Task,
    /// An [embedded](Model::embedded) model that does not lie at a multiple of 16, or is not consistent.
    /// Devices look at the first alone.
    Unchecked,
    /// The workspace is shorter than `workspace_bytes` says.
    Workspace {
        /// Its length in bytes.
        found: usize,
        /// Bytes needed.
        expected: usize,
    },
    /// The workspace would not fit this target's address space.
    TooLarge,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Samples { found } => {
                write!(f, "samples: found {found}, expected 1 to {}", Config::MAX_SAMPLES)
            }
            Self::Adaptive { expected } => write!(f, "adaptive samples: expected {expected}"),
            Self::Operator { layer, operator } => {
                write!(f, "layer {layer}: found {operator}, expected one of the program's operators")
            }
            Self::Task => {
                write!(f, "task: found another than classification, expected operators that were made for it")
            }
            Self::Unchecked => {
                write!(f, "embedded model: found one that is misaligned or that the check refuses")
            }
            Self::Tile => write!(f, "tile: found 0, expected at least 1"),
            Self::Workspace { found, expected } => {
                write!(f, "workspace: found {found} bytes, expected at least {expected}")
            }
            Self::TooLarge => write!(f, "workspace: larger than this target's memory can be"),
        }
    }
}

impl core::error::Error for ConfigError {}
