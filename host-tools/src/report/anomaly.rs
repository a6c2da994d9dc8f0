//! The report of an autoencoder: which sections it has, and what they are made from.

use super::parts::Parts;
use super::subject::Subject;
use super::text::{between, bytes, four, percent, significant};
use super::{Report, anomaly_figures, anomaly_plots, cost, provenance};
use crate::binomial;
use crate::data::Dataset;
use crate::error::Result;
use crate::evaluate::bootstrap::Interval;
use crate::evaluate::{AlarmRow, AnomalyEntry, AnomalyErrors, AnomalyEvaluation, Outcome};

/// Collects the report of an evaluation and of the errors that it was made from. Times predictions, and
/// predicts some of the data with other numbers of samples.
///
/// # Errors
/// If the data cannot be read, or a value has no JSON form.
pub fn anomaly(
    subject: &Subject<'_>,
    evaluation: &AnomalyEvaluation,
    errors: &AnomalyErrors,
) -> Result<Report> {
    let mut parts = Parts::default();
    parts.figures("evaluation", evaluation)?;
    let artifact = provenance::Artifact::new(subject)?;
    let figures = anomaly_figures::collect(subject, evaluation, errors);
    parts.add("anomaly", &figures, |figures| {
        anomaly_plots::detection(tiles(evaluation, &artifact), evaluation, figures)
    })?;
    parts.section(anomaly_plots::alarms(evaluation, &figures));
    parts.add("examples", &anomaly_figures::extremes(subject, errors)?, |kinds| {
        anomaly_plots::examples(kinds)
    })?;
    parts.add("cost", &cost::collect(subject, &judge)?, cost::section)?;
    parts.finish(subject, &artifact, evaluation.mean_passes)
}

/// Mean reconstruction error of some of the data.
fn judge(_: &Dataset, outcomes: &[Outcome]) -> Result<cost::Quality> {
    let errors = outcomes.iter().filter_map(|outcome| outcome.reconstruction_error).map(f64::from);
    Ok(cost::Quality::Reconstruction { mean_error: errors.sum::<f64>() / outcomes.len().max(1) as f64 })
}

fn tiles(evaluation: &AnomalyEvaluation, artifact: &provenance::Artifact) -> Vec<[String; 3]> {
    let error = ["Mean error".into(), significant(evaluation.mean_error), "of the reconstruction".into()];
    let alarm = |row: &AlarmRow| {
        let n = evaluation.n as u64;
        let (low, high) = binomial::interval((row.rate * n as f64).round() as u64, n, 0.95);
        [format!("Alarms at alpha {}", row.alpha), percent(row.rate), between(low, high, percent)]
    };
    let found = |entry: &AnomalyEntry| {
        let Interval(low, high) = entry.auroc_interval;
        [format!("AUROC, {}", entry.data), four(entry.auroc), between(low, high, four)]
    };
    let size = [
        "Artifact".to_string(),
        bytes(artifact.file_bytes as u64),
        format!("{} of it posterior", bytes(artifact.posterior_bytes)),
    ];
    let workspace = [
        "Workspace".to_string(),
        bytes(artifact.workspace_bytes as u64),
        "on a device, one draw at a time".into(),
    ];
    let alarms = evaluation.alarms.iter().map(alarm);
    let detection = evaluation.ood.iter().map(found);
    [error].into_iter().chain(alarms).chain(detection).chain([size, workspace]).collect()
}
