//! Any bytes as files of data.

use crate::checksum::CRC;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use stf_host::data::{self, Content, audio, cifar, idx, images, npz, table};

/// A folder of this process alone, in memory where that can be had.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let shared = Path::new("/dev/shm");
        let parent = if shared.is_dir() { shared.to_path_buf() } else { std::env::temp_dir() };
        let folder = parent.join(format!("stf-fuzz-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder for inputs");
        folder
    })
}

fn write(name: &str, content: &[u8]) -> PathBuf {
    let path = folder().join(name);
    fs::write(&path, content).expect("room for an input");
    path
}

/// The first byte says where to cut in two parts, the second how to use them.
fn parts(input: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[share, kind], rest) = input.split_first_chunk()?;
    let (first, second) = rest.split_at(rest.len() * usize::from(share) / 255);
    Some((kind, first, second))
}

/// Images and labels, plain or compressed.
pub fn idx(input: &[u8]) {
    let Some((kind, first, second)) = parts(input) else { return };
    let end = if kind & 1 == 1 { ".gz" } else { "" };
    let [x, y] = [("x", first), ("y", second)].map(|(name, part)| write(&format!("{name}{end}"), part));
    if let Ok(set) = idx::read_pair("fuzz", &x, &y) {
        assert_eq!(set.labels.len(), set.len());
    }
}

/// A folder of batches.
pub fn cifar(input: &[u8]) {
    let Some((kind, first, second)) = parts(input) else { return };
    let own = folder().join("cifar");
    fs::create_dir_all(&own).expect("a folder");
    // Whole records are rare by chance: what is there is repeated up to one.
    let records = |part: &[u8]| -> Vec<u8> {
        let length = if kind & 2 == 2 { part.len() } else { 3073 * (1 + usize::from(kind >> 6)) };
        part.iter().copied().cycle().take(length).collect()
    };
    fs::write(own.join("data_batch_1.bin"), records(first)).expect("room");
    let names = own.join("batches.meta.txt");
    if kind & 1 == 1 {
        fs::write(names, second).expect("room");
    } else {
        let _ = fs::remove_file(names);
    }
    if let Ok(loaded) = cifar::read("fuzz", &own) {
        assert!(loaded.shape().len() == 3072);
    }
}

/// An archive as it is, a pair of arrays, or an archive of two arrays that is whole.
pub fn numpy(input: &[u8]) {
    let Some((kind, first, second)) = parts(input) else { return };
    let content = if kind < 128 { Content::Classes } else { Content::Targets };
    let result = match kind % 3 {
        0 => {
            let pair = [("x.npy", first), ("y.npy", second)].map(|(name, part)| write(name, part));
            npz::read_pair("fuzz", &pair[0], &pair[1], content)
        }
        1 => npz::read("fuzz", &write("whole.npz", &archive(first, second)), content),
        _ => npz::read("fuzz", &write("any.npz", &input[2..]), content),
    };
    if let Ok(loaded) = result {
        assert!(!loaded.shape().is_empty());
    }
}

/// A ZIP archive that stores `x.npy` and `y.npy`.
fn archive(x: &[u8], y: &[u8]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in [(b"x.npy", x), (b"y.npy", y)] {
        let offset = file.len() as u32;
        let mut facts = Vec::new();
        // Version 2.0, no flags, stored, no time.
        facts.extend([20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0]);
        facts.extend(CRC.checksum(content).to_le_bytes());
        facts.extend([content.len() as u32; 2].iter().flat_map(|len| len.to_le_bytes()));
        facts.extend([5, 0, 0, 0]);
        file.extend(b"PK\x03\x04");
        file.extend(&facts);
        file.extend(name);
        file.extend(content);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&facts);
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name);
    }
    let [size, start] = [directory.len() as u32, file.len() as u32].map(u32::to_le_bytes);
    file.extend(&directory);
    file.extend(b"PK\x05\x06\x00\x00\x00\x00\x02\x00\x02\x00");
    file.extend(size.iter().chain(&start));
    file.extend([0, 0]);
    file
}

/// One PNG or JPEG file, by itself and in a class folder.
pub fn images(input: &[u8]) {
    let folder = folder().join("images");
    let class = folder.join("class");
    fs::create_dir_all(&class).expect("a folder");
    let file = class.join("image.png");
    fs::write(&file, input).expect("room");
    if let Ok((shape, pixels)) = images::read_image(&file) {
        assert_eq!(pixels.len(), shape.len());
        let loaded = data::load(&folder.to_string_lossy(), None);
        assert!(loaded.is_ok_and(|loaded| loaded.shape() == shape), "an image is a data set of one");
    }
}

/// One WAV file, by itself and in a class folder.
pub fn wav(input: &[u8]) {
    let folder = folder().join("wav");
    let class = folder.join("class");
    fs::create_dir_all(&class).expect("a folder");
    let file = class.join("speaker_0.wav");
    fs::write(&file, input).expect("room");
    if audio::wav::read(&file).is_ok() {
        // A recording that is too short for a frame is refused by name.
        if let Ok(loaded) = data::load(&folder.to_string_lossy(), None) {
            assert_eq!(loaded.parts().map(|(_, part)| part.len()).sum::<usize>(), 1, "one recording");
        }
    }
}

/// A table; the first part names the targets, unless it is empty.
pub fn table(input: &[u8]) {
    let Some((_, names, rows)) = parts(input) else { return };
    let names = String::from_utf8_lossy(names);
    let targets = (!names.is_empty()).then_some(&*names);
    if let Ok(set) = table::read("fuzz", &write("table.csv", rows), targets) {
        assert_eq!(set.targets.values.len(), set.targets.names.len() * set.len());
    }
}
