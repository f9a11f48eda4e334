//! The two hash functions of SCRAM as one value: hash, HMAC and PBKDF2 (RFC 5802 §2.2, RFC 7677 §3).

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// Hash function of a SCRAM mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ScramHash {
    /// SHA-1: only for old clients, off unless the operator switches it on.
    Sha1,
    /// SHA-256: the default (RFC 7677).
    Sha256,
}

impl ScramHash {
    /// Name as stored beside the keys: `sha-1`, `sha-256`.
    pub fn name(self) -> &'static str {
        match self {
            ScramHash::Sha1 => "sha-1",
            ScramHash::Sha256 => "sha-256",
        }
    }

    /// Reads [`ScramHash::name`] back; `None` for anything else.
    pub fn parse(name: &str) -> Option<ScramHash> {
        match name {
            "sha-1" => Some(ScramHash::Sha1),
            "sha-256" => Some(ScramHash::Sha256),
            _ => None,
        }
    }

    /// Output length in bytes: 20 or 32.
    pub fn len(self) -> usize {
        match self {
            ScramHash::Sha1 => 20,
            ScramHash::Sha256 => 32,
        }
    }

    /// Always false; here because `len` is.
    pub fn is_empty(self) -> bool {
        false
    }

    pub(super) fn hash(self, bytes: &[u8]) -> Digest {
        match self {
            ScramHash::Sha1 => Digest::copy(&Sha1::digest(bytes)),
            ScramHash::Sha256 => Digest::copy(&Sha256::digest(bytes)),
        }
    }

    pub(super) fn hmac(self, key: &[u8], parts: &[&[u8]]) -> Digest {
        match self {
            ScramHash::Sha1 => mac::<Hmac<Sha1>>(key, parts),
            ScramHash::Sha256 => mac::<Hmac<Sha256>>(key, parts),
        }
    }

    /// `Hi()` of RFC 5802 §2.2. CPU heavy: milliseconds.
    pub(super) fn stretch(self, password: &[u8], salt: &[u8], iterations: u32) -> Digest {
        let mut digest = Digest::zero(self);
        match self {
            ScramHash::Sha1 => pbkdf2::pbkdf2_hmac::<Sha1>(password, salt, iterations, digest.bytes_mut()),
            ScramHash::Sha256 => pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, iterations, digest.bytes_mut()),
        }
        digest
    }
}

fn mac<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]]) -> Digest {
    let mut code = match <M as KeyInit>::new_from_slice(key) {
        Ok(code) => code,
        Err(_) => unreachable!("HMAC takes keys of any length (RFC 2104 §2)"),
    };
    for part in parts {
        code.update(part);
    }
    Digest::copy(&code.finalize().into_bytes())
}

/// Up to 32 bytes of hash output on the stack; compared in constant time, overwritten on drop.
#[derive(Clone)]
pub(super) struct Digest {
    bytes: [u8; 32],
    len: usize,
}

impl Digest {
    fn zero(hash: ScramHash) -> Digest {
        Digest { bytes: [0; 32], len: hash.len() }
    }

    /// Copies at most 32 bytes.
    pub(super) fn copy(from: &[u8]) -> Digest {
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().zip(from) {
            *to = *from;
        }
        Digest { bytes, len: from.len().min(32) }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.len).unwrap_or_default()
    }

    /// `self XOR other`, byte by byte; bytes that `other` lacks stay.
    pub(super) fn xor(mut self, other: &[u8]) -> Digest {
        for (to, from) in self.bytes.iter_mut().zip(other) {
            *to ^= from;
        }
        self
    }

    pub(super) fn same(&self, other: &[u8]) -> bool {
        self.bytes().ct_eq(other).into()
    }
}

impl Drop for Digest {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}
