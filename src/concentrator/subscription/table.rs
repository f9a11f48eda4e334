//! The task that owns all subscriptions: what was seen goes in, events go out.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use torg_provisioning::Operation;
use torg_thing::{Categories, Field, Interest, Node, NodeRef, Selection, Severity, Timestamp, Watch};
use torg_wire::iot::events::Subscribe;
use torg_wire::iot::sensor_data::Accepted;
use torg_wire::iot::{Generation, SensorData};
use torg_wire::jid::Jid;
use tracing::{debug, warn};

use super::trigger::Trigger;
use super::{PER_ACCOUNT_MAX, Request, SUBSCRIPTIONS_MAX, Wish, unknown};
use crate::concentrator::readout::{self, Delivery};
use crate::concentrator::refusal;
use crate::concentrator::shared::{Caller, Shared};

/// How fresh values are kept when the subscriber does not say.
const INTERVAL: Duration = Duration::from_secs(5);

/// No subscriber makes a line work faster than this.
const INTERVAL_MIN: Duration = Duration::from_millis(250);

/// Who subscribed, and under which id.
type Key = (Jid, String);

struct Subscription {
    caller: Caller,
    generation: Generation,
    wish: Subscribe,
    selection: Selection,
    nodes: Vec<Watched>,
    trigger: Trigger,
}

/// A node of a subscription.
struct Watched {
    asked: NodeRef,
    address: NodeRef,
    node: Arc<dyn Node>,
    /// Demand for as long as the subscription lives.
    _watch: Watch,
}

/// Everything the task owns.
struct Table {
    shared: Arc<Shared>,
    all: HashMap<Key, Subscription>,
    /// Subscriptions that concern a node, by its address.
    by_node: HashMap<NodeRef, BTreeSet<Key>>,
}

/// Serves subscriptions until the concentrator stops.
pub(in crate::concentrator) async fn serve(shared: Arc<Shared>, mut requests: mpsc::Receiver<Request>) {
    let tree = Arc::clone(&shared.tree);
    let mut observations = tree.observations().lock().await;
    let mut table = Table { shared: Arc::clone(&shared), all: HashMap::new(), by_node: HashMap::new() };
    loop {
        let next = table.all.values().filter_map(|subscription| subscription.trigger.deadline()).min();
        // Every branch is cancellation safe: channels and notifications by nature, observations by contract.
        tokio::select! {
            biased;
            () = shared.shutdown.cancelled() => break,
            () = shared.subscriptions.someone_gone.notified() => table.forget_gone(),
            () = tree.announced() => table.watch_again(),
            request = requests.recv() => match request {
                Some(request) => table.handle(request).await,
                None => break,
            },
            seen = observations.next() => {
                for observation in seen {
                    table.observe(None, &observation.node, &observation.fields);
                }
            }
            () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => table.fire().await,
        }
        shared.subscriptions.count.store(table.all.len(), Ordering::Relaxed);
    }
}

impl Table {
    async fn handle(&mut self, request: Request) {
        match request {
            Request::Read { reader, node, fields } => self.observe(Some(&reader), &node, &fields),
            Request::Subscribe(wish) => self.subscribe(*wish).await,
            Request::Unsubscribe { iq, caller, id } => {
                if self.remove(&(caller, id)) {
                    self.shared.reply(&iq, None).await;
                } else {
                    self.shared.refuse(&iq, unknown()).await;
                }
            }
        }
    }

    async fn subscribe(&mut self, wish: Wish) {
        let Wish { iq, caller, generation, targets, subscribe } = wish;
        let key = (caller.jid.clone(), subscribe.id.clone());
        // One of the same id is replaced, so it does not count.
        self.remove(&key);
        let of_account = self.all.values().filter(|other| other.caller.account == caller.account).count();
        if self.all.len() >= SUBSCRIPTIONS_MAX || of_account >= PER_ACCOUNT_MAX {
            return self.shared.refuse(&iq, refusal::busy("Too many subscriptions.")).await;
        }
        let selection = selection(&subscribe);
        let interest = Interest { selection: selection.clone(), interval: interval(&subscribe) };
        let nodes: Vec<_> = targets
            .iter()
            .map(|target| Watched {
                asked: target.asked.clone(),
                address: target.address.clone(),
                node: Arc::clone(&target.node),
                _watch: target.node.watch(interest.clone()),
            })
            .collect();
        for node in &nodes {
            self.by_node.entry(node.address.clone()).or_default().insert(key.clone());
        }
        let accepted = Accepted { id: subscribe.id.clone(), queued: false };
        let trigger = Trigger::new(&subscribe, Instant::now());
        let first = subscribe.request.then(|| (subscribe.id.clone(), selection.clone()));
        let jid = caller.jid.clone();
        self.all.insert(key, Subscription { caller, generation, wish: subscribe, selection, nodes, trigger });
        self.shared.reply(&iq, Some(SensorData::Accepted(accepted).encode(generation))).await;
        if let Some((id, selection)) = first {
            readout::now(&self.shared, jid, generation, id, targets, selection);
        }
    }

    /// Whether there was one.
    fn remove(&mut self, key: &Key) -> bool {
        let Some(subscription) = self.all.remove(key) else { return false };
        for node in &subscription.nodes {
            if let Some(keys) = self.by_node.get_mut(&node.address) {
                keys.remove(key);
                if keys.is_empty() {
                    self.by_node.remove(&node.address);
                }
            }
        }
        true
    }

    fn forget_gone(&mut self) {
        let gone = {
            let mut gone = self.shared.subscriptions.gone.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            std::mem::take(&mut *gone)
        };
        for who in gone {
            let is_gone = |jid: &Jid| if who.is_bare() { jid.bare_str() == who.as_str() } else { *jid == who };
            let keys: Vec<_> = self.all.keys().filter(|(jid, _)| is_gone(jid)).cloned().collect();
            for key in keys {
                debug!(jid = %key.0, id = key.1, "A subscription ended with its subscriber.");
                self.remove(&key);
            }
        }
    }

    /// A bridge was started again: the nodes of before are dead, demand goes to those of now.
    fn watch_again(&mut self) {
        for subscription in self.all.values_mut() {
            let interest =
                Interest { selection: subscription.selection.clone(), interval: interval(&subscription.wish) };
            for watched in &mut subscription.nodes {
                let Some(found) = self.shared.tree.find(&watched.address) else { continue };
                if !Arc::ptr_eq(&found.node, &watched.node) {
                    watched._watch = found.node.watch(interest.clone());
                    watched.node = found.node;
                }
            }
        }
    }

    fn observe(&mut self, reader: Option<&Jid>, node: &NodeRef, fields: &[Field]) {
        let Some(keys) = self.by_node.get(node) else { return };
        let now = self.shared.clock.now();
        for key in keys.iter().filter(|(jid, _)| reader != Some(jid)) {
            let Some(subscription) = self.all.get_mut(key) else { continue };
            let Some(index) = subscription.nodes.iter().position(|watched| watched.address == *node) else { continue };
            let Subscription { wish, selection, trigger, .. } = subscription;
            for field in fields.iter().filter(|field| selection.includes(field) && !is_too_old(wish, field, now)) {
                trigger.observe(index, field.clone());
            }
        }
    }

    /// Sends all events that are due.
    async fn fire(&mut self) {
        let now = Instant::now();
        let is_due = |(_, subscription): &(&Key, &mut Subscription)| {
            subscription.trigger.deadline().is_some_and(|deadline| deadline <= now)
        };
        let mut refused = Vec::new();
        for (key, subscription) in self.all.iter_mut().filter(is_due) {
            let names: Vec<_> = subscription.wish.rules.iter().map(|rule| rule.name.clone()).collect();
            let nodes: Vec<_> = subscription.nodes.iter().map(|watched| watched.address.clone()).collect();
            let asked = (nodes.as_slice(), names.as_slice(), subscription.selection.categories);
            let heartbeat = subscription.trigger.is_heartbeat();
            let event = subscription.trigger.fire(now);
            if self.shared.decide(&subscription.caller, &subscription.wish.tokens, Operation::Read, asked).is_none() {
                refused.push(key.clone());
                continue;
            }
            let to = subscription.caller.jid.clone();
            let mut delivery =
                Delivery::in_messages(Arc::clone(&self.shared), to, subscription.generation, key.1.clone());
            for (index, field) in event {
                if let Some(watched) = subscription.nodes.get(index) {
                    delivery.field(Some(&watched.asked), field).await;
                }
            }
            if heartbeat {
                for watched in &subscription.nodes {
                    for (at, text) in troubles(&self.shared, &watched.address) {
                        delivery.error(Some(&watched.asked), at, text).await;
                    }
                }
            }
            delivery.finish().await;
        }
        for key in refused {
            warn!(jid = %key.0, "A subscription ended, since its subscriber may not read any more.");
            self.remove(&key);
        }
    }
}

/// Why old values may be all there is: a heartbeat of a dead node must not look like one of a quiet node.
fn troubles(shared: &Shared, address: &NodeRef) -> Vec<(Timestamp, String)> {
    let Some(found) = shared.tree.find(address) else {
        return vec![(shared.clock.now(), "The node is not available.".to_owned())];
    };
    let grave = found.messages.into_iter().filter(|message| message.severity >= Severity::Warning);
    grave.map(|message| (message.at, refusal::sentence(&message.text))).collect()
}

/// The fields that rules name, or all.
fn selection(wish: &Subscribe) -> Selection {
    let names: BTreeSet<_> = wish.rules.iter().map(|rule| rule.name.clone()).collect();
    Selection { fields: (!names.is_empty()).then_some(names), categories: wish.categories, ..Selection::everything() }
}

/// How fresh values must be to serve the wish.
fn interval(wish: &Subscribe) -> Duration {
    let length = |span: Option<torg_thing::Span>| span.and_then(torg_thing::Span::to_duration);
    let usual = length(wish.max_interval).map_or(INTERVAL, |max| max.min(INTERVAL));
    length(wish.min_interval).unwrap_or(usual).max(INTERVAL_MIN)
}

/// Whether a historical value is older than the subscriber cares for.
fn is_too_old(wish: &Subscribe, field: &Field, now: Timestamp) -> bool {
    let oldest = wish.max_age.and_then(torg_thing::Span::to_duration);
    field.categories.contains(Categories::HISTORICAL) && oldest.is_some_and(|oldest| now.since(field.at) > oldest)
}
