//! `stf eval`: figures of an artifact on data, every prediction made by the runtime.

use super::common::{
    DataDirArg, SampleArgs, SplitArg, check_artifact, load_ood, load_split, print_result, read_artifact,
};
use crate::error::Result;
use crate::evaluate::{Evaluation, evaluate};
use clap::Args;
use std::fmt::Write;
use std::path::PathBuf;

/// Evaluate an artifact on a data set, through the device's own runtime
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// The .stf file
    pub model: PathBuf,
    /// Data by name (digits, mnist, fashion-mnist, cifar10) or path
    #[arg(long, value_name = "NAME|PATH")]
    pub data: String,
    /// Which part of the data
    #[arg(long, value_enum, default_value_t = SplitArg::Test)]
    pub split: SplitArg,
    /// Out-of-distribution data to tell apart by uncertainty; may be given several times
    #[arg(long, value_name = "NAME|PATH")]
    pub ood: Vec<String>,
    /// At most so many examples of each data set, from the front
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    #[command(flatten)]
    samples: SampleArgs,
    #[command(flatten)]
    data_dir: DataDirArg,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
///
/// # Errors
/// If the artifact or the data cannot be read, or do not fit each other.
pub fn run(args: &EvalArgs) -> Result<()> {
    let bytes = read_artifact(&args.model)?;
    let model = check_artifact(&args.model, &bytes)?;
    let seed = model.manifest().provenance.seed;
    let data = load_split(&args.data, args.split, seed, &args.data_dir, args.limit)?;
    let ood =
        args.ood.iter().map(|spec| load_ood(spec, &args.data_dir, args.limit)).collect::<Result<Vec<_>>>()?;
    let evaluation = evaluate(&model, &data, &ood, &args.samples.config())?;
    print_result(args.json, &evaluation, text)
}

/// The figures in words, for a reader.
pub(super) fn text(evaluation: &Evaluation) -> String {
    let mut text = format!("{}\n", evaluation.figures);
    for entry in &evaluation.ood {
        let mutual = entry.auroc.mutual_information.map_or("-".into(), |area| format!("{area:.4}"));
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "  out of distribution {} ({} examples), AUROC: max probability {:.4}, predictive entropy {:.4}, mutual information {mutual}",
            entry.data, entry.n, entry.auroc.max_probability, entry.auroc.predictive_entropy
        );
    }
    text
}
