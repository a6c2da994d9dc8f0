//! `cargo xtask arm-test`: `stf-run` and the C example for ARM Linux, in QEMU user mode, give the host's
//! bits.

use crate::c_linux::{self, HERE, Machine};
use crate::golden;
use crate::models::{cases, same, stf_run};
use std::path::Path;

/// Target, the name of its linker's variable, linker, emulator.
const TARGETS: [(&str, &str, &str, &str); 2] = [
    ("aarch64-unknown-linux-gnu", "AARCH64_UNKNOWN_LINUX_GNU", "aarch64-linux-gnu-gcc", "qemu-aarch64"),
    ("armv7-unknown-linux-gnueabihf", "ARMV7_UNKNOWN_LINUX_GNUEABIHF", "arm-linux-gnueabihf-gcc", "qemu-arm"),
];

/// The command line of the task.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let cases = cases(arguments, &["conv", "depthwise", "dense", "dense-outputs", "plain"])?;
    let host = stf_run(None, &[])?;
    let goldens = golden::prepare()?;
    c_linux::check(HERE, &cases, &host)?;
    for (target, variable, linker, emulator) in TARGETS {
        let variables = [
            (format!("CARGO_TARGET_{variable}_LINKER"), linker),
            // A static program needs no library of the device's.
            (format!("CARGO_TARGET_{variable}_RUSTFLAGS"), "-C target-feature=+crt-static"),
        ];
        let program = stf_run(Some(target), &variables)?;
        let size = std::fs::metadata(&program).map_or(0, |file| file.len());
        eprintln!("xtask: {target}: stf-run has {size} bytes");
        let emulated = [Path::new(emulator), Path::new("-cpu"), Path::new("max"), &program];
        golden::check(target, &emulated, &goldens)?;
        for case in &cases {
            let what = format!("{target}, {}", case.model.display());
            same(&format!("{what}: predictions"), &case.bits(&emulated)?, &case.bits(&[&host])?)?;
            same(&format!("{what}: figures"), &case.figures(&emulated)?, &case.figures(&[&host])?)?;
        }
        let system = format!("/usr/{}", linker.trim_end_matches("-gcc"));
        let emulator = [emulator, "-cpu", "max", "-L", &system];
        c_linux::check(
            Machine { target: Some(target), compiler: linker, emulator: &emulator },
            &cases,
            &host,
        )?;
    }
    Ok(())
}
