//! One configuration mistake, told so that an operator can mend it without reading code.

use std::fmt;

use serde::Serialize;

use super::path::KeyPath;

/// What kind of mistake it is; stable names for `--json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Problem {
    /// The same key twice in one table.
    DuplicateKey,
    /// Right shape, but it contradicts something else (found by a check after the schema).
    Invalid,
    /// A key that must be there is not.
    MissingKey,
    /// A number outside its limits, or a text or list of the wrong length.
    OutOfRange,
    /// Not TOML at all.
    Syntax,
    /// The file itself cannot be read.
    Unreadable,
    /// A key nobody knows.
    UnknownKey,
    /// A word outside the closed set allowed here.
    UnknownValue,
    /// A text where a number belongs, and so on.
    WrongType,
}

impl Problem {
    fn words(self) -> &'static str {
        match self {
            Self::DuplicateKey => "duplicate key",
            Self::Invalid => "invalid",
            Self::MissingKey => "missing key",
            Self::OutOfRange => "out of range",
            Self::Syntax => "syntax error",
            Self::Unreadable => "cannot be read",
            Self::UnknownKey => "unknown key",
            Self::UnknownValue => "unknown value",
            Self::WrongType => "wrong type",
        }
    }
}

/// One mistake in a configuration or profile text.
///
/// `Display` gives one line for operators, `Serialize` the same facts for `--json`. The value found is never present
/// when the key's name says it is a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
pub struct ConfigError {
    /// Name of the text, as given to [`SourceText`](super::SourceText): usually the path as the operator typed it.
    pub file: Box<str>,
    /// Line, from 1; 0 when the problem has no place in the text.
    pub line: u32,
    /// Column in characters, from 1; 0 when the problem has no place in the text.
    pub column: u32,
    /// Dotted path with indexes, `bridge[0].line[1].device[0].unit`; empty for the whole text.
    pub key: Box<str>,
    /// Kind of mistake.
    pub problem: Problem,
    /// The sentence part that says what is wrong.
    pub message: Box<str>,
    /// What stands there, cut to a readable length; absent for secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<Box<str>>,
    /// What may stand there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed: Option<Box<str>>,
    /// The nearest thing that would have been right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<Box<str>>,
}

impl ConfigError {
    /// A problem of the file as a whole: it cannot be read, or is too large.
    pub fn unreadable(file: impl Into<Box<str>>, message: impl Into<Box<str>>) -> Self {
        Self {
            file: file.into(),
            line: 0,
            column: 0,
            key: Box::default(),
            problem: Problem::Unreadable,
            message: message.into(),
            found: None,
            allowed: None,
            suggestion: None,
        }
    }

    pub(super) fn new(file: &str, (line, column): (u32, u32), key: String, problem: Problem) -> Self {
        Self {
            file: file.into(),
            line,
            column,
            key: key.into(),
            problem,
            message: problem.words().into(),
            found: None,
            allowed: None,
            suggestion: None,
        }
    }

    /// Adds what may stand at this place.
    #[must_use]
    pub fn allowed(mut self, allowed: impl Into<Box<str>>) -> Self {
        self.allowed = Some(allowed.into());
        self
    }

    /// Adds the nearest right thing, if there is one.
    #[must_use]
    pub fn suggest(mut self, suggestion: Option<impl Into<Box<str>>>) -> Self {
        self.suggestion = suggestion.map(Into::into);
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        f.write_str(": ")?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)?;
        match (&self.found, &self.allowed) {
            (Some(found), Some(allowed)) => write!(f, ": found {found}, expected {allowed}")?,
            (Some(found), None) => write!(f, ": found {found}")?,
            (None, Some(allowed)) => write!(f, "; expected {allowed}")?,
            (None, None) => {}
        }
        if let Some(suggestion) = &self.suggestion {
            write!(f, "; did you mean `{suggestion}`?")?;
        }
        Ok(())
    }
}

/// Takes out the errors of later checks that are only there because the schema found something wrong at the same place,
/// under it, or directly in the table around it, or because the key is mistyped; and whatever is told twice.
pub fn drop_consequences(errors: &mut Vec<ConfigError>) {
    let wrong: Vec<(Box<str>, KeyPath)> = errors
        .iter()
        .filter(|error| error.problem != Problem::Invalid)
        .map(|error| {
            let path = KeyPath::parse(&error.key);
            let meant = error.suggestion.as_deref().filter(|_| error.problem == Problem::UnknownKey);
            (error.file.clone(), if let Some(key) = meant { path.beside(key) } else { path })
        })
        .collect();
    errors.retain(|error| {
        let path = KeyPath::parse(&error.key);
        let explained = |(file, wrong): &(Box<str>, KeyPath)| {
            *file == error.file && (path.starts_with(wrong) || wrong.is_directly_in(&path))
        };
        error.problem != Problem::Invalid || !wrong.iter().any(explained)
    });
    let mut seen = Vec::new();
    errors.retain(|error| {
        let fresh = !seen.contains(error);
        if fresh {
            seen.push(error.clone());
        }
        fresh
    });
}
