use super::*;
use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

fn decision(class: u16, margin: f32) -> Decision {
    Decision { class, confidence: 0.5 + margin / 2.0, margin }
}

#[test]
fn a_track_ends_at_the_first_clear_check() {
    let checks = vec![(1, decision(3, 0.25)), (3, decision(4, 0.5)), (5, decision(3, 0.75))];
    let track = Track { checks, last: (9, 5) };
    let ends = [0.0, 0.25, 0.26, 0.5, 0.6, 0.75, 0.8, 1.0].map(|threshold| track.end(threshold));
    assert_eq!(ends, [(1, 3), (1, 3), (3, 4), (3, 4), (5, 3), (5, 3), (9, 5), (9, 5)]);
    let choice = Choice::count(&[track.clone(), track], 0.5);
    assert_eq!(choice, Choice { threshold: 0.5, differing: 2, mean_passes: 3.0 });
}

/// `n` examples with a margin of their own each; the class differs where `wrong` says.
fn examples(n: usize, mut wrong: impl FnMut(usize) -> bool) -> Vec<Track> {
    let one = |i| {
        let margin = (i as f32 + 0.5) / n as f32;
        Track { checks: vec![(1, decision(u16::from(wrong(i)), margin))], last: (9, 0) }
    };
    (0..n).map(one).collect()
}

#[test]
fn nothing_is_proved_by_too_few_examples() {
    assert_eq!(choose(&examples(298, |_| false), 0.01, 0.95), None);
    let choice = choose(&examples(299, |_| false), 0.01, 0.95).unwrap();
    assert_eq!((choice.threshold, choice.mean_passes), (0.0, 1.0));
    assert_eq!(choose(&[], 0.01, 0.95), None);
}

/// The sequence stops at the first threshold that fails, even if a later one would pass.
#[test]
fn the_chosen_threshold_is_the_last_before_the_first_failure() {
    let tracks = examples(2000, |i| i % 5 == 0);
    let choice = choose(&tracks, 0.05, 0.9).unwrap();
    let passes = |differing| binomial::at_most(differing, 2000, 0.05) <= 1.0 - 0.9;
    assert!(passes(choice.differing as u64));
    let next = Choice::count(&tracks, choice.threshold - 1.0 / 256.0);
    assert!(!passes(next.differing as u64), "{choice:?} {next:?}");
}

/// The promise itself: over many fits, the share whose true disagreement exceeds delta is at most one
/// minus the confidence. An example with margin m differs with probability (1 - m) / 4, so that the true
/// disagreement of a threshold t is (1 - t)^2 / 8.
#[test]
fn at_most_one_fit_in_twenty_breaks_its_promise() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut unit = move || (rng.next_u64() >> 40) as f32 / (1u64 << 24) as f32;
    let (mut broken, mut tight, fits, delta) = (0, 0, 400, 0.02);
    for _ in 0..fits {
        let tracks: Vec<Track> = (0..1000)
            .map(|_| {
                let margin = unit();
                let differs = unit() < (1.0 - margin) / 4.0;
                Track { checks: vec![(1, decision(u16::from(differs), margin))], last: (9, 0) }
            })
            .collect();
        // Of the examples with at least this margin, the mean of (1 - m) / 4 times their share.
        let t = f64::from(choose(&tracks, delta, 0.95).unwrap().threshold);
        let truth = (1.0 - t).powi(2) / 8.0;
        broken += usize::from(truth > delta);
        tight += usize::from(truth > delta / 4.0);
    }
    // 5 % of 400 is 20; 33 is three standard deviations above.
    assert!(broken <= 33, "{broken} of {fits}");
    assert!(tight > fits * 9 / 10, "a rule that wastes most of delta would prove nothing here: {tight}");
}

#[test]
fn wishes_out_of_range_are_named() {
    let wrong = |wish: Wish| wish.check().unwrap_err().to_string();
    let base = Wish::default();
    assert!(base.check().is_ok());
    assert!(wrong(Wish { samples_max: 0, ..base }).contains("adaptive samples"));
    assert!(wrong(Wish { samples_min: 9, ..base }).contains("least adaptive samples"));
    assert!(wrong(Wish { delta: 0.0, ..base }).contains("adaptive delta"));
    assert!(wrong(Wish { delta: f64::NAN, ..base }).contains("adaptive delta"));
    assert!(wrong(Wish { confidence: 1.0, ..base }).contains("adaptive confidence"));
}

#[test]
fn the_guarantee_says_its_figures() {
    let choice = Choice { threshold: 0.25, differing: 27, mean_passes: 1.27 };
    let text = guarantee(&Wish::default(), &choice, 3976);
    for words in ["95 %", "at most 1 %", "8 samples", "3976", "27", "antithetic"] {
        assert!(text.contains(words), "{words} is missing from {text}");
    }
}
