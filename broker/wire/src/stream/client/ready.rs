//! The session: stanzas from the server, which has proven their senders.

use super::{ClientFault, ClientOutput, Talk, Why};
use crate::jid::FullJid;
use crate::ns;
use crate::stanza::{Stanza, StanzaFault};
use crate::stream_error::{StreamCondition, StreamError};
use crate::xml::Element;

#[derive(Debug)]
pub(super) struct Ready {
    jid: FullJid,
}

impl Ready {
    pub(super) const fn new(jid: FullJid) -> Ready {
        Ready { jid }
    }

    pub(super) const fn jid(&self) -> &FullJid {
        &self.jid
    }

    pub(super) fn element(&self, element: Element, talk: &mut Talk<ClientOutput>) -> Result<(), ClientFault> {
        if let Some(error) = StreamError::from_element(&element) {
            return Err(ClientFault::Ended(Why::PeerFault(error)));
        }
        if element.namespace() != ns::CLIENT {
            return Err(ClientFault::Ended(Why::Fault(StreamError::new(StreamCondition::UnsupportedStanzaType))));
        }
        match Stanza::from_element(element) {
            Ok(stanza) => talk.ask(ClientOutput::Stanza(stanza)),
            Err(StanzaFault::Fatal(error)) => return Err(ClientFault::Ended(Why::Fault(error))),
            Err(refused) => {
                if let Some(reply) = refused.reply() {
                    talk.stanza(&reply);
                }
            }
        }
        Ok(())
    }
}
