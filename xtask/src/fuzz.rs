//! `cargo xtask fuzz`: libFuzzer with the address sanitizer over the targets of `fuzz/`, one after another.
//!
//! The default toolchain is enough: `RUSTC_BOOTSTRAP` lets it instrument. What libFuzzer itself needs is a C++
//! compiler and Linux on x86-64 or 64-bit ARM; without them the task says so and passes, since
//! `fuzz/tests/replay.rs` runs the same targets anywhere.

use crate::cross::{self, output, root, target_dir};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Targets without and with the host tool, which takes longer to build.
const DEVICE: [&str; 4] = ["artifact", "manifest", "frames", "c-api"];
const HOST: [&str; 7] = ["idx", "cifar", "numpy", "images", "wav", "table", "onnx"];

/// Seconds of each target where nothing else is said.
const SECONDS: u64 = 10;

/// Coverage of edges by 8-bit counters, with what comparisons see, and every bad access a crash.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Zsanitizer=address";

/// The command line of the task: `[--seconds N] [TARGET...]`.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let (mut seconds, mut targets) = (SECONDS, Vec::new());
    let mut rest = arguments.iter();
    while let Some(word) = rest.next() {
        if word == "--seconds" {
            let value = rest.next().ok_or("--seconds: expected a number")?;
            seconds = value.parse().map_err(|_| format!("--seconds: found {value}, expected a number"))?;
        } else if DEVICE.iter().chain(&HOST).any(|target| target == word) {
            targets.push(word.as_str());
        } else {
            return Err(format!("found {word}, expected --seconds or one of {DEVICE:?} {HOST:?}"));
        }
    }
    if targets.is_empty() {
        targets = DEVICE.into_iter().chain(HOST).collect();
    }
    let Some(triple) = triple().filter(|_| has_cpp()) else {
        eprintln!("SKIPPED: xtask fuzz: libFuzzer needs Linux on x86-64 or 64-bit ARM and a C++ compiler");
        return Ok(());
    };
    let with_host = targets.iter().any(|target| HOST.contains(target));
    let program = build(triple, with_host)?;
    let mut table =
        "| target | executions | edges covered | inputs kept | CPU s |\n|---|---|---|---|---|\n".to_string();
    for target in targets {
        let line = fuzz(&program, target, seconds)?;
        println!("{line}");
        writeln!(table, "{line}").map_err(|error| error.to_string())?;
    }
    println!("\n{table}");
    Ok(())
}

/// The target triple of this machine, if libFuzzer runs there.
pub fn triple() -> Option<&'static str> {
    match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => Some("x86_64-unknown-linux-gnu"),
        ("linux", "aarch64") => Some("aarch64-unknown-linux-gnu"),
        _ => None,
    }
}

fn has_cpp() -> bool {
    Command::new("c++").arg("--version").output().is_ok_and(|output| output.status.success())
}

fn build(triple: &str, with_host: bool) -> Result<PathBuf, String> {
    // With and without the host tool are two programs: one would replace the other.
    let folder = target_dir().join(if with_host { "fuzz-host" } else { "fuzz" });
    let mut cargo = cross::cargo(None)?;
    cargo.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", FLAGS).env("CARGO_INCREMENTAL", "0");
    cargo.current_dir(root().join("fuzz")).args(["build", "--release", "--bin", "fuzz"]);
    cargo.args([
        "--no-default-features",
        "--features",
        if with_host { "libfuzzer,host" } else { "libfuzzer" },
    ]);
    cross::run(cargo.args(["--target", triple, "--target-dir"]).arg(&folder))?;
    Ok(folder.join(triple).join("release/fuzz"))
}

/// Fuzzes one target from its seeds and what earlier runs kept; a line of the table.
fn fuzz(program: &Path, target: &str, seconds: u64) -> Result<String, String> {
    let folder = target_dir().join("fuzz-corpus").join(target);
    let [seeds, corpus, crashes] = ["seeds", "kept", "crashes"].map(|name| folder.join(name));
    for folder in [&corpus, &crashes] {
        std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let base = || {
        let mut command = Command::new(program);
        command
            .env("STF_FUZZ_TARGET", target)
            .env("ASAN_OPTIONS", "detect_leaks=1:allocator_may_return_null=1");
        command
    };
    output(base().env("STF_FUZZ_SEEDS", &seeds))?;
    let before = children_seconds();
    let start = Instant::now();
    let mut command = base();
    command.args([format!("-max_total_time={seconds}"), format!("-artifact_prefix={}/", crashes.display())]);
    command.args(["-rss_limit_mb=3000", "-timeout=120", "-max_len=32768", "-print_final_stats=1"]);
    command.arg(&corpus).arg(&seeds).stdout(Stdio::null()).stderr(Stdio::piped());
    eprintln!("xtask fuzz: {target}, {seconds} s");
    let done = command.output().map_err(|error| format!("{}: {error}", program.display()))?;
    let log = String::from_utf8_lossy(&done.stderr);
    let log_file = folder.join("log.txt");
    cross::write(&log_file, log.as_bytes())?;
    if !done.status.success() {
        let tail: Vec<&str> = log.lines().rev().take(60).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        return Err(format!(
            "{target}: {}\n{}\ninput in {}",
            done.status,
            tail.join("\n"),
            crashes.display()
        ));
    }
    let executions = after(&log, "stat::number_of_executed_units:").ok_or("found no count of executions")?;
    let edges = log.lines().rev().find_map(|line| after(line, " cov:")).unwrap_or_default();
    let kept = std::fs::read_dir(&corpus).map_or(0, Iterator::count);
    let cpu =
        children_seconds().zip(before).map_or(start.elapsed().as_secs_f64(), |(now, before)| now - before);
    Ok(format!("| {target} | {executions} | {edges} | {kept} | {cpu:.0} |"))
}

/// The word behind a marker.
fn after<'t>(text: &'t str, marker: &str) -> Option<&'t str> {
    text.rsplit_once(marker)?.1.split_whitespace().next()
}

/// CPU seconds of all children that have ended, user and system.
pub fn children_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // Behind the name, which may hold anything: state is field 3, the two times are fields 16 and 17.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: f64 =
        [fields.get(13)?, fields.get(14)?].iter().filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
    // Linux counts hundredths of a second here.
    Some(ticks / 100.0)
}
