//! Gaussian regressions and autoencoders: predictions against the formulas, facts read back as written and
//! refused when wrong.

mod common;

use common::regression::{GaussianFacts, autoencoder, gaussian_facts};
use stf_bnn::artifact::{ArtifactWriter, Task};
use stf_bnn::predict::MAX_LOG_VAR;
use stf_bnn::uncertainty::{AnomalyDetector, IntervalFigures, PredictionIntervals};
use stf_bnn::{AlignedBytes, Config, Input, Model, Predictor, Samples};

/// Draws, and mean and spread, of one prediction in f64 by the law of total variance.
fn by_hand(draws: &[Vec<f32>], facts: &GaussianFacts) -> Vec<[f64; 3]> {
    let n = draws.len() as f64;
    (0..2)
        .map(|t| {
            let (offset, std) = (f64::from(facts.target_mean[t]), f64::from(facts.target_std[t]));
            let mean = draws.iter().map(|d| f64::from(d[t])).sum::<f64>() / n;
            let epistemic = draws.iter().map(|d| (f64::from(d[t]) - mean).powi(2)).sum::<f64>() / n;
            let limit = f64::from(MAX_LOG_VAR);
            let variance = |d: &Vec<f32>| f64::from(d[2 + t]).clamp(-limit, limit).exp();
            let aleatoric = draws.iter().map(variance).sum::<f64>() / n;
            [offset + std * mean, std * std * aleatoric, std * std * epistemic]
        })
        .collect()
}

#[test]
fn moments_follow_the_law_of_total_variance() {
    for seed in 0..20 {
        let facts = gaussian_facts();
        let file = facts.write(seed).unwrap();
        let model = Model::from_bytes(&file).unwrap();
        let input = common::input(&model, seed);
        for samples in [Samples::Mean, Samples::MonteCarlo(1), Samples::MonteCarlo(7)] {
            let config = Config { samples, ..Config::default() };
            let mut workspace = vec![0; model.workspace_bytes(&config).unwrap()];
            let mut predictor = Predictor::new(&model, config, &mut workspace).unwrap();
            let mut draws = Vec::new();
            let p = predictor.predict_with(Input::Quantized(&input), |_, y| draws.push(y.to_vec())).unwrap();
            assert_eq!((p.targets, p.classification, p.reconstruction_error), (2, None, None));
            for (t, expected) in by_hand(&draws, &facts).into_iter().enumerate() {
                let g = p.gaussian(t).unwrap();
                let found = [g.mean, g.aleatoric_variance, g.epistemic_variance].map(f64::from);
                for (found, expected) in found.into_iter().zip(expected) {
                    assert!((found - expected).abs() <= 2e-5 * expected.abs() + 1e-9, "{found} {expected}");
                }
                assert!(g.sigma() > 0.0 && g.sigma().is_finite());
            }
            assert_eq!(p.gaussian(2), None);
        }
    }
}

#[test]
fn intervals_are_read_back_and_made() {
    let file = gaussian_facts().write(3).unwrap();
    let model = Model::from_bytes(&file).unwrap();
    assert_eq!((model.class_name(1), model.manifest().task.targets(4)), (Some("b"), Some(2)));
    let intervals = PredictionIntervals::new(&model).unwrap();
    assert_eq!((intervals.levels(), intervals.targets(), intervals.fact().examples), (2, 2, 100));
    assert_eq!((intervals.coverage(0), intervals.coverage(2)), (Some(0.95), None));
    assert_eq!([intervals.factor(0, 1), intervals.factor(1, 0)], [Some(3.0), Some(1.5)]);
    assert_eq!([intervals.factor(0, 2), intervals.factor(2, 0), intervals.factor(usize::MAX, 0)], [None; 3]);
    let g = stf_bnn::uncertainty::Gaussian { mean: 1.0, aleatoric_variance: 3.0, epistemic_variance: 1.0 };
    let interval = intervals.interval(1, 0, &g).unwrap();
    assert_eq!((interval.low, interval.high, interval.coverage), (-2.0, 4.0, 0.9));
    assert!(interval.contains(-2.0) && interval.contains(4.0) && !interval.contains(4.000_001));
    assert!(!interval.contains(f32::NAN));
    let mut figures = IntervalFigures::new();
    figures.push(&interval, 0.0);
    figures.push(&interval, 9.0);
    assert_eq!((figures.covered(), figures.mean_width()), (1, 6.0));
    // Written anew without them, nothing of them is left, and the targets' units stay.
    let Task::Gaussian(head) = model.manifest().task else { panic!("a regression") };
    let task = Task::Gaussian(stf_bnn::artifact::GaussianHead { intervals: None, ..head });
    let manifest = stf_bnn::artifact::Manifest { task, ..*model.manifest() };
    let bare = AlignedBytes::new(&ArtifactWriter::resume(&model).finish(manifest).unwrap());
    assert!(bare.len() < file.len());
    let bare = Model::from_bytes(&bare).unwrap();
    assert!(PredictionIntervals::new(&bare).is_none());
    assert_eq!(bare.f32s(head.target_std), [2.0, 0.5]);
}

/// What is said of the facts with one thing wrong.
fn error(damage: fn(&mut GaussianFacts)) -> String {
    let mut facts = gaussian_facts();
    damage(&mut facts);
    facts.write(1).err().map_or("accepted".to_string(), |error| error.to_string())
}

#[test]
fn wrong_regressions_are_refused_by_name() {
    type Case = (&'static str, fn(&mut GaussianFacts));
    let cases: [Case; 15] = [
        ("gaussian.target_mean", |f| f.target_mean.truncate(1)),
        ("gaussian.target_mean", |f| f.target_mean[1] = f32::NAN),
        ("gaussian.target_std", |f| f.target_std.push(1.0)),
        ("gaussian.target_std", |f| f.target_std[0] = 0.0),
        ("gaussian.target_std", |f| f.target_std[0] = -1.0),
        ("gaussian.target_std", |f| f.target_std[0] = 1e30),
        ("intervals.policy.num_samples", |f| f.num_samples = 1025),
        ("intervals.examples", |f| f.examples = 0),
        ("intervals.alphas", |f| f.alphas = vec![]),
        ("intervals.alphas", |f| f.alphas = vec![100_000, 50_000]),
        ("intervals.alphas", |f| f.alphas[1] = 1_000_000),
        ("intervals.factors", |f| f.factors.truncate(3)),
        ("intervals.factors", |f| f.factors[2] = f32::INFINITY),
        ("intervals.factors", |f| f.factors[3] = -0.5),
        ("intervals.factors: expected factors that do not grow", |f| f.factors[2] = 2.6),
    ];
    for (expected, damage) in cases {
        let message = error(damage);
        assert!(message.contains(expected), "{expected}: {message}");
    }
    // A network with an odd number of outputs has no variance for each mean; one whose outputs are not
    // its inputs reconstructs nothing.
    let file = common::model(common::First::Conv, 11);
    let model = Model::from_bytes(&file).unwrap();
    let finish = |task| {
        let manifest = stf_bnn::artifact::Manifest { task, ..*model.manifest() };
        ArtifactWriter::of(&model).finish(manifest).unwrap_err().to_string()
    };
    let none = stf_bnn::artifact::Blob { offset: 0, len: 0 };
    let head = stf_bnn::artifact::GaussianHead { target_mean: none, target_std: none, intervals: None };
    assert!(finish(Task::Gaussian(head)).contains("a mean and a variance for each target"));
    assert!(finish(Task::Reconstruction(None)).contains("outputs: found 3"));
}

#[test]
fn reconstruction_errors_are_judged_by_their_reference() {
    let file = autoencoder(7, 99, &[0.5, 1.0, 4.0], &[60, 9, 0]).unwrap();
    let model = Model::from_bytes(&file).unwrap();
    let detector = AnomalyDetector::new(&model).unwrap();
    assert_eq!([0.1, 0.7, 1.5, 4.5].map(|score| detector.p_value(score)), [1.0, 0.61, 0.1, 0.01]);
    assert!(detector.alarm(1.5, 0.1) && !detector.alarm(1.0, 0.1) && !detector.alarm(f32::NAN, 0.5));
    let config = Config::default();
    let mut workspace = vec![0; model.workspace_bytes(&config).unwrap()];
    let mut predictor = Predictor::new(&model, config, &mut workspace).unwrap();
    let spec = model.manifest().input;
    let (mean, multiplier) = (model.f32s(spec.mean), model.f32s(spec.multiplier));
    // Raw values, some of them far outside of what int8 holds: the error counts all of the distance.
    let raw: Vec<f32> = (0..24_u16).map(|i| f32::from(i * i) - 200.0).collect();
    let p = predictor.predict(Input::F32(&raw)).unwrap();
    let expected: f64 = (0..24)
        .map(|i| {
            let x = (f64::from(raw[i]) - f64::from(mean[i % 2]))
                * f64::from(multiplier[i % 2])
                * f64::from(spec.tensor.scale);
            (x - f64::from(p.mean[i])).powi(2)
        })
        .sum::<f64>()
        / 24.0;
    let found = f64::from(p.reconstruction_error.unwrap());
    assert!((found / expected - 1.0).abs() < 1e-4, "{found} {expected}");
    // Quantized values mean what they stand for.
    let quantized = common::input(&model, 5);
    let p = predictor.predict(Input::Quantized(&quantized)).unwrap();
    let real =
        |q: i8| f64::from(spec.tensor.scale) * f64::from(i16::from(q) - i16::from(spec.tensor.zero_point));
    let squares = quantized.iter().zip(p.mean).map(|(&q, &y)| (real(q) - f64::from(y)).powi(2));
    let expected = squares.sum::<f64>() / 24.0;
    let found = f64::from(p.reconstruction_error.unwrap());
    assert!((found / expected - 1.0).abs() < 1e-4, "{found} {expected}");
    assert_eq!((p.targets, p.gaussian(0)), (0, None));
}

#[test]
fn wrong_references_are_refused_by_name() {
    for (examples, scores, above, expected) in [
        (0, &[0.5][..], &[0][..], "anomaly.examples"),
        (9, &[], &[], "anomaly.scores"),
        (1, &[0.5, 0.6], &[1, 0], "anomaly.scores"),
        (9, &[0.5, 0.5], &[1, 0], "anomaly.scores"),
        (9, &[-0.5], &[0], "anomaly.scores"),
        (9, &[f32::NAN], &[0], "anomaly.scores"),
        (9, &[0.5], &[9], "anomaly.above"),
        (9, &[0.5, 0.6], &[1, 1], "anomaly.above"),
        (9, &[0.5, 0.6], &[1], "anomaly.above"),
    ] {
        let message = autoencoder(1, examples, scores, above).unwrap_err().to_string();
        assert!(message.contains(expected), "{expected}: {message}");
    }
}
