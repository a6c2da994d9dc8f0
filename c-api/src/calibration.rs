//! Running accuracy, negative log-likelihood, Brier score and calibration error.

use crate::guard::{guard, place, slice};
use crate::status::StfStatus;
use crate::storage::{self, StfCalibration};
use stf_bnn::uncertainty::{BINS, Calibration};

/// Confidence bins of the calibration error: bin `i` is `(i/15, (i+1)/15]`.
pub const STF_CALIBRATION_BINS: usize = 15;

const _: () = assert!(STF_CALIBRATION_BINS == BINS);

/// Figures of the predictions counted so far.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct StfMetrics {
    /// Predictions counted.
    pub count: u64,
    /// Right ones.
    pub correct: u64,
    /// Share of right ones, 0 to 1.
    pub accuracy: f64,
    /// Mean negative log-likelihood, nats.
    pub nll: f64,
    /// Mean Brier score, summed over classes: 0 to 2.
    pub brier: f64,
    /// Expected calibration error.
    pub ece: f64,
}

/// One confidence bin.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct StfBin {
    /// Predictions in it.
    pub count: u64,
    /// Right ones.
    pub correct: u64,
    /// Sum of their confidences.
    pub confidence: f64,
}

/// Starts with no prediction counted.
///
/// # Safety
/// `calibration` leads to an `stf_calibration`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stf_calibration_init(calibration: *mut StfCalibration) -> StfStatus {
    // SAFETY: leads to an object of its type, by this function's contract.
    guard(|| unsafe { storage::put(calibration, Calibration::new()) })
}

/// Counts one prediction, given by its class probabilities and the right class.
///
/// # Safety
/// `calibration` leads to an `stf_calibration`, `probabilities` to `count` values.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stf_calibration_push(
    calibration: *mut StfCalibration,
    probabilities: *const f32,
    count: usize,
    label: usize,
) -> StfStatus {
    guard(|| {
        // SAFETY: both lead to what this function's contract says.
        let (value, probabilities) =
            unsafe { (storage::get_mut(calibration)?, slice(probabilities, count)?) };
        if value.push(probabilities, label) { Ok(()) } else { Err(StfStatus::OutOfRange) }
    })
}

/// Adds the predictions that `other` counted. The two must be different objects.
///
/// # Safety
/// Both lead to an `stf_calibration`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stf_calibration_merge(
    calibration: *mut StfCalibration,
    other: *const StfCalibration,
) -> StfStatus {
    guard(|| {
        if core::ptr::eq(calibration, other) && !other.is_null() {
            return Err(StfStatus::Overlap);
        }
        // SAFETY: both lead to objects of their type, which are not one, by the check.
        let (value, other) = unsafe { (storage::get_mut(calibration)?, storage::get(other)?) };
        value.merge(other);
        Ok(())
    })
}

/// Reads the figures.
///
/// # Safety
/// `calibration` leads to an `stf_calibration`, `metrics` to an `stf_metrics`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stf_calibration_read(
    calibration: *const StfCalibration,
    metrics: *mut StfMetrics,
) -> StfStatus {
    guard(|| {
        // SAFETY: both lead to objects of their types, by this function's contract.
        let (value, metrics) = unsafe { (storage::get(calibration)?, place(metrics)?) };
        metrics.write(StfMetrics {
            count: value.count(),
            correct: value.correct(),
            accuracy: value.accuracy(),
            nll: value.nll(),
            brier: value.brier(),
            ece: value.ece(),
        });
        Ok(())
    })
}

/// Reads one bin, 0 to 14.
///
/// # Safety
/// `calibration` leads to an `stf_calibration`, `bin` to an `stf_bin`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stf_calibration_bin(
    calibration: *const StfCalibration,
    index: usize,
    bin: *mut StfBin,
) -> StfStatus {
    guard(|| {
        // SAFETY: both lead to objects of their types, by this function's contract.
        let (value, place) = unsafe { (storage::get(calibration)?, place(bin)?) };
        let bin = value.bins().get(index).ok_or(StfStatus::OutOfRange)?;
        place.write(StfBin { count: bin.count, correct: bin.correct, confidence: bin.confidence });
        Ok(())
    })
}
