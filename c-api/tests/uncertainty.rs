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
        reconstruction_error: f32::NAN,
        targets: 0,
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

/// One prediction of a model, with 8 draws.
fn predict(
    model: &MaybeUninit<StfModel>,
    workspace: &mut Vec<u8>,
    input: &[f32],
    check: impl FnOnce(&StfPrediction),
) {
    let mut config = MaybeUninit::<StfConfig>::zeroed();
    let (mut need, mut predictor) = (0, Box::new(MaybeUninit::<StfPredictor>::zeroed()));
    let mut found = MaybeUninit::<StfPrediction>::zeroed();
    // SAFETY: every pointer leads to a local object of its type, and the workspace outlives the predictor.
    unsafe {
        assert_eq!(stf_config_init(config.as_mut_ptr()), StfStatus::Ok);
        assert_eq!(stf_workspace_size(model.as_ptr(), config.as_ptr(), &mut need), StfStatus::Ok);
        workspace.resize(need, 0);
        let memory = workspace.as_mut_ptr();
        let status =
            stf_predictor_init(predictor.as_mut_ptr(), model.as_ptr(), config.as_ptr(), memory, need);
        assert_eq!(status, StfStatus::Ok);
        let status = stf_predict_f32(predictor.as_mut_ptr(), input.as_ptr(), input.len(), found.as_mut_ptr());
        assert_eq!(status, StfStatus::Ok);
        check(&found.assume_init());
    }
}

#[test]
fn gaussians_and_intervals_are_those_of_the_runtime() {
    let bytes = common::regression::gaussian_facts().write(4).unwrap();
    let (c_model, model) = (load(&bytes), Model::from_bytes(&bytes).unwrap());
    let intervals = stf_bnn::uncertainty::PredictionIntervals::new(&model).unwrap();
    let input: Vec<f32> = (0..60).map(|i| (i as f32 * 0.7).sin()).collect();
    let mut workspace = vec![0; model.workspace_bytes(&stf_bnn::Config::default()).unwrap()];
    let mut predictor = stf_bnn::Predictor::new(&model, stf_bnn::Config::default(), &mut workspace).unwrap();
    let expected = predictor.predict(stf_bnn::Input::F32(&input)).unwrap();
    predict(&c_model, &mut Vec::new(), &input, |p| {
        assert_eq!((p.targets, p.is_classification, p.reconstruction_error.is_nan()), (2, 0, true));
        for target in 0..3 {
            let (mut g, mut i) = (MaybeUninit::zeroed(), MaybeUninit::zeroed());
            // SAFETY: every pointer leads to a local object of its type.
            let (first, second) = unsafe {
                (
                    stf_prediction_gaussian(p, target, g.as_mut_ptr()),
                    stf_prediction_interval(c_model.as_ptr(), p, 1, target, i.as_mut_ptr()),
                )
            };
            let Some(gaussian) = expected.gaussian(target) else {
                assert_eq!((first, second), (StfStatus::OutOfRange, StfStatus::OutOfRange));
                continue;
            };
            assert_eq!((first, second), (StfStatus::Ok, StfStatus::Ok));
            // SAFETY: both were written.
            let (g, i): (StfGaussian, StfInterval) = unsafe { (g.assume_init(), i.assume_init()) };
            let found = [g.mean, g.sigma, g.aleatoric_variance, g.epistemic_variance];
            let parts = (gaussian.aleatoric_variance, gaussian.epistemic_variance);
            assert_eq!(found, [gaussian.mean, gaussian.sigma(), parts.0, parts.1]);
            let interval = intervals.interval(1, target, &gaussian).unwrap();
            assert_eq!((i.low, i.high, i.coverage), (interval.low, interval.high, 0.9));
        }
        let mut i = MaybeUninit::<StfInterval>::zeroed();
        // SAFETY: every pointer leads to a local object of its type.
        let status = unsafe { stf_prediction_interval(c_model.as_ptr(), p, 2, 0, i.as_mut_ptr()) };
        assert_eq!(status, StfStatus::OutOfRange, "no such level");
        let plain = load_plain();
        // SAFETY: as above.
        let status = unsafe { stf_prediction_interval(plain.1.as_ptr(), p, 0, 0, i.as_mut_ptr()) };
        assert_eq!(status, StfStatus::NoFacts);
    });
}

fn load_plain() -> (AlignedBytes, Box<MaybeUninit<StfModel>>) {
    let bytes = common::model(common::First::Conv, 11);
    let model = load(&bytes);
    (bytes, model)
}

#[test]
fn anomaly_p_values_are_those_of_the_runtime() {
    let bytes = common::regression::autoencoder(7, 99, &[0.5, 1.0, 4.0], &[60, 9, 0]).unwrap();
    let (c_model, model) = (load(&bytes), Model::from_bytes(&bytes).unwrap());
    let detector = stf_bnn::uncertainty::AnomalyDetector::new(&model).unwrap();
    let input: Vec<f32> = (0..24).map(|i| i as f32).collect();
    predict(&c_model, &mut Vec::new(), &input, |p| {
        let mut found = 0.0;
        for error in [p.reconstruction_error, 0.1, 0.7, 1.5, 4.5] {
            let p = StfPrediction { reconstruction_error: error, ..*p };
            // SAFETY: every pointer leads to a local object of its type.
            assert_eq!(unsafe { stf_anomaly_p_value(c_model.as_ptr(), &p, &mut found) }, StfStatus::Ok);
            assert_eq!(found, detector.p_value(error));
        }
        let none = StfPrediction { reconstruction_error: f32::NAN, ..*p };
        // SAFETY: as above.
        let status = unsafe { stf_anomaly_p_value(c_model.as_ptr(), &none, &mut found) };
        assert_eq!(status, StfStatus::OutOfRange);
        let plain = load_plain();
        // SAFETY: as above.
        let status = unsafe { stf_anomaly_p_value(plain.1.as_ptr(), p, &mut found) };
        assert_eq!(status, StfStatus::NoFacts);
    });
}
