//! Figures of a network's draws, by the accumulators that devices use.

use super::Trials;
use crate::data::{Dataset, Preprocessing};
use crate::error::Result;
use crate::evaluate::{Outcome, metrics, out_of_distribution};
use crate::train::methods::{Logits, Net, logits};
use serde::{Deserialize, Serialize};
use stf_bnn::Classification;
use stf_bnn::uncertainty::energy;

/// Figures on test data, out-of-distribution data and shifted copies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Share of correct classes, 0 to 1.
    pub accuracy: f64,
    /// Negative log likelihood, nats.
    pub nll: f64,
    /// Expected calibration error, 15 equal-width bins.
    pub ece: f64,
    /// Brier score, summed over classes: 0 to 2.
    pub brier: f64,
    /// Detection of other data.
    pub ood: Vec<OodFigures>,
    /// Mean over all kinds and severities of shift; `null` if none was asked for.
    pub corrupted: Option<Corrupted>,
}

/// Area under the ROC curve by score; "out" is the positive class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OodFigures {
    /// Name of the data.
    pub data: String,
    /// By one minus the greatest probability.
    pub max_probability: f64,
    /// By the entropy of the mean probabilities.
    pub predictive_entropy: f64,
    /// By the mutual information; `null` where there is one draw.
    pub mutual_information: Option<f64>,
}

/// Means over shifted copies.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Corrupted {
    /// Share of correct classes, 0 to 1.
    pub accuracy: f64,
    /// Negative log likelihood, nats.
    pub nll: f64,
    /// Expected calibration error of each copy, hence above that of all copies together.
    pub ece: f64,
}

/// Figures after a temperature of the softmax, fitted on the calibration part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tempered {
    /// The temperature.
    pub temperature: f32,
    /// The figures.
    #[serde(flatten)]
    pub figures: Figures,
}

impl Figures {
    /// Of outcomes on the test part, each set of `trials.ood` and each of `trials.corrupted`.
    ///
    /// # Errors
    /// If a set is empty.
    pub fn new(
        test: (&Dataset, &[Outcome]),
        trials: &Trials,
        ood: &[Vec<Outcome>],
        corrupted: &[Vec<Outcome>],
    ) -> Result<Self> {
        let noisy = test.1.iter().any(|outcome| outcome.samples > 1);
        let ood = trials.ood.iter().zip(ood).map(|(set, outside)| {
            let areas = out_of_distribution(&set.name, test.1, outside, noisy)?.auroc;
            Ok(OodFigures {
                data: set.name.clone(),
                max_probability: areas.max_probability,
                predictive_entropy: areas.predictive_entropy,
                mutual_information: areas.mutual_information,
            })
        });
        let shifted: Vec<_> =
            trials.corrupted.iter().zip(corrupted).map(|(set, outcomes)| metrics(outcomes, set)).collect();
        let count = shifted.len() as f64;
        let mean = |figure: &dyn Fn(&stf_bnn::uncertainty::Calibration) -> f64| {
            shifted.iter().map(figure).sum::<f64>() / count
        };
        let found = metrics(test.1, test.0);
        Ok(Self {
            accuracy: found.accuracy(),
            nll: found.nll(),
            ece: found.ece(),
            brier: found.brier(),
            ood: ood.collect::<Result<_>>()?,
            corrupted: (!shifted.is_empty()).then(|| Corrupted {
                accuracy: mean(&|c| c.accuracy()),
                nll: mean(&|c| c.nll()),
                ece: mean(&|c| c.ece()),
            }),
        })
    }
}

/// Draws of a network on everything that it is judged on.
#[derive(Debug)]
pub(super) struct Drawn<'a> {
    test: (&'a Dataset, Logits),
    trials: &'a Trials,
    ood: Vec<Logits>,
    corrupted: Vec<Logits>,
}

impl<'a> Drawn<'a> {
    pub fn of(
        net: &Net,
        test: &'a Dataset,
        trials: &'a Trials,
        preprocessing: &Preprocessing,
        num_samples: usize,
        seed: u64,
    ) -> Result<Self> {
        let draw = |set: &Dataset| logits(net, set, preprocessing, num_samples, seed);
        let each = |sets: &[Dataset]| sets.iter().map(draw).collect::<Result<Vec<_>>>();
        Ok(Self {
            test: (test, draw(test)?),
            trials,
            ood: each(&trials.ood)?,
            corrupted: each(&trials.corrupted)?,
        })
    }

    /// Figures at a temperature of the softmax.
    pub fn figures(&self, temperature: f32) -> Result<Figures> {
        let each = |sets: &[Logits]| sets.iter().map(|set| outcomes_of(set, temperature)).collect::<Vec<_>>();
        let test = outcomes_of(&self.test.1, temperature);
        Figures::new((self.test.0, &test), self.trials, &each(&self.ood), &each(&self.corrupted))
    }
}

/// What the runtime would say of these draws, in float.
#[must_use]
pub fn outcomes_of(logits: &Logits, temperature: f32) -> Vec<Outcome> {
    logits.examples().map(|draws| outcome(draws, logits.classes, temperature)).collect()
}

fn outcome(draws: &[f32], classes: usize, temperature: f32) -> Outcome {
    let count = draws.len() / classes;
    let share = 1.0 / count as f32;
    let (mut mean, mut squares) = (vec![0.0f32; classes], vec![0.0f32; classes]);
    let (mut expected, mut energies) = (0.0, 0.0);
    for logits in draws.chunks_exact(classes) {
        let tempered: Vec<f32> = logits.iter().map(|z| z / temperature).collect();
        let probabilities = crate::train::softmax(&tempered);
        expected += share * entropy(&probabilities);
        energies += share * energy(logits, 1.0);
        for ((mean, square), p) in mean.iter_mut().zip(&mut squares).zip(&probabilities) {
            *mean += share * p;
            *square += share * p * p;
        }
    }
    let class = (1..classes).fold(0, |best, c| if mean[c] > mean[best] { c } else { best });
    let predictive_entropy = entropy(&mean);
    let spread = mean.iter().zip(squares).map(|(m, s)| (s - m * m).max(0.0).sqrt()).collect();
    let classification = Classification {
        class: class as u16,
        confidence: mean[class],
        predictive_entropy,
        expected_entropy: expected,
        mutual_information: (predictive_entropy - expected).max(0.0),
    };
    let samples = u16::try_from(count).unwrap_or(u16::MAX);
    Outcome {
        mean,
        spread,
        samples,
        passes: samples,
        classification: Some(classification),
        targets: 0,
        reconstruction_error: None,
        energy: Some(energies),
    }
}

fn entropy(probabilities: &[f32]) -> f32 {
    probabilities.iter().map(|&p| if p > 0.0 { -p * p.ln() } else { 0.0 }).sum()
}
