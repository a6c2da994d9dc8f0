//! `cargo xtask gpu-test`: the feature `gpu` built and run, on the machine's GPU or on the software driver
//! that `host-tools/gpu-setup.sh` installs. `cuda-check`: the feature `cuda`, type-checked.

use std::process::Command;
use std::time::Instant;

/// Sets the driver up where there is apt, then runs the GPU's tests with what they measured on view.
///
/// # Errors
/// If a step fails.
pub fn run(_: &[String]) -> Result<(), String> {
    let status = Command::new("host-tools/gpu-setup.sh").status().map_err(|error| error.to_string())?;
    if !status.success() {
        return Err("host-tools/gpu-setup.sh failed".into());
    }
    let args = "test --profile gpu-test --package stf-host --features gpu --lib";
    // Without a device the tests fail instead of being skipped.
    let insist = [("STF_GPU_TEST", "1")];
    cargo(&format!("{args} --no-run"), &insist)?;
    let started = Instant::now();
    cargo(&format!("{args} gpu -- --nocapture --test-threads 1"), &insist)?;
    println!("gpu-test: passed in {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}

/// Checks the feature `cuda` as far as can be without LLVM: `DOCS_RS` makes the framework's build script leave out
/// its download, and what is only checked is not linked.
///
/// # Errors
/// If it does not compile.
pub fn check_cuda(_: &[String]) -> Result<(), String> {
    cargo("check --profile gpu-test --package stf-host --features cuda --lib", &[("DOCS_RS", "1")])
}

fn cargo(args: &str, variables: &[(&str, &str)]) -> Result<(), String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    eprintln!("xtask: cargo {args}");
    let mut command = Command::new(cargo);
    command.args(args.split(' ')).envs(variables.iter().copied());
    // The Vulkan loader complains of a missing XDG_RUNTIME_DIR each time it starts.
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        command.env("XDG_RUNTIME_DIR", std::env::temp_dir());
    }
    let status = command.status().map_err(|error| error.to_string())?;
    if status.success() { Ok(()) } else { Err(format!("cargo {args} failed")) }
}
