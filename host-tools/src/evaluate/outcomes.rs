//! Runs the device's own `predict` over a data set, on all cores, in the bits that one device gives.

use crate::data::{Dataset, Scratch};
use crate::error::{Error, Result};
use rayon::prelude::*;
use stf_bnn::artifact::InputLayout;
use stf_bnn::uncertainty::{Gaussian, energy};
use stf_bnn::{Classification, Config, Model, Predictor};

/// Examples that one task predicts, one after another.
const CHUNK: usize = 32;

/// What the runtime said of one example.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Mean outputs over the draws: probabilities, or values for a regression.
    pub mean: Vec<f32>,
    /// Standard deviation of each output over the draws.
    pub spread: Vec<f32>,
    /// Passes that were averaged.
    pub samples: u16,
    /// Passes through the network that it took.
    pub passes: u16,
    /// Class and uncertainties; `None` for a regression.
    pub classification: Option<Classification>,
    /// Targets of a Gaussian regression; else 0.
    pub targets: usize,
    /// Mean squared difference of an autoencoder's reconstruction from its input.
    pub reconstruction_error: Option<f32>,
    /// Mean over the draws of the free energy of the logits, at temperature 1; `None` for a regression,
    /// and where the logits are not at hand.
    pub energy: Option<f32>,
}

impl Outcome {
    /// Distribution of a target of a Gaussian regression; `None` if there is no such target.
    #[must_use]
    pub fn gaussian(&self, target: usize) -> Option<Gaussian> {
        Gaussian::of_outputs(&self.mean, &self.spread, self.targets, target)
    }
}

/// Predicts every example. Example `i` gets prediction counter `i`, as on a device that starts at 0
/// and sees the examples in this order.
///
/// # Errors
/// If the examples have another shape than the model's input, or the configuration does not fit it.
pub fn outcomes(model: &Model<'_>, data: &Dataset, config: &Config) -> Result<Vec<Outcome>> {
    predict_all(model, data, config, &|outcome, _| outcome)
}

/// As [`outcomes`], with what `make` makes of each outcome and the logits of its draws,
/// `[draws, classes]`.
///
/// # Errors
/// As [`outcomes`].
pub fn predict_all<T: Send>(
    model: &Model<'_>,
    data: &Dataset,
    config: &Config,
    make: &(impl Fn(Outcome, Vec<f32>) -> T + Sync),
) -> Result<Vec<T>> {
    require_shape(model, data)?;
    let need = model.workspace_bytes(config).map_err(|error| unusable(&error))?;
    let chunks: Vec<usize> = (0..data.len()).step_by(CHUNK).collect();
    let parts = chunks
        .into_par_iter()
        .map_init(
            || (vec![0u8; need], Scratch::default()),
            |(workspace, scratch), start| {
                let mut predictor =
                    Predictor::new(model, *config, workspace).map_err(|error| unusable(&error))?;
                predictor.set_counter(start as u64);
                (start..data.len().min(start + CHUNK))
                    .map(|i| {
                        outcome(&mut predictor, data, i, scratch)
                            .map(|(outcome, logits)| make(outcome, logits))
                    })
                    .collect()
            },
        )
        .collect::<Result<Vec<Vec<T>>>>()?;
    Ok(parts.into_iter().flatten().collect())
}

/// The examples' shape must be the model's: nothing is resized or recoloured silently.
///
/// # Errors
/// If the shapes differ; names both.
pub fn require_shape(model: &Model<'_>, data: &Dataset) -> Result<()> {
    let input = model.manifest().input.tensor;
    let order = match model.manifest().input.layout {
        InputLayout::Nhwc => [input.height, input.width, input.channels],
        InputLayout::Nchw => [input.channels, input.height, input.width],
    };
    let wanted = order.map(usize::from);
    if [data.shape.height, data.shape.width, data.shape.channels] == wanted {
        return Ok(());
    }
    let [a, b, c] = wanted;
    Err(Error::invalid(
        format!("examples of {}", data.name),
        data.shape,
        format!("the model's input {a}x{b}x{c}"),
    ))
}

fn unusable(error: &dyn std::fmt::Display) -> Error {
    Error::invalid("prediction settings", error, "settings that this model supports")
}

/// The outcome and the logits of every draw.
fn outcome(
    predictor: &mut Predictor<'_, '_>,
    data: &Dataset,
    index: usize,
    scratch: &mut Scratch,
) -> Result<(Outcome, Vec<f32>)> {
    let input = data.raw(index, scratch)?.into();
    let (mut energies, mut draws) = (0.0, Vec::new());
    let each = |draw: u16, logits: &[f32]| {
        if draw == 0 {
            // A pass of the mean that settled nothing is left out of the result.
            energies = 0.0;
            draws.clear();
        }
        energies += energy(logits, 1.0);
        draws.extend_from_slice(logits);
    };
    let prediction = predictor.predict_with(input, each).map_err(|error| {
        Error::invalid(format!("{}: example {index}", data.name), error, "an input that can be predicted")
    })?;
    let (mean, spread) = (prediction.mean.to_vec(), prediction.spread.to_vec());
    let (samples, passes) = (prediction.samples, prediction.passes);
    let classification = prediction.classification;
    let energy = classification.map(|_| energies / f32::from(samples.max(1)));
    let (targets, reconstruction_error) = (prediction.targets, prediction.reconstruction_error);
    let outcome =
        Outcome { mean, spread, samples, passes, classification, targets, reconstruction_error, energy };
    Ok((outcome, draws))
}
