//! The XML declaration (XML 1.0 §2.8): version 1.0, UTF-8 (RFC 6120 §11.5, §11.6).
#![warn(clippy::indexing_slicing, clippy::as_conversions, clippy::arithmetic_side_effects)]

use super::attributes::RawAttributes;
use super::parse::{checked_text, malformed};
use crate::stream_error::{StreamCondition, StreamError};

/// Checks `<?xml version='1.0' encoding='UTF-8' standalone='yes'?>`, where the last two may be missing.
pub(crate) fn check_declaration(bytes: &[u8]) -> Result<(), StreamError> {
    let text = checked_text(bytes)?;
    let inner = text.strip_prefix("<?xml").and_then(|rest| rest.strip_suffix("?>"));
    let mut pairs = RawAttributes::new(inner.unwrap_or_default());
    let mut pair = pairs.next().transpose()?;
    match pair {
        Some(("version", "1.0")) => pair = pairs.next().transpose()?,
        _ => return Err(malformed("XML version.")),
    }
    if let Some(("encoding", encoding)) = pair {
        if !encoding.eq_ignore_ascii_case("utf-8") {
            return Err(StreamError::new(StreamCondition::UnsupportedEncoding));
        }
        pair = pairs.next().transpose()?;
    }
    if let Some(("standalone", "yes" | "no")) = pair {
        pair = pairs.next().transpose()?;
    }
    if pair.is_some() { Err(malformed("XML declaration.")) } else { Ok(()) }
}
