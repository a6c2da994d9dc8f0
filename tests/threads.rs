//! Several cores give the bits of one.
#![cfg(feature = "threads")]

mod common;

use common::First;
use std::num::NonZero;
use stf_bnn::predict::{PredictAllError, predict_all};
use stf_bnn::{Config, Input, Model, PredictError, Predictor};

#[test]
fn threads_change_no_bit() {
    for first in common::ALL {
        let file = common::model(first, 77);
        let model = Model::from_bytes(&file).unwrap();
        let inputs: Vec<Vec<i8>> = (0..23).map(|seed| common::input(&model, seed)).collect();
        let config = Config { seed: 5, ..Config::default() };
        let mut workspace = vec![0; model.workspace_bytes(&config).unwrap()];
        let mut predictor = Predictor::new(&model, config, &mut workspace).unwrap();
        let mut one = |input: &Vec<i8>| {
            let prediction = predictor.predict(Input::Quantized(input)).unwrap();
            (prediction.mean.to_vec(), prediction.spread.to_vec(), prediction.classification)
        };
        let expected: Vec<_> = inputs.iter().map(&mut one).collect();
        for threads in [1, 2, 5, 64] {
            let threads = NonZero::new(threads).unwrap();
            let input = |i: usize| Input::Quantized(&inputs[i]);
            let found = predict_all(&model, config, threads, inputs.len(), input, |_, prediction| {
                (prediction.mean.to_vec(), prediction.spread.to_vec(), prediction.classification)
            });
            assert_eq!(found.unwrap(), expected, "{first:?} {threads}");
        }
    }
}

#[test]
fn errors_name_the_input() {
    let file = common::model(First::Conv, 3);
    let model = Model::from_bytes(&file).unwrap();
    let good = common::input(&model, 1);
    let input = |i: usize| Input::Quantized(if i == 4 { &good[1..] } else { &good });
    let run =
        |count| predict_all(&model, Config::default(), NonZero::new(2).unwrap(), count, input, |i, _| i);
    assert_eq!(run(4), Ok(vec![0, 1, 2, 3]));
    assert_eq!(run(0), Ok(vec![]));
    let error = PredictError::Length { found: good.len() - 1, expected: good.len() };
    assert_eq!(run(9), Err(PredictAllError::Input { index: 4, error }));
    let config = Config { tile: 0, ..Config::default() };
    let run = predict_all(&model, config, NonZero::new(2).unwrap(), 1, input, |i, _| i);
    assert!(matches!(run, Err(PredictAllError::Config(_))));
}
