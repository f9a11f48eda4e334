//! Dialback keys: what a server sends with its claim and later recognises as its own (XEP-0185 §2, XEP-0220 §2.1.1).

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::jid::DomainPart;
use crate::secret::Secret;

/// The secret of all servers that answer for our domains. A fresh one at each start will do where there is one server.
#[derive(Debug, Clone)]
pub struct DialbackSecret(Secret<String>);

impl DialbackSecret {
    /// Takes random bytes, or a text shared by several servers.
    pub fn new(secret: &[u8]) -> DialbackSecret {
        DialbackSecret(Secret::new(hex(&Sha256::digest(secret))))
    }

    /// The key for a claim of `sender` towards `receiver` on the stream that the receiver named `stream`.
    pub(super) fn key(&self, receiver: &DomainPart, sender: &DomainPart, stream: &str) -> String {
        let mut code = match Hmac::<Sha256>::new_from_slice(self.0.expose().as_bytes()) {
            Ok(code) => code,
            Err(_) => unreachable!("HMAC takes keys of any length (RFC 2104 §2)"),
        };
        for part in [receiver.as_str(), " ", sender.as_str(), " ", stream] {
            code.update(part.as_bytes());
        }
        hex(&code.finalize().into_bytes())
    }

    /// Whether a key is ours, in a time that tells nothing about how far it is right.
    pub(super) fn recognises(&self, key: &str, receiver: &DomainPart, sender: &DomainPart, stream: &str) -> bool {
        self.key(receiver, sender, stream).as_bytes().ct_eq(key.as_bytes()).into()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a String does not fail
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(text: &str) -> DomainPart {
        DomainPart::parse(text).unwrap()
    }

    #[test]
    fn the_key_of_the_standard_comes_out() {
        let secret = DialbackSecret::new(b"s3cr3tf0rd14lb4ck");
        let key = secret.key(&domain("montague.example"), &domain("capulet.example"), "D60000229F");
        assert_eq!(key, "b4835385f37fe2895af6c196b59097b16862406db80559900d96bf6fa7d23df3");
    }

    #[test]
    fn a_key_is_recognised_for_its_pair_and_stream_only() {
        let secret = DialbackSecret::new(b"ours");
        let [one, other] = [domain("one.example"), domain("other.example")];
        let key = secret.key(&one, &other, "stream");
        assert!(secret.recognises(&key, &one, &other, "stream"));
        assert!(!secret.recognises(&key, &other, &one, "stream"), "another direction");
        assert!(!secret.recognises(&key, &one, &other, "stream2"), "another stream");
        assert!(!DialbackSecret::new(b"theirs").recognises(&key, &one, &other, "stream"), "another secret");
        assert!(!secret.recognises("", &one, &other, "stream"));
    }
}
