//! Shifted copies of a data set: the usual corruptions of pictures at five severities, our own
//! implementation after Hendrycks and Dietterich (2019), with severities for pictures of about 30 pixels.
//!
//! Pictures are bytes, 0 to 255. A seed, the example's index, the kind and the severity decide every
//! random number, so that the same set comes out on every machine.

mod blur;
mod geometry;
mod jpeg;
mod pixels;

use super::{Dataset, Element, Inputs, RawExample, Scratch};
use crate::error::{Error, Result};
use crate::graph::Shape;
use rand_core::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use std::fmt;
use std::str::FromStr;

/// A kind of corruption.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Gaussian noise, each value by itself.
    Noise,
    /// Gaussian blur.
    Blur,
    /// All values brighter.
    Brightness,
    /// Less contrast around the picture's mean.
    Contrast,
    /// Turned by up to an angle, in either direction.
    Rotation,
    /// Moved by a distance in a random direction.
    Translation,
    /// Compressed as JPEG.
    Jpeg,
}

/// A kind at a severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Corruption {
    /// The kind.
    pub kind: Kind,
    /// 1, mild, to 5.
    pub severity: u8,
}

/// Severities of each kind.
pub const SEVERITIES: u8 = 5;

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 7] = [
        Self::Noise,
        Self::Blur,
        Self::Brightness,
        Self::Contrast,
        Self::Rotation,
        Self::Translation,
        Self::Jpeg,
    ];

    /// Its name on the command line and in figures.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Noise => "noise",
            Self::Blur => "blur",
            Self::Brightness => "brightness",
            Self::Contrast => "contrast",
            Self::Rotation => "rotation",
            Self::Translation => "translation",
            Self::Jpeg => "jpeg",
        }
    }

    /// Strength at the severities 1 to 5. Noise: standard deviation as a share of 255. Blur: standard
    /// deviation in pixels. Brightness: added share of 255. Contrast: factor. Rotation: degrees.
    /// Translation: share of the picture's side. JPEG: quality.
    #[must_use]
    pub const fn strengths(self) -> [f64; 5] {
        match self {
            Self::Noise => [0.04, 0.08, 0.12, 0.18, 0.26],
            Self::Blur => [0.5, 0.75, 1.0, 1.5, 2.0],
            Self::Brightness => [0.1, 0.2, 0.3, 0.4, 0.5],
            Self::Contrast => [0.75, 0.5, 0.4, 0.3, 0.15],
            Self::Rotation => [10.0, 20.0, 30.0, 45.0, 60.0],
            Self::Translation => [0.05, 0.1, 0.15, 0.2, 0.25],
            Self::Jpeg => [80.0, 65.0, 50.0, 30.0, 15.0],
        }
    }
}

impl Corruption {
    /// Every kind at every severity.
    pub fn all() -> impl Iterator<Item = Self> {
        Kind::ALL.into_iter().flat_map(|kind| (1..=SEVERITIES).map(move |severity| Self { kind, severity }))
    }

    /// A corrupted copy of a set of pictures; labels and classes stay.
    ///
    /// # Errors
    /// If the values are no bytes, hence maybe no pixels, or an example cannot be read.
    pub fn apply(self, set: &Dataset, seed: u64) -> Result<Dataset> {
        if set.element() != Element::U8 {
            let what = format!("values of {}, to be corrupted", set.name);
            return Err(Error::invalid(what, set.element(), "u8, the bytes of pictures"));
        }
        let (mut values, mut scratch) = (Vec::new(), Scratch::default());
        for index in 0..set.len() {
            if let RawExample::U8(picture) = set.raw(index, &mut scratch)? {
                values.extend(self.picture(set.shape, picture, seed, index as u64)?);
            }
        }
        Ok(Dataset {
            name: format!("{} {self}", set.name),
            shape: set.shape,
            inputs: Inputs::U8(values),
            labels: set.labels.clone(),
            class_names: set.class_names.clone(),
            targets: set.targets.clone(),
        })
    }

    /// One corrupted picture, HWC like the original.
    fn picture(self, shape: Shape, picture: &[u8], seed: u64, index: u64) -> Result<Vec<u8>> {
        let strength = self.kind.strengths()[usize::from(self.severity - 1)];
        let salt = (self.kind as u64) << 8 | u64::from(self.severity);
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(
            seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (salt << 48) ^ index,
        );
        if self.kind == Kind::Jpeg {
            return jpeg::compress(shape, picture, strength as u8);
        }
        let values: Vec<f64> = picture.iter().map(|&value| f64::from(value)).collect();
        let changed = match self.kind {
            Kind::Noise => pixels::noise(&values, strength, &mut rng),
            Kind::Brightness => pixels::brighten(&values, strength),
            Kind::Contrast => pixels::contrast(&values, strength),
            Kind::Blur => blur::gaussian(shape, &values, strength),
            Kind::Rotation => geometry::rotate(shape, &values, strength, &mut rng),
            Kind::Translation | Kind::Jpeg => geometry::translate(shape, &values, strength, &mut rng),
        };
        Ok(changed.into_iter().map(|value| value.round().clamp(0.0, 255.0) as u8).collect())
    }
}

impl fmt::Display for Corruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.name(), self.severity)
    }
}

/// From `NAME:SEVERITY`, such as `blur:3`.
impl FromStr for Corruption {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (name, severity) = text.split_once(':').unwrap_or((text, ""));
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name);
        let severity = severity.parse().ok().filter(|severity| (1..=SEVERITIES).contains(severity));
        match (kind, severity) {
            (Some(kind), Some(severity)) => Ok(Self { kind, severity }),
            _ => Err(format!(
                "expected NAME:SEVERITY with a severity of 1 to 5 and a name of {}",
                Kind::ALL.map(Kind::name).join(", ")
            )),
        }
    }
}

#[cfg(test)]
mod tests;
