//! Simulated lines on real sockets and pseudo terminals, ended by dropping their handle.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tracing::debug;

use crate::{PtyPair, Simulation, serve};

/// A running line; dropping it closes the line and its connections.
#[derive(Debug)]
pub struct Server {
    address: String,
    socket: Option<SocketAddr>,
    _tasks: JoinSet<()>,
}

impl Server {
    /// What a bridge is to connect to: `host:port` or the path of a serial device.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The socket of a TCP line.
    pub fn socket(&self) -> Option<SocketAddr> {
        self.socket
    }

    /// The path of a serial line.
    pub fn path(&self) -> Option<PathBuf> {
        self.socket.is_none().then(|| Path::new(&self.address).to_path_buf())
    }
}

/// Most connections at a time, as small as in real devices' interface cards; more wait.
const CONNECTIONS_MAX: usize = 16;

/// Serves a line on a free TCP port of the loopback.
///
/// # Errors
///
/// When the socket cannot be opened.
pub async fn tcp(simulation: Simulation) -> io::Result<Server> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let socket = listener.local_addr()?;
    let mut tasks = JoinSet::new();
    tasks.spawn(accept(listener, simulation));
    Ok(Server { address: socket.to_string(), socket: Some(socket), _tasks: tasks })
}

async fn accept(listener: TcpListener, simulation: Simulation) {
    let Simulation { rack, framing, timing, script } = simulation;
    let mut connections = JoinSet::new();
    loop {
        while connections.len() >= CONNECTIONS_MAX {
            connections.join_next().await;
        }
        let Ok((stream, peer)) = listener.accept().await else { continue };
        if stream.set_nodelay(true).is_err() {
            continue;
        }
        // The script belongs to the line: a new connection goes on where the last one was.
        let line = Simulation::new(rack.clone(), framing).timed(timing).scripted(script.clone());
        connections.spawn(async move {
            let ended = serve(stream, &line).await;
            debug!(%peer, ?ended, "Connection to simulated line ended.");
        });
    }
}

/// Serves a line on a new pseudo terminal; the baud rate a program sets there has no effect.
///
/// # Errors
///
/// When the system has no pseudo terminal left.
pub fn pty(simulation: Simulation) -> io::Result<Server> {
    let pair = PtyPair::open()?;
    let address = pair.path.display().to_string();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let ended = serve(pair.device, &simulation).await;
        debug!(?ended, "Simulated serial line ended.");
    });
    Ok(Server { address, socket: None, _tasks: tasks })
}
