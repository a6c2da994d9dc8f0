//! `stf bound`: a PAC-Bayes bound on the error of the stochastic predictor.

use super::common::{DataDirArg, print_result};
use crate::bound::{Bound, Wish, bound};
use crate::compare::{Seeded, Settings};
use crate::error::{Error, Result};
use crate::progress::interrupt;
use crate::train::{Stage1Config, Stage2Config};
use clap::Args;
use std::fmt::Write as _;

/// Bound the error of a Bayesian first layer: PAC-Bayes, with a prior from one part of the data and the bound on
/// the other
#[derive(Debug, Args)]
pub struct BoundArgs {
    /// Architecture, as for `stf train`
    #[arg(long, value_name = "NAME")]
    arch: String,
    /// Data by name (digits, mnist, fashion-mnist, cifar10, spoken-digits) or path
    #[arg(long, value_name = "NAME|PATH")]
    data: String,
    /// Share of the training part that the prior sees
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    prior_share: f64,
    /// Probability that the bound fails; half of it is for the estimate of the empirical error
    #[arg(long, value_name = "P", default_value_t = 0.05)]
    delta: f64,
    /// Draws that estimate the empirical error
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    draws: u32,
    /// Temperature of the posterior
    #[arg(long, value_name = "T", default_value_t = 1.0)]
    temperature: f32,
    /// Standard deviation of the prior [default: the recipe's]
    #[arg(long, value_name = "SIGMA")]
    prior_sigma: Option<f32>,
    /// Epochs of stage 1 [default: the recipe's]
    #[arg(long)]
    epochs: Option<usize>,
    /// Epochs of stage 2 [default: the recipe's]
    #[arg(long)]
    bayes_epochs: Option<usize>,
    /// Seed of parts, weights and draws
    #[arg(long, default_value_t = 0)]
    seed: u64,
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
pub fn run(args: &BoundArgs) -> Result<()> {
    interrupt::install();
    // Before it is halved, so that the message names what was given.
    if !(args.delta > 0.0 && args.delta < 1.0) {
        return Err(Error::invalid("--delta", args.delta, "a probability above 0 and below 1"));
    }
    let mut settings = Settings::plain(&args.arch, &args.data, args.epochs.unwrap_or_default());
    let seeded = Seeded::load(&settings, args.data_dir.data_dir.as_deref(), args.seed)?;
    let name = &seeded.splits.train.name;
    let recipe = Stage2Config::recipe(&seeded.graph, name);
    settings.epochs = args.epochs.unwrap_or_else(|| Stage1Config::recipe(&args.arch, name).epochs);
    settings.bayes_epochs = args.bayes_epochs.unwrap_or(recipe.epochs);
    let wish = Wish {
        prior_share: args.prior_share,
        delta: 0.5 * args.delta,
        estimate_delta: 0.5 * args.delta,
        draws: args.draws as usize,
        temperature: args.temperature,
        prior_sigma: args.prior_sigma.unwrap_or(recipe.prior_sigma),
    };
    print_result(args.json, &bound(&settings, &seeded, wish)?, text)
}

fn text(bound: &Bound) -> String {
    let Bound { wish, before, after, .. } = bound;
    let percent = |value: f64| format!("{:.2} %", 100.0 * value);
    let mut text = format!(
        "{}, seed {}: prior from {} examples (sigma {}), bound on {} others, posterior temperature {}\n\
         KL(q || p)                          {:.1} nats\n\
         error of a draw, second part        {} of {} draws, at most {}\n\
         bound on the error, Seeger          {}\n\
         bound on the error, McAllester      {}\n\
         with probability                    {}\n",
        bound.data,
        bound.seed,
        bound.prior_examples,
        wish.prior_sigma,
        bound.n,
        wish.temperature,
        bound.kl,
        percent(bound.empirical),
        wish.draws,
        percent(bound.empirical_upper),
        percent(bound.seeger),
        percent(bound.mcallester),
        percent(1.0 - wish.delta - wish.estimate_delta),
    );
    // Writing to a string cannot fail.
    if bound.vacuous {
        let _ = writeln!(text, "VACUOUS: guessing errs in {}", percent(bound.guessing));
    }
    let _ = writeln!(
        text,
        "test part, not bounded: a draw errs in {}, the averaged prediction in {}\n\
         confidence less accuracy: second part {:+.4} before stage 2, {:+.4} after; test part {:+.4} before, {:+.4} after\n\
         assumed:",
        percent(bound.test_stochastic),
        percent(bound.test_averaged),
        before.train,
        after.train,
        before.test,
        after.test
    );
    for assumption in &bound.assumptions {
        let _ = writeln!(text, "- {assumption}");
    }
    text
}
