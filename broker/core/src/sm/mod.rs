//! Stream management (XEP-0198): sessions that outlive their connection, and messages that outlive the process.
//! The elements and their order on the stream are in `torg_wire`, the numbered queue is in `session::managed`.
//!
//! # Why
//! - What may be durable is what offline storage would take: messages with something to say and without device payload. A session that
//!   can be resumed gets such a message only after its row is on the disk; the row goes when the client has acknowledged it. All else
//!   (presence, iq, device payload) lives in the queue in memory alone, and is gone after a crash; the reader asks again.
//! - The row and the count of the sender's stanzas are one batch. So whatever a sender hears after a crash in `<resumed h>` is exact:
//!   a message counted is on the disk, and one not counted is not. Nothing is lost and nothing comes twice.
//! - `<a h>` waits until every message it covers has been taken: is on disk, or written to the socket of whoever it is for.
//! - Stanzas that are not durable are counted in memory. Before the first acknowledgement that runs ahead of the disk, the session's row
//!   is marked as behind, once; the next durable message makes it exact again. A session that has nothing durable has no row at all:
//!   a meter that reports each minute wears out no flash. After a crash a session that is behind is not resumed (its client may have
//!   been told more than we remember), but what it has handled is still deleted, and the rest becomes offline messages.
//! - A message that goes to another server, or to a session that cannot be resumed, has no row at once; see `transit`.
//! - A message to several sessions of equal priority is counted for its sender with the first row; a crash in the milliseconds before
//!   the others have theirs leaves it with one of them.
//! - A graceful stop leaves the rows, too: sessions are resumed after an upgrade as they are after a crash.

mod care;
mod restore;
mod resume;
mod stage;
mod table;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use torg_store::Engine;

pub(crate) use care::{
    Care, Origin, Responsible, Ticket, give_up_passage, is_responsible, origin, passage, release, responsible,
};
pub(crate) use restore::{bury_all, fall_asleep};
pub(crate) use resume::{Lease, NotResumed, Resumption};
pub(crate) use stage::{clean, stage};
pub(crate) use table::{MIGRATIONS, forget};

use crate::router::Router;
use crate::session::Session;
use care::Outstanding;

/// What a session with a managed stream has beyond others.
pub(crate) struct Sm {
    router: Router,
    /// By which it is resumed; `None` if it cannot be.
    id: Option<String>,
    /// How long it waits for that.
    keep: Duration,
    counts: Mutex<Counts>,
    /// Messages of this session that nobody has taken responsibility for yet.
    outstanding: Mutex<Outstanding>,
    /// Told whenever one of them has been taken.
    taken: tokio::sync::Notify,
    /// Held by its connection; the next one waits for it, so that both never speak for the session.
    lease: Arc<tokio::sync::Mutex<()>>,
    /// Held while rows are written.
    writing: tokio::sync::Mutex<()>,
    /// A task writes rows, or is about to.
    staging: AtomicBool,
}

/// How far the client's stanzas have come, and what the disk knows.
#[derive(Debug, Default)]
struct Counts {
    /// Stanzas of the client that were handled.
    handled: u64,
    /// As the client was told.
    told: u64,
    /// As the disk says.
    on_disk: u64,
    /// The session has a row.
    has_row: bool,
    /// The disk says that the client was told more.
    is_behind: bool,
    /// Rows up to this number are to be deleted.
    delete: u64,
    /// A stage has failed; rows of it may be there all the same.
    failed: bool,
    /// Grows each time the connection is lost.
    losses: u64,
}

impl Sm {
    fn new(router: Router, id: Option<String>, keep: Duration, counts: Counts) -> Self {
        Sm {
            router,
            id,
            keep,
            counts: Mutex::new(counts),
            outstanding: Mutex::default(),
            taken: tokio::sync::Notify::new(),
            lease: Arc::default(),
            writing: tokio::sync::Mutex::default(),
            staging: AtomicBool::new(false),
        }
    }

    pub(crate) fn is_resumable(&self) -> bool {
        self.id.is_some()
    }

    /// One more stanza of the client has been handled.
    pub(crate) fn handled(&self) {
        self.counts().handled += 1;
    }

    /// The number of the stanza that is being handled.
    pub(crate) fn next(&self) -> u64 {
        self.counts().handled + 1
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The id opens the session, so logs do not show it.
impl fmt::Debug for Sm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sm").field("resumable", &self.is_resumable()).finish_non_exhaustive()
    }
}

/// What all managed sessions share.
pub(crate) struct Kept {
    engine: Arc<dyn Engine>,
    /// Ids of the sessions of processes before this one, by full address: until they are resumed or their time is over.
    asleep: Mutex<HashMap<String, Vec<String>>>,
    /// Sessions without a connection.
    detached: AtomicUsize,
    /// Sessions with rows that their clients have acknowledged.
    to_clean: Mutex<Vec<Weak<Session>>>,
}

impl Kept {
    pub(crate) fn new(engine: Arc<dyn Engine>) -> Self {
        Kept { engine, asleep: Mutex::default(), detached: AtomicUsize::new(0), to_clean: Mutex::default() }
    }

    fn asleep(&self) -> MutexGuard<'_, HashMap<String, Vec<String>>> {
        self.asleep.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sleeping sessions with this address, which sleep no longer.
    fn take_asleep(&self, jid: &str) -> Vec<String> {
        let mut asleep = self.asleep();
        if asleep.is_empty() { Vec::new() } else { asleep.remove(jid).unwrap_or_default() }
    }

    /// Whether this one sleeps; from now on it does not, so that one caller alone decides what becomes of it.
    fn claim_asleep(&self, jid: &str, id: &str) -> bool {
        let mut asleep = self.asleep();
        let Some(ids) = asleep.get_mut(jid) else { return false };
        let before = ids.len();
        ids.retain(|other| other != id);
        let claimed = ids.len() < before;
        if ids.is_empty() {
            asleep.remove(jid);
        }
        claimed
    }
}
