//! `stf cost`: time and memory of a training step, stage 1 and stage 2 beside a fully Bayesian network.

use super::common::print_result;
use crate::compare::cost::{Cost, cost};
use crate::error::Result;
use crate::graph::Shape;
use clap::Args;
use serde::Serialize;
use std::fmt::Write as _;

/// Time and memory of a training step: stage 1, stage 2, and all layers Bayesian
#[derive(Debug, Args)]
pub struct CostArgs {
    /// Architectures, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "lenet5,resnet8")]
    arch: Vec<String>,
    /// Shape of an example: HEIGHTxWIDTHxCHANNELS [default: 28x28x1 for lenet5 and mlp, else 32x32x3]
    #[arg(long, value_name = "HxWxC", value_parser = parse_shape)]
    input: Option<Shape>,
    /// Classes
    #[arg(long, value_name = "N", default_value_t = 10)]
    classes: usize,
    /// Batch sizes, separated by commas
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_values_t = [1, 16, 64, 256], value_parser = clap::value_parser!(u32).range(1..=65_536))]
    batch: Vec<u32>,
    /// Steps that are timed
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    steps: u16,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Costs {
    rows: Vec<Cost>,
}

/// Runs the command.
///
/// # Errors
/// If an architecture is not known or does not fit the input.
pub fn run(args: &CostArgs) -> Result<()> {
    let mut rows = Vec::new();
    for name in &args.arch {
        let small = matches!(name.as_str(), "lenet5" | "mlp" | "mlp_large");
        let usual = if small { Shape::new(28, 28, 1) } else { Shape::new(32, 32, 3) };
        for &batch in &args.batch {
            let input = args.input.unwrap_or(usual);
            rows.extend(cost(name, input, args.classes, batch as usize, args.steps.into())?);
        }
    }
    print_result(args.json, &Costs { rows }, text)
}

fn parse_shape(text: &str) -> std::result::Result<Shape, String> {
    let sides: Vec<usize> = text.split('x').filter_map(|side| side.parse().ok()).collect();
    match (sides.as_slice(), text.split('x').count()) {
        (&[height, width, channels], 3) => Ok(Shape::new(height, width, channels)),
        _ => Err("expected HEIGHTxWIDTHxCHANNELS, such as 32x32x3".to_string()),
    }
}

fn text(costs: &Costs) -> String {
    let mut text = String::from(
        "| network | batch | training | ms a step | processor ms a step | state, MB | peak memory, MB | of the fully \
         Bayesian step: time | state |\n|---|---|---|---|---|---|---|---|---|\n",
    );
    let megabytes = |bytes: f64| bytes / f64::from(1 << 20);
    for rows in costs.rows.chunks(3) {
        let Some(full) = rows.last() else { continue };
        for row in rows {
            let cpu = row.cpu_milliseconds.map_or("–".to_string(), |ms| format!("{ms:.2}"));
            let peak =
                row.memory_bytes.map_or("–".to_string(), |bytes| format!("{:.1}", megabytes(bytes as f64)));
            let time = match (row.cpu_milliseconds, full.cpu_milliseconds) {
                (Some(row), Some(full)) if full > 0.0 => row / full,
                _ => row.milliseconds / full.milliseconds,
            };
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "| {} | {} | {} | {:.2} | {cpu} | {:.2} | {peak} | {time:.2} | {:.2} |",
                row.architecture,
                row.batch,
                row.kind.name(),
                row.milliseconds,
                megabytes(row.state_bytes as f64),
                row.state_bytes as f64 / full.state_bytes as f64
            );
        }
    }
    text
}
