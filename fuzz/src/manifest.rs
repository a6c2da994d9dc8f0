//! Any bytes as the manifest of an artifact whose header and blobs are sound.

use stf_bnn::{AlignedBytes, Model};

/// Bytes of the blob section.
const BLOB: usize = 4096;

/// Loads, and predicts in the rare case that it is a model.
pub fn run(manifest: &[u8]) {
    let offset = (32 + manifest.len()).next_multiple_of(16);
    let mut file = vec![0; 32];
    file.extend_from_slice(manifest);
    file.resize(offset, 0);
    file.extend((0..BLOB).map(|i| (i * 31 % 251) as u8));
    file[12..16].copy_from_slice(&(manifest.len() as u32).to_le_bytes());
    crate::artifact::repair(&mut file);
    let file = AlignedBytes::new(&file);
    match Model::from_bytes(&file) {
        Ok(model) => crate::artifact::predict(&model, manifest.len() as u32),
        Err(error) => drop(error.to_string()),
    }
}
