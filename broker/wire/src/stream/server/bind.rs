//! Resource binding (RFC 6120 §7).

use super::ready::Ready;
use super::{Common, Output, Step, StepResult, Talk, fault};
use crate::jid::{BareJid, FullJid, ResourcePart};
use crate::ns;
use crate::sasl::Mechanism;
use crate::stanza::{IqType, Stanza, StanzaCondition, StanzaError, StanzaKind};
use crate::stream::TRIES_MAX;
use crate::stream_error::StreamCondition;
use crate::xml::Element;

/// Logged in; a resource must be bound before anything else.
#[derive(Debug)]
pub(super) struct AwaitBind {
    account: BareJid,
    mechanism: Mechanism,
}

/// The core was asked to bind.
#[derive(Debug)]
pub(super) struct Binding {
    account: BareJid,
    mechanism: Mechanism,
    request: Stanza,
}

impl AwaitBind {
    pub(super) fn enter(account: BareJid, mechanism: Mechanism, common: &Common, talk: &mut Talk<Output>) -> AwaitBind {
        let session = Element::new(ns::SESSION, "session").with_child(Element::new(ns::SESSION, "optional"));
        let features = Element::new(ns::STREAMS, "features")
            .with_child(Element::new(ns::BIND, "bind"))
            .with_child(session)
            .with_children(common.settings.features.iter().cloned());
        talk.element(&features);
        AwaitBind { account, mechanism }
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
        let random = common.seed.draw("resource");
        // A resource of our own making is plain ASCII, so it cannot fail to parse.
        let Ok(resource) = ResourcePart::parse_new_session(wanted.as_deref().unwrap_or(&random)) else {
            return self.refuse(&request, StanzaCondition::BadRequest.into(), common, talk);
        };
        talk.ask(Output::Bind { account: self.account.clone(), mechanism: self.mechanism, resource });
        Ok(Step::Binding(Binding { account: self.account, mechanism: self.mechanism, request }))
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
            Err(error) => AwaitBind { account: self.account, mechanism: self.mechanism }.refuse(
                &self.request,
                error,
                common,
                talk,
            ),
        }
    }
}
