//! The adaptive number of samples: what a prediction is that ends early, and what rules are refused.

mod common;

use common::{First, RULE, build, predict, raw, ruled};
use stf_bnn::artifact::{Adaptive, Manifest, Task};
use stf_bnn::{
    AlignedBytes, ArtifactWriter, Checks, Config, ConfigError, Decision, Draws, Input, Model, Predictor,
    Samples,
};

const BAYESIAN: [First; 4] = [First::Conv, First::Depthwise, First::Dense, First::DenseOutputs];

/// A random model with a rule.
fn with_rule(first: First, seed: u64, rule: Adaptive<'_>) -> AlignedBytes {
    ruled(&common::model(first, seed), rule)
}

fn config(samples: Samples) -> Config {
    Config { samples, seed: 5, ..Config::default() }
}

/// Bits of everything that a prediction says, and the passes.
fn all(model: &Model<'_>, config: Config, counter: u64, input: &[i8]) -> (Vec<u32>, u16, u16) {
    let mut workspace = vec![0x5A; model.workspace_bytes(&config).unwrap()];
    let mut predictor = Predictor::new(model, config, &mut workspace).unwrap();
    predictor.set_counter(counter);
    let p = predictor.predict(Input::Quantized(input)).unwrap();
    let c = p.classification.unwrap();
    let floats = [c.confidence, c.predictive_entropy, c.expected_entropy, c.mutual_information];
    let bits = p.mean.iter().chain(p.spread).chain(&floats).map(|x| x.to_bits());
    let found = (bits.chain([c.class.into()]).collect(), p.samples, p.passes);
    assert_eq!(predictor.counter(), counter + 1, "one prediction, however many draws");
    found
}

/// What a rule should do, from predictions with a number of samples of their own. With counter 0 the first
/// draws are the same whatever the number of samples.
fn expected(model: &Model<'_>, rule: &Adaptive<'_>, input: &[i8]) -> (Vec<u32>, u16, u16) {
    let of = |samples| {
        let config = Config { antithetic: rule.antithetic, ..config(samples) };
        let (_, summary) = predict(model, config, 0, input);
        let mut probabilities = summary[..3].to_vec();
        probabilities.sort_by(|a, b| b.total_cmp(a));
        (probabilities[0] - probabilities[1], all(model, config, 0, input))
    };
    let mean_first = u16::from(rule.samples_min == 0);
    if mean_first == 1 {
        let (margin, result) = of(Samples::Mean);
        if margin >= rule.threshold {
            return result;
        }
    }
    for draws in 1..=rule.samples_max {
        let asked = draws >= rule.samples_min && draws % rule.group == 0;
        let (margin, (bits, samples, passes)) = of(Samples::MonteCarlo(draws));
        if draws == rule.samples_max || asked && margin >= rule.threshold {
            return (bits, samples, passes + mean_first);
        }
    }
    unreachable!()
}

/// Every rule, kind of first layer and layout ends where the rule says, with the bits of a prediction of
/// as many samples.
#[test]
fn draws_end_where_the_rule_says() {
    let mut ends = [0; 9];
    for seed in 0..4 {
        for first in BAYESIAN {
            for (samples_min, group) in [(0, 2), (0, 1), (1, 1), (2, 2), (3, 2), (0, 3), (8, 8)] {
                for antithetic in [true, false] {
                    for threshold in [0.0, 0.02, 0.2, 1.0] {
                        let rule = Adaptive { samples_min, group, antithetic, threshold, ..RULE };
                        let file = with_rule(first, 700 + seed, rule);
                        let model = Model::from_bytes(&file).unwrap();
                        let input = common::input(&model, seed);
                        let expected = expected(&model, &rule, &input);
                        ends[usize::from(expected.1)] += 1;
                        for (tile, cache_mean) in
                            [(1, true), (1, false), (2, true), (3, true), (5, false), (8, true)]
                        {
                            let config = Config { tile, cache_mean, antithetic, ..config(Samples::Adaptive) };
                            let found = all(&model, config, 0, &input);
                            assert_eq!(found, expected, "{first:?} {seed} {rule:?} {tile} {cache_mean}");
                        }
                    }
                }
            }
        }
    }
    assert!([1, 2, 8].into_iter().all(|end| ends[end] > 20), "ends by number of samples: {ends:?}");
    assert!(ends[3] + ends[4] + ends[5] + ends[6] > 20, "ends by number of samples: {ends:?}");
}

/// The draws of the result are those from the last draw 0 on, also where the mean pass settles it.
#[test]
fn every_pass_of_a_result_is_shown() {
    for (threshold, samples, shown) in [(0.0, 1, 1), (1.0, 8, 9)] {
        let file = with_rule(First::Conv, 11, Adaptive { samples_min: 0, threshold, ..RULE });
        let model = Model::from_bytes(&file).unwrap();
        let input = common::input(&model, 1);
        let (mut draws, mut all) = (Vec::new(), 0);
        let config = config(Samples::Adaptive);
        let mut workspace = vec![0; model.workspace_bytes(&config).unwrap()];
        let mut predictor = Predictor::new(&model, config, &mut workspace).unwrap();
        let gather = |draw, outputs: &[f32]| {
            if draw == 0 {
                draws.clear();
            }
            draws.push(outputs.to_vec());
            all += 1;
        };
        let found = predictor.predict_with(Input::Quantized(&input), gather).unwrap().samples;
        assert_eq!((found, draws.len(), all), (samples, usize::from(samples), shown));
        let asked = if samples == 1 { Samples::Mean } else { Samples::MonteCarlo(samples) };
        let asked = Config { samples: asked, ..config };
        assert_eq!(draws, predict(&model, asked, 0, &input).0);
    }
}

/// Never settled, a prediction is the one with all samples, at any counter.
#[test]
fn a_prediction_that_is_never_settled_has_all_samples() {
    for first in BAYESIAN {
        let file = with_rule(first, 31, Adaptive { threshold: 1.0, samples_max: 7, ..RULE });
        let model = Model::from_bytes(&file).unwrap();
        let input = common::input(&model, 1);
        let (full, samples, passes) = all(&model, config(Samples::MonteCarlo(7)), 9, &input);
        assert_eq!((samples, passes), (7, 7));
        assert_eq!(all(&model, config(Samples::Adaptive), 9, &input), (full, 7, 8));
    }
}

/// A rule of the caller's own is asked after the draws that it named, about their mean.
#[test]
fn a_rule_of_the_callers_own_sees_the_running_mean() {
    let file = common::model(First::Conv, 4);
    let model = Model::from_bytes(&file).unwrap();
    let input = common::input(&model, 4);
    let config = Config { tile: 4, ..config(Samples::MonteCarlo(6)) };
    let mut workspace = vec![0; model.workspace_bytes(&config).unwrap()];
    let mut predictor = Predictor::new(&model, config, &mut workspace).unwrap();
    let mut asked = Vec::new();
    let checks = Checks { min: 0, group: 2 };
    let p = predictor
        .predict_until(Input::Quantized(&input), checks, |draws, mean| {
            asked.push((draws, mean.to_vec()));
            draws == 4
        })
        .unwrap();
    assert_eq!((p.samples, p.passes, Decision::of(p.mean)), (4, 5, Decision::of(&asked[2].1)));
    let samples = [Samples::Mean, Samples::MonteCarlo(2), Samples::MonteCarlo(4)];
    for ((draws, mean), samples) in asked.iter().zip(samples) {
        let (_, summary) = predict(&model, Config { samples, ..config }, 0, &input);
        assert_eq!(*mean, summary[..3], "after {draws} draws");
    }
    assert_eq!(asked.iter().map(|(draws, _)| *draws).collect::<Vec<_>>(), [0, 2, 4]);
    // The next prediction's draws are its own, not what the last one left unused.
    let (full, ..) = all(&model, config, 1, &input);
    let next = predictor.predict(Input::Quantized(&input)).unwrap();
    assert_eq!(next.mean.iter().map(|x| x.to_bits()).collect::<Vec<_>>(), full[..3]);
}

#[test]
fn a_plain_model_has_one_pass_and_needs_no_rule() {
    let file = common::model(First::Plain, 2);
    let model = Model::from_bytes(&file).unwrap();
    let input = common::input(&model, 2);
    let found = all(&model, config(Samples::Adaptive), 3, &input);
    assert_eq!(found, all(&model, config(Samples::Mean), 3, &input));
    assert_eq!((found.1, found.2, Samples::Adaptive.most(&model)), (1, 1, 1));
}

#[test]
fn settings_that_the_rule_does_not_cover_are_refused() {
    let refused = |file: &AlignedBytes, config: Config| {
        let model = Model::from_bytes(file).unwrap();
        match model.workspace_bytes(&config) {
            Err(ConfigError::Adaptive { expected }) => expected.name(),
            other => panic!("{other:?}"),
        }
    };
    let base = config(Samples::Adaptive);
    let bare = common::model(First::Conv, 1);
    assert_eq!(refused(&bare, base), "an artifact with an adaptive rule");
    let paired = with_rule(First::Conv, 1, RULE);
    assert_eq!(refused(&paired, Config { draws: Draws::Fixed, ..base }), "fresh draws");
    assert_eq!(refused(&paired, Config { antithetic: false, ..base }), "antithetic draws");
    let single = with_rule(First::Conv, 1, Adaptive { antithetic: false, ..RULE });
    assert_eq!(refused(&single, base), "draws that are not antithetic");
    let model = Model::from_bytes(&paired).unwrap();
    assert_eq!(Samples::Adaptive.most(&model), 8);
    let full = model.workspace_bytes(&config(Samples::MonteCarlo(8)));
    assert_eq!(model.workspace_bytes(&base), full, "the workspace is that of all samples");
}

#[test]
fn a_copy_keeps_layers_and_blobs() {
    for first in common::ALL {
        let file = common::model(first, 8);
        let model = Model::from_bytes(&file).unwrap();
        let copy = ArtifactWriter::of(&model).finish(*model.manifest()).unwrap();
        assert!(copy == file[..], "{first:?}");
        let ruled = with_rule(First::Conv, 8, RULE);
        assert_eq!(Model::from_bytes(&ruled).unwrap().manifest().adaptive, Some(RULE));
        let p = model.manifest().input.mean;
        assert_eq!(raw(&file, p), raw(&copy, p));
    }
}

#[test]
fn errors_of_a_rule_name_the_field() {
    let error = |first: First, edit: fn(&mut Manifest<'_>)| {
        let builder = build(first, 3);
        let mut manifest = builder.manifest(3);
        manifest.adaptive = Some(RULE);
        edit(&mut manifest);
        let mut writer = builder.writer;
        builder.layers.iter().for_each(|&layer| writer.push_layer(layer));
        writer.finish(manifest).expect_err("a bad rule").to_string()
    };
    type Edit = fn(&mut Adaptive<'_>);
    macro_rules! rule {
        ($field:ident = $value:expr) => {
            error(First::Conv, |m| {
                let edit: Edit = |rule| rule.$field = $value;
                m.adaptive.as_mut().map(edit);
            })
        };
    }
    let found = [
        rule!(samples_max = 0),
        rule!(samples_max = 1025),
        rule!(samples_min = 9),
        rule!(group = 0),
        rule!(group = 9),
        rule!(threshold = -0.1),
        rule!(threshold = f32::NAN),
        rule!(threshold = 1.1),
        rule!(delta_millionths = 0),
        rule!(confidence_millionths = 1_000_000),
        rule!(examples = 0),
        rule!(differing = 301),
        rule!(mean_passes = 0.5),
        rule!(mean_passes = f32::INFINITY),
        error(First::Plain, |_| {}),
        error(First::Conv, |m| m.task = Task::Regression),
    ];
    let expected = [
        "adaptive.samples_max: found 0, expected 1 to 1024",
        "adaptive.samples_max: found 1025, expected 1 to 1024",
        "adaptive.samples_min: found 9, expected 0 to 8",
        "adaptive.group: found 0, expected 1 to 8",
        "adaptive.group: found 9, expected 1 to 8",
        "adaptive.threshold: found -0.1, expected a margin of 0 to 1",
        "adaptive.threshold: found NaN, expected a margin of 0 to 1",
        "adaptive.threshold: found 1.1, expected a margin of 0 to 1",
        "adaptive.delta_millionths: found 0, expected 1 to 999999",
        "adaptive.confidence_millionths: found 1000000, expected 1 to 999999",
        "adaptive.examples: found 0, expected 1 to 4294967295",
        "adaptive.differing: found 301, expected 0 to 300",
        "adaptive.mean_passes: found 0.5, expected 1 to samples_max + 1",
        "adaptive.mean_passes: found inf, expected 1 to samples_max + 1",
        "adaptive: expected a classification with a posterior",
        "adaptive: expected a classification with a posterior",
    ];
    assert_eq!(found, expected);
}
