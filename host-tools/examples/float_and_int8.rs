//! What quantization changes: the float network and the int8 artifact of one run, same posterior, on the
//! test split.
//!
//! `cargo run --release --example float_and_int8 -- RUN [--data-dir DIR] [--samples K]`

use std::path::PathBuf;
use stf_bnn::{AlignedBytes, Config, Model, Samples};
use stf_host::commands::export::export;
use stf_host::evaluate::evaluate;
use stf_host::quantize::{QuantizeOptions, range::RangeRule};
use stf_host::run::chain;
use stf_host::train::validate;
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

fn run() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().unwrap_or_else(|| "stf-demo/run".into()));
    let (mut data_dir, mut samples): (Option<PathBuf>, u16) = (None, 32);
    while let (Some(flag), Some(value)) = (arguments.next(), arguments.next()) {
        match flag.as_str() {
            "--data-dir" => data_dir = Some(value.into()),
            "--samples" => samples = value.parse().unwrap_or(samples),
            _ => return Err(Error::invalid("argument", flag, "--data-dir or --samples")),
        }
    }
    let (settings, trained) = chain::read(&folder)?;
    let splits = data::splits(data::load(&settings.data, data_dir.as_deref())?, settings.seed)?;
    let test = &splits.test;
    println!(
        "{} on {}, {} test examples, {samples} samples",
        settings.architecture,
        settings.data_name,
        test.len()
    );
    println!("{:<34} {:>9} {:>8} {:>8} {:>8}", "", "accuracy", "NLL", "ECE", "Brier");
    let row = |name: &str, accuracy: f64, nll: f64, ece: f64, brier: f64| {
        println!("{name:<34} {:>7.2} % {nll:>8.4} {ece:>8.4} {brier:>8.4}", 100.0 * accuracy);
    };
    for plain in [true, false] {
        let (params, posterior) = match (&trained.bayesian, plain) {
            (Some((params, posterior)), false) => (params, Some(posterior)),
            (None, false) => continue,
            (_, true) => (&trained.plain, None),
        };
        let name = if plain { "plain" } else { "STF-BNN" };
        let float = validate(
            &trained.graph,
            params,
            posterior,
            test,
            &settings.preprocessing,
            samples.into(),
            settings.seed,
        )?;
        row(&format!("{name}, float"), float.accuracy, float.nll, float.ece, float.brier);
        for range in
            [RangeRule::MinMax, RangeRule::Percentile(0.9999), RangeRule::Percentile(0.999), RangeRule::Mse]
        {
            let options = QuantizeOptions { range, seed: settings.seed, ..QuantizeOptions::default() };
            let exported = export(&settings, &trained, plain, &splits.calibration, &options)?;
            let bytes = AlignedBytes::new(&exported.bytes);
            let model = Model::from_bytes(&bytes)
                .map_err(|error| Error::invalid("artifact", error, "an intact one"))?;
            let config =
                Config { samples: Samples::MonteCarlo(samples), seed: settings.seed, ..Config::default() };
            let int8 = evaluate(&model, test, &[], &config)?;
            row(&format!("{name}, int8, {range:?}"), int8.accuracy, int8.nll, int8.ece, int8.brier);
        }
    }
    Ok(())
}
