//! How other listeners than those of XMPP itself bring clients in: they accept a connection, speak what is theirs on it, and hand it
//! over with a codec for what lies below the stream (RFC 7395).

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite};
use torg_wire::stream::{Secured, ServerStream};

use super::codec::Codec;
use super::connection::Connection;
use super::gate::{Door, Place};
use super::{Shell, finish, note, seed};
use crate::counters::Numbers;
use crate::s2s::{LinkReport, Links};
use crate::tls::{Loaded, Served, TlsError};

/// A way into the broker for connections accepted elsewhere. Cheap to clone.
#[derive(Clone)]
pub struct Entrance(Arc<Shell>);

impl fmt::Debug for Entrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entrance").finish_non_exhaustive()
    }
}

impl Entrance {
    pub(crate) fn new(shell: Arc<Shell>) -> Self {
        Entrance(shell)
    }

    /// A place for a connection that has not logged in, counted together with those of all other listeners; `None` if there is none.
    pub fn enter(&self, address: Option<IpAddr>) -> Option<Place> {
        let place = self.0.gate.enter(address);
        let counters = &self.0.router.shared().counters;
        if place.is_some() {
            counters.accepted.add(1)
        } else {
            counters.refused.add(1)
        }
        place
    }

    /// What the broker has done and holds. Looks at every session, so ask it every few seconds, not for every stanza.
    pub fn numbers(&self) -> Numbers {
        let shared = self.0.router.shared();
        let sessions = shared.sessions.all();
        Numbers {
            sessions: sessions.len(),
            waiting: sessions.iter().map(|session| session.queue.len()).sum(),
            unauthenticated: self.0.gate.inside(),
            ..shared.counters.numbers()
        }
    }

    /// The domain of each external component, and whether it is connected.
    pub fn components(&self) -> Vec<(String, bool)> {
        let all = self.0.router.shared().components.all().into_iter();
        all.map(|(address, connected)| (address.as_str().to_owned(), connected)).collect()
    }

    /// How the links to other servers stand, one for each pair of domains; none without federation.
    pub fn links(&self) -> Vec<LinkReport> {
        self.0.router.shared().links.as_ref().map(Links::reports).unwrap_or_default()
    }

    /// As [`Entrance::enter`], but waits for a place as long as connections may; read nothing from it until there is one.
    pub async fn admit(&self, address: Option<IpAddr>) -> Option<Place> {
        match self.0.gate.knock(address) {
            Door::Open(place) => Some(place),
            Door::Wait(waiting) => waiting.place().await,
            Door::Shut => None,
        }
    }

    /// The certificate in force.
    pub fn tls(&self) -> Arc<Served> {
        self.0.tls.current()
    }

    /// Serves another certificate to connections that begin from now on.
    ///
    /// # Errors
    /// The old one stays in force.
    pub fn replace_certificate(&self, certificate: &Loaded) -> Result<(), TlsError> {
        self.0.tls.replace(certificate)
    }

    /// Runs a task that the broker's stop waits for, and cuts off at its deadline.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let cut = self.0.router.shared().cut.clone();
        self.0.router.spawn(async move { cut.run_until_cancelled(task).await.unwrap_or_default() });
    }

    /// Ends when the broker stops: no new connections from then on.
    pub async fn stopping(&self) {
        self.0.router.shared().stop.cancelled().await;
    }

    /// Runs a client's stream of messages over `io` until it ends. `begun` is when the connection was accepted: the time to log in
    /// counts from there.
    pub async fn serve<S, C>(&self, mut io: S, codec: C, secured: Secured, place: Place, begun: Instant)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin,
        C: Codec,
    {
        let shell = Arc::clone(&self.0);
        let stream = async {
            let machine = ServerStream::messages(Arc::clone(&shell.settings), seed()?, secured, begun);
            finish(&mut Connection::new(shell, machine, codec, place), &mut io).await
        };
        note(stream.await);
    }
}
