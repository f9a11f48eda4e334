//! Secrets that the operator keeps in files: in the first line, readable by nobody else.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use torg_wire::secret::Secret;

/// Shortest secret: 16 characters of base64 are 96 bits, too many to try.
pub const SECRET_CHARS_MIN: usize = 16;
/// Longest file with a secret; a longer one is no such file.
const SECRET_FILE_BYTES: u64 = 4_096;
/// What others may do with a file for it to be a secret's: nothing. The group may read it, as service managers hand over credentials.
const OPEN_TO_OTHERS: u32 = 0o027;

/// The first line of a file that nobody else may read.
pub(super) fn read_secret(file: &Path) -> Result<Secret<String>, String> {
    let shown = file.display();
    let unreadable = |error: io::Error| format!("{shown} cannot be read: {error}");
    // Before it is opened: opening a pipe would wait for its writer.
    if !fs::metadata(file).map_err(unreadable)?.is_file() {
        return Err(format!("{shown} is no file"));
    }
    let opened = fs::File::open(file).map_err(unreadable)?;
    // Of what was opened, whatever has the name by now.
    let found = opened.metadata().map_err(unreadable)?;
    let mode = found.permissions().mode() & 0o777;
    if found.len() > SECRET_FILE_BYTES {
        return Err(format!("{shown} has more than {SECRET_FILE_BYTES} bytes"));
    }
    if mode & OPEN_TO_OTHERS != 0 {
        return Err(format!("{shown} is open to others (mode {mode:04o}): chmod 600 {shown}"));
    }
    let mut text = String::new();
    opened.take(SECRET_FILE_BYTES).read_to_string(&mut text).map_err(unreadable)?;
    let text = Secret::new(text);
    let secret = text.expose().lines().next().unwrap_or_default().trim();
    if secret.chars().count() < SECRET_CHARS_MIN {
        return Err(format!("the first line of {shown} has fewer than {SECRET_CHARS_MIN} characters"));
    }
    Ok(Secret::new(secret.to_owned()))
}
