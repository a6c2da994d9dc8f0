//! What fuzzing starts from: the golden models, the ONNX files of the import's tests, and small inputs made here.

#[path = "../../tests/common/mod.rs"]
#[allow(clippy::pedantic, missing_debug_implementations)]
mod models;

use crate::artifact::assemble;
use crate::c_api::Op;
use crate::dice::Dice;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use stf_bnn::AlignedBytes;
use stf_bnn::artifact::sign;

/// The key of signed seeds.
pub const SECRET: [u8; 32] = [7; 32];

/// A named input.
pub type Seed = (String, Vec<u8>);

/// Number of small models.
pub const MODELS: usize = 12;

/// A small random model: each kind of first layer, joins of activations, one signed.
#[must_use]
pub fn model(index: usize) -> AlignedBytes {
    let seed = index as u64;
    match index % MODELS {
        first @ 0..5 => models::model(models::ALL[first], seed),
        5 | 6 => models::joints(seed),
        7 => models::ruled(&models::model(models::First::Conv, seed), models::RULE),
        8 => AlignedBytes::new(&sign(&models::model(models::First::Dense, seed), &SECRET, 3).expect("sound")),
        other => models::model(models::ALL[other % 5], seed),
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Files below a folder of the repository, with names that say where they came from.
fn files(folder: &str, wanted: impl Fn(&Path) -> bool) -> io::Result<Vec<Seed>> {
    let mut seeds = Vec::new();
    let mut folders = vec![repository().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if wanted(&path) {
                let [parent, name] = [folder.file_name(), path.file_name()]
                    .map(|name| name.unwrap_or_default().to_string_lossy().into_owned());
                seeds.push((format!("{parent}-{name}"), fs::read(&path)?));
            }
        }
    }
    seeds.sort();
    Ok(seeds)
}

/// The inputs that a target starts from, the committed ones of `fuzz/regressions` included.
///
/// # Errors
/// If a file of the repository cannot be read.
pub fn of(target: &str) -> io::Result<Vec<Seed>> {
    let mut seeds = match target {
        "artifact" => artifacts()?,
        "manifest" => artifacts()?.into_iter().map(|(name, file)| (name, manifest(&file))).collect(),
        "frames" => frames(),
        #[cfg(feature = "host")]
        "idx" => idx(),
        #[cfg(feature = "host")]
        "cifar" => vec![("one".into(), [&[200, 1][..], &[3; 64], b"cat\ndog\nhorse\nship\n"].concat())],
        #[cfg(feature = "host")]
        "numpy" => numpy(),
        #[cfg(feature = "host")]
        "images" => images(),
        #[cfg(feature = "host")]
        "wav" => recordings(),
        #[cfg(feature = "host")]
        "table" => tables(),
        "onnx" => {
            files("host-tools/tests/onnx_models", |path| path.extension().is_some_and(|e| e == "onnx"))?
        }
        "c-api" => calls(),
        _ => Vec::new(),
    };
    let regressions = format!("fuzz/regressions/{target}");
    if repository().join(&regressions).is_dir() {
        seeds.extend(files(&regressions, |_| true)?);
    }
    Ok(seeds)
}

fn artifacts() -> io::Result<Vec<Seed>> {
    let named = |path: &Path, name: &str| path.file_name().is_some_and(|found| found == name);
    let facts = files("tests/golden", |path| named(path, "model.json"))?;
    let blobs = files("tests/golden", |path| named(path, "model.bin"))?;
    let join = |((name, facts), (_, blob)): (Seed, Seed)| {
        let mut facts: serde_json::Value = serde_json::from_slice(&facts).ok()?;
        let layers = facts.get_mut("layers")?.take();
        Some((name, assemble(facts.get_mut("manifest")?.take(), layers, &blob)?))
    };
    let mut seeds: Vec<Seed> = facts.into_iter().zip(blobs).filter_map(join).collect();
    assert!(seeds.len() > 5, "found {} golden models", seeds.len());
    seeds.extend((0..MODELS).map(|index| (format!("small-{index}"), model(index).to_vec())));
    Ok(seeds)
}

fn manifest(file: &[u8]) -> Vec<u8> {
    let length = file.get(12..16).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])) as usize;
    file.get(32..32 + length).unwrap_or_default().to_vec()
}

/// A piece of a line; see [`crate::frames`].
fn piece(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().min(255);
    [&[kind, length as u8], &content[..length]].concat()
}

fn frames() -> Vec<Seed> {
    use stf_device_protocol::{Command, Request, encode};
    let inputs = [0_u8; 400];
    let small = model(0);
    let model = stf_bnn::Model::from_bytes(&small).expect("sound");
    let input = &inputs[..model.manifest().input.tensor.len() as usize];
    let commands = [
        Command::Hello,
        Command::Reset { counter: 1 << 32 },
        Command::Predict { label: Some(2), input },
        Command::Predict { label: None, input: &input[1..] },
        Command::Metrics,
        Command::Counters,
        Command::Drift,
    ];
    let mut all = Vec::new();
    let mut seeds = Vec::new();
    for (sequence, command) in (0..).zip(commands) {
        let mut buffer = [0; 1024];
        let frame = encode(&Request { session: 9, sequence, command }, &mut buffer).expect("fits").to_vec();
        let mut body = frame[..frame.len() - 1].to_vec();
        let length = cobs::decode_in_place(&mut body).expect("a frame");
        let message = piece(1, &body[..length - 4]);
        all.extend_from_slice(&message);
        seeds.push((format!("command-{sequence}"), message));
        seeds.push((format!("frame-{sequence}"), piece(0, &frame)));
    }
    seeds.push(("session".into(), all));
    seeds
}

#[cfg(feature = "host")]
fn idx() -> Vec<Seed> {
    let images = [&[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2][..], &[7; 8]].concat();
    let labels = [0, 0, 8, 1, 0, 0, 0, 2, 0, 1];
    let pair = [&images[..], &labels].concat();
    let share = (images.len() * 255).div_ceil(pair.len()) as u8;
    vec![("pair".into(), [&[share, 0][..], &pair].concat())]
}

#[cfg(feature = "host")]
fn npy(descr: &str, shape: &str, content: &[u8]) -> Vec<u8> {
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), content].concat()
}

#[cfg(feature = "host")]
fn numpy() -> Vec<Seed> {
    let labels = npy("|u1", "(2,)", &[0, 1]);
    let kinds =
        [("|u1", "(2, 2, 2)", 8), ("<f4", "(2, 3)", 24), ("<i8", "(2, 1, 2, 1)", 32), ("<f8", "(2, 1)", 16)];
    let mut seeds = Vec::new();
    for (number, (descr, shape, bytes)) in kinds.into_iter().enumerate() {
        let x = npy(descr, shape, &vec![1; bytes]);
        let pair = [&x[..], &labels].concat();
        let share = (0..=255).find(|&share| pair.len() * share / 255 >= x.len()).unwrap_or(255);
        for kind in 0..2 {
            seeds.push((format!("{number}-{kind}"), [&[share as u8, kind][..], &pair].concat()));
        }
    }
    seeds.push(("archive".into(), [&[0, 2][..], &zip_of_npy(&labels)].concat()));
    seeds
}

#[cfg(feature = "host")]
fn zip_of_npy(labels: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    let inputs = npy("|u1", "(2, 2, 2)", &[5; 8]);
    for (name, content) in [("x.npy", &inputs[..]), ("y.npy", labels)] {
        let written = zip.start_file(name, options).map(|()| zip.write_all(content));
        assert!(matches!(written, Ok(Ok(()))), "an archive in memory");
    }
    zip.finish().map(io::Cursor::into_inner).unwrap_or_default()
}

#[cfg(feature = "host")]
fn images() -> Vec<Seed> {
    use image::{ExtendedColorType as Colour, ImageFormat as Format};
    let pixels: Vec<u8> = (0..96_u8).map(|i| i.wrapping_mul(5) ^ i).collect();
    let kinds = [
        ("grey.png", Colour::L8, Format::Png, [6, 5, 1]),
        ("rgb.png", Colour::Rgb8, Format::Png, [4, 3, 3]),
        ("rgba.png", Colour::Rgba8, Format::Png, [3, 3, 4]),
        ("deep.png", Colour::L16, Format::Png, [3, 3, 2]),
        ("grey.jpg", Colour::L8, Format::Jpeg, [8, 9, 1]),
        ("rgb.jpg", Colour::Rgb8, Format::Jpeg, [5, 6, 3]),
    ];
    let encode = |(name, colour, format, [width, height, bytes]): (&str, _, _, [u32; 3])| {
        let mut file = io::Cursor::new(Vec::new());
        let values = &pixels[..(width * height * bytes) as usize];
        let written = image::write_buffer_with_format(&mut file, values, width, height, colour, format);
        assert!(written.is_ok(), "{name}: {written:?}");
        (name.to_string(), file.into_inner())
    };
    kinds.into_iter().map(encode).collect()
}

/// A WAV file of one channel or two, with a chunk of odd length in front of the samples.
#[cfg(feature = "host")]
fn recording(channels: u8, rate: u16, frames: usize) -> Vec<u8> {
    let [low, high] = rate.to_le_bytes();
    let format = [1, 0, channels, 0, low, high, 0, 0, 0, 0, 0, 0, 2 * channels, 0, 16, 0];
    let samples: Vec<u8> = (0..frames * usize::from(channels) * 2).map(|i| (i * 37 >> 3) as u8).collect();
    let mut file = b"RIFF\0\0\0\0WAVE".to_vec();
    for (name, content) in [(b"fmt ", &format[..]), (b"LIST", b"abc"), (b"data", &samples)] {
        file.extend(name);
        file.extend((content.len() as u32).to_le_bytes());
        file.extend(content);
        file.resize(file.len().next_multiple_of(2), 0);
    }
    file
}

#[cfg(feature = "host")]
fn recordings() -> Vec<Seed> {
    let kinds = [("empty", 1, 8_000, 0), ("mono", 1, 8_000, 700), ("stereo", 2, 16_000, 1_500)];
    kinds.map(|(name, channels, rate, frames)| (name.into(), recording(channels, rate, frames))).into()
}

/// See [`crate::data::table`].
#[cfg(feature = "host")]
fn tables() -> Vec<Seed> {
    let kinds = [
        ("last", "", "a,b,c\n1,2,3\n4,5.5,-6e1\n"),
        ("named", "c,a", "a, b,c\n1,2,3\n4,5.5,-6e1\n"),
        ("quoted", "b", "\"a \"\"x\"\"\",b\r\n\"1\",2\r\n"),
    ];
    let seed = |(name, targets, rows): (&str, &str, &str)| {
        let length = targets.len() + rows.len();
        let share = (targets.len() * 255).div_ceil(length) as u8;
        (name.to_string(), [&[share, 0], targets.as_bytes(), rows.as_bytes()].concat())
    };
    kinds.map(seed).into()
}

fn calls() -> Vec<Seed> {
    let usual = [
        Op::Load,
        Op::Describe,
        Op::Config,
        Op::WorkspaceSize,
        Op::Init,
        Op::PredictU8,
        Op::Set,
        Op::Accepted,
        Op::DriftInit,
        Op::DriftPush,
        Op::CalibrationInit,
        Op::CalibrationPush,
        Op::CalibrationRead,
    ];
    let mut seeds: Vec<Seed> = (0..4_u8)
        .map(|artifact| {
            let bytes = usual.iter().flat_map(|&op| [op as u8, artifact << 2, 0, 0]).collect();
            (format!("usual-{artifact}"), bytes)
        })
        .collect();
    let mut dice = Dice(1);
    for number in 0..4 {
        seeds.push((format!("random-{number}"), (0..64).map(|_| dice.bits() as u8).collect()));
    }
    seeds
}
