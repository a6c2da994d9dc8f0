//! Samples as they come: frames when they are full, and the features of the last ones.

use super::front_end::require;
use super::{AudioError, FrontEnd, Settings};

/// A front end that takes samples in pieces of any length.
///
/// ```
/// use stf_bnn::audio::{FixedTables, FrontEnd, Settings, Stream};
///
/// const SETTINGS: Settings = Settings::SPEECH_8K;
/// static TABLES: FixedTables<{ SETTINGS.table_words() }> = match FixedTables::new(SETTINGS) {
///     Ok(tables) => tables,
///     Err(_) => panic!("impossible settings"),
/// };
/// let mut workspace = [0; SETTINGS.workspace_words()];
/// let (mut samples, mut ring) = ([0; SETTINGS.frame as usize], [0; 49 * SETTINGS.values()]);
/// let front_end = FrontEnd::new(TABLES.tables(), &mut workspace)?;
/// let mut stream = Stream::new(front_end, &mut samples, &mut ring)?;
/// let frames = stream.push(&[100; 8_000]);
/// let mut input = [0; 49 * SETTINGS.values()];
/// assert_eq!((frames, stream.latest(&mut input)?), (49, true));
/// # Ok::<(), stf_bnn::audio::AudioError>(())
/// ```
#[derive(Debug)]
pub struct Stream<'a> {
    front_end: FrontEnd<'a>,
    samples: &'a mut [i16],
    filled: usize,
    ring: &'a mut [u8],
    /// Where the next frame's features go.
    next: usize,
    full: bool,
}

impl<'a> Stream<'a> {
    /// `samples`: `frame` of them. `ring`: the features of as many frames as are wanted, at least
    /// one; it is cleared.
    ///
    /// # Errors
    /// If a length is another one.
    pub fn new(
        front_end: FrontEnd<'a>,
        samples: &'a mut [i16],
        ring: &'a mut [u8],
    ) -> Result<Self, AudioError> {
        let settings = front_end.settings();
        require("samples of a frame", samples.len(), settings.frame.into())?;
        let frames = (ring.len() / settings.values().max(1)).max(1);
        require("bytes of the ring", ring.len(), frames * settings.values())?;
        // Frames that are still missing are 0.
        ring.fill(0);
        Ok(Self { front_end, samples, filled: 0, ring, next: 0, full: false })
    }

    /// What is computed.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        self.front_end.settings()
    }

    /// Takes samples; the number of frames that they filled.
    pub fn push(&mut self, mut samples: &[i16]) -> usize {
        let mut frames = 0;
        while let Some(room) = self.samples.get_mut(self.filled..)
            && let Some((now, later)) = samples.split_at_checked(room.len())
        {
            room.copy_from_slice(now);
            samples = later;
            self.frame();
            frames += 1;
        }
        for (slot, &sample) in self.samples.iter_mut().skip(self.filled).zip(samples) {
            *slot = sample;
        }
        self.filled += samples.len();
        frames
    }

    /// Computes a full frame's features and keeps the samples that the next one shares.
    fn frame(&mut self) {
        let (hop, values) = (usize::from(self.settings().hop), self.settings().values());
        if let Some(features) = self.ring.get_mut(self.next..).and_then(|rest| rest.get_mut(..values)) {
            // Lengths were checked when the stream was made.
            let _ = self.front_end.bytes(self.samples, features);
        }
        self.next += values;
        if self.next >= self.ring.len() {
            (self.next, self.full) = (0, true);
        }
        self.filled = self.samples.len().saturating_sub(hop);
        for index in 0..self.filled {
            if let Some(&sample) = self.samples.get(index + hop)
                && let Some(slot) = self.samples.get_mut(index)
            {
                *slot = sample;
            }
        }
    }

    /// Copies the features of the last frames, oldest first: the network's input. `false`: there have not been
    /// enough frames yet, and the missing ones, which come first, are 0.
    ///
    /// # Errors
    /// If `features` has another length than the ring.
    pub fn latest(&self, features: &mut [u8]) -> Result<bool, AudioError> {
        require("features", features.len(), self.ring.len())?;
        let (Some(newer), Some(older)) = (self.ring.get(..self.next), self.ring.get(self.next..)) else {
            return Ok(false);
        };
        for (feature, &value) in features.iter_mut().zip(older.iter().chain(newer)) {
            *feature = value;
        }
        Ok(self.full)
    }

    /// Forgets everything, for another recording.
    pub fn clear(&mut self) {
        self.ring.fill(0);
        (self.filled, self.next, self.full) = (0, 0, false);
    }
}
