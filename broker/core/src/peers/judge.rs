//! What a chain of certificates proves about a domain: a pure function of chain, domain, policy and time
//! (RFC 6120 §13.7.2, RFC 5280 §6, RFC 7671 for TLSA).
//!
//! Revocation is not looked up: neither CRLs nor OCSP work from a closed network, and short certificates have replaced them.

use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, RootCertStore};
use sha2::{Digest as _, Sha256, Sha512};
use x509_parser::prelude::X509Certificate;

use super::config::{Pin, Policy};
use super::names::Names;
use super::resolve::Tlsa;
use super::verdict::{Doubt, Proof};

/// Certificates of one chain that are looked at; real chains have two to four.
pub(super) const CHAIN_MAX: usize = 10;

/// About whom is judged, and what DNS says of it.
pub(super) struct Subject<'a> {
    /// The domain, A-labels in lower case.
    pub(super) domain: &'a str,
    /// Hosts that authentic service records name, which a certificate that DNS vouches for may be made for (RFC 7673 §4.1).
    pub(super) hosts: &'a [&'a str],
    /// Authentic TLSA records.
    pub(super) tlsa: &'a [Tlsa],
}

/// What is believed.
pub(super) struct Belief<'a> {
    pub(super) policy: Policy,
    pub(super) roots: &'a RootCertStore,
    pub(super) pins: &'a [Pin],
}

/// Judges the chain, leaf first, that the holder of the leaf's key has shown.
pub(super) fn judge(
    belief: &Belief<'_>,
    subject: &Subject<'_>,
    chain: &[CertificateDer<'_>],
    now: UnixTime,
) -> Result<Proof, Doubt> {
    match belief.policy {
        Policy::Pkix | Policy::Dialback => pkix(belief.roots, &[subject.domain], chain, now).map(|()| Proof::Pkix),
        Policy::Pin => pinned(belief.pins, chain).map(Proof::Pin),
        Policy::Dane => dane(belief.roots, subject, chain, now).map(|usage| Proof::Dane { usage }),
    }
}

/// An authority among `roots` has signed the leaf, now valid, for the first of `names` or as a DNS name for any of them.
fn pkix(roots: &RootCertStore, names: &[&str], chain: &[CertificateDer<'_>], now: UnixTime) -> Result<(), Doubt> {
    let (leaf, others) = chain.split_first().ok_or(Doubt::NoCertificate)?;
    let others = others.get(..others.len().min(CHAIN_MAX)).unwrap_or_default();
    let parsed = ParsedCertificate::try_from(leaf).map_err(|error| doubt(leaf, error))?;
    let algorithms = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.all;
    verify_server_cert_signed_by_trust_anchor(&parsed, roots, others, now, algorithms)
        .map_err(|error| doubt(leaf, error))?;
    let found = Names::of(leaf);
    // Name constraints of an authority bind DNS names only; beside them the other forms prove nothing.
    let constrained = others.iter().any(|authority| is_constrained(authority));
    let covered = names
        .iter()
        .enumerate()
        .any(|(index, name)| if index == 0 && !constrained { found.cover(name) } else { found.cover_host(name) });
    if covered { Ok(()) } else { Err(Doubt::WrongName { found: found.to_string() }) }
}

fn is_constrained(authority: &CertificateDer<'_>) -> bool {
    parse(authority).is_none_or(|parsed| !matches!(parsed.name_constraints(), Ok(None)))
}

/// The pin that the leaf's key has. Dates and names do not count: the operator named the key itself.
fn pinned(pins: &[Pin], chain: &[CertificateDer<'_>]) -> Result<Pin, Doubt> {
    let leaf = chain.first().ok_or(Doubt::NoCertificate)?;
    let found = pin_of(leaf).ok_or_else(|| Doubt::Unusable("it cannot be read".into()))?;
    if pins.contains(&found) { Ok(found) } else { Err(Doubt::OtherKey { found }) }
}

/// The pin of a certificate's key.
pub fn pin_of(certificate: &CertificateDer<'_>) -> Option<Pin> {
    Some(Pin::of_key(parse(certificate)?.public_key().raw))
}

/// Usage of a TLSA record that the chain satisfies (RFC 7671 §5). PKIX-TA is not: the authority may not be in the chain.
fn dane(
    roots: &RootCertStore,
    subject: &Subject<'_>,
    chain: &[CertificateDer<'_>],
    now: UnixTime,
) -> Result<u8, Doubt> {
    let leaf = chain.first().ok_or(Doubt::NoCertificate)?;
    let usable: Vec<&Tlsa> = subject.tlsa.iter().filter(|record| matches!(record.usage, 1..=3)).collect();
    if usable.is_empty() {
        return Err(Doubt::NoTlsa);
    }
    let names: Vec<&str> = std::iter::once(subject.domain).chain(subject.hosts.iter().copied()).collect();
    let mut reason = Doubt::TlsaDiffers;
    for record in usable {
        let satisfied = match record.usage {
            // RFC 7671 §5.1: the record is the binding; names and dates in the certificate do not count.
            3 if is_match(record, leaf) => Ok(()),
            1 if is_match(record, leaf) => pkix(roots, &names, chain, now),
            2 => match chain.iter().take(CHAIN_MAX).skip(1).find(|authority| is_match(record, authority)) {
                Some(authority) => {
                    let mut roots = RootCertStore::empty();
                    let added = roots.add(authority.clone().into_owned());
                    added.map_err(|error| doubt(authority, error)).and_then(|()| pkix(&roots, &names, chain, now))
                }
                None => continue,
            },
            _ => continue,
        };
        match satisfied {
            Ok(()) => return Ok(record.usage),
            Err(why) => reason = why,
        }
    }
    Err(reason)
}

/// Whether a certificate is what a TLSA record names (RFC 6698 §2.1).
fn is_match(record: &Tlsa, certificate: &CertificateDer<'_>) -> bool {
    let selected = match record.selector {
        0 => Some(certificate.as_ref().to_vec()),
        1 => parse(certificate).map(|parsed| parsed.public_key().raw.to_vec()),
        _ => None,
    };
    let Some(selected) = selected else { return false };
    match record.matching {
        0 => selected == record.data,
        1 => Sha256::digest(&selected).as_slice() == record.data,
        2 => Sha512::digest(&selected).as_slice() == record.data,
        _ => false,
    }
}

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    x509_parser::parse_x509_certificate(certificate.as_ref()).ok().map(|(_, parsed)| parsed)
}

/// What the library found, in our words and with the facts from the certificate.
fn doubt(leaf: &CertificateDer<'_>, error: rustls::Error) -> Doubt {
    let parsed = parse(leaf);
    let validity = parsed.as_ref().map(|parsed| parsed.validity().clone());
    match error {
        rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            Doubt::Expired { until: validity.map_or_else(String::new, |validity| day(validity.not_after)) }
        }
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => Doubt::NotYet { from: validity.map_or_else(String::new, |validity| day(validity.not_before)) },
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            let issuer = parsed.map(|parsed| {
                if parsed.issuer() == parsed.subject() {
                    "itself".to_owned()
                } else {
                    format!("\"{}\"", parsed.issuer())
                }
            });
            Doubt::UnknownIssuer { issuer: issuer.unwrap_or_else(|| "nobody known".into()) }
        }
        other => Doubt::Unusable(other.to_string()),
    }
}

fn day(time: x509_parser::time::ASN1Time) -> String {
    time.to_datetime().date().to_string()
}
