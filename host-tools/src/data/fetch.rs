//! Downloads of the named data sets from their public mirrors, checked by SHA-256.
//!
//! IDX files are checked after decompression, because mirrors compress the same content differently;
//! CIFAR-10's archive is checked as it is. Everything is written to a hidden folder beside its place
//! and moved only when it is whole and right: an interrupted or damaged download leaves nothing.

use super::named::{Name, download_dir};
use crate::error::{Error, Result};
use crate::progress::{Progress, interrupt};
use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A server that says nothing for so long is given up.
const SILENCE: Duration = Duration::from_secs(60);
const CHUNK: usize = 1 << 16;

/// How a downloaded file becomes the data set's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// One file, perhaps compressed by gzip; size and checksum are of its content.
    Content,
    /// A `.tar.gz`, whose `.bin` and `.txt` files are taken; size and checksum are the archive's.
    Archive,
}

/// A file to download.
#[derive(Debug, Clone)]
pub struct Remote {
    /// Name under the mirror's address.
    pub name: String,
    /// How it is packed.
    pub packing: Packing,
    /// Bytes that are hashed.
    pub len: u64,
    /// SHA-256 in lower-case hexadecimal.
    pub sha256: String,
}

/// A data set's files and where to get them.
#[derive(Debug, Clone)]
pub struct Source {
    /// Name of the data set and of its folder.
    pub name: String,
    /// Addresses of folders, tried in turn.
    pub mirrors: Vec<String>,
    /// The files.
    pub files: Vec<Remote>,
}

/// Name, bytes that are hashed, SHA-256.
type Entry = (&'static str, u64, &'static str);

const MNIST: [Entry; 4] = [
    (
        "train-images-idx3-ubyte",
        47_040_016,
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    ("train-labels-idx1-ubyte", 60_008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    ("t10k-images-idx3-ubyte", 7_840_016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    ("t10k-labels-idx1-ubyte", 10_008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
];
const FASHION_MNIST: [Entry; 4] = [
    (
        "train-images-idx3-ubyte",
        47_040_016,
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    ),
    ("train-labels-idx1-ubyte", 60_008, "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"),
    ("t10k-images-idx3-ubyte", 7_840_016, "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"),
    ("t10k-labels-idx1-ubyte", 10_008, "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"),
];
const CIFAR10: Entry = (
    "cifar-10-binary.tar.gz",
    170_052_171,
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
);

impl Source {
    /// Where a named data set comes from; `None` for `digits`, which is embedded, and
    /// for `spoken-digits`, whose source has no archive with a checksum.
    #[must_use]
    pub fn of(name: Name) -> Option<Self> {
        let (mirrors, files): (&[&str], Vec<Remote>) = match name {
            Name::Digits | Name::SpokenDigits => return None,
            Name::Mnist => (
                &[
                    "https://ossci-datasets.s3.amazonaws.com/mnist",
                    "https://storage.googleapis.com/cvdf-datasets/mnist",
                ],
                MNIST.map(idx_remote).to_vec(),
            ),
            Name::FashionMnist => (
                &["http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"],
                FASHION_MNIST.map(idx_remote).to_vec(),
            ),
            Name::Cifar10 => (&["https://www.cs.toronto.edu/~kriz"], vec![remote(CIFAR10, Packing::Archive)]),
        };
        let mirrors = mirrors.iter().map(ToString::to_string).collect();
        Some(Self { name: name.as_str().to_string(), mirrors, files })
    }

    /// Downloads all files into `folder`.
    ///
    /// # Errors
    /// If no mirror delivers, a size or checksum is wrong, the user interrupts, or the disk refuses.
    pub fn download(&self, folder: &Path) -> Result<()> {
        let partial = PartialFolder::create(folder)?;
        for remote in &self.files {
            self.download_one(remote, &partial.0)?;
        }
        partial.move_into(folder)
    }

    fn download_one(&self, remote: &Remote, into: &Path) -> Result<()> {
        let mut last = Error::invalid(format!("mirrors of {}", self.name), "none", "at least one address");
        for mirror in &self.mirrors {
            let url = match remote.packing {
                Packing::Content => format!("{}/{}.gz", mirror.trim_end_matches('/'), remote.name),
                Packing::Archive => format!("{}/{}", mirror.trim_end_matches('/'), remote.name),
            };
            match get(&url, remote, into) {
                Ok(()) => return Ok(()),
                Err(_) if interrupt::requested() => return Err(Error::Interrupted),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

fn idx_remote(entry: Entry) -> Remote {
    remote(entry, Packing::Content)
}

fn remote((name, len, sha256): Entry, packing: Packing) -> Remote {
    Remote { name: name.to_string(), packing, len, sha256: sha256.to_string() }
}

/// Downloads a named data set and returns its folder. `mirror`, or `$STF_DATA_MIRROR`, replaces the
/// public addresses. A folder that is there already is left alone.
///
/// # Errors
/// As [`Source::download`], or if the name has nothing to download.
pub fn fetch(name: Name, data_dir: Option<&Path>, mirror: Option<&str>) -> Result<PathBuf> {
    let Some(mut source) = Source::of(name) else {
        return Err(Error::invalid("data set to fetch", name.as_str(), "mnist, fashion-mnist or cifar10"));
    };
    let from_env = std::env::var("STF_DATA_MIRROR").ok().filter(|mirror| !mirror.is_empty());
    if let Some(mirror) = mirror.map(String::from).or(from_env) {
        source.mirrors = vec![mirror];
    }
    let folder = download_dir(data_dir)?.join(name.as_str());
    if folder.exists() {
        // Readable means complete: files only ever arrive together.
        super::named::load(name, data_dir)?;
        return Ok(folder);
    }
    source.download(&folder)?;
    Ok(folder)
}

fn get(url: &str, remote: &Remote, into: &Path) -> Result<()> {
    let config = ureq::Agent::config_builder()
        .timeout_connect(Some(SILENCE))
        .timeout_recv_response(Some(SILENCE))
        .timeout_per_read(Some(SILENCE))
        .build();
    let response = ureq::Agent::new_with_config(config)
        .get(url)
        .call()
        .map_err(|error| Error::malformed(Path::new(url), "answer of the server", error, "the file"))?;
    let body = response.into_body();
    let mut progress = Progress::bytes(&remote.name, body.content_length().unwrap_or(remote.len));
    let reader = Watched { inner: body.into_reader(), done: 0, progress: &mut progress };
    let target = into.join(&remote.name);
    let mut reader = BufReader::with_capacity(CHUNK, reader);
    match remote.packing {
        Packing::Content => {
            let start = reader.fill_buf().map_err(Error::io(url, "download"))?;
            if start.starts_with(&[0x1f, 0x8b]) {
                save(url, remote, GzDecoder::new(reader), &target)?;
            } else {
                save(url, remote, reader, &target)?;
            }
        }
        Packing::Archive => {
            save(url, remote, reader, &target)?;
            unpack(&target, into)?;
            fs::remove_file(&target).map_err(Error::io(&target, "remove"))?;
        }
    }
    progress.finish(&format!("{}: {} bytes, SHA-256 as published", remote.name, remote.len));
    Ok(())
}

/// Copies to `target` while hashing, at most one byte more than expected.
fn save(url: &str, remote: &Remote, reader: impl Read, target: &Path) -> Result<()> {
    let mut file = File::create(target).map_err(Error::io(target, "create"))?;
    let (mut reader, mut hash, mut len) = (reader.take(remote.len + 1), Sha256::new(), 0_u64);
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = reader.read(&mut chunk).map_err(Error::io(url, "download"))?;
        if count == 0 {
            break;
        }
        hash.update(&chunk[..count]);
        file.write_all(&chunk[..count]).map_err(Error::io(target, "write"))?;
        len += count as u64;
    }
    if len != remote.len {
        let found = if len > remote.len { "more".to_string() } else { len.to_string() };
        return Err(Error::malformed(Path::new(url), "bytes", found, remote.len));
    }
    let found: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if found != remote.sha256 {
        return Err(Error::malformed(Path::new(url), "SHA-256", found, &remote.sha256));
    }
    file.sync_all().map_err(Error::io(target, "write"))
}

/// Takes the data files out of the archive, by their last name only: no path leaves `into`.
fn unpack(archive: &Path, into: &Path) -> Result<()> {
    let file = File::open(archive).map_err(Error::io(archive, "open"))?;
    let mut tar = tar::Archive::new(GzDecoder::new(BufReader::new(file)));
    for entry in tar.entries().map_err(Error::io(archive, "unpack"))? {
        let mut entry = entry.map_err(Error::io(archive, "unpack"))?;
        let path = entry.path().map_err(Error::io(archive, "unpack"))?.into_owned();
        let wanted = matches!(super::extension(&path).as_deref(), Some("bin" | "txt"));
        let Some(name) = path.file_name().filter(|_| wanted && entry.header().entry_type().is_file()) else {
            continue;
        };
        let target = into.join(name);
        let mut file = File::create(&target).map_err(Error::io(&target, "create"))?;
        std::io::copy(&mut entry, &mut file).map_err(Error::io(&target, "write"))?;
        file.sync_all().map_err(Error::io(&target, "write"))?;
    }
    Ok(())
}

/// Reports progress, and stops when the user asks to.
struct Watched<'a, R> {
    inner: R,
    done: u64,
    progress: &'a mut Progress,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if interrupt::requested() {
            // Not `Interrupted`: that kind means "try again" to readers.
            return Err(std::io::Error::other("stopped by the user"));
        }
        let count = self.inner.read(buffer)?;
        self.done += count as u64;
        self.progress.set(self.done, "");
        Ok(count)
    }
}

/// A hidden folder beside `folder`, removed with its content when dropped.
struct PartialFolder(PathBuf);

impl PartialFolder {
    fn create(folder: &Path) -> Result<Self> {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let path = folder.with_file_name(format!(".{name}.{}.partial", std::process::id()));
        fs::create_dir_all(&path).map_err(Error::io(&path, "create"))?;
        Ok(Self(path))
    }

    fn move_into(self, folder: &Path) -> Result<()> {
        fs::rename(&self.0, folder).map_err(Error::io(folder, "rename to"))
    }
}

impl Drop for PartialFolder {
    fn drop(&mut self) {
        // After a rename there is nothing to remove; before it, the error at hand is the one to report.
        let _ = fs::remove_dir_all(&self.0);
    }
}
