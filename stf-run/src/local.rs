//! Predictions by the runtime in this process.

use crate::arguments::Arguments;
use crate::data::Data;
use crate::log::Log;
use serde::Serialize;
use std::fmt::Write;
use std::path::Path;
use std::time::Instant;
use stf_bnn::artifact::Task;
use stf_bnn::uncertainty::Calibration;
use stf_bnn::{AlignedBytes, Input, Model, Prediction, Predictor};
use stf_device_protocol::{Figures, Metrics, write_bits, write_draw};

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

/// Figures as JSON, with the name that `stf eval` fills with out-of-distribution sets, or as text.
pub fn show(figures: &Figures, json: bool) -> Result<String, String> {
    #[derive(Serialize)]
    struct Evaluation<'a> {
        #[serde(flatten)]
        figures: &'a Figures,
        ood: [(); 0],
    }
    if json { to_json(&Evaluation { figures, ood: [] }) } else { Ok(figures.to_string()) }
}

/// One line of JSON.
pub fn to_json<T: Serialize>(value: &T) -> Result<String, String> {
    serde_json::to_string(value).map_err(|error| format!("JSON: {error}"))
}

/// An artifact's bytes in aligned memory.
pub fn read_model(path: &Path) -> Result<AlignedBytes, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(AlignedBytes::new(&bytes))
}

/// Hands a checked model and a predictor to `task`.
fn with_predictor<T>(
    arguments: &Arguments,
    task: impl FnOnce(&Model<'_>, &mut Predictor<'_, '_>) -> Result<T, String>,
) -> Result<T, String> {
    let path = arguments.model()?;
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let bytes = read_model(path)?;
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
            let start = text.len();
            let draw = |draw, outputs: &[f32]| {
                if arguments.logits {
                    if draw == 0 {
                        // A pass of the mean that settled nothing is no draw of the result.
                        text.truncate(start);
                    }
                    // Writing to a string cannot fail.
                    let _ = write_draw(&mut text, index, draw, outputs);
                    text.push('\n');
                }
            };
            let p = predictor.predict_with(Input::U8(input), draw).map_err(|error| error.to_string())?;
            if arguments.bits {
                let _ = write_bits(&mut text, index, p.mean, p.spread, p.samples, p.classification.as_ref());
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
        let mut log = Log::create(arguments)?;
        for (index, (input, label)) in data.labelled().enumerate() {
            let p = predictor.predict(Input::U8(input)).map_err(|error| error.to_string())?;
            passes += u64::from(p.passes);
            if !metrics.push(p.mean, label.into()) {
                let classes = p.mean.len();
                return Err(format!("label of example {index}: found {label}, expected below {classes}"));
            }
            log.push(index, label.into(), p.mean, (p.samples, p.passes), p.classification.as_ref())?;
        }
        log.finish()?;
        let (asked, seed) = (arguments.config.samples.most(model), arguments.config.seed);
        let metrics = Metrics::of(&metrics, passes);
        show(&Figures::new(model.manifest().name, &data.name, asked, seed, &metrics), arguments.json)
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
