//! `cargo xtask gpu-test`: the feature `gpu` built and run, on the machine's GPU or on the software driver
//! that `host-tools/gpu-setup.sh` installs.

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
    cargo(&format!("{args} --no-run"))?;
    let started = Instant::now();
    cargo(&format!("{args} train::gpu -- --nocapture --test-threads 1"))?;
    println!("gpu-test: passed in {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}

fn cargo(args: &str) -> Result<(), String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    eprintln!("xtask gpu-test: cargo {args}");
    let mut command = Command::new(cargo);
    // Without a device the tests fail instead of being skipped. The Vulkan loader complains of a missing
    // XDG_RUNTIME_DIR each time it starts.
    command.args(args.split(' ')).env("STF_GPU_TEST", "1");
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        command.env("XDG_RUNTIME_DIR", std::env::temp_dir());
    }
    let status = command.status().map_err(|error| error.to_string())?;
    if status.success() { Ok(()) } else { Err(format!("cargo {args} failed")) }
}
