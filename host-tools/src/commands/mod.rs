//! The commands of `stf`: arguments in, one result on standard output, progress on standard error.

mod attack;
mod bench;
mod bound;
mod calibrate;
mod common;
mod compare;
mod cost;
mod data;
mod demo;
mod device;
mod eval;
pub mod export;
#[cfg(feature = "onnx-import")]
mod import;
mod inspect;
mod inspect_facts;
mod optima;
mod predict;
mod predict_float;
mod privacy;
mod report;
mod sign;
mod train;

use crate::error::{Error, Result};
use clap::{Parser, Subcommand};

/// Neural networks with calibrated uncertainty for any edge chip
#[derive(Debug, Parser)]
#[command(name = "stf", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Threads to use [default: all cores]; results do not depend on it
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::DemoArgs),
    Train(Box<train::TrainArgs>),
    #[cfg(feature = "onnx-import")]
    Import(Box<import::ImportArgs>),
    Export(export::ExportArgs),
    Calibrate(Box<calibrate::CalibrateArgs>),
    Eval(eval::EvalArgs),
    Report(report::ReportArgs),
    Predict(predict::PredictArgs),
    Inspect(inspect::InspectArgs),
    Keygen(sign::KeygenArgs),
    Sign(sign::SignArgs),
    Verify(sign::VerifyArgs),
    Bench(bench::BenchArgs),
    Compare(Box<compare::CompareArgs>),
    Attack(attack::AttackArgs),
    Privacy(privacy::PrivacyArgs),
    Optima(optima::OptimaArgs),
    Bound(bound::BoundArgs),
    Cost(cost::CostArgs),
    Data(data::DataArgs),
    Device(device::DeviceArgs),
}

impl Cli {
    /// Carries the command out.
    ///
    /// # Errors
    /// Whatever the command meets; the message is one line that names file or setting.
    pub fn run(self) -> Result<()> {
        if let Some(threads) = self.threads {
            rayon::ThreadPoolBuilder::new()
                .num_threads(threads.into())
                .build_global()
                .map_err(|error| Error::invalid("threads", error, "a thread pool"))?;
        }
        match self.command {
            Command::Demo(args) => demo::run(&args),
            Command::Train(args) => train::run(&args),
            #[cfg(feature = "onnx-import")]
            Command::Import(args) => import::run(&args),
            Command::Export(args) => export::run(&args),
            Command::Calibrate(args) => calibrate::run(&args),
            Command::Eval(args) => eval::run(&args),
            Command::Report(args) => report::run(&args),
            Command::Predict(args) => predict::run(&args),
            Command::Inspect(args) => inspect::run(&args),
            Command::Keygen(args) => sign::keygen(&args),
            Command::Sign(args) => sign::run(&args),
            Command::Verify(args) => sign::verify(&args),
            Command::Bench(args) => bench::run(&args),
            Command::Compare(args) => compare::run(&args),
            Command::Attack(args) => attack::run(&args),
            Command::Privacy(args) => privacy::run(&args),
            Command::Optima(args) => optima::run(&args),
            Command::Bound(args) => bound::run(&args),
            Command::Cost(args) => cost::run(&args),
            Command::Data(args) => data::run(args),
            Command::Device(args) => device::run(&args),
        }
    }
}
