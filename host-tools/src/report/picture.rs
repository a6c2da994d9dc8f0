//! Inputs as pictures that a page can hold.

use crate::data::{Dataset, RawExample, Scratch};
use crate::error::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};

/// Least and most rows and columns of what is shown as a picture.
const SIDES: std::ops::RangeInclusive<usize> = 4..=512;

/// An example as PNG in base64; `None` if it has neither one nor three channels, or too few or too many
/// rows or columns for a picture. Values that are no bytes are stretched from their least to their greatest.
///
/// # Errors
/// If the example cannot be read.
pub fn png(data: &Dataset, index: usize) -> Result<Option<String>> {
    let shape = data.shape;
    let colour = match shape.channels {
        1 => ExtendedColorType::L8,
        3 => ExtendedColorType::Rgb8,
        _ => return Ok(None),
    };
    if !SIDES.contains(&shape.height) || !SIDES.contains(&shape.width) {
        return Ok(None);
    }
    let mut scratch = Scratch::default();
    let pixels = match data.raw(index, &mut scratch)? {
        RawExample::U8(values) => values.to_vec(),
        RawExample::F32(values) => stretch(values),
    };
    let mut bytes = Vec::new();
    let encoder = PngEncoder::new(&mut bytes);
    // Only a wrong number of pixels is refused, and they are as many as the shape says.
    let encoded = encoder.write_image(&pixels, shape.width as u32, shape.height as u32, colour);
    Ok(encoded.ok().map(|()| STANDARD.encode(bytes)))
}

fn stretch(values: &[f32]) -> Vec<u8> {
    let low = values.iter().copied().fold(f32::INFINITY, f32::min);
    let high = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let span = if high > low { high - low } else { 1.0 };
    values.iter().map(|value| ((value - low) / span * 255.0).round() as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Inputs;
    use crate::graph::Shape;

    fn set(shape: Shape, inputs: Inputs) -> Dataset {
        Dataset {
            name: "a".into(),
            shape,
            inputs,
            labels: vec![0, 0],
            class_names: vec!["a".into()],
            targets: Default::default(),
        }
    }

    fn pixels(text: &str) -> (u32, u32, Vec<u8>) {
        let picture = image::load_from_memory(&STANDARD.decode(text).unwrap()).unwrap();
        (picture.width(), picture.height(), picture.into_bytes())
    }

    #[test]
    fn pixels_come_back_as_they_were() {
        let values: Vec<u8> = (0..2 * 4 * 5 * 3).collect();
        let colour = set(Shape::new(4, 5, 3), Inputs::U8(values.clone()));
        assert_eq!(pixels(&png(&colour, 1).unwrap().unwrap()), (5, 4, values[60..].to_vec()));
        let floats = (0..32).map(|i| if i < 16 { 0.0 } else { i as f32 - 20.0 }).collect();
        let grey = set(Shape::new(4, 4, 1), Inputs::F32(floats));
        assert_eq!(pixels(&png(&grey, 0).unwrap().unwrap()).2, [0; 16]);
        assert_eq!(pixels(&png(&grey, 1).unwrap().unwrap()).2, (0..16).map(|i| i * 17).collect::<Vec<u8>>());
    }

    #[test]
    fn what_is_no_picture_is_not_shown_as_one() {
        for shape in [Shape::new(4, 4, 2), Shape::vector(1), Shape::new(3, 9, 1)] {
            let data = set(shape, Inputs::U8(vec![0; 2 * shape.len()]));
            assert_eq!(png(&data, 0).unwrap(), None, "{shape:?}");
        }
        assert!(png(&set(Shape::new(4, 4, 1), Inputs::U8(vec![0; 32])), 2).is_err());
    }
}
