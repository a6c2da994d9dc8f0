//! What is fuzzed: each target takes any bytes and must neither panic nor touch memory that is not its own.
//!
//! `main.rs` drives them with libFuzzer; `tests/replay.rs` drives them on stable, from the same seeds and with
//! the same structure-aware mutations, as a part of the tests.

pub mod artifact;
pub mod c_api;
pub mod checksum;
#[cfg(feature = "host")]
pub mod data;
pub mod dice;
pub mod frames;
pub mod manifest;
#[cfg(feature = "host")]
pub mod onnx;
pub mod seeds;

pub use dice::Dice;

/// One target.
pub struct Target {
    /// Its name on the command line, and of its folders.
    pub name: &'static str,
    /// Tries one input.
    pub run: fn(&[u8]),
    /// Changes an input with knowledge of its structure; `None` for formats without checksums.
    pub mutate: Option<fn(&mut Vec<u8>, &mut Dice)>,
    /// Makes a file whole again that was changed without knowledge: lengths and checksums.
    pub repair: Option<fn(&mut Vec<u8>)>,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "artifact",
        run: artifact::run,
        mutate: Some(artifact::mutate),
        repair: Some(artifact::repair),
    },
    Target { name: "manifest", run: manifest::run, mutate: None, repair: None },
    Target { name: "frames", run: frames::run, mutate: None, repair: None },
    #[cfg(feature = "host")]
    Target { name: "idx", run: data::idx, mutate: None, repair: None },
    #[cfg(feature = "host")]
    Target { name: "cifar", run: data::cifar, mutate: None, repair: None },
    #[cfg(feature = "host")]
    Target { name: "numpy", run: data::numpy, mutate: None, repair: None },
    #[cfg(feature = "host")]
    Target { name: "images", run: data::images, mutate: None, repair: Some(checksum::repair_png) },
    #[cfg(feature = "host")]
    Target { name: "wav", run: data::wav, mutate: None, repair: None },
    #[cfg(feature = "host")]
    Target { name: "table", run: data::table, mutate: None, repair: None },
    #[cfg(feature = "host")]
    Target { name: "onnx", run: onnx::run, mutate: None, repair: None },
    Target { name: "c-api", run: c_api::run, mutate: None, repair: None },
];

/// A target by name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
