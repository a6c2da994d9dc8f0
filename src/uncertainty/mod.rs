//! What to make of predictions: how well calibrated they are and how well their uncertainty ranks
//! ([`Calibration`], [`Ranking`], [`Selective`]); which classes an input may have ([`PredictionSets`]);
//! when to answer ([`AbstentionRule`]); whether the world has changed ([`DriftMonitor`]). Of real targets:
//! their distribution ([`Gaussian`]), figures ([`Regression`]) and intervals ([`PredictionIntervals`]); of
//! an autoencoder's inputs, whether they are normal ([`AnomalyDetector`]).
//!
//! Everything streams or works in the caller's memory, so that host and device share one definition.
//! Sets, intervals, rule, monitor and detector read thresholds that `stf calibrate` fitted, through this runtime, after quantization.

mod abstain;
mod anomaly;
mod classwise;
mod conformal;
mod drift;
mod equal_mass;
mod gaussian;
mod histogram;
mod intervals;
mod metrics;
mod ranking;
mod regression;
mod score;
mod selective;
mod sets;

pub use abstain::AbstentionRule;
pub use anomaly::{AnomalyDetector, conformal_p_value};
pub use classwise::Classwise;
pub use conformal::{Penalty, SetMethod, conformal_score, random_share};
pub use drift::{DriftMonitor, DriftReport, DriftState, MAX_BETS};
pub use equal_mass::equal_mass_ece;
pub use gaussian::Gaussian;
pub use histogram::ScoreHistogram;
pub use intervals::{PredictionInterval, PredictionIntervals};
pub use metrics::{BINS, Bin, Calibration, PROBABILITY_FLOOR, Scored};
pub use ranking::Ranking;
pub use regression::{IntervalFigures, Regression};
pub use score::{Score, energy};
pub use selective::Selective;
pub use sets::{PredictionSet, PredictionSets};
