//! The `.stf` format: 32 bytes of header, the postcard manifest, and a blob of little-endian arrays.
//!
//! [`Model::from_bytes`] checks everything once at the door; the [`Model`] it returns is the proof
//! that nothing after it can read out of bounds, overflow or loop without bound.

mod adaptive;
mod aligned;
mod check;
mod crc;
mod decode;
mod error;
mod facts;
mod geometry;
mod header;
mod layer;
pub mod manifest;
mod model;
mod names;
#[cfg(feature = "signature")]
mod signature;
#[cfg(feature = "alloc")]
mod write;

pub use aligned::Aligned;
#[cfg(feature = "alloc")]
pub use aligned::AlignedBytes;
pub use error::{ArtifactError, Place};
pub use facts::{Abstention, Anomaly, Conformal, Drift, Intervals, SamplingPolicy, Score};
pub use geometry::WindowError;
pub use header::{ALIGNMENT, VERSION};
pub use layer::Operator;
pub use manifest::{
    Adaptive, Blob, ChannelOrder, Clamp, GaussianHead, InputLayout, InputSpec, Layer, Manifest, NoiseKind,
    Posterior, Prior, Provenance, Task, Tensor, Weights, Window,
};
pub use model::{Layers, Model};
pub use names::{Field, Rule};
#[cfg(all(feature = "alloc", feature = "signature"))]
pub use signature::sign;
#[cfg(feature = "signature")]
pub use signature::{PublicKey, public_key};
#[cfg(feature = "alloc")]
pub use write::ArtifactWriter;
