//! A folder of class folders of PNG or JPEG files, all of one size, all grey or all RGB.
//!
//! Classes and files are taken in order of their names, so that labels and splits are the same on
//! every machine. With `train/` and `test/` subfolders, both with the same class folders, the split
//! is theirs. Other files in class folders, and hidden ones, are passed over.

use super::memory::reserve;
use super::{Dataset, Inputs, Loaded, extension};
use crate::error::{Error, Result};
use crate::graph::Shape;
use image::{DynamicImage, ImageReader, Limits};
use std::fs;
use std::path::{Path, PathBuf};

/// Largest height and width of an image, in pixels.
const MAX_SIDE: u32 = 8192;
/// Memory that one image's decoder may take, in bytes.
const MAX_ALLOC: u64 = 512 << 20;

/// Reads the folder.
///
/// # Errors
/// If there are no class folders, a class has no image, a file cannot be decoded, or one differs
/// from the first in size or colour.
pub fn read(name: &str, folder: &Path) -> Result<Loaded> {
    let (train, test) = (folder.join("train"), folder.join("test"));
    if train.is_dir() && test.is_dir() {
        return Loaded::official(folder, read_classes(name, &train)?, read_classes(name, &test)?);
    }
    read_classes(name, folder)?.checked(folder).map(Loaded::Whole)
}

/// The images of one part of a folder, not read yet.
#[derive(Debug, Clone)]
pub(super) struct Listing {
    /// Names of the class folders.
    pub class_names: Vec<String>,
    /// Each file and its class; at least one for each class.
    pub files: Vec<(PathBuf, u32)>,
}

/// Lists the parts of a folder without reading an image: `train` and `test`, or `whole`.
///
/// # Errors
/// If there are no class folders, or a class has no image.
pub(super) fn list_parts(folder: &Path) -> Result<Vec<(&'static str, Listing)>> {
    let (train, test) = (folder.join("train"), folder.join("test"));
    if train.is_dir() && test.is_dir() {
        return Ok(vec![("train", list_classes(&train)?), ("test", list_classes(&test)?)]);
    }
    Ok(vec![("whole", list_classes(folder)?)])
}

fn list_classes(folder: &Path) -> Result<Listing> {
    let classes: Vec<PathBuf> = list(folder)?.into_iter().filter(|path| path.is_dir()).collect();
    if classes.is_empty() {
        let expected = "class folders of PNG or JPEG files, IDX files, or CIFAR batches";
        return Err(Error::malformed(folder, "contents", "none of the known kinds", expected));
    }
    let mut listing = Listing { class_names: Vec::new(), files: Vec::new() };
    for (label, class) in (0_u32..).zip(&classes) {
        let before = listing.files.len();
        let files = list(class)?.into_iter().filter(|path| is_image(path));
        listing.files.extend(files.map(|file| (file, label)));
        if listing.files.len() == before {
            return Err(Error::malformed(class, "contents", "no image", "at least one .png, .jpg or .jpeg"));
        }
        listing.class_names.push(last_name(class));
    }
    Ok(listing)
}

fn read_classes(name: &str, folder: &Path) -> Result<Dataset> {
    let Listing { class_names, files } = list_classes(folder)?;
    let (mut first, mut pixels, mut labels) = (None, Vec::new(), Vec::new());
    for (file, label) in &files {
        let shape = decode(file, &mut pixels)?;
        let first_shape = *first.get_or_insert(shape);
        require_size(file, shape, first_shape, &files[0].0)?;
        labels.push(*label);
    }
    let shape = first.ok_or_else(|| Error::malformed(folder, "contents", "no image", "images"))?;
    Ok(Dataset {
        name: name.to_string(),
        shape,
        inputs: Inputs::U8(pixels),
        labels,
        class_names,
        targets: Default::default(),
    })
}

/// All images have the size and colour of the first.
pub(super) fn require_size(file: &Path, shape: Shape, first: Shape, first_file: &Path) -> Result<()> {
    if shape == first {
        return Ok(());
    }
    let expected = format!("{first}, as {} (height x width x channels)", first_file.display());
    Err(Error::malformed(file, "size", shape, expected))
}

/// Entries that are not hidden, in order of name.
pub(super) fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io(folder, "list"))? {
        let path = entry.map_err(Error::io(folder, "list"))?.path();
        if !last_name(&path).starts_with('.') {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// The last part of a path.
pub(super) fn last_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn is_image(path: &Path) -> bool {
    matches!(extension(path).as_deref(), Some("png" | "jpg" | "jpeg")) && path.is_file()
}

/// Reads one PNG or JPEG file as bytes, NHWC with one (grey) or three (RGB) channels.
///
/// # Errors
/// If the file cannot be read or decoded, or is neither 8-bit grey nor 8-bit RGB.
pub fn read_image(path: &Path) -> Result<(Shape, Vec<u8>)> {
    let mut pixels = Vec::new();
    let shape = decode(path, &mut pixels)?;
    Ok((shape, pixels))
}

fn decode(path: &Path, pixels: &mut Vec<u8>) -> Result<Shape> {
    let reader = ImageReader::open(path).map_err(Error::io(path, "open"))?;
    let mut reader = reader.with_guessed_format().map_err(Error::io(path, "read"))?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_ALLOC);
    reader.limits(limits);
    let image =
        reader.decode().map_err(|error| Error::malformed(path, "image", error, "a PNG or JPEG file"))?;
    let (height, width) = (image.height() as usize, image.width() as usize);
    let colour = image.color();
    let (channels, values) = eight_bit(image).ok_or_else(|| {
        Error::malformed(path, "colour", format!("{colour:?}"), "8-bit grey or RGB, opaque everywhere")
    })?;
    reserve(path, pixels, values.len())?;
    pixels.extend(values);
    Ok(Shape::new(height, width, channels))
}

/// Channels and values; an alpha channel that is opaque everywhere says nothing and is dropped.
fn eight_bit(image: DynamicImage) -> Option<(usize, Vec<u8>)> {
    match image {
        DynamicImage::ImageLuma8(grey) => Some((1, grey.into_raw())),
        DynamicImage::ImageRgb8(rgb) => Some((3, rgb.into_raw())),
        DynamicImage::ImageLumaA8(grey) => opaque::<2>(&grey.into_raw()),
        DynamicImage::ImageRgba8(rgb) => opaque::<4>(&rgb.into_raw()),
        _ => None,
    }
}

/// `N - 1` colour channels without their alpha channel.
fn opaque<const N: usize>(values: &[u8]) -> Option<(usize, Vec<u8>)> {
    let (pixels, _) = values.as_chunks::<N>();
    let all_opaque = pixels.iter().all(|pixel| pixel[N - 1] == u8::MAX);
    all_opaque.then(|| (N - 1, pixels.iter().flat_map(|pixel| pixel[..N - 1].iter().copied()).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::testing::write;
    use image::{ExtendedColorType, ImageFormat};

    fn save(
        folder: &Path,
        name: &str,
        colour: ExtendedColorType,
        (height, width): (u32, u32),
        pixels: &[u8],
    ) {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        image::save_buffer_with_format(path, pixels, width, height, colour, ImageFormat::Png).unwrap();
    }

    #[test]
    fn classes_and_files_come_in_order_of_name() {
        let dir = tempfile::tempdir().unwrap();
        save(dir.path(), "dog/a.png", ExtendedColorType::L8, (1, 2), &[5, 6]);
        save(dir.path(), "cat/b.png", ExtendedColorType::L8, (1, 2), &[3, 4]);
        save(dir.path(), "cat/a.PNG", ExtendedColorType::La8, (1, 2), &[1, 255, 2, 255]);
        write(dir.path(), "cat/notes.txt", b"passed over");
        write(dir.path(), ".hidden/x.png", b"passed over");
        let set = read("i", dir.path()).unwrap().into_evaluation();
        assert_eq!(
            (set.shape, set.class_names),
            (Shape::new(1, 2, 1), vec!["cat".to_string(), "dog".to_string()])
        );
        assert_eq!((set.inputs, set.labels), (Inputs::U8(vec![1, 2, 3, 4, 5, 6]), vec![0, 0, 1]));
    }

    #[test]
    fn rgb_is_interleaved_and_parts_are_kept_apart() {
        let dir = tempfile::tempdir().unwrap();
        for (part, value) in [("train", 10), ("test", 20)] {
            for class in ["a", "b"] {
                save(
                    dir.path(),
                    &format!("{part}/{class}/1.png"),
                    ExtendedColorType::Rgb8,
                    (1, 1),
                    &[value, 1, 2],
                );
            }
        }
        let Loaded::Official { train, test } = read("i", dir.path()).unwrap() else { panic!("two parts") };
        assert_eq!(train.inputs, Inputs::U8(vec![10, 1, 2, 10, 1, 2]));
        assert_eq!((test.shape, test.len()), (Shape::new(1, 1, 3), 2));
        save(dir.path(), "test/c/1.png", ExtendedColorType::Rgb8, (1, 1), &[0, 1, 2]);
        let message = read("i", dir.path()).unwrap_err().to_string();
        assert!(message.contains("classes of the test set: found a, b, c, expected a, b"), "{message}");
    }

    #[test]
    fn jpeg_is_read() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("a")).unwrap();
        let path = dir.path().join("a/1.jpg");
        image::save_buffer(&path, &[200; 64], 8, 8, ExtendedColorType::L8).unwrap();
        let (shape, pixels) = read_image(&path).unwrap();
        assert_eq!(shape, Shape::new(8, 8, 1));
        assert!(pixels.iter().all(|&pixel| pixel.abs_diff(200) <= 2));
    }

    #[test]
    fn the_first_odd_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        save(dir.path(), "a/1.png", ExtendedColorType::L8, (1, 2), &[1, 2]);
        for (name, colour, size, pixels) in [
            ("a/2.png", ExtendedColorType::L8, (2, 1), &[1, 2][..]),
            ("a/2.png", ExtendedColorType::Rgb8, (1, 2), &[1; 6][..]),
            ("a/2.png", ExtendedColorType::Rgba8, (1, 2), &[1; 8][..]),
            ("a/2.png", ExtendedColorType::L16, (1, 2), &[1; 4][..]),
        ] {
            save(dir.path(), name, colour, size, pixels);
            let message = read("i", dir.path()).unwrap_err().to_string();
            assert!(message.contains("2.png: size") || message.contains("2.png: colour"), "{message}");
        }
    }

    #[test]
    fn empty_folders_and_damaged_files_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read("i", dir.path()).unwrap_err().to_string().contains("class folders"));
        fs::create_dir(dir.path().join("a")).unwrap();
        assert!(read("i", dir.path()).unwrap_err().to_string().contains("no image"));
        save(dir.path(), "a/1.png", ExtendedColorType::L8, (1, 2), &[1, 2]);
        let whole = fs::read(dir.path().join("a/1.png")).unwrap();
        // The last 12 bytes are the end chunk, which decoders may do without.
        for cut in 0..whole.len() - 12 {
            write(dir.path(), "a/1.png", &whole[..cut]);
            let message = read("i", dir.path()).unwrap_err().to_string();
            assert!(message.contains("1.png"), "{message}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn names_that_are_not_utf_8_are_read() {
        use std::os::unix::ffi::OsStrExt;
        let dir = tempfile::tempdir().unwrap();
        let class = dir.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9"));
        if fs::create_dir(&class).is_err() {
            return; // a file system that refuses such names cannot hold such data
        }
        save(&class, "1.png", ExtendedColorType::L8, (1, 1), &[7]);
        let set = read("i", dir.path()).unwrap().into_evaluation();
        assert_eq!(set.class_names, ["caf\u{fffd}"]);
    }
}
