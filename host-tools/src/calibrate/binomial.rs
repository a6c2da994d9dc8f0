//! Exact binomial probabilities and bounds (Clopper and Pearson 1934).

/// Probability of at most `successes` among `trials`, each with probability `p`, 0 to 1.
#[must_use]
pub fn cdf(successes: u64, trials: u64, p: f64) -> f64 {
    if successes >= trials || p <= 0.0 {
        return 1.0;
    }
    if p >= 1.0 {
        return 0.0;
    }
    // Terms in logarithms: the first ones may be far below the least f64.
    let odds = (p / (1.0 - p)).ln();
    let mut term = trials as f64 * (-p).ln_1p();
    let mut sum = term.exp();
    for i in 0..successes {
        term += ((trials - i) as f64 / (i + 1) as f64).ln() + odds;
        sum += term.exp();
    }
    sum.min(1.0)
}

/// Upper bound of the probability of success: with confidence `1 - delta` it is at most this.
#[must_use]
pub fn upper_bound(successes: u64, trials: u64, delta: f64) -> f64 {
    if successes >= trials {
        return 1.0;
    }
    let (mut low, mut high) = (successes as f64 / trials as f64, 1.0);
    // 60 halvings reach the spacing of f64; the upper end is the safe one.
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if cdf(successes, trials, middle) > delta {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_by_hand() {
        assert!((cdf(1, 3, 0.5) - 0.5).abs() < 1e-12);
        assert!((cdf(0, 10, 0.1) - 0.9_f64.powi(10)).abs() < 1e-12);
        assert!((cdf(9, 10, 0.3) - (1.0 - 0.3_f64.powi(10))).abs() < 1e-12);
        assert_eq!((cdf(3, 3, 0.5), cdf(0, 5, 0.0), cdf(2, 5, 1.0)), (1.0, 1.0, 0.0));
        let total = cdf(4999, 10_000, 0.5) + 0.5 * (cdf(5000, 10_000, 0.5) - cdf(4999, 10_000, 0.5));
        assert!((total - 0.5).abs() < 1e-9, "symmetric: {total}");
    }

    #[test]
    fn bounds_of_clopper_and_pearson() {
        // No success: 1 - delta^(1/n), the "rule of three".
        assert!((upper_bound(0, 100, 0.05) - (1.0 - 0.05_f64.powf(0.01))).abs() < 1e-12);
        // scipy.stats.binomtest(7, 50).proportion_ci(0.90).high
        assert!((upper_bound(7, 50, 0.05) - 0.246_935_201_731).abs() < 1e-9);
        for (successes, trials, delta) in [(3, 40, 0.01), (200, 2500, 1e-4), (0, 7, 0.2)] {
            let bound = upper_bound(successes, trials, delta);
            assert!((cdf(successes, trials, bound) - delta).abs() < 1e-9);
        }
        assert_eq!(upper_bound(5, 5, 0.05), 1.0);
    }
}
