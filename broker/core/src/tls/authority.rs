//! The local authority: at a first start without certificates we make our own CA, and a leaf for the domain.
//!
//! The CA lives long so that trust is given once; the leaf is short and renewed by us. All files stand in one directory
//! for us only: `ca.pem` (to hand out), `ca.key`, `leaf.pem`, `leaf.key`.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use time::OffsetDateTime;
use torg_thing::Timestamp;

use super::certificate::{CertificateFiles, server_name, validity};
use super::{TlsError, files};

/// Life of the authority: longer than the ten years a gateway stays in its meter room.
const AUTHORITY_DAYS: i64 = 20 * 365;

/// Life of a leaf: Apple's clients refuse private leaves of more than 825 days; a year leaves room for one left alone.
pub const LEAF_DAYS: i64 = 397;

/// A leaf is renewed when less than this is left, so that a gateway started once a quarter never serves an expired one.
pub const RENEW_BEFORE_DAYS: i64 = 120;

/// Certificates start a day early: gateways without a battery boot with a clock that is behind their clients' for a while.
const BACKDATE_DAYS: i64 = 1;

/// Whether the leaf also names this machine itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SelfNames {
    /// Only the domain.
    DomainOnly,
    /// Also `localhost`, 127.0.0.1 and ::1: for a demonstration on one machine.
    Loopback,
}

/// A local authority in a directory.
#[derive(Debug, Clone)]
pub struct Authority {
    directory: PathBuf,
}

/// What to serve and what to tell the people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalCertificate {
    /// The leaf, to be loaded like any other.
    pub files: CertificateFiles,
    /// The authority's certificate: clients need this file, and nothing else.
    pub authority: PathBuf,
    /// Whether the authority was made just now; then the operator must be told.
    pub is_new: bool,
}

impl LocalCertificate {
    /// How to trust it, in one sentence for the operator.
    pub fn how_to_trust(&self) -> String {
        format!(
            "No certificate is configured, so Torg made its own authority: copy {path} to each client and trust it there (Debian: into \
             /usr/local/share/ca-certificates/ with the ending .crt, then update-ca-certificates; torg node: --ca {path}).",
            path = self.authority.display()
        )
    }
}

impl Authority {
    /// The authority of this directory, made or not yet made.
    pub fn new(directory: impl Into<PathBuf>) -> Authority {
        Authority { directory: directory.into() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Makes what is missing, renews the leaf if it is near its end, for another domain or of another authority.
    ///
    /// Call it at start and about once a day. It blocks on files and on key generation (milliseconds).
    ///
    /// # Errors
    /// The directory cannot be read or written, its files are damaged, or the domain is no DNS name.
    pub fn certificate(&self, domain: &str, names: SelfNames, now: Timestamp) -> Result<LocalCertificate, TlsError> {
        self.certificate_for(domain, &[], names, now)
    }

    /// As [`Authority::certificate`], with further names: those of components and services at addresses of their own.
    ///
    /// # Errors
    /// As there.
    pub fn certificate_for(
        &self,
        domain: &str,
        others: &[String],
        names: SelfNames,
        now: Timestamp,
    ) -> Result<LocalCertificate, TlsError> {
        files::make_directory(&self.directory)?;
        let is_new = !self.file("ca.pem").exists();
        if is_new {
            self.make_authority(domain, now)?;
        }
        let leaf = CertificateFiles { certificate: self.file("leaf.pem"), key: self.file("leaf.key") };
        if is_new || !self.leaf_is_good(&leaf, domain, others, names, now) {
            self.make_leaf(&leaf, domain, others, names, now)?;
        }
        Ok(LocalCertificate { files: leaf, authority: self.file("ca.pem"), is_new })
    }

    fn make_authority(&self, domain: &str, now: Timestamp) -> Result<(), TlsError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(TlsError::internal)?;
        let mut params = params(now, AUTHORITY_DAYS)?;
        params.distinguished_name.push(DnType::CommonName, format!("Torg local authority of {domain}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).map_err(TlsError::internal)?;
        // The key first: a certificate without key would never be mended, a key without certificate is replaced.
        files::write(&self.file("ca.key"), &key.serialize_pem(), SECRET)?;
        files::write(&self.file("ca.pem"), &certificate.pem(), SECRET)
    }

    fn make_leaf(
        &self,
        leaf: &CertificateFiles,
        domain: &str,
        others: &[String],
        names: SelfNames,
        now: Timestamp,
    ) -> Result<(), TlsError> {
        let damaged = |path: &Path| {
            let path = path.to_path_buf();
            move |error: rcgen::Error| TlsError::ConfigDamaged { path, text: error.to_string() }
        };
        let (ca_key, ca) = (self.file("ca.key"), self.file("ca.pem"));
        let signer = KeyPair::from_pem(&files::read(&ca_key)?).map_err(damaged(&ca_key))?;
        let issuer = Issuer::from_ca_cert_pem(&files::read(&ca)?, signer).map_err(damaged(&ca))?;

        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(TlsError::internal)?;
        let mut params = params(now, LEAF_DAYS)?;
        let alternatives = CertificateParams::new(leaf_names(domain, others, names)?)
            .map_err(|_| TlsError::ConfigDomain { domain: domain.into() })?;
        params.subject_alt_names = alternatives.subject_alt_names;
        params.distinguished_name.push(DnType::CommonName, domain);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &issuer).map_err(TlsError::internal)?;
        files::write(&leaf.key, &key.serialize_pem(), SECRET)?;
        files::write(&leaf.certificate, &certificate.pem(), SECRET)
    }

    /// A pair that a crash left half written, a file that was tampered with, or a new wish for names: all are simply made anew.
    fn leaf_is_good(
        &self,
        leaf: &CertificateFiles,
        domain: &str,
        others: &[String],
        names: SelfNames,
        now: Timestamp,
    ) -> bool {
        let Ok(loaded) = leaf.load(domain, now) else { return false };
        let Ok(certificate) = loaded.certified.end_entity_cert() else { return false };
        let enough = now.plus(std::time::Duration::from_secs(RENEW_BEFORE_DAYS.unsigned_abs() * 86_400)) < loaded.until;
        let loopback = names == SelfNames::DomainOnly || leaf.load("localhost", now).is_ok();
        let others = others.iter().all(|name| leaf.load(name, now).is_ok());
        enough && loopback && others && self.signed(certificate)
    }

    fn signed(&self, leaf: &rustls::pki_types::CertificateDer<'_>) -> bool {
        let Ok(chain) = super::certificate::chain(&self.file("ca.pem")) else { return false };
        let Some(ca) = chain.first() else { return false };
        let (Ok((_, ca)), Ok((_, leaf))) =
            (x509_parser::parse_x509_certificate(ca), x509_parser::parse_x509_certificate(leaf))
        else {
            return false;
        };
        leaf.issuer() == ca.subject() && leaf.verify_signature(Some(ca.public_key())).is_ok()
    }

    /// End of the authority's own validity, if it exists.
    ///
    /// # Errors
    /// Its file is missing or damaged.
    pub fn until(&self) -> Result<Timestamp, TlsError> {
        let path = self.file("ca.pem");
        let chain = super::certificate::chain(&path)?;
        let ca = chain.first().ok_or_else(|| TlsError::ConfigNoCertificate { path: path.clone() })?;
        validity(ca).map(|(_, until)| until).map_err(|text| TlsError::ConfigDamaged { path, text })
    }
}

/// Everything in the directory is for us only; the operator copies `ca.pem` out of it as root.
const SECRET: u32 = 0o600;

fn leaf_names(domain: &str, others: &[String], names: SelfNames) -> Result<Vec<String>, TlsError> {
    let mut all = vec![server_name(domain)?.to_str().into_owned()];
    for other in others {
        all.push(server_name(other)?.to_str().into_owned());
    }
    if names == SelfNames::Loopback {
        all.extend(["localhost", "127.0.0.1", "::1"].map(String::from));
    }
    Ok(all)
}

fn params(now: Timestamp, days: i64) -> Result<CertificateParams, TlsError> {
    let now = OffsetDateTime::from_unix_timestamp(now.micros().div_euclid(1_000_000)).map_err(TlsError::internal)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.not_before = now.saturating_sub(time::Duration::days(BACKDATE_DAYS));
    params.not_after = now.saturating_add(time::Duration::days(days));
    Ok(params)
}
