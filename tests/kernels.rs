//! Every kernel set that this CPU can run against the specification, bit for bit: one table for all.

mod common;

use common::{Builder, Dice, predict};
use stf_bnn::artifact::NoiseKind;
use stf_bnn::kernels::Kernels;
use stf_bnn::{AlignedBytes, Config, Model, Samples};

/// Layers under test.
const LAYERS: [&str; 7] = ["conv", "depthwise", "dense", "max pool", "average pool", "add", "lookup"];

/// A Bayesian convolution (or dense layer), whose draws differ, then the layer under test, whose values
/// are the outputs.
fn model(layer: &str, seed: u64) -> AlignedBytes {
    let mut dice = Dice(seed);
    let mut size = |lo, hi| dice.int(lo, hi) as u16;
    let mut b = Builder::new(seed, [size(1, 12), size(1, 12), size(1, 7)]);
    b.extreme = seed % 2 == 1;
    // Channel counts around the widths of vectors, and everything between.
    let mut channels =
        || [size(1, 70), [1, 8, 16, 24, 32, 48, 64, 128][usize::from(size(0, 7))]][usize::from(size(0, 1))];
    if seed % 5 == 4 {
        b.dense(channels());
    } else {
        b.conv(channels());
    }
    b.add_posterior(NoiseKind::Weights);
    match layer {
        "conv" => b.conv(channels()),
        "depthwise" => b.depthwise(),
        "dense" => b.dense(channels()),
        "max pool" => b.max_pool(),
        "average pool" => b.avg_pool(),
        "add" => b.add(),
        _ => b.lookup(),
    }
    b.dequantize();
    let outputs = b.last.len() as u16;
    b.finish(outputs)
}

/// Every kernel set but the specification.
fn others() -> impl Iterator<Item = Kernels> {
    Kernels::NAMES.iter().filter_map(|name| Kernels::by_name(name)).filter(|&k| k != Kernels::REFERENCE)
}

#[test]
fn every_kernel_equals_the_specification() {
    for layer in LAYERS {
        for seed in 0..if layer == "conv" || layer == "depthwise" { 150 } else { 50 } {
            let file = model(layer, seed);
            let model = Model::from_bytes(&file).unwrap();
            let input = common::input(&model, seed);
            let config = |samples, tile, kernels, cache_mean| Config {
                samples,
                tile,
                cache_mean,
                kernels: Some(kernels),
                ..Config::default()
            };
            let base = config(Samples::MonteCarlo(5), 1, Kernels::REFERENCE, true);
            let expected = predict(&model, base, 7, &input);
            let mean = predict(&model, Config { samples: Samples::Mean, ..base }, 7, &input);
            for kernels in others() {
                for (tile, cache_mean) in [(1, true), (2, false), (5, true)] {
                    let found =
                        predict(&model, config(Samples::MonteCarlo(5), tile, kernels, cache_mean), 7, &input);
                    assert_eq!(found, expected, "{layer} {seed} {} tile {tile}", kernels.name());
                }
                let found = predict(&model, config(Samples::Mean, 1, kernels, true), 7, &input);
                assert_eq!(found, mean, "{layer} {seed} {}", kernels.name());
            }
        }
    }
}

/// The last layer's f32 outputs, and first layers of every kind.
#[test]
fn whole_networks_are_equal() {
    for seed in 0..30 {
        for first in common::ALL {
            let file = common::model(first, 70_000 + seed);
            let model = Model::from_bytes(&file).unwrap();
            let input = common::input(&model, seed);
            let base = Config { kernels: Some(Kernels::REFERENCE), ..Config::default() };
            let expected = predict(&model, base, 1, &input);
            for kernels in others() {
                for tile in [1, 3, 8] {
                    let config = Config { kernels: Some(kernels), tile, ..base };
                    assert_eq!(
                        predict(&model, config, 1, &input),
                        expected,
                        "{first:?} {seed} {}",
                        kernels.name()
                    );
                }
            }
        }
    }
}

/// On a CPU with vector units the table above must not be empty.
#[test]
#[cfg(target_arch = "x86_64")]
fn a_cpu_with_avx2_runs_more_than_the_specification() {
    if std::arch::is_x86_feature_detected!("avx2") {
        assert!(others().any(|kernels| kernels.name() == "avx2"));
    }
    if std::arch::is_x86_feature_detected!("avx512vnni") {
        assert!(others().any(|kernels| kernels.name() == "avx512-vnni"));
    }
}
