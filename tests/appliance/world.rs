//! A small world: counted device lines, an appliance configured by a file, clients.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use torg::app::{self, Appliance, Reloaded, SelfNames, StartError};
use torg::client::{ConnectError, ConnectOptions, Connection, Gateway, GatewayError, Readings, Wanted, connect};
use torg::{catalog, config};
use torg_core::tls::Trust;
use torg_simulated::{Framing, Rack, Simulation, devices, serve};
use torg_thing::Categories;
use torg_thing::config::ConfigError;
use torg_wire::jid::BareJid;
use torg_wire::secret::Secret;

/// Longest wait for anything; only a failing test waits that long.
pub(crate) const WITHIN: Duration = Duration::from_secs(20);

/// A relay board at unit 1 on a TCP line that counts who connects.
pub(crate) struct Line {
    pub(crate) address: String,
    accepted: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Line {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&accepted);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let rack = Rack::new().with(1, devices::relay8());
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let line = Simulation::new(rack.clone(), Framing::Tcp);
                connections.spawn(async move {
                    let _ = serve(stream, &line).await;
                });
            }
        });
        Self { address, accepted, _tasks: tasks }
    }

    /// Connections since the start.
    pub(crate) fn connections(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// The line as it stands in the configuration, with its board under the name `node`.
    pub(crate) fn section(&self, name: &str, node: &str) -> String {
        format!(
            "[[bridge.line]]\nname = \"{name}\"\ntcp = \"{}\"\n\
             [[bridge.line.device]]\nnode = \"{node}\"\nunit = 1\nprofile = \"{RELAYS}\"\n",
            self.address
        )
    }
}

/// Profile of the relay board.
const RELAYS: &str = "waveshare.relay-8ch";

/// One bridge with these lines.
pub(crate) fn bridge(lines: &[String]) -> String {
    format!("[[bridge]]\nkind = \"modbus\"\nname = \"plant\"\n{}", lines.concat())
}

/// A folder with a configuration and a store.
pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    pub(crate) fn new(bridges: &str, friends: &[&str]) -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        place.write(bridges, friends);
        place
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("torg.toml")
    }

    /// Writes the configuration anew.
    pub(crate) fn write(&self, bridges: &str, friends: &[&str]) {
        let friends: Vec<String> = friends.iter().map(|friend| format!("\"{friend}@localhost\"")).collect();
        let text = format!(
            "[broker]\ndomain = \"localhost\"\n\
             [broker.listen]\nc2s = [\"127.0.0.1:0\"]\nc2s_tls = [\"127.0.0.1:0\"]\n\
             [concentrator]\njid = \"gateway@localhost\"\nfriends = [{}]\n{bridges}",
            friends.join(", ")
        );
        fs::write(self.file(), text).unwrap();
    }

    pub(crate) fn load(&self) -> Result<config::Config, Vec<ConfigError>> {
        config::load(&self.file(), catalog::BRIDGES)
    }

    /// Makes an account; its password is its name.
    pub(crate) async fn account(&self, name: &str) {
        let (_store, accounts) = app::open_accounts(&self.load().unwrap().settings).await.unwrap();
        let jid = accounts.parse_new(name).unwrap();
        accounts.create(&jid, Secret::new(name.to_owned())).await.unwrap();
    }

    /// Removes an account, as the command line does beside a running appliance.
    pub(crate) async fn remove(&self, name: &str) {
        let (_store, accounts) = app::open_accounts(&self.load().unwrap().settings).await.unwrap();
        accounts.remove(&accounts.parse(name).unwrap()).await.unwrap();
    }

    pub(crate) async fn start(&self) -> Result<Appliance, StartError> {
        Appliance::start(self.load().unwrap(), SelfNames::DomainOnly).await
    }

    /// Reads the configuration again, as SIGHUP does.
    pub(crate) async fn reload(&self, appliance: &mut Appliance) -> Reloaded {
        appliance.reload(self.load().unwrap()).await.unwrap()
    }

    /// Logs in over STARTTLS or direct TLS.
    pub(crate) async fn log_in(
        &self,
        appliance: &Appliance,
        name: &str,
        password: &str,
        direct_tls: bool,
    ) -> Result<Connection, ConnectError> {
        let addresses = appliance.addresses();
        let address = if direct_tls { &addresses.c2s_tls } else { &addresses.c2s };
        connect(ConnectOptions {
            account: BareJid::parse(&format!("{name}@localhost")).unwrap(),
            password: Secret::new(password.to_owned()),
            server: Some(address[0].to_string()),
            direct_tls,
            trust: Trust::File(appliance.authority().unwrap().to_owned()),
            resource: None,
            within: WITHIN,
        })
        .await
    }

    /// Logs in and meets the gateway.
    pub(crate) async fn meet(&self, appliance: &Appliance, name: &str) -> (Connection, Gateway) {
        let connection = self.log_in(appliance, name, name, false).await.unwrap();
        let gateway = meet(&connection, WITHIN).await.unwrap();
        (connection, gateway)
    }
}

pub(crate) async fn meet(connection: &Connection, within: Duration) -> Result<Gateway, GatewayError> {
    let jid = BareJid::parse("gateway@localhost").unwrap();
    Gateway::find(&connection.session, Some(&jid), within).await
}

/// Names of all nodes.
pub(crate) async fn names(gateway: &Gateway) -> Vec<String> {
    gateway.nodes(None).await.unwrap().iter().map(|node| node.node.id.to_string()).collect()
}

/// Everything of every node.
pub(crate) async fn read(gateway: &Gateway) -> Readings {
    let nodes = gateway.nodes(None).await.unwrap().into_iter().map(|node| node.node).collect();
    gateway.read(&Wanted { nodes, fields: Vec::new(), categories: Categories::ALL }).await.unwrap()
}
