//! One stream with another server: a task that owns the socket, its TLS and the stream's machine, and a loop without decisions of its
//! own. It carries the links whose pairs the machine has opened. However it ends, what it had not written goes back to them.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep_until, timeout};
use torg_wire::stream::peer::{
    CLAIMS_MAX, DialbackAnswer, DialbackCheck, Pair, PeerEnd, PeerOutput, PeerProof, PeerStream,
};
use torg_wire::stream_error::{StreamCondition, StreamError};

use super::link::{Link, Parcel};
use super::roll::Entry;
use super::{Budget, callback, outbound};
use crate::c2s::Place;
use crate::limits::STUCK;
use crate::router::Router;
use crate::session::now;

/// Bytes read at once: one TLS record.
const READ: usize = 16 * 1024;
/// Bytes written at once: four TLS records.
const WRITE: usize = 64 * 1024;
/// A stream that we opened and that has carried nothing for so long is closed: reopening costs a round trip or two, keeping it a socket
/// on either side.
pub const IDLE: Duration = Duration::from_secs(10 * 60);
/// The same for one that the peer opened; who opened it should be the one to close it.
pub const IDLE_ACCEPTED: Duration = Duration::from_secs(30 * 60);

/// Where a connection stands when its bytes stop being the machine's, or when there is something to say about it.
pub(super) enum Next {
    /// An answer to a check of ours.
    Checked(DialbackAnswer),
    /// The stream is over.
    Closed(PeerEnd),
    /// The first pair is open.
    Open,
    /// TLS is to begin on the bare connection.
    StartTls,
}

/// When [`Connection::run`] answers, besides the end and TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    Checked,
    End,
    Open,
}

pub(super) struct Connection {
    router: Router,
    pub(super) machine: PeerStream,
    /// What the peer showed in the TLS handshake.
    pub(super) chain: Vec<CertificateDer<'static>>,
    idle: Duration,
    /// Its place among those who have proven nothing, then among those who have; none if we opened it.
    place: Option<Place>,
    budget: Option<Arc<Budget>>,
    entry: Option<Entry>,
    /// Told when a link has something to send.
    wake: Arc<Notify>,
    links: Vec<Arc<Link>>,
    /// Taken from each link and not yet written.
    in_flight: Vec<(Arc<Link>, Vec<Parcel>)>,
    /// Keys of the peer's that have been checked elsewhere.
    verified: mpsc::Receiver<(DialbackCheck, DialbackAnswer)>,
    verifying: mpsc::Sender<(DialbackCheck, DialbackAnswer)>,
    /// Reading goes on at this time: the peer has sent more than its rate.
    throttled: Option<Instant>,
    /// When it last carried a stanza.
    used: Instant,
    /// When its first pair opened.
    opened: Option<Instant>,
    out: Vec<u8>,
    buffer: Vec<u8>,
}

impl Connection {
    pub(super) fn new(router: Router, machine: PeerStream, idle: Duration, place: Option<Place>) -> Self {
        let (verifying, verified) = mpsc::channel(CLAIMS_MAX);
        let entry = router.links().map(|links| Entry::new(&links.roll));
        Connection {
            router,
            machine,
            chain: Vec::new(),
            idle,
            place,
            budget: None,
            entry,
            wake: Arc::new(Notify::new()),
            links: Vec::new(),
            in_flight: Vec::new(),
            verified,
            verifying,
            throttled: None,
            used: now(),
            opened: None,
            out: Vec::new(),
            buffer: vec![0; READ],
        }
    }

    /// Runs the stream over `io` until there is something to say. An error is that of the connection.
    pub(super) async fn run<S>(&mut self, io: &mut S, until: Until) -> io::Result<Next>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            while let Some(output) = self.machine.output() {
                if let Some(next) = self.follow(output, io, until).await? {
                    return Ok(next);
                }
            }
            self.take();
            if self.out.is_empty() {
                if !self.ends_idle() {
                    self.wait(io).await?;
                }
            } else {
                self.flush(io).await?;
            }
        }
    }

    async fn follow<S>(&mut self, output: PeerOutput, io: &mut S, until: Until) -> io::Result<Option<Next>>
    where
        S: AsyncWrite + Unpin,
    {
        match output {
            PeerOutput::Write(bytes) if self.out.is_empty() => self.out = bytes,
            PeerOutput::Write(bytes) => self.out.extend_from_slice(&bytes),
            PeerOutput::Stanza(stanza, proof) => {
                self.used = now();
                let Some(budget) = self.budget.clone() else { return Ok(None) };
                self.count(0, 1);
                if let Some(work) = self.router.accept_remote(&budget, proof, stanza) {
                    work.await;
                }
            }
            PeerOutput::Bounce(stanza) => self.router.answer(stanza),
            PeerOutput::Judge(domain) => {
                let standing = match self.router.links() {
                    Some(links) => links.standing(domain.as_str(), &self.chain, None).await,
                    None => torg_wire::stream::peer::Standing::Refused,
                };
                self.machine.judged(standing);
            }
            PeerOutput::Verify(check) => self.verify(check),
            PeerOutput::Proven(pair, proof) => self.proven(&pair, proof),
            PeerOutput::Opened(pair) => {
                self.open(&pair);
                if until == Until::Open {
                    return Ok(Some(Next::Open));
                }
            }
            PeerOutput::Checked { answer, .. } if until == Until::Checked => return Ok(Some(Next::Checked(answer))),
            PeerOutput::Checked { .. } => {}
            PeerOutput::StartTls => {
                self.flush(io).await?;
                return Ok(Some(Next::StartTls));
            }
            PeerOutput::Close(end) => {
                // What it carried goes on now, not when the peer has taken notice.
                self.let_go();
                let flushed = self.flush(io).await;
                flushed?;
                // The other side may be gone already; it has been told.
                let _ = timeout(STUCK, io.shutdown()).await;
                return Ok(Some(Next::Closed(end)));
            }
            _ => tracing::error!("The stream's machine asks something unknown."),
        }
        Ok(None)
    }

    fn proven(&mut self, pair: &Pair, proof: PeerProof) {
        tracing::info!(%pair, ?proof, "A peer has proven its domain.");
        self.used = now();
        if let Some(entry) = &self.entry {
            entry.incoming(pair);
        }
        if self.budget.is_some() {
            return;
        }
        let Some(links) = self.router.links() else { return };
        if let Some(place) = self.place.take() {
            self.place = links.proven.enter(place.address());
            if self.place.is_none() {
                let error = StreamError::new(StreamCondition::ResourceConstraint);
                return self.machine.close_with_error(error.with_text("Too many streams of servers."));
            }
        }
        self.budget = links.budgets.of(pair.remote.as_str(), &links.limits, now());
        if self.budget.is_none() {
            let error = StreamError::new(StreamCondition::ResourceConstraint);
            self.machine.close_with_error(error.with_text("Too many streams of your domain."));
        }
    }

    /// Takes over what waits for the pair, unless another stream does that already.
    fn open(&mut self, pair: &Pair) {
        tracing::info!(%pair, "A link to a peer is open.");
        self.opened.get_or_insert_with(now);
        self.used = now();
        if let Some(entry) = &self.entry {
            entry.outgoing(pair);
        }
        let Some(links) = self.router.links() else { return };
        let link = links.table.link(pair.local.as_str(), pair.remote.as_str(), now());
        if let Some(link) = link.filter(|link| link.carry(&self.wake)) {
            self.links.push(link);
        }
    }

    /// Whether it carries a link.
    pub(super) fn carries(&self) -> bool {
        !self.links.is_empty()
    }

    /// Has a key of the peer's checked, without holding up the stream. The check ends with the stream, so that who comes again and again
    /// leaves no heap of them behind.
    fn verify(&self, check: DialbackCheck) {
        let Some(links) = self.router.links() else { return };
        let (router, answers) = (self.router.clone(), self.verifying.clone());
        links.spawn(&self.router, async move {
            tokio::select! {
                answer = callback::verify(&router, &check) => {
                    let _ = answers.send((check.clone(), answer)).await; // the stream may be gone
                }
                () = answers.closed() => {}
            }
        });
    }

    /// Takes the next stanzas of all links, about as many as are written at once.
    fn take(&mut self) {
        for link in &self.links {
            if self.out.len() >= WRITE {
                return;
            }
            let mut parcels = Vec::new();
            link.take(&mut parcels, WRITE);
            if parcels.is_empty() {
                continue;
            }
            self.used = now();
            for parcel in &parcels {
                self.machine.send_written(&link.pair, &parcel.text);
            }
            self.out.append(&mut self.machine.written());
            self.in_flight.push((Arc::clone(link), parcels));
        }
    }

    /// Ends the stream when it has carried nothing for long, or when the broker stops and nothing waits. Answers whether it does now.
    fn ends_idle(&mut self) -> bool {
        let now = now();
        if self.machine.is_ending() {
            return false;
        }
        let stopping = self.router.links().is_none_or(|links| links.closing.is_cancelled());
        let idle = self.machine.deadline().is_none() && now >= self.used + self.idle;
        if !stopping && !idle || self.links.iter().any(|link| !link.is_empty()) {
            return false;
        }
        self.let_go();
        if stopping {
            self.machine.close_with_error(StreamError::new(StreamCondition::SystemShutdown));
        } else {
            self.machine.close(now);
        }
        true
    }

    /// Waits until there is something to do. Every branch is cancel safe: bytes are fed as soon as they are read.
    async fn wait<S: AsyncRead + Unpin>(&mut self, io: &mut S) -> io::Result<()> {
        let Some(links) = self.router.links() else { return Ok(()) };
        let now = now();
        let closing = links.closing.clone();
        let stopping = closing.is_cancelled() || self.machine.is_ending();
        let idle = if self.machine.deadline().is_none() { Some(self.used + self.idle) } else { None };
        let deadline = [self.machine.deadline(), self.throttled, idle].into_iter().flatten().min();
        tokio::select! {
            read = io.read(&mut self.buffer), if self.throttled.is_none() => {
                match read {
                    Ok(0) => self.machine.end_of_input(),
                    // A peer that just goes, without TLS's farewell or the stream's: no more than a lost connection.
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => self.machine.end_of_input(),
                    Ok(count) => {
                        self.machine.receive(self.buffer.get(..count).unwrap_or_default());
                        self.count(count, 0);
                    }
                    Err(error) => return Err(error),
                }
            }
            () = self.wake.notified() => {}
            Some((check, answer)) = self.verified.recv() => self.machine.verified(&check, answer),
            () = closing.cancelled(), if !stopping => {}
            () = sleep_until(deadline.unwrap_or(now).into()), if deadline.is_some() => self.wake(),
        }
        Ok(())
    }

    fn wake(&mut self) {
        let now = now();
        if self.throttled.is_some_and(|until| until <= now) {
            self.throttled = None;
        }
        self.machine.wake(now);
    }

    /// What a proven peer sends counts against the rate of its domain. Beyond it we read later, and TCP makes the peer wait.
    fn count(&mut self, bytes: usize, stanzas: usize) {
        let Some(budget) = &self.budget else { return };
        let now = now();
        let wait = budget.take(bytes, stanzas, now);
        if wait > Duration::ZERO {
            self.throttled = now.checked_add(wait);
        }
    }

    async fn flush<S: AsyncWrite + Unpin>(&mut self, io: &mut S) -> io::Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        let write = async {
            io.write_all(&self.out).await?;
            io.flush().await
        };
        timeout(STUCK, write).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        self.out = Vec::new();
        self.in_flight = Vec::new();
        Ok(())
    }

    /// Gives its links back, and what it took from them if it could not be written whole: the peer may have got some of that, and
    /// hears it twice rather than never. What waits there finds another way.
    fn let_go(&mut self) {
        for link in std::mem::take(&mut self.links) {
            for (_, parcels) in self.in_flight.iter_mut().filter(|(of, _)| Arc::ptr_eq(of, &link)) {
                link.give_back(std::mem::take(parcels));
            }
            if link.release(&self.wake) {
                let lived = self.opened.map_or(Duration::ZERO, |opened| now().saturating_duration_since(opened));
                outbound::go_on(&self.router, link, lived);
            }
        }
        self.in_flight = Vec::new();
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.let_go();
    }
}
