//! What answers stanzas at an address of ours: the XEPs of the broker itself, registry, provisioning, concentrator.

use async_trait::async_trait;
use torg_wire::stanza::{IqType, Stanza, StanzaCondition, StanzaError, StanzaKind};
use torg_wire::xml::Element;

use crate::identity::Envelope;
use crate::router::Router;

/// What a service takes: a kind of stanza with a payload of one expanded name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The stanza.
    pub kind: RouteKind,
    /// The payload's namespace; it is advertised as a disco#info feature.
    pub namespace: &'static str,
    /// The payload's name.
    pub element: &'static str,
}

/// Which stanzas a route takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteKind {
    /// An iq of type get.
    Get,
    /// An iq of type set.
    Set,
    /// A message of any type but error.
    Message,
}

impl Route {
    /// An iq of type get with this payload.
    pub const fn get(namespace: &'static str, element: &'static str) -> Self {
        Route { kind: RouteKind::Get, namespace, element }
    }

    /// An iq of type set with this payload.
    pub const fn set(namespace: &'static str, element: &'static str) -> Self {
        Route { kind: RouteKind::Set, namespace, element }
    }

    /// A message with this payload.
    pub const fn message(namespace: &'static str, element: &'static str) -> Self {
        Route { kind: RouteKind::Message, namespace, element }
    }

    pub(crate) fn takes(&self, stanza: &Stanza) -> bool {
        let carries = |element: &Element| element.is(self.namespace, self.element);
        match (self.kind, stanza.kind()) {
            (RouteKind::Get, StanzaKind::Iq(IqType::Get)) | (RouteKind::Set, StanzaKind::Iq(IqType::Set)) => {
                stanza.payload().is_some_and(carries)
            }
            (RouteKind::Message, StanzaKind::Message(_)) => {
                !stanza.kind().is_error() && stanza.children().iter().any(carries)
            }
            _ => false,
        }
    }
}

/// One identity of an address for service discovery (XEP-0030 §3.1; the registry of categories is XEP-0030's).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiscoIdentity {
    /// For instance `server` or `account`.
    pub category: &'static str,
    /// For instance `im` or `registered`.
    pub kind: &'static str,
    /// Shown to people.
    pub name: &'static str,
}

/// Something that answers stanzas. Object safe; registered with an address in the builder of the broker.
#[async_trait]
pub trait Service: Send + Sync {
    /// Everything the service takes. Disco features follow from it.
    fn routes(&self) -> &'static [Route];

    /// What the service's address is, besides what is already said there.
    fn identities(&self) -> &'static [DiscoIdentity] {
        &[]
    }

    /// Features that no route tells.
    fn features(&self) -> &'static [&'static str] {
        &[]
    }

    /// Handles one stanza. Stanzas of one sender come in order, so this must answer at once or move `reply` into a task of its
    /// own; a handler that waits holds up its sender, and a lane of others.
    async fn handle(&self, envelope: Envelope, reply: Reply);
}

/// The answer that is owed to a request. Dropping it unused answers `internal-server-error`; for messages nothing is owed.
#[derive(Debug)]
pub struct Reply {
    router: Router,
    /// The request without its payload: addresses, id and kind are all an answer needs. `None` once answered.
    request: Option<Stanza>,
}

impl Reply {
    pub(crate) fn new(router: Router, request: &Stanza) -> Self {
        Reply { router, request: Some(header(request)) }
    }

    /// Answers with a result. `payload` is its child, if it has one.
    pub fn result(mut self, payload: Option<Element>) {
        let Some(request) = self.request.take().filter(|request| request.kind().is_request()) else { return };
        let mut answer = Stanza::result_for(&request);
        if let Some(payload) = payload {
            answer.push(payload);
        }
        self.router.answer(answer);
    }

    /// Answers with an error. A message may be refused this way too.
    pub fn error(mut self, error: impl Into<StanzaError>) {
        if let Some(request) = self.request.take() {
            self.router.answer(Stanza::error_for(&request, error));
        }
    }

    /// Gives the answer up on purpose: a message was taken and needs none. A request is still answered, see [`Reply`].
    pub fn none(mut self) {
        if self.request.as_ref().is_some_and(|request| !request.kind().is_request()) {
            self.request = None;
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        let Some(request) = self.request.take().filter(|request| request.kind().is_request()) else { return };
        self.router.answer(Stanza::error_for(&request, StanzaCondition::InternalServerError));
    }
}

/// The stanza without its payload: all that an answer needs.
pub(crate) fn header(stanza: &Stanza) -> Stanza {
    let mut header = Stanza::new(stanza.kind());
    if let Some(id) = stanza.id() {
        header.set_id(id);
    }
    header.set_from(stanza.from().cloned());
    header.set_to(stanza.to().cloned());
    header
}
