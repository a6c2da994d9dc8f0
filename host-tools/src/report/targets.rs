//! Figures of real targets: predictions against observations, and whether sigma is what it says.

use super::subject::Subject;
use crate::binomial;
use crate::calibrate::Share;
use crate::calibrate::conformal::threshold;
use crate::data::shuffled;
use crate::error::{Error, Result};
use crate::evaluate::Outcome;
use crate::evaluate::bootstrap::{Interval, intervals};
use crate::normal;
use serde::Serialize;

/// Points of a scatter plot, at most.
const SHOWN: usize = 250;

/// Bars of the PIT histogram, and groups of equal size by sigma; fewer where examples are few.
const BARS: usize = 20;
const GROUPS: usize = 10;

/// Examples that a bar or a group should have.
const EACH: usize = 20;

/// Alphas of the coverage, in hundredths.
const ALPHAS: std::ops::RangeInclusive<u32> = 1..=30;

/// Rows of the table of unlikely values.
const UNLIKELY: usize = 8;

/// Confidence of the intervals.
const CONFIDENCE: f64 = 0.95;

/// A prediction and what was observed, in the target's unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Judged {
    /// Index in the data.
    pub index: usize,
    /// The value.
    pub observed: f64,
    /// Mean of the prediction.
    pub predicted: f64,
    /// Its standard deviation, aleatoric and epistemic.
    pub sigma: f64,
}

impl Judged {
    /// Distance of the value from the mean, in sigma.
    pub fn residual(&self) -> f64 {
        (self.observed - self.predicted) / self.sigma
    }
}

/// What the page shows of one target.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TargetReport {
    /// Its name.
    pub target: String,
    /// Share of its variance that the means explain; `null` if all values are one.
    pub r2: Option<f64>,
    /// 95 % bootstrap interval of the root mean squared error.
    pub rmse_interval: Interval,
    /// Some of the predictions, evenly spread over the data.
    pub shown: Vec<Judged>,
    /// Share of the examples in each bar of the distribution function of their prediction, from 0 to 1.
    pub pit: Vec<f64>,
    /// Groups of equal size, least sigma first.
    pub sigma_groups: Vec<SigmaGroup>,
    /// Coverage by alpha.
    pub coverage: Vec<AlphaRow>,
    /// Values furthest from their mean, in sigma.
    pub unlikely: Vec<Judged>,
}

/// Examples of like sigma. Calibrated: both roots are the same.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SigmaGroup {
    /// Examples.
    pub n: usize,
    /// Root of the mean predicted variance.
    pub sigma: f64,
    /// Root mean squared error.
    pub rmse: f64,
    /// 95 % bootstrap interval of the error.
    pub interval: Interval,
}

/// Coverage of central intervals at one alpha.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct AlphaRow {
    /// Share of intervals that may miss the value.
    pub alpha: f64,
    /// Of the Gaussian as predicted, on all examples.
    pub gaussian: f64,
    /// 95 % interval (Clopper and Pearson) of that.
    pub gaussian_interval: (f64, f64),
    /// Of conformal intervals, fitted on one half of the examples and judged on the other; `null` if these are
    /// too few.
    pub conformal: Option<f64>,
}

/// The figures of each target.
///
/// # Errors
/// If a prediction is not finite.
pub fn collect(subject: &Subject<'_>, outcomes: &[Outcome]) -> Result<Vec<TargetReport>> {
    let targets = &subject.data.targets;
    let one = |target: usize| {
        let name = subject.model.class_name(target).unwrap_or(&targets.names[target]).to_string();
        let judge = |(index, outcome): (usize, &Outcome)| {
            let gaussian = outcome.gaussian(target).filter(|g| g.mean.is_finite() && g.sigma() > 0.0);
            let gaussian = gaussian.ok_or_else(|| {
                let what = format!("{}: prediction of example {index}", subject.data.name);
                Error::invalid(what, format!("{:?}", outcome.mean), "finite numbers")
            })?;
            let observed = targets.of(index)[target].into();
            let (predicted, sigma) = (gaussian.mean.into(), gaussian.sigma().into());
            Ok(Judged { index, observed, predicted, sigma })
        };
        let judged = outcomes.iter().enumerate().map(judge).collect::<Result<Vec<_>>>()?;
        report(name, &judged, subject.config.seed)
    };
    (0..targets.len()).map(one).collect()
}

fn report(target: String, judged: &[Judged], seed: u64) -> Result<TargetReport> {
    let step = judged.len().div_ceil(SHOWN).max(1);
    let mut order: Vec<&Judged> = judged.iter().collect();
    order.sort_by(|a, b| b.residual().abs().total_cmp(&a.residual().abs()).then(a.index.cmp(&b.index)));
    Ok(TargetReport {
        target,
        r2: r2(judged),
        rmse_interval: rmse_interval(judged),
        shown: judged.iter().step_by(step).copied().collect(),
        pit: pit(judged),
        sigma_groups: sigma_groups(judged),
        coverage: coverage(judged, seed)?,
        unlikely: order.into_iter().take(UNLIKELY).copied().collect(),
    })
}

fn squared(one: &Judged) -> f64 {
    (one.observed - one.predicted).powi(2)
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len().max(1);
    values.sum::<f64>() / n as f64
}

/// `1 - sum of squared errors / sum of squared distances from the mean value`.
fn r2(judged: &[Judged]) -> Option<f64> {
    let centre = mean(judged.iter().map(|one| one.observed));
    let variance = mean(judged.iter().map(|one| (one.observed - centre).powi(2)));
    (variance > 0.0).then(|| 1.0 - mean(judged.iter().map(squared)) / variance)
}

fn rmse_interval(judged: &[Judged]) -> Interval {
    if judged.is_empty() {
        return Interval(0.0, 0.0);
    }
    let squares: Vec<f64> = judged.iter().map(squared).collect();
    let [interval] = intervals(judged.len(), 0, |indices| [mean(indices.iter().map(|&i| squares[i])).sqrt()]);
    interval
}

/// Probability integral transform: where each value lies in the distribution that was predicted for it.
fn pit(judged: &[Judged]) -> Vec<f64> {
    let bars = (judged.len() / EACH).clamp(5, BARS);
    let mut shares = vec![0.0; bars];
    for one in judged {
        let at = (normal::cdf(one.residual()) * bars as f64) as usize;
        shares[at.min(bars - 1)] += 1.0 / judged.len() as f64;
    }
    shares
}

fn sigma_groups(judged: &[Judged]) -> Vec<SigmaGroup> {
    let mut order = judged.to_vec();
    order.sort_by(|a, b| a.sigma.total_cmp(&b.sigma).then(a.index.cmp(&b.index)));
    let groups = (judged.len() / EACH).clamp(1, GROUPS);
    let cut = |group: usize| group * order.len() / groups;
    let group = |group: usize| {
        let members = &order[cut(group)..cut(group + 1)];
        SigmaGroup {
            n: members.len(),
            sigma: mean(members.iter().map(|one| one.sigma * one.sigma)).sqrt(),
            rmse: mean(members.iter().map(squared)).sqrt(),
            interval: rmse_interval(members),
        }
    };
    (0..groups).map(group).collect()
}

/// The Gaussian's central interval holds a value if both of its tails beyond the value are half an alpha or more.
fn coverage(judged: &[Judged], seed: u64) -> Result<Vec<AlphaRow>> {
    let tails: Vec<f64> = judged.iter().map(|one| 2.0 * normal::cdf(-one.residual().abs())).collect();
    let order = shuffled(judged.len(), seed);
    let (fit, judge) = order.split_at(order.len() / 2);
    let residual = |&index: &usize| judged[index].residual().abs() as f32;
    let mut fit: Vec<f32> = fit.iter().map(residual).collect();
    let rows = ALPHAS.map(|hundredths| {
        let alpha = Share::from_millionths(hundredths * Share::ONE / 100)?;
        let held = tails.iter().filter(|&&tail| tail >= alpha.value()).count();
        let conformal = match alpha.rank(fit.len()) {
            Some(_) => {
                let factor = threshold(&mut fit, alpha, "in all")?;
                let held = judge.iter().filter(|index| residual(index) <= factor).count();
                Some(held as f64 / judge.len() as f64)
            }
            None => None,
        };
        Ok(AlphaRow {
            alpha: alpha.value(),
            gaussian: held as f64 / judged.len().max(1) as f64,
            gaussian_interval: binomial::interval(held as u64, judged.len() as u64, CONFIDENCE),
            conformal,
        })
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Residuals at the middles of `n` equal parts of the normal distribution: calibrated by construction.
    fn calibrated(n: usize, sigma_factor: f64) -> Vec<Judged> {
        let quantile = |p: f64| {
            let (mut low, mut high) = (-9.0, 9.0);
            for _ in 0..80 {
                let middle = 0.5 * (low + high);
                if normal::cdf(middle) < p { low = middle } else { high = middle }
            }
            low
        };
        let one = |index: usize| {
            // A permutation, so that sigma and residual have nothing to do with each other.
            let sigma = 1.0 + (index * 37 % n) as f64 / n as f64;
            let residual = quantile((index as f64 + 0.5) / n as f64);
            Judged { index, observed: 5.0 + sigma * residual, predicted: 5.0, sigma: sigma * sigma_factor }
        };
        (0..n).map(one).collect()
    }

    #[test]
    fn a_calibrated_prediction_is_flat_covered_and_on_the_diagonal() {
        let judged = calibrated(1000, 1.0);
        let found = report("t".into(), &judged, 0).unwrap();
        assert_eq!(found.pit.len(), BARS);
        assert!(found.pit.iter().all(|share| (share - 0.05).abs() < 1e-9), "{:?}", found.pit);
        for row in &found.coverage {
            assert!((row.gaussian - (1.0 - row.alpha)).abs() <= 0.001, "{row:?}");
            assert!((row.conformal.unwrap() - (1.0 - row.alpha)).abs() < 0.06, "{row:?}");
            assert!(row.gaussian_interval.0 < row.gaussian && row.gaussian < row.gaussian_interval.1);
        }
        assert_eq!(found.sigma_groups.iter().map(|group| group.n).sum::<usize>(), 1000);
        assert!(found.sigma_groups.is_sorted_by(|a, b| a.sigma < b.sigma));
        for group in &found.sigma_groups {
            assert!(group.interval.0 < group.sigma && group.sigma < group.interval.1, "{group:?}");
        }
        assert!(found.r2.unwrap().abs() < 1e-3, "the mean of all is no better than itself: {:?}", found.r2);
        assert_eq!((found.unlikely.len(), found.shown.len()), (UNLIKELY, 250));
        assert!(found.unlikely[0].residual().abs() >= found.unlikely[1].residual().abs());
    }

    #[test]
    fn too_small_a_sigma_is_seen_in_all_three() {
        let found = report("t".into(), &calibrated(1000, 0.5), 0).unwrap();
        // Half of sigma: the interval of 90 % reaches 1.645 / 2 true sigma, which holds 58.9 %.
        let row = found.coverage.iter().find(|row| (row.alpha - 0.1).abs() < 1e-9).unwrap();
        assert!((row.gaussian - 0.589).abs() < 0.002, "{row:?}");
        assert!((row.conformal.unwrap() - 0.9).abs() < 0.06, "conformal intervals make up for it: {row:?}");
        assert!(found.pit[0] > 0.15 && found.pit[BARS / 2] < 0.04, "{:?}", found.pit);
        assert!(found.sigma_groups.iter().all(|group| group.rmse > 1.5 * group.sigma));
    }

    #[test]
    fn few_examples_are_enough() {
        for n in [1, 2, 7] {
            let found = report("t".into(), &calibrated(n, 1.0), 0).unwrap();
            assert!((found.pit.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            assert!(found.sigma_groups.len() == 1 && found.unlikely.len() == n);
            assert_eq!(found.coverage[0].conformal, None);
        }
        assert_eq!(report("t".into(), &calibrated(1, 1.0), 0).unwrap().r2, None);
    }
}
