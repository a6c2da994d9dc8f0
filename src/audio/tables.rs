//! Tables of a front end: integers, computed by constant functions, hence the same wherever and whenever
//! they are made.

use super::elementary::{PI, ln, round, sin, sqrt};
use super::settings::check;
use super::{Settings, SettingsError};

/// 1 in the tables of sine, window and cosine transform.
const ONE: f64 = (1 << 30) as f64;
/// 1 of a band's weight.
const UNIT: f64 = (1 << 15) as f64;
/// The weight's bits in a word of the mel table; the band is above them.
pub(super) const WEIGHT_BITS: u32 = 16;
/// A frequency outside of all bands.
pub(super) const NO_BAND: i32 = -1;

/// Checked settings and their tables.
#[derive(Debug, Clone, Copy)]
pub struct Tables<'a> {
    pub(super) settings: Settings,
    words: &'a [i32],
}

/// Settings and tables of `N` words, for a `static`:
///
/// ```
/// use stf_bnn::audio::{FixedTables, Settings};
///
/// const SETTINGS: Settings = Settings::SPEECH_8K;
/// static TABLES: FixedTables<{ SETTINGS.table_words() }> = match FixedTables::new(SETTINGS) {
///     Ok(tables) => tables,
///     Err(_) => panic!("impossible settings"),
/// };
/// assert_eq!(TABLES.tables().settings().frames(8_000), 49);
/// ```
#[derive(Debug, Clone)]
pub struct FixedTables<const N: usize> {
    settings: Settings,
    words: [i32; N],
}

impl<const N: usize> FixedTables<N> {
    /// Computes them; in a `static`, while the program is compiled.
    ///
    /// # Errors
    /// If a setting is impossible, or `N` is not [`Settings::table_words`].
    pub const fn new(settings: Settings) -> Result<Self, SettingsError> {
        let mut words = [0; N];
        match Tables::write(settings, &mut words) {
            Ok(_) => Ok(Self { settings, words }),
            Err(error) => Err(error),
        }
    }

    /// What [`FrontEnd`](super::FrontEnd) takes.
    #[must_use]
    pub const fn tables(&self) -> Tables<'_> {
        Tables { settings: self.settings, words: &self.words }
    }
}

impl<'a> Tables<'a> {
    /// Computes them into `words`.
    ///
    /// # Errors
    /// If a setting is impossible, or there are not [`Settings::table_words`] words.
    pub const fn write(settings: Settings, words: &'a mut [i32]) -> Result<Self, SettingsError> {
        check!(settings.check());
        if words.len() != settings.table_words() {
            let (field, found) = ("words of tables", words.len() as i64);
            return Err(SettingsError { field, found, expected: "table_words()" });
        }
        let [sine, window, mel, cosine] = settings.sections();
        write_sine(words, sine);
        write_window(words, sine, window);
        write_mel(&settings, words, sine + window, mel);
        write_cosine(&settings, words, sine + window + mel, cosine);
        Ok(Self { settings, words })
    }

    /// The settings that the tables are of.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// A quarter of a sine, both ends included, in 2^-30.
    pub(super) fn sine(&self) -> &'a [i32] {
        self.section(0)
    }

    /// The window from its first value to its middle, in 2^-30.
    pub(super) fn window(&self) -> &'a [i32] {
        self.section(1)
    }

    /// For each frequency above 0 and below the last: the band that it is on the rising side of, and its
    /// weight in that band in 2^-15; the rest belongs to the band before.
    pub(super) fn mel(&self) -> &'a [i32] {
        self.section(2)
    }

    /// A quarter of `sqrt(2 / bands) cos`, both ends included, then `sqrt(1 / bands)`, in 2^-30.
    pub(super) fn cosine(&self) -> &'a [i32] {
        self.section(3)
    }

    fn section(&self, index: usize) -> &'a [i32] {
        let sections = self.settings.sections();
        let start: usize = sections.iter().take(index).sum();
        let len = sections.get(index).copied().unwrap_or(0);
        self.words.get(start..start + len).unwrap_or_default()
    }
}

const fn write_sine(words: &mut [i32], len: usize) {
    let mut i = 0;
    while i < len {
        words[i] = round(sin(PI / 2.0 * i as f64 / (len - 1) as f64) * ONE);
        i += 1;
    }
}

/// Periodic Hann: sin^2(pi i / frame).
const fn write_window(words: &mut [i32], start: usize, len: usize) {
    let mut i = 0;
    while i < len {
        let s = sin(PI / 2.0 * i as f64 / (len - 1) as f64);
        words[start + i] = round(s * s * ONE);
        i += 1;
    }
}

/// HTK's mel, without its factor: only ratios count.
const fn mel(hz: f64) -> f64 {
    ln(1.0 + hz / 700.0)
}

const fn write_mel(settings: &Settings, words: &mut [i32], start: usize, len: usize) {
    let (low, high) = (mel(settings.low_hz as f64), mel(settings.high_hz as f64));
    let bands = settings.bands as i32;
    let mut bin = 1;
    while bin <= len {
        let hz = bin as f64 * settings.sample_rate as f64 / settings.fft as f64;
        // In distances of the bands' centres: band b rises from b to b + 1 and falls to b + 2.
        let place = (mel(hz) - low) / (high - low) * (bands + 1) as f64;
        words[start + bin - 1] = if place <= 0.0 || place >= (bands + 1) as f64 {
            NO_BAND
        } else {
            let band = place as i32;
            (band << WEIGHT_BITS) | round((place - band as f64) * UNIT)
        };
        bin += 1;
    }
}

const fn write_cosine(settings: &Settings, words: &mut [i32], start: usize, len: usize) {
    if len == 0 {
        return;
    }
    let bands = settings.bands as f64;
    let scale = sqrt(2.0 / bands);
    let mut i = 0;
    while i + 1 < len {
        let rest = PI / 2.0 * (len - 2 - i) as f64 / bands;
        words[start + i] = round(scale * sin(rest) * ONE);
        i += 1;
    }
    words[start + len - 1] = round(sqrt(1.0 / bands) * ONE);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::PI;

    fn near(found: i32, expected: f64) {
        assert!((f64::from(found) - expected).abs() <= 0.501, "{found} {expected}");
    }

    /// Every word again from the standard library's functions.
    fn recompute(settings: Settings) {
        let mut words = vec![0; settings.table_words()];
        let tables = Tables::write(settings, &mut words).unwrap();
        let fft = f64::from(settings.fft);
        for (i, &found) in tables.sine().iter().enumerate() {
            near(found, (2.0 * PI * i as f64 / fft).sin() * ONE);
        }
        for (i, &found) in tables.window().iter().enumerate() {
            let phase = 2.0 * PI * i as f64 / f64::from(settings.frame);
            near(found, (0.5 - 0.5 * phase.cos()) * ONE);
        }
        let mel = |hz: f64| 1127.0 * (1.0 + hz / 700.0).ln();
        let edges = [settings.low_hz, settings.high_hz].map(|hz| mel(f64::from(hz)));
        let spacing = (edges[1] - edges[0]) / f64::from(settings.bands + 1);
        for (i, &found) in tables.mel().iter().enumerate() {
            let place = (mel((i + 1) as f64 * f64::from(settings.sample_rate) / fft) - edges[0]) / spacing;
            if found == NO_BAND {
                assert!(place < 1e-9 || place > f64::from(settings.bands + 1) - 1e-9);
            } else {
                near((found >> WEIGHT_BITS) * 32768 + (found & 0xffff), place * UNIT);
            }
        }
        let bands = f64::from(settings.bands);
        for (i, &found) in tables.cosine().iter().enumerate() {
            let quarter = (2.0 / bands).sqrt() * (PI / 2.0 * i as f64 / bands).cos();
            let last = i == usize::from(settings.bands) + 1;
            near(found, if last { (1.0 / bands).sqrt() } else { quarter } * ONE);
        }
    }

    #[test]
    fn tables_are_the_rounded_functions() {
        recompute(Settings::SPEECH_8K);
        recompute(Settings::speech(44_100));
        recompute(Settings { bands: 128, coefficients: 0, ..Settings::SPEECH_8K });
        recompute(Settings { bands: 1, coefficients: 1, low_hz: 0, ..Settings::SPEECH_8K });
    }

    /// Computed while compiled or at run time, the words are the same.
    #[test]
    fn constant_evaluation_gives_the_bits_of_the_run_time() {
        const SETTINGS: Settings = Settings::SPEECH_8K;
        static FIXED: FixedTables<{ SETTINGS.table_words() }> = match FixedTables::new(SETTINGS) {
            Ok(tables) => tables,
            Err(_) => panic!("impossible settings"),
        };
        let mut words = vec![0; SETTINGS.table_words()];
        let made = Tables::write(std::hint::black_box(SETTINGS), &mut words).unwrap();
        assert_eq!(FIXED.tables().words, made.words);
        let short = Tables::write(SETTINGS, &mut [0; 3]).unwrap_err();
        assert_eq!((short.field, short.found), ("words of tables", 3));
    }
}
