use super::*;
use ndarray::arr1;

#[test]
fn barriers_are_heights_above_the_line_between_the_ends() {
    assert_eq!(barrier(&[1.0, 2.0, 3.0]), 0.0);
    assert_eq!(barrier(&[1.0, 5.0, 3.0]), 3.0);
    assert_eq!(barrier(&[1.0, 0.0, 1.0]), 0.0);
    assert_eq!(barrier(&[]), 0.0);
}

#[test]
fn distances_are_relative_to_the_norms() {
    let (a, b) = (arr1(&[3.0f32, 0.0]).into_dyn(), arr1(&[0.0f32, 3.0]).into_dyn());
    let pair = Pair::new((0, 1), &a, &b, 0.25, vec![1.0, 1.0]);
    assert!((pair.distance - 2f64.sqrt()).abs() < 1e-6 && pair.cosine.abs() < 1e-9);
    let same = Pair::new((0, 1), &a, &a, 0.0, vec![1.0, 1.0]);
    assert!(same.distance.abs() < 1e-6 && (same.cosine - 1.0).abs() < 1e-9);
}

/// On real data: a retrained kernel is nearly as good as it was, everything else stays, and the last
/// layer, whose problem is convex, has one solution where the first has several.
#[test]
fn the_last_layer_has_one_optimum_and_the_first_has_many() {
    let settings =
        Settings { epochs: 12, train_examples: 600, test_examples: 200, ..crate::compare::test_settings() };
    let seeded = Seeded::load(&settings, None, 0).unwrap();
    let mut wish = Wish {
        starts: 3,
        epochs: 15,
        learning_rate: 1e-2,
        points: 5,
        examples: 200,
        layers: vec!["conv1".into(), "dense3".into()],
    };
    let names: Vec<&String> = seeded.graph.nodes.iter().map(|node| &node.name).collect();
    let found = optima(&settings, &seeded, &wish).unwrap_or_else(|error| panic!("{error}; nodes {names:?}"));
    let [first, last] = &found.layers[..] else { panic!("two layers") };
    assert_eq!((first.weights, first.pairs.len(), first.pairs[0].losses.len()), (150, 3, 5));
    assert!(first.error.mean < 0.35, "{first:?}");
    assert!(
        last.cosine.mean > first.cosine.mean && last.barrier.mean < 0.05,
        "{} {}",
        last.cosine.mean,
        last.barrier.mean
    );
    assert!(first.barrier.mean > last.barrier.mean && first.distance.mean > last.distance.mean);
    let picture = svg(&found);
    assert!(picture.matches("<polyline").count() == 6 && picture.ends_with("</svg>\n"));
    wish.layers = vec!["none".into()];
    assert!(optima(&settings, &seeded, &wish).unwrap_err().to_string().contains("conv1"));
}
