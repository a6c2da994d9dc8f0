//! Does vector scaling, a factor and an offset for each class's logit, calibrate better than one
//! temperature? Fits both as `stf calibrate` does, on the fitting half of the calibration split and
//! through the device's own runtime, and holds them against the test split.
//!
//! ```text
//! cargo run --release --example scaling -- DATA MODEL... [--k 8]
//! ```
//!
//! MODEL is an artifact of `stf export`, DATA what its network was trained on; `$STF_DATA_DIR` says where
//! names are found. Prints a Markdown table.

use std::path::Path;
use stf_bnn::uncertainty::Calibration;
use stf_bnn::{AlignedBytes, Config, Model, Samples};
use stf_host::calibrate::parts;
use stf_host::calibrate::temperature::{self, Drawn};
use stf_host::data::{self, Dataset};
use stf_host::error::{Error, Result};
use stf_host::evaluate::predict_all;

/// Steps of Adam, all examples in each, and its step size before the cosine schedule.
const STEPS: usize = 400;
const RATE: f64 = 0.02;

fn main() {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let mut samples = 8;
    if let Some(at) = words.iter().position(|word| word == "--k") {
        samples = words.get(at + 1).and_then(|k| k.parse().ok()).unwrap_or(samples);
        words.truncate(at);
    }
    let [data, models @ ..] = words.as_slice() else {
        eprintln!("usage: scaling DATA MODEL... [--k SAMPLES]");
        std::process::exit(2);
    };
    println!(
        "| model | scaling | accuracy, % | NLL | ECE | NLL where it was fitted |\n|---|---|---|---|---|---|"
    );
    for model in models {
        if let Err(error) = compare(Path::new(model), data, samples) {
            eprintln!("scaling: {error}");
            std::process::exit(1);
        }
    }
}

fn compare(path: &Path, data: &str, samples: u16) -> Result<()> {
    let bytes = AlignedBytes::new(&std::fs::read(path).map_err(Error::io(path, "read"))?);
    let model = Model::from_bytes(&bytes)
        .map_err(|error| Error::malformed(path, "artifact", error, "an intact .stf file"))?;
    let seed = model.manifest().provenance.seed;
    let splits = data::splits(data::load(data, None)?, seed)?;
    let config = Config { samples: Samples::MonteCarlo(samples), ..Config::default() };
    let fit = drawn(&model, &parts(&splits.calibration, seed)?.0, &config)?;
    let test = drawn(&model, &splits.test, &config)?;
    let classes = usize::from(model.manifest().outputs);
    let temperature = f64::from(temperature::fit(&fit));
    let one = Scaling { factors: vec![1.0; classes], offsets: vec![0.0; classes] };
    let warm = Scaling { factors: vec![1.0 / temperature; classes], ..one.clone() };
    let vector = warm.clone().fitted(&fit);
    let rows = [("none", one), (&*format!("temperature {temperature:.3}"), warm), ("vector", vector)];
    for (name, scaling) in rows {
        let (found, before) = (scaling.figures(&test), scaling.figures(&fit));
        println!(
            "| {} | {name} | {:.2} | {:.4} | {:.4} | {:.4} |",
            path.file_stem().unwrap_or_default().to_string_lossy(),
            100.0 * found.accuracy(),
            found.nll(),
            found.ece(),
            before.nll()
        );
    }
    Ok(())
}

fn drawn(model: &Model<'_>, set: &Dataset, config: &Config) -> Result<Vec<Drawn>> {
    let classes = usize::from(model.manifest().outputs);
    let logits = predict_all(model, set, config, &|_, logits| logits)?;
    let drawn = |(logits, &label): (Vec<f32>, &u32)| Drawn { logits, classes, label: label as usize };
    Ok(logits.into_iter().zip(&set.labels).map(drawn).collect())
}

/// The logit of class `c` becomes `factors[c] z + offsets[c]`.
#[derive(Clone)]
struct Scaling {
    factors: Vec<f64>,
    offsets: Vec<f64>,
}

impl Scaling {
    /// Probabilities of one draw.
    fn probabilities(&self, logits: &[f32]) -> Vec<f64> {
        let scaled = logits.iter().zip(&self.factors).zip(&self.offsets);
        let scaled: Vec<f64> = scaled.map(|((&z, factor), offset)| factor * f64::from(z) + offset).collect();
        let greatest = scaled.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let e: Vec<f64> = scaled.iter().map(|z| (z - greatest).exp()).collect();
        let sum: f64 = e.iter().sum();
        e.into_iter().map(|e| e / sum).collect()
    }

    fn figures(&self, examples: &[Drawn]) -> Calibration {
        let mut found = Calibration::new();
        for example in examples {
            let mut mean = vec![0.0; example.classes];
            let draws = example.logits.chunks_exact(example.classes);
            let share = 1.0 / draws.len() as f64;
            for draw in draws {
                mean.iter_mut().zip(self.probabilities(draw)).for_each(|(mean, p)| *mean += share * p);
            }
            let mean: Vec<f32> = mean.into_iter().map(|p| p as f32).collect();
            found.push(&mean, example.label);
        }
        found
    }

    /// Gradient of the mean NLL of the averaged probabilities: by factor, then by offset.
    fn gradient(&self, examples: &[Drawn]) -> Vec<f64> {
        let classes = self.factors.len();
        let mut gradient = vec![0.0; 2 * classes];
        for example in examples {
            let draws: Vec<_> =
                example.logits.chunks_exact(classes).map(|draw| (draw, self.probabilities(draw))).collect();
            let sum: f64 = draws.iter().map(|(_, p)| p[example.label]).sum();
            for (logits, p) in draws {
                // A draw counts by its share of the label's probability.
                let share = p[example.label] / sum.max(1e-30) / examples.len() as f64;
                for class in 0..classes {
                    let slope = share * (p[class] - f64::from(u8::from(class == example.label)));
                    gradient[class] += slope * f64::from(logits[class]);
                    gradient[classes + class] += slope;
                }
            }
        }
        gradient
    }

    /// The least NLL from here, by Adam over all examples.
    fn fitted(mut self, examples: &[Drawn]) -> Self {
        let classes = self.factors.len();
        let (mut first, mut second) = (vec![0.0; 2 * classes], vec![0.0; 2 * classes]);
        for step in 1..=STEPS {
            let rate = RATE * 0.5 * (1.0 + (std::f64::consts::PI * step as f64 / STEPS as f64).cos());
            for (i, slope) in self.gradient(examples).into_iter().enumerate() {
                first[i] = 0.9 * first[i] + 0.1 * slope;
                second[i] = 0.999 * second[i] + 0.001 * slope * slope;
                let m = first[i] / (1.0 - 0.9_f64.powi(step as i32));
                let v = second[i] / (1.0 - 0.999_f64.powi(step as i32));
                let change = rate * m / (v.sqrt() + 1e-8);
                if i < classes { self.factors[i] -= change } else { self.offsets[i - classes] -= change }
            }
        }
        self
    }
}
