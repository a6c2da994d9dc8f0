//! `cargo xtask long-run`: ten million predictions through the C API on two threads that share one model; memory
//! must not grow, and the counter of draws passes 2^32.

use crate::cross::{cargo, root, run as run_command, target_dir};
use crate::dist;
use std::path::Path;
use std::process::Command;

/// The command line of the task: `[PREDICTIONS]`.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let predictions = arguments.first().map_or("10000000", String::as_str);
    let folder = target_dir().join("long-run");
    let package = folder.join("package");
    dist::run_for(None, &package)?;
    let model = folder.join("model.stf");
    let mut make = cargo(None)?;
    make.args(["run", "--quiet", "--package", "stf-bnn", "--example", "small_model", "--", "dense", "2"]);
    run_command(make.arg(&model).arg(folder.join("inputs.bin")).arg("1"))?;
    let program = folder.join("long_run");
    run_command(Command::new("cc").args(compile(&package, &program)))?;
    run_command(Command::new(&program).arg(&model).args([predictions, "2"]))
}

fn compile(package: &Path, program: &Path) -> Vec<std::ffi::OsString> {
    let source = root().join("c-api/tests/c/long_run.c");
    let include = format!("-I{}", package.join("include").display());
    let flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-O2", include.as_str()].map(Into::into);
    let library = package.join("lib/libstf_bnn_c.a");
    let files = [source.into(), "-o".into(), program.into(), library.into()];
    flags.into_iter().chain(files).chain(["-lpthread", "-ldl", "-lm"].map(Into::into)).collect()
}
