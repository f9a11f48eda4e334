//! Whom an event concerns (XEP-0060 §4.3, XEP-0163 §4), and telling them.
//!
//! Explicit subscribers are told at the address they subscribed with. Those who see an account's presence, and its own sessions, are
//! told at each full address whose capabilities ask for the node. A session whose queue is full misses an event, as headlines are
//! missed by those who are away; the item can be read later.

use std::collections::HashSet;
use std::sync::Arc;

use torg_store::StoreError;
use torg_thing::Timestamp;
use torg_wire::jid::{BareJid, Jid};
use torg_wire::stanza::{MessageType, Stanza};
use torg_wire::xep::pubsub::{AccessModel, Affiliation, Event, SubscriptionState};
use torg_wire::xep::time::delay;
use torg_wire::xml::Element;

use super::{Node, Pubsub, has_group, is_subscribed};
use crate::router::{Letter, Router};
use crate::session::Session;

/// Who is told.
#[derive(Debug, Default)]
pub(super) struct Audience {
    /// Sessions here whose capabilities ask for the node.
    sessions: Vec<Arc<Session>>,
    /// Addresses that subscribed, and remote ones whose capabilities ask for the node.
    addresses: Vec<Jid>,
}

/// What is left to do once a request has been answered.
#[derive(Debug)]
pub(super) enum Then {
    /// A form, to one address.
    Form { node: Node, to: Jid, form: Element },
    /// The last item, to a new subscriber.
    Last { node: Node, to: Jid },
    /// An event, to one address.
    One { node: Node, to: Jid, event: Event },
    /// An event, to all whom it concerns.
    Tell { audience: Audience, node: Node, event: Event },
}

impl Then {
    /// An event to all whom it concerns now.
    pub(super) async fn tell(router: &Router, node: Node, event: Event) -> Result<Vec<Then>, StoreError> {
        let audience = Audience::of(router, &node).await?;
        Ok(vec![Then::Tell { audience, node, event }])
    }

    pub(super) async fn run(self, router: &Router) -> Result<(), StoreError> {
        let pubsub = &router.shared().pubsub;
        match self {
            Then::Form { node, to, form } => {
                let message = Stanza::message(MessageType::Normal).with_id(pubsub.next_id()).with_from(&node.service);
                router.emit(message.with_to(to).with_child(form)).await;
            }
            Then::Last { node, to } => {
                if let Some(message) = pubsub.last_item(&node).await? {
                    router.emit(message.with_to(to)).await;
                }
            }
            Then::One { node, to, event } => {
                router.emit(notification(&node, &event).with_id(pubsub.next_id()).with_to(to)).await;
            }
            Then::Tell { audience, node, event } => audience.told(router, &node, event).await,
        }
        Ok(())
    }
}

impl Audience {
    pub(super) async fn of(router: &Router, node: &Node) -> Result<Self, StoreError> {
        let table = &router.shared().pubsub.table;
        let subscriptions = table.subscriptions(node.id).await?;
        let admission = Admission::find(router, node, !subscriptions.is_empty()).await?;
        let mut audience = Audience::default();
        let mut at_sessions = HashSet::new();
        if node.is_personal() && node.config.access != AccessModel::Authorize {
            audience.add_wishers(router, node, &admission, &mut at_sessions);
        }
        let mut lost = Vec::new();
        for (address, _) in subscriptions.into_iter().filter(|(_, state)| is_subscribed(*state)) {
            let account = address.to_bare();
            match admission.of(node, &account) {
                Admitted::Yes => {}
                Admitted::No => continue,
                Admitted::NoMore => {
                    lost.push((address, SubscriptionState::None));
                    continue;
                }
            }
            // One event for each: who is told at full addresses is not told at the bare one as well (XEP-0163 §4.3.1).
            let told_already = at_sessions.contains(&account) && address.is_bare();
            let away = node.config.presence_based && router.is_away(&address);
            if !told_already && !away {
                audience.addresses.push(address);
            }
        }
        if !lost.is_empty() {
            // XEP-0163 §7: access was taken away with the presence or the group. The next event tries again if this fails.
            if let Err(failure) = table.set_subscriptions(node, &lost).await {
                tracing::debug!(?failure, node = node.name, "Subscriptions without access could not be ended.");
            }
        }
        Ok(audience)
    }

    /// The account's own sessions, and those who see its presence.
    fn add_wishers(&mut self, router: &Router, node: &Node, admission: &Admission, at_sessions: &mut HashSet<BareJid>) {
        let own = std::iter::once(&node.service);
        for account in own.chain(&admission.watchers) {
            if admission.of(node, account) != Admitted::Yes {
                continue;
            }
            if router.is_local(account.as_jid()) {
                let sessions = router.available(account.as_str());
                let before = self.sessions.len();
                self.sessions.extend(sessions.into_iter().filter(|session| session.interest.wants(&node.name)));
                if self.sessions.len() > before {
                    at_sessions.insert(account.clone());
                }
            } else {
                let wishing = router.shared().pubsub.remotes.wishing(account, &node.service, &node.name);
                if !wishing.is_empty() {
                    at_sessions.insert(account.clone());
                }
                self.addresses.extend(wishing);
            }
        }
    }

    async fn told(self, router: &Router, node: &Node, mut event: Event) {
        if !node.config.payloads
            && let Event::Items(items, _) = &mut event
        {
            for item in items {
                item.payload = None;
            }
        }
        let pubsub = &router.shared().pubsub;
        let message = notification(node, &event);
        for session in self.sessions {
            Letter::new(message.clone().with_id(pubsub.next_id()).with_to(&session.jid)).give(&session);
        }
        for address in self.addresses {
            router.emit(message.clone().with_id(pubsub.next_id()).with_to(address)).await;
        }
    }
}

/// Who may hear of a node, as far as it takes more than the node to say.
#[derive(Debug, Default)]
struct Admission {
    affiliations: Vec<(BareJid, Affiliation)>,
    /// Who sees the payer's presence.
    watchers: HashSet<BareJid>,
    /// Who of them is in a group that the node allows.
    in_group: HashSet<BareJid>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Admitted {
    No,
    /// It was by presence or group, and is not any more.
    NoMore,
    Yes,
}

impl Admission {
    async fn find(router: &Router, node: &Node, has_subscribers: bool) -> Result<Self, StoreError> {
        let shared = router.shared();
        let mut admission = Admission::default();
        if !node.is_personal() && !has_subscribers {
            return Ok(admission);
        }
        admission.affiliations = shared.pubsub.table.affiliations(node.id).await?;
        match node.config.access {
            AccessModel::Roster => {
                let (_, items) = shared.rosters.load(&node.payer).await?;
                for item in items.into_iter().filter(|item| item.state.contact_sees_user()) {
                    if item.listed && has_group(node, &item.groups) {
                        admission.in_group.insert(item.contact.clone());
                    }
                    admission.watchers.insert(item.contact);
                }
            }
            access if node.is_personal() || access == AccessModel::Presence => {
                admission.watchers = shared.rosters.peers(&node.payer).await?.watchers.into_iter().collect();
            }
            _ => {}
        }
        if node.is_personal() {
            // XEP-0163 §4.3.1: not to those whom the account blocks, nor to those who block it.
            let watchers = std::mem::take(&mut admission.watchers).into_iter().collect();
            admission.watchers = router.unblocked(node.service.as_jid(), watchers).await?.into_iter().collect();
        }
        Ok(admission)
    }

    fn of(&self, node: &Node, account: &BareJid) -> Admitted {
        if *account == node.service || *account == node.payer {
            return Admitted::Yes;
        }
        let found = self.affiliations.iter().find(|(known, _)| known == account);
        let open = |yes: bool| if yes { Admitted::Yes } else { Admitted::NoMore };
        match (found.map_or(Affiliation::None, |(_, affiliation)| *affiliation), node.config.access) {
            (Affiliation::Outcast, _) | (Affiliation::None, AccessModel::Whitelist) => Admitted::No,
            (Affiliation::None, AccessModel::Presence) => open(self.watchers.contains(account)),
            (Affiliation::None, AccessModel::Roster) => open(self.in_group.contains(account)),
            _ => Admitted::Yes,
        }
    }
}

impl Pubsub {
    /// The message with the last item of a node, stamped with the time it was published at; it has no address yet.
    pub(super) async fn last_item(&self, node: &Node) -> Result<Option<Stanza>, StoreError> {
        let Some((mut item, published)) = self.newest(node).await? else { return Ok(None) };
        if !node.config.payloads {
            item.payload = None;
        }
        let since = delay(Some(node.service.as_jid()), Timestamp::from_micros(published));
        let message = notification(node, &Event::Items(vec![item], Vec::new())).with_id(self.next_id());
        Ok(Some(message.with_child(since)))
    }
}

/// The message that carries an event; it has neither id nor address yet.
pub(super) fn notification(node: &Node, event: &Event) -> Stanza {
    let kind = if node.config.normal_messages { MessageType::Normal } else { MessageType::Headline };
    Stanza::message(kind).with_from(&node.service).with_child(event.encode(&node.name))
}

impl Router {
    /// Whether nobody is there at an address of ours. Of other servers we do not know.
    fn is_away(&self, address: &Jid) -> bool {
        if !self.is_local(address) || address.local().is_none() {
            return false;
        }
        let sessions = self.available(address.bare_str());
        !sessions.iter().any(|session| address.resource().is_none_or(|resource| resource == session.jid.resource()))
    }
}
