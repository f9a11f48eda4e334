//! What a bridge's build function gets: its own piece of the configuration, with places kept.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::document::Document;
use super::error::ConfigError;
use super::path::KeyPath;

/// One sub-table of the configuration, such as `bridge[0]`.
#[derive(Debug)]
pub struct Section<'a> {
    document: &'a Document<'a>,
    path: KeyPath,
    name: String,
    ignored: &'static [&'static str],
    profile_paths: &'a [PathBuf],
}

impl<'a> Section<'a> {
    pub(super) fn new(
        document: &'a Document<'a>,
        path: KeyPath,
        name: String,
        ignored: &'static [&'static str],
        profile_paths: &'a [PathBuf],
    ) -> Self {
        Self { document, path, name, ignored, profile_paths }
    }

    /// The SourceId that the operator gave this bridge (`name = "plant"`).
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Folders with profiles of the site, searched before the shipped ones, in order.
    pub fn profile_paths(&self) -> &'a [PathBuf] {
        self.profile_paths
    }

    /// Where relative paths in the configuration start.
    pub fn directory(&self) -> &'a Path {
        self.document.source().directory()
    }

    /// Checks the section against the schema of `T` and reads it. Keys that every bridge has (`kind`, `name`) are
    /// already checked and not seen by `T`.
    ///
    /// # Errors
    /// Every mistake, in the order of the text.
    pub fn parse<T: DeserializeOwned + JsonSchema>(&self) -> Result<T, Vec<ConfigError>> {
        self.document.check_at(&self.path, self.ignored)
    }

    /// Like [`parse`](Self::parse), but gives a value in spite of mistakes where that is possible, to find more of them; see
    /// [`Document::examine`].
    pub fn examine<T: DeserializeOwned + JsonSchema>(&self) -> (Option<T>, Vec<ConfigError>) {
        self.document.examine_at(&self.path, self.ignored)
    }

    /// An error at `key`, relative to this section: `line[0].device[1].profile`.
    pub fn error_at(&self, key: &str, message: impl Into<String>) -> ConfigError {
        self.document.invalid(&self.path.join(&KeyPath::parse(key)), message.into())
    }

    /// Like [`error_at`](Self::error_at), for a name outside a known set: adds what was found and the nearest.
    pub fn unknown_at<'n>(
        &self,
        key: &str,
        message: impl Into<String>,
        known: impl IntoIterator<Item = &'n str>,
    ) -> ConfigError {
        self.document.unknown_at(&self.path.join(&KeyPath::parse(key)).to_string(), message, known)
    }
}
