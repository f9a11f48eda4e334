//! Who is responsible for a message (XEP-0198 §4): the sender, until somebody has taken it.
//!
//! # Why
//! A task-local value: between the connection that reads a message and the queue or table that takes it lie a dozen functions that
//! route it. They do not care who waits for an acknowledgement, and a parameter through all of them would say that they did.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use torg_store::Batch;
use torg_wire::jid::Jid;
use torg_wire::stanza::Stanza;

use super::{Sm, table};
use crate::offline::is_storable;
use crate::router::Router;
use crate::session::Session;
use crate::transit::Passage;

/// Messages of one session under way to the disk: enough to keep the disk busy, few enough to forget nothing by.
const OUTSTANDING_MAX: usize = 64;

tokio::task_local! {
    static SENDER: Responsible;
}

/// The sender of the stanza that is being routed.
#[derive(Clone, Debug)]
pub(crate) struct Responsible {
    session: Arc<Session>,
    /// The stanza's number among those of its session.
    number: u64,
    claims: Arc<Claims>,
}

/// What has been done about a stanza, however many get it.
#[derive(Debug, Default)]
struct Claims {
    /// A row says already that the stanza has been handled, or will.
    counted: AtomicBool,
    /// It is under way where no row is due at once; whether its count goes with that.
    passage: Mutex<Option<(Passage, bool)>>,
}

/// The session whose count of handled stanzas is written with a message.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) session: Arc<Session>,
    pub(crate) number: u64,
}

/// What goes with a message until it is on the disk.
#[derive(Debug, Default)]
pub(crate) struct Care {
    pub(crate) origin: Option<Origin>,
    /// Its number among the account's offline messages, which it leaves.
    pub(crate) offline: Option<i64>,
    /// Dropped when the sender need not care any more.
    _ticket: Option<Ticket>,
}

/// Held while nobody has taken a message of the session.
#[derive(Debug)]
pub(crate) struct Ticket {
    session: Arc<Session>,
    number: u64,
}

/// Messages of a session that nobody has taken yet, oldest first.
#[derive(Debug, Default)]
pub(super) struct Outstanding {
    tickets: VecDeque<u64>,
    /// Where the last one was addressed to.
    to: Option<Jid>,
    /// The session it went to.
    target: usize,
}

impl Responsible {
    pub(crate) fn new(session: &Arc<Session>, number: u64) -> Self {
        Responsible { session: Arc::clone(session), number, claims: Arc::default() }
    }

    pub(crate) fn of(origin: Origin) -> Self {
        Responsible::new(&origin.session, origin.number)
    }

    /// Runs `work`, and whatever it routes is this sender's.
    pub(crate) async fn during<F: Future>(self, work: F) -> F::Output {
        SENDER.scope(self, work).await
    }

    /// As [`Responsible::during`], at once.
    pub(crate) fn now<T>(&self, work: impl FnOnce() -> T) -> T {
        SENDER.sync_scope(self.clone(), work)
    }

    /// The sender's count goes with one row of the message, and with none if an older message of it goes elsewhere meanwhile.
    fn claim(&self, target: Option<usize>) -> Option<Origin> {
        let sm = self.session.sm().filter(|sm| sm.is_resumable())?;
        if let Some(target) = target
            && sm.outstanding().is_elsewhere(target)
        {
            return None;
        }
        let first = !self.claims.counted.swap(true, Ordering::Relaxed);
        first.then(|| Origin { session: Arc::clone(&self.session), number: self.number })
    }

    /// Nobody need wait for the sender's acknowledgement any more once it is dropped.
    fn ticket(&self, sm: &Sm, target: usize) -> Ticket {
        let mut outstanding = sm.outstanding();
        outstanding.target = target;
        outstanding.tickets.push_back(self.number);
        Ticket { session: Arc::clone(&self.session), number: self.number }
    }
}

/// The care for a message that `target` will get. Nobody waits for one that comes out of the table of offline messages, or from a
/// stream that is not managed.
pub(crate) fn responsible(target: &Session, offline: Option<i64>) -> Care {
    if offline.is_some() {
        return Care { offline, ..Care::default() };
    }
    SENDER
        .try_with(|sender| {
            let Some(sm) = sender.session.sm() else { return Care::default() };
            let target = std::ptr::from_ref(target).addr();
            Care { origin: sender.claim(Some(target)), offline: None, _ticket: Some(sender.ticket(sm, target)) }
        })
        .unwrap_or_default()
}

/// Whether somebody waits for the acknowledgement of the stanza that is being routed.
pub(crate) fn is_responsible() -> bool {
    SENDER.try_with(|sender| sender.session.sm().is_some()).unwrap_or(false)
}

/// The passage of the message that is being routed, which `place` is about to take: the one it has, or a new one from `begin`. `None` if
/// nobody waits for its acknowledgement.
pub(crate) fn passage(place: usize, begin: impl FnOnce(&Router, Option<Origin>, Ticket) -> Passage) -> Option<Passage> {
    SENDER
        .try_with(|sender| {
            let sm = sender.session.sm()?;
            let mut known = sender.claims.passage();
            if let Some((passage, _)) = &*known {
                return Some(passage.clone());
            }
            let origin = sender.claim(Some(place));
            let counts = origin.is_some();
            let passage = begin(&sm.router, origin, sender.ticket(sm, place));
            *known = Some((passage.clone(), counts));
            Some(passage)
        })
        .ok()
        .flatten()
}

/// The place did not take it. Unless another has, it has no passage.
pub(crate) fn give_up_passage() {
    let given_up = SENDER.try_with(|sender| {
        let given_up = sender.claims.passage().take_if(|(passage, _)| passage.is_sole());
        if given_up.as_ref().is_some_and(|(_, counts)| *counts) {
            sender.claims.counted.store(false, Ordering::Relaxed);
        }
        given_up
    });
    drop(given_up); // outside all locks
}

/// The sender whose count is to be written with a message that goes to a table; waits until its older messages are on the disk.
pub(crate) async fn origin() -> Option<Origin> {
    let sender = SENDER.try_with(Clone::clone).ok()?;
    sender.session.sm()?.settled(Some(sender.number)).await;
    sender.claim(None)
}

/// The message was not taken: the sender's count goes with another row of it.
pub(crate) fn release() {
    let _ = SENDER.try_with(|sender| sender.claims.counted.store(false, Ordering::Relaxed)); // outside nothing is claimed
}

impl Claims {
    fn passage(&self) -> std::sync::MutexGuard<'_, Option<(Passage, bool)>> {
        self.passage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Origin {
    /// Writes the sender's count with a message.
    pub(crate) fn write(&self, batch: Batch) -> Batch {
        table::count(batch, &self.session, self.number)
    }

    /// It has been written.
    pub(crate) fn written(&self) {
        let Some(sm) = self.session.sm() else { return };
        let mut counts = sm.counts();
        counts.on_disk = counts.on_disk.max(self.number);
        counts.has_row = true;
        counts.is_behind = false;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let Some(sm) = self.session.sm() else { return };
        let mut outstanding = sm.outstanding();
        if let Some(position) = outstanding.tickets.iter().position(|number| *number == self.number) {
            outstanding.tickets.remove(position);
        }
        if outstanding.tickets.is_empty() {
            outstanding.tickets = VecDeque::new(); // an idle session keeps no memory for it
        }
        drop(outstanding);
        sm.taken.notify_waiters();
    }
}

impl Outstanding {
    fn is_elsewhere(&self, target: usize) -> bool {
        !self.tickets.is_empty() && self.target != target
    }
}

impl Sm {
    /// Waits until every message of the session (older than `number`) has been taken. Cancel safe.
    pub(crate) async fn settled(&self, number: Option<u64>) {
        loop {
            let mut taken = std::pin::pin!(self.taken.notified());
            taken.as_mut().enable(); // before the look: what is taken in between is not missed
            let is_older = |of: &u64| number.is_none_or(|number| *of < number);
            if !self.outstanding().tickets.iter().any(is_older) {
                return;
            }
            taken.await;
        }
    }

    /// Whether [`Sm::settled`] would not wait.
    pub(crate) fn is_settled(&self) -> bool {
        self.outstanding().tickets.is_empty()
    }

    /// Whether the older messages must be on disk before this stanza is routed, and notes where it goes.
    ///
    /// Messages to one address follow each other without waiting: they reach one queue, whose rows are written in order. Anything else
    /// that is durable waits, since the count written with it says that all before it are on the disk.
    pub(crate) fn must_settle(&self, stanza: &Stanza) -> bool {
        if !is_storable(stanza) {
            return false;
        }
        let mut outstanding = self.outstanding();
        let same = outstanding.to.as_ref() == stanza.to();
        if !same {
            outstanding.to = stanza.to().cloned();
        }
        !outstanding.tickets.is_empty() && (!same || outstanding.tickets.len() >= OUTSTANDING_MAX)
    }

    fn outstanding(&self) -> std::sync::MutexGuard<'_, Outstanding> {
        self.outstanding.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
