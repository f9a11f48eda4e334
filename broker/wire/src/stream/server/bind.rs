//! Resource binding (RFC 6120 §7).

use super::ready::Ready;
use super::{Common, Output, Step, StepResult, Talk, fault};
use crate::jid::{FullJid, JidError, ResourcePart};
use crate::ns;
use crate::sasl::{AccountClass, Authenticated};
use crate::stanza::{IqType, Stanza, StanzaCondition, StanzaError, StanzaKind};
use crate::stream::TRIES_MAX;
use crate::stream_error::StreamCondition;
use crate::xml::Element;

/// Logged in; a resource must be bound before anything else.
#[derive(Debug)]
pub(super) struct AwaitBind {
    who: Authenticated,
}

/// The core was asked to bind.
#[derive(Debug)]
pub(super) struct Binding {
    who: Authenticated,
    request: Stanza,
}

impl AwaitBind {
    pub(super) fn enter(who: Authenticated, common: &Common, talk: &mut Talk<Output>) -> AwaitBind {
        let session = Element::new(ns::SESSION, "session").with_child(Element::new(ns::SESSION, "optional"));
        let features = Element::new(ns::STREAMS, "features")
            .with_child(Element::new(ns::BIND, "bind"))
            .with_child(session)
            .with_children(common.settings.features.iter().cloned());
        talk.element(&features);
        AwaitBind { who }
    }

    pub(super) fn element(self, element: &Element, common: &mut Common, talk: &mut Talk<Output>) -> StepResult {
        let not_yet = || fault(StreamCondition::NotAuthorized, "Bind a resource first.");
        if element.namespace() != ns::CLIENT {
            return Err(not_yet());
        }
        let Ok(request) = Stanza::from_element(element.clone()) else { return Err(not_yet()) };
        let Some(bind) = request.child(ns::BIND, "bind") else { return Err(not_yet()) };
        if request.kind() != StanzaKind::Iq(IqType::Set) {
            return Err(not_yet());
        }
        let wanted = bind.child_text(ns::BIND, "resource").filter(|text| !text.is_empty());
        let Ok(resource) = resource(wanted.as_deref(), self.who.class, common) else {
            return self.refuse(&request, StanzaCondition::BadRequest.into(), common, talk);
        };
        let Authenticated { account, mechanism, class } = self.who.clone();
        talk.ask(Output::Bind { account, mechanism, class, resource });
        Ok(Step::Binding(Binding { who: self.who, request }))
    }

    fn refuse(self, request: &Stanza, error: StanzaError, common: &mut Common, talk: &mut Talk<Output>) -> StepResult {
        talk.stanza(&Stanza::error_for(request, error));
        common.tries = common.tries.saturating_add(1);
        if common.tries >= TRIES_MAX {
            return Err(fault(StreamCondition::PolicyViolation, "Too many failed attempts to bind a resource."));
        }
        Ok(Step::Bind(self))
    }
}

impl Binding {
    pub(super) fn bound(
        self,
        answer: Result<FullJid, StanzaError>,
        common: &mut Common,
        talk: &mut Talk<Output>,
    ) -> StepResult {
        match answer {
            Ok(jid) => {
                let bind =
                    Element::new(ns::BIND, "bind").with_child(Element::new(ns::BIND, "jid").with_text(jid.as_str()));
                talk.stanza(&Stanza::result_for(&self.request).with_child(bind));
                Ok(Step::Ready(Ready::new(jid, common.lang.take())))
            }
            Err(error) => AwaitBind { who: self.who }.refuse(&self.request, error, common, talk),
        }
    }
}

/// The resource of a session that named one or did not. What we draw has 144 bits: whoever was not told the full address of a thing
/// cannot guess it, and consent is about just that (RFC 6120 §7.6, §13.10.2).
fn resource(wanted: Option<&str>, class: AccountClass, common: &mut Common) -> Result<ResourcePart, JidError> {
    match (wanted, class) {
        (Some(wanted), AccountClass::Person) => ResourcePart::parse_new_session(wanted),
        (Some(wanted), AccountClass::Thing) => tagged(wanted, common),
        (None, _) => ResourcePart::parse_new_session(&common.seed.draw("resource")),
    }
}

/// A name of the client's own, and behind it what nobody can guess (XEP-0386 §3.2.1).
pub(super) fn tagged(tag: &str, common: &mut Common) -> Result<ResourcePart, JidError> {
    ResourcePart::parse_new_session(&format!("{tag}/{}", common.seed.draw("resource")))
}
