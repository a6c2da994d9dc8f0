//! The one error type of the host tool: each variant names the file or setting, what was found
//! and what was expected.

use std::path::{Path, PathBuf};

/// What can go wrong in the host tool.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused to read or write.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried, as a verb: "read", "create".
        action: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file is not what it claims to be.
    #[error("{}: {field}: found {found}, expected {expected}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Part of the file: "magic number", "label 17".
        field: String,
        /// What is there.
        found: String,
        /// What should be.
        expected: String,
    },
    /// A setting or a combination of settings cannot work.
    #[error("{what}: found {found}, expected {expected}")]
    Invalid {
        /// The setting, shape or node.
        what: String,
        /// What it is.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// A device at the other end of a line gave no result.
    #[error("{port}: {reason}")]
    Device {
        /// The line.
        port: String,
        /// What happened.
        reason: String,
    },
    /// A loss or a weight is no longer a finite number.
    #[error("{what} is {value} in epoch {epoch}; {hint}")]
    NotFinite {
        /// What diverged: "training loss".
        what: &'static str,
        /// Its value.
        value: f32,
        /// Epoch, from 1.
        epoch: usize,
        /// What to try.
        hint: &'static str,
    },
    /// The user interrupted; what is kept, the command knows.
    #[error("interrupted")]
    Interrupted,
}

/// Result with the host tool's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An I/O error at `path` while trying to `action`; for `map_err`.
    pub fn io(path: impl Into<PathBuf>, action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, action, source }
    }

    /// A malformed file: which, where, what was found and what was expected.
    pub fn malformed(
        path: &Path,
        field: impl Into<String>,
        found: impl ToString,
        expected: impl ToString,
    ) -> Self {
        Self::Malformed {
            path: path.to_path_buf(),
            field: field.into(),
            found: found.to_string(),
            expected: expected.to_string(),
        }
    }

    /// An unusable setting: which, what was found and what was expected.
    pub fn invalid(what: impl Into<String>, found: impl ToString, expected: impl ToString) -> Self {
        Self::Invalid { what: what.into(), found: found.to_string(), expected: expected.to_string() }
    }
}
