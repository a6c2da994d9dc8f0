use super::*;
use crate::train::normals;

fn settings() -> Settings {
    Settings { shadows: 8, pool: 101, seed: 3 }
}

#[test]
fn halves_are_complementary_pairs_and_differ() {
    let halves: Vec<Vec<bool>> = (0..8).map(|index| half(settings(), index)).collect();
    for pair in halves.chunks(2) {
        assert!(pair[0].iter().zip(&pair[1]).all(|(a, b)| a != b));
    }
    assert_ne!(halves[0], halves[2]);
    let pool = pool(settings(), 500);
    assert!(pool.len() == 101 && pool.windows(2).all(|pair| pair[0] < pair[1]));
}

/// Examples of their own difficulty, whose logit rises by `gain` in models that saw them.
fn models(gain: f64, count: usize, n: usize) -> (Vec<Vec<bool>>, Vec<Vec<Observation>>) {
    let settings = Settings { shadows: count, pool: n, seed: 1 };
    let difficulty = normals(1, Purpose::Noise, &[0], n);
    let members: Vec<Vec<bool>> = (0..count).map(|index| half(settings, index)).collect();
    let said = members.iter().enumerate().map(|(model, members)| {
        let noise = normals(1, Purpose::Noise, &[1, model as u64], n);
        let logit = |i: usize| {
            6.0 * f64::from(difficulty[i]) + f64::from(noise[i]) + if members[i] { gain } else { 0.0 }
        };
        (0..n)
            .map(|i| {
                let p = 1.0 / (1.0 + (-logit(i)).exp());
                Observation::new(p, 1.0 - p, p * (1.0 - p), p > 0.5)
            })
            .collect()
    });
    let said = said.collect();
    (members, said)
}

/// Where examples differ more than models do, only the likelihood ratio sees who was in: its AUC is that
/// of two Gaussians `gain / sqrt(2)` apart, up to the error of the shadows' means.
#[test]
fn the_likelihood_ratio_sees_through_the_difficulty_of_examples() {
    let (members, said) = models(1.5, 32, 2000);
    let Rates([loss, _, lira]) = rates(&members, &said, 5);
    // Phi(1.5 / sqrt 2) = .856; 15 or 16 shadows a side leave a little less.
    assert!((lira.auc - 0.85).abs() < 0.03 && loss.auc < 0.62, "{lira:?} {loss:?}");
    assert!(lira.tpr[0] > 0.01 && lira.tpr[1] > 0.08, "{lira:?}");
    let (members, said) = models(0.0, 32, 2000);
    let Rates(none) = rates(&members, &said, 5);
    assert!(none.iter().all(|curve| (curve.auc - 0.5).abs() < 0.04), "{none:?}");
}

#[test]
fn logits_of_certain_predictions_stay_finite() {
    for (p, rest) in [(0.0, 1.0), (1.0, 0.0), (0.5, 0.5)] {
        let o = Observation::new(p, rest, 0.0, true);
        assert!(o.logit.is_finite() && o.loss.is_finite());
    }
    assert_eq!(Observation::new(0.5, 0.5, 0.0, true).logit, 0.0);
}
