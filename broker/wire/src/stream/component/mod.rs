//! The machine for the stream of an external component, our end: header, handshake, then stanzas of any address at its domain
//! (XEP-0114 §3, `jabber:component:accept`).
//!
//! What the machine does not do: TLS (the protocol has none, so its listeners stay on the loopback), routing, and deciding which of
//! two connections of one component lives.
//!
//! # Why
//! - A stanza without `from` is the component's own: the standard demands the attribute, much software forgets it, and who speaks is
//!   proven either way. One without `to` is answered with `bad-request`, since a component has no account to speak to.
//! - One wrong handshake ends the stream: there is nothing a second one could know better.

mod handshake;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{CLOSE_TIME, Why, foreign};
use crate::jid::{DomainPart, Jid};
use crate::ns;
use crate::reader::{STREAM_END, StreamEvent, StreamHeader, StreamReader};
use crate::secret::Secret;
use crate::seed::Seed;
use crate::stanza::{Stanza, StanzaCondition, StanzaError, StanzaFault};
use crate::stream_error::{StreamCondition, StreamError};
use crate::xml::{Element, Limits, Scope, Sink as _};

pub use handshake::proof;

/// Time from connecting to the end of the handshake: two short elements on one machine.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// What all streams of components share.
pub struct ComponentSettings {
    /// The components that may connect, by domain, with the secret that each shares with us.
    pub secrets: HashMap<DomainPart, Secret<String>>,
    /// Limits after the handshake; before it [`Limits::BEFORE_LOGIN`] holds.
    pub limits: Limits,
}

/// What the machine wants from its shell.
#[derive(Debug)]
#[non_exhaustive]
pub enum ComponentOutput {
    /// Write what is left, close the connection, forget the machine. Nothing follows.
    Close(Why),
    /// The component of this domain has proven that it knows the secret: stanzas come, and may be sent.
    Proven(DomainPart),
    /// A stanza of the component's: its `from` is at its domain, and it has a `to`.
    Stanza(Stanza),
    /// Write these bytes.
    Write(Vec<u8>),
}

/// One stream of a component, from its first byte to its last.
pub struct ComponentStream {
    settings: Arc<ComponentSettings>,
    seed: Seed,
    reader: StreamReader,
    out: Vec<u8>,
    /// A step raises one event at most, and no step is taken before it is taken.
    event: Option<ComponentOutput>,
    /// Our header is out, so an end tag is due.
    open: bool,
    /// Whom the other side says it is.
    claimed: Option<DomainPart>,
    stage: Stage,
    deadline: Option<Instant>,
}

#[derive(Debug)]
enum Stage {
    /// Its header is awaited.
    Header,
    /// Our header is out, which names the stream; the handshake is awaited.
    Handshake {
        domain: DomainPart,
        id: String,
    },
    /// Stanzas pass.
    Ready(DomainPart),
    /// Our end tag is out, its own is awaited.
    Closing,
    Closed,
}

fn fault(condition: StreamCondition, text: &'static str) -> Why {
    Why::Fault(StreamError::new(condition).with_text(text))
}

impl ComponentStream {
    /// The stream of a connection that a component opened. `seed` is for this stream alone.
    pub fn accept(settings: Arc<ComponentSettings>, seed: Seed, now: Instant) -> ComponentStream {
        ComponentStream {
            settings,
            seed,
            reader: StreamReader::new(Limits::BEFORE_LOGIN),
            out: Vec::new(),
            event: None,
            open: false,
            claimed: None,
            stage: Stage::Header,
            deadline: now.checked_add(HANDSHAKE_TIME),
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
            Stage::Closing => self.close_with(Why::ByUs),
            _ => self.close_with(Why::Lost),
        }
    }

    /// When to call [`ComponentStream::wake`]; `None` once the handshake is done.
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The clock says `now`; a deadline that has passed ends the stream.
    pub fn wake(&mut self, now: Instant) {
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return;
        }
        if matches!(self.stage, Stage::Closing) {
            self.close_with(Why::Slow);
        } else {
            self.fail(fault(StreamCondition::ConnectionTimeout, "The handshake took too long."));
        }
    }

    /// What to do next; `None` until something is received.
    pub fn output(&mut self) -> Option<ComponentOutput> {
        loop {
            if !self.out.is_empty() {
                return Some(ComponentOutput::Write(std::mem::take(&mut self.out)));
            }
            if let Some(event) = self.event.take() {
                return Some(event);
            }
            if matches!(self.stage, Stage::Closed) {
                return None;
            }
            match self.reader.next_event() {
                Ok(Some(event)) => self.event(event),
                Ok(None) => return None,
                Err(error) => self.fail(Why::Fault(error)),
            }
        }
    }

    fn event(&mut self, event: StreamEvent) {
        match (event, &self.stage) {
            (StreamEvent::Close, Stage::Closing) => self.close_with(Why::ByUs),
            (StreamEvent::Close, _) => {
                self.end();
                self.close_with(Why::ByPeer);
            }
            (_, Stage::Closing | Stage::Closed) => {}
            (StreamEvent::Element(element), _) => match StreamError::from_element(&element) {
                Some(error) => self.fail(Why::PeerFault(error)),
                None => self.step(|stream, stage| stream.element(stage, element)),
            },
            (StreamEvent::Open(header), _) => self.step(|stream, stage| stream.header(stage, &header)),
        }
    }

    /// Consumes the stage into the next one.
    fn step(&mut self, next: impl FnOnce(&mut ComponentStream, Stage) -> Result<Stage, Why>) {
        let stage = std::mem::replace(&mut self.stage, Stage::Closed);
        match next(self, stage) {
            Ok(stage) => self.stage = stage,
            Err(why) => {
                self.stage = Stage::Header; // any that is not over, so that the end is told
                self.fail(why);
            }
        }
    }

    // -- negotiation

    fn header(&mut self, stage: Stage, header: &StreamHeader) -> Result<Stage, Why> {
        if !matches!(stage, Stage::Header) {
            return Err(fault(StreamCondition::BadFormat, "Unexpected stream header."));
        }
        if header.content != ns::COMPONENT {
            let text = "This port is for components: the content namespace must be jabber:component:accept.";
            return Err(fault(StreamCondition::InvalidNamespace, text));
        }
        let Some(domain) = header.to.as_deref().and_then(|to| DomainPart::parse(to).ok()) else {
            let text = "The stream header must say in 'to' which component connects.";
            return Err(fault(StreamCondition::ImproperAddressing, text));
        };
        self.claimed = Some(domain.clone());
        if !self.settings.secrets.contains_key(&domain) {
            return Err(fault(StreamCondition::HostUnknown, "No component of that name is configured."));
        }
        let id = self.open(Some(domain.as_str()));
        Ok(Stage::Handshake { domain, id })
    }

    /// Opens our side, and answers the name that the stream now has.
    fn open(&mut self, from: Option<&str>) -> String {
        // XEP-0114 is older than versions of streams; with one, a component would wait for features.
        let mut header = StreamHeader { version: None, ..StreamHeader::new(ns::COMPONENT) };
        let id = self.seed.draw("stream");
        header.from = from.map(str::to_owned);
        header.id = Some(id.clone());
        header.write_to(&mut self.out);
        self.open = true;
        id
    }

    fn element(&mut self, stage: Stage, element: Element) -> Result<Stage, Why> {
        match stage {
            Stage::Handshake { domain, id } => self.handshake(domain, &id, &element),
            Stage::Ready(domain) => {
                self.stanza(&domain, element)?;
                Ok(Stage::Ready(domain))
            }
            // The reader gives no element before a header.
            Stage::Header | Stage::Closing | Stage::Closed => {
                Err(fault(StreamCondition::NotAuthorized, "The handshake comes first."))
            }
        }
    }

    fn handshake(&mut self, domain: DomainPart, id: &str, element: &Element) -> Result<Stage, Why> {
        if !element.is(ns::COMPONENT, "handshake") {
            return Err(fault(StreamCondition::NotAuthorized, "The handshake comes first."));
        }
        let secret = self.settings.secrets.get(&domain);
        if !secret.is_some_and(|secret| handshake::is_right(element, id, secret)) {
            return Err(fault(StreamCondition::NotAuthorized, "The handshake does not fit the secret."));
        }
        Element::new(ns::COMPONENT, "handshake").write_to(&mut self.out, &Scope::COMPONENT);
        self.deadline = None;
        self.reader.set_limits(self.settings.limits);
        self.event = Some(ComponentOutput::Proven(domain.clone()));
        Ok(Stage::Ready(domain))
    }

    // -- stanzas

    fn stanza(&mut self, domain: &DomainPart, element: Element) -> Result<(), Why> {
        let mut stanza = match foreign::read_of_component(element) {
            Ok(stanza) => stanza,
            Err(StanzaFault::Fatal(error)) => return Err(Why::Fault(error)),
            Err(refused) => {
                if let StanzaFault::Refused { stanza, .. } = &refused {
                    check_from(domain, stanza)?;
                }
                self.refuse(domain, refused.reply());
                return Ok(());
            }
        };
        check_from(domain, &stanza)?;
        if stanza.from().is_none() {
            stanza.set_from(Some(Jid::from_parts(None, domain, None)));
        }
        if stanza.to().is_none() {
            let error =
                StanzaError::new(StanzaCondition::BadRequest).with_text("Components say in 'to' whom they mean.");
            self.refuse(domain, StanzaFault::Refused { error, stanza: Box::new(stanza) }.reply());
            return Ok(());
        }
        self.event = Some(ComponentOutput::Stanza(stanza));
        Ok(())
    }

    fn refuse(&mut self, domain: &DomainPart, reply: Option<Stanza>) {
        let Some(mut reply) = reply else { return };
        if reply.to().is_none() {
            reply.set_to(Some(Jid::from_parts(None, domain, None)));
        }
        foreign::write(&reply, &Scope::COMPONENT, &mut self.out);
    }

    /// Sends stanzas that were written with [`to_bytes`]; `false`, and nothing is sent, unless the stream is ready.
    pub fn send_written(&mut self, bytes: &[u8]) -> bool {
        let ready = matches!(self.stage, Stage::Ready(_));
        if ready {
            self.out.extend_from_slice(bytes);
        }
        ready
    }

    /// The bytes to write by now, without asking for anything else; the same as what [`ComponentOutput::Write`] would give.
    pub fn written(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    // -- the end

    /// Whom the other side says it is, proven or not; for logs.
    pub fn claimed(&self) -> Option<&str> {
        self.claimed.as_ref().map(DomainPart::as_str)
    }

    /// Whether it is over, or only waits for the component to close its side.
    pub const fn is_ending(&self) -> bool {
        matches!(self.stage, Stage::Closing | Stage::Closed)
    }

    /// Closes in order and waits a while for the component to do the same.
    pub fn close(&mut self, now: Instant) {
        if !self.open {
            self.close_with(Why::ByUs);
        } else if !self.is_ending() {
            self.end();
            self.stage = Stage::Closing;
            self.deadline = now.checked_add(CLOSE_TIME);
        }
    }

    /// Closes with a stream error: `conflict`, `system-shutdown`...
    pub fn close_with_error(&mut self, error: StreamError) {
        self.fail(Why::Fault(error));
    }

    /// Tells the component why, as far as that is possible, and ends.
    fn fail(&mut self, why: Why) {
        if matches!(self.stage, Stage::Closed) {
            return;
        }
        if let Why::Fault(error) = &why
            && !matches!(self.stage, Stage::Closing)
        {
            if !self.open {
                // An error needs a stream around it, even if its own never began (RFC 6120 §4.9.1.2).
                self.open(None);
            }
            error.to_element().write_to(&mut self.out, &Scope::COMPONENT);
        }
        self.end();
        self.close_with(why);
    }

    fn end(&mut self) {
        if self.open {
            self.open = false;
            self.out.put(STREAM_END);
        }
    }

    fn close_with(&mut self, why: Why) {
        if !matches!(self.stage, Stage::Closed) {
            self.stage = Stage::Closed;
            self.deadline = None;
            // What the stream asked for is done: its words, if any, go before this.
            self.event = Some(ComponentOutput::Close(why));
        }
    }
}

/// XEP-0114 §3: any address at its own domain, and no other.
fn check_from(domain: &DomainPart, stanza: &Stanza) -> Result<(), Why> {
    if stanza.from().is_none_or(|from| from.domain() == domain.as_str()) {
        return Ok(());
    }
    Err(fault(StreamCondition::InvalidFrom, "The sender is not at the component's domain."))
}

/// A stanza as bytes for streams of components; see [`ComponentStream::send_written`].
pub fn to_bytes(stanza: &Stanza) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    foreign::write(stanza, &Scope::COMPONENT, &mut out);
    out
}

impl fmt::Debug for ComponentSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ComponentSettings").field("domains", &self.secrets.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for ComponentStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ComponentStream").field("stage", &self.stage).finish_non_exhaustive()
    }
}
