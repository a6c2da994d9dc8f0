//! Predictions by the runtime in this process.

use crate::arguments::Arguments;
use crate::data::Data;
use serde::Serialize;
use std::fmt::Write;
use std::time::Instant;
use stf_bnn::artifact::Task;
use stf_bnn::uncertainty::Calibration;
use stf_bnn::{AlignedBytes, Input, Model, Prediction, Predictor};
use stf_device_protocol::write_bits;

/// One prediction; the field names are those of `stf predict --json`.
#[derive(Debug, Serialize)]
struct Record<'a> {
    input: String,
    class: u16,
    class_name: Option<&'a str>,
    confidence: f32,
    probabilities: &'a [f32],
    spread: &'a [f32],
    predictive_entropy: f32,
    expected_entropy: f32,
    mutual_information: f32,
    samples: u16,
    passes: u16,
}

/// Values of a regression.
#[derive(Debug, Serialize)]
struct Values<'a> {
    input: String,
    mean: &'a [f32],
    spread: &'a [f32],
    samples: u16,
    passes: u16,
}

/// Figures of an evaluation; the field names are those of `stf eval --json`.
#[derive(Debug, Serialize)]
pub struct Figures {
    /// Name of the network.
    pub model: String,
    /// Name of the data.
    pub data: String,
    /// Number of examples.
    pub n: usize,
    /// Samples asked for; 1 for the mean.
    pub num_samples: u16,
    /// Passes of a prediction, on average.
    pub mean_passes: f64,
    /// Share of right classes.
    pub accuracy: f64,
    /// Negative log-likelihood, nats.
    pub nll: f64,
    /// Brier score.
    pub brier: f64,
    /// Expected calibration error.
    pub ece: f64,
    /// Seed of the draws.
    pub seed: u64,
    /// Out-of-distribution data: none here; `stf eval` fills it.
    pub ood: [(); 0],
}

impl Figures {
    /// As JSON or as text.
    pub fn print(&self, json: bool) -> Result<String, String> {
        if json {
            return to_json(self);
        }
        Ok(format!(
            "{} on {} ({} examples), {} samples, {:.2} passes a prediction, seed {}\n  \
             accuracy {:8.2} %\n  NLL      {:8.4} nats\n  Brier    {:8.4}\n  ECE      {:8.4}",
            self.model,
            self.data,
            self.n,
            self.num_samples,
            self.mean_passes,
            self.seed,
            100.0 * self.accuracy,
            self.nll,
            self.brier,
            self.ece
        ))
    }
}

/// One line of JSON.
pub fn to_json<T: Serialize>(value: &T) -> Result<String, String> {
    serde_json::to_string(value).map_err(|error| format!("JSON: {error}"))
}

/// Hands a checked model and a predictor to `task`.
fn with_predictor<T>(
    arguments: &Arguments,
    task: impl FnOnce(&Model<'_>, &mut Predictor<'_, '_>) -> Result<T, String>,
) -> Result<T, String> {
    let path = arguments.model()?;
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let bytes = AlignedBytes::new(&std::fs::read(path).map_err(|error| named(&error))?);
    let model = Model::from_bytes(&bytes).map_err(|error| named(&error))?;
    let need = model.workspace_bytes(&arguments.config).map_err(|error| named(&error))?;
    let mut workspace = vec![0; need];
    let mut predictor =
        Predictor::new(&model, arguments.config, &mut workspace).map_err(|error| named(&error))?;
    task(&model, &mut predictor)
}

fn size(model: &Model<'_>) -> Result<usize, String> {
    usize::try_from(model.manifest().input.tensor.len()).map_err(|_| "the model's input is too large".into())
}

/// `stf-run predict`
pub fn predict(arguments: &Arguments) -> Result<String, String> {
    with_predictor(arguments, |model, predictor| {
        let path = arguments.images()?;
        let data = Data::read(path, None, size(model)?, arguments.limit, None)?;
        let mut text = String::new();
        for (index, input) in data.inputs().enumerate() {
            let p = predictor.predict(Input::U8(input)).map_err(|error| error.to_string())?;
            let c = p.classification.as_ref();
            if arguments.bits {
                write_bits(&mut text, index, p.mean, p.spread, p.samples, c)
                    .map_err(|error| error.to_string())?;
            } else {
                let name = format!("{}[{index}]", path.display());
                text += &line(model, arguments.json, name, &p)?;
            }
            text.push('\n');
        }
        Ok(text)
    })
}

fn line(model: &Model<'_>, json: bool, input: String, p: &Prediction<'_>) -> Result<String, String> {
    let Prediction { mean, spread, samples, passes, .. } = *p;
    let Some(c) = p.classification else {
        return if json {
            to_json(&Values { input, mean, spread, samples, passes })
        } else {
            Ok(format!("{input}: mean {mean:?}, spread {spread:?}, {samples} samples"))
        };
    };
    let class_name = model.class_name(c.class.into());
    if json {
        return to_json(&Record {
            input,
            class: c.class,
            class_name,
            confidence: c.confidence,
            probabilities: mean,
            spread,
            predictive_entropy: c.predictive_entropy,
            expected_entropy: c.expected_entropy,
            mutual_information: c.mutual_information,
            samples,
            passes,
        });
    }
    let name = class_name.map_or_else(|| c.class.to_string(), str::to_string);
    let mut text =
        format!("{input}: {name} ({:.1} %), {samples} samples, {passes} passes, ", 100.0 * c.confidence);
    let _ = write!(
        text,
        "{:.4} nats = aleatoric {:.4} + epistemic {:.4}",
        c.predictive_entropy, c.expected_entropy, c.mutual_information
    );
    Ok(text)
}

/// `stf-run eval`
pub fn eval(arguments: &Arguments) -> Result<String, String> {
    with_predictor(arguments, |model, predictor| {
        if model.manifest().task != Task::Classification {
            return Err(format!(
                "{}: found a regression, expected a classifier",
                arguments.model()?.display()
            ));
        }
        let name = arguments.name.as_deref();
        let labels = Some(arguments.labels()?.as_path());
        let data = Data::read(arguments.images()?, labels, size(model)?, arguments.limit, name)?;
        let (mut metrics, mut passes) = (Calibration::new(), 0_u64);
        for (index, (input, label)) in data.labelled().enumerate() {
            let p = predictor.predict(Input::U8(input)).map_err(|error| error.to_string())?;
            passes += u64::from(p.passes);
            if !metrics.push(p.mean, label.into()) {
                let classes = p.mean.len();
                return Err(format!("label of example {index}: found {label}, expected below {classes}"));
            }
        }
        let figures = Figures {
            model: model.manifest().name.into(),
            data: data.name.clone(),
            n: data.labels.len(),
            num_samples: arguments.config.samples.most(model),
            mean_passes: passes as f64 / data.labels.len() as f64,
            accuracy: metrics.accuracy(),
            nll: metrics.nll(),
            brier: metrics.brier(),
            ece: metrics.ece(),
            seed: arguments.config.seed,
            ood: [],
        };
        figures.print(arguments.json)
    })
}

/// `stf-run time`
pub fn time(arguments: &Arguments) -> Result<String, String> {
    with_predictor(arguments, |model, predictor| {
        let input = vec![128; size(model)?];
        let mut micros: Vec<f64> = Vec::new();
        for _ in 0..arguments.repeat.max(1) {
            let start = Instant::now();
            predictor.predict(Input::U8(&input)).map_err(|error| error.to_string())?;
            micros.push(start.elapsed().as_secs_f64() * 1e6);
        }
        micros.sort_by(f64::total_cmp);
        let (least, median) = (micros[0], micros[micros.len() / 2]);
        let samples = predictor.samples();
        if arguments.json {
            return Ok(format!(
                "{{\"num_samples\":{samples},\"repeat\":{},\"median_us\":{median:.3},\"least_us\":{least:.3}}}",
                micros.len()
            ));
        }
        Ok(format!("{samples} samples: median {median:.1} us, least {least:.1} us, of {}", micros.len()))
    })
}
