//! What the broker serves: one rustls configuration for the certificate in force, exchanged whole on reload.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ServerConfig};
use torg_thing::Timestamp;
use torg_wire::sasl::ChannelBindings;

use super::peer::PeerConfigs;
use super::{DeviceAuthority, Loaded, TlsError, binding};

/// ALPN name of client streams over direct TLS (XEP-0368 §4).
pub const ALPN_XMPP_CLIENT: &[u8] = b"xmpp-client";

/// ALPN name of what the web listener speaks (RFC 7301 §6).
const ALPN_HTTP: &[u8] = b"http/1.1";

/// Session tickets given to each TLS 1.3 client: one, since a thing keeps its stream for weeks and resumes once.
const TICKETS: usize = 1;

/// The certificate in force, and how to change it.
#[derive(Debug)]
pub struct ServerTls {
    current: ArcSwap<Served>,
    devices: Option<DeviceAuthority>,
}

/// One certificate, its TLS configuration and its hash. A connection keeps the one it began with.
#[derive(Debug)]
pub struct Served {
    config: Arc<ServerConfig>,
    https: Arc<ServerConfig>,
    peers: PeerConfigs,
    end_point: Option<Vec<u8>>,
    until: Timestamp,
}

impl ServerTls {
    /// Serves this certificate from the start.
    ///
    /// # Errors
    /// The TLS library refuses its own defaults; not the operator's fault.
    pub fn new(certificate: &Loaded) -> Result<ServerTls, TlsError> {
        ServerTls::with_devices(certificate, None)
    }

    /// As [`ServerTls::new`], and asks clients for a certificate of this authority. They need not have one.
    ///
    /// # Errors
    /// As [`ServerTls::new`].
    pub fn with_devices(certificate: &Loaded, devices: Option<DeviceAuthority>) -> Result<ServerTls, TlsError> {
        let current = ArcSwap::from_pointee(Served::new(certificate, devices.as_ref())?);
        Ok(ServerTls { current, devices })
    }

    /// Serves this certificate to connections that begin from now on; the others go on with theirs.
    ///
    /// # Errors
    /// As [`ServerTls::new`]; the old one stays in force.
    pub fn replace(&self, certificate: &Loaded) -> Result<(), TlsError> {
        self.current.store(Arc::new(Served::new(certificate, self.devices.as_ref())?));
        Ok(())
    }

    /// What a connection that begins now is served with. Take it once for each connection and keep it until the handshake is over.
    pub fn current(&self) -> Arc<Served> {
        self.current.load_full()
    }
}

impl Served {
    fn new(certificate: &Loaded, devices: Option<&DeviceAuthority>) -> Result<Served, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(TlsError::internal)?;
        let config = match devices {
            Some(devices) => config.with_client_cert_verifier(devices.verifier()),
            None => config.with_no_client_auth(),
        };
        let mut config = config.with_cert_resolver(Arc::new(Only(certificate.certified.clone())));
        config.require_ems = true;
        config.alpn_protocols = vec![ALPN_XMPP_CLIENT.to_vec()];
        config.send_tls13_tickets = TICKETS;
        // Stateless tickets: resumption costs no memory for absent clients. Their keys rotate inside.
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(TlsError::internal)?;
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        let end_point = certificate.certified.end_entity_cert().ok().and_then(binding::server_end_point);
        let peers = PeerConfigs::new(&certificate.certified)?;
        let mut https = config.clone();
        https.alpn_protocols = vec![ALPN_HTTP.to_vec()];
        Ok(Served { config: Arc::new(config), https: Arc::new(https), peers, end_point, until: certificate.until })
    }

    /// For `tokio_rustls::TlsAcceptor` or a bare `ServerConnection`.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }

    /// For connections from other servers. It asks for a certificate and takes any: what one proves is judged afterwards.
    pub fn peer_accepting(&self) -> Arc<ServerConfig> {
        self.peers.accepting.clone()
    }

    /// For connections to other servers, after STARTTLS or direct (XEP-0368). Takes any certificate, as [`Served::peer_accepting`] does.
    pub fn peer_connecting(&self, direct_tls: bool) -> Arc<ClientConfig> {
        if direct_tls { self.peers.connecting_direct.clone() } else { self.peers.connecting.clone() }
    }

    /// For connections of the web: the same certificate, another protocol.
    pub fn https(&self) -> Arc<ServerConfig> {
        self.https.clone()
    }

    /// End of the certificate's validity.
    pub fn until(&self) -> Timestamp {
        self.until
    }

    /// Channel bindings of a connection that was served with this, after its handshake.
    pub fn bindings(&self, connection: &rustls::ServerConnection) -> ChannelBindings {
        binding::server_bindings(connection, self.end_point.clone())
    }
}

/// Serves one certificate whatever name the client asks for: old clients send none.
#[derive(Debug)]
struct Only(Arc<CertifiedKey>);

impl ResolvesServerCert for Only {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}
