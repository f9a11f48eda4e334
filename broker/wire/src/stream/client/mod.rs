//! The client's machine: from the first header to a bound resource, then stanzas (RFC 6120 §4 to §7, initiating entity).
//!
//! It sends no credentials before TLS, none that the settings do not allow, and believes only a server that knows the account.

mod auth;
mod bind;
mod ready;
mod starttls;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Instant;

use super::talk::Talk;
use super::{CLOSE_TIME, LOGIN_TIME, Secured, Why};
use crate::jid::{BareJid, FullJid, ResourcePart};
use crate::ns;
use crate::reader::{StreamEvent, StreamHeader, StreamReader};
use crate::sasl::{ClientError, Derivation, DerivedKeys, Failure, Login};
use crate::seed::Seed;
use crate::stanza::{Stanza, StanzaError};
use crate::stream_error::{StreamCondition, StreamError};
use crate::xml::{Element, Limits};
use auth::{AwaitMechanisms, Exchange};
use bind::{AwaitBindFeatures, Binding, Sessioning};
use ready::Ready;
use starttls::{AwaitProceed, AwaitTlsFeature};

/// Who logs in, and how carefully.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// The account; its domain is what the server's certificate must name.
    pub account: BareJid,
    /// User name, password and what else than SCRAM-SHA-256 will do.
    pub login: Login,
    /// The resource to ask for; the server chooses if there is none.
    pub resource: Option<ResourcePart>,
    /// Limits for what the server sends after login.
    pub limits: Limits,
}

/// What the machine wants from its shell.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientOutput {
    /// Write what is left, close the connection, forget the machine. Nothing follows.
    Close(ClientFault),
    /// Run the derivation where CPU time does no harm; answer with [`ClientStream::derived`].
    Derive(Derivation),
    /// Logged in and bound.
    Ready {
        /// The address of this session.
        jid: FullJid,
        /// What the server offers beyond: roster versions, stream management...
        features: Element,
    },
    /// A stanza for us.
    Stanza(Stanza),
    /// Begin the TLS handshake as client once everything is written; answer with [`ClientStream::secured`].
    StartTls,
    /// Write these bytes.
    Write(Vec<u8>),
}

/// Why a client's stream ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientFault {
    /// As a stream ends for either side.
    #[error(transparent)]
    Ended(Why),
    /// The server offers no TLS, or refuses it: nothing secret was sent.
    #[error("the server does not offer TLS, so nothing was sent to it")]
    NoTls,
    /// We do not go on with the login.
    #[error("login stopped: {0}")]
    Login(#[from] ClientError),
    /// The server refused the login.
    #[error("login refused: {failure}{}", text.as_deref().map(|text| format!(" ({text})")).unwrap_or_default())]
    Refused {
        /// Its reason.
        failure: Failure,
        /// Its words.
        text: Option<String>,
    },
    /// The server gave us no resource.
    #[error("no session was given: {0}")]
    NoSession(StanzaError),
    /// The server broke the protocol.
    #[error("the server broke the protocol: {0}")]
    Protocol(&'static str),
}

/// One stream of a client, from its first byte to its last.
#[derive(Debug)]
pub struct ClientStream {
    reader: StreamReader,
    talk: Talk<ClientOutput>,
    stage: Stage,
    deadline: Option<Instant>,
}

#[derive(Debug)]
enum Stage {
    Negotiating(Box<Negotiation>),
    Ready(Ready),
    Closing,
    Closed,
}

#[derive(Debug)]
struct Negotiation {
    common: Common,
    step: Step,
}

#[derive(Debug)]
struct Common {
    settings: Arc<ClientSettings>,
    seed: Seed,
    secured: Option<Secured>,
}

#[derive(Debug)]
enum Step {
    /// Our header is out; theirs is awaited, and then features for the step inside.
    Header(After),
    TlsFeature(AwaitTlsFeature),
    Proceed(AwaitProceed),
    Handshake,
    Mechanisms(AwaitMechanisms),
    Exchange(Exchange),
    BindFeatures(AwaitBindFeatures),
    Binding(Binding),
    Session(Sessioning),
    Ready(Ready),
}

/// What the features of the coming stream are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    Tls,
    Login,
    Bind,
}

type StepResult = Result<Step, ClientFault>;

impl ClientStream {
    /// A stream on a connection without TLS: it asks for STARTTLS and ends if there is none.
    pub fn new(settings: Arc<ClientSettings>, seed: Seed, now: Instant) -> ClientStream {
        ClientStream::start(settings, seed, None, now)
    }

    /// A stream on a connection that is secured already: direct TLS (XEP-0368).
    pub fn direct_tls(settings: Arc<ClientSettings>, seed: Seed, secured: Secured, now: Instant) -> ClientStream {
        ClientStream::start(settings, seed, Some(secured), now)
    }

    fn start(settings: Arc<ClientSettings>, seed: Seed, secured: Option<Secured>, now: Instant) -> ClientStream {
        let after = if secured.is_some() { After::Login } else { After::Tls };
        let common = Common { settings, seed, secured };
        let mut stream = ClientStream {
            reader: StreamReader::new(Limits::CLIENT),
            talk: Talk::new(super::Framing::Stream),
            stage: Stage::Closed,
            deadline: now.checked_add(LOGIN_TIME),
        };
        stream.talk.open(&common.header());
        stream.stage = Stage::Negotiating(Box::new(Negotiation { common, step: Step::Header(after) }));
        stream
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
            Stage::Closing => self.close_with(ClientFault::Ended(Why::ByUs)),
            _ => self.close_with(ClientFault::Ended(Why::Lost)),
        }
    }

    /// When to call [`ClientStream::wake`]; `None` once a resource is bound.
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The clock says `now`; a deadline that has passed ends the stream.
    pub fn wake(&mut self, now: Instant) {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.fail(ClientFault::Ended(Why::Slow));
        }
    }

    /// What to do next; `None` until something is received or answered.
    pub fn output(&mut self) -> Option<ClientOutput> {
        loop {
            if let Some(bytes) = self.talk.take_bytes() {
                return Some(ClientOutput::Write(bytes));
            }
            if let Some(event) = self.talk.take_event() {
                return Some(event);
            }
            if self.is_waiting() {
                return None;
            }
            match self.reader.next_event() {
                Ok(Some(event)) => self.event(event),
                Ok(None) => return None,
                Err(error) => self.fail(ClientFault::Ended(Why::Fault(error))),
            }
        }
    }

    fn is_waiting(&self) -> bool {
        match &self.stage {
            Stage::Negotiating(negotiation) => match &negotiation.step {
                Step::Handshake => true,
                Step::Exchange(exchange) => exchange.is_waiting(),
                _ => false,
            },
            Stage::Ready(_) | Stage::Closing => false,
            Stage::Closed => true,
        }
    }

    fn event(&mut self, event: StreamEvent) {
        match (event, &mut self.stage) {
            (StreamEvent::Close, Stage::Closing) => self.close_with(ClientFault::Ended(Why::ByUs)),
            (StreamEvent::Close, _) => {
                self.talk.end();
                self.close_with(ClientFault::Ended(Why::ByPeer));
            }
            (StreamEvent::Element(element), Stage::Ready(ready)) => {
                if let Err(fault) = ready.element(element, &mut self.talk) {
                    self.fail(fault);
                }
            }
            (StreamEvent::Element(element), Stage::Negotiating(_)) => {
                let empty = self.reader.is_blank();
                self.step(|step, common, talk| step.element(&element, empty, common, talk));
            }
            (StreamEvent::Open(header), Stage::Negotiating(_)) => {
                self.step(|step, common, _| step.header(&header, common))
            }
            (_, Stage::Closing | Stage::Closed | Stage::Ready(_)) => {}
        }
    }

    fn step(&mut self, next: impl FnOnce(Step, &mut Common, &mut Talk<ClientOutput>) -> StepResult) {
        let mut negotiation = match std::mem::replace(&mut self.stage, Stage::Closed) {
            Stage::Negotiating(negotiation) => negotiation,
            other => {
                self.stage = other;
                return;
            }
        };
        let Negotiation { common, step } = &mut *negotiation;
        let step = std::mem::replace(step, Step::Header(After::Tls));
        match next(step, common, &mut self.talk) {
            Ok(Step::Ready(ready)) => {
                self.deadline = None;
                self.stage = Stage::Ready(ready);
            }
            Ok(step) => {
                // A new stream begins after TLS and after login (RFC 6120 §5.4.3.3 and §6.4.6).
                if matches!(step, Step::Header(_)) {
                    self.reader.restart();
                    if step.is_after_login() {
                        self.reader.set_limits(common.settings.limits);
                    }
                    let header = common.header();
                    self.talk.open(&header);
                }
                negotiation.step = step;
                self.stage = Stage::Negotiating(negotiation);
            }
            Err(fault) => {
                self.stage = Stage::Negotiating(negotiation);
                self.fail(fault);
            }
        }
    }

    // -- answers

    /// The TLS handshake is done, and the certificate was good for the account's domain.
    pub fn secured(&mut self, secured: Secured) {
        self.step(|step, common, _| match step {
            Step::Handshake => {
                common.secured = Some(secured);
                Ok(Step::Header(After::Login))
            }
            other => Ok(other),
        });
    }

    /// The answer to [`ClientOutput::Derive`].
    pub fn derived(&mut self, keys: &DerivedKeys) {
        self.step(|step, _, talk| match step {
            Step::Exchange(exchange) => exchange.derived(keys, talk),
            other => Ok(other),
        });
    }

    // -- the session

    /// The address of the session, once a resource is bound.
    pub const fn jid(&self) -> Option<&FullJid> {
        match &self.stage {
            Stage::Ready(ready) => Some(ready.jid()),
            _ => None,
        }
    }

    /// Sends a stanza; without effect unless a resource is bound.
    pub fn send(&mut self, stanza: &Stanza) {
        if let Stage::Ready(_) = self.stage {
            self.talk.stanza(stanza);
        }
    }

    /// Closes in order and waits a while for the server to do the same.
    pub fn close(&mut self, now: Instant) {
        if self.hand_shaking() {
            self.close_with(ClientFault::Ended(Why::ByUs));
        } else if !matches!(self.stage, Stage::Closing | Stage::Closed) {
            self.talk.end();
            self.stage = Stage::Closing;
            self.deadline = now.checked_add(CLOSE_TIME);
        }
    }

    fn hand_shaking(&self) -> bool {
        matches!(&self.stage, Stage::Negotiating(negotiation) if matches!(negotiation.step, Step::Handshake))
    }

    fn fail(&mut self, fault: ClientFault) {
        if matches!(self.stage, Stage::Closed) {
            return;
        }
        if !self.hand_shaking() {
            if let ClientFault::Ended(Why::Fault(error)) = &fault
                && !matches!(self.stage, Stage::Closing)
            {
                self.talk.error(error);
            }
            self.talk.end();
        }
        self.close_with(fault);
    }

    fn close_with(&mut self, fault: ClientFault) {
        if !matches!(self.stage, Stage::Closed) {
            self.stage = Stage::Closed;
            self.deadline = None;
            self.talk.ask(ClientOutput::Close(fault));
        }
    }
}

impl Common {
    /// Our address is told only once the stream is protected (RFC 6120 §4.7.1).
    fn header(&self) -> StreamHeader {
        let mut header = StreamHeader::new(ns::CLIENT);
        header.from = self.secured.is_some().then(|| self.settings.account.as_str().into());
        header.to = Some(self.settings.account.domain().into());
        header.lang = Some("en".into());
        header
    }
}

impl Step {
    const fn is_after_login(&self) -> bool {
        matches!(self, Step::Header(After::Bind))
    }

    fn header(self, header: &StreamHeader, common: &Common) -> StepResult {
        let Step::Header(after) = self else { return Err(ClientFault::Protocol("unexpected stream header")) };
        check(header, common.settings.account.domain())?;
        Ok(match after {
            After::Tls => Step::TlsFeature(AwaitTlsFeature),
            After::Login => Step::Mechanisms(AwaitMechanisms),
            After::Bind => Step::BindFeatures(AwaitBindFeatures),
        })
    }

    fn element(self, element: &Element, empty: bool, common: &mut Common, talk: &mut Talk<ClientOutput>) -> StepResult {
        if let Some(error) = StreamError::from_element(element) {
            return Err(ClientFault::Ended(Why::PeerFault(error)));
        }
        match self {
            Step::TlsFeature(state) => state.element(element, talk),
            Step::Proceed(state) => state.element(element, empty, talk),
            Step::Mechanisms(state) => state.element(element, common, talk),
            Step::Exchange(state) => state.element(element, talk),
            Step::BindFeatures(state) => state.element(element, common, talk),
            Step::Binding(state) => state.element(element, common, talk),
            Step::Session(state) => state.element(element, talk),
            Step::Header(_) | Step::Handshake | Step::Ready(_) => Err(ClientFault::Protocol("an element out of order")),
        }
    }
}

fn check(header: &StreamHeader, domain: &str) -> Result<(), ClientFault> {
    let fault = |condition| ClientFault::Ended(Why::Fault(StreamError::new(condition)));
    if header.content != ns::CLIENT {
        return Err(fault(StreamCondition::InvalidNamespace));
    }
    if header.version_numbers().is_none_or(|(major, _)| major < 1) {
        return Err(fault(StreamCondition::UnsupportedVersion));
    }
    match &header.from {
        Some(from) if BareJid::parse(from).ok().is_none_or(|from| from.as_str() != domain) => {
            Err(fault(StreamCondition::InvalidFrom))
        }
        _ => Ok(()),
    }
}
