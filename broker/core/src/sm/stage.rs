//! Writing messages to the disk before they are written to their session, and deleting their rows once they are acknowledged.
//!
//! # Why
//! While the disk takes nothing, people and things that are there go on talking: a message to a client that is connected goes to it from
//! memory, so that only a crash before it is acknowledged could lose it. One to a client that is away is refused, since nobody could
//! promise its sender anything.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use torg_store::{Batch, STATEMENTS_MAX, StoreError};
use torg_wire::xml::Scope;

use super::{Sm, table};
use crate::offline::Offline;
use crate::router::{Router, store_error};
use crate::session::{Session, Stage};

/// How often rows of acknowledged messages are deleted, unless they go with the next message: one commit for all sessions.
const CLEAN_EVERY: Duration = Duration::from_secs(1);

/// Sees to it that the messages waiting for the disk get there, beside whoever asks.
pub(crate) fn stage(session: &Arc<Session>) {
    let Some(sm) = session.sm() else { return };
    if !sm.staging.swap(true, Ordering::AcqRel) {
        let session = Arc::clone(session);
        sm.router.spawn(async move { run(&session).await });
    }
}

async fn run(session: &Arc<Session>) {
    let Some(sm) = session.sm() else { return };
    loop {
        {
            let _writing = sm.writing.lock().await;
            while let Some(stage) = session.queue.begin_stage() {
                write(session, sm, &stage).await;
            }
        }
        sm.staging.store(false, Ordering::Release);
        // Something may have come between the last look and that.
        if !session.queue.needs_stage() || sm.staging.swap(true, Ordering::AcqRel) {
            return;
        }
    }
}

async fn write(session: &Arc<Session>, sm: &Sm, stage: &Stage) {
    let Some(id) = sm.id.as_deref().filter(|_| !stage.rows.is_empty()) else {
        session.queue.end_stage(true);
        return;
    };
    let mut batch = Batch::new();
    let (is_first, delete) = {
        let mut counts = sm.counts();
        let is_first = !counts.has_row;
        if is_first {
            batch = table::session(batch, session, sm, counts.told);
            (counts.has_row, counts.on_disk, counts.is_behind) = (true, counts.told, false);
        }
        if counts.failed {
            batch = table::delete_from(batch, id, stage.first);
        }
        (is_first, std::mem::take(&mut counts.delete))
    };
    if delete > 0 {
        batch = table::delete_until(batch, id, delete);
    }
    let came = sm.router.shared().clock.now().to_string();
    for row in &stage.rows {
        let mut document = String::with_capacity(512);
        row.stanza.to_element().write_to(&mut document, &Scope::DOCUMENT);
        batch = table::put(batch, id, row.number, &came, document);
        if let Some(number) = row.offline {
            batch = Offline::remove(batch, &session.account, number);
        }
        if let Some(passage) = &row.passage {
            batch = passage.remove_row(batch);
        }
        // In order: the last count of each sender stays.
        if let Some(origin) = &row.origin {
            batch = origin.write(batch);
        }
    }
    match sm.router.shared().sm.engine.write(batch).await {
        Ok(_) => {
            sm.counts().failed = false;
            for row in &stage.rows {
                if let Some(origin) = &row.origin {
                    origin.written();
                }
            }
            session.queue.end_stage(true);
        }
        Err(error) => {
            if matches!(error, StoreError::Disk { .. }) && session.queue.end_stage_in_memory() {
                let mut counts = sm.counts();
                counts.has_row &= !is_first;
                counts.delete = counts.delete.max(delete);
                return;
            }
            {
                let mut counts = sm.counts();
                counts.failed = true;
                counts.has_row &= !is_first;
                counts.delete = counts.delete.max(delete);
            }
            refuse(session, sm, &error);
        }
    }
}

/// The disk does not take them: their senders hear of it, the session goes on with everything else.
fn refuse(session: &Arc<Session>, sm: &Sm, error: &StoreError) {
    let told = "Messages could not be written to the disk.";
    match error {
        // The store says so once for all.
        StoreError::Disk { .. } => tracing::debug!(%error, session = %session.jid, "{told}"),
        _ => tracing::error!(%error, session = %session.jid, "{told}"),
    }
    for parcel in session.queue.end_stage(false) {
        // One that is in the table of offline messages stays there; its receipt is dropped.
        if parcel.receipt.is_none() {
            sm.router.refuse_with(&parcel.stanza, store_error(error));
        }
    }
}

impl Sm {
    /// Rows up to `number` are acknowledged, and go with the next message or soon.
    pub(crate) fn delete(&self, session: &Arc<Session>, number: u64) {
        let is_new = {
            let mut counts = self.counts();
            let is_new = counts.delete == 0;
            counts.delete = counts.delete.max(number);
            is_new
        };
        if is_new {
            let to_clean = &self.router.shared().sm.to_clean;
            to_clean.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(session));
        }
    }
}

/// Deletes rows of acknowledged messages until the broker stops.
pub(crate) async fn clean(router: Router) {
    let stop = router.shared().stop.clone();
    loop {
        tokio::select! {
            () = tokio::time::sleep(CLEAN_EVERY) => {}
            () = stop.cancelled() => return,
        }
        clean_once(&router).await;
    }
}

pub(super) async fn clean_once(router: &Router) {
    let kept = &router.shared().sm;
    let sessions = std::mem::take(&mut *kept.to_clean.lock().unwrap_or_else(PoisonError::into_inner));
    // Two statements for each session.
    for some in sessions.chunks(STATEMENTS_MAX / 2) {
        let mut batch = Batch::new();
        for session in some.iter().filter_map(std::sync::Weak::upgrade) {
            let Some(sm) = session.sm() else { continue };
            let delete = std::mem::take(&mut sm.counts().delete);
            if let Some(id) = sm.id.as_deref().filter(|_| delete > 0) {
                batch = table::delete_until(batch, id, delete);
            }
        }
        if let Err(error) = kept.engine.write(batch).await {
            // They are deleted with later ones; after a crash the client's count says that they are not needed.
            tracing::warn!(%error, "Acknowledged messages could not be deleted.");
        }
    }
}
