//! Stanzas to and from other servers and external components (RFC 6120 §10.4, RFC 6121 §3, §4 and §8): where they leave the router,
//! and where they enter it with the proof of their stream. Streams and queues are in `s2s` and `component`.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use torg_wire::jid::{BareJid, Jid};
use torg_wire::stanza::{PresenceType, Stanza, StanzaCondition, StanzaKind};
use torg_wire::stream::peer::PeerProof;

use super::{Letter, RouteError, Router};
use crate::identity::{Envelope, Identity, Proof};
use crate::roster::state::Request;
use crate::s2s::{Budget, Links};
use crate::services::Place;
use crate::session::{Session, now};
use crate::transit::carried;

impl Router {
    /// What leads to other servers; `None` if this broker keeps to itself.
    pub(crate) fn links(&self) -> Option<&Links> {
        self.0.links.as_ref()
    }

    /// Whether the domain is served here.
    pub(crate) fn serves_domain(&self, domain: &str) -> bool {
        domain == self.0.domain.as_str() || self.0.services.serves_domain(domain)
    }

    /// Whether stanzas of other servers for this domain are ours to handle: also those for components.
    pub(crate) fn answers_for(&self, domain: &str) -> bool {
        self.serves_domain(domain) || self.0.components.serves(domain)
    }

    /// Whether the address is elsewhere and nothing of ours leads there.
    pub(super) fn is_unreachable(&self, jid: &Jid) -> bool {
        !self.is_local(jid) && self.0.links.is_none() && !self.0.components.serves(jid.domain())
    }

    /// Sends a stanza to a component or another server. What goes wrong, now or later, comes back as an error.
    pub(super) fn send_remote(&self, stanza: &Stanza) {
        let sent = match (self.0.components.send(stanza), &self.0.links) {
            (Some(sent), _) => sent,
            (None, Some(links)) => links.send(self, stanza),
            (None, None) => Err(StanzaCondition::RemoteServerNotFound),
        };
        if let Err(condition) = sent
            && !carried().is_some_and(|passage| passage.is_kept(self, stanza))
        {
            self.bounce(stanza, condition);
        }
    }

    /// A stanza of ours did not get there; its header is enough. Presence is announced to many, and its senders hear only of what they
    /// have said to somebody in particular.
    pub(crate) fn bounce(&self, stanza: &Stanza, condition: StanzaCondition) {
        match stanza.kind() {
            StanzaKind::Presence(PresenceType::Available) if stanza.to().is_some_and(Jid::is_full) => {}
            StanzaKind::Presence(
                PresenceType::Subscribe
                | PresenceType::Subscribed
                | PresenceType::Unsubscribe
                | PresenceType::Unsubscribed,
            ) => {
                // It was sent with the bare address, and whoever is on line there may want to know.
                let Some(from) = stanza.from() else { return };
                if !self.is_local(from) {
                    return self.refuse(stanza, condition);
                }
                let letter = Letter::new(Stanza::error_for(stanza, condition));
                for session in self.available(from.bare_str()) {
                    letter.give(&session);
                }
                return;
            }
            StanzaKind::Presence(_) => return,
            StanzaKind::Iq(_) | StanzaKind::Message(_) => {}
        }
        self.refuse(stanza, condition);
    }

    /// Handles one stanza that came from another server, its addresses of domains that were proven on its stream. As
    /// [`Router::accept`]: what is left is to be awaited before the stream's next stanza.
    pub(crate) fn accept_remote(
        &self,
        budget: &Arc<Budget>,
        proof: PeerProof,
        mut stanza: Stanza,
    ) -> Option<BoxFuture<'static, ()>> {
        self.strip_reserved(&mut stanza);
        // Only what is for us or a component gets here: nobody passes through to a third server.
        if let Some(sent) = self.0.components.send(&stanza) {
            if let Err(condition) = sent {
                self.bounce(&stanza, condition);
            }
            return None;
        }
        self.accept_foreign(budget, Proof::Server(proof), stanza)
    }

    /// Handles one stanza of a component, its `from` at the component's own domain. As [`Router::accept_remote`], but it may be for
    /// anybody: this broker is the component's way to other servers.
    pub(crate) fn accept_component(&self, budget: &Arc<Budget>, mut stanza: Stanza) -> Option<BoxFuture<'static, ()>> {
        if self.is_local(stanza.from()?) {
            // A service that was added after the start has the address; nobody else speaks for it.
            tracing::error!(from = ?stanza.from(), "A component has the address of a service of ours; it is not heard.");
            return None;
        }
        self.strip_reserved(&mut stanza);
        if !self.is_local(stanza.to()?) {
            self.send_remote(&stanza);
            return None;
        }
        self.accept_foreign(budget, Proof::Component, stanza)
    }

    fn accept_foreign(&self, budget: &Arc<Budget>, proof: Proof, stanza: Stanza) -> Option<BoxFuture<'static, ()>> {
        let from = stanza.from()?.clone();
        let mut envelope = Envelope::new(Identity::new(from, proof), stanza);
        let screened = self.passes_blocking(envelope.stanza());
        if screened {
            envelope = self.hand_over(envelope)?;
        }
        let (router, budget) = (self.clone(), Arc::clone(budget));
        Some(Box::pin(async move {
            let request = crate::service::header(envelope.stanza());
            if let Err(error) = router.route_remote(&budget, envelope, screened).await {
                tracing::error!(%error, "A stanza of a peer could not be handled.");
                router.refuse_with(&request, error.answer());
            }
        }))
    }

    async fn route_remote(&self, budget: &Budget, envelope: Envelope, screened: bool) -> Result<(), RouteError> {
        if !screened && !self.screen(envelope.identity().jid(), envelope.stanza()).await? {
            return Ok(());
        }
        match envelope.stanza().kind() {
            StanzaKind::Iq(_) => self.iq_from_remote(budget, envelope).await,
            StanzaKind::Message(_) => self.route_message(envelope).await,
            StanzaKind::Presence(kind) => self.presence_from_remote(budget, kind, envelope.into_stanza()).await,
        }
    }

    async fn iq_from_remote(&self, budget: &Budget, envelope: Envelope) -> Result<(), RouteError> {
        let Some(to) = envelope.stanza().to() else { return Ok(()) };
        if to.is_full() && to.local().is_some() {
            self.deliver_iq(envelope.into_stanza()).await;
            return Ok(());
        }
        let place = if to.as_str() == self.0.domain.as_str() {
            Place::Server
        } else if to.local().is_some() && !self.0.services.serves(to.as_str()) {
            Place::Account
        } else {
            Place::Service
        };
        self.serve(|| budget.may_request(now()), envelope, &[place]).await
    }

    async fn presence_from_remote(
        &self,
        budget: &Budget,
        kind: PresenceType,
        mut stanza: Stanza,
    ) -> Result<(), RouteError> {
        let request = match kind {
            PresenceType::Available | PresenceType::Unavailable => {
                Box::pin(self.wishes_of_remote(&stanza)).await;
                self.show_directed(stanza);
                return Ok(());
            }
            PresenceType::Error => {
                self.answer(stanza);
                return Ok(());
            }
            PresenceType::Probe => return self.probed_by_remote(&stanza).await,
            PresenceType::Subscribe => Request::Subscribe,
            PresenceType::Subscribed => Request::Subscribed,
            PresenceType::Unsubscribe => Request::Unsubscribe,
            PresenceType::Unsubscribed => Request::Unsubscribed,
        };
        let (Some(owner), Some(from)) = (stanza.to().map(Jid::to_bare), stanza.from().map(Jid::to_bare)) else {
            return Ok(());
        };
        if request == Request::Subscribe && !budget.may_subscribe(now()) {
            self.answer(Stanza::error_for(&stanza, StanzaCondition::ResourceConstraint));
            return Ok(());
        }
        // Subscriptions are between bare addresses, whatever the peer wrote (RFC 6121 §3.1.2).
        stanza.set_from(Some(from.as_jid().clone()));
        stanza.set_to(Some(owner.as_jid().clone()));
        self.subscription_to(&owner, &from, request, stanza).await
    }

    /// Asks the servers of contacts elsewhere how they are (RFC 6121 §4.3.1); those here are looked at.
    pub(super) fn probe_remote(&self, session: &Session, watched: &[BareJid]) {
        for contact in watched.iter().filter(|contact| !self.is_local(contact.as_jid())) {
            self.send_remote(&Stanza::presence(PresenceType::Probe).with_from(&session.jid).with_to(contact));
        }
    }

    /// The server of a contact asks how a user of ours is (RFC 6121 §4.3.2). A stranger hears the same whether the user exists or not.
    async fn probed_by_remote(&self, stanza: &Stanza) -> Result<(), RouteError> {
        let (Some(from), Some(user)) = (stanza.from(), stanza.to().map(Jid::to_bare)) else { return Ok(()) };
        let answer = |kind| Stanza::presence(kind).with_from(&user);
        if !self.0.rosters.state(&user, &from.to_bare()).await?.contact_sees_user() {
            self.send_remote(&answer(PresenceType::Unsubscribed).with_to(from.to_bare()));
            return Ok(());
        }
        let presences: Vec<_> = self.available(user.as_str()).iter().filter_map(|session| session.presence()).collect();
        for presence in &presences {
            self.send_remote(&Stanza::clone(presence).with_to(from.clone()));
        }
        if presences.is_empty() {
            self.send_remote(&answer(PresenceType::Unavailable).with_to(from.clone()));
        }
        Ok(())
    }
}
