//! TCP connections whose other side may vanish without a word: behind a NAT that forgets, on a radio link, in a house without power.
//!
//! # Why
//! `socket2`: keep-alive options of TCP, which the standard library does not set. tokio uses it itself.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::limits::STUCK;

/// Silence after which the kernel asks a peer whether it is still there, and how often it asks again: a gateway behind a NAT loses its
/// mapping after some minutes, and a dead peer is found within two.
const KEEPALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(15)).with_retries(4);

/// Time for one address of several to answer; one that never does (IPv6 that leads nowhere) must not use up the time of the others.
const ADDRESS_TIME: Duration = Duration::from_secs(10);

/// Has the kernel look after a connection that was accepted.
///
/// # Errors
/// The connection is over.
pub fn watch(stream: &TcpStream) -> io::Result<()> {
    // We write whole batches; waiting for more would only add delay.
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_keepalive(&KEEPALIVE)
}

/// Connects to the first of these addresses that answers, and has the kernel look after the connection: it ends within two minutes of
/// silence, and sooner if what we send is not taken.
///
/// # Errors
/// What went wrong with the last address; `AddrNotAvailable` if there is none.
pub async fn connect(addresses: impl IntoIterator<Item = SocketAddr>) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match timeout(ADDRESS_TIME, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                watch(&stream)?;
                // What is on its way keeps the kernel from asking, and it would repeat itself for a quarter of an hour.
                SockRef::from(&stream).set_tcp_user_timeout(Some(STUCK))?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_connection_of_ours_notices_when_the_other_side_has_vanished() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = connect([listener.local_addr().unwrap()]).await.unwrap();
        let options = SockRef::from(&stream);
        assert!(options.keepalive().unwrap());
        assert_eq!(options.tcp_user_timeout().unwrap(), Some(STUCK));
    }

    #[tokio::test]
    async fn an_address_where_nobody_listens_does_not_keep_from_the_next() {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        assert_eq!(connect([closed, open]).await.unwrap().peer_addr().unwrap(), open);
        assert_eq!(connect([closed]).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(connect([]).await.unwrap_err().kind(), io::ErrorKind::AddrNotAvailable);
    }
}
