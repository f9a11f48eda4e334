//! A parsed TOML text that still knows where everything stands.

use std::ops::Range;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::error::{ConfigError, Problem};
use super::path::{KeyPath, Step};
use super::schema::schema_of;
use super::section::Section;
use super::source::SourceText;
use super::suggest::nearest;
use super::walk::{Finding, Repair, Walk, show};

/// A TOML text, parsed, with the place of every key.
#[derive(Debug)]
pub struct Document<'a> {
    source: &'a SourceText,
    table: DeTable<'a>,
    /// Keys written twice: kept, so that they are told together with all other mistakes.
    duplicates: Vec<ConfigError>,
}

impl<'a> Document<'a> {
    /// Parses the text. A duplicate key does not stop here: [`check`](Self::check) reports it with the rest.
    ///
    /// # Errors
    /// Every place where the text is not TOML.
    pub fn parse(source: &'a SourceText) -> Result<Self, Vec<ConfigError>> {
        let (table, errors) = DeTable::parse_recoverable(source.text());
        let (duplicates, broken): (Vec<_>, Vec<_>) =
            errors.iter().map(|error| syntax_error(source, error)).partition(|e| e.problem == Problem::DuplicateKey);
        if broken.is_empty() { Ok(Self { source, table: table.into_inner(), duplicates }) } else { Err(broken) }
    }

    /// The text this came from.
    pub fn source(&self) -> &'a SourceText {
        self.source
    }

    /// Checks the whole text against the schema of `T` and reads it.
    ///
    /// # Errors
    /// Every mistake, in the order of the text.
    pub fn check<T: DeserializeOwned + JsonSchema>(&self) -> Result<T, Vec<ConfigError>> {
        self.check_at(&KeyPath::default(), &[])
    }

    /// Like [`check`](Self::check), but gives a value in spite of mistakes where that is possible: wrong places are left
    /// out or hold something dull. Such a value is good for one thing only, to find more mistakes; afterwards
    /// [`drop_consequences`](super::drop_consequences) takes out what is only told because of the first ones.
    pub fn examine<T: DeserializeOwned + JsonSchema>(&self) -> (Option<T>, Vec<ConfigError>) {
        self.examine_at(&KeyPath::default(), &[])
    }

    /// An error of a check that the schema cannot express, at the place of `key`
    /// (`bridge[0].line[1].device[0].profile`; see [`quote_key`](super::quote_key) for odd names). A key that is not in
    /// the text is reported at the nearest table around it.
    pub fn error_at(&self, key: &str, message: impl Into<String>) -> ConfigError {
        self.invalid(&KeyPath::parse(key), message.into())
    }

    /// Like [`error_at`](Self::error_at), for a name that is not in a known set: adds what was found and the nearest.
    pub fn unknown_at<'n>(
        &self,
        key: &str,
        message: impl Into<String>,
        known: impl IntoIterator<Item = &'n str>,
    ) -> ConfigError {
        let path = KeyPath::parse(key);
        let mut error = self.invalid(&path, message.into());
        if let Some(value) = self.find(&path) {
            error.suggestion = value.get_ref().as_str().and_then(|found| nearest(found, known)).map(Into::into);
            error.found = (!path.is_secret()).then(|| show(value.get_ref()).into());
        }
        error
    }

    /// The sub-table at `key` as a bridge's build function gets it; `None` if there is no table there.
    ///
    /// `name` is the SourceId, `ignored` are keys of the sub-table that the caller has checked itself (`kind`, `name`).
    pub fn section(
        &'a self,
        key: &str,
        name: &str,
        ignored: &'static [&'static str],
        profile_paths: &'a [PathBuf],
    ) -> Option<Section<'a>> {
        let path = KeyPath::parse(key);
        self.find(&path)?.get_ref().as_table()?;
        Some(Section::new(self, path, name.to_owned(), ignored, profile_paths))
    }

    pub(super) fn invalid(&self, path: &KeyPath, message: String) -> ConfigError {
        let mut error = ConfigError::new(
            self.source.name(),
            self.source.position(self.place(path)),
            path.to_string(),
            Problem::Invalid,
        );
        error.message = message.into();
        error
    }

    pub(super) fn check_at<T: DeserializeOwned + JsonSchema>(
        &self,
        path: &KeyPath,
        ignored: &[&str],
    ) -> Result<T, Vec<ConfigError>> {
        match self.examine_at(path, ignored) {
            (Some(value), errors) if errors.is_empty() => Ok(value),
            (_, errors) => Err(errors),
        }
    }

    pub(super) fn examine_at<T: DeserializeOwned + JsonSchema>(
        &self,
        path: &KeyPath,
        ignored: &[&str],
    ) -> (Option<T>, Vec<ConfigError>) {
        let found = self.find(path).map(|value| (value.span(), value.get_ref()));
        let (at, table) = match (path.steps(), found) {
            ([], _) => (0..0, &self.table),
            (_, Some((span, DeValue::Table(table)))) => (span, table),
            _ => return (None, vec![self.invalid(path, "is not a table".to_owned())]),
        };
        let schema = schema_of::<T>();
        let findings = Walk::table(self.source, &schema, path, at.clone(), table, ignored);
        let mut table = table.clone();
        for key in ignored {
            table.remove(*key);
        }
        let told = findings.iter().filter(|finding| !finding.silent).map(|finding| finding.error.clone());
        let mut errors: Vec<ConfigError> = self.duplicates.iter().cloned().chain(told).collect();
        errors.sort_by_key(|error| (error.line, error.column));
        if !findings.is_empty() {
            return (read_in_spite(&table, path, findings), errors);
        }
        match T::deserialize(ValueDeserializer::from(Spanned::new(at, DeValue::Table(table)))) {
            Ok(value) => (Some(value), errors),
            Err(error) => {
                errors.push(self.serde_error(&error));
                (None, errors)
            }
        }
    }

    fn serde_error(&self, error: &toml::de::Error) -> ConfigError {
        let span = error.span().unwrap_or(0..0);
        let mut key = KeyPath::default();
        locate(&self.table, &span, &mut key);
        let place = self.source.position(span.start);
        let mut told = ConfigError::new(self.source.name(), place, key.to_string(), Problem::Invalid);
        // serde's sentences may quote the value.
        told.message = if key.is_secret() { "is not a valid value".into() } else { error.message().into() };
        told
    }

    /// The value at a path.
    fn find(&self, path: &KeyPath) -> Option<&Spanned<DeValue<'a>>> {
        let (first, rest) = path.steps().split_first()?;
        let Step::Key(first) = first else { return None };
        rest.iter().try_fold(self.table.get(first.as_str())?, |value, step| match (step, value.get_ref()) {
            (Step::Key(key), DeValue::Table(table)) => table.get(key.as_str()),
            (Step::Index(index), DeValue::Array(items)) => items.get(*index),
            _ => None,
        })
    }

    /// Byte offset of the value at a path, or of the nearest table around it.
    fn place(&self, path: &KeyPath) -> usize {
        let mut at = 0;
        let mut walked = KeyPath::default();
        for step in path.steps() {
            let parent = self.find(&walked);
            walked.push(step.clone());
            let Some(value) = self.find(&walked) else {
                return at;
            };
            at = value.span().start;
            // A table under its own header is shown at the key, not at the bracket.
            if let (Step::Key(key), DeValue::Table(_)) = (step, value.get_ref()) {
                let table = parent.map_or(Some(&self.table), |parent| parent.get_ref().as_table());
                let key = table.and_then(|table| table.get_key_value(key.as_str())).map(|(key, _)| key.span().start);
                at = key.map_or(at, |key| key.max(at));
            }
        }
        at
    }
}

/// Finds the value whose text covers `span`, deepest first: errors of serde know only a span. A table under its own
/// header does not cover its content, so every branch is looked at. True if `path` leads there.
fn locate(table: &DeTable<'_>, span: &Range<usize>, path: &mut KeyPath) -> bool {
    table.iter().any(|(key, value)| {
        path.push(Step::Key(key.get_ref().to_string()));
        let found = locate_value(value, span, path) || covers(&key.span(), span);
        if !found {
            path.pop();
        }
        found
    })
}

fn locate_value(value: &Spanned<DeValue<'_>>, span: &Range<usize>, path: &mut KeyPath) -> bool {
    let inside = match value.get_ref() {
        DeValue::Array(items) => items.iter().enumerate().any(|(index, item)| {
            path.push(Step::Index(index));
            let found = locate_value(item, span, path);
            if !found {
                path.pop();
            }
            found
        }),
        DeValue::Table(table) => locate(table, span, path),
        _ => false,
    };
    inside || covers(&value.span(), span)
}

fn covers(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

/// Reads a table with its mistakes repaired; `None` if a text that checks itself refuses even so.
fn read_in_spite<T: DeserializeOwned>(table: &DeTable<'_>, path: &KeyPath, findings: Vec<Finding>) -> Option<T> {
    let mut value = json_table(table);
    for finding in findings {
        let steps = finding.path.steps().get(path.steps().len()..)?;
        let (last, before) = steps.split_last()?;
        let place = before.iter().try_fold(&mut value, |value, step| match step {
            Step::Index(index) => value.get_mut(*index),
            Step::Key(key) => value.get_mut(key),
        })?;
        match (finding.repair, last, place) {
            (Repair::Put(harmless), Step::Key(key), serde_json::Value::Object(map)) => {
                map.insert(key.clone(), harmless);
            }
            (Repair::Put(harmless), Step::Index(index), place) => *place.get_mut(*index)? = harmless,
            (Repair::Remove, Step::Key(key), serde_json::Value::Object(map)) => {
                map.remove(key);
            }
            _ => {}
        }
    }
    serde_json::from_value(value).ok()
}

fn json_table(table: &DeTable<'_>) -> serde_json::Value {
    table.iter().map(|(key, value)| (key.get_ref().to_string(), json(value.get_ref()))).collect()
}

fn json(value: &DeValue<'_>) -> serde_json::Value {
    match value {
        DeValue::Array(items) => items.iter().map(|item| json(item.get_ref())).collect(),
        DeValue::Boolean(value) => (*value).into(),
        DeValue::Datetime(value) => value.to_string().into(),
        DeValue::Float(value) => value.as_str().parse::<f64>().ok().into(),
        DeValue::Integer(value) => match i64::from_str_radix(value.as_str(), value.radix()) {
            Ok(number) => number.into(),
            Err(_) => u64::from_str_radix(value.as_str(), value.radix()).ok().into(),
        },
        DeValue::String(value) => value.as_ref().into(),
        DeValue::Table(table) => json_table(table),
    }
}

fn syntax_error(source: &SourceText, error: &toml::de::Error) -> ConfigError {
    let span = error.span().unwrap_or(0..0);
    let duplicate = error.message().contains("duplicate key");
    let problem = if duplicate { Problem::DuplicateKey } else { Problem::Syntax };
    let key = if duplicate { source.text().get(span.clone()).unwrap_or("").to_owned() } else { String::new() };
    let mut told = ConfigError::new(source.name(), source.position(span.start), key, problem);
    if !duplicate {
        told.message = format!("not valid TOML: {}", error.message()).into();
    }
    told
}
