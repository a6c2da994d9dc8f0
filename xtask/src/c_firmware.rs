//! The C example on a Cortex-M4F in QEMU gives the host's bits.

use crate::cross::{root, run, target_dir, write};
use crate::dist;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

const COMPILER: &str = "arm-none-eabi-gcc";

/// Whether the compiler is installed.
pub fn available() -> bool {
    Command::new(COMPILER).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Builds the program with this model and these inputs in it.
pub fn build(model: &[u8], inputs: &[u8]) -> Result<PathBuf, String> {
    let folder = target_dir().join("device-test/c");
    let package = folder.join("dist");
    dist::run_for(Some("thumbv7em-none-eabihf"), &package)?;
    let mut data = String::from("/* Made by cargo xtask firmware-test. */\n");
    // The start-up code does not know the model: as much as these models can need.
    data.push_str("#define WORKSPACE_CAPACITY (1 << 20)\n");
    for (name, bytes) in [("model_data", model), ("input_data", inputs)] {
        let _ = write!(data, "__attribute__((aligned(16))) static const unsigned char {name}[] = {{");
        bytes.iter().for_each(|byte| {
            let _ = write!(data, "{byte},");
        });
        data.push_str("};\n");
    }
    write(&folder.join("test_data.h"), data.as_bytes())?;
    let (source, program) = (root().join("firmware/c"), folder.join("predict.elf"));
    let mut compile = Command::new(COMPILER);
    compile.args(["-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16", "-Os"]);
    compile.args([
        "-std=c99",
        "-Wall",
        "-Wextra",
        "-Wpedantic",
        "-Werror",
        "-nostartfiles",
        "-Wl,--gc-sections",
    ]);
    compile.args(["--specs=nano.specs", "--specs=rdimon.specs"]);
    compile.arg("-I").arg(package.join("include")).arg("-I").arg(&folder);
    compile.arg("-T").arg(source.join("mps2.ld"));
    compile.arg(source.join("start.c")).arg(source.join("predict.c"));
    compile.arg(package.join("lib/libstf_bnn_c.a")).arg("-o").arg(&program);
    run(&mut compile)?;
    Ok(program)
}
