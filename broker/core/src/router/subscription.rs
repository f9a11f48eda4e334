//! Presence subscriptions (RFC 6121 §3): the tables of `roster::state` applied to the rosters of both sides, with what each side has
//! to be told. The two sides are handled one after the other, as if they lived on two servers.

use std::sync::Arc;

use torg_store::StoreError;
use torg_wire::jid::{BareJid, Jid};
use torg_wire::stanza::{PresenceType, Stanza, StanzaCondition, StanzaError};
use torg_wire::xml::Scope;

use super::{Letter, RouteError, Router};
use crate::offline::is_iot;
use crate::roster::state::{Request, Subscription};
use crate::roster::{ATTEMPTS_MAX, ITEMS_MAX, Item, PENDING_MAX, REQUEST_BYTES_MAX};
use crate::session::Session;

/// What an inbound request did to the recipient's roster.
enum Inbound {
    /// Nothing to tell.
    Ignored,
    /// The user has granted this before: "subscribed" goes back (§3.1.3, §3.4.2). `new` if it changed the roster.
    Granted { new: bool },
    /// The user is told. `saw` if the contact saw the user's presence until now.
    Told { saw: bool },
}

impl Router {
    /// A session of ours manages a subscription (§A.2).
    pub(super) async fn subscription_from(
        &self,
        session: &Arc<Session>,
        request: Request,
        mut stanza: Stanza,
    ) -> Result<(), RouteError> {
        let Some(contact) = stanza.to().map(Jid::to_bare) else {
            self.refuse_to(session, stanza, StanzaCondition::BadRequest);
            return Ok(());
        };
        if contact == session.account {
            self.refuse_to(session, stanza, StanzaCondition::BadRequest);
            return Ok(());
        }
        if self.is_unreachable(contact.as_jid()) {
            self.refuse_to(session, stanza, StanzaCondition::RemoteServerNotFound);
            return Ok(());
        }
        stanza.set_to(Some(contact.as_jid().clone()));
        let owner = &session.account;
        let (before, passes) = match self.change_outbound(owner, &contact, request).await? {
            Ok(change) => change,
            Err(error) => {
                stanza.set_from(Some(session.jid.as_jid().clone()));
                self.answer(Stanza::error_for(&stanza, error));
                return Ok(());
            }
        };
        if !passes {
            return Ok(());
        }
        self.subscription_to(&contact, owner, request, stanza).await?;
        match request {
            Request::Subscribed => self.appear_to_friend(owner, &contact).await?,
            Request::Unsubscribed if before.contact_sees_user() => self.show_all_to(owner, &contact, false),
            _ => {}
        }
        Ok(())
    }

    /// The sender's side: its roster changed and pushed. Answers the state before and whether the stanza goes to the contact.
    async fn change_outbound(
        &self,
        owner: &BareJid,
        contact: &BareJid,
        request: Request,
    ) -> Result<Result<(Subscription, bool), StanzaError>, StoreError> {
        let rosters = &self.0.rosters;
        for _ in 0..ATTEMPTS_MAX {
            let (version, found) = rosters.find(owner, contact).await?;
            let known = found.clone();
            let mut item = found.unwrap_or_else(|| Item::new(contact.clone()));
            let before = item.state;
            let transition = before.outbound(request);
            item.state = transition.next;
            match request {
                Request::Subscribe => item.listed = true,
                // §3.4.2: granted before it is asked for
                Request::Subscribed if !transition.pass && !before.contact_sees_user() => {
                    item.approved = true;
                    item.listed = true;
                }
                Request::Subscribed => item.listed |= transition.pass,
                Request::Unsubscribed => item.approved = false,
                Request::Unsubscribe => {}
            }
            if !item.state.is_asked() {
                item.request = None;
            }
            if known.as_ref() == Some(&item) || known.is_none() && item == Item::new(contact.clone()) {
                return Ok(Ok((before, transition.pass)));
            }
            let newly_listed = item.listed && !known.is_some_and(|known| known.listed);
            if newly_listed && rosters.listed(owner).await? >= ITEMS_MAX {
                return Ok(Err(StanzaCondition::ResourceConstraint.into()));
            }
            match rosters.change(owner, version, std::slice::from_ref(&item)).await {
                Ok(version) => {
                    if item.listed {
                        self.push_roster(owner, version, &item.to_element());
                    }
                    return Ok(Ok((before, transition.pass)));
                }
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Err(StanzaCondition::ResourceConstraint.into()))
    }

    /// A request reaches an account of ours (§A.3). Accounts that do not exist say nothing, like those that do not answer.
    pub(super) async fn subscription_to(
        &self,
        owner: &BareJid,
        from: &BareJid,
        request: Request,
        stanza: Stanza,
    ) -> Result<(), RouteError> {
        if !self.is_local(owner.as_jid()) {
            self.send_remote(&stanza); // its own server knows its roster
            return Ok(());
        }
        if !self.exists(owner).await? {
            return Ok(());
        }
        match self.change_inbound(owner, from, request, &stanza).await? {
            Inbound::Ignored => {}
            Inbound::Granted { new } => {
                let granted = Stanza::presence(PresenceType::Subscribed).with_from(owner).with_to(from);
                // "subscribed" is never granted in turn, so this goes no deeper.
                Box::pin(self.subscription_to(from, owner, Request::Subscribed, granted)).await?;
                if new {
                    self.appear_to_friend(owner, from).await?;
                }
            }
            Inbound::Told { saw } => {
                self.tell(owner, request, stanza);
                if saw && request == Request::Unsubscribe {
                    self.show_all_to(owner, from, false); // §3.3.3
                }
            }
        }
        Ok(())
    }

    async fn change_inbound(
        &self,
        owner: &BareJid,
        from: &BareJid,
        request: Request,
        stanza: &Stanza,
    ) -> Result<Inbound, StoreError> {
        let rosters = &self.0.rosters;
        for _ in 0..ATTEMPTS_MAX {
            let (version, found) = rosters.find(owner, from).await?;
            let mut item = found.unwrap_or_else(|| Item::new(from.clone()));
            let before = item.state;
            let mut transition = before.inbound(request);
            if request == Request::Subscribe && before.contact_sees_user() {
                return Ok(Inbound::Granted { new: false });
            }
            if !transition.pass {
                return Ok(Inbound::Ignored);
            }
            let granted = request == Request::Subscribe && item.approved;
            if granted {
                transition = transition.next.outbound(Request::Subscribed);
            }
            item.state = transition.next;
            item.request = item.state.is_asked().then(|| request_text(&item, request, stanza)).flatten();
            let mut changes = Vec::new();
            if item.state.is_asked() && !before.is_asked() {
                changes.extend(self.oldest_over_limit(owner).await?);
            }
            let shown = item.listed && (item.state.name() != before.name() || item.state.asked() != before.asked());
            changes.push(item);
            match rosters.change(owner, version, &changes).await {
                Ok(version) => {
                    if let Some(item) = changes.last().filter(|_| shown) {
                        self.push_roster(owner, version, &item.to_element());
                    }
                    return Ok(if granted {
                        Inbound::Granted { new: true }
                    } else {
                        Inbound::Told { saw: before.contact_sees_user() }
                    });
                }
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        tracing::warn!(%owner, "A subscription request found the roster always changing; dropped.");
        Ok(Inbound::Ignored)
    }

    /// The oldest waiting request without its request, if there is no room for one more.
    async fn oldest_over_limit(&self, owner: &BareJid) -> Result<Option<Item>, StoreError> {
        let pending = self.0.rosters.pending(owner).await?;
        if pending.len() < PENDING_MAX {
            return Ok(None);
        }
        Ok(pending.into_iter().next().map(|mut oldest| {
            oldest.state = oldest.state.inbound(Request::Unsubscribe).next;
            oldest.request = None;
            oldest
        }))
    }

    /// A request goes to all who are there to see it, an answer to all who show a roster (§3.1.3, §3.1.6).
    fn tell(&self, owner: &BareJid, request: Request, stanza: Stanza) {
        let letter = Letter::new(stanza);
        for session in self.0.sessions.of(owner.as_str()).iter() {
            let available = session.priority().is_some();
            if available || request != Request::Subscribe && session.is_interested() {
                letter.give(session);
            }
        }
    }

    /// The account has let the contact see its presence: it sees who is there, and hears of what was published last.
    async fn appear_to_friend(&self, owner: &BareJid, contact: &BareJid) -> Result<(), StoreError> {
        self.show_all_to(owner, contact, true);
        Box::pin(self.introduce_owner(owner, contact)).await
    }

    /// All available sessions of the account appear to the contact, or vanish from it.
    pub(crate) fn show_all_to(&self, owner: &BareJid, contact: &BareJid, appear: bool) {
        for session in self.available(owner.as_str()) {
            let presence = if appear { session.presence().map(|presence| Stanza::clone(&presence)) } else { None };
            let gone = || Stanza::presence(PresenceType::Unavailable).with_from(&session.jid);
            self.show(&presence.unwrap_or_else(gone), contact);
        }
    }

    /// Removes a contact and both subscriptions (§2.5.2).
    pub(crate) async fn remove_contact(
        &self,
        owner: &BareJid,
        contact: &BareJid,
    ) -> Result<Result<(), StanzaError>, RouteError> {
        let rosters = &self.0.rosters;
        for _ in 0..ATTEMPTS_MAX {
            let (version, found) = rosters.find(owner, contact).await?;
            let Some(item) = found.filter(|item| item.listed) else {
                return Ok(Err(StanzaCondition::ItemNotFound.into()));
            };
            match rosters.change(owner, version, &[Item::new(contact.clone())]).await {
                Ok(version) => {
                    self.push_roster(owner, version, &Item::removed(contact));
                    self.part(owner, contact, item.state).await?;
                    return Ok(Ok(()));
                }
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Err(StanzaCondition::ResourceConstraint.into()))
    }

    /// The account `gone` was removed, perhaps by another process, with all subscriptions: tells `owner`, whose roster had it in `before`.
    pub(crate) async fn lost_contact(
        &self,
        owner: &BareJid,
        gone: &BareJid,
        before: Subscription,
    ) -> Result<(), StoreError> {
        // As it stands now: the name may have a new account, and even a new subscription, already.
        let (version, item) = self.0.rosters.find(owner, gone).await?;
        if let Some(item) = item.filter(|item| item.listed) {
            self.push_roster(owner, version, &item.to_element());
        }
        let stanza = |kind| Stanza::presence(kind).with_from(gone).with_to(owner);
        if before.contact_sees_user() || before.is_asked() {
            self.tell(owner, Request::Unsubscribe, stanza(PresenceType::Unsubscribe));
        }
        if before.user_sees_contact() || before.asked() {
            self.tell(owner, Request::Unsubscribed, stanza(PresenceType::Unsubscribed));
        }
        if before.user_sees_contact() {
            self.show_all_to(gone, owner, false);
        }
        Ok(())
    }

    /// The account `gone` was removed: tells a contact elsewhere, which it had in `before`. First that its sessions go, since who is no
    /// contact any more may not be heard.
    pub(crate) fn part_elsewhere(&self, gone: &BareJid, contact: &BareJid, before: Subscription) {
        let tell = |kind| self.send_remote(&Stanza::presence(kind).with_from(gone).with_to(contact));
        if before.contact_sees_user() {
            self.show_all_to(gone, contact, false);
        }
        if before.contact_sees_user() || before.is_asked() {
            tell(PresenceType::Unsubscribed);
        }
        if before.user_sees_contact() || before.asked() {
            tell(PresenceType::Unsubscribe);
        }
    }

    /// Tells a removed contact what it has lost.
    async fn part(&self, owner: &BareJid, contact: &BareJid, before: Subscription) -> Result<(), RouteError> {
        let stanza = |kind| Stanza::presence(kind).with_from(owner).with_to(contact);
        if before.user_sees_contact() || before.asked() {
            let bye = stanza(PresenceType::Unsubscribe);
            self.subscription_to(contact, owner, Request::Unsubscribe, bye).await?;
        }
        if before.contact_sees_user() || before.is_asked() {
            let bye = stanza(PresenceType::Unsubscribed);
            self.subscription_to(contact, owner, Request::Unsubscribed, bye).await?;
        }
        if before.contact_sees_user() {
            self.show_all_to(owner, contact, false);
        }
        Ok(())
    }
}

/// A new request is kept as it came unless it is too long, and without device payload, which is never written to disk; any other change
/// leaves the one that waits. `None`: as much as the row says.
fn request_text(item: &Item, request: Request, stanza: &Stanza) -> Option<String> {
    if request != Request::Subscribe {
        return item.request.clone();
    }
    let mut stanza = stanza.clone();
    stanza.retain_children(|child| !is_iot(child));
    let mut text = String::with_capacity(256);
    stanza.to_element().write_to(&mut text, &Scope::DOCUMENT);
    (text.len() <= REQUEST_BYTES_MAX).then_some(text)
}
