//! Messages under way: somebody has been, or will be, told that we have them, and they wait in memory for a socket, that of another
//! server or of a session that cannot be resumed. Those that wait for long go to the disk, and on with the next process (XEP-0198 §4).
//!
//! # Why
//! - The acknowledgement to the sender waits until the socket has taken its message. That takes microseconds, and then nothing has
//!   been written down. Only what has waited for [`SAVE_AFTER`] gets a row, together with the count of the sender's stanzas (see `sm`),
//!   and then it may be acknowledged. So a link that works costs no disk, and a peer that hangs holds up nobody's other messages.
//! - A socket that has taken a message is the end of our word: a peer without stream management gives no better one. A message whose row
//!   is not deleted yet when the process dies comes twice, marked as delayed, rather than never.
//! - Only what offline storage would take (`is_storable`) comes here: device payload is in memory alone, whatever happens.
//! - When the limits of the table are reached, or the disk is full, nothing is written, and the acknowledgement waits with the message.

mod resume;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use torg_store::{Batch, Engine, StoreError};
use torg_thing::Clock;
use torg_wire::stanza::Stanza;

pub(crate) use resume::resume;
pub(crate) use table::{MIGRATIONS, forget};

use crate::offline::is_storable;
use crate::session::now;
use crate::sm::{self, Origin, Ticket};

/// What waits longer goes to the disk: a working link takes a message within a round trip, and a sender can wait so long for its
/// acknowledgement.
pub(crate) const SAVE_AFTER: Duration = Duration::from_millis(100);
/// As many rows as the links hold when fifty peers are away, and as many bytes as wait for all peers. Beyond that acknowledgements wait
/// with the messages.
const BOUNDS: Bounds = Bounds { rows: 10_000, bytes: 32 * 1024 * 1024 };
/// Messages written at once; each is two statements.
const BATCH: usize = 256;
/// Rows deleted at once.
const DELETE_BATCH: usize = 1_024;
/// Pause after the store has failed.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Batches written when the broker stops, should the store be slow: more than the limits above need.
const LAST_BATCHES: usize = 64;

tokio::task_local! {
    /// The message that is being routed has its row already.
    static CARRIED: Passage;
}

/// How much is on the disk at the same time; the last message may exceed the bytes.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    rows: usize,
    bytes: usize,
}

/// All messages under way.
pub(crate) struct Transit {
    engine: Arc<dyn Engine>,
    clock: Arc<dyn Clock>,
    bounds: Bounds,
    inner: Mutex<Inner>,
    /// Told when there may be something to write or to delete.
    work: Notify,
    /// Told when a message has arrived.
    arrived: Notify,
    /// Held while rows are written.
    saving: tokio::sync::Mutex<()>,
    closed: CancellationToken,
    opened: tokio::time::Instant,
}

#[derive(Default)]
struct Inner {
    last: i64,
    under_way: BTreeMap<i64, Entry>,
    /// Rows to be deleted, and their sizes.
    delete: Vec<(i64, usize)>,
    rows: usize,
    bytes: usize,
    /// The broker has stopped: whatever is dropped now has not arrived.
    closed: bool,
}

struct Entry {
    since: Instant,
    stage: Stage,
    /// Dropped when the sender may be told.
    ticket: Option<Ticket>,
}

enum Stage {
    Memory {
        stanza: Arc<Stanza>,
        origin: Option<Origin>,
    },
    /// Being written to disk; it may arrive meanwhile.
    Saving {
        has_arrived: bool,
    },
    Disk {
        size: usize,
        /// It is of the process before this one.
        is_old: bool,
    },
}

/// Held by whoever has the message. When the last one drops it, the message has arrived, or its sender knows that it has not.
#[derive(Clone)]
pub(crate) struct Passage(Arc<Guard>);

struct Guard {
    transit: Arc<Transit>,
    number: i64,
}

/// Whether somebody counts on the stanza that is being routed.
pub(crate) fn is_wanted() -> bool {
    CARRIED.try_with(|_| ()).is_ok() || sm::is_responsible()
}

/// The passage of the message that is being routed and is to go to `place`, if somebody counts on it. The message is storable.
pub(crate) fn passage(place: usize, stanza: impl FnOnce() -> Arc<Stanza>) -> Option<Passage> {
    carried().or_else(|| {
        sm::passage(place, |router, origin, ticket| router.shared().transit.begin(stanza(), origin, ticket))
    })
}

/// As [`passage`], for a stanza that may not be one to keep, on its way out of this broker.
pub(crate) fn passage_out(place: usize, stanza: &Stanza) -> Option<Passage> {
    if is_wanted() && is_storable(stanza) { passage(place, || Arc::new(stanza.clone())) } else { None }
}

/// The passage of a message that has its row already.
pub(crate) fn carried() -> Option<Passage> {
    CARRIED.try_with(Clone::clone).ok()
}

/// Runs `work`, which routes the message anew.
pub(crate) async fn carry<F: Future>(passage: Option<Passage>, work: F) -> F::Output {
    match passage {
        Some(passage) => CARRIED.scope(passage, work).await,
        None => work.await,
    }
}

impl Transit {
    pub(crate) async fn open(engine: Arc<dyn Engine>, clock: Arc<dyn Clock>) -> Result<Arc<Transit>, StoreError> {
        Transit::bounded(engine, clock, BOUNDS).await
    }

    async fn bounded(
        engine: Arc<dyn Engine>,
        clock: Arc<dyn Clock>,
        bounds: Bounds,
    ) -> Result<Arc<Transit>, StoreError> {
        let extent = table::extent(&*engine).await?;
        let inner = Inner { last: extent.last, rows: extent.rows, bytes: extent.bytes, ..Inner::default() };
        Ok(Arc::new(Transit {
            engine,
            clock,
            bounds,
            inner: Mutex::new(inner),
            work: Notify::new(),
            arrived: Notify::new(),
            saving: tokio::sync::Mutex::default(),
            closed: CancellationToken::new(),
            opened: tokio::time::Instant::now(),
        }))
    }

    /// How many messages are under way.
    pub(crate) fn len(&self) -> usize {
        self.lock().under_way.len()
    }

    fn begin(self: &Arc<Self>, stanza: Arc<Stanza>, origin: Option<Origin>, ticket: Ticket) -> Passage {
        let stage = Stage::Memory { stanza, origin };
        let passage = self.enter(None, Entry { since: now(), stage, ticket: Some(ticket) });
        self.work.notify_one();
        passage
    }

    /// A message of the process before this one.
    fn again(self: &Arc<Self>, number: i64, size: usize) -> Passage {
        let stage = Stage::Disk { size, is_old: true };
        self.enter(Some(number), Entry { since: now(), stage, ticket: None })
    }

    fn enter(self: &Arc<Self>, number: Option<i64>, entry: Entry) -> Passage {
        let mut inner = self.lock();
        let number = number.unwrap_or_else(|| {
            inner.last += 1;
            inner.last
        });
        inner.under_way.insert(number, entry);
        drop(inner);
        Passage(Arc::new(Guard { transit: Arc::clone(self), number }))
    }

    fn arrived(&self, number: i64) {
        let mut inner = self.lock();
        if inner.closed {
            return;
        }
        let Some(mut entry) = inner.under_way.remove(&number) else { return };
        let ticket = entry.ticket.take();
        match &mut entry.stage {
            Stage::Memory { .. } => {}
            Stage::Saving { has_arrived } => {
                *has_arrived = true;
                inner.under_way.insert(number, entry);
            }
            Stage::Disk { size, .. } => {
                let size = *size;
                inner.delete.push((number, size));
                self.work.notify_one();
            }
        }
        drop(inner);
        drop(ticket); // its session has locks of its own, and goes with its last ticket
        self.arrived.notify_waiters();
    }

    /// Writes and deletes rows until [`Transit::finish`].
    pub(crate) async fn run(self: Arc<Self>) {
        let mut is_failing = false;
        loop {
            tokio::select! {
                () = self.work.notified() => {}
                () = self.closed.cancelled() => return,
            }
            while self.has_work() {
                let pause = if is_failing { RETRY_AFTER } else { SAVE_AFTER };
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = self.closed.cancelled() => return,
                }
                let saved = self.save(SAVE_AFTER).await;
                if let Err(error) = &saved
                    && !is_failing
                {
                    // Said once, not every second.
                    tracing::error!(%error, "Messages under way cannot be written to the disk; their senders wait.");
                }
                is_failing = saved.is_err();
            }
        }
    }

    /// The broker has stopped: what is under way now waits for the next start.
    pub(crate) async fn finish(&self) {
        self.closed.cancel();
        for _ in 0..LAST_BATCHES {
            if !self.has_work() {
                break;
            }
            if let Err(error) = self.save(Duration::ZERO).await {
                tracing::error!(%error, "Messages under way could not be kept for the next start.");
                break;
            }
        }
        self.lock().closed = true;
    }

    fn has_work(&self) -> bool {
        let inner = self.lock();
        !inner.delete.is_empty() || inner.under_way.values().any(|entry| matches!(entry.stage, Stage::Memory { .. }))
    }

    /// Writes what is older than `age`, as far as there is room, and deletes what has arrived.
    async fn save(&self, age: Duration) -> Result<(), StoreError> {
        let _saving = self.saving.lock().await;
        let (chosen, deleted) = self.choose(age);
        if chosen.is_empty() && deleted.is_empty() {
            return Ok(());
        }
        let came = self.clock.now().to_string();
        let mut batch = deleted.iter().fold(Batch::new(), |batch, (number, _)| table::delete(batch, *number));
        let mut sizes = Vec::with_capacity(chosen.len());
        for message in &chosen {
            let (more, size) = table::put(batch, message.number, &came, &message.stanza);
            // In order: the last count of each sender stays.
            batch = message.origin.iter().fold(more, |batch, origin| origin.write(batch));
            sizes.push(size);
        }
        let written = self.engine.write(batch).await.map(drop);
        if written.is_ok() {
            chosen.iter().filter_map(|message| message.origin.as_ref()).for_each(Origin::written);
        }
        self.saved(chosen, &sizes, deleted, written.is_ok());
        written
    }

    fn choose(&self, age: Duration) -> (Vec<Chosen>, Vec<(i64, usize)>) {
        let now = now();
        let mut guard = self.lock();
        let inner: &mut Inner = &mut guard;
        let some = inner.delete.len().min(DELETE_BATCH);
        let deleted = inner.delete.split_off(inner.delete.len() - some);
        let room = if inner.bytes < self.bounds.bytes { self.bounds.rows.saturating_sub(inner.rows) } else { 0 };
        let mut chosen = Vec::new();
        for (number, entry) in &mut inner.under_way {
            if !matches!(entry.stage, Stage::Memory { .. }) {
                continue;
            }
            if chosen.len() >= BATCH.min(room) || entry.since + age > now {
                break;
            }
            if let Stage::Memory { stanza, origin } =
                std::mem::replace(&mut entry.stage, Stage::Saving { has_arrived: false })
            {
                chosen.push(Chosen { number: *number, stanza, origin });
            }
        }
        (chosen, deleted)
    }

    /// What was chosen is on the disk, or it is as before.
    fn saved(&self, chosen: Vec<Chosen>, sizes: &[usize], deleted: Vec<(i64, usize)>, on_disk: bool) {
        let mut dropped = Vec::with_capacity(chosen.len());
        let mut inner = self.lock();
        if on_disk {
            inner.rows = inner.rows.saturating_sub(deleted.len());
            inner.bytes = inner.bytes.saturating_sub(deleted.iter().map(|(_, size)| size).sum());
            inner.rows += chosen.len();
            inner.bytes += sizes.iter().sum::<usize>();
        } else {
            inner.delete.extend(deleted);
        }
        for (message, size) in chosen.into_iter().zip(sizes) {
            let Some(mut entry) = inner.under_way.remove(&message.number) else { continue };
            let has_arrived = matches!(entry.stage, Stage::Saving { has_arrived: true });
            if !on_disk && !has_arrived {
                entry.stage = Stage::Memory { stanza: message.stanza, origin: message.origin };
                inner.under_way.insert(message.number, entry);
                continue;
            }
            if has_arrived {
                if !on_disk {
                    inner.rows += 1; // it may be there all the same
                    inner.bytes += size;
                }
                inner.delete.push((message.number, *size));
            }
            let (number, ticket) = (message.number, entry.ticket.take());
            dropped.push((message, ticket));
            if !has_arrived {
                entry.stage = Stage::Disk { size: *size, is_old: false };
                inner.under_way.insert(number, entry);
            }
        }
        drop(inner);
        drop(dropped); // their sessions have locks of their own
        self.arrived.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A message to be written.
struct Chosen {
    number: i64,
    stanza: Arc<Stanza>,
    origin: Option<Origin>,
}

impl Passage {
    /// Deletes the row that the message may have, as part of a batch that gives it another one: so it is never in both, and comes once.
    pub(crate) fn remove_row(&self, batch: Batch) -> Batch {
        table::delete(batch, self.0.number)
    }

    /// Whether nobody else has the message.
    pub(crate) fn is_sole(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.transit.arrived(self.number);
    }
}

impl PartialEq for Passage {
    fn eq(&self, other: &Passage) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Passage {}

impl fmt::Debug for Passage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Passage").field(&self.0.number).finish()
    }
}

impl fmt::Debug for Transit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transit").field("under_way", &self.len()).finish_non_exhaustive()
    }
}
