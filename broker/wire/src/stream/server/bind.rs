//! Resource binding (RFC 6120 §7).

use super::ready::{Management, Ready};
use super::{Common, Output, Step, StepResult, Talk, fault};
use crate::jid::{FullJid, JidError, ResourcePart};
use crate::ns;
use crate::sasl::{AccountClass, Authenticated, ClientId};
use crate::stanza::{IqType, Stanza, StanzaCondition, StanzaError, StanzaKind};
use crate::stream::TRIES_MAX;
use crate::stream_error::StreamCondition;
use crate::xep::sm::{self, Command};
use crate::xml::Element;

/// Logged in; a resource must be bound before anything else.
#[derive(Debug)]
pub(super) struct AwaitBind {
    who: Authenticated,
    /// Which installation of its client, if it said so.
    client: Option<ClientId>,
}

/// The core was asked to bind.
#[derive(Debug)]
pub(super) struct Binding {
    await_bind: AwaitBind,
    request: Stanza,
}

/// The core was asked for a former session.
#[derive(Debug)]
pub(super) struct Resuming {
    await_bind: AwaitBind,
    previd: String,
}

impl AwaitBind {
    pub(super) fn enter(
        who: Authenticated,
        client: Option<ClientId>,
        common: &Common,
        talk: &mut Talk<Output>,
    ) -> AwaitBind {
        let session = Element::new(ns::SESSION, "session").with_child(Element::new(ns::SESSION, "optional"));
        let features = Element::new(ns::STREAMS, "features")
            .with_child(Element::new(ns::BIND, "bind"))
            .with_child(session)
            .with_children(common.settings.features.iter().cloned());
        talk.element(&features);
        AwaitBind { who, client }
    }

    pub(super) fn element(self, element: &Element, common: &mut Common, talk: &mut Talk<Output>) -> StepResult {
        let not_yet = || fault(StreamCondition::NotAuthorized, "Bind a resource first.");
        if let Some(command) = Command::from_element(element) {
            return self.command(command, common, talk);
        }
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
        talk.ask(question(&self.who, resource, self.client.clone(), Vec::new()));
        Ok(Step::Binding(Binding { await_bind: self, request }))
    }

    /// XEP-0198 §3 and §5: here a session can be resumed, and nothing else managed.
    fn command(
        self,
        command: Result<Command, sm::BadCommand>,
        common: &mut Common,
        talk: &mut Talk<Output>,
    ) -> StepResult {
        let condition = match command {
            Ok(Command::Resume(request)) => {
                let previd = request.previd.clone();
                let Authenticated { account, mechanism, class } = self.who.clone();
                talk.ask(Output::Resume { account, mechanism, class, request });
                return Ok(Step::Resuming(Resuming { await_bind: self, previd }));
            }
            Ok(_) => StanzaCondition::UnexpectedRequest,
            Err(sm::BadCommand) => StanzaCondition::BadRequest,
        };
        self.not_managed(&sm::Failed::new(condition), common, talk)
    }

    /// The client may bind a resource instead.
    fn not_managed(self, failed: &sm::Failed, common: &mut Common, talk: &mut Talk<Output>) -> StepResult {
        talk.element(&failed.to_element());
        self.count(common)
    }

    fn refuse(self, request: &Stanza, error: StanzaError, common: &mut Common, talk: &mut Talk<Output>) -> StepResult {
        talk.stanza(&Stanza::error_for(request, error));
        self.count(common)
    }

    fn count(self, common: &mut Common) -> StepResult {
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
                Ok(Step::Ready(Ready::new(jid, common.lang.take(), Management::Off)))
            }
            Err(error) => self.await_bind.refuse(&self.request, error, common, talk),
        }
    }
}

impl Resuming {
    pub(super) fn resumed(
        self,
        answer: Result<(FullJid, u32), sm::Failed>,
        common: &mut Common,
        talk: &mut Talk<Output>,
    ) -> StepResult {
        match answer {
            Ok((jid, h)) => {
                talk.element(&sm::resumed(&self.previd, h));
                Ok(Step::Ready(Ready::new(jid, common.lang.take(), Management::On)))
            }
            Err(failed) => self.await_bind.not_managed(&failed, common, talk),
        }
    }
}

/// The resource of a session that named one or did not. What we draw has 144 bits: whoever was not told the full address of a thing
/// cannot guess it, and consent is about just that (RFC 6120 §7.6, §13.10.2).
fn resource(wanted: Option<&str>, class: AccountClass, common: &mut Common) -> Result<ResourcePart, JidError> {
    match (wanted, class) {
        (Some(wanted), AccountClass::Person) => ResourcePart::parse_new_session(wanted),
        (wanted, _) => drawn(wanted, common),
    }
}

/// What nobody can guess, behind a tag of the client's own if it has one (XEP-0386 §3.2.1).
pub(super) fn drawn(tag: Option<&str>, common: &mut Common) -> Result<ResourcePart, JidError> {
    let random = common.seed.draw("resource");
    match tag {
        Some(tag) => ResourcePart::parse_new_session(&format!("{tag}/{random}")),
        None => ResourcePart::parse_new_session(&random),
    }
}

/// Asks the core for a session.
pub(super) fn question(
    who: &Authenticated,
    resource: ResourcePart,
    client: Option<ClientId>,
    inline: Vec<Element>,
) -> Output {
    let Authenticated { account, mechanism, class } = who.clone();
    Output::Bind { account, mechanism, class, resource, client, inline }
}
