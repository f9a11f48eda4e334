//! Puts the console together: its listeners, the socket beside the store, and the task that orders certificates.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinHandle;
use torg_core::Broker;
use torg_store::Engine;
use torg_thing::Clock;
use tracing::warn;

use super::bridges::LineStates;
use super::certificates::acme_folder;
use super::error::StartError;
use super::sockets::Sockets;
use super::{Addresses, local};
use crate::acme::{self, AcmeError};
use crate::concentrator::Tree;
use crate::config::{BrokerConfig, Settings, WebConfig};
use crate::console::status::Vitals;
use crate::console::{self, Console};

/// Bound and not yet served.
pub(super) struct Bound {
    https: Vec<TcpListener>,
    http: Vec<TcpListener>,
    admin: Vec<TcpListener>,
}

/// What runs; dropping it ends the orders and takes the socket file away.
pub(super) struct Web {
    orders: Option<JoinHandle<()>>,
    vitals: Arc<Vitals>,
    socket: Option<PathBuf>,
}

/// What the console is made of.
pub(super) struct Parts<'a> {
    pub(super) settings: &'a Settings,
    pub(super) broker: &'a Broker,
    pub(super) store: &'a Arc<dyn Engine>,
    pub(super) clock: &'a Arc<dyn Clock>,
    pub(super) tree: &'a Arc<Tree>,
    pub(super) lines: Arc<LineStates>,
    pub(super) certificate_source: &'static str,
    pub(super) addresses: &'a Addresses,
}

impl Bound {
    pub(super) async fn new(sockets: &mut Sockets, config: &WebConfig) -> Result<Self, StartError> {
        let https = sockets.take("https", &config.https).await?;
        let http = sockets.take("http", &config.http).await?;
        let admin = sockets.take("admin", &config.admin).await?;
        let bound = Bound { https, http, admin };
        // A socket that was passed may be anywhere.
        let open = local(&bound.admin)?.into_iter().find(|address| !address.ip().is_loopback());
        match open {
            Some(address) if config.admin_token_file.is_none() => Err(StartError::ConfigAdmin { address }),
            _ => Ok(bound),
        }
    }

    pub(super) fn tell(&self, addresses: &mut Addresses) -> Result<(), StartError> {
        addresses.https = local(&self.https)?;
        addresses.http = local(&self.http)?;
        addresses.admin = local(&self.admin)?;
        Ok(())
    }

    pub(super) fn serve(self, parts: &Parts<'_>) -> Result<Web, StartError> {
        let Parts { settings, broker, .. } = parts;
        let config = &settings.broker.web;
        let https_port = local(&self.https)?.first().map(SocketAddr::port);
        let own = https_port.map(|port| Console::own_websocket(&settings.broker.domain, port));
        let report = settings.broker.acme.is_some().then(Arc::<acme::Report>::default);
        let vitals = Arc::new(Vitals {
            started: Instant::now(),
            clock: Arc::clone(parts.clock),
            entrance: broker.entrance(),
            store: Arc::clone(parts.store),
            store_path: settings.store.clone(),
            tree: Arc::clone(parts.tree),
            lines: Arc::clone(&parts.lines),
            certificate_source: parts.certificate_source,
            acme: report.clone(),
            peers: ArcSwap::from_pointee(named_peers(&settings.broker)),
            listeners: listeners(parts.addresses),
        });
        let console = Arc::new(Console {
            domain: settings.broker.domain.clone(),
            entrance: broker.entrance(),
            https_port,
            websocket: config.websocket.clone().or(own),
            origins: config.origins.clone(),
            channel_binding: config.channel_binding,
            admin_token: config.admin_token().map_err(StartError::ConfigToken)?,
            vitals: Arc::clone(&vitals),
            challenges: Arc::default(),
        });
        self.https.into_iter().for_each(|listener| console::https(&console, listener));
        self.http.into_iter().for_each(|listener| console::plain(&console, listener));
        self.admin.into_iter().for_each(|listener| console::admin(&console, listener));
        let socket = serve_socket(&console, &settings.store);
        let orders = report.zip(settings.broker.acme.clone()).map(|(report, config)| {
            let (folder, clock) = (acme_folder(&settings.store), Arc::clone(parts.clock));
            let (challenges, entrance) = (Arc::clone(&console.challenges), broker.entrance());
            let take = move |loaded: &_| entrance.replace_certificate(loaded).map_err(AcmeError::from);
            tokio::spawn(acme::run(config, folder, challenges, report, clock, take))
        });
        Ok(Web { orders, vitals, socket })
    }
}

impl Web {
    /// The configuration was read again: the status tells of its peers, and a certificate that could not be had is ordered again now, for
    /// the operator may have mended the cause.
    pub(super) fn reloaded(&self, broker: &BrokerConfig) {
        self.vitals.peers.store(Arc::new(named_peers(broker)));
        if let Some(report) = &self.vitals.acme {
            report.try_again();
        }
    }
}

fn named_peers(broker: &BrokerConfig) -> Vec<Box<str>> {
    let peers = broker.federation.iter().flat_map(|federation| &federation.peers.peers);
    peers.map(|peer| peer.domain.as_str().into()).collect()
}

fn listeners(addresses: &Addresses) -> BTreeMap<String, Vec<String>> {
    let mut listeners = BTreeMap::<String, Vec<String>>::new();
    for (kind, address) in addresses.each() {
        listeners.entry(kind.to_owned()).or_default().push(address.to_string());
    }
    listeners
}

impl Drop for Web {
    fn drop(&mut self) {
        if let Some(orders) = self.orders.take() {
            orders.abort();
        }
        if let Some(socket) = self.socket.take() {
            let _ = std::fs::remove_file(socket); // one that stays is replaced at the next start
        }
    }
}

/// The socket through which commands on this machine ask, beside the store.
#[must_use]
pub fn socket_path(store: &Path) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(".socket");
    PathBuf::from(name)
}

/// Without it only `torg status` is missing, so the appliance starts all the same.
fn serve_socket(console: &Arc<Console>, store: &Path) -> Option<PathBuf> {
    let path = socket_path(store);
    match bind_socket(&path) {
        Ok(listener) => {
            console::socket(console, listener);
            Some(path)
        }
        Err(error) => {
            warn!(socket = %path.display(), %error, "torg status will not work: its socket cannot be made.");
            None
        }
    }
}

/// Only its owner may open it from the moment it has its name. The lock of the store is ours, so an old one is nobody's.
fn bind_socket(path: &Path) -> std::io::Result<UnixListener> {
    let part = path.with_extension("new");
    let _ = std::fs::remove_file(&part);
    let listener = UnixListener::bind(&part)?;
    std::fs::set_permissions(&part, Permissions::from_mode(0o600))?;
    std::fs::rename(&part, path)?;
    Ok(listener)
}
