//! The running appliance: builds its parts in order, spawns them, drains them in reverse.
//!
//! Order of the start: lock, store, accounts, certificate, listeners bound, broker, concentrator, bridges, listeners
//! served. Order of the stop: concentrator (what runs comes to an end), listeners and sessions, bridges, store.

pub mod backoff;
pub mod bridges;
mod certificates;
mod components;
mod concentrator;
mod error;
mod federation;
pub mod lock;
pub mod notify;
pub mod sockets;
pub mod tokens;
mod web;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use torg_accounts::Accounts;
use torg_core::Broker;
use torg_core::tls::DeviceAuthority;
pub use torg_core::tls::SelfNames;
use torg_store::{Engine, MigrateError, Migrations, Sqlite, migrate};
use torg_thing::{Clock, Sniffer, SourceId, SystemClock};
use torg_wire::jid::DomainPart;
use torg_wire::sasl::Policy;
use tracing::{info, warn};

use self::bridges::{Applied, Bridges, Environment};
pub(crate) use self::certificates::authority_directory;
use self::certificates::{Stamp, Warnings};
use self::components::Components;
use self::concentrator::Running;
pub use self::error::StartError;
use self::federation::Federation;
use self::lock::Lock;
use self::sockets::Sockets;
use self::web::Web;
pub use self::web::socket_path;
use crate::backup::{State, swap};
use crate::concentrator::Tree;
use crate::config::{self, BridgeConfig, Config, Settings};
use crate::console::status::days_left;
use crate::telemetry;

/// Total time from the order to stop to the end (architecture, "Shutdown").
pub const STOP_WITHIN: Duration = Duration::from_secs(20);

/// Parts of [`STOP_WITHIN`]: the concentrator's running requests, then the sessions; the bridges get the rest, and a
/// second is left for the store.
const CONCENTRATOR_WITHIN: Duration = Duration::from_secs(6);
const SESSIONS_WITHIN: Duration = Duration::from_secs(7);
const STORE_RESERVE: Duration = Duration::from_secs(1);

/// How often a leaf of our own is looked at; it is renewed months before its end.
const RENEW_EVERY: Duration = Duration::from_secs(24 * 3600);

/// Where the appliance really listens.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    /// For STARTTLS.
    pub c2s: Vec<SocketAddr>,
    /// For TLS from the first byte.
    pub c2s_tls: Vec<SocketAddr>,
    /// Other servers, for STARTTLS.
    pub s2s: Vec<SocketAddr>,
    /// Other servers, for TLS from the first byte.
    pub s2s_tls: Vec<SocketAddr>,
    /// For WebSocket and host-meta inside TLS.
    pub https: Vec<SocketAddr>,
    /// For the redirect, HTTP-01 and proxies.
    pub http: Vec<SocketAddr>,
    /// For metrics, health and status.
    pub admin: Vec<SocketAddr>,
    /// For external components.
    pub component: Vec<SocketAddr>,
}

impl Addresses {
    /// Each address with the kind of its listener, as configured.
    pub fn each(&self) -> impl Iterator<Item = (&'static str, SocketAddr)> {
        let kinds = [
            ("c2s", &self.c2s),
            ("c2s_tls", &self.c2s_tls),
            ("s2s", &self.s2s),
            ("s2s_tls", &self.s2s_tls),
            ("https", &self.https),
            ("http", &self.http),
            ("admin", &self.admin),
            ("component", &self.component),
        ];
        kinds.into_iter().flat_map(|(kind, addresses)| addresses.iter().map(move |address| (kind, *address)))
    }
}

/// A running appliance.
pub struct Appliance {
    settings: Settings,
    names: SelfNames,
    clock: Arc<dyn Clock>,
    addresses: Addresses,
    authority: Option<PathBuf>,
    tree: Arc<Tree>,
    sources: BTreeSet<SourceId>,
    bridges: Bridges,
    concentrator: Option<Running>,
    federation: Federation,
    broker: Broker,
    web: Option<Web>,
    stamp: Stamp,
    warnings: Warnings,
    looked: Instant,
    store: Arc<dyn Engine>,
    _lock: Lock,
}

/// What a reload did.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Reloaded {
    /// What became of the lines.
    pub lines: Applied,
    /// Keys whose change waits for a restart.
    pub restart_needed: Vec<&'static str>,
}

/// The tables of all services.
#[must_use]
pub fn tables() -> Vec<Migrations> {
    std::iter::once(torg_accounts::MIGRATIONS).chain(torg_core::MIGRATIONS.iter().copied()).collect()
}

/// Opens the store and the accounts of a configuration; also beside a running appliance.
///
/// # Errors
/// The store cannot be opened or is of a newer version.
pub async fn open_accounts(settings: &Settings) -> Result<(Arc<dyn Engine>, Accounts), StartError> {
    if swap::is_pending(&settings.store) {
        return Err(StartError::StoreHalfRestored { store: settings.store.clone() });
    }
    let store: Arc<dyn Engine> = Arc::new(Sqlite::open(&settings.store)?);
    migrate(&*store, &tables()).await.map_err(|error| match error {
        MigrateError::Store(error) => StartError::of_store(&settings.store, error),
        other => StartError::Migrate(other),
    })?;
    let domain = DomainPart::parse(settings.broker.domain.as_str()).map_err(torg_core::BrokerError::from)?;
    let accounts = Accounts::new(Arc::clone(&store), domain, Arc::new(SystemClock));
    Ok((store, accounts.with_scram_sha1(settings.broker.scram_sha_1)))
}

impl Appliance {
    /// Starts everything. When this returns clients can connect and every line has announced its nodes or failed once.
    ///
    /// # Errors
    /// What keeps it from starting; nothing of it is left running.
    pub async fn start(config: Config, names: SelfNames) -> Result<Self, StartError> {
        Self::start_with(config, names, Sockets::default()).await
    }

    /// As [`Appliance::start`], with sockets that the service manager opened.
    ///
    /// # Errors
    /// As there.
    pub async fn start_with(config: Config, names: SelfNames, mut sockets: Sockets) -> Result<Self, StartError> {
        let Config { settings, bridges } = config;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        make_store_directory(&settings.store);
        let lock = Lock::take(&settings.store)?;
        swap::finish(&State::new(&settings), clock.now())
            .map_err(|(path, error)| StartError::StoreRestoring { path, error })?;
        let (store, accounts) = open_accounts(&settings).await?;
        let accounts = accounts.with_tokens(tokens::secret(&settings.store).await?);
        let certificate = certificates::load(&settings, names, Arc::clone(&clock)).await?;
        let c2s = sockets.take("c2s", &settings.broker.c2s).await?;
        let c2s_tls = sockets.take("c2s_tls", &settings.broker.c2s_tls).await?;
        let web = web::Bound::new(&mut sockets, &settings.broker.web).await?;
        let mut addresses = Addresses { c2s: local(&c2s)?, c2s_tls: local(&c2s_tls)?, ..Addresses::default() };
        web.tell(&mut addresses)?;
        let federation = settings.broker.federation.as_ref();
        let mut federation = Federation::prepare(federation, &clock, &mut sockets, &mut addresses).await?;

        let config = &settings.broker.components;
        let mut components = Components::prepare(config, &mut sockets, &mut addresses).await?;

        let policy = Policy {
            scram_sha1: settings.broker.scram_sha_1,
            plain: settings.broker.plain,
            tokens: settings.broker.tokens,
            downgrade_protection: settings.broker.downgrade_protection,
            external: settings.broker.client_ca.is_some(),
            ..Policy::new(accounts.server_secret().await?)
        };
        let devices = settings.broker.client_ca.as_deref().map(DeviceAuthority::load).transpose()?;
        let tls = Arc::new(torg_core::tls::ServerTls::with_devices(&certificate.loaded, devices)?);
        let accounts = Arc::new(accounts);
        let domain = settings.broker.domain.clone();
        let builder =
            Broker::builder(domain, Arc::clone(&store), Arc::clone(&accounts) as Arc<_>, Arc::clone(&clock), tls)
                .admins(settings.broker.admins.iter().cloned())
                .administration(accounts)
                .open_registration(settings.broker.open_registration)
                .public_server_info(settings.broker.public_server_info)
                .contacts(settings.broker.contacts.clone())
                .limits(settings.broker.limits)
                .policy(policy);
        let broker = federation.join(components.join(builder)).start().await?;
        sockets.close_rest();

        let tree = Arc::new(Tree::new(Arc::clone(&clock)));
        let mut appliance = Self {
            bridges: Bridges::new(environment(&tree)),
            concentrator: None,
            federation: Federation::default(),
            sources: BTreeSet::new(),
            authority: certificate.authority,
            web: None,
            stamp: Stamp::of(&settings.broker),
            warnings: Warnings::default(),
            looked: Instant::now(),
            settings,
            names,
            clock,
            addresses,
            tree,
            broker,
            store,
            _lock: lock,
        };
        appliance.start_concentrator().await;
        appliance.apply(bridges).await;
        c2s.into_iter().for_each(|listener| appliance.broker.listen_c2s(listener));
        c2s_tls.into_iter().for_each(|listener| appliance.broker.listen_c2s_tls(listener));
        federation.listen(&appliance.broker);
        components.listen(&appliance.broker);
        appliance.federation = federation;
        let parts = web::Parts {
            settings: &appliance.settings,
            broker: &appliance.broker,
            store: &appliance.store,
            clock: &appliance.clock,
            tree: &appliance.tree,
            lines: appliance.bridges.states(),
            certificate_source: certificates::source(&appliance.settings.broker),
            addresses: &appliance.addresses,
        };
        appliance.web = Some(web.serve(&parts)?);
        appliance.warn_of_expiry();
        for (kind, address) in appliance.addresses.each() {
            info!(kind, %address, "Listening.");
        }
        Ok(appliance)
    }

    async fn start_concentrator(&mut self) {
        let Some(config) = &self.settings.concentrator else { return };
        if config.remote.is_none() {
            self.broker.publish(config.jid.as_jid(), "Concentrator");
        }
        let clock = Arc::clone(&self.clock);
        self.concentrator = Some(Running::start(config, self.broker.router(), &self.tree, clock).await);
    }

    /// Makes the bridges those of a configuration, and their names the data sources.
    async fn apply(&mut self, bridges: Vec<BridgeConfig>) -> Applied {
        let sources: BTreeSet<SourceId> = bridges.iter().map(|bridge| bridge.name.clone()).collect();
        for source in &sources {
            self.tree.add_source(source.clone(), source.as_str());
        }
        let applied = self.bridges.apply(bridges).await;
        for source in self.sources.difference(&sources) {
            self.tree.remove_source(source);
        }
        self.sources = sources;
        applied
    }

    /// The addresses that were really bound.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The certificate of the local authority, if it signed ours: clients need this file.
    #[must_use]
    pub fn authority(&self) -> Option<&Path> {
        self.authority.as_deref()
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// One line about what runs, for people and the service manager.
    #[must_use]
    pub fn status(&self) -> String {
        let count = |number: usize, noun: &str| format!("{number} {noun}{}", if number == 1 { "" } else { "s" });
        format!(
            "Serving {}: {}, {}.",
            self.settings.broker.domain,
            count(self.bridges.len(), "line"),
            count(self.tree.len(), "node")
        )
    }

    /// True as long as every part that must run does.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        !self.bridges.is_broken()
    }

    /// Takes a new configuration into use: only what changed is touched, sessions are never dropped.
    ///
    /// # Errors
    /// The certificate cannot be used; then everything is as before.
    pub async fn reload(&mut self, config: Config) -> Result<Reloaded, StartError> {
        let Config { settings: new, bridges } = config;
        let restart_needed: Vec<&'static str> =
            config::needs_restart(&self.settings, &new).iter().map(|needed| needed.key).collect();
        for key in &restart_needed {
            warn!(key, "This change takes effect only after a restart.");
        }
        let settings = settings_after_reload(&self.settings, new);
        let certificate = certificates::load_again(&settings, self.names, Arc::clone(&self.clock)).await?;
        self.federation.replace(settings.broker.federation.as_ref())?;
        if let Some(certificate) = certificate {
            self.broker.reload_tls(&certificate.loaded)?;
            self.authority = certificate.authority;
        }
        if let Some(web) = &self.web {
            web.reloaded(&settings.broker);
        }
        telemetry::set_level(settings.log.level);
        if let (Some(running), Some(config)) = (&self.concentrator, &settings.concentrator)
            && self.settings.concentrator.as_ref() != Some(config)
        {
            running.set_friends(config.friends.clone()).await;
        }
        self.settings = settings;
        let lines = self.apply(bridges).await;
        Ok(Reloaded { lines, restart_needed })
    }

    /// Takes changed certificate files into use, renews a leaf of our own when its end is near, and warns of an end that comes; call it
    /// about once a minute.
    pub async fn look_after_certificate(&mut self) {
        let stamp = Stamp::of(&self.settings.broker);
        let changed = stamp != self.stamp;
        if changed || self.looked.elapsed() >= RENEW_EVERY {
            // A pair that is half written does not load; its other half changes the stamp again.
            (self.stamp, self.looked) = (stamp, Instant::now());
            self.renew_certificate().await;
        }
        self.warn_of_expiry();
    }

    fn warn_of_expiry(&mut self) {
        let until = self.broker.entrance().tls().until();
        self.warnings.tell(days_left(until, self.clock.now()), &until.to_string());
    }

    async fn renew_certificate(&mut self) {
        let renewed = certificates::load_again(&self.settings, self.names, Arc::clone(&self.clock)).await;
        let replaced = renewed.and_then(|certificate| match certificate {
            Some(certificate) => Ok(self.broker.reload_tls(&certificate.loaded)?),
            None => Ok(()),
        });
        if let Err(error) = replaced {
            warn!(%error, "The certificate could not be renewed; the old one stays in use.");
        }
    }

    /// Ends everything in order within [`STOP_WITHIN`]. False if a part had to be cut off.
    pub async fn stop(self) -> bool {
        let Self { concentrator, mut bridges, broker, store, web, .. } = self;
        drop(web); // nobody is told any more how it is
        let deadline = Instant::now() + STOP_WITHIN;
        let mut in_time = true;
        if let Some(concentrator) = concentrator {
            in_time &= concentrator.stop(Instant::now() + CONCENTRATOR_WITHIN).await;
        }
        if !broker.shutdown(SESSIONS_WITHIN).await {
            // No failure of ours, and nothing is lost: what they did not take waits in the store.
            warn!("Some sessions did not take in time what waited for them.");
        }
        in_time &= bridges.stop(deadline - STORE_RESERVE).await;
        // The store ends with its last owner; its writer is waited for, which blocks.
        let closed = tokio::time::timeout_at(deadline, tokio::task::spawn_blocking(move || drop(store))).await;
        in_time & closed.is_ok()
    }
}

/// The new settings, but with the old ones wherever only a restart can change them.
fn settings_after_reload(old: &Settings, new: Settings) -> Settings {
    let mut settings = old.clone();
    // Whether an authority is asked is settled at the start.
    if old.broker.acme.is_none() && new.broker.acme.is_none() {
        settings.broker.tls = new.broker.tls;
    }
    if let (Some(ours), Some(theirs)) = (&mut settings.broker.federation, new.broker.federation) {
        ours.peers = theirs.peers;
    }
    settings.log.level = new.log.level;
    if let (Some(ours), Some(theirs)) = (&mut settings.concentrator, new.concentrator) {
        ours.friends = theirs.friends;
    }
    settings
}

fn environment(tree: &Arc<Tree>) -> Environment {
    let host = tree.host(SourceId::default(), Arc::clone(tree) as Arc<dyn Sniffer>, CancellationToken::new());
    Environment { nodes: host.nodes, observations: host.observations, clock: host.clock, sniffer: host.sniffer }
}

/// The first start on a new machine finds no directory yet. If it cannot be made, the lock says so.
pub(crate) fn make_store_directory(store: &Path) {
    if let Some(parent) = store.parent() {
        let _ = std::fs::create_dir_all(parent);
    }
}

fn local(listeners: &[TcpListener]) -> Result<Vec<SocketAddr>, StartError> {
    let address =
        |listener: &TcpListener| listener.local_addr().map_err(|error| StartError::Internal(error.to_string()));
    listeners.iter().map(address).collect()
}
