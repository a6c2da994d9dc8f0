//! The report of a classifier: which sections it has, and what they are made from.

use super::{
    Report, Section, classes, cost, coverage, drift, examples, memory, provenance, quality, uncertainty,
};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::evaluate::{Evaluation, Outcome, Predictions};
use serde::Serialize;
use stf_bnn::{Config, Model};

/// What a report is about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The artifact.
    pub model: &'a Model<'a>,
    /// Its bytes.
    pub file: &'a [u8],
    /// Labelled data that fitted nothing.
    pub data: &'a Dataset,
    /// Other data, which the network should not be sure of.
    pub ood: &'a [Dataset],
    /// How predictions are sampled.
    pub config: &'a Config,
}

impl Subject<'_> {
    /// Each other set with its outcomes.
    pub(super) fn outside<'p>(
        &'p self,
        predictions: &'p Predictions,
    ) -> impl Iterator<Item = (&'p str, &'p [Outcome])> {
        let names = self.ood.iter().map(|set| set.name.as_str());
        names.zip(predictions.outside.iter().map(Vec::as_slice))
    }

    /// Name of a class: the artifact's, else the data's, else its number.
    pub(super) fn class_name(&self, class: usize) -> String {
        let of_data = || self.data.class_names.get(class).map(String::as_str);
        self.model.class_name(class).or_else(of_data).map_or_else(|| class.to_string(), str::to_string)
    }

    /// Whether draws differ, so that there is an epistemic part.
    pub(super) fn is_noisy(&self, predictions: &Predictions) -> bool {
        predictions.inside.iter().any(|outcome| outcome.samples > 1)
    }
}

/// Sections as they are added.
#[derive(Default)]
struct Parts {
    sections: Vec<Section>,
    figures: Vec<(&'static str, String)>,
}

impl Parts {
    /// Adds figures under a name.
    fn figures(&mut self, name: &'static str, figures: &impl Serialize) -> Result<()> {
        let json = serde_json::to_string(figures)
            .map_err(|error| Error::invalid(format!("report: {name}"), error, "figures with a JSON form"))?;
        self.figures.push((name, json));
        Ok(())
    }

    /// Adds figures and the section made of them.
    fn add<T: Serialize>(
        &mut self,
        name: &'static str,
        figures: &T,
        section: impl FnOnce(&T) -> Section,
    ) -> Result<()> {
        self.figures(name, figures)?;
        self.sections.push(section(figures));
        Ok(())
    }
}

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
    parts.add("cost", &cost::collect(subject)?, cost::section)?;
    let layers: Vec<&str> = subject.model.layers().map(|layer| layer.name()).collect();
    parts.add("memory", &memory::memory_map(subject.model), |map| memory::section(map, &layers))?;
    parts.add("provenance", &artifact, provenance::section)?;
    Ok(Report {
        title: format!("{} on {}", evaluation.model, evaluation.data),
        summary: summary(subject, evaluation),
        sections: parts.sections,
        figures: parts.figures,
    })
}

fn summary(subject: &Subject<'_>, evaluation: &Evaluation) -> String {
    let samples = match evaluation.num_samples {
        1 => "one pass each".to_string(),
        most if subject.is_adaptive() => format!("up to {most} Monte-Carlo samples each"),
        samples => format!("{samples} Monte-Carlo samples each"),
    };
    format!(
        "{} examples, {samples} ({:.2} passes on average), seed {}. Every figure comes from the int8 arithmetic that \
         devices run.",
        super::text::count(evaluation.n),
        evaluation.mean_passes,
        evaluation.seed
    )
}

impl Subject<'_> {
    fn is_adaptive(&self) -> bool {
        self.config.samples == stf_bnn::Samples::Adaptive
    }
}
