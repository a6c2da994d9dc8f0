//! `stf-logs`: figures of predictions logged on devices, from Parquet, JSON lines or CSV of any length.

use clap::Parser;
use datafusion::arrow::json::LineDelimitedWriter;
use datafusion::common::{DataFusionError, Result};
use std::io::Write;
use std::process::ExitCode;
use stf_logs::query::{Limits, evaluate, register, session};

/// Figures of predictions logged on devices, from Parquet, JSON lines or CSV of any length
#[derive(Debug, Parser)]
#[command(name = "stf-logs", version, max_term_width = 100)]
struct Arguments {
    /// Log files or folders of one kind: .parquet, .jsonl, .ndjson, .json or .csv
    #[arg(required = true)]
    files: Vec<String>,
    /// Figures for each value of this column too
    #[arg(long, value_name = "COLUMN", conflicts_with = "sql")]
    by: Option<String>,
    /// Run this query on the table `logs` instead; it may use stf_classification(label, passes, probabilities) and
    /// stf_regression(y, mean, aleatoric_variance, epistemic_variance, low, high)
    #[arg(long, value_name = "QUERY")]
    sql: Option<String>,
    /// Partitions read side by side [default: all cores]
    #[arg(long, value_name = "N", default_value_t = 0)]
    threads: usize,
    /// Megabytes that sorting and grouping may take
    #[arg(long, value_name = "MB", default_value_t = 512)]
    memory: usize,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    match runtime.block_on(run(&arguments)) {
        Ok(text) => match writeln!(std::io::stdout().lock(), "{}", text.trim_end()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error),
        },
        Err(error) => failed(&error.strip_backtrace()),
    }
}

fn failed(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

/// One JSON object, or one a row of the query's result.
async fn run(arguments: &Arguments) -> Result<String> {
    let context = session(Limits { threads: arguments.threads, memory: arguments.memory << 20 })?;
    let Some(query) = &arguments.sql else {
        return Ok(evaluate(&context, &arguments.files, arguments.by.as_deref()).await?.to_string());
    };
    register(&context, &arguments.files).await?;
    let mut writer = LineDelimitedWriter::new(Vec::new());
    for batch in context.sql(query).await?.collect().await? {
        writer.write(&batch)?;
    }
    writer.finish()?;
    String::from_utf8(writer.into_inner()).map_err(|error| DataFusionError::External(Box::new(error)))
}
