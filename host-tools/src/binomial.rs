//! Exact binomial tail, and the confidence bound of a share that follows from it.

/// Probability of at most `k` events in `n` trials of probability `p`, 0 < p < 1.
#[must_use]
pub fn at_most(k: u64, n: u64, p: f64) -> f64 {
    if k >= n {
        return 1.0;
    }
    // Each term from the one before, as logarithms: the first underflows for large n.
    let odds = (p / (1.0 - p)).ln();
    let mut term = n as f64 * (-p).ln_1p();
    let mut sum = term.exp();
    for i in 1..=k {
        term += ((n - i + 1) as f64 / i as f64).ln() + odds;
        sum += term.exp();
    }
    sum.min(1.0)
}

/// Clopper-Pearson: the share that is exceeded with at most probability `1 - confidence`, where `k` of
/// `n` were found.
#[must_use]
pub fn upper_bound(k: u64, n: u64, confidence: f64) -> f64 {
    if k >= n {
        return 1.0;
    }
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if at_most(k, n, middle) > 1.0 - confidence { low = middle } else { high = middle }
    }
    high
}

/// Clopper-Pearson: the two-sided interval of a share, where `k` of `n` were found. All of 0 to 1 if `n`
/// is 0. Takes time proportional to `k` or `n - k`, whichever is less.
#[must_use]
pub fn interval(k: u64, n: u64, confidence: f64) -> (f64, f64) {
    if n == 0 {
        return (0.0, 1.0);
    }
    if k > n / 2 {
        let (low, high) = interval(n - k, n, confidence);
        return (1.0 - high, 1.0 - low);
    }
    let tail = (1.0 - confidence) / 2.0;
    // The share at which finding k or more becomes as unlikely as the tail.
    let low = if k == 0 { 0.0 } else { upper_bound(k - 1, n, tail) };
    (low, upper_bound(k, n, 1.0 - tail))
}

/// Least number of trials without any event that proves at most a share `delta`.
#[must_use]
pub fn least_trials(delta: f64, confidence: f64) -> u64 {
    ((1.0 - confidence).ln() / (-delta).ln_1p()).ceil().max(1.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, with whole binomial coefficients.
    fn by_definition(k: u64, n: u64, p: f64) -> f64 {
        let choose = |i: u64| (0..i).fold(1.0, |c, j| c * (n - j) as f64 / (j + 1) as f64);
        (0..=k).map(|i| choose(i) * p.powi(i as i32) * (1.0 - p).powi((n - i) as i32)).sum()
    }

    #[test]
    fn the_interval_is_that_of_the_textbook() {
        // statsmodels.stats.proportion.proportion_confint(8, 10, method="beta"), and (0, 10).
        for (k, expected) in
            [(8, (0.443_904_5, 0.974_789_3)), (0, (0.0, 0.308_497_1)), (10, (0.691_502_9, 1.0))]
        {
            let (low, high) = interval(k, 10, 0.95);
            assert!((low - expected.0).abs() < 1e-6 && (high - expected.1).abs() < 1e-6, "{k}: {low} {high}");
        }
        assert_eq!(interval(0, 0, 0.95), (0.0, 1.0));
    }

    #[test]
    fn the_tail_is_the_sum_of_its_terms() {
        for (n, p) in [(1, 0.5), (7, 0.01), (30, 0.3), (60, 0.9)] {
            for k in 0..n {
                let (found, expected) = (at_most(k, n, p), by_definition(k, n, p));
                assert!((found - expected).abs() < 1e-12, "{k} of {n} at {p}: {found}, {expected}");
            }
        }
        assert_eq!(at_most(5, 5, 0.2), 1.0);
        // Far below the smallest f64, and back.
        let half = at_most(10_000, 1_000_000, 0.01);
        assert!((half - 0.5).abs() < 0.01, "{half}");
    }

    /// Against published values: no event in 299 trials proves 1 % at 95 %, in 298 it does not (the
    /// exact "rule of three"); 95 % one-sided Clopper-Pearson bounds by scipy 1.17,
    /// `scipy.stats.beta.ppf(0.95, k + 1, n - k)`.
    #[test]
    fn bounds_are_those_of_clopper_and_pearson() {
        assert_eq!(least_trials(0.01, 0.95), 299);
        assert!(at_most(0, 299, 0.01) <= 0.05 && at_most(0, 298, 0.01) > 0.05);
        for (k, n, expected) in BOUNDS {
            let found = upper_bound(k, n, 0.95);
            assert!((found - expected).abs() < 1e-9, "{k} of {n}: {found}, {expected}");
        }
        assert_eq!(upper_bound(3, 3, 0.95), 1.0);
    }

    const BOUNDS: [(u64, u64, f64); 4] = [
        (0, 10, 0.258_865_550_893_052_2),
        (1, 50, 0.091_398_130_719_697_38),
        (29, 3976, 0.009_931_718_889_493_858),
        (400, 5000, 0.086_594_175_819_475_72),
    ];
}
