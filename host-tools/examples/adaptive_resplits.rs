//! Whether the adaptive rule keeps its promise on data that fitted nothing, and what it costs.
//!
//! `cargo run --release --example adaptive_resplits -- MODEL DATA [--data-dir DIR] [--resplits N]
//! [--watched N] [--delta SHARE] [--samples K] [--min K]`
//!
//! First as `stf export` does it: fitted on the calibration examples that quantization did not watch,
//! counted on the test part. Then both are pooled and divided at random again and again. Every
//! prediction is the runtime's; a "passes" figure counts the mean pass and all draws.

use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::path::PathBuf;
use stf_bnn::{AlignedBytes, Model};
use stf_host::binomial;
use stf_host::export::adaptive::{Choice, Track, Wish, choose, tracks};
use stf_host::{Error, Result, data};

fn main() -> std::process::ExitCode {
    match run() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            std::process::ExitCode::FAILURE
        }
    }
}

struct Arguments {
    model: PathBuf,
    data: String,
    data_dir: Option<PathBuf>,
    resplits: usize,
    watched: usize,
    wish: Wish,
}

fn arguments() -> Result<Arguments> {
    let usage = |found: &str| Error::invalid("arguments", found, "MODEL DATA and options with values");
    let mut words = std::env::args().skip(1);
    let (Some(model), Some(data)) = (words.next(), words.next()) else { return Err(usage("fewer than two")) };
    let mut found = Arguments {
        model: model.into(),
        data,
        data_dir: None,
        resplits: 20,
        watched: 1024,
        wish: Wish::default(),
    };
    while let Some(flag) = words.next() {
        let value = words.next().ok_or_else(|| usage(&flag))?;
        let number = || value.parse::<f64>().map_err(|_| usage(&value));
        match flag.as_str() {
            "--data-dir" => found.data_dir = Some(value.into()),
            "--resplits" => found.resplits = number()? as usize,
            "--watched" => found.watched = number()? as usize,
            "--delta" => found.wish.delta = number()?,
            "--samples" => found.wish.samples_max = number()? as u16,
            "--min" => found.wish.samples_min = number()? as u16,
            _ => return Err(usage(&flag)),
        }
    }
    Ok(found)
}

/// An example's track and label.
type Labelled = (Track, u32);

fn run() -> Result<()> {
    let arguments = arguments()?;
    let wish = arguments.wish;
    let bytes = std::fs::read(&arguments.model).map_err(Error::io(&arguments.model, "read"))?;
    let bytes = AlignedBytes::new(&bytes);
    let model =
        Model::from_bytes(&bytes).map_err(|error| Error::invalid("artifact", error, "an intact one"))?;
    let loaded = data::load(&arguments.data, arguments.data_dir.as_deref())?;
    let splits = data::splits(loaded, model.manifest().provenance.seed)?;
    let unwatched: Vec<usize> =
        (arguments.watched.min(splits.calibration.len())..splits.calibration.len()).collect();
    let calibration = splits.calibration.select(&unwatched)?;
    let follow = |set: &data::Dataset, seed| -> Result<Vec<Labelled>> {
        Ok(tracks(&model, set, &wish, seed)?.into_iter().zip(set.labels.iter().copied()).collect())
    };
    let (fit, test) = (follow(&calibration, 1)?, follow(&splits.test, 0)?);
    println!(
        "{} on {}: at most {} % with confidence {} %, {} to {} samples",
        model.manifest().name,
        splits.test.name,
        100.0 * wish.delta,
        100.0 * wish.confidence,
        wish.samples_min,
        wish.samples_max
    );
    as_exported(&fit, &test, &wish);
    resplit(fit, test, &wish, arguments.resplits);
    Ok(())
}

fn only(examples: &[Labelled]) -> Vec<Track> {
    examples.iter().map(|(track, _)| track.clone()).collect()
}

/// Share of right classes, in percent.
fn accuracy(examples: &[Labelled], threshold: f32) -> f64 {
    let right = examples.iter().filter(|(track, label)| u32::from(track.end(threshold).1) == *label).count();
    100.0 * right as f64 / examples.len() as f64
}

fn as_exported(fit: &[Labelled], test: &[Labelled], wish: &Wish) {
    let Some(choice) = choose(&only(fit), wish.delta, wish.confidence) else {
        println!("as exported: no threshold can be proved on {} examples", fit.len());
        return;
    };
    let n = test.len();
    let found = Choice::count(&only(test), choice.threshold);
    let differing = found.differing as u64;
    let high = binomial::upper_bound(differing, n as u64, 0.975);
    let low = 1.0 - binomial::upper_bound(n as u64 - differing, n as u64, 0.975);
    // A threshold above every margin never settles a class: all samples.
    let full = 2.0;
    println!(
        "as exported: threshold {}, on {} calibration examples {} differ and {:.3} passes; on {n} test examples \
         {differing} differ: {:.2} % (95 % interval {:.2} to {:.2}), {:.3} passes, accuracy {:.2} % against {:.2} %",
        choice.threshold,
        fit.len(),
        choice.differing,
        choice.mean_passes,
        100.0 * differing as f64 / n as f64,
        100.0 * low.max(0.0),
        100.0 * high,
        found.mean_passes,
        accuracy(test, choice.threshold),
        accuracy(test, full)
    );
}

/// Each resplit fits on as many examples as an export would, or on half of the pool.
fn resplit(fit: Vec<Labelled>, test: Vec<Labelled>, wish: &Wish, resplits: usize) {
    let count = fit.len().min((fit.len() + test.len()) / 2);
    let mut pool: Vec<Labelled> = fit.into_iter().chain(test).collect();
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(0);
    let (mut shares, mut passes, mut changes) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..resplits {
        for last in (1..pool.len()).rev() {
            let other = ((u128::from(rng.next_u64()) * (last as u128 + 1)) >> 64) as usize;
            pool.swap(last, other);
        }
        let (fit, rest) = pool.split_at(count);
        let Some(choice) = choose(&only(fit), wish.delta, wish.confidence) else { continue };
        let found = Choice::count(&only(rest), choice.threshold);
        shares.push(100.0 * found.differing as f64 / rest.len() as f64);
        passes.push(found.mean_passes);
        changes.push(accuracy(rest, choice.threshold) - accuracy(rest, 2.0));
    }
    println!(
        "{resplits} resplits, {count} to fit and {} to count, {} could prove a threshold:",
        pool.len() - count,
        shares.len()
    );
    let above = shares.iter().filter(|&&share| share > 100.0 * wish.delta).count();
    for (name, values) in
        [("differing, %", &shares), ("passes", &passes), ("accuracy, points against all samples", &changes)]
    {
        let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
        let (least, most) =
            values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), &x| (a.min(x), b.max(x)));
        println!("  {name}: mean {mean:.3}, {least:.3} to {most:.3}");
    }
    println!("  held-out share above {} %: {above} of {}", 100.0 * wish.delta, shares.len());
}
