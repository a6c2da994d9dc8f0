//! `stf export`: a trained run as one file: the artifact, or another runtime's format.

use super::calibrate::{self as calibration, CalibrationArgs};
use super::common::{DataDirArg, grouped, print_result};
use super::sign::SigningArgs;
use crate::calibrate::{
    AnomalySummary, IntervalSummary, Options, Summary, certify, fit_anomaly, fit_intervals, heat, parts,
};
use crate::data;
use crate::error::{Error, Result};
use crate::export::adaptive::{self, Choice, Fit, Wish, percent};
use crate::export::{Description, artifact};
use crate::files::write_atomic;
use crate::graph::Task;
use crate::onnx::{self, BakedDraws, InputType};
use crate::quantize::range::RangeRule;
use crate::quantize::{QuantizeOptions, quantize};
use crate::run::chain::{self, Trained};
use crate::run::{Checkpoint, RunSettings};
use crate::train::PriorMean;
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::fmt::Write as _;
use std::path::PathBuf;
use stf_bnn::artifact::Prior;
use stf_bnn::{AlignedBytes, Config, Samples};

/// Write a trained run as one file: the quantized artifact, ONNX, C or safetensors
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Run folder of `stf train`
    run: PathBuf,
    /// The file to write
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
    /// What to write
    #[arg(long, value_enum, default_value_t = Format::Stf)]
    format: Format,
    /// onnx-mc: number of draws; else the samples of a prediction that calibration is for
    #[arg(long, value_name = "K", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024))]
    num_samples: u16,
    /// onnx-mc and calibration: seed of the draws
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// onnx-mc and the adaptive rule: draw every sample by itself instead of in antithetic pairs
    #[arg(long)]
    no_antithetic: bool,
    /// ONNX formats: raw input as bytes instead of f32
    #[arg(long)]
    uint8_input: bool,
    /// Export the stage-1 network, without noise
    #[arg(long)]
    plain: bool,
    #[command(flatten)]
    quantize: QuantizeArgs,
    #[command(flatten)]
    adaptive: AdaptiveArgs,
    /// Fit no temperature, prediction sets, abstention or drift monitor
    #[arg(long)]
    no_calibrate: bool,
    #[command(flatten)]
    calibration: CalibrationArgs,
    #[command(flatten)]
    signing: SigningArgs,
    #[command(flatten)]
    data_dir: DataDirArg,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// A file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The artifact that devices run.
    Stf,
    /// Float ONNX with the posterior's mean.
    Onnx,
    /// int8 ONNX with QuantizeLinear and DequantizeLinear nodes, posterior mean.
    OnnxQdq,
    /// Float ONNX with K draws of the first layer baked in: outputs are averaged.
    OnnxMc,
    /// The artifact as an aligned C array.
    CHeader,
    /// Float weights, and log_var of the posterior.
    Safetensors,
}

/// The rule of an adaptive number of samples.
#[derive(Debug, Clone, Args)]
struct AdaptiveArgs {
    /// Fit no rule for an adaptive number of samples
    #[arg(long)]
    no_adaptive: bool,
    /// Greatest share of predictions whose class may differ from that of all samples
    #[arg(long, value_name = "SHARE", default_value_t = Wish::default().delta)]
    adaptive_delta: f64,
    /// Confidence in that share
    #[arg(long, value_name = "SHARE", default_value_t = Wish::default().confidence)]
    adaptive_confidence: f64,
    /// All samples: the greatest number of draws
    #[arg(long, value_name = "K", default_value_t = Wish::default().samples_max)]
    adaptive_samples: u16,
    /// Least number of draws; 0 lets the pass of the posterior mean decide alone
    #[arg(long, value_name = "K", default_value_t = Wish::default().samples_min)]
    adaptive_min: u16,
}

impl AdaptiveArgs {
    fn wish(&self, antithetic: bool) -> Wish {
        Wish {
            samples_min: self.adaptive_min,
            samples_max: self.adaptive_samples,
            antithetic,
            delta: self.adaptive_delta,
            confidence: self.adaptive_confidence,
        }
    }
}

/// How a network is quantized.
#[derive(Debug, Clone, Args)]
pub struct QuantizeArgs {
    /// Range of activations: min-max, mse, or percentile:SHARE such as percentile:0.9999
    #[arg(long, value_name = "RULE", value_parser = parse_rule, default_value = "mse")]
    range: RangeRule,
    /// Calibration examples to watch at most
    #[arg(long, value_name = "N", default_value_t = QuantizeOptions::default().max_examples as u32,
        value_parser = clap::value_parser!(u32).range(1..))]
    calibration_examples: u32,
    /// Zero points of 0, as TensorRT needs them for onnx-qdq; costs a bit of each activation behind a ReLU
    #[arg(long)]
    symmetric: bool,
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
            max_examples: self.calibration_examples as usize,
            symmetric: self.symmetric,
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
    /// The adaptive rule, if there is one.
    adaptive: Option<AdaptiveRecord>,
    /// Why there is none, if one was asked for.
    adaptive_refused: Option<String>,
    /// What calibration fitted; `null` for no classifier or if none was wanted.
    calibration: Option<Summary>,
    /// Prediction intervals of a regression; likewise.
    intervals: Option<IntervalSummary>,
    /// Reference of an autoencoder's anomaly score; likewise.
    anomaly: Option<AnomalySummary>,
}

#[derive(Debug, Serialize)]
struct AdaptiveRecord {
    threshold: f32,
    samples_max: u16,
    delta: f64,
    confidence: f64,
    n: usize,
    differing: usize,
    mean_passes: f64,
}

/// Runs the command.
///
/// # Errors
/// If the run is not finished, its data are gone, the network has no counterpart in the runtime, or
/// the disk refuses.
pub fn run(args: &ExportArgs) -> Result<()> {
    let (settings, trained) = chain::read(&args.run)?;
    if !matches!(args.format, Format::Stf | Format::CHeader) {
        if args.signing.is_asked() {
            return Err(Error::invalid("--sign", "a format of another runtime", "--format stf or c-header"));
        }
        return export_other(args, &settings, &trained);
    }
    let (fit, certifying) = calibration_parts(args, &settings)?;
    let mut exported = export(&settings, &trained, args.plain, &fit, &args.quantize.options(settings.seed))?;
    let options = calibration_options(args, &trained);
    if let Some(options) = &options {
        exported.bytes = heat(&AlignedBytes::new(&exported.bytes), &fit, options)?;
    }
    let (mut intervals, mut anomaly) = (None, None);
    match trained.graph.task {
        Task::Gaussian if !args.no_calibrate => {
            let options = args.calibration.options(args.config());
            let (bytes, fitted) = fit_intervals(&AlignedBytes::new(&exported.bytes), &certifying, &options)?;
            (exported.bytes, intervals) = (bytes, Some(fitted));
        }
        Task::Reconstruction if !args.no_calibrate && exported.reconstructs => {
            let bytes = AlignedBytes::new(&exported.bytes);
            let (bytes, fitted) = fit_anomaly(&bytes, &certifying, &args.config())?;
            (exported.bytes, anomaly) = (bytes, Some(fitted));
        }
        _ => {}
    }
    let (adaptive, adaptive_refused) = fit_adaptive(args, &certifying, &mut exported)?;
    let mut summary = None;
    if let Some(options) = &options {
        let (bytes, fitted) = certify(&AlignedBytes::new(&exported.bytes), &fit, &certifying, options)?;
        exported.bytes = bytes;
        summary = Some(fitted);
    }
    let artifact = args.signing.apply(&args.out, exported.bytes)?;
    let bytes = artifact.len();
    let file = match args.format {
        Format::CHeader => c_header(&settings.architecture, &artifact).into_bytes(),
        _ => artifact,
    };
    write_atomic(&args.out, |writer| writer.write_all(&file))?;
    let record = ExportRecord {
        artifact: args.out.display().to_string(),
        bytes,
        bayesian: exported.bayesian,
        arena_bytes: exported.arena_bytes,
        arena_lower_bound: exported.arena_lower_bound,
        adaptive,
        adaptive_refused,
        calibration: summary,
        intervals,
        anomaly,
    };
    print_result(args.json, &record, |record| {
        let mut text = format!(
            "{}: {} bytes, {}, arena {} bytes (no plan can need less than {})\n",
            record.artifact,
            grouped(record.bytes as u64),
            if record.bayesian { "Bayesian first layer" } else { "plain" },
            grouped(record.arena_bytes as u64),
            grouped(record.arena_lower_bound as u64)
        );
        // Writing to a String cannot fail.
        if let Some(rule) = &record.adaptive {
            let _ = writeln!(
                text,
                "adaptive: {:.3} passes on average; at most {} % of classes differ from those of {} samples, with \
                 confidence {} % ({} of {} calibration examples did)",
                rule.mean_passes,
                percent(rule.delta),
                rule.samples_max,
                percent(rule.confidence),
                rule.differing,
                rule.n
            );
        } else if let Some(reason) = &record.adaptive_refused {
            let _ = writeln!(text, "adaptive: no rule, predictions take all samples: {reason}");
        }
        text.push_str(&record.calibration.as_ref().map(calibration::text).unwrap_or_default());
        text.push_str(&record.intervals.as_ref().map(calibration::interval_text).unwrap_or_default());
        text.push_str(&record.anomaly.as_ref().map(calibration::anomaly_text).unwrap_or_default());
        text
    })
}

/// What to calibrate a classifier for; `None` if it is none, or if no calibration is wanted.
fn calibration_options(args: &ExportArgs, trained: &Trained) -> Option<Options> {
    let wanted = !args.no_calibrate && trained.graph.task == Task::Classification;
    wanted.then(|| args.calibration.options(args.config()))
}

impl ExportArgs {
    /// How predictions are sampled that calibration is for.
    fn config(&self) -> Config {
        let samples = Samples::MonteCarlo(self.num_samples);
        Config { samples, seed: self.seed, antithetic: !self.no_antithetic, ..Config::default() }
    }
}

/// Adds the adaptive rule to a Bayesian artifact, fitted on what quantization has not watched.
fn fit_adaptive(
    args: &ExportArgs,
    certifying: &data::Dataset,
    exported: &mut Exported,
) -> Result<(Option<AdaptiveRecord>, Option<String>)> {
    // The rule settles classes.
    if args.adaptive.no_adaptive || !exported.bayesian || exported.task != Task::Classification {
        return Ok((None, None));
    }
    let wish = args.adaptive.wish(!args.no_antithetic);
    let (bytes, fit) = adaptive::attach(std::mem::take(&mut exported.bytes), certifying, &wish)?;
    exported.bytes = bytes;
    Ok(match fit {
        Fit::Refused(reason) => (None, Some(reason)),
        Fit::Rule(Choice { threshold, differing, mean_passes }) => {
            let Wish { samples_max, delta, confidence, .. } = wish;
            let n = certifying.len();
            let record =
                AdaptiveRecord { threshold, samples_max, delta, confidence, n, differing, mean_passes };
            (Some(record), None)
        }
    })
}

/// The part of the calibration split that fits, and the one that certifies.
fn calibration_parts(args: &ExportArgs, settings: &RunSettings) -> Result<(data::Dataset, data::Dataset)> {
    let loaded = data::load_raw(&settings.data, args.data_dir.data_dir.as_deref(), settings.content())?;
    let splits = data::splits(loaded, settings.seed)?;
    chain::require_same_data(&args.run, settings, &splits.train)?;
    parts(&splits.calibration, settings.seed)
}

#[derive(Debug, Serialize)]
struct FileRecord {
    file: String,
    bytes: u64,
    bayesian: bool,
}

/// The formats of other runtimes.
fn export_other(args: &ExportArgs, settings: &RunSettings, trained: &Trained) -> Result<()> {
    let (params, posterior) = trained.chosen(args.plain);
    if args.format == Format::OnnxMc && trained.graph.task == Task::Gaussian {
        // The mean of the draws' log-variances is not the logarithm of the total variance.
        let expected = "a classifier or an autoencoder; export a regression as onnx or stf";
        return Err(Error::invalid("--format onnx-mc", "a regression", expected));
    }
    let quantized = || {
        let options = args.quantize.options(settings.seed);
        let ((fit, _), preprocessing) = (calibration_parts(args, settings)?, &settings.preprocessing);
        let fit = fit.arranged(preprocessing)?;
        quantize(&trained.graph, params, posterior, &fit, preprocessing, &options)
    };
    let input = if args.uint8_input { InputType::U8 } else { InputType::F32 };
    let bytes = match args.format {
        Format::OnnxQdq => onnx::qdq(&trained.graph, params, &quantized()?, input)?,
        Format::OnnxMc => {
            let draws = BakedDraws {
                num_samples: args.num_samples,
                seed: args.seed,
                antithetic: !args.no_antithetic,
            };
            onnx::monte_carlo(&trained.graph, params, &quantized()?, draws, input)?
        }
        Format::Safetensors => {
            float_posterior(settings, trained, args.plain).save(&args.out)?;
            Vec::new()
        }
        _ => onnx::float(&trained.graph, params, &settings.preprocessing, input)?,
    };
    if args.format != Format::Safetensors {
        write_atomic(&args.out, |writer| writer.write_all(&bytes))?;
    }
    let length = std::fs::metadata(&args.out).map_err(Error::io(&args.out, "read"))?.len();
    let bayesian = posterior.is_some() && matches!(args.format, Format::OnnxMc | Format::Safetensors);
    let record = FileRecord { file: args.out.display().to_string(), bytes: length, bayesian };
    print_result(args.json, &record, |record| format!("{}: {} bytes", record.file, grouped(record.bytes)))
}

/// Tensors `{node}/{tensor}`, and `{node}/log_var` of the Bayesian kernel, whose weight is mu.
fn float_posterior(settings: &RunSettings, trained: &Trained, plain: bool) -> Checkpoint {
    let (params, posterior) = trained.chosen(plain);
    let meta = serde_json::json!({ "settings": settings });
    let mut file = Checkpoint { meta, ..Checkpoint::default() };
    for (node, params) in trained.graph.nodes.iter().zip(&params.nodes) {
        for (name, tensor) in params.tensors() {
            file.tensors.insert(format!("{}/{name}", node.name), tensor.clone());
        }
    }
    if let Some(posterior) = posterior {
        let name = format!("{}/log_var", trained.graph.nodes[posterior.node].name);
        file.tensors.insert(name, posterior.log_var.clone());
    }
    file
}

/// The artifact for C and C++, at the alignment that reading it in place needs.
fn c_header(name: &str, bytes: &[u8]) -> String {
    let mut text = format!(
        "/* STF-BNN artifact of {name}, written by stf {}. */\n#pragma once\n\n\
         #ifdef __cplusplus\nalignas(16)\n#else\n_Alignas(16)\n#endif\n\
         static const unsigned char stf_model[{}] = {{\n",
        env!("CARGO_PKG_VERSION"),
        bytes.len()
    );
    for line in bytes.chunks(16) {
        for byte in line {
            // Writing to a String cannot fail.
            let _ = write!(text, "0x{byte:02x},");
        }
        text.push('\n');
    }
    text.push_str("};\n");
    text
}

/// An artifact's bytes and its memory figures.
#[derive(Debug, Clone)]
pub struct Exported {
    /// The `.stf` file.
    pub bytes: Vec<u8>,
    /// Whether it has a Bayesian first layer.
    pub bayesian: bool,
    /// What the network's outputs mean.
    pub task: Task,
    /// Whether it has as many outputs as inputs.
    pub reconstructs: bool,
    /// Bytes of one draw's activations.
    pub arena_bytes: usize,
    /// Bytes alive at one time at most.
    pub arena_lower_bound: usize,
}

/// Quantizes and writes a trained run: its stage-1 network if `plain`, else with the posterior.
/// `calibration` is in the order of the raw data.
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
    let (params, posterior) = trained.chosen(plain);
    let calibration = calibration.clone().arranged(&settings.preprocessing)?;
    let quantized =
        quantize(&trained.graph, params, posterior, &calibration, &settings.preprocessing, options)?;
    // The artifact holds the network itself.
    let recorded = RunSettings { network: None, ..settings.clone() };
    let training = serde_json::json!({ "settings": recorded, "quantize": options }).to_string();
    let prior = settings.stage2.as_ref().map(|stage2| Prior {
        mean_is_map: stage2.prior == PriorMean::Map,
        prior_sigma: stage2.prior_sigma,
        temperature: stage2.temperature,
    });
    let class_names: &[String] = match trained.graph.task {
        Task::Classification => &settings.class_names,
        Task::Reconstruction | Task::Gaussian => &[],
    };
    let targets = settings.targets.as_ref();
    settings.check_names()?;
    let description = Description {
        name: &settings.architecture,
        task: trained.graph.task,
        class_names,
        targets,
        prior,
        data: &settings.data_name,
        seed: settings.seed,
        training: &training,
    };
    Ok(Exported {
        bytes: artifact(&quantized, &description)?,
        bayesian: posterior.is_some(),
        task: trained.graph.task,
        reconstructs: trained.graph.output_shape().len() == trained.graph.input_shape().len(),
        arena_bytes: quantized.plan.arena_bytes,
        arena_lower_bound: quantized.plan.lower_bound,
    })
}
