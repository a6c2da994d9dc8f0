//! Facts fitted after quantization: read back as written, refused when wrong, and used as promised.

mod common;

use common::First;
use rand_core::Rng;
use stf_bnn::artifact::{
    Abstention, ArtifactWriter, Blob, Conformal, Drift, Manifest, SamplingPolicy, Score,
};
use stf_bnn::uncertainty::{AbstentionRule, DriftMonitor, DriftState, PredictionSets, SetMethod};
use stf_bnn::{AlignedBytes, ArtifactError, Classification, Config, Model, random};

const POLICY: SamplingPolicy =
    SamplingPolicy { num_samples: 8, adaptive: false, seed: 0, fresh: true, antithetic: true };

/// Numbers of the facts, to be damaged before they are written.
struct Numbers {
    conformal: Conformal,
    alphas: Vec<u32>,
    thresholds: Vec<f32>,
    abstention: Abstention,
    drift: Drift,
    edges: Vec<f32>,
    above: Vec<f32>,
    below: Vec<f32>,
    bets: Vec<f32>,
}

fn numbers() -> Numbers {
    let none = Blob { offset: 0, len: 0 };
    Numbers {
        conformal: Conformal {
            policy: POLICY,
            examples: 100,
            class_conditional: false,
            randomized: false,
            raps_lambda: 0.25,
            raps_rank: 1,
            alphas: none,
            thresholds: none,
        },
        alphas: vec![50_000, 100_000],
        // LAC, APS, RAPS at both levels.
        thresholds: vec![0.9, 0.5, 0.75, 0.25, 0.75, 0.5],
        abstention: Abstention {
            policy: POLICY,
            score: Score::MaxProbability,
            threshold: 0.25,
            risk_millionths: 20_000,
            confidence_millionths: 950_000,
            examples: 100,
            accepted: 60,
            errors: 0,
        },
        drift: Drift {
            policy: POLICY,
            score: Score::PredictiveEntropy,
            examples: 100,
            false_alarm_millionths: 10_000,
            reference_millionths: 5_000,
            thresholds: none,
            above: none,
            below: none,
            bets: none,
        },
        edges: vec![0.5, 1.0],
        above: vec![0.5, 0.1],
        below: vec![0.6, 0.95],
        // Bets on greater and on smaller scores: .75 * .5 + .9 * .4 + 2.6 * .1 = .995.
        bets: vec![0.75, 0.9, 2.6, 1.5, 0.2, 0.0],
    }
}

impl Numbers {
    /// The random model with these facts.
    fn write(mut self) -> Result<AlignedBytes, ArtifactError> {
        let file = common::model(First::Conv, 11);
        let model = Model::from_bytes(&file).unwrap();
        let mut writer = ArtifactWriter::resume(&model);
        let given = |blob: Blob| blob.len > 0;
        if !given(self.conformal.alphas) {
            self.conformal.alphas = writer.values(&self.alphas);
        }
        self.conformal.thresholds = writer.values(&self.thresholds);
        self.drift.thresholds = writer.values(&self.edges);
        self.drift.above = writer.values(&self.above);
        self.drift.below = writer.values(&self.below);
        self.drift.bets = writer.values(&self.bets);
        let (conformal, abstention, drift) = (Some(self.conformal), Some(self.abstention), Some(self.drift));
        let manifest = Manifest { conformal, abstention, drift, ..*model.manifest() };
        writer.finish(manifest).map(|bytes| AlignedBytes::new(&bytes))
    }
}

#[test]
fn facts_are_read_back_and_can_be_replaced() {
    let file = numbers().write().unwrap();
    let model = Model::from_bytes(&file).unwrap();
    let sets = PredictionSets::new(&model).unwrap();
    assert_eq!((sets.levels(), sets.coverage(0), sets.coverage(2)), (2, Some(0.95), None));
    assert_eq!(sets.thresholds(SetMethod::Aps, 1), Some(&[0.25][..]));
    assert_eq!(AbstentionRule::new(&model).unwrap().fact().accepted, 60);
    assert_eq!(DriftMonitor::new(&model).unwrap().level(), 200.0);
    // What is written anew does not pile up on what was there.
    let plain = common::model(First::Conv, 11);
    let bare = Model::from_bytes(&plain).unwrap();
    let again = ArtifactWriter::resume(&model).finish(*bare.manifest()).unwrap();
    assert_eq!(&*again, &*plain);
}

#[test]
fn sets_by_hand() {
    let file = numbers().write().unwrap();
    let model = Model::from_bytes(&file).unwrap();
    let sets = PredictionSets::new(&model).unwrap();
    let p = [0.25, 0.625, 0.125];
    let mut bits = [u32::MAX; 2];
    let mut classes = |method, level| {
        let set = sets.set(method, level, &p, 0.9, &mut bits).unwrap();
        assert_eq!(set.len, set.classes().count());
        set.classes().fold(0, |all, class| all | 1 << class)
    };
    // LAC: 1 - p is .75, .375, .875. APS: .625, 0, .875. RAPS: .875, 0, 1.375.
    assert_eq!([classes(SetMethod::Lac, 0), classes(SetMethod::Lac, 1)], [0b111, 0b010]);
    assert_eq!([classes(SetMethod::Aps, 0), classes(SetMethod::Aps, 1)], [0b011, 0b010]);
    assert_eq!([classes(SetMethod::Raps, 0), classes(SetMethod::Raps, 1)], [0b010, 0b010]);
    assert!(sets.set(SetMethod::Lac, 2, &p, 0.0, &mut bits).is_none(), "no such level");
    assert!(sets.set(SetMethod::Lac, 0, &p[..2], 0.0, &mut bits).is_none(), "another number of classes");
    assert!(sets.set(SetMethod::Lac, 0, &p, 0.0, &mut []).is_none(), "no room");
}

#[test]
fn class_conditional_and_randomized_sets() {
    let mut numbers = numbers();
    numbers.conformal.class_conditional = true;
    numbers.conformal.randomized = true;
    numbers.alphas = vec![100_000];
    numbers.thresholds = vec![0.5, 0.8, 0.9, 0.7, 0.2, 1.0, 0.0, 0.0, 0.0];
    let file = numbers.write().unwrap();
    let model = Model::from_bytes(&file).unwrap();
    let sets = PredictionSets::new(&model).unwrap();
    let (p, mut bits) = ([0.25, 0.625, 0.125], [0]);
    let mut classes = |method, share| -> Vec<usize> {
        sets.set(method, 0, &p, share, &mut bits).unwrap().classes().collect()
    };
    assert_eq!(classes(SetMethod::Lac, 0.0), [1, 2]);
    // Class 1 at share .5: .3125 > .2; class 0: .625 + .125 > .7 ; class 2: .9375.
    assert_eq!(classes(SetMethod::Aps, 0.5), [2]);
    assert_eq!(classes(SetMethod::Aps, 0.0), [0, 1, 2]);
}

#[test]
fn abstention_compares_its_score() {
    let file = numbers().write().unwrap();
    let rule = AbstentionRule::new(&Model::from_bytes(&file).unwrap()).unwrap();
    let with = |confidence: f32| Classification {
        class: 0,
        confidence,
        predictive_entropy: 9.0,
        expected_entropy: 9.0,
        mutual_information: 9.0,
    };
    assert!(rule.accepts(&with(0.75)) && !rule.accepts(&with(0.749)));
    let model = Model::from_bytes(&file).unwrap();
    assert!(rule.fact().policy.covers(&model, &Config { seed: 5, ..Config::default() }));
    assert!(!rule.fact().policy.covers(&model, &Config { antithetic: false, ..Config::default() }));
}

/// What is said of the facts with one thing wrong.
fn error(damage: impl FnOnce(&mut Numbers)) -> String {
    let mut numbers = numbers();
    damage(&mut numbers);
    numbers.write().err().map_or("accepted".to_string(), |error| error.to_string())
}

#[test]
fn wrong_facts_are_refused_by_name() {
    type Case = (&'static str, fn(&mut Numbers));
    let cases: [Case; 24] = [
        ("conformal.policy.num_samples", |n| n.conformal.policy.num_samples = 1025),
        ("conformal.examples", |n| n.conformal.examples = 0),
        ("conformal.raps_lambda", |n| n.conformal.raps_lambda = f32::NAN),
        ("conformal.raps_lambda", |n| n.conformal.raps_lambda = -1.0),
        ("conformal.raps_rank", |n| n.conformal.raps_rank = 0),
        ("conformal.alphas", |n| n.alphas = vec![]),
        ("conformal.alphas", |n| n.alphas = vec![50_000, 50_000]),
        ("conformal.alphas", |n| n.alphas = vec![0, 50_000]),
        ("conformal.alphas", |n| n.alphas = vec![50_000, 1_000_000]),
        ("conformal.alphas", |n| n.conformal.alphas = Blob { offset: !15, len: 8 }),
        ("conformal.thresholds", |n| n.thresholds.truncate(5)),
        ("conformal.thresholds", |n| n.thresholds[3] = f32::INFINITY),
        ("conformal.thresholds", |n| n.conformal.class_conditional = true),
        ("abstention.threshold", |n| n.abstention.threshold = f32::NAN),
        ("abstention.risk_millionths", |n| n.abstention.risk_millionths = 0),
        ("abstention.confidence_millionths", |n| n.abstention.confidence_millionths = 1_000_000),
        ("abstention.accepted", |n| n.abstention.accepted = 101),
        ("abstention.errors", |n| n.abstention.errors = 61),
        ("drift.reference_millionths", |n| n.drift.reference_millionths = 10_000),
        ("drift.thresholds", |n| n.edges = vec![1.0, 1.0]),
        ("drift.above", |n| n.above = vec![0.1, 0.5]),
        ("drift.below", |n| n.below = vec![0.6, 1.5]),
        ("drift.above: expected bounds that sum", |n| n.above[1] = 0.01),
        ("drift.bets", |n| n.bets.truncate(4)),
    ];
    for (expected, damage) in cases {
        let message = error(damage);
        assert!(message.contains(expected), "{expected}: {message}");
    }
}

#[test]
fn a_bet_that_gains_on_average_is_refused() {
    assert!(error(|n| n.bets[2] = 2.7).contains("does not gain"), "mean 1.005");
    assert!(error(|n| n.bets[3] = 1.6).contains("does not gain"), "mean 1.6 * .6 + .2 * .35 = 1.03");
    assert!(error(|n| n.bets = vec![1.0; 6]).contains("does not gain"), "no room for rounding");
    assert_eq!(error(|n| n.bets = vec![0.999; 6]), "accepted");
    for bad in [-0.1, f32::NAN, 2e6] {
        assert!(error(|n| n.bets[5] = bad).contains("drift.bets"), "{bad}");
    }
    assert!(error(|n| n.bets = vec![0.5; 27]).contains("drift.bets"), "nine bets");
}

/// Scores with exactly the probabilities that the bounds allow: above .5 half, above 1 a tenth.
fn clean(bits: &mut impl Rng) -> f32 {
    match bits.next_u32() % 10 {
        0 => 2.0,
        1..=4 => 0.75,
        _ => 0.25,
    }
}

#[test]
fn clean_streams_raise_few_alarms_and_drift_raises_one() {
    let mut numbers = numbers();
    numbers.drift.false_alarm_millionths = 105_000;
    numbers.bets.truncate(3);
    let file = numbers.write().unwrap();
    let model = Model::from_bytes(&file).unwrap();
    let start = DriftMonitor::new(&model).unwrap();
    assert!((start.level() - 10.0).abs() < 1e-5);
    let mut alarms = 0;
    for stream in 0..2000 {
        let (mut monitor, mut bits) = (start, random::stream(77, stream));
        alarms += u32::from((0..1000).any(|_| monitor.push_score(clean(&mut bits)).alarm));
    }
    // At most a tenth of 2,000 may, by Ville's inequality; three standard errors above that is 240.
    assert!((1..=240).contains(&alarms), "{alarms}");
    let mut monitor = start;
    let delay = (1..1000).find(|_| monitor.push_score(2.0).alarm).unwrap();
    assert!(delay < 15, "{delay}");
    let report = monitor.push_score(0.25);
    assert!(report.alarm && report.p_value == 1.0, "the alarm stays");
    assert_eq!(monitor.push_score(f32::NAN).p_value, 0.1);
    assert_eq!(monitor.push_score(0.75).p_value, 0.5);
}

#[test]
fn a_kept_state_goes_on_and_evidence_stays_finite() {
    let file = numbers().write().unwrap();
    let model = Model::from_bytes(&file).unwrap();
    let (mut whole, mut first) = (DriftMonitor::new(&model).unwrap(), DriftMonitor::new(&model).unwrap());
    let score = |i: u32| (i * 7 % 5) as f32 * 0.3;
    let last = (0..100).map(|i| whole.push_score(score(i))).last().unwrap();
    for i in 0..40 {
        first.push_score(score(i));
    }
    let state = *first.state();
    let mut second = DriftMonitor::new(&model).unwrap();
    second.set_state(state);
    assert_eq!((40..100).map(|i| second.push_score(score(i))).last().unwrap(), last);
    assert!(size_of::<DriftState>() <= 44);
    let report = (0..5000).map(|_| second.push_score(9.0)).last().unwrap();
    assert!(report.alarm && report.evidence.is_finite() && report.count == 5100);
}
