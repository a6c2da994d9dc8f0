//! The `stf` command: exit status 0 for success, 1 for a failure (one line on standard error), 2 for
//! wrong usage.

use clap::Parser;
use std::process::ExitCode;
use stf_host::commands::Cli;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stf: {error}");
            ExitCode::FAILURE
        }
    }
}
