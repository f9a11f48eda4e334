//! Where profiles are found: the shipped ones, embedded in the binary, and folders of the site.
//!
//! A site's profile shadows a shipped one of the same id, and an earlier folder a later one; what is shadowed is kept as a
//! fact, so that `torg check` can say so. Two files with one id in the same folder are an error.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use torg_thing::config::{ConfigError, Document, SourceText, nearest};

use crate::check::check_in;
use crate::checked::Profile;

/// Profile files in one folder, at most; more is a wrong folder.
const FILES_MAX: usize = 10_000;
/// Folders inside a profile folder are searched this deep: `<protocol>/<maker>-<model>.toml`.
const DEPTH_MAX: usize = 3;

/// The shipped profiles: id, file in `profiles/`, text.
const SHIPPED: &[(&str, &str, &str)] = &[
    ("abb.b23", "modbus/abb-b23.toml", include_str!("../../../profiles/modbus/abb-b23.toml")),
    ("eastron.sdm120", "modbus/eastron-sdm120.toml", include_str!("../../../profiles/modbus/eastron-sdm120.toml")),
    ("eastron.sdm230", "modbus/eastron-sdm230.toml", include_str!("../../../profiles/modbus/eastron-sdm230.toml")),
    ("eastron.sdm630", "modbus/eastron-sdm630.toml", include_str!("../../../profiles/modbus/eastron-sdm630.toml")),
    (
        "eastron.single-phase",
        "modbus/eastron-single-phase.toml",
        include_str!("../../../profiles/modbus/eastron-single-phase.toml"),
    ),
    (
        "waveshare.relay-8ch",
        "modbus/waveshare-relay-8ch.toml",
        include_str!("../../../profiles/modbus/waveshare-relay-8ch.toml"),
    ),
];

/// Why there is no profile of a name.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LibraryError {
    /// The profile has mistakes; each of them names file, line and key.
    #[error("the profile has {} mistakes", .0.len())]
    Invalid(Vec<ConfigError>),
    /// Nobody has a profile of that id.
    #[error("no profile {id:?}{}", .suggestion.as_ref().map(|id| format!("; did you mean `{id}`?")).unwrap_or_default())]
    Unknown {
        /// The id asked for.
        id: String,
        /// The nearest known id.
        suggestion: Option<String>,
    },
}

/// A site's profile that stands in front of another one of the same id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shadow {
    /// The id of both.
    pub id: String,
    /// Name of the text that is used.
    pub used: String,
    /// Name of the text that is not.
    pub shadowed: String,
}

/// A set of profile texts by id. Texts are checked when they are asked for.
#[derive(Clone, Debug)]
pub struct Library {
    texts: BTreeMap<String, SourceText>,
    shadows: Vec<Shadow>,
}

impl Library {
    /// The profiles that come with Torg.
    #[must_use]
    pub fn shipped() -> Self {
        let text = |(id, file, text): &(&str, &str, &str)| ((*id).to_owned(), SourceText::new(*file, *text));
        Self { texts: SHIPPED.iter().map(text).collect(), shadows: Vec::new() }
    }

    /// The shipped profiles and, in front of them, those in `folders` (`[profiles] paths`), searched in order.
    ///
    /// # Errors
    /// A folder or file that cannot be read, a file without an id, two files with the same id in one folder.
    pub fn with_folders(folders: &[PathBuf]) -> Result<Self, Vec<ConfigError>> {
        let mut library = Self::shipped();
        let mut errors = Vec::new();
        // The first folder wins, so it is laid on last.
        for folder in folders.iter().rev() {
            match folder_texts(folder) {
                Ok(texts) => library.lay_over(texts),
                Err(more) => errors.extend(more),
            }
        }
        library.shadows.sort_by(|a, b| a.id.cmp(&b.id));
        if errors.is_empty() { Ok(library) } else { Err(errors) }
    }

    fn lay_over(&mut self, texts: BTreeMap<String, SourceText>) {
        for (id, text) in texts {
            let used = text.name().to_owned();
            if let Some(old) = self.texts.insert(id.clone(), text) {
                self.shadows.push(Shadow { id, used, shadowed: old.name().to_owned() });
            }
        }
    }

    /// Ids of all profiles.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.texts.keys().map(String::as_str)
    }

    /// The text of a profile.
    #[must_use]
    pub fn source(&self, id: &str) -> Option<&SourceText> {
        self.texts.get(id)
    }

    /// Profiles that stand in front of others.
    #[must_use]
    pub fn shadows(&self) -> &[Shadow] {
        &self.shadows
    }

    /// Reads and checks a profile. Costs a few milliseconds: keep the result.
    ///
    /// # Errors
    /// See [`LibraryError`].
    pub fn load(&self, id: &str) -> Result<Profile, LibraryError> {
        let Some(source) = self.texts.get(id) else {
            let suggestion = nearest(id, self.ids()).map(str::to_owned);
            return Err(LibraryError::Unknown { id: id.to_owned(), suggestion });
        };
        check_in(source, self).map_err(LibraryError::Invalid)
    }
}

/// The profile texts of one folder, by id.
fn folder_texts(folder: &Path) -> Result<BTreeMap<String, SourceText>, Vec<ConfigError>> {
    let mut files = Vec::new();
    let unreadable = |message: String| vec![ConfigError::unreadable(folder.display().to_string(), message)];
    find_files(folder, DEPTH_MAX, &mut files).map_err(|error| unreadable(format!("cannot be read: {error}")))?;
    files.sort();
    let mut texts: BTreeMap<String, SourceText> = BTreeMap::new();
    let mut errors = Vec::new();
    for file in files {
        let read = SourceText::read(&file).map_err(|error| vec![error]).and_then(|text| Ok((id_of(&text)?, text)));
        match read {
            Ok((id, text)) => {
                if let Some(other) = texts.get(&id) {
                    let message = format!("has the id {id:?}, as {} has", other.name());
                    errors.push(ConfigError::unreadable(text.name(), message));
                } else {
                    texts.insert(id, text);
                }
            }
            Err(more) => errors.extend(more),
        }
    }
    if errors.is_empty() { Ok(texts) } else { Err(errors) }
}

fn find_files(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            if let Some(depth) = depth.checked_sub(1) {
                find_files(&path, depth, files)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            if files.len() >= FILES_MAX {
                return Err(std::io::Error::other(format!("more than {FILES_MAX} profiles")));
            }
            files.push(path);
        }
    }
    Ok(())
}

/// The id alone, before the whole check, so that one broken profile does not hide the others.
fn id_of(text: &SourceText) -> Result<String, Vec<ConfigError>> {
    #[derive(serde::Deserialize, schemars::JsonSchema)]
    struct Text {
        profile: Head,
    }
    #[derive(serde::Deserialize, schemars::JsonSchema)]
    struct Head {
        id: String,
    }
    Document::parse(text)?.check::<Text>().map(|text| text.profile.id)
}

#[cfg(test)]
#[path = "library_tests.rs"]
mod tests;
