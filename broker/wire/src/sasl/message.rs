//! The grammar of SCRAM messages: GS2 header, attributes, escaped names, base64 (RFC 5802 §5.1 and §7).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{BindingKind, Failure, MESSAGE_BYTES_MAX};

/// Longest nonce we accept from a peer, in characters. Common clients send 24 to 64.
const NONCE_CHARS_MAX: usize = 256;

/// What the client says about channel binding in its GS2 header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BindingFlag<'a> {
    /// `n`: the client has none.
    None,
    /// `y`: the client has one but believes that the server has not.
    NotOffered,
    /// `p=`: the client uses the named kind.
    Uses(&'a str),
}

/// A client-first-message taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FirstMessage<'a> {
    /// The GS2 header with its last comma; it comes back in the `c=` attribute.
    pub(super) header: &'a str,
    /// The rest: client-first-message-bare.
    pub(super) bare: &'a str,
    pub(super) flag: BindingFlag<'a>,
    pub(super) authzid: Option<String>,
    /// As sent, unescaped, not yet prepared.
    pub(super) username: String,
    pub(super) nonce: &'a str,
}

/// Reads a message as text, within the size limit.
pub(super) fn text(message: &[u8]) -> Result<&str, Failure> {
    if message.len() > MESSAGE_BYTES_MAX {
        return Err(Failure::MalformedRequest);
    }
    let text = std::str::from_utf8(message).map_err(|_| Failure::MalformedRequest)?;
    if text.contains('\0') { Err(Failure::MalformedRequest) } else { Ok(text) }
}

impl<'a> FirstMessage<'a> {
    pub(super) fn parse(message: &'a str) -> Result<FirstMessage<'a>, Failure> {
        let malformed = Failure::MalformedRequest;
        let mut parts = message.splitn(3, ',');
        let (flag, authzid) = (parts.next().ok_or(malformed)?, parts.next().ok_or(malformed)?);
        let bare = parts.next().ok_or(malformed)?;
        let header = message.strip_suffix(bare).ok_or(malformed)?;
        let flag = match flag {
            "n" => BindingFlag::None,
            "y" => BindingFlag::NotOffered,
            other => BindingFlag::Uses(other.strip_prefix("p=").filter(|kind| is_binding_name(kind)).ok_or(malformed)?),
        };
        let authzid = match authzid {
            "" => None,
            other => Some(unescape(other.strip_prefix("a=").ok_or(malformed)?)?),
        };
        let mut attributes = bare.split(',');
        // `m=` announces an extension we must understand and do not: it lands here as "no n=" (RFC 5802 §5.1).
        let username = unescape(value(attributes.next(), "n=")?)?;
        let nonce = nonce(value(attributes.next(), "r=")?)?;
        if !attributes.all(is_extension) {
            return Err(malformed);
        }
        Ok(FirstMessage { header, bare, flag, authzid, username, nonce })
    }
}

/// A client-final-message taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FinalMessage<'a> {
    pub(super) without_proof: &'a str,
    /// Decoded `c=`: GS2 header and channel binding data.
    pub(super) binding: Vec<u8>,
    pub(super) nonce: &'a str,
    pub(super) proof: Vec<u8>,
}

impl<'a> FinalMessage<'a> {
    pub(super) fn parse(message: &'a str) -> Result<FinalMessage<'a>, Failure> {
        let (without_proof, proof) = message.rsplit_once(",p=").ok_or(Failure::MalformedRequest)?;
        let mut attributes = without_proof.split(',');
        let binding = decode(value(attributes.next(), "c=")?)?;
        let nonce = nonce(value(attributes.next(), "r=")?)?;
        if !attributes.all(is_extension) {
            return Err(Failure::MalformedRequest);
        }
        Ok(FinalMessage { without_proof, binding, nonce, proof: decode(proof)? })
    }
}

/// The value of an attribute that must stand here.
pub(super) fn value<'a>(attribute: Option<&'a str>, name: &str) -> Result<&'a str, Failure> {
    attribute.and_then(|attribute| attribute.strip_prefix(name)).ok_or(Failure::MalformedRequest)
}

/// Whether this is `x=value` with an optional letter we may ignore.
pub(super) fn is_extension(attribute: &str) -> bool {
    let mut chars = attribute.chars();
    let letter = chars.next().is_some_and(|c| c.is_ascii_alphabetic() && c != 'm');
    letter && chars.next() == Some('=') && chars.next().is_some()
}

/// Printable ASCII without comma (RFC 5802 §7 `printable`).
pub(super) fn nonce(text: &str) -> Result<&str, Failure> {
    let printable = text.bytes().all(|byte| matches!(byte, 0x21..=0x2b | 0x2d..=0x7e));
    if text.is_empty() || text.len() > NONCE_CHARS_MAX || !printable {
        Err(Failure::MalformedRequest)
    } else {
        Ok(text)
    }
}

fn is_binding_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'))
}

/// Base64 with its padding and without anything else (RFC 4648 §4, RFC 6120 §6.4.2).
pub(crate) fn decode(text: &str) -> Result<Vec<u8>, Failure> {
    STANDARD.decode(text).map_err(|_| Failure::MalformedRequest)
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// `saslname`: `=` and `,` travel as `=3D` and `=2C`.
pub(super) fn escape(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}

fn unescape(name: &str) -> Result<String, Failure> {
    let mut parts = name.split('=');
    let mut plain = String::from(parts.next().unwrap_or_default());
    for part in parts {
        if let Some(rest) = part.strip_prefix("2C") {
            plain.push(',');
            plain.push_str(rest);
        } else if let Some(rest) = part.strip_prefix("3D") {
            plain.push('=');
            plain.push_str(rest);
        } else {
            return Err(Failure::MalformedRequest);
        }
    }
    if plain.is_empty() { Err(Failure::MalformedRequest) } else { Ok(plain) }
}

/// The GS2 header of a client (RFC 5801 §4): we never ask for another identity, so the authzid stays empty.
pub(super) fn header(flag: BindingFlag<'_>) -> String {
    match flag {
        BindingFlag::None => "n,,".into(),
        BindingFlag::NotOffered => "y,,".into(),
        BindingFlag::Uses(kind) => format!("p={kind},,"),
    }
}

impl BindingKind {
    pub(super) fn flag(self) -> BindingFlag<'static> {
        BindingFlag::Uses(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_part_of_a_first_message() {
        let first = FirstMessage::parse("p=tls-exporter,a=an=3Dna,n=an=2Cna,r=abc,x=1").expect("valid");
        assert_eq!(first.header, "p=tls-exporter,a=an=3Dna,");
        assert_eq!(first.bare, "n=an=2Cna,r=abc,x=1");
        assert_eq!(first.flag, BindingFlag::Uses("tls-exporter"));
        assert_eq!(first.authzid.as_deref(), Some("an=na"));
        assert_eq!(first.username, "an,na");
        assert_eq!(first.nonce, "abc");
    }

    #[test]
    fn refuses_first_messages_that_break_the_grammar() {
        for message in [
            "",
            "n",
            "n,",
            "n,,",
            "n,,n=anna",
            "n,,r=abc,n=anna",
            "z,,n=anna,r=abc",
            "p=,,n=anna,r=abc",
            "p=a b,,n=anna,r=abc",
            "n,b=x,n=anna,r=abc",
            "n,a=,n=anna,r=abc",
            "n,,n=,r=abc",
            "n,,n=anna,r=",
            "n,,n=an=na,r=abc",
            "n,,n=an=2cna,r=abc",
            "n,,n=anna=,r=abc",
            "n,,m=x,n=anna,r=abc",
            "n,,n=anna,r=abc,",
            "n,,n=anna,r=abc,m=x",
            "n,,n=anna,r=a c",
            "n,,n=anna,r=abc,xy=1",
            "n,,n=anna,r=abc,x=",
        ] {
            assert_eq!(FirstMessage::parse(message), Err(Failure::MalformedRequest), "{message}");
        }
    }

    #[test]
    fn refuses_final_messages_that_break_the_grammar() {
        for message in [
            "",
            "c=biws,r=abc",
            "r=abc,c=biws,p=AA==",
            "c=biws,p=AA==",
            "c=biw,r=abc,p=AA==",
            "c=biws,r=abc,p=AA",
            "c=biws,r=abc,p=AA==,x=1",
            "c=biws,r=abc,m=1,p=AA==",
        ] {
            assert_eq!(FinalMessage::parse(message), Err(Failure::MalformedRequest), "{message}");
        }
    }

    #[test]
    fn base64_is_strict() {
        assert_eq!(decode("YQ=="), Ok(b"a".to_vec()));
        for text in ["YQ", "YQ=", "YR==", " YQ==", "YQ==\n", "Y Q==", "YQ==YQ==", "YQ-_", "="] {
            assert_eq!(decode(text), Err(Failure::MalformedRequest), "{text}");
        }
    }

    #[test]
    fn nonces_are_limited_in_length() {
        assert!(nonce(&"a".repeat(NONCE_CHARS_MAX)).is_ok());
        assert!(nonce(&"a".repeat(NONCE_CHARS_MAX + 1)).is_err());
    }

    #[test]
    fn names_survive_escaping() {
        assert_eq!(unescape(&escape("a,b=c")).as_deref(), Ok("a,b=c"));
    }
}
