//! Conformal scores: how badly a class fits a prediction.

use crate::random;
use rand_core::Rng;

/// Which score decides what is in a prediction set. A class is in if its score is at most the
/// threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum SetMethod {
    /// `1 - p` of the class (Sadinle et al. 2019): the smallest sets on average, empty where no class is
    /// likely enough.
    Lac,
    /// Mass of the likelier classes, plus a share `u` of the class's own (Romano et al. 2020): sets that
    /// grow with the difficulty of the input. With `u = 0` the predicted class is always in.
    Aps,
    /// As APS, plus `lambda` for each rank beyond `rank` (Angelopoulos et al. 2021): no long tails.
    Raps,
}

impl SetMethod {
    /// All of them, in the order of the artifact's thresholds.
    pub const ALL: [Self; 3] = [Self::Lac, Self::Aps, Self::Raps];

    /// Its name in figures.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lac => "lac",
            Self::Aps => "aps",
            Self::Raps => "raps",
        }
    }
}

/// Penalty of RAPS.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Penalty {
    /// Added for each rank beyond `rank`; finite and not negative.
    pub lambda: f32,
    /// Ranks without penalty, from 1.
    pub rank: u16,
}

/// A class with its scores' ingredients.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Ranked {
    class: usize,
    probability: f32,
    /// Sum of the probabilities of the classes before it, in their order.
    before: f32,
    /// 1 for the likeliest class.
    rank: usize,
}

/// Classes from the likeliest on, the first of equal ones first. Needs no memory: each step searches
/// the probabilities, `[classes]`. NaN is never found.
#[derive(Debug, Clone)]
struct Ranks<'p> {
    probabilities: &'p [f32],
    last: Option<Ranked>,
}

impl Iterator for Ranks<'_> {
    type Item = Ranked;

    fn next(&mut self) -> Option<Ranked> {
        let last = self.last;
        let behind = |class: usize, p: f32| {
            last.is_none_or(|l| p < l.probability || (p == l.probability && class > l.class))
        };
        let mut best: Option<(usize, f32)> = None;
        for (class, &p) in self.probabilities.iter().enumerate() {
            if !p.is_nan() && behind(class, p) && best.is_none_or(|(_, greatest)| p > greatest) {
                best = Some((class, p));
            }
        }
        let (class, probability) = best?;
        let (before, rank) = last.map_or((0.0, 1), |l| (l.before + l.probability, l.rank + 1));
        self.last = Some(Ranked { class, probability, before, rank });
        self.last
    }
}

impl Ranked {
    fn score(&self, method: SetMethod, penalty: Penalty, u: f32) -> f32 {
        match method {
            SetMethod::Lac => 1.0 - self.probability,
            SetMethod::Aps => self.before + u * self.probability,
            SetMethod::Raps => {
                let beyond = self.rank.saturating_sub(penalty.rank.into());
                (self.before + u * self.probability) + penalty.lambda * beyond as f32
            }
        }
    }
}

/// Score of `label`; `None` if it is none of the classes. `u`: 0, or a random number from 0 to 1 if
/// sets are randomized; the same for all classes of one prediction.
#[must_use]
pub fn conformal_score(
    method: SetMethod,
    penalty: Penalty,
    probabilities: &[f32],
    label: usize,
    u: f32,
) -> Option<f32> {
    if method == SetMethod::Lac {
        return probabilities.get(label).map(|&p| 1.0 - p);
    }
    let mut ranks = Ranks { probabilities, last: None };
    ranks.find(|ranked| ranked.class == label).map(|ranked| ranked.score(method, penalty, u))
}

/// Calls `each` with every class whose score is at most `threshold(class)`; `greatest` is the greatest
/// of the thresholds, where the search may end: scores do not fall from one rank to the next.
pub(super) fn for_each_member(
    method: SetMethod,
    penalty: Penalty,
    probabilities: &[f32],
    u: f32,
    threshold: impl Fn(usize) -> f32,
    greatest: f32,
    mut each: impl FnMut(usize),
) {
    if method == SetMethod::Lac {
        let members = probabilities.iter().enumerate().filter(|&(class, &p)| 1.0 - p <= threshold(class));
        return members.for_each(|(class, _)| each(class));
    }
    for ranked in (Ranks { probabilities, last: None }) {
        let score = ranked.score(method, penalty, u);
        if score > greatest {
            return;
        }
        if score <= threshold(ranked.class) {
            each(ranked.class);
        }
    }
}

/// The random share of a randomized set: uniform in steps of 2^-24 from 0 to below 1, from the
/// prediction's seed and counter, by a stream that no noise uses.
#[must_use]
pub fn random_share(seed: u64, counter: u64) -> f32 {
    /// Any constant: keeps these streams apart from those of the noise.
    const PURPOSE: u64 = 0x5345_5453_5345_5453;
    let bits = random::stream(seed ^ PURPOSE, counter).next_u32();
    (bits >> 8) as f32 / 16_777_216.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Penalty = Penalty { lambda: 0.0, rank: 1 };

    #[test]
    fn scores_by_hand() {
        let p = [0.125, 0.5, 0.25, 0.125];
        let score = |method, label, u| conformal_score(method, NONE, &p, label, u).unwrap();
        assert_eq!([0, 1, 2, 3].map(|label| score(SetMethod::Lac, label, 0.5)), [0.875, 0.5, 0.75, 0.875]);
        assert_eq!([0, 1, 2, 3].map(|label| score(SetMethod::Aps, label, 0.0)), [0.75, 0.0, 0.5, 0.875]);
        assert_eq!([0, 1, 2, 3].map(|label| score(SetMethod::Aps, label, 1.0)), [0.875, 0.5, 0.75, 1.0]);
        let penalty = Penalty { lambda: 0.5, rank: 2 };
        let raps = |label| conformal_score(SetMethod::Raps, penalty, &p, label, 0.0).unwrap();
        assert_eq!([0, 1, 2, 3].map(raps), [1.25, 0.0, 0.5, 1.875]);
        assert_eq!(conformal_score(SetMethod::Aps, NONE, &p, 4, 0.0), None);
    }

    #[test]
    fn a_class_is_a_member_exactly_if_its_score_is_at_most_the_threshold() {
        let penalty = Penalty { lambda: 0.03, rank: 2 };
        for case in 0..300_u64 {
            let mut bits = random::stream(9, case);
            let mut p: [f32; 7] = core::array::from_fn(|_| (bits.next_u32() >> 28) as f32);
            let sum: f32 = p.iter().sum::<f32>().max(1.0);
            p.iter_mut().for_each(|p| *p /= sum);
            let u = if case % 2 == 0 { 0.0 } else { random_share(3, case) };
            let thresholds: [f32; 7] = core::array::from_fn(|_| (bits.next_u32() >> 8) as f32 / 16_777_216.0);
            let greatest = thresholds.iter().copied().fold(0.0, f32::max);
            for method in SetMethod::ALL {
                let (mut found, mut expected) = ([false; 7], [false; 7]);
                let threshold = |class: usize| thresholds[class];
                for_each_member(method, penalty, &p, u, threshold, greatest, |class| found[class] = true);
                for (class, expected) in expected.iter_mut().enumerate() {
                    let score = conformal_score(method, penalty, &p, class, u).unwrap();
                    *expected = score <= thresholds[class];
                }
                assert_eq!(found, expected, "{method:?} {p:?} {thresholds:?}");
            }
        }
    }

    #[test]
    fn random_shares_are_uniform() {
        let mut counts = [0; 8];
        (0..8000).for_each(|i| counts[(random_share(1, i) * 8.0) as usize] += 1);
        let chi: f64 = counts.iter().map(|&c| (f64::from(c) - 1000.0).powi(2) / 1000.0).sum();
        assert!(chi < 24.3, "7 degrees of freedom, beyond 99.9 %: {counts:?}");
        assert_ne!(random_share(1, 0), random_share(2, 0));
    }
}
