//! `cargo xtask logs-test`: the crate `device-logs`, which has a workspace of its own, as DataFusion takes longer to
//! build than all the rest.

use crate::cross::{cargo, run as run_command, target_dir};
use std::process::Command;

/// Formatting, lints, documentation, then the tests. One profile: DataFusion is compiled once.
const CALLS: [&str; 4] = [
    "fmt --check",
    "clippy --release --all-targets -- --deny warnings",
    "doc --release --no-deps",
    // The ignored test compares with `stf eval --log`.
    "test --release -- --include-ignored",
];

/// # Errors
/// If a step fails.
pub fn run(_: &[String]) -> Result<(), String> {
    run_command(cargo(None)?.args(["build", "--package", "stf-host", "--bin", "stf"]))?;
    CALLS.iter().try_for_each(|call| run_command(&mut device_logs(call)?))
}

/// A call of cargo for that crate. What it builds lies apart: other profiles would build it again.
fn device_logs(call: &str) -> Result<Command, String> {
    let mut command = cargo(None)?;
    let (name, rest) = call.split_once(' ').unwrap_or((call, ""));
    command.arg(name).args(["--manifest-path", "device-logs/Cargo.toml"]).args(rest.split(' '));
    command.env("RUSTDOCFLAGS", "--deny warnings").env("CARGO_TARGET_DIR", target_dir().join("device-logs"));
    command.env("STF_TOOL", target_dir().join("debug/stf"));
    Ok(command)
}
