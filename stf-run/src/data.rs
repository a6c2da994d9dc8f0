//! Inputs and labels from files: IDX of unsigned bytes, or raw bytes.

use std::path::Path;

/// Raw inputs of one size, and their labels if there are any.
#[derive(Debug)]
pub struct Data {
    /// Name in results.
    pub name: String,
    bytes: Vec<u8>,
    size: usize,
    /// One a input, or empty.
    pub labels: Vec<u8>,
}

impl Data {
    /// Reads inputs of `size` values each, at most `limit` of them.
    pub fn read(
        images: &Path,
        labels: Option<&Path>,
        size: usize,
        limit: Option<usize>,
        name: Option<&str>,
    ) -> Result<Self, String> {
        let (mut bytes, count) = behind_header(images, load(images)?)?;
        let there = bytes.len() / size.max(1);
        if bytes.is_empty() || size == 0 || bytes.len() % size != 0 || count.is_some_and(|n| n != there) {
            let of = count.map_or(String::new(), |count| format!(" in {count} inputs"));
            return Err(format!(
                "{}: found {} bytes{of}, expected inputs of {size} values each",
                images.display(),
                bytes.len()
            ));
        }
        let labelled = labels.is_some();
        let mut labels = labels.map(|path| read_labels(path, there)).transpose()?.unwrap_or_default();
        if labelled && labels.len() != there {
            return Err(format!("labels: found {}, expected {there}, one an input", labels.len()));
        }
        let keep = limit.unwrap_or(there).min(there);
        if keep == 0 {
            return Err("--limit: found 0, expected at least 1".into());
        }
        bytes.truncate(keep * size);
        labels.truncate(keep);
        let stem = images.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Ok(Self { name: name.map_or(stem, str::to_string), bytes, size, labels })
    }

    /// The inputs in order.
    pub fn inputs(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.chunks_exact(self.size)
    }

    /// Inputs with their labels.
    pub fn labelled(&self) -> impl Iterator<Item = (&[u8], u8)> {
        self.inputs().zip(self.labels.iter().copied())
    }
}

fn load(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Labels of `count` inputs. A file of that many bytes has no header, however it begins: with one, it would be
/// longer.
fn read_labels(path: &Path, count: usize) -> Result<Vec<u8>, String> {
    let bytes = load(path)?;
    if bytes.len() == count {
        return Ok(bytes);
    }
    behind_header(path, bytes).map(|(labels, _)| labels)
}

/// The content behind an IDX header and its first dimension, or the whole file.
fn behind_header(path: &Path, mut bytes: Vec<u8>) -> Result<(Vec<u8>, Option<usize>), String> {
    let Some(dimensions) = idx_dimensions(&bytes) else { return Ok((bytes, None)) };
    let head = 4 + 4 * dimensions;
    let sizes: Vec<u64> = bytes[4..head]
        .chunks_exact(4)
        .map(|b| u64::from(u32::from_be_bytes([b[0], b[1], b[2], b[3]])))
        .collect();
    let expected = sizes.iter().try_fold(1_u64, |product, &size| product.checked_mul(size));
    let found = (bytes.len() - head) as u64;
    if expected != Some(found) {
        return Err(format!("{}: found {found} bytes after the header, expected {sizes:?}", path.display()));
    }
    let count = usize::try_from(sizes[0]).map_err(|_| format!("{}: too large", path.display()))?;
    bytes.drain(..head);
    Ok((bytes, Some(count)))
}

/// Dimensions of an IDX file of unsigned bytes; `None` for another file.
fn idx_dimensions(bytes: &[u8]) -> Option<usize> {
    let dimensions = usize::from(*bytes.get(3)?);
    let idx = bytes.starts_with(&[0, 0, 8]) && (1..=4).contains(&dimensions);
    (idx && bytes.len() >= 4 + 4 * dimensions).then_some(dimensions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(images: &[u8], labels: &[u8], size: usize) -> Result<Data, String> {
        let folder = tempfile::tempdir().unwrap();
        let [i, l] = ["images", "labels"].map(|name| folder.path().join(name));
        std::fs::write(&i, images).unwrap();
        std::fs::write(&l, labels).unwrap();
        Data::read(&i, Some(&l), size, Some(2), None)
    }

    #[test]
    fn idx_and_raw_give_the_same() {
        let idx = [0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2, 3, 4, 5, 6];
        let idx_labels = [0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9];
        for (images, labels) in [(&idx[..], &idx_labels[..]), (&idx[16..], &idx_labels[8..])] {
            let data = data(images, labels, 2).unwrap();
            assert_eq!(data.labelled().collect::<Vec<_>>(), [(&[1, 2][..], 7), (&[3, 4][..], 8)]);
        }
        for (images, labels, size) in [(&idx[..], &idx_labels[..], 3), (&idx[..20], &idx_labels[..], 2)] {
            assert!(data(images, labels, size).is_err());
        }
        // Raw labels that begin like IDX.
        let ten = [1; 20];
        let raw = [0, 0, 8, 1, 0, 0, 0, 9, 9, 9];
        assert_eq!(data(&ten, &raw, 2).unwrap().labels, [0, 0]);
        assert!(data(&ten, &raw[..9], 2).is_err());
        assert!(data(&idx, &[1, 2], 2).unwrap_err().contains("expected 3"));
        assert!(data(&idx, &[], 2).is_err());
        assert!(data(&[], &[], 2).is_err());
    }
}
