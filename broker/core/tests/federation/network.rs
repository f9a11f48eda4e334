//! Brokers on a network of pipes: each has a domain, an address and a certificate of an authority of its own.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tempfile::TempDir;
use tokio::time::timeout;
use torg_core::peers::{
    Address, Answer, LookupError, Others, Peer, PeerSettings, Peers, Policy, Resolver, Service, Tlsa,
};
use torg_core::s2s::{Connector, Socket, Target};
use torg_core::tls::{Authority, SelfNames, ServerTls};
use torg_core::{Attached, Broker, Builder, Credentials, CredentialsUnavailable, PipeConnector, PipeListener, pipe};
use torg_store::{Engine, Sqlite};
use torg_thing::{Clock, SystemClock};
use torg_wire::jid::{BareJid, FullJid, Jid};
use torg_wire::sasl::{self, ScramHash};
use torg_wire::stanza::{MessageType, PresenceType, Stanza};

/// Longer than anything here takes; a test that waits so long fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Ports of every broker.
pub(crate) const STARTTLS: u16 = 5269;
pub(crate) const DIRECT: u16 = 5270;

/// Who listens where, and how often it was asked.
#[derive(Default)]
pub(crate) struct Network {
    listeners: Mutex<HashMap<SocketAddr, PipeConnector>>,
    pub(crate) connects: AtomicUsize,
    /// Connections to these are never accepted.
    silent: Mutex<Vec<PipeListener>>,
}

#[async_trait]
impl Connector for Network {
    async fn connect(&self, target: &Target) -> std::io::Result<Pin<Box<dyn Socket>>> {
        self.connects.fetch_add(1, Ordering::SeqCst);
        let listener = self.listeners.lock().unwrap().get(&target.address).cloned();
        let refused = || std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        Ok(Box::pin(listener.ok_or_else(refused)?.connect().await?))
    }
}

impl Network {
    pub(crate) fn new() -> Arc<Network> {
        Arc::default()
    }

    pub(crate) fn connects(&self) -> usize {
        self.connects.load(Ordering::SeqCst)
    }

    /// A connection as a stranger opens it.
    pub(crate) async fn dial(&self, site: &Site, port: u16) -> tokio::io::DuplexStream {
        let listener = self.listeners.lock().unwrap().get(&SocketAddr::new(site.ip, port)).cloned();
        listener.unwrap().connect().await.unwrap()
    }
}

/// A resolver that knows nothing: the peers here are configured.
#[derive(Debug)]
struct Nothing;

#[async_trait]
impl Resolver for Nothing {
    async fn services(&self, _: &str) -> Result<Answer<Service>, LookupError> {
        Ok(Answer { records: Vec::new(), authentic: false })
    }

    async fn addresses(&self, _: &str) -> Result<Vec<IpAddr>, LookupError> {
        Ok(Vec::new())
    }

    async fn tlsa(&self, _: &str) -> Result<Answer<Tlsa>, LookupError> {
        Ok(Answer { records: Vec::new(), authentic: false })
    }
}

/// Every account exists, and none can log in: those who take part are attached.
struct Everybody;

#[async_trait]
impl Credentials for Everybody {
    async fn exists(&self, account: &BareJid) -> Result<bool, CredentialsUnavailable> {
        Ok(account.local() != Some("nobody"))
    }

    async fn lookup(&self, _: &BareJid, _: ScramHash) -> Result<Option<sasl::Credentials>, CredentialsUnavailable> {
        Ok(None)
    }
}

/// A domain with its place on the network, and what outlives its broker.
pub(crate) struct Site {
    pub(crate) domain: &'static str,
    pub(crate) ip: IpAddr,
    /// What its certificate names beside the domain.
    others: Vec<String>,
    folder: TempDir,
    pub(crate) store: Arc<dyn Engine>,
    network: Arc<Network>,
}

/// How one site treats another.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) of: &'a Site,
    pub(crate) policy: Policy,
    pub(crate) direct_tls: bool,
}

impl Site {
    /// `number`: the last one of its address.
    pub(crate) fn new(network: &Arc<Network>, domain: &'static str, number: u8) -> Site {
        Site::naming(network, domain, number, &[])
    }

    /// As [`Site::new`], with a certificate that names more.
    pub(crate) fn naming(network: &Arc<Network>, domain: &'static str, number: u8, others: &[&str]) -> Site {
        let folder = tempfile::tempdir().unwrap();
        let others: Vec<String> = others.iter().map(|name| (*name).to_owned()).collect();
        let authority = Authority::new(folder.path());
        authority.certificate_for(domain, &others, SelfNames::DomainOnly, SystemClock.now()).unwrap();
        let store = Arc::new(Sqlite::in_memory().unwrap());
        Site { domain, ip: IpAddr::from([192, 0, 2, number]), others, folder, store, network: Arc::clone(network) }
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    pub(crate) fn tls(&self) -> ServerTls {
        let now = SystemClock.now();
        let authority = Authority::new(self.folder.path());
        let made = authority.certificate_for(self.domain, &self.others, SelfNames::DomainOnly, now).unwrap();
        ServerTls::new(&made.files.load(self.domain, now).unwrap()).unwrap()
    }

    pub(crate) fn view(&self, policy: Policy, direct_tls: bool) -> View<'_> {
        View { of: self, policy, direct_tls }
    }

    /// Starts its broker, which knows these peers and refuses all others.
    pub(crate) async fn start(&self, peers: &[View<'_>]) -> Broker {
        self.start_changed(peers, |builder| builder).await
    }

    /// As [`Site::start`], built with a difference.
    pub(crate) async fn start_changed(&self, peers: &[View<'_>], change: impl FnOnce(Builder) -> Builder) -> Broker {
        let peer = |view: &View<'_>| Peer {
            domain: view.of.domain.to_owned(),
            address: Some(Address {
                host: view.of.ip.to_string(),
                port: if view.direct_tls { DIRECT } else { STARTTLS },
                direct_tls: view.direct_tls,
            }),
            // With dialback the certificate must prove nothing: another authority is trusted.
            ca: Some(if view.policy == Policy::Dialback { self.ca() } else { view.of.ca() }),
            policy: view.policy,
            pins: Vec::new(),
            dialback_without_certificate: false,
        };
        let settings = PeerSettings { peers: peers.iter().map(peer).collect(), others: Others::Refused };
        let peers = Peers::new(&settings, Arc::new(Nothing), Arc::new(SystemClock)).unwrap();
        let domain = BareJid::parse(self.domain).unwrap();
        let builder = Broker::builder(
            domain,
            Arc::clone(&self.store),
            Arc::new(Everybody),
            Arc::new(SystemClock),
            Arc::new(self.tls()),
        )
        .federation(Arc::new(peers), Arc::clone(&self.network) as Arc<dyn Connector>);
        let broker = change(builder).start().await.unwrap();
        let (connector, listener) = pipe();
        broker.listen_s2s(listener);
        self.network.listeners.lock().unwrap().insert(SocketAddr::new(self.ip, STARTTLS), connector);
        let (connector, listener) = pipe();
        broker.listen_s2s_tls(listener);
        self.network.listeners.lock().unwrap().insert(SocketAddr::new(self.ip, DIRECT), connector);
        broker
    }

    /// Somebody listens at its address who never says a word.
    pub(crate) fn stall(&self) {
        for port in [STARTTLS, DIRECT] {
            let (connector, listener) = pipe();
            self.network.silent.lock().unwrap().push(listener);
            self.network.listeners.lock().unwrap().insert(SocketAddr::new(self.ip, port), connector);
        }
    }

    /// Nobody listens at its address any more.
    pub(crate) fn vanish(&self) {
        let mut listeners = self.network.listeners.lock().unwrap();
        listeners.retain(|address, _| address.ip() != self.ip);
    }
}

/// An entity that takes part.
pub(crate) struct Actor(pub(crate) Attached);

impl Actor {
    pub(crate) async fn new(broker: &Broker, address: &str) -> Actor {
        Actor(broker.attach(FullJid::parse(address).unwrap(), "test").await)
    }

    pub(crate) fn jid(&self) -> Jid {
        self.0.jid().as_jid().clone()
    }

    pub(crate) async fn send(&self, stanza: Stanza) {
        self.0.send(stanza).await;
    }

    pub(crate) async fn chat(&self, to: &Jid, text: &str) {
        self.send(Stanza::message(MessageType::Chat).with_to(to.clone()).with_id(text).with_body(text)).await;
    }

    pub(crate) async fn presence(&self, kind: PresenceType, to: &str) {
        self.send(Stanza::presence(kind).with_to(jid(to))).await;
    }

    pub(crate) async fn available(&self) {
        self.send(Stanza::presence(PresenceType::Available)).await;
    }

    /// The next stanza.
    pub(crate) async fn recv(&mut self) -> Stanza {
        timeout(PATIENCE, self.0.recv()).await.expect("something comes").expect("the session lives")
    }

    /// The next stanza for which `wanted` is true; others are passed over.
    pub(crate) async fn until(&mut self, wanted: impl Fn(&Stanza) -> bool) -> Stanza {
        loop {
            let stanza = self.recv().await;
            if wanted(&stanza) {
                return stanza;
            }
        }
    }

    /// The next presence of that kind from somebody else.
    pub(crate) async fn sees(&mut self, kind: PresenceType) -> Stanza {
        let own = self.0.jid().bare_str().to_owned();
        let foreign = |stanza: &Stanza| stanza.from().is_some_and(|from| from.bare_str() != own);
        self.until(|stanza| stanza.kind() == torg_wire::stanza::StanzaKind::Presence(kind) && foreign(stanza)).await
    }
}

pub(crate) fn jid(text: &str) -> Jid {
    Jid::parse(text).unwrap()
}
