//! libFuzzer's entry: the environment variable `STF_FUZZ_TARGET` names the target. With `STF_FUZZ_SEEDS` it
//! writes the target's seeds into that folder instead.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use std::sync::OnceLock;
use stf_fuzz::{Dice, TARGETS, Target, seeds, target};

fn chosen() -> &'static Target {
    static CHOSEN: OnceLock<&'static Target> = OnceLock::new();
    CHOSEN.get_or_init(|| {
        let name = std::env::var("STF_FUZZ_TARGET").unwrap_or_default();
        target(&name).unwrap_or_else(|| {
            let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            eprintln!("STF_FUZZ_TARGET: found {name:?}, expected one of {}", names.join(", "));
            std::process::exit(2);
        })
    })
}

fn write_seeds(folder: &str) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for (name, bytes) in seeds::of(chosen().name)? {
        std::fs::write(std::path::Path::new(folder).join(name), bytes)?;
    }
    Ok(())
}

fuzz_target!(
    init: {
        if let Ok(folder) = std::env::var("STF_FUZZ_SEEDS") {
            let written = write_seeds(&folder).inspect_err(|error| eprintln!("{folder}: {error}"));
            std::process::exit(written.is_err().into());
        }
    },
    |bytes: &[u8]| (chosen().run)(bytes)
);

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let target = chosen();
    let mut dice = Dice(seed.into());
    let knowing = target.mutate.filter(|_| dice.below(4) > 0);
    let mut bytes = match knowing {
        Some(mutate) => {
            let mut bytes = data[..size].to_vec();
            mutate(&mut bytes, &mut dice);
            bytes
        }
        None => {
            let size = fuzzer_mutate(data, size, max_size);
            data[..size].to_vec()
        }
    };
    // Now and then a broken checksum.
    if let Some(repair) = target.repair.filter(|_| dice.below(64) > 0) {
        repair(&mut bytes);
    }
    bytes.truncate(max_size);
    data[..bytes.len()].copy_from_slice(&bytes);
    bytes.len()
});
