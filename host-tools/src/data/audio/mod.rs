//! Folders of WAV files: one second of each recording as MFCC, computed by the runtime's own front end
//! ([`stf_bnn::audio`]), so that a device that runs it sees the same bytes.
//!
//! `SPEC@A,B`: recordings of these speakers; `SPEC@!A,B`: of all others; `SPEC@test=A,B`: theirs are the test
//! part, all others' the rest. The named set `spoken-digits` has its authors' test part, recordings
//! 0 to 4 of each digit and speaker, which a choice of speakers keeps; other folders are divided before speakers are
//! chosen.

mod clip;
mod files;
pub mod wav;

pub use clip::{Clips, FRAMES, fit, shape};
pub use files::is_folder;

use super::{Dataset, Inputs, Loaded, Origin, is_there};
use crate::error::{Error, Result};
use crate::graph::Shape;
use files::{Entry, Listing};
use rayon::prelude::*;
use std::path::Path;

/// Recordings of `spoken-digits` below this number are for the test.
const TEST_NUMBERS: u32 = 5;

/// How recordings are divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Division {
    /// Not at all.
    Whole,
    /// By number, as the Free Spoken Digit Dataset's authors do.
    ByNumber,
}

/// The source and the speakers of a spec that names some.
pub(super) fn split(spec: &str) -> Option<(&str, &str)> {
    if is_there(spec) { None } else { spec.rsplit_once('@') }
}

/// Reads a folder; `speakers` as behind the `@` of a spec.
///
/// # Errors
/// If there are no WAV files, one is malformed or of another sample rate than the first, a speaker is unknown,
/// or no recording is left.
pub fn read(name: &str, folder: &Path, division: Division, speakers: Option<&str>) -> Result<Loaded> {
    let listing = files::list(folder)?;
    let choice = Choice::parse(folder, &listing, speakers)?;
    let name = speakers.map_or(name.to_string(), |speakers| format!("{name}@{speakers}"));
    let part = |keep: &dyn Fn(&Entry) -> bool| {
        let files: Vec<&Entry> = listing.files.iter().filter(|file| keep(file)).collect();
        read_files(&name, &listing, &files)?.checked(folder)
    };
    if let Choice::Test(_) = choice {
        let (train, test) = (part(&|file| !choice.has(file))?, part(&|file| choice.has(file))?);
        return Loaded::official(folder, train, test);
    }
    if division == Division::Whole {
        let set = part(&|file| choice.has(file))?;
        return Ok(match choice {
            Choice::All => Loaded::Whole(set),
            _ => Loaded::Chosen { set, origin: choice.origin(&listing) },
        });
    }
    let is_test = |file: &Entry| file.number.is_some_and(|number| number < TEST_NUMBERS);
    let train = part(&|file| choice.has(file) && !is_test(file))?;
    Loaded::official(folder, train, part(&|file| choice.has(file) && is_test(file))?)
}

/// Which speakers a spec asks for.
enum Choice {
    All,
    Only(Vec<String>),
    Others(Vec<String>),
    /// As the test part.
    Test(Vec<String>),
}

impl Choice {
    fn parse(folder: &Path, listing: &Listing, speakers: Option<&str>) -> Result<Self> {
        let known = |names: &str| {
            names.split(',').map(|name| known(folder, listing, name)).collect::<Result<Vec<_>>>()
        };
        Ok(match speakers {
            None => Self::All,
            Some(names) => match (names.strip_prefix("test="), names.strip_prefix('!')) {
                (Some(names), _) => Self::Test(known(names)?),
                (None, Some(names)) => Self::Others(known(names)?),
                (None, None) => Self::Only(known(names)?),
            },
        })
    }

    /// Where the recordings are among those of all speakers.
    fn origin(&self, listing: &Listing) -> Origin {
        let chosen = listing.files.iter().enumerate().filter(|(_, file)| self.has(file));
        Origin {
            labels: listing.files.iter().map(|file| file.label).collect(),
            indices: chosen.map(|(index, _)| index).collect(),
        }
    }

    fn has(&self, file: &Entry) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) | Self::Test(names) => names.contains(&file.speaker),
            Self::Others(names) => !names.contains(&file.speaker),
        }
    }
}

fn known(folder: &Path, listing: &Listing, speaker: &str) -> Result<String> {
    if listing.files.iter().any(|file| file.speaker == speaker) {
        return Ok(speaker.to_string());
    }
    let mut all: Vec<&str> = listing.files.iter().map(|file| file.speaker.as_str()).collect();
    all.sort_unstable();
    all.dedup();
    let expected = match all.len() {
        0..=20 => format!("one of {}", all.join(", ")),
        count => format!("one of {count} speakers, such as {}", all[count / 2]),
    };
    Err(Error::invalid(format!("{}: speaker", folder.display()), speaker, expected))
}

fn read_files(name: &str, listing: &Listing, files: &[&Entry]) -> Result<Dataset> {
    let Some(first) = files.first() else {
        return Err(Error::invalid(format!("{name}: recordings"), 0, "at least 1"));
    };
    let clips = Clips::new(&first.path, wav::read(&first.path)?.sample_rate)?;
    let one = |file: &&Entry| clips.features(&file.path, &wav::read(&file.path)?);
    let features: Vec<Vec<u8>> = files.par_iter().map(one).collect::<Result<_>>()?;
    Ok(Dataset {
        name: name.to_string(),
        shape: shape(clips.settings()),
        inputs: Inputs::U8(features.concat()),
        labels: files.iter().map(|file| file.label).collect(),
        class_names: listing.class_names.clone(),
        targets: Default::default(),
    })
}

/// Features of one recording, for a prediction.
///
/// # Errors
/// If the file is malformed.
pub(super) fn read_one(path: &Path) -> Result<(Shape, Vec<u8>)> {
    let recording = wav::read(path)?;
    let clips = Clips::new(path, recording.sample_rate)?;
    Ok((shape(clips.settings()), clips.features(path, &recording)?))
}

#[cfg(test)]
mod tests;
