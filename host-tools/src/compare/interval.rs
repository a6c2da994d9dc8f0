//! Means over seeds with Student's t-intervals.

use serde::{Deserialize, Serialize};

/// Mean of a figure over seeds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Mean {
    /// Mean.
    pub mean: f64,
    /// Half of the 95 % t-interval; `null` for one seed.
    pub half_width: Option<f64>,
    /// Number of seeds.
    pub n: usize,
}

impl Mean {
    /// Of these values; `None` of no value.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        let n = values.len();
        let mean = values.iter().sum::<f64>() / n as f64;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n as f64 - 1.0);
        let half_width = (n > 1).then(|| t_quantile(n - 1) * (variance / n as f64).sqrt());
        (n > 0).then_some(Self { mean, half_width, n })
    }
}

/// The 97.5 % quantile of Student's distribution: `scipy.stats.t.ppf(0.975, degrees)` up to 30, then
/// Cornish and Fisher's expansion about the normal one (below 1e-4 off).
#[must_use]
pub fn t_quantile(degrees: usize) -> f64 {
    const TABLE: [f64; 30] = [
        12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281, 2.2010, 2.1788,
        2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860, 2.0796, 2.0739, 2.0687, 2.0639,
        2.0595, 2.0555, 2.0518, 2.0484, 2.0452, 2.0423,
    ];
    let z = 1.959_964_f64;
    let v = degrees.max(1) as f64;
    TABLE.get(degrees.max(1) - 1).copied().unwrap_or_else(|| {
        z + (z.powi(3) + z) / (4.0 * v) + (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / (96.0 * v * v)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 40, 100: `scipy.stats.t.ppf(0.975, ...)` of scipy 1.17.
    #[test]
    fn quantiles_go_on_where_the_table_ends() {
        assert!((t_quantile(40) - 2.021_075).abs() < 1e-4 && (t_quantile(100) - 1.983_972).abs() < 1e-4);
        assert!((1..200).all(|degrees| t_quantile(degrees) > t_quantile(degrees + 1)));
    }

    /// By hand: mean 2, variance 1, 4.3027 / sqrt(3).
    #[test]
    fn intervals_are_those_of_student() {
        let mean = Mean::of(&[1.0, 2.0, 3.0]).unwrap();
        assert!((mean.half_width.unwrap() - 4.3027 / 3f64.sqrt()).abs() < 1e-9 && mean.mean == 2.0);
        assert_eq!(Mean::of(&[5.0]), Some(Mean { mean: 5.0, half_width: None, n: 1 }));
        assert_eq!(Mean::of(&[]), None);
    }
}
