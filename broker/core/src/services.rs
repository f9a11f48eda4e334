//! Which service answers where: the broker's own at the server and at accounts, added ones at their addresses.
//!
//! Added services work in lanes: one queue per group of senders, so that the stanzas of one sender stay in order while a service that
//! hesitates holds up no session.

use std::hash::{BuildHasher, RandomState};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use arc_swap::ArcSwap;
use futures_util::FutureExt;
use tokio::sync::mpsc;
use torg_wire::jid::{BareJid, Jid};
use torg_wire::ns;
use torg_wire::stanza::{Stanza, StanzaCondition, StanzaError};

use crate::identity::Envelope;
use crate::limits::{LANE_STANZAS, LANES};
use crate::pubsub;
use crate::router::Router;
use crate::service::{DiscoIdentity, Reply, Route, Service};
use crate::xep::{self, Builtin};

/// Says that messages wait for those who are away (XEP-0160 §4). It has no route.
const OFFLINE_MESSAGES: &str = "msgoffline";

/// Where a stanza without a session for a target is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The server's own domain.
    Server,
    /// The sender's own account.
    OwnAccount,
    /// Another account of ours.
    Account,
    /// The address of an added service.
    Service,
}

/// An added service.
struct Added {
    address: BareJid,
    service: Arc<dyn Service>,
    lanes: Vec<mpsc::Sender<(Envelope, Reply)>>,
}

/// All services.
#[derive(Default)]
pub(crate) struct Services {
    added: ArcSwap<Vec<Added>>,
    /// Entities worth finding that are no services: the concentrator's account, for instance.
    published: ArcSwap<Vec<(Jid, String)>>,
    hasher: RandomState,
}

impl Services {
    /// Adds a service at an address of ours (the domain itself, or an address of its own) and starts its lanes.
    pub(crate) fn add(&self, router: &Router, address: BareJid, service: Arc<dyn Service>) {
        let lanes = (0..LANES).map(|_| start_lane(router, Arc::clone(&service))).collect();
        let added = Arc::new(Added { address, service, lanes });
        self.added.rcu(|present| {
            let mut next: Vec<Added> = present.iter().map(Added::same).collect();
            next.push(added.same());
            next
        });
    }

    /// Lists an entity among the server's items (XEP-0030 §4).
    pub(crate) fn publish(&self, jid: &Jid, name: &str) {
        self.published.rcu(|present| {
            let mut next: Vec<_> = present.iter().filter(|(known, _)| known != jid).cloned().collect();
            next.push((jid.clone(), name.to_owned()));
            next
        });
    }

    pub(crate) fn published(&self) -> Arc<Vec<(Jid, String)>> {
        self.published.load_full()
    }

    /// Forgets all added services; their lanes end once they are empty.
    pub(crate) fn clear(&self) {
        self.added.store(Arc::default());
    }

    /// Whether an added service has exactly this address.
    pub(crate) fn serves(&self, address: &str) -> bool {
        self.added.load().iter().any(|added| added.address.as_str() == address)
    }

    pub(crate) fn serves_domain(&self, domain: &str) -> bool {
        self.added.load().iter().any(|added| added.address.domain() == domain)
    }

    /// Hands the stanza to the first service that takes it at one of the places; gives it back if there is none.
    pub(crate) async fn dispatch(&self, router: &Router, places: &[Place], envelope: Envelope) -> Result<(), Envelope> {
        for place in places {
            if let Some(builtin) = xep::BUILTIN.iter().find(|builtin| builtin.takes(*place, envelope.stanza())) {
                router.note_generation(envelope.identity().jid(), envelope.stanza());
                let reply = Reply::new(router.clone(), envelope.stanza());
                (builtin.run)(router, envelope, reply).await;
                return Ok(());
            }
        }
        let added = self.added.load();
        let address = envelope.stanza().to().map_or(router.domain().as_str(), Jid::bare_str);
        let takes = |added: &&Added| added.address.as_str() == address && takes(&*added.service, envelope.stanza());
        let Some(added) = added.iter().find(takes) else { return Err(envelope) };
        router.note_generation(envelope.identity().jid(), envelope.stanza());
        added.enqueue(self.lane_of(envelope.identity().jid()), Reply::new(router.clone(), envelope.stanza()), envelope);
        Ok(())
    }

    /// Identities and features of an address: what disco#info answers there.
    pub(crate) fn describe(&self, place: Place, address: &str) -> (Vec<DiscoIdentity>, Vec<&'static str>) {
        let builtins = xep::BUILTIN.iter().filter(|builtin| builtin.places.contains(&place));
        let mut identities = Vec::new();
        let mut features: Vec<&'static str> = builtins.flat_map(Builtin::features).collect();
        for added in self.added.load().iter().filter(|added| added.address.as_str() == address) {
            identities.extend_from_slice(added.service.identities());
            features.extend(added.service.routes().iter().map(|route: &Route| route.namespace));
            features.extend_from_slice(added.service.features());
        }
        pubsub::describe(place, &mut identities, &mut features);
        if place == Place::Server {
            features.push(OFFLINE_MESSAGES);
            features.extend_from_slice(xep::FOR_ACCOUNTS);
        }
        if matches!(place, Place::Server | Place::OwnAccount) {
            features.push(ns::STANZA_ID); // XEP-0359 §5: nobody else gives ids in our name
        }
        features.sort_unstable();
        features.dedup();
        (identities, features)
    }

    /// Addresses of added services other than the domain itself.
    pub(crate) fn addresses(&self) -> Vec<BareJid> {
        let mut addresses: Vec<BareJid> = self.added.load().iter().map(|added| added.address.clone()).collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }

    fn lane_of(&self, sender: &Jid) -> usize {
        let lanes = u64::try_from(LANES).unwrap_or(1).max(1);
        usize::try_from(self.hasher.hash_one(sender.as_str()) % lanes).unwrap_or(0)
    }
}

impl Added {
    fn same(&self) -> Added {
        Added { address: self.address.clone(), service: Arc::clone(&self.service), lanes: self.lanes.clone() }
    }

    fn enqueue(&self, lane: usize, reply: Reply, envelope: Envelope) {
        let Some(lane) = self.lanes.get(lane) else { return };
        let refused = match lane.try_send((envelope, reply)) {
            Ok(()) => return,
            Err(mpsc::error::TrySendError::Full((_, reply)) | mpsc::error::TrySendError::Closed((_, reply))) => reply,
        };
        refused.error(StanzaError::new(StanzaCondition::ResourceConstraint));
    }
}

fn takes(service: &dyn Service, stanza: &Stanza) -> bool {
    service.routes().iter().any(|route| route.takes(stanza))
}

/// One lane: handles what comes, one after the other. A handler that panics owes an answer, and dropping its `Reply` gives it.
fn start_lane(router: &Router, service: Arc<dyn Service>) -> mpsc::Sender<(Envelope, Reply)> {
    let (sender, mut waiting) = mpsc::channel::<(Envelope, Reply)>(LANE_STANZAS);
    router.spawn(async move {
        while let Some((envelope, reply)) = waiting.recv().await {
            let handling = AssertUnwindSafe(service.handle(envelope, reply)).catch_unwind();
            if handling.await.is_err() {
                tracing::error!("A service ended a stanza in a panic.");
            }
        }
    });
    sender
}
