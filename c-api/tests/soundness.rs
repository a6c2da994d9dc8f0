//! Every function once, on a model so small that an interpreter which sees undefined behaviour gets through:
//! `cargo xtask miri`.
#![allow(unsafe_code)]

#[path = "../../tests/common/mod.rs"]
mod common;

use common::Builder;
use std::mem::MaybeUninit;
use stf_bnn::artifact::{ArtifactWriter, Manifest, NoiseKind, public_key, sign};
use stf_bnn::{AlignedBytes, Config, Input, Model, Predictor, Samples};
use stf_bnn_c::*;

fn tiny() -> AlignedBytes {
    let mut b = Builder::new(4, [2, 2, 1]);
    b.dense(3);
    b.add_posterior(NoiseKind::Weights);
    b.dense_output(3);
    common::calibrated(&b.finish(3))
}

fn zeroed<T>() -> T {
    // SAFETY: used for the C API's types, of which zeros are a value.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

#[test]
fn a_program_of_every_function() {
    let secret = [9; 32];
    let file = AlignedBytes::new(&sign(&tiny(), &secret, 3).unwrap());
    let key = public_key(&secret).to_bytes();
    let (mut model, mut predictor): (Box<StfModel>, Box<StfPredictor>) =
        (Box::new(zeroed()), Box::new(zeroed()));
    let mut config: StfConfig = zeroed();
    let mut prediction: StfPrediction = zeroed();
    let (mut drift, mut report): (StfDrift, StfDriftReport) = (zeroed(), zeroed());
    let (mut calibration, mut metrics, mut bin): (StfCalibration, StfMetrics, StfBin) =
        (zeroed(), zeroed(), zeroed());
    let mut info: StfModelInfo = zeroed();
    let (mut release, mut needed, mut size, mut counter) = (0, 0, 0, 0);
    let (mut coverage, mut accepted, mut words) = (0.0, 0, [0; 1]);
    let (mut name, mut text) = (std::ptr::null(), [1; 16]);
    let input = [10_u8, 200, 30, 90];
    let mut workspace = vec![0_u8; 4096];
    // SAFETY: every pointer leads to an object of its type, or to as many values as the length beside it.
    unsafe {
        let (m, p) = (&raw mut *model, &raw mut *predictor);
        let before = stf_predict_u8(p, input.as_ptr(), 4, &raw mut prediction);
        assert_eq!(before, StfStatus::NotInitialised);
        assert_eq!(stf_model_load_signed(m, file.as_ptr(), file.len(), key.as_ptr(), 3), StfStatus::Ok);
        assert_eq!(stf_model_release(m, &raw mut release), StfStatus::Ok);
        assert_eq!(stf_model_recheck(m), StfStatus::Ok);
        assert_eq!(stf_model_describe(m, &raw mut info), StfStatus::Ok);
        assert_eq!(stf_model_explain(file.as_ptr(), file.len(), text.as_mut_ptr(), 16), StfStatus::Ok);
        assert_eq!(stf_class_name(m, 0, &raw mut name, &raw mut size), StfStatus::OutOfRange);
        assert_eq!(stf_config_init(&raw mut config), StfStatus::Ok);
        assert_eq!(stf_workspace_size(m, &raw const config, &raw mut needed), StfStatus::Ok);
        let status = stf_predictor_init(p, m, &raw const config, workspace.as_mut_ptr(), needed - 1);
        assert_eq!(status, StfStatus::WorkspaceTooSmall);
        let status = stf_predictor_init(p, m, &raw const config, workspace.as_mut_ptr().add(1), needed);
        assert_eq!(status, StfStatus::Ok);
        assert_eq!(stf_predictor_recheck_every(p, 1), StfStatus::Ok);
        assert_eq!(stf_predictor_set_counter(p, u32::MAX.into()), StfStatus::Ok);
        assert_eq!(stf_predict_u8(p, input.as_ptr(), 4, &raw mut prediction), StfStatus::Ok);
        assert_eq!(stf_predictor_counter(p, &raw mut counter), StfStatus::Ok);
        let set = stf_prediction_set(
            m,
            &raw const prediction,
            STF_SET_APS,
            0,
            0,
            0,
            words.as_mut_ptr(),
            1,
            &raw mut size,
            &raw mut coverage,
        );
        assert_eq!(set, StfStatus::Ok);
        assert_eq!(stf_prediction_accepted(m, &raw const prediction, &raw mut accepted), StfStatus::Ok);
        assert_eq!(stf_drift_init(&raw mut drift, m), StfStatus::Ok);
        assert_eq!(stf_drift_push(&raw mut drift, &raw const prediction, &raw mut report), StfStatus::Ok);
        let c = &raw mut calibration;
        assert_eq!(stf_calibration_init(c), StfStatus::Ok);
        assert_eq!(stf_calibration_push(c, prediction.mean, prediction.outputs, 1), StfStatus::Ok);
        assert_eq!(stf_calibration_merge(c, c), StfStatus::Overlap);
        assert_eq!(stf_calibration_read(c, &raw mut metrics), StfStatus::Ok);
        assert_eq!(stf_calibration_bin(c, 3, &raw mut bin), StfStatus::Ok);
    }
    assert_eq!((release, counter, metrics.count, report.count), (3, 1 << 32, 1, 1));
    assert_eq!((info.input_height, info.outputs, info.is_bayesian), (2, 3, 1));

    let checked = Model::from_bytes(&file).unwrap();
    let config = Config { samples: Samples::MonteCarlo(8), ..Config::default() };
    let mut workspace_again = vec![0; checked.workspace_bytes(&config).unwrap()];
    let mut again = Predictor::new(&checked, config, &mut workspace_again).unwrap();
    again.set_counter(u32::MAX.into());
    let expected = again.predict(Input::U8(&input)).unwrap();
    // SAFETY: the workspace is still there, and so is the mean in it.
    let found = unsafe { std::slice::from_raw_parts(prediction.mean, prediction.outputs) };
    assert_eq!(found, expected.mean);
}

/// Another artifact in the model of a predictor: the predictor was not made for it.
#[test]
fn a_model_that_is_loaded_again_refuses_its_old_predictor() {
    let (first, second) = (tiny(), common::model(common::First::Conv, 2));
    let (mut model, mut predictor): (Box<StfModel>, Box<StfPredictor>) =
        (Box::new(zeroed()), Box::new(zeroed()));
    let mut config: StfConfig = zeroed();
    let mut prediction: StfPrediction = zeroed();
    let mut workspace = vec![0_u8; 4096];
    // SAFETY: every pointer leads to an object of its type, or to as many values as the length beside it.
    unsafe {
        let (m, p) = (&raw mut *model, &raw mut *predictor);
        assert_eq!(stf_model_load(m, first.as_ptr(), first.len()), StfStatus::Ok);
        assert_eq!(stf_config_init(&raw mut config), StfStatus::Ok);
        let status = stf_predictor_init(p, m, &raw const config, workspace.as_mut_ptr(), workspace.len());
        assert_eq!(status, StfStatus::Ok);
        assert_eq!(stf_model_load(m, second.as_ptr(), second.len()), StfStatus::Ok);
        let input = [0_u8; 4];
        assert_eq!(stf_predict_u8(p, input.as_ptr(), 4, &raw mut prediction), StfStatus::NotInitialised);
    }
}

/// Another artifact of the same length where the first one was: neither address nor length tell them apart.
#[test]
fn another_artifact_in_the_same_memory_refuses_the_old_predictor() {
    let first = tiny();
    let checked = Model::from_bytes(&first).unwrap();
    let name = "X".repeat(checked.manifest().name.len());
    let other = Manifest { name: &name, ..*checked.manifest() };
    let second = ArtifactWriter::of(&checked).finish(other).unwrap();
    assert_eq!(first.len(), second.len());
    let mut memory = vec![0_u128; first.len().div_ceil(16)];
    let (mut model, mut predictor): (Box<StfModel>, Box<StfPredictor>) =
        (Box::new(zeroed()), Box::new(zeroed()));
    let mut config: StfConfig = zeroed();
    let mut prediction: StfPrediction = zeroed();
    let mut workspace = vec![0_u8; 4096];
    let input = [0_u8; 4];
    // SAFETY: every pointer leads to an object of its type, or to as many values as the length beside it; the
    // memory has room for either artifact.
    unsafe {
        let (m, p, file) = (&raw mut *model, &raw mut *predictor, memory.as_mut_ptr().cast::<u8>());
        let load = |artifact: &[u8]| {
            std::ptr::copy_nonoverlapping(artifact.as_ptr(), file, artifact.len());
            assert_eq!(stf_model_load(m, file, artifact.len()), StfStatus::Ok);
        };
        load(&first);
        assert_eq!(stf_config_init(&raw mut config), StfStatus::Ok);
        let status = stf_predictor_init(p, m, &raw const config, workspace.as_mut_ptr(), workspace.len());
        assert_eq!(status, StfStatus::Ok);
        assert_eq!(stf_predict_u8(p, input.as_ptr(), 4, &raw mut prediction), StfStatus::Ok);
        load(&second);
        assert_eq!(stf_predict_u8(p, input.as_ptr(), 4, &raw mut prediction), StfStatus::NotInitialised);
    }
}
