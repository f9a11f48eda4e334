//! A named text and the way from a byte offset to line and column.

use std::path::{Path, PathBuf};

use super::error::ConfigError;

/// Longest configuration or profile text we read, in bytes. A site with 1,000 devices needs about 100 KiB; more than
/// this is a wrong file.
const TEXT_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A TOML text with the name that errors show.
#[derive(Clone, Debug)]
pub struct SourceText {
    name: String,
    directory: PathBuf,
    text: String,
}

impl SourceText {
    /// A text from memory; relative paths in it start at the current directory.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), directory: PathBuf::new(), text: text.into() }
    }

    /// Reads a file of at most 4 MiB of UTF-8.
    ///
    /// # Errors
    /// The file is missing, not readable, too large or not UTF-8.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let name = path.display().to_string();
        let unreadable = |message: String| ConfigError::unreadable(name.clone(), message);
        let size = std::fs::metadata(path).map_err(|error| unreadable(format!("cannot be read: {error}")))?.len();
        if size > TEXT_BYTES_MAX {
            return Err(unreadable(format!("is {size} bytes long; at most {TEXT_BYTES_MAX} are read")));
        }
        let bytes = std::fs::read(path).map_err(|error| unreadable(format!("cannot be read: {error}")))?;
        let text = String::from_utf8(bytes).map_err(|error| {
            unreadable(format!("is not UTF-8: first bad byte at offset {}", error.utf8_error().valid_up_to()))
        })?;
        let directory = path.parent().map(Path::to_path_buf).unwrap_or_default();
        Ok(Self { name, directory, text })
    }

    /// The name that errors show.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where relative paths in this text start: the folder of the file.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The text itself.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Line and column (characters) of a byte offset, both from 1.
    pub(super) fn position(&self, offset: usize) -> (u32, u32) {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line = before.bytes().filter(|&byte| byte == b'\n').count().saturating_add(1);
        let column = before.rsplit('\n').next().unwrap_or("").chars().count().saturating_add(1);
        // A text is at most TEXT_BYTES_MAX long, so neither number is ever cut.
        (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
    }
}
