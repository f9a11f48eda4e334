//! Routing of iq stanzas (RFC 6120 §10.3 to §10.5, RFC 6121 §8.5).

use std::sync::Arc;

use torg_wire::stanza::{Stanza, StanzaCondition};

use super::{Letter, RouteError, Router, Taken};
use crate::identity::Envelope;
use crate::services::Place;
use crate::session::Session;

impl Router {
    pub(super) async fn route_iq(&self, session: &Arc<Session>, envelope: Envelope) -> Result<(), RouteError> {
        let Some(to) = envelope.stanza().to() else {
            // RFC 6120 §10.3.3: the server answers for the account; what the account has no service for, the server itself may have.
            return self.serve(|| session.may_request(), envelope, &[Place::OwnAccount, Place::Server]).await;
        };
        if !self.is_local(to) {
            self.send_remote(envelope.stanza());
            return Ok(());
        }
        if to.is_full() && to.local().is_some() {
            self.deliver_iq(envelope.into_stanza()).await;
            return Ok(());
        }
        let place = if to.as_str() == self.0.domain.as_str() {
            Place::Server
        } else if to.as_str() == session.account.as_str() {
            Place::OwnAccount
        } else if to.local().is_some() && !self.0.services.serves(to.as_str()) {
            Place::Account
        } else {
            Place::Service
        };
        self.serve(|| session.may_request(), envelope, &[place]).await
    }

    /// To a service at an address of ours. Whatever has none is answered alike, so that nobody learns which accounts exist.
    /// `allowed`: whether one more request is within its sender's rate.
    pub(super) async fn serve(
        &self,
        allowed: impl FnOnce() -> bool,
        envelope: Envelope,
        places: &[Place],
    ) -> Result<(), RouteError> {
        if !envelope.stanza().kind().is_request() {
            // To a push or a question of ours; only the latter is waited for.
            let (from, answer) = (envelope.identity().jid(), envelope.stanza());
            if !self.is_agreement(from, answer) {
                Box::pin(self.answered(from, answer)).await;
            }
            return Ok(());
        }
        if !allowed() {
            self.refuse(envelope.stanza(), StanzaCondition::ResourceConstraint);
            return Ok(());
        }
        if let Err(unserved) = self.0.services.dispatch(self, places, envelope).await {
            self.refuse(unserved.stanza(), StanzaCondition::ServiceUnavailable);
        }
        Ok(())
    }

    /// To the very session (§8.5.3.1) or back (§8.5.3.2.3).
    pub(super) async fn deliver_iq(&self, stanza: Stanza) {
        let Some(to) = stanza.to() else { return };
        let Some(session) = to.resource().and_then(|resource| self.0.sessions.find(to.bare_str(), resource)) else {
            if let Some(full) = to.to_full()
                && self.0.mesh.forward(&full, &stanza).await
            {
                return;
            }
            self.refuse(&stanza, StanzaCondition::ServiceUnavailable);
            return;
        };
        if !session.is_asked_for(&stanza) {
            return;
        }
        let letter = Letter::new(stanza);
        match letter.give(&session) {
            Taken::Yes => {}
            Taken::Full => self.refuse(letter.stanza(), StanzaCondition::ResourceConstraint),
            Taken::Gone => self.refuse(letter.stanza(), StanzaCondition::ServiceUnavailable),
        }
    }
}
