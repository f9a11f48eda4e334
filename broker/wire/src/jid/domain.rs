//! Domains of addresses: host names by IDNA and IP literals (RFC 7622 §3.2, RFC 5890, UTS #46).
#![warn(clippy::indexing_slicing, clippy::as_conversions, clippy::arithmetic_side_effects)]

use std::borrow::Cow;
use std::net::Ipv6Addr;

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
    let plain = name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'));
    if plain && !name.contains("xn--") {
        return name.split('.').all(is_ascii_label).then_some(Cow::Borrowed(name));
    }
    let (unicode, result) = Uts46::new().to_unicode(name.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast);
    result.ok()?;
    // A mapped character may have become the final dot.
    let unicode = unicode.strip_suffix('.').unwrap_or(&unicode);
    let ascii = Uts46::new()
        .to_ascii(unicode.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast, DnsLength::Ignore)
        .ok()?;
    ascii.split('.').all(is_ascii_label).then(|| Cow::Owned(unicode.to_owned()))
}

fn is_ascii_label(label: &str) -> bool {
    (1..=LABEL_BYTES_MAX).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
}
