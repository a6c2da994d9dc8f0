//! `cargo xtask firmware-test`: Cortex-M firmware in QEMU gives the host's bits, alone and over its
//! serial line.

use crate::audio;
use crate::c_firmware;
use crate::cross::{cargo, output, root, run as run_command, target_dir, write};
use crate::elf;
use crate::instructions::sizes;
use crate::models::{Case, cases, same, stf_run};
use crate::{golden, real};
use std::io::{BufRead, BufReader};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Settings of the embedded program: samples (0: the mean), seed, and what it keeps of the runtime.
pub struct Settings {
    /// `STF_SAMPLES`
    pub samples: &'static str,
    /// `STF_SEED`
    pub seed: &'static str,
    /// `STF_OPERATORS`: `model` or `all`.
    pub operators: &'static str,
    /// `STF_LOAD`: `embedded` or `checked`.
    pub load: &'static str,
}

pub const DEFAULT: Settings = Settings { samples: "8", seed: "0", operators: "model", load: "embedded" };

/// A processor: target, board whose memory map it gets, QEMU machines that run it.
pub struct Processor {
    /// For messages.
    pub name: &'static str,
    /// Rust's name of it.
    pub target: &'static str,
    /// Memory map.
    pub board: &'static str,
    /// The CPU to compile for, if it is more than its target says.
    pub cpu: Option<&'static str>,
    /// Kernels of its own: features of the firmware.
    pub features: &'static [&'static str],
    /// QEMU machines.
    pub machines: &'static [&'static str],
}

/// The one that everything runs on.
pub const M4: Processor = Processor {
    name: "Cortex-M4F",
    target: "thumbv7em-none-eabihf",
    board: "mps2-an386",
    cpu: None,
    features: &["dsp"],
    // The M7 board has the same map.
    machines: &["mps2-an386", "mps2-an500"],
};

/// The one with vectors.
pub const M55: Processor = Processor {
    name: "Cortex-M55",
    target: "thumbv8m.main-none-eabihf",
    board: "mps3-an547",
    cpu: Some("cortex-m55"),
    features: &["mve"],
    machines: &["mps3-an547"],
};

/// QEMU has no Cortex-M0+ of this size: its code runs on an M3.
pub const OTHERS: [Processor; 4] = [
    M55,
    Processor {
        name: "Cortex-M3, soft float",
        target: "thumbv7m-none-eabi",
        board: "mps2-an385",
        cpu: None,
        features: &[],
        machines: &["mps2-an385"],
    },
    Processor {
        name: "Cortex-M0+, soft float",
        target: "thumbv6m-none-eabi",
        board: "mps2-an385",
        cpu: None,
        features: &[],
        machines: &["mps2-an385"],
    },
    Processor {
        name: "Cortex-M33",
        target: "thumbv8m.main-none-eabihf",
        board: "mps2-an505",
        cpu: Some("cortex-m33"),
        features: &["dsp"],
        machines: &["mps2-an505"],
    },
];

/// The command line of the task.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let cases = cases(arguments, &["conv", "dense-outputs"])?;
    let host = stf_run(None, &[])?;
    for (index, case) in cases.iter().enumerate() {
        selftest(&M4, case, &host)?;
        if index == 0 {
            over_the_line(case, &host)?;
            c_program(case, &host)?;
        }
    }
    let first = cases.first().ok_or("no model")?;
    // The M55's board has memory for a sixth at a time.
    for (processor, kernels, part) in [(&M4, "cortex-m-dsp", SEEDS), (&M55, "cortex-m-mve", SEEDS / 6)] {
        for start in (0..SEEDS).step_by(part) {
            table(processor, kernels, start..start + part, first)?;
        }
    }
    // Links only if nothing that predicts can panic, nor anything that loads and checks.
    for (operators, load) in [("model", "embedded"), ("all", "checked")] {
        let least = build(&M4, first, "predict", &Settings { operators, load, ..DEFAULT })?;
        let (code, _) = sizes(&least, &first.model)?;
        println!("Cortex-M4F: no reachable panic; operators: {operators}, {load}: code {code} bytes");
    }
    // The device's own check, and every operator.
    selftest_with(&M4, first, &host, &Settings { operators: "all", load: "checked", ..DEFAULT })?;
    OTHERS.iter().try_for_each(|processor| selftest(processor, first, &host))?;
    if arguments.is_empty() {
        goldens(first)?;
        audio::compare(&host)?;
        real::run(&host)?;
    }
    Ok(())
}

/// All golden models on every processor.
fn goldens(case: &Case) -> Result<(), String> {
    let goldens = golden::prepare()?;
    let mut expected = Vec::new();
    let mut names: Vec<&golden::Golden> = goldens.iter().collect();
    // In the order in which `build.rs` finds them.
    names.sort_by(|a, b| a.name.cmp(&b.name));
    for golden in names {
        expected.extend(format!("model {}\n", golden.name).into_bytes());
        expected.extend(&golden.expected);
    }
    let settings = Settings { seed: "3", ..DEFAULT };
    for processor in std::iter::once(&M4).chain(&OTHERS) {
        let program = build(processor, case, "golden", &settings)?;
        for machine in processor.machines {
            let printed = output(qemu(machine, &program).args(["-serial", "none"]))?;
            same(&format!("{} on {machine}: golden models", processor.name), &printed, &expected)?;
        }
    }
    Ok(())
}

/// Builds one program with a model in it.
pub fn build(
    processor: &Processor,
    case: &Case,
    program: &str,
    settings: &Settings,
) -> Result<PathBuf, String> {
    build_more(processor, case, program, settings, &[])
}

/// As [`build`], with more arguments for cargo.
pub fn build_more(
    processor: &Processor,
    case: &Case,
    program: &str,
    settings: &Settings,
    more: &[&str],
) -> Result<PathBuf, String> {
    let inputs = target_dir().join("device-test/inputs.bin");
    write(&inputs, &embedded_inputs(case)?)?;
    build_program(processor, [&case.model, &inputs], program, settings, more)
}

/// Builds one program with a model and inputs in it.
pub fn build_program(
    processor: &Processor,
    [model, inputs]: [&Path; 2],
    program: &str,
    settings: &Settings,
    more: &[&str],
) -> Result<PathBuf, String> {
    let target_dir = target_dir().join("firmware");
    let mut build = cargo(Some(processor.target))?;
    build.current_dir(root().join("firmware")).env("STF_MODEL", model).env("STF_INPUTS", inputs);
    build
        .env("STF_BOARD", processor.board)
        .env("STF_SAMPLES", settings.samples)
        .env("STF_SEED", settings.seed)
        .env("STF_OPERATORS", settings.operators)
        .env("STF_LOAD", settings.load);
    build.env("STF_GOLDEN", if program == "golden" { golden::folder() } else { PathBuf::new() });
    // Without the DSP kernels the compiler makes the inner loops, and beside the vector kernels what becomes of
    // accumulators: worth their size.
    let profile = if processor.features == ["dsp"] { "release" } else { "fast" };
    build.args(["build", "--quiet", "--profile", profile, "--locked", "--bin", program]).args(more);
    if !processor.features.is_empty() {
        build.args(["--features", &processor.features.join(",")]);
    }
    if let Some(cpu) = processor.cpu {
        // The flags of firmware/.cargo/config.toml and one more: the variable replaces them.
        build.env("RUSTFLAGS", format!("-C link-arg=-Tlink.x -C link-arg=--nmagic -C target-cpu={cpu}"));
    }
    run_command(build.args(["--target", processor.target, "--target-dir"]).arg(&target_dir))?;
    Ok(target_dir.join(processor.target).join(profile).join(program))
}

/// The first inputs, as many as are predicted: raw, whatever the format of the file.
fn embedded_inputs(case: &Case) -> Result<Vec<u8>, String> {
    let bytes = std::fs::read(&case.images).map_err(|error| format!("{}: {error}", case.images.display()))?;
    // An IDX file of images: magic, number, sizes.
    if let Some((head, rest)) = bytes.split_first_chunk::<8>()
        && head.starts_with(&[0, 0, 8])
    {
        let count = u32::from_be_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let pixels = rest.get(4 * (usize::from(head[3]) - 1)..).unwrap_or_default();
        let size = pixels.len() / count.max(1);
        return Ok(pixels[..size * case.limit.min(count)].to_vec());
    }
    Ok(bytes)
}

/// The emulator with a program.
pub fn qemu(machine: &str, program: &Path) -> Command {
    let mut qemu = Command::new("qemu-system-arm");
    qemu.args(["-machine", machine, "-display", "none", "-monitor", "none"]);
    qemu.args(["-semihosting-config", "enable=on,target=native", "-kernel"]).arg(program);
    qemu
}

/// Predicts the embedded inputs on the device.
fn selftest(processor: &Processor, case: &Case, host: &Path) -> Result<(), String> {
    selftest_with(processor, case, host, &DEFAULT)
}

fn selftest_with(processor: &Processor, case: &Case, host: &Path, settings: &Settings) -> Result<(), String> {
    let program = build(processor, case, "selftest", settings)?;
    let expected = case.bits(&[host])?;
    for machine in processor.machines {
        let mut qemu = qemu(machine, &program);
        let printed = output(qemu.args(["-serial", "none", "-icount", "shift=10"]))?;
        let printed = String::from_utf8_lossy(&printed);
        let Some((lines, memory)) = printed.trim_end().rsplit_once("memory: ") else {
            return Err(format!("{machine}: found no memory figures:\n{printed}"));
        };
        same(&format!("{} on {machine}", processor.name), lines.as_bytes(), &expected)?;
        report(processor, case, &program, memory)?;
    }
    Ok(())
}

/// Models of each kind in [`table`].
const SEEDS: usize = 24;

/// Models around the widths of the kernels' loops, one kind of layer each, against the specification.
fn table(processor: &Processor, kernels: &str, seeds: Range<usize>, case: &Case) -> Result<(), String> {
    let path = target_dir().join("device-test/table.bin");
    let mut make = cargo(None)?;
    make.args(["run", "--quiet", "--package", "stf-bnn", "--example", "kernel_table", "--"]);
    let expected = output(make.arg(&path).args([seeds.start.to_string(), seeds.end.to_string()]))?;
    let program = build_program(processor, [&case.model, &path], "table", &DEFAULT, &[])?;
    let mut wanted = format!("{kernels}\n").into_bytes();
    wanted.extend(expected);
    for machine in processor.machines {
        let printed = output(qemu(machine, &program).args(["-serial", "none"]))?;
        same(&format!("kernels on {machine}"), &printed, &wanted)?;
    }
    Ok(())
}

/// The C example, where its compiler is installed.
fn c_program(case: &Case, host: &Path) -> Result<(), String> {
    if !c_firmware::available() {
        eprintln!(
            "xtask: no arm-none-eabi-gcc here: the C example is not tested (C_FIRMWARE=1 firmware/setup.sh)"
        );
        return Ok(());
    }
    let model = std::fs::read(&case.model).map_err(|error| format!("{}: {error}", case.model.display()))?;
    let program = c_firmware::build(&model, &embedded_inputs(case)?)?;
    let printed = output(qemu("mps2-an386", &program).args(["-serial", "none"]))?;
    same("C example on mps2-an386", &printed, &case.bits(&[host])?)
}

fn report(processor: &Processor, case: &Case, program: &Path, memory: &str) -> Result<(), String> {
    let file = std::fs::read(program).map_err(|error| format!("{}: {error}", program.display()))?;
    let sizes = elf::sizes(&file).ok_or_else(|| format!("{}: no ELF file", program.display()))?;
    let length = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    let (model, inputs) = (length(&case.model), embedded_inputs(case)?.len() as u64);
    let code = u64::from(sizes.flash).saturating_sub(model + inputs);
    println!(
        "{}: flash {} bytes (code {code}, model {model}, test inputs {inputs}), variables {} bytes, {memory} bytes",
        processor.name, sizes.flash, sizes.ram
    );
    Ok(())
}

/// A running emulator, ended when dropped.
struct Emulator(Child);

impl Drop for Emulator {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Predicts and evaluates through the device protocol over QEMU's serial line, a Unix socket.
fn over_the_line(case: &Case, host: &Path) -> Result<(), String> {
    let program = build(&M4, case, "device", &DEFAULT)?;
    with_device(&program, |socket| {
        talk(case, host, socket)?;
        bad_line(case, host, socket)
    })
}

/// Runs a `device` program, and a task with its serial line.
pub fn with_device(program: &Path, task: impl FnOnce(&Path) -> Result<(), String>) -> Result<(), String> {
    let socket = std::env::temp_dir().join(format!("stf-device-{}", std::process::id()));
    let _ = std::fs::remove_file(&socket);
    let mut qemu = qemu("mps2-an386", program);
    qemu.arg("-serial").arg(format!("unix:{},server=on,wait=off", socket.display()));
    let child = qemu.stdin(Stdio::null()).spawn().map_err(|error| format!("qemu-system-arm: {error}"))?;
    let emulator = Emulator(child);
    let result = await_file(&socket).and_then(|()| task(&socket));
    drop(emulator);
    let _ = std::fs::remove_file(&socket);
    result
}

fn await_file(path: &Path) -> Result<(), String> {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !path.exists() {
        if Instant::now() > deadline {
            return Err(format!("{}: QEMU did not make it", path.display()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn talk(case: &Case, host: &Path, socket: &Path) -> Result<(), String> {
    let ask = |command: &str, more: &[&str]| {
        let mut ask = Command::new(host);
        ask.args(["device", command, "--port", &format!("unix:{}", socket.display())]);
        ask.arg("--images").arg(&case.images).arg("--labels").arg(&case.labels);
        output(ask.args(["--limit", &case.limit.to_string()]).args(more))
    };
    println!("{}", String::from_utf8_lossy(&ask("hello", &[])?).trim_end());
    same("device predict over the line", &ask("predict", &[])?, &case.bits(&[host])?)?;
    // Twice: a second session starts from nothing.
    for _ in 0..2 {
        same("device eval over the line", &ask("eval", &["--json"])?, &case.figures(&[host])?)?;
    }
    Ok(())
}

/// Over a pseudo-terminal with a bad line behind it: the same figures, and some requests sent again.
fn bad_line(case: &Case, host: &Path, socket: &Path) -> Result<(), String> {
    let mut build = cargo(None)?;
    build.args(["build", "--quiet", "--package", "stf-device-protocol", "--example", "bad_line"]);
    run_command(&mut build)?;
    let mut carry = Command::new(target_dir().join("debug/examples/bad_line"));
    carry.arg(socket).args(["500", "1"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut carrier = Emulator(carry.spawn().map_err(|error| format!("bad_line: {error}"))?);
    let mut port = String::new();
    let printed = carrier.0.stdout.take().ok_or("bad_line: no standard output")?;
    BufReader::new(printed).read_line(&mut port).map_err(|error| format!("bad_line: {error}"))?;
    let mut ask = Command::new(host);
    ask.args(["device", "eval", "--json", "--timeout", "500", "--attempts", "100", "--port", port.trim()]);
    ask.arg("--images").arg(&case.images).arg("--labels").arg(&case.labels);
    let found = output(ask.args(["--limit", &case.limit.to_string()]))?;
    same("device eval over a bad line at a pseudo-terminal", &found, &case.figures(&[host])?)
}
