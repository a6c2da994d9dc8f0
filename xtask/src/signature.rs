//! `cargo xtask signature-cost`: instructions of verifying a signed artifact on a Cortex-M4F in QEMU.

use crate::cross::{cargo, run as run_command};
use crate::firmware::{DEFAULT, M4, build_program};
use crate::instructions::{count, plugin};
use crate::models::cases;
use std::path::Path;

/// Networks with random weights: the cost depends on the size of the file.
const NETWORKS: [&str; 3] = ["dense", "lenet5", "ic_resnet8"];

/// The command line of the task.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let plugin = plugin()?;
    println!(
        "| network | bytes | public key | check alone | check with signature | stack |\n|---|---|---|---|---|---|"
    );
    for (index, case) in cases(arguments, &NETWORKS)?.iter().enumerate() {
        let name = if arguments.is_empty() { NETWORKS[index] } else { "model" };
        let [signed, key] = ["signed.stf", "public.key"].map(|name| case.model.with_file_name(name));
        let mut sign = cargo(None)?;
        sign.args([
            "run",
            "--quiet",
            "--package",
            "stf-bnn",
            "--features",
            "signature",
            "--example",
            "sign",
            "--",
        ]);
        run_command(sign.arg(&case.model).arg(&signed).arg(&key))?;
        let program = build(&signed, &case.images, &key)?;
        let (regions, printed) = count(&plugin, "mps2-an386", &program)?;
        let [key, unsigned, with_signature] = regions[..] else {
            return Err(format!("found {} regions, expected 3", regions.len()));
        };
        let (bytes, stack) = printed.trim().split_once(' ').ok_or_else(|| format!("found {printed}"))?;
        println!("| {name} | {bytes} | {key} | {unsigned} | {with_signature} | {stack} |");
    }
    Ok(())
}

/// The program reads the key's place from its environment.
fn build(model: &Path, inputs: &Path, key: &Path) -> Result<std::path::PathBuf, String> {
    let key = format!("env.STF_PUBLIC_KEY='{}'", key.display());
    build_program(&M4, [model, inputs], "verify", &DEFAULT, &["--features", "signature", "--config", &key])
}
