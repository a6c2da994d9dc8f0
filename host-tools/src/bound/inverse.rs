//! The binary Kullback-Leibler divergence and its inverse.

/// `kl(q || p)` of two Bernoulli distributions, nats.
#[must_use]
pub fn binary_kl(q: f64, p: f64) -> f64 {
    let term = |a: f64, b: f64| if a <= 0.0 { 0.0 } else { a * (a / b).ln() };
    term(q, p) + term(1.0 - q, 1.0 - p)
}

/// The greatest `p` with `kl(q || p) <= budget`, rounded up by less than 1e-12.
#[must_use]
pub fn kl_inverse(q: f64, budget: f64) -> f64 {
    if q >= 1.0 || !budget.is_finite() {
        return 1.0;
    }
    let (mut low, mut high) = (q.max(0.0), 1.0);
    while high - low > 1e-12 {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if binary_kl(q, middle) <= budget { low = middle } else { high = middle }
    }
    high
}
