//! The machine for a stream between two servers, for both ends: STARTTLS or direct TLS, SASL EXTERNAL, dialback inside TLS,
//! stanzas in one direction or both (RFC 6120 §4 to §6, XEP-0178, XEP-0220, XEP-0288, XEP-0368).
//!
//! A stanza comes out only if its two domains were proven for this very stream. What the machine does not do: find peers, judge
//! certificates, call back for dialback; it asks for these through its output.
//!
//! # Why
//! - One machine for both ends: with bidirectional streams (XEP-0288) they differ in how they begin, and in nothing after.
//! - Proof is kept for pairs of domains, as dialback has it (XEP-0220 §1.3): that a peer speaks for a domain to one of ours does not
//!   say that it may write to another of ours.

mod accepting;
mod connecting;
mod dialback;
mod key;
mod link;
#[cfg(test)]
mod tests;
mod voice;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

pub use key::DialbackSecret;

use super::{CLOSE_TIME, LOGIN_TIME, Why, foreign};
use crate::jid::{DomainPart, JidError};
use crate::ns;
use crate::reader::{StreamEvent, StreamHeader, StreamReader};
use crate::seed::Seed;
use crate::stanza::{Stanza, StanzaCondition};
use crate::stream_error::{StreamCondition, StreamError};
use crate::xml::{Element, Limits, Scope};
use link::Link;
use voice::Voice;

/// Pairs of domains proven on one stream. A host of many domains opens another stream (XEP-0220 §2.5, `resource-constraint`).
pub const PAIRS_MAX: usize = 64;

/// Claims by dialback under way on one stream: each makes us call somebody.
pub const CLAIMS_MAX: usize = 8;

/// Checks of keys that wait for their answer on one stream.
pub const CHECKS_MAX: usize = 64;

/// Dialback elements from a peer that has proven nothing: a whole hosting site asks less, a flood more.
pub const QUESTIONS_MAX: u16 = 64;

/// Two domains that exchange stanzas.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pair {
    /// The one we serve.
    pub local: DomainPart,
    /// The one of the peer.
    pub remote: DomainPart,
}

/// Which domains we serve, at this moment.
pub trait Domains: Send + Sync {
    /// Whether stanzas for this domain are ours to handle.
    fn serves(&self, domain: &str) -> bool;
}

/// What all streams to and from other servers share.
#[derive(Clone)]
pub struct PeerSettings {
    /// What we serve.
    pub domains: Arc<dyn Domains>,
    /// Makes our dialback keys.
    pub secret: DialbackSecret,
    /// Limits once the peer has proven a domain; before that [`Limits::BEFORE_LOGIN`] holds.
    pub limits: Limits,
}

/// How a peer proved that it speaks for a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerProof {
    /// By its certificate.
    Certificate,
    /// By the server that DNS names for the domain, inside TLS (XEP-0220).
    Dialback,
}

/// What the peer's certificate, and our policy, say about a domain it claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The certificate proves the domain.
    Proven,
    /// It does not, but the domain may prove itself by dialback.
    Dialback,
    /// It does not, and nothing else would do.
    Unproven,
    /// We have nothing to do with this domain.
    Refused,
}

/// The answer to a claim or a check by dialback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialbackAnswer {
    /// The key is right.
    Valid,
    /// Somebody else made the key.
    Invalid,
    /// It could not be found out (XEP-0220 §2.5).
    Error(StanzaCondition),
}

/// A key that a peer has shown to us, to be checked with the server that answers for its domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialbackCheck {
    /// Our domain that was addressed, and the one claimed.
    pub pair: Pair,
    /// Name of the stream it was shown on.
    pub id: String,
    /// The key.
    pub key: String,
}

/// What the machine wants from its shell.
#[derive(Debug)]
#[non_exhaustive]
pub enum PeerOutput {
    /// An answer to a stanza that broke the rules, to be sent to the peer by whichever stream leads there.
    Bounce(Stanza),
    /// The answer to [`PeerStream::check`].
    Checked {
        /// What was asked.
        check: DialbackCheck,
        /// What the peer says.
        answer: DialbackAnswer,
    },
    /// Write what is left, close the connection, forget the machine. Nothing follows.
    Close(PeerEnd),
    /// What does this connection's certificate prove for this domain? Answer with [`PeerStream::judged`].
    Judge(DomainPart),
    /// Stanzas of ours may go out for this pair.
    Opened(Pair),
    /// Stanzas of the peer's come in for this pair from now on.
    Proven(Pair, PeerProof),
    /// A stanza of the peer's; its addresses are of a pair that was proven, by these means.
    Stanza(Stanza, PeerProof),
    /// Begin the TLS handshake once everything is written, as server or as client like the stream; answer with
    /// [`PeerStream::secured`].
    StartTls,
    /// Have this key checked on another connection; answer with [`PeerStream::verified`]. The stream goes on meanwhile.
    Verify(DialbackCheck),
    /// Write these bytes.
    Write(Vec<u8>),
}

/// Why a stream between servers ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerEnd {
    /// As any stream ends.
    #[error(transparent)]
    Ended(#[from] Why),
    /// The peer offers no TLS, or refuses it: nothing was sent to it.
    #[error("the peer does not offer TLS, so nothing was sent to it")]
    NoTls,
    /// The peer does not believe that we are who we say.
    #[error("the peer refuses us: {0}")]
    Refused(String),
}

/// One stream between servers, from its first byte to its last.
pub struct PeerStream {
    settings: Arc<PeerSettings>,
    seed: Seed,
    reader: StreamReader,
    voice: Voice,
    stage: Stage,
    link: Link,
    deadline: Option<Instant>,
}

#[derive(Debug)]
enum Stage {
    Accepting(accepting::Step),
    Connecting(connecting::Step),
    /// All has been said about who is who; further pairs may follow by dialback.
    Linked,
    /// Our end tag is out, theirs is awaited.
    Closing,
    Closed,
}

type StageResult = Result<Stage, PeerEnd>;

fn fault(condition: StreamCondition, text: &'static str) -> PeerEnd {
    Why::Fault(StreamError::new(condition).with_text(text)).into()
}

impl PeerStream {
    /// The stream of a connection that a peer opened, without TLS: STARTTLS will be required. `seed` is for this stream alone.
    pub fn accept(settings: Arc<PeerSettings>, seed: Seed, now: Instant) -> PeerStream {
        PeerStream::start(settings, seed, Stage::Accepting(accepting::Step::new(false)), now)
    }

    /// As [`PeerStream::accept`], of a connection that began with TLS (XEP-0368).
    pub fn accept_tls(settings: Arc<PeerSettings>, seed: Seed, now: Instant) -> PeerStream {
        PeerStream::start(settings, seed, Stage::Accepting(accepting::Step::new(true)), now)
    }

    /// The stream of a connection that we opened, without TLS: it ends if the peer does not offer STARTTLS.
    ///
    /// It proves our domain and asks to send for the pair. If `only_checks`, it proves nothing and only carries
    /// [checks](PeerStream::check), as an authoritative server is asked (XEP-0220 §2.1.2).
    pub fn connect(settings: Arc<PeerSettings>, pair: Pair, only_checks: bool, seed: Seed, now: Instant) -> PeerStream {
        let goal = connecting::Goal { pair, only_checks };
        PeerStream::start(settings, seed, Stage::Connecting(connecting::Step::new(goal)), now).begun(None)
    }

    /// As [`PeerStream::connect`], of a connection that is secured already (XEP-0368); see [`PeerStream::secured`].
    pub fn connect_tls(
        settings: Arc<PeerSettings>,
        pair: Pair,
        only_checks: bool,
        standing: Standing,
        seed: Seed,
        now: Instant,
    ) -> PeerStream {
        let goal = connecting::Goal { pair, only_checks };
        PeerStream::start(settings, seed, Stage::Connecting(connecting::Step::new(goal)), now).begun(Some(standing))
    }

    fn start(settings: Arc<PeerSettings>, seed: Seed, stage: Stage, now: Instant) -> PeerStream {
        PeerStream {
            settings,
            seed,
            reader: StreamReader::new(Limits::BEFORE_LOGIN),
            voice: Voice::default(),
            stage,
            link: Link::default(),
            deadline: now.checked_add(LOGIN_TIME),
        }
    }

    // -- bytes and time

    /// Received bytes. Take every output before feeding more.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.reader.feed(bytes);
    }

    /// The connection ended: no further bytes will come.
    pub fn end_of_input(&mut self) {
        match self.stage {
            Stage::Closed => {}
            Stage::Closing => self.close_with(Why::ByUs.into()),
            _ => self.close_with(Why::Lost.into()),
        }
    }

    /// When to call [`PeerStream::wake`]; `None` once a pair is proven or open.
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The clock says `now`; a deadline that has passed ends the stream.
    pub fn wake(&mut self, now: Instant) {
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return;
        }
        if matches!(self.stage, Stage::Closing) || self.is_handshaking() {
            self.close_with(Why::Slow.into());
        } else {
            self.fail(fault(StreamCondition::ConnectionTimeout, "No domain was proven in time."));
        }
    }

    /// What to do next; `None` until something is received or answered.
    pub fn output(&mut self) -> Option<PeerOutput> {
        loop {
            if let Some(bytes) = self.voice.take_bytes() {
                return Some(PeerOutput::Write(bytes));
            }
            if let Some(event) = self.voice.take_event() {
                return Some(event);
            }
            if self.is_waiting() {
                return None;
            }
            match self.reader.next_event() {
                Ok(Some(event)) => self.event(event),
                Ok(None) => return None,
                Err(error) => self.fail(Why::Fault(error).into()),
            }
        }
    }

    /// Whether the machine waits for an answer (or for nothing any more) and takes no further element.
    fn is_waiting(&self) -> bool {
        match &self.stage {
            Stage::Accepting(step) => step.is_waiting() || self.link.is_judging(),
            Stage::Connecting(step) => step.is_handshaking() || self.link.is_judging(),
            Stage::Linked => self.link.is_judging(),
            Stage::Closing => false,
            Stage::Closed => true,
        }
    }

    fn event(&mut self, event: StreamEvent) {
        match (event, &self.stage) {
            (StreamEvent::Close, Stage::Closing) => self.close_with(Why::ByUs.into()),
            (StreamEvent::Close, _) => {
                self.voice.end();
                self.close_with(Why::ByPeer.into());
            }
            // What was under way when we said goodbye still counts (RFC 6120 §4.4); there is nobody to complain to any more.
            (StreamEvent::Element(element), Stage::Closing) if element.namespace() == ns::SERVER => {
                let _ = self.linked_element(element);
            }
            (_, Stage::Closing | Stage::Closed) => {}
            (StreamEvent::Element(element), _) => match StreamError::from_element(&element) {
                Some(error) => self.fail(Why::PeerFault(error).into()),
                None => self.step(|stream, stage| stream.element(stage, element)),
            },
            (StreamEvent::Open(header), _) => self.step(|stream, stage| stream.header(stage, &header)),
        }
    }

    /// Consumes the stage into the next one.
    fn step(&mut self, next: impl FnOnce(&mut PeerStream, Stage) -> StageResult) {
        let stage = std::mem::replace(&mut self.stage, Stage::Closed);
        let handshaking = matches!(&stage, Stage::Accepting(step) if step.is_handshaking())
            || matches!(&stage, Stage::Connecting(step) if step.is_handshaking());
        match next(self, stage) {
            Ok(stage) => self.stage = stage,
            Err(end) => {
                self.stage = Stage::Linked; // any that is not over, so that the end is told
                if handshaking { self.close_with(end) } else { self.fail(end) }
            }
        }
        if !self.link.is_empty() && matches!(self.stage, Stage::Linked | Stage::Accepting(_)) && self.deadline.is_some()
        {
            self.deadline = None;
            self.reader.set_limits(self.settings.limits);
        }
    }

    fn header(&mut self, stage: Stage, header: &StreamHeader) -> StageResult {
        match stage {
            Stage::Accepting(step) => self.accepting_header(step, header),
            Stage::Connecting(step) => self.connecting_header(step, header),
            // The reader gives a header only after a restart.
            _ => Err(fault(StreamCondition::BadFormat, "Unexpected stream header.")),
        }
    }

    fn element(&mut self, stage: Stage, element: Element) -> StageResult {
        match stage {
            Stage::Accepting(step) => self.accepting_element(step, element),
            Stage::Connecting(step) => self.connecting_element(step, element),
            Stage::Linked => self.linked_element(element).map(|()| Stage::Linked),
            closed => Ok(closed),
        }
    }

    // -- answers

    /// The TLS handshake is done. For a stream that we opened: how the peer stands for the domain we look for; one that is
    /// neither [`Standing::Proven`] nor [`Standing::Dialback`] ends here. For others it is asked when they say who they are.
    pub fn secured(&mut self, standing: Option<Standing>) {
        self.step(|stream, stage| match stage {
            Stage::Accepting(step) => Ok(Stage::Accepting(stream.accepting_secured(step))),
            Stage::Connecting(step) => stream.connecting_secured(step, standing.unwrap_or(Standing::Unproven)),
            other => Ok(other),
        });
    }

    /// The answer to [`PeerOutput::Judge`].
    pub fn judged(&mut self, standing: Standing) {
        self.step(|stream, stage| match stage {
            Stage::Accepting(step) => stream.accepting_judged(step, standing),
            other => stream.claim_judged(standing).map(|()| other),
        });
    }

    /// The answer to [`PeerOutput::Verify`]. One that nobody waits for any more is dropped.
    pub fn verified(&mut self, check: &DialbackCheck, answer: DialbackAnswer) {
        self.step(|stream, stage| match stage {
            Stage::Closing | Stage::Closed => Ok(stage),
            open => stream.claim_verified(check, answer).map(|()| open),
        });
    }

    // -- the link

    /// Asks the peer whether it made a key. The answer comes as [`PeerOutput::Checked`]; `false` if too many are asked already,
    /// or if we did not open this stream.
    pub fn check(&mut self, check: DialbackCheck) -> bool {
        let secured = match &self.stage {
            Stage::Connecting(step) => step.is_secured(),
            Stage::Linked => self.link.is_connecting(),
            _ => return false,
        };
        self.ask(check, secured)
    }

    /// Sends a stanza; `false`, and nothing is sent, unless its pair of domains is open.
    pub fn send(&mut self, stanza: &Stanza) -> bool {
        let open = !matches!(self.stage, Stage::Closing | Stage::Closed) && self.link.may_send(stanza);
        if open {
            foreign::write(stanza, &Scope::SERVER, self.voice.bytes());
        }
        open
    }

    /// Sends a stanza that was written with [`to_bytes`] before; `false`, and nothing is sent, unless this pair, its own, is open.
    pub fn send_written(&mut self, pair: &Pair, bytes: &[u8]) -> bool {
        let open = !matches!(self.stage, Stage::Closing | Stage::Closed) && self.link.is_open(pair);
        if open {
            self.voice.bytes().extend_from_slice(bytes);
        }
        open
    }

    /// The bytes to write by now, without asking for anything else; the same as what [`PeerOutput::Write`] would give.
    pub fn written(&mut self) -> Vec<u8> {
        self.voice.take_bytes().unwrap_or_default()
    }

    /// Whether it is over, or only waits for the peer to close its side.
    pub const fn is_ending(&self) -> bool {
        matches!(self.stage, Stage::Closing | Stage::Closed)
    }

    /// Whether stanzas of ours may go out for this pair.
    pub fn is_open(&self, pair: &Pair) -> bool {
        self.link.is_open(pair)
    }

    /// Closes in order and waits a while for the peer to do the same.
    pub fn close(&mut self, now: Instant) {
        if self.is_handshaking() || !self.voice.is_open() {
            self.close_with(Why::ByUs.into());
        } else if !matches!(self.stage, Stage::Closing | Stage::Closed) {
            self.voice.end();
            self.stage = Stage::Closing;
            self.deadline = now.checked_add(CLOSE_TIME);
        }
    }

    /// Closes with a stream error: `system-shutdown`, `resource-constraint`...
    pub fn close_with_error(&mut self, error: StreamError) {
        self.fail(Why::Fault(error).into());
    }

    /// Between `<proceed/>` and the end of the handshake nothing may be written.
    fn is_handshaking(&self) -> bool {
        match &self.stage {
            Stage::Accepting(step) => step.is_handshaking(),
            Stage::Connecting(step) => step.is_handshaking(),
            _ => false,
        }
    }

    /// Tells the peer why, as far as that is possible, and ends.
    fn fail(&mut self, end: PeerEnd) {
        if matches!(self.stage, Stage::Closed) {
            return;
        }
        if self.is_handshaking() {
            return self.close_with(end);
        }
        if let PeerEnd::Ended(Why::Fault(error)) = &end
            && !matches!(self.stage, Stage::Closing)
        {
            if !self.voice.is_open() {
                // An error needs a stream around it, even if theirs never began (RFC 6120 §4.9.1.2).
                let mut header = StreamHeader::new(ns::SERVER);
                header.from = self.link.local().map(|local| local.as_str().to_owned());
                header.id = Some(self.seed.draw("stream"));
                self.voice.open(&header);
            }
            self.voice.element(&error.to_element());
        }
        self.voice.end();
        self.close_with(end);
    }

    fn close_with(&mut self, end: PeerEnd) {
        if !matches!(self.stage, Stage::Closed) {
            self.stage = Stage::Closed;
            self.deadline = None;
            self.voice.ask(PeerOutput::Close(end));
        }
    }
}

/// A stanza as bytes for streams between servers; see [`PeerStream::send_written`].
pub fn to_bytes(stanza: &Stanza) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    foreign::write(stanza, &Scope::SERVER, &mut out);
    out
}

impl Pair {
    /// From texts.
    ///
    /// # Errors
    /// One of them is no domain.
    pub fn new(local: &str, remote: &str) -> Result<Pair, JidError> {
        Ok(Pair { local: DomainPart::parse(local)?, remote: DomainPart::parse(remote)? })
    }

    /// The same two as the other side sees them.
    #[must_use]
    pub fn swapped(&self) -> Pair {
        Pair { local: self.remote.clone(), remote: self.local.clone() }
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.local.as_str(), self.remote.as_str())
    }
}

impl fmt::Debug for PeerSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerSettings").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl fmt::Debug for PeerStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerStream").field("stage", &self.stage).field("link", &self.link).finish_non_exhaustive()
    }
}
