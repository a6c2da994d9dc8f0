//! `stf attack`: how easily small changes of the input fool the networks of a comparison.

use super::common::{DataDirArg, TrainDeviceArg, print_result};
use crate::attack::{Attack, Loss, Point, Settings, Stage, Subject, masked_gradients, worst};
use crate::compare::{Comparison, Seeded, runtime_config, write_json};
use crate::error::{Error, Result};
use crate::progress::interrupt;
use crate::train::methods::{Method, Net};
use crate::train::require_device;
use clap::Args;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::path::PathBuf;
use stf_bnn::Model;

/// Attack the networks of a comparison: FGSM, PGD, APGD and a transfer, each against the averaged prediction
#[derive(Debug, Args)]
pub struct AttackArgs {
    /// Folder of `stf compare`
    dir: PathBuf,
    /// Methods, separated by commas
    #[arg(long, value_name = "NAMES", default_value = "plain,stf")]
    methods: String,
    /// Seed of the networks
    #[arg(long, value_name = "N", default_value_t = 0)]
    net_seed: u64,
    /// Greatest change of a value, as a share of the data's range; several separated by commas
    #[arg(long, value_name = "EPS,EPS", value_delimiter = ',', default_values_t = [0.005, 0.01, 0.02, 0.04, 0.08])]
    eps: Vec<f64>,
    /// Attacks: all, or names separated by commas: fgsm, pgd, apgd-ce, apgd-dlr, transfer
    #[arg(long, value_name = "NAMES", default_value = "all")]
    attacks: String,
    /// Draws that a gradient is averaged over
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1024))]
    eot: u16,
    /// Steps of PGD and APGD
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    steps: u16,
    /// Starts of PGD and APGD
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1000))]
    restarts: u16,
    /// Draws that judge; the attack has not seen them
    #[arg(long, short = 'k', value_name = "K", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    num_samples: u16,
    /// Test examples, from the front
    #[arg(long, value_name = "N", default_value_t = 500)]
    limit: usize,
    /// Seed of draws and starts
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    device: TrainDeviceArg,
    #[command(flatten)]
    data_dir: DataDirArg,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Results {
    data: String,
    network_seed: u64,
    steps: u16,
    restarts: u16,
    settings: Settings,
    points: Vec<Point>,
    worst: Vec<Point>,
    /// Signs of masked gradients, in words.
    masked_gradients: Vec<String>,
}

/// Names of all attacks.
const NAMES: [&str; 5] = ["fgsm", "pgd", "apgd-ce", "apgd-dlr", "transfer"];

/// Runs the command.
///
/// # Errors
/// If the comparison lacks a network, or settings cannot be used.
pub fn run(args: &AttackArgs) -> Result<()> {
    interrupt::install();
    let methods = Method::list(&args.methods)?;
    let attacks = attacks(args)?;
    if let Some(bad) = args.eps.iter().find(|eps| !(eps.is_finite() && **eps > 0.0 && **eps <= 1.0)) {
        return Err(Error::invalid("eps", bad, "a share of the range above 0 and at most 1"));
    }
    require_device(args.device.device())?;
    let mut comparison = Comparison::existing(&args.dir)?;
    comparison.settings.device = args.device.device();
    let seeded = Seeded::load(&comparison.settings, args.data_dir.data_dir.as_deref(), args.net_seed)?;
    let settings = Settings {
        eot: args.eot.into(),
        num_samples: args.num_samples.into(),
        examples: args.limit.min(seeded.splits.test.len()).max(1),
        seed: args.seed,
    };
    let file = args.dir.join(format!("attack-seed-{}.json", args.net_seed));
    let mut results = resumed(args, &file, &seeded, settings);
    let plain = comparison.net(Method::Plain, args.net_seed)?;
    for &method in &methods {
        let net = comparison.net(method, args.net_seed)?;
        curve(args, &comparison, &seeded, (method, &net), &plain, &attacks, &mut results, &file)?;
    }
    results.worst = worst(&results.points);
    results.masked_gradients = masked_gradients(&results.points);
    write_json(&file, &results)?;
    // The file keeps what earlier runs found of other methods; this run tells of its own.
    results.points.retain(|point| methods.contains(&point.method));
    results.worst.retain(|point| methods.contains(&point.method));
    results.masked_gradients = masked_gradients(&results.points);
    for point in results.points.iter_mut().chain(&mut results.worst) {
        point.right.clear();
        point.int8_right.clear();
    }
    print_result(args.json, &results, text)
}

fn attacks(args: &AttackArgs) -> Result<Vec<(&'static str, Attack)>> {
    let (steps, restarts) = (args.steps.into(), args.restarts.into());
    let pgd = Attack::Pgd { steps, restarts, step_share: 2.5 / f64::from(args.steps) };
    let of = |name: &'static str| match name {
        "fgsm" => (name, Attack::Fgsm),
        "apgd-ce" => (name, Attack::Apgd { loss: Loss::CrossEntropy, steps, restarts }),
        "apgd-dlr" => (name, Attack::Apgd { loss: Loss::Dlr, steps, restarts }),
        _ => (name, pgd),
    };
    if args.attacks == "all" {
        return Ok(NAMES.map(of).to_vec());
    }
    let known = |name: &str| {
        let found = NAMES.into_iter().find(|known| *known == name.trim());
        found.map(of).ok_or_else(|| Error::invalid("attack", name, format!("one of {}", NAMES.join(", "))))
    };
    args.attacks.split(',').map(known).collect()
}

/// What an earlier run with the same settings found.
fn resumed(args: &AttackArgs, file: &std::path::Path, seeded: &Seeded, settings: Settings) -> Results {
    let fresh = Results {
        data: seeded.splits.test.name.clone(),
        network_seed: args.net_seed,
        steps: args.steps,
        restarts: args.restarts,
        settings,
        points: Vec::new(),
        worst: Vec::new(),
        masked_gradients: Vec::new(),
    };
    match crate::compare::read_json::<Results>(file) {
        Ok(found)
            if (found.steps, found.restarts, found.settings) == (args.steps, args.restarts, settings) =>
        {
            found
        }
        _ => fresh,
    }
}

#[expect(clippy::too_many_arguments, reason = "one method's part of the command")]
fn curve(
    args: &AttackArgs,
    comparison: &Comparison,
    seeded: &Seeded,
    (method, net): (Method, &Net),
    plain: &Net,
    attacks: &[(&'static str, Attack)],
    results: &mut Results,
    file: &std::path::Path,
) -> Result<()> {
    let exports = matches!(method, Method::Plain | Method::Stf);
    let bytes = exports.then(|| comparison.quantized(seeded, net, None)).transpose()?;
    let model = bytes
        .as_ref()
        .map(|bytes| {
            Model::from_bytes(bytes)
                .map_err(|error| Error::invalid("artifact", error, "one that the runtime accepts"))
        })
        .transpose()?;
    let config = runtime_config(net, args.num_samples.into(), args.seed);
    let subject = Subject { method, net, device: model.as_ref().map(|model| (model, config)) };
    let stage =
        Stage { data: &seeded.splits.test, preprocessing: &seeded.preprocessing, settings: results.settings };
    let mut add = |name: &str, attack: Option<Attack>, eps: f64, source: Option<&Net>| -> Result<()> {
        let is_there = |p: &Point| (p.method, p.attack.as_str(), p.eps) == (method, name, eps);
        if !results.points.iter().any(is_there) {
            results.points.push(stage.run(&subject, attack, eps, source)?);
            write_json(file, results)?;
        }
        Ok(())
    };
    add("clean", None, 0.0, None)?;
    for &eps in &args.eps {
        for &(name, attack) in attacks {
            let transfers = name == "transfer";
            if !(transfers && method == Method::Plain) {
                add(name, Some(attack), eps, transfers.then_some(plain))?;
            }
        }
    }
    Ok(())
}

fn text(results: &Results) -> String {
    let Settings { eot, num_samples, examples, .. } = results.settings;
    let mut text = format!(
        "{} test examples of {}, networks of seed {}; gradients over {eot} draws, judged by {num_samples} others; \
         {} steps, {} starts\n\n| method | attack | eps | right, % | 95 % interval | seen draws | int8 |\n\
         |---|---|---|---|---|---|---|\n",
        examples, results.data, results.network_seed, results.steps, results.restarts
    );
    for point in results.points.iter().chain(&results.worst) {
        let percent = |share: Option<f64>| share.map_or("–".to_string(), |s| format!("{:.1}", 100.0 * s));
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {:.1} | {:.1} to {:.1} | {} | {} |",
            point.method.title(),
            point.attack,
            point.eps,
            100.0 * point.accuracy,
            100.0 * point.interval.0,
            100.0 * point.interval.1,
            percent(point.accuracy_seen),
            percent(point.int8_accuracy)
        );
    }
    for sign in &results.masked_gradients {
        let _ = writeln!(text, "\nmasked gradients? {sign}");
    }
    text
}
