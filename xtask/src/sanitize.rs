//! `cargo xtask sanitize` and `cargo xtask miri`: what the compiler's instruments see of the runtime's unsafe code.
//!
//! `address`: kernels of runtime and trainer, faults in memory and the C API with the address sanitizer; `thread`:
//! threads on one model with the thread sanitizer, with a standard library that is instrumented too; `valgrind`: the
//! same tests uninstrumented, with the kernels that valgrind's CPU has.

use crate::cross::{self, target_dir};
use crate::fuzz::triple;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Test programs: package, kind and name.
type Test = (&'static str, &'static [&'static str]);

const ADDRESS: [Test; 3] = [
    (
        "stf-bnn",
        &["--lib", "--test", "kernels", "--test", "layers", "--test", "joints", "--test", "artifact"],
    ),
    ("stf-bnn-c", &["--test", "faults", "--test", "uncertainty", "--test", "threads"]),
    ("stf-host", &["--lib", "--", "kernels::", "executor::"]),
];

const THREAD: [Test; 2] = [("stf-bnn", &["--test", "threads"]), ("stf-bnn-c", &["--test", "threads"])];

const VALGRIND: [Test; 1] = [("stf-bnn-c", &["--test", "faults", "--test", "threads"])];

/// The command line of the task: any of `address`, `thread`, `valgrind`; all without.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let all = ["address".to_string(), "thread".to_string(), "valgrind".to_string()];
    for name in if arguments.is_empty() { &all[..] } else { arguments } {
        match name.as_str() {
            "address" => address()?,
            "thread" => thread()?,
            "valgrind" => valgrind()?,
            _ => return Err(format!("found {name}, expected address, thread or valgrind")),
        }
    }
    Ok(())
}

fn features(package: &str) -> &'static [&'static str] {
    if package == "stf-bnn" { &["--features", "threads,signature"] } else { &[] }
}

/// With every set of kernels that this CPU can run.
fn address() -> Result<(), String> {
    let Some(triple) = triple() else {
        eprintln!("SKIPPED: xtask sanitize address: Linux on x86-64 or 64-bit ARM only");
        return Ok(());
    };
    for kernels in ["", "avx2", "reference"] {
        for (package, tests) in ADDRESS {
            // The tests of the runtime and of the trainer choose kernels themselves.
            if package != "stf-bnn-c" && !kernels.is_empty() {
                continue;
            }
            let mut cargo = cross::cargo(None)?;
            cargo.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", "-Zsanitizer=address");
            cargo.env("ASAN_OPTIONS", "detect_stack_use_after_return=1").env("STF_FAULT_ROUNDS", "200");
            if !kernels.is_empty() {
                cargo.env("STF_KERNELS", kernels);
            }
            cargo.args(["test", "--target", triple, "--package", package, "--target-dir"]);
            cargo.arg(target_dir().join("sanitize-address")).args(features(package));
            cross::run(cargo.args(tests))?;
        }
    }
    Ok(())
}

/// The thread sanitizer takes an uninstrumented lock for no lock: the standard library is built again, which
/// only a nightly toolchain with its sources can do.
fn thread() -> Result<(), String> {
    let sources = nightly_library("src/rust/library/std/Cargo.toml");
    let (Some(triple), true) = (triple(), sources.is_some_and(|path| path.is_file())) else {
        eprintln!("SKIPPED: xtask sanitize thread: rustup toolchain install nightly --component rust-src");
        return Ok(());
    };
    for (package, tests) in THREAD {
        let mut cargo = cross::cargo(None)?;
        cargo.env("RUSTFLAGS", "-Zsanitizer=thread").arg("+nightly").args(["test", "-Zbuild-std"]);
        cargo.args(["--target", triple, "--package", package]).args(features(package)).args(tests);
        cross::run(cargo.arg("--target-dir").arg(target_dir().join("sanitize-thread")))?;
    }
    Ok(())
}

fn nightly_library(file: &str) -> Option<PathBuf> {
    let found = Command::new("rustc").args(["+nightly", "--print", "sysroot"]).output().ok()?;
    let sysroot = String::from_utf8(found.stdout).ok().filter(|_| found.status.success())?;
    Some(Path::new(sysroot.trim()).join("lib/rustlib").join(file))
}

fn valgrind() -> Result<(), String> {
    if !Command::new("valgrind").arg("--version").output().is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: xtask sanitize valgrind: no valgrind here");
        return Ok(());
    }
    for (package, tests) in VALGRIND {
        let mut cargo = cross::cargo(None)?;
        cargo.env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER", "valgrind --quiet --error-exitcode=9");
        cargo.env("STF_FAULT_ROUNDS", "16");
        cross::run(cargo.args(["test", "--package", package]).args(features(package)).args(tests))?;
    }
    Ok(())
}

/// `cargo xtask miri`: small models of every kind through loading, prediction and the C API, on the reference
/// kernels, in an interpreter that sees every undefined step.
pub fn miri(_: &[String]) -> Result<(), String> {
    if !Command::new("cargo")
        .args(["+nightly", "miri", "--version"])
        .output()
        .is_ok_and(|o| o.status.success())
    {
        eprintln!("SKIPPED: xtask miri: rustup toolchain install nightly --component miri,rust-src");
        return Ok(());
    }
    let calls: [(&str, &[&str]); 2] =
        [("stf-bnn", &["--test", "soundness"]), ("stf-bnn-c", &["--test", "soundness"])];
    for (package, tests) in calls {
        let mut cargo = cross::cargo(None)?;
        // Files and the environment are read; no pointer is made of a number.
        cargo.env("MIRIFLAGS", "-Zmiri-disable-isolation -Zmiri-strict-provenance");
        cargo.args(["+nightly", "miri", "test", "--package", package]).args(tests);
        cross::run(cargo.arg("--target-dir").arg(target_dir().join("miri")))?;
    }
    Ok(())
}
