//! Channel bindings of a finished handshake: `tls-exporter` (RFC 9266) and `tls-server-end-point` (RFC 5929 §4).

use rustls::pki_types::CertificateDer;
use rustls::{ClientConnection, ServerConnection};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use torg_wire::sasl::ChannelBindings;
use x509_parser::oid_registry as oid;
use x509_parser::signature_algorithm::SignatureAlgorithm;

/// Label of the exported keying material; the context is empty but present (RFC 9266 §2).
const EXPORTER: &[u8] = b"EXPORTER-Channel-Binding";

/// Bindings of the server's side; `end_point` is the hash of the certificate that was served, see [`server_end_point`].
pub fn server_bindings(connection: &ServerConnection, end_point: Option<Vec<u8>>) -> ChannelBindings {
    ChannelBindings {
        tls_exporter: connection.export_keying_material([0; 32], EXPORTER, Some(&[])).ok(),
        tls_server_end_point: end_point,
    }
}

/// Bindings of the client's side.
pub fn client_bindings(connection: &ClientConnection) -> ChannelBindings {
    let leaf = connection.peer_certificates().and_then(<[CertificateDer<'_>]>::first);
    ChannelBindings {
        tls_exporter: connection.export_keying_material([0; 32], EXPORTER, Some(&[])).ok(),
        tls_server_end_point: leaf.and_then(server_end_point),
    }
}

/// Hash of a server's certificate with the hash function of its signature, where MD5 and SHA-1 count as SHA-256.
///
/// `None` where RFC 5929 §4.1 defines none: signatures without one hash function (Ed25519), unknown ones.
pub fn server_end_point(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let signature = &parsed.signature_algorithm.algorithm;
    let pss = match SignatureAlgorithm::try_from(&parsed.signature_algorithm) {
        Ok(SignatureAlgorithm::RSASSA_PSS(parameters)) => Some(parameters.hash_algorithm_oid().to_owned()),
        _ => None,
    };
    let is = |any: &[oid::Oid<'_>]| any.contains(pss.as_ref().unwrap_or(signature));
    if is(&[oid::OID_PKCS1_SHA256WITHRSA, oid::OID_SIG_ECDSA_WITH_SHA256, oid::OID_NIST_HASH_SHA256])
        || is(&[oid::OID_PKCS1_MD5WITHRSAENC, oid::OID_PKCS1_SHA1WITHRSA, oid::OID_SHA1_WITH_RSA, oid::OID_HASH_SHA1])
    {
        Some(Sha256::digest(certificate).to_vec())
    } else if is(&[oid::OID_PKCS1_SHA384WITHRSA, oid::OID_SIG_ECDSA_WITH_SHA384, oid::OID_NIST_HASH_SHA384]) {
        Some(Sha384::digest(certificate).to_vec())
    } else if is(&[oid::OID_PKCS1_SHA512WITHRSA, oid::OID_SIG_ECDSA_WITH_SHA512, oid::OID_NIST_HASH_SHA512]) {
        Some(Sha512::digest(certificate).to_vec())
    } else {
        None
    }
}
