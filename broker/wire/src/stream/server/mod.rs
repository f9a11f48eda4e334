//! The server's machine for a client's stream (RFC 6120 §4 to §7, receiving entity).
//!
//! Each state of the negotiation is a small struct in a file of its own, consumed into the next.

mod answers;
mod auth;
mod bind;
mod completion;
mod header;
mod output;
mod ready;
mod register;
mod sasl2;
mod starttls;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Instant;

use super::talk::Talk;
use super::{BIND_TIME, CLOSE_TIME, Framing, LOGIN_TIME, Secured, Why};
use crate::jid::{BareJid, FullJid};
use crate::reader::{StreamEvent, StreamHeader, StreamReader};
use crate::seed::Seed;
use crate::stanza::Stanza;
use crate::stream_error::{StreamCondition, StreamError};
use crate::xep::sm;
use crate::xml::{Element, Limits};
use auth::{AwaitAuth, Exchange};
use bind::{AwaitBind, Binding, Resuming};
use completion::Completion;
use header::AwaitHeader;
pub use output::{Output, ServerSettings};
use ready::Ready;
use starttls::{AwaitStartTls, Handshake};

/// One client's stream, from its first byte to its last.
#[derive(Debug)]
pub struct ServerStream {
    settings: Arc<ServerSettings>,
    reader: StreamReader,
    talk: Talk<Output>,
    stage: Stage,
    deadline: Option<Instant>,
}

#[derive(Debug)]
enum Stage {
    Negotiating(Box<Negotiation>),
    Ready(Ready),
    /// Our end tag is out, theirs is awaited.
    Closing,
    Closed,
}

/// What is needed until the resource is bound, and no longer.
#[derive(Debug)]
struct Negotiation {
    common: Common,
    step: Step,
}

/// What the steps share.
#[derive(Debug)]
struct Common {
    settings: Arc<ServerSettings>,
    seed: Seed,
    secured: Option<Secured>,
    /// Failed logins, and later failed binds.
    tries: u8,
    /// Who the client's stream header says it is from.
    from: Option<BareJid>,
    registrations: u8,
    /// Language of the client's stream header.
    lang: Option<compact_str::CompactString>,
}

/// The states of the negotiation. Resumption will be a further one.
#[derive(Debug)]
enum Step {
    Header(AwaitHeader),
    StartTls(AwaitStartTls),
    Handshake(Handshake),
    Auth(AwaitAuth),
    Exchange(Exchange),
    Completion(Box<Completion>),
    /// Logged in without a restart; becomes `Bind` at once.
    Authenticated(AwaitBind),
    Bind(AwaitBind),
    Binding(Binding),
    Resuming(Resuming),
    Ready(Ready),
}

type StepResult = Result<Step, Why>;

fn fault(condition: StreamCondition, text: &'static str) -> Why {
    Why::Fault(StreamError::new(condition).with_text(text))
}

impl ServerStream {
    /// A stream on a connection without TLS: STARTTLS will be required. `seed` is fresh randomness for this stream alone.
    pub fn new(settings: Arc<ServerSettings>, seed: Seed, now: Instant) -> ServerStream {
        ServerStream::start(settings, seed, None, Framing::Stream, now)
    }

    /// A stream on a connection that is secured already: direct TLS (XEP-0368).
    pub fn direct_tls(settings: Arc<ServerSettings>, seed: Seed, secured: Secured, now: Instant) -> ServerStream {
        ServerStream::start(settings, seed, Some(secured), Framing::Stream, now)
    }

    /// A stream over messages, as on a WebSocket (RFC 7395), secured by what is below. Behind a proxy that ends TLS for us there are
    /// no channel bindings. Feed it with [`ServerStream::receive_message`]; what it writes is cut at [`super::MESSAGE_END`].
    pub fn messages(settings: Arc<ServerSettings>, seed: Seed, secured: Secured, now: Instant) -> ServerStream {
        ServerStream::start(settings, seed, Some(secured), Framing::Messages, now)
    }

    fn start(
        settings: Arc<ServerSettings>,
        seed: Seed,
        secured: Option<Secured>,
        framing: Framing,
        now: Instant,
    ) -> ServerStream {
        let common =
            Common { settings: settings.clone(), seed, secured, tries: 0, registrations: 0, from: None, lang: None };
        ServerStream {
            settings,
            reader: match framing {
                Framing::Stream => StreamReader::new(Limits::BEFORE_LOGIN),
                Framing::Messages => StreamReader::messages(Limits::BEFORE_LOGIN),
            },
            talk: Talk::new(framing),
            stage: Stage::Negotiating(Box::new(Negotiation { common, step: Step::Header(AwaitHeader { who: None }) })),
            deadline: now.checked_add(LOGIN_TIME),
        }
    }

    // -- bytes and time

    /// Received bytes. Take every output before feeding more.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.reader.feed(bytes);
    }

    /// A received message, whole. Take every output before feeding another.
    pub fn receive_message(&mut self, message: &[u8]) {
        self.reader.feed_message(message);
    }

    /// How what is written is framed.
    pub const fn framing(&self) -> Framing {
        self.talk.framing()
    }

    /// Bytes that a message may have now: more than before once the client has logged in.
    pub const fn message_bytes_max(&self) -> usize {
        self.reader.limits().bytes
    }

    /// The connection ended: no further bytes will come.
    pub fn end_of_input(&mut self) {
        match self.stage {
            Stage::Closed => {}
            Stage::Closing => self.close_with(Why::ByUs),
            _ => self.close_with(Why::Lost),
        }
    }

    /// When to call [`ServerStream::wake`]; `None` once a resource is bound.
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The clock says `now`; a deadline that has passed ends the stream.
    pub fn wake(&mut self, now: Instant) {
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return;
        }
        let speechless = match &self.stage {
            Stage::Negotiating(negotiation) => matches!(negotiation.step, Step::Handshake(_)),
            Stage::Closing => true,
            Stage::Ready(_) | Stage::Closed => return,
        };
        if speechless {
            self.close_with(Why::Slow);
        } else {
            self.fail(fault(StreamCondition::ConnectionTimeout, "Login took too long."));
        }
    }

    /// What to do next; `None` until something is received or answered.
    pub fn output(&mut self, now: Instant) -> Option<Output> {
        loop {
            if let Some(bytes) = self.talk.take_bytes() {
                return Some(Output::Write(bytes));
            }
            if let Some(event) = self.talk.take_event() {
                return Some(event);
            }
            if self.is_waiting() {
                return None;
            }
            match self.reader.next_event() {
                Ok(Some(event)) => self.event(event, now),
                Ok(None) => return None,
                Err(error) => self.fail(Why::Fault(error)),
            }
        }
    }

    /// Whether the machine waits for an answer (or for nothing any more) and takes no further element.
    fn is_waiting(&self) -> bool {
        match &self.stage {
            Stage::Negotiating(negotiation) => match &negotiation.step {
                Step::Handshake(_) | Step::Binding(_) | Step::Resuming(_) => true,
                Step::Exchange(exchange) => exchange.is_waiting(),
                Step::Completion(completion) => completion.is_waiting(),
                _ => false,
            },
            Stage::Ready(ready) => ready.is_waiting(),
            Stage::Closing => false,
            Stage::Closed => true,
        }
    }

    fn event(&mut self, event: StreamEvent, now: Instant) {
        match (event, &mut self.stage) {
            (StreamEvent::Close, Stage::Closing) => self.close_with(Why::ByUs),
            (StreamEvent::Close, _) => {
                self.talk.end();
                self.close_with(Why::ByPeer);
            }
            (StreamEvent::Element(element), Stage::Ready(ready)) => {
                if let Err(why) = ready.element(element, &mut self.talk) {
                    self.fail(why);
                }
            }
            (StreamEvent::Element(element), Stage::Negotiating(_)) => {
                let empty = self.reader.is_blank();
                self.step(now, |step, common, talk| step.element(&element, empty, common, talk));
            }
            (StreamEvent::Open(header), Stage::Negotiating(_)) => {
                self.step(now, |step, common, talk| step.header(&header, common, talk))
            }
            // What comes after our end tag is not answered; a header cannot come twice without a restart.
            (_, Stage::Closing | Stage::Closed | Stage::Ready(_)) => {}
        }
    }

    /// Consumes the step into the next one.
    fn step(&mut self, now: Instant, next: impl FnOnce(Step, &mut Common, &mut Talk<Output>) -> StepResult) {
        let mut negotiation = match std::mem::replace(&mut self.stage, Stage::Closed) {
            Stage::Negotiating(negotiation) => negotiation,
            other => {
                self.stage = other;
                return;
            }
        };
        let Negotiation { common, step } = &mut *negotiation;
        let step = std::mem::replace(step, Step::Header(AwaitHeader { who: None }));
        match next(step, common, &mut self.talk) {
            Ok(Step::Ready(ready)) => {
                self.reader.set_limits(self.settings.limits);
                self.deadline = None;
                self.stage = Stage::Ready(ready);
            }
            Ok(Step::Authenticated(bind)) => {
                self.logged_in(now);
                negotiation.step = Step::Bind(bind);
                self.stage = Stage::Negotiating(negotiation);
            }
            Ok(step) => {
                self.entered(&step, now);
                negotiation.step = step;
                self.stage = Stage::Negotiating(negotiation);
            }
            Err(why) => {
                self.stage = Stage::Negotiating(negotiation);
                self.fail(why);
            }
        }
    }

    /// A restart is due where the next thing to come is a header (RFC 6120 §5.4.3.3 and §6.4.6).
    fn entered(&mut self, step: &Step, now: Instant) {
        if let Step::Header(header) = step {
            self.reader.restart();
            self.talk.restart();
            if header.who.is_some() {
                self.logged_in(now);
            }
        }
    }

    fn logged_in(&mut self, now: Instant) {
        self.reader.set_limits(self.settings.limits);
        self.deadline = now.checked_add(BIND_TIME);
    }

    // -- the session

    /// Says how many stanzas of the client have been handled; without effect unless the stream is managed.
    pub fn acknowledge(&mut self, h: u32) {
        self.manage(&sm::ack(h));
    }

    /// Asks the client how many stanzas it has handled; without effect unless the stream is managed.
    pub fn request_ack(&mut self) {
        self.manage(&sm::request());
    }

    fn manage(&mut self, element: &Element) {
        if let Stage::Ready(ready) = &self.stage
            && ready.is_managed()
        {
            self.talk.element(element);
        }
    }

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

    /// Sends a stanza that was written before with [`crate::xml::Scope::CLIENT`]; without effect unless a resource is bound.
    pub fn send_written(&mut self, bytes: &[u8]) {
        if let Stage::Ready(_) = self.stage {
            self.talk.bytes(bytes);
        }
    }

    /// Closes in order and waits a while for the peer to do the same.
    pub fn close(&mut self, now: Instant) {
        if self.hand_shaking() || !self.talk.is_open() {
            self.close_with(Why::ByUs);
        } else if !matches!(self.stage, Stage::Closing | Stage::Closed) {
            self.talk.end();
            self.stage = Stage::Closing;
            self.deadline = now.checked_add(CLOSE_TIME);
        }
    }

    /// Closes with a stream error: `conflict`, `system-shutdown`, `resource-constraint`...
    pub fn close_with_error(&mut self, error: StreamError) {
        self.fail(Why::Fault(error));
    }

    /// Between `<proceed/>` and the end of the handshake nothing may be written.
    fn hand_shaking(&self) -> bool {
        matches!(&self.stage, Stage::Negotiating(negotiation) if matches!(negotiation.step, Step::Handshake(_)))
    }

    /// Tells the peer why, as far as that is possible, and ends.
    fn fail(&mut self, why: Why) {
        if let Why::Fault(error) = &why
            && !self.hand_shaking()
            && !matches!(self.stage, Stage::Closing | Stage::Closed)
        {
            if !self.talk.is_open() {
                let header = self.last_header();
                self.talk.open(&header);
            }
            self.talk.error(error);
        }
        self.talk.end();
        self.close_with(why);
    }

    /// An error needs a stream around it, even if theirs never began (RFC 6120 §4.9.1.2).
    fn last_header(&mut self) -> StreamHeader {
        let mut header = StreamHeader::new(crate::ns::CLIENT);
        header.from = Some(self.settings.domain.as_str().into());
        if let Stage::Negotiating(negotiation) = &mut self.stage {
            header.id = Some(negotiation.common.seed.draw("stream"));
        }
        header
    }

    fn close_with(&mut self, why: Why) {
        if !matches!(self.stage, Stage::Closed) {
            self.stage = Stage::Closed;
            self.deadline = None;
            self.talk.ask(Output::Close(why));
        }
    }
}

impl Step {
    fn header(self, header: &StreamHeader, common: &mut Common, talk: &mut Talk<Output>) -> StepResult {
        match self {
            Step::Header(state) => state.header(header, common, talk),
            // The reader gives a header only after a restart.
            _ => Err(fault(StreamCondition::BadFormat, "Unexpected stream header.")),
        }
    }

    /// `empty`: nothing but white space waits behind this element.
    fn element(self, element: &Element, empty: bool, common: &mut Common, talk: &mut Talk<Output>) -> StepResult {
        if let Some(error) = StreamError::from_element(element) {
            return Err(Why::PeerFault(error));
        }
        match self {
            Step::StartTls(state) => state.element(element, empty, common, talk),
            Step::Auth(state) => state.element(element, common, talk),
            Step::Exchange(state) => state.element(element, common, talk),
            Step::Completion(state) => state.element(element, common, talk),
            Step::Bind(state) => state.element(element, common, talk),
            Step::Header(_)
            | Step::Handshake(_)
            | Step::Authenticated(_)
            | Step::Binding(_)
            | Step::Resuming(_)
            | Step::Ready(_) => Err(fault(StreamCondition::NotAuthorized, "Not now.")),
        }
    }
}
