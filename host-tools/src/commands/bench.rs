//! `stf bench`: what predictions of an artifact cost on this machine, one core.

use super::common::{
    DataDirArg, SplitArg, check_artifact, content_of, grouped, load_split_of, print_result, read_artifact,
};
use crate::bench::{self, Setting, Timing, clock};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::train::memory::peak_rss_bytes;
use clap::Args;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;
use stf_bnn::artifact::Tensor;
use stf_bnn::kernels::Kernels;
use stf_bnn::{Config, Draws, Model, Samples};

/// Examples of a data set that are predicted at most, over and over.
const EXAMPLES: usize = 256;

/// Bursts that the clock is measured with, before and after.
const CLOCK_BURSTS: u32 = 20;

/// Time predictions of an artifact on one core: by number of samples, by tile, by layer
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// The .stf file
    pub model: PathBuf,
    /// Numbers of samples
    #[arg(long, short = 'k', value_name = "K,K...", value_delimiter = ',', default_values_t = [1, 2, 4, 8, 16, 32], value_parser = clap::value_parser!(u16).range(1..=1024))]
    samples: Vec<u16>,
    /// Tiles: how many draws run side by side; larger ones than the number of samples are left out
    #[arg(long, value_name = "T,T...", value_delimiter = ',', default_values_t = [1, 2, 4, 8], value_parser = clap::value_parser!(u16).range(1..=1024))]
    tiles: Vec<u16>,
    /// Seconds for each figure
    #[arg(long, value_name = "S", default_value_t = 0.2, value_parser = parse_seconds)]
    seconds: f64,
    /// Kernels: reference, or a set that this processor has [default: the fastest]
    #[arg(long, value_name = "NAME")]
    kernels: Option<String>,
    /// New draws for every input, or the same K draws for all
    #[arg(long, value_enum, default_value_t = super::common::DrawsArg::Fresh)]
    draws: super::common::DrawsArg,
    /// Predict the test part of this data set instead of made-up inputs
    #[arg(long, value_name = "NAME|PATH")]
    data: Option<String>,
    #[command(flatten)]
    data_dir: DataDirArg,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

fn parse_seconds(text: &str) -> std::result::Result<f64, String> {
    text.parse()
        .ok()
        .filter(|seconds| (0.0..=3600.0).contains(seconds))
        .ok_or_else(|| "expected a number from 0 to 3600".to_string())
}

/// What the command prints; scripts read these names.
#[derive(Debug, Serialize)]
struct Bench {
    model: String,
    inputs: String,
    kernels: &'static str,
    clock_ghz: f64,
    clock_method: &'static str,
    macs: u64,
    /// Median by number of samples, the best tile of each.
    microseconds: BTreeMap<u16, f64>,
    /// One pass without noise.
    mean_pass: Row,
    /// As many draws as the artifact's rule needs for these inputs; its times are spread by how many.
    adaptive: Option<Row>,
    rows: Vec<Row>,
    layers: Vec<LayerRow>,
    /// Share of the time of the largest number of samples that drawing noise takes.
    noise_share: Option<f64>,
    memory: Memory,
}

/// Whole predictions of one kind.
#[derive(Debug, Serialize)]
struct Row {
    num_samples: u16,
    tile: u16,
    mean_passes: f64,
    #[serde(flatten)]
    timing: Timing,
    workspace_bytes: usize,
}

/// One layer of a pass without noise.
#[derive(Debug, Serialize)]
struct LayerRow {
    index: usize,
    layer: &'static str,
    output: String,
    macs: u64,
    #[serde(flatten)]
    timing: Timing,
    macs_per_ns: f64,
    macs_per_cycle: f64,
}

/// Bytes.
#[derive(Debug, Serialize)]
struct Memory {
    artifact_bytes: usize,
    workspace_bytes_greatest: usize,
    /// Of the mean pass: what these kernels keep there beyond the reference kernels' needs, which are any
    /// device's: packed weights and room for their own work.
    kernel_bytes: usize,
    peak_rss_bytes: Option<u64>,
}

/// Runs the command.
///
/// # Errors
/// If the artifact or the data cannot be read, do not fit each other, or there are no such kernels.
pub fn run(args: &BenchArgs) -> Result<()> {
    let bytes = read_artifact(&args.model)?;
    let model = check_artifact(&args.model, &bytes)?;
    let bench = measure(args, &model, bytes.len())?;
    print_result(args.json, &bench, text)
}

fn measure(args: &BenchArgs, model: &Model<'_>, artifact_bytes: usize) -> Result<Bench> {
    let kernels = kernels(args.kernels.as_deref())?;
    let inputs = inputs(args, model)?;
    let each = Duration::from_secs_f64(args.seconds);
    let settings = settings(args, model, kernels);
    let before = clock::gigahertz(CLOCK_BURSTS);
    let times = bench::predictions(model, &inputs, &settings, each)?;
    let layers = bench::layers(model, &inputs, kernels, each)?;
    let noise_share = match settings.iter().rfind(|s| matches!(s.config.samples, Samples::MonteCarlo(_))) {
        Some(setting) => bench::noise_share(model, &inputs, *setting, each)?,
        None => None,
    };
    let clock_ghz = before.max(clock::gigahertz(CLOCK_BURSTS));
    let mut rows = Vec::new();
    for (setting, (timing, mean_passes)) in settings.iter().zip(times) {
        rows.push(row(model, setting, timing, mean_passes)?);
    }
    let mean_pass = rows.remove(0);
    let adaptive = has_rule(model).then(|| rows.remove(0));
    let mut microseconds = BTreeMap::new();
    for row in &rows {
        let best = microseconds.entry(row.num_samples).or_insert(f64::INFINITY);
        *best = row.timing.median_us.min(*best);
    }
    let reference = Setting { kernels: Kernels::REFERENCE, ..settings[0] };
    let reference = workspace_bytes(model, &reference)?;
    let greatest = rows.iter().map(|row| row.workspace_bytes).max();
    Ok(Bench {
        model: model.manifest().name.to_string(),
        inputs: inputs.name,
        kernels: kernels.name(),
        clock_ghz,
        clock_method: clock::METHOD,
        macs: model.macs(),
        microseconds,
        memory: Memory {
            artifact_bytes,
            workspace_bytes_greatest: greatest.unwrap_or(mean_pass.workspace_bytes),
            kernel_bytes: mean_pass.workspace_bytes.saturating_sub(reference),
            peak_rss_bytes: peak_rss_bytes(),
        },
        mean_pass,
        adaptive,
        rows,
        layers: layer_rows(model, layers, clock_ghz),
        noise_share,
    })
}

fn kernels(name: Option<&str>) -> Result<Kernels> {
    let Some(name) = name else { return Ok(Kernels::detect()) };
    Kernels::by_name(name).ok_or_else(|| {
        let fastest = Kernels::detect().name();
        Error::invalid("kernels", name, format!("reference, or a set of this processor such as {fastest}"))
    })
}

fn inputs(args: &BenchArgs, model: &Model<'_>) -> Result<Dataset> {
    let Some(spec) = &args.data else { return Ok(bench::made_up_inputs(model)) };
    let seed = model.manifest().provenance.seed;
    let (content, part) = (content_of(model), SplitArg::Test);
    let data = load_split_of(content, spec, part, seed, &args.data_dir, Some(EXAMPLES))?;
    bench::inputs_of(model, &data)
}

/// Whether draws can be adaptive.
fn has_rule(model: &Model<'_>) -> bool {
    model.manifest().adaptive.is_some()
}

/// The mean pass, the adaptive rule if there is one, then every number of samples at every tile up to it; a plain model has one pass only.
fn settings(args: &BenchArgs, model: &Model<'_>, kernels: Kernels) -> Vec<Setting> {
    let draws = match args.draws {
        super::common::DrawsArg::Fresh => Draws::Fresh,
        super::common::DrawsArg::Fixed => Draws::Fixed,
    };
    let base = Config { draws, ..Config::default() };
    let mut settings = vec![Setting { config: Config { samples: Samples::Mean, ..base }, kernels }];
    if let Some(rule) = model.manifest().adaptive {
        // Another kind of draws than the rule's is refused.
        let base = Config { draws: Draws::Fresh, antithetic: rule.antithetic, ..base };
        settings.push(Setting { config: Config { samples: Samples::Adaptive, ..base }, kernels });
    }
    let plain = model.manifest().posterior.is_none();
    for &samples in &args.samples {
        for &tile in args.tiles.iter().filter(|&&tile| tile == 1 || (tile <= samples && !plain)) {
            let config = Config { samples: Samples::MonteCarlo(samples), tile, ..base };
            settings.push(Setting { config, kernels });
        }
    }
    settings
}

fn row(model: &Model<'_>, setting: &Setting, timing: Timing, mean_passes: f64) -> Result<Row> {
    Ok(Row {
        num_samples: setting.config.samples.most(model),
        tile: setting.config.tile,
        mean_passes,
        timing,
        workspace_bytes: workspace_bytes(model, setting)?,
    })
}

fn workspace_bytes(model: &Model<'_>, setting: &Setting) -> Result<usize> {
    model
        .workspace_bytes(&setting.config())
        .map_err(|error| Error::invalid("prediction settings", error, "settings that the model supports"))
}

fn layer_rows(
    model: &Model<'_>,
    layers: Vec<(stf_bnn::artifact::Layer, Timing)>,
    clock_ghz: f64,
) -> Vec<LayerRow> {
    let shape = |t: Tensor| format!("{}x{}x{}", t.height, t.width, t.channels);
    let row = |(index, (layer, timing)): (usize, (stf_bnn::artifact::Layer, Timing))| {
        let macs_per_ns = layer.macs() as f64 / (1e3 * timing.median_us.max(1e-3));
        LayerRow {
            index,
            layer: layer.name(),
            output: layer.output().map_or_else(|| format!("{} f32", model.manifest().outputs), shape),
            macs: layer.macs(),
            timing,
            macs_per_ns,
            macs_per_cycle: macs_per_ns / clock_ghz,
        }
    };
    layers.into_iter().enumerate().map(row).collect()
}

fn text(bench: &Bench) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{}, {} inputs, kernels {}, one core at {:.2} GHz ({})",
        bench.model, bench.inputs, bench.kernels, bench.clock_ghz, bench.clock_method
    );
    let _ = writeln!(
        text,
        "\n  samples  tile  passes   median us       p10       p90     least      mean  a mean pass  workspace"
    );
    rows_text(&mut text, bench);
    layers_text(&mut text, bench);
    if let Some(share) = bench.noise_share {
        let _ = writeln!(
            text,
            "drawing noise takes {:.1} % of a prediction with the most samples above",
            100.0 * share
        );
    }
    let memory = &bench.memory;
    let _ = writeln!(
        text,
        "memory: artifact {} bytes, workspace up to {} ({} of it the kernels' own), the process's peak {}",
        grouped(memory.artifact_bytes as u64),
        grouped(memory.workspace_bytes_greatest as u64),
        grouped(memory.kernel_bytes as u64),
        memory.peak_rss_bytes.map_or("not known".into(), grouped)
    );
    text
}

fn rows_text(text: &mut String, bench: &Bench) {
    let one = bench.mean_pass.timing.median_us;
    let named = |name: &str, row| (name.to_string(), row);
    let special = std::iter::once(named("mean", &bench.mean_pass));
    let special = special.chain(bench.adaptive.as_ref().map(|row| named("adapt.", row)));
    for (samples, row) in special.chain(bench.rows.iter().map(|row| (row.num_samples.to_string(), row))) {
        let t = &row.timing;
        let _ = writeln!(
            text,
            "  {:>7} {:>5} {:>7.2} {:>11.1} {:>9.1} {:>9.1} {:>9.1} {:>9.1} {:>12.2} {:>10}",
            samples,
            row.tile,
            row.mean_passes,
            t.median_us,
            t.p10_us,
            t.p90_us,
            t.least_us,
            t.mean_us,
            t.median_us / one,
            grouped(row.workspace_bytes as u64)
        );
    }
}

fn layers_text(text: &mut String, bench: &Bench) {
    let _ = writeln!(
        text,
        "\n  #  layer            output               MACs  median us     p90  MAC/ns  MAC/cycle   share"
    );
    let total: f64 = bench.layers.iter().map(|row| row.timing.median_us).sum();
    for row in &bench.layers {
        let _ = writeln!(
            text,
            "{:>3}  {:<16} {:<14} {:>10} {:>10.2} {:>7.2} {:>7.2} {:>10.2} {:>5.1} %",
            row.index,
            row.layer,
            row.output,
            grouped(row.macs),
            row.timing.median_us,
            row.timing.p90_us,
            row.macs_per_ns,
            row.macs_per_cycle,
            100.0 * row.timing.median_us / total
        );
    }
    let _ =
        writeln!(text, "     one pass without noise; the first layer's time includes quantizing the input\n");
}
