//! Sniffers (nfi Concentrator, "Sniffers"): the traffic of a node's line, shown live to who may control the node.
//!
//! What is seen goes to those who look and nowhere else: it is not kept, and while nobody looks it costs one check. A
//! sniffer ends with its time, which its client is told, with its client's presence, or when its client says so.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::{Instant, sleep_until};
use torg_provisioning::Operation as Access;
use torg_thing::{Categories, NodeRef, Timestamp};
use torg_wire::iot::concentrator::{Answer, Notice, Sniff, Sniffed, Sniffers as Operation};
use torg_wire::iot::{Generation, Tokens};
use torg_wire::jid::Jid;
use torg_wire::stanza::{ErrorType, IqType, Stanza, StanzaCondition, StanzaError, StanzaKind};
use tracing::{info, warn};

use super::refusal;
use super::shared::{Caller, Shared};

/// Sniffers at a time; each makes a message of every frame of its line.
const SNIFFERS_MAX: usize = 64;

/// Sniffers of one account, so that one cannot take all places.
pub(super) const PER_ACCOUNT_MAX: usize = 8;

/// How long a sniffer lives if its client does not say.
const LIFE: Duration = Duration::from_secs(3600);

/// Longest life of a sniffer: it is a tool for a person who looks.
const LIFE_MAX: Duration = Duration::from_secs(24 * 3600);

/// Things seen that may wait to be told; what is more is lost.
const WAITING_MAX: usize = 512;

/// Something that was seen on the line of a node.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    node: NodeRef,
    at: Timestamp,
    what: Sniffed,
}

/// Where bridges show what they see.
#[derive(Debug)]
pub(super) struct Eyes {
    /// Sniffers there are; nothing is copied while there is none.
    open: AtomicUsize,
    seen: broadcast::Sender<Seen>,
}

impl Eyes {
    pub(super) fn new() -> Self {
        Self { open: AtomicUsize::new(0), seen: broadcast::channel(WAITING_MAX).0 }
    }

    /// Shows something. Never waits.
    pub(super) fn show(&self, node: &NodeRef, at: impl FnOnce() -> Timestamp, what: &torg_thing::Sniffed<'_>) {
        if self.open.load(Ordering::Relaxed) == 0 {
            return;
        }
        let what = match what {
            torg_thing::Sniffed::Received(bytes) => Sniffed::ReceivedBytes(bytes.to_vec()),
            torg_thing::Sniffed::Remark(text) => Sniffed::Information((*text).to_owned()),
            torg_thing::Sniffed::Sent(bytes) => Sniffed::SentBytes(bytes.to_vec()),
        };
        // Nobody listens any more: that is no fault.
        let _ = self.seen.send(Seen { node: node.clone(), at: at(), what });
    }
}

/// All sniffers.
#[derive(Debug, Default)]
pub(super) struct Sniffers {
    all: Mutex<Table>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Table {
    open: HashMap<String, Sniffer>,
    last: u64,
}

#[derive(Clone, Debug)]
struct Sniffer {
    caller: Caller,
    node: NodeRef,
    generation: Generation,
    until: Instant,
}

impl Sniffers {
    /// Ends all sniffers of those for whom `gone` is true, silently.
    pub(super) fn forget(&self, eyes: &Eyes, gone: impl Fn(&Jid) -> bool) {
        self.change(eyes, |table| table.open.retain(|_, sniffer| !gone(&sniffer.caller.jid)));
    }

    fn change<T>(&self, eyes: &Eyes, change: impl FnOnce(&mut Table) -> T) -> T {
        let mut table = self.lock();
        let result = change(&mut table);
        eyes.open.store(table.open.len(), Ordering::Relaxed);
        drop(table);
        self.changed.notify_one();
        result
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // A panic while holding this lock leaves a valid map, so poisoning carries no meaning.
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_end(&self) -> Option<Instant> {
        self.lock().open.values().map(|sniffer| sniffer.until).min()
    }

    /// Takes out those whose time is over.
    fn expired(&self, eyes: &Eyes) -> Vec<(String, Sniffer)> {
        let now = Instant::now();
        if self.next_end().is_none_or(|end| end > now) {
            return Vec::new();
        }
        self.change(eyes, |table| table.open.extract_if(|_, sniffer| sniffer.until <= now).collect())
    }

    fn of(&self, node: &NodeRef) -> Vec<(String, Sniffer)> {
        let table = self.lock();
        let wanted = table.open.iter().filter(|(_, sniffer)| sniffer.node == *node);
        wanted.map(|(id, sniffer)| (id.clone(), sniffer.clone())).collect()
    }
}

impl Table {
    fn add(&mut self, sniffer: Sniffer) -> Result<String, StanzaError> {
        let own = self.open.values().filter(|other| other.caller.account == sniffer.caller.account).count();
        if self.open.len() >= SNIFFERS_MAX || own >= PER_ACCOUNT_MAX {
            return Err(refusal::busy("Too many sniffers."));
        }
        self.last = self.last.wrapping_add(1);
        let id = self.last.to_string();
        self.open.insert(id.clone(), sniffer);
        Ok(id)
    }

    /// Whose it is must match: an id is no secret.
    fn remove(&mut self, id: &str, caller: &Jid, node: &NodeRef) -> bool {
        let is_this = |sniffer: &Sniffer| sniffer.caller.jid == *caller && sniffer.node == *node;
        self.open.get(id).is_some_and(is_this) && self.open.remove(id).is_some()
    }
}

/// Answers a request about sniffers.
pub(super) async fn handle(
    shared: &Arc<Shared>,
    iq: &Stanza,
    caller: &Caller,
    tokens: &Tokens,
    operation: &Operation,
    generation: Generation,
) {
    match answer(shared, iq, caller, tokens, operation, generation) {
        Ok(answer) => shared.reply(iq, answer.map(|answer| answer.encode(generation))).await,
        Err(error) => shared.refuse(iq, error).await,
    }
}

fn answer(
    shared: &Shared,
    iq: &Stanza,
    caller: &Caller,
    tokens: &Tokens,
    operation: &Operation,
    generation: Generation,
) -> Result<Option<Answer>, StanzaError> {
    let (Operation::Register { node, .. } | Operation::Unregister { node, .. }) = operation;
    let asked = (std::slice::from_ref(node), [].as_slice(), Categories::ALL);
    let scope = shared.decide(caller, tokens, Access::Control, asked);
    let scope = scope.ok_or_else(|| refusal::forbidden().with_type(ErrorType::Auth))?;
    if iq.kind() != StanzaKind::Iq(IqType::Set) {
        return Err(refusal::bad_request("This is an iq of type set."));
    }
    let found = shared.tree.find(node).filter(|found| scope.nodes.contains(&found.about.node));
    let about = found.ok_or_else(refusal::node_not_found)?.about;
    let (sniffers, eyes) = (&shared.sniffers, shared.tree.eyes());
    match operation {
        Operation::Register { expires, .. } => {
            if !about.sniffable {
                return Err(StanzaError::new(StanzaCondition::NotAcceptable).with_text("The node has no line to show."));
            }
            let now = shared.clock.now();
            let life = expires.map_or(LIFE, |expires| expires.since(now)).min(LIFE_MAX);
            if life.is_zero() {
                return Err(refusal::bad_request("The sniffer would have ended already."));
            }
            let (caller, node) = (caller.clone(), about.node.clone());
            info!(account = %caller.account, %node, "A sniffer was registered.");
            let sniffer = Sniffer { caller, node, generation, until: Instant::now() + life };
            let id = sniffers.change(eyes, |table| table.add(sniffer))?;
            Ok(Some(Answer::Sniffer { id, expires: now.plus(life) }))
        }
        Operation::Unregister { sniffer, .. } => {
            match sniffers.change(eyes, |table| table.remove(sniffer, &caller.jid, &about.node)) {
                true => Ok(None),
                false => Err(refusal::not_found("There is no such sniffer.")),
            }
        }
    }
}

/// Tells what is seen, and when a sniffer ends, until the concentrator stops.
pub(super) async fn serve(shared: Arc<Shared>) {
    let mut seen = shared.tree.eyes().seen.subscribe();
    loop {
        let end = shared.sniffers.next_end();
        // Cancellation safe: all are.
        let what = tokio::select! {
            biased;
            () = shared.shutdown.cancelled() => return,
            what = seen.recv() => Some(what),
            () = shared.sniffers.changed.notified() => None,
            () = sleep_until(end.unwrap_or_else(Instant::now)), if end.is_some() => None,
        };
        for (id, sniffer) in shared.sniffers.expired(shared.tree.eyes()) {
            tell(&shared, id, &sniffer, shared.clock.now(), Sniffed::Expired).await;
        }
        match what {
            Some(Ok(Seen { node, at, what })) => {
                for (id, sniffer) in shared.sniffers.of(&node) {
                    tell(&shared, id, &sniffer, at, what.clone()).await;
                }
            }
            Some(Err(RecvError::Lagged(lost))) => warn!(lost, "More was seen than could be told."),
            Some(Err(RecvError::Closed)) => return,
            None => {}
        }
    }
}

async fn tell(shared: &Shared, sniffer: String, to: &Sniffer, at: Timestamp, what: Sniffed) {
    let sniff = Notice::Sniff(Sniff { sniffer, at, seen: vec![what] });
    shared.tell(&to.caller.jid, sniff.encode(to.generation)).await;
}
