//! Bounded proofs: the check of a memory plan against a simulation of every byte, for every plan of a small
//! network; the requantizer against its formula, for every f32 (`--ignored`: minutes).

mod common;

use common::{Builder, FULL};
use stf_bnn::artifact::{Clamp, Layer, Tensor};
use stf_bnn::number::requantize_real;
use stf_bnn::{AlignedBytes, Model};

/// Bytes of a tensor, and of the arena.
const SIZE: u32 = 2;
const ARENA: u32 = 6;

/// Joins the outputs of two layers.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Join {
    Add,
    Mul,
    Concat,
}

fn tensor(offset: u32, step: u16) -> Tensor {
    Tensor { offset, height: 1, width: 1, channels: SIZE as u16, scale: f32::from(step), zero_point: 0 }
}

/// `input -> a -> b`, `join(a, b) -> c -> outputs`.
fn network([a, b, c]: [Tensor; 3], join: Join) -> Vec<Layer> {
    let table = stf_bnn::artifact::Blob { offset: 0, len: 256 };
    let input = tensor(0, 1);
    let (multiplier_a, multiplier_b, clamp) = (1.0, 1.0, FULL);
    let joined = match join {
        Join::Add => Layer::Add { a, b, output: c, multiplier_a, multiplier_b, clamp },
        Join::Mul => Layer::Mul { a, b, output: c, multiplier: 1.0, clamp },
        Join::Concat => Layer::Concat { a, b, output: c, axis: 2, multiplier_a, multiplier_b, clamp },
    };
    vec![
        Layer::Lookup { input, output: a, table },
        Layer::Lookup { input: a, output: b, table },
        joined,
        Layer::Dequantize { input: c },
    ]
}

/// What the rules of the format say, byte by byte.
fn sound(layers: &[Layer]) -> bool {
    let bytes = |t: &Tensor| t.offset as usize..(t.offset as usize + t.len() as usize);
    let mut arena: Vec<Option<Tensor>> = vec![None; 2 * ARENA as usize];
    for (index, layer) in layers.iter().enumerate() {
        let inputs: Vec<Tensor> = [Some(layer.input()), layer.second_input()].into_iter().flatten().collect();
        let reads_right = |t: &Tensor| arena[bytes(t)].iter().all(|owner| owner.as_ref() == Some(t));
        if index > 0 && !inputs.iter().all(reads_right) {
            return false;
        }
        let Some(output) = layer.output() else { continue };
        if bytes(&output).end > ARENA as usize {
            return false;
        }
        for (number, input) in inputs.iter().enumerate().filter(|_| index > 0) {
            let shared = bytes(input).any(|byte| bytes(&output).contains(&byte));
            // The product reads its second factor again for every pixel.
            let may = match layer {
                Layer::Add { .. } | Layer::Lookup { .. } => true,
                Layer::Mul { .. } => number == 0 || inputs[0] == inputs[1],
                _ => false,
            };
            if shared && !(may && bytes(input) == bytes(&output)) {
                return false;
            }
        }
        arena[bytes(&output)].fill(Some(output));
    }
    true
}

fn accepted(layers: Vec<Layer>) -> bool {
    let mut b = Builder::new(1, [1, 1, SIZE as u16]);
    b.writer = stf_bnn::ArtifactWriter::new();
    b.writer.values(&[0_i8; 256]);
    b.input.tensor = tensor(0, 1);
    (b.input.mean, b.input.multiplier) = (b.writer.values(&[0.0_f32; 2]), b.writer.values(&[1.0_f32; 2]));
    (b.next, b.layers) = (ARENA, layers);
    let outputs = b.layers.last().map_or(0, |layer| layer.input().len() as u16);
    let manifest = b.manifest(outputs);
    let Builder { mut writer, layers, .. } = b;
    layers.iter().for_each(|&layer| writer.push_layer(layer));
    Model::from_bytes(&AlignedBytes::new(&writer.encode(manifest).unwrap())).is_ok()
}

#[test]
fn the_check_of_a_plan_is_the_simulation_of_every_plan() {
    let (mut good, mut bad) = (0, 0);
    for join in [Join::Add, Join::Mul, Join::Concat] {
        for places in 0..ARENA.pow(3) {
            let at = [places % ARENA, places / ARENA % ARENA, places / ARENA.pow(2)];
            // Tensors that differ in more than their places, and that do not.
            for steps in [[2, 3, 4], [2, 2, 2]] {
                let mut tensors = [0, 1, 2].map(|i| tensor(at[i], steps[i]));
                if join == Join::Concat {
                    tensors[2].channels *= 2;
                }
                let layers = network(tensors, join);
                let expected = sound(&layers);
                assert_eq!(accepted(layers), expected, "{join:?} {at:?} {steps:?}");
                *(if expected { &mut good } else { &mut bad }) += 1;
            }
        }
    }
    assert!(good > 20 && bad > 500, "{good} sound plans, {bad} others");
}

/// `clamp(round_half_even(x) + zero_point)` in f64, which is exact here.
fn formula(x: f32, zero_point: i8, clamp: Clamp) -> i8 {
    let q = f64::from(x).round_ties_even() + f64::from(zero_point);
    q.clamp(clamp.min.into(), clamp.max.into()) as i8
}

/// Every zero point and some bounds, at every place where rounding or clamping changes its mind.
#[test]
fn the_requantizer_is_its_formula_at_every_edge() {
    for quarter in -1_300..=1_300_i32 {
        let edge = quarter as f32 / 4.0;
        for x in [edge.next_down(), edge, edge.next_up(), edge * 1e30] {
            for zero_point in i8::MIN..=i8::MAX {
                for clamp in [FULL, Clamp { min: zero_point, max: 127 }, Clamp { min: -5, max: -5 }] {
                    let found = requantize_real(x, zero_point, clamp);
                    assert_eq!(found, formula(x, zero_point, clamp), "{x:e} {zero_point} {clamp:?}");
                }
            }
        }
    }
}

fn all_f32(step: usize) {
    for zero_point in [-128, 0, 127] {
        for bits in (0..=u32::MAX).step_by(step) {
            let x = f32::from_bits(bits);
            if !x.is_nan() {
                assert_eq!(requantize_real(x, zero_point, FULL), formula(x, zero_point, FULL), "{x:e}");
            }
        }
    }
}

#[test]
fn the_requantizer_is_its_formula_for_many_f32() {
    all_f32(8_191);
}

/// `cargo test --release --test proofs -- --ignored`
#[test]
#[ignore = "minutes"]
fn the_requantizer_is_its_formula_for_every_f32() {
    all_f32(1);
}
