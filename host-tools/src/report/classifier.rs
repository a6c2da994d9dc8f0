//! The report of a classifier: which sections it has, and what they are made from.

use super::parts::Parts;
use super::subject::Subject;
use super::{Report, classes, cost, coverage, drift, examples, provenance, quality, uncertainty};
use crate::data::Dataset;
use crate::error::Result;
use crate::evaluate::{Evaluation, Outcome, Predictions, metrics};

/// Collects the report of an evaluation and of the predictions that it was made from. Times predictions,
/// and predicts some of the data with other numbers of samples.
///
/// # Errors
/// If the data cannot be read, or a value has no JSON form.
pub fn classifier(
    subject: &Subject<'_>,
    evaluation: &Evaluation,
    predictions: &Predictions,
) -> Result<Report> {
    let mut parts = Parts::default();
    let curves = quality::risk_curves(subject, predictions);
    parts.figures("evaluation", evaluation)?;
    let artifact = provenance::Artifact::new(subject)?;
    parts.add("risk_coverage", &curves, |curves| quality::section(evaluation, curves, &artifact))?;
    let histograms = uncertainty::histograms(subject, predictions);
    parts.add("histograms", &histograms, |histograms| uncertainty::section(evaluation, histograms))?;
    if let Some(coverage) = coverage::collect(subject, predictions)? {
        parts.add("coverage", &coverage, |coverage| coverage::section(evaluation, coverage))?;
    }
    if let Some(drift) = drift::collect(subject, predictions)? {
        parts.add("drift", &drift, drift::section)?;
    }
    parts.add("classes", &classes::collect(subject, predictions), |classes| classes::section(classes))?;
    parts.add("examples", &examples::collect(subject, predictions)?, examples::section)?;
    parts.add("cost", &cost::collect(subject, &judge)?, cost::section)?;
    parts.finish(subject, &artifact, evaluation.mean_passes)
}

/// What predictions of some of the data are worth.
fn judge(data: &Dataset, outcomes: &[Outcome]) -> Result<cost::Quality> {
    let found = metrics(outcomes, data);
    Ok(cost::Quality::Classes { accuracy: found.accuracy(), nll: found.nll(), ece: found.ece() })
}
