//! Do the promises of a regression's intervals, or of an autoencoder's alarms, hold on other splits?
//!
//! `cargo run --release -p stf-host --example interval_resplits -- MODEL.stf DATA [SPLITS]`
//!
//! Predicts the calibration and test parts once, with the runtime, then divides them anew (20 times): one half
//! calibrates as `stf calibrate` does, the other half counts. Training examples take no part; neither does the half of
//! the calibration part that quantization watched.

use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::path::Path;
use stf_bnn::artifact::Task;
use stf_bnn::{AlignedBytes, Config, Model};
use stf_host::calibrate::conformal::threshold;
use stf_host::calibrate::{Share, parts};
use stf_host::data::{self, Content, Dataset};
use stf_host::evaluate::{errors, outcomes};
use stf_host::{Error, Result};

const ALPHAS: [&str; 3] = ["0.05", "0.1", "0.2"];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, spec, rest @ ..] = &arguments[..] else {
        return Err(Error::invalid("arguments", arguments.len(), "MODEL.stf DATA [SPLITS]"));
    };
    let splits = rest.first().and_then(|text| text.parse().ok()).unwrap_or(20);
    let bytes = std::fs::read(path).map_err(Error::io(Path::new(path), "read"))?;
    let bytes = AlignedBytes::new(&bytes);
    let model =
        Model::from_bytes(&bytes).map_err(|error| Error::invalid("artifact", error, "an intact one"))?;
    let targets = match model.manifest().task {
        Task::Gaussian(_) => model.manifest().outputs / 2,
        Task::Reconstruction(_) => 1,
        _ => return Err(Error::invalid("model", "a classifier", "a regression or an autoencoder")),
    };
    for target in 0..targets.into() {
        let scores = scores(&model, spec, target)?;
        println!("target {target}: {} examples, {splits} splits into halves", scores.len());
        for alpha in ALPHAS {
            report(
                &scores,
                alpha.parse().map_err(|error: String| Error::invalid("alpha", alpha, error))?,
                splits,
            )?;
        }
    }
    Ok(())
}

/// Conformal scores of all examples that neither training nor quantization has seen.
fn scores(model: &Model<'_>, spec: &str, target: usize) -> Result<Vec<f32>> {
    let is_regression = matches!(model.manifest().task, Task::Gaussian(_));
    let content = if is_regression { Content::Targets } else { Content::Classes };
    let seed = model.manifest().provenance.seed;
    let splits = data::splits(data::load_with(spec, None, content)?, seed)?;
    let (_, certifying) = parts(&splits.calibration, seed)?;
    let mut scores = Vec::new();
    for set in [&certifying, &splits.test] {
        scores.extend(if is_regression {
            residuals(model, set, target)?
        } else {
            errors(model, set, &Config::default())?.0
        });
    }
    Ok(scores)
}

fn residuals(model: &Model<'_>, set: &Dataset, target: usize) -> Result<Vec<f32>> {
    let found = outcomes(model, set, &Config::default())?;
    let one = |(index, outcome): (usize, &stf_host::evaluate::Outcome)| {
        outcome
            .gaussian(target)
            .map_or(f32::INFINITY, |gaussian| gaussian.residual(set.targets.of(index)[target]))
    };
    Ok(found.iter().enumerate().map(one).collect())
}

/// Share of one half within the threshold of the other: mean, extremes, and the standard error of one split.
fn report(scores: &[f32], alpha: Share, splits: u64) -> Result<()> {
    let (half, mut shares) = (scores.len() / 2, Vec::new());
    for split in 0..splits {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(split);
        let mut shuffled = scores.to_vec();
        for last in (1..shuffled.len()).rev() {
            shuffled.swap(last, (rng.next_u64() % (last as u64 + 1)) as usize);
        }
        let (fit, test) = shuffled.split_at_mut(half);
        let limit = threshold(fit, alpha, "in one half")?;
        shares.push(test.iter().filter(|score| **score <= limit).count() as f64 / test.len() as f64);
    }
    let (n, nominal) = (half as f64, 1.0 - alpha.value());
    let error = (nominal * (1.0 - nominal) * (1.0 / (n + 2.0) + 1.0 / (scores.len() as f64 - n))).sqrt();
    let mean = shares.iter().sum::<f64>() / splits as f64;
    let (least, most) = shares.iter().fold((1.0_f64, 0.0_f64), |(a, b), &share| (a.min(share), b.max(share)));
    let within = shares.iter().filter(|&&share| (share - nominal).abs() <= 2.0 * error).count();
    println!(
        "  promised {:.2} %: {:.2} % on average, {:.2} to {:.2} %; {within} of {splits} within two standard errors of {:.2} %",
        100.0 * nominal,
        100.0 * mean,
        100.0 * least,
        100.0 * most,
        100.0 * error
    );
    Ok(())
}
