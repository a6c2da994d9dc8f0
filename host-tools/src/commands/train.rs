//! `stf train`: both stages into a run folder, with checkpoints.

use super::common::{DataDirArg, TrainDeviceArg, print_result};
use crate::data::{self, Content, Preprocessing, Splits, TargetScaling};
use crate::error::{Error, Result};
use crate::graph::architectures;
use crate::progress::interrupt;
use crate::run::{RunFolder, RunSettings, StageReport, StageReports, chain};
use crate::train::{
    Estimator, Optimizer, PriorMean, Schedule, Stage1Config, Stage2Config, Validation,
    memory::peak_rss_bytes, require_device,
};
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::path::PathBuf;

/// Train a network, then make its first layer Bayesian
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
pub struct TrainArgs {
    /// Architecture: mlp, mlp-small, mlp_large, lenet5, cnn4, resnet8, resnet20, wrn16_4, vgg11, dscnn,
    /// mobilenet_v1_025, autoencoder
    #[arg(long, value_name = "NAME", required_unless_present = "resume")]
    arch: Option<String>,
    /// Data by name (digits, mnist, fashion-mnist, cifar10, spoken-digits) or path
    #[arg(long, value_name = "NAME|PATH", required_unless_present = "resume")]
    data: Option<String>,
    /// What the network learns; a regression predicts real targets, each with its variance. Their data: x and
    /// y in FILE.npz or X.npy,Y.npy, or FILE.csv (the last column) or FILE.csv:TARGET,TARGET
    #[arg(long, value_enum, default_value_t = TaskArg::Auto, conflicts_with = "resume")]
    task: TaskArg,
    /// Run folder: settings, checkpoints, log, trained network
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Go on with the run in the folder, with the settings it was started with; only --device may change
    #[arg(long, conflicts_with_all = ["arch", "data", "force", "seed", "Stage1Args", "Stage2Args"])]
    resume: bool,
    /// Start anew in a folder that holds a run
    #[arg(long)]
    force: bool,
    /// Seed of splits, weights, order, augmentation and noise
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    device: TrainDeviceArg,
    #[command(flatten)]
    data_dir: DataDirArg,
    #[command(flatten)]
    stage1: Stage1Args,
    #[command(flatten)]
    stage2: Stage2Args,
    /// Print one line of JSON at the end
    #[arg(long)]
    json: bool,
}

/// Stage-1 settings; what is not given comes from the recipe for architecture and data.
#[derive(Debug, Args)]
#[command(next_help_heading = "Stage 1 (defaults depend on architecture and data)")]
struct Stage1Args {
    /// Epochs of stage 1
    #[arg(long)]
    epochs: Option<usize>,
    /// Examples that are trained on together, in both stages
    #[arg(long)]
    batch_size: Option<usize>,
    /// Batches of one step, in both stages: their gradients are summed, for steps over more examples
    /// than memory holds
    #[arg(long, value_name = "K")]
    accumulate: Option<usize>,
    /// Optimizer
    #[arg(long, value_enum)]
    optimizer: Option<OptimizerArg>,
    /// Learning rate
    #[arg(long)]
    lr: Option<f32>,
    /// Weight decay of kernels
    #[arg(long)]
    weight_decay: Option<f32>,
    /// Learning-rate schedule: step divides by 10 at 1/2 and 3/4 of the epochs
    #[arg(long, value_enum)]
    schedule: Option<ScheduleArg>,
    /// Epochs of linear warm-up
    #[arg(long)]
    warmup_epochs: Option<usize>,
    /// Label smoothing, 0 to below 1
    #[arg(long)]
    label_smoothing: Option<f32>,
    /// Shift training images by up to so many pixels
    #[arg(long)]
    shift: Option<usize>,
    /// Mirror half of the training images
    #[arg(long)]
    flip: Option<bool>,
}

/// Stage-2 settings.
#[derive(Debug, Args)]
#[command(next_help_heading = "Stage 2: the Bayesian first layer")]
pub(super) struct Stage2Args {
    /// Stop after stage 1: a plain network
    #[arg(long)]
    pub(super) plain: bool,
    /// Epochs of stage 2
    #[arg(long)]
    bayes_epochs: Option<usize>,
    /// Gradient estimator
    #[arg(long, value_enum)]
    estimator: Option<EstimatorArg>,
    /// Mean of the prior: the stage-1 weights or zero
    #[arg(long, value_enum)]
    prior: Option<PriorArg>,
    /// Standard deviation of the prior
    #[arg(long)]
    prior_sigma: Option<f32>,
    /// Temperature of the posterior (factor of the KL term)
    #[arg(long)]
    temperature: Option<f32>,
    /// Start: sigma = max(delta |w|, sigma floor)
    #[arg(long)]
    delta: Option<f32>,
    /// Least sigma at the start
    #[arg(long)]
    sigma_floor: Option<f32>,
    /// Epochs over which the KL term grows to full weight
    #[arg(long)]
    kl_warmup: Option<usize>,
    /// Learning rate of mu
    #[arg(long)]
    lr_mu: Option<f32>,
    /// Learning rate of log_var
    #[arg(long)]
    lr_log_var: Option<f32>,
    /// Monte-Carlo samples of the final validation figures
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    eval_samples: Option<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TaskArg {
    /// The architecture's: classification, or reconstruction by an autoencoder.
    Auto,
    /// Real targets.
    Regression,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum OptimizerArg {
    Sgd,
    Adam,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ScheduleArg {
    Constant,
    Cosine,
    Step,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum EstimatorArg {
    Flipout,
    Local,
    Weight,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum PriorArg {
    Map,
    Zero,
}

/// The last line of `stf train --json`.
#[derive(Debug, Serialize)]
struct TrainRecord {
    run: String,
    architecture: String,
    data: String,
    seed: u64,
    parameters: usize,
    stage1: Option<StageRecord>,
    stage2: Option<StageRecord>,
    peak_memory_bytes: Option<u64>,
}

#[derive(Debug, Serialize)]
struct StageRecord {
    epochs: usize,
    validation: Validation,
    seconds: f64,
    images_per_second: f64,
}

/// Runs the command.
///
/// # Errors
/// If data or settings cannot be used, the folder belongs to another run, or training fails.
pub fn run(args: &TrainArgs) -> Result<()> {
    interrupt::install();
    let (folder, settings, splits) = if args.resume { resume(args)? } else { start(args)? };
    let (trained, reports) = chain::train(&folder, &settings, &splits)?;
    let record = TrainRecord {
        run: args.out.display().to_string(),
        architecture: settings.architecture.clone(),
        data: settings.data_name.clone(),
        seed: settings.seed,
        parameters: trained.plain.count(),
        peak_memory_bytes: peak_rss_bytes(),
        ..TrainRecord::from(reports)
    };
    print_result(args.json, &record, text)
}

impl From<StageReports> for TrainRecord {
    fn from(reports: StageReports) -> Self {
        let stage = |report: Option<StageReport>| {
            report.map(|report| StageRecord {
                epochs: report.last.epochs,
                validation: report.last.validation,
                seconds: report.seconds,
                images_per_second: report.last.images_per_second,
            })
        };
        Self {
            run: String::new(),
            architecture: String::new(),
            data: String::new(),
            seed: 0,
            parameters: 0,
            stage1: stage(reports.stage1),
            stage2: stage(reports.stage2),
            peak_memory_bytes: None,
        }
    }
}

fn start(args: &TrainArgs) -> Result<(RunFolder, RunSettings, Splits)> {
    // clap requires both unless --resume is given.
    let (Some(arch), Some(spec)) = (&args.arch, &args.data) else {
        return Err(Error::invalid("arguments", "no --arch or no --data", "both, or --resume"));
    };
    let content = match args.task {
        TaskArg::Auto => Content::Classes,
        TaskArg::Regression => Content::Targets,
    };
    let loaded = data::load_with(spec, args.data_dir.data_dir.as_deref(), content)?;
    // Refuse an architecture that does not fit before anything is written.
    let shape = loaded.shape();
    let splits = data::splits(loaded, args.seed)?;
    let targets = match args.task {
        TaskArg::Auto => None,
        TaskArg::Regression => Some(TargetScaling::fit(&splits.train)?),
    };
    let graph = match &targets {
        Some(targets) => architectures::build_regression(arch, shape, targets.names.len())?,
        None => architectures::build(arch, shape, splits.train.class_names.len())?,
    };
    let settings = RunSettings { targets, ..settings(args, arch, spec, &graph, &splits)? };
    settings.check_names()?;
    settings.stage1.check(&graph)?;
    require_device(settings.stage1.device)?;
    if let Some(stage2) = &settings.stage2 {
        stage2.check(&graph)?;
    }
    let folder = RunFolder::open(&args.out)?;
    if let Some(file) = chain::started(&args.out).filter(|_| !args.force) {
        return Err(Error::malformed(
            &args.out,
            "run folder",
            format!("a run that was started before ({file})"),
            "an empty folder, --resume to go on with that run, or --force to start anew",
        ));
    }
    // Also without settings: a checkpoint that somebody left is not this run's.
    chain::clear(&folder)?;
    folder.save_config(&settings)?;
    Ok((folder, settings, splits))
}

fn resume(args: &TrainArgs) -> Result<(RunFolder, RunSettings, Splits)> {
    let mut settings = chain::read_settings(&args.out)?;
    let folder = RunFolder::open(&args.out)?;
    let loaded = data::load_raw(&settings.data, args.data_dir.data_dir.as_deref(), settings.content())?;
    let splits = data::splits(loaded, settings.seed)?.arranged(&settings.preprocessing)?;
    chain::require_same_data(&args.out, &settings, &splits.train)?;
    if args.device.device.is_some() {
        require_device(args.device.device())?;
        settings.set_device(args.device.device());
        folder.save_config(&settings)?;
    }
    chain::trim_log(&folder)?;
    Ok((folder, settings, splits))
}

fn settings(
    args: &TrainArgs,
    arch: &str,
    spec: &str,
    graph: &crate::graph::Graph,
    splits: &Splits,
) -> Result<RunSettings> {
    let data_name = &splits.train.name;
    let (regression, examples) = (args.task == TaskArg::Regression, splits.train.len());
    let recipe = if regression {
        Stage1Config::regression(arch, examples)
    } else {
        Stage1Config::recipe(arch, data_name)
    };
    let mut stage1 = Stage1Config { seed: args.seed, device: args.device.device(), ..recipe };
    args.stage1.change(&mut stage1);
    let stage2 = (!args.stage2.plain).then(|| {
        let recipe = if regression {
            Stage2Config::regression(graph, examples)
        } else {
            Stage2Config::recipe(graph, data_name)
        };
        let mut stage2 = Stage2Config {
            seed: args.seed,
            batch_size: stage1.batch_size,
            accumulate: stage1.accumulate,
            device: stage1.device,
            augment: stage1.augment,
            ..recipe
        };
        args.stage2.change(&mut stage2);
        stage2
    });
    Ok(RunSettings {
        tool: concat!("stf ", env!("CARGO_PKG_VERSION")).to_string(),
        architecture: arch.to_string(),
        data: spec.to_string(),
        data_name: data_name.clone(),
        input: splits.train.shape,
        class_names: splits.train.class_names.clone(),
        preprocessing: Preprocessing::fit(&splits.train)?,
        seed: args.seed,
        stage1,
        stage2,
        targets: None,
        network: None,
    })
}

fn set<T: Copy>(target: &mut T, given: Option<T>) {
    if let Some(value) = given {
        *target = value;
    }
}

impl Stage1Args {
    fn change(&self, config: &mut Stage1Config) {
        set(&mut config.epochs, self.epochs);
        set(&mut config.batch_size, self.batch_size);
        set(&mut config.accumulate, self.accumulate);
        set(&mut config.learning_rate, self.lr);
        set(&mut config.weight_decay, self.weight_decay);
        set(&mut config.warmup_epochs, self.warmup_epochs);
        set(&mut config.label_smoothing, self.label_smoothing);
        set(&mut config.augment.shift, self.shift);
        set(&mut config.augment.flip, self.flip);
        match self.optimizer {
            Some(OptimizerArg::Sgd) => config.optimizer = Optimizer::SGD,
            Some(OptimizerArg::Adam) => config.optimizer = Optimizer::ADAM,
            None => {}
        }
        match self.schedule {
            Some(ScheduleArg::Constant) => config.schedule = Schedule::Constant,
            Some(ScheduleArg::Cosine) => config.schedule = Schedule::Cosine,
            Some(ScheduleArg::Step) => {
                config.schedule = Schedule::Step { milestones: vec![0.5, 0.75], gamma: 0.1 };
            }
            None => {}
        }
    }
}

impl Stage2Args {
    pub(super) fn change(&self, config: &mut Stage2Config) {
        set(&mut config.epochs, self.bayes_epochs);
        set(&mut config.prior_sigma, self.prior_sigma);
        set(&mut config.temperature, self.temperature);
        set(&mut config.delta, self.delta);
        set(&mut config.sigma_floor, self.sigma_floor);
        set(&mut config.kl_warmup_epochs, self.kl_warmup);
        set(&mut config.lr_mu, self.lr_mu);
        set(&mut config.lr_log_var, self.lr_log_var);
        set(&mut config.eval_samples, self.eval_samples.map(usize::from));
        match self.estimator {
            Some(EstimatorArg::Flipout) => config.estimator = Estimator::Flipout,
            Some(EstimatorArg::Local) => config.estimator = Estimator::Local,
            Some(EstimatorArg::Weight) => config.estimator = Estimator::Weight,
            None => {}
        }
        match self.prior {
            Some(PriorArg::Map) => config.prior = PriorMean::Map,
            Some(PriorArg::Zero) => config.prior = PriorMean::Zero,
            None => {}
        }
    }
}

fn text(record: &TrainRecord) -> String {
    let stage = |name: &str, stage: &Option<StageRecord>| {
        stage.as_ref().map_or(String::new(), |stage| {
            format!(
                "{name}: {} epochs in {:.1} s, validation {}\n",
                stage.epochs, stage.seconds, stage.validation
            )
        })
    };
    let memory = record.peak_memory_bytes.map_or("unknown".into(), |bytes| format!("{} MB", bytes >> 20));
    format!(
        "{} on {}, {} parameters, seed {}, in {}\n{}{}peak memory {memory}",
        record.architecture,
        record.data,
        record.parameters,
        record.seed,
        record.run,
        stage("stage 1", &record.stage1),
        stage("stage 2", &record.stage2),
    )
}
