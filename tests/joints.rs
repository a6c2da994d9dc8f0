//! Difference, product, concatenation and padding of random models against a second implementation, bit
//! for bit, for one draw and for several side by side.

mod common;
#[path = "common/oracle.rs"]
mod oracle;

use common::{raw, raw_f32, raw_i32};
use std::collections::HashMap;
use stf_bnn::{Config, Input, Model, Pass, Predictor, Samples};

#[test]
fn layers_that_join_match_the_oracle() {
    let mut seen: HashMap<&'static str, u32> = HashMap::new();
    for seed in 0..80 {
        let file = common::joints(seed);
        let model = Model::from_bytes(&file).unwrap();
        let input = common::input(&model, seed + 1);
        let config = Config { samples: Samples::Mean, ..Config::default() };
        let mut workspace = vec![0x5A; model.workspace_bytes(&config).unwrap()];
        let mut predictor = Predictor::new(&model, config, &mut workspace).unwrap();
        let mut tensors: HashMap<u32, Vec<i8>> = HashMap::new();
        let outputs = predictor
            .trace(Input::Quantized(&input), Pass::Mean, |index, layer, values| {
                let read = |offset| if index == 0 { &input } else { &tensors[&offset] };
                let a = read(layer.input().offset);
                let b = layer.second_input().map_or(a, |b| read(b.offset));
                assert_eq!(values, oracle::run(&file, layer, a, b), "{seed} layer {index} {layer:?}");
                tensors.insert(layer.output().unwrap().offset, values.to_vec());
                *seen.entry(layer.name()).or_default() += 1;
            })
            .unwrap();
        assert!(outputs.iter().all(|y| y.is_finite()));
        let weights = model.layers().last().unwrap().weights().unwrap();
        assert_eq!(raw(&file, weights.values).len() % raw_i32(&file, weights.bias).len(), 0);
        assert_eq!(raw_f32(&file, weights.multiplier).len(), 3);
    }
    for name in ["Sub", "Mul", "Concat", "Pad"] {
        assert!(seen.get(name).is_some_and(|&n| n > 30), "{name}: {seen:?}");
    }
}

/// Draws side by side are images of one batch: the same bits as one after another.
#[test]
fn draws_side_by_side_equal_draws_one_by_one() {
    for seed in 0..40 {
        let file = common::joints(seed);
        let model = Model::from_bytes(&file).unwrap();
        let input = common::input(&model, seed + 1);
        let config = |tile| Config { samples: Samples::MonteCarlo(5), tile, seed, ..Config::default() };
        let one = common::predict(&model, config(1), 3, &input);
        for tile in [2, 3, 5] {
            assert_eq!(common::predict(&model, config(tile), 3, &input), one, "{seed}, tile {tile}");
        }
    }
}
