//! The client's side: whom to trust, and the configuration of a connection to a broker.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};

use super::{ALPN_XMPP_CLIENT, TlsError, certificate};

/// Whose certificates a client believes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Only the authorities in this PEM file.
    File(PathBuf),
    /// The authorities this machine trusts.
    System,
}

/// TLS of a client.
#[derive(Debug, Clone)]
pub struct ClientTls {
    starttls: Arc<ClientConfig>,
    direct: Arc<ClientConfig>,
}

impl ClientTls {
    /// Reads the trusted authorities.
    ///
    /// # Errors
    /// The file cannot be used, or the machine trusts nobody.
    pub fn new(trust: &Trust) -> Result<ClientTls, TlsError> {
        let roots = roots(trust)?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(TlsError::internal)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.require_ems = true;
        let starttls = Arc::new(config.clone());
        config.alpn_protocols = vec![ALPN_XMPP_CLIENT.to_vec()];
        Ok(ClientTls { starttls, direct: Arc::new(config) })
    }

    /// Configuration for TLS after STARTTLS.
    pub fn starttls(&self) -> Arc<ClientConfig> {
        self.starttls.clone()
    }

    /// Configuration for direct TLS: asks for `xmpp-client` by ALPN (XEP-0368).
    pub fn direct(&self) -> Arc<ClientConfig> {
        self.direct.clone()
    }

    /// The name to verify: always the domain of the account, never the host it was found at (RFC 6120 §13.7.2).
    ///
    /// # Errors
    /// The domain is no DNS name.
    pub fn server_name(domain: &str) -> Result<ServerName<'static>, TlsError> {
        certificate::server_name(domain)
    }
}

/// The authorities of a trust.
pub(crate) fn roots(trust: &Trust) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    match trust {
        Trust::File(path) => {
            for authority in certificate::chain(path)? {
                roots
                    .add(authority)
                    .map_err(|error| TlsError::ConfigDamaged { path: path.clone(), text: error.to_string() })?;
            }
        }
        Trust::System => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err(TlsError::ConfigNoAuthorities);
            }
        }
    }
    Ok(roots)
}
