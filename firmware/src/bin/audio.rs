//! Hears: raw 16-bit samples in flash, a second after another, go through the audio front end in pieces as from a
//! microphone, and the features of each second are predicted. Prints every feature and every bit of the
//! predictions: what `cargo xtask audio` compares with the host.
//!
//! The front end's settings are a constant here, as they are where the model is trained: the artifact does not
//! carry them.
#![no_std]
#![no_main]

use core::fmt::Write;
use cortex_m_rt::entry;
use cortex_m_semihosting::hio;
use stf_bnn::audio::{FixedTables, FrontEnd, Settings, Stream};
use stf_bnn::{Input, Predictor};
use stf_device_protocol::write_bits;
use stf_firmware::{
    CONFIG, EMPTY, INPUT_BYTES, INPUT_VALUES, INPUTS, OPERATORS, WORKSPACE_BYTES, count_from_here,
    count_to_here, fail, model, succeed,
};

const SETTINGS: Settings = Settings::SPEECH_8K;
/// Samples of a prediction.
const SECOND: usize = 8_000;
const FEATURES: usize = SETTINGS.frames(SECOND) * SETTINGS.values();
const SECONDS: usize = INPUT_BYTES / (2 * SECOND);
/// Samples that come at once.
const PIECE: usize = 100;

/// 2.4 kB of flash, computed while the program is compiled.
static TABLES: FixedTables<{ SETTINGS.table_words() }> = match FixedTables::new(SETTINGS) {
    Ok(tables) => tables,
    Err(_) => panic!("impossible settings"),
};

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    fail("panic")
}

#[entry]
fn main() -> ! {
    static mut WORKSPACE: [u8; WORKSPACE_BYTES] = [0; WORKSPACE_BYTES];
    static mut AUDIO_WORKSPACE: [i32; SETTINGS.workspace_words()] = [0; SETTINGS.workspace_words()];
    static mut SAMPLES: [i16; SETTINGS.frame as usize] = [0; SETTINGS.frame as usize];
    static mut RING: [u8; FEATURES] = [0; FEATURES];
    static mut HEARD: [[u8; FEATURES]; SECONDS] = [[0; FEATURES]; SECONDS];
    if FEATURES != INPUT_VALUES {
        fail("the model's input is not 49 frames of 10 coefficients");
    }
    let Ok(front_end) = FrontEnd::new(TABLES.tables(), AUDIO_WORKSPACE) else { fail("no front end") };
    let Ok(mut stream) = Stream::new(front_end, SAMPLES, RING) else { fail("no stream") };
    let Ok(mut out) = hio::hstdout() else { fail("no semihosting") };
    for (index, (second, heard)) in INPUTS.chunks_exact(2 * SECOND).zip(HEARD.iter_mut()).enumerate() {
        stream.clear();
        count_from_here();
        for bytes in second.chunks(2 * PIECE) {
            let mut piece = [0; PIECE];
            for (sample, bytes) in piece.iter_mut().zip(bytes.as_chunks().0) {
                *sample = i16::from_le_bytes(*bytes);
            }
            stream.push(&piece);
        }
        let full = stream.latest(heard) == Ok(true);
        count_to_here();
        if !full || print_features(&mut out, index, heard).is_err() {
            fail("no features");
        }
    }
    let mut place = EMPTY;
    let Some(model) = model(&mut place) else { fail("the embedded model is damaged") };
    let mut made = Predictor::with_operators(model, CONFIG, WORKSPACE, &OPERATORS);
    let Ok(predictor) = &mut made else { fail("no predictor") };
    for (index, heard) in HEARD.iter().enumerate() {
        count_from_here();
        let result = predictor.predict(Input::U8(heard));
        count_to_here();
        let Ok(p) = result else { fail("no prediction") };
        let written = write_bits(&mut out, index, p.mean, p.spread, p.samples, p.classification.as_ref());
        if written.and_then(|()| out.write_char('\n')).is_err() {
            fail("semihosting closed");
        }
    }
    succeed()
}

fn print_features(out: &mut impl Write, index: usize, features: &[u8]) -> core::fmt::Result {
    write!(out, "features {index} ")?;
    for byte in features {
        write!(out, "{byte:02x}")?;
    }
    out.write_char('\n')
}
