//! The configuration as the appliance uses it: every address parsed, every path absolute or relative to the process,
//! every bridge built. A value of these types cannot be wrong in a way that a check could have found.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use torg_core::limits::Limits;
use torg_core::peers::PeerSettings;
use torg_thing::{BridgeLine, SourceId};
use torg_wire::jid::BareJid;
use torg_wire::xep::server_info::Contacts;

use super::components::ComponentsConfig;
use super::web::WebConfig;
use crate::acme::AcmeConfig;
use crate::telemetry::Log;

/// A checked configuration.
#[derive(Debug)]
pub struct Config {
    /// Everything but the bridges; comparable, so that a reload knows what changed.
    pub settings: Settings,
    /// The bridges, built and not yet running.
    pub bridges: Vec<BridgeConfig>,
}

/// Everything but the bridges.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// The broker.
    pub broker: BrokerConfig,
    /// Database file.
    pub store: PathBuf,
    /// The concentrator; none if there is no bridge.
    pub concentrator: Option<ConcentratorConfig>,
    /// The log.
    pub log: Log,
}

/// The broker.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BrokerConfig {
    /// Domain it serves; has no local part.
    pub domain: BareJid,
    /// Accounts that may administer it.
    pub admins: BTreeSet<BareJid>,
    /// Listeners for clients that upgrade by STARTTLS.
    pub c2s: Vec<SocketAddr>,
    /// Listeners for clients that speak TLS from the first byte.
    pub c2s_tls: Vec<SocketAddr>,
    /// Certificate and key; none means a local certificate authority.
    pub tls: Option<TlsFiles>,
    /// Whether SCRAM-SHA-1 is offered.
    pub scram_sha_1: bool,
    /// Whether PLAIN is offered.
    pub plain: bool,
    /// Whether clients get tokens for quick logins.
    pub tokens: bool,
    /// Whether what is offered is signed.
    pub downgrade_protection: bool,
    /// Authority of device certificates; none means that clients are not asked for one.
    pub client_ca: Option<PathBuf>,
    /// How much a client may ask.
    pub limits: Limits,
    /// Whether strangers may make accounts.
    pub open_registration: bool,
    /// Whether everybody may learn which servers this one talks to.
    pub public_server_info: bool,
    /// Whom to write to.
    pub contacts: Contacts,
    /// Streams from and to other servers; none means that there are none.
    pub federation: Option<FederationConfig>,
    /// External components.
    pub components: ComponentsConfig,
    /// The listeners of the web.
    pub web: WebConfig,
    /// Certificates from an authority; none means those of `tls` or our own.
    pub acme: Option<AcmeConfig>,
}

impl BrokerConfig {
    /// Names of our own beside the domain, which a certificate of our own authority names too.
    #[must_use]
    pub fn services(&self) -> Vec<String> {
        let components = self.components.components.iter().map(|component| component.domain.as_str().to_owned());
        own_services(&self.domain).into_iter().chain(components).collect()
    }
}

/// Addresses of the broker's own services.
pub(super) fn own_services(domain: &BareJid) -> Vec<String> {
    vec![format!("pubsub.{domain}")]
}

/// Streams from and to other servers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FederationConfig {
    /// Listeners for servers that upgrade by STARTTLS.
    pub s2s: Vec<SocketAddr>,
    /// Listeners for servers that speak TLS from the first byte.
    pub s2s_tls: Vec<SocketAddr>,
    /// What is said about other servers.
    pub peers: PeerSettings,
    /// DNS servers to ask; empty means those of the system.
    pub dns: Vec<SocketAddr>,
}

/// Certificate and key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsFiles {
    /// PEM file with the chain, leaf first.
    pub certificate: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
}

/// The concentrator.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConcentratorConfig {
    /// Its account.
    pub jid: BareJid,
    /// Accounts whose subscription is accepted at once.
    pub friends: BTreeSet<BareJid>,
    /// The broker it logs in to; none means the one of this appliance.
    pub remote: Option<RemoteConfig>,
}

/// A broker on another machine.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RemoteConfig {
    /// `HOST:PORT` for STARTTLS.
    pub server: String,
    /// File with the concentrator's password in its first line.
    pub password_file: PathBuf,
    /// PEM file with the authority to trust; none means those of the system.
    pub ca: Option<PathBuf>,
}

/// One `[[bridge]]`.
pub struct BridgeConfig {
    /// Its protocol.
    pub kind: &'static str,
    /// Its name, the source of its nodes.
    pub name: SourceId,
    /// Its lines, the unit of reload.
    pub lines: Vec<BridgeLine>,
}

impl fmt::Debug for BridgeConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BridgeConfig")
            .field("kind", &self.kind)
            .field("name", &self.name)
            .field("lines", &self.lines)
            .finish()
    }
}
