//! Walks a parsed text and a JSON Schema side by side and collects every mistake.
//!
//! Covers what schemars generates for the types we write: `$ref`, `allOf`, `oneOf`/`anyOf`, `const`, `enum`, types,
//! `properties`, `required`, `additionalProperties`, `items`, numeric limits and lengths. `pattern` is not evaluated:
//! types check their own texts and report with `error_at`.

use std::ops::Range;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::error::{ConfigError, Problem};
use super::path::{KeyPath, Step};
use super::schema::{branches, closed_set, describe, harmless, integer_limits, join_or, resolve, types};
use super::source::SourceText;
use super::suggest::nearest;

/// Longest value shown in `found`, in characters: a line of a terminal.
const FOUND_CHARS_MAX: usize = 40;

/// A mistake, and how to make the place harmless so that the rest can still be looked at.
pub(super) struct Finding {
    pub(super) error: ConfigError,
    pub(super) path: KeyPath,
    pub(super) repair: Repair,
    /// Only the repair counts: the mistake is told by another finding.
    pub(super) silent: bool,
}

/// What to do with a wrong place before the text is read in spite of it.
#[derive(Clone)]
pub(super) enum Repair {
    /// The Rust type can hold it.
    Keep,
    /// Put something that fits.
    Put(Value),
    /// Take the key out.
    Remove,
}

pub(super) struct Walk<'s> {
    source: &'s SourceText,
    root: &'s Value,
    path: KeyPath,
    findings: Vec<Finding>,
}

impl<'s> Walk<'s> {
    /// Checks the table at `path`; `at` is where the table starts, `ignored` are keys that somebody else checks.
    pub(super) fn table(
        source: &'s SourceText,
        root: &'s Value,
        path: &KeyPath,
        at: Range<usize>,
        table: &DeTable<'_>,
        ignored: &[&str],
    ) -> Vec<Finding> {
        let mut walk = Self { source, root, path: path.clone(), findings: Vec::new() };
        walk.object(resolve(root, root), table, at, ignored);
        walk.findings
    }

    fn value(&mut self, schema: &'s Value, value: &DeValue<'_>, at: Range<usize>) {
        let schema = resolve(self.root, schema);
        for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            self.value(part, value, at.clone());
        }
        if let Some(set) = closed_set(self.root, schema) {
            self.closed(&set, value, at);
        } else if let Some(list) = branches(self.root, schema) {
            self.alternatives(&list, value, at);
        } else {
            self.typed(schema, value, at);
        }
    }

    /// A value out of a closed set of words (or numbers).
    fn closed(&mut self, set: &[&Value], value: &DeValue<'_>, at: Range<usize>) {
        if set.iter().any(|allowed| equal(allowed, value)) {
            return;
        }
        let words = set.iter().filter_map(|allowed| allowed.as_str());
        let suggestion = value.as_str().and_then(|found| nearest(found, words));
        let wrong_type = !set.iter().any(|allowed| same_kind(allowed, value));
        let problem = if wrong_type { Problem::WrongType } else { Problem::UnknownValue };
        let error = self.error(problem, at).suggest(suggestion);
        let error = error.allowed(join_or(set.iter().map(|allowed| allowed.to_string())));
        self.found(error, value, set.first().map_or(Value::Null, |first| (*first).clone()));
    }

    /// One of several shapes: any that fits is right; else the one most likely meant tells its errors.
    fn alternatives(&mut self, list: &[&'s Value], value: &DeValue<'_>, at: Range<usize>) {
        let mut attempts: Vec<(&Value, Vec<Finding>)> = Vec::new();
        for branch in list {
            let before = self.findings.len();
            self.value(branch, value, at.clone());
            let findings = self.findings.split_off(before);
            if findings.is_empty() {
                return;
            }
            attempts.push((branch, findings));
        }
        if self.wrong_tag(list, value, &at) {
            return;
        }
        let root = self.root;
        attempts.retain(|(branch, _)| {
            let branch = resolve(root, branch);
            let fits = types(branch);
            (fits.is_empty() || fits.iter().any(|name| is_type(name, value))) && tag_matches(root, branch, value)
        });
        if let Some((_, findings)) = attempts.into_iter().min_by_key(|(_, findings)| findings.len()) {
            self.findings.extend(findings);
        } else {
            let allowed = join_or(list.iter().map(|branch| describe(self.root, branch)));
            let error = self.error(Problem::WrongType, at).allowed(allowed);
            self.found(error, value, list.first().map_or(Value::Null, |first| harmless(self.root, first)));
        }
    }

    /// A table whose tag (`kind = "..."`) is missing or names no alternative: reports the tag, not the rest.
    fn wrong_tag(&mut self, list: &[&'s Value], value: &DeValue<'_>, at: &Range<usize>) -> bool {
        let DeValue::Table(table) = value else { return false };
        let Some(tag) = list.iter().find_map(|branch| tag_of(self.root, branch)) else { return false };
        let allowed: Vec<&Value> =
            list.iter().filter_map(|branch| property(self.root, branch, tag)?.get("const")).collect();
        let found = table.get(tag);
        if found.is_some_and(|found| allowed.iter().any(|allowed| equal(allowed, found.get_ref()))) {
            return false;
        }
        // A shape without the tag may be among the alternatives; then a missing tag is no mistake of its own.
        if found.is_none() && allowed.len() < list.len() {
            return false;
        }
        self.path.push(Step::Key(tag.to_owned()));
        match found {
            Some(found) => self.closed(&allowed, found.get_ref(), found.span()),
            None => {
                let words = join_or(allowed.iter().map(|allowed| allowed.to_string()));
                let error = self.error(Problem::MissingKey, at.clone()).allowed(words);
                // No shape can be chosen for it: what is inside stays unread.
                self.push(error, Repair::Keep);
            }
        }
        self.path.pop();
        true
    }

    fn typed(&mut self, schema: &'s Value, value: &DeValue<'_>, at: Range<usize>) {
        let allowed = types(schema);
        if !allowed.is_empty() && !allowed.iter().any(|name| is_type(name, value)) {
            let error = self.error(Problem::WrongType, at).allowed(describe(self.root, schema));
            let error = error.suggest(self.as_list(schema, value));
            return self.found(error, value, harmless(self.root, schema));
        }
        let in_range = match value {
            DeValue::Table(table) => return self.object(schema, table, at, &[]),
            DeValue::Array(items) => {
                self.items(schema, items);
                self.length(schema, "minItems", "maxItems", items.len(), "items", at);
                return;
            }
            DeValue::String(text) => {
                return self.length(schema, "minLength", "maxLength", text.chars().count(), "characters", at);
            }
            DeValue::Integer(number) if allowed.contains(&"integer") => {
                let (low, high) = integer_limits(schema);
                i128::from_str_radix(number.as_str(), number.radix()).is_ok_and(|n| (low..=high).contains(&n))
            }
            DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
                .is_ok_and(|n| n.to_string().parse().is_ok_and(|n| number_fits(schema, n))),
            DeValue::Float(number) => number.as_str().parse().is_ok_and(|n| number_fits(schema, n)),
            DeValue::Boolean(_) | DeValue::Datetime(_) => true,
        };
        if !in_range {
            let error = self.error(Problem::OutOfRange, at).allowed(describe(self.root, schema));
            self.found(error, value, harmless(self.root, schema));
        }
    }

    /// The value as the only one of a list, if a list of such values belongs here.
    fn as_list(&self, schema: &Value, value: &DeValue<'_>) -> Option<String> {
        let item = types(resolve(self.root, schema.get("items")?));
        let fits = item.is_empty() || item.iter().any(|name| is_type(name, value));
        match value {
            _ if !fits || self.path.is_secret() => None,
            DeValue::Table(_) => Some(self.path.header()),
            _ => Some(format!("[{}]", show(value))),
        }
    }

    fn length(&mut self, schema: &Value, low: &str, high: &str, length: usize, what: &str, at: Range<usize>) {
        let limit = |key: &str| schema.get(key).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
        let (low, high) = (limit(low).unwrap_or(0), limit(high).unwrap_or(usize::MAX));
        if length < low || length > high {
            let allowed =
                if high == usize::MAX { format!("at least {low} {what}") } else { format!("{low} to {high} {what}") };
            let mut error = self.error(Problem::OutOfRange, at).allowed(allowed);
            error.found = Some(format!("{length} {what}").into());
            self.push(error, Repair::Keep);
        }
    }

    fn items(&mut self, schema: &'s Value, items: &DeArray<'_>) {
        let fixed = schema.get("prefixItems").and_then(Value::as_array);
        for (index, item) in items.iter().enumerate() {
            let schema = fixed.and_then(|list| list.get(index)).or_else(|| schema.get("items"));
            let Some(schema) = schema else { continue };
            self.path.push(Step::Index(index));
            self.value(schema, item.get_ref(), item.span());
            self.path.pop();
        }
    }

    fn object(&mut self, schema: &'s Value, table: &DeTable<'_>, at: Range<usize>, ignored: &[&str]) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let known = || properties.into_iter().flat_map(|map| map.keys()).map(String::as_str);
        let rest = schema.get("additionalProperties");
        let mut meant: Vec<&str> = Vec::new();
        for (key, value) in table {
            let name: &str = key.get_ref();
            if ignored.contains(&name) {
                continue;
            }
            self.path.push(Step::Key(name.to_owned()));
            match (properties.and_then(|map| map.get(name)).or_else(|| numbered(schema, name)), rest) {
                (Some(property), _) => self.value(property, value.get_ref(), place(key, value)),
                (None, Some(Value::Bool(false))) => {
                    let suggestion = nearest(name, known().filter(|known| !table.contains_key(*known)));
                    meant.extend(suggestion);
                    let mut error = self.error(Problem::UnknownKey, key.span()).suggest(suggestion);
                    let words: Vec<&str> = known().collect();
                    if words.is_empty() {
                        error = error.allowed("a whole number as key");
                    } else if suggestion.is_none() {
                        error = error.allowed(format!("one of {}", words.join(", ")));
                    }
                    self.push(error, Repair::Remove);
                }
                (None, Some(other)) => self.value(other, value.get_ref(), place(key, value)),
                (None, None) => {}
            }
            self.path.pop();
        }
        for name in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            if table.contains_key(name) || ignored.contains(&name) {
                continue;
            }
            self.path.push(Step::Key(name.to_owned()));
            let mut error = self.error(Problem::MissingKey, at.clone());
            let property = properties.and_then(|map| map.get(name));
            if let Some(property) = property {
                error = error.allowed(describe(self.root, property));
            }
            self.push(error, Repair::Put(property.map_or(Value::Null, |property| harmless(self.root, property))));
            // A required key that was merely mistyped is told once, with the suggestion.
            if meant.contains(&name)
                && let Some(finding) = self.findings.last_mut()
            {
                finding.silent = true;
            }
            self.path.pop();
        }
    }

    fn error(&self, problem: Problem, at: Range<usize>) -> ConfigError {
        ConfigError::new(self.source.name(), self.source.position(at.start), self.path.to_string(), problem)
    }

    fn found(&mut self, mut error: ConfigError, value: &DeValue<'_>, instead: Value) {
        if !self.path.is_secret() {
            error.found = Some(show(value).into());
        }
        self.push(error, Repair::Put(instead));
    }

    fn push(&mut self, error: ConfigError, repair: Repair) {
        self.findings.push(Finding { error, path: self.path.clone(), repair, silent: false });
    }
}

/// Where a value is reported: a table under its own header at the header's key, anything else at the value.
fn place(key: &Spanned<std::borrow::Cow<'_, str>>, value: &Spanned<DeValue<'_>>) -> Range<usize> {
    match value.get_ref() {
        DeValue::Table(_) if value.span().start <= key.span().start => key.span(),
        _ => value.span(),
    }
}

fn property<'s>(root: &'s Value, branch: &'s Value, name: &str) -> Option<&'s Value> {
    Some(resolve(root, resolve(root, branch).get("properties")?.get(name)?))
}

/// The schema of a numeric key, for maps whose keys are integers; these are the only patterns that schemars makes.
fn numbered<'s>(schema: &'s Value, name: &str) -> Option<&'s Value> {
    let patterns = schema.get("patternProperties")?;
    let unsigned = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    let signed = unsigned || name.strip_prefix('-').is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
    let unsigned = unsigned.then(|| patterns.get(r"^\d+$")).flatten();
    unsigned.or_else(|| signed.then(|| patterns.get(r"^-?\d+$")).flatten())
}

/// The key that tells the alternatives of a tagged enumeration apart: the property with a `const`.
fn tag_of<'s>(root: &'s Value, branch: &'s Value) -> Option<&'s str> {
    let properties = resolve(root, branch).get("properties")?.as_object()?;
    properties.iter().find(|(_, schema)| resolve(root, schema).get("const").is_some()).map(|(name, _)| name.as_str())
}

/// Whether the branch has no tag, or the table carries the branch's tag.
fn tag_matches(root: &Value, branch: &Value, value: &DeValue<'_>) -> bool {
    let (Some(tag), DeValue::Table(table)) = (tag_of(root, branch), value) else {
        return true;
    };
    let Some(found) = table.get(tag) else {
        return true;
    };
    property(root, branch, tag).and_then(|schema| schema.get("const")).is_some_and(|only| equal(only, found.get_ref()))
}

fn is_type(name: &str, value: &DeValue<'_>) -> bool {
    match name {
        "array" => value.is_array(),
        "boolean" => value.is_bool(),
        "integer" => value.is_integer(),
        "number" => value.is_integer() || value.is_float(),
        "object" => value.is_table(),
        "string" => value.is_str(),
        _ => false,
    }
}

fn number_fits(schema: &Value, number: f64) -> bool {
    let limit = |key: &str| schema.get(key).and_then(Value::as_f64);
    limit("minimum").is_none_or(|low| number >= low)
        && limit("maximum").is_none_or(|high| number <= high)
        && limit("exclusiveMinimum").is_none_or(|low| number > low)
        && limit("exclusiveMaximum").is_none_or(|high| number < high)
}

fn equal(allowed: &Value, value: &DeValue<'_>) -> bool {
    match (allowed, value) {
        (Value::String(allowed), DeValue::String(found)) => allowed.as_str() == found,
        (Value::Bool(allowed), DeValue::Boolean(found)) => allowed == found,
        (Value::Number(allowed), DeValue::Integer(found)) => {
            i64::from_str_radix(found.as_str(), found.radix()).ok() == allowed.as_i64()
        }
        _ => false,
    }
}

fn same_kind(allowed: &Value, value: &DeValue<'_>) -> bool {
    (allowed.is_string() && value.is_str())
        || (allowed.is_boolean() && value.is_bool())
        || (allowed.is_number() && value.is_integer())
}

/// A value as an operator recognises it, cut to one line.
pub(super) fn show(value: &DeValue<'_>) -> String {
    let text = match value {
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Boolean(found) => found.to_string(),
        DeValue::Datetime(found) => found.to_string(),
        DeValue::Float(found) => found.as_str().to_owned(),
        DeValue::Integer(found) => found.to_string(),
        DeValue::String(found) => format!("{found:?}"),
        DeValue::Table(_) => "a table".to_owned(),
    };
    if text.chars().count() <= FOUND_CHARS_MAX {
        text
    } else {
        text.chars().take(FOUND_CHARS_MAX).chain(['…']).collect()
    }
}
