//! `stf export`: a trained run, quantized, as one `.stf` file.

use super::common::{DataDirArg, grouped, print_result};
use crate::data;
use crate::error::{Error, Result};
use crate::export::{Description, artifact};
use crate::files::write_atomic;
use crate::quantize::range::RangeRule;
use crate::quantize::{QuantizeOptions, quantize};
use crate::run::RunSettings;
use crate::run::chain::{self, Trained};
use crate::train::PriorMean;
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;
use stf_bnn::artifact::Prior;

/// Quantize a trained run and write it as one artifact
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Run folder of `stf train`
    run: PathBuf,
    /// The .stf file to write
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
    /// Export the stage-1 network, without noise
    #[arg(long)]
    plain: bool,
    #[command(flatten)]
    quantize: QuantizeArgs,
    #[command(flatten)]
    data_dir: DataDirArg,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// How a network is quantized.
#[derive(Debug, Clone, Args)]
pub struct QuantizeArgs {
    /// Range of activations: min-max, mse, or percentile:SHARE such as percentile:0.9999
    #[arg(long, value_name = "RULE", value_parser = parse_rule, default_value = "mse")]
    range: RangeRule,
    /// Calibration examples to watch at most
    #[arg(long, value_name = "N", default_value_t = QuantizeOptions::default().max_examples)]
    calibration_examples: usize,
    /// Draw noise per output of a dense first layer instead of per weight
    #[arg(long)]
    noise_per_output: bool,
}

impl QuantizeArgs {
    /// The quantizer's options.
    #[must_use]
    pub fn options(&self, seed: u64) -> QuantizeOptions {
        QuantizeOptions {
            range: self.range,
            max_examples: self.calibration_examples,
            noise_per_output: self.noise_per_output,
            seed,
        }
    }
}

fn parse_rule(text: &str) -> std::result::Result<RangeRule, String> {
    match text {
        "mse" => Ok(RangeRule::Mse),
        "min-max" => Ok(RangeRule::MinMax),
        _ => text
            .strip_prefix("percentile:")
            .and_then(|share| share.parse().ok())
            .filter(|share| (0.5..=1.0).contains(share))
            .map(RangeRule::Percentile)
            .ok_or_else(|| "expected min-max, mse or percentile:SHARE with a share of 0.5 to 1".to_string()),
    }
}

#[derive(Debug, Serialize)]
struct ExportRecord {
    artifact: String,
    bytes: usize,
    bayesian: bool,
    arena_bytes: usize,
    arena_lower_bound: usize,
}

/// Runs the command.
///
/// # Errors
/// If the run is not finished, its data are gone, the network has no counterpart in the runtime, or
/// the disk refuses.
pub fn run(args: &ExportArgs) -> Result<()> {
    let (settings, trained) = chain::read(&args.run)?;
    let loaded = data::load(&settings.data, args.data_dir.data_dir.as_deref())?;
    let calibration = data::splits(loaded, settings.seed)?.calibration;
    let exported =
        export(&settings, &trained, args.plain, &calibration, &args.quantize.options(settings.seed))?;
    write_atomic(&args.out, |writer| writer.write_all(&exported.bytes))?;
    let record = ExportRecord {
        artifact: args.out.display().to_string(),
        bytes: exported.bytes.len(),
        bayesian: exported.bayesian,
        arena_bytes: exported.arena_bytes,
        arena_lower_bound: exported.arena_lower_bound,
    };
    print_result(args.json, &record, |record| {
        format!(
            "{}: {} bytes, {}, arena {} bytes (no plan can need less than {})",
            record.artifact,
            grouped(record.bytes as u64),
            if record.bayesian { "Bayesian first layer" } else { "plain" },
            grouped(record.arena_bytes as u64),
            grouped(record.arena_lower_bound as u64)
        )
    })
}

/// An artifact's bytes and its memory figures.
#[derive(Debug, Clone)]
pub struct Exported {
    /// The `.stf` file.
    pub bytes: Vec<u8>,
    /// Whether it has a Bayesian first layer.
    pub bayesian: bool,
    /// Bytes of one draw's activations.
    pub arena_bytes: usize,
    /// Bytes alive at one time at most.
    pub arena_lower_bound: usize,
}

/// Quantizes and writes a trained run: its stage-1 network if `plain`, else with the posterior.
///
/// # Errors
/// As [`quantize`] and [`artifact`].
pub fn export(
    settings: &RunSettings,
    trained: &Trained,
    plain: bool,
    calibration: &data::Dataset,
    options: &QuantizeOptions,
) -> Result<Exported> {
    let (params, posterior) = match &trained.bayesian {
        Some((params, posterior)) if !plain => (params, Some(posterior)),
        _ => (&trained.plain, None),
    };
    let quantized =
        quantize(&trained.graph, params, posterior, calibration, &settings.preprocessing, options)?;
    let training = serde_json::json!({ "settings": settings, "quantize": options }).to_string();
    let prior = settings.stage2.as_ref().map(|stage2| Prior {
        mean_is_map: stage2.prior == PriorMean::Map,
        prior_sigma: stage2.prior_sigma,
        temperature: stage2.temperature,
    });
    let class_names: &[String] = match trained.graph.task {
        crate::graph::Task::Classification => &settings.class_names,
        crate::graph::Task::Reconstruction => &[],
    };
    if let Some(name) = class_names.iter().find(|name| name.contains('\n')) {
        return Err(Error::invalid("class name", format!("{name:?}"), "a name of one line"));
    }
    let description = Description {
        name: &settings.architecture,
        task: trained.graph.task,
        class_names,
        prior,
        data: &settings.data_name,
        seed: settings.seed,
        training: &training,
    };
    Ok(Exported {
        bytes: artifact(&quantized, &description)?,
        bayesian: posterior.is_some(),
        arena_bytes: quantized.plan.arena_bytes,
        arena_lower_bound: quantized.plan.lower_bound,
    })
}
