//! Distributions and intervals of real targets, and an autoencoder's anomaly score.

use crate::guard::{guard, place, reference, slice};
use crate::predict::StfPrediction;
use crate::status::StfStatus;
use crate::storage::{self, StfModel};
use stf_bnn::uncertainty::{AnomalyDetector, Gaussian, PredictionIntervals};

/// Distribution of a target, in its units.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct StfGaussian {
    /// Mean.
    pub mean: f32,
    /// Standard deviation: the root of the sum of both variances.
    pub sigma: f32,
    /// Variance that the input leaves open.
    pub aleatoric_variance: f32,
    /// Variance that the network does not know better.
    pub epistemic_variance: f32,
}

/// Where a target lies, in its units.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct StfInterval {
    /// Lower end.
    pub low: f32,
    /// Upper end.
    pub high: f32,
    /// Promised share of intervals that hold their target, 0 to 1.
    pub coverage: f64,
}

/// Distribution of a target of a Gaussian regression. Out of range: there is no such target.
///
/// # Safety
/// `prediction` leads to a result whose workspace is still there, `gaussian` to an `stf_gaussian`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stf_prediction_gaussian(
    prediction: *const StfPrediction,
    target: usize,
    gaussian: *mut StfGaussian,
) -> StfStatus {
    guard(|| {
        // SAFETY: both lead to what this function's contract says.
        let (prediction, place) = unsafe { (reference(prediction)?, place(gaussian)?) };
        // SAFETY: the result's workspace is still there, by this function's contract.
        let found = unsafe { of(prediction, target)? };
        place.write(StfGaussian {
            mean: found.mean,
            sigma: found.sigma(),
            aleatoric_variance: found.aleatoric_variance,
            epistemic_variance: found.epistemic_variance,
        });
        Ok(())
    })
}

/// Prediction interval of a target of a Gaussian regression. Level 0 has the greatest coverage. Out of range:
/// there is no such level or target; no facts: the artifact carries no factors.
///
/// # Safety
/// `model` leads to an `stf_model`, `prediction` to a result whose workspace is still there, `interval` to an
/// `stf_interval`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stf_prediction_interval(
    model: *const StfModel,
    prediction: *const StfPrediction,
    level: usize,
    target: usize,
    interval: *mut StfInterval,
) -> StfStatus {
    guard(|| {
        // SAFETY: all lead to what this function's contract says.
        let (model, prediction, place) =
            unsafe { (storage::get(model)?, reference(prediction)?, place(interval)?) };
        let intervals = PredictionIntervals::new(&model.model).ok_or(StfStatus::NoFacts)?;
        // SAFETY: the result's workspace is still there, by this function's contract.
        let gaussian = unsafe { of(prediction, target)? };
        let found = intervals.interval(level, target, &gaussian).ok_or(StfStatus::OutOfRange)?;
        place.write(StfInterval { low: found.low, high: found.high, coverage: found.coverage });
        Ok(())
    })
}

/// Conformal p-value of an autoencoder's reconstruction error: how often a normal input has such an error or a
/// greater one. Raise an alarm where it is at most `alpha`: a normal input does with that probability at
/// most. Out of range: the prediction has no reconstruction error; no facts: the artifact carries no
/// reference.
///
/// # Safety
/// `model` leads to an `stf_model`, `prediction` to a result, `p_value` to a `float`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stf_anomaly_p_value(
    model: *const StfModel,
    prediction: *const StfPrediction,
    p_value: *mut f32,
) -> StfStatus {
    guard(|| {
        // SAFETY: all lead to what this function's contract says.
        let (model, prediction, place) =
            unsafe { (storage::get(model)?, reference(prediction)?, place(p_value)?) };
        let detector = AnomalyDetector::new(&model.model).ok_or(StfStatus::NoFacts)?;
        if prediction.reconstruction_error.is_nan() {
            return Err(StfStatus::OutOfRange);
        }
        place.write(detector.p_value(prediction.reconstruction_error));
        Ok(())
    })
}

/// # Safety
/// The prediction's workspace is still there.
unsafe fn of(prediction: &StfPrediction, target: usize) -> Result<Gaussian, StfStatus> {
    // SAFETY: a prediction's pointers lead into the workspace, which is still there, by the caller's contract.
    let (mean, spread) = unsafe {
        (slice(prediction.mean, prediction.outputs)?, slice(prediction.spread, prediction.outputs)?)
    };
    Gaussian::of_outputs(mean, spread, prediction.targets, target).ok_or(StfStatus::OutOfRange)
}
