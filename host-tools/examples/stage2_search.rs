//! Whether any setting of stage 2 beats the plain network with a temperature.
//!
//! `cargo run --release --example stage2_search -- COMPARISON [--data-dir DIR] [--seeds N] [--samples K]`
//!
//! Takes the plain networks of a folder of `stf compare` and infers their first layers with one setting after another
//! changed. Judged on the calibration part alone: the softmax's temperature is fitted on one half and the figures are
//! of the other, both ways round. Differences are paired by seed.

use std::path::PathBuf;
use stf_host::calibrate::temperature::{self, Drawn};
use stf_host::compare::{Comparison, Mean, Seeded, Watch, outcomes_of};
use stf_host::data::Dataset;
use stf_host::evaluate::metrics;
use stf_host::train::methods::{Logits, Method, Net, Weights, logits};
use stf_host::train::{PriorMean, Stage2Config, stage2};
use stf_host::{Error, Result};

fn main() -> std::process::ExitCode {
    match run() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            std::process::ExitCode::FAILURE
        }
    }
}

struct Arguments {
    comparison: PathBuf,
    data_dir: Option<PathBuf>,
    seeds: u64,
    samples: usize,
}

fn arguments() -> Result<Arguments> {
    let usage = |found: &str| {
        Error::invalid("arguments", found, "the folder of a comparison and options with values")
    };
    let mut words = std::env::args().skip(1);
    let comparison = words.next().ok_or_else(|| usage("none"))?.into();
    let mut found = Arguments { comparison, data_dir: None, seeds: 3, samples: 8 };
    while let Some(flag) = words.next() {
        let value = words.next().ok_or_else(|| usage(&flag))?;
        match flag.as_str() {
            "--data-dir" => found.data_dir = Some(value.into()),
            "--seeds" => found.seeds = value.parse().map_err(|_| usage(&value))?,
            "--samples" => found.samples = value.parse().map_err(|_| usage(&value))?,
            _ => return Err(usage(&flag)),
        }
    }
    Ok(found)
}

/// A name, and what it changes of the settings at temperature 1.
type Setting = (String, Box<dyn Fn(Stage2Config) -> Stage2Config>);

fn settings() -> Vec<Setting> {
    let mut all: Vec<Setting> = vec![("as `stf compare`".into(), Box::new(|config| config))];
    let mut add = |name: String, change: Box<dyn Fn(Stage2Config) -> Stage2Config>| all.push((name, change));
    for t in [0.01, 0.1, 5.0, 20.0] {
        let change = move |config| Stage2Config { temperature: t, ..config };
        add(format!("posterior temperature {t}"), Box::new(change));
    }
    for delta in [0.02, 0.05, 0.5] {
        add(
            format!("sigma start {delta} of a weight"),
            Box::new(move |config| Stage2Config { delta, ..config }),
        );
    }
    for prior_sigma in [0.1, 0.3, 3.0] {
        let change = move |config| Stage2Config { prior_sigma, ..config };
        add(format!("prior sigma {prior_sigma}"), Box::new(change));
    }
    let zero = |config| Stage2Config { prior: PriorMean::Zero, ..config };
    add("prior around zero".into(), Box::new(zero));
    for lr_mu in [1e-5, 1e-3, 3e-3] {
        add(format!("rate of mu {lr_mu}"), Box::new(move |config| Stage2Config { lr_mu, ..config }));
    }
    for lr_log_var in [1e-2, 1e-1] {
        let change = move |config| Stage2Config { lr_log_var, ..config };
        add(format!("rate of log-variance {lr_log_var}"), Box::new(change));
    }
    add("15 epochs".into(), Box::new(|config| Stage2Config { epochs: 15, ..config }));
    let moved = |config| Stage2Config { epochs: 15, lr_mu: 1e-3, temperature: 5.0, ..config };
    add("15 epochs, rate of mu 0.001, temperature 5".into(), Box::new(moved));
    all
}

/// NLL, ECE and mean mutual information.
type Judged = [f64; 3];

/// Fitted on one half of the examples and judged on the other, both ways round.
fn judge(drawn: &Logits, set: &Dataset) -> Result<Judged> {
    let halves = [0, 1].map(|half| (half..set.len()).step_by(2).collect::<Vec<_>>());
    let draws: Vec<&[f32]> = drawn.examples().collect();
    let mut sum = [0.0; 3];
    for (fitted, judged) in [(&halves[0], &halves[1]), (&halves[1], &halves[0])] {
        let example = |&at: &usize| Drawn {
            logits: draws[at].to_vec(),
            classes: drawn.classes,
            label: set.labels[at] as usize,
        };
        let temperature = temperature::fit(&fitted.iter().map(example).collect::<Vec<_>>());
        let all = outcomes_of(drawn, temperature);
        let outcomes: Vec<_> = judged.iter().map(|&at| all[at].clone()).collect();
        let figures = metrics(&outcomes, &set.select(judged)?);
        let information = |outcome: &stf_host::evaluate::Outcome| {
            outcome.classification.map_or(0.0, |found| f64::from(found.mutual_information))
        };
        let mean = outcomes.iter().map(information).sum::<f64>() / outcomes.len().max(1) as f64;
        for (sum, value) in sum.iter_mut().zip([figures.nll(), figures.ece(), mean]) {
            *sum += 0.5 * value;
        }
    }
    Ok(sum)
}

fn run() -> Result<()> {
    let Arguments { comparison, data_dir, seeds, samples } = arguments()?;
    let comparison = Comparison::existing(&comparison)?;
    let all = settings();
    // By setting, then by seed; the plain network first.
    let mut found = vec![Vec::new(); all.len() + 1];
    for seed in 0..seeds {
        let seeded = Seeded::load(&comparison.settings, data_dir.as_deref(), seed)?;
        let Seeded { splits, preprocessing, graph, .. } = &seeded;
        let net = comparison.net(Method::Plain, seed)?;
        let held_out = |net: &Net| {
            judge(&logits(net, &splits.calibration, preprocessing, samples, seed)?, &splits.calibration)
        };
        found[0].push(held_out(&net)?);
        let base = comparison.settings.stage2(graph, &splits.train.name, seed, 1.0);
        for ((name, change), found) in all.iter().zip(&mut found[1..]) {
            let config = change(base.clone());
            let mut watch = Watch::new(format!("{name}, seed {seed}"));
            let state = stage2(graph, net.center(), seeded.train_data(), &config, None, &mut watch)?;
            let weights = Weights::MeanField { params: state.params, posteriors: vec![state.posterior] };
            found.push(held_out(&Net { graph: graph.clone(), weights, device: config.device })?);
        }
    }
    table(&all, &found)
}

fn table(all: &[Setting], found: &[Vec<Judged>]) -> Result<()> {
    let mean = |values: Vec<f64>| {
        Mean::of(&values).ok_or_else(|| Error::invalid("--seeds", values.len(), "at least 1"))
    };
    let column = |rows: &[Judged], at: usize| mean(rows.iter().map(|row| row[at]).collect());
    println!("| stage 2 | NLL | less plain's | ECE | mutual information |\n|---|---|---|---|---|");
    let names = std::iter::once("plain").chain(all.iter().map(|(name, _)| name.as_str()));
    for (name, rows) in names.zip(found) {
        let less = mean(rows.iter().zip(&found[0]).map(|(row, plain)| row[0] - plain[0]).collect())?;
        let interval = less.half_width.map_or(String::new(), |half| format!(" ± {half:.4}"));
        let [nll, ece, information] = [column(rows, 0)?.mean, column(rows, 1)?.mean, column(rows, 2)?.mean];
        println!("| {name} | {nll:.4} | {:+.4}{interval} | {ece:.4} | {information:.4} |", less.mean);
    }
    Ok(())
}
