//! States through checkpoint files: every bit, and errors that name what is wrong.

use super::*;
use crate::train::testing::{Examples, conv_net, dense_net, stage1_config, stage2_config};
use crate::train::{Estimator, Optimizer, Silent, stage1, stage2};
use serde_json::json;

fn first_stage(graph: &Graph, optimizer: Optimizer) -> Stage1State {
    let mut config = stage1_config(optimizer);
    config.epochs = 1;
    stage1(graph, Examples::new().data(), &config, None, &mut Silent).unwrap()
}

/// What a file holds after the state was stored in it.
fn through_a_file(store: impl Fn(&mut Checkpoint)) -> Checkpoint {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    let mut checkpoint = Checkpoint { meta: json!({ "stage": 1 }), ..Checkpoint::default() };
    store(&mut checkpoint);
    checkpoint.save(&path).unwrap();
    Checkpoint::load(&path).unwrap()
}

#[test]
fn both_stages_come_back_from_a_file() {
    let graph = conv_net();
    for optimizer in [Optimizer::ADAM, Optimizer::SGD] {
        let state = first_stage(&graph, optimizer);
        let mut file = through_a_file(|checkpoint| state.store(&graph, checkpoint));
        assert_eq!(Stage1State::load(&graph, &mut file, Path::new("c")).unwrap(), state);
    }
    let params = first_stage(&graph, Optimizer::SGD).params;
    let config = stage2_config(Estimator::Flipout);
    let state = stage2(&graph, &params, Examples::new().data(), &config, None, &mut Silent).unwrap();
    let mut file = through_a_file(|checkpoint| state.store(&graph, checkpoint));
    assert_eq!(Stage2State::load(&graph, &mut file, Path::new("c")).unwrap(), state);
}

#[test]
fn a_state_before_its_first_step_comes_back() {
    let graph = dense_net();
    let state =
        Stage1State { epoch: 0, params: Params::initialise(&graph, 1), optimizer: OptimizerState::default() };
    let mut file = through_a_file(|checkpoint| state.store(&graph, checkpoint));
    assert_eq!(Stage1State::load(&graph, &mut file, Path::new("c")).unwrap(), state);
}

#[test]
fn what_is_missing_or_misshapen_is_named() {
    let graph = conv_net();
    let state = first_stage(&graph, Optimizer::ADAM);
    let names: Vec<String> =
        through_a_file(|checkpoint| state.store(&graph, checkpoint)).tensors.into_keys().collect();
    assert!(names.iter().any(|name| name.starts_with("params/")));
    assert!(names.iter().any(|name| name.starts_with("optimizer/second/")));
    for name in &names {
        for misshapen in [true, false] {
            let mut checkpoint = Checkpoint { meta: json!({}), ..Checkpoint::default() };
            state.store(&graph, &mut checkpoint);
            let tensor = checkpoint.tensors.remove(name).unwrap();
            if misshapen {
                let longer = ArrayD::zeros(vec![tensor.len() + 1]);
                checkpoint.tensors.insert(name.clone(), longer);
            }
            let error = Stage1State::load(&graph, &mut checkpoint, Path::new("c")).unwrap_err().to_string();
            assert!(error.starts_with("c: ") && error.contains(name.as_str()), "{name}: {error}");
        }
    }
}

#[test]
fn missing_counters_and_momenta_are_named() {
    let graph = dense_net();
    let state = first_stage(&graph, Optimizer::SGD);
    for field in ["epoch", "optimizer_step"] {
        let mut checkpoint = Checkpoint { meta: json!({}), ..Checkpoint::default() };
        state.store(&graph, &mut checkpoint);
        checkpoint.meta.as_object_mut().unwrap().remove(field);
        let error = Stage1State::load(&graph, &mut checkpoint, Path::new("c")).unwrap_err().to_string();
        assert!(error.contains(field), "{error}");
    }
    let mut checkpoint = Checkpoint { meta: json!({}), ..Checkpoint::default() };
    state.store(&graph, &mut checkpoint);
    checkpoint.tensors.retain(|name, _| !name.starts_with("optimizer/"));
    let error = Stage1State::load(&graph, &mut checkpoint, Path::new("c")).unwrap_err().to_string();
    assert!(error.contains("optimizer/first"), "{error}");
}
