//! XMPP addresses (RFC 7622): `local@domain/resource`, prepared once when parsed and compared as text ever after.
//! Does no lookups; an address that parses need not exist.
//!
//! # Why
//! RFC 7622 replaced the stringprep profiles of RFC 6122 by PRECIS, and the two disagree on some strings; other servers still
//! run stringprep. Foreign addresses are therefore prepared by the rules of RFC 6122, as everyone routes, while a new account of
//! ours must be a string on which both agree ([`BareJid::parse_new_account`]). So no account can be spelled two ways.
#![warn(clippy::indexing_slicing, clippy::as_conversions, clippy::arithmetic_side_effects)]

mod domain;
mod parts;
#[cfg(test)]
mod tests;

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

pub use parts::{DomainPart, LocalPart, PART_BYTES_MAX, ResourcePart};

/// Why a text is no address, or no address for a new account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JidError {
    /// `@example.org`, `a@/r`, `a@b/`.
    #[error("the {0} is empty")]
    Empty(Part),
    /// More than [`PART_BYTES_MAX`] bytes after preparation.
    #[error("the {0} is longer than {PART_BYTES_MAX} bytes")]
    TooLong(Part),
    /// A character or a sequence that the part must not have.
    #[error("the {0} has characters that are not allowed there")]
    Forbidden(Part),
    /// Allowed today, but older servers would spell it differently: no name for a new account.
    #[error("the {0} is not spelled the same by all servers")]
    Ambiguous(Part),
    /// A resource where only a bare JID may stand.
    #[error("a resource is not allowed here")]
    UnexpectedResource,
    /// No resource where a full JID must stand.
    #[error("a resource is required here")]
    MissingResource,
}

/// One of the three parts of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Before the `@`.
    Local,
    /// Host name or IP literal.
    Domain,
    /// After the first `/`.
    Resource,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Local => "local part",
            Part::Domain => "domain",
            Part::Resource => "resource",
        })
    }
}

/// An address, bare or full, prepared. Cloning copies a pointer; equality, order and hash are those of the text.
#[derive(Clone)]
pub struct Jid {
    text: Arc<str>,
    /// Bytes of the local part; 0 if there is none.
    local: u16,
    /// Where the domain ends: at the `/` or at the end of the text.
    domain_end: u16,
}

/// An address without a resource: an account, a server or a service.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BareJid(Jid);

/// An address with a resource: one connected session.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FullJid(Jid);

impl Jid {
    /// Prepares and checks a text.
    ///
    /// # Errors
    /// The first part that is empty, too long or forbidden.
    pub fn parse(text: &str) -> Result<Self, JidError> {
        if let Some(jid) = Self::parse_prepared(text) {
            return Ok(jid);
        }
        let (bare, resource) = match text.split_once('/') {
            Some((bare, resource)) => (bare, Some(ResourcePart::parse(resource)?)),
            None => (text, None),
        };
        let (local, domain) = match bare.split_once('@') {
            Some((local, domain)) => (Some(LocalPart::parse(local)?), domain),
            None => (None, bare),
        };
        Ok(Self::from_parts(local.as_ref(), &DomainPart::parse(domain)?, resource.as_ref()))
    }

    /// The short way for what is already prepared and plain ASCII, as nearly every address on the wire is.
    fn parse_prepared(text: &str) -> Option<Self> {
        let domain_end = text.bytes().position(|b| b == b'/').unwrap_or(text.len());
        let bare = text.get(..domain_end)?;
        let (local, domain) = match bare.bytes().position(|b| b == b'@') {
            Some(at) => (Some(bare.get(..at)?), bare.get(at.saturating_add(1)..)?),
            None => (None, bare),
        };
        let resource = text.get(domain_end.saturating_add(1)..);
        let prepared = local.is_none_or(parts::is_plain_local)
            && domain::is_plain_domain(domain)
            && resource.is_none_or(parts::is_plain_resource);
        let local = offset(local.unwrap_or_default().len());
        prepared.then(|| Jid { text: text.into(), local, domain_end: offset(domain_end) })
    }

    /// Puts prepared parts together.
    pub fn from_parts(local: Option<&LocalPart>, domain: &DomainPart, resource: Option<&ResourcePart>) -> Self {
        let local_text = local.map_or("", LocalPart::as_str);
        let mut text = String::with_capacity(64);
        if local.is_some() {
            text.push_str(local_text);
            text.push('@');
        }
        text.push_str(domain.as_str());
        let domain_end = text.len();
        if let Some(resource) = resource {
            text.push('/');
            text.push_str(resource.as_str());
        }
        Jid { text: text.into(), local: offset(local_text.len()), domain_end: offset(domain_end) }
    }

    /// The whole address.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The local part, if there is one.
    pub fn local(&self) -> Option<&str> {
        if self.local == 0 { None } else { self.text.get(..usize::from(self.local)) }
    }

    /// The domain: host name in Unicode form, or an IP literal.
    pub fn domain(&self) -> &str {
        let start = if self.local == 0 { 0 } else { usize::from(self.local).saturating_add(1) };
        self.text.get(start..usize::from(self.domain_end)).unwrap_or_default()
    }

    /// The resource, if there is one.
    pub fn resource(&self) -> Option<&str> {
        self.text.get(usize::from(self.domain_end).saturating_add(1)..)
    }

    /// The address without the resource, as text: for looking up a [`BareJid`] in a map without allocating.
    pub fn bare_str(&self) -> &str {
        self.text.get(..usize::from(self.domain_end)).unwrap_or_default()
    }

    /// True if there is no resource.
    pub fn is_bare(&self) -> bool {
        self.text.len() == usize::from(self.domain_end)
    }

    /// True if there is a resource.
    pub fn is_full(&self) -> bool {
        !self.is_bare()
    }

    /// The address without the resource. Allocates only if there is one.
    pub fn to_bare(&self) -> BareJid {
        if self.is_bare() {
            return BareJid(self.clone());
        }
        BareJid(Jid { text: self.bare_str().into(), ..*self })
    }

    /// The domain alone as an address.
    pub fn to_domain(&self) -> BareJid {
        let domain: Arc<str> = self.domain().into();
        BareJid(Jid { local: 0, domain_end: offset(domain.len()), text: domain })
    }

    /// As a full JID, if there is a resource.
    pub fn to_full(&self) -> Option<FullJid> {
        self.is_full().then(|| FullJid(self.clone()))
    }
}

/// Three parts and two separators stay below 2^16, so this never saturates.
fn offset(at: usize) -> u16 {
    u16::try_from(at).unwrap_or(u16::MAX)
}

impl BareJid {
    /// Parses an address that must not have a resource.
    ///
    /// # Errors
    /// As [`Jid::parse`], and [`JidError::UnexpectedResource`].
    pub fn parse(text: &str) -> Result<Self, JidError> {
        Self::try_from(Jid::parse(text)?)
    }

    /// Parses the address of an account to be created here: the local part must be there and be spelled the same by the
    /// rules of RFC 6122 and of RFC 7622.
    ///
    /// # Errors
    /// As [`BareJid::parse`], and [`JidError::Ambiguous`].
    pub fn parse_new_account(text: &str) -> Result<Self, JidError> {
        let jid = Self::parse(text)?;
        let (local, _) = text.split_once('@').ok_or(JidError::Empty(Part::Local))?;
        LocalPart::parse_new_account(local)?;
        Ok(jid)
    }

    /// Puts prepared parts together.
    pub fn from_parts(local: Option<&LocalPart>, domain: &DomainPart) -> Self {
        BareJid(Jid::from_parts(local, domain, None))
    }

    /// The address as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The local part, if there is one.
    pub fn local(&self) -> Option<&str> {
        self.0.local()
    }

    /// The domain.
    pub fn domain(&self) -> &str {
        self.0.domain()
    }

    /// This address with a resource.
    pub fn with_resource(&self, resource: &ResourcePart) -> FullJid {
        let mut text = String::with_capacity(self.as_str().len().saturating_add(32));
        text.push_str(self.as_str());
        text.push('/');
        text.push_str(resource.as_str());
        FullJid(Jid { text: text.into(), ..self.0 })
    }

    /// As an address of either kind.
    pub fn as_jid(&self) -> &Jid {
        &self.0
    }
}

impl FullJid {
    /// Parses an address that must have a resource.
    ///
    /// # Errors
    /// As [`Jid::parse`], and [`JidError::MissingResource`].
    pub fn parse(text: &str) -> Result<Self, JidError> {
        Self::try_from(Jid::parse(text)?)
    }

    /// The address as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The local part, if there is one.
    pub fn local(&self) -> Option<&str> {
        self.0.local()
    }

    /// The domain.
    pub fn domain(&self) -> &str {
        self.0.domain()
    }

    /// The resource.
    pub fn resource(&self) -> &str {
        self.0.resource().unwrap_or_default()
    }

    /// The address without the resource, as text.
    pub fn bare_str(&self) -> &str {
        self.0.bare_str()
    }

    /// The address without the resource.
    pub fn to_bare(&self) -> BareJid {
        self.0.to_bare()
    }

    /// As an address of either kind.
    pub fn as_jid(&self) -> &Jid {
        &self.0
    }
}

impl TryFrom<Jid> for BareJid {
    type Error = JidError;

    fn try_from(jid: Jid) -> Result<Self, JidError> {
        if jid.is_bare() { Ok(BareJid(jid)) } else { Err(JidError::UnexpectedResource) }
    }
}

impl TryFrom<Jid> for FullJid {
    type Error = JidError;

    fn try_from(jid: Jid) -> Result<Self, JidError> {
        if jid.is_full() { Ok(FullJid(jid)) } else { Err(JidError::MissingResource) }
    }
}

impl From<BareJid> for Jid {
    fn from(jid: BareJid) -> Self {
        jid.0
    }
}

impl From<FullJid> for Jid {
    fn from(jid: FullJid) -> Self {
        jid.0
    }
}

impl From<&BareJid> for Jid {
    fn from(jid: &BareJid) -> Self {
        jid.0.clone()
    }
}

impl From<&FullJid> for Jid {
    fn from(jid: &FullJid) -> Self {
        jid.0.clone()
    }
}

impl From<&Jid> for Jid {
    fn from(jid: &Jid) -> Self {
        jid.clone()
    }
}

impl PartialEq for Jid {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Jid {}

impl Hash for Jid {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl PartialOrd for Jid {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Jid {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Borrow<str> for Jid {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for BareJid {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for FullJid {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl FromStr for Jid {
    type Err = JidError;

    fn from_str(text: &str) -> Result<Self, JidError> {
        Self::parse(text)
    }
}

impl FromStr for BareJid {
    type Err = JidError;

    fn from_str(text: &str) -> Result<Self, JidError> {
        Self::parse(text)
    }
}

impl FromStr for FullJid {
    type Err = JidError;

    fn from_str(text: &str) -> Result<Self, JidError> {
        Self::parse(text)
    }
}

impl fmt::Display for Jid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for BareJid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for FullJid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Jid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for BareJid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for FullJid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// So that values can be written with `Element::with_attr("to", &jid)`.
impl AsRef<str> for Jid {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for BareJid {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for FullJid {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}
