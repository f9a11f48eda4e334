//! What can be wrong with certificates and keys, told to the operator.

use std::io;
use std::path::PathBuf;

/// A certificate or key cannot be used. Texts name the file and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read or written.
    #[error("cannot {action} {path}: {source}")]
    ConfigFile {
        /// `read`, `write`, `create`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The certificate file has none in it.
    #[error(
        "{path} contains no certificate: it must be PEM text with '-----BEGIN CERTIFICATE-----', leaf first, then its intermediates"
    )]
    ConfigNoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The key file has none in it.
    #[error(
        "{path} contains no private key: it must be PEM text with '-----BEGIN PRIVATE KEY-----' (or EC or RSA PRIVATE KEY), without password"
    )]
    ConfigNoKey {
        /// The file.
        path: PathBuf,
    },
    /// The file is no well-formed PEM or DER.
    #[error("{path} is damaged: {text}")]
    ConfigDamaged {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        text: String,
    },
    /// The key is not the certificate's.
    #[error("the key in {key} does not belong to the certificate in {certificate}")]
    ConfigKeyMismatch {
        /// Certificate file.
        certificate: PathBuf,
        /// Key file.
        key: PathBuf,
    },
    /// The certificate is for other names.
    #[error("the certificate in {path} is not for {domain}: clients will refuse it; it needs {domain} as a DNS name")]
    ConfigWrongName {
        /// Certificate file.
        path: PathBuf,
        /// The domain we serve.
        domain: String,
    },
    /// The certificate's time is over or has not come.
    #[error("the certificate in {path} is valid from {from} to {until}, and it is {now} now")]
    ConfigExpired {
        /// Certificate file.
        path: PathBuf,
        /// Start of validity.
        from: String,
        /// End of validity.
        until: String,
        /// The clock.
        now: String,
    },
    /// The domain cannot stand in a certificate.
    #[error("{domain} cannot be a DNS name in a certificate")]
    ConfigDomain {
        /// The domain.
        domain: String,
    },
    /// The machine has no trusted authorities.
    #[error("this machine has no trusted certificate authorities: name one with a CA file")]
    ConfigNoAuthorities,
    /// The TLS or certificate library refused.
    #[error("TLS set-up failed: {0}")]
    Internal(String),
}

impl TlsError {
    pub(super) fn internal(error: impl std::fmt::Display) -> TlsError {
        TlsError::Internal(error.to_string())
    }
}
