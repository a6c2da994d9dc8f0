//! The fuzz targets on stable: every seed, every committed regression, and mutations of them that are the same
//! each time. Any of them may be refused; none may panic.

use stf_fuzz::{Dice, TARGETS, Target, seeds};

/// Mutations of each seed; `STF_FUZZ_ROUNDS` says more.
fn rounds() -> usize {
    std::env::var("STF_FUZZ_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(200)
}

/// Changes on top of each other before the seed is taken again.
const DEPTH: usize = 6;

fn mutated(target: &Target, seed: &[u8], rounds: usize) -> usize {
    let mut dice = Dice(crc(seed));
    let mut bytes = seed.to_vec();
    for round in 0..rounds {
        if round % DEPTH == 0 {
            bytes = seed.to_vec();
        }
        match target.mutate.filter(|_| dice.below(4) > 0) {
            Some(mutate) => mutate(&mut bytes, &mut dice),
            None => dice.damage(&mut bytes),
        }
        if let Some(repair) = target.repair {
            repair(&mut bytes);
        }
        (target.run)(&bytes);
    }
    rounds
}

fn crc(bytes: &[u8]) -> u64 {
    stf_fuzz::checksum::CRC.checksum(bytes).into()
}

#[test]
fn no_seed_and_no_mutation_of_one_panics() {
    for target in TARGETS {
        let seeds = seeds::of(target.name).expect("seeds of the repository");
        assert!(!seeds.is_empty(), "{}: found no seed", target.name);
        let mut executions = 0;
        for (name, seed) in &seeds {
            println!("{} {name}", target.name);
            (target.run)(seed);
            executions += 1 + mutated(target, seed, rounds());
        }
        println!("{}: {executions} executions", target.name);
    }
}

/// The artifact's mutations are no random noise: a good share of them still loads.
#[test]
fn mutated_artifacts_get_past_the_door() {
    let (mut loaded, mut all) = (0, 0);
    for (_, seed) in seeds::of("artifact").expect("seeds of the repository") {
        let mut dice = Dice(crc(&seed));
        for _ in 0..50 {
            let mut bytes = seed.clone();
            stf_fuzz::artifact::mutate(&mut bytes, &mut dice);
            stf_fuzz::artifact::repair(&mut bytes);
            all += 1;
            loaded += usize::from(stf_bnn::Model::from_bytes(&stf_bnn::AlignedBytes::new(&bytes)).is_ok());
        }
    }
    assert!(loaded * 10 > all, "{loaded} of {all}");
}
