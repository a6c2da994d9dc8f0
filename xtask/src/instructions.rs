//! `cargo xtask instructions`: how many instructions each layer and a whole prediction take on a
//! Cortex-M4F and a Cortex-M55 in QEMU, and the memory of it. Counts are exact and repeat; they are no cycles.

use crate::cross::{output, root, run, target_dir};
use crate::elf;
use crate::firmware::{DEFAULT, M4, M55, build_program, qemu};
use crate::models::cases;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Networks with random weights: the count depends on their shapes.
const NETWORKS: [&str; 3] = ["ic_resnet8", "kws_dscnn", "lenet5"];

/// The command line of the task.
pub fn run_task(arguments: &[String]) -> Result<(), String> {
    let plugin = plugin()?;
    for (index, case) in cases(arguments, &NETWORKS)?.iter().enumerate() {
        let name = if arguments.is_empty() { NETWORKS[index] } else { "model" };
        for processor in [&M4, &M55] {
            let program = build_program(processor, [&case.model, &case.images], "layers", &DEFAULT, &[])?;
            let (regions, printed) = count(&plugin, processor.machines[0], &program)?;
            table(&format!("{name}, {}", processor.name), &regions, &printed)?;
            let least = build_program(processor, [&case.model, &case.images], "predict", &DEFAULT, &[])?;
            let (code, model) = sizes(&least, &case.model)?;
            println!("\nflash: code {code}, model {model} bytes\n");
        }
    }
    Ok(())
}

/// Bytes of a program's code and constants, and of the model in it.
pub fn sizes(program: &Path, model: &Path) -> Result<(u64, u64), String> {
    let read = |path: &Path| std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    let model = read(model)?.len() as u64;
    let sizes = elf::sizes(&read(program)?).ok_or_else(|| format!("{}: no ELF file", program.display()))?;
    Ok((u64::from(sizes.flash).saturating_sub(model), model))
}

/// Builds QEMU's plugin.
pub fn plugin() -> Result<PathBuf, String> {
    let (source, built) =
        (root().join("firmware/count/count.c"), target_dir().join("device-test/libcount.so"));
    let mut compile = Command::new("cc");
    compile.args(["-O2", "-shared", "-fPIC", "-o"]).arg(&built).arg(&source);
    std::fs::create_dir_all(target_dir().join("device-test")).map_err(|error| error.to_string())?;
    run(&mut compile)?;
    Ok(built)
}

/// Instructions of every region, and what the program printed.
pub fn count(plugin: &Path, machine: &str, program: &Path) -> Result<(Vec<u64>, String), String> {
    let file = target_dir().join("device-test/count.txt");
    let mut qemu = qemu(machine, program);
    qemu.args(["-serial", "none", "-icount", "shift=10", "-plugin"]);
    qemu.arg(format!("{},out={}", plugin.display(), file.display()));
    let printed = String::from_utf8_lossy(&output(&mut qemu)?).into_owned();
    let counted = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let regions = counted.lines().map(str::parse).collect::<Result<_, _>>();
    Ok((regions.map_err(|error| format!("{}: {error}", file.display()))?, printed))
}

fn table(name: &str, regions: &[u64], printed: &str) -> Result<(), String> {
    let lines: Vec<&str> = printed.lines().collect();
    let Some((prediction, layers)) = lines.split_last() else { return Err("found no output".into()) };
    // One region a layer, but the output layer's ends with the pass; then the prediction.
    if regions.len() != layers.len() + 1 {
        return Err(format!("found {} regions, expected {}", regions.len(), layers.len() + 1));
    }
    println!("{name}\n\n| layer | MAC | instructions | per MAC |\n|---|---|---|---|");
    let mut total = (0, 0);
    for (layer, &count) in layers.iter().zip(regions) {
        let (kind, macs) = layer.split_once(' ').ok_or_else(|| format!("found {layer}"))?;
        let macs: u64 = macs.parse().map_err(|_| format!("found {layer}"))?;
        println!("| {kind} | {macs} | {count} | {} |", per(count, macs));
        total = (total.0 + macs, total.1 + count);
    }
    println!("| mean pass | {} | {} | {} |", total.0, total.1, per(total.1, total.0));
    println!("| {prediction} | | {} | |", regions.last().unwrap_or(&0));
    Ok(())
}

fn per(count: u64, macs: u64) -> String {
    if macs == 0 { "–".into() } else { format!("{:.2}", count as f64 / macs as f64) }
}
