//! Figures of a Gaussian regression on data: errors, likelihood, coverage and width of its intervals.

use super::{Outcome, outcomes, require_targets};
use crate::data::Dataset;
use crate::error::{Error, Result};
use serde::Serialize;
use std::fmt;
use stf_bnn::artifact::SamplingPolicy;
use stf_bnn::uncertainty::{IntervalFigures, PredictionIntervals, Regression};
use stf_bnn::{Config, Model};

/// What `stf eval` prints of a regression; the field names are what scripts read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RegressionEvaluation {
    /// Name of the network.
    pub model: String,
    /// Name of the data.
    pub data: String,
    /// Number of examples.
    pub n: usize,
    /// Monte-Carlo samples asked for; 1 for the mean.
    pub num_samples: u16,
    /// Passes that a prediction took, on average.
    pub mean_passes: f64,
    /// Seed of the draws.
    pub seed: u64,
    /// Negative log likelihood of an example, nats, summed over targets.
    pub nll: f64,
    /// Whether predictions were sampled as they were for the intervals; `null` without intervals.
    pub sampled_as_calibrated: Option<bool>,
    /// One entry a target.
    pub targets: Vec<TargetFigures>,
}

/// Figures of one target, in its units.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TargetFigures {
    /// Its name.
    pub target: String,
    /// Root mean squared error.
    pub rmse: f64,
    /// Mean absolute error.
    pub mae: f64,
    /// Negative log likelihood, nats.
    pub nll: f64,
    /// Root of the mean aleatoric variance.
    pub aleatoric: f64,
    /// Root of the mean epistemic variance.
    pub epistemic: f64,
    /// Prediction intervals, one entry a level.
    pub intervals: Vec<IntervalRow>,
}

/// Prediction intervals of one target and level.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct IntervalRow {
    /// Promised coverage.
    pub nominal: f64,
    /// Share of intervals that hold the target.
    pub coverage: f64,
    /// Mean width, in the target's units.
    pub mean_width: f64,
}

/// Evaluates a Gaussian regression on data with its targets.
///
/// # Errors
/// If the model is none, shapes or targets differ, or a prediction fails.
pub fn evaluate_regression(
    model: &Model<'_>,
    data: &Dataset,
    config: &Config,
) -> Result<RegressionEvaluation> {
    require_targets(model, data)?;
    regression_of(model, data, &outcomes(model, data, config)?, config)
}

/// The evaluation of predictions of the same data that [`outcomes`] made.
///
/// # Errors
/// As [`evaluate_regression`].
pub fn regression_of(
    model: &Model<'_>,
    data: &Dataset,
    found: &[Outcome],
    config: &Config,
) -> Result<RegressionEvaluation> {
    require_targets(model, data)?;
    let intervals = PredictionIntervals::new(model);
    let targets = (0..data.targets.len())
        .map(|t| target_figures(model, intervals.as_ref(), found, data, t))
        .collect::<Result<Vec<_>>>()?;
    let policy = SamplingPolicy::of(model, config);
    Ok(RegressionEvaluation {
        model: model.manifest().name.to_string(),
        data: data.name.clone(),
        n: data.len(),
        num_samples: config.samples.most(model),
        mean_passes: found.iter().map(|o| f64::from(o.passes)).sum::<f64>() / data.len() as f64,
        seed: config.seed,
        nll: targets.iter().map(|target| target.nll).sum(),
        sampled_as_calibrated: intervals.map(|intervals| intervals.fact().policy.covers_policy(&policy)),
        targets,
    })
}

fn target_figures(
    model: &Model<'_>,
    intervals: Option<&PredictionIntervals<'_>>,
    outcomes: &[Outcome],
    data: &Dataset,
    target: usize,
) -> Result<TargetFigures> {
    let mut figures = Regression::new();
    let levels = intervals.map_or(0, PredictionIntervals::levels);
    let mut covered = vec![IntervalFigures::new(); levels];
    for (index, outcome) in outcomes.iter().enumerate() {
        let (gaussian, y) = (outcome.gaussian(target), data.targets.of(index)[target]);
        let Some(gaussian) = gaussian.filter(|gaussian| figures.push(gaussian, y)) else {
            let what = format!("{}: prediction of example {index}", data.name);
            return Err(Error::invalid(what, format!("{gaussian:?}"), "finite numbers"));
        };
        for (level, covered) in covered.iter_mut().enumerate() {
            if let Some(interval) = intervals.and_then(|all| all.interval(level, target, &gaussian)) {
                covered.push(&interval, y);
            }
        }
    }
    let rows = covered.iter().enumerate().map(|(level, covered)| IntervalRow {
        nominal: intervals.and_then(|all| all.coverage(level)).unwrap_or(0.0),
        coverage: covered.coverage(),
        mean_width: covered.mean_width(),
    });
    Ok(TargetFigures {
        target: model.class_name(target).unwrap_or(&data.targets.names[target]).to_string(),
        rmse: figures.rmse(),
        mae: figures.mae(),
        nll: figures.nll(),
        aleatoric: figures.aleatoric_variance().sqrt(),
        epistemic: figures.epistemic_variance().sqrt(),
        intervals: rows.collect(),
    })
}

impl fmt::Display for RegressionEvaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} on {} ({} examples), {} samples, {:.2} passes a prediction, seed {}",
            self.model, self.data, self.n, self.num_samples, self.mean_passes, self.seed
        )?;
        if self.sampled_as_calibrated == Some(false) {
            writeln!(
                f,
                "  sampled otherwise than calibrated: the intervals are promised for other predictions"
            )?;
        }
        for t in &self.targets {
            writeln!(
                f,
                "  {}: RMSE {:.5}, MAE {:.5}, NLL {:.4} nats, standard deviation aleatoric {:.5}, epistemic {:.5}",
                t.target, t.rmse, t.mae, t.nll, t.aleatoric, t.epistemic
            )?;
            for row in &t.intervals {
                writeln!(
                    f,
                    "    intervals: {:.2} % hold the target ({:.2} % promised), {:.5} wide on average",
                    100.0 * row.coverage,
                    100.0 * row.nominal,
                    row.mean_width
                )?;
            }
        }
        Ok(())
    }
}
