//! `stf import`: a trained network from an ONNX file; its first layer becomes Bayesian as in `stf train`.

use super::common::{DataDirArg, TrainDeviceArg, print_result};
use super::train::Stage2Args;
use crate::data::{self, Content, Dataset, Layout, Preprocessing, Splits};
use crate::error::{Error, Result};
use crate::graph::{Graph, Shape, Task};
use crate::import::{self, ImportOptions, Imported, InputLayout, condition::condition, preprocess};
use crate::progress::interrupt;
use crate::run::{RunFolder, RunSettings, chain};
use crate::train::{
    Stage1Config, Stage2Config, Validation, memory::peak_rss_bytes, require_device, validate_on,
};
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Instant;

/// Import a trained ONNX network, then make its first layer Bayesian
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
#[command(after_help = operators())]
pub struct ImportArgs {
    /// The .onnx file
    model: PathBuf,
    /// Data by name (digits, mnist, fashion-mnist, cifar10, spoken-digits) or path
    #[arg(long, value_name = "NAME|PATH")]
    data: String,
    /// Run folder: settings, checkpoints, log, network; `stf export` reads it
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Start anew in a folder that holds a run
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    preprocessing: preprocess::PreprocessArgs,
    /// Order of the input's axes in the file, where they could be read both ways
    #[arg(long, value_enum)]
    input_layout: Option<LayoutArg>,
    /// What the outputs are [default: found out from the file]
    #[arg(long, value_enum)]
    task: Option<TaskArg>,
    /// Seed of splits, order and noise
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Examples of a step of stage 2
    #[arg(long)]
    batch_size: Option<usize>,
    #[command(flatten)]
    device: TrainDeviceArg,
    #[command(flatten)]
    data_dir: DataDirArg,
    #[command(flatten)]
    stage2: Stage2Args,
    /// Print one line of JSON at the end
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LayoutArg {
    Nchw,
    Nhwc,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum TaskArg {
    Classification,
    Reconstruction,
}

/// What was read from the file, and what stage 2 made of it.
#[derive(Debug, Serialize)]
struct ImportRecord {
    run: String,
    file: String,
    task: Task,
    input: String,
    outputs: usize,
    nodes: usize,
    parameters: usize,
    macs: u64,
    first_layer: FirstLayer,
    /// Largest difference from tract's run of the file, as a share of the largest output; none if this
    /// tool was built without tract.
    difference: Option<f32>,
    /// Reading the file and checking it.
    import_seconds: f64,
    /// The float network as it was imported, on the validation split.
    imported: Option<Validation>,
    /// After stage 2, by Monte Carlo.
    stage2: Option<Validation>,
    stage2_seconds: f64,
    peak_memory_bytes: Option<u64>,
}

/// The layer that becomes Bayesian, and what reads it.
#[derive(Debug, Clone, Serialize)]
struct FirstLayer {
    name: String,
    operator: &'static str,
    weights: usize,
    output: String,
    feeds: Vec<String>,
}

/// What can be imported, for the help.
fn operators() -> String {
    // At the end only, or without a trace in the network.
    const OTHERS: [&str; 5] = ["Cast", "Identity", "LogSoftmax", "Shape", "Softmax"];
    let operators: Vec<&str> =
        import::SUPPORTED.iter().copied().filter(|name| !OTHERS.contains(name)).collect();
    format!(
        "Operators: {}; Softmax and LogSoftmax at the end; arithmetic on shapes and constants anywhere.",
        operators.join(", ")
    )
}

/// Runs the command.
///
/// # Errors
/// If the file or the data cannot be read or do not fit each other, an operator cannot be imported, or
/// stage 2 fails.
pub fn run(args: &ImportArgs) -> Result<()> {
    interrupt::install();
    // Before anything is read.
    refuse_started(args)?;
    require_device(args.device.device())?;
    let options = args.preprocessing.read()?;
    let load = if options.arrangement().layout == Layout::Nchw { data::load_raw } else { data::load_with };
    let loaded = load(&args.data, args.data_dir.data_dir.as_deref(), Content::Classes)?;
    let raw = loaded.shape();
    let shape = options.arrangement().network_shape(raw);
    let started = Instant::now();
    let mut imported = import::read(&args.model, &args.import_options(shape))?;
    let read_seconds = started.elapsed().as_secs_f64();
    let mut preprocessing = options.preprocessing(shape.channels, imported.normalisation.as_ref())?;
    let splits = data::splits(loaded, args.seed)?.arranged(&preprocessing)?;
    let started = Instant::now();
    let difference = verify(&imported, &splits, &options.file_input(shape.channels)?)?;
    let import_seconds = read_seconds + started.elapsed().as_secs_f64();
    let first_layer = first_layer(&imported.graph)?;
    condition(&imported.graph, &mut imported.params, &splits.train, &mut preprocessing)?;
    eprint!("{}", summary(&imported.graph, &first_layer, difference, import_seconds));
    let settings = args.settings(&imported.graph, &splits, preprocessing)?;
    settings.check_names()?;
    let before = figures(&imported, &splits, &settings)?;
    if let Some(figures) = &before {
        eprintln!("imported: validation {}", figures_text(figures));
    }
    let folder = new_folder(args)?;
    folder.save_config(&settings)?;
    chain::place(&folder, &imported.graph, &imported.params)?;
    let (trained, reports) = chain::train(&folder, &settings, &splits)?;
    let record = ImportRecord {
        run: args.out.display().to_string(),
        file: args.model.display().to_string(),
        task: trained.graph.task,
        input: trained.graph.input_shape().to_string(),
        outputs: trained.graph.output_shape().len(),
        nodes: trained.graph.nodes.len(),
        parameters: trained.plain.count(),
        macs: trained.graph.macs(),
        first_layer,
        difference,
        import_seconds,
        imported: before,
        stage2: reports.stage2.as_ref().map(|report| report.last.validation),
        stage2_seconds: reports.stage2.as_ref().map_or(0.0, |report| report.seconds),
        peak_memory_bytes: peak_rss_bytes(),
    };
    print_result(args.json, &record, text)
}

impl ImportArgs {
    fn import_options(&self, shape: Shape) -> ImportOptions {
        ImportOptions {
            input: Some(shape),
            layout: self.input_layout.map(|layout| match layout {
                LayoutArg::Nchw => InputLayout::Nchw,
                LayoutArg::Nhwc => InputLayout::Nhwc,
            }),
            task: self.task.map(|task| match task {
                TaskArg::Classification => Task::Classification,
                TaskArg::Reconstruction => Task::Reconstruction,
            }),
        }
    }

    fn settings(&self, graph: &Graph, splits: &Splits, preprocessing: Preprocessing) -> Result<RunSettings> {
        let data_name = &splits.train.name;
        let mut stage2 = Stage2Config {
            seed: self.seed,
            device: self.device.device(),
            ..Stage2Config::imported(graph, data_name)
        };
        if let Some(batch_size) = self.batch_size {
            stage2.batch_size = batch_size;
        }
        self.stage2.change(&mut stage2);
        let stage2 = (!self.stage2.plain).then_some(stage2);
        if let Some(stage2) = &stage2 {
            stage2.check(graph)?;
        }
        Ok(RunSettings {
            tool: concat!("stf ", env!("CARGO_PKG_VERSION")).to_string(),
            architecture: graph.name.clone(),
            data: self.data.clone(),
            data_name: data_name.clone(),
            input: splits.train.shape,
            class_names: class_names(graph, &splits.train)?,
            preprocessing,
            seed: self.seed,
            stage1: Stage1Config {
                epochs: 0,
                seed: self.seed,
                device: self.device.device(),
                ..Stage1Config::recipe(&graph.name, data_name)
            },
            stage2,
            targets: None,
            network: Some(graph.clone()),
        })
    }
}

/// Names of the outputs: those of the data if there are as many, else numbers.
fn class_names(graph: &Graph, data: &Dataset) -> Result<Vec<String>> {
    let (outputs, classes) = (graph.output_shape().len(), data.class_names.len());
    if graph.task == Task::Reconstruction || outputs == classes {
        return Ok(data.class_names.clone());
    }
    if outputs < classes {
        let found = format!("{classes} classes");
        return Err(Error::invalid(
            format!("{}: classes", data.name),
            found,
            format!("at most {outputs}, the network's outputs"),
        ));
    }
    Ok((0..outputs).map(|class| class.to_string()).collect())
}

/// A folder that holds a run is only overwritten on request.
fn refuse_started(args: &ImportArgs) -> Result<()> {
    let Some(file) = chain::started(&args.out).filter(|_| !args.force) else { return Ok(()) };
    Err(Error::malformed(
        &args.out,
        "run folder",
        format!("a run that was started before ({file})"),
        "an empty folder, or --force to start anew; `stf train --resume` goes on with that run",
    ))
}

fn new_folder(args: &ImportArgs) -> Result<RunFolder> {
    let folder = RunFolder::open(&args.out)?;
    // Again, now that the folder is ours: another import may have finished in it since.
    refuse_started(args)?;
    // Also without settings: a checkpoint that somebody left is not this run's.
    chain::clear(&folder)?;
    Ok(folder)
}

/// Runs the first example, as the file expects it, through the graph and through tract.
#[cfg(feature = "tract")]
fn verify(imported: &Imported, splits: &Splits, file_input: &Preprocessing) -> Result<Option<f32>> {
    let mut example = Vec::new();
    file_input.apply(&splits.train, &[0], &mut example)?;
    imported.verify(&example).map(Some)
}

#[cfg(not(feature = "tract"))]
fn verify(_: &Imported, _: &Splits, _: &Preprocessing) -> Result<Option<f32>> {
    Ok(None)
}

fn figures(imported: &Imported, splits: &Splits, settings: &RunSettings) -> Result<Option<Validation>> {
    if imported.graph.task == Task::Reconstruction {
        return Ok(None);
    }
    let (graph, params, device) = (&imported.graph, &imported.params, settings.stage1.device);
    validate_on(device, graph, params, None, &splits.validation, &settings.preprocessing, 1, 0).map(Some)
}

fn first_layer(graph: &Graph) -> Result<FirstLayer> {
    let id = graph.first_weighted()?;
    let node = &graph.nodes[id];
    let feeds = graph.nodes.iter().filter(|reader| reader.inputs.contains(&id));
    Ok(FirstLayer {
        name: node.name.clone(),
        operator: node.op.name(),
        weights: node.shape.channels * graph.fan_in(id),
        output: node.shape.to_string(),
        feeds: feeds.map(|reader| format!("{} ({})", reader.name, reader.op.name())).collect(),
    })
}

fn summary(graph: &Graph, first: &FirstLayer, difference: Option<f32>, seconds: f64) -> String {
    format!(
        "{}: {} nodes, input {}, {} outputs, {:?}; read in {seconds:.2} s; {}\n\
         first layer: {} ({}), {} weights, output {}; it feeds {}\n",
        graph.name,
        graph.nodes.len(),
        graph.input_shape(),
        graph.output_shape().len(),
        graph.task,
        difference
            .map_or("built without tract: not checked".into(), |d| format!("differs from tract by {d:.0e}")),
        first.name,
        first.operator,
        first.weights,
        first.output,
        if first.feeds.is_empty() { "nothing: it is the output".into() } else { first.feeds.join(", ") },
    )
}

fn figures_text(figures: &Validation) -> String {
    format!("accuracy {:.2} %, NLL {:.4}, ECE {:.4}", 100.0 * figures.accuracy, figures.nll, figures.ece)
}

fn text(record: &ImportRecord) -> String {
    let mut text = format!(
        "{} in {}: {} parameters, {} MACs, first layer {}\n",
        record.file, record.run, record.parameters, record.macs, record.first_layer.name
    );
    for (name, figures) in [("imported", &record.imported), ("stage 2", &record.stage2)] {
        if let Some(figures) = figures {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name}: validation {}", figures_text(figures));
        }
    }
    text
}
