//! Streams that other servers open: accepting, TLS, and one task for each.

use std::io;
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout_at;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use torg_wire::stream::LOGIN_TIME;
use torg_wire::stream::peer::{PeerEnd, PeerStream};

use super::connection::{Connection, IDLE_ACCEPTED, Next, Until};
use super::{Links, seed};
use crate::c2s::{Begin, Listener, Place, accept_each};
use crate::router::Router;
use crate::session::now;

/// Accepts connections of other servers until the broker stops.
pub(crate) async fn listen<L: Listener>(router: Router, listener: L, begin: Begin) {
    let Some(links) = router.links() else { return };
    let take = |socket, address| match links.gate.enter(address) {
        Some(place) => links.spawn(&router, serve(router.clone(), socket, begin, place)),
        None => tracing::debug!(?address, "Connection refused: too many have proven nothing."),
    };
    accept_each(&router.shared().stop, listener, take).await;
}

async fn serve<S>(router: Router, socket: S, begin: Begin, place: Place)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let ended = match begin {
        Begin::Direct => direct(&router, socket, place).await,
        Begin::StartTls => start_tls(&router, socket, place).await,
    };
    match ended {
        Ok(end) => tracing::info!(%end, "A stream of a peer ended."),
        Err(error) => tracing::debug!(%error, "The connection of a peer was lost."),
    }
}

async fn direct<S>(router: &Router, socket: S, place: Place) -> io::Result<PeerEnd>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Some(links) = router.links() else { return Err(io::ErrorKind::NotConnected.into()) };
    let begun = now();
    let stream = Box::pin(handshake(links, socket, begun)).await?;
    // The handshake counts against the time to prove a domain: the machine's clock starts at the connection.
    let machine = PeerStream::accept_tls(links.settings(router), seed()?, begun);
    finish(Connection::new(router.clone(), machine, IDLE_ACCEPTED, Some(place)), stream).await
}

async fn start_tls<S>(router: &Router, mut socket: S, place: Place) -> io::Result<PeerEnd>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Some(links) = router.links() else { return Err(io::ErrorKind::NotConnected.into()) };
    let begun = now();
    let machine = PeerStream::accept(links.settings(router), seed()?, begun);
    let mut connection = Connection::new(router.clone(), machine, IDLE_ACCEPTED, Some(place));
    if let Next::Closed(end) = connection.run(&mut socket, Until::End).await? {
        return Ok(end);
    }
    let stream = Box::pin(handshake(links, socket, begun)).await?;
    connection.machine.secured(None);
    finish(connection, stream).await
}

async fn finish<S>(mut connection: Connection, mut stream: TlsStream<S>) -> io::Result<PeerEnd>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
    connection.chain = shown.iter().map(|certificate| certificate.clone().into_owned()).collect();
    match connection.run(&mut stream, Until::End).await? {
        Next::Closed(end) => Ok(end),
        _ => Err(io::Error::other("TLS was asked for inside TLS")),
    }
}

async fn handshake<S>(links: &Links, socket: S, begun: Instant) -> io::Result<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let config = links.tls.current().peer_accepting();
    let accepting = timeout_at((begun + LOGIN_TIME).into(), TlsAcceptor::from(config).accept(socket));
    tokio::select! {
        accepted = accepting => accepted.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?,
        () = links.closing.cancelled() => Err(io::ErrorKind::ConnectionAborted.into()),
    }
}
