//! Percentile bootstrap: how much a figure would vary with other examples of the same kind.

use crate::data::below;
use rand_core::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;
use serde::Serialize;

/// Resamples of [`intervals`].
pub const RESAMPLES: usize = 1000;

/// 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval(
    /// 2.5 % of the resamples lie below.
    pub f64,
    /// 2.5 % of the resamples lie above.
    pub f64,
);

/// 95 % percentile intervals (Efron 1979) of `FIGURES` figures of `n` examples: `figures` gets the
/// indices of [`RESAMPLES`] resamples, drawn with replacement. The same seed gives the same intervals.
pub fn intervals<const FIGURES: usize>(
    n: usize,
    seed: u64,
    figures: impl Fn(&[usize]) -> [f64; FIGURES] + Sync,
) -> [Interval; FIGURES] {
    intervals_of_parts(&[n], seed, figures)
}

/// As [`intervals`], of figures of several sets of these sizes, each resampled by itself: the indices of the
/// first set come first.
pub fn intervals_of_parts<const FIGURES: usize>(
    sizes: &[usize],
    seed: u64,
    figures: impl Fn(&[usize]) -> [f64; FIGURES] + Sync,
) -> [Interval; FIGURES] {
    let resampled: Vec<[f64; FIGURES]> = (0..RESAMPLES)
        .into_par_iter()
        .map_init(Vec::new, |indices, resample| {
            // One stream a resample: threads play no part.
            let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed ^ ((resample as u64) << 32));
            indices.clear();
            for &n in sizes {
                indices.extend((0..n).map(|_| below(&mut rng, n)));
            }
            figures(indices)
        })
        .collect();
    std::array::from_fn(|figure| {
        let mut values: Vec<f64> = resampled.iter().map(|row| row[figure]).collect();
        values.sort_by(f64::total_cmp);
        let tail = RESAMPLES / 40;
        Interval(values[tail - 1], values[RESAMPLES - tail])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_a_mean_is_the_normal_one() {
        let n = 400;
        let values: Vec<f64> = (0..n).map(|i| f64::from(u8::from(i % 4 == 0))).collect();
        let mean = |indices: &[usize]| [indices.iter().map(|&i| values[i]).sum::<f64>() / n as f64];
        let [Interval(low, high)] = intervals(n, 7, mean);
        let half = 1.96 * (0.25_f64 * 0.75 / n as f64).sqrt();
        assert!((low - (0.25 - half)).abs() < 0.006 && (high - (0.25 + half)).abs() < 0.006, "{low} {high}");
        assert_eq!(intervals(n, 7, mean), [Interval(low, high)]);
    }
}
