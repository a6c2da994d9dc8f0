//! Data sets known by name: their classes, and the folders where their files are looked for.

use super::{Loaded, audio, cifar, digits, idx};
use crate::error::{Error, Result};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// A data set that the tool knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// scikit-learn's 1,797 digits of 8x8, embedded in the binary.
    Digits,
    /// 70,000 handwritten digits of 28x28.
    Mnist,
    /// 70,000 pieces of clothing of 28x28.
    FashionMnist,
    /// 60,000 colour images of 32x32.
    Cifar10,
    /// The Free Spoken Digit Dataset: 3,000 recordings at 8 kHz, as MFCC.
    SpokenDigits,
}

/// Where the Free Spoken Digit Dataset is published.
const FSDD: &str = "https://github.com/Jakobovski/free-spoken-digit-dataset";

const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
const CLOTHING: [&str; 10] = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
];
const CIFAR10: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

impl Name {
    /// All of them, in the order of help texts.
    pub const ALL: [Self; 5] =
        [Self::Digits, Self::Mnist, Self::FashionMnist, Self::Cifar10, Self::SpokenDigits];

    /// The name with this spelling.
    #[must_use]
    pub fn parse(spec: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|name| name.as_str() == spec)
    }

    /// The spelling on the command line; also the folder's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Digits => "digits",
            Self::Mnist => "mnist",
            Self::FashionMnist => "fashion-mnist",
            Self::Cifar10 => "cifar10",
            Self::SpokenDigits => "spoken-digits",
        }
    }

    /// One line for `stf data list`.
    #[must_use]
    pub const fn summary(self) -> &'static str {
        match self {
            Self::Digits => "1,797 digits, 8x8 grey, 10 classes; embedded (scikit-learn, UCI)",
            Self::Mnist => "70,000 digits, 28x28 grey, 10 classes",
            Self::FashionMnist => "70,000 pieces of clothing, 28x28 grey, 10 classes",
            Self::Cifar10 => "60,000 images, 32x32 RGB, 10 classes",
            Self::SpokenDigits => "3,000 spoken digits, 49x10 MFCC, 10 classes, six speakers",
        }
    }

    /// What brings its files here.
    #[must_use]
    pub fn how_to_get(self) -> String {
        match self {
            // Its files come from a repository, not from an archive with a checksum.
            Self::SpokenDigits => format!("`git clone {FSDD}` makes its content"),
            _ => format!("`stf data fetch {}` downloads it", self.as_str()),
        }
    }

    /// Names of the classes, by label.
    #[must_use]
    pub fn class_names(self) -> Vec<String> {
        match self {
            Self::Digits | Self::Mnist | Self::SpokenDigits => DIGITS,
            Self::FashionMnist => CLOTHING,
            Self::Cifar10 => CIFAR10,
        }
        .map(String::from)
        .to_vec()
    }
}

/// The known names, for messages.
#[must_use]
pub fn list() -> String {
    Name::ALL.map(Name::as_str).join(", ")
}

/// Folders that may hold a folder per name, in the order of search: `data_dir`, `$STF_DATA_DIR`, the
/// cache folder, and the system's folder.
#[must_use]
pub fn search_dirs(data_dir: Option<&Path>) -> Vec<PathBuf> {
    dirs_from(data_dir, |variable| std::env::var_os(variable).filter(|value| !value.is_empty()))
}

fn dirs_from(data_dir: Option<&Path>, variable: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    data_dir
        .map(Path::to_path_buf)
        .into_iter()
        .chain(variable("STF_DATA_DIR").map(PathBuf::from))
        .chain(cache_from(&variable))
        .chain([PathBuf::from("/usr/share/datasets")])
        .collect()
}

fn cache_from(variable: &impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let cache = variable("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(variable("HOME")?).join(".cache")))?;
    Some(cache.join("stf").join("data"))
}

/// Where a download goes: the first writable choice of [`search_dirs`], that is `data_dir`,
/// `$STF_DATA_DIR`, or the cache folder.
///
/// # Errors
/// If none of them is set and there is no home folder.
pub fn download_dir(data_dir: Option<&Path>) -> Result<PathBuf> {
    let mut dirs = search_dirs(data_dir);
    dirs.pop();
    let none =
        || Error::invalid("folder for data", "no --data-dir, $STF_DATA_DIR or home folder", "one of them");
    dirs.into_iter().next().ok_or_else(none)
}

/// The folder in which `name` is found.
///
/// # Errors
/// If it is in none of the folders; the message says where it looked and how to get it.
pub fn find(name: Name, data_dir: Option<&Path>) -> Result<PathBuf> {
    let dirs = search_dirs(data_dir);
    let found = dirs.iter().map(|dir| dir.join(name.as_str())).find(|folder| folder.is_dir());
    found.ok_or_else(|| {
        let looked: Vec<String> =
            dirs.iter().map(|dir| dir.join(name.as_str()).display().to_string()).collect();
        Error::invalid(
            format!("data set {}", name.as_str()),
            format!("no such folder as {}", looked.join(" or ")),
            format!("one of them ({})", name.how_to_get()),
        )
    })
}

/// Reads a data set by name.
///
/// # Errors
/// If it is not found, or its files are malformed.
pub fn load(name: Name, data_dir: Option<&Path>) -> Result<Loaded> {
    if name == Name::Digits {
        return digits::read().map(Loaded::Whole);
    }
    let folder = find(name, data_dir)?;
    match name {
        Name::Cifar10 => cifar::read(name.as_str(), &folder),
        Name::SpokenDigits => audio::read(name.as_str(), &folder, audio::Division::ByNumber, None),
        _ => idx::read_folder(name.as_str(), &folder, Some(name.class_names())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_searched_in_the_documented_order() {
        let all = |variable: &str| match variable {
            "STF_DATA_DIR" => Some(OsString::from("/env")),
            "XDG_CACHE_HOME" => Some(OsString::from("/xdg")),
            _ => Some(OsString::from("/home/me")),
        };
        let found = dirs_from(Some(Path::new("/flag")), all);
        let expected = ["/flag", "/env", "/xdg/stf/data", "/usr/share/datasets"].map(PathBuf::from);
        assert_eq!(found, expected);
        let home = |variable: &str| (variable == "HOME").then(|| OsString::from("/home/me"));
        let expected = ["/home/me/.cache/stf/data", "/usr/share/datasets"].map(PathBuf::from);
        assert_eq!(dirs_from(None, home), expected);
        assert_eq!(dirs_from(None, |_| None), [PathBuf::from("/usr/share/datasets")]);
    }

    #[test]
    fn every_name_parses_back() {
        for name in Name::ALL {
            assert_eq!(Name::parse(name.as_str()), Some(name));
            assert_eq!(name.class_names().len(), 10);
        }
        assert_eq!(Name::parse("imagenet"), None);
    }

    #[test]
    fn a_missing_set_names_the_folder_and_the_command() {
        let dir = tempfile::tempdir().unwrap();
        // A name that no system folder holds would be better, but the four are fixed.
        if Path::new("/usr/share/datasets/cifar10").exists() {
            return;
        }
        let looked = search_dirs(Some(dir.path()));
        if looked.iter().any(|dir| dir.join("cifar10").is_dir()) {
            return;
        }
        let message = find(Name::Cifar10, Some(dir.path())).unwrap_err().to_string();
        assert!(message.contains(&dir.path().join("cifar10").display().to_string()), "{message}");
        assert!(message.contains("stf data fetch cifar10"), "{message}");
    }
}
