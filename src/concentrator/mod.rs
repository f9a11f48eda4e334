//! The concentrator: an account of the broker in front of all nodes (nfi Concentrator, SensorData, ControlParameters).
//!
//! It answers for every node behind it: what there is, what it reads, what it is set to and what it can be told to do. It
//! speaks only stanzas, through an [`Uplink`], and only [`torg_thing::Node`], so neither broker nor bridge is known here.
//! Editing is not here yet.
//!
//! # Why
//! One task takes stanzas in and hands each to a lane chosen by its sender, so that what one sender asks is handled in
//! order while senders do not wait for each other. A lane only looks things up; whatever waits for a device runs in a
//! task of its own.

mod browse;
mod changes;
mod commands;
mod control;
mod discovery;
mod friends;
mod lanes;
mod readout;
mod refusal;
mod shared;
mod sniffers;
mod source_events;
mod subscription;
mod tree;
mod uplink;
mod words;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use torg_thing::Clock;
use torg_wire::jid::{BareJid, Jid};
use torg_wire::ns;
use torg_wire::stanza::{IqType, MessageType, PresenceType, Stanza, StanzaKind};
use torg_wire::xml::Element;
use tracing::{info, warn};

pub use shared::Config;
pub use tree::Tree;
pub use uplink::{Outlet, Uplink, UplinkClosed};

use commands::Queries;
use control::Orders;
use friends::{Friends, Welcome};
use lanes::Lanes;
use readout::Readouts;
use shared::Shared;
use sniffers::Sniffers;
use source_events::Followers;
use subscription::Subscriptions;

/// Id of the request for the roster, the only one the concentrator makes.
const ROSTER_ID: &str = "roster";

/// How long readouts and control writes may take to end when the concentrator stops; a part of the 20 s the appliance has.
const DRAIN: Duration = Duration::from_secs(5);

/// The concentrator on one uplink.
pub struct Concentrator {
    shared: Arc<Shared>,
    uplink: Box<dyn Uplink>,
    requests: mpsc::Receiver<subscription::Request>,
}

/// Changes a running concentrator.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

impl Concentrator {
    /// A concentrator for the nodes of `tree`, ready to [run](Self::run).
    #[must_use]
    pub fn new(
        config: Config,
        tree: Arc<Tree>,
        uplink: Box<dyn Uplink>,
        clock: Arc<dyn Clock>,
        shutdown: &CancellationToken,
    ) -> Self {
        let (subscriptions, requests) = Subscriptions::new();
        let friends = Friends::new(uplink.address().to_bare(), config.friends.clone());
        let shared = Shared {
            config,
            tree,
            clock,
            friends,
            readouts: Readouts::new(),
            orders: Orders::new(),
            queries: Queries::default(),
            followers: Followers::default(),
            sniffers: Sniffers::default(),
            subscriptions,
            outlet: uplink.outlet(),
            // A child: an uplink that ends takes this concentrator down and nothing else.
            shutdown: shutdown.child_token(),
            tasks: TaskTracker::new(),
        };
        Self { shared: Arc::new(shared), uplink, requests }
    }

    /// For changes while it runs.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle { shared: Arc::clone(&self.shared) }
    }

    /// Serves until it is told to stop or the uplink ends, then lets what runs come to an end.
    pub async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let lanes = Lanes::start(&shared);
        shared.tasks.spawn(subscription::serve(Arc::clone(&shared), self.requests));
        shared.tasks.spawn(source_events::serve(Arc::clone(&shared)));
        shared.tasks.spawn(sniffers::serve(Arc::clone(&shared)));
        shared.send(Stanza::iq_get(ROSTER_ID, Element::new(ns::ROSTER, "query"))).await;
        loop {
            // Cancellation safe: `next` is by contract, the token by nature.
            let stanza = tokio::select! {
                biased;
                () = shared.shutdown.cancelled() => break,
                stanza = self.uplink.next() => stanza,
            };
            let Some(stanza) = stanza else {
                info!("The uplink has ended.");
                break;
            };
            receive(&shared, &lanes, stanza).await;
        }
        // Whether told to stop or cut off: what runs ends now, and says so if it still can.
        shared.shutdown.cancel();
        drop(lanes);
        shared.tasks.close();
        if tokio::time::timeout(DRAIN, shared.tasks.wait()).await.is_err() {
            warn!("Some requests did not end in time.");
        }
        shared.send(Stanza::presence(PresenceType::Unavailable)).await;
    }
}

impl Handle {
    /// Changes whose subscription is accepted at once. Who asked before and is welcome now is accepted; who was welcome
    /// and is not any more loses the friendship, with all that runs for it (RFC 6121 §3.2).
    pub async fn set_friends(&self, friends: BTreeSet<BareJid>) {
        let change = self.shared.friends.welcome(friends);
        for jid in change.accepted {
            accept(&self.shared, &jid).await;
        }
        revoke(&self.shared, change.dropped).await;
    }
}

/// Ends friendships; what runs for them ends with the roster push that follows.
async fn revoke(shared: &Shared, friends: Vec<BareJid>) {
    for jid in friends {
        info!(%jid, "A friendship was ended, since the account is not on the list any more.");
        shared.send(Stanza::presence(PresenceType::Unsubscribed).with_to(jid)).await;
    }
}

/// Handles what concerns the concentrator itself and gives requests to their lane.
async fn receive(shared: &Arc<Shared>, lanes: &Lanes, stanza: Stanza) {
    match stanza.kind() {
        StanzaKind::Iq(IqType::Set) if has_roster(&stanza) => pushed(shared, &stanza).await,
        StanzaKind::Iq(IqType::Get | IqType::Set) => lanes.put(shared, stanza).await,
        StanzaKind::Iq(IqType::Result | IqType::Error) => answered(shared, &stanza).await,
        StanzaKind::Message(_) if words::is_order(&stanza) => lanes.put(shared, stanza).await,
        StanzaKind::Presence(PresenceType::Subscribe) => asked(shared, &stanza).await,
        StanzaKind::Presence(PresenceType::Unavailable | PresenceType::Error)
        | StanzaKind::Message(MessageType::Error) => {
            if let Some(jid) = stanza.from() {
                gone(shared, jid);
            }
        }
        // Friendship is read from the roster, not from these; other messages mean nothing to a concentrator.
        StanzaKind::Presence(_) | StanzaKind::Message(_) => {}
    }
}

fn has_roster(stanza: &Stanza) -> bool {
    stanza.child(ns::ROSTER, "query").is_some()
}

/// The broker tells a change of the roster.
async fn pushed(shared: &Shared, stanza: &Stanza) {
    if !shared.friends.may_push(stanza.from()) {
        warn!(from = ?stanza.from(), "A roster push from somebody else was refused.");
        return shared.refuse(stanza, refusal::unsupported()).await;
    }
    learn(shared, stanza);
    shared.reply(stanza, None).await;
}

/// The broker answers: the roster is known, so we can be.
async fn answered(shared: &Shared, stanza: &Stanza) {
    if stanza.id() != Some(ROSTER_ID) || !shared.friends.may_push(stanza.from()) {
        return;
    }
    if stanza.kind().is_error() {
        warn!(error = ?stanza.error(), "The roster is not to be had; nobody counts as a friend.");
    }
    learn(shared, stanza);
    revoke(shared, shared.friends.unlisted()).await;
    shared.send(discovery::presence()).await;
}

fn learn(shared: &Shared, stanza: &Stanza) {
    let Some(query) = stanza.child(ns::ROSTER, "query") else { return };
    for jid in shared.friends.learn(query) {
        info!(%jid, "A friend was lost.");
        gone(shared, jid.as_jid());
    }
}

/// Somebody wants to see our presence.
async fn asked(shared: &Shared, stanza: &Stanza) {
    let Some(jid) = stanza.from().map(Jid::to_bare) else { return };
    match shared.friends.asked(&jid) {
        Welcome::Accept { back } => befriend(shared, &jid, back).await,
        Welcome::Wait => info!(%jid, "A request for friendship waits for the owner."),
    }
}

async fn accept(shared: &Shared, jid: &BareJid) {
    if let Welcome::Accept { back } = shared.friends.asked(jid) {
        befriend(shared, jid, back).await;
    }
}

async fn befriend(shared: &Shared, jid: &BareJid, back: bool) {
    info!(%jid, "A request for friendship was accepted.");
    shared.send(Stanza::presence(PresenceType::Subscribed).with_to(jid.clone())).await;
    if back {
        shared.send(Stanza::presence(PresenceType::Subscribe).with_to(jid.clone())).await;
    }
}

/// Somebody cannot be reached any more, or is no friend any more: one address, or all of an account.
fn gone(shared: &Shared, who: &Jid) {
    let is_gone = |jid: &Jid| if who.is_bare() { jid.bare_str() == who.as_str() } else { jid == who };
    shared.readouts.cancel_of(is_gone);
    shared.queries.forget(is_gone);
    shared.followers.forget(is_gone);
    shared.sniffers.forget(shared.tree.eyes(), is_gone);
    shared.subscriptions.gone(who);
}
