//! One model, several threads, each with a predictor of its own: the bits of one thread. The thread sanitizer
//! watches in `cargo xtask sanitize thread`.
#![allow(unsafe_code)]

#[path = "../../tests/common/mod.rs"]
mod common;

use std::mem::MaybeUninit;
use std::thread;
use stf_bnn_c::*;

fn zeroed<T>() -> T {
    // SAFETY: used for the C API's types, of which zeros are a value.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

/// A model that threads share; C has no word for it.
struct Shared(Box<StfModel>);

// SAFETY: nothing writes to the model after it was loaded.
unsafe impl Sync for Shared {}

/// Bits of some predictions.
fn predict(model: &Shared, values: usize, predictions: u64) -> Vec<u32> {
    let mut predictor: Box<StfPredictor> = Box::new(zeroed());
    let (mut config, mut prediction): (StfConfig, StfPrediction) = (zeroed(), zeroed());
    let mut needed = 0;
    let mut bits = Vec::new();
    // SAFETY: every pointer leads to an object of its type, or to as many values as the length beside it; the
    // workspace is this thread's.
    unsafe {
        let model = &raw const *model.0;
        assert_eq!(stf_config_init(&raw mut config), StfStatus::Ok);
        assert_eq!(stf_workspace_size(model, &raw const config, &raw mut needed), StfStatus::Ok);
        let mut workspace = vec![0; needed];
        let own = &raw mut *predictor;
        let status = stf_predictor_init(own, model, &raw const config, workspace.as_mut_ptr(), needed);
        assert_eq!(status, StfStatus::Ok);
        for number in 0..predictions {
            let input: Vec<u8> = (0..values).map(|i| (i as u64 * 31 + number) as u8).collect();
            assert_eq!(stf_predict_u8(own, input.as_ptr(), values, &raw mut prediction), StfStatus::Ok);
            let mean = std::slice::from_raw_parts(prediction.mean, prediction.outputs);
            bits.extend(mean.iter().map(|x| x.to_bits()));
            assert_eq!(stf_model_recheck(model), StfStatus::Ok);
        }
    }
    bits
}

#[test]
fn threads_share_a_model() {
    let file = common::model(common::First::Conv, 5);
    let mut model = Shared(Box::new(zeroed()));
    let mut info: StfModelInfo = zeroed();
    // SAFETY: leads to an object of its type, and to as many bytes.
    unsafe {
        assert_eq!(stf_model_load(&raw mut *model.0, file.as_ptr(), file.len()), StfStatus::Ok);
        assert_eq!(stf_model_describe(&raw const *model.0, &raw mut info), StfStatus::Ok);
    }
    let values = (info.input_height * info.input_width * info.input_channels) as usize;
    let expected = predict(&model, values, 50);
    let found: Vec<Vec<u32>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| predict(&model, values, 50))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(found.iter().all(|found| *found == expected));
}
