//! Prediction sets, abstention and drift through the C functions: the runtime's own answers.
#![allow(unsafe_code)]

#[path = "../../tests/common/mod.rs"]
mod common;

use std::mem::MaybeUninit;
use std::ptr::from_ref;
use stf_bnn::uncertainty::{AbstentionRule, DriftMonitor, PredictionSets, SetMethod};
use stf_bnn::{AlignedBytes, Classification, Model};
use stf_bnn_c::*;

fn calibrated() -> AlignedBytes {
    common::calibrated(&common::model(common::First::Conv, 11))
}

fn load(bytes: &AlignedBytes) -> Box<MaybeUninit<StfModel>> {
    let mut model = Box::new(MaybeUninit::zeroed());
    // SAFETY: the object is ours, and the bytes outlive it in each test.
    let status = unsafe { stf_model_load(model.as_mut_ptr(), bytes.as_ptr(), bytes.len()) };
    assert_eq!(status, StfStatus::Ok);
    model
}

fn prediction(mean: &[f32; 3], entropy: f32) -> StfPrediction {
    StfPrediction {
        mean: mean.as_ptr(),
        spread: mean.as_ptr(),
        outputs: 3,
        samples: 8,
        passes: 8,
        is_classification: 1,
        reserved: 0,
        class_index: 1,
        confidence: mean[1],
        predictive_entropy: entropy,
        expected_entropy: entropy,
        mutual_information: 0.0,
    }
}

fn classification(p: &StfPrediction) -> Classification {
    Classification {
        class: 1,
        confidence: p.confidence,
        predictive_entropy: p.predictive_entropy,
        expected_entropy: p.expected_entropy,
        mutual_information: p.mutual_information,
    }
}

#[test]
fn sets_and_acceptance_are_those_of_the_runtime() {
    let bytes = calibrated();
    let (c_model, model) = (load(&bytes), Model::from_bytes(&bytes).unwrap());
    let (sets, rule) = (PredictionSets::new(&model).unwrap(), AbstentionRule::new(&model).unwrap());
    for mean in [[0.25, 0.625, 0.125], [0.125, 0.75, 0.125], [0.3125, 0.375, 0.3125]] {
        let p = prediction(&mean, 0.9);
        for (method, number) in SetMethod::ALL.into_iter().zip([STF_SET_LAC, STF_SET_APS, STF_SET_RAPS]) {
            let (mut words, mut bits, mut size, mut coverage) = ([7_u32; 2], [0; 1], 0, 0.0);
            let mut call = |method, level, count| {
                // SAFETY: every pointer leads to a local object of its type.
                unsafe {
                    let words = words.as_mut_ptr();
                    stf_prediction_set(
                        c_model.as_ptr(),
                        &p,
                        method,
                        level,
                        0,
                        0,
                        words,
                        count,
                        &mut size,
                        &mut coverage,
                    )
                }
            };
            assert_eq!(call(3, 0, 2), StfStatus::OutOfRange);
            assert_eq!(call(-1, 0, 2), StfStatus::OutOfRange);
            assert_eq!(call(number, 1, 2), StfStatus::OutOfRange);
            assert_eq!(call(number, 0, 0), StfStatus::OutOfRange);
            assert_eq!(call(number, 0, 2), StfStatus::Ok);
            let set = sets.set(method, 0, &mean, 0.0, &mut bits).unwrap();
            assert_eq!((words[0], words[1], size, coverage), (set.bits()[0], 7, set.len, 0.9));
        }
        let mut accepted = -1;
        // SAFETY: every pointer leads to a local object of its type.
        let status = unsafe { stf_prediction_accepted(c_model.as_ptr(), &p, &mut accepted) };
        assert_eq!((status, accepted == 1), (StfStatus::Ok, rule.accepts(&classification(&p))));
    }
}

#[test]
fn the_drift_monitor_is_that_of_the_runtime() {
    let bytes = calibrated();
    let (c_model, model) = (load(&bytes), Model::from_bytes(&bytes).unwrap());
    let (mut drift, mut monitor) = (MaybeUninit::<StfDrift>::zeroed(), DriftMonitor::new(&model).unwrap());
    // SAFETY: both objects are ours, and the bytes outlive them.
    assert_eq!(unsafe { stf_drift_init(drift.as_mut_ptr(), c_model.as_ptr()) }, StfStatus::Ok);
    for i in 0..200 {
        let p = prediction(&[0.25, 0.625, 0.125], if i < 100 { 0.1 } else { 0.9 });
        let mut report = MaybeUninit::<StfDriftReport>::zeroed();
        // SAFETY: every pointer leads to an object of its type.
        let status = unsafe { stf_drift_push(drift.as_mut_ptr(), from_ref(&p), report.as_mut_ptr()) };
        assert_eq!(status, StfStatus::Ok);
        // SAFETY: the call has written it.
        let found = unsafe { report.assume_init() };
        let expected = monitor.push(&classification(&p));
        assert_eq!((found.evidence, found.peak), (expected.evidence, expected.peak));
        assert_eq!((found.count, found.alarm == 1), (expected.count, expected.alarm));
        assert_eq!(found.p_value, expected.p_value);
    }
    assert!(monitor.state() != DriftMonitor::new(&model).unwrap().state());
}

#[test]
fn an_artifact_without_facts_says_so() {
    let bytes = common::model(common::First::Conv, 11);
    let c_model = load(&bytes);
    let p = prediction(&[0.25, 0.625, 0.125], 0.9);
    let (mut drift, mut accepted) = (MaybeUninit::<StfDrift>::zeroed(), 0);
    // SAFETY: every pointer leads to an object of its type.
    unsafe {
        assert_eq!(stf_drift_init(drift.as_mut_ptr(), c_model.as_ptr()), StfStatus::NoFacts);
        let mut report = MaybeUninit::<StfDriftReport>::zeroed();
        let pushed = stf_drift_push(drift.as_mut_ptr(), &p, report.as_mut_ptr());
        assert_eq!(pushed, StfStatus::NotInitialised);
        assert_eq!(stf_prediction_accepted(c_model.as_ptr(), &p, &mut accepted), StfStatus::NoFacts);
        assert_eq!(
            stf_prediction_accepted(c_model.as_ptr(), std::ptr::null(), &mut accepted),
            StfStatus::NullPointer
        );
    }
}
