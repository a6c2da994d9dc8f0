//! The rule of an adaptive number of samples, fitted through the device's own sampler.
//!
//! Candidates are thresholds on the margin of the probabilities, from the most careful one down (a
//! fixed sequence, so that each is tested at the whole level). Of each, the examples whose class would
//! differ from that of all samples are counted; the null hypothesis "they are more than a share delta of
//! all predictions" is tested with the exact binomial tail. The last threshold before the first one that
//! is not rejected is taken: Learn then Test (Angelopoulos et al., arXiv 2110.01052), with fixed
//! sequence testing.

use crate::binomial;
use crate::data::{Dataset, Scratch};
use crate::error::{Error, Result};
use crate::evaluate::require_shape;
use rayon::prelude::*;
use stf_bnn::artifact::{Adaptive, Manifest, Task};
use stf_bnn::{AlignedBytes, ArtifactWriter, Checks, Config, Decision, Model, Predictor, Samples};

/// Steps of the grid of thresholds: multiples of 1/256, which are exact.
const STEPS: u16 = 256;

/// Seed of the draws that the rule is fitted on: not one that predictions use by default, since the
/// guarantee is about draws that the rule has not seen.
const SEED: u64 = 0xada9_715e_5eed;

/// Examples that one task predicts.
const CHUNK: usize = 32;

/// What the rule shall keep.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wish {
    /// Least number of draws; 0 lets the mean pass decide alone.
    pub samples_min: u16,
    /// Greatest number of draws, whose class is the reference.
    pub samples_max: u16,
    /// Whether draws come in antithetic pairs; checks come after each pair, or after each draw.
    pub antithetic: bool,
    /// Greatest share of predictions whose class may differ; above 0 and below 1.
    pub delta: f64,
    /// Confidence in it; above 0 and below 1.
    pub confidence: f64,
}

impl Default for Wish {
    /// At most 1 % of the classes of 8 samples, with confidence 95 %.
    fn default() -> Self {
        Self { samples_min: 0, samples_max: 8, antithetic: true, delta: 0.01, confidence: 0.95 }
    }
}

impl Wish {
    /// When the rule is asked.
    #[must_use]
    pub fn checks(&self) -> Checks {
        let group = if self.antithetic { 2 } else { 1 };
        Checks { min: self.samples_min, group: group.min(self.samples_max) }
    }

    fn check(&self) -> Result<()> {
        let most = Config::MAX_SAMPLES;
        if !(1..=most).contains(&self.samples_max) {
            return Err(Error::invalid("adaptive samples", self.samples_max, format!("1 to {most}")));
        }
        if self.samples_min > self.samples_max {
            let at_most = format!("at most the greatest number, {}", self.samples_max);
            return Err(Error::invalid("least adaptive samples", self.samples_min, at_most));
        }
        for (what, share) in [("adaptive delta", self.delta), ("adaptive confidence", self.confidence)] {
            if !(1.0..999_999.0).contains(&(share * 1e6)) {
                return Err(Error::invalid(what, share, "a share between 0 and 1"));
            }
        }
        Ok(())
    }
}

/// One example on its way to all samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Track {
    /// Passes run at each check, and what was to be decided there.
    pub checks: Vec<(u16, Decision)>,
    /// Passes and class of all samples.
    pub last: (u16, u16),
}

impl Track {
    /// Passes and class of the prediction that ends at this threshold.
    #[must_use]
    pub fn end(&self, threshold: f32) -> (u16, u16) {
        let settled = self.checks.iter().find(|(_, decision)| decision.margin >= threshold);
        settled.map_or(self.last, |(passes, decision)| (*passes, decision.class))
    }
}

/// Follows every example through all samples of the runtime. Example `i` has prediction counter `i`.
///
/// # Errors
/// If the examples have another shape than the model's input, or cannot be predicted.
pub fn tracks(model: &Model<'_>, data: &Dataset, wish: &Wish, seed: u64) -> Result<Vec<Track>> {
    wish.check()?;
    require_shape(model, data)?;
    let samples = Samples::MonteCarlo(wish.samples_max);
    let config = Config { samples, antithetic: wish.antithetic, seed, ..Config::default() };
    let unusable = |error: &dyn std::fmt::Display| {
        Error::invalid("prediction settings", error, "settings that this model supports")
    };
    let need = model.workspace_bytes(&config).map_err(|error| unusable(&error))?;
    let starts: Vec<usize> = (0..data.len()).step_by(CHUNK).collect();
    let parts = starts.into_par_iter().map_init(
        || (vec![0; need], Scratch::default()),
        |(workspace, scratch), start| {
            let mut predictor = Predictor::new(model, config, workspace).map_err(|error| unusable(&error))?;
            predictor.set_counter(start as u64);
            let part = start..data.len().min(start + CHUNK);
            part.map(|index| track(&mut predictor, data, index, wish.checks(), scratch)).collect()
        },
    );
    Ok(parts.collect::<Result<Vec<Vec<Track>>>>()?.into_iter().flatten().collect())
}

fn track(
    predictor: &mut Predictor<'_, '_>,
    data: &Dataset,
    index: usize,
    checks: Checks,
    scratch: &mut Scratch,
) -> Result<Track> {
    let input = data.raw(index, scratch)?.into();
    let mut seen = Vec::new();
    let mean_first = u16::from(checks.min == 0);
    let prediction = predictor.predict_until(input, checks, |draws, mean| {
        let passes = if draws == 0 { 1 } else { draws + mean_first };
        seen.push((passes, Decision::of(mean)));
        false
    });
    let prediction = prediction.map_err(|error| {
        Error::invalid(format!("{}: example {index}", data.name), error, "an input that can be predicted")
    })?;
    Ok(Track { checks: seen, last: (prediction.passes, Decision::of(prediction.mean).class) })
}

/// What a threshold does to some examples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    /// The threshold.
    pub threshold: f32,
    /// Examples whose class differs from that of all samples.
    pub differing: usize,
    /// Passes on average.
    pub mean_passes: f64,
}

impl Choice {
    /// Counts; `tracks` is not empty.
    #[must_use]
    pub fn count(tracks: &[Track], threshold: f32) -> Self {
        let (mut differing, mut passes) = (0, 0);
        for track in tracks {
            let (took, class) = track.end(threshold);
            differing += usize::from(class != track.last.1);
            passes += usize::from(took);
        }
        Self { threshold, differing, mean_passes: passes as f64 / tracks.len().max(1) as f64 }
    }
}

/// The least threshold of the sequence that is proved, or `None` if not even the most careful one is.
#[must_use]
pub fn choose(tracks: &[Track], delta: f64, confidence: f64) -> Option<Choice> {
    let proved = |choice: &Choice| {
        let tail = binomial::at_most(choice.differing as u64, tracks.len() as u64, delta);
        !tracks.is_empty() && tail <= 1.0 - confidence
    };
    let threshold = |step: u16| f32::from(step) / f32::from(STEPS);
    (0..=STEPS).rev().map(|step| Choice::count(tracks, threshold(step))).take_while(proved).last()
}

/// What came of fitting a rule.
#[derive(Debug, Clone, PartialEq)]
pub enum Fit {
    /// The artifact has this rule now.
    Rule(Choice),
    /// It has none, for this reason: predictions take all samples.
    Refused(String),
}

/// Fits the rule of an artifact on examples that have fitted nothing else of it, and writes it down.
/// Returns the artifact, unchanged if no rule can be proved.
///
/// # Errors
/// If a wish is out of range, the artifact is not intact, or the examples do not fit it.
pub fn attach(bytes: Vec<u8>, examples: &Dataset, wish: &Wish) -> Result<(Vec<u8>, Fit)> {
    wish.check()?;
    let unsound = |error| Error::invalid("artifact", error, "an artifact that the runtime accepts");
    let aligned = AlignedBytes::new(&bytes);
    let model = Model::from_bytes(&aligned).map_err(unsound)?;
    if let Some(reason) = hopeless(&model, examples, wish) {
        return Ok((bytes, Fit::Refused(reason)));
    }
    let tracks = tracks(&model, examples, wish, SEED)?;
    let Some(choice) = choose(&tracks, wish.delta, wish.confidence) else {
        let reason = format!("no threshold can be proved on {} examples", tracks.len());
        return Ok((bytes, Fit::Refused(reason)));
    };
    let guarantee = guarantee(wish, &choice, tracks.len());
    let millionths = |share: f64| (share * 1e6).round() as u32;
    let checks = wish.checks();
    let rule = Adaptive {
        samples_min: checks.min,
        samples_max: wish.samples_max,
        group: checks.group,
        antithetic: wish.antithetic,
        threshold: choice.threshold,
        delta_millionths: millionths(wish.delta),
        confidence_millionths: millionths(wish.confidence),
        examples: u32::try_from(tracks.len()).unwrap_or(u32::MAX),
        differing: choice.differing as u32,
        mean_passes: choice.mean_passes as f32,
        guarantee: &guarantee,
    };
    let manifest = Manifest { adaptive: Some(rule), ..*model.manifest() };
    Ok((ArtifactWriter::of(&model).finish(manifest).map_err(unsound)?, Fit::Rule(choice)))
}

/// Why nothing can be proved whatever the examples say.
fn hopeless(model: &Model<'_>, examples: &Dataset, wish: &Wish) -> Option<String> {
    let manifest = model.manifest();
    if manifest.task != Task::Classification {
        return Some("a regression has no class to settle".into());
    }
    if manifest.posterior.is_none() {
        return Some("a plain network has one pass".into());
    }
    let least = binomial::least_trials(wish.delta, wish.confidence);
    let found = examples.len();
    ((found as u64) < least).then(|| {
        format!(
            "found {found} calibration examples that quantization did not watch, expected at least {least} \
             to prove {} % with confidence {} %",
            percent(wish.delta),
            percent(wish.confidence)
        )
    })
}

/// A share in percent, without the noise of its binary form.
#[must_use]
pub fn percent(share: f64) -> f64 {
    (share * 1e6).round() / 1e4
}

fn guarantee(wish: &Wish, choice: &Choice, examples: usize) -> String {
    let kind = if wish.antithetic { "antithetic " } else { "" };
    format!(
        "With confidence {} %, at most {} % of predictions have another class than with {} samples, for \
         inputs like the {examples} calibration examples (of which {} did) and fresh {kind}draws. It is about \
         the class: probabilities and uncertainties are those of the draws made.",
        percent(wish.confidence),
        percent(wish.delta),
        wish.samples_max,
        choice.differing,
    )
}

#[cfg(test)]
mod tests;
