//! The data sets themselves, where `$STF_TEST_DATA` has them: `mnist/`, `fashion-mnist/`, `cifar10/`.

use std::path::PathBuf;
use stf_host::data::{Loaded, Preprocessing, describe, load, splits};

/// The folder, or a loud word that the test did not run.
fn test_data(test: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("STF_TEST_DATA").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("SKIPPED: {test} needs $STF_TEST_DATA (a folder with mnist/, fashion-mnist/, cifar10/)");
    }
    folder
}

#[test]
fn mnist_and_fashion_mnist_have_their_published_moments() {
    let Some(dir) = test_data("mnist_and_fashion_mnist_have_their_published_moments") else { return };
    // Mean and standard deviation of the training pixels over 255, as in every tutorial.
    for (name, mean, std) in [("mnist", 0.1307, 0.3081), ("fashion-mnist", 0.2860, 0.3530)] {
        let Loaded::Official { train, test } = load(name, Some(&dir)).unwrap() else { panic!("two parts") };
        assert_eq!((train.len(), test.len()), (60_000, 10_000));
        let found = describe(&train).unwrap();
        assert!((found.mean[0] / 255.0 - mean).abs() < 5e-5, "{name}: {:?}", found.mean);
        assert!((found.std[0] / 255.0 - std).abs() < 5e-5, "{name}: {:?}", found.std);
        assert_eq!((found.min, found.max), (0.0, 255.0));
        let parts = splits(Loaded::Official { train, test }, 1).unwrap();
        let sizes = [&parts.train, &parts.validation, &parts.calibration, &parts.test].map(|part| part.len());
        assert_eq!(sizes, [54_000, 1000, 5000, 10_000]);
        let counts: Vec<usize> =
            describe(&parts.calibration).unwrap().classes.iter().map(|class| class.n).collect();
        let share = describe(&parts.train).unwrap();
        for (count, class) in counts.iter().zip(&share.classes) {
            assert!((*count as f64 - class.n as f64 / 10.8).abs() < 3.0, "{name}: {}", class.name);
        }
    }
}

#[test]
fn cifar10_has_its_classes_and_moments() {
    let Some(dir) = test_data("cifar10_has_its_classes_and_moments") else { return };
    let Loaded::Official { train, test } = load("cifar10", Some(&dir)).unwrap() else { panic!("two parts") };
    assert!(train.len() >= 39_000 && test.len() >= 1000);
    // First labels of the official test set: cat, ship, ship, airplane, frog.
    assert_eq!(test.labels[..5], [3, 8, 8, 0, 6]);
    let fitted = Preprocessing::fit(&train).unwrap();
    // Published over all 50,000: 125.3, 123.0, 113.9 and 63.0, 62.1, 66.7.
    for (found, published) in
        fitted.mean.iter().chain(&fitted.std).zip([125.3, 123.0, 113.9, 63.0, 62.1, 66.7])
    {
        assert!((found - published).abs() < 1.0, "{fitted:?}");
    }
}
