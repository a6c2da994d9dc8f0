//! Data sets: by name or by path, read into memory (but for [`shards`]), checked, split, normalised and described.
//!
//! A *spec* is a known name (`digits` is embedded; `mnist`, `fashion-mnist`, `cifar10` and `spoken-digits` are looked
//! for in the folders of [`named::search_dirs`]) or a path:
//!
//! | path | read as |
//! |---|---|
//! | folder with `*-idx3-ubyte[.gz]` files, or `images,labels` | IDX, [`idx`] |
//! | folder with `data_batch_*.bin`, `test_batch.bin` | CIFAR-10 binary, [`cifar`] |
//! | `file.npz`, or `x.npy,y.npy` | NumPy, [`npz`] |
//! | `file.csv`, or `file.csv:NAME,NAME` | a table whose last column, or whose columns NAME, are real targets, [`table`] |
//! | folder of class folders of PNG or JPEG files | images, [`images`] |
//! | folder of class folders of WAV files, or of `CLASS_SPEAKER_N.wav` | MFCC of a second, [`audio`] |
//! | folder with `shards.json`, written by `stf data shard` | records read as they are needed, [`shards`] |
//!
//! `SPEC#CLASS,CLASS` is the examples of these classes, by name or number, `SPEC#!CLASS,CLASS` those of all
//! others; of recordings, `SPEC@SPEAKER` those of a speaker ([`audio`]). A source without official parts is divided
//! before such a choice is made. For a regression, [`load_with`] reads the `y` of NumPy arrays as real targets.
//!
//! Whatever comes back from [`load`] is consistent: as many labels as examples, every label below
//! the number of classes, every value finite, at least one example.

mod arrange;
pub mod audio;
pub mod cifar;
mod classes;
pub mod corrupt;
mod dataset;
mod describe;
pub mod digits;
pub mod fetch;
pub mod idx;
pub mod images;
mod inputs;
mod memory;
pub mod named;
pub mod npy;
pub mod npz;
mod preprocess;
mod sharding;
pub mod shards;
mod split;
pub mod table;
mod targets;
#[cfg(test)]
pub(crate) mod testing;

pub use dataset::{
    ChannelOrder, Dataset, Element, Inputs, Layout, Preprocessing, RawExample, Scratch, Splits,
};
pub use describe::{ClassCount, Description, describe};
pub use inputs::read_inputs;
pub use sharding::shard;
pub(crate) use split::below;
pub use split::{TEST_SEED, shuffled, splits};
pub(crate) use targets::unnamed_target;
pub use targets::{TargetScaling, Targets};

use crate::error::{Error, Result};
use crate::graph::Shape;
use std::path::Path;

/// More classes than this in an unnamed source are taken for a mistake in its labels.
pub const MAX_CLASSES: usize = 65_536;

/// What is known of each example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Its class.
    Classes,
    /// Real targets.
    Targets,
}

/// What a source holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Loaded {
    /// The source says itself which examples are for training and which for the test.
    Official {
        /// Training examples.
        train: Dataset,
        /// Test examples.
        test: Dataset,
    },
    /// One undivided set.
    Whole(Dataset),
    /// Some examples of an undivided set. The set is divided before they are chosen: what is for the test of
    /// all is for the test of some.
    Chosen {
        /// The chosen examples.
        set: Dataset,
        /// Where they are in the set.
        origin: Origin,
    },
}

/// The undivided set that examples were chosen from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Class of each of its examples.
    pub(crate) labels: Vec<u32>,
    /// Index in it of each chosen example, strictly increasing.
    pub(crate) indices: Vec<usize>,
}

impl Loaded {
    /// The official test set if there is one, else everything: what an out-of-distribution set is
    /// judged on, because no example of it was trained on. For in-distribution figures use the test
    /// part of [`splits`].
    #[must_use]
    pub fn into_evaluation(self) -> Dataset {
        match self {
            Self::Official { test, .. } => test,
            Self::Whole(set) | Self::Chosen { set, .. } => set,
        }
    }

    /// The parts with their names: `train` and `test`, or `whole`.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, &Dataset)> {
        match self {
            Self::Official { train, test } => vec![("train", train), ("test", test)],
            Self::Whole(set) | Self::Chosen { set, .. } => vec![("whole", set)],
        }
        .into_iter()
    }

    /// Shape of one example; all parts have the same.
    #[must_use]
    pub fn shape(&self) -> Shape {
        match self {
            Self::Official { train, .. } => train.shape,
            Self::Whole(set) | Self::Chosen { set, .. } => set.shape,
        }
    }

    /// Two parts of one source, checked one by one and against each other.
    fn official(path: &Path, train: Dataset, test: Dataset) -> Result<Self> {
        if train.shape != test.shape {
            return Err(Error::malformed(path, "shape of the test examples", test.shape, train.shape));
        }
        if train.class_names != test.class_names {
            return Err(Error::malformed(
                path,
                "classes of the test set",
                test.class_names.join(", "),
                train.class_names.join(", "),
            ));
        }
        Ok(Self::Official { train: train.checked(path)?, test: test.checked(path)? })
    }
}

/// Reads the data that `spec` names: a known name or a path (see the module's page).
///
/// `data_dir` is searched first for names; it plays no part for paths.
///
/// # Errors
/// If nothing is found (the message says where it looked), or the files are not what they claim to be.
pub fn load(spec: &str, data_dir: Option<&Path>) -> Result<Loaded> {
    load_with(spec, data_dir, Content::Classes)
}

fn load_classes(spec: &str, data_dir: Option<&Path>) -> Result<Loaded> {
    if let Some((spec, classes)) = classes::split(spec) {
        return classes::select(load_classes(spec, data_dir)?, spec, classes);
    }
    if let Some((spec, speakers)) = audio::split(spec) {
        return load_speakers(spec, speakers, data_dir);
    }
    match named::Name::parse(spec) {
        Some(name) => named::load(name, data_dir),
        None => load_path(spec),
    }
}

/// Recordings of some speakers.
fn load_speakers(spec: &str, speakers: &str, data_dir: Option<&Path>) -> Result<Loaded> {
    if named::Name::parse(spec) == Some(named::Name::SpokenDigits) {
        let folder = named::find(named::Name::SpokenDigits, data_dir)?;
        return audio::read(spec, &folder, audio::Division::ByNumber, Some(speakers));
    }
    let folder = Path::new(spec);
    if named::Name::parse(spec).is_some() || !audio::is_folder(folder) {
        return Err(Error::invalid("data with speakers", spec, "spoken-digits or a folder of WAV files"));
    }
    audio::read(spec, folder, audio::Division::Whole, Some(speakers))
}

/// As [`load`], with the kind of answer that a network is to learn.
///
/// # Errors
/// As [`load`]; real targets come only from NumPy arrays and tables.
pub fn load_with(spec: &str, data_dir: Option<&Path>, content: Content) -> Result<Loaded> {
    let loaded = load_raw(spec, data_dir, content)?;
    let shape = loaded.shape();
    // Three planes of more rows and columns than that: almost surely the PyTorch order.
    if matches!(shape.height, 1 | 3) && shape.width > 4 && shape.channels > 4 {
        return Err(Error::invalid(
            format!("shape of the examples in {spec}"),
            format!("{shape}, which looks like channels first"),
            "height x width x channels; `stf import --layout nchw` takes channels first",
        ));
    }
    Ok(loaded)
}

/// As [`load_with`], for a network whose input says what the axes of an example are: none is guessed.
///
/// # Errors
/// As [`load_with`].
pub fn load_raw(spec: &str, data_dir: Option<&Path>, content: Content) -> Result<Loaded> {
    if content == Content::Classes {
        return load_classes(spec, data_dir);
    }
    let path = Path::new(spec);
    if let Some((file, columns)) = table::split(spec) {
        return table::read(spec, file, columns).map(Loaded::Whole);
    }
    match (extension(path).as_deref(), spec.split_once(',')) {
        (Some("npz"), _) if path.exists() => npz::read(spec, path, content),
        (Some("npy"), Some((inputs, targets))) => {
            npz::read_pair(spec, Path::new(inputs), Path::new(targets), content)
        }
        _ => Err(Error::invalid(
            "data of a regression",
            format!("{spec:?}"),
            "file.npz, x.npy,y.npy, file.csv or file.csv:TARGET,TARGET that exists",
        )),
    }
}

/// Whether a spec is a path, or a pair of paths: a sign in it is part of a name and chooses nothing.
fn is_there(spec: &str) -> bool {
    let pair = |(a, b): (&str, &str)| Path::new(a).is_file() && Path::new(b).is_file();
    Path::new(spec).exists() || spec.split_once(',').is_some_and(pair)
}

fn load_path(spec: &str) -> Result<Loaded> {
    let path = Path::new(spec);
    if path.is_dir() {
        return load_folder(spec, path);
    }
    if path.exists() {
        return match extension(path).as_deref() {
            Some("npz") => npz::read(spec, path, Content::Classes),
            Some("csv") => Err(Error::malformed(path, "kind of data", "a table", table::TARGETS_ONLY)),
            _ => Err(Error::malformed(
                path,
                "kind of data",
                "a single file that is not .npz",
                "a folder, a .npz file, or a pair images,labels of .npy or IDX files",
            )),
        };
    }
    if let Some((inputs, labels)) = spec.split_once(',') {
        let (inputs, labels) = (Path::new(inputs), Path::new(labels));
        return match extension(inputs).as_deref() {
            Some("npy") => npz::read_pair(spec, inputs, labels, Content::Classes),
            _ => idx::read_pair(spec, inputs, labels).map(Loaded::Whole),
        };
    }
    Err(Error::invalid(
        "data",
        format!("{spec:?}"),
        format!("one of {} or a path that exists", named::list()),
    ))
}

/// Whether a spec is a folder of images, which can be read one by one.
fn is_image_folder(spec: &str) -> bool {
    let folder = Path::new(spec);
    let is_other = || {
        shards::is_folder(folder)
            || cifar::is_folder(folder)
            || idx::is_folder(folder)
            || audio::is_folder(folder)
    };
    named::Name::parse(spec).is_none() && folder.is_dir() && !is_other()
}

fn load_folder(spec: &str, folder: &Path) -> Result<Loaded> {
    if shards::is_folder(folder) {
        shards::open(folder)
    } else if cifar::is_folder(folder) {
        cifar::read(spec, folder)
    } else if idx::is_folder(folder) {
        idx::read_folder(spec, folder, None)
    } else if audio::is_folder(folder) {
        audio::read(spec, folder, audio::Division::Whole, None)
    } else {
        images::read(spec, folder)
    }
}

fn extension(path: &Path) -> Option<String> {
    path.extension().map(|extension| extension.to_string_lossy().to_lowercase())
}

impl Dataset {
    /// Proves what every user of a data set relies on, and hands it back.
    ///
    /// # Errors
    /// If there is no example or no class, counts disagree, a label has no class, or a value is not
    /// finite; the message names `path` and the example.
    pub fn checked(self, path: &Path) -> Result<Self> {
        if self.is_empty() || self.shape.is_empty() {
            let found = format!("{} examples of {}", self.len(), self.shape);
            return Err(Error::malformed(path, "data set", found, "at least one example with values"));
        }
        let values = match &self.inputs {
            Inputs::U8(values) => values.len(),
            Inputs::F32(values) => values.len(),
            Inputs::Sharded(sharded) => sharded.len() * self.shape.len(),
        };
        let expected = self.len() * self.shape.len();
        if values != expected {
            let field = format!("values of {} examples of {}", self.len(), self.shape);
            return Err(Error::malformed(path, field, values, expected));
        }
        let classes = self.class_names.len();
        if let Some(example) = self.labels.iter().position(|&label| label as usize >= classes) {
            let expected = format!("below {classes}, the number of classes");
            return Err(Error::malformed(path, format!("label {example}"), self.labels[example], expected));
        }
        let expected = self.len() * self.targets.len();
        if self.targets.values.len() != expected {
            return Err(Error::malformed(path, "number of targets", self.targets.values.len(), expected));
        }
        if let Some(bad) = self.targets.values.iter().position(|target| !target.is_finite()) {
            let field = format!("target of example {}", bad / self.targets.len());
            return Err(Error::malformed(path, field, self.targets.values[bad], "a finite f32"));
        }
        self.check_finite(path)?;
        Ok(self)
    }

    fn check_finite(&self, path: &Path) -> Result<()> {
        let Inputs::F32(values) = &self.inputs else { return Ok(()) };
        let Some(bad) = values.iter().position(|value| !value.is_finite()) else { return Ok(()) };
        let (example, offset) = (bad / self.shape.len(), bad % self.shape.len());
        let field = format!("example {example}, value {offset}");
        Err(Error::malformed(path, field, values[bad], "a finite f32"))
    }

    /// Whether a model with inputs of shape `expected` can read this set. Grey and colour are never
    /// converted into each other silently.
    ///
    /// # Errors
    /// If the shapes differ; both are named.
    pub fn check_fits(&self, expected: Shape) -> Result<()> {
        if self.shape == expected {
            return Ok(());
        }
        Err(Error::invalid(
            format!("shape of the examples in {}", self.name),
            self.shape,
            format!("{expected}, the model's input (height x width x channels)"),
        ))
    }
}

/// Names for classes that have none: their numbers.
pub(crate) fn numbered_classes(count: usize) -> Vec<String> {
    (0..count).map(|class| class.to_string()).collect()
}

/// Number of classes that these labels need: the largest plus one.
fn classes_of(path: &Path, labels: &[u32]) -> Result<usize> {
    let largest = labels.iter().copied().max().unwrap_or(0) as usize;
    if largest >= MAX_CLASSES {
        return Err(Error::malformed(path, "largest label", largest, format!("below {MAX_CLASSES}")));
    }
    Ok(largest + 1)
}

#[cfg(test)]
mod tests;
