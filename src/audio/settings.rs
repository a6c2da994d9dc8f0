//! What a front end computes: lengths, bands, frequencies and the steps of its output.

use core::fmt;

/// Settings of a front end. [`Settings::check`] says which are possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Settings {
    /// Samples a second, 1,000 to 192,000.
    pub sample_rate: u32,
    /// Samples of a frame: even, more than a quarter of `fft`, at most `fft`; zeros fill up the rest.
    pub frame: u16,
    /// Samples from one frame's start to the next one's, 1 to `frame`.
    pub hop: u16,
    /// Length of the Fourier transform: a power of two, 16 to 4,096.
    pub fft: u16,
    /// Mel bands, 1 to 128.
    pub bands: u8,
    /// Coefficients of the cosine transform, at most `bands`; 0: the log-mel bands themselves.
    pub coefficients: u8,
    /// Lower edge of the lowest band, in Hz.
    pub low_hz: u32,
    /// Upper edge of the highest band, in Hz: above `low_hz`, at most half of `sample_rate`.
    pub high_hz: u32,
    /// 2 to this power is added to each band's energy, so that silence has a logarithm: 0 to 16. Energies are
    /// sums of squared magnitudes of the windowed frame's transform, in squared units of a sample.
    pub floor_log2: u8,
    /// Logarithm (base 2) of the energy that counts as zero, 0 to 48: subtracted from each band's.
    pub reference_log2: u8,
    /// A byte of the output is 2 to the minus this, in units of the logarithm: -4 to 8.
    pub steps_log2: i8,
}

/// Which setting is impossible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SettingsError {
    /// Name of the setting.
    pub field: &'static str,
    /// What it is.
    pub found: i64,
    /// What it may be.
    pub expected: &'static str,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "audio settings, {}: found {}, expected {}", self.field, self.found, self.expected)
    }
}

impl core::error::Error for SettingsError {}

const fn require(
    holds: bool,
    field: &'static str,
    found: i64,
    expected: &'static str,
) -> Result<(), SettingsError> {
    if holds { Ok(()) } else { Err(SettingsError { field, found, expected }) }
}

/// `?` of constant functions.
macro_rules! check {
    ($result:expr) => {
        if let Err(error) = $result {
            return Err(error);
        }
    };
}
pub(super) use check;

impl Settings {
    /// 10 MFCC of frames of 40 ms every 20 ms, from 40 bands: those of MLPerf Tiny's keyword spotting, for
    /// samples at 8 kHz. A second gives 49 frames.
    pub const SPEECH_8K: Self = Self {
        sample_rate: 8_000,
        frame: 320,
        hop: 160,
        fft: 512,
        bands: 40,
        coefficients: 10,
        low_hz: 20,
        high_hz: 4_000,
        floor_log2: 10,
        reference_log2: 24,
        steps_log2: 0,
    };

    /// As [`Settings::SPEECH_8K`] at another rate: the same times and frequencies (below half the rate).
    /// Above 102.4 kHz, where a frame of 40 ms is longer than the greatest transform, frames are 4,096 samples
    /// every 2,048: shorter times.
    #[must_use]
    pub const fn speech(sample_rate: u32) -> Self {
        let hop = sample_rate / 50;
        let frame = 2 * hop;
        let (frame, hop) = if frame > 4096 { (4096, 2048) } else { (frame as u16, hop as u16) };
        let half = sample_rate / 2;
        Self {
            sample_rate,
            frame,
            hop,
            fft: frame.next_power_of_two(),
            high_hz: if half < 4_000 { half } else { 4_000 },
            ..Self::SPEECH_8K
        }
    }

    /// Whether a front end can be made with these.
    ///
    /// # Errors
    /// Names the first setting that is out of its range.
    pub const fn check(&self) -> Result<(), SettingsError> {
        let rate = self.sample_rate;
        check!(require(rate >= 1_000 && rate <= 192_000, "sample_rate", rate as i64, "1,000 to 192,000"));
        let fft = self.fft;
        let holds = fft.is_power_of_two() && fft >= 16 && fft <= 4096;
        check!(require(holds, "fft", fft as i64, "a power of two, 16 to 4,096"));
        let holds = self.frame.is_multiple_of(2) && self.frame > fft / 4 && self.frame <= fft;
        check!(require(holds, "frame", self.frame as i64, "even, more than fft / 4, at most fft"));
        check!(require(self.hop >= 1 && self.hop <= self.frame, "hop", self.hop as i64, "1 to frame"));
        check!(require(self.bands >= 1 && self.bands <= 128, "bands", self.bands as i64, "1 to 128"));
        let holds = self.coefficients <= self.bands;
        check!(require(holds, "coefficients", self.coefficients as i64, "at most bands"));
        let holds = self.high_hz > self.low_hz && self.high_hz <= rate / 2;
        check!(require(holds, "high_hz", self.high_hz as i64, "above low_hz, at most half the sample rate"));
        check!(require(self.floor_log2 <= 16, "floor_log2", self.floor_log2 as i64, "0 to 16"));
        check!(require(self.reference_log2 <= 48, "reference_log2", self.reference_log2 as i64, "0 to 48"));
        let holds = self.steps_log2 >= -4 && self.steps_log2 <= 8;
        require(holds, "steps_log2", self.steps_log2 as i64, "-4 to 8")
    }

    /// Values of a frame: coefficients, or bands if there are none.
    #[must_use]
    pub const fn values(&self) -> usize {
        (if self.coefficients == 0 { self.bands } else { self.coefficients }) as usize
    }

    /// Frames that lie whole in so many samples.
    #[must_use]
    pub const fn frames(&self, samples: usize) -> usize {
        match (samples.checked_sub(self.frame as usize), self.hop) {
            (None, _) | (_, 0) => 0,
            (Some(rest), hop) => rest / hop as usize + 1,
        }
    }

    /// Samples of so many frames.
    #[must_use]
    pub const fn samples(&self, frames: usize) -> usize {
        match frames.checked_sub(1) {
            None => 0,
            Some(more) => self.frame as usize + more.saturating_mul(self.hop as usize),
        }
    }

    /// Words of 4 bytes that [`FrontEnd`](super::FrontEnd) works in.
    #[must_use]
    pub const fn workspace_words(&self) -> usize {
        self.fft as usize + self.bands as usize
    }

    /// Words of 4 bytes of the tables.
    #[must_use]
    pub const fn table_words(&self) -> usize {
        let [sine, window, mel, cosine] = self.sections();
        sine + window + mel + cosine
    }

    /// Words of each table: a quarter of a sine, half of the window, the bands of each frequency, a quarter
    /// of the cosine transform's cosine and the factor of its first coefficient.
    pub(super) const fn sections(&self) -> [usize; 4] {
        let cosine = if self.coefficients == 0 { 0 } else { self.bands as usize + 2 };
        [
            self.fft as usize / 4 + 1,
            self.frame as usize / 2 + 1,
            (self.fft as usize / 2).saturating_sub(1),
            cosine,
        ]
    }

    /// Binary digits that a full-scale sample gets behind the point, so that no sum of a frame of them
    /// passes 2^29.
    pub(super) const fn fraction_bits(&self) -> u32 {
        14_u32.saturating_sub((self.frame as u32).next_power_of_two().trailing_zeros())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_of_speech_has_the_frames_of_mlperf_tiny() {
        let speech = Settings::SPEECH_8K;
        assert_eq!((speech.check(), speech.frames(8_000), speech.values()), (Ok(()), 49, 10));
        assert_eq!((speech.samples(49), speech.frames(319), speech.samples(0)), (8_000, 0, 0));
        assert_eq!(Settings::speech(8_000), speech);
        let wide = Settings::speech(16_000);
        assert_eq!((wide.frame, wide.hop, wide.fft, wide.high_hz), (640, 320, 1024, 4_000));
    }

    #[test]
    fn speech_is_possible_at_every_usual_rate() {
        for rate in [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000] {
            assert_eq!(Settings::speech(rate).check(), Ok(()), "{rate}");
        }
    }

    #[test]
    fn each_impossible_setting_is_named() {
        let good = Settings::SPEECH_8K;
        let bad = [
            (Settings { sample_rate: 999, ..good }, "sample_rate"),
            (Settings { fft: 500, ..good }, "fft"),
            (Settings { frame: 321, ..good }, "frame"),
            (Settings { frame: 128, ..good }, "frame"),
            (Settings { frame: 514, ..good }, "frame"),
            (Settings { hop: 0, ..good }, "hop"),
            (Settings { hop: 321, ..good }, "hop"),
            (Settings { bands: 0, ..good }, "bands"),
            (Settings { coefficients: 41, ..good }, "coefficients"),
            (Settings { high_hz: 4_001, ..good }, "high_hz"),
            (Settings { high_hz: 20, ..good }, "high_hz"),
            (Settings { floor_log2: 17, ..good }, "floor_log2"),
            (Settings { reference_log2: 49, ..good }, "reference_log2"),
            (Settings { steps_log2: 9, ..good }, "steps_log2"),
        ];
        for (settings, field) in bad {
            assert_eq!(settings.check().unwrap_err().field, field);
        }
    }
}
