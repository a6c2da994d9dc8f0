//! What a report is about: an artifact, data, and how predictions are sampled.

use crate::data::Dataset;
use crate::evaluate::{Outcome, Predictions};
use stf_bnn::{Config, Model, Samples};

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

    /// One sentence on how the predictions were made.
    pub(super) fn summary(&self, mean_passes: f64) -> String {
        let samples = match self.config.samples.most(self.model) {
            1 => "one pass each".to_string(),
            most if self.config.samples == Samples::Adaptive => {
                format!("up to {most} Monte-Carlo samples each")
            }
            samples => format!("{samples} Monte-Carlo samples each"),
        };
        format!(
            "{} examples, {samples} ({mean_passes:.2} passes on average), seed {}. Every figure comes from the int8 \
             arithmetic that devices run.",
            super::text::count(self.data.len()),
            self.config.seed
        )
    }
}
