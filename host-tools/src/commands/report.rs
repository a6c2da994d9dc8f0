//! `stf report`: an evaluation as a page for people.

use super::common::print_result;
use super::eval::EvaluationArgs;
use crate::error::Result;
use crate::files::require_writable;
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;

/// Write a report on an artifact: one HTML page that needs nothing else
#[derive(Debug, Args)]
pub struct ReportArgs {
    #[command(flatten)]
    what: EvaluationArgs,
    /// Where to write the page
    #[arg(long, short, value_name = "FILE", default_value = "report.html")]
    out: PathBuf,
    /// Write every plot as an SVG file and all figures as JSON into this folder too
    #[arg(long, value_name = "DIR")]
    files: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Written {
    page: String,
    plots: Vec<String>,
    files: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// As `stf eval`, or if the disk refuses.
pub fn run(args: &ReportArgs) -> Result<()> {
    require_writable(&args.out)?;
    let (_, report) = args.what.evaluate(true)?;
    let mut written = Written { page: args.out.display().to_string(), plots: Vec::new(), files: Vec::new() };
    if let Some(report) = report {
        report.write_page(&args.out)?;
        written.plots = report.plots().map(|plot| plot.id.clone()).collect();
        if let Some(folder) = &args.files {
            let files = report.write_files(folder)?;
            written.files = files.iter().map(|path| path.display().to_string()).collect();
        }
    }
    print_result(args.json, &written, |written| {
        let lines = written.files.iter().map(|file| format!("\n{file}"));
        format!("{}: page with {} plots{}", written.page, written.plots.len(), lines.collect::<String>())
    })
}
