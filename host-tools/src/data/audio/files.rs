//! Which WAV files a folder has, and whose and what they are.
//!
//! Class folders, or one folder of files named `CLASS_SPEAKER_N.wav` (as the Free Spoken Digit Dataset, also
//! in a subfolder `recordings`). In class folders the speaker is what stands before the first `_` of a
//! file's name, as in Speech Commands. Classes and files are in order of their names.

use crate::data::{extension, images};
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// A file to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it is.
    pub path: PathBuf,
    /// Index of its class.
    pub label: u32,
    /// Who speaks; empty: unknown.
    pub speaker: String,
    /// Number of the recording, if the name has one.
    pub number: Option<u32>,
}

/// Files with their classes.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// Names of the classes.
    pub class_names: Vec<String>,
    /// At least one for each class.
    pub files: Vec<Entry>,
}

/// The folder that holds the files named `CLASS_SPEAKER_N.wav`, if there are any.
fn flat(folder: &Path) -> Option<PathBuf> {
    let holds = |folder: &PathBuf| wavs(folder).is_ok_and(|files| !files.is_empty());
    [folder.to_path_buf(), folder.join("recordings")].into_iter().find(holds)
}

/// Whether a folder has WAV files where they are looked for.
pub fn is_folder(folder: &Path) -> bool {
    flat(folder).is_some() || class_folders(folder).is_ok_and(|folders| !folders.is_empty())
}

/// Folders with WAV files.
fn class_folders(folder: &Path) -> Result<Vec<PathBuf>> {
    let holds = |path: &PathBuf| path.is_dir() && wavs(path).is_ok_and(|files| !files.is_empty());
    Ok(images::list(folder)?.into_iter().filter(holds).collect())
}

fn wavs(folder: &Path) -> Result<Vec<PathBuf>> {
    let is_wav = |path: &PathBuf| extension(path).as_deref() == Some("wav") && path.is_file();
    Ok(images::list(folder)?.into_iter().filter(is_wav).collect())
}

/// Lists a folder without reading a file.
///
/// # Errors
/// If there are no WAV files, or the name of one in a folder without classes has not three parts.
pub fn list(folder: &Path) -> Result<Listing> {
    if let Some(folder) = flat(folder) {
        return list_flat(&folder);
    }
    let mut listing = Listing::default();
    for (label, class) in (0..).zip(class_folders(folder)?) {
        for path in wavs(&class)? {
            let stem = stem(&path);
            let speaker = stem.split_once('_').map_or("", |(speaker, _)| speaker).to_string();
            let number = stem.rsplit('_').next().and_then(|number| number.parse().ok());
            listing.files.push(Entry { path, label, speaker, number });
        }
        listing.class_names.push(images::last_name(&class));
    }
    if listing.files.is_empty() {
        return Err(Error::malformed(
            folder,
            "contents",
            "no .wav file",
            "class folders or CLASS_SPEAKER_N.wav",
        ));
    }
    Ok(listing)
}

fn list_flat(folder: &Path) -> Result<Listing> {
    let mut listing = Listing::default();
    for path in wavs(folder)? {
        let stem = stem(&path);
        let mut parts = stem.splitn(3, '_');
        let (Some(class), Some(speaker), Some(number)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(Error::malformed(&path, "name", stem, "CLASS_SPEAKER_N.wav"));
        };
        let Ok(number) = number.parse() else {
            return Err(Error::malformed(&path, "number in the name", number, "digits"));
        };
        // In order of names: files of a class follow each other.
        if listing.class_names.last().map(String::as_str) != Some(class) {
            if listing.class_names.iter().any(|name| name == class) {
                return Err(Error::malformed(&path, "class in the name", class, "names that sort by class"));
            }
            listing.class_names.push(class.to_string());
        }
        let label = listing.class_names.len() as u32 - 1;
        listing.files.push(Entry { speaker: speaker.to_string(), number: Some(number), label, path });
    }
    Ok(listing)
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::testing::write;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in files {
            write(dir.path(), name, b"");
        }
        dir
    }

    fn seen(listing: &Listing) -> Vec<(u32, &str, Option<u32>)> {
        listing.files.iter().map(|file| (file.label, file.speaker.as_str(), file.number)).collect()
    }

    #[test]
    fn names_give_class_speaker_and_number() {
        for place in ["", "recordings/"] {
            let names =
                ["0_eve_7.wav", "0_adam_12.wav", "one_eve_0.wav"].map(|name| format!("{place}{name}"));
            let dir = folder(&names.each_ref().map(String::as_str));
            write(dir.path(), "README.md", b"");
            assert!(is_folder(dir.path()));
            let listing = list(dir.path()).unwrap();
            assert_eq!(listing.class_names, ["0", "one"]);
            assert_eq!(seen(&listing), [(0, "adam", Some(12)), (0, "eve", Some(7)), (1, "eve", Some(0))]);
        }
    }

    #[test]
    fn class_folders_give_the_class() {
        let dir = folder(&["yes/a1_nohash_3.wav", "no/b2_nohash_0.wav", "no/noise.wav", "docs/readme.txt"]);
        let listing = list(dir.path()).unwrap();
        assert_eq!(listing.class_names, ["no", "yes"]);
        assert_eq!(seen(&listing), [(0, "b2", Some(0)), (0, "", None), (1, "a1", Some(3))]);
    }

    #[test]
    fn other_names_are_errors() {
        for (name, expected) in
            [("seven.wav", "CLASS_SPEAKER_N.wav"), ("7_eve_x.wav", "found x, expected digits")]
        {
            let dir = folder(&[name]);
            let message = list(dir.path()).unwrap_err().to_string();
            assert!(message.contains(name) && message.contains(expected), "{message}");
        }
        let empty = folder(&["a/b.txt"]);
        assert!(!is_folder(empty.path()));
        assert!(list(empty.path()).unwrap_err().to_string().contains("no .wav file"));
    }
}
