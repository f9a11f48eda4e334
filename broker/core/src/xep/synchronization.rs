//! Clock synchronization (nfi Synchronization) at the domain and at each of its services: how a thing without a clock learns the time.
//!
//! The broker is the clock others follow. Services run by its clock; what the machine itself follows is no address of XMPP.

use torg_wire::iot::synchronization::{Response, Synchronization};
use torg_wire::iot::{Generation, Interface};
use torg_wire::stanza::{StanzaCondition, StanzaError};

use crate::identity::Envelope;
use crate::router::Router;
use crate::service::{Reply, Route};

pub(crate) const ROUTES: &[Route] = &[
    Route::get(Generation::Nfi.namespace(Interface::Synchronization), "req"),
    Route::get(Generation::Nfi.namespace(Interface::Synchronization), "sourceReq"),
    Route::get(Generation::Nf.namespace(Interface::Synchronization), "req"),
    Route::get(Generation::Nf.namespace(Interface::Synchronization), "sourceReq"),
    Route::get(Generation::Ieee.namespace(Interface::Synchronization), "req"),
    Route::get(Generation::Ieee.namespace(Interface::Synchronization), "sourceReq"),
];

pub(super) fn handle(router: &Router, envelope: &Envelope, reply: Reply) {
    let Some(payload) = envelope.stanza().payload() else { return reply.error(StanzaCondition::BadRequest) };
    let (answer, generation) = match Synchronization::decode(payload) {
        Ok((Synchronization::Request, generation)) => {
            // Read last, so that only the way to the client is between it and the truth.
            let now = Response { at: router.shared().clock.now(), counter: None };
            (Synchronization::Response(now), generation)
        }
        Ok((Synchronization::SourceRequest, generation)) => {
            let to = envelope.stanza().to().filter(|to| to.as_str() != router.domain().as_str());
            let source = to.map(|_| router.domain().to_string()).unwrap_or_default();
            (Synchronization::SourceResponse(source), generation)
        }
        Ok(_) => return reply.error(StanzaCondition::FeatureNotImplemented),
        Err(error) => return reply.error(StanzaError::new(StanzaCondition::BadRequest).with_text(error.to_string())),
    };
    reply.result(Some(answer.encode(generation)));
}
