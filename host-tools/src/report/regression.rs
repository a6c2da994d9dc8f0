//! The report of a Gaussian regression: which sections it has, and what they are made from.

use super::parts::Parts;
use super::subject::Subject;
use super::text::{between, bytes, four, or_dash, significant};
use super::{Report, cost, provenance, target_plots, targets};
use crate::data::Dataset;
use crate::error::Result;
use crate::evaluate::{Outcome, RegressionEvaluation, regression_of};

/// Targets with tiles of their own.
const TILED: usize = 3;

/// Collects the report of an evaluation and of the predictions that it was made from. Times predictions,
/// and predicts some of the data with other numbers of samples.
///
/// # Errors
/// If the data cannot be read, or a value has no JSON form.
pub fn regression(
    subject: &Subject<'_>,
    evaluation: &RegressionEvaluation,
    outcomes: &[Outcome],
) -> Result<Report> {
    let mut parts = Parts::default();
    parts.figures("evaluation", evaluation)?;
    let artifact = provenance::Artifact::new(subject)?;
    let reports = targets::collect(subject, outcomes)?;
    parts.add("targets", &reports, |reports| {
        target_plots::quality(tiles(evaluation, reports, &artifact), evaluation, reports)
    })?;
    parts.section(target_plots::calibration(evaluation.n, &reports));
    parts.section(target_plots::intervals(evaluation, &reports));
    parts.section(target_plots::unlikely(&reports));
    let judge = |data: &Dataset, outcomes: &[Outcome]| {
        let found = regression_of(subject.model, data, outcomes, subject.config)?;
        Ok(cost::Quality::Targets { nll: found.nll })
    };
    parts.add("cost", &cost::collect(subject, &judge)?, cost::section)?;
    parts.finish(subject, &artifact, evaluation.mean_passes)
}

fn tiles(
    evaluation: &RegressionEvaluation,
    reports: &[targets::TargetReport],
    artifact: &provenance::Artifact,
) -> Vec<[String; 3]> {
    let one = |what: &str, target: &str| match reports.len() {
        1 => what.to_string(),
        _ => format!("{what}, {target}"),
    };
    let mut tiles = vec![["NLL, nats".into(), four(evaluation.nll), "of all targets".into()]];
    for (figures, report) in evaluation.targets.iter().zip(reports).take(TILED) {
        let (low, high) = (report.rmse_interval.0, report.rmse_interval.1);
        tiles.push([
            one("RMSE", &figures.target),
            significant(figures.rmse),
            between(low, high, significant),
        ]);
        tiles.push([
            one("R²", &figures.target),
            or_dash(report.r2, four),
            format!("MAE {}", significant(figures.mae)),
        ]);
    }
    let size = bytes(artifact.file_bytes as u64);
    tiles.push(["Artifact".into(), size, format!("{} of it posterior", bytes(artifact.posterior_bytes))]);
    let workspace = bytes(artifact.workspace_bytes as u64);
    tiles.push(["Workspace".into(), workspace, "on a device, one draw at a time".into()]);
    tiles
}
