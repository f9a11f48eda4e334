//! Delivery of messages (RFC 6121 §8.5): the pure decision is in `routing`, this carries it out.

use std::sync::Arc;

use torg_thing::Timestamp;
use torg_wire::jid::Jid;
use torg_wire::stanza::{MessageType, Stanza, StanzaCondition, StanzaKind};
use torg_wire::xep::carbons::is_copy_mark;
use torg_wire::xep::time::delay;
use torg_wire::xml::Scope;

use super::routing::{Candidate, Destination, destination};
use super::{Letter, RouteError, Router, Taken};
use crate::identity::Envelope;
use crate::offline::{Refused, is_storable, with_marks, with_marks_of};
use crate::services::Place;
use crate::session::Session;
use crate::sm;

impl Router {
    /// A message with its sender stamped. It is in a queue, on the disk or refused when this answers.
    pub(super) async fn route_message(&self, envelope: Envelope) -> Result<(), RouteError> {
        let (identity, mut stanza) = envelope.into_parts();
        let Some(to) = stanza.to().cloned() else {
            // RFC 6120 §10.3.1: for the sender's own account
            let own = stanza.from().map(Jid::to_bare).map(Jid::from);
            stanza.set_to(own.clone());
            return match own {
                Some(own) => self.deliver_message(stanza, &own).await,
                None => Ok(()),
            };
        };
        if !self.is_local(&to) {
            self.send_remote(&stanza);
            return Ok(());
        }
        if to.local().is_none() || self.0.services.serves(to.bare_str()) {
            return self.message_to_service(Envelope::new(identity, stanza)).await;
        }
        self.deliver_message(stanza, &to).await
    }

    /// A message of the process before this one, which came at that time, goes on.
    pub(crate) async fn take_up(&self, mut stanza: Stanza, came: Timestamp) -> Result<(), RouteError> {
        let Some(to) = stanza.to().cloned() else { return Ok(()) };
        if !self.is_local(&to) {
            stanza.push(delay(Some(self.domain().as_jid()), came));
            self.send_remote(&stanza);
            return Ok(());
        }
        self.deliver_message(with_marks_of(self.domain(), stanza, &to.to_bare(), came), &to).await
    }

    async fn message_to_service(&self, envelope: Envelope) -> Result<(), RouteError> {
        if let Err(unserved) = self.0.services.dispatch(self, &[Place::Service], envelope).await {
            self.refuse(unserved.stanza(), StanzaCondition::ServiceUnavailable);
        }
        Ok(())
    }

    /// To an account of ours.
    pub(super) async fn deliver_message(&self, stanza: Stanza, to: &Jid) -> Result<(), RouteError> {
        let StanzaKind::Message(kind) = stanza.kind() else { return Ok(()) };
        // The usual case without a snapshot: the very session is there and takes it.
        if let Some(session) = to.resource().and_then(|resource| self.0.sessions.find(to.bare_str(), resource)) {
            let letter = Letter::new(stanza);
            return match letter.give(&session) {
                Taken::Yes => {
                    self.copy_received(letter.stanza(), to.bare_str(), std::iter::once(&session));
                    Ok(())
                }
                Taken::Full => self.overflow(&letter, &session).await,
                Taken::Gone => self.deliver_to_account(letter.stanza().clone(), kind, None).await,
            };
        }
        if let Some(full) = to.to_full()
            && self.0.mesh.forward(&full, &stanza).await
        {
            return Ok(());
        }
        self.deliver_to_account(stanza, kind, to.resource()).await
    }

    async fn deliver_to_account(
        &self,
        stanza: Stanza,
        kind: MessageType,
        resource: Option<&str>,
    ) -> Result<(), RouteError> {
        let Some(to) = stanza.to().cloned() else { return Ok(()) };
        let sessions = self.0.sessions.of(to.bare_str());
        let candidates: Vec<Candidate<'_>> = sessions
            .iter()
            .map(|session| Candidate { resource: session.jid.resource(), priority: session.priority() })
            .collect();
        match destination(kind, resource, &candidates) {
            Destination::Sessions(positions) => {
                let letter = Letter::new(stanza);
                let chosen: Vec<&Arc<Session>> =
                    positions.iter().filter_map(|position| sessions.get(*position)).collect();
                let taken = chosen.iter().filter(|session| letter.give(session) == Taken::Yes).count();
                self.copy_received(letter.stanza(), to.bare_str(), chosen.iter().copied());
                match chosen.first() {
                    Some(session) if taken == 0 => self.overflow(&letter, session).await,
                    _ => Ok(()),
                }
            }
            Destination::Offline => self.keep_or_refuse(stanza).await,
            Destination::Refuse => {
                self.refuse(&stanza, StanzaCondition::ServiceUnavailable);
                Ok(())
            }
            Destination::Ignore => Ok(()),
        }
    }

    /// The session has no room: the message waits on the disk until it has, or the sender is asked to wait.
    async fn overflow(&self, letter: &Letter, session: &Arc<Session>) -> Result<(), RouteError> {
        if !is_storable(letter.stanza()) {
            self.refuse(letter.stanza(), StanzaCondition::ResourceConstraint);
            return Ok(());
        }
        self.keep(letter.stanza().clone()).await?;
        session.queue.mark_overflow();
        if session.queue.is_idle() && session.queue.take_overflow() {
            self.drain_offline(session);
        }
        Ok(())
    }

    /// Nobody is there to take it. A message that is not worth keeping is refused; one that is, is kept if the account exists.
    ///
    /// # Why
    /// To its sender a message to an account that does not exist looks exactly like one that is kept (RFC 6121 §8.5.1 allows to
    /// ignore it), and one not worth keeping is refused in both cases. So no answer tells which accounts exist. Time may: a message
    /// that is kept costs a write to the disk before the sender's next stanza is handled, and who measures long enough sees that. It is
    /// left so: a feigned write would let strangers, here and at other servers, wear out the disk.
    async fn keep_or_refuse(&self, stanza: Stanza) -> Result<(), RouteError> {
        if !is_storable(&stanza) {
            self.refuse(&stanza, StanzaCondition::ServiceUnavailable);
            return Ok(());
        }
        self.keep(stanza).await
    }

    async fn keep(&self, stanza: Stanza) -> Result<(), RouteError> {
        let Some(account) = stanza.to().map(Jid::to_bare) else { return Ok(()) };
        if !self.exists(&account).await? {
            return Ok(());
        }
        let request = crate::service::header(&stanza);
        let origin = sm::origin().await;
        let text = with_marks(self, stanza, &account).to_element();
        let mut document = String::with_capacity(512);
        text.write_to(&mut document, &Scope::DOCUMENT);
        match self.0.offline.keep(&account, document, origin.as_ref()).await {
            Ok(()) => {}
            Err(Refused::Full) => {
                if origin.is_some() {
                    sm::release();
                }
                self.refuse(&request, StanzaCondition::ResourceConstraint);
                return Ok(());
            }
            Err(Refused::Store(error)) => {
                if origin.is_some() {
                    sm::release();
                }
                return Err(error.into());
            }
        }
        // Somebody may have come while it was written.
        if let Some(session) = self.most_available(&account) {
            self.drain_offline(&session);
        }
        Ok(())
    }

    /// What a session left behind goes on as if its resource had not been there.
    pub(super) async fn reroute(&self, stanza: Stanza) {
        if stanza.children().iter().any(is_copy_mark) {
            return; // a copy made by us for that session alone (XEP-0280)
        }
        match stanza.kind() {
            StanzaKind::Message(kind) => {
                let request = crate::service::header(&stanza);
                if let Err(error) = self.deliver_to_account(stanza, kind, None).await {
                    tracing::error!(%error, "A message of an ended session could not be kept.");
                    self.refuse_with(&request, error.answer());
                }
            }
            StanzaKind::Iq(_) => self.refuse(&stanza, StanzaCondition::ServiceUnavailable),
            StanzaKind::Presence(_) => {}
        }
    }
}
