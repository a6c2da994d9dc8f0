//! Output files that are either whole or not there.

use crate::error::{Error, Result};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Writes a file through a temporary one in the same folder: flushed to the disk, then renamed. On
/// any error (a full disk, an error of `write`) the temporary file is removed and what was at `path`
/// before is untouched. A symbolic link is followed; a device or pipe is written directly.
///
/// # Errors
/// If the folder or disk refuses, or `write` returns an error.
pub fn write_atomic(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => {
            Err(Error::io(path, "write")(io::Error::from(io::ErrorKind::IsADirectory)))
        }
        Ok(meta) if !meta.is_file() => write_directly(path, write),
        Ok(_) => replace(&fs::canonicalize(path).map_err(Error::io(path, "resolve"))?, write),
        Err(_) => replace(path, write),
    }
}

/// Refuses a path that no file can be written to, before the work whose result it is to hold: one that is a
/// folder, or lies in none.
///
/// # Errors
/// If so, or the system does not say.
pub fn require_writable(path: &Path) -> Result<()> {
    let refused = |kind: io::ErrorKind| Err(Error::io(path, "create")(io::Error::from(kind)));
    if path.is_dir() {
        return refused(io::ErrorKind::IsADirectory);
    }
    match fs::metadata(folder_of(path)) {
        Ok(meta) if meta.is_dir() => Ok(()),
        Ok(_) => refused(io::ErrorKind::NotADirectory),
        Err(error) => Err(Error::io(path, "create")(error)),
    }
}

/// Writes a new file that only its owner may read, and flushes it to the disk.
///
/// # Errors
/// If there is something at `path`, or the disk refuses.
pub fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(Error::io(path, "create"))?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(|error| {
        // Half a key is of no use; the error to report is the one that led here.
        let _ = fs::remove_file(path);
        Error::io(path, "write")(error)
    })?;
    sync_folder(path);
    Ok(())
}

fn write_directly(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let file = File::options().write(true).open(path).map_err(Error::io(path, "open"))?;
    let mut writer = BufWriter::new(file);
    write(&mut writer).and_then(|()| writer.flush()).map_err(Error::io(path, "write"))
}

fn replace(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let (partial, file) = create_partial(path)?;
    let mut writer = BufWriter::new(file);
    write(&mut writer).and_then(|()| writer.flush()).map_err(Error::io(path, "write"))?;
    writer.get_ref().sync_all().map_err(Error::io(path, "write"))?;
    drop(writer);
    fs::rename(&partial.0, path).map_err(Error::io(path, "rename to"))?;
    std::mem::forget(partial);
    sync_folder(path);
    Ok(())
}

/// Removed when dropped.
struct Partial(PathBuf);

impl Drop for Partial {
    fn drop(&mut self) {
        // The error that led here is the one to report.
        let _ = fs::remove_file(&self.0);
    }
}

/// Removes the temporary files that killed processes have left in a folder which is this process's alone but
/// for outputs of other commands: a file of a process that runs stays.
pub fn remove_partial(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if writer_of(&entry.file_name().to_string_lossy()).is_some_and(|process| !runs_elsewhere(process)) {
            // One that cannot be removed is only untidy.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// The process in the name of a temporary file; `None` for a file of another kind.
fn writer_of(name: &str) -> Option<u32> {
    let (_, numbers) = name.strip_prefix('.')?.strip_suffix(".partial")?.rsplit_once('.')?;
    let (process, count) = numbers.split_once('-')?;
    count.parse::<u32>().ok()?;
    process.parse().ok()
}

/// Whether another process of this number runs, as far as the system says; one of this process's number is
/// gone, as containers number theirs alike.
fn runs_elsewhere(process: u32) -> bool {
    cfg!(target_os = "linux")
        && process != std::process::id()
        && Path::new("/proc").join(process.to_string()).exists()
}

/// A new temporary file beside `path`.
fn create_partial(path: &Path) -> Result<(Partial, File)> {
    loop {
        let partial = partial_path(path)?;
        match File::options().write(true).create_new(true).open(&partial) {
            Ok(file) => return Ok((Partial(partial), file)),
            // Left by a killed process of the same number.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::io(path, "create")(error)),
        }
    }
}

/// A hidden name that no other writer uses: process and counter. It shows the start of a long name, as
/// it must not be longer itself than a name may be.
fn partial_path(path: &Path) -> Result<PathBuf> {
    const SHOWN: usize = 100;
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let name =
        path.file_name().ok_or_else(|| Error::invalid("output file", path.display(), "a file name"))?;
    let name = name.to_string_lossy();
    let shown = &name[..name.floor_char_boundary(SHOWN)];
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    Ok(path.with_file_name(format!(".{shown}.{}-{count}.partial", std::process::id())))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes the rename itself durable. Not every file system can: the content is safe either way.
fn sync_folder(path: &Path) {
    if let Ok(folder) = File::open(folder_of(path)) {
        let _ = folder.sync_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_written_and_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.bin");
        for content in ["first", "second, longer"] {
            write_atomic(&path, |writer| writer.write_all(content.as_bytes())).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        assert_eq!(entries(dir.path()), ["out.bin"]);
    }

    #[test]
    fn an_error_half_way_leaves_the_old_file_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.bin");
        let fail = |writer: &mut dyn Write| {
            writer.write_all(&[1; 100_000])?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        };
        assert!(write_atomic(&path, fail).unwrap_err().to_string().contains("out.bin: cannot write"));
        assert!(entries(dir.path()).is_empty());
        fs::write(&path, "old").unwrap();
        assert!(write_atomic(&path, fail).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(entries(dir.path()), ["out.bin"]);
    }

    #[test]
    fn what_a_killed_process_left_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.bin");
        fs::write(partial_path(&path).unwrap(), "half").unwrap();
        fs::write(&path, "whole").unwrap();
        remove_partial(dir.path());
        assert_eq!(entries(dir.path()), ["out.bin"]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_a_running_process_writes_stays() {
        let dir = tempfile::tempdir().unwrap();
        // Our parent runs; no process has the second number; the third is a file of somebody else.
        let parent = format!(".x.stf.{}-0.partial", std::os::unix::process::parent_id());
        let gone = format!(".x.stf.{}-0.partial", u32::MAX);
        for name in [parent.as_str(), &gone, ".mine.partial"] {
            fs::write(dir.path().join(name), "half").unwrap();
        }
        remove_partial(dir.path());
        let mut expected = [".mine.partial".to_string(), parent];
        expected.sort();
        assert_eq!(entries(dir.path()), expected);
    }

    #[test]
    fn long_names_can_be_written() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["n".repeat(255), "\u{e4}".repeat(127)] {
            write_atomic(&dir.path().join(&name), |writer| writer.write_all(b"whole")).unwrap();
            assert_eq!(fs::read_to_string(dir.path().join(&name)).unwrap(), "whole");
        }
        assert_eq!(entries(dir.path()).len(), 2);
    }

    #[test]
    fn paths_that_cannot_be_written_are_told_early() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        assert!(require_writable(&file).is_ok() && require_writable(Path::new("file.svg")).is_ok());
        fs::write(&file, "old").unwrap();
        assert!(require_writable(&file).is_ok());
        for bad in [dir.path().to_path_buf(), dir.path().join("no/p.svg"), file.join("p.svg")] {
            let message = require_writable(&bad).unwrap_err().to_string();
            assert!(message.starts_with(&format!("{}: cannot create", bad.display())), "{message}");
        }
        assert_eq!(entries(dir.path()), ["file"]);
    }

    #[test]
    fn folders_and_missing_folders_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        assert!(write_atomic(dir.path(), |_| Ok(())).is_err());
        let message = write_atomic(&dir.path().join("no/out"), |_| Ok(())).unwrap_err().to_string();
        assert!(message.contains("no/out: cannot create"), "{message}");
        assert!(write_atomic(Path::new("/"), |_| Ok(())).is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_device_is_an_error_and_stays_a_device() {
        let full = Path::new("/dev/full");
        let message = write_atomic(full, |writer| writer.write_all(&[1; 10])).unwrap_err().to_string();
        assert!(message.contains("/dev/full: cannot write: No space left"), "{message}");
        assert!(!fs::metadata(full).unwrap().is_file());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let (target, link) = (dir.path().join("target"), dir.path().join("link"));
        fs::write(&target, "old").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        write_atomic(&link, |writer| writer.write_all(b"new")).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }
}
