//! JPEG artefacts: compressed and read back, in memory.

use crate::error::{Error, Result};
use crate::graph::Shape;
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageFormat};
use std::path::Path;

/// The picture after JPEG at a quality of 1 to 100.
///
/// # Errors
/// If it has neither one channel nor three, or is larger than the format allows.
pub fn compress(shape: Shape, picture: &[u8], quality: u8) -> Result<Vec<u8>> {
    let color = match shape.channels {
        1 => ExtendedColorType::L8,
        3 => ExtendedColorType::Rgb8,
        found => return Err(Error::invalid("channels of a picture for JPEG", found, "1 or 3")),
    };
    let failed = |error| Error::malformed(Path::new("(in memory)"), "JPEG", error, "a picture");
    let side = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality)
        .encode(picture, side(shape.width), side(shape.height), color)
        .map_err(failed)?;
    let decoded = image::load_from_memory_with_format(&bytes, ImageFormat::Jpeg).map_err(failed)?;
    Ok(if shape.channels == 1 { decoded.into_luma8().into_raw() } else { decoded.into_rgb8().into_raw() })
}
