//! `stf compare`: STF-BNN beside other methods, on the user's data.

use super::common::{DataDirArg, TrainDeviceArg, at_least_one, print_result};
use crate::compare::{Comparison, Row, Seeded, Settings, Trials, UnitRecord, markdown, rows, write_json};
use crate::error::{Error, Result};
use crate::files::write_atomic;
use crate::progress::interrupt;
use crate::train::methods::Method;
use crate::train::{Stage1Config, Stage2Config, require_device};
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;

/// Train and judge STF-BNN beside other methods, with equal care
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// Architecture, as for `stf train`
    #[arg(long, value_name = "NAME")]
    arch: String,
    /// Data by name (digits, mnist, fashion-mnist, cifar10, spoken-digits) or path
    #[arg(long, value_name = "NAME|PATH")]
    data: String,
    /// Methods: all, or names separated by commas: plain, stf, block, last-layer, full-map, full, dropout,
    /// ensemble, laplace
    #[arg(long, value_name = "NAMES", default_value = "all")]
    methods: String,
    /// Number of seeds, from 0
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    /// Folder of the comparison; one that was interrupted goes on
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Epochs of stage 1, of every network from scratch and of every member [default: the recipe's]
    #[arg(long)]
    epochs: Option<usize>,
    /// Epochs of stage 2 and of every posterior that starts from stage 1 [default: the recipe's]
    #[arg(long)]
    bayes_epochs: Option<usize>,
    /// Draws of a prediction
    #[arg(long, short = 'k', value_name = "K", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    num_samples: u16,
    /// Networks of the deep ensemble
    #[arg(long, value_name = "M", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    members: u16,
    /// Rate of Monte-Carlo dropout
    #[arg(long, value_name = "P", default_value_t = 0.1)]
    dropout_rate: f32,
    /// Samples of a training step of the mean-field baselines
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    step_samples: u16,
    /// Temperatures of the posterior, the best of which on the calibration part of the first seed is taken
    /// [default: 0.1, 1, 20 and the recipe's]
    #[arg(long, value_name = "T,T", value_delimiter = ',')]
    temperatures: Vec<f32>,
    /// The same for the fully Bayesian network from scratch
    #[arg(long, value_name = "T,T", value_delimiter = ',', default_values_t = [0.01, 0.1, 1.0])]
    full_temperatures: Vec<f32>,
    /// Prior standard deviation of the fully Bayesian network from scratch
    #[arg(long, value_name = "SIGMA", default_value_t = 0.1)]
    full_prior_sigma: f32,
    /// Out-of-distribution data to tell apart by uncertainty; may be given several times
    #[arg(long, value_name = "NAME|PATH")]
    ood: Vec<String>,
    /// Test examples that are shifted by every kind at every severity; 0: none
    #[arg(long, value_name = "N", default_value_t = 1000)]
    corruption_examples: usize,
    /// At most so many training examples
    #[arg(long, value_name = "N", default_value_t = usize::MAX, hide_default_value = true, value_parser = at_least_one)]
    train_examples: usize,
    /// At most so many test examples of each set
    #[arg(long, value_name = "N", default_value_t = usize::MAX, hide_default_value = true, value_parser = at_least_one)]
    limit: usize,
    #[command(flatten)]
    device: TrainDeviceArg,
    #[command(flatten)]
    data_dir: DataDirArg,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Results {
    settings: Settings,
    rows: Vec<Row>,
    units: Vec<UnitRecord>,
}

/// Runs the command.
///
/// # Errors
/// If data or settings cannot be used, the folder holds another comparison, or training fails.
pub fn run(args: &CompareArgs) -> Result<()> {
    interrupt::install();
    let methods = methods(&args.methods)?;
    require_device(args.device.device())?;
    let dir = args.data_dir.data_dir.as_deref();
    let mut settings = settings(args);
    let first = Seeded::load(&settings, dir, 0)?;
    complete(args, &mut settings, &first)?;
    let trials = Trials::load(&settings, dir, &first.splits.test)?;
    let comparison = Comparison::open(&args.out, settings)?;
    let (mut first, mut units) = (Some(first), Vec::new());
    for seed in 0..args.seeds {
        let seeded = match first.take() {
            Some(first) => first,
            None => Seeded::load(&comparison.settings, dir, seed)?,
        };
        for &method in &methods {
            units.push(comparison.unit_record(&seeded, &trials, method)?);
        }
    }
    let results = Results { settings: comparison.settings.clone(), rows: rows(&units), units };
    write_json(&args.out.join("results.json"), &results)?;
    let table = markdown(&results.rows);
    write_atomic(&args.out.join("results.md"), |file| file.write_all(table.as_bytes()))?;
    print_result(args.json, &results, |_| table.clone())
}

fn methods(text: &str) -> Result<Vec<Method>> {
    if text == "all" { Ok(Method::ALL.to_vec()) } else { Method::list(text) }
}

fn settings(args: &CompareArgs) -> Settings {
    let recipe = |name: &str| Stage1Config::recipe(&args.arch, name);
    Settings {
        data: args.data.clone(),
        architecture: args.arch.clone(),
        epochs: args.epochs.unwrap_or_else(|| recipe(&args.data).epochs),
        bayes_epochs: args.bayes_epochs.unwrap_or_default(),
        num_samples: args.num_samples.into(),
        members: args.members.into(),
        dropout_rate: args.dropout_rate,
        step_samples: args.step_samples.into(),
        temperatures: args.temperatures.clone(),
        full_temperatures: args.full_temperatures.clone(),
        full_prior_sigma: args.full_prior_sigma,
        ood: args.ood.clone(),
        corruption_examples: args.corruption_examples,
        train_examples: args.train_examples,
        test_examples: args.limit,
        device: args.device.device(),
    }
}

/// Fills in what depends on the data, and checks all of it before anything is trained.
fn complete(args: &CompareArgs, settings: &mut Settings, first: &Seeded) -> Result<()> {
    let name = &first.splits.train.name;
    let recipe = Stage2Config::recipe(&first.graph, name);
    if args.epochs.is_none() {
        settings.epochs = Stage1Config::recipe(&args.arch, name).epochs;
    }
    settings.bayes_epochs = args.bayes_epochs.unwrap_or(recipe.epochs);
    if settings.temperatures.is_empty() {
        settings.temperatures = vec![0.1, 1.0, 20.0];
        if !settings.temperatures.contains(&recipe.temperature) {
            settings.temperatures.push(recipe.temperature);
        }
    }
    let all = settings.temperatures.iter().chain(&settings.full_temperatures);
    if let Some(bad) = all.copied().find(|t| !(t.is_finite() && *t >= 0.0)) {
        return Err(Error::invalid("temperature of the posterior", bad, "a finite number of at least 0"));
    }
    if !(settings.full_prior_sigma.is_finite() && settings.full_prior_sigma > 0.0) {
        return Err(Error::invalid("prior sigma", settings.full_prior_sigma, "a finite number above 0"));
    }
    settings.stage1(name, 0).check(&first.graph)?;
    settings.stage2(&first.graph, name, 0, 1.0).check(&first.graph)?;
    crate::graph::dropout::with_dropout(&first.graph, settings.dropout_rate).map(|_| ())
}
