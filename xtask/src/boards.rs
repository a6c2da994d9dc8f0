//! `cargo xtask boards`: the `device` program, with logs, links for every real board of `firmware/boards/`
//! within its memory; and a board that QEMU knows runs.

use crate::cross::{output, root, target_dir};
use crate::elf;
use crate::firmware::{DEFAULT, Processor, Settings, build, build_more, qemu};
use crate::golden;
use crate::models::{Case, same, stf_run};

/// Boards with their targets; the names are those of the memory maps.
const BOARDS: [(&str, &str); 5] = [
    ("stm32f407", "thumbv7em-none-eabihf"),
    ("stm32l476", "thumbv7em-none-eabihf"),
    ("stm32h743", "thumbv7em-none-eabihf"),
    ("nrf52840", "thumbv7em-none-eabihf"),
    ("rp2040", "thumbv6m-none-eabi"),
];

/// Memory left for the stack, at least, bytes: above what `firmware-test` measures.
const STACK: u64 = 12 * 1024;

/// QEMU's `netduinoplus2` is an STM32F405: the memory map of the STM32F407.
const IN_QEMU: Processor = Processor {
    name: "STM32F405",
    target: "thumbv7em-none-eabihf",
    board: "stm32f407",
    cpu: None,
    features: &["dsp"],
    machines: &["netduinoplus2"],
};

/// Boards are flashed with a model that the host checked.
const SETTINGS: Settings = DEFAULT;

/// The command line of the task.
pub fn run(arguments: &[String]) -> Result<(), String> {
    if let Some(word) = arguments.first() {
        return Err(format!("found {word}, expected nothing"));
    }
    every_map_has_a_row()?;
    let case = lenet()?;
    for (board, target) in BOARDS {
        let features: &[&str] = if target.contains("v7em") { &["dsp"] } else { &[] };
        let processor = Processor { name: board, target, board, cpu: None, features, machines: &[] };
        let program = build_more(&processor, &case, "device", &SETTINGS, &["--features", "log"])?;
        let file = std::fs::read(&program).map_err(|error| format!("{}: {error}", program.display()))?;
        let sizes = elf::sizes(&file).ok_or_else(|| format!("{}: no ELF file", program.display()))?;
        let [flash, ram] = memory(board)?;
        println!(
            "{board}: LeNet-5, 8 samples, logs: flash {} of {flash} bytes, RAM {} of {ram} bytes",
            sizes.flash, sizes.ram
        );
        if u64::from(sizes.flash) > flash || u64::from(sizes.ram) + STACK > ram {
            return Err(format!("{board}: {sizes:?} does not fit"));
        }
    }
    let program = build(&IN_QEMU, &case, "selftest", &SETTINGS)?;
    let host = stf_run(None, &[])?;
    for machine in IN_QEMU.machines {
        let printed = output(qemu(machine, &program).args(["-serial", "none"]))?;
        let printed = String::from_utf8_lossy(&printed);
        let lines = printed.rsplit_once("memory: ").map_or(&*printed, |(lines, _)| lines);
        same(&format!("{} in {machine}", IN_QEMU.name), lines.as_bytes(), &case.bits(&[&host])?)?;
    }
    Ok(())
}

/// LeNet-5 on MNIST, and two images.
fn lenet() -> Result<Case, String> {
    let from = root().join("tests/models/lenet5-mnist");
    let model = target_dir().join("device-test/boards/model.stf");
    golden::join(&from, &model)?;
    let read = |name: &str| {
        let path = from.join(name);
        std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let images = model.with_file_name("images.bin");
    let inputs = read("inputs.bin")?;
    crate::cross::write(&images, inputs.get(..2 * 784).unwrap_or_default())?;
    let labels = model.with_file_name("labels.bin");
    crate::cross::write(&labels, read("labels.bin")?.get(..2).unwrap_or_default())?;
    Ok(Case { model, images, labels, limit: 2 })
}

/// No memory map may lie there unbuilt.
fn every_map_has_a_row() -> Result<(), String> {
    let folder = root().join("firmware/boards");
    let entries = std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for entry in entries.flatten() {
        let path = entry.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let map = path.extension().is_some_and(|extension| extension == "x");
        // Arm's boards of QEMU are `firmware-test`'s.
        let emulated = name.starts_with("mps2-") || name.starts_with("mps3-");
        if map && !emulated && !BOARDS.iter().any(|(board, _)| *board == name) {
            return Err(format!("{}: no row in xtask/src/boards.rs", path.display()));
        }
    }
    Ok(())
}

/// Bytes of flash and RAM of a memory map.
fn memory(board: &str) -> Result<[u64; 2], String> {
    let path = root().join("firmware/boards").join(format!("{board}.x"));
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let [flash, ram] = ["FLASH", "RAM"].map(|region| length(&text, region));
    match (flash, ram) {
        (Some(flash), Some(ram)) => Ok([flash, ram]),
        _ => Err(format!("{}: found no lengths of FLASH and RAM", path.display())),
    }
}

/// The first number of `REGION : ... LENGTH = 128K ...`, in bytes.
fn length(text: &str, region: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.trim_start().starts_with(&format!("{region} :")))?;
    let word = line.split("LENGTH =").nth(1)?.split_whitespace().next()?;
    let (number, unit) = match word.strip_suffix('K') {
        Some(number) => (number, 1 << 10),
        None => (word.strip_suffix('M')?, 1 << 20),
    };
    number.parse::<u64>().ok().map(|number| number * unit)
}
