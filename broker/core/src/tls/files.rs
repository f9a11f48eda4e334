//! Small files with secrets: written whole or not at all, readable by us only.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::TlsError;

/// Reads a file as text.
pub(super) fn read(path: &Path) -> Result<String, TlsError> {
    fs::read_to_string(path).map_err(|source| TlsError::ConfigFile { action: "read", path: path.into(), source })
}

/// Makes a directory for us only, with its parents; an existing one stays as it is.
pub(super) fn make_directory(path: &Path) -> Result<(), TlsError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| TlsError::ConfigFile { action: "create", path: path.into(), source })
}

/// Writes a file beside its place, with the given mode from the start, and moves it there: a crash leaves the old or the new one.
pub(super) fn write(path: &Path, text: &str, mode: u32) -> Result<(), TlsError> {
    let fail = |source| TlsError::ConfigFile { action: "write", path: path.into(), source };
    let beside = path.with_extension("new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(fail(error)),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside).map_err(fail)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(fail)?;
    fs::rename(&beside, path).map_err(fail)?;
    match path.parent() {
        Some(directory) => File::open(directory).and_then(|directory| directory.sync_all()).map_err(fail),
        None => Ok(()),
    }
}
