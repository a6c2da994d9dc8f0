use super::*;
use crate::train::methods::{Logits, Weights, logits};
use crate::train::validate;

pub(crate) fn settings() -> Settings {
    Settings {
        data: "digits".into(),
        architecture: "lenet5".into(),
        epochs: 4,
        bayes_epochs: 2,
        num_samples: 4,
        members: 2,
        dropout_rate: 0.1,
        step_samples: 2,
        temperatures: vec![0.5, 1.0],
        full_temperatures: vec![0.1],
        full_prior_sigma: 0.1,
        ood: vec!["digits".into()],
        corruption_examples: 10,
        train_examples: 400,
        test_examples: 60,
        device: crate::train::Device::Cpu,
    }
}

/// The float figures of stage 2 are those of its own validation: the same draws, the same accumulator.
#[test]
fn figures_are_those_of_the_trainers_own_validation() {
    let seeded = Seeded::load(&settings(), None, 0).unwrap();
    let settings = settings();
    let training = Training { settings: &settings, seeded: &seeded, stage1: None };
    let net = training.run(Method::Stf, 1.0, None).unwrap().net;
    let (test, pre) = (&seeded.splits.test, &seeded.preprocessing);
    let Weights::MeanField { params, posteriors } = &net.weights else { panic!("a posterior") };
    let wanted = validate(&seeded.graph, params, posteriors.first(), test, pre, 6, 3).unwrap();
    let drawn = logits(&net, test, pre, 6, 3).unwrap();
    let trials = Trials { ood: Vec::new(), corrupted: Vec::new() };
    let found = Figures::new((test, &outcomes_of(&drawn, 1.0)), &trials, &[], &[]).unwrap();
    let close = |a: f64, b: f64| (a - b).abs() < 1e-5;
    assert!(close(found.accuracy, wanted.accuracy) && close(found.nll, wanted.nll), "{found:?} {wanted:?}");
    assert!(close(found.ece, wanted.ece) && close(found.brier, wanted.brier));
}

/// By hand: two draws that are sure of different classes know nothing together.
#[test]
fn uncertainties_of_draws_are_told_apart() {
    let logits = Logits { values: vec![50.0, 0.0, 0.0, 50.0], draws: 2, classes: 2 };
    let outcome = &outcomes_of(&logits, 1.0)[0];
    let c = outcome.classification.unwrap();
    assert!((c.predictive_entropy - 2f32.ln()).abs() < 1e-6 && c.expected_entropy < 1e-6);
    assert!((c.mutual_information - 2f32.ln()).abs() < 1e-6 && (outcome.spread[0] - 0.5).abs() < 1e-6);
    let cold = &outcomes_of(&Logits { values: vec![1.0, 0.0], draws: 1, classes: 2 }, 0.01)[0];
    assert!(cold.classification.unwrap().confidence > 0.999 && cold.samples == 1);
}

#[test]
fn another_comparison_is_refused_and_names_what_differs() {
    let dir = tempfile::tempdir().unwrap();
    drop(Comparison::open(dir.path(), settings()).unwrap());
    drop(Comparison::open(dir.path(), settings()).unwrap());
    let other = Settings { epochs: 5, ..settings() };
    let error = Comparison::open(dir.path(), other).unwrap_err().to_string();
    assert!(error.contains("epochs 4 (now 5)"), "{error}");
    assert!(Comparison::existing(&dir.path().join("none")).is_err());
    let error = Comparison::existing(dir.path()).unwrap().net(Method::Stf, 3).unwrap_err().to_string();
    assert!(error.contains("stf compare --methods stf"), "{error}");
}

/// What is trained on a GPU has the same figures there and on the CPU, and is attacked with the same gradients.
#[cfg(feature = "gpu")]
#[test]
fn methods_on_a_gpu_are_the_cpus() {
    use crate::attack::{Loss, Target, raw_values};
    use crate::train::{Device, require_device};

    if std::env::var_os("STF_GPU_TEST").is_none() && require_device(Device::Vulkan).is_err() {
        println!("skipped: no Vulkan device");
        return;
    }
    let device = Device::Vulkan;
    let architecture = "mlp-small".to_string();
    let settings =
        Settings { architecture, epochs: 1, bayes_epochs: 1, train_examples: 128, device, ..settings() };
    let seeded = Seeded::load(&settings, None, 0).unwrap();
    let training = Training { settings: &settings, seeded: &seeded, stage1: None };
    let (test, pre) = (&seeded.splits.test, &seeded.preprocessing);
    let raw = raw_values(test, &[0, 1, 2, 3]).unwrap();
    for method in Method::ALL.into_iter().filter(|&method| method != Method::Plain) {
        let on_gpu = training.run(method, 0.1, None).unwrap().net;
        let on_cpu = Net { device: Device::Cpu, ..on_gpu.clone() };
        assert_eq!(on_gpu.device, device, "{method}");
        let [gpu, cpu] = [&on_gpu, &on_cpu].map(|net| logits(net, test, pre, 3, 5).unwrap().values);
        let scale = cpu.iter().fold(0.0f32, |most, x| most.max(x.abs()));
        let apart = cpu.iter().zip(&gpu).fold(0.0f32, |most, (a, b)| most.max((a - b).abs())) / scale;
        let [there, here] = [&on_gpu, &on_cpu].map(|net| {
            let mut target = Target::new(net, pre, 3, 4).unwrap();
            target.climb(&raw, &test.labels[..4], Loss::CrossEntropy, 5, 0, true).unwrap()
        });
        let scale = here.gradient.iter().fold(0.0f32, |most, x| most.max(x.abs()));
        let pairs = here.gradient.iter().zip(&there.gradient);
        let slopes = pairs.fold(0.0f32, |most, (a, b)| most.max((a - b).abs())) / scale;
        println!("{method}: logits apart by {apart:.1e}, gradients by {slopes:.1e}");
        assert!(apart < 1e-4 && slopes < 1e-3, "{method}: {apart} {slopes}");
    }
}

/// A training that is broken off after each of its epochs goes on from there, and comes to the same network; what
/// earlier processes took counts.
#[test]
fn a_unit_goes_on_after_its_last_epoch() {
    use super::keep::{Keeper, clear};
    use crate::run::Checkpoint;

    let settings = Settings {
        architecture: "mlp-small".into(),
        epochs: 2,
        train_examples: 128,
        temperatures: vec![1.0],
        ..settings()
    };
    let seeded = Seeded::load(&settings, None, 0).unwrap();
    let plain = Training { settings: &settings, seeded: &seeded, stage1: None };
    let stage1 = plain.run(Method::Plain, 1.0, None).unwrap().net;
    let training = Training { stage1: Some(stage1.center()), ..plain };
    for method in Method::ALL {
        let dir = tempfile::tempdir().unwrap();
        let whole = training.run(method, 1.0, None).unwrap();
        let first = training.run(method, 1.0, Some(dir.path())).unwrap();
        assert_eq!(first.net, whole.net, "{method}");
        let kept = std::fs::read_dir(dir.path()).unwrap().count();
        let networks = match method {
            Method::Laplace => 0,
            Method::Ensemble => settings.members - 1,
            _ => 1,
        };
        assert_eq!(kept, networks, "{method}");
        if let Some(last) = kept.checked_sub(1) {
            let file = dir.path().join(format!("checkpoint-{last}"));
            let mut checkpoint = Checkpoint::load(&file).unwrap();
            checkpoint.meta["usage"]["seconds"] = 1000.0.into();
            checkpoint.save(&file).unwrap();
        }
        let again = training.run(method, 1.0, Some(dir.path())).unwrap();
        assert_eq!(again.net, whole.net, "{method}");
        assert_eq!(again.usage.seconds > 1000.0, kept > 0, "{method}");
        clear(dir.path()).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
    let dir = tempfile::tempdir().unwrap();
    training.run(Method::Plain, 1.0, Some(dir.path())).unwrap();
    let mut keeper = Keeper::new("stf seed 0".into(), serde_json::Value::Null, Some(dir.path())).unwrap();
    let error = keeper.network(&seeded.graph, |_, _| Ok(())).unwrap_err().to_string();
    assert!(error.contains("checkpoint-0: unit: found plain seed 0, expected stf seed 0"), "{error}");
    let other = Settings { epochs: 3, ..settings.clone() };
    let training = Training { settings: &other, ..plain };
    let error = training.run(Method::Plain, 1.0, Some(dir.path())).unwrap_err().to_string();
    assert!(error.contains("checkpoint-0: settings: found those of another version"), "{error}");
}
