//! Accepts the connections of the web: TLS where it belongs, a place among those who have not logged in, then HTTP.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener};
use tokio::time::{sleep, timeout};
use tokio_rustls::LazyConfigAcceptor;
use torg_core::{Listener, Place};
use torg_wire::stream::Secured;

use super::Console;
use super::http::{self, Kind, Peer};
use crate::acme;

/// Time for a TLS handshake; as for XMPP, a phone on a bad radio link needs ten seconds.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(15);

/// How long accepting pauses after the system refused, for instance for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Requests on the socket beside the store at the same time: it is for commands that people type.
const LOCAL_MAX: usize = 16;

/// Serves WebSocket, host-meta and the challenge TLS-ALPN-01, inside TLS.
pub fn https(console: &Arc<Console>, listener: TcpListener) {
    accept(console, listener, |console, socket, peer| secure(console, Kind::Https, socket, peer));
}

/// Serves the redirect to `https` and the challenge HTTP-01; on a loopback address also what a proxy passes on to us.
pub fn plain(console: &Arc<Console>, listener: TcpListener) {
    let proxied = listener.local_addr().is_ok_and(|address| address.ip().is_loopback());
    let kind = if proxied { Kind::Proxied } else { Kind::Http };
    accept(console, listener, move |console, socket, peer| http::serve(console, kind, socket, peer));
}

/// Serves metrics, health and status: bare on a loopback address, inside TLS and for the holder of the token elsewhere.
pub fn admin(console: &Arc<Console>, listener: TcpListener) {
    if listener.local_addr().is_ok_and(|address| address.ip().is_loopback()) {
        accept(console, listener, |console, socket, peer| http::serve(console, Kind::Admin, socket, peer));
    } else {
        accept(console, listener, |console, socket, peer| secure(console, Kind::Admin, socket, peer));
    }
}

/// Serves the same to whoever may open the socket file.
pub fn socket(console: &Arc<Console>, listener: UnixListener) {
    let console = Arc::clone(console);
    let entrance = console.entrance.clone();
    let places = Arc::new(tokio::sync::Semaphore::new(LOCAL_MAX));
    entrance.clone().spawn(async move {
        loop {
            let accepted = tokio::select! {
                // Both are cancel safe.
                accepted = listener.accept() => accepted,
                () = entrance.stopping() => return,
            };
            let Ok((stream, _)) = accepted else {
                sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
            let console = Arc::clone(&console);
            entrance.spawn(async move {
                let peer = Peer { address: None, secured: None, place: None, begun: Instant::now() };
                note(http::serve(console, Kind::Local, stream, peer).await);
                drop(place);
            });
        }
    });
}

/// Accepts until the broker stops. Behind a proxy every connection has the proxy's address, so only their number is bounded here.
fn accept<L, F, Fut>(console: &Arc<Console>, mut listener: L, serve: F)
where
    L: Listener + Sync,
    F: Fn(Arc<Console>, L::Stream, Peer) -> Fut + Send + Sync + Copy + 'static,
    Fut: Future<Output = io::Result<()>> + Send + 'static,
{
    let console = Arc::clone(console);
    let entrance = console.entrance.clone();
    entrance.clone().spawn(async move {
        loop {
            let accepted = tokio::select! {
                // Both are cancel safe.
                accepted = listener.accept() => accepted,
                () = entrance.stopping() => return,
            };
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "A connection of the web could not be accepted.");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Some(place) = entrance.enter(counted(address)) else { continue };
            let peer = Peer { address, secured: None, place: Some(place), begun: Instant::now() };
            let console = Arc::clone(&console);
            entrance.spawn(async move { note(serve(console, stream, peer).await) });
        }
    });
}

/// A proxy on this machine brings many clients.
fn counted(address: Option<IpAddr>) -> Option<IpAddr> {
    address.filter(|address| !address.to_canonical().is_loopback())
}

fn note(ended: io::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "A connection of the web was lost.");
    }
}

async fn secure<S>(console: Arc<Console>, kind: Kind, socket: S, mut peer: Peer) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let slow = |_| io::Error::from(io::ErrorKind::TimedOut);
    let begun = LazyConfigAcceptor::new(Acceptor::default(), socket);
    let start = timeout(HANDSHAKE_WITHIN, begun).await.map_err(slow)??;
    let hello = start.client_hello();
    if hello.alpn().is_some_and(is_challenge) {
        let answer = hello.server_name().and_then(|name| console.challenges.tls(name));
        let answer = answer.ok_or_else(|| io::Error::other("no challenge for this name"))?;
        let mut stream = timeout(HANDSHAKE_WITHIN, start.into_stream(answer)).await.map_err(slow)??;
        return stream.shutdown().await;
    }
    let served = console.entrance.tls();
    let stream = timeout(HANDSHAKE_WITHIN, start.into_stream(served.https())).await.map_err(slow)??;
    let bindings = served.bindings(stream.get_ref().1);
    peer.secured = Some(Secured { bindings, ..Secured::default() });
    http::serve(console, kind, stream, peer).await
}

/// Whoever looks for the proof names its protocol and no other (RFC 8737 §3): nobody else is to see that certificate.
fn is_challenge<'a>(mut names: impl Iterator<Item = &'a [u8]>) -> bool {
    names.next() == Some(acme::ALPN) && names.next().is_none()
}

/// The place of a WebSocket that came through a proxy: that of the client it names.
pub(super) fn place_behind_proxy(console: &Console, forwarded: Option<IpAddr>) -> Option<Place> {
    console.entrance.enter(forwarded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_names_its_protocol_and_no_other() {
        let is = |names: &[&'static [u8]]| is_challenge(names.iter().copied());
        assert!(is(&[b"acme-tls/1"]));
        let (ours, http): (&[u8], &[u8]) = (b"acme-tls/1", b"http/1.1");
        for names in [&[][..], &[http], &[ours, http], &[http, ours], &[ours, ours]] {
            assert!(!is(names), "{names:?}");
        }
    }
}
