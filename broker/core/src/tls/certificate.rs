//! A certificate chain and its key, loaded from PEM files and checked before anybody is served with them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use time::OffsetDateTime;
use torg_thing::Timestamp;

use super::{TlsError, files};

/// Where the certificate chain and its key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// PEM: leaf first, then intermediates.
    pub certificate: PathBuf,
    /// PEM: PKCS#8, SEC1 or PKCS#1, without password.
    pub key: PathBuf,
}

/// A certificate that fits its key, its domain and the time.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub(super) certified: Arc<CertifiedKey>,
    /// Start of the leaf's validity.
    pub from: Timestamp,
    /// End of the leaf's validity.
    pub until: Timestamp,
}

impl CertificateFiles {
    /// Loads and checks them for a domain.
    ///
    /// # Errors
    /// What an operator has to mend, with the file's name.
    pub fn load(&self, domain: &str, now: Timestamp) -> Result<Loaded, TlsError> {
        let chain = chain(&self.certificate)?;
        let leaf =
            chain.first().ok_or_else(|| TlsError::ConfigNoCertificate { path: self.certificate.clone() })?.clone();
        let (from, until) = self.check_leaf(&leaf, domain, now)?;
        let key = key(&self.key)?;
        let certified =
            CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => {
                    TlsError::ConfigKeyMismatch { certificate: self.certificate.clone(), key: self.key.clone() }
                }
                other => TlsError::ConfigDamaged { path: self.key.clone(), text: other.to_string() },
            })?;
        Ok(Loaded { certified: Arc::new(certified), from, until })
    }

    fn check_leaf(
        &self,
        leaf: &CertificateDer<'_>,
        domain: &str,
        now: Timestamp,
    ) -> Result<(Timestamp, Timestamp), TlsError> {
        let path = &self.certificate;
        let damaged = |text: String| TlsError::ConfigDamaged { path: path.clone(), text };
        let (from, until) = validity(leaf).map_err(damaged)?;
        if now < from || until < now {
            return Err(TlsError::ConfigExpired {
                path: path.clone(),
                from: day(from),
                until: day(until),
                now: day(now),
            });
        }
        let parsed = ParsedCertificate::try_from(leaf).map_err(|error| damaged(error.to_string()))?;
        let name = server_name(domain)?;
        rustls::client::verify_server_name(&parsed, &name)
            .map_err(|_| TlsError::ConfigWrongName { path: path.clone(), domain: domain.into() })?;
        Ok((from, until))
    }
}

/// The DNS name of a domain, as it stands in certificates (A-labels, RFC 6120 §13.7.1.2).
pub(super) fn server_name(domain: &str) -> Result<ServerName<'static>, TlsError> {
    let wrong = || TlsError::ConfigDomain { domain: domain.into() };
    let ascii = idna::domain_to_ascii(domain).map_err(|_| wrong())?;
    ServerName::try_from(ascii).map_err(|_| wrong())
}

/// First and last second of a certificate's validity.
pub(super) fn validity(leaf: &CertificateDer<'_>) -> Result<(Timestamp, Timestamp), String> {
    let (_, parsed) = x509_parser::parse_x509_certificate(leaf).map_err(|error| error.to_string())?;
    let micros = |time: x509_parser::time::ASN1Time| Timestamp::from_micros(time.timestamp().saturating_mul(1_000_000));
    Ok((micros(parsed.validity().not_before), micros(parsed.validity().not_after)))
}

fn day(at: Timestamp) -> String {
    OffsetDateTime::from_unix_timestamp(at.micros().div_euclid(1_000_000))
        .map_or_else(|_| "far away".into(), |at| at.date().to_string())
}

pub(super) fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = files::read(path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    let chain = chain.map_err(|error| TlsError::ConfigDamaged { path: path.into(), text: error.to_string() })?;
    if chain.is_empty() { Err(TlsError::ConfigNoCertificate { path: path.into() }) } else { Ok(chain) }
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = files::read(path)?;
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsError::ConfigNoKey { path: path.into() },
        other => TlsError::ConfigDamaged { path: path.into(), text: other.to_string() },
    })
}
