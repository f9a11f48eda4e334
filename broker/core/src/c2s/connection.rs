//! One client's connection: a task that owns the socket, its TLS and the stream's machine, and a loop without decisions of its own.
//!
//! Reading and writing take turns: what the client sent is routed stanza by stanza, then everything waiting for it is written at
//! once. An idle connection holds no buffers of ours: bytes are read into the stack and written from a buffer that is given back.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Sleep, sleep_until, timeout};
use torg_wire::jid::{Jid, ResourcePart};
use torg_wire::sasl::{Authenticated, ClientId};
use torg_wire::stanza::{Stanza, StanzaCondition, StanzaError};
use torg_wire::stream::{Output, ServerStream, Why};
use torg_wire::stream_error::{StreamCondition, StreamError};
use torg_wire::xep::ping;
use torg_wire::xml::Element;

use super::Shell;
use super::backoff::Attempts;
use super::bound::Bound;
use super::codec::Codec;
use super::gate::Place;
use super::inline;
use super::login::Question;
use super::managed::Management;
use crate::identity::Proof;
use crate::limits::{ANSWER_TIME, IDLE_TIME, STUCK};
use crate::router::Letter;
use crate::session::{BindError, Ending, Session, now};

/// Bytes read at once: one TLS record.
const READ: usize = 16 * 1024;
/// Bytes written at once: four TLS records; more would only delay reading.
const WRITE: usize = 64 * 1024;

/// Where a connection stands when its bytes stop being the machine's.
pub(super) enum Next {
    /// The client wants TLS on the bare connection.
    StartTls,
    /// The stream is over.
    Closed(Why),
}

pub(super) struct Connection<C> {
    codec: C,
    pub(super) shell: Arc<Shell>,
    pub(super) machine: ServerStream,
    /// Its place among those who have not logged in, until it has.
    pub(super) place: Option<Place>,
    /// Logins begun on it.
    pub(super) attempts: Attempts,
    pub(super) bound: Option<Bound>,
    /// The newest change to any account when the credentials of this login were read.
    pub(super) since: i64,
    /// When the client was last heard.
    heard: Instant,
    /// It has been asked since whether it is there.
    probed: bool,
    /// Reading goes on at this time: the account has sent more than its rate.
    throttled: Option<Instant>,
    /// Rings at the next deadline, or earlier.
    timer: Option<Pin<Box<Sleep>>>,
    out: Vec<u8>,
}

impl<C: Codec> Connection<C> {
    pub(super) fn new(shell: Arc<Shell>, machine: ServerStream, codec: C, place: Place) -> Self {
        Connection {
            codec,
            shell,
            machine,
            place: Some(place),
            attempts: Attempts::default(),
            bound: None,
            since: 0,
            heard: now(),
            probed: false,
            throttled: None,
            timer: None,
            out: Vec::new(),
        }
    }

    /// Runs the stream over `io` until it ends or turns to TLS. An error is that of the connection.
    pub(super) async fn run<S>(&mut self, io: &mut S) -> io::Result<Next>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            while let Some(output) = self.machine.output(now()) {
                if let Some(next) = self.follow(output, io).await? {
                    return Ok(next);
                }
            }
            if self.end_if_asked() || self.end_if_silent() || self.codec.advance(&mut self.machine) {
                continue;
            }
            if self.is_managed() && Box::pin(self.manage()).await {
                continue;
            }
            if let Some(bound) = &mut self.bound
                && bound.take(&mut self.out, WRITE, self.machine.framing(), now())
            {
                self.machine.request_ack();
                continue;
            }
            if self.out.is_empty() && !self.codec.owes() {
                self.wait(io).await?;
            } else {
                self.flush(io).await?;
            }
        }
    }

    async fn follow<S: AsyncWrite + Unpin>(&mut self, output: Output, io: &mut S) -> io::Result<Option<Next>> {
        match output {
            Output::Write(bytes) if self.out.is_empty() => self.out = bytes,
            Output::Write(bytes) => self.out.extend_from_slice(&bytes),
            Output::Stanza(stanza) if self.is_managed() => Box::pin(self.handle_counted(stanza)).await,
            Output::Stanza(stanza) => {
                let Some(bound) = &self.bound else { return Ok(None) };
                self.shell.router.shared().counters.stanzas_received.add(1);
                match self.shell.router.accept(&bound.session, stanza) {
                    Ok(None) => {}
                    Ok(Some(work)) => work.await,
                    Err(error) => self.machine.close_with_error(error),
                }
            }
            Output::Refused(answer) => {
                if let Some(bound) = &self.bound {
                    if let Some(sm) = bound.session.sm() {
                        sm.handled();
                    }
                    if let Some(answer) = answer {
                        Letter::new(answer).give(&bound.session); // full: it has asked more than it reads
                    }
                }
            }
            Output::StartTls => {
                self.flush(io).await?;
                return Ok(Some(Next::StartTls));
            }
            Output::Close(why) => {
                // What is another connection's already does not wait for this one's last words.
                if self.bound.as_ref().is_some_and(Bound::is_taken_over) {
                    self.bound = None;
                }
                let flushed = self.flush(io).await;
                // The session ends now, not when the peer has taken notice.
                if let Some(mut bound) = self.bound.take() {
                    bound.ended(&why);
                }
                flushed?;
                self.codec.farewell(&mut self.out);
                // The other side may be gone already; it has been told.
                let _ = timeout(STUCK, io.write_all(&self.out)).await;
                let _ = timeout(STUCK, io.shutdown()).await;
                return Ok(Some(Next::Closed(why)));
            }
            Output::Authorise(account) => Box::pin(self.answer(Question::Authorise(account))).await,
            Output::CheckPassword(check) => Box::pin(self.answer(Question::CheckPassword(check))).await,
            Output::Lookup { account, hash } => Box::pin(self.answer(Question::Lookup { account, hash })).await,
            Output::Register(request) => {
                let address = self.place.as_ref().and_then(Place::address);
                let answer = Box::pin(self.shell.router.register_stranger(address, &request)).await;
                self.machine.registered(&answer);
            }
            Output::StoreKeys { account, keys } => Box::pin(self.answer(Question::StoreKeys { account, keys })).await,
            Output::Tokens { account, client } => Box::pin(self.answer(Question::Tokens { account, client })).await,
            Output::UseToken(token_use) => Box::pin(self.answer(Question::UseToken(token_use))).await,
            Output::Bind { account, mechanism, class, resource, client, inline } => {
                let who = Authenticated { account, mechanism, class };
                Box::pin(self.bind(who, &resource, client, &inline)).await;
            }
            output => {
                if Box::pin(self.follow_managed(output)).await.is_some() {
                    tracing::error!("The stream's machine asks something unknown.");
                }
            }
        }
        Ok(None)
    }

    async fn bind(
        &mut self,
        who: Authenticated,
        resource: &ResourcePart,
        client: Option<ClientId>,
        wishes: &[Element],
    ) {
        let Authenticated { account, mechanism, class } = who;
        let jid = account.with_resource(resource);
        let allowance = self.shell.router.allowance(&account, class);
        let session = Session::new(jid.clone(), Proof::Client(mechanism.name()), true, self.since, allowance);
        inline::begin_with(&session, wishes);
        let session = Arc::new(session.of_client(client));
        match self.shell.router.bind(&session).await {
            Ok(()) => {
                self.bound = Some(Bound::new(self.shell.router.clone(), session));
                self.welcome(&account);
                self.shell.router.shared().counters.bound.add(1);
                tracing::debug!(session = %jid, mechanism = mechanism.name(), "Session bound.");
                self.machine.bound(Ok(jid), now());
            }
            Err(BindError::TooMany) => {
                let error = StanzaError::new(StanzaCondition::ResourceConstraint).with_text("Too many sessions.");
                self.machine.bound(Err(error), now());
            }
        }
    }

    /// The router wants the session to end: another one took its resource, or the broker stops.
    fn end_if_asked(&mut self) -> bool {
        let Some(bound) = &mut self.bound else { return false };
        let error = match bound.session.queue.ending() {
            Some(Ending::Now(error)) => error,
            Some(Ending::Drained(error)) if bound.session.queue.is_written() && self.out.is_empty() => error,
            _ if bound.is_taken_over() => StreamError::new(StreamCondition::Conflict),
            _ => return false,
        };
        if self.machine.jid().is_none() {
            return false; // it is closing already
        }
        self.machine.close_with_error(error);
        true
    }

    fn is_managed(&self) -> bool {
        self.bound.as_ref().is_some_and(|bound| bound.management.is_some())
    }

    /// A client that was silent for long is asked whether it is there; one that does not answer is not (XEP-0478).
    fn end_if_silent(&mut self) -> bool {
        let Some(bound) = &mut self.bound else { return false };
        let now = now();
        let silence = now.saturating_duration_since(self.heard);
        if silence < IDLE_TIME || self.machine.jid().is_none() {
            return false;
        }
        if silence >= IDLE_TIME + ANSWER_TIME {
            self.heard = now;
            self.machine.close_with_error(StreamError::new(StreamCondition::ConnectionTimeout));
            return true;
        }
        if !std::mem::replace(&mut self.probed, true) {
            match &mut bound.management {
                Some(management) => management.probe(now),
                None => drop(Letter::new(probe(&bound.session)).give(&bound.session)),
            }
        }
        false
    }

    /// When the silence of the client matters next.
    fn silent_at(&self) -> Option<Instant> {
        self.bound.as_ref().and(self.machine.jid())?;
        self.heard.checked_add(if self.probed { IDLE_TIME + ANSWER_TIME } else { IDLE_TIME })
    }

    /// Waits for bytes, stanzas or a deadline.
    async fn wait<S: AsyncRead + Unpin>(&mut self, io: &mut S) -> io::Result<()> {
        let management = self.bound.as_ref().and_then(|bound| bound.management.as_deref());
        let owes = management.is_some_and(Management::owes);
        let silent = earlier(self.silent_at(), management.and_then(Management::deadline));
        let deadline = earlier(earlier(self.machine.deadline(), self.throttled), self.codec.deadline());
        let deadline = earlier(deadline, silent);
        let bound = self.bound.as_ref().map(|bound| Arc::clone(&bound.session));
        let sm = bound.as_deref().and_then(Session::sm);
        let (machine, codec, timer) = (&mut self.machine, &mut self.codec, &mut self.timer);
        let stop = &self.shell.router.shared().stop;
        tokio::select! {
            read = receive(io, machine, codec), if self.throttled.is_none() => match read? {
                0 => self.machine.end_of_input(),
                count => {
                    self.heard = now();
                    self.probed = false;
                    self.count(count);
                }
            },
            () = async { if let Some(session) = &bound { session.queue.ready().await } }, if bound.is_some() => {}
            () = async { if let Some(sm) = sm { sm.settled(None).await } }, if owes => {}
            () = stop.cancelled(), if bound.is_none() => {
                self.machine.close_with_error(StreamError::new(StreamCondition::SystemShutdown));
            }
            () = set(timer, deadline.unwrap_or_else(now)), if deadline.is_some() => self.wake(),
        }
        Ok(())
    }

    fn wake(&mut self) {
        let now = now();
        if self.throttled.is_some_and(|until| until <= now) {
            self.throttled = None;
        }
        self.codec.wake(now);
        self.machine.wake(now);
    }

    /// Bytes of a logged-in client count against the rate of its account. Beyond it we read later, and TCP makes the client wait.
    fn count(&mut self, bytes: usize) {
        self.shell.router.shared().counters.bytes_received.add(u64::try_from(bytes).unwrap_or(u64::MAX));
        let Some(bound) = &self.bound else { return };
        let now = now();
        let wait = bound.session.allowance.take_bytes(bytes, now);
        if wait > Duration::ZERO {
            self.throttled = now.checked_add(wait);
        }
    }

    async fn flush<S: AsyncWrite + Unpin>(&mut self, io: &mut S) -> io::Result<()> {
        self.codec.encode(&mut self.out)?;
        if self.out.is_empty() {
            return Ok(());
        }
        let write = async {
            io.write_all(&self.out).await?;
            io.flush().await
        };
        let bound = &self.bound;
        let taken_over = async {
            match bound {
                Some(bound) => bound.taken_over().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            written = timeout(STUCK, write) => written.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??,
            () = taken_over => return Err(io::ErrorKind::ConnectionAborted.into()),
        }
        let counters = &self.shell.router.shared().counters;
        counters.bytes_sent.add(u64::try_from(self.out.len()).unwrap_or(u64::MAX));
        let stanzas = self.bound.as_ref().map_or(0, |bound| bound.in_flight.len());
        counters.stanzas_sent.add(u64::try_from(stanzas).unwrap_or(u64::MAX));
        self.out = Vec::new();
        if let Some(bound) = &mut self.bound {
            bound.written();
        }
        Ok(())
    }
}

/// XEP-0199: any answer tells that somebody is there, even that the question was not understood.
fn probe(session: &Session) -> Stanza {
    let domain = session.jid.domain();
    let from = Jid::parse(domain).ok();
    let mut ping = Stanza::iq_get("are-you-there", ping::request()).with_to(&session.jid);
    ping.set_from(from);
    ping
}

/// The timer, which is moved only to an earlier time, or once it has rung: deadlines move on with every stanza, and a timer that now and
/// then rings for nothing costs less than to move it with them.
fn set(timer: &mut Option<Pin<Box<Sleep>>>, at: Instant) -> Pin<&mut Sleep> {
    let at = at.into();
    let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
    if timer.is_elapsed() || at < timer.deadline() {
        timer.as_mut().reset(at);
    }
    timer.as_mut()
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Reads into the stack and feeds the machine: no buffer outlives the call. Cancel safe: bytes are fed as soon as they are there.
///
/// TLS gives one record at a time; all that have come are taken at once, so that what they bring is answered with one write.
async fn receive<S, C>(io: &mut S, machine: &mut ServerStream, codec: &mut C) -> io::Result<usize>
where
    S: AsyncRead + Unpin,
    C: Codec,
{
    std::future::poll_fn(|context| {
        let mut space = [const { MaybeUninit::uninit() }; READ];
        let mut buffer = ReadBuf::uninit(&mut space);
        let mut read = ready!(Pin::new(&mut *io).poll_read(context, &mut buffer));
        let mut count = 0;
        while read.is_ok() && buffer.filled().len() > count && buffer.remaining() > 0 {
            count = buffer.filled().len();
            match Pin::new(&mut *io).poll_read(context, &mut buffer) {
                Poll::Ready(more) => read = more,
                Poll::Pending => break,
            }
        }
        if count > 0 || read.is_ok() {
            // An end or an error behind it shows again at the next reading.
            codec.receive(machine, buffer.filled());
            return Poll::Ready(Ok(buffer.filled().len()));
        }
        Poll::Ready(match read {
            Ok(()) => Ok(0),
            // A peer that just goes, without TLS's farewell or the stream's: no more than a lost connection.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            Err(error) => Err(error),
        })
    })
    .await
}
