//! What each corruption does to a picture.

use super::*;

/// A smooth colour picture with a bright block.
fn set() -> Dataset {
    let shape = Shape::new(12, 12, 3);
    let values = (0..3 * 144)
        .map(|i| {
            let (y, x) = (i / 3 / 12, i / 3 % 12);
            let block = (3..8).contains(&y) && (4..7).contains(&x);
            if block { 200 } else { (20 + 3 * x + y + 10 * (i % 3)) as u8 }
        })
        .collect::<Vec<u8>>();
    Dataset {
        name: "t".into(),
        shape,
        inputs: Inputs::U8([values.clone(), values].concat()),
        labels: vec![0, 1],
        class_names: vec!["a".into(), "b".into()],
        targets: Default::default(),
    }
}

fn bytes(set: &Dataset) -> &[u8] {
    let Inputs::U8(values) = &set.inputs else { panic!("bytes expected") };
    values
}

fn distance(a: &Dataset, b: &Dataset) -> f64 {
    let pairs = bytes(a).iter().zip(bytes(b));
    pairs.map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum::<f64>().sqrt()
}

fn corrupted(name: &str, seed: u64) -> Dataset {
    name.parse::<Corruption>().unwrap().apply(&set(), seed).unwrap()
}

#[test]
fn every_kind_changes_more_with_severity_and_repeats_with_the_seed() {
    for kind in Kind::ALL {
        let at = |severity: u8| corrupted(&format!("{}:{severity}", kind.name()), 7);
        let distances: Vec<f64> = (1..=5).map(|severity| distance(&at(severity), &set())).collect();
        // A block turned or moved far overlaps itself no less than one moved less far.
        let steady = !matches!(kind, Kind::Rotation | Kind::Translation);
        let ends = distances[0] > 0.0 && distances[4] > distances[0];
        assert!(ends && (!steady || distances.windows(2).all(|d| d[0] < d[1])), "{kind:?}: {distances:?}");
        assert_eq!(at(3), at(3));
        assert_eq!(at(3).labels, set().labels);
    }
}

#[test]
fn random_kinds_differ_between_seeds_and_examples() {
    for name in ["noise:3", "translation:5"] {
        let (one, other) = (corrupted(name, 1), corrupted(name, 2));
        assert_ne!(bytes(&one), bytes(&other), "{name}");
        let (first, second) = bytes(&one).split_at(3 * 144);
        assert_ne!(first, second, "{name}: the two equal examples");
    }
}

#[test]
fn the_strength_is_the_one_stated() {
    let flat = |value: u8| Dataset { inputs: Inputs::U8(vec![value; 2 * 3 * 144]), ..set() };
    let apply = |name: &str, set: &Dataset| name.parse::<Corruption>().unwrap().apply(set, 3).unwrap();
    let noisy = apply("noise:2", &flat(128));
    let squares = bytes(&noisy).iter().map(|&v| (f64::from(v) - 128.0).powi(2)).sum::<f64>();
    assert!(((squares / 864.0).sqrt() - 0.08 * 255.0).abs() < 1.5);
    assert_eq!(bytes(&apply("brightness:1", &flat(100)))[0], 126);
    assert_eq!(bytes(&apply("brightness:5", &flat(200)))[0], 255);
    for name in ["blur:5", "rotation:4", "translation:2", "contrast:5"] {
        assert_eq!(apply(name, &flat(77)), Dataset { name: format!("t {name}"), ..flat(77) });
    }
    // Half the contrast halves the distances from the mean.
    let (before, after) = (set(), apply("contrast:2", &set()));
    let spread = |set: &Dataset| f64::from(bytes(set)[(5 * 12 + 5) * 3]) - f64::from(bytes(set)[0]);
    assert!((spread(&after) / spread(&before) - 0.5).abs() < 0.02);
}

#[test]
fn names_and_values_are_checked() {
    for bad in ["blur", "blur:0", "blur:6", "fog:1", ":", "blur:x"] {
        assert!(bad.parse::<Corruption>().unwrap_err().contains("translation"), "{bad}");
    }
    let floats = Dataset { inputs: Inputs::F32(vec![0.0; 2 * 3 * 144]), ..set() };
    let message = Corruption { kind: Kind::Blur, severity: 1 }.apply(&floats, 0).unwrap_err().to_string();
    assert!(message.contains("found f32, expected u8"), "{message}");
    assert_eq!(Corruption::all().count(), 35);
}
