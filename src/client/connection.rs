//! From an account and a password to a [`Session`]: connect, TLS, login, bind, and then the loop that moves stanzas.
//!
//! RFC 6120 §3 to §7, XEP-0368 for direct TLS. The decisions are the stream machine's; this is its loop. Names are
//! resolved to addresses of the domain itself; service records (RFC 6120 §3.2.1) are not asked for yet.
//!
//! # Why
//! `getrandom` for the seed of nonces and ids: the stream machine draws no randomness of its own.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use torg_core::tcp;
use torg_core::tls::{ClientTls, TlsError, Trust, client_bindings};
use torg_wire::jid::{BareJid, FullJid, ResourcePart};
use torg_wire::sasl::{Failure, Login};
use torg_wire::secret::Secret;
use torg_wire::seed::Seed;
use torg_wire::stanza::{Stanza, StanzaCondition};
use torg_wire::stream::{ClientFault, ClientOutput, ClientSettings, ClientStream, Secured};
use torg_wire::xml::Limits;
use tracing::{info, warn};

use super::session::{Driver, Session};

/// What a server may send us. More than a server takes from clients: a concentrator's list of all its nodes is one stanza.
const LIMITS: Limits = Limits { bytes: 4 * 1024 * 1024, elements: 100_000, ..Limits::CLIENT };

/// Bytes read at once.
const READ_BYTES: usize = 16 * 1024;

/// Bytes waiting to be written before no further stanza is taken from the queue.
const WRITE_BYTES_MAX: usize = 64 * 1024;

/// Time for an orderly goodbye before the connection is cut.
const GOODBYE: Duration = Duration::from_secs(6);

/// Who connects, where, and whom it trusts.
#[derive(Debug)]
pub struct ConnectOptions {
    /// The account.
    pub account: BareJid,
    /// Its password.
    pub password: Secret<String>,
    /// `HOST:PORT` instead of the account's domain on the standard port.
    pub server: Option<String>,
    /// TLS from the first byte instead of STARTTLS.
    pub direct_tls: bool,
    /// Whose certificates are believed.
    pub trust: Trust,
    /// The resource to ask for; the server chooses if there is none.
    pub resource: Option<ResourcePart>,
    /// Time until the session must be there.
    pub within: Duration,
}

/// A session and the task that drives it.
#[derive(Debug)]
pub struct Connection {
    /// The session.
    pub session: Session,
    goodbye: CancellationToken,
    task: JoinHandle<()>,
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The server's name leads nowhere.
    #[error("{server} has no address: {error}. Name the server with --server HOST:PORT.")]
    NoAddress {
        /// What was looked up.
        server: String,
        /// What the system said.
        error: io::Error,
    },
    /// Nobody answers there.
    #[error("{server} cannot be reached: {error}. Is the server running, and the port right?")]
    Unreachable {
        /// Where we tried.
        server: String,
        /// What the system said.
        error: io::Error,
    },
    /// Nothing came in time.
    #[error("{server} did not let us in within {} s.", .within.as_secs())]
    Slow {
        /// Where we tried.
        server: String,
        /// How long.
        within: Duration,
    },
    /// The certificate is not believed.
    #[error(
        "The certificate of {domain} is not trusted: {text}. If the server has its own authority, name its file with --ca."
    )]
    Untrusted {
        /// For whom it should be.
        domain: String,
        /// What is wrong with it.
        text: String,
    },
    /// TLS cannot be set up on our side, or fails otherwise.
    #[error("TLS failed: {0}.")]
    Tls(String),
    /// The server refuses the password, or does not know the account.
    #[error("{0} was not let in: the password is wrong, or there is no such account.")]
    WrongPassword(BareJid),
    /// The stream ended before the session was there.
    #[error("{server} ended the login: {fault}.")]
    Ended {
        /// Where we tried.
        server: String,
        /// How.
        fault: ClientFault,
    },
    /// The account cannot log in from here.
    #[error("{0} is a domain, not an account.")]
    NoAccount(BareJid),
}

impl From<TlsError> for ConnectError {
    fn from(error: TlsError) -> Self {
        Self::Tls(error.to_string())
    }
}

/// Logs in.
///
/// # Errors
/// As [`ConnectError`].
pub async fn connect(options: ConnectOptions) -> Result<Connection, ConnectError> {
    let bound = bound(&options).await?;
    let (session, driver) = Session::new(bound.jid.clone());
    let (goodbye, task) = bound.drive(End::Session(driver));
    Ok(Connection { session, goodbye, task })
}

/// A stream with a resource, not yet driven.
pub(super) struct Bound {
    pub(super) jid: FullJid,
    machine: ClientStream,
    stream: Tls,
}

/// Connects and logs in within the time of the options.
pub(super) async fn bound(options: &ConnectOptions) -> Result<Bound, ConnectError> {
    let deadline = Instant::now() + options.within;
    let server = target(options);
    let slow = || ConnectError::Slow { server: server.clone(), within: options.within };
    timeout_at(deadline, log_in(options, &server)).await.map_err(|_| slow())?
}

/// Where to connect to.
fn target(options: &ConnectOptions) -> String {
    let port = if options.direct_tls { 5223 } else { 5222 };
    options.server.clone().unwrap_or_else(|| format!("{}:{port}", options.account.domain()))
}

async fn log_in(options: &ConnectOptions, server: &str) -> Result<Bound, ConnectError> {
    let username = options.account.local().ok_or_else(|| ConnectError::NoAccount(options.account.clone()))?;
    let login =
        Login { username: username.to_owned(), password: options.password.clone(), scram_sha1: false, plain: false };
    let settings = Arc::new(ClientSettings {
        account: options.account.clone(),
        login,
        resource: options.resource.clone(),
        limits: LIMITS,
    });
    let tls = ClientTls::new(&options.trust)?;
    let domain = options.account.domain();
    let ended = |fault| ended(server, &options.account, fault);
    let mut tcp = open(server).await?;
    let (machine, stream) = if options.direct_tls {
        let (stream, secured) = handshake(tls.direct(), domain, tcp).await?;
        (ClientStream::direct_tls(settings, seed()?, secured, now()), stream)
    } else {
        let mut machine = ClientStream::new(settings, seed()?, now());
        match negotiate(&mut tcp, &mut machine).await {
            Step::StartTls => {}
            Step::Closed(fault) => return Err(ended(fault)),
            Step::Ready(_) => return Err(ended(ClientFault::NoTls)),
        }
        let (stream, secured) = handshake(tls.starttls(), domain, tcp).await?;
        machine.secured(secured);
        (machine, stream)
    };
    let (mut machine, mut stream) = (machine, stream);
    match negotiate(&mut stream, &mut machine).await {
        Step::Ready(jid) => Ok(Bound { jid, machine, stream }),
        Step::Closed(fault) => Err(ended(fault)),
        Step::StartTls => Err(ended(ClientFault::Protocol("TLS inside TLS"))),
    }
}

fn ended(server: &str, account: &BareJid, fault: ClientFault) -> ConnectError {
    match fault {
        ClientFault::Refused { failure: Failure::NotAuthorized, .. } => ConnectError::WrongPassword(account.clone()),
        fault => ConnectError::Ended { server: server.to_owned(), fault },
    }
}

/// The first address of the server that answers.
async fn open(server: &str) -> Result<TcpStream, ConnectError> {
    let addresses = tokio::net::lookup_host(server).await;
    let addresses = addresses.map_err(|error| ConnectError::NoAddress { server: server.to_owned(), error })?;
    let connected = tcp::connect(addresses).await;
    connected.map_err(|error| ConnectError::Unreachable { server: server.to_owned(), error })
}

type Tls = tokio_rustls::client::TlsStream<TcpStream>;

async fn handshake(
    config: Arc<rustls::ClientConfig>,
    domain: &str,
    tcp: TcpStream,
) -> Result<(Tls, Secured), ConnectError> {
    let name = ClientTls::server_name(domain)?;
    let stream = TlsConnector::from(config).connect(name, tcp).await.map_err(|error| untrusted(domain, &error))?;
    let bindings = client_bindings(stream.get_ref().1);
    Ok((stream, Secured { bindings, proven: Vec::new() }))
}

fn untrusted(domain: &str, error: &io::Error) -> ConnectError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(text)) => {
            ConnectError::Untrusted { domain: domain.to_owned(), text: text.to_string() }
        }
        _ => ConnectError::Tls(error.to_string()),
    }
}

/// Randomness for nonces and ids.
fn seed() -> Result<Seed, ConnectError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| ConnectError::Tls(format!("the system has no randomness: {error}")))?;
    Ok(Seed::new(bytes))
}

/// The machine's clock; tokio's, so that tests own it.
fn now() -> std::time::Instant {
    Instant::now().into_std()
}

/// Where a negotiation has come to.
enum Step {
    Closed(ClientFault),
    Ready(FullJid),
    StartTls,
}

/// Runs the machine until it needs TLS, has a session, or is over. One side speaks at a time here, so plain writes do.
async fn negotiate<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, machine: &mut ClientStream) -> Step {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        while let Some(output) = machine.output() {
            match output {
                ClientOutput::Close(fault) => {
                    // What is left was written before; the peer may have gone.
                    let _ = stream.shutdown().await;
                    return Step::Closed(fault);
                }
                ClientOutput::Derive(derivation) => match tokio::task::spawn_blocking(|| derivation.run()).await {
                    Ok(keys) => machine.derived(&keys),
                    Err(_) => return Step::Closed(ClientFault::Protocol("the key derivation failed")),
                },
                ClientOutput::Ready { jid, .. } => return Step::Ready(jid),
                ClientOutput::StartTls => return Step::StartTls,
                ClientOutput::Write(bytes) => match write_now(stream, &bytes).await {
                    Ok(()) => {}
                    Err(_) => machine.end_of_input(),
                },
                // Nothing can be for us before the session is there.
                _ => {}
            }
        }
        let deadline = machine.deadline().map(Instant::from_std);
        tokio::select! {
            // Cancellation safe: nothing is read if the deadline comes first.
            read = stream.read(&mut buffer) => match read {
                Ok(length @ 1..) => machine.receive(buffer.get(..length).unwrap_or_default()),
                Ok(0) | Err(_) => machine.end_of_input(),
            },
            () = until(deadline) => machine.wake(now()),
        }
    }
}

async fn write_now<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

/// Waits for a deadline, for ever if there is none.
async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

impl Bound {
    /// Moves stanzas between the stream and `end` until either is over or the token says goodbye.
    pub(super) fn drive(self, end: End) -> (CancellationToken, JoinHandle<()>) {
        let goodbye = CancellationToken::new();
        let (reader, writer) = tokio::io::split(self.stream);
        let drive = Loop { machine: self.machine, end, reader, writer, out: Vec::new(), unflushed: false, open: true };
        let task = tokio::spawn(drive.run(goodbye.clone()));
        (goodbye, task)
    }
}

/// Who uses the stream.
pub(super) enum End {
    /// A client that asks.
    Session(Driver),
    /// A concentrator, which takes every stanza as it comes.
    Uplink {
        /// To the concentrator.
        incoming: mpsc::Sender<Stanza>,
        /// From it.
        outgoing: mpsc::Receiver<Stanza>,
    },
}

impl End {
    /// The next stanza to write; none when nobody can send any more. Cancellation safe.
    async fn outgoing(&mut self) -> Option<Stanza> {
        match self {
            Self::Session(driver) => driver.outgoing().await,
            Self::Uplink { outgoing, .. } => outgoing.recv().await,
        }
    }

    /// Takes a stanza that came in; gives back what is to be answered to it at once.
    fn incoming(&self, stanza: Stanza) -> Option<Stanza> {
        match self {
            Self::Session(driver) => driver.incoming(stanza),
            Self::Uplink { incoming, .. } => match incoming.try_send(stanza) {
                Err(mpsc::error::TrySendError::Full(stanza)) => {
                    warn!(from = ?stanza.from(), "The concentrator is behind; a stanza was turned away.");
                    let owed = stanza.kind().is_request();
                    owed.then(|| Stanza::error_for(&stanza, StanzaCondition::ResourceConstraint))
                }
                Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => None,
            },
        }
    }

    fn close(&self, reason: String) {
        match self {
            Self::Session(driver) => driver.close(reason),
            Self::Uplink { .. } => info!(reason, "The uplink to the remote broker has ended."),
        }
    }
}

impl Connection {
    /// Says goodbye in order and waits until it is said.
    pub async fn leave(self) {
        self.goodbye.cancel();
        let mut task = self.task;
        if tokio::time::timeout(GOODBYE, &mut task).await.is_err() {
            task.abort();
        }
    }
}

/// A logged-in stream on its connection.
struct Loop<S> {
    machine: ClientStream,
    end: End,
    reader: ReadHalf<S>,
    writer: WriteHalf<S>,
    out: Vec<u8>,
    unflushed: bool,
    /// Stanzas may still be sent.
    open: bool,
}

impl<S: AsyncRead + AsyncWrite + Send> Loop<S> {
    async fn run(mut self, goodbye: CancellationToken) {
        let reason = self.turn(&goodbye).await;
        self.end.close(reason);
        // The connection is over either way.
        let _ = self.writer.shutdown().await;
    }

    async fn turn(&mut self, goodbye: &CancellationToken) -> String {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            if let Some(fault) = self.outputs() {
                // What the machine wanted to say last; a peer that is gone does not hear it.
                let _ = write_now(&mut self.writer, &self.out).await;
                return format!("{fault}.");
            }
            let deadline = self.machine.deadline().map(Instant::from_std);
            let writing = !self.out.is_empty() || self.unflushed;
            tokio::select! {
                // Every branch is cancellation safe: a read, a write of some bytes, a queue, a token, a timer.
                read = self.reader.read(&mut buffer) => match read {
                    Ok(length @ 1..) => self.machine.receive(buffer.get(..length).unwrap_or_default()),
                    Ok(0) | Err(_) => self.machine.end_of_input(),
                },
                written = write_some(&mut self.writer, &self.out), if writing => match written {
                    Ok(length) => {
                        self.unflushed = length > 0;
                        self.out.drain(..length.min(self.out.len()));
                    }
                    Err(_) => self.machine.end_of_input(),
                },
                stanza = self.end.outgoing(), if self.open && self.out.len() < WRITE_BYTES_MAX => match stanza {
                    Some(stanza) => self.machine.send(&stanza),
                    None => self.close(),
                },
                () = goodbye.cancelled(), if self.open => self.close(),
                () = until(deadline) => self.machine.wake(now()),
            }
        }
    }

    fn close(&mut self) {
        self.open = false;
        self.machine.close(now());
    }

    /// Takes everything the machine wants done; a fault ends the stream.
    fn outputs(&mut self) -> Option<ClientFault> {
        while let Some(output) = self.machine.output() {
            match output {
                ClientOutput::Close(fault) => return Some(fault),
                ClientOutput::Stanza(stanza) => {
                    if let Some(answer) = self.end.incoming(stanza) {
                        self.machine.send(&answer);
                    }
                }
                ClientOutput::Write(bytes) => self.out.extend_from_slice(&bytes),
                // Nothing of the negotiation comes again.
                _ => {}
            }
        }
        None
    }
}

/// Writes some bytes, or flushes if there are none.
async fn write_some<W: AsyncWrite + Unpin>(writer: &mut W, bytes: &[u8]) -> io::Result<usize> {
    if bytes.is_empty() {
        writer.flush().await?;
        return Ok(0);
    }
    match writer.write(bytes).await? {
        0 => Err(io::ErrorKind::WriteZero.into()),
        length => Ok(length),
    }
}
