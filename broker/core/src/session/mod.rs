//! A bound session as the router sees it: its address, its queue and its presence. Whether a socket or a part of this process
//! stands behind it makes no difference.

mod attached;
mod managed;
mod outstanding;
mod pushes;
mod queue;
mod table;
mod wishes;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Instant;

use tokio::sync::OnceCell;
use torg_wire::jid::{BareJid, FullJid, Jid};
use torg_wire::sasl::ClientId;
use torg_wire::stanza::{IqType, Stanza, StanzaKind};

pub use attached::{Attached, AttachedSender};
pub(crate) use managed::{Acked, Stage, WasDetached};
pub(crate) use pushes::Push;
pub(crate) use queue::{Ending, Parcel, Queue, Rejected};
pub(crate) use table::{BindError, Table};

use self::outstanding::Outstanding;
use crate::allowance::Allowance;
use crate::identity::{Identity, Proof};
use crate::limits::DIRECTED_MAX;
use crate::pubsub::Interest;
use crate::sm::Sm;

/// One bound session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) jid: FullJid,
    pub(crate) account: BareJid,
    pub(crate) proof: Proof,
    pub(crate) queue: Queue,
    /// Whether stanzas are wanted as bytes too.
    pub(crate) on_the_wire: bool,
    since: AtomicI64,
    /// Which installation of the account's client, if it said so.
    pub(crate) client: Option<ClientId>,
    /// Shared with the other sessions of the account.
    pub(crate) allowance: Arc<Allowance>,
    /// Set once its stream is managed.
    sm: OnceLock<Box<Sm>>,
    /// Its account has other sessions beside it; kept by the table, so that a message need not look for them.
    company: AtomicBool,
    /// Set once its end has been announced.
    pub(crate) ended: OnceCell<()>,
    /// Which events it wants.
    pub(crate) interest: Interest,
    wishes: wishes::Wishes,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The last available presence; `None` while the resource is not available.
    presence: Option<Arc<Stanza>>,
    priority: i8,
    pushes: pushes::Pushes,
    /// Who was sent presence directly and must be told when it ends.
    directed: Vec<Jid>,
    introduction: Introduction,
    outstanding: Outstanding,
}

/// What the session has still to be told after it has become available. It is taken as the queue has room for it, so the queue's
/// bound loses none of it; here each entry is a pointer, and there are no more of them than its contacts have sessions.
#[derive(Debug, Default)]
struct Introduction {
    /// Sessions whose presence it may see. One that has ended meanwhile has nothing to show.
    presences: VecDeque<Weak<Session>>,
    /// After them come the subscription requests that wait for an answer.
    requests: bool,
}

/// The next part of an introduction.
#[derive(Debug)]
pub(crate) enum Next {
    Presence(Arc<Session>),
    Requests,
}

impl Session {
    pub(crate) fn new(jid: FullJid, proof: Proof, on_the_wire: bool, since: i64, allowance: Arc<Allowance>) -> Self {
        Session {
            account: jid.to_bare(),
            jid,
            proof,
            queue: Queue::default(),
            on_the_wire,
            since: AtomicI64::new(since),
            sm: OnceLock::new(),
            client: None,
            allowance,
            company: AtomicBool::new(false),
            ended: OnceCell::new(),
            interest: Interest::default(),
            wishes: wishes::Wishes::default(),
            state: Mutex::new(State {
                presence: None,
                priority: 0,
                pushes: pushes::Pushes::default(),
                directed: Vec::new(),
                introduction: Introduction::default(),
                outstanding: Outstanding::default(),
            }),
        }
    }

    /// With the installation behind it.
    pub(crate) fn of_client(mut self, client: Option<ClientId>) -> Self {
        self.client = client;
        self
    }

    pub(crate) fn identity(&self) -> Identity {
        Identity::new(self.jid.as_jid().clone(), self.proof)
    }

    /// The newest change to any account when its credentials were read; later ones may make it invalid.
    pub(crate) fn since(&self) -> i64 {
        self.since.load(Ordering::Relaxed)
    }

    /// Its client has logged in again.
    pub(crate) fn logged_in(&self, since: i64) {
        self.since.fetch_max(since, Ordering::Relaxed);
    }

    /// Whether its account has other sessions.
    pub(crate) fn has_company(&self) -> bool {
        self.company.load(Ordering::Relaxed)
    }

    fn set_company(&self, has: bool) {
        self.company.store(has, Ordering::Relaxed);
    }

    /// What its managed stream needs; `None` if the stream is not managed.
    pub(crate) fn sm(&self) -> Option<&Sm> {
        self.sm.get().map(|sm| &**sm)
    }

    /// Its stream is managed from now on; `false` if it has been before.
    pub(crate) fn manage(&self, sm: Sm) -> bool {
        self.sm.set(Box::new(sm)).is_ok()
    }

    /// The last available presence and its priority.
    pub(crate) fn presence(&self) -> Option<Arc<Stanza>> {
        self.lock().presence.clone()
    }

    /// The priority, if the session is available.
    pub(crate) fn priority(&self) -> Option<i8> {
        let state = self.lock();
        state.presence.as_ref().map(|_| state.priority)
    }

    /// Notes the presence; answers the priority before, if the session was available.
    pub(crate) fn set_presence(&self, presence: Option<Arc<Stanza>>, priority: i8) -> Option<i8> {
        let mut state = self.lock();
        let before = state.presence.as_ref().map(|_| state.priority);
        state.priority = priority;
        state.presence = presence;
        if state.presence.is_none() {
            state.introduction = Introduction::default();
        }
        before
    }

    /// Notes whose presence the session is to see, with the requests that wait for it afterwards.
    pub(crate) fn begin_introduction(&self, presences: VecDeque<Weak<Session>>) {
        self.lock().introduction = Introduction { presences, requests: true };
    }

    /// Takes the next part of the introduction.
    pub(crate) fn next_introduction(&self) -> Option<Next> {
        let introduction = &mut self.lock().introduction;
        while let Some(other) = introduction.presences.pop_front() {
            if let Some(other) = other.upgrade() {
                return Some(Next::Presence(other));
            }
        }
        introduction.presences = VecDeque::new(); // an idle session keeps no memory for it
        std::mem::take(&mut introduction.requests).then_some(Next::Requests)
    }

    /// Gives back a presence that found no room.
    pub(crate) fn put_back_introduction(&self, other: &Arc<Session>) {
        self.lock().introduction.presences.push_front(Arc::downgrade(other));
    }

    /// Notes a recipient of directed presence; `false` if there are too many.
    pub(crate) fn add_directed(&self, to: &Jid) -> bool {
        let mut state = self.lock();
        if state.directed.contains(to) {
            return true;
        }
        if state.directed.len() >= DIRECTED_MAX {
            return false;
        }
        state.directed.push(to.clone());
        true
    }

    pub(crate) fn remove_directed(&self, to: &Jid) {
        self.lock().directed.retain(|known| known != to);
    }

    pub(crate) fn take_directed(&self) -> Vec<Jid> {
        std::mem::take(&mut self.lock().directed)
    }

    /// Notes a request that the session sends, so that its answer finds the way back.
    pub(crate) fn asks(&self, stanza: &Stanza) {
        if stanza.kind().is_request()
            && let (Some(to), Some(id)) = (stanza.to(), stanza.id())
        {
            self.lock().outstanding.ask(to, id);
        }
    }

    /// Whether the session may get this stanza: an answer only if it has asked for it, anything else always.
    pub(crate) fn is_asked_for(&self, stanza: &Stanza) -> bool {
        if !matches!(stanza.kind(), StanzaKind::Iq(IqType::Result | IqType::Error)) {
            return true;
        }
        let (Some(from), Some(id)) = (stanza.from(), stanza.id()) else { return false };
        self.lock().outstanding.answered(from, id)
    }

    /// Whether one more request to the broker itself is within the rate.
    pub(crate) fn may_request(&self) -> bool {
        self.allowance.may_request(now())
    }

    /// Whether one more subscription request is within the rate.
    pub(crate) fn may_subscribe(&self) -> bool {
        self.allowance.may_subscribe(now())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The runtime's clock, which tests may stop.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
