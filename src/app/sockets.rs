//! Listening sockets that the service manager opened for us (sd_listen_fds(3)): so low ports need no privilege of ours, and a restart
//! refuses no connection.
//!
//! `FileDescriptorName=` of a socket unit says which listener a socket is; the addresses of that listener in the configuration are then
//! not used. A unit gives one name to all its sockets, so each listener has a unit of its own: `systemd/torg-https.socket` and
//! `systemd/torg-http.socket`, whose ports are low; others are made by copying one.
//!
//! # Why
//! `listenfd`: checks that a descriptor is what it is taken for, and makes it a listener, without unsafe code of ours.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use listenfd::ListenFd;
use tokio::net::TcpListener;
use tracing::warn;

use super::error::StartError;

/// The listeners of `[broker.listen]`.
pub const KINDS: [&str; 8] = ["c2s", "c2s_tls", "s2s", "s2s_tls", "https", "http", "admin", "component"];

/// Names of the sockets, separated by colons.
const NAMES: &str = "LISTEN_FDNAMES";

/// Sockets that were passed to us, by listener.
#[derive(Debug, Default)]
pub struct Sockets(BTreeMap<&'static str, Vec<std::net::TcpListener>>);

impl Sockets {
    /// Takes what the environment names; nothing without a service manager. Once for each process, before threads are started.
    ///
    /// # Errors
    /// A socket has no name of a listener, or is no listening socket of TCP.
    pub fn inherited() -> Result<Self, StartError> {
        let names = std::env::var(NAMES).unwrap_or_default();
        let mut passed = ListenFd::from_env();
        let mut sockets = Sockets::default();
        let mut names = names.split(':');
        for index in 0..passed.len() {
            let name = names.next().unwrap_or_default();
            let unknown = || StartError::ConfigSocket { name: name.to_owned(), text: KINDS.join(", ") };
            let kind = KINDS.into_iter().find(|kind| *kind == name).ok_or_else(unknown)?;
            let taken = passed.take_tcp_listener(index);
            let broken = |text: String| StartError::ConfigSocket { name: name.to_owned(), text };
            let listener = taken.map_err(|error| broken(error.to_string()))?;
            let listener = listener.ok_or_else(|| broken("it was taken already".to_owned()))?;
            listener.set_nonblocking(true).map_err(|error| broken(error.to_string()))?;
            sockets.0.entry(kind).or_default().push(listener);
        }
        Ok(sockets)
    }

    /// The sockets of a listener: those that were passed, or else those of these addresses.
    ///
    /// # Errors
    /// An address is not to be had.
    pub(super) async fn take(
        &mut self,
        kind: &'static str,
        addresses: &[SocketAddr],
    ) -> Result<Vec<TcpListener>, StartError> {
        if let Some(passed) = self.0.remove(kind) {
            let internal = |error: std::io::Error| StartError::Internal(error.to_string());
            return passed.into_iter().map(|listener| TcpListener::from_std(listener).map_err(internal)).collect();
        }
        let mut listeners = Vec::with_capacity(addresses.len());
        for &address in addresses {
            let listener = TcpListener::bind(address).await;
            listeners.push(listener.map_err(|error| StartError::ConfigListen { address, error })?);
        }
        Ok(listeners)
    }

    /// Closes what nobody took. Clients still find the service manager's own copy, where nobody ever answers, so this is told.
    pub(super) fn close_rest(self) {
        for kind in self.0.into_keys() {
            warn!(
                kind,
                "The service manager passed a socket for a listener that [broker.listen] does not name; nobody serves it."
            );
        }
    }
}
