//! Toolchains and commands: which cargo can build for a target, and running things.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Root of the repository.
pub fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// Where cargo puts what it builds.
pub fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// A cargo that can build for `target`: the default toolchain, or the one that `firmware/setup.sh`
/// links under the name `debian`.
pub fn cargo(target: Option<&str>) -> Result<Command, String> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(root());
    let Some(target) = target else { return Ok(cargo) };
    if has_library(&[], target) {
        return Ok(cargo);
    }
    if has_library(&["+debian"], target) {
        cargo.arg("+debian");
        return Ok(cargo);
    }
    Err(format!("no toolchain here has the library of {target}: run firmware/setup.sh, or rustup target add"))
}

fn has_library(toolchain: &[&str], target: &str) -> bool {
    let output =
        Command::new("rustc").args(toolchain).args(["--print", "target-libdir", "--target", target]).output();
    let Ok(output) = output else { return false };
    let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    let is_core = |name: &str| name.starts_with("libcore-") && name.ends_with(".rlib");
    output.status.success()
        && std::fs::read_dir(folder).is_ok_and(|entries| {
            entries.flatten().any(|entry| entry.file_name().to_str().is_some_and(is_core))
        })
}

/// What cargo needs to know to link for 64-bit or 32-bit ARM Linux, as an environment variable; `None` for
/// other targets, or where the variable is set already.
pub fn linker(target: &str) -> Option<(String, &'static str)> {
    let linker = match target {
        "aarch64-unknown-linux-gnu" => "aarch64-linux-gnu-gcc",
        "armv7-unknown-linux-gnueabihf" => "arm-linux-gnueabihf-gcc",
        _ => return None,
    };
    let name = format!("CARGO_TARGET_{}_LINKER", target.to_uppercase().replace('-', "_"));
    std::env::var_os(&name).is_none().then_some((name, linker))
}

/// Runs a command; an error names it.
pub fn run(command: &mut Command) -> Result<(), String> {
    eprintln!("xtask: {}", line(command));
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{}: {status}", line(command))),
        Err(error) => Err(format!("{}: {error}", line(command))),
    }
}

/// Runs a command and returns its standard output.
pub fn output(command: &mut Command) -> Result<Vec<u8>, String> {
    eprintln!("xtask: {}", line(command));
    let output = command.stderr(std::process::Stdio::inherit()).output();
    let output = output.map_err(|error| format!("{}: {error}", line(command)))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let printed = String::from_utf8_lossy(&output.stdout);
    Err(format!("{}: {}\n{printed}", line(command), output.status))
}

fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Copies a file; an error names it.
pub fn copy(from: &Path, to: &Path) -> Result<(), String> {
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    std::fs::copy(from, to).map(|_| ()).map_err(|error| format!("{}: {error}", from.display()))
}

/// Writes a file; an error names it.
pub fn write(path: &Path, content: &[u8]) -> Result<(), String> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    std::fs::write(path, content).map_err(|error| format!("{}: {error}", path.display()))
}
