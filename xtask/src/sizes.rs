//! `cargo xtask sizes`: flash and memory of example networks on a Cortex-M4F, by what the program keeps of
//! the runtime, as the table of `docs/devices.md`; fails where ResNet-8 takes more than was promised.

use crate::cross::{output, root, target_dir, write};
use crate::elf;
use crate::firmware::{M4, Settings, build_program, qemu};
use crate::golden;
use crate::models::{Case, cases};
use std::path::Path;

/// Networks with random weights: sizes depend on their layers and shapes.
const NETWORKS: [&str; 3] = ["ic_resnet8", "kws_dscnn", "lenet5"];

/// A trained one, whose artifact has thresholds and a drift reference.
const TRAINED: &str = "resnet8-cifar10";

/// What a program keeps: operators, and whether it checks the model on the device.
const CONFIGURATIONS: [[&str; 2]; 3] = [["all", "checked"], ["model", "checked"], ["model", "embedded"]];

/// Bytes that ResNet-8 may take with its own operators and embedded: code with constants, and stack.
const LIMITS: [u64; 2] = [24 * 1024, 2 * 1024];

/// The command line of the task.
pub fn run(arguments: &[String]) -> Result<(), String> {
    println!("| network | operators | model | code and constants | artifact | workspace | stack |");
    println!("|---|---|---|---|---|---|---|");
    let trained = arguments.is_empty().then(trained).transpose()?;
    let cases = cases(arguments, &NETWORKS)?;
    let names = if arguments.is_empty() { &NETWORKS[..] } else { &["model"] };
    let mut all: Vec<(&str, &Case)> = names.iter().copied().zip(&cases).collect();
    all.extend(trained.as_ref().map(|case| (TRAINED, case)));
    for (name, case) in all {
        for configuration in CONFIGURATIONS {
            row(name, case, configuration)?;
        }
    }
    Ok(())
}

fn trained() -> Result<Case, String> {
    let from = root().join("tests/models").join(TRAINED);
    let model = target_dir().join("device-test/sizes/model.stf");
    golden::join(&from, &model)?;
    let [images, labels] = ["inputs.bin", "labels.bin"].map(|name| from.join(name));
    let limit = read(&labels)?.len();
    Ok(Case { model, images, labels, limit })
}

fn row(name: &str, case: &Case, [operators, load]: [&'static str; 2]) -> Result<(), String> {
    let settings = Settings { samples: "8", seed: "0", operators, load };
    // One input: what the first prediction takes is what every one does.
    let inputs = read(&case.images)?;
    let first = target_dir().join("device-test/sizes/input.bin");
    write(&first, inputs.get(..inputs.len() / case.limit.max(1)).unwrap_or_default())?;
    let files = [&*case.model, &*first];
    let program = read(&build_program(&M4, files, "predict", &settings, &[])?)?;
    let sizes = elf::sizes(&program).ok_or("predict: no ELF file")?;
    let artifact = read(&case.model)?.len() as u64;
    let code = u64::from(sizes.flash - sizes.vectors).saturating_sub(artifact);
    let program = build_program(&M4, files, "selftest", &settings, &[])?;
    let printed = output(qemu("mps2-an386", &program).args(["-serial", "none"]))?;
    let printed = String::from_utf8_lossy(&printed);
    let [workspace, stack] = ["workspace ", "stack "].map(|word| number(&printed, word));
    let (workspace, stack) = (workspace?, stack?);
    println!("| {name} | {operators} | {load} | {code} | {artifact} | {workspace} | {stack} |");
    let promised = name.contains("resnet8") && [operators, load] == CONFIGURATIONS[2];
    if promised && (code > LIMITS[0] || stack > LIMITS[1]) {
        return Err(format!("{name}: found {code} bytes of code and {stack} of stack, expected {LIMITS:?}"));
    }
    Ok(())
}

/// The number behind the last place of a word.
fn number(text: &str, word: &str) -> Result<u64, String> {
    let digits = text.rsplit_once(word).map(|(_, rest)| rest.split(|c: char| !c.is_ascii_digit()));
    let digits = digits.and_then(|mut digits| digits.next()).unwrap_or_default();
    digits.parse().map_err(|_| format!("found no {word}in:\n{text}"))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}
