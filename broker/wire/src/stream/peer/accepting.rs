//! How a stream begins that a peer opened: header, STARTTLS, header, EXTERNAL or dialback (RFC 6120 §4.3, XEP-0178 §3, XEP-0288 §2).

use super::{Pair, PeerEnd, PeerProof, PeerStream, Stage, StageResult, Standing, fault};
use crate::jid::DomainPart;
use crate::ns;
use crate::reader::StreamHeader;
use crate::sasl::{Failure, base64_decode};
use crate::stream::{TRIES_MAX, Why};
use crate::stream_error::StreamCondition;
use crate::xml::Element;

use super::PeerOutput;

#[derive(Debug)]
pub(super) enum Step {
    /// A header is awaited: the first, after TLS, after EXTERNAL.
    Header { secured: bool, authenticated: bool },
    /// STARTTLS is offered, and nothing else.
    StartTls,
    /// TLS is being negotiated on the connection below.
    Handshake,
    /// The header is here; what the certificate proves for its domain is being asked.
    Judging,
    /// The features are out. `external`: the certificate proves the domain of the header.
    Offered { external: bool, tries: u8 },
}

impl Step {
    pub(super) const fn new(secured: bool) -> Step {
        Step::Header { secured, authenticated: false }
    }

    pub(super) const fn is_waiting(&self) -> bool {
        matches!(self, Step::Handshake | Step::Judging)
    }

    pub(super) const fn is_handshaking(&self) -> bool {
        matches!(self, Step::Handshake)
    }
}

impl PeerStream {
    pub(super) fn accepting_header(&mut self, step: Step, header: &StreamHeader) -> StageResult {
        let Step::Header { secured, authenticated } = step else {
            return Err(fault(StreamCondition::BadFormat, "Unexpected stream header."));
        };
        self.check_header(header)?;
        if !secured {
            self.answer_header();
            let starttls = Element::new(ns::TLS, "starttls").with_child(Element::new(ns::TLS, "required"));
            self.voice.element(&Element::new(ns::STREAMS, "features").with_child(starttls));
            return Ok(Stage::Accepting(Step::StartTls));
        }
        if authenticated {
            self.answer_header();
            self.voice.element(&Element::new(ns::STREAMS, "features").with_child(dialback_feature()));
            if let (Some(local), Some(remote)) = (self.link.local.clone(), self.link.remote.clone()) {
                self.prove(Pair { local, remote }, PeerProof::Certificate);
            }
            return Ok(Stage::Linked);
        }
        match &self.link.remote {
            Some(remote) => {
                self.voice.ask(PeerOutput::Judge(remote.clone()));
                Ok(Stage::Accepting(Step::Judging))
            }
            // It may want to check a key and nothing else.
            None => Ok(self.offer(false)),
        }
    }

    /// Both domains are pinned by the first header that names them: a peer does not become another one half way (CVE-2018-10847).
    fn check_header(&mut self, header: &StreamHeader) -> Result<(), PeerEnd> {
        if header.content != ns::SERVER {
            let text = "This port is for servers: the content namespace must be jabber:server.";
            return Err(fault(StreamCondition::InvalidNamespace, text));
        }
        if header.version_numbers().is_none_or(|(major, _)| major < 1) {
            return Err(fault(StreamCondition::UnsupportedVersion, "Version 1.0 is needed."));
        }
        let Some(to) = &header.to else {
            let text = "The stream header must say in 'to' which domain it is for.";
            return Err(fault(StreamCondition::ImproperAddressing, text));
        };
        let to = DomainPart::parse(to)
            .map_err(|_| fault(StreamCondition::ImproperAddressing, "The stream header's 'to' is no domain."))?;
        if !self.settings.domains.serves(to.as_str()) || self.link.local.as_ref().is_some_and(|local| *local != to) {
            return Err(fault(StreamCondition::HostUnknown, "This server does not serve that domain on this stream."));
        }
        self.link.local = Some(to);
        let Some(from) = &header.from else { return Ok(()) };
        let from = DomainPart::parse(from)
            .map_err(|_| fault(StreamCondition::InvalidFrom, "The stream header's 'from' is no domain."))?;
        let ours = self.settings.domains.serves(from.as_str());
        if ours || self.link.remote.as_ref().is_some_and(|remote| *remote != from) {
            return Err(fault(StreamCondition::InvalidFrom, "The stream header's 'from' is not yours."));
        }
        self.link.remote = Some(from);
        Ok(())
    }

    fn answer_header(&mut self) {
        let mut header = StreamHeader::new(ns::SERVER);
        header.from = self.link.local.as_ref().map(|local| local.as_str().to_owned());
        header.to = self.link.remote.as_ref().map(|remote| remote.as_str().to_owned());
        header.lang = Some("en".into());
        self.link.id = self.seed.draw("stream");
        header.id = Some(self.link.id.clone());
        self.voice.open(&header);
    }

    fn offer(&mut self, external: bool) -> Stage {
        self.answer_header();
        let mut features = Element::new(ns::STREAMS, "features");
        if external {
            let mechanism = Element::new(ns::SASL, "mechanism").with_text("EXTERNAL");
            features.push(Element::new(ns::SASL, "mechanisms").with_child(mechanism));
        }
        features.push(Element::new(ns::BIDI_FEATURE, "bidi"));
        features.push(dialback_feature());
        let most = Element::new(ns::STREAM_LIMITS, "max-bytes").with_text(self.settings.limits.bytes.to_string());
        features.push(Element::new(ns::STREAM_LIMITS, "limits").with_child(most));
        self.voice.element(&features);
        Stage::Accepting(Step::Offered { external, tries: 0 })
    }

    pub(super) fn accepting_secured(&mut self, step: Step) -> Step {
        if !matches!(step, Step::Handshake) {
            return step;
        }
        self.reader.restart();
        self.voice.restart();
        Step::Header { secured: true, authenticated: false }
    }

    pub(super) fn accepting_judged(&mut self, step: Step, standing: Standing) -> StageResult {
        match step {
            Step::Judging if standing == Standing::Refused => {
                Err(fault(StreamCondition::PolicyViolation, "This server does not talk to yours."))
            }
            Step::Judging => Ok(self.offer(standing == Standing::Proven)),
            other => self.claim_judged(standing).map(|()| Stage::Accepting(other)),
        }
    }

    pub(super) fn accepting_element(&mut self, step: Step, element: Element) -> StageResult {
        match step {
            Step::StartTls => self.start_tls(&element),
            Step::Offered { external, tries } => {
                if element.is(ns::SASL, "auth") {
                    return self.external(&element, external, tries);
                }
                if element.is(ns::BIDI, "bidi") {
                    // Before anything is proven, or it would mean nothing (XEP-0288 §2.2).
                    self.link.bidi |= self.link.is_empty();
                } else {
                    self.linked_element(element)?;
                }
                Ok(Stage::Accepting(Step::Offered { external, tries }))
            }
            Step::Header { .. } | Step::Handshake | Step::Judging => {
                Err(fault(StreamCondition::NotAuthorized, "Not now."))
            }
        }
    }

    fn start_tls(&mut self, element: &Element) -> StageResult {
        if !element.is(ns::TLS, "starttls") {
            return Err(fault(StreamCondition::NotAuthorized, "Start TLS first."));
        }
        if !self.reader.is_blank() {
            // Whoever put bytes behind it wants them to be read as if they had come through TLS.
            self.voice.element(&Element::new(ns::TLS, "failure"));
            return Err(Why::Injected.into());
        }
        self.voice.element(&Element::new(ns::TLS, "proceed"));
        self.voice.ask(PeerOutput::StartTls);
        Ok(Stage::Accepting(Step::Handshake))
    }

    /// The certificate speaks; what is left to say is whom it should speak for, and that can only be the domain of the header
    /// (RFC 6120 §6.3.8, XEP-0178 §3).
    fn external(&mut self, element: &Element, external: bool, tries: u8) -> StageResult {
        let failure = if element.attr("mechanism") != Some("EXTERNAL") || !external || !self.link.is_empty() {
            Some(Failure::InvalidMechanism)
        } else {
            self.authzid(element).err()
        };
        let Some(failure) = failure else {
            self.voice.element(&Element::new(ns::SASL, "success"));
            self.reader.restart();
            self.voice.restart();
            return Ok(Stage::Accepting(Step::Header { secured: true, authenticated: true }));
        };
        self.voice.element(&Element::new(ns::SASL, "failure").with_child(Element::new(ns::SASL, failure.name())));
        let tries = tries.saturating_add(1);
        if tries >= TRIES_MAX {
            return Err(fault(StreamCondition::PolicyViolation, "Too many failed logins."));
        }
        Ok(Stage::Accepting(Step::Offered { external, tries }))
    }

    fn authzid(&self, element: &Element) -> Result<(), Failure> {
        let text = element.text();
        let text = text.trim();
        if text.is_empty() || text == "=" {
            return Ok(());
        }
        let bytes = base64_decode(text).map_err(|_| Failure::IncorrectEncoding)?;
        let name = std::str::from_utf8(&bytes).map_err(|_| Failure::MalformedRequest)?;
        let name = DomainPart::parse(name).map_err(|_| Failure::InvalidAuthzid)?;
        if self.link.remote.as_ref() == Some(&name) { Ok(()) } else { Err(Failure::InvalidAuthzid) }
    }
}

fn dialback_feature() -> Element {
    Element::new(ns::DIALBACK_FEATURE, "dialback").with_child(Element::new(ns::DIALBACK_FEATURE, "errors"))
}
