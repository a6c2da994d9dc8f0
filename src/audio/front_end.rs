//! One frame of samples to its features.

use super::tables::{NO_BAND, WEIGHT_BITS};
use super::{Settings, Tables, fft, logarithm};
use core::fmt;

/// Most binary digits that a quiet frame is raised by.
const MOST_HEADROOM: u32 = 10;
/// A weighted power is shifted by this, so that no band's sum passes 2^61.
const POWER_SHIFT: u32 = 16;
/// Of a weight.
const UNIT_LOG2: u32 = 15;

/// What is wrong with memory or samples that were given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct AudioError {
    /// What it is.
    pub field: &'static str,
    /// Its length.
    pub found: usize,
    /// The length that it should have.
    pub expected: usize,
}

impl fmt::Display for AudioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "audio, {}: found {}, expected {}", self.field, self.found, self.expected)
    }
}

impl core::error::Error for AudioError {}

pub(super) fn require(field: &'static str, found: usize, expected: usize) -> Result<(), AudioError> {
    if found == expected { Ok(()) } else { Err(AudioError { field, found, expected }) }
}

/// Computes the features of frames in memory that the caller gives.
#[derive(Debug)]
pub struct FrontEnd<'a> {
    tables: Tables<'a>,
    /// `fft` words of data, then one a band.
    workspace: &'a mut [i32],
}

impl<'a> FrontEnd<'a> {
    /// `workspace`: [`Settings::workspace_words`].
    ///
    /// # Errors
    /// If the workspace has another length.
    pub fn new(tables: Tables<'a>, workspace: &'a mut [i32]) -> Result<Self, AudioError> {
        require("words of workspace", workspace.len(), tables.settings.workspace_words())?;
        Ok(Self { tables, workspace })
    }

    /// What it computes.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.tables.settings
    }

    /// Features of one frame as bytes: `clamp(128 + round(value 2^steps_log2), 0, 255)`, halves upwards.
    ///
    /// `samples`: `frame` of them. `features`: [`Settings::values`] bytes, lowest band or coefficient first.
    ///
    /// # Errors
    /// If a length is another one.
    pub fn bytes(&mut self, samples: &[i16], features: &mut [u8]) -> Result<(), AudioError> {
        require("features", features.len(), self.settings().values())?;
        let steps = i32::from(self.settings().steps_log2);
        let mut features = features.iter_mut();
        self.each(samples, |value| {
            if let Some(feature) = features.next() {
                *feature = to_byte(value, steps);
            }
        })
    }

    /// Features of one frame in 2^-16 of the logarithm's unit (a factor of 2 in energy, 3.01 dB).
    ///
    /// # Errors
    /// As [`FrontEnd::bytes`].
    pub fn fixed(&mut self, samples: &[i16], features: &mut [i32]) -> Result<(), AudioError> {
        require("features", features.len(), self.settings().values())?;
        let mut features = features.iter_mut();
        self.each(samples, |value| {
            if let Some(feature) = features.next() {
                *feature = value;
            }
        })
    }

    fn each(&mut self, samples: &[i16], write: impl FnMut(i32)) -> Result<(), AudioError> {
        let Self { tables, workspace } = self;
        let settings = &tables.settings;
        require("samples of a frame", samples.len(), settings.frame.into())?;
        let fft = usize::from(settings.fft);
        let Some((data, bands)) = workspace.split_at_mut_checked(fft) else {
            return require("words of workspace", workspace.len(), settings.workspace_words());
        };
        let (data, _) = data.as_chunks_mut::<2>();
        let exponent = load(samples, tables, data);
        fft::real(data, tables.sine());
        log_mel(tables, data, exponent, bands);
        if settings.coefficients == 0 {
            bands.iter().copied().for_each(write);
        } else {
            cosine_transform(tables, bands, write);
        }
        Ok(())
    }
}

/// 2^-16 to a byte.
fn to_byte(value: i32, steps_log2: i32) -> u8 {
    let shift = (16 - steps_log2).clamp(1, 31);
    let rounded = (i64::from(value) + (1 << (shift - 1))) >> shift;
    (rounded + 128).clamp(0, 255) as u8
}

/// Windows the samples and puts pairs of them in the transform's order; the binary digits behind the point.
fn load(samples: &[i16], tables: &Tables<'_>, data: &mut [[i32; 2]]) -> u32 {
    let largest = samples.iter().fold(0, |largest: u16, sample| largest.max(sample.unsigned_abs()));
    let bits = 16 - largest.saturating_sub(1).leading_zeros();
    let headroom = 15_u32.saturating_sub(bits).min(MOST_HEADROOM);
    let exponent = tables.settings.fraction_bits() + headroom;
    let window = tables.window();
    // The window's second half mirrors the first.
    let mut weights = window.iter().chain(window.iter().rev().skip(1)).copied();
    data.fill([0; 2]);
    let count = data.len();
    for (index, &[even, odd]) in samples.as_chunks::<2>().0.iter().enumerate() {
        let mut scaled =
            |sample: i16| scale(i64::from(sample) * i64::from(weights.next().unwrap_or(0)), exponent);
        let pair = [scaled(even), scaled(odd)];
        if let Some(slot) = data.get_mut(fft::place(index, count)) {
            *slot = pair;
        }
    }
    exponent
}

/// From 30 binary digits to `exponent`, which is at most 21, rounded.
#[inline(always)]
fn scale(product: i64, exponent: u32) -> i32 {
    let down = 30_u32.saturating_sub(exponent).clamp(1, 63);
    ((product + (1 << (down - 1))) >> down) as i32
}

/// Logarithms of the bands' energies less the reference, in 2^-16.
fn log_mel(tables: &Tables<'_>, spectrum: &[[i32; 2]], exponent: u32, bands: &mut [i32]) {
    let settings = &tables.settings;
    // A sum is the energy times 2^digits: doubled magnitudes, squared, weight and shift.
    let digits = 2 * (exponent + 1) + UNIT_LOG2 - POWER_SHIFT;
    let floor = 1_u64 << (u32::from(settings.floor_log2) + digits).min(62);
    let base = (digits as i32 + i32::from(settings.reference_log2)) << logarithm::FRACTION;
    let mut slots = bands.iter_mut();
    let mut close = |sum: u64| {
        if let Some(slot) = slots.next() {
            *slot = logarithm::log2(sum + floor) - base;
        }
    };
    // Bands `rising` and the one before it, which falls, are open. Band -1 is none.
    let (mut rising, mut sums) = (0, [0_u64; 2]);
    for (&[re, im], &word) in spectrum.iter().skip(1).zip(tables.mel()) {
        if word == NO_BAND {
            continue;
        }
        while rising < word >> WEIGHT_BITS {
            if rising > 0 {
                close(sums[0]);
            }
            (rising, sums) = (rising + 1, [sums[1], 0]);
        }
        let (re, im) = (i64::from(re), i64::from(im));
        let power = (re * re + im * im) as u64;
        let weight = (word & ((1 << WEIGHT_BITS) - 1)) as u64;
        // In two parts: the product has up to 76 binary digits.
        let low = power & ((1 << POWER_SHIFT) - 1);
        let share = (power >> POWER_SHIFT) * weight + ((low * weight) >> POWER_SHIFT);
        sums[1] += share;
        sums[0] += (power >> (POWER_SHIFT - UNIT_LOG2)) - share;
    }
    while rising <= i32::from(settings.bands) {
        if rising > 0 {
            close(sums[0]);
        }
        (rising, sums) = (rising + 1, [sums[1], 0]);
    }
}

/// DCT-II, orthonormal: `sqrt(2 / bands) sum_b log_mel[b] cos(pi k (b + 1/2) / bands)`, for k = 0 with
/// `sqrt(1 / bands)`.
fn cosine_transform(tables: &Tables<'_>, bands: &[i32], mut write: impl FnMut(i32)) {
    let count = bands.len();
    let Some((&first, quarter)) = tables.cosine().split_last() else { return };
    let round = |sum: i64| ((sum + (1 << 29)) >> 30) as i32;
    write(round(bands.iter().map(|&band| i64::from(band)).sum::<i64>() * i64::from(first)));
    for k in 1..usize::from(tables.settings.coefficients) {
        // The angle in steps of which a turn has 4 count: k, 3k, 5k ...
        let (mut angle, mut sum) = (k, 0_i64);
        for &band in bands {
            let mirrored = angle.min((4 * count).wrapping_sub(angle));
            let (index, negative) =
                if mirrored > count { ((2 * count).wrapping_sub(mirrored), true) } else { (mirrored, false) };
            let product = i64::from(band) * i64::from(quarter.get(index).copied().unwrap_or(0));
            sum += if negative { -product } else { product };
            angle += 2 * k;
            if angle >= 4 * count {
                angle -= 4 * count;
            }
        }
        write(round(sum));
    }
}
