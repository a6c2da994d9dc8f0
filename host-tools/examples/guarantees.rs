//! Do the promises hold on data that fitted nothing? Predicts a pool once, then divides it anew many
//! times into a part that calibrates and a part that judges.
//!
//! ```text
//! cargo run --release --example guarantees -- MODEL DATA [--drift OTHER] [--k 8] [--dump FOLDER]
//! ```
//!
//! MODEL is an artifact of `stf export` (with its temperature), DATA a name or path whose test part is
//! the pool; `$STF_DATA_DIR` says where names are found. Prints Markdown tables: coverage and size of
//! prediction sets over 20 resplits, the selective risk over 100, false alarms of the drift monitor in
//! 1,000 clean streams, and its delay when the stream changes to OTHER. `--dump` writes what MAPIE needs to
//! make the same sets, for `tests/oracle/mapie_sets.py`.

use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::path::{Path, PathBuf};
use stf_bnn::uncertainty::{DriftMonitor, PredictionSets, SetMethod, conformal_score, random_share};
use stf_bnn::{AlignedBytes, Config, Model, Samples};
use stf_host::calibrate::conformal::{Example, thresholds};
use stf_host::calibrate::{Facts, Options, Share, abstention, drift, rewrite};
use stf_host::data::{self, Dataset};
use stf_host::error::Result;
use stf_host::evaluate::{Outcome, outcomes};

const SET_SPLITS: u64 = 20;
const RISK_SPLITS: u64 = 100;
const STREAMS: u64 = 1000;
/// Inputs of a clean stream.
const STREAM: usize = 2000;
/// Inputs without drift before the change.
const BEFORE: [usize; 2] = [0, 1000];

struct Arguments {
    model: PathBuf,
    data: String,
    drift: Option<String>,
    samples: u16,
    dump: Option<PathBuf>,
}

fn arguments() -> Option<Arguments> {
    let mut words = std::env::args().skip(1);
    let (model, data) = (words.next()?.into(), words.next()?);
    let mut arguments = Arguments { model, data, drift: None, samples: 8, dump: None };
    while let Some(word) = words.next() {
        let value = words.next()?;
        match word.as_str() {
            "--drift" => arguments.drift = Some(value),
            "--k" => arguments.samples = value.parse().ok()?,
            "--dump" => arguments.dump = Some(value.into()),
            _ => return None,
        }
    }
    Some(arguments)
}

fn main() {
    let Some(arguments) = arguments() else {
        eprintln!("usage: guarantees MODEL DATA [--drift OTHER] [--k SAMPLES] [--dump FOLDER]");
        std::process::exit(2);
    };
    if let Err(error) = run(&arguments) {
        eprintln!("guarantees: {error}");
        std::process::exit(1);
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let bytes = std::fs::read(&arguments.model)
        .map_err(stf_host::error::Error::io(&arguments.model, "read"))
        .map(|bytes| AlignedBytes::new(&bytes))?;
    let model = Model::from_bytes(&bytes)
        .map_err(|error| stf_host::Error::invalid("artifact", error, "an intact .stf file"))?;
    let config = Config { samples: Samples::MonteCarlo(arguments.samples), ..Config::default() };
    let predict = |set: &Dataset| outcomes(&model, set, &config);
    let data = data::load(&arguments.data, None)?.into_evaluation();
    let pool = Pool { outcomes: predict(&data)?, labels: data.labels.clone(), model: &model };
    println!(
        "{} on {}: {} examples, {} samples\n",
        model.manifest().name,
        data.name,
        data.len(),
        arguments.samples
    );
    sets(&pool)?;
    risk(&pool)?;
    let other = arguments.drift.as_ref().map(|spec| -> Result<_> {
        let other = data::load(spec, None)?.into_evaluation();
        Ok((other.name.clone(), predict(&other)?))
    });
    drift_streams(&pool, other.transpose()?)?;
    if let Some(folder) = &arguments.dump {
        dump(&pool, folder)?;
    }
    Ok(())
}

/// Predictions of the pool.
struct Pool<'a> {
    outcomes: Vec<Outcome>,
    labels: Vec<u32>,
    model: &'a Model<'a>,
}

/// Indices of the pool in a random order.
fn shuffled(n: usize, seed: u64) -> Vec<usize> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut indices: Vec<usize> = (0..n).collect();
    for last in (1..n).rev() {
        let other = ((u128::from(rng.next_u64()) * (last as u128 + 1)) >> 64) as usize;
        indices.swap(last, other);
    }
    indices
}

/// Mean and standard deviation of some values.
fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, variance.sqrt())
}

impl Pool<'_> {
    fn judged(&self, options: &Options, indices: &[usize]) -> Vec<abstention::Judged> {
        let judge = |&i: &usize| {
            let c = self.outcomes[i].classification.as_ref()?;
            Some((options.score.of(c), u32::from(c.class) != self.labels[i]))
        };
        indices.iter().filter_map(judge).collect()
    }

    fn examples(&self, indices: &[usize], randomized: bool) -> Vec<Example<'_>> {
        let share = |i: usize| if randomized { random_share(0, i as u64) } else { 0.0 };
        indices
            .iter()
            .map(|&i| Example {
                probabilities: &self.outcomes[i].mean,
                label: self.labels[i] as usize,
                share: share(i),
            })
            .collect()
    }
}

/// An artifact with thresholds of this split, read back as the device reads it.
fn with_sets(
    pool: &Pool<'_>,
    calibrating: &[usize],
    alphas: &[Share],
    randomized: bool,
) -> Result<AlignedBytes> {
    let (options, examples) = (Options::default(), pool.examples(calibrating, randomized));
    let all = SetMethod::ALL
        .iter()
        .map(|&method| thresholds(&examples, method, options.penalty, alphas, false))
        .collect::<Result<Vec<_>>>()?;
    let facts = Facts {
        temperature: pool.model.manifest().temperature,
        policy: Some(stf_bnn::artifact::SamplingPolicy::of(pool.model, &options.config)),
        examples: calibrating.len(),
        sets: Some(stf_host::calibrate::SetFacts {
            alphas: alphas.to_vec(),
            thresholds: all.concat(),
            class_conditional: false,
            randomized,
            penalty: options.penalty,
        }),
        ..Facts::default()
    };
    rewrite(pool.model, &facts).map(|bytes| AlignedBytes::new(&bytes))
}

fn sets(pool: &Pool<'_>) -> Result<()> {
    let alphas = [50_000, 100_000].map(Share::from_millionths).into_iter().collect::<Result<Vec<_>>>()?;
    let n = pool.labels.len();
    println!("| sets | alpha | coverage, % | spread of a resplit | expected | classes | empty, % |");
    println!("|---|---|---|---|---|---|---|");
    for (method, randomized) in [
        (SetMethod::Lac, false),
        (SetMethod::Aps, false),
        (SetMethod::Aps, true),
        (SetMethod::Raps, false),
        (SetMethod::Raps, true),
    ] {
        let mut rows = vec![(Vec::new(), Vec::new(), Vec::new()); alphas.len()];
        for split in 0..SET_SPLITS {
            let order = shuffled(n, split);
            let (calibrating, judging) = order.split_at(n / 2);
            let bytes = with_sets(pool, calibrating, &alphas, randomized)?;
            let model = Model::from_bytes(&bytes)
                .map_err(|error| stf_host::Error::invalid("artifact", error, "an intact one"))?;
            let Some(sets) = PredictionSets::new(&model) else { continue };
            for (level, row) in rows.iter_mut().enumerate() {
                let (covered, size, empty) = judge_sets(pool, &sets, method, level, judging);
                row.0.push(covered);
                row.1.push(size);
                row.2.push(empty);
            }
        }
        for (alpha, (coverage, size, empty)) in alphas.iter().zip(&rows) {
            let (mean, spread) = moments(coverage);
            let expected = expected_spread(n / 2, n - n / 2, *alpha);
            println!(
                "| {}{} | {alpha} | {:.2} | {:.2} | {:.2} | {:.3} | {:.2} |",
                method.name(),
                if randomized { ", randomized" } else { "" },
                100.0 * mean,
                100.0 * spread,
                100.0 * expected,
                moments(size).0,
                100.0 * moments(empty).0
            );
        }
    }
    println!();
    Ok(())
}

/// Coverage, mean size and share of empty sets on some examples.
fn judge_sets(
    pool: &Pool<'_>,
    sets: &PredictionSets<'_>,
    method: SetMethod,
    level: usize,
    judging: &[usize],
) -> (f64, f64, f64) {
    let mut bits = vec![0; sets.words()];
    let (mut covered, mut size, mut empty) = (0, 0, 0);
    for &i in judging {
        let share = random_share(0, i as u64);
        if let Some(set) = sets.set(method, level, &pool.outcomes[i].mean, share, &mut bits) {
            covered += usize::from(set.contains(pool.labels[i] as usize));
            size += set.len;
            empty += usize::from(set.is_empty());
        }
    }
    let n = judging.len() as f64;
    (covered as f64 / n, size as f64 / n, empty as f64 / n)
}

/// Standard deviation of the coverage on `m` examples after calibration on `n`: the coverage is a Beta of
/// the rank, and the examples are binomial on top (Angelopoulos and Bates 2021, section 3.2).
fn expected_spread(n: usize, m: usize, alpha: Share) -> f64 {
    let rank = alpha.rank(n).unwrap_or(n) as f64;
    let (a, b) = (rank, n as f64 + 1.0 - rank);
    let mean = a / (a + b);
    let beta = a * b / ((a + b).powi(2) * (a + b + 1.0));
    let m = m as f64;
    (mean * (1.0 - mean) / m + beta * (m - 1.0) / m).sqrt()
}

fn risk(pool: &Pool<'_>) -> Result<()> {
    let n = pool.labels.len();
    let options = Options::default();
    let errors =
        pool.judged(&options, &(0..n).collect::<Vec<_>>()).iter().filter(|(_, wrong)| *wrong).count();
    let error = errors as f64 / n as f64;
    println!(
        "| promised risk | certified | coverage, % | risk, % | promise broken in the judging part | allowed |"
    );
    println!("|---|---|---|---|---|---|");
    for share in [0.75, 0.5, 0.25] {
        let risk = Share::from_millionths(((error * share * 1e6) as u32).max(1))?;
        let (mut coverages, mut risks, mut broken) = (Vec::new(), Vec::new(), 0);
        for split in 0..RISK_SPLITS {
            let order = shuffled(n, 1000 + split);
            let (fit, rest) = order.split_at(n / 4);
            let (certifying, judging) = rest.split_at(n / 4);
            let judged = [fit, certifying].map(|part| pool.judged(&options, part));
            let Some(found) = abstention::certify(&judged[0], &judged[1], risk, options.confidence) else {
                continue;
            };
            let judging = pool.judged(&options, judging);
            let accepted: Vec<_> = judging.iter().filter(|(score, _)| *score <= found.threshold).collect();
            let wrong = accepted.iter().filter(|(_, wrong)| *wrong).count();
            let observed = wrong as f64 / accepted.len().max(1) as f64;
            coverages.push(accepted.len() as f64 / judging.len() as f64);
            risks.push(observed);
            broken += usize::from(observed > risk.value());
        }
        if coverages.len() < 2 {
            println!(
                "| {:.2} % | {} of {RISK_SPLITS} | - | - | - | - |",
                100.0 * risk.value(),
                coverages.len()
            );
            continue;
        }
        println!(
            "| {:.2} % | {} of {RISK_SPLITS} | {:.1} | {:.2} | {broken} | {:.0} |",
            100.0 * risk.value(),
            coverages.len(),
            100.0 * moments(&coverages).0,
            100.0 * moments(&risks).0,
            RISK_SPLITS as f64 * (1.0 - options.confidence.value())
        );
    }
    println!();
    Ok(())
}

/// A monitor fitted on two quarters of the pool, and the scores of the other half.
fn monitor_bytes(pool: &Pool<'_>, split: u64) -> Result<(AlignedBytes, Vec<f32>)> {
    let n = pool.labels.len();
    let options = Options::default();
    let order = shuffled(n, 5000 + split);
    let (fit, rest) = order.split_at(n / 4);
    let (certifying, stream) = rest.split_at(n / 4);
    let scores = |part: &[usize]| -> Vec<f32> {
        pool.judged(&options, part).iter().map(|&(score, _)| score).collect()
    };
    let delta = Share::from_millionths(options.false_alarm.millionths() / 2)?;
    let reference = drift::reference(&scores(fit), &scores(certifying), delta)
        .ok_or_else(|| stf_host::Error::invalid("scores", "all equal", "different ones"))?;
    let facts = Facts {
        temperature: pool.model.manifest().temperature,
        policy: Some(stf_bnn::artifact::SamplingPolicy::of(pool.model, &options.config)),
        examples: certifying.len(),
        score: Some(options.score),
        drift: Some((reference, options.false_alarm, delta)),
        ..Facts::default()
    };
    Ok((AlignedBytes::new(&rewrite(pool.model, &facts)?), scores(stream)))
}

fn drift_streams(pool: &Pool<'_>, other: Option<(String, Vec<Outcome>)>) -> Result<()> {
    let options = Options::default();
    let mut alarms = 0;
    let mut delays = vec![Vec::new(); BEFORE.len()];
    let outside: Vec<f32> = other
        .iter()
        .flat_map(|(_, outcomes)| outcomes)
        .filter_map(|o| Some(options.score.of(o.classification.as_ref()?)))
        .collect();
    let mut length = 0;
    for split in 0..STREAMS {
        let (bytes, clean) = monitor_bytes(pool, split)?;
        let model = Model::from_bytes(&bytes)
            .map_err(|error| stf_host::Error::invalid("artifact", error, "an intact one"))?;
        let Some(monitor) = DriftMonitor::new(&model) else { continue };
        let mut watching = monitor;
        length = clean.len().min(STREAM);
        alarms +=
            usize::from(clean[..length].iter().fold(false, |_, &score| watching.push_score(score).alarm));
        if outside.is_empty() {
            continue;
        }
        let order = shuffled(outside.len(), 9000 + split);
        for (before, delays) in BEFORE.iter().zip(&mut delays) {
            let mut watching = monitor;
            let early =
                clean[..(*before).min(length)].iter().fold(false, |_, &s| watching.push_score(s).alarm);
            let delay = order.iter().position(|&i| watching.push_score(outside[i]).alarm);
            delays.push(if early { None } else { delay.map(|d| d + 1) });
        }
    }
    println!(
        "Drift monitor, false alarms promised in at most {} of streams: {alarms} of {STREAMS} clean streams of {length} inputs.",
        options.false_alarm
    );
    if let Some((name, _)) = &other {
        for (before, delays) in BEFORE.iter().zip(&delays) {
            let mut found: Vec<usize> = delays.iter().flatten().copied().collect();
            found.sort_unstable();
            let at = |share: f64| {
                found.get(((found.len() as f64 * share) as usize).min(found.len().saturating_sub(1)))
            };
            println!(
                "{name} after {before} clean inputs: found in {} of {STREAMS} streams, after {:?} inputs (median), {:?} (95 %), {:?} (most).",
                found.len(),
                at(0.5).copied().unwrap_or(0),
                at(0.95).copied().unwrap_or(0),
                found.last().copied().unwrap_or(0)
            );
        }
    }
    println!();
    Ok(())
}

/// Probabilities, labels, the order of each resplit and the mean set sizes: what MAPIE needs to repeat
/// LAC and APS.
fn dump(pool: &Pool<'_>, folder: &Path) -> Result<()> {
    let io = |error| stf_host::error::Error::io(folder, "write")(error);
    std::fs::create_dir_all(folder).map_err(io)?;
    let n = pool.labels.len();
    let classes = pool.outcomes.first().map_or(0, |o| o.mean.len());
    let probabilities: Vec<u8> =
        pool.outcomes.iter().flat_map(|o| &o.mean).flat_map(|p| p.to_le_bytes()).collect();
    std::fs::write(folder.join("probabilities.f32"), probabilities).map_err(io)?;
    let labels: Vec<u8> = pool.labels.iter().flat_map(|label| label.to_le_bytes()).collect();
    std::fs::write(folder.join("labels.u32"), labels).map_err(io)?;
    let alphas = [50_000, 100_000].map(Share::from_millionths).into_iter().collect::<Result<Vec<_>>>()?;
    let mut splits = Vec::new();
    for split in 0..SET_SPLITS {
        let order = shuffled(n, split);
        let (calibrating, judging) = order.split_at(n / 2);
        let examples = pool.examples(calibrating, false);
        let mut sizes = serde_json::Map::new();
        for method in [SetMethod::Lac, SetMethod::Aps] {
            let penalty = Options::default().penalty;
            let found = thresholds(&examples, method, penalty, &alphas, false)?;
            let total = |threshold: f32| -> usize {
                let inside = |i: usize, class: usize| {
                    conformal_score(method, penalty, &pool.outcomes[i].mean, class, 0.0)
                        .is_some_and(|s| s <= threshold)
                };
                judging.iter().map(|&i| (0..classes).filter(|&class| inside(i, class)).count()).sum()
            };
            sizes.insert(method.name().into(), found.iter().map(|&t| total(t)).collect::<Vec<_>>().into());
        }
        splits.push(serde_json::json!({ "calibrating": calibrating, "judging": judging, "classes": sizes }));
    }
    let meta = serde_json::json!({ "n": n, "classes": classes, "alphas": [0.05, 0.1], "splits": splits });
    std::fs::write(folder.join("splits.json"), meta.to_string()).map_err(io)
}
