//! External components: the listeners they connect to, and their secrets.

use tokio::net::TcpListener;
use torg_core::{Broker, Builder};
use torg_wire::jid::DomainPart;
use torg_wire::secret::Secret;

use super::sockets::Sockets;
use super::{Addresses, StartError, local};
use crate::config::ComponentsConfig;

/// The listeners until they are served, and who may come.
pub(super) struct Components {
    listeners: Vec<TcpListener>,
    secrets: Vec<(DomainPart, Secret<String>)>,
}

impl Components {
    /// Binds the listeners and reads the secrets.
    pub(super) async fn prepare(
        config: &ComponentsConfig,
        sockets: &mut Sockets,
        addresses: &mut Addresses,
    ) -> Result<Components, StartError> {
        let listeners = sockets.take("component", &config.listen).await?;
        addresses.component = local(&listeners)?;
        // A socket that was passed may be anywhere.
        if let Some(address) = addresses.component.iter().find(|address| !address.ip().is_loopback()) {
            return Err(StartError::ConfigComponentListen { address: *address });
        }
        let mut secrets = Vec::new();
        for component in &config.components {
            let secret = component.secret().map_err(|text| StartError::ConfigComponentSecret { text })?;
            secrets.push((component.domain.clone(), secret));
        }
        Ok(Components { listeners, secrets })
    }

    /// Tells the broker who may come.
    pub(super) fn join(&mut self, builder: Builder) -> Builder {
        self.secrets.drain(..).fold(builder, |builder, (domain, secret)| builder.component(domain, secret))
    }

    /// Serves those who come.
    pub(super) fn listen(self, broker: &Broker) {
        self.listeners.into_iter().for_each(|listener| broker.listen_component(listener));
    }
}
