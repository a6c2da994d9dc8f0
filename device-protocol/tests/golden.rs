//! The golden vectors, by every set of kernels that this machine can run: sampling, logits, softmax,
//! entropies, bit for bit.

mod golden_files;

use golden_files::{CONFIG, folders, join, split, vectors};
use std::fs;
use stf_bnn::Config;
use stf_bnn::kernels::Kernels;

#[test]
fn every_set_of_kernels_gives_the_golden_vectors() {
    let folders = folders().unwrap();
    assert!(folders.len() >= 8, "{folders:?}");
    for folder in folders {
        let (artifact, inputs) = (join(&folder).unwrap(), fs::read(folder.join("inputs.bin")).unwrap());
        let text = fs::read_to_string(folder.join("vectors.txt")).unwrap();
        let expected: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let count = expected.iter().filter(|line| !line.contains("draw")).count();
        assert!(count > 0, "{}: no vectors", folder.display());
        for &name in Kernels::NAMES {
            let Some(kernels) = Kernels::by_name(name) else { continue };
            for (tile, cache_mean) in [(1, true), (8, true), (3, false)] {
                let config = Config { tile, cache_mean, kernels: Some(kernels), ..CONFIG };
                let found = vectors(&artifact, &inputs, count, config).unwrap();
                let found: Vec<&str> = found.lines().collect();
                assert!(
                    found == expected,
                    "{}, kernels {name}, tile {tile}: {:?}",
                    folder.display(),
                    found.iter().zip(&expected).find(|(found, expected)| found != expected)
                );
            }
        }
    }
}

#[test]
fn a_model_taken_apart_is_put_together_again() {
    let folder = tempfile::tempdir().unwrap();
    for golden in folders().unwrap() {
        let artifact = join(&golden).unwrap();
        split(&artifact, folder.path()).unwrap();
        let same = |name| fs::read(folder.path().join(name)).unwrap() == fs::read(golden.join(name)).unwrap();
        assert!(same("model.bin"), "{}", golden.display());
    }
}
