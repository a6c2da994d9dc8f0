//! `cargo xtask test`: everything that must hold before a change lands, in the order of what fails
//! soonest. Also the pieces by name, for use while working.

mod arm;
mod audio;
mod boards;
mod c_firmware;
mod c_linux;
mod cross;
mod dist;
mod elf;
mod firmware;
mod fuzz;
mod golden;
mod gpu;
mod instructions;
mod kill;
mod logs;
mod long_run;
mod models;
mod real;
mod report;
mod sanitize;
mod signature;
mod sizes;
mod supply;
#[cfg(test)]
mod unsafe_code;

use std::process::{Command, ExitCode};

/// One check: its name on the command line, what it shows, and the cargo calls that make it.
struct Check {
    name: &'static str,
    shows: &'static str,
    calls: &'static [&'static [&'static str]],
}

const CHECKS: &[Check] = &[
    Check { name: "fmt", shows: "formatting", calls: &[&["fmt", "--all", "--check"]] },
    Check {
        name: "no-std",
        shows: "the runtime builds without std and without alloc",
        calls: &[
            &["build", "--package", "stf-bnn", "--no-default-features"],
            &["build", "--package", "stf-bnn", "--no-default-features", "--features", "alloc,defmt"],
        ],
    },
    Check {
        name: "clippy",
        shows: "lints",
        calls: &[&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]],
    },
    Check { name: "doc", shows: "documentation", calls: &[&["doc", "--workspace", "--no-deps"]] },
    Check { name: "unit", shows: "tests", calls: &[&["test", "--workspace"]] },
    Check {
        name: "replay",
        shows: "the fuzz targets of the runtime on their seeds and some mutations",
        // Those of the host tool, which would be built a second time, are in `.ci/run`.
        calls: &[&["test", "--manifest-path", "fuzz/Cargo.toml", "--no-default-features"]],
    },
];

/// A task that is more than cargo calls: its name, what it does, and the function.
type Task = (&'static str, &'static str, fn(&[String]) -> Result<(), String>);

/// They need what `firmware/setup.sh` or `host-tools/gpu-setup.sh` installs, hence are no part of `test`.
const TASKS: &[Task] = &[
    (
        "dist",
        "[--target T] [--out DIR]: lay out the C library as include/ lib/ share/, with its bill of materials",
        dist::run,
    ),
    (
        "firmware-test",
        "[MODEL IMAGES LABELS LIMIT]: Cortex-M firmware in QEMU equals the host",
        firmware::run,
    ),
    (
        "audio",
        "[MODEL SAMPLES]: the audio front end and what a network hears, on Cortex-M in QEMU, equal the host's",
        audio::run_task,
    ),
    ("gpu-test", "training and prediction on a GPU, or a software one, equal the CPU's", gpu::run),
    ("cuda-check", "the feature cuda compiles, as far as can be without LLVM", gpu::check_cuda),
    ("boards", "the firmware fits every board of firmware/boards", boards::run),
    (
        "c-test",
        "[MODEL IMAGES LABELS LIMIT]: the C example, built from the laid-out package, equals the host",
        c_linux::run,
    ),
    ("golden", "[vectors]: make the golden models, or their vectors alone, again", golden::run),
    (
        "instructions",
        "[MODEL IMAGES LABELS LIMIT]: instructions of each layer on a Cortex-M4F and an M55 in QEMU",
        instructions::run_task,
    ),
    (
        "logs-test",
        "lints, documentation and tests of device-logs, which DataFusion makes a long build",
        logs::run,
    ),
    (
        "report-test",
        "[MODEL DATA [OOD...]]: reports in Chromium, wide and narrow, light and dark, printed",
        report::run,
    ),
    (
        "sizes",
        "[MODEL IMAGES LABELS LIMIT]: flash, workspace and stack on a Cortex-M4F, by what is kept of the runtime",
        sizes::run,
    ),
    (
        "fuzz",
        "[--seconds N] [TARGET...]: libFuzzer over hostile artifacts, frames, data, ONNX and calls from C",
        fuzz::run,
    ),
    (
        "signature-cost",
        "[MODEL IMAGES LABELS LIMIT]: instructions of verifying a signature on a Cortex-M4F in QEMU",
        signature::run,
    ),
    (
        "sanitize",
        "[address|thread|valgrind...]: kernels, faults and C API under the sanitizers",
        sanitize::run,
    ),
    ("deny", "licences, sources and advisories of everything that is depended on", supply::deny),
    ("miri", "small models and the C API in an interpreter that sees undefined behaviour", sanitize::miri),
    ("kill-test", "[--moments N]: training, comparison and export survive SIGKILL", kill::run),
    (
        "long-run",
        "[PREDICTIONS]: ten million predictions from C, past 2^32 draws, without growth",
        long_run::run,
    ),
    ("arm-test", "[MODEL IMAGES LABELS LIMIT]: ARM Linux in QEMU equals the host", arm::run),
];

fn main() -> ExitCode {
    let names: Vec<String> = std::env::args().skip(1).collect();
    if let Some((name, _, task)) = TASKS.iter().find(|(name, ..)| names.first().is_some_and(|n| n == name)) {
        return match task(&names[1..]) {
            Ok(()) => ExitCode::SUCCESS,
            Err(message) => {
                eprintln!("xtask {name}: {message}");
                ExitCode::FAILURE
            }
        };
    }
    let chosen: Vec<&Check> = match names.as_slice() {
        [name] if name == "test" => CHECKS.iter().collect(),
        [name] => CHECKS.iter().filter(|check| check.name == name.as_str()).collect(),
        _ => Vec::new(),
    };
    if chosen.is_empty() {
        eprintln!("usage: cargo xtask NAME, one of:");
        eprintln!("  test     all of the following");
        for check in CHECKS {
            eprintln!("  {:<8} {}", check.name, check.shows);
        }
        eprintln!("or a task:");
        for (name, does, _) in TASKS {
            eprintln!("  {name} {does}");
        }
        return ExitCode::from(2);
    }
    for check in chosen {
        for call in check.calls {
            eprintln!("xtask {}: cargo {}", check.name, call.join(" "));
            if !run(call) {
                eprintln!("xtask {}: failed: cargo {}", check.name, call.join(" "));
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

fn run(call: &[&str]) -> bool {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(call);
    if call[0] == "doc" {
        command.env("RUSTDOCFLAGS", "--deny warnings");
    }
    command.status().is_ok_and(|status| status.success())
}
