//! How a host talks to a device that runs the runtime: one request, one reply.
//!
//! A message is postcard, then its CRC-32 (ISO-HDLC, little-endian), COBS-encoded, ended by a zero byte.
//! The host numbers its requests within a session that it opens with `Hello`; it sends a request again
//! until the reply with its number comes. The device executes each number once, and answers a repeated
//! one with the same reply again: a lost or damaged frame costs time, never a count.
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]

mod bits;
#[cfg(feature = "std")]
mod client;
#[cfg(feature = "std")]
mod device;
#[cfg(feature = "std")]
mod figures;
mod frame;
#[cfg(feature = "std")]
mod line;
#[cfg(feature = "std")]
pub mod log;
mod message;
#[cfg(feature = "std")]
mod serve;
mod server;

pub use bits::{write_bits, write_draw};
#[cfg(feature = "std")]
pub use client::{Client, ClientError, Link, Patience};
#[cfg(feature = "std")]
pub use device::{Description, Device, DeviceError, Owned};
#[cfg(feature = "std")]
pub use figures::Figures;
pub use frame::{FrameError, decode, encode, frame_bytes};
#[cfg(feature = "std")]
pub use line::{DEFAULT_BAUD, Line};
pub use message::{
    Answer, Command, Counters, Drift, Hello, Metrics, Predicted, Refusal, Reply, Request, VERSION,
};
#[cfg(feature = "std")]
pub use serve::serve;
pub use server::{Server, model_id};
