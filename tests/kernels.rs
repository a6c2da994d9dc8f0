//! Every kernel set that this CPU can run against the specification, bit for bit: one table for all.

mod common;

use common::{LAYERS, layer_model, predict};
use stf_bnn::kernels::Kernels;
use stf_bnn::{Config, Model, Samples};

/// Every kernel set but the specification.
fn others() -> impl Iterator<Item = Kernels> {
    Kernels::NAMES.iter().filter_map(|name| Kernels::by_name(name)).filter(|&k| k != Kernels::REFERENCE)
}

#[test]
fn every_kernel_equals_the_specification() {
    for layer in LAYERS {
        for seed in 0..if layer == "conv" || layer == "depthwise" { 150 } else { 50 } {
            let file = layer_model(layer, seed);
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
