//! Flips in the workspace, bit by bit.

use super::*;
use crate::artifact::{AlignedBytes, Tensor};
use crate::common::{self, First};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Models of every kind of first layer and, together, of every other kind of layer.
fn models() -> Vec<AlignedBytes> {
    let mut models: Vec<_> = common::ALL.into_iter().map(|first| common::model(first, 8)).collect();
    models.extend([common::joints(3), common::joints(4)]);
    models.extend(common::LAYERS.map(|layer| common::layer_model(layer, 7)));
    models
}

fn bits(predictor: &mut Predictor<'_, '_>, input: &[u8]) -> Vec<u32> {
    predictor.set_counter(3);
    let prediction = predictor.predict(Input::U8(input)).unwrap();
    prediction.mean.iter().map(|x| x.to_bits()).collect()
}

fn input(model: &Model<'_>) -> Vec<u8> {
    (0..model.manifest().input.tensor.len()).map(|i| (i * 29 % 256) as u8).collect()
}

fn all_kernels() -> impl Iterator<Item = Kernels> {
    Kernels::NAMES.iter().filter_map(|name| Kernels::by_name(name))
}

/// A flip in what is kept of a layer is seen, and the layer is read from the artifact: the same bits.
#[test]
fn every_flip_in_the_kept_layers_changes_nothing() {
    let mut flips = 0;
    for (number, first) in [First::DenseOutputs, First::Conv, First::Depthwise].into_iter().enumerate() {
        let file = common::model(first, 8);
        let model = Model::from_bytes(&file).unwrap();
        let input = input(&model);
        for kernels in all_kernels() {
            let config =
                Config { samples: Samples::MonteCarlo(1), kernels: Some(kernels), ..Config::default() };
            let mut workspace = vec![0; model.workspace_bytes(&config).unwrap()];
            let mut predictor = Predictor::new(&model, config, &mut workspace).unwrap();
            let expected = bits(&mut predictor, &input);
            let words = predictor.buffers.steps.as_flattened().len();
            // Every bit of one model, every seventh of the others.
            for bit in (0..words * 32).step_by(if number == 0 { 1 } else { 7 }) {
                predictor.buffers.steps.as_flattened_mut()[bit / 32] ^= 1 << (bit % 32);
                assert!(bits(&mut predictor, &input) == expected, "{} bit {bit}", kernels.name());
                predictor.buffers.steps.as_flattened_mut()[bit / 32] ^= 1 << (bit % 32);
                flips += 1;
            }
        }
    }
    // `KEEP` needs kernels that pack, which not every CPU has.
    assert!(flips > 1000 || all_kernels().count() == 1, "{flips}");
}

/// Layers of shapes that no check would let through, as if the words and their check had been damaged alike:
/// an error or a panic, never memory that is not the workspace's (the sanitizers watch).
#[test]
fn layers_of_any_shape_stay_inside() {
    let mut seed = 1_u64;
    let mut next = |limit: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % limit
    };
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let (mut ran, mut failed, mut panicked) = (0, 0, 0);
    for file in models() {
        let model = Model::from_bytes(&file).unwrap();
        let input = input(&model);
        for kernels in all_kernels() {
            let config = Config { kernels: Some(kernels), ..Config::default() };
            let mut workspace = vec![0; model.workspace_bytes(&config).unwrap()];
            let mut predictor = Predictor::new(&model, config, &mut workspace).unwrap();
            for _ in 0..800 {
                bits(&mut predictor, &input);
                let index = next(model.layers().len());
                let layer = model.layers().nth(index).unwrap();
                let Some(damaged) = steps::damaged(&layer, &mut next) else { continue };
                let start: usize = model.layers().take(index).map(|layer| kernels.packed_bytes(&layer)).sum();
                let end = start + kernels.packed_bytes(if next(2) == 0 { &layer } else { &damaged });
                let run = AssertUnwindSafe(|| predictor.run_layer(index, &damaged, start..end, 1));
                match catch_unwind(run) {
                    Ok(Some(())) => ran += 1,
                    Ok(None) => failed += 1,
                    Err(_) => panicked += 1,
                }
            }
        }
    }
    std::panic::set_hook(hook);
    assert!(ran > 100 && failed > 100, "{ran} ran, {failed} were errors, {panicked} panicked");
}

/// Sizes of layers that no check has seen stand for "too large", without a panic.
#[test]
fn packed_bytes_of_any_shape_are_whole_lines() {
    let huge = |tensor: &mut Tensor| (tensor.height, tensor.width, tensor.channels) = (!0, !0, !0);
    for file in models() {
        let model = Model::from_bytes(&file).unwrap();
        for mut layer in model.layers() {
            match &mut layer {
                Layer::Conv2d { input, output, window, .. }
                | Layer::DepthwiseConv2d { input, output, window, .. } => {
                    (window.kernel, window.dilation) = ([!0; 2], [1; 2]);
                    [input, output].into_iter().for_each(huge);
                }
                Layer::Dense { input, output, .. } => [input, output].into_iter().for_each(huge),
                Layer::DenseOutput { input, weights, .. } => {
                    huge(input);
                    weights.bias.len = !0;
                }
                _ => {}
            }
            for kernels in all_kernels() {
                let bytes = kernels.packed_bytes(&layer);
                assert!(bytes.is_multiple_of(64), "{} {layer:?}", kernels.name());
            }
        }
    }
}
