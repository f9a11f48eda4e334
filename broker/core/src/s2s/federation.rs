//! The seam between the streams to other servers and what decides about them: where a peer is, what its certificate proves, what its
//! operator and ours have agreed. The streams ask; policy, resolver and verifier answer.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

use async_trait::async_trait;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::tcp;

/// One place where a server of a domain may be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where it listens.
    pub address: SocketAddr,
    /// TLS from the first byte (XEP-0368) or STARTTLS; there is no third way.
    pub direct_tls: bool,
    /// Host name that DNS gave for the domain, without the last dot; for logs, and the name DANE looks at (RFC 7712 §5).
    pub host: String,
    /// Digests of certificates that DNSSEC-validated TLSA records allow here; empty without DANE. Only [`Federation::judge`] reads them.
    pub dane: Vec<Vec<u8>>,
}

/// Why there is nowhere to connect to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unreachable {
    /// There is no such server: no address, or a record that says there is none. Senders get `remote-server-not-found`.
    #[error("not found: {0}")]
    NotFound(String),
    /// We do not talk to it. Senders get `remote-server-not-found` too: what our policy is concerns nobody else.
    #[error("refused by our policy: {0}")]
    Policy(String),
    /// It cannot be told now. Senders get `remote-server-timeout`.
    #[error("no answer in time: {0}")]
    Timeout(String),
}

/// What a certificate chain says about a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Whoever holds the key speaks for the domain; by which means (`pkix`, `pin`, `dane`), for logs.
    Proven(&'static str),
    /// It proves nothing for this domain; the one reason, for logs and `torg peer check`.
    Unproven(String),
}

impl Verdict {
    /// Whether it is [`Verdict::Proven`].
    pub const fn is_proven(&self) -> bool {
        matches!(self, Verdict::Proven(_))
    }
}

/// Everything the streams to other servers ask of policy, resolver and verifier. Domains are as in addresses (U-labels).
#[async_trait]
pub trait Federation: Send + Sync {
    /// Whether we exchange stanzas with this domain at all.
    fn allows(&self, remote: &str) -> bool;

    /// Whether this domain may prove itself by dialback (XEP-0220), always inside TLS, where its certificate does not prove it, or it
    /// shows none.
    fn allows_dialback(&self, remote: &str, shows_certificate: bool) -> bool;

    /// Where the domain is to be reached, in the order to try. Bounded in time by the caller.
    ///
    /// # Errors
    /// See [`Unreachable`].
    async fn targets(&self, remote: &str) -> Result<Vec<Target>, Unreachable>;

    /// What a certificate chain (leaf first, empty if the peer showed none) proves for a domain. That the peer has the key is certain:
    /// the handshake checked its signature and nothing else. `target` is where we connected to; `None` if the peer came to us.
    async fn judge(&self, remote: &str, chain: &[CertificateDer<'static>], target: Option<&Target>) -> Verdict;
}

/// A connection to a peer, before TLS.
pub trait Socket: AsyncRead + AsyncWrite + Send {}

impl<S: AsyncRead + AsyncWrite + Send> Socket for S {}

/// Opens connections to peers.
#[async_trait]
pub trait Connector: Send + Sync {
    /// Connects. Bounded in time by the caller.
    ///
    /// # Errors
    /// As the network has it.
    async fn connect(&self, target: &Target) -> io::Result<Pin<Box<dyn Socket>>>;
}

/// Connections over TCP.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpConnector;

#[async_trait]
impl Connector for TcpConnector {
    async fn connect(&self, target: &Target) -> io::Result<Pin<Box<dyn Socket>>> {
        Ok(Box::pin(tcp::connect([target.address]).await?))
    }
}
