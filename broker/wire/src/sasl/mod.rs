//! SASL for both ends of a stream, without input or output: SCRAM-SHA-256 and SCRAM-SHA-1 with and without channel
//! binding, PLAIN, EXTERNAL, hashed tokens (RFC 4422, RFC 5802, RFC 7677, RFC 4616, RFC 6120 §6, XEP-0474, XEP-0484).
//!
//! [`Server`] and [`Client`] run one attempt each and exchange decoded messages; `wire::stream` puts them into XML.
//! Whatever costs more than microseconds ([`StoredKeys::derive`], [`PasswordCheck::run`], [`Derivation::run`]) is handed
//! out as a value for the caller to run elsewhere. There is no look-up of accounts here and no randomness.
//!
//! # Why
//! - Our own code instead of a SASL crate: none has the server side with both `tls-exporter` and `tls-server-end-point`,
//!   and the account rule (authzid equals authcid, in every mechanism) belongs into the one place all of them pass.
//! - `hmac`, `sha1`, `sha2`, `pbkdf2`, `subtle`, `zeroize` (RustCrypto and its kin): plain, audited building blocks.
//! - `stringprep`: SCRAM names SASLprep; `base64`: strict decoding by default.

mod account;
mod binding;
mod client;
mod downgrade;
mod hash;
mod keys;
mod message;
mod plain;
mod prep;
mod scram_client;
mod scram_server;
mod server;
#[cfg(test)]
mod tests;
mod token;

pub use account::{AccountClass, Authenticated, ClientId, Credentials};
pub use binding::{BindingKind, ChannelBindings};
pub use client::{Client, ClientError, ClientStep, Login};
pub use downgrade::Offer;
pub use hash::ScramHash;
pub use keys::{
    Derivation, DerivedKeys, ITERATIONS, ITERATIONS_ACCEPTED_MAX, ITERATIONS_ACCEPTED_MIN, PasswordCheck,
    PasswordVerdict, SALT_BYTES, ServerSecret, StoreKeysMalformed, StoredKeys,
};
pub(crate) use message::{decode as base64_decode, encode as base64_encode};
pub use prep::{CREDENTIAL_BYTES_MAX, PrepError, saslprep};
pub use server::{Context, Policy, Server, ServerStep, Success, TokenProof, offer, offer_tokens};
pub use token::{
    IssuedToken, StoredToken, TOKEN_HASH_BYTES, TokenCheck, TokenMechanism, TokenSecret, TokenSlot, TokenUse, Tokens,
    UsedToken, token_answer, token_message,
};

/// Longest decoded SASL message in bytes: two names and a password of the longest kind, and their framing.
pub const MESSAGE_BYTES_MAX: usize = 4_096;

/// A SASL mechanism this project speaks.
///
/// The order is the preference of a client: channel binding before hash strength, since only it detects a man in the middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mechanism {
    /// Proof was given by the layer below: a client certificate (RFC 4422 Appendix A).
    External,
    /// SCRAM-SHA-256-PLUS (RFC 7677).
    ScramSha256Plus,
    /// SCRAM-SHA-1-PLUS (RFC 5802).
    ScramSha1Plus,
    /// SCRAM-SHA-256 (RFC 7677).
    ScramSha256,
    /// SCRAM-SHA-1 (RFC 5802).
    ScramSha1,
    /// PLAIN (RFC 4616).
    Plain,
    /// A token of an earlier login instead of a password (XEP-0484); offered in a list of its own.
    Token(TokenMechanism),
}

impl Mechanism {
    /// All but those for tokens, best first.
    pub const ALL: [Mechanism; 6] = [
        Mechanism::External,
        Mechanism::ScramSha256Plus,
        Mechanism::ScramSha1Plus,
        Mechanism::ScramSha256,
        Mechanism::ScramSha1,
        Mechanism::Plain,
    ];

    /// Name in the IANA registry.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::External => "EXTERNAL",
            Mechanism::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
            Mechanism::ScramSha1Plus => "SCRAM-SHA-1-PLUS",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::ScramSha1 => "SCRAM-SHA-1",
            Mechanism::Plain => "PLAIN",
            Mechanism::Token(mechanism) => mechanism.name(),
        }
    }

    /// Reads [`Mechanism::name`] back; `None` for mechanisms we do not speak.
    pub fn parse(name: &str) -> Option<Mechanism> {
        let token = || TokenMechanism::parse(name).map(Mechanism::Token);
        Mechanism::ALL.into_iter().find(|mechanism| mechanism.name() == name).or_else(token)
    }

    /// The hash of a SCRAM mechanism.
    pub fn hash(self) -> Option<ScramHash> {
        match self {
            Mechanism::ScramSha256Plus | Mechanism::ScramSha256 => Some(ScramHash::Sha256),
            Mechanism::ScramSha1Plus | Mechanism::ScramSha1 => Some(ScramHash::Sha1),
            Mechanism::External | Mechanism::Plain | Mechanism::Token(_) => None,
        }
    }

    /// Whether it binds to the channel: the `-PLUS` ones.
    pub fn is_plus(self) -> bool {
        matches!(self, Mechanism::ScramSha256Plus | Mechanism::ScramSha1Plus)
    }
}

/// Why an attempt failed, as the receiving side tells the initiating one (RFC 6120 §6.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("SASL failure {}", self.name())]
pub enum Failure {
    /// The client gave up.
    Aborted,
    /// The password was right, but the account is switched off.
    AccountDisabled,
    /// The password was right, but must be renewed.
    CredentialsExpired,
    /// The mechanism wants an encrypted stream.
    EncryptionRequired,
    /// Not base64.
    IncorrectEncoding,
    /// The client asked for an identity it may not take.
    InvalidAuthzid,
    /// We do not offer this mechanism here.
    InvalidMechanism,
    /// The message breaks the mechanism's grammar.
    MalformedRequest,
    /// The account demands a stronger mechanism.
    MechanismTooWeak,
    /// Wrong name, password, nonce or channel binding: which of them is not told.
    NotAuthorized,
    /// Our store does not answer.
    TemporaryAuthFailure,
}

impl Failure {
    const ALL: [Failure; 11] = [
        Failure::Aborted,
        Failure::AccountDisabled,
        Failure::CredentialsExpired,
        Failure::EncryptionRequired,
        Failure::IncorrectEncoding,
        Failure::InvalidAuthzid,
        Failure::InvalidMechanism,
        Failure::MalformedRequest,
        Failure::MechanismTooWeak,
        Failure::NotAuthorized,
        Failure::TemporaryAuthFailure,
    ];

    /// Name of the condition's element.
    pub fn name(self) -> &'static str {
        match self {
            Failure::Aborted => "aborted",
            Failure::AccountDisabled => "account-disabled",
            Failure::CredentialsExpired => "credentials-expired",
            Failure::EncryptionRequired => "encryption-required",
            Failure::IncorrectEncoding => "incorrect-encoding",
            Failure::InvalidAuthzid => "invalid-authzid",
            Failure::InvalidMechanism => "invalid-mechanism",
            Failure::MalformedRequest => "malformed-request",
            Failure::MechanismTooWeak => "mechanism-too-weak",
            Failure::NotAuthorized => "not-authorized",
            Failure::TemporaryAuthFailure => "temporary-auth-failure",
        }
    }

    /// Reads [`Failure::name`] back.
    pub fn parse(name: &str) -> Option<Failure> {
        Failure::ALL.into_iter().find(|failure| failure.name() == name)
    }
}
