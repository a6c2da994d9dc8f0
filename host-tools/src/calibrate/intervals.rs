//! Prediction intervals of a Gaussian regression: order statistics of normalised residuals.

use super::artifact::retask;
use super::conformal::threshold;
use super::options::Options;
use super::share::Share;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::evaluate::{Outcome, outcomes, require_targets};
use serde::Serialize;
use stf_bnn::artifact::{GaussianHead, Intervals, SamplingPolicy, Task};
use stf_bnn::{AlignedBytes, Model};

/// What was fitted, and on how much.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IntervalSummary {
    /// Examples that certified.
    pub examples: usize,
    /// Samples of a prediction; 0 for one pass without noise.
    pub num_samples: u16,
    /// Factors of sigma, one a target and level.
    pub factors: Vec<FactorRow>,
    /// What was left out, and why.
    pub notices: Vec<String>,
}

/// One factor.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FactorRow {
    /// Name of the target.
    pub target: String,
    /// Share of intervals that may miss it.
    pub alpha: f64,
    /// The interval reaches so many sigma to both sides.
    pub factor: f32,
}

/// Fits the factors of an artifact's intervals on `certifying`, which nothing else has watched, and writes
/// them into it in place of those it had.
///
/// # Errors
/// If the artifact is damaged or no Gaussian regression, the data do not fit it, or there are too few examples
/// for the alphas that `options` insist on.
pub fn fit_intervals(
    bytes: &AlignedBytes,
    certifying: &Dataset,
    options: &Options,
) -> Result<(Vec<u8>, IntervalSummary)> {
    let model = super::open(bytes)?;
    require_targets(&model, certifying)?;
    let Task::Gaussian(head) = model.manifest().task else {
        return Err(Error::invalid(
            format!("model {}", model.manifest().name),
            "another task",
            "a regression",
        ));
    };
    let mut notices = Vec::new();
    let alphas = options.alphas_for(certifying.len(), "", &mut notices)?;
    let found = outcomes(&model, certifying, &options.config)?;
    let factors = factors(&found, certifying, &alphas)?;
    let policy = SamplingPolicy::of(&model, &options.config);
    let summary = IntervalSummary {
        examples: certifying.len(),
        num_samples: policy.num_samples,
        factors: rows(&model, certifying, &alphas, &factors),
        notices,
    };
    let file = retask(&model, |writer| {
        let intervals = (!alphas.is_empty()).then(|| Intervals {
            policy,
            examples: u32::try_from(certifying.len()).unwrap_or(u32::MAX),
            alphas: writer.values(&alphas.iter().map(|alpha| alpha.millionths()).collect::<Vec<_>>()),
            factors: writer.values(&factors),
        });
        Task::Gaussian(GaussianHead { intervals, ..head })
    })?;
    Ok((file, summary))
}

/// `[levels, targets]`
fn factors(found: &[Outcome], data: &Dataset, alphas: &[Share]) -> Result<Vec<f32>> {
    let targets = data.targets.len();
    let mut scores = vec![Vec::with_capacity(found.len()); targets];
    for (index, outcome) in found.iter().enumerate() {
        for (t, &y) in data.targets.of(index).iter().enumerate() {
            let score = outcome.gaussian(t).map(|gaussian| gaussian.residual(y)).filter(|s| s.is_finite());
            scores[t].push(score.ok_or_else(|| {
                let what = format!("{}: residual of example {index}", data.name);
                Error::invalid(what, "overflow", "a finite number")
            })?);
        }
    }
    let mut factors = Vec::with_capacity(alphas.len() * targets);
    for &alpha in alphas {
        for scores in &mut scores {
            factors.push(threshold(scores, alpha, "in all")?);
        }
    }
    Ok(factors)
}

fn rows(model: &Model<'_>, data: &Dataset, alphas: &[Share], factors: &[f32]) -> Vec<FactorRow> {
    let name = |t: usize| model.class_name(t).unwrap_or(&data.targets.names[t]).to_string();
    let levels = alphas.iter().zip(factors.chunks(data.targets.len()));
    levels
        .flat_map(|(alpha, row)| {
            let row = row.iter().enumerate();
            row.map(|(t, &factor)| FactorRow { target: name(t), alpha: alpha.value(), factor })
        })
        .collect()
}
