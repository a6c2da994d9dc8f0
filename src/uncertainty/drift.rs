//! The drift monitor: notices when uncertainty scores no longer come from where they came from.
//!
//! Each score gets a conformal p-value, its place among the reference scores. Bets against "nothing
//! changed" multiply their stakes by what the artifact's table says for that place; on average no bet
//! gains while nothing changed, however the table was made (the loader proves it). By Ville's
//! inequality the stakes then ever reach `1 / a` with probability at most `a`, for a stream of any
//! length: that is the alarm.
//!
//! So that old losses do not delay it, the stake is paid in little by little, a share
//! `ln 2 / (x ln^2 x)` with `x = k + 2` at the k-th score: these sum to less than 1 over all time. From score
//! 2^32 - 1 on, which the count does not pass, nothing more is paid in.

use super::Score;
use crate::artifact::{Drift, Model};
use crate::number;
use crate::predict::Classification;

/// Most bets of an artifact.
pub const MAX_BETS: usize = 8;

/// Stakes do not grow beyond this, far above every alarm.
const CAP: f32 = 1e30;

/// What the monitor remembers: 44 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct DriftState {
    /// Stake of each bet.
    stakes: [f32; MAX_BETS],
    /// Scores seen.
    count: u32,
    /// Greatest sum of stakes so far.
    peak: f32,
    alarm: bool,
}

/// What the monitor says after a score.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct DriftReport {
    /// Upper bound of the probability of a score in this bin or above while nothing changed, 0 to 1.
    pub p_value: f32,
    /// Evidence against "nothing changed" now: an e-value, below 1 on average while that is true.
    pub evidence: f32,
    /// Greatest evidence so far.
    pub peak: f32,
    /// Whether the evidence ever reached the alarm's level; stays until the monitor is reset.
    pub alarm: bool,
    /// Scores seen since the start.
    pub count: u32,
}

/// The monitor: the artifact's table and the state.
#[derive(Debug, Clone, Copy)]
pub struct DriftMonitor<'m> {
    fact: Drift,
    thresholds: &'m [f32],
    above: &'m [f32],
    /// `[bets, bins]`
    bets: &'m [f32],
    /// Evidence that raises the alarm.
    level: f32,
    state: DriftState,
}

impl<'m> DriftMonitor<'m> {
    /// Starts anew. `None` if the artifact carries no reference.
    #[must_use]
    pub fn new(model: &Model<'m>) -> Option<Self> {
        let fact = model.manifest().drift?;
        let [thresholds, above, bets] = [fact.thresholds, fact.above, fact.bets].map(|blob| model.f32s(blob));
        let level = 1e6 / fact.false_alarm_millionths.saturating_sub(fact.reference_millionths).max(1) as f32;
        Some(Self { fact, thresholds, above, bets, level, state: DriftState::default() })
    }

    /// What the artifact says of it.
    #[must_use]
    pub fn fact(&self) -> &Drift {
        &self.fact
    }

    /// Evidence that raises the alarm.
    #[must_use]
    pub fn level(&self) -> f32 {
        self.level
    }

    /// The state, to be kept over a sleep.
    #[must_use]
    pub fn state(&self) -> &DriftState {
        &self.state
    }

    /// Goes on from a state of the same artifact, or from [`DriftState::default`] anew.
    pub fn set_state(&mut self, state: DriftState) {
        self.state = state;
    }

    /// Takes in a prediction.
    pub fn push(&mut self, prediction: &Classification) -> DriftReport {
        self.push_score(Score::of(self.fact.score, prediction))
    }

    /// Takes in a score. NaN counts as the greatest.
    pub fn push_score(&mut self, score: f32) -> DriftReport {
        let bin = if score.is_nan() {
            self.thresholds.len()
        } else {
            self.thresholds.partition_point(|&threshold| score > threshold)
        };
        let state = &mut self.state;
        state.count = state.count.saturating_add(1);
        let bins = self.thresholds.len() + 1;
        let bets = self.bets.len() / bins;
        let paid_in = payment(state.count) / bets.max(1) as f32;
        let mut evidence = 0.0;
        for (stake, bet) in state.stakes.iter_mut().zip(self.bets.chunks_exact(bins)) {
            let factor = bet.get(bin).copied().unwrap_or(0.0);
            *stake = ((*stake + paid_in) * factor).min(CAP);
            evidence += *stake;
        }
        state.peak = state.peak.max(evidence);
        state.alarm |= evidence >= self.level;
        let p_value = bin.checked_sub(1).and_then(|edge| self.above.get(edge)).copied().unwrap_or(1.0);
        self.report(p_value, evidence)
    }

    fn report(&self, p_value: f32, evidence: f32) -> DriftReport {
        let DriftState { count, peak, alarm, .. } = self.state;
        DriftReport { p_value, evidence, peak, alarm, count }
    }
}

/// Share of the whole stake that is paid in at the `count`-th score, from 1: at most the decrease of
/// `ln 2 / ln(x)`, which is convex, from `x - 1` to `x`. Nothing once the count stands still.
fn payment(count: u32) -> f32 {
    if count == u32::MAX {
        return 0.0;
    }
    let x = count as f32 + 2.0;
    let ln = number::ln(x);
    core::f32::consts::LN_2 / (x * ln * ln)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payments_never_sum_to_more_than_the_stake() {
        let (mut sum, mut since) = (0.0_f64, 0.0_f64);
        for count in 1..=10_000_000_u32 {
            since += f64::from(payment(count));
            if count.is_power_of_two() {
                // What is left must cover all that follows: ln 2 / ln(x) of the exact series.
                sum += since;
                since = 0.0;
                let left = 1.0 - sum;
                assert!(left >= std::f64::consts::LN_2 / (f64::from(count) + 2.0).ln(), "{count}: {left}");
            }
        }
        assert!(payment(u32::MAX - 1) > 0.0);
        assert_eq!(payment(u32::MAX), 0.0, "the count stays there");
    }
}
