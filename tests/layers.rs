//! Every layer of random models against a second implementation, bit for bit.

mod common;
#[path = "common/oracle.rs"]
mod oracle;

use common::{ALL, First};
use std::collections::HashMap;
use stf_bnn::artifact::Layer;
use stf_bnn::kernels::Kernels;
use stf_bnn::{Config, Input, Model, Pass, Predictor, Samples};

use common::{raw, raw_f32, raw_i32};

fn kernels() -> Vec<Kernels> {
    Kernels::NAMES.iter().filter_map(|name| Kernels::by_name(name)).collect()
}

/// Layers that ran, by name, so that the test cannot pass by testing nothing.
fn check(first: First, seed: u64, seen: &mut HashMap<&'static str, u32>) {
    let file = common::model(first, seed);
    let model = Model::from_bytes(&file).unwrap();
    let input = common::input(&model, seed + 1);
    let config = Config { samples: Samples::Mean, ..Config::default() };
    for kernels in kernels() {
        let config = Config { kernels: Some(kernels), ..config };
        let mut workspace = vec![0x5A; model.workspace_bytes(&config).unwrap()];
        let mut predictor = Predictor::new(&model, config, &mut workspace).unwrap();
        let mut tensors: HashMap<u32, Vec<i8>> = HashMap::new();
        let mut last = input.clone();
        let outputs = predictor
            .trace(Input::Quantized(&input), Pass::Mean, |index, layer, values| {
                let read = |offset| if index == 0 { &input } else { &tensors[&offset] };
                let a = read(layer.input().offset);
                let b = layer.second_input().map_or(a, |b| read(b.offset));
                let expected = oracle::run(&file, layer, a, b);
                assert_eq!(values, expected, "{first:?} {seed} {} layer {index} {layer:?}", kernels.name());
                tensors.insert(layer.output().unwrap().offset, values.to_vec());
                last = values.to_vec();
                *seen.entry(layer.name()).or_default() += 1;
            })
            .unwrap();
        let layer = model.layers().last().unwrap();
        let Layer::DenseOutput { weights, .. } = layer else { panic!("{layer:?}") };
        let values: Vec<i8> = raw(&file, weights.values).iter().map(|&v| v as i8).collect();
        let (bias, m) = (raw_i32(&file, weights.bias), raw_f32(&file, weights.multiplier));
        let sums = oracle::accumulate(&layer, &last, &values);
        for (i, sum) in sums.into_iter().enumerate() {
            assert_eq!(outputs[i], (sum + i64::from(bias[i])) as f32 * m[i]);
        }
    }
}

#[test]
fn random_models_match_the_oracle() {
    let mut seen = HashMap::new();
    for seed in 0..60 {
        for first in ALL {
            check(first, seed * 1000, &mut seen);
        }
    }
    for name in ["Conv2d", "DepthwiseConv2d", "Dense", "MaxPool", "AvgPool", "Add", "Lookup"] {
        assert!(seen.get(name).is_some_and(|&n| n > 50), "{name}: {seen:?}");
    }
}
