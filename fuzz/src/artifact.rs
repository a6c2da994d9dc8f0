//! Any bytes as an artifact; what loads must predict, the same with every set of kernels.

use crate::dice::Dice;
use crate::seeds;
use serde_json::Value;
use stf_bnn::artifact::{Layer, Manifest, PublicKey, public_key};
use stf_bnn::kernels::Kernels;
use stf_bnn::uncertainty::{AbstentionRule, DriftMonitor, PredictionSets, SetMethod, random_share};
use stf_bnn::{AlignedBytes, ArtifactWriter, Config, Draws, Input, Model, Predictor, Samples};

/// Most bytes of a workspace, and most multiply-accumulates of a prediction: more is sound, but slow.
const MOST_BYTES: usize = 1 << 22;
const MOST_MACS: u64 = 1 << 20;

/// Loads, describes and predicts.
pub fn run(bytes: &[u8]) {
    let file = AlignedBytes::new(bytes);
    if let Ok(key) = PublicKey::from_bytes(&public_key(&seeds::SECRET).to_bytes()) {
        let _ = Model::from_signed(&file, &key, 0).map_err(|error| error.to_string());
    }
    match Model::from_bytes(&file) {
        Ok(model) => predict(&model, crate::checksum::CRC.checksum(bytes)),
        Err(error) => drop(error.to_string()),
    }
}

/// Settings that follow from a number, so that every file has some.
fn config(choice: u32) -> Config {
    let bit = |at: u32| choice >> at & 1 == 1;
    Config {
        samples: match choice % 7 {
            0 => Samples::Mean,
            1 => Samples::Adaptive,
            n => Samples::MonteCarlo(n as u16 - 1),
        },
        seed: (choice >> 5).into(),
        draws: if bit(8) { Draws::Fixed } else { Draws::Fresh },
        antithetic: bit(9),
        tile: 1 + (choice >> 10 & 3) as u16,
        cache_mean: bit(12),
        kernels: None,
    }
}

/// Predicts a checked model with all kernels that this CPU can run: the bits are the same.
pub fn predict(model: &Model<'_>, choice: u32) {
    for class in 0..usize::from(model.manifest().outputs.min(70)) {
        let _ = model.class_name(class);
    }
    let _ = (model.macs(), model.weight_bytes(), model.posterior_bytes());
    let config = config(choice);
    let passes = u64::from(config.samples.most(model)) + 1;
    let values = model.manifest().input.tensor.len();
    if model.macs().saturating_mul(passes) > MOST_MACS || values > MOST_BYTES as u64 {
        return;
    }
    let input: Vec<u8> = (0..values).map(|i| (i as u32).wrapping_mul(choice | 1).to_le_bytes()[1]).collect();
    let found: Vec<_> = Kernels::NAMES
        .iter()
        .filter_map(|name| Kernels::by_name(name))
        .filter_map(|kernels| one(model, Config { kernels: Some(kernels), ..config }, &input))
        .collect();
    for pair in found.windows(2) {
        assert_eq!(pair[0], pair[1], "kernels disagree: {config:?}");
    }
}

/// Bits of a prediction; `None` if it is not to be run.
fn one(model: &Model<'_>, config: Config, input: &[u8]) -> Option<Vec<u32>> {
    let bytes = model.workspace_bytes(&config).ok().filter(|&bytes| bytes <= MOST_BYTES)?;
    let mut workspace = vec![0xA5; bytes];
    let mut predictor = Predictor::new(model, config, &mut workspace).expect("a workspace of the right size");
    let mut bits = Vec::new();
    for counter in [0, u64::from(u32::MAX)] {
        predictor.set_counter(counter);
        let prediction = predictor.predict(Input::U8(input)).expect("a checked model predicts");
        bits.push(prediction.samples.into());
        bits.extend(prediction.mean.iter().chain(prediction.spread).map(|x| canonical(*x)));
        if let Some(c) = prediction.classification {
            bits.extend([c.predictive_entropy, c.expected_entropy].map(canonical));
            let _ = AbstentionRule::new(model).map(|rule| rule.accepts(&c));
            let _ = DriftMonitor::new(model).map(|mut monitor| monitor.push(&c));
        }
        if let Some(sets) = PredictionSets::new(model) {
            let mut words = vec![0; sets.words()];
            for method in SetMethod::ALL {
                for level in 0..=sets.levels() {
                    let set = sets.set(method, level, prediction.mean, random_share(1, counter), &mut words);
                    bits.push(set.map_or(u32::MAX, |set| set.classes().count() as u32));
                }
            }
        }
    }
    Some(bits)
}

/// Sign and payload of a NaN are no part of the specification.
fn canonical(x: f32) -> u32 {
    if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() }
}

/// Changes a field of the manifest or of a layer, the order of layers, or blobs.
pub fn mutate(bytes: &mut Vec<u8>, dice: &mut Dice) {
    if let Some(changed) = edit(bytes, dice) {
        *bytes = changed;
    } else {
        dice.damage(bytes);
    }
}

/// Gives a file of any bytes the lengths and the checksum that its header should have.
pub fn repair(bytes: &mut Vec<u8>) {
    if bytes.len() < 32 {
        return;
    }
    let manifest_len = u32::from_le_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]) as usize;
    let manifest_len = manifest_len.min(bytes.len() - 32);
    let offset = (32 + manifest_len).next_multiple_of(16);
    if bytes.len() < offset {
        bytes.resize(offset, 0);
    }
    let signature = if bytes[6] & 1 == 1 && bytes.len() >= offset + 64 { 64 } else { 0 };
    let (total, blob) = (bytes.len() as u32, (bytes.len() - offset - signature) as u32);
    bytes[..8].copy_from_slice(&[b'S', b'T', b'F', b'B', 2, 0, u8::from(signature > 0), 0]);
    for (at, number) in [(8, total), (12, manifest_len as u32), (16, offset as u32), (20, blob)] {
        bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
    }
    if signature == 0 {
        bytes[28..32].fill(0);
    }
    seal(bytes);
}

/// Writes the checksum of all bytes but its own.
pub fn seal(file: &mut [u8]) {
    let mut digest = crate::checksum::CRC.digest();
    digest.update(&file[..24]);
    digest.update(&file[28..]);
    let sum = digest.finalize().to_le_bytes();
    file[24..28].copy_from_slice(&sum);
}

fn edit(bytes: &[u8], dice: &mut Dice) -> Option<Vec<u8>> {
    let file = AlignedBytes::new(bytes);
    let model = Model::from_bytes(&file).ok()?;
    let mut manifest = serde_json::to_value(model.manifest()).ok()?;
    let mut layers = serde_json::to_value(model.layers().collect::<Vec<_>>()).ok()?;
    let mut blob = whole_blob(bytes)?;
    for _ in 0..=dice.below(3) {
        match dice.below(10) {
            0..=4 => change_leaf(&mut layers, dice),
            5 | 6 => change_leaf(&mut manifest, dice),
            7 => reorder(&mut layers, dice),
            _ => change_blob(&mut blob, dice),
        }
    }
    assemble(manifest, layers, &blob)
}

/// The manifest's texts, by their places.
const TEXTS: [&str; 5] =
    ["/name", "/class_names", "/provenance/tool", "/provenance/data", "/provenance/training"];

/// A file of fields by their names and a blob section; `None` if these are no fields of a manifest.
#[must_use]
pub fn assemble(mut manifest: Value, layers: Value, blob: &[u8]) -> Option<Vec<u8>> {
    // The manifest borrows its texts, which JSON can lend only where nothing is escaped.
    let mut take = |at: &str| match manifest.pointer_mut(at)?.take() {
        Value::String(text) => Some(text),
        _ => None,
    };
    let texts: Vec<String> = TEXTS.into_iter().map(&mut take).collect::<Option<_>>()?;
    for at in TEXTS {
        *manifest.pointer_mut(at)? = "".into();
    }
    let manifest = serde_json::to_string(&manifest).ok()?;
    let mut manifest: Manifest<'_> = serde_json::from_str(&manifest).ok()?;
    [manifest.name, manifest.class_names] = [&texts[0], &texts[1]];
    let provenance = &mut manifest.provenance;
    [provenance.tool, provenance.data, provenance.training] = [&texts[2], &texts[3], &texts[4]];
    let layers: Vec<Layer> = serde_json::from_value(layers).ok()?;
    let mut writer = ArtifactWriter::new();
    writer.blob(blob);
    layers.into_iter().for_each(|layer| writer.push_layer(layer));
    writer.encode(manifest).ok()
}

/// The blob section of a file whose header is sound.
fn whole_blob(file: &[u8]) -> Option<Vec<u8>> {
    let number = |at: usize| file.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    let (offset, len) = (number(16)? as usize, number(20)? as usize);
    file.get(offset..offset + len).map(<[u8]>::to_vec)
}

/// Leaves of a tree of fields, in order.
fn leaves(value: &mut Value) -> Vec<&mut Value> {
    match value {
        Value::Array(items) => items.iter_mut().flat_map(leaves).collect(),
        Value::Object(fields) => fields.values_mut().flat_map(leaves).collect(),
        leaf => vec![leaf],
    }
}

fn change_leaf(tree: &mut Value, dice: &mut Dice) {
    let mut leaves = leaves(tree);
    if leaves.is_empty() {
        return;
    }
    let other = leaves[dice.below(leaves.len())].clone();
    let at = dice.below(leaves.len());
    let leaf = &mut *leaves[at];
    let changed = match leaf {
        Value::Number(_) if other.is_number() && dice.below(4) == 0 => other,
        Value::Number(number) => match number.as_i64() {
            Some(old) => dice.interesting(old.into()).clamp(i64::MIN.into(), u32::MAX.into()) as i64,
            None => {
                let changed = change_real(number.as_f64().unwrap_or_default(), dice);
                *leaf = changed;
                return;
            }
        }
        .into(),
        Value::Bool(old) => (!*old).into(),
        Value::String(text) => match text.as_str() {
            "Weights" => "Outputs".into(),
            "Outputs" => "Weights".into(),
            "Classification" => "Regression".into(),
            "Nhwc" => "Nchw".into(),
            "Same" => "Reversed".into(),
            other => format!("{other}\n").into(),
        },
        _ => Value::Null,
    };
    *leaf = changed;
}

fn change_real(old: f64, dice: &mut Dice) -> Value {
    let new = match dice.below(7) {
        0 => 0.0,
        1 => -old,
        2 => old * 2.0,
        3 => old / 2.0,
        4 => f64::from(f32::MAX),
        5 => f64::from(f32::MIN_POSITIVE) / 4.0,
        _ => f64::from(f32::from_bits(dice.bits() as u32)),
    };
    serde_json::Number::from_f64(new).map_or(Value::from(1.0), Value::Number)
}

/// Drops, doubles or swaps layers.
fn reorder(layers: &mut Value, dice: &mut Dice) {
    let Value::Array(layers) = layers else { return };
    if layers.is_empty() {
        return;
    }
    let [a, b] = [dice.below(layers.len()), dice.below(layers.len())];
    match dice.below(3) {
        0 => drop(layers.remove(a)),
        1 => layers.insert(a, layers[b].clone()),
        _ => layers.swap(a, b),
    }
}

/// Numbers of a table at the ends of their range, or any bytes.
fn change_blob(blob: &mut Vec<u8>, dice: &mut Dice) {
    if blob.len() < 4 {
        return blob.push(0);
    }
    let at = dice.below(blob.len() - 3) & !3;
    match dice.below(4) {
        0 => blob[at..at + 4].copy_from_slice(&(dice.interesting(0) as u32).to_le_bytes()),
        1 => blob[at..at + 4].copy_from_slice(&f32::from_bits(dice.bits() as u32).to_le_bytes()),
        2 => {
            let end = blob.len().min(at + 1 + dice.below(256));
            let with = [0, 0x7f, 0x80, 0xff][dice.below(4)];
            blob[at..end].fill(with);
        }
        _ => blob[at] ^= 1 << dice.below(8),
    }
}
