//! What a server keeps of a password: the stored keys of SCRAM, never the password (RFC 5802 §3).

use std::fmt;

use subtle::ConstantTimeEq;

use super::ScramHash;
use super::hash::Digest;
use super::prep::{PrepError, Prepared};
use crate::secret::Secret;

/// Iterations given to new accounts, and the least we ever derive with.
///
/// RFC 7677 §4 asks for at least 4,096; 10,000 costs a login's client a few milliseconds on a gateway class processor.
pub const ITERATIONS: u32 = 10_000;

/// Fewest iterations a client accepts from a server (RFC 7677 §4): fewer would make guessing too cheap.
pub const ITERATIONS_ACCEPTED_MIN: u32 = 4_096;

/// Most iterations a client computes for a server: at about 1 us each a hostile server may cost half a second, not an hour.
pub const ITERATIONS_ACCEPTED_MAX: u32 = 500_000;

/// Length of the salts we make, in bytes.
pub const SALT_BYTES: usize = 16;

/// Stored keys of one account for one hash: salt, iterations, StoredKey, ServerKey.
///
/// Whoever steals them can pretend to be the server towards this client, but can neither log in nor see the password.
#[derive(Clone)]
pub struct StoredKeys {
    hash: ScramHash,
    salt: Vec<u8>,
    iterations: u32,
    stored_key: Digest,
    server_key: Digest,
}

/// Stored keys whose parts do not fit together: the store is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("stored keys for {} need a salt, at least one iteration and keys of {} bytes", hash.name(), hash.len())]
#[non_exhaustive]
pub struct StoreKeysMalformed {
    /// The hash whose keys were to be read.
    pub hash: ScramHash,
}

impl StoredKeys {
    /// Derives the keys from a password. CPU heavy (10,000 iterations take milliseconds): call it in `spawn_blocking`.
    ///
    /// `iterations` below [`ITERATIONS`] are raised to it.
    ///
    /// # Errors
    /// The password is empty, too long or has characters that SASLprep forbids.
    pub fn derive(
        hash: ScramHash,
        password: &Secret<String>,
        salt: &[u8; SALT_BYTES],
        iterations: u32,
    ) -> Result<StoredKeys, PrepError> {
        let password = Prepared::password(password)?;
        let iterations = iterations.max(ITERATIONS);
        Ok(ClientKeys::derive(hash, &password, salt, iterations).stored(salt, iterations))
    }

    /// Makes the keys from the salted password that a client computed (XEP-0480 §3): salt and iterations are those it was told.
    ///
    /// # Errors
    /// A length is wrong for the hash.
    pub fn from_salted(
        hash: ScramHash,
        salted: &Secret<Vec<u8>>,
        salt: &[u8],
        iterations: u32,
    ) -> Result<StoredKeys, StoreKeysMalformed> {
        if salt.is_empty() || iterations == 0 || salted.expose().len() != hash.len() {
            return Err(StoreKeysMalformed { hash });
        }
        Ok(ClientKeys::from_salted(hash, salted.expose()).stored(salt, iterations))
    }

    /// Puts keys together that a store kept.
    ///
    /// # Errors
    /// A length is wrong for the hash.
    pub fn from_parts(
        hash: ScramHash,
        salt: Vec<u8>,
        iterations: u32,
        stored_key: &[u8],
        server_key: &[u8],
    ) -> Result<StoredKeys, StoreKeysMalformed> {
        if salt.is_empty() || iterations == 0 || stored_key.len() != hash.len() || server_key.len() != hash.len() {
            return Err(StoreKeysMalformed { hash });
        }
        Ok(StoredKeys {
            hash,
            salt,
            iterations,
            stored_key: Digest::copy(stored_key),
            server_key: Digest::copy(server_key),
        })
    }

    /// The hash they were derived with.
    pub fn hash(&self) -> ScramHash {
        self.hash
    }

    /// The salt, sent to whoever asks to log in.
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// Iterations of PBKDF2.
    pub fn iterations(&self) -> u32 {
        self.iterations
    }

    /// StoredKey: the hash of the client's key.
    pub fn stored_key(&self) -> &[u8] {
        self.stored_key.bytes()
    }

    /// ServerKey: signs the server's last message.
    pub fn server_key(&self) -> &[u8] {
        self.server_key.bytes()
    }

    /// Whether this is the password. CPU heavy: call it in `spawn_blocking`. An unusable password is a wrong one.
    pub fn verify(&self, password: &Secret<String>) -> bool {
        let Ok(password) = Prepared::password(password) else { return false };
        let keys = ClientKeys::derive(self.hash, &password, &self.salt, self.iterations);
        self.stored_key.same(self.hash.hash(keys.client_key.bytes()).bytes())
    }
}

impl PartialEq for StoredKeys {
    fn eq(&self, other: &StoredKeys) -> bool {
        let keys = self.stored_key.bytes().ct_eq(other.stored_key.bytes())
            & self.server_key.bytes().ct_eq(other.server_key.bytes());
        self.hash == other.hash && self.salt == other.salt && self.iterations == other.iterations && bool::from(keys)
    }
}

impl Eq for StoredKeys {}

impl fmt::Debug for StoredKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredKeys")
            .field("hash", &self.hash)
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

/// The two keys a client computes from its password (RFC 5802 §3).
#[derive(Clone)]
pub(super) struct ClientKeys {
    pub(super) hash: ScramHash,
    pub(super) client_key: Digest,
    pub(super) server_key: Digest,
}

impl ClientKeys {
    pub(super) fn derive(hash: ScramHash, password: &Prepared, salt: &[u8], iterations: u32) -> ClientKeys {
        ClientKeys::from_salted(hash, hash.stretch(password.as_bytes(), salt, iterations).bytes())
    }

    fn from_salted(hash: ScramHash, salted: &[u8]) -> ClientKeys {
        ClientKeys {
            hash,
            client_key: hash.hmac(salted, &[b"Client Key"]),
            server_key: hash.hmac(salted, &[b"Server Key"]),
        }
    }

    fn stored(&self, salt: &[u8], iterations: u32) -> StoredKeys {
        StoredKeys {
            hash: self.hash,
            salt: salt.to_vec(),
            iterations,
            stored_key: self.hash.hash(self.client_key.bytes()),
            server_key: self.server_key.clone(),
        }
    }
}

impl fmt::Debug for ClientKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A long-lived secret of this server, from which it answers for users that do not exist.
///
/// It must survive a restart: a salt that changes would tell which users are real (RFC 5802 §9 leaves this to us).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSecret(Secret<[u8; 32]>);

impl ServerSecret {
    /// Takes 32 random bytes that the store keeps.
    pub fn new(bytes: [u8; 32]) -> ServerSecret {
        ServerSecret(Secret::new(bytes))
    }

    /// Keys nobody has the password of: the same for the same name, looking like real ones.
    pub(super) fn stand_in(&self, hash: ScramHash, username: &str) -> StoredKeys {
        let part = |label: &[u8]| {
            ScramHash::Sha256.hmac(self.0.expose(), &[hash.name().as_bytes(), label, username.as_bytes()])
        };
        let key = |label: &[u8]| Digest::copy(part(label).bytes().get(..hash.len()).unwrap_or_default());
        let mut salt = part(b"\0salt\0").bytes().to_vec();
        salt.truncate(SALT_BYTES);
        StoredKeys {
            hash,
            salt,
            iterations: ITERATIONS,
            stored_key: key(b"\0stored\0"),
            server_key: key(b"\0server\0"),
        }
    }
}

/// The check of a password against stored keys, as data: CPU heavy, so the caller runs it where that does no harm.
pub struct PasswordCheck {
    pub(super) keys: StoredKeys,
    pub(super) password: Secret<String>,
}

impl PasswordCheck {
    /// Computes; call it in `spawn_blocking` and hand the answer back to the machine that asked.
    pub fn run(self) -> PasswordVerdict {
        PasswordVerdict(self.keys.verify(&self.password))
    }
}

impl fmt::Debug for PasswordCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordCheck(***)")
    }
}

/// The answer of a [`PasswordCheck`]; only a check can make one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordVerdict(pub(super) bool);

/// A client's key derivation, as data: CPU heavy, so the caller runs it where that does no harm.
pub struct Derivation {
    pub(super) hash: ScramHash,
    pub(super) password: Prepared,
    pub(super) salt: Vec<u8>,
    pub(super) iterations: u32,
}

impl Derivation {
    /// The salt the server gave; with the same one the same password has the same keys.
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// Computes; call it in `spawn_blocking` and hand the keys back to the machine that asked.
    pub fn run(self) -> DerivedKeys {
        DerivedKeys(ClientKeys::derive(self.hash, &self.password, &self.salt, self.iterations))
    }
}

impl fmt::Debug for Derivation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Derivation")
            .field("hash", &self.hash)
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

/// The answer of a [`Derivation`]; only a derivation can make one.
#[derive(Debug, Clone)]
pub struct DerivedKeys(pub(super) ClientKeys);
