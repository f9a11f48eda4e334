//! References: the five predefined entities and characters by number, nothing else (RFC 6120 §11.1, XML 1.0 §4.1).
#![warn(clippy::indexing_slicing, clippy::as_conversions, clippy::arithmetic_side_effects)]

use compact_str::CompactString;

use super::chars;
use super::parse::{malformed, restricted};
use crate::stream_error::StreamError;

/// Appends what the reference stands for; `name` is what stands between `&` and `;`.
pub(crate) fn push_reference(out: &mut CompactString, name: &str) -> Result<(), StreamError> {
    let character = match name {
        "amp" => '&',
        "apos" => '\'',
        "gt" => '>',
        "lt" => '<',
        "quot" => '"',
        _ => match name.strip_prefix('#') {
            Some(number) => numbered(number).ok_or_else(|| malformed("Not a character reference."))?,
            None if chars::is_ncname(name) => return Err(restricted("Entity reference.")),
            None => return Err(malformed("Not a reference.")),
        },
    };
    out.push(character);
    Ok(())
}

/// The character of `#65` or `#x41`, without the `#`. Signs are no digits, whatever `from_str_radix` thinks.
fn numbered(number: &str) -> Option<char> {
    let (digits, radix) = match number.strip_prefix('x') {
        Some(digits) => (digits, 16),
        None => (number, 10),
    };
    if !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let code = u32::from_str_radix(digits, radix).ok()?;
    char::from_u32(code).filter(|c| chars::is_xml_char(*c))
}
