//! `stf demo`: the whole chain on the embedded digits, in one command without a network.

use super::common::{grouped, print_result};
use super::export::export;
use crate::calibrate::{Options, Summary, calibrate, parts};
use crate::data::{self, Preprocessing};
use crate::error::{Error, Result};
use crate::evaluate::{Evaluation, evaluate};
use crate::files::write_atomic;
use crate::progress::interrupt;
use crate::quantize::QuantizeOptions;
use crate::run::{RunFolder, RunSettings, chain};
use crate::train::{Stage1Config, Stage2Config, validate};
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;
use std::time::Instant;
use stf_bnn::{AlignedBytes, Config, Model, Samples};

/// Architecture of the demo: convolutional, and trained in seconds.
const ARCHITECTURE: &str = "lenet5";

/// Monte-Carlo samples of the float reference and of the int8 figures.
const NUM_SAMPLES: u16 = 8;

/// Train both stages on the embedded digits, export, and evaluate through the runtime
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Folder for model.stf, report.json and the run
    #[arg(long, value_name = "DIR", default_value = "stf-demo")]
    out: PathBuf,
    /// Seed of everything random
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// What `report.json` holds.
#[derive(Debug, Serialize)]
struct Report {
    tool: &'static str,
    data: String,
    architecture: &'static str,
    seed: u64,
    num_samples: u16,
    test_examples: usize,
    rows: Vec<Row>,
    model: String,
    model_bytes: usize,
    /// What was fitted into the written model; the rows above are from before.
    calibration: Summary,
    workspace_bytes: usize,
    seconds: f64,
}

/// Figures of one predictor on the test split.
#[derive(Debug, Serialize)]
struct Row {
    network: &'static str,
    arithmetic: &'static str,
    passes: f64,
    accuracy: f64,
    nll: f64,
    ece: f64,
    brier: f64,
}

/// Runs the command.
///
/// # Errors
/// If training fails or the folder cannot be written.
pub fn run(args: &DemoArgs) -> Result<()> {
    interrupt::install();
    let started = Instant::now();
    let splits = digits(args.seed)?;
    let settings = settings(args.seed, &splits)?;
    let folder = RunFolder::open(&args.out.join("run"))?;
    refuse_other_run(&folder)?;
    chain::clear(&folder)?;
    folder.save_config(&settings)?;
    let (trained, _) = chain::train(&folder, &settings, &splits)?;

    let options = QuantizeOptions { seed: args.seed, ..QuantizeOptions::default() };
    let (fit, certifying) = parts(&splits.calibration, args.seed)?;
    let plain = export(&settings, &trained, true, &fit, &options)?;
    let bayesian = export(&settings, &trained, false, &fit, &options)?;
    let config = Config { samples: Samples::MonteCarlo(NUM_SAMPLES), seed: args.seed, ..Config::default() };
    let wanted = Options { config, ..Options::default() };
    let (model, calibration) = calibrate(&AlignedBytes::new(&bayesian.bytes), &fit, &certifying, &wanted)?;
    let model_path = args.out.join("model.stf");
    write_atomic(&model_path, |writer| writer.write_all(&model))?;

    let (plain_figures, _) = through_runtime(&plain.bytes, &splits.test, &config)?;
    let (bayesian_figures, workspace_bytes) = through_runtime(&bayesian.bytes, &splits.test, &config)?;
    let (float_plain, float_bayesian) = float_rows(&trained, &settings, &splits.test)?;
    let report = Report {
        tool: concat!("stf ", env!("CARGO_PKG_VERSION")),
        data: splits.test.name.clone(),
        architecture: ARCHITECTURE,
        seed: args.seed,
        num_samples: NUM_SAMPLES,
        test_examples: splits.test.len(),
        rows: vec![
            float_plain,
            row("plain", &plain_figures),
            float_bayesian,
            row("STF-BNN", &bayesian_figures),
        ],
        model: model_path.display().to_string(),
        model_bytes: model.len(),
        calibration,
        workspace_bytes,
        seconds: started.elapsed().as_secs_f64(),
    };
    let json = super::common::to_json(&report)?;
    write_atomic(&args.out.join("report.json"), |writer| writeln!(writer, "{json}"))?;
    print_result(args.json, &report, text)
}

fn digits(seed: u64) -> Result<data::Splits> {
    data::splits(data::load("digits", None)?, seed)
}

/// A run of the demo, of any seed, is made anew; one that somebody trained is not touched.
fn refuse_other_run(folder: &RunFolder) -> Result<()> {
    let Some(file) = chain::started(folder.path()) else { return Ok(()) };
    if let Ok(found) = chain::read_settings(folder.path()) {
        let own = RunSettings { tool: found.tool.clone(), ..settings(found.seed, &digits(found.seed)?)? };
        if found == own {
            return Ok(());
        }
    }
    Err(Error::malformed(
        folder.path(),
        "run folder",
        format!("a run that is not the demo's ({file})"),
        "no run, or one of `stf demo`; give another --out",
    ))
}

fn settings(seed: u64, splits: &data::Splits) -> Result<RunSettings> {
    let classes = splits.train.class_names.len();
    let graph = crate::graph::architectures::build(ARCHITECTURE, splits.train.shape, classes)?;
    Ok(RunSettings {
        tool: concat!("stf ", env!("CARGO_PKG_VERSION")).to_string(),
        architecture: ARCHITECTURE.to_string(),
        data: "digits".to_string(),
        data_name: "digits".to_string(),
        input: splits.train.shape,
        class_names: splits.train.class_names.clone(),
        preprocessing: Preprocessing::fit(&splits.train)?,
        seed,
        stage1: Stage1Config { seed, ..Stage1Config::recipe(ARCHITECTURE, "digits") },
        stage2: Some(Stage2Config { seed, ..Stage2Config::recipe(&graph, "digits") }),
        targets: None,
        network: None,
    })
}

fn through_runtime(bytes: &[u8], test: &data::Dataset, config: &Config) -> Result<(Evaluation, usize)> {
    let bytes = AlignedBytes::new(bytes);
    let model = Model::from_bytes(&bytes)
        .map_err(|error| Error::invalid("artifact", error, "an artifact that the runtime accepts"))?;
    let workspace = model
        .workspace_bytes(config)
        .map_err(|error| Error::invalid("prediction settings", error, "settings that the model supports"))?;
    Ok((evaluate(&model, test, &[], config)?, workspace))
}

fn float_rows(trained: &chain::Trained, settings: &RunSettings, test: &data::Dataset) -> Result<(Row, Row)> {
    let samples = usize::from(NUM_SAMPLES);
    let figures = |network, passes, params, posterior| {
        validate(&trained.graph, params, posterior, test, &settings.preprocessing, samples, settings.seed)
            .map(|v| Row {
                network,
                arithmetic: "float",
                passes,
                accuracy: v.accuracy,
                nll: v.nll,
                ece: v.ece,
                brier: v.brier,
            })
    };
    let plain = figures("plain", 1.0, &trained.plain, None)?;
    let bayesian = match &trained.bayesian {
        Some((params, posterior)) => figures("STF-BNN", f64::from(NUM_SAMPLES), params, Some(posterior))?,
        None => return Err(Error::invalid("demo run", "no stage 2", "both stages")),
    };
    Ok((plain, bayesian))
}

fn row(network: &'static str, figures: &Evaluation) -> Row {
    Row {
        network,
        arithmetic: "int8",
        passes: figures.mean_passes,
        accuracy: figures.accuracy,
        nll: figures.nll,
        ece: figures.ece,
        brier: figures.brier,
    }
}

fn text(report: &Report) -> String {
    let mut text = format!(
        "{} on {} ({} test images), seed {}\n\n  network  arithmetic  passes  accuracy     NLL     ECE   Brier\n",
        report.architecture, report.data, report.test_examples, report.seed
    );
    for row in &report.rows {
        text.push_str(&format!(
            "  {:<8} {:<10} {:>7} {:>7.2} % {:>7.4} {:>7.4} {:>7.4}\n",
            row.network,
            row.arithmetic,
            row.passes,
            100.0 * row.accuracy,
            row.nll,
            row.ece,
            row.brier
        ));
    }
    text.push('\n');
    text.push_str(&super::calibrate::text(&report.calibration));
    text.push_str(&format!(
        "\n{}: {} bytes, workspace {} bytes; the int8 rows were predicted by the device's runtime\n{:.1} s in all",
        report.model,
        grouped(report.model_bytes as u64),
        grouped(report.workspace_bytes as u64),
        report.seconds
    ));
    text
}
