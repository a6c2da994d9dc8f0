//! Audio front end: 16-bit samples in, log-mel bands or MFCC out, for the input of a network.
//!
//! A frame is windowed (periodic Hann), transformed (real FFT of a power of two), its power is summed
//! under mel triangles (HTK's formula, straight in mel), the logarithm to base 2 is taken and, for MFCC, a
//! DCT-II follows. All of it is integer arithmetic, so that the bits are the same on every target; tables
//! come from constant evaluation. `docs/audio.md` states the error against a float64 oracle.
//!
//! [`Settings`] → [`FixedTables`] or [`Tables`] → [`FrontEnd`] (one frame) → [`Stream`] (samples as they
//! come, the features of the last frames). The caller gives all memory; sizes are constant functions of
//! the settings. Nothing here is linked into a program that does not use it.

mod elementary;
mod fft;
mod front_end;
mod logarithm;
mod settings;
mod stream;
mod tables;

pub use front_end::{AudioError, FrontEnd};
pub use settings::{Settings, SettingsError};
pub use stream::Stream;
pub use tables::{FixedTables, Tables};
