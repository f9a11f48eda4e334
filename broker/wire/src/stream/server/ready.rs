//! The session: stanzas come in with a proven sender (RFC 6120 §8.1.2.1).

use compact_str::CompactString;

use super::{Output, Talk, Why, fault};
use crate::jid::{FullJid, Jid};
use crate::ns;
use crate::stanza::{IqType, Stanza, StanzaFault, StanzaKind};
use crate::stream_error::{StreamCondition, StreamError};
use crate::xml::Element;

#[derive(Debug)]
pub(super) struct Ready {
    jid: FullJid,
    /// Language of stanzas that name none (RFC 6120 §8.1.5).
    lang: Option<CompactString>,
}

impl Ready {
    pub(super) const fn new(jid: FullJid, lang: Option<CompactString>) -> Ready {
        Ready { jid, lang }
    }

    pub(super) const fn jid(&self) -> &FullJid {
        &self.jid
    }

    pub(super) fn element(&self, element: Element, talk: &mut Talk<Output>) -> Result<(), Why> {
        if element.namespace() != ns::CLIENT {
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
                if let Some(reply) = refused.reply() {
                    talk.stanza(&reply.with_to(&self.jid));
                }
                return Ok(());
            }
        };
        self.check_from(&stanza)?;
        if is_session_request(&stanza, self.jid.domain()) {
            talk.stanza(&Stanza::result_for(&stanza));
            return Ok(());
        }
        if stanza.lang().is_none() {
            stanza.set_lang(self.lang.as_deref());
        }
        talk.ask(Output::Stanza(stanza));
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
