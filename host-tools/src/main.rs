//! The `stf` command: exit status 0 for success, 1 for a failure (one line on standard error), 2 for
//! wrong usage.

use clap::Parser;
use std::process::ExitCode;
use stf_host::Error;
use stf_host::commands::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let after = cli.after_interrupt();
    match cli.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ Error::Interrupted) => {
            eprintln!("stf: {error}; {after}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("stf: {error}");
            ExitCode::FAILURE
        }
    }
}
