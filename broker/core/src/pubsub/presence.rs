//! What presence means for events: whose wishes to learn, and the last items for those who come on line (XEP-0163 §4.3.2).

use std::sync::Arc;

use torg_store::StoreError;
use torg_wire::jid::{BareJid, Jid};
use torg_wire::stanza::{PresenceType, Stanza, StanzaKind};
use torg_wire::xep::caps::Caps;

use super::About;
use super::caps::{Asked, Wishes};
use super::remotes::Seen;
use crate::router::Router;
use crate::session::Session;

impl Router {
    /// A session of ours says that it is there; `initial` if it was not before.
    pub(crate) async fn wishes_of_session(&self, session: &Arc<Session>, presence: &Stanza, initial: bool) {
        let caps = Caps::of(presence).map(Arc::new);
        if !session.interest.claim(caps.clone(), initial) {
            return;
        }
        if let Some(caps) = caps {
            let jid = session.jid.as_jid().clone();
            let asked = Asked { jid, by: session.account.clone(), session: Some(Arc::downgrade(session)) };
            self.understand(asked, caps).await;
        }
    }

    /// A client of another server comes or goes, as its server tells an account of ours. Strangers are not remembered. A contact that
    /// only shows its presence is: it may be let in later, and its server does not show the presence again then.
    pub(crate) async fn wishes_of_remote(&self, presence: &Stanza) {
        let (Some(from), Some(account)) = (presence.from(), presence.to().map(Jid::to_bare)) else { return };
        let account = &account;
        if account.local().is_none() || self.is_local(from) {
            return;
        }
        let remotes = &self.shared().pubsub.remotes;
        if !presence.kind().is_error() && presence.kind() != StanzaKind::Presence(PresenceType::Unavailable) {
            match self.shared().rosters.state(account, &from.to_bare()).await {
                Ok(state) if state.contact_sees_user() || state.user_sees_contact() => {}
                Ok(_) => return,
                Err(error) => {
                    tracing::error!(%error, %from, "A roster could not be read.");
                    return;
                }
            }
        }
        match presence.kind() {
            StanzaKind::Presence(PresenceType::Available) if from.is_full() => {
                let caps = Caps::of(presence).map(Arc::new);
                match remotes.came(from, account, caps.clone()) {
                    Seen::Nothing => {}
                    Seen::Ask(caps) => {
                        self.understand(Asked { jid: from.clone(), by: account.clone(), session: None }, caps).await;
                    }
                    Seen::Known(wishes) => {
                        if let Err(error) = self.last_items_of(account, from, &wishes).await {
                            tracing::error!(%error, to = %from, "The last items could not be sent.");
                        }
                    }
                }
            }
            StanzaKind::Presence(PresenceType::Unavailable | PresenceType::Error) => remotes.went(from, account),
            _ => {}
        }
    }

    /// The last items of all that a session may see and wants, but had not wanted before.
    pub(super) async fn introduce_events(
        &self,
        session: &Arc<Session>,
        wishes: &Wishes,
        before: Option<&Wishes>,
    ) -> Result<(), StoreError> {
        let pubsub = &self.shared().pubsub;
        for node in pubsub.table.told_on_presence(&session.account).await? {
            if !wishes.has(&node.name) || before.is_some_and(|before| before.has(&node.name)) {
                continue;
            }
            let about = About::find(self, &node, &session.account).await?;
            if about.facts(&node).may_read().is_err() {
                continue;
            }
            if let Some(message) = pubsub.last_item(&node).await? {
                self.emit(message.with_to(&session.jid)).await;
            }
        }
        Ok(())
    }

    /// As [`Router::introduce_events`], for a client of another server and all accounts that see it.
    pub(super) async fn introduce_remote(
        &self,
        jid: &Jid,
        caps: &Caps,
        wishes: &Arc<Wishes>,
    ) -> Result<(), StoreError> {
        for account in self.shared().pubsub.remotes.settle(jid, caps, wishes) {
            self.last_items_of(&account, jid, wishes).await?;
        }
        Ok(())
    }

    /// An account has just let a contact see its presence: the contact's clients, whose wishes may be known for long, get its last items
    /// as if they had come on line now (XEP-0163 §4.3.2).
    pub(crate) async fn introduce_owner(&self, owner: &BareJid, contact: &BareJid) -> Result<(), StoreError> {
        let clients: Vec<(Jid, Arc<Wishes>)> = if self.is_local(contact.as_jid()) {
            let sessions = self.available(contact.as_str()).into_iter();
            sessions.filter_map(|it| Some((it.jid.as_jid().clone(), it.interest.wishes()?))).collect()
        } else {
            self.shared().pubsub.remotes.known(contact, owner)
        };
        for (jid, wishes) in clients {
            self.last_items_of(owner, &jid, &wishes).await?;
        }
        Ok(())
    }

    /// The last items of one account for a client of a contact, as far as its user may read them.
    async fn last_items_of(&self, account: &BareJid, jid: &Jid, wishes: &Wishes) -> Result<(), StoreError> {
        let pubsub = &self.shared().pubsub;
        let contact = jid.to_bare();
        for node in pubsub.table.of_one_on_presence(account).await? {
            if !wishes.has(&node.name) {
                continue;
            }
            let about = About::find(self, &node, &contact).await?;
            // An open node may be read by all, but only those who see its owner's presence are told by themselves.
            if !about.sees_presence || about.facts(&node).may_read().is_err() {
                continue;
            }
            if let Some(message) = pubsub.last_item(&node).await? {
                self.emit(message.with_to(jid)).await;
            }
        }
        Ok(())
    }
}
