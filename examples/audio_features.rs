//! Features of raw 16-bit samples, a second after another: what `cargo xtask audio` compares with a device.
//! `cargo run --example audio_features -- SAMPLES.bin FEATURES.bin [make]`; `make` writes the samples too.

use std::error::Error;
use stf_bnn::audio::{FrontEnd, Settings, Tables};

const SETTINGS: Settings = Settings::SPEECH_8K;
const SECOND: usize = 8_000;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [samples_path, features_path, make @ ..] = arguments.as_slice() else {
        return Err("expected SAMPLES.bin FEATURES.bin [make]".into());
    };
    if make == ["make"] {
        let bytes: Vec<u8> = made().flat_map(i16::to_le_bytes).collect();
        std::fs::write(samples_path, bytes)?;
    }
    let bytes = std::fs::read(samples_path)?;
    let samples: Vec<i16> = bytes.as_chunks().0.iter().map(|&pair| i16::from_le_bytes(pair)).collect();
    let mut words = vec![0; SETTINGS.table_words()];
    let tables = Tables::write(SETTINGS, &mut words)?;
    let mut workspace = vec![0; SETTINGS.workspace_words()];
    let mut front_end = FrontEnd::new(tables, &mut workspace)?;
    let mut all = Vec::new();
    for (index, second) in samples.chunks_exact(SECOND).enumerate() {
        let mut line = String::new();
        for frame in 0..SETTINGS.frames(SECOND) {
            let start = frame * usize::from(SETTINGS.hop);
            let mut features = vec![0; SETTINGS.values()];
            front_end.bytes(&second[start..start + usize::from(SETTINGS.frame)], &mut features)?;
            line.extend(features.iter().map(|byte| format!("{byte:02x}")));
            all.extend(features);
        }
        println!("features {index} {line}");
    }
    std::fs::write(features_path, all)?;
    Ok(())
}

/// A rising tone with fading loudness, noise, a full-scale square wave, and silence with one click.
fn made() -> impl Iterator<Item = i16> {
    let mut state = 1_u32;
    (0..4 * SECOND as u32).map(move |index| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (second, n) = (index / SECOND as u32, index % SECOND as u32);
        match second {
            // A triangle wave whose phase grows with the square of time.
            0 => {
                let phase = ((n * n / 64) % 2_000) as i32;
                ((phase - 1_000).abs() - 500) * (8_000 - n as i32) / 150
            }
            1 => (state >> 18) as i32 - (1 << 13),
            2 if n / 16 % 2 == 0 => i16::MAX.into(),
            2 => i16::MIN.into(),
            _ => i32::from(n == 4_000) * 20_000,
        }
        .clamp(i16::MIN.into(), i16::MAX.into()) as i16
    })
}
