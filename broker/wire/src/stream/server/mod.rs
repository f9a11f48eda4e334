//! The server's machine for a client's stream (RFC 6120 §4 to §7, receiving entity).
//!
//! Each state of the negotiation is a small struct in a file of its own, consumed into the next.

mod auth;
mod bind;
mod completion;
#[cfg(test)]
mod flights_tests;
mod header;
#[cfg(test)]
mod message_tests;
mod ready;
mod register;
mod sasl2;
#[cfg(test)]
mod sasl2_tests;
#[cfg(test)]
mod sm_tests;
mod starttls;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Instant;

use super::talk::Talk;
use super::{BIND_TIME, CLOSE_TIME, Framing, LOGIN_TIME, Secured, Why};
use crate::jid::{BareJid, DomainPart, FullJid, ResourcePart};
use crate::reader::{StreamEvent, StreamHeader, StreamReader};
use crate::sasl::{
    self, AccountClass, ClientId, Credentials, Failure, IssuedToken, PasswordCheck, PasswordVerdict, ScramHash,
    StoredKeys, TokenUse, Tokens,
};
use crate::seed::Seed;
use crate::stanza::{Stanza, StanzaError};
use crate::stream_error::{StreamCondition, StreamError};
use crate::xep::csi::ClientState;
use crate::xep::sm;
use crate::xml::{Element, Limits};
use auth::{AwaitAuth, Exchange};
use bind::{AwaitBind, Binding, Resuming};
use completion::Completion;
use header::AwaitHeader;
use ready::Ready;
use starttls::{AwaitStartTls, Handshake};

/// What all streams of a listener share.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// The domain we serve.
    pub domain: DomainPart,
    /// Which logins are allowed.
    pub policy: sasl::Policy,
    /// Features to advertise before login besides the mechanisms: registration (XEP-0077 §8).
    pub before_login: Vec<Element>,
    /// Features to advertise after login besides bind and session: roster versioning, pre-approval, stream limits...
    pub features: Vec<Element>,
    /// What a session may begin with when it is bound together with the login (XEP-0386 §3.1): names of features.
    pub bind_inline: Vec<&'static str>,
    /// Limits after login; before it [`Limits::BEFORE_LOGIN`] holds.
    pub limits: Limits,
}

/// What the machine wants from its shell.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output {
    /// The client has handled so many stanzas of ours (XEP-0198 §4).
    Acked(u32),
    /// The client asks how many of its stanzas have been handled; say so with [`ServerStream::acknowledge`], soon.
    AckRequest,
    /// May this account, proven by certificate, log in? Answer with [`ServerStream::authorised`].
    Authorise(BareJid),
    /// Bind this resource; answer with [`ServerStream::bound`]. Another resource may be given instead.
    Bind {
        /// The account that logged in.
        account: BareJid,
        /// How it logged in.
        mechanism: sasl::Mechanism,
        /// What stands behind it.
        class: AccountClass,
        /// The resource it asked for, or a random one, or both for a thing.
        resource: ResourcePart,
        /// Which installation of its client it is, if it said so. Its earlier sessions have come to their end.
        client: Option<ClientId>,
        /// What the session shall begin with (XEP-0386 §3.2); the results go with [`ServerStream::bound_with`].
        inline: Vec<Element>,
    },
    /// Run the check where CPU time does no harm; answer with [`ServerStream::password_checked`].
    CheckPassword(PasswordCheck),
    /// The client says whether somebody looks at it (XEP-0352).
    ClientState(ClientState),
    /// Write what is left, close the connection, forget the machine. Nothing follows.
    Close(Why),
    /// Manage the stream of the bound resource (XEP-0198 §3); answer with [`ServerStream::enabled`]. Both counts begin with it.
    Enable(sm::Enable),
    /// Look up the keys of this account; answer with [`ServerStream::credentials`] or [`ServerStream::store_failed`].
    Lookup {
        /// The account.
        account: BareJid,
        /// The hash whose keys are wanted.
        hash: ScramHash,
    },
    /// A stanza of the client that goes no further, and the answer to it, if it gets one.
    Refused(Option<Stanza>),
    /// Go on with a former session of this account (XEP-0198 §5); answer with [`ServerStream::resumed`].
    Resume {
        /// The account that logged in.
        account: BareJid,
        /// How it logged in.
        mechanism: sasl::Mechanism,
        /// What the account is.
        class: sasl::AccountClass,
        /// Which session, and what the client has of it.
        request: sm::Resume,
    },
    /// A registration request of a client that has not logged in (XEP-0077), on an encrypted stream; answer with
    /// [`ServerStream::registered`].
    Register(Stanza),
    /// Keep these keys of an account that has none for their hash; answer with [`ServerStream::keys_stored`] or
    /// [`ServerStream::store_failed`].
    StoreKeys {
        /// The account.
        account: BareJid,
        /// The keys.
        keys: StoredKeys,
    },
    /// A stanza of the client, its `from` either absent or proven to be its own.
    Stanza(Stanza),
    /// Look up the tokens of one installation; answer with [`ServerStream::tokens`] or [`ServerStream::store_failed`].
    Tokens {
        /// The account.
        account: BareJid,
        /// Which installation of its client.
        client: ClientId,
    },
    /// Note what became of a token, make a new one; answer with [`ServerStream::token_used`] or [`ServerStream::store_failed`].
    UseToken(TokenUse),
    /// Begin the TLS handshake as server once everything is written; answer with [`ServerStream::secured`].
    StartTls,
    /// Write these bytes.
    Write(Vec<u8>),
}

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

    // -- answers

    /// The TLS handshake is done.
    pub fn secured(&mut self, secured: Secured, now: Instant) {
        self.step(now, |step, common, _| match step {
            Step::Handshake(handshake) => Ok(handshake.secured(secured, common)),
            other => Ok(other),
        });
    }

    /// The answer to [`Output::Lookup`]: `None` for an unknown account, or one without keys for this hash.
    pub fn credentials(&mut self, found: Option<Credentials>, now: Instant) {
        self.answer(now, |server, policy| server.credentials(found, policy));
    }

    /// The store did not answer [`Output::Lookup`], [`Output::Authorise`], [`Output::Tokens`], [`Output::UseToken`] or
    /// [`Output::StoreKeys`].
    pub fn store_failed(&mut self, now: Instant) {
        self.step(now, |step, common, talk| match step {
            Step::Exchange(exchange) => exchange.answer(|server, _| server.unavailable(), common, talk),
            Step::Completion(completion) => completion.store_failed(common, talk),
            other => Ok(other),
        });
    }

    /// The answer to [`Output::Tokens`]: `None` for an unknown account.
    pub fn tokens(&mut self, found: Option<Tokens>, now: Instant) {
        self.step(now, |step, common, talk| match step {
            Step::Exchange(exchange) => {
                let count = exchange.count();
                exchange.answer(|server, _| server.tokens(found, count), common, talk)
            }
            other => Ok(other),
        });
    }

    /// The answer to [`Output::UseToken`]: the new token if one was wanted and can be had, or why the login fails after all.
    pub fn token_used(&mut self, answer: Result<Option<IssuedToken>, Failure>, now: Instant) {
        self.step(now, |step, common, talk| match step {
            Step::Completion(completion) => completion.token_used(answer, common, talk),
            other => Ok(other),
        });
    }

    /// The answer to [`Output::StoreKeys`].
    pub fn keys_stored(&mut self, now: Instant) {
        self.step(now, |step, common, talk| match step {
            Step::Completion(completion) => completion.keys_stored(common, talk),
            other => Ok(other),
        });
    }

    /// The answer to [`Output::CheckPassword`].
    pub fn password_checked(&mut self, verdict: PasswordVerdict, now: Instant) {
        self.answer(now, |server, _| server.checked(verdict));
    }

    /// The answer to [`Output::Authorise`]: the account's class, or `None` if it may not log in.
    pub fn authorised(&mut self, class: Option<AccountClass>, now: Instant) {
        self.answer(now, |server, _| server.authorised(class));
    }

    fn answer(&mut self, now: Instant, answer: impl FnOnce(&mut sasl::Server, &sasl::Policy) -> sasl::ServerStep) {
        self.step(now, |step, common, talk| match step {
            Step::Exchange(exchange) => exchange.answer(answer, common, talk),
            other => Ok(other),
        });
    }

    /// The answer to [`Output::Register`]; without effect once the client has logged in.
    pub fn registered(&mut self, answer: &Stanza) {
        if let Stage::Negotiating(_) = self.stage {
            self.talk.stanza(answer);
        }
    }

    /// The answer to [`Output::Bind`]: the address of the session, or why not (`conflict`, `resource-constraint`...).
    pub fn bound(&mut self, answer: Result<FullJid, StanzaError>, now: Instant) {
        self.bound_with(answer.map(|jid| (jid, Vec::new())), now);
    }

    /// As [`ServerStream::bound`], with the results of what the session was to begin with.
    pub fn bound_with(&mut self, answer: Result<(FullJid, Vec<Element>), StanzaError>, now: Instant) {
        self.step(now, |step, common, talk| match step {
            Step::Binding(binding) => binding.bound(answer.map(|(jid, _)| jid), common, talk),
            Step::Completion(completion) => completion.bound(answer, common, talk),
            other => Ok(other),
        });
    }

    /// The answer to [`Output::Resume`]: the address of the session and how many stanzas of the client it has handled.
    pub fn resumed(&mut self, answer: Result<(FullJid, u32), sm::Failed>, now: Instant) {
        self.step(now, |step, common, talk| match step {
            Step::Resuming(resuming) => resuming.resumed(answer, common, talk),
            Step::Completion(completion) => completion.resumed(answer, common, talk),
            other => Ok(other),
        });
    }

    /// The answer to [`Output::Enable`]. What is sent from now on counts.
    pub fn enabled(&mut self, answer: Result<&sm::Enabled, &sm::Failed>, now: Instant) {
        if let Stage::Ready(ready) = &mut self.stage {
            ready.enabled(answer, &mut self.talk);
            return;
        }
        self.step(now, |step, common, talk| match step {
            Step::Completion(completion) => Ok(completion.enabled(answer, common, talk)),
            other => Ok(other),
        });
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
