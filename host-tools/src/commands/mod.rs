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
#[cfg(test)]
mod mistakes;
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
    /// What a user who interrupts the command can do next.
    #[must_use]
    pub const fn after_interrupt(&self) -> &'static str {
        match self.command {
            Command::Train(_) => "`stf train --resume` goes on from the last finished epoch",
            #[cfg(feature = "onnx-import")]
            Command::Import(_) => "`stf train --resume` goes on from the last finished epoch",
            Command::Compare(_) | Command::Attack(_) | Command::Privacy(_) => {
                "the same command goes on with what is not finished"
            }
            _ => "the same command starts anew",
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> std::result::Result<Cli, clap::Error> {
        Cli::try_parse_from([&["stf"], args].concat())
    }

    #[test]
    fn an_interrupted_command_says_what_goes_on() {
        let after = |args: &[&str]| parse(args).unwrap().after_interrupt();
        let common = ["--arch", "mlp", "--data", "digits"];
        let with =
            |command: &'static str, more: &[&'static str]| after(&[&[command], &common[..], more].concat());
        assert!(with("train", &["--out", "r"]).contains("stf train --resume"));
        assert!(with("compare", &["--out", "r"]).contains("the same command goes on"));
        for command in ["bound", "optima"] {
            assert_eq!(with(command, &[]), "the same command starts anew");
        }
        assert_eq!(after(&["data", "fetch", "mnist"]), "the same command starts anew");
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        let common = ["--arch", "mlp", "--data", "digits"];
        for (command, option, good, bad) in [
            ("compare", "--limit", "1", "0"),
            ("compare", "--train-examples", "1", "0"),
            ("optima", "--limit", "1", "0"),
            ("optima", "--train-examples", "1", "0"),
            ("bound", "--draws", "1000000", "1000001"),
            ("bound", "--draws", "1", "0"),
            ("train", "--eval-samples", "65535", "65536"),
            ("train", "--eval-samples", "1", "0"),
        ] {
            let out: &[&str] = if matches!(command, "compare" | "train") { &["--out", "r"] } else { &[] };
            let with = |value| parse(&[&[command], &common[..], out, &[option, value]].concat());
            assert!(with(good).is_ok(), "{command} {option} {good}");
            assert!(with(bad).is_err(), "{command} {option} {bad}");
        }
        assert!(parse(&["cost", "--batch", "1,65536"]).is_ok());
        assert!(parse(&["cost", "--batch", "0"]).is_err() && parse(&["cost", "--batch", "65537"]).is_err());
    }

    fn failing(args: &[&str]) -> String {
        parse(args).unwrap().run().unwrap_err().to_string()
    }

    #[test]
    fn what_cannot_work_is_said_before_the_work() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
        let (lost, log) = (file("no/p.svg"), file("log.txt"));
        // Data and artifacts are not there: nothing has been read.
        let optima = failing(&["optima", "--arch", "mlp", "--data", "none", "--plot", &lost]);
        let report = failing(&["report", "none.stf", "--data", "none", "--out", &lost]);
        let page = failing(&["eval", "none.stf", "--data", "none", "--report", &lost]);
        for message in [optima, report, page] {
            assert!(message.starts_with(&format!("{lost}: cannot create: ")), "{message}");
        }
        let log = failing(&["eval", "none.stf", "--data", "none", "--log-out", &log]);
        assert!(log.contains("log.txt: kind of log: found another extension"), "{log}");
        let cost = failing(&["cost", "--arch", "mlp", "--batch", "65536", "--steps", "10000"]);
        assert!(cost.contains("found 655360000 examples of 28x28x1, expected at most 2^30"), "{cost}");
        for delta in ["0", "1", "1.5", "NaN"] {
            let bound = failing(&["bound", "--arch", "mlp", "--data", "none", "--delta", delta]);
            assert!(bound.starts_with(&format!("--delta: found {delta}, expected")), "{bound}");
        }
    }

    #[test]
    fn a_run_is_replaced_on_request_only() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().to_str().unwrap();
        let train = ["train", "--arch", "mlp", "--data", "digits", "--plain", "--epochs", "1", "--out", out];
        let checkpoint = dir.path().join("checkpoint");
        std::fs::write(&checkpoint, "somebody's").unwrap();
        let message = failing(&train);
        assert!(message.contains("a run that was started before (checkpoint)"), "{message}");
        assert_eq!(std::fs::read(&checkpoint).unwrap(), b"somebody's");
        // Settings that cannot be read are settings to replace.
        std::fs::write(dir.path().join("config.json"), "{").unwrap();
        assert!(failing(&train).contains("a run that was started before (config.json)"));
        parse(&[&train[..], &["--force"]].concat()).unwrap().run().unwrap();
        assert!(crate::run::chain::read(dir.path()).is_ok());
    }
}
