//! Source events (nfi Concentrator, "Data source events"): who wants to know of changes in a source is told of nodes that
//! come, go and change their state.
//!
//! A subscription ends with its time, with its client's presence, or when no kind of event is left in it. What a client
//! missed is told again from the log; it may then be told twice of what happens at that moment, but never not at all.
//! Nodes do not change their parameters or their order yet, so these events do not occur.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use torg_provisioning::Operation as Access;
use torg_thing::{Categories, NodeRef, SourceId};
use torg_wire::iot::concentrator::{
    Detail, EventKind, EventKinds, NodeEvent, Notice, SourceEvent, SourceEvents, Subscribe,
};
use torg_wire::iot::{Generation, NodeInfo, Parent, Tokens};
use torg_wire::jid::Jid;
use torg_wire::stanza::{ErrorType, IqType, Stanza, StanzaError, StanzaKind};
use tracing::warn;

use super::changes::{Change, What};
use super::shared::{Caller, Shared};
use super::{browse, refusal};

/// Subscriptions at a time; each costs a few hundred bytes and a message per change.
const SUBSCRIPTIONS_MAX: usize = 1024;

/// Subscriptions of one account, so that one cannot take all places.
pub(super) const PER_ACCOUNT_MAX: usize = 64;

/// Longest life of a subscription that is not renewed.
const TTL_MAX: Duration = Duration::from_secs(24 * 3600);

/// Who subscribed to which source.
type Key = (Jid, SourceId);

/// All subscriptions to source events.
#[derive(Debug, Default)]
pub(super) struct Followers(Mutex<HashMap<Key, Follower>>);

#[derive(Clone, Debug)]
struct Follower {
    caller: Caller,
    /// As the caller wrote the source; events repeat it.
    asked: SourceId,
    generation: Generation,
    tokens: Tokens,
    until: Instant,
    detail: Detail,
    kinds: EventKinds,
}

impl Followers {
    /// Forgets all subscriptions of those for whom `gone` is true.
    pub(super) fn forget(&self, gone: impl Fn(&Jid) -> bool) {
        self.lock().retain(|(jid, _), _| !gone(jid));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Follower>> {
        // A panic while holding this lock leaves a valid map, so poisoning carries no meaning.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a subscription, or renews one and adds to it.
    fn put(&self, source: SourceId, follower: Follower) -> Result<Follower, StanzaError> {
        let mut all = self.lock();
        let now = Instant::now();
        all.retain(|_, follower| follower.until > now);
        let key = (follower.caller.jid.clone(), source);
        let known = all.get(&key);
        let own = all.values().filter(|other| other.caller.account == follower.caller.account).count();
        if known.is_none() && (all.len() >= SUBSCRIPTIONS_MAX || own >= PER_ACCOUNT_MAX) {
            return Err(refusal::busy("Too many subscriptions."));
        }
        let (kinds, detail) = known.map_or((EventKinds::NONE, Detail::default()), |known| (known.kinds, known.detail));
        let follower = Follower {
            kinds: kinds.union(follower.kinds),
            detail: Detail {
                parameters: detail.parameters || follower.detail.parameters,
                messages: detail.messages || follower.detail.messages,
            },
            ..follower
        };
        all.insert(key, follower.clone());
        Ok(follower)
    }

    fn take_out(&self, key: Key, kinds: EventKinds) {
        let mut all = self.lock();
        let Some(follower) = all.get_mut(&key) else { return };
        follower.kinds = follower.kinds.without(kinds);
        if follower.kinds.is_empty() {
            all.remove(&key);
        }
    }

    fn of(&self, source: &SourceId) -> Vec<Follower> {
        let now = Instant::now();
        let all = self.lock();
        let wanted = all.iter().filter(|((_, followed), follower)| followed == source && follower.until > now);
        wanted.map(|(_, follower)| follower.clone()).collect()
    }
}

/// Answers a request about source events.
pub(super) async fn handle(
    shared: &Arc<Shared>,
    iq: &Stanza,
    caller: &Caller,
    tokens: &Tokens,
    operation: &SourceEvents,
    generation: Generation,
) {
    let asked = match operation {
        SourceEvents::Subscribe(subscribe) => &subscribe.source,
        SourceEvents::Unsubscribe { source, .. } => source,
    };
    let source = match permitted(shared, iq, caller, tokens, asked) {
        Ok(source) => source,
        Err(error) => return shared.refuse(iq, error).await,
    };
    match operation {
        SourceEvents::Subscribe(Subscribe { ttl, since, detail, kinds, .. }) => {
            let follower = Follower {
                caller: caller.clone(),
                asked: asked.clone(),
                generation,
                tokens: tokens.clone(),
                until: Instant::now() + (*ttl).min(TTL_MAX),
                detail: *detail,
                kinds: *kinds,
            };
            let follower = match shared.followers.put(source.clone(), follower) {
                Ok(follower) => follower,
                Err(error) => return shared.refuse(iq, error).await,
            };
            let missed = since.map(|since| shared.tree.changes_since(&source, since)).unwrap_or_default();
            shared.reply(iq, None).await;
            for change in missed {
                tell(shared, &follower, &change).await;
            }
        }
        SourceEvents::Unsubscribe { kinds, .. } => {
            shared.followers.take_out((caller.jid.clone(), source), *kinds);
            shared.reply(iq, None).await;
        }
    }
}

fn permitted(
    shared: &Shared,
    iq: &Stanza,
    caller: &Caller,
    tokens: &Tokens,
    source: &SourceId,
) -> Result<SourceId, StanzaError> {
    if shared.decide(caller, tokens, Access::Browse, (&[], &[], Categories::ALL)).is_none() {
        return Err(refusal::forbidden().with_type(ErrorType::Auth));
    }
    if iq.kind() != StanzaKind::Iq(IqType::Set) {
        return Err(refusal::bad_request("This is an iq of type set."));
    }
    shared.tree.source(source).ok_or_else(|| refusal::not_found("Data source not found."))
}

/// Tells followers what happens, until the concentrator stops.
pub(super) async fn serve(shared: Arc<Shared>) {
    let mut changes = shared.tree.changes();
    loop {
        // Cancellation safe: both are.
        let change = tokio::select! {
            biased;
            () = shared.shutdown.cancelled() => return,
            change = changes.recv() => change,
        };
        match change {
            Ok(change) => {
                for follower in shared.followers.of(&change.node.source) {
                    tell(&shared, &follower, &change).await;
                }
            }
            Err(RecvError::Lagged(lost)) => warn!(lost, "Source events came faster than they could be told."),
            Err(RecvError::Closed) => return,
        }
    }
}

/// Tells one follower, if it wants to know and may.
async fn tell(shared: &Shared, follower: &Follower, change: &Change) {
    let kind = match change.what {
        What::Added(_) => EventKind::Added,
        What::Removed => EventKind::Removed,
        What::State(_) => EventKind::StatusChanged,
    };
    if !follower.kinds.contains(kind) {
        return;
    }
    let nodes = std::slice::from_ref(&change.node);
    let asked = (nodes, [].as_slice(), Categories::ALL);
    let scope = shared.decide(&follower.caller, &follower.tokens, Access::Browse, asked);
    if scope.is_none_or(|scope| !scope.nodes.contains(&change.node)) {
        return;
    }
    let event = Notice::Event(event(shared, follower, change));
    shared.tell(&follower.caller.jid, event.encode(follower.generation)).await;
}

fn event(shared: &Shared, follower: &Follower, change: &Change) -> SourceEvent {
    let node = NodeRef { source: follower.asked.clone(), ..change.node.clone() };
    let found = shared.tree.find(&change.node);
    let event = NodeEvent { node: node.clone(), local_id: None, log_id: None, at: change.at };
    match &change.what {
        What::Added(after) => {
            let detail = Detail { messages: false, ..follower.detail };
            let info = found.map(|found| browse::info(shared, &found, Some(&node), detail));
            let partition = node.partition.clone();
            SourceEvent::Added {
                // One that has gone since is told of as far as it is known.
                node: Box::new(info.unwrap_or_else(|| NodeInfo::new(node))),
                after: after.clone().map(|id| Parent { id, partition }),
                at: change.at,
            }
        }
        What::Removed => SourceEvent::Removed(event),
        What::State(state) => {
            let messages = found.filter(|_| follower.detail.messages).map(|found| browse::messages(&found));
            SourceEvent::StatusChanged { event, state: *state, messages: messages.unwrap_or_default() }
        }
    }
}
