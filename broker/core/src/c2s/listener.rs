//! Where connections come from: TCP in production, pipes in memory for tests of whole brokers.

use std::io;
use std::net::IpAddr;

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::tcp;

/// A source of connections.
pub trait Listener: Send + 'static {
    /// One connection.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// The next connection and where it comes from (`None` if that is this process). Cancel safe.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Stream, Option<IpAddr>)>> + Send;
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
