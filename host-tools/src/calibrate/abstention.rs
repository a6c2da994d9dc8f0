//! When to answer: the loosest threshold whose selective risk is certified.

use super::share::Share;
use crate::binomial;

/// A score and whether its prediction was wrong.
pub type Judged = (f32, bool);

/// Candidate thresholds: as many quantiles.
const CANDIDATES: usize = 50;

/// A certified threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Certified {
    /// Predictions with at most this score are accepted.
    pub threshold: f32,
    /// Certification examples that it accepts.
    pub accepted: u64,
    /// Wrong ones among them.
    pub errors: u64,
}

/// The loosest threshold with a selective risk of at most `risk`, with this confidence.
///
/// Learn then Test (Angelopoulos et al. 2021) with fixed-sequence testing. Candidates and the one to
/// start from come from `fit`; each is tested on `certify`, examples that `fit` does not have, by the exact
/// binomial probability of so few errors among those accepted, from the start towards more coverage,
/// until one fails. As the sequence is fixed before `certify` is seen, the chance that any threshold
/// passes whose risk is greater is at most one minus the confidence, and no correction is due for their
/// number. `None` if not even the start passes.
#[must_use]
pub fn certify(fit: &[Judged], certify: &[Judged], risk: Share, confidence: Share) -> Option<Certified> {
    let delta = 1.0 - confidence.value();
    let candidates = candidates(fit);
    let p_value = |judged: &[Judged], threshold: f32| {
        let (accepted, errors) = counts(judged, threshold);
        // No accepted example is no evidence.
        if accepted == 0 { 1.0 } else { binomial::at_most(errors, accepted, risk.value()) }
    };
    let (start, _) = candidates
        .iter()
        .enumerate()
        .map(|(index, &threshold)| (index, p_value(fit, threshold)))
        .min_by(|a, b| a.1.total_cmp(&b.1))?;
    let passing = candidates[start..].iter().take_while(|&&threshold| p_value(certify, threshold) <= delta);
    passing.last().map(|&threshold| {
        let (accepted, errors) = counts(certify, threshold);
        Certified { threshold, accepted, errors }
    })
}

/// Quantiles of the scores, strictly increasing; the last accepts everything.
fn candidates(fit: &[Judged]) -> Vec<f32> {
    let mut scores: Vec<f32> = fit.iter().map(|&(score, _)| score).collect();
    scores.sort_unstable_by(f32::total_cmp);
    let mut candidates: Vec<f32> =
        (1..CANDIDATES).filter_map(|i| scores.get(i * scores.len() / CANDIDATES).copied()).collect();
    candidates.push(f32::MAX);
    candidates.dedup();
    candidates
}

/// Accepted, and wrong among them.
fn counts(judged: &[Judged], threshold: f32) -> (u64, u64) {
    let accepted = judged.iter().filter(|(score, _)| *score <= threshold);
    let errors = accepted.clone().filter(|(_, wrong)| *wrong).count();
    (accepted.count() as u64, errors as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::below;
    use rand_core::SeedableRng;
    use rand_xoshiro::Xoshiro256PlusPlus;

    fn share(text: &str) -> Share {
        text.parse().unwrap()
    }

    /// Scores uniform in 0..1, wrong with probability score / 4: the risk up to t is t / 8.
    fn judged(rng: &mut Xoshiro256PlusPlus, n: usize) -> Vec<Judged> {
        (0..n)
            .map(|_| {
                let score = below(rng, 10_000) as f32 / 10_000.0;
                (score, (below(rng, 40_000) as f32) < 10_000.0 * score)
            })
            .collect()
    }

    #[test]
    fn the_promise_holds_as_often_as_stated() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(11);
        let (risk, confidence) = (share("0.05"), share("0.9"));
        let (mut broken, mut coverage) = (0, 0.0);
        for _ in 0..1000 {
            let (fit, test) = (judged(&mut rng, 4000), judged(&mut rng, 4000));
            // Where nothing is certified nothing is promised.
            let Some(found) = certify(&fit, &test, risk, confidence) else { continue };
            let threshold = f64::from(found.threshold).min(1.0);
            broken += u32::from(threshold / 8.0 > 0.05);
            coverage += threshold / 1000.0;
        }
        // 100 are allowed on average, three standard errors above that are 128; 0.4 is the best there is.
        assert!((20..=128).contains(&broken), "{broken} of 1000");
        assert!((0.2..0.4).contains(&coverage), "{coverage}");
    }

    #[test]
    fn nothing_is_certified_without_evidence() {
        let right: Vec<Judged> = (0..20).map(|i| (i as f32, false)).collect();
        assert_eq!(certify(&right, &right, share("0.05"), share("0.95")), None, "0.95^20 is 36 %");
        let found = certify(&right, &right, share("0.2"), share("0.95")).unwrap();
        assert_eq!(found, Certified { threshold: f32::MAX, accepted: 20, errors: 0 });
        // Without examples to choose by, the only candidate accepts everything.
        assert_eq!(certify(&[], &right, share("0.2"), share("0.95")), Some(found));
        assert_eq!(certify(&right, &[], share("0.2"), share("0.95")), None);
    }
}
