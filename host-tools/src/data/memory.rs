//! Memory for data whose size a file decides: too little of it is an error, not the end of the process.

use crate::error::{Error, Result};
use std::io::{self, ErrorKind};
use std::path::Path;

/// Makes room for `more` values; `path` names the file whose values they are.
///
/// # Errors
/// If there is not so much memory.
pub(super) fn reserve<T>(path: &Path, values: &mut Vec<T>, more: usize) -> Result<()> {
    values.try_reserve(more).map_err(|_| Error::io(path, "load")(io::Error::from(ErrorKind::OutOfMemory)))
}

/// As many values as are announced, or as come.
///
/// # Errors
/// If there is not so much memory.
pub(super) fn collect<T>(path: &Path, count: usize, values: impl Iterator<Item = T>) -> Result<Vec<T>> {
    let mut all = Vec::new();
    reserve(path, &mut all, count)?;
    all.extend(values.take(count));
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_much_is_an_error_that_names_the_file() {
        let mut values: Vec<u64> = Vec::new();
        let error = reserve(Path::new("big.npz"), &mut values, usize::MAX / 16).unwrap_err().to_string();
        assert!(error.contains("big.npz: cannot load: out of memory"), "{error}");
        assert!(collect(Path::new("x"), usize::MAX / 16, 0..3_u64).is_err());
        assert_eq!(collect(Path::new("x"), 3, 0..9).unwrap(), [0, 1, 2]);
    }
}
