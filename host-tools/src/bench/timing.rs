//! Times of one thing done many times.

use crate::error::Result;
use serde::Serialize;
use std::time::{Duration, Instant};

/// Rounds in which the things to be timed take turns.
const ROUNDS: u32 = 5;

/// Median and spread, microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Timing {
    /// Half of the times are below.
    pub median_us: f64,
    /// A tenth of the times is below.
    pub p10_us: f64,
    /// Nine tenths of the times are below.
    pub p90_us: f64,
    /// The least.
    pub least_us: f64,
    /// The mean.
    pub mean_us: f64,
    /// Number of times.
    pub count: usize,
}

impl Timing {
    /// Of at least one time; all zero of none.
    #[must_use]
    pub fn new(times: Vec<Duration>) -> Self {
        let mut micros: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1e6).collect();
        micros.sort_by(f64::total_cmp);
        let count = micros.len();
        // The nearest rank.
        let quantile = |share: f64| {
            let rank = (share * count as f64).ceil().max(1.0) as usize;
            micros.get(rank - 1).copied().unwrap_or(0.0)
        };
        Self {
            median_us: quantile(0.5),
            p10_us: quantile(0.1),
            p90_us: quantile(0.9),
            least_us: quantile(0.0),
            mean_us: micros.iter().sum::<f64>() / count.max(1) as f64,
            count,
        }
    }
}

/// Lets `runs` take turns, a fifth of the time `each` of them may have, until all have had it: at least
/// one time a turn. `once` runs one of them and says what it took; the first time of all, which also
/// warms caches up, is not counted.
///
/// # Errors
/// The first error of `once`.
pub fn alternate<T>(
    runs: &mut [T],
    each: Duration,
    mut once: impl FnMut(&mut T) -> Result<Duration>,
) -> Result<Vec<Timing>> {
    let mut times = vec![Vec::new(); runs.len()];
    for run in &mut *runs {
        once(run)?;
    }
    for _ in 0..ROUNDS {
        for (run, times) in runs.iter_mut().zip(&mut times) {
            let begin = Instant::now();
            loop {
                times.push(once(run)?);
                if begin.elapsed() >= each / ROUNDS {
                    break;
                }
            }
        }
    }
    Ok(times.into_iter().map(Timing::new).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_nearest_ranks() {
        let times = (1..=10).rev().map(Duration::from_micros).collect();
        let timing = Timing::new(times);
        let found = [timing.least_us, timing.p10_us, timing.median_us, timing.p90_us, timing.mean_us];
        for (found, expected) in found.into_iter().zip([1.0, 1.0, 5.0, 9.0, 5.5]) {
            assert!((found - expected).abs() < 1e-9, "found {found}, expected {expected}");
        }
        assert_eq!(timing.count, 10);
        assert_eq!(Timing::new(Vec::new()).count, 0);
    }

    #[test]
    fn all_take_their_turns() {
        let mut runs = [0_u32, 0];
        let timings = alternate(&mut runs, Duration::ZERO, |run| {
            *run += 1;
            Ok(Duration::from_micros(1))
        })
        .unwrap();
        assert_eq!(runs, [ROUNDS + 1, ROUNDS + 1]);
        assert_eq!(timings.iter().map(|t| t.count).collect::<Vec<_>>(), [ROUNDS as usize; 2]);
    }
}
