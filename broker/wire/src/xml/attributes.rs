//! Attributes of a start tag as they are written: names, white space, quotes and values (XML 1.0 §3.1, §3.3.3).
#![warn(clippy::indexing_slicing, clippy::as_conversions, clippy::arithmetic_side_effects)]

use compact_str::CompactString;

use super::chars;
use super::parse::malformed;
use super::refs::push_reference;
use crate::stream_error::StreamError;

/// Iterates over `(name, raw value)` of what follows the name in a start tag.
pub(crate) struct RawAttributes<'a> {
    rest: &'a str,
}

impl<'a> RawAttributes<'a> {
    pub(crate) fn new(raw: &'a str) -> Self {
        RawAttributes { rest: raw }
    }

    fn take(&mut self) -> Result<Option<(&'a str, &'a str)>, StreamError> {
        let trimmed = self.rest.trim_start_matches(chars::is_space);
        if trimmed.is_empty() {
            return Ok(None);
        }
        if trimmed.len() == self.rest.len() {
            return Err(malformed("No white space before an attribute."));
        }
        let (name, rest) = trimmed.split_once('=').ok_or_else(|| malformed("Attribute without a value."))?;
        let rest = rest.trim_start_matches(chars::is_space);
        let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'));
        let quote = quote.ok_or_else(|| malformed("Attribute value without quotes."))?;
        let (value, rest) = rest
            .strip_prefix(quote)
            .and_then(|rest| rest.split_once(quote))
            .ok_or_else(|| malformed("Attribute value not closed."))?;
        if value.contains('<') {
            return Err(malformed("< in an attribute value."));
        }
        self.rest = rest;
        Ok(Some((name.trim_end_matches(chars::is_space), value)))
    }
}

impl<'a> Iterator for RawAttributes<'a> {
    type Item = Result<(&'a str, &'a str), StreamError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.take().transpose()
    }
}

/// The value with references resolved and each literal white space (a line end counts as one) turned into a space.
pub(crate) fn normalised_value(raw: &str) -> Result<CompactString, StreamError> {
    let special = |c: char| matches!(c, '&' | '\t' | '\n' | '\r');
    let mut value = CompactString::default();
    let mut rest = raw;
    while let Some((plain, tail)) = rest.find(special).and_then(|at| rest.split_at_checked(at)) {
        value.push_str(plain);
        rest = if let Some(tail) = tail.strip_prefix('&') {
            let (reference, tail) = tail.split_once(';').ok_or_else(|| malformed("Reference not closed."))?;
            push_reference(&mut value, reference)?;
            tail
        } else {
            value.push(' ');
            tail.strip_prefix("\r\n").or_else(|| tail.strip_prefix(special)).unwrap_or_default()
        };
    }
    value.push_str(rest);
    Ok(value)
}
