//! Which characters XML 1.0 lets through, and which names Namespaces in XML lets exist.
//! Pure predicates; nothing here knows about tags.

use std::borrow::Cow;

/// `Char` (XML 1.0 §2.2): what may stand in a document at all.
pub(crate) const fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

/// True if every character of the text is a `Char`. Plain ASCII is decided without decoding.
pub(crate) fn is_xml_text(text: &str) -> bool {
    // No early exit inside a chunk, so that the compiler can look at many bytes at once.
    let plain = |chunk: &[u8]| chunk.iter().fold(true, |plain, b| plain & is_plain(*b));
    text.as_bytes().chunks(64).all(plain) || text.chars().all(is_xml_char)
}

const fn is_plain(byte: u8) -> bool {
    (byte >= b' ') & (byte < 0x80) | (byte == b'\t') | (byte == b'\n') | (byte == b'\r')
}

/// The text with every character that is no `Char` replaced by U+FFFD, so that it can be written.
pub(crate) fn sanitised(text: &str) -> Cow<'_, str> {
    if is_xml_text(text) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| if is_xml_char(c) { c } else { '\u{FFFD}' }).collect())
}

/// `NameStartChar` without the colon (XML 1.0 5th edition §2.3, Namespaces in XML §3).
const fn is_name_start(c: char) -> bool {
    matches!(c,
        'A'..='Z' | '_' | 'a'..='z'
        | '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{2FF}' | '\u{370}'..='\u{37D}'
        | '\u{37F}'..='\u{1FFF}' | '\u{200C}'..='\u{200D}' | '\u{2070}'..='\u{218F}' | '\u{2C00}'..='\u{2FEF}'
        | '\u{3001}'..='\u{D7FF}' | '\u{F900}'..='\u{FDCF}' | '\u{FDF0}'..='\u{FFFD}' | '\u{10000}'..='\u{EFFFF}')
}

/// `NameChar` without the colon.
const fn is_name_char(c: char) -> bool {
    is_name_start(c) || matches!(c, '-' | '.' | '0'..='9' | '\u{B7}' | '\u{300}'..='\u{36F}' | '\u{203F}'..='\u{2040}')
}

/// `NCName`: a name without a colon, the only kind of local name and prefix there is.
pub(crate) fn is_ncname(name: &str) -> bool {
    let ascii = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    if name.bytes().all(ascii) {
        return name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    }
    let mut chars = name.chars();
    chars.next().is_some_and(is_name_start) && chars.all(is_name_char)
}
