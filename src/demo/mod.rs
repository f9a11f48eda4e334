//! `torg demo`: a whole site on this machine, from simulated devices to a foreign client's view of them.
//!
//! Nothing is faked on the way: the devices speak real bytes over TCP and a pseudo terminal, the appliance is the one of
//! `torg run` with a configuration file that stays readable, and the reader is an ordinary XMPP client that logs in over
//! TLS on the loopback and must be a friend of the gateway like anybody else.

mod directory;
mod site;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use torg_core::tls::Trust;
use torg_thing::Categories;
use torg_thing::config::ConfigError;

use crate::app::{Appliance, SelfNames, StartError};
use crate::client::{ConnectError, ConnectOptions, Connection, Gateway, GatewayError, Readings, Wanted, connect};
use crate::{catalog, config};

use directory::Directory;
use site::Site;

/// Time the demonstration's own client gives each step; everything is on this machine.
const WITHIN: Duration = Duration::from_secs(20);

/// A running demonstration.
pub struct Demo {
    directory: Directory,
    appliance: Appliance,
    connection: Connection,
    gateway: Gateway,
    nodes: usize,
    _site: Site,
}

/// Why there is no demonstration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DemoError {
    /// Its directory cannot be used.
    #[error("The directory {path} cannot be used: {error}.", path = .path.display())]
    ConfigDirectory {
        /// The directory or a file in it.
        path: std::path::PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The configuration in its directory has mistakes: somebody edited it.
    #[error("The configuration of the demonstration has errors: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Config(Vec<ConfigError>),
    /// The simulated devices cannot be started.
    #[error("The simulated devices cannot be started: {0}.")]
    Devices(std::io::Error),
    /// The system has no randomness for passwords.
    #[error("The system has no randomness: {0}.")]
    Randomness(String),
    /// The appliance does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The accounts cannot be made.
    #[error("The accounts of the demonstration cannot be made: {0}.")]
    Accounts(#[from] torg_accounts::AccountError),
    /// The client does not get in.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The client cannot use the gateway.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
}

impl Demo {
    /// Starts everything, in `directory` or in one that is removed at the end.
    ///
    /// # Errors
    /// As [`DemoError`].
    pub async fn start(directory: Option<&Path>) -> Result<Self, DemoError> {
        let directory = Directory::open(directory)?;
        let site = Site::start().await.map_err(DemoError::Devices)?;
        let file = directory.write("torg.toml", &site.configuration())?;
        let config = config::load(&file, catalog::BRIDGES).map_err(DemoError::Config)?;
        let nodes = config.bridges.iter().flat_map(|bridge| &bridge.lines).map(|line| line.nodes.len()).sum();
        let password = directory.password()?;
        directory.account(&config.settings, &password).await?;
        let appliance = Appliance::start(config, SelfNames::Loopback).await?;
        let (connection, gateway) = match enter(&directory, &appliance, password).await {
            Ok(entered) => entered,
            Err(error) => {
                appliance.stop().await;
                return Err(error);
            }
        };
        Ok(Self { directory, appliance, connection, gateway, nodes, _site: site })
    }

    /// Reads every field of every node, as any client would.
    ///
    /// # Errors
    /// The gateway cannot be used. A node that cannot be read is in the result with its reason.
    pub async fn read(&self) -> Result<Readings, DemoError> {
        let nodes = self.gateway.nodes(None).await?;
        let nodes = nodes.into_iter().filter(|node| node.is_readable).map(|node| node.node).collect();
        let wanted = Wanted { nodes, fields: Vec::new(), categories: Categories::ALL };
        Ok(self.gateway.read(&wanted).await?)
    }

    /// True if the readings hold every node of the site, each with its values and without a failure.
    #[must_use]
    pub fn is_complete(&self, readings: &Readings) -> bool {
        readings.nodes.len() == self.nodes && readings.is_complete()
    }

    /// Where to look next, for people.
    #[must_use]
    pub fn guide(&self) -> String {
        let addresses = self.appliance.addresses();
        let first = |list: &[SocketAddr]| list.first().map(ToString::to_string).unwrap_or_default();
        let (c2s, c2s_tls) = (first(&addresses.c2s), first(&addresses.c2s_tls));
        let authority = self.authority();
        let password = self.directory.path("password");
        // As it was started: it need not be in the path.
        let torg = std::env::current_exe().map_or_else(|_| "torg".to_owned(), |path| path.display().to_string());
        let common = format!(
            "--as {} --password-stdin --server {c2s} --ca {} < {}",
            site::ACCOUNT,
            authority,
            password.display()
        );
        format!(
            "A broker, a gateway and three simulated Modbus devices are running on this machine.\n\
             \n\
             \x20 Configuration   {}\n\
             \x20 Account         {} (password in {})\n\
             \x20 STARTTLS        {c2s}\n\
             \x20 Direct TLS      {c2s_tls}\n\
             \x20 Trust           {authority}\n\
             \x20 Gateway         {}\n\
             \n\
             Try in another terminal:\n\
             \x20 {torg} node ls {common}\n\
             \x20 {torg} node set relay-1 \"Digital Output 1=true\" {common}\n\
             \x20 {torg} node watch meter-7 --field \"Voltage L1\" {common}\n\
             or log in with any XMPP client. Ctrl-C ends everything.\n",
            self.directory.path("torg.toml").display(),
            site::ACCOUNT,
            password.display(),
            site::GATEWAY,
        )
    }

    fn authority(&self) -> String {
        self.appliance.authority().map(|file| file.display().to_string()).unwrap_or_default()
    }

    /// Ends everything in order. False if a part had to be cut off.
    pub async fn stop(self) -> bool {
        self.connection.leave().await;
        self.appliance.stop().await
    }
}

/// Logs in as the demonstration's account and becomes a friend of the gateway.
async fn enter(
    directory: &Directory,
    appliance: &Appliance,
    password: torg_wire::secret::Secret<String>,
) -> Result<(Connection, Gateway), DemoError> {
    let trust = appliance.authority().map_or_else(|| directory.path("ca.pem"), Path::to_owned);
    let account = site::account();
    let server = appliance.addresses().c2s.first().map(ToString::to_string);
    let options = ConnectOptions {
        account,
        password,
        server,
        direct_tls: false,
        trust: Trust::File(trust),
        resource: None,
        within: WITHIN,
    };
    let connection = connect(options).await?;
    match Gateway::find(&connection.session, Some(&site::gateway()), WITHIN).await {
        Ok(gateway) => Ok((connection, gateway)),
        Err(error) => {
            connection.leave().await;
            Err(error.into())
        }
    }
}
