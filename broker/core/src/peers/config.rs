//! What an operator says about other servers: how each is found and why it is believed.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use base64::Engine as _;
use sha2::{Digest as _, Sha256};

/// Why a server is believed to be who it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Its key stands in DNS, signed (RFC 7673): TLSA records that a validating resolver on this machine vouches for.
    Dane,
    /// Whoever answers at its address is believed, whatever the certificate (XEP-0220, inside TLS). As strong as DNS.
    Dialback,
    /// A certificate for its domain by an authority that we trust (RFC 6120 §13.7). The default.
    Pkix,
    /// Its key is written in our configuration; names, dates and authorities do not matter then.
    Pin,
}

impl Policy {
    /// All, as they are written in the configuration.
    pub const NAMES: [&'static str; 4] = ["dane", "dialback", "pin", "pkix"];

    /// As it is written in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Policy::Dane => "dane",
            Policy::Dialback => "dialback",
            Policy::Pin => "pin",
            Policy::Pkix => "pkix",
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// SHA-256 of a public key as it stands in certificates (SubjectPublicKeyInfo, DER): `sha256/` and base64, as in RFC 7469 §2.4.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pin([u8; 32]);

impl Pin {
    /// The pin of this SubjectPublicKeyInfo.
    pub fn of_key(subject_public_key_info: &[u8]) -> Pin {
        Pin(Sha256::digest(subject_public_key_info).into())
    }

    /// What was probably meant by a text that is none: hexadecimal digits as openssl prints them, or base64 alone.
    pub fn like(text: &str) -> Option<Pin> {
        let text = text.trim().trim_start_matches("sha256/").trim_start_matches("sha256:");
        let digits: String = text.chars().filter(|c| *c != ':').collect();
        let pairs =
            digits.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        let bytes: Option<Vec<u8>> = if digits.len() == 64 { pairs.collect() } else { None };
        match bytes {
            Some(bytes) => Some(Pin(bytes.try_into().ok()?)),
            None => format!("sha256/{text}").parse().ok(),
        }
    }
}

/// A text is no pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a pin is \"sha256/\" and 44 characters of base64")]
pub struct PinError;

impl FromStr for Pin {
    type Err = PinError;

    fn from_str(text: &str) -> Result<Pin, PinError> {
        let digest = text.strip_prefix("sha256/").ok_or(PinError)?;
        let bytes = base64::engine::general_purpose::STANDARD.decode(digest).map_err(|_| PinError)?;
        Ok(Pin(bytes.try_into().map_err(|_| PinError)?))
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256/{}", base64::engine::general_purpose::STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a server is, without asking DNS for service records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Name or IP address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Whether TLS begins with the first byte there (XEP-0368); else STARTTLS.
    pub direct_tls: bool,
}

/// One other server, and its subdomains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its domain. The longest configured one that equals a domain or that it is below of counts.
    pub domain: String,
    /// Where it is; none means that DNS knows.
    pub address: Option<Address>,
    /// PEM file with the only authorities that are believed about it; none means those of this machine.
    pub ca: Option<PathBuf>,
    /// Why it is believed.
    pub policy: Policy,
    /// Its keys, for [`Policy::Pin`]; several while a key is exchanged.
    pub pins: Vec<Pin>,
    /// Whether it may come to us without any certificate and prove itself by dialback (XEP-0220), where the policy asks for a
    /// certificate: then the server that answers for it, found where we look for it, has to show one that satisfies the policy.
    pub dialback_without_certificate: bool,
}

/// Servers that are not configured by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// Stanzas from and to them are refused.
    Refused,
    /// They are believed for this reason.
    Welcome(Policy),
}

impl Default for Others {
    fn default() -> Others {
        Others::Welcome(Policy::Pkix)
    }
}

/// All that is said about other servers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerSettings {
    /// Those configured by name.
    pub peers: Vec<Peer>,
    /// All the others.
    pub others: Others,
}
