//! `stf optima`: how many optima each layer has when it is trained alone.

use super::common::{DataDirArg, at_least_one, print_result};
use crate::compare::{Mean, Seeded, Settings};
use crate::error::Result;
use crate::files::{require_writable, write_atomic};
use crate::optima::{Optima, Wish, optima, svg};
use crate::progress::interrupt;
use crate::train::Stage1Config;
use clap::Args;
use std::fmt::Write as _;
use std::path::PathBuf;

/// Retrain single layers from many starts: distances, loss barriers and disagreement of the solutions
#[derive(Debug, Args)]
pub struct OptimaArgs {
    /// Architecture, as for `stf train`
    #[arg(long, value_name = "NAME")]
    arch: String,
    /// Data by name (digits, mnist, fashion-mnist, cifar10, spoken-digits) or path
    #[arg(long, value_name = "NAME|PATH")]
    data: String,
    /// Layers by name, separated by commas [default: every weighted layer]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    layers: Vec<String>,
    /// Solutions of each layer
    #[arg(long, value_name = "N", default_value_t = 5)]
    starts: usize,
    /// Epochs of each retraining
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    layer_epochs: u32,
    /// Step size of each retraining
    #[arg(long, value_name = "RATE", default_value_t = 3e-3)]
    lr: f32,
    /// Epochs of stage 1 [default: the recipe's]
    #[arg(long)]
    epochs: Option<usize>,
    /// Places on the line between two solutions, ends included
    #[arg(long, value_name = "N", default_value_t = 11)]
    points: usize,
    /// Test examples of the paths, from the front
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = at_least_one)]
    limit: usize,
    /// At most so many training examples
    #[arg(long, value_name = "N", default_value_t = usize::MAX, hide_default_value = true, value_parser = at_least_one)]
    train_examples: usize,
    /// Seed of stage 1 and of the starts
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Write the paths as a picture (SVG)
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    #[command(flatten)]
    data_dir: DataDirArg,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// If data or settings cannot be used, or training fails.
pub fn run(args: &OptimaArgs) -> Result<()> {
    interrupt::install();
    // Not after hours of training.
    args.plot.as_deref().map_or(Ok(()), require_writable)?;
    let mut settings = Settings {
        train_examples: args.train_examples,
        ..Settings::plain(&args.arch, &args.data, args.epochs.unwrap_or_default())
    };
    let seeded = Seeded::load(&settings, args.data_dir.data_dir.as_deref(), args.seed)?;
    settings.epochs =
        args.epochs.unwrap_or_else(|| Stage1Config::recipe(&args.arch, &seeded.splits.train.name).epochs);
    let wish = Wish {
        starts: args.starts,
        epochs: args.layer_epochs as usize,
        learning_rate: args.lr,
        points: args.points,
        examples: args.limit,
        layers: args.layers.clone(),
    };
    let found = optima(&settings, &seeded, &wish)?;
    if let Some(path) = &args.plot {
        let picture = svg(&found);
        write_atomic(path, |file| file.write_all(picture.as_bytes()))?;
    }
    print_result(args.json, &found, text)
}

fn text(found: &Optima) -> String {
    let first = found.layers.first();
    let mut text = format!(
        "{} on {}, seed {}: {} solutions of each layer; stage 1 errs in {:.2} %, NLL {:.4}\n\n\
         | layer | weights | error, % | NLL | relative distance | cosine | disagreement, % | barrier, nats |\n\
         |---|---|---|---|---|---|---|---|\n",
        found.architecture,
        found.data,
        found.seed,
        found.wish.starts,
        100.0 * first.map_or(0.0, |layer| layer.stage1_error),
        first.map_or(0.0, |layer| layer.stage1_nll)
    );
    let cell = |mean: &Mean, factor: f64, digits: usize| {
        let half = mean.half_width.map_or(String::new(), |half| format!(" ± {:.digits$}", factor * half));
        format!("{:.digits$}{half}", factor * mean.mean)
    };
    for layer in &found.layers {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            layer.name,
            layer.weights,
            cell(&layer.error, 100.0, 2),
            cell(&layer.nll, 1.0, 4),
            cell(&layer.distance, 1.0, 3),
            cell(&layer.cosine, 1.0, 3),
            cell(&layer.disagreement, 100.0, 2),
            cell(&layer.barrier, 1.0, 4)
        );
    }
    text
}
