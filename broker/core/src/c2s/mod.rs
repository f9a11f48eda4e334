//! Client connections: accepting, TLS, and one task for each (RFC 6120, RFC 7590, XEP-0368).

mod backoff;
mod bound;
mod codec;
mod connection;
mod entrance;
mod gate;
mod inline;
mod listener;
mod login;
mod managed;

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::time::timeout_at;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use torg_wire::seed::Seed;
use torg_wire::stream::{LOGIN_TIME, Secured, ServerSettings, ServerStream, Why};

pub(crate) use backoff::Backoff;
pub use codec::Codec;
use codec::Plain;
use connection::{Connection, Next};
pub use entrance::Entrance;
pub use gate::Place;
pub(crate) use gate::{Door, Gate, Waiting};
pub(crate) use inline::FEATURES as BIND_FEATURES;
pub(crate) use listener::accept_each;
pub use listener::{Listener, PipeConnector, PipeListener, pipe};

use crate::router::Router;
use crate::session::now;
use crate::tls::{ServerTls, proven_addresses};

/// What all connections of the broker share.
pub(crate) struct Shell {
    pub(crate) router: Router,
    pub(crate) settings: Arc<ServerSettings>,
    pub(crate) tls: Arc<ServerTls>,
    pub(crate) gate: Arc<Gate>,
    /// Failed logins of addresses and accounts.
    pub(crate) backoff: Backoff,
    /// Password checks at the same time: each takes milliseconds of a core.
    pub(crate) hashing: Semaphore,
}

/// How a connection begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// With TLS (XEP-0368).
    Direct,
    /// With a bare stream that demands STARTTLS.
    StartTls,
}

/// Accepts connections until the broker stops.
pub(crate) async fn listen<L: Listener>(shell: Arc<Shell>, listener: L, begin: Begin) {
    let take = |socket, address| {
        let counters = &shell.router.shared().counters;
        let shared = Arc::clone(&shell);
        match shell.gate.knock(address) {
            Door::Open(place) => {
                counters.accepted.add(1);
                shell.router.spawn(serve(shared, socket, begin, place));
            }
            Door::Wait(waiting) => {
                counters.accepted.add(1);
                shell.router.spawn(wait(shared, socket, begin, waiting));
            }
            Door::Shut => {
                counters.refused.add(1);
                tracing::debug!(?address, "Connection refused: too many have not logged in.");
            }
        }
    };
    accept_each(&shell.router.shared().stop, listener, take).await;
}

/// Too many have not logged in: the connection waits, unread, until there is a place for it.
async fn wait<S>(shell: Arc<Shell>, socket: S, begin: Begin, waiting: Waiting)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let stop = shell.router.shared().stop.clone();
    let place = tokio::select! {
        place = waiting.place() => place,
        () = stop.cancelled() => None,
    };
    if let Some(place) = place {
        // A task of its own: this one has no room for it, so that waiting is cheap.
        shell.router.clone().spawn(serve(shell, socket, begin, place));
    }
}

async fn serve<S>(shell: Arc<Shell>, socket: S, begin: Begin, place: Place)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let cut = shell.router.shared().cut.clone();
    let stream = async {
        match begin {
            Begin::Direct => direct(shell, socket, place).await,
            Begin::StartTls => start_tls(shell, socket, place).await,
        }
    };
    let ended = tokio::select! {
        ended = stream => ended,
        // Dropping the connection gives back what it has not written.
        () = cut.cancelled() => Err(io::ErrorKind::ConnectionAborted.into()),
    };
    note(ended);
}

fn note(ended: io::Result<Why>) {
    match ended {
        Ok(why) => tracing::debug!(%why, "Stream ended."),
        Err(error) => tracing::debug!(%error, "Connection lost."),
    }
}

async fn direct<S>(shell: Arc<Shell>, socket: S, place: Place) -> io::Result<Why>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let seed = seed()?;
    let begun = now();
    let (mut stream, secured) = Box::pin(handshake(&shell, socket, begun)).await?;
    // The handshake counts against the time to log in: the machine's clock starts at the connection.
    let machine = ServerStream::direct_tls(Arc::clone(&shell.settings), seed, secured, begun);
    finish(&mut Connection::new(shell, machine, Plain, place), &mut stream).await
}

async fn start_tls<S>(shell: Arc<Shell>, mut socket: S, place: Place) -> io::Result<Why>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let begun = now();
    let machine = ServerStream::new(Arc::clone(&shell.settings), seed()?, begun);
    let mut connection = Connection::new(Arc::clone(&shell), machine, Plain, place);
    if let Next::Closed(why) = connection.run(&mut socket).await? {
        return Ok(why);
    }
    let (mut stream, secured) = Box::pin(handshake(&shell, socket, begun)).await?;
    connection.machine.secured(secured, now());
    finish(&mut connection, &mut stream).await
}

async fn finish<S, C>(connection: &mut Connection<C>, stream: &mut S) -> io::Result<Why>
where
    S: AsyncRead + AsyncWrite + Unpin,
    C: Codec,
{
    match connection.run(stream).await? {
        Next::Closed(why) => Ok(why),
        Next::StartTls => Err(io::Error::other("TLS was asked for inside TLS")),
    }
}

async fn handshake<S>(shell: &Shell, socket: S, begun: std::time::Instant) -> io::Result<(TlsStream<S>, Secured)>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let served = shell.tls.current();
    let deadline = begun + LOGIN_TIME;
    let accepting = timeout_at(deadline.into(), TlsAcceptor::from(served.config()).accept(socket));
    let stream = tokio::select! {
        accepted = accepting => accepted.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??,
        () = shell.router.shared().stop.cancelled() => return Err(io::ErrorKind::ConnectionAborted.into()),
    };
    let bindings = served.bindings(stream.get_ref().1);
    let mut proven = proven_addresses(stream.get_ref().1, shell.router.shared().clock.now());
    proven.retain(|address| address.domain() == shell.settings.domain.as_str());
    Ok((stream, Secured { bindings, proven }))
}

fn seed() -> io::Result<Seed> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(Seed::new(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With the allocations of TLS this decides what an idle session costs (20 KiB are promised). A future that has grown past this
    /// carries something rare that belongs into a box.
    #[test]
    fn the_task_of_a_connection_stays_small() {
        fn size<F: Future>(_: impl FnOnce(Arc<Shell>, tokio::net::TcpStream, Begin, Place) -> F) -> usize {
            size_of::<F>()
        }
        let size = size(serve::<tokio::net::TcpStream>);
        assert!(size <= 4096, "{size} bytes");
    }
}
