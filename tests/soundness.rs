//! Every kind of layer, of noise and of setting once, on models so small that an interpreter which sees undefined
//! behaviour gets through them: `cargo xtask miri`.

mod common;

use common::{Builder, FULL, First, RULE};
use stf_bnn::artifact::{Layer, NoiseKind, Window};
use stf_bnn::uncertainty::{AbstentionRule, DriftMonitor, PredictionSets, SetMethod};
use stf_bnn::{AlignedBytes, Config, Draws, Input, Model, Predictor, Samples};

/// A network of a few hundred products whose first layer is of the given kind.
fn tiny(first: First) -> AlignedBytes {
    let mut b = Builder::new(1, [4, 3, 2]);
    let window = Window { kernel: [2, 2], stride: [1, 1], dilation: [1, 1], pad: [0, 0] };
    match first {
        First::Conv => {
            let output = b.place([3, 2, 3]);
            let weights = b.weights(3, 8);
            b.push(Layer::Conv2d { input: b.last, output, window, weights, clamp: FULL });
            b.add_posterior(NoiseKind::Weights);
        }
        First::Depthwise => {
            let output = b.place([3, 2, 2]);
            let weights = b.weights(2, 4);
            b.push(Layer::DepthwiseConv2d { input: b.last, output, window, weights, clamp: FULL });
            b.add_posterior(NoiseKind::Weights);
        }
        First::Dense => {
            b.dense(4);
            b.add_posterior(NoiseKind::Weights);
        }
        First::DenseOutputs => {
            b.dense(4);
            b.add_posterior(NoiseKind::Outputs);
        }
        First::Plain => b.max_pool(),
    }
    match first {
        First::Conv => {
            b.add();
            b.mul();
            b.concat();
        }
        First::Depthwise => {
            b.sub();
            b.pad();
            b.avg_pool();
        }
        First::Plain => b.depthwise(),
        _ => b.lookup(),
    }
    b.dense_output(3);
    b.finish(3)
}

#[test]
fn settings_that_change_no_result_change_none() {
    for first in common::ALL {
        let file = tiny(first);
        let model = Model::from_bytes(&file).unwrap();
        let input = common::input(&model, 2);
        for draws in [Draws::Fresh, Draws::Fixed] {
            for antithetic in [true, false] {
                let base = Config { samples: Samples::MonteCarlo(3), draws, antithetic, ..Config::default() };
                let expected = common::predict(&model, base, 5, &input);
                for (tile, cache_mean) in [(2, true), (1, false)] {
                    let config = Config { tile, cache_mean, ..base };
                    assert_eq!(common::predict(&model, config, 5, &input), expected, "{first:?} {config:?}");
                }
            }
        }
    }
}

#[test]
fn facts_and_rules_are_read() {
    let file = common::ruled(&common::calibrated(&tiny(First::Conv)), RULE);
    let model = Model::from_bytes(&file).unwrap();
    let input = common::input(&model, 3);
    let config = Config { samples: Samples::Adaptive, ..Config::default() };
    let mut workspace = vec![0; model.workspace_bytes(&config).unwrap() + 1];
    // An odd address.
    let mut predictor = Predictor::new(&model, config, &mut workspace[1..]).unwrap();
    predictor.recheck_every(1);
    let prediction = predictor.predict(Input::Quantized(&input)).unwrap();
    let classification = prediction.classification.unwrap();
    let sets = PredictionSets::new(&model).unwrap();
    let mut words = vec![0; sets.words()];
    for method in SetMethod::ALL {
        assert!(sets.set(method, 0, prediction.mean, 0.5, &mut words).is_some());
    }
    let _ = AbstentionRule::new(&model).unwrap().accepts(&classification);
    let mut drift = DriftMonitor::new(&model).unwrap();
    assert_eq!(drift.push(&classification).count, 1);
}

#[test]
fn damage_is_an_error() {
    let file = tiny(First::Dense);
    for at in (0..file.len()).step_by(31) {
        let mut damaged = file.to_vec();
        damaged[at] ^= 0x10;
        assert!(Model::from_bytes(&AlignedBytes::new(&damaged)).is_err(), "byte {at}");
    }
}
