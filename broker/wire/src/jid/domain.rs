//! Domains of addresses: host names by IDNA and IP literals (RFC 7622 §3.2, RFC 5890, UTS #46).
#![warn(clippy::indexing_slicing, clippy::as_conversions, clippy::arithmetic_side_effects)]

use std::borrow::Cow;
use std::net::Ipv6Addr;

use super::parts::fits;
use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};

/// Bytes of one label in its ASCII form (RFC 1035 §2.3.4).
const LABEL_BYTES_MAX: usize = 63;

/// The domain as it is compared and shown, or `None` if it is no domain.
pub(super) fn prepare_domain(text: &str) -> Option<Cow<'_, str>> {
    if let Some(literal) = text.strip_prefix('[') {
        let address: Ipv6Addr = literal.strip_suffix(']')?.parse().ok()?;
        return Some(Cow::Owned(format!("[{address}]")));
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    if is_plain_domain(name) {
        return Some(Cow::Borrowed(name));
    }
    let (unicode, result) = Uts46::new().to_unicode(name.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast);
    result.ok()?;
    // A mapped character may have become the final dot; there is one at most.
    let unicode = if name.len() == text.len() { unicode.strip_suffix('.').unwrap_or(&unicode) } else { &unicode };
    let ascii = Uts46::new()
        .to_ascii(unicode.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast, DnsLength::Ignore)
        .ok()?;
    ascii.split('.').all(is_ascii_label).then(|| Cow::Owned(unicode.to_owned()))
}

/// A host name that preparation leaves as it is: small letters, digits and hyphens, no IDNA.
pub(super) fn is_plain_domain(name: &str) -> bool {
    let mut label = 0_usize;
    let mut before = b'.';
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' => {}
            b'-' if label > 0 => {}
            b'.' if label > 0 && before != b'-' => {}
            _ => return false,
        }
        label = if byte == b'.' { 0 } else { label.saturating_add(1) };
        // Two hyphens may be an IDNA prefix, which takes the long way.
        if label > LABEL_BYTES_MAX || (byte == b'-' && before == b'-') {
            return false;
        }
        before = byte;
    }
    label > 0 && before != b'-' && fits(name)
}

fn is_ascii_label(label: &str) -> bool {
    (1..=LABEL_BYTES_MAX).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
}
