//! Reference of an autoencoder's anomaly score: reconstruction errors of normal examples.

use super::artifact::retask;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::evaluate::errors;
use serde::Serialize;
use stf_bnn::artifact::{Anomaly, SamplingPolicy, Task};
use stf_bnn::{AlignedBytes, Config};

/// Greatest scores that are all kept: p-values of the tail are exact.
const EXACT: u32 = 64;

/// Beyond them, a score is kept where its p-value is this much greater than that of the one before.
const STEP: f64 = 1.05;

/// What was fitted, and on how much.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AnomalySummary {
    /// Reference examples.
    pub examples: usize,
    /// Samples of a prediction; 0 for one pass without noise.
    pub num_samples: u16,
    /// Scores of them that the artifact keeps.
    pub kept: usize,
    /// Least p-value that there can be.
    pub least_p_value: f64,
    /// Median and greatest reconstruction error.
    pub median_error: f32,
    /// Likewise.
    pub greatest_error: f32,
}

/// Fits the reference on `normal`, which nothing else has watched, and writes it into the artifact in place of
/// the one it had.
///
/// # Errors
/// If the artifact is damaged or no autoencoder, or the data do not fit it.
pub fn fit_anomaly(
    bytes: &AlignedBytes,
    normal: &Dataset,
    config: &Config,
) -> Result<(Vec<u8>, AnomalySummary)> {
    let model = super::open(bytes)?;
    let (mut found, _) = errors(&model, normal, config)?;
    if found.iter().any(|error| !error.is_finite()) {
        return Err(Error::invalid(
            format!("{}: reconstruction error", normal.name),
            "overflow",
            "a finite number",
        ));
    }
    found.sort_unstable_by(f32::total_cmp);
    let (scores, above) = table(&found);
    let policy = SamplingPolicy::of(&model, config);
    let examples = u32::try_from(found.len())
        .map_err(|_| Error::invalid("reference examples", found.len(), "at most 2^32 - 1"))?;
    let file = retask(&model, |writer| {
        let (scores, above) = (writer.values(&scores), writer.values(&above));
        Task::Reconstruction(Some(Anomaly { policy, examples, scores, above }))
    })?;
    let summary = AnomalySummary {
        examples: found.len(),
        num_samples: policy.num_samples,
        kept: scores.len(),
        least_p_value: 1.0 / (found.len() + 1) as f64,
        median_error: found[found.len() / 2],
        greatest_error: found[found.len() - 1],
    };
    Ok((file, summary))
}

/// Some of the sorted scores, strictly increasing, and how many of all are above each.
fn table(sorted: &[f32]) -> (Vec<f32>, Vec<u32>) {
    let (mut scores, mut above) = (Vec::new(), Vec::new());
    // From the greatest down; each group of equal scores once.
    for group in sorted.chunk_by(|a, b| a == b).rev() {
        let count = sorted.len() - sorted.partition_point(|score| *score <= group[0]);
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let next = above.last().map_or(0.0, |&last: &u32| STEP * f64::from(last));
        if count <= EXACT || f64::from(count) >= next {
            scores.push(group[0]);
            above.push(count);
        }
    }
    scores.reverse();
    above.reverse();
    (scores, above)
}

#[cfg(test)]
mod tests {
    use super::*;
    use stf_bnn::uncertainty::conformal_p_value;

    #[test]
    fn tables_are_exact_in_the_tail_and_near_elsewhere() {
        for n in [1_usize, 5, 64, 1000, 20_000] {
            let mut sorted: Vec<f32> = (0..n).map(|i| ((i * 7919) % n / 2) as f32).collect();
            sorted.sort_unstable_by(f32::total_cmp);
            let (scores, above) = table(&sorted);
            assert!(scores.len() <= 64 + 130, "{n}: {}", scores.len());
            for score in sorted.iter().map(|s| s + 0.25).chain([-1.0]).step_by(1 + n / 500) {
                let exact = (1 + sorted.iter().filter(|s| **s >= score).count()) as f64 / (n + 1) as f64;
                let found = f64::from(conformal_p_value(&scores, &above, n as u32, score));
                assert!(
                    found >= exact - 1e-6 && found <= exact * 1.06 + 1e-3,
                    "{n} {score}: {found} {exact}"
                );
                assert!(exact * n as f64 > 60.0 || (found - exact).abs() < 1e-6, "{n}: {found} {exact}");
            }
        }
    }
}
