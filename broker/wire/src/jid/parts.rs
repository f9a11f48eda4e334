//! The parts of an address, each prepared by its profile (RFC 6122 §2.2-2.4, RFC 7622 §3.2-3.4).
#![warn(clippy::indexing_slicing, clippy::as_conversions, clippy::arithmetic_side_effects)]

use std::borrow::Cow;
use std::fmt;

use compact_str::CompactString;
use precis_profiles::precis_core::profile::PrecisFastInvocation;
use precis_profiles::{OpaqueString, UsernameCaseMapped};

use super::domain::prepare_domain;
use super::{JidError, Part};

/// Bytes a part may have at most, in UTF-8 after preparation (RFC 7622 §3.2-3.4).
pub const PART_BYTES_MAX: usize = 1023;

/// The part before the `@`: the name of an account.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LocalPart(CompactString);

/// Host name in Unicode form or IP literal.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DomainPart(CompactString);

/// The part after the `/`: the name of a session.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourcePart(CompactString);

impl LocalPart {
    /// Prepares and checks a local part as RFC 6122 does (Nodeprep).
    ///
    /// # Errors
    /// Empty, too long, forbidden.
    pub fn parse(text: &str) -> Result<Self, JidError> {
        let prepared = if is_plain_local(text) {
            Cow::Borrowed(text)
        } else {
            stable(text, Part::Local, |t| stringprep::nodeprep(t).ok())?
        };
        sized(prepared, Part::Local).map(LocalPart)
    }

    /// Prepares and checks the name of a new account: Nodeprep and UsernameCaseMapped (RFC 8265 §3.3) must agree.
    ///
    /// # Errors
    /// As [`LocalPart::parse`], and [`JidError::Ambiguous`].
    pub fn parse_new_account(text: &str) -> Result<Self, JidError> {
        let local = Self::parse(text)?;
        match UsernameCaseMapped::enforce(text) {
            Ok(other) if other == local.as_str() => Ok(local),
            _ => Err(JidError::Ambiguous(Part::Local)),
        }
    }

    /// The prepared text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl DomainPart {
    /// Prepares and checks a host name or IP literal. Host names come out in lower case and Unicode form, without a final dot.
    ///
    /// # Errors
    /// Empty, too long, forbidden.
    pub fn parse(text: &str) -> Result<Self, JidError> {
        if text.is_empty() {
            return Err(JidError::Empty(Part::Domain));
        }
        // Bound the work before the mapping tables; no mapping shortens a name that much.
        if text.len() > PART_BYTES_MAX.saturating_mul(2) {
            return Err(JidError::TooLong(Part::Domain));
        }
        let prepared = prepare_domain(text).ok_or(JidError::Forbidden(Part::Domain))?;
        sized(prepared, Part::Domain).map(DomainPart)
    }

    /// The prepared text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ResourcePart {
    /// Prepares and checks a resource as RFC 6122 does (Resourceprep).
    ///
    /// # Errors
    /// Empty, too long, forbidden.
    pub fn parse(text: &str) -> Result<Self, JidError> {
        let prepared = if is_plain_resource(text) {
            Cow::Borrowed(text)
        } else {
            stable(text, Part::Resource, |t| stringprep::resourceprep(t).ok())?
        };
        sized(prepared, Part::Resource).map(ResourcePart)
    }

    /// Prepares and checks a resource a client of ours asks for: Resourceprep and OpaqueString (RFC 8265 §4.2) must agree.
    ///
    /// # Errors
    /// As [`ResourcePart::parse`], and [`JidError::Ambiguous`].
    pub fn parse_new_session(text: &str) -> Result<Self, JidError> {
        let resource = Self::parse(text)?;
        match OpaqueString::enforce(text) {
            Ok(other) if other == resource.as_str() => Ok(resource),
            _ => Err(JidError::Ambiguous(Part::Resource)),
        }
    }

    /// The prepared text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A local part that both profiles leave as it is. Anything else takes the long way.
pub(super) fn is_plain_local(text: &str) -> bool {
    let plain = |b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'+' | b'=' | b'%' | b'$' | b'!' | b'#');
    fits(text) && text.bytes().all(plain)
}

/// A resource that both profiles leave as it is.
pub(super) fn is_plain_resource(text: &str) -> bool {
    fits(text) && text.bytes().all(|b| matches!(b, b' '..=b'~'))
}

pub(super) fn fits(text: &str) -> bool {
    (1..=PART_BYTES_MAX).contains(&text.len())
}

/// Applies a profile and insists that its output is its own preparation, so that an address read back stays the same.
fn stable<'a>(
    text: &'a str,
    part: Part,
    profile: impl Fn(&str) -> Option<Cow<'_, str>>,
) -> Result<Cow<'a, str>, JidError> {
    // Bound the work before the mapping tables; case folding and NFKC rarely shorten, never to a half.
    if text.len() > PART_BYTES_MAX.saturating_mul(2) {
        return Err(JidError::TooLong(part));
    }
    let prepared = profile(text).ok_or(JidError::Forbidden(part))?.into_owned();
    match profile(&prepared) {
        Some(again) if again == prepared.as_str() => Ok(Cow::Owned(prepared)),
        _ => Err(JidError::Forbidden(part)),
    }
}

fn sized(prepared: Cow<'_, str>, part: Part) -> Result<CompactString, JidError> {
    match prepared.len() {
        0 => Err(JidError::Empty(part)),
        1..=PART_BYTES_MAX => Ok(CompactString::from(prepared)),
        _ => Err(JidError::TooLong(part)),
    }
}

impl fmt::Display for LocalPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for DomainPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for ResourcePart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for LocalPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for DomainPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ResourcePart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
