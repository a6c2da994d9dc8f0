//! `stf privacy`: what the networks of a comparison give away about their training data.

use super::common::{DataDirArg, print_result};
use crate::compare::{Comparison, Seeded, write_json};
use crate::error::{Error, Result};
use crate::privacy::{MethodPrivacy, Settings, attack_method};
use crate::progress::interrupt;
use crate::train::methods::Method;
use clap::Args;
use serde::Serialize;
use std::fmt::Write as _;
use std::path::PathBuf;

/// Membership inference against the methods of a comparison: loss, entropy, and LiRA with shadow models
#[derive(Debug, Args)]
pub struct PrivacyArgs {
    /// Folder of `stf compare`; shadow models are kept in it, and an interrupted run goes on
    dir: PathBuf,
    /// Methods, separated by commas
    #[arg(long, value_name = "NAMES", default_value = "plain,stf,full")]
    methods: String,
    /// Shadow models of each method
    #[arg(long, value_name = "N", default_value_t = 16)]
    shadows: usize,
    /// Training examples of which each shadow model sees one half
    #[arg(long, value_name = "N", default_value_t = 5000)]
    pool: usize,
    /// Seed of halves, weights and draws
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    data_dir: DataDirArg,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Results {
    data: String,
    settings: Settings,
    methods: Vec<MethodPrivacy>,
}

/// Runs the command.
///
/// # Errors
/// If settings cannot be used, or training fails or is interrupted.
pub fn run(args: &PrivacyArgs) -> Result<()> {
    interrupt::install();
    let methods = Method::list(&args.methods)?;
    if methods.contains(&Method::Laplace) {
        return Err(Error::invalid(
            "method",
            Method::Laplace,
            "one whose settings do not depend on its own unit",
        ));
    }
    let comparison = Comparison::existing(&args.dir)?;
    let seeded = Seeded::load(&comparison.settings, args.data_dir.data_dir.as_deref(), 0)?;
    let settings = Settings { shadows: args.shadows, pool: args.pool, seed: args.seed };
    let found = methods
        .into_iter()
        .map(|method| attack_method(&comparison, &seeded, method, settings))
        .collect::<Result<_>>()?;
    let results = Results { data: seeded.splits.train.name.clone(), settings, methods: found };
    write_json(&args.dir.join(format!("privacy-{}-{}.json", args.pool, args.seed)), &results)?;
    print_result(args.json, &results, text)
}

fn text(results: &Results) -> String {
    let Settings { shadows, pool, .. } = results.settings;
    let mut text = format!(
        "{}: {shadows} models of {} examples each, each attacked with the others as shadows\n\n| method | attack | AUC | \
         TPR at FPR .1 %, % | at 1 %, % | accuracy on members, others, % |\n|---|---|---|---|---|---|\n",
        results.data,
        pool / 2
    );
    for method in &results.methods {
        for attack in &method.attacks {
            let cell = |mean: &crate::compare::Mean, factor: f64, digits: usize| {
                let half =
                    mean.half_width.map_or(String::new(), |half| format!(" ± {:.digits$}", factor * half));
                format!("{:.digits$}{half}", factor * mean.mean)
            };
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {:.1}, {:.1} |",
                method.method.title(),
                attack.attack,
                cell(&attack.auc, 1.0, 3),
                cell(&attack.tpr_at_001, 100.0, 2),
                cell(&attack.tpr_at_01, 100.0, 2),
                100.0 * method.train_accuracy.mean,
                100.0 * method.other_accuracy.mean
            );
        }
    }
    text
}
