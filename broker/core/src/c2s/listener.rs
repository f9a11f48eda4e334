//! Where connections come from: TCP in production, pipes in memory for tests of whole brokers.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::tcp;

/// A source of connections.
pub trait Listener: Send + 'static {
    /// One connection.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// The next connection and where it comes from (`None` if that is this process). Cancel safe.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Stream, Option<IpAddr>)>> + Send;
}

/// How long accepting pauses after the system refused, for instance for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Hands on each connection until the broker stops.
pub(crate) async fn accept_each<L: Listener>(
    stop: &CancellationToken,
    mut listener: L,
    mut take: impl FnMut(L::Stream, Option<IpAddr>) + Send,
) {
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((socket, address)) => take(socket, address),
            // Nobody else waits because somebody has hung up.
            Err(error) if was_over(&error) => tracing::debug!(%error, "A connection was over before it began."),
            Err(error) => {
                tracing::warn!(%error, "A connection could not be accepted.");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Whether the error is that of one connection and says nothing about the next.
fn was_over(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, InvalidInput, NotConnected};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | InvalidInput | NotConnected)
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, Option<IpAddr>)> {
        let (stream, address) = TcpListener::accept(self).await?;
        tcp::watch(&stream)?;
        Ok((stream, Some(address.ip())))
    }
}

/// Bytes a pipe holds before its writer waits, as a socket would.
const PIPE_BYTES: usize = 64 * 1024;
/// Connections waiting to be accepted.
const PIPE_BACKLOG: usize = 128;

/// Connections in memory, accepting side.
#[derive(Debug)]
pub struct PipeListener(mpsc::Receiver<(DuplexStream, Option<IpAddr>)>);

/// Connections in memory, connecting side.
#[derive(Clone, Debug)]
pub struct PipeConnector(mpsc::Sender<(DuplexStream, Option<IpAddr>)>);

/// A listener without a network, and how to connect to it.
pub fn pipe() -> (PipeConnector, PipeListener) {
    let (sender, receiver) = mpsc::channel(PIPE_BACKLOG);
    (PipeConnector(sender), PipeListener(receiver))
}

impl PipeConnector {
    /// Opens a connection.
    ///
    /// # Errors
    /// `ConnectionRefused` once the listener is gone.
    pub async fn connect(&self) -> io::Result<DuplexStream> {
        self.open(None).await
    }

    /// Opens a connection that seems to come from this address.
    ///
    /// # Errors
    /// `ConnectionRefused` once the listener is gone.
    pub async fn connect_from(&self, address: IpAddr) -> io::Result<DuplexStream> {
        self.open(Some(address)).await
    }

    async fn open(&self, address: Option<IpAddr>) -> io::Result<DuplexStream> {
        let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
        self.0.send((theirs, address)).await.map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
        Ok(ours)
    }
}

impl Listener for PipeListener {
    type Stream = DuplexStream;

    async fn accept(&mut self) -> io::Result<(DuplexStream, Option<IpAddr>)> {
        match self.0.recv().await {
            Some(connection) => Ok(connection),
            None => std::future::pending().await, // nobody can connect any more
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many connections fail like this, then one comes.
    struct Failing {
        left: u32,
        kind: io::ErrorKind,
        stop: CancellationToken,
    }

    impl Listener for Failing {
        type Stream = DuplexStream;

        async fn accept(&mut self) -> io::Result<(DuplexStream, Option<IpAddr>)> {
            match self.left.checked_sub(1) {
                Some(left) => {
                    self.left = left;
                    Err(self.kind.into())
                }
                None => {
                    self.stop.cancel();
                    Ok((tokio::io::duplex(1).0, None))
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn accepting_pauses_when_the_system_refuses_and_not_when_a_caller_has_hung_up() {
        for (kind, paused) in [(io::ErrorKind::ConnectionAborted, 0), (io::ErrorKind::OutOfMemory, 10)] {
            let (stop, begun, mut taken) = (CancellationToken::new(), tokio::time::Instant::now(), 0);
            let listener = Failing { left: 10, kind, stop: stop.clone() };
            accept_each(&stop, listener, |_, _| taken += 1).await;
            assert_eq!(begun.elapsed(), ACCEPT_PAUSE * paused, "{kind}");
            assert_eq!(taken, 1, "{kind}");
        }
    }
}
