//! Other servers: the listeners they connect to, and what finds and judges them.

use std::sync::Arc;

use tokio::net::TcpListener;
use torg_core::peers::{Dns, Peers};
use torg_core::s2s::TcpConnector;
use torg_core::{Broker, Builder};
use torg_thing::Clock;

use super::sockets::Sockets;
use super::{Addresses, StartError, local};
use crate::config::FederationConfig;

/// What is needed of it while it runs, and its listeners until they are served.
#[derive(Default)]
pub(super) struct Federation {
    peers: Option<Arc<Peers>>,
    s2s: Vec<TcpListener>,
    s2s_tls: Vec<TcpListener>,
}

impl Federation {
    /// Binds the listeners and reads what the settings name. Without settings there is nothing to do.
    pub(super) async fn prepare(
        config: Option<&FederationConfig>,
        clock: &Arc<dyn Clock>,
        sockets: &mut Sockets,
        addresses: &mut Addresses,
    ) -> Result<Federation, StartError> {
        let Some(config) = config else { return Ok(Federation::default()) };
        let resolver = Arc::new(Dns::new(config.dns.clone()));
        let peers = Arc::new(Peers::new(&config.peers, resolver, Arc::clone(clock))?);
        let s2s = sockets.take("s2s", &config.s2s).await?;
        let s2s_tls = sockets.take("s2s_tls", &config.s2s_tls).await?;
        (addresses.s2s, addresses.s2s_tls) = (local(&s2s)?, local(&s2s_tls)?);
        Ok(Federation { peers: Some(peers), s2s, s2s_tls })
    }

    /// Lets the broker talk to other servers, if they are configured.
    pub(super) fn join(&self, builder: Builder) -> Builder {
        match &self.peers {
            Some(peers) => builder.federation(Arc::clone(peers) as Arc<_>, Arc::new(TcpConnector)),
            None => builder,
        }
    }

    /// Serves other servers.
    pub(super) fn listen(&mut self, broker: &Broker) {
        self.s2s.drain(..).for_each(|listener| broker.listen_s2s(listener));
        self.s2s_tls.drain(..).for_each(|listener| broker.listen_s2s_tls(listener));
    }

    /// Takes other settings about peers into use; listeners wait for a restart.
    pub(super) fn replace(&self, config: Option<&FederationConfig>) -> Result<(), StartError> {
        match (&self.peers, config) {
            (Some(peers), Some(config)) => Ok(peers.replace(&config.peers)?),
            _ => Ok(()),
        }
    }
}
