//! Presence (RFC 6121 §4): broadcast, probes, directed presence. Subscriptions are in `subscription`.

use std::collections::VecDeque;
use std::sync::Arc;

use torg_store::StoreError;
use torg_wire::jid::{BareJid, Jid};
use torg_wire::ns;
use torg_wire::stanza::{PresenceType, Stanza, StanzaCondition};
use torg_wire::xml::{Limits, parse_document};

use super::{Letter, RouteError, Router, Taken};
use crate::roster::state::Request;
use crate::session::{Next, Session};

impl Router {
    pub(super) async fn route_presence(
        &self,
        session: &Arc<Session>,
        kind: PresenceType,
        stanza: Stanza,
    ) -> Result<(), RouteError> {
        let request = match kind {
            PresenceType::Available | PresenceType::Unavailable if stanza.to().is_none() => {
                return self.own_presence(session, kind, stanza).await;
            }
            PresenceType::Available | PresenceType::Unavailable => {
                self.directed(session, kind, stanza);
                return Ok(());
            }
            PresenceType::Error => {
                self.answer(stanza);
                return Ok(());
            }
            PresenceType::Probe => return self.probed_by_client(session, &stanza).await,
            PresenceType::Subscribe => Request::Subscribe,
            PresenceType::Subscribed => Request::Subscribed,
            PresenceType::Unsubscribe => Request::Unsubscribe,
            PresenceType::Unsubscribed => Request::Unsubscribed,
        };
        if request == Request::Subscribe && !session.may_subscribe() {
            // Errors go to full addresses; the stanza carries the bare one.
            self.refuse_to(session, stanza, StanzaCondition::ResourceConstraint);
            return Ok(());
        }
        self.subscription_from(session, request, stanza).await
    }

    /// An error about presence that was sent with the account's bare address.
    pub(super) fn refuse_to(&self, session: &Session, mut stanza: Stanza, condition: StanzaCondition) {
        stanza.set_from(Some(session.jid.as_jid().clone()));
        self.refuse(&stanza, condition);
    }

    /// The session says what it is now (§4.2, §4.4, §4.5).
    async fn own_presence(&self, session: &Arc<Session>, kind: PresenceType, stanza: Stanza) -> Result<(), RouteError> {
        if kind == PresenceType::Unavailable {
            return Ok(self.broadcast_unavailable(session, stanza).await?);
        }
        if session.queue.is_gone() {
            return Ok(()); // another one has its place, and its contacts have seen it go
        }
        let priority = priority(&stanza);
        let before = session.set_presence(Some(Arc::new(stanza.clone())), priority);
        let initial = before.is_none();
        let peers = self.0.rosters.peers(&session.account).await?;
        let watchers = self.unblocked(session.jid.as_jid(), peers.watchers).await?;
        self.broadcast(session, &stanza, &watchers);
        if session.queue.is_gone() {
            // It was ended while the roster was read. Who has seen it go must not believe that it has come back.
            session.set_presence(None, 0);
            self.broadcast(session, &Stanza::presence(PresenceType::Unavailable).with_from(&session.jid), &watchers);
            return Ok(());
        }
        if initial {
            let watched = self.unblocked(session.jid.as_jid(), peers.watched).await?;
            self.probe_remote(session, &watched);
            self.introduce(session).await?;
        }
        Box::pin(self.wishes_of_session(session, &stanza, initial)).await;
        if priority >= 0 && before.is_none_or(|before| before < 0) {
            self.drain_offline(session);
        }
        Ok(())
    }

    /// To all who may see it and to all available sessions of the account, the sender's own included (§4.2.2).
    fn broadcast(&self, session: &Session, stanza: &Stanza, watchers: &[BareJid]) {
        for watcher in watchers {
            self.show(stanza, watcher);
        }
        let own = Letter::new(stanza.clone().with_to(&session.account));
        for other in self.available(session.account.as_str()) {
            own.give(&other);
        }
    }

    /// To all available sessions of an account; nobody else is there to see it.
    pub(super) fn show(&self, stanza: &Stanza, account: &BareJid) {
        if !self.is_local(account.as_jid()) {
            return self.send_remote(&stanza.clone().with_to(account));
        }
        let sessions = self.available(account.as_str());
        if sessions.is_empty() {
            return;
        }
        let letter = Letter::new(stanza.clone().with_to(account));
        for session in sessions {
            // A full queue keeps the newest presence of a sender; one it has no room for at all is lost, as on a dead link.
            letter.give(&session);
        }
    }

    /// What a session that has just become available must know: whom it may see, and who wants to see it (§4.3, §3.1.3). As much as
    /// there is room for now, the rest as the session takes it.
    async fn introduce(&self, session: &Arc<Session>) -> Result<(), RouteError> {
        let mut presences = VecDeque::new();
        let mut contacts = self.0.rosters.seen_by(&session.account).await?;
        contacts.push(session.account.clone());
        let contacts = self.unblocked(session.jid.as_jid(), contacts).await?;
        for contact in contacts {
            let others = self.available(contact.as_str());
            presences.extend(others.iter().filter(|other| !Arc::ptr_eq(other, session)).map(Arc::downgrade));
        }
        session.begin_introduction(presences);
        if self.show_presences(session) {
            self.show_requests(session).await?;
        }
        Ok(())
    }

    /// Goes on with the introduction of a session that has taken something from its queue.
    pub(crate) fn carry_on_introduction(&self, session: &Arc<Session>) {
        if !self.show_presences(session) {
            return;
        }
        let (router, session) = (self.clone(), Arc::clone(session));
        self.spawn(async move {
            if let Err(error) = router.show_requests(&session).await {
                tracing::error!(%error, session = %session.jid, "Waiting subscription requests could not be shown.");
            }
        });
    }

    /// Shows whom the session may see while its queue is half free; answers whether it is the turn of the requests.
    fn show_presences(&self, session: &Arc<Session>) -> bool {
        while session.queue.is_half_free() {
            let other = match session.next_introduction() {
                Some(Next::Presence(other)) => other,
                Some(Next::Requests) => return true,
                None => return false,
            };
            // What it says now; had it gone meanwhile, the session would have heard of it.
            let Some(presence) = other.presence() else { continue };
            if Letter::new(Stanza::clone(&presence).with_to(&session.account)).give(session) == Taken::Full {
                session.put_back_introduction(&other);
                return false;
            }
        }
        false
    }

    /// The requests that wait for an answer. They come after all presences and are fewer than half a queue; one that is too long to
    /// find room comes at the next login.
    async fn show_requests(&self, session: &Arc<Session>) -> Result<(), StoreError> {
        for pending in self.0.rosters.pending(&session.account).await? {
            let request = pending.request.as_deref().and_then(|text| parse_document(text, &Limits::SERVER).ok());
            let request = request.and_then(|element| Stanza::from_element(element).ok());
            let request = request.unwrap_or_else(|| {
                Stanza::presence(PresenceType::Subscribe).with_from(&pending.contact).with_to(&session.account)
            });
            Letter::new(request).give(session);
        }
        Ok(())
    }

    /// The answers to a probe of `session` (§4.3.2): the presence of each available session of the contact but its own.
    fn show_sessions_of(&self, contact: &BareJid, session: &Arc<Session>) {
        for other in self.0.sessions.of(contact.as_str()).iter().filter(|other| !Arc::ptr_eq(other, session)) {
            if let Some(presence) = other.presence() {
                Letter::new(Stanza::clone(&presence).with_to(&session.account)).give(session);
            }
        }
    }

    /// A client that probes by itself gets what its server would get, and silence where it may not see (§4.3.2 forbids leaks).
    async fn probed_by_client(&self, session: &Arc<Session>, stanza: &Stanza) -> Result<(), RouteError> {
        let Some(contact) = stanza.to().map(Jid::to_bare) else { return Ok(()) };
        if !self.is_local(contact.as_jid()) {
            self.send_remote(stanza);
            return Ok(());
        }
        let state = self.0.rosters.state(&contact, &session.account).await?;
        if state.contact_sees_user() || contact == session.account {
            self.show_sessions_of(&contact, session);
        }
        Ok(())
    }

    /// The session goes: all who saw it are told, and those it had written to directly (§4.5.2, §4.6.3).
    pub(super) async fn broadcast_unavailable(&self, session: &Arc<Session>, stanza: Stanza) -> Result<(), StoreError> {
        let directed = session.take_directed();
        let was_available = session.set_presence(None, 0).is_some();
        let mut told = Vec::new();
        let mut failed = None;
        if was_available {
            match self.0.rosters.peers(&session.account).await {
                Ok(peers) => told = peers.watchers,
                Err(error) => failed = Some(error),
            }
            match self.unblocked(session.jid.as_jid(), std::mem::take(&mut told)).await {
                Ok(free) => told = free,
                Err(error) => failed = Some(error),
            }
            self.broadcast(session, &stanza, &told);
            self.note_departure(session, &stanza);
            // The sender hears its own word too, although it is no longer among the available. (If it has ended, nobody does.)
            Letter::new(stanza.clone().with_to(&session.account)).give(session);
        }
        for to in directed {
            if !told.contains(&to.to_bare()) && to.bare_str() != session.account.as_str() {
                self.show_directed(stanza.clone().with_to(&to));
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Presence with an address (§4.6): it says nothing to others, but its end is remembered.
    fn directed(&self, session: &Arc<Session>, kind: PresenceType, stanza: Stanza) {
        let Some(to) = stanza.to().cloned() else { return };
        if kind == PresenceType::Available && session.queue.is_gone() {
            return; // nobody would tell its end
        }
        if self.is_unreachable(&to) {
            if kind == PresenceType::Available {
                self.refuse(&stanza, StanzaCondition::RemoteServerNotFound);
            }
            return;
        }
        if kind == PresenceType::Unavailable {
            session.remove_directed(&to);
        } else if !session.add_directed(&to) {
            self.refuse(&stanza, StanzaCondition::ResourceConstraint);
            return;
        }
        self.show_directed(stanza);
    }

    /// To the very session, or to all available ones of a bare address (§8.5.2.1.2, §8.5.3.1).
    pub(super) fn show_directed(&self, stanza: Stanza) {
        let Some(to) = stanza.to().cloned() else { return };
        if !self.is_local(&to) {
            return self.send_remote(&stanza);
        }
        let Some(resource) = to.resource() else {
            self.show(&stanza, &to.to_bare());
            return;
        };
        if let Some(session) = self.0.sessions.find(to.bare_str(), resource) {
            Letter::new(stanza).give(&session);
        }
    }

    pub(crate) fn available(&self, account: &str) -> Vec<Arc<Session>> {
        let sessions = self.0.sessions.of(account);
        sessions.iter().filter(|session| session.priority().is_some()).cloned().collect()
    }
}

/// §4.7.2.3: from -128 to 127, zero if absent or no number.
fn priority(stanza: &Stanza) -> i8 {
    let text = stanza.child(ns::CLIENT, "priority").map(|priority| priority.text());
    text.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}
