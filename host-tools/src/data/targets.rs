//! Real targets of a regression, and the units in which a network learns them.

use super::Dataset;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// A spread below this share of the magnitude (or of 1) is none.
const CONSTANT: f64 = 1e-6;

/// Real targets of all examples.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Targets {
    /// One a target; none of data without targets.
    pub names: Vec<String>,
    /// `[examples, targets]`, in the user's units.
    pub values: Vec<f32>,
}

/// Mean and standard deviation of each target over the training part: a network learns
/// `(y - mean) / std`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetScaling {
    /// Names of the targets.
    pub names: Vec<String>,
    /// In the user's units.
    pub mean: Vec<f32>,
    /// In the user's units, of the population; positive.
    pub std: Vec<f32>,
}

/// Name of a target that has none: its number.
pub(crate) fn unnamed_target(target: usize) -> String {
    format!("target {target}")
}

impl Targets {
    /// Number of targets of one example.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Targets of one example; empty if there are none.
    #[must_use]
    pub fn of(&self, example: usize) -> &[f32] {
        self.values.get(example * self.len()..(example + 1) * self.len()).unwrap_or_default()
    }

    /// Those of the examples with these indices, in this order.
    pub(super) fn select(&self, indices: &[usize]) -> Self {
        let values = indices.iter().flat_map(|&index| self.of(index).iter().copied()).collect();
        Self { names: self.names.clone(), values }
    }
}

impl TargetScaling {
    /// Moments over all examples, in f64 and two passes.
    ///
    /// # Errors
    /// If there is no target, one is the same in all examples, or its moments are too large.
    pub fn fit(train: &Dataset) -> Result<Self> {
        let (targets, n) = (&train.targets, train.len() as f64);
        if targets.is_empty() || train.is_empty() {
            return Err(Error::invalid(format!("{}: targets", train.name), 0, "at least 1 of 1 example"));
        }
        let mut scaling = Self { names: targets.names.clone(), mean: Vec::new(), std: Vec::new() };
        for (t, name) in targets.names.iter().enumerate() {
            let values = || targets.values.iter().skip(t).step_by(targets.len()).map(|&y| f64::from(y));
            let mean = values().sum::<f64>() / n;
            let std = (values().map(|y| (y - mean).powi(2)).sum::<f64>() / n).sqrt();
            // The artifact's own bounds, with room.
            let usable = std > CONSTANT * mean.abs().max(1e-6) && (1e-14..1e14).contains(&std);
            if !usable {
                return Err(Error::invalid(
                    format!("{}: standard deviation of target {name}", train.name),
                    std,
                    "a target that varies, by 1e-14 to 1e14",
                ));
            }
            scaling.mean.push(mean as f32);
            scaling.std.push(std as f32);
        }
        Ok(scaling)
    }

    /// The same examples with `(y - mean) / std` for each target.
    ///
    /// # Errors
    /// If the set has other targets.
    pub fn apply(&self, set: &Dataset) -> Result<Dataset> {
        if set.targets.names != self.names {
            let found = set.targets.names.join(", ");
            return Err(Error::invalid(format!("{}: targets", set.name), found, self.names.join(", ")));
        }
        let units = self.mean.iter().zip(&self.std).cycle();
        let scale = |(&y, (&mean, &std)): (&f32, (&f32, &f32))| {
            ((f64::from(y) - f64::from(mean)) / f64::from(std)) as f32
        };
        let values = set.targets.values.iter().zip(units).map(scale).collect();
        Ok(Dataset { targets: Targets { names: self.names.clone(), values }, ..set.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Inputs;
    use crate::graph::Shape;

    fn set(values: &[f32], names: &[&str]) -> Dataset {
        let n = values.len() / names.len();
        Dataset {
            name: "t".into(),
            shape: Shape::vector(1),
            inputs: Inputs::F32(vec![0.0; n]),
            labels: vec![0; n],
            class_names: vec!["all".into()],
            targets: Targets {
                names: names.iter().map(ToString::to_string).collect(),
                values: values.to_vec(),
            },
        }
    }

    #[test]
    fn scaled_targets_have_mean_0_and_deviation_1() {
        let set = set(&[1.0, 1e6, 3.0, 1e6 + 2.0, 8.0, 1e6 + 4.0], &["a", "b"]);
        let scaled = TargetScaling::fit(&set).unwrap().apply(&set).unwrap();
        for t in 0..2 {
            let values: Vec<f64> = (0..3).map(|i| f64::from(scaled.targets.of(i)[t])).collect();
            let mean = values.iter().sum::<f64>() / 3.0;
            let square = values.iter().map(|y| y * y).sum::<f64>() / 3.0;
            assert!(mean.abs() < 1e-5 && (square - 1.0).abs() < 1e-5, "{values:?}");
        }
        let one = scaled.select(&[2]).unwrap();
        assert_eq!(one.targets.of(0), scaled.targets.of(2));
        assert!(one.targets.of(1).is_empty());
    }

    #[test]
    fn constant_and_other_targets_are_named() {
        let constant = set(&[5.0, 5.0, 5.0], &["flow"]);
        assert!(TargetScaling::fit(&constant).unwrap_err().to_string().contains("target flow: found 0"));
        let varied = set(&[5.0, 6.0], &["flow"]);
        let scaling = TargetScaling::fit(&varied).unwrap();
        let message = scaling.apply(&set(&[5.0, 6.0], &["heat"])).unwrap_err().to_string();
        assert!(message.contains("found heat, expected flow"), "{message}");
    }
}
