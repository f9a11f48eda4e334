//! Blocking (XEP-0191): the list with its pushes, and what it does to stanzas in both directions.
//!
//! It blocks politely (§4): subscriptions stay, the blocked side is told nothing and sees the account go off-line. An account never
//! blocks its own sessions nor the server itself. An entry with a resource stops that resource's stanzas both ways; broadcast presence
//! of the owner still goes to the account behind it as a whole.

mod table;

use torg_store::StoreError;
use torg_wire::jid::{BareJid, Jid};
use torg_wire::ns;
use torg_wire::stanza::{ErrorType, IqType, Stanza, StanzaCondition, StanzaError, StanzaKind};
use torg_wire::xep::blocking::{Malformed, Request, blocked, list};
use torg_wire::xml::Element;

pub(crate) use table::{Blocklist, Blocklists, ITEMS_MAX, MIGRATIONS};

use crate::identity::Envelope;
use crate::router::{Letter, Router, store_error};
use crate::service::{Reply, Route};

pub(crate) const ROUTES: &[Route] =
    &[Route::get(ns::BLOCKING, "blocklist"), Route::set(ns::BLOCKING, "block"), Route::set(ns::BLOCKING, "unblock")];

pub(crate) async fn handle(router: &Router, envelope: Envelope, reply: Reply) {
    let asker = envelope.identity().jid();
    let owner = asker.to_bare();
    let Some(payload) = envelope.stanza().payload() else { return reply.error(StanzaCondition::BadRequest) };
    let outcome = match Request::decode(payload) {
        None => router.blocklist(asker, &owner).await.map(|list| Ok(Some(list))),
        Some(Ok(request)) => router.change_blocklist(&owner, request).await.map(|done| done.map(|()| None)),
        Some(Err(Malformed::Address)) => Ok(Err(StanzaCondition::JidMalformed)),
        Some(Err(Malformed::Shape)) => Ok(Err(StanzaCondition::BadRequest)),
    };
    match outcome {
        Ok(Ok(payload)) => reply.result(payload),
        Ok(Err(condition)) => reply.error(condition),
        Err(error) => {
            tracing::error!(%error, %owner, "A block list could not be read or written.");
            reply.error(store_error(&error));
        }
    }
}

impl Router {
    async fn blocklist(&self, asker: &Jid, owner: &BareJid) -> Result<Element, StoreError> {
        // First: what changes while it is read is pushed as well.
        if let Some(session) = asker.resource().and_then(|it| self.shared().sessions.find(owner.as_str(), it)) {
            session.want_blocklist();
        }
        Ok(list(self.shared().blocking.of(owner).await?.iter()))
    }

    async fn change_blocklist(
        &self,
        owner: &BareJid,
        request: Request,
    ) -> Result<Result<(), StanzaCondition>, StoreError> {
        let lists = &self.shared().blocking;
        let before = lists.of(owner).await?;
        match &request {
            Request::Block(jids) => {
                let new: Vec<Jid> = jids.iter().filter(|jid| !before.contains(jid)).cloned().collect();
                if before.len() + new.len() > ITEMS_MAX {
                    return Ok(Err(StanzaCondition::ResourceConstraint));
                }
                lists.add(owner, &new).await?;
                self.vanish_from(owner, &Blocklist::new(new)).await?;
            }
            Request::Unblock(jids) => {
                let gone: Vec<Jid> = if jids.is_empty() { before.iter().cloned().collect() } else { jids.clone() };
                if jids.is_empty() {
                    lists.clear(owner).await?
                } else {
                    lists.remove(owner, &gone).await?
                }
                self.appear_to(owner, &Blocklist::new(gone)).await?;
            }
        }
        self.push_blocklist(owner, &request);
        Ok(Ok(()))
    }

    /// Tells all sessions that have asked for the list (§3.3).
    fn push_blocklist(&self, owner: &BareJid, request: &Request) {
        for session in self.shared().sessions.of(owner.as_str()).iter().filter(|session| session.wants_blocklist()) {
            let id = format!("block-{}", session.next_push());
            Letter::new(Stanza::iq_set(id, request.encode()).with_to(&session.jid)).give(session);
        }
    }

    /// Contacts that are being blocked see the account go (§3.3).
    async fn vanish_from(&self, owner: &BareJid, whom: &Blocklist) -> Result<(), StoreError> {
        for watcher in self.shared().rosters.peers(owner).await?.watchers {
            if whom.blocks(watcher.as_jid()) {
                self.show_all_to(owner, &watcher, false);
            }
        }
        Ok(())
    }

    /// Contacts that are blocked no more see the account again, and it sees them (§3.4).
    async fn appear_to(&self, owner: &BareJid, whom: &Blocklist) -> Result<(), StoreError> {
        let now = self.shared().blocking.of(owner).await?;
        let back = |contact: &BareJid| whom.blocks(contact.as_jid()) && !now.blocks(contact.as_jid());
        let peers = self.shared().rosters.peers(owner).await?;
        for contact in peers.watchers.iter().filter(|contact| back(contact)) {
            if !self.blocks(contact, owner.as_jid()).await? {
                self.show_all_to(owner, contact, true);
            }
        }
        for contact in peers.watched.iter().filter(|contact| back(contact) && self.is_account(contact.as_jid())) {
            if !self.blocks(contact, owner.as_jid()).await? {
                self.show_all_to(contact, owner, true);
            }
        }
        Ok(())
    }

    /// Whether an account of ours blocks the address. Accounts of others have no list here.
    pub(crate) async fn blocks(&self, owner: &BareJid, jid: &Jid) -> Result<bool, StoreError> {
        let blocking = &self.shared().blocking;
        Ok(blocking.any() && self.is_account(owner.as_jid()) && blocking.of(owner).await?.blocks(jid))
    }

    fn is_account(&self, jid: &Jid) -> bool {
        jid.local().is_some() && jid.domain() == self.domain().as_str()
    }

    /// Whether a list might stop the stanza: two accounts, or an account and somebody else, and not the server itself.
    fn is_blockable(&self, from: &Jid, to: &Jid) -> bool {
        from.bare_str() != to.bare_str() && to.as_str() != self.domain().as_str()
    }

    /// Whether no list stops the stanza, as far as memory tells. If not, [`Router::screen`] knows.
    pub(crate) fn passes_blocking(&self, stanza: &Stanza) -> bool {
        let blocking = &self.shared().blocking;
        if !blocking.any() {
            return true;
        }
        let (Some(from), Some(to)) = (stanza.from(), stanza.to()) else { return true };
        let passes = |owner: &Jid, other: &Jid| {
            !self.is_account(owner) || blocking.cached(owner.bare_str()).is_some_and(|list| !list.blocks(other))
        };
        !self.is_blockable(from, to) || passes(from, to) && passes(to, from)
    }

    /// Whether the lists of sender and recipient let the stanza pass; one that may not is answered here (§3.3). `from` is the sender's
    /// full address.
    pub(crate) async fn screen(&self, from: &Jid, stanza: &Stanza) -> Result<bool, StoreError> {
        let Some(to) = stanza.to() else { return Ok(true) };
        if !self.is_blockable(from, to) {
            return Ok(true);
        }
        let answered = |error: StanzaError| {
            if !stanza.kind().is_error() && stanza.kind() != StanzaKind::Iq(IqType::Result) {
                self.answer(Stanza::error_for(&crate::service::header(stanza).with_from(from), error));
            }
        };
        if self.blocks(&from.to_bare(), to).await? {
            answered(
                StanzaError::new(StanzaCondition::NotAcceptable)
                    .with_type(ErrorType::Cancel)
                    .with_application(blocked()),
            );
            return Ok(false);
        }
        if self.blocks(&to.to_bare(), from).await? {
            if !matches!(stanza.kind(), StanzaKind::Presence(_)) {
                answered(StanzaCondition::ServiceUnavailable.into());
            }
            return Ok(false);
        }
        Ok(true)
    }

    /// The contacts between whom and the session no list stands, either way: those that presence flows to and from.
    pub(crate) async fn unblocked(&self, session: &Jid, contacts: Vec<BareJid>) -> Result<Vec<BareJid>, StoreError> {
        let blocking = &self.shared().blocking;
        if contacts.is_empty() || !blocking.any() {
            return Ok(contacts);
        }
        let own = blocking.of(&session.to_bare()).await?;
        let blockers = blocking.blockers_of(session).await?;
        let ours = session.bare_str();
        let free = |contact: &BareJid| {
            contact.as_str() == ours || !own.blocks(contact.as_jid()) && !blockers.contains(contact)
        };
        Ok(contacts.into_iter().filter(free).collect())
    }
}
