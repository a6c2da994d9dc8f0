//! Any bytes as an ONNX file.

use std::path::Path;
use stf_host::graph::Shape;
use stf_host::import::{self, ImportOptions};

/// Imports as the file says, and with an input shape from outside.
pub fn run(bytes: &[u8]) {
    let path = Path::new("fuzz.onnx");
    for input in [None, Some(Shape::new(8, 8, 3))] {
        let options = ImportOptions { input, ..ImportOptions::default() };
        if let Err(error) = import::from_bytes(path, bytes, &options) {
            drop(error.to_string());
        }
    }
}
