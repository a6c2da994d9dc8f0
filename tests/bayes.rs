//! The Bayesian first layer and the Monte-Carlo loop.

mod common;
#[path = "common/oracle.rs"]
mod oracle;

use common::{ALL, First, predict, raw, raw_f32, raw_i32};
use stf_bnn::artifact::{Layer, NoiseKind};
use stf_bnn::random::{Gaussian, noise_weight};
use stf_bnn::{Config, Draws, Input, Model, Pass, Predictor, Samples};

const BAYESIAN: [First; 4] = [First::Conv, First::Depthwise, First::Dense, First::DenseOutputs];

fn monte_carlo(samples: u16) -> Config {
    Config { samples: Samples::MonteCarlo(samples), seed: 77, ..Config::default() }
}

/// First activations of every draw, through `trace`.
fn first_activations(model: &Model<'_>, config: Config, counter: u64, input: &[i8]) -> Vec<Vec<i8>> {
    let mut workspace = vec![0; model.workspace_bytes(&config).unwrap()];
    let mut predictor = Predictor::new(model, config, &mut workspace).unwrap();
    predictor.set_counter(counter);
    (0..predictor.samples())
        .map(|draw| {
            let mut values = Vec::new();
            predictor
                .trace(Input::Quantized(input), Pass::Draw(draw), |index, _, tensor| {
                    if index == 0 {
                        values = tensor.to_vec();
                    }
                })
                .unwrap();
            values
        })
        .collect()
}

/// The first layer of one draw from the formulas.
fn expected(file: &[u8], model: &Model<'_>, stream: u64, negate: bool, input: &[i8]) -> Vec<i8> {
    let layer = model.layers().next().unwrap();
    let p = model.manifest().posterior.unwrap();
    let (Layer::Conv2d { output, weights, clamp, .. }
    | Layer::DepthwiseConv2d { output, weights, clamp, .. }
    | Layer::Dense { output, weights, clamp, .. }) = layer
    else {
        panic!("{layer:?}")
    };
    let values: Vec<i8> = raw(file, weights.values).iter().map(|&v| v as i8).collect();
    let table: Vec<u16> = raw(file, p.table).chunks(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect();
    let bytes = raw(file, p.log_var);
    let mut gaussian = Gaussian::new(77, stream);
    let (bias, m) = (raw_i32(file, weights.bias), raw_f32(file, weights.multiplier));
    let m_noise = raw_f32(file, p.noise_multiplier);
    let mean = oracle::accumulate(&layer, input, &values);
    let sign = if negate { -1.0 } else { 1.0 };
    let noise: Vec<f32> = match p.kind {
        NoiseKind::Weights => {
            let weights: Vec<i8> =
                bytes.iter().map(|&b| noise_weight(table[usize::from(b)], gaussian.sample())).collect();
            let sums = oracle::accumulate(&layer, input, &weights);
            sums.iter().enumerate().map(|(i, &s)| s as i32 as f32 * m_noise[i % m.len()]).collect()
        }
        NoiseKind::Outputs => bytes
            .chunks(input.len())
            .zip(&m_noise)
            .map(|(row, &m)| {
                let square = |v: i8| (i64::from(v) - i64::from(layer.input().zero_point)).pow(2) as u64;
                let terms = input.iter().zip(row);
                let variance: u64 = terms.map(|(&v, &b)| square(v) * u64::from(table[usize::from(b)])).sum();
                gaussian.sample() as f32 * ((variance as f32).sqrt() * m)
            })
            .collect(),
    };
    (0..mean.len())
        .map(|i| {
            let acc = (mean[i] + i64::from(bias[i % m.len()])) as i32;
            let real = acc as f32 * m[i % m.len()] + sign * noise[i];
            let q = f64::from(real.round_ties_even()) + f64::from(output.zero_point);
            q.clamp(clamp.min.into(), clamp.max.into()) as i8
        })
        .collect()
}

#[test]
fn noisy_first_layer_matches_the_formulas() {
    for seed in 0..15 {
        for first in BAYESIAN {
            let file = common::model(first, 5000 + seed);
            let model = Model::from_bytes(&file).unwrap();
            let input = common::input(&model, seed);
            for cache_mean in [true, false] {
                let config = Config { cache_mean, ..monte_carlo(5) };
                let draws = first_activations(&model, config, 3, &input);
                assert_eq!(draws.len(), 5);
                let mut different = false;
                for (draw, found) in draws.iter().enumerate() {
                    // Three pairs a prediction, the last without its second half; counter 3.
                    let stream = 3 * 3 + draw as u64 / 2;
                    let expected = expected(&file, &model, stream, draw % 2 == 1, &input);
                    assert_eq!(found, &expected, "{first:?} {seed} draw {draw}");
                    different |= found != &draws[0];
                }
                assert!(different, "{first:?} {seed}: noise that changes nothing tests nothing");
            }
        }
    }
}

#[test]
fn layout_of_the_work_changes_no_bit() {
    for seed in 0..6 {
        for first in ALL {
            let file = common::model(first, 9000 + seed);
            let model = Model::from_bytes(&file).unwrap();
            let input = common::input(&model, seed);
            for samples in [1, 2, 5, 8] {
                for draws in [Draws::Fresh, Draws::Fixed] {
                    for antithetic in [true, false] {
                        let base = Config { draws, antithetic, ..monte_carlo(samples) };
                        let reference = predict(&model, base, 4, &input);
                        assert_eq!(reference.0.len(), if first == First::Plain { 1 } else { samples.into() });
                        for tile in [1, 2, 3, 4, 7, 100] {
                            for cache_mean in [true, false] {
                                let config = Config { tile, cache_mean, ..base };
                                assert_eq!(
                                    predict(&model, config, 4, &input),
                                    reference,
                                    "{first:?} {config:?}"
                                );
                            }
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn trace_shows_the_draws_that_predict_averages() {
    for first in BAYESIAN {
        let file = common::model(first, 31);
        let model = Model::from_bytes(&file).unwrap();
        let input = common::input(&model, 1);
        let config = monte_carlo(6);
        let (draws, _) = predict(&model, config, 2, &input);
        let mut workspace = vec![0; model.workspace_bytes(&config).unwrap()];
        let mut predictor = Predictor::new(&model, config, &mut workspace).unwrap();
        predictor.set_counter(2);
        for draw in [5, 0, 3, 2, 1, 4] {
            let outputs = predictor.trace(Input::Quantized(&input), Pass::Draw(draw), |_, _, _| {}).unwrap();
            assert_eq!(outputs, draws[usize::from(draw)]);
        }
        assert!(predictor.trace(Input::Quantized(&input), Pass::Draw(6), |_, _, _| {}).is_err());
        let mean = Config { samples: Samples::Mean, ..config };
        let outputs = predictor.trace(Input::Quantized(&input), Pass::Mean, |_, _, _| {}).unwrap().to_vec();
        assert_eq!(predict(&model, mean, 0, &input).0, [outputs]);
    }
}

#[test]
fn fixed_draws_are_those_of_counter_zero() {
    for first in BAYESIAN {
        let file = common::model(first, 52);
        let model = Model::from_bytes(&file).unwrap();
        let input = common::input(&model, 1);
        let fixed = Config { draws: Draws::Fixed, ..monte_carlo(8) };
        let reference = predict(&model, monte_carlo(8), 0, &input);
        assert_eq!(predict(&model, fixed, 0, &input), reference);
        assert_eq!(predict(&model, fixed, 9, &input), reference);
        assert_ne!(predict(&model, monte_carlo(8), 1, &input).0, reference.0);
        assert_ne!(predict(&model, Config { seed: 78, ..monte_carlo(8) }, 0, &input).0, reference.0);
        // The first draws of a longer prediction are the same networks.
        assert_eq!(
            predict(&model, Config { draws: Draws::Fixed, ..monte_carlo(5) }, 0, &input).0,
            reference.0[..5]
        );
    }
}

#[test]
fn counter_makes_predictions_repeatable() {
    let file = common::model(First::Conv, 3);
    let model = Model::from_bytes(&file).unwrap();
    let (a, b) = (common::input(&model, 1), common::input(&model, 2));
    let config = monte_carlo(4);
    let mut workspace = vec![0; model.workspace_bytes(&config).unwrap()];
    let mut predictor = Predictor::new(&model, config, &mut workspace).unwrap();
    let first = predictor.predict(Input::Quantized(&a)).unwrap().mean.to_vec();
    assert_eq!(predictor.counter(), 1);
    let second = predictor.predict(Input::Quantized(&b)).unwrap().mean.to_vec();
    assert_eq!(predict(&model, config, 1, &b).1[..3], second);
    predictor.set_counter(0);
    assert_eq!(predictor.predict(Input::Quantized(&a)).unwrap().mean, first);
    assert!(predictor.predict(Input::Quantized(&a[1..])).is_err());
    assert_eq!(predictor.counter(), 1, "a failed prediction counts nothing");
}

/// With zero noise multipliers every draw is the mean network, and the noise path gives its bits.
#[test]
fn zero_noise_is_the_plain_rule() {
    for first in BAYESIAN {
        for seed in 0..5 {
            let mut builder = common::build(first, 700 + seed);
            let mut posterior = builder.posterior.unwrap();
            let channels = posterior.noise_multiplier.len as usize / 4;
            posterior.noise_multiplier = builder.writer.values(&vec![0.0_f32; channels]);
            builder.posterior = Some(posterior);
            let file = builder.finish(3);
            let model = Model::from_bytes(&file).unwrap();
            let input = common::input(&model, seed);
            let mean = predict(&model, Config { samples: Samples::Mean, ..Config::default() }, 0, &input);
            let (draws, summary) = predict(&model, monte_carlo(3), 0, &input);
            assert_eq!(draws, vec![mean.0[0].clone(); 3]);
            assert!(summary[3..6].iter().all(|&spread| spread == 0.0), "{summary:?}");
        }
    }
}

/// `Outputs` noise has the variance of the weights' posterior: against per-output sums in f64.
#[test]
fn output_noise_has_the_posterior_variance() {
    let mut builder = common::Builder::new(12, [3, 4, 2]);
    builder.dense(5);
    builder.add_posterior(NoiseKind::Outputs);
    // A wide range and fine steps: neither clamping nor rounding hides the variance.
    let mut posterior = builder.posterior.unwrap();
    posterior.noise_multiplier = builder.writer.values(&[4e-8_f32; 5]);
    builder.posterior = Some(posterior);
    builder.dense_output(3);
    let file = builder.finish(3);
    let model = Model::from_bytes(&file).unwrap();
    let input: Vec<i8> = common::input(&model, 4).iter().map(|v| v / 8).collect();
    let layer = model.layers().next().unwrap();
    let table = model.u16s(posterior.table);
    let draws: Vec<Vec<i8>> =
        (0..8).flat_map(|counter| first_activations(&model, monte_carlo(1000), counter, &input)).collect();
    let mut tested = 0;
    for (output, row) in model.bytes(posterior.log_var).chunks(input.len()).enumerate() {
        let zp = f64::from(layer.input().zero_point);
        let terms = input.iter().zip(row);
        let variance: f64 =
            terms.map(|(&v, &b)| (f64::from(v) - zp).powi(2) * f64::from(table[usize::from(b)])).sum::<f64>()
                * (4096.0 * 4e-8_f64).powi(2);
        let values: Vec<f64> = draws.iter().map(|d| f64::from(d[output])).collect();
        if values.iter().any(|&v| !(-127.0..127.0).contains(&v)) {
            continue;
        }
        tested += 1;
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        // Rounding to whole steps adds 1/12; 4000 independent pairs give 2.2 % of standard error.
        let found = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n - 1.0 / 12.0;
        assert!(variance > 4.0, "{variance}: too little noise to tell");
        assert!((found / variance - 1.0).abs() < 0.1, "output {output}: {found} {variance}");
    }
    assert!(tested >= 3, "{tested} outputs inside the range");
}

#[test]
fn summary_is_that_of_the_draws() {
    for first in BAYESIAN {
        let file = common::model(first, 64);
        let model = Model::from_bytes(&file).unwrap();
        let input = common::input(&model, 8);
        let (draws, summary) = predict(&model, monte_carlo(7), 0, &input);
        let temperature = f64::from(model.manifest().temperature);
        let rows: Vec<Vec<f64>> = draws
            .iter()
            .map(|logits| {
                let e: Vec<f64> = logits.iter().map(|&z| (f64::from(z) / temperature).exp()).collect();
                e.iter().map(|x| x / e.iter().sum::<f64>()).collect()
            })
            .collect();
        let n = rows.len() as f64;
        let mean: Vec<f64> = (0..3).map(|c| rows.iter().map(|r| r[c]).sum::<f64>() / n).collect();
        let entropy = |p: &[f64]| -p.iter().filter(|&&p| p > 0.0).map(|p| p * p.ln()).sum::<f64>();
        let expected_entropy = rows.iter().map(|r| entropy(r)).sum::<f64>() / n;
        let mut expected = mean.clone();
        expected
            .extend((0..3).map(|c| (rows.iter().map(|r| (r[c] - mean[c]).powi(2)).sum::<f64>() / n).sqrt()));
        expected.push(mean.iter().copied().fold(0.0, f64::max));
        expected.extend([entropy(&mean), expected_entropy, entropy(&mean) - expected_entropy]);
        assert_eq!(summary.len(), expected.len());
        for (found, expected) in summary.iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 2e-6, "{first:?} {summary:?}");
        }
    }
}

#[test]
fn workspace_is_exact_at_any_alignment() {
    for first in ALL {
        let file = common::model(first, 5);
        let model = Model::from_bytes(&file).unwrap();
        let input = common::input(&model, 1);
        for tile in [1, 4] {
            let config = Config { tile, ..monte_carlo(4) };
            let bytes = model.workspace_bytes(&config).unwrap();
            let mut memory = vec![0; bytes + 16];
            assert!(Predictor::new(&model, config, &mut memory[..bytes - 1]).is_err());
            let reference = predict(&model, config, 0, &input).1;
            for start in 0..16 {
                let workspace = &mut memory[start..start + bytes];
                let mut predictor = Predictor::new(&model, config, workspace).unwrap();
                assert_eq!(predictor.predict(Input::Quantized(&input)).unwrap().mean, &reference[..3]);
            }
        }
    }
}

#[test]
fn bad_settings_and_inputs_are_errors() {
    let file = common::model(First::Conv, 5);
    let model = Model::from_bytes(&file).unwrap();
    assert!(model.workspace_bytes(&monte_carlo(0)).is_err());
    assert!(model.workspace_bytes(&monte_carlo(1025)).is_err());
    assert!(model.workspace_bytes(&monte_carlo(1024)).is_ok());
    assert!(model.workspace_bytes(&Config { tile: 0, ..Config::default() }).is_err());
    let config = Config::default();
    let mut workspace = vec![0; model.workspace_bytes(&config).unwrap()];
    let mut predictor = Predictor::new(&model, config, &mut workspace).unwrap();
    let mut values = vec![120.0_f32; model.manifest().input.tensor.len() as usize];
    assert!(predictor.predict(Input::F32(&values)).is_ok());
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        values[3] = bad;
        let error = predictor.predict(Input::F32(&values)).unwrap_err();
        assert_eq!(error.to_string(), "input value 3: found NaN or infinity, expected a finite number");
    }
    values[3] = f32::MAX;
    assert!(predictor.predict(Input::F32(&values)).is_ok(), "far out of range saturates");
}

#[test]
fn bytes_and_floats_quantize_alike() {
    let file = common::model(First::Conv, 6);
    let model = Model::from_bytes(&file).unwrap();
    let spec = model.manifest().input;
    let bytes: Vec<u8> = (0..spec.tensor.len()).map(|i| (i * 37 % 256) as u8).collect();
    let floats: Vec<f32> = bytes.iter().map(|&b| f32::from(b)).collect();
    let (mean, m) = (raw_f32(&file, spec.mean), raw_f32(&file, spec.multiplier));
    let quantized: Vec<i8> = floats
        .iter()
        .enumerate()
        .map(|(i, &x)| {
            let real = (x - mean[i % mean.len()]) * m[i % mean.len()];
            (f64::from(real.round_ties_even()) + f64::from(spec.tensor.zero_point)).clamp(-128.0, 127.0) as i8
        })
        .collect();
    let config = monte_carlo(2);
    let mut workspace = vec![0; model.workspace_bytes(&config).unwrap()];
    let mut predictor = Predictor::new(&model, config, &mut workspace).unwrap();
    let mut run = |input: Input<'_>| {
        predictor.set_counter(0);
        predictor.predict(input).unwrap().mean.to_vec()
    };
    let expected = run(Input::Quantized(&quantized));
    assert_eq!(run(Input::U8(&bytes)), expected);
    assert_eq!(run(Input::F32(&floats)), expected);
}

/// The number of a stream among all wraps around: two counters share one, and not what comes behind it.
#[test]
fn noise_of_another_counter_is_not_taken_for_ones_own() {
    // Streams of a prediction, and the first of the last group of four that kernels may draw at a time.
    let (streams, last) = (21_u64, 20_u64);
    // Modulo 2^64, by Newton's steps.
    let inverse = (0..6).fold(streams, |x, _| x.wrapping_mul(2_u64.wrapping_sub(streams.wrapping_mul(x))));
    let far = last.wrapping_mul(inverse);
    assert_eq!(far.wrapping_mul(streams), last);
    for first in BAYESIAN {
        let file = common::model(first, 8);
        let model = Model::from_bytes(&file).unwrap();
        let input = common::input(&model, 1);
        let config = Config { antithetic: false, ..monte_carlo(streams as u16) };
        let (_, expected) = predict(&model, config, far, &input);
        let mut workspace = vec![0; model.workspace_bytes(&config).unwrap()];
        let mut predictor = Predictor::new(&model, config, &mut workspace).unwrap();
        predictor.predict(Input::Quantized(&input)).unwrap();
        predictor.set_counter(far);
        let found = predictor.predict(Input::Quantized(&input)).unwrap();
        assert_eq!(found.mean, &expected[..found.mean.len()], "{first:?}");
    }
}

#[test]
fn the_largest_tile_within_a_budget() {
    for first in BAYESIAN {
        let file = common::model(first, 8);
        let model = Model::from_bytes(&file).unwrap();
        let bytes = |tile| model.workspace_bytes(&Config { tile, ..monte_carlo(8) }).unwrap();
        let within = |budget| model.tile_within(&monte_carlo(8), budget).unwrap().map(|config| config.tile);
        assert_eq!(within(usize::MAX), Some(8));
        assert_eq!(within(bytes(1).min(bytes(2)) - 1), None);
        for budget in [bytes(1), bytes(2), bytes(5), bytes(8) - 1] {
            if let Some(found) = within(budget) {
                assert!(bytes(found) <= budget);
                assert!((found + 1..=8).all(|tile| bytes(tile) > budget), "{first:?} {found}");
            }
        }
    }
}
