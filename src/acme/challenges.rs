//! What we show to a certificate authority that looks whether the domain is ours: a text over HTTP (RFC 8555 §8.3) or a certificate over
//! TLS (RFC 8737 §3).

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use rcgen::{CertificateParams, CustomExtension, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use super::AcmeError;

/// The protocol of TLS-ALPN-01 (RFC 8737 §6.2).
pub const ALPN: &[u8] = b"acme-tls/1";

/// Answers that are out now; empty but for the minute in which a certificate is ordered.
#[derive(Debug, Default)]
pub struct Challenges {
    inside: RwLock<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    /// By token.
    http: HashMap<String, String>,
    /// By name of the server, in lower case.
    tls: HashMap<String, Arc<ServerConfig>>,
}

impl Challenges {
    /// The answer for this token, if one is out.
    pub(crate) fn http(&self, token: &str) -> Option<String> {
        self.inside.read().unwrap_or_else(PoisonError::into_inner).http.get(token).cloned()
    }

    /// What to serve for this name, if an answer is out.
    pub(crate) fn tls(&self, name: &str) -> Option<Arc<ServerConfig>> {
        let inside = self.inside.read().unwrap_or_else(PoisonError::into_inner);
        inside.tls.get(&name.to_ascii_lowercase()).cloned()
    }

    pub(super) fn put_http(&self, token: &str, answer: &str) {
        let mut inside = self.inside.write().unwrap_or_else(PoisonError::into_inner);
        inside.http.insert(token.to_owned(), answer.to_owned());
    }

    pub(super) fn put_tls(&self, name: &str, digest: &[u8]) -> Result<(), AcmeError> {
        let config = Arc::new(self_signed(name, digest)?);
        let mut inside = self.inside.write().unwrap_or_else(PoisonError::into_inner);
        inside.tls.insert(name.to_ascii_lowercase(), config);
        Ok(())
    }

    /// The order is over, well or not.
    pub(super) fn clear(&self) {
        *self.inside.write().unwrap_or_else(PoisonError::into_inner) = Inside::default();
    }
}

/// A certificate for this name alone that carries the answer, served for this protocol alone.
fn self_signed(name: &str, digest: &[u8]) -> Result<ServerConfig, AcmeError> {
    let internal = |error: &dyn std::fmt::Display| AcmeError::Internal(error.to_string());
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|error| internal(&error))?;
    let mut params = CertificateParams::new([name.to_owned()]).map_err(|error| internal(&error))?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let certificate = params.self_signed(&key).map_err(|error| internal(&error))?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = aws_lc_rs::default_provider();
    let key = provider.key_provider.load_private_key(key).map_err(|error| internal(&error))?;
    // Not `with_single_cert`: it looks into the certificate, and stumbles over the critical extension that RFC 8737 §3 demands.
    let certified = SingleCertAndKey::from(CertifiedKey::new(vec![certificate.der().clone()], key));
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| internal(&error))?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(certified));
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_there_until_the_order_is_over() {
        let challenges = Challenges::default();
        challenges.put_http("token", "answer");
        challenges.put_tls("Site.example", &[7; 32]).unwrap();
        assert_eq!(challenges.http("token").as_deref(), Some("answer"));
        assert_eq!(challenges.tls("site.EXAMPLE").unwrap().alpn_protocols, [ALPN.to_vec()]);
        challenges.clear();
        assert!(challenges.http("token").is_none() && challenges.tls("site.example").is_none());
    }

    #[test]
    fn an_answer_is_for_its_own_name() {
        let challenges = Challenges::default();
        challenges.put_tls("site.example", &[7; 32]).unwrap();
        assert!(challenges.tls("other.example").is_none());
        assert!(challenges.http("").is_none());
    }
}
