//! The door: round trips, and every kind of damage.

mod common;

use common::{ALL, Builder, First};
use stf_bnn::artifact::{Clamp, Layer, Manifest, NoiseKind, Tensor};
use stf_bnn::{AlignedBytes, ArtifactError, Model};

#[test]
fn round_trip() {
    for first in ALL {
        for seed in 0..20 {
            let builder = common::build(first, seed);
            let (layers, manifest) = (builder.layers.clone(), builder.manifest(3));
            let file = builder.finish(3);
            assert_eq!(&*file, &*common::model(first, seed), "the same calls, the same bytes");
            let model = Model::from_bytes(&file).unwrap();
            assert!(model.layers().eq(layers.iter().copied()));
            assert_eq!(model.layers().len(), layers.len());
            assert_eq!(*model.manifest(), Manifest { layer_count: layers.len() as u16, ..manifest });
            for layer in &layers {
                if let Some(w) = layer.weights() {
                    let bytes: Vec<u8> = model.i8s(w.values).iter().map(|&v| v as u8).collect();
                    assert_eq!(bytes, common::raw(&file, w.values));
                    assert_eq!(model.i32s(w.bias), common::raw_i32(&file, w.bias));
                    assert_eq!(model.f32s(w.multiplier), common::raw_f32(&file, w.multiplier));
                }
            }
            assert_eq!(model.macs(), layers.iter().map(Layer::macs).sum::<u64>());
        }
    }
}

#[test]
fn macs_by_hand() {
    let file = lenet_like();
    let model = Model::from_bytes(&file).unwrap();
    // 4x4 pixels of 2 channels with 3x3x1 kernels, then 32 x 3.
    assert_eq!(model.macs(), 16 * 2 * 9 + 32 * 3);
    assert_eq!(model.weight_bytes(), 18 + 2 * 8 + 96 + 3 * 8);
    assert_eq!(model.class_name(0), None);
}

/// A fixed small model: one 3x3 convolution and a dense output.
fn small() -> Builder {
    let mut b = Builder::new(3, [6, 6, 1]);
    let output = b.place([4, 4, 2]);
    let window = stf_bnn::artifact::Window { kernel: [3, 3], stride: [1, 1], dilation: [1, 1], pad: [0, 0] };
    let weights = b.weights(2, 9);
    b.push(Layer::Conv2d { input: b.last, output, window, weights, clamp: common::FULL });
    b
}

fn lenet_like() -> AlignedBytes {
    let mut b = small();
    b.dense_output(3);
    b.finish(3)
}

#[test]
fn every_truncation_is_an_error() {
    let file = common::model(First::Conv, 11);
    for len in 0..file.len() {
        let cut = AlignedBytes::new(&file[..len]);
        assert!(Model::from_bytes(&cut).is_err(), "{len} of {} bytes", file.len());
    }
    let mut longer = file.to_vec();
    longer.push(0);
    let error = Model::from_bytes(&AlignedBytes::new(&longer)).unwrap_err();
    assert!(matches!(error, ArtifactError::Length { part: "file", .. }), "{error}");
}

#[test]
fn every_flipped_bit_is_an_error() {
    let mut small = small();
    small.add_posterior(NoiseKind::Weights);
    small.dense_output(3);
    let file = small.finish(3);
    let mut damaged = AlignedBytes::new(&file).to_vec();
    for bit in 0..file.len() * 8 {
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(Model::from_bytes(&AlignedBytes::new(&damaged)).is_err(), "bit {bit}");
        damaged[bit / 8] ^= 1 << (bit % 8);
    }
    println!("{} single-bit flips, all found", file.len() * 8);
}

/// A file of a quarter of a megabyte: any flip, and any burst of up to 32 bits.
#[test]
fn random_flips_and_bursts_in_a_large_artifact_are_errors() {
    let mut large = Builder::new(4, [16, 16, 1]);
    large.dense(960);
    large.dense_output(3);
    let file = large.finish(3);
    assert!(file.len() > 240_000, "{}", file.len());
    let mut dice = common::Dice(9);
    for round in 0..400_usize {
        let at = dice.int(0, file.len() as i64 - 6) as usize;
        // Single bits first, then 32 neighbouring bits of which the first is flipped.
        let burst = if round < 200 { 1 } else { dice.bits() as u32 | 1 };
        let burst = (u64::from(burst) << dice.int(0, 7)).to_le_bytes();
        let flip = |bytes: &[u8]| -> Vec<u8> {
            bytes[at..at + 5].iter().zip(burst).map(|(byte, burst)| byte ^ burst).collect()
        };
        let changed = [&file[..at], &flip(&file), &file[at + 5..]].concat();
        assert!(Model::from_bytes(&AlignedBytes::new(&changed)).is_err(), "byte {at}, {burst:?}");
    }
}

/// Damage with a checksum that was made to fit: an error or a sound model, never a panic.
#[test]
fn damage_behind_the_checksum_never_panics() {
    let mut survivors = 0;
    for (seed, first) in ALL.into_iter().enumerate() {
        let mut dice = common::Dice(seed as u64);
        let file = common::model(first, 40 + seed as u64);
        let input = common::input(&Model::from_bytes(&file).unwrap(), 1);
        let head = u32::from_le_bytes(file[16..20].try_into().unwrap()) as i64;
        for _ in 0..3000 {
            let mut damaged = file.to_vec();
            for _ in 0..dice.int(1, 2) {
                let at = if dice.chance() { dice.int(4, head) } else { dice.int(4, file.len() as i64 - 1) };
                damaged[at as usize] = dice.bits() as u8;
            }
            let crc = common::crc32(&damaged);
            damaged[24..28].copy_from_slice(&crc.to_le_bytes());
            let damaged = AlignedBytes::new(&damaged);
            let Ok(model) = Model::from_bytes(&damaged) else { continue };
            let config = stf_bnn::Config::default();
            let runnable = model.workspace_bytes(&config).is_ok_and(|bytes| bytes < 1 << 20);
            if runnable && model.manifest().input.tensor.len() as usize == input.len() {
                common::predict(&model, config, 0, &input);
                survivors += 1;
            }
        }
    }
    assert!(survivors > 100, "{survivors}: most damage to weights is sound");
}

/// The error of the small Bayesian model with one thing wrong.
fn error(damage: impl FnOnce(&mut Builder)) -> String {
    let mut b = small();
    b.add_posterior(NoiseKind::Weights);
    b.dense_output(3);
    damage(&mut b);
    b.write(3).expect_err("a bad model").to_string()
}

macro_rules! conv {
    ($b:ident, $field:ident => $edit:expr) => {{
        let Layer::Conv2d { $field, .. } = &mut $b.layers[0] else { unreachable!() };
        $edit;
    }};
}

macro_rules! posterior {
    ($b:ident, $field:ident = $value:expr) => {{
        let value = $value;
        $b.posterior.as_mut().unwrap().$field = value;
    }};
}

type Damage = fn(&mut Builder);

#[test]
fn errors_of_a_layer_name_the_field() {
    let cases: [(&str, Damage); 18] = [
        ("layer 0: weights.values: found 16, expected 18", |b| {
            let short = b.writer.blob(&[0; 16]);
            conv!(b, weights => weights.values = short)
        }),
        ("layer 0: weights.values: found 8, expected 0", |b| conv!(b, weights => weights.values.offset += 8)),
        (
            "layer 0: weights.values: found 0, expected 18",
            |b| conv!(b, weights => weights.values.offset = 1 << 20),
        ),
        ("layer 0: weights.values: found 18, expected 9", |b| conv!(b, output => output.channels = 1)),
        ("layer 0: output: expected no dimension of 0", |b| conv!(b, output => output.width = 0)),
        ("layer 0: output: found -1, expected", |b| conv!(b, output => output.scale = -1.0)),
        ("layer 0: output: found NaN, expected", |b| conv!(b, output => output.scale = f32::NAN)),
        ("layer 0: output: found 92, expected 1 to", |b| conv!(b, output => output.offset += 60)),
        (
            "layer 0: window.stride[1]: found 0, expected 1 to 65535",
            |b| conv!(b, window => window.stride[1] = 0),
        ),
        ("layer 0: window.pad[0]: found 3, expected 0 to 2", |b| conv!(b, window => window.pad[0] = 3)),
        ("layer 0: padding right that output.width needs: found 3, expected -1 to 2", |b| {
            conv!(b, window => window.stride[1] = 2);
            conv!(b, output => output.width = 4)
        }),
        (
            "layer 0: clamp.min: found 5, expected -128 to 4",
            |b| conv!(b, clamp => *clamp = Clamp { min: 5, max: 4 }),
        ),
        ("layer 0: input: expected the network's input", |b| conv!(b, input => input.zero_point ^= 1)),
        ("layer 0: weights.multiplier: found inf", |b| {
            let blob = b.writer.values(&[1.0_f32, f32::INFINITY]);
            conv!(b, weights => weights.multiplier = blob)
        }),
        ("layer 0: weights: expected accumulators that fit", |b| {
            let blob = b.writer.values(&[0, i32::MAX]);
            conv!(b, weights => weights.bias = blob)
        }),
        ("layer 0: layer: expected one output layer, at the end", |b| {
            let input = b.input.tensor;
            b.layers.insert(0, Layer::Dequantize { input });
        }),
        ("layer 1: input: expected a tensor that an earlier layer wrote", |b| {
            let Layer::DenseOutput { input, .. } = &mut b.layers[1] else { unreachable!() };
            input.scale *= 2.0;
        }),
        ("layer 1: output.offset: expected a place that overlaps no input", |b| {
            let output = Tensor { height: 1, width: 1, channels: 2, ..b.last };
            let weights = b.weights(2, 32);
            b.layers.insert(1, Layer::Dense { input: b.last, output, weights, clamp: common::FULL });
        }),
    ];
    for (expected, damage) in cases {
        let found = error(damage);
        assert!(found.starts_with(expected), "found {found:?}, expected {expected:?}");
    }
}

#[test]
fn errors_of_the_head_name_the_field() {
    let cases: [(&str, Damage); 7] = [
        ("posterior.log_var: found 17, expected 18", |b| posterior!(b, log_var = b.writer.blob(&[0; 17]))),
        ("posterior.table: found 65535, expected 0 to", |b| {
            posterior!(b, table = b.writer.values(&[u16::MAX; 256]))
        }),
        ("posterior.noise_multiplier: found -1, expected", |b| {
            posterior!(b, noise_multiplier = b.writer.values(&[1.0_f32, -1.0]))
        }),
        ("posterior.kind: expected a layer 0 that can be", |b| posterior!(b, kind = NoiseKind::Outputs)),
        ("posterior.log_var_step: found -0.5, expected", |b| posterior!(b, log_var_step = -0.5)),
        ("input.multiplier: found 0, expected", |b| b.input.multiplier = b.writer.values(&[0.0_f32])),
        ("input.tensor.offset: found 16, expected 0", |b| b.input.tensor.offset = 16),
    ];
    for (expected, damage) in cases {
        let found = error(damage);
        assert!(found.starts_with(expected), "found {found:?}, expected {expected:?}");
    }
}

#[test]
fn errors_of_the_manifest_values() {
    let with = |edit: fn(&mut Manifest<'static>)| {
        let mut b = small();
        b.dense_output(3);
        let mut manifest = b.manifest(3);
        b.layers.iter().for_each(|&layer| b.writer.push_layer(layer));
        edit(&mut manifest);
        b.writer.finish(manifest).expect_err("a bad manifest").to_string()
    };
    assert_eq!(with(|m| m.class_names = "cat\ndog"), "class_names: found 2, expected 3");
    assert_eq!(with(|m| m.temperature = 0.0), "temperature: found 0, expected 2^-64 to 2^32");
    let temperature: [fn(&mut Manifest<'static>); 4] = [
        |m| m.temperature = 2_f32.powi(-65),
        |m| m.temperature = f32::MIN_POSITIVE,
        |m| m.temperature = 2_f32.powi(33),
        |m| m.temperature = f32::NAN,
    ];
    for edit in temperature {
        assert!(with(edit).ends_with(", expected 2^-64 to 2^32"));
    }
    assert_eq!(with(|m| m.outputs = 4), "layer 1: weights.bias.len: found 12, expected 16");
    assert!(with(|m| m.arena_bytes = 31).starts_with("layer 0: output: found 32, expected 1 to 31"));
}

#[test]
fn errors_of_the_header() {
    let file = lenet_like();
    let with = |at: usize, value: u8| {
        let mut damaged = file.to_vec();
        damaged[at] = value;
        Model::from_bytes(&AlignedBytes::new(&damaged)).unwrap_err()
    };
    assert!(matches!(with(0, b'X'), ArtifactError::Magic { .. }));
    assert_eq!(with(4, 9).to_string(), "format version: found 9, expected 2");
    let sealed = |at: usize, value: u8| {
        let mut damaged = file.to_vec();
        damaged[at] = value;
        let crc = common::crc32(&damaged);
        damaged[24..28].copy_from_slice(&crc.to_le_bytes());
        Model::from_bytes(&AlignedBytes::new(&damaged)).unwrap_err().to_string()
    };
    assert_eq!(sealed(7, 2), "header flags: found 0x0200, expected 0 or 1");
    assert_eq!(sealed(28, 1), "release of an unsigned file: found 1, expected 0");
    assert!(sealed(6, 1).starts_with("blob section: found "), "{}", sealed(6, 1));
    assert!(matches!(with(file.len() - 1, file[file.len() - 1] ^ 1), ArtifactError::Checksum { .. }));
    let mut shifted = vec![0; file.len() + 32];
    let start = 1 + shifted.as_ptr().addr().wrapping_neg() % 16;
    shifted[start..start + file.len()].copy_from_slice(&file);
    let error = Model::from_bytes(&shifted[start..start + file.len()]).unwrap_err();
    assert_eq!(error, ArtifactError::Misaligned { remainder: 1 });
}
