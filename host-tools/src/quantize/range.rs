//! Ranges of activations: what each node's outputs span on the calibration split, and the rule that
//! turns a histogram of them into an int8 scale and zero point.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// Bins of a histogram. Fine enough that the 256 steps of int8 are placed to 1/8 of a step.
const BINS: usize = 2048;

/// Candidate ranges that the MSE rule tries on the way from the whole range down to nothing.
const MSE_CANDIDATES: usize = 100;

/// How a range is chosen from what was seen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RangeRule {
    /// Least and greatest value seen.
    MinMax,
    /// This share of the values (0.5 to 1), the rest clipped in equal parts at both ends.
    Percentile(f64),
    /// The range with the least mean squared quantization error, clipping included.
    Mse,
}

/// A rule, and whether zero points are free.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ranges {
    /// How a range is chosen.
    pub rule: RangeRule,
    /// Whether every zero point is 0.
    pub symmetric: bool,
}

impl Ranges {
    /// `quantization`, or the least symmetric one that covers it.
    #[must_use]
    pub fn adjust(self, quantization: Quantization) -> Quantization {
        if !self.symmetric {
            return quantization;
        }
        let reach = quantization.real(127).max(-quantization.real(-128));
        Quantization { scale: ((reach / 127.0) as f32).max(f32::MIN_POSITIVE), zero_point: 0 }
    }
}

/// How int8 values stand for reals: `real = scale * (q - zero_point)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantization {
    /// Real value of one step.
    pub scale: f32,
    /// The int8 value of 0.0.
    pub zero_point: i8,
}

impl Quantization {
    /// Covers `[min, max]`, widened to contain 0, with 256 steps. A range of no width gets scale 1.
    #[must_use]
    pub fn covering(min: f64, max: f64) -> Self {
        let (min, max) = (min.min(0.0), max.max(0.0));
        // A scale below the least normal number would be refused by every reader.
        let scale = (((max - min) / 255.0) as f32).max(f32::MIN_POSITIVE);
        if max - min == 0.0 {
            return Self { scale: 1.0, zero_point: 0 };
        }
        let zero_point = (-128.0 - min / f64::from(scale)).round_ties_even().clamp(-128.0, 127.0);
        Self { scale, zero_point: zero_point as i8 }
    }

    /// The int8 value nearest to `x`.
    #[must_use]
    pub fn quantize(&self, x: f64) -> i8 {
        let q = (x / f64::from(self.scale)).round_ties_even() + f64::from(self.zero_point);
        q.clamp(-128.0, 127.0) as i8
    }

    /// The real value that `q` stands for.
    #[must_use]
    pub fn real(&self, q: i8) -> f64 {
        f64::from(self.scale) * f64::from(i32::from(q) - i32::from(self.zero_point))
    }
}

/// Least and greatest value seen: the first of two passes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Extent {
    /// Least value.
    pub min: f32,
    /// Greatest value.
    pub max: f32,
}

impl Default for Extent {
    fn default() -> Self {
        Self { min: f32::INFINITY, max: f32::NEG_INFINITY }
    }
}

impl Extent {
    /// Takes in more values.
    pub fn add(&mut self, values: &[f32]) {
        for &value in values {
            self.min = self.min.min(value);
            self.max = self.max.max(value);
        }
    }
}

/// Counts of values over a known extent: the second pass.
#[derive(Debug, Clone)]
pub struct Histogram {
    extent: Extent,
    counts: Vec<u64>,
}

impl Histogram {
    /// An empty histogram over `extent`.
    ///
    /// # Errors
    /// If nothing was seen, or something that is no finite number.
    pub fn new(extent: Extent, node: &str) -> Result<Self> {
        if extent.min > extent.max || !extent.min.is_finite() || !extent.max.is_finite() {
            return Err(Error::invalid(
                format!("activations of {node}"),
                format!("range {} to {}", extent.min, extent.max),
                "finite values on the calibration split",
            ));
        }
        Ok(Self { extent, counts: vec![0; BINS] })
    }

    /// Takes in more values; those outside the extent count in the outer bins.
    pub fn add(&mut self, values: &[f32]) {
        let Extent { min, max } = self.extent;
        let per_unit = if max > min { BINS as f32 / (max - min) } else { 0.0 };
        for &value in values {
            let bin = ((value - min) * per_unit) as usize;
            self.counts[bin.min(BINS - 1)] += 1;
        }
    }

    /// The quantization that `rule` chooses.
    #[must_use]
    pub fn quantization(&self, rule: RangeRule) -> Quantization {
        let (min, max) = match rule {
            RangeRule::MinMax => (f64::from(self.extent.min), f64::from(self.extent.max)),
            RangeRule::Percentile(share) => self.percentile(share),
            RangeRule::Mse => self.least_error(),
        };
        Quantization::covering(min, max)
    }

    /// The quantization that `ranges` choose.
    #[must_use]
    pub fn quantization_by(&self, ranges: Ranges) -> Quantization {
        ranges.adjust(self.quantization(ranges.rule))
    }

    fn width(&self) -> f64 {
        (f64::from(self.extent.max) - f64::from(self.extent.min)) / BINS as f64
    }

    fn center(&self, bin: usize) -> f64 {
        f64::from(self.extent.min) + (bin as f64 + 0.5) * self.width()
    }

    fn percentile(&self, share: f64) -> (f64, f64) {
        let total: u64 = self.counts.iter().sum();
        let tail = (total as f64 * (1.0 - share) / 2.0) as u64;
        let first_above = |counts: &mut dyn Iterator<Item = &u64>| {
            let mut seen = 0;
            counts
                .take_while(|&&count| {
                    seen += count;
                    seen <= tail
                })
                .count()
        };
        let low = first_above(&mut self.counts.iter());
        let high = first_above(&mut self.counts.iter().rev());
        let min = f64::from(self.extent.min) + low as f64 * self.width();
        let max = f64::from(self.extent.max) - high as f64 * self.width();
        (min, max.max(min))
    }

    /// Shrinks both ends towards zero in proportion and keeps the range of least squared error.
    fn least_error(&self) -> (f64, f64) {
        let (min, max) = (f64::from(self.extent.min.min(0.0)), f64::from(self.extent.max.max(0.0)));
        let mut best = (f64::INFINITY, (min, max));
        for candidate in (1..=MSE_CANDIDATES).rev() {
            let share = candidate as f64 / MSE_CANDIDATES as f64;
            let range = (min * share, max * share);
            let error = self.squared_error(Quantization::covering(range.0, range.1));
            if error < best.0 {
                best = (error, range);
            }
        }
        best.1
    }

    fn squared_error(&self, quantization: Quantization) -> f64 {
        let rounding = f64::from(quantization.scale).powi(2) / 12.0;
        let (low, high) = (quantization.real(-128), quantization.real(127));
        let bins = self.counts.iter().enumerate().filter(|&(_, &count)| count > 0);
        bins.map(|(bin, &count)| {
            let center = self.center(bin);
            // A bin is narrower than a step, so inside the range its values' rounding errors are
            // taken as uniform; the exact zeros that a ReLU leaves have none.
            let holds_zero = center.abs() <= self.width() / 2.0;
            let clipped = center - center.clamp(low, high);
            let error = if holds_zero { 0.0 } else { rounding + clipped * clipped };
            count as f64 * error
        })
        .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(values: &[f32]) -> Histogram {
        let mut extent = Extent::default();
        extent.add(values);
        let mut histogram = Histogram::new(extent, "test").unwrap();
        histogram.add(values);
        histogram
    }

    #[test]
    fn min_max_covers_everything_and_zero_is_exact() {
        let q = histogram(&[-0.3, 0.0, 1.7]).quantization(RangeRule::MinMax);
        assert_eq!(q.real(q.zero_point), 0.0);
        assert!((q.real(q.quantize(1.7)) - 1.7).abs() <= f64::from(q.scale));
        assert!((q.real(q.quantize(-0.3)) + 0.3).abs() <= f64::from(q.scale));
    }

    #[test]
    fn a_positive_range_starts_at_zero() {
        let q = Quantization::covering(2.0, 5.1);
        assert_eq!(q.zero_point, -128);
        assert!((f64::from(q.scale) - 5.1 / 255.0).abs() < 1e-7);
    }

    #[test]
    fn an_outlier_is_clipped_by_percentile_and_mse_but_not_by_min_max() {
        let mut values: Vec<f32> = (0..100_000).map(|i| (i % 1000) as f32 / 1000.0).collect();
        values.push(100.0);
        let histogram = histogram(&values);
        let reach = |rule| histogram.quantization(rule).real(127);
        assert!(reach(RangeRule::MinMax) > 99.0);
        assert!(reach(RangeRule::Percentile(0.999)) < 1.2);
        // One value of 100 000 is worth some error in all others, but not a hundred-fold step.
        assert!(reach(RangeRule::Mse) < 95.0, "{}", reach(RangeRule::Mse));
    }

    /// Brute force: the error that the MSE rule minimises is the error on the values themselves.
    #[test]
    fn the_mse_rule_is_at_least_as_good_as_min_max_on_the_values() {
        let values: Vec<f32> = (1..5000).map(|i| (1.0 / (i as f32 / 5000.0)).ln()).collect();
        let histogram = histogram(&values);
        let error = |rule| {
            let q = histogram.quantization(rule);
            values.iter().map(|&v| (q.real(q.quantize(v.into())) - f64::from(v)).powi(2)).sum::<f64>()
        };
        assert!(error(RangeRule::Mse) <= error(RangeRule::MinMax) * 1.0001);
    }

    #[test]
    fn symmetric_ranges_cover_and_have_no_zero_point() {
        let histogram = histogram(&[0.0, 1.0, 4.0]);
        let ranges = Ranges { rule: RangeRule::MinMax, symmetric: true };
        let q = histogram.quantization_by(ranges);
        assert_eq!(q.zero_point, 0);
        assert!((q.real(127) - 4.0).abs() < 1e-6, "{q:?}");
    }

    #[test]
    fn nothing_seen_is_an_error_that_names_the_node() {
        let error = Histogram::new(Extent::default(), "conv1").unwrap_err().to_string();
        assert!(error.contains("conv1"), "{error}");
        let mut extent = Extent::default();
        extent.add(&[f32::INFINITY]);
        assert!(Histogram::new(extent, "conv1").is_err());
    }

    #[test]
    fn a_constant_zero_gets_a_usable_scale() {
        let q = histogram(&[0.0; 8]).quantization(RangeRule::Mse);
        assert!(q.scale.is_normal() && q.scale > 0.0);
    }
}
