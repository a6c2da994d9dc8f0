//! The C example on Linux, built from the package that `cargo xtask dist` lays out, with the flags that
//! its pkg-config file gives: shared and static, for this machine, 64-bit and 32-bit ARM.

use crate::cross::{output, root, run as run_command, target_dir};
use crate::dist;
use crate::models::{Case, same};
use std::path::{Path, PathBuf};
use std::process::Command;

const STRICT: [&str; 5] = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror"];

/// A machine: its target (`None`: this one), compiler and emulator.
#[derive(Clone, Copy)]
pub struct Machine<'a> {
    /// Target of the library.
    pub target: Option<&'a str>,
    /// C compiler.
    pub compiler: &'a str,
    /// What runs its programs, and with which arguments.
    pub emulator: &'a [&'a str],
}

/// This machine.
pub const HERE: Machine<'static> = Machine { target: None, compiler: "cc", emulator: &[] };

/// `cargo xtask c-test`: on this machine.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let cases = crate::models::cases(arguments, &["conv", "dense-outputs"])?;
    let host = crate::models::stf_run(None, &[])?;
    check(HERE, &cases, &host)
}

/// Compiles the example for a machine and compares every result with the host's.
pub fn check(machine: Machine<'_>, cases: &[Case], host: &Path) -> Result<(), String> {
    let name = machine.target.unwrap_or("host");
    let package = target_dir().join("device-test/package").join(name);
    // What an earlier layout has left would hide what this one lacks.
    if package.exists() {
        std::fs::remove_dir_all(&package).map_err(|error| format!("{}: {error}", package.display()))?;
    }
    dist::run_for(machine.target, &package)?;
    for linkage in ["shared", "static"] {
        let program = compile(machine, &package, linkage)?;
        for case in cases {
            let found = predictions(machine, &package, &program, case)?;
            let what = format!("C example, {name}, {linkage}, {}", case.model.display());
            same(&what, &found, &case.bits(&[host])?)?;
        }
    }
    Ok(())
}

fn compile(machine: Machine<'_>, package: &Path, linkage: &str) -> Result<PathBuf, String> {
    let program = package.join(format!("predict-{linkage}"));
    let source = package.join("share/stf-bnn/examples/c/predict.c");
    let mut compile = Command::new(machine.compiler);
    compile.args(STRICT).arg("-O1").arg(source).arg("-o").arg(&program);
    if linkage == "static" {
        compile.arg("-static");
    }
    run_command(compile.args(flags(package, linkage)?))?;
    Ok(program)
}

/// What pkg-config says of the package, wherever the package lies.
fn flags(package: &Path, linkage: &str) -> Result<Vec<String>, String> {
    let mut ask = Command::new("pkg-config");
    ask.env("PKG_CONFIG_PATH", package.join("lib/pkgconfig")).env("PKG_CONFIG_ALLOW_SYSTEM_LIBS", "1");
    if linkage == "static" {
        ask.arg("--static");
    }
    let text = output(ask.args(["--cflags", "--libs", "stf-bnn"]))?;
    Ok(String::from_utf8_lossy(&text).split_whitespace().map(str::to_string).collect())
}

fn predictions(machine: Machine<'_>, package: &Path, program: &Path, case: &Case) -> Result<Vec<u8>, String> {
    let mut words = machine.emulator.iter().map(Path::new).chain([program]);
    let mut command = Command::new(words.next().unwrap_or(program));
    command.args(words).arg(&case.model).arg(&case.images).args(["8", "0", "--bits"]);
    command.current_dir(root());
    if machine.emulator.is_empty() {
        command.env("LD_LIBRARY_PATH", package.join("lib"));
    } else {
        // The emulated loader reads it, the emulator does not.
        command.env("QEMU_SET_ENV", format!("LD_LIBRARY_PATH={}", package.join("lib").display()));
    }
    let printed = output(&mut command)?;
    // The example predicts every input of the file.
    let text = String::from_utf8_lossy(&printed);
    let lines = text.lines().take(case.limit);
    Ok(lines.flat_map(|line| [line, "\n"]).collect::<String>().into_bytes())
}
