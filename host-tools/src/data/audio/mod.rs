//! Folders of WAV files: one second of each recording as MFCC, computed by the runtime's own front end
//! ([`stf_bnn::audio`]), so that a device that runs it sees the same bytes.
//!
//! `SPEC@A,B`: recordings of these speakers; `SPEC@!A,B`: of all others; `SPEC@test=A,B`: theirs are the test
//! part, all others' the rest. The named set `spoken-digits` has its authors' test part, recordings
//! 0 to 4 of each digit and speaker, which a choice of speakers keeps.

mod clip;
mod files;
pub mod wav;

pub use clip::{Clips, FRAMES, fit, shape};
pub use files::is_folder;

use super::{Dataset, Inputs, Loaded};
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
    // A path that has the sign in it is a path.
    if Path::new(spec).exists() { None } else { spec.rsplit_once('@') }
}

/// Reads a folder; `speakers` as behind the `@` of a spec.
///
/// # Errors
/// If there are no WAV files, one is malformed or of another sample rate than the first, a speaker is unknown,
/// or no recording is left.
pub fn read(name: &str, folder: &Path, division: Division, speakers: Option<&str>) -> Result<Loaded> {
    let listing = files::list(folder)?;
    let name = speakers.map_or(name.to_string(), |speakers| format!("{name}@{speakers}"));
    let set = |files: &[&Entry]| read_files(&name, &listing, files)?.checked(folder);
    let part =
        |keep: &dyn Fn(&Entry) -> bool| listing.files.iter().filter(|file| keep(file)).collect::<Vec<_>>();
    let chosen = |names: &str| -> Result<Vec<String>> {
        names.split(',').map(|name| known(&name_of(folder), &listing, name)).collect()
    };
    let (by_number, keep): (bool, Box<dyn Fn(&Entry) -> bool>) = match speakers {
        None => (division == Division::ByNumber, Box::new(|_| true)),
        Some(names) => {
            if let Some(names) = names.strip_prefix("test=") {
                let names = chosen(names)?;
                let is_test = |file: &Entry| names.contains(&file.speaker);
                let (train, test) = (set(&part(&|file| !is_test(file)))?, set(&part(&is_test))?);
                return Loaded::official(folder, train, test);
            }
            let (names, others) = names.strip_prefix('!').map_or((names, false), |names| (names, true));
            let names = chosen(names)?;
            (division == Division::ByNumber, Box::new(move |file| names.contains(&file.speaker) != others))
        }
    };
    if !by_number {
        return set(&part(&*keep)).map(Loaded::Whole);
    }
    let is_test = |file: &Entry| file.number.is_some_and(|number| number < TEST_NUMBERS);
    let train = set(&part(&|file| keep(file) && !is_test(file)))?;
    Loaded::official(folder, train, set(&part(&|file| keep(file) && is_test(file)))?)
}

fn name_of(folder: &Path) -> String {
    folder.display().to_string()
}

fn known(what: &str, listing: &Listing, speaker: &str) -> Result<String> {
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
    Err(Error::invalid(format!("{what}: speaker"), speaker, expected))
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
