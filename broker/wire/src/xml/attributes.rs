//! Attributes of a start tag as they are written: names, white space, quotes and values (XML 1.0 §3.1, §3.3.3).
#![warn(clippy::indexing_slicing, clippy::as_conversions, clippy::arithmetic_side_effects)]

use compact_str::CompactString;

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
        // The text is known to be XML characters, among which ASCII and XML mean the same by white space.
        let trimmed = self.rest.trim_ascii_start();
        if trimmed.is_empty() {
            return Ok(None);
        }
        if trimmed.len() == self.rest.len() {
            return Err(malformed("No white space before an attribute."));
        }
        let (name, rest) = split_once(trimmed, |b| b == b'=').ok_or_else(|| malformed("Attribute without a value."))?;
        let rest = rest.trim_ascii_start();
        let quote = rest.bytes().next().filter(|b| matches!(b, b'\'' | b'"'));
        let quote = quote.ok_or_else(|| malformed("Attribute value without quotes."))?;
        let (value, rest) = rest
            .get(1..)
            .and_then(|rest| split_once(rest, |b| b == quote))
            .ok_or_else(|| malformed("Attribute value not closed."))?;
        self.rest = rest;
        Ok(Some((name.trim_ascii_end(), value)))
    }
}

/// Splits around the first such byte, which must be ASCII.
pub(crate) fn split_once(text: &str, is_wanted: impl Fn(u8) -> bool) -> Option<(&str, &str)> {
    let at = text.bytes().position(is_wanted)?;
    Some((text.get(..at)?, text.get(at.saturating_add(1)..)?))
}

impl<'a> Iterator for RawAttributes<'a> {
    type Item = Result<(&'a str, &'a str), StreamError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.take().transpose()
    }
}

/// The value with references resolved and each literal white space (a line end counts as one) turned into a space.
pub(crate) fn normalised_value(raw: &str) -> Result<CompactString, StreamError> {
    let special = |b: &u8| matches!(b, b'&' | b'\t' | b'\n' | b'\r' | b'<');
    let mut value = CompactString::default();
    let mut rest = raw;
    while let Some((plain, tail)) = rest.as_bytes().iter().position(special).map(|at| rest.split_at(at)) {
        value.push_str(plain);
        rest = if let Some(tail) = tail.strip_prefix('&') {
            let (reference, tail) =
                split_once(tail, |b| b == b';').ok_or_else(|| malformed("Reference not closed."))?;
            push_reference(&mut value, reference)?;
            tail
        } else if tail.starts_with('<') {
            return Err(malformed("< in an attribute value."));
        } else {
            value.push(' ');
            tail.strip_prefix("\r\n").or_else(|| tail.get(1..)).unwrap_or_default()
        };
    }
    if value.is_empty() {
        return Ok(CompactString::new(rest));
    }
    value.push_str(rest);
    Ok(value)
}
