//! Asking for a resource, and for a session where an old server insists (RFC 6120 §7, RFC 3921 §3).

use super::ready::Ready;
use super::{ClientFault, ClientOutput, Common, Step, StepResult, Talk};
use crate::jid::{FullJid, ResourcePart};
use crate::ns;
use crate::stanza::{IqType, Stanza, StanzaKind};
use crate::xml::Element;

/// Ids of the two requests; nothing else is under way on this stream yet.
const BIND_ID: &str = "bind";
const SESSION_ID: &str = "session";

/// The features must offer bind.
#[derive(Debug)]
pub(super) struct AwaitBindFeatures;

/// The request for a resource is out.
#[derive(Debug)]
pub(super) struct Binding {
    features: Element,
}

/// The request for a session is out.
#[derive(Debug)]
pub(super) struct Sessioning {
    features: Element,
    jid: FullJid,
}

impl AwaitBindFeatures {
    pub(super) fn element(self, element: &Element, common: &Common, talk: &mut Talk<ClientOutput>) -> StepResult {
        if !element.is(ns::STREAMS, "features") {
            return Err(ClientFault::Protocol("no stream features"));
        }
        if element.child(ns::BIND, "bind").is_none() {
            return Err(ClientFault::Protocol("resource binding is not offered"));
        }
        let wanted = common.settings.resource.as_ref().map(ResourcePart::as_str);
        let resource = wanted.map(|wanted| Element::new(ns::BIND, "resource").with_text(wanted));
        talk.stanza(&Stanza::iq_set(BIND_ID, Element::new(ns::BIND, "bind").with_child_opt(resource)));
        Ok(Step::Binding(Binding { features: element.clone() }))
    }
}

impl Binding {
    pub(super) fn element(self, element: &Element, common: &Common, talk: &mut Talk<ClientOutput>) -> StepResult {
        let answer = answer(element, BIND_ID)?;
        let jid = answer.child(ns::BIND, "bind").and_then(|bind| bind.child_text(ns::BIND, "jid"));
        let jid = jid
            .and_then(|jid| FullJid::parse(&jid).ok())
            .ok_or(ClientFault::Protocol("no address in the answer to bind"))?;
        if jid.domain() != common.settings.account.domain() {
            return Err(ClientFault::Protocol("bound to an address of another domain"));
        }
        let session = self.features.child(ns::SESSION, "session");
        if session.is_some_and(|session| session.child(ns::SESSION, "optional").is_none()) {
            talk.stanza(&Stanza::iq_set(SESSION_ID, Element::new(ns::SESSION, "session")));
            return Ok(Step::Session(Sessioning { features: self.features, jid }));
        }
        Ok(ready(jid, self.features, talk))
    }
}

impl Sessioning {
    pub(super) fn element(self, element: &Element, talk: &mut Talk<ClientOutput>) -> StepResult {
        answer(element, SESSION_ID)?;
        Ok(ready(self.jid, self.features, talk))
    }
}

fn ready(jid: FullJid, features: Element, talk: &mut Talk<ClientOutput>) -> Step {
    talk.ask(ClientOutput::Ready { jid: jid.clone(), features });
    Step::Ready(Ready::new(jid))
}

/// The result of our request; an error ends the stream.
fn answer(element: &Element, id: &str) -> Result<Stanza, ClientFault> {
    let stanza =
        Stanza::from_element(element.clone()).map_err(|_| ClientFault::Protocol("no answer to our request"))?;
    match stanza.kind() {
        _ if stanza.id() != Some(id) => Err(ClientFault::Protocol("an answer to another request")),
        StanzaKind::Iq(IqType::Result) => Ok(stanza),
        StanzaKind::Iq(IqType::Error) => {
            Err(stanza.error().map_or(ClientFault::Protocol("an error without a reason"), ClientFault::NoSession))
        }
        _ => Err(ClientFault::Protocol("no answer to our request")),
    }
}
