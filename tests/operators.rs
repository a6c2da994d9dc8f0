//! What a program may leave out of the runtime: nothing changes but what it can run.

mod common;

use common::regression::{autoencoder, gaussian_facts};
use common::{ALL, First};
use stf_bnn::artifact::Operator;
use stf_bnn::layers::Operators;
use stf_bnn::{AlignedBytes, Config, ConfigError, Input, Model, Predictor, Samples};

/// The bits of a prediction with these operators.
fn bits(model: &Model<'_>, operators: &Operators) -> Result<Vec<u32>, ConfigError> {
    let config = Config { samples: Samples::MonteCarlo(5), ..Config::default() };
    let mut workspace = vec![0; model.workspace_bytes(&config).unwrap()];
    let input = common::input(model, 3);
    let mut predictor = Predictor::with_operators(model, config, &mut workspace, operators)?;
    let found = predictor.predict(Input::Quantized(&input)).unwrap();
    Ok(found.mean.iter().chain(found.spread).map(|x| x.to_bits()).collect())
}

/// Small models with every kind of layer between them.
fn files() -> Vec<AlignedBytes> {
    let random = (0..20).map(|seed| common::model(ALL[seed as usize % ALL.len()], seed));
    let layers = common::LAYERS.into_iter().map(|layer| common::layer_model(layer, 2));
    random.chain(layers).chain((0..6).map(common::joints)).collect()
}

#[test]
fn a_models_own_operators_run_it() {
    let mut seen = [false; Operator::ALL.len()];
    for file in files() {
        let model = Model::from_bytes(&file).unwrap();
        let own = Operators::of(&file);
        for operator in Operator::ALL {
            let used = model.layers().any(|layer| layer.operator() == operator);
            assert_eq!(own.has(operator), used, "{operator}");
            seen[operator as usize] |= used;
        }
        assert_eq!(bits(&model, &own), bits(&model, Operators::ALL));
    }
    assert_eq!(seen, [true; Operator::ALL.len()]);
}

#[test]
fn an_operator_that_is_left_out_is_named_with_its_layer() {
    for file in files() {
        let model = Model::from_bytes(&file).unwrap();
        for (index, layer) in (0..).zip(model.layers()) {
            let operator = layer.operator();
            let mut others = Operators::NONE;
            for other in Operator::ALL.into_iter().filter(|&other| other != operator) {
                others = others.with(other);
            }
            let first = model.layers().position(|layer| layer.operator() == operator).unwrap();
            if first == index {
                let expected = ConfigError::Operator { layer: index as u16, operator };
                assert_eq!(bits(&model, &others), Err(expected));
                assert!(expected.to_string().starts_with(&format!("layer {index}: found {operator}, ")));
            }
            assert_eq!(bits(&model, &others.and(&Operators::of(&file))), bits(&model, Operators::ALL));
        }
    }
    assert!(!Operators::of(b"no artifact").has(Operator::Dense));
}

#[test]
fn a_task_that_is_left_out_is_named() {
    let autoencoder = autoencoder(1, 400, &[0.5, 0.75, 2.0], &[399, 9, 0]);
    for file in &[gaussian_facts().write(1).unwrap(), autoencoder.unwrap()] {
        let model = Model::from_bytes(file).unwrap();
        // Between them, every operator.
        let classes = files().iter().fold(Operators::NONE, |all, file| all.and(&Operators::of(file)));
        assert!(Operator::ALL.into_iter().all(|operator| classes.has(operator)));
        assert_eq!(bits(&model, &classes), Err(ConfigError::Task));
        assert_eq!(bits(&model, &classes.and(&Operators::of(file))), bits(&model, Operators::ALL));
        assert_eq!(bits(&model, &Operators::of(file)), bits(&model, Operators::ALL));
    }
}

#[test]
fn an_embedded_model_is_the_checked_one() {
    for file in files().iter().chain([&common::calibrated(&common::model(First::Conv, 1))]) {
        let (checked, embedded) = (Model::from_bytes(file).unwrap(), Model::embedded(file).unwrap());
        assert_eq!(checked.manifest(), embedded.manifest());
        assert!(checked.layers().eq(embedded.layers()));
        let costs =
            |model: &Model<'_>| (model.macs(), model.weight_bytes(), model.release(), model.is_signed());
        assert_eq!(costs(&checked), costs(&embedded));
        assert_eq!(bits(&checked, Operators::ALL), bits(&embedded, Operators::ALL));
    }
    let file = common::model(First::Conv, 2);
    for len in 0..file.len() {
        let short = Model::embedded(&file[..len]);
        assert!(
            short.is_none_or(|model| bits(&model, Operators::ALL) == Err(ConfigError::Unchecked)),
            "{len}"
        );
    }
}

/// A constant cannot look at its address: the predictor does.
#[test]
fn a_misaligned_embedded_model_is_refused() {
    for first in ALL {
        let file = common::model(first, 2);
        for shift in [0, 1, 2, 4, 8, 16] {
            let shifted = AlignedBytes::new(&[&vec![0; shift], &file[..]].concat());
            let model = Model::embedded(&shifted[shift..]).unwrap();
            let found = bits(&model, Operators::ALL);
            let aligned = shift % 16 == 0;
            assert_eq!(found.err(), (!aligned).then_some(ConfigError::Unchecked), "{first:?} {shift}");
        }
    }
}

#[test]
fn a_program_that_only_predicts_sees_no_thresholds() {
    let file = common::calibrated(&common::model(First::Conv, 4));
    let (all, few) = (Model::from_bytes(&file).unwrap(), Model::to_predict(&file).unwrap());
    let (with, without) = (all.manifest(), few.manifest());
    assert!(with.conformal.is_some() && with.abstention.is_some() && with.drift.is_some());
    assert!(without.conformal.is_none() && without.abstention.is_none() && without.drift.is_none());
    assert_eq!(bits(&all, Operators::ALL), bits(&few, Operators::ALL));
}

/// Damage that only the check finds: a device refuses what has no place, a host all of it.
#[test]
fn a_damaged_embedded_model_is_no_danger() {
    let file = common::model(First::Conv, 5);
    let mut dice = common::Dice(5);
    let head = u32::from_le_bytes(file[16..20].try_into().unwrap()) as i64;
    let mut refused = 0;
    for _ in 0..3000 {
        let mut damaged = file.to_vec();
        damaged[dice.int(4, head) as usize] = dice.bits() as u8;
        let damaged = AlignedBytes::new(&damaged);
        let Some(model) = Model::embedded(&damaged) else { continue };
        let config = Config::default();
        if model.workspace_bytes(&config).is_ok_and(|bytes| bytes < 1 << 20) {
            let mut workspace = vec![0; 1 << 20];
            let made = Predictor::new(&model, config, &mut workspace);
            refused += u32::from(made.err() == Some(ConfigError::Unchecked));
        }
    }
    assert!(refused > 100, "{refused}");
}
