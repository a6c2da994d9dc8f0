//! Prediction sets, answering or abstaining, and the drift monitor.

use crate::guard::{addresses, disjoint, guard, place, reference, slice, slice_mut};
use crate::predict::StfPrediction;
use crate::status::StfStatus;
use crate::storage::{self, StfDrift, StfModel};
use stf_bnn::Classification;
use stf_bnn::uncertainty::{AbstentionRule, DriftMonitor, PredictionSets, SetMethod, random_share};

/// Set of the classes that are likely enough by themselves: one minus the class's probability is the score.
pub const STF_SET_LAC: i32 = 0;
/// The score is the mass of the likelier classes.
pub const STF_SET_APS: i32 = 1;
/// The same, with a penalty for many classes.
pub const STF_SET_RAPS: i32 = 2;

/// What the drift monitor says after a prediction.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct StfDriftReport {
    /// Upper bound of the probability of such a score or a greater one while nothing changed.
    pub p_value: f32,
    /// Evidence of a change now.
    pub evidence: f32,
    /// Greatest evidence so far.
    pub peak: f32,
    /// Predictions since the start.
    pub count: u32,
    /// 1 if the evidence ever reached the alarm's level, else 0.
    pub alarm: u32,
}

/// Writes the set of a prediction: bit `c % 32` of `words[c / 32]` is class `c`. `words` has at least
/// `outputs / 32` words, rounded up. `method` is `STF_SET_LAC`, `STF_SET_APS` or `STF_SET_RAPS`. Level 0 has the greatest coverage;
/// `coverage` gets the promised one, `size` the number of classes. `seed` and `counter` are those of the
/// prediction; they matter only where the artifact's sets are randomized. `words`, `size` and `coverage` share no
/// byte with each other or with what is read.
///
/// Out of range: no such method or level, another number of classes, too few words; no facts: the artifact
/// carries no thresholds.
///
/// # Safety
/// `model` leads to an `stf_model`, `prediction` to a result whose workspace is still there, `words` to
/// `word_count` words, `size` to a `size_t`, `coverage` to a `double`.
#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments)]
pub unsafe extern "C" fn stf_prediction_set(
    model: *const StfModel,
    prediction: *const StfPrediction,
    method: i32,
    level: usize,
    seed: u64,
    counter: u64,
    words: *mut u32,
    word_count: usize,
    size: *mut usize,
    coverage: *mut f64,
) -> StfStatus {
    guard(|| {
        // SAFETY: all lead to what this function's contract says.
        let (value, result) = unsafe { (storage::get(model)?, reference(prediction)?) };
        let read = [addresses(model, 1), addresses(prediction, 1), addresses(result.mean, result.outputs)];
        let written = [addresses(words, word_count), addresses(size, 1), addresses(coverage, 1)];
        for (index, to) in written.iter().enumerate() {
            for other in read.iter().chain([&value.bytes]).chain(written.iter().skip(index + 1)) {
                disjoint(to, other)?;
            }
        }
        // SAFETY: a prediction's pointer leads into the workspace, which is still there.
        let mean = unsafe { slice(result.mean, result.outputs)? };
        // SAFETY: as above; they share nothing with each other or with what is read, by the checks.
        let (words, size, coverage) =
            unsafe { (slice_mut(words, word_count)?, place(size)?, place(coverage)?) };
        let sets = PredictionSets::new(&value.model).ok_or(StfStatus::NoFacts)?;
        let index = usize::try_from(method).map_err(|_| StfStatus::OutOfRange)?;
        let method = *SetMethod::ALL.get(index).ok_or(StfStatus::OutOfRange)?;
        let set =
            sets.set(method, level, mean, random_share(seed, counter), words).ok_or(StfStatus::OutOfRange)?;
        size.write(set.len);
        coverage.write(set.coverage);
        Ok(())
    })
}

/// Whether to answer with a prediction: `accepted` gets 1 or 0. No facts: the artifact carries no rule.
///
/// # Safety
/// `model` leads to an `stf_model`, `prediction` to a result, `accepted` to an `int`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stf_prediction_accepted(
    model: *const StfModel,
    prediction: *const StfPrediction,
    accepted: *mut i32,
) -> StfStatus {
    guard(|| {
        // SAFETY: all lead to what this function's contract says.
        let (model, prediction, accepted) =
            unsafe { (storage::get(model)?, reference(prediction)?, place(accepted)?) };
        let rule = AbstentionRule::new(&model.model).ok_or(StfStatus::NoFacts)?;
        accepted.write(rule.accepts(&classification(prediction)?).into());
        Ok(())
    })
}

/// Starts a drift monitor. The model must stay where it is while the monitor is used. No facts: the
/// artifact carries no reference. After any failure `drift` holds nothing, not even what it held before: it is
/// not initialised.
///
/// # Safety
/// `drift` leads to an `stf_drift`, `model` to an `stf_model`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stf_drift_init(drift: *mut StfDrift, model: *const StfModel) -> StfStatus {
    guard(|| {
        // SAFETY: both lead to objects of their types, by this function's contract.
        unsafe { storage::clear(drift)? };
        // SAFETY: as above.
        let model = unsafe { storage::get(model)? };
        let monitor = DriftMonitor::new(&model.model).ok_or(StfStatus::NoFacts)?;
        // SAFETY: as above.
        unsafe { storage::put(drift, monitor) }
    })
}

/// Shows a prediction to the drift monitor.
///
/// # Safety
/// `drift` leads to an `stf_drift` whose artifact is still there, `prediction` to a result, `report` to an
/// `stf_drift_report`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stf_drift_push(
    drift: *mut StfDrift,
    prediction: *const StfPrediction,
    report: *mut StfDriftReport,
) -> StfStatus {
    guard(|| {
        // SAFETY: all lead to what this function's contract says.
        let (monitor, prediction, report) =
            unsafe { (storage::get_mut(drift)?, reference(prediction)?, place(report)?) };
        let found = monitor.push(&classification(prediction)?);
        report.write(StfDriftReport {
            p_value: found.p_value,
            evidence: found.evidence,
            peak: found.peak,
            count: found.count,
            alarm: found.alarm.into(),
        });
        Ok(())
    })
}

/// The members that scores are made of; out of range for a regression.
fn classification(prediction: &StfPrediction) -> Result<Classification, StfStatus> {
    if prediction.is_classification == 0 {
        return Err(StfStatus::OutOfRange);
    }
    Ok(Classification {
        class: u16::try_from(prediction.class_index).map_err(|_| StfStatus::OutOfRange)?,
        confidence: prediction.confidence,
        predictive_entropy: prediction.predictive_entropy,
        expected_entropy: prediction.expected_entropy,
        mutual_information: prediction.mutual_information,
    })
}
