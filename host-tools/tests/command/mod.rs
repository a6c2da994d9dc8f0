//! The `stf` command as tests call it: without the user's data folders.
#![allow(dead_code, unreachable_pub)]

use std::process::{Command, Output};

pub fn stf(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stf"));
    command.args(args).env_remove("STF_DATA_DIR").env("XDG_CACHE_HOME", "/nonexistent");
    command
}

pub fn run(args: &[&str]) -> Output {
    stf(args).output().unwrap()
}

/// Standard output of a call that succeeds.
pub fn ok(args: &[&str]) -> String {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The JSON object that a call prints.
pub fn json(args: &[&str]) -> serde_json::Value {
    serde_json::from_str(&ok(args)).unwrap()
}

/// The error line of a call that fails with exit status 1 and prints nothing else.
pub fn fails(args: &[&str]) -> String {
    let output = run(args);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{args:?}: {stderr}");
    assert!(output.stdout.is_empty(), "{args:?} printed {}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(stderr.lines().count(), 1, "{args:?}: one line, but: {stderr}");
    stderr
}
