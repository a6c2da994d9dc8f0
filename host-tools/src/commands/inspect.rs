//! `stf inspect`: what an artifact holds.

use super::common::{check_artifact, grouped, print_result, read_artifact};
use super::inspect_facts::FactRows;
use crate::error::{Error, Result};
use crate::report::memory_map;
use clap::Args;
use serde::Serialize;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use stf_bnn::artifact::{Adaptive, Layer, Tensor};
use stf_bnn::{Config, Model, Samples};

/// Show an artifact's layers, memory, posterior and provenance
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// The .stf file
    pub model: PathBuf,
    /// Draws side by side for the second workspace figure, and samples of a prediction
    #[arg(long, short = 'k', value_name = "K", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub num_samples: u16,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// What the command prints; sizes in bytes.
#[derive(Debug, Serialize)]
struct Inspection {
    name: String,
    file_bytes: usize,
    task: String,
    input: String,
    /// Order of the raw values.
    input_layout: String,
    /// Order of the raw channels against the network's.
    channel_order: String,
    input_mean: Vec<f32>,
    input_std: Vec<f32>,
    outputs: u16,
    class_names: Vec<String>,
    layers: Vec<LayerRow>,
    macs: u64,
    weight_bytes: u64,
    num_samples: u16,
    arena_bytes: u32,
    /// The largest set of tensors alive at one time: no plan of one draw can be smaller.
    arena_lower_bound: u64,
    arena_bytes_tile_k: u64,
    workspace_bytes_tile_1: usize,
    workspace_bytes_tile_1_uncached: usize,
    workspace_bytes_tile_k: usize,
    posterior: Option<PosteriorRow>,
    temperature: f32,
    facts: FactRows,
    signed: bool,
    release: u32,
    adaptive: Option<AdaptiveRow>,
    provenance: Provenance,
}

#[derive(Debug, Serialize)]
struct LayerRow {
    index: usize,
    layer: &'static str,
    input: String,
    output: String,
    macs: u64,
    weight_bytes: u32,
    bias_and_multiplier_bytes: u32,
    arena_offset: Option<u32>,
    bayesian: bool,
}

#[derive(Debug, Serialize)]
struct PosteriorRow {
    noise: String,
    mean_bytes: u32,
    log_var_bytes: u32,
    table_bytes: u32,
    channel_bytes: u32,
    sigma_min: f64,
    sigma_max: f64,
    prior_mean: &'static str,
    prior_sigma: f32,
    posterior_temperature: f32,
}

#[derive(Debug, Serialize)]
struct AdaptiveRow {
    samples_min: u16,
    samples_max: u16,
    group: u16,
    antithetic: bool,
    threshold: f32,
    delta: f64,
    confidence: f64,
    n: u32,
    differing: u32,
    mean_passes: f32,
    guarantee: String,
}

impl AdaptiveRow {
    fn new(rule: &Adaptive<'_>) -> Self {
        Self {
            samples_min: rule.samples_min,
            samples_max: rule.samples_max,
            group: rule.group,
            antithetic: rule.antithetic,
            threshold: rule.threshold,
            delta: f64::from(rule.delta_millionths) / 1e6,
            confidence: f64::from(rule.confidence_millionths) / 1e6,
            n: rule.examples,
            differing: rule.differing,
            mean_passes: rule.mean_passes,
            guarantee: rule.guarantee.to_string(),
        }
    }
}

#[derive(Debug, Serialize)]
struct Provenance {
    tool: String,
    data: String,
    seed: u64,
    training: serde_json::Value,
}

/// Runs the command.
///
/// # Errors
/// If the artifact cannot be read or is not intact.
pub fn run(args: &InspectArgs) -> Result<()> {
    let bytes = read_artifact(&args.model)?;
    let model = check_artifact(&args.model, &bytes)?;
    let inspection = inspect(&args.model, &model, bytes.len(), args.num_samples)?;
    print_result(args.json, &inspection, text)
}

fn inspect(path: &Path, model: &Model<'_>, file_bytes: usize, num_samples: u16) -> Result<Inspection> {
    let manifest = model.manifest();
    let workspace = |tile: u16, cache_mean: bool| {
        let config =
            Config { samples: Samples::MonteCarlo(num_samples), tile, cache_mean, ..Config::default() };
        model
            .workspace_bytes(&config)
            .map_err(|error| Error::malformed(path, "workspace", error, "a usable size"))
    };
    Ok(Inspection {
        name: manifest.name.to_string(),
        file_bytes,
        task: manifest.task.name().to_string(),
        input: shape(&manifest.input.tensor),
        input_layout: format!("{:?}", manifest.input.layout).to_lowercase(),
        channel_order: format!("{:?}", manifest.input.channel_order).to_lowercase(),
        input_mean: model.f32s(manifest.input.mean).to_vec(),
        input_std: stds(model),
        outputs: manifest.outputs,
        class_names: (0..usize::from(manifest.outputs))
            .map_while(|c| model.class_name(c))
            .map(str::to_string)
            .collect(),
        layers: model.layers().enumerate().map(|(index, layer)| row(model, index, &layer)).collect(),
        macs: model.macs(),
        weight_bytes: model.weight_bytes(),
        num_samples,
        arena_bytes: manifest.arena_bytes,
        arena_lower_bound: memory_map(model).lower_bound_bytes,
        arena_bytes_tile_k: u64::from(manifest.arena_bytes) * u64::from(num_samples),
        workspace_bytes_tile_1: workspace(1, true)?,
        workspace_bytes_tile_1_uncached: workspace(1, false)?,
        workspace_bytes_tile_k: workspace(num_samples, true)?,
        posterior: posterior(model),
        temperature: manifest.temperature,
        facts: FactRows::new(model),
        signed: model.is_signed(),
        release: model.release(),
        adaptive: manifest.adaptive.as_ref().map(AdaptiveRow::new),
        provenance: Provenance {
            tool: manifest.provenance.tool.to_string(),
            data: manifest.provenance.data.to_string(),
            seed: manifest.provenance.seed,
            training: serde_json::from_str(manifest.provenance.training)
                .unwrap_or_else(|_| manifest.provenance.training.into()),
        },
    })
}

/// What raw values are divided by, per channel of the network.
fn stds(model: &Model<'_>) -> Vec<f32> {
    let input = model.manifest().input;
    model.f32s(input.multiplier).iter().map(|m| 1.0 / (m * input.tensor.scale)).collect()
}

fn shape(tensor: &Tensor) -> String {
    format!("{}x{}x{}", tensor.height, tensor.width, tensor.channels)
}

fn row(model: &Model<'_>, index: usize, layer: &Layer) -> LayerRow {
    let weights = layer.weights();
    LayerRow {
        index,
        layer: layer.name(),
        input: shape(&layer.input()),
        output: layer.output().map_or_else(|| format!("{} f32", model.manifest().outputs), |t| shape(&t)),
        macs: layer.macs(),
        weight_bytes: weights.map_or(0, |w| w.values.len),
        bias_and_multiplier_bytes: weights.map_or(0, |w| w.bias.len + w.multiplier.len),
        arena_offset: layer.output().map(|t| t.offset),
        bayesian: index == 0 && model.manifest().posterior.is_some(),
    }
}

fn posterior(model: &Model<'_>) -> Option<PosteriorRow> {
    let posterior = model.manifest().posterior?;
    let first = model.layers().next()?.weights()?;
    let max = model.f32s(posterior.log_var_max);
    let sigma = |log_var: f64| (0.5 * log_var).exp();
    let widest = max.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
    // The layout of the bytes differs by layer, so the least sigma is bounded from the bytes' range.
    let lowest_max = max.iter().fold(f32::INFINITY, |a, &b| a.min(b));
    let deepest = model.bytes(posterior.log_var).iter().copied().max().unwrap_or(0);
    Some(PosteriorRow {
        noise: format!("{:?}", posterior.kind).to_lowercase(),
        mean_bytes: first.values.len,
        log_var_bytes: posterior.log_var.len,
        table_bytes: posterior.table.len,
        channel_bytes: posterior.log_var_max.len + posterior.noise_multiplier.len,
        sigma_min: sigma(f64::from(lowest_max) - f64::from(deepest) * f64::from(posterior.log_var_step)),
        sigma_max: sigma(f64::from(widest)),
        prior_mean: if posterior.prior.mean_is_map { "map" } else { "zero" },
        prior_sigma: posterior.prior.prior_sigma,
        posterior_temperature: posterior.prior.temperature,
    })
}

fn text(inspection: &Inspection) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{}: {}, input {}, {} outputs, {} bytes",
        inspection.name,
        inspection.task,
        inspection.input,
        inspection.outputs,
        grouped(inspection.file_bytes as u64)
    );
    let _ = writeln!(
        text,
        "raw input: {}, channels {}, mean {:?}, std {:?}",
        inspection.input_layout, inspection.channel_order, inspection.input_mean, inspection.input_std
    );
    if !inspection.class_names.is_empty() {
        let _ = writeln!(text, "classes: {}", inspection.class_names.join(", "));
    }
    let _ = writeln!(
        text,
        "\n  #  layer            input          output               MACs   weights  arena at"
    );
    for row in &inspection.layers {
        let offset = row.arena_offset.map_or("-".to_string(), |offset| offset.to_string());
        let _ = writeln!(
            text,
            "{:>3}  {:<16} {:<14} {:<14} {:>10} {:>9} {:>9}{}",
            row.index,
            row.layer,
            row.input,
            row.output,
            grouped(row.macs),
            grouped(row.weight_bytes.into()),
            offset,
            if row.bayesian { "  Bayesian" } else { "" }
        );
    }
    let _ = writeln!(
        text,
        "     total {:>52} {:>9}\n",
        grouped(inspection.macs),
        grouped(inspection.weight_bytes)
    );
    memory_text(&mut text, inspection);
    if let Some(p) = &inspection.posterior {
        let _ = writeln!(
            text,
            "posterior: noise per {}, mean {} bytes, log-variance {} bytes, tables {} bytes, sigma {:.3e} to {:.3e}",
            p.noise.trim_end_matches('s'),
            p.mean_bytes,
            p.log_var_bytes,
            p.table_bytes + p.channel_bytes,
            p.sigma_min,
            p.sigma_max
        );
        let _ = writeln!(
            text,
            "prior: {} mean, sigma {}, temperature {}",
            p.prior_mean, p.prior_sigma, p.posterior_temperature
        );
    }
    if inspection.signed {
        let _ = writeln!(text, "signed, release {} (not verified here: `stf verify`)", inspection.release);
    }
    if let Some(rule) = &inspection.adaptive {
        let _ = writeln!(
            text,
            "adaptive: {} to {} samples by {}, settled at a margin of {}, {:.3} passes on average\n  {}",
            rule.samples_min, rule.samples_max, rule.group, rule.threshold, rule.mean_passes, rule.guarantee
        );
    }
    if inspection.temperature != 1.0 {
        let _ = writeln!(text, "temperature of the softmax: {}", inspection.temperature);
    }
    inspection.facts.text(&mut text);
    let p = &inspection.provenance;
    let _ = writeln!(text, "made by {} from {}, seed {}", p.tool, p.data, p.seed);
    let _ = writeln!(text, "training: {}", p.training);
    text
}

fn memory_text(text: &mut String, inspection: &Inspection) {
    let k = inspection.num_samples;
    let size = |bytes: usize| grouped(bytes as u64);
    let _ = writeln!(
        text,
        "arena: {} bytes a draw (tile 1; at least {} are alive at a time), {} bytes for {k} draws side by side (tile {k})",
        grouped(inspection.arena_bytes.into()),
        grouped(inspection.arena_lower_bound),
        grouped(inspection.arena_bytes_tile_k)
    );
    let _ = writeln!(
        text,
        "workspace for {k} samples: {} bytes at tile 1 ({} without the cached mean), {} at tile {k}",
        size(inspection.workspace_bytes_tile_1),
        size(inspection.workspace_bytes_tile_1_uncached),
        size(inspection.workspace_bytes_tile_k)
    );
}
