//! `stf device`: a device at the other end of a line: what it is, its predictions, its own figures.

use super::common::{
    DataDirArg, SplitArg, check_artifact, load_ood, load_split, print_result, read_artifact,
};
use super::{eval, predict};
use crate::data::{self, Dataset, Element, Inputs};
use crate::error::{Error, Result};
use crate::evaluate::{
    Outcome, Promises, require_classifier, require_labels, with_classes_of, with_detection,
};
use crate::files::require_writable;
use crate::logs::{format_of, write_log};
use crate::progress::Progress;
use clap::{Args, Subcommand};
use serde::Serialize;
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::Duration;
use stf_device_protocol::{DEFAULT_BAUD, Description, Device, DeviceError, Line, Owned, Patience};

/// Predict and evaluate on a device at a serial port or socket
#[derive(Debug, Args)]
pub struct DeviceArgs {
    #[command(subcommand)]
    action: Action,
    /// Serial port by its path, tcp:HOST:PORT or unix:PATH
    #[arg(long, global = true, value_name = "PORT", default_value = "")]
    port: String,
    /// Speed of a serial port, bits a second
    #[arg(long, global = true, value_name = "N", default_value_t = DEFAULT_BAUD)]
    baud: u32,
    /// Wait so many milliseconds for a reply before the request is sent again
    #[arg(long, global = true, value_name = "MS", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
    /// Send a request at most so often
    #[arg(long, global = true, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    attempts: u32,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Say which model, memory and build the device has
    Hello,
    /// Stream a data set to the device and print the figures that it computed
    Eval(EvalArgs),
    /// Predict images or arrays on the device
    Predict(PredictArgs),
    /// Say what the device's end of the line went through since it started
    Counters,
    /// Say what the device's drift monitor has seen since the last evaluation or prediction began
    Drift,
}

#[derive(Debug, Args)]
struct EvalArgs {
    /// Data by name (digits, mnist, fashion-mnist, cifar10, spoken-digits) or path
    #[arg(long, value_name = "NAME|PATH")]
    data: String,
    /// Which part of the data
    #[arg(long, value_enum, default_value_t = SplitArg::Test)]
    split: SplitArg,
    /// Out-of-distribution data to tell apart by uncertainty; may be given several times
    #[arg(long, value_name = "NAME|PATH")]
    ood: Vec<String>,
    /// At most so many examples of each data set, from the front
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Write every prediction to this log too, .csv or .jsonl
    #[arg(long, value_name = "FILE")]
    log_out: Option<PathBuf>,
    /// The .stf file that the device should have: anything else is an error
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Seed of the training run, for a split other than the test
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    run_seed: u64,
    #[command(flatten)]
    data_dir: DataDirArg,
}

#[derive(Debug, Args)]
struct PredictArgs {
    /// PNG or JPEG image, or .npy array of one example or of several
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    /// The .stf file that the device has: its class names are printed
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
}

/// Counters of both ends of the line; the field names are what scripts read.
#[derive(Debug, Serialize)]
struct Counted {
    executed: u32,
    repeated: u32,
    damaged: u32,
    refused: u32,
    resent: u64,
}

/// Runs the command.
///
/// # Errors
/// If the device cannot be reached, stays silent or refuses, or data do not fit it.
pub fn run(args: &DeviceArgs) -> Result<()> {
    let mut device = args.open()?;
    match &args.action {
        Action::Hello => print_result(args.json, device.about(), hello),
        Action::Eval(eval) => args.eval(&mut device, eval),
        Action::Predict(predict) => args.predict(&mut device, predict),
        Action::Counters => args.counters(&mut device),
        Action::Drift => args.drift(&mut device),
    }
}

impl DeviceArgs {
    fn open(&self) -> Result<Device<Line>> {
        if self.port.is_empty() {
            let expected = "a serial port, tcp:HOST:PORT or unix:PATH";
            return Err(Error::invalid("--port", "nothing", expected));
        }
        let line = Line::open(&self.port, self.baud).map_err(Error::io(&self.port, "open"))?;
        let patience = Patience { timeout: Duration::from_millis(self.timeout), attempts: self.attempts };
        Device::open(line, patience).map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &DeviceError) -> Error {
        Error::Device { port: self.port.clone(), reason: error.to_string() }
    }

    fn eval(&self, device: &mut Device<Line>, args: &EvalArgs) -> Result<()> {
        if let Some(log) = &args.log_out {
            // Before minutes of predictions.
            format_of(log)?;
            require_writable(log)?;
        }
        let about = device.about().clone();
        require_classifier(&about.model, about.classification)?;
        let seed = args.model.as_deref().map_or(Ok(args.run_seed), |path| seed_of(path, &about))?;
        let data = load_split(&args.data, args.split, seed, &args.data_dir, args.limit)?;
        let data = match &args.model {
            Some(path) => in_classes_of(path, &about, data)?,
            None => data,
        };
        require_labels(&data, about.outputs)?;
        let inputs = bytes(&data, &about)?;
        let labels = data.labels.iter().map(|&label| label as u16);
        let mut progress = Progress::new(&data.name, data.len() as u64);
        let mut inside = Vec::with_capacity(data.len());
        let figures = device
            .evaluate(&data.name, inputs.chunks_exact(data.shape.len()).zip(labels), |index, found| {
                progress.set(index as u64 + 1, "");
                inside.push(outcome(found));
            })
            .map_err(|error| self.failed(&error))?;
        progress.finish("");
        if let Some(log) = &args.log_out {
            write_log(log, None, &data, &inside)?;
        }
        let mut sets = Vec::new();
        for spec in &args.ood {
            let set = load_ood(spec, &args.data_dir, args.limit)?;
            let outside = self.outcomes(device, &set, &about)?;
            sets.push((set, outside));
        }
        self.say_resent(device);
        let mut evaluation =
            with_detection(figures, &inside, &data.labels, sets.iter().map(|(set, found)| (set, found)))?;
        if let Some(path) = &args.model {
            let bytes = same_artifact(path, &about)?;
            let model = check_artifact(path, &bytes)?;
            evaluation.promises = Promises::hold(&model, &inside, &data.labels, &about.policy);
        }
        print_result(self.json, &evaluation, eval::text)
    }

    fn predict(&self, device: &mut Device<Line>, args: &PredictArgs) -> Result<()> {
        let about = device.about().clone();
        let given = args.model.as_deref();
        let bytes = given.map(|path| same_artifact(path, &about)).transpose()?;
        let model = given.zip(bytes.as_ref()).map(|(path, bytes)| check_artifact(path, bytes)).transpose()?;
        let head = model.as_ref().map(|model| (model.manifest().task, model.manifest().outputs));
        let targets = head.and_then(|(task, outputs)| task.targets(outputs)).unwrap_or(0);
        let name = |class| Some(model.as_ref()?.class_name(class)?.to_string());
        for path in &args.inputs {
            let examples = data::read_inputs(path)?;
            let several = examples.len() > 1;
            for (index, outcome) in self.outcomes(device, &examples, &about)?.into_iter().enumerate() {
                // The line carries the means and variances; what they are, the artifact says.
                let outcome = Outcome { targets: targets.into(), ..outcome };
                let path = path.display();
                let input = if several { format!("{path}[{index}]") } else { path.to_string() };
                // The device's artifact is at hand or not; its counter started at 0 for these inputs.
                let verdict = model.as_ref().map_or_else(predict::Verdict::default, |model| {
                    predict::Verdict::new(model, &outcome, &about.policy, index as u64)
                });
                predict::print_outcome(&name, input, outcome, verdict, self.json)?;
            }
        }
        self.say_resent(device);
        Ok(())
    }

    fn outcomes(
        &self,
        device: &mut Device<Line>,
        set: &Dataset,
        about: &Description,
    ) -> Result<Vec<Outcome>> {
        let inputs = bytes(set, about)?;
        let mut progress = Progress::new(&set.name, set.len() as u64);
        let mut outcomes = Vec::with_capacity(set.len());
        device
            .predict(inputs.chunks_exact(set.shape.len()), |index, found| {
                progress.set(index as u64 + 1, "");
                outcomes.push(outcome(found));
            })
            .map_err(|error| self.failed(&error))?;
        progress.finish("");
        Ok(outcomes)
    }

    fn drift(&self, device: &mut Device<Line>) -> Result<()> {
        let found = device.drift().map_err(|error| self.failed(&error))?;
        print_result(self.json, &found, |found| match found {
            None => "the device's artifact carries no reference for a drift monitor".to_string(),
            Some(d) => format!(
                "{} predictions, evidence {:.3e}, greatest {:.3e}, alarm at {:.0}: {}",
                d.count,
                d.evidence,
                d.peak,
                d.level,
                if d.alarm { "ALARM" } else { "no alarm" }
            ),
        })
    }

    fn counters(&self, device: &mut Device<Line>) -> Result<()> {
        let found = device.counters().map_err(|error| self.failed(&error))?;
        let counted = Counted {
            executed: found.executed,
            repeated: found.repeated,
            damaged: found.damaged,
            refused: found.refused,
            resent: device.resent(),
        };
        print_result(self.json, &counted, |c| {
            format!(
                "requests executed {}, repeated {}, damaged {}, refused {}; sent again by this host {}",
                c.executed, c.repeated, c.damaged, c.refused, c.resent
            )
        })
    }

    fn say_resent(&self, device: &Device<Line>) {
        if device.resent() > 0 {
            eprintln!("{}: {} requests were sent again", self.port, device.resent());
        }
    }
}

fn hello(about: &Description) -> String {
    let kind = if about.classification { "classes" } else { "values" };
    format!(
        "{}: model {} ({:08x}), {} bytes, workspace {} bytes\n  {} inputs, {} {kind}, {} samples, seed {}",
        about.build,
        about.model,
        about.model_id,
        about.model_bytes,
        about.workspace_bytes,
        about.inputs,
        about.outputs,
        about.samples,
        about.seed
    )
}

/// The examples' bytes, one after another; the device takes no other form.
fn bytes<'d>(set: &'d Dataset, about: &Description) -> Result<Cow<'d, [u8]>> {
    let size = set.shape.len();
    if size as u64 != u64::from(about.inputs) {
        let expected = format!("{} values, the device's input", about.inputs);
        return Err(Error::invalid(format!("examples of {}", set.name), set.shape, expected));
    }
    if let Inputs::U8(values) = &set.inputs {
        return Ok(Cow::Borrowed(values));
    }
    if set.element() == Element::U8
        && let Inputs::U8(values) = set.clone().into_memory()?
    {
        return Ok(Cow::Owned(values));
    }
    let what = format!("values of {}", set.name);
    Err(Error::invalid(what, "f32", "bytes: that is what the line carries"))
}

fn outcome(found: Owned) -> Outcome {
    Outcome {
        mean: found.mean,
        spread: found.spread,
        samples: found.samples,
        passes: found.passes,
        classification: found.classification,
        targets: 0,
        reconstruction_error: None,
        energy: found.classification.map(|_| found.energy),
    }
}

/// The training seed in an artifact, which must be the device's.
fn seed_of(path: &Path, about: &Description) -> Result<u64> {
    let bytes = same_artifact(path, about)?;
    Ok(check_artifact(path, &bytes)?.manifest().provenance.seed)
}

/// The data with the classes of an artifact, which must be the device's.
fn in_classes_of(path: &Path, about: &Description, data: Dataset) -> Result<Dataset> {
    let bytes = same_artifact(path, about)?;
    with_classes_of(&check_artifact(path, &bytes)?, data)
}

fn same_artifact(path: &Path, about: &Description) -> Result<stf_bnn::AlignedBytes> {
    let bytes = read_artifact(path)?;
    check_artifact(path, &bytes)?;
    let id = stf_device_protocol::model_id(&bytes);
    if (id, bytes.len() as u64) == (about.model_id, u64::from(about.model_bytes)) {
        return Ok(bytes);
    }
    let found = format!("{id:08x} of {} bytes", bytes.len());
    let expected = format!("{:08x} of {} bytes, the device's model", about.model_id, about.model_bytes);
    Err(Error::malformed(path, "model", found, expected))
}
