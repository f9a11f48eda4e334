//! The session: stanzas come in with a proven sender (RFC 6120 §8.1.2.1).

use compact_str::CompactString;

use super::{Output, Talk, Why, fault};
use crate::jid::{FullJid, Jid};
use crate::ns;
use crate::stanza::{IqType, Stanza, StanzaCondition, StanzaFault, StanzaKind};
use crate::stream_error::{StreamCondition, StreamError};
use crate::xep::csi::ClientState;
use crate::xep::sm::{self, Command};
use crate::xml::Element;

#[derive(Debug)]
pub(super) struct Ready {
    jid: FullJid,
    /// Language of stanzas that name none (RFC 6120 §8.1.5).
    lang: Option<CompactString>,
    management: Management,
}

/// Whether the stanzas of the stream are counted (XEP-0198).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Management {
    Off,
    /// The client has asked for it, and the core has not answered yet.
    Asked,
    On,
}

impl Ready {
    pub(super) const fn new(jid: FullJid, lang: Option<CompactString>, management: Management) -> Ready {
        Ready { jid, lang, management }
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.management == Management::Asked
    }

    pub(super) fn is_managed(&self) -> bool {
        self.management == Management::On
    }

    pub(super) fn enabled(&mut self, answer: Result<&sm::Enabled, &sm::Failed>, talk: &mut Talk<Output>) {
        if self.management != Management::Asked {
            return;
        }
        match answer {
            Ok(enabled) => {
                talk.element(&enabled.to_element());
                self.management = Management::On;
            }
            Err(failed) => {
                talk.element(&failed.to_element());
                self.management = Management::Off;
            }
        }
    }

    pub(super) const fn jid(&self) -> &FullJid {
        &self.jid
    }

    pub(super) fn element(&mut self, element: Element, talk: &mut Talk<Output>) -> Result<(), Why> {
        if element.namespace() != ns::CLIENT {
            if let Some(command) = Command::from_element(&element) {
                return self.command(command, talk);
            }
            if let Some(state) = ClientState::from_element(&element) {
                talk.ask(Output::ClientState(state));
                return Ok(());
            }
            return Err(match StreamError::from_element(&element) {
                Some(error) => Why::PeerFault(error),
                None if element.namespace() == ns::SERVER || element.namespace() == ns::COMPONENT => {
                    fault(StreamCondition::InvalidNamespace, "Stanzas on this stream are in jabber:client.")
                }
                None => fault(StreamCondition::UnsupportedStanzaType, "This is no stanza."),
            });
        }
        let mut stanza = match Stanza::from_element(element) {
            Ok(stanza) => stanza,
            Err(StanzaFault::Fatal(error)) => return Err(Why::Fault(error)),
            Err(refused) => {
                if let StanzaFault::Refused { stanza, .. } = &refused {
                    self.check_from(stanza)?;
                }
                talk.ask(Output::Refused(refused.reply().map(|reply| reply.with_to(&self.jid))));
                return Ok(());
            }
        };
        self.check_from(&stanza)?;
        if is_session_request(&stanza, self.jid.domain()) {
            talk.ask(Output::Refused(Some(Stanza::result_for(&stanza))));
            return Ok(());
        }
        if stanza.lang().is_none() {
            stanza.set_lang(self.lang.as_deref());
        }
        talk.ask(Output::Stanza(stanza));
        Ok(())
    }

    fn command(&mut self, command: Result<Command, sm::BadCommand>, talk: &mut Talk<Output>) -> Result<(), Why> {
        let wrong = || fault(StreamCondition::PolicyViolation, "Stream management is not used like this.");
        match (command.map_err(|_| wrong())?, self.management) {
            (Command::Enable(enable), Management::Off) => {
                self.management = Management::Asked;
                talk.ask(Output::Enable(enable));
            }
            (Command::Ack(h), Management::On) => talk.ask(Output::Acked(h)),
            (Command::Request, Management::On) => talk.ask(Output::AckRequest),
            // Without a resource is the time to resume (XEP-0198 §5).
            (Command::Resume(_), Management::Off) => {
                talk.element(&sm::Failed::new(StanzaCondition::UnexpectedRequest).to_element());
            }
            // XEP-0198 §3: a second attempt ends the stream.
            (Command::Enable(_) | Command::Resume(_), _) => {
                talk.element(&sm::Failed::new(StanzaCondition::UnexpectedRequest).to_element());
                return Err(wrong());
            }
            (Command::Ack(_) | Command::Request, _) => return Err(wrong()),
        }
        Ok(())
    }

    /// A client speaks for itself: as this session, as its account, or without saying so.
    fn check_from(&self, stanza: &Stanza) -> Result<(), Why> {
        let own = |from: &Jid| from == self.jid.as_jid() || from.as_str() == self.jid.bare_str();
        if stanza.from().is_none_or(own) {
            Ok(())
        } else {
            Err(fault(StreamCondition::InvalidFrom, "The sender is not you."))
        }
    }
}

/// Old clients ask for a session, which we gave with the resource (RFC 3921 §3, RFC 6121 Appendix E).
fn is_session_request(stanza: &Stanza, domain: &str) -> bool {
    stanza.kind() == StanzaKind::Iq(IqType::Set)
        && stanza.to().is_none_or(|to| to.as_str() == domain)
        && stanza.child(ns::SESSION, "session").is_some()
}
