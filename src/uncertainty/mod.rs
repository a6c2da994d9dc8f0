//! What to make of predictions: how well calibrated they are.

mod metrics;

pub use metrics::{BINS, Bin, Calibration, PROBABILITY_FLOOR};
