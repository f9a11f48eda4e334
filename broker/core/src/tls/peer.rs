//! TLS between servers: both sides show their certificate and neither handshake judges one. It makes sure that whoever shows a
//! certificate has its key; what it proves, and for which domain, is asked afterwards, when the domain is known.
//!
//! # Why
//! - A verifier inside the handshake knows no domain: the accepting side learns it from the stream header, one connection may carry
//!   several, and a peer whose certificate proves nothing may still prove itself by dialback (XEP-0220 §2.1).
//! - The usual verifier of client certificates demands the purpose `clientAuth`, which public authorities no longer put into the
//!   certificates of servers.
//! - No resumption: links between servers live long, and a resumed one would show no certificate.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::{WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
};

use super::TlsError;

/// ALPN name of streams between servers over direct TLS (XEP-0368 §4).
pub const ALPN_XMPP_SERVER: &[u8] = b"xmpp-server";

const VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];

/// Both sides of links to other servers with one certificate of ours.
#[derive(Debug, Clone)]
pub(super) struct PeerConfigs {
    pub(super) accepting: Arc<ServerConfig>,
    /// For STARTTLS.
    pub(super) connecting: Arc<ClientConfig>,
    /// For direct TLS: asks for `xmpp-server` by ALPN.
    pub(super) connecting_direct: Arc<ClientConfig>,
}

impl PeerConfigs {
    pub(super) fn new(certified: &Arc<CertifiedKey>) -> Result<PeerConfigs, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let anybody = Arc::new(Anybody(provider.signature_verification_algorithms));
        let ours = Arc::new(Ours(Arc::clone(certified)));

        let mut accepting = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&VERSIONS)
            .map_err(TlsError::internal)?
            .with_client_cert_verifier(Arc::clone(&anybody) as Arc<dyn ClientCertVerifier>)
            .with_cert_resolver(Arc::clone(&ours) as Arc<dyn ResolvesServerCert>);
        accepting.require_ems = true;
        accepting.alpn_protocols = vec![ALPN_XMPP_SERVER.to_vec()];
        accepting.send_tls13_tickets = 0;
        accepting.session_storage = Arc::new(NoServerSessionStorage {});

        let mut connecting = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&VERSIONS)
            .map_err(TlsError::internal)?
            .dangerous()
            .with_custom_certificate_verifier(anybody)
            .with_client_cert_resolver(ours);
        connecting.require_ems = true;
        connecting.resumption = Resumption::disabled();
        let mut direct = connecting.clone();
        direct.alpn_protocols = vec![ALPN_XMPP_SERVER.to_vec()];
        Ok(PeerConfigs {
            accepting: Arc::new(accepting),
            connecting: Arc::new(connecting),
            connecting_direct: Arc::new(direct),
        })
    }
}

/// The certificate of ours, whatever the other side names.
#[derive(Debug)]
struct Ours(Arc<CertifiedKey>);

impl ResolvesServerCert for Ours {
    fn resolve(&self, _: rustls::server::ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

impl ResolvesClientCert for Ours {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Takes any certificate whose key signed the handshake. Who it is is not decided here.
#[derive(Debug)]
struct Anybody(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

impl ClientCertVerifier for Anybody {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
