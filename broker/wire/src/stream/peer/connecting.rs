//! How a stream begins that we opened: header, STARTTLS, header, then EXTERNAL where it is offered, dialback where it is not or fails.

use super::dialback::{self, Dialback};
use super::{DialbackAnswer, Pair, PeerEnd, PeerOutput, PeerProof, PeerStream, Stage, StageResult, Standing, fault};
use crate::jid::DomainPart;
use crate::ns;
use crate::reader::StreamHeader;
use crate::sasl::base64_encode;
use crate::stream::Why;
use crate::stream_error::{StreamCondition, StreamError};
use crate::xml::Element;

/// What the stream is for.
#[derive(Debug, Clone)]
pub(super) struct Goal {
    pub(super) pair: Pair,
    pub(super) only_checks: bool,
}

#[derive(Debug)]
pub(super) struct Step {
    goal: Goal,
    state: State,
    /// What the peer's certificate proves, once there is TLS.
    standing: Option<Standing>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Our header is out; theirs is awaited.
    Header { authenticated: bool },
    /// Their features are awaited.
    Features { authenticated: bool },
    /// We have asked for TLS.
    Proceed,
    /// TLS is being negotiated on the connection below.
    Handshake,
    /// We have shown our certificate and said so; now it is for them to believe it.
    External,
    /// We have sent a key.
    Claimed,
    /// Nothing is to be proven; keys are checked.
    Checking,
}

impl Step {
    pub(super) const fn new(goal: Goal) -> Step {
        Step { goal, state: State::Header { authenticated: false }, standing: None }
    }

    pub(super) const fn is_handshaking(&self) -> bool {
        matches!(self.state, State::Handshake)
    }

    /// Whether checks may be said at once.
    pub(super) const fn is_secured(&self) -> bool {
        matches!(self.state, State::Claimed | State::Checking)
    }

    fn then(mut self, state: State) -> Stage {
        self.state = state;
        Stage::Connecting(self)
    }
}

impl PeerStream {
    /// The first thing is said by who connects.
    pub(super) fn begun(mut self, standing: Option<Standing>) -> PeerStream {
        self.link.connecting = true;
        if let Stage::Connecting(step) = &mut self.stage {
            self.link.local = Some(step.goal.pair.local.clone());
            self.link.remote = Some(step.goal.pair.remote.clone());
            step.standing = standing;
        }
        match standing {
            Some(Standing::Unproven | Standing::Refused) => self.fail(distrusted()),
            _ => self.say_header(),
        }
        self
    }

    fn say_header(&mut self) {
        let mut header = StreamHeader::new(ns::SERVER);
        header.from = self.link.local.as_ref().map(|local| local.as_str().to_owned());
        header.to = self.link.remote.as_ref().map(|remote| remote.as_str().to_owned());
        header.lang = Some("en".into());
        self.voice.open(&header);
    }

    pub(super) fn connecting_secured(&mut self, mut step: Step, standing: Standing) -> StageResult {
        if step.state != State::Handshake {
            return Ok(Stage::Connecting(step));
        }
        self.reader.restart();
        self.voice.restart();
        if matches!(standing, Standing::Unproven | Standing::Refused) {
            return Err(distrusted());
        }
        step.standing = Some(standing);
        self.say_header();
        Ok(step.then(State::Header { authenticated: false }))
    }

    pub(super) fn connecting_header(&mut self, step: Step, header: &StreamHeader) -> StageResult {
        let State::Header { authenticated } = step.state else {
            return Err(fault(StreamCondition::BadFormat, "Unexpected stream header."));
        };
        if header.content != ns::SERVER {
            return Err(fault(StreamCondition::InvalidNamespace, "The content namespace must be jabber:server."));
        }
        if header.version_numbers().is_none_or(|(major, _)| major < 1) {
            return Err(fault(StreamCondition::UnsupportedVersion, "Version 1.0 is needed."));
        }
        if let Some(from) = &header.from
            && DomainPart::parse(from).ok().as_ref() != self.link.remote.as_ref()
        {
            return Err(fault(StreamCondition::InvalidFrom, "The answer comes from another domain."));
        }
        self.link.id = header.id.clone().unwrap_or_default();
        Ok(step.then(State::Features { authenticated }))
    }

    pub(super) fn connecting_element(&mut self, step: Step, element: Element) -> StageResult {
        match step.state {
            State::Features { .. } if !element.is(ns::STREAMS, "features") => {
                Err(fault(StreamCondition::UnsupportedStanzaType, "Features are due."))
            }
            State::Features { authenticated: true } => Ok(self.authenticated(&step)),
            State::Features { authenticated: false } if step.standing.is_some() => self.features(step, &element),
            State::Features { authenticated: false } => self.want_tls(step, &element),
            State::Proceed => self.proceed(step, &element),
            State::External => self.external_answer(step, element),
            State::Claimed => self.claim_answer(step, element),
            State::Checking => self.linked_element(element).map(|()| Stage::Connecting(step)),
            State::Header { .. } | State::Handshake => {
                Err(fault(StreamCondition::BadFormat, "An element out of order."))
            }
        }
    }

    fn want_tls(&mut self, step: Step, features: &Element) -> StageResult {
        if features.child(ns::TLS, "starttls").is_none() {
            self.voice.end();
            return Err(PeerEnd::NoTls);
        }
        self.voice.element(&Element::new(ns::TLS, "starttls"));
        Ok(step.then(State::Proceed))
    }

    fn proceed(&mut self, step: Step, element: &Element) -> StageResult {
        if !element.is(ns::TLS, "proceed") {
            return Err(PeerEnd::NoTls);
        }
        if !self.reader.is_blank() {
            return Err(Why::Injected.into());
        }
        self.voice.ask(PeerOutput::StartTls);
        Ok(step.then(State::Handshake))
    }

    /// The features inside TLS: what we offer to prove and how.
    fn features(&mut self, step: Step, features: &Element) -> StageResult {
        if step.goal.only_checks {
            self.say_checks();
            return Ok(step.then(State::Checking));
        }
        if features.child(ns::BIDI_FEATURE, "bidi").is_some() {
            self.voice.element(&Element::new(ns::BIDI, "bidi"));
            self.link.bidi = true;
        }
        let mechanisms = features.child(ns::SASL, "mechanisms");
        let external = mechanisms.is_some_and(|list| {
            list.children_named(ns::SASL, "mechanism").any(|mechanism| mechanism.text().trim() == "EXTERNAL")
        });
        if external {
            // The identity is said for those who do not take it from the header (XEP-0178 §3, step 10).
            let identity = base64_encode(step.goal.pair.local.as_str().as_bytes());
            let auth = Element::new(ns::SASL, "auth").with_attr("mechanism", "EXTERNAL").with_text(identity);
            self.voice.element(&auth);
            return Ok(step.then(State::External));
        }
        self.claim(step)
    }

    fn claim(&mut self, step: Step) -> StageResult {
        if self.link.id.is_empty() {
            return Err(fault(StreamCondition::BadFormat, "The stream has no id, which dialback needs."));
        }
        let Pair { local, remote } = &step.goal.pair;
        let key = self.settings.secret.key(remote, local, &self.link.id);
        self.voice.element(&dialback::claim(&step.goal.pair, &key));
        self.say_checks();
        Ok(step.then(State::Claimed))
    }

    fn external_answer(&mut self, step: Step, element: Element) -> StageResult {
        if element.is(ns::SASL, "success") {
            self.reader.restart();
            self.voice.restart();
            self.say_header();
            return Ok(step.then(State::Header { authenticated: true }));
        }
        if element.is(ns::SASL, "failure") {
            return self.claim(step);
        }
        self.unlinked(step, element)
    }

    fn claim_answer(&mut self, step: Step, element: Element) -> StageResult {
        let said =
            if element.namespace() == ns::DIALBACK { Dialback::read(&element).map_err(Why::Fault)? } else { None };
        let Some(Dialback::Result { pair, answer }) = said else { return self.unlinked(step, element) };
        if pair != step.goal.pair {
            return Err(super::link::unsolicited());
        }
        match answer {
            DialbackAnswer::Valid => Ok(self.authenticated(&step)),
            DialbackAnswer::Invalid => Err(PeerEnd::Refused("its check of our dialback key failed".into())),
            DialbackAnswer::Error(condition) => Err(PeerEnd::Refused(format!("dialback: {}", condition.name()))),
        }
    }

    /// Before our pair is open only answers to our checks come.
    fn unlinked(&mut self, step: Step, element: Element) -> StageResult {
        if element.namespace() != ns::DIALBACK {
            return Err(fault(StreamCondition::NotAuthorized, "Not now."));
        }
        self.linked_element(element).map(|()| Stage::Connecting(step))
    }

    /// The peer believes us. If both sides send, what we know of it counts as its proof (XEP-0288 §2.2).
    fn authenticated(&mut self, step: &Step) -> Stage {
        self.open(step.goal.pair.clone());
        if self.link.bidi {
            let proof = match step.standing {
                Some(Standing::Proven) => PeerProof::Certificate,
                // We went where DNS says the domain is, as a check by dialback would.
                _ => PeerProof::Dialback,
            };
            self.prove(step.goal.pair.clone(), proof);
        }
        self.say_checks();
        Stage::Linked
    }
}

fn distrusted() -> PeerEnd {
    let error =
        StreamError::new(StreamCondition::NotAuthorized).with_text("Your certificate does not prove your domain.");
    Why::Fault(error).into()
}
