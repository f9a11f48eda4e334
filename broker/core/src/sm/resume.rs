//! Enabling, losing and resuming (XEP-0198 §3, §5): the session stays in the table without a connection, with its presence and its
//! queue, until its client comes back or its time is over.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;
use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;
use torg_store::{Batch, StoreError};
use torg_wire::jid::BareJid;
use torg_wire::sasl::Authenticated;
use torg_wire::stanza::StanzaCondition;
use torg_wire::stream_error::StreamError;
use torg_wire::xep::sm::{self, Enable, Enabled, Failed, on_the_wire};

use super::{Counts, Sm, stage, table};
use crate::limits::{DETACHED_MAX, DETACHED_PER_ACCOUNT, RESUME_TIME, TAKEOVER_TIME};
use crate::router::Router;
use crate::session::{Acked, Session, WasDetached};

/// Random bytes of an id: nobody guesses 144 bits, and base64 needs no padding.
const ID_BYTES: usize = 18;

/// Time for a session's messages to be taken when the broker stops: a write or two.
const SETTLE_TIME: Duration = Duration::from_secs(2);

/// A session that goes on.
pub(crate) struct Resumption {
    pub(crate) session: Arc<Session>,
    /// What the new connection holds while it speaks for the session.
    pub(crate) lease: Lease,
    /// Stanzas of the client that were handled.
    pub(crate) handled: u32,
    /// It was available with this priority before the broker started anew, and is to be so again.
    pub(crate) returns: Option<i8>,
}

/// Why it does not.
pub(crate) enum NotResumed {
    /// The client may bind instead.
    Failed(Failed),
    /// The client counts what was never sent.
    Fault(StreamError),
}

/// A connection's right to speak for a session.
#[derive(Debug)]
pub(crate) struct Lease {
    /// The number of the connection.
    pub(crate) connection: u64,
    _held: OwnedMutexGuard<()>,
}

impl Router {
    /// Manages the stream of a session.
    pub(crate) fn enable(&self, session: &Arc<Session>, wanted: Enable) -> Result<(Enabled, Lease), Failed> {
        let refused = |_| Failed::new(StanzaCondition::InternalServerError);
        let id = if wanted.resume { Some(new_id().map_err(refused)?) } else { None };
        let seconds = wanted.max.map_or(RESUME_TIME, |max| RESUME_TIME.min(Duration::from_secs(max.into())));
        let sm = Sm::new(self.clone(), id.clone(), seconds, Counts::default());
        let lease = lease(&sm, 0).ok_or(Failed::new(StanzaCondition::InternalServerError))?;
        if !session.manage(sm) {
            return Err(Failed::new(StanzaCondition::UnexpectedRequest));
        }
        session.queue.manage(id.is_some());
        if session.queue.needs_stage() {
            stage(session);
        }
        let max = u32::try_from(seconds.as_secs()).ok();
        Ok((Enabled { max: max.filter(|_| id.is_some()), id }, lease))
    }

    /// Gives a session to another connection of its account.
    pub(crate) async fn resume(
        &self,
        who: &Authenticated,
        request: &sm::Resume,
        since: i64,
    ) -> Result<Resumption, NotResumed> {
        let sessions = self.shared().sessions.of(who.account.as_str());
        let is_it = |session: &&Arc<Session>| session.sm().is_some_and(|sm| sm.has_id(&request.previd));
        let Some(session) = sessions.iter().find(is_it).cloned() else {
            return self.wake(who, request, since).await;
        };
        let not_found = || NotResumed::Failed(Failed::new(StanzaCondition::ItemNotFound));
        let Some(sm) = session.sm() else { return Err(not_found()) };
        // The old connection ends what it has in hand; only then is the count of handled stanzas final.
        let connection = session.queue.next_connection();
        let Ok(held) = timeout(TAKEOVER_TIME, Arc::clone(&sm.lease).lock_owned()).await else {
            tracing::warn!(session = %session.jid, "A connection did not let go of its session.");
            self.leave_waiting(&session, connection);
            return Err(NotResumed::Failed(Failed::new(StanzaCondition::ResourceConstraint)));
        };
        sm.settled(None).await;
        if !session.queue.is_connection(connection) {
            return Err(not_found()); // yet another connection was faster
        }
        match session.queue.acknowledge(request.h) {
            Acked::Until(Some(number)) => sm.delete(&session, number),
            Acked::Until(None) | Acked::Old => {}
            Acked::TooHigh(sent) => {
                self.leave_waiting(&session, connection);
                return Err(NotResumed::Fault(sm::too_high(request.h, sent)));
            }
        }
        let Ok(was_detached) = session.queue.reattach() else { return Err(not_found()) };
        self.no_longer_waits(was_detached);
        session.logged_in(since);
        let handled = sm.tell(&session).await;
        tracing::debug!(session = %session.jid, "Session resumed.");
        Ok(Resumption { handled, lease: Lease { connection, _held: held }, session, returns: None })
    }

    /// The connection that was to have the session does not get it, and the one before has lost it: nobody speaks for it now.
    fn leave_waiting(&self, session: &Arc<Session>, connection: u64) {
        if !session.queue.is_detached() {
            self.detach(session, connection);
        }
    }

    /// A connection is gone without a farewell: its session waits for another one.
    pub(crate) fn detach(&self, session: &Arc<Session>, connection: u64) {
        let Some(sm) = session.sm().filter(|sm| sm.is_resumable()) else { return self.abandon_session(session) };
        if !session.queue.detach(connection) {
            if session.queue.is_connection(connection) {
                self.abandon_session(session);
            }
            return; // another connection speaks for it now
        }
        let losses = {
            let mut counts = sm.counts();
            counts.losses += 1;
            counts.losses
        };
        let all = self.shared().sm.detached.fetch_add(1, Ordering::Relaxed) + 1;
        let sessions = self.shared().sessions.of(session.account.as_str());
        let mut waiting = sessions.iter().filter(|other| other.queue.is_detached());
        let surplus = waiting.clone().count() > DETACHED_PER_ACCOUNT;
        if let Some(oldest) = waiting.next().filter(|_| surplus) {
            self.give_up(oldest);
        }
        if all > DETACHED_MAX {
            return self.give_up(session);
        }
        tracing::debug!(session = %session.jid, "Session waits for its client.");
        let (router, session, end) = (self.clone(), Arc::clone(session), tokio::time::Instant::now() + sm.keep);
        self.spawn(async move {
            let stop = router.shared().stop.clone();
            tokio::select! {
                () = tokio::time::sleep_until(end) => {}
                () = stop.cancelled() => return, // the broker ends all sessions itself
            }
            let is_same = session.sm().is_some_and(|sm| sm.counts().losses == losses);
            if is_same && session.queue.refuse_detached() {
                tracing::debug!(session = %session.jid, "Nobody has resumed the session.");
                router.end_session(&session).await;
            }
        });
    }

    /// The session waits no longer.
    fn give_up(&self, session: &Arc<Session>) {
        if session.queue.refuse_detached() {
            self.abandon_session(session);
        }
    }

    /// Counts a session that has waited for its client until now.
    pub(crate) fn no_longer_waits(&self, was_detached: WasDetached) {
        if was_detached.0 {
            self.shared().sm.detached.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Ends the session of the account that has waited longest; `false` if none waits.
    pub(crate) async fn end_detached(&self, account: &BareJid) -> bool {
        let sessions = self.shared().sessions.of(account.as_str());
        let Some(oldest) = sessions.iter().find(|session| session.queue.refuse_detached()) else { return false };
        self.end_session(oldest).await;
        true
    }
}

impl Sm {
    /// Whether it is resumed by this id, in a time that tells nothing about how far it is right.
    fn has_id(&self, id: &str) -> bool {
        self.id.as_deref().is_some_and(|own| own.as_bytes().ct_eq(id.as_bytes()).into())
    }

    /// The count of handled stanzas as the client may be told it now, on the wire. Every message it covers has been taken: wait for
    /// [`Sm::settled`] before.
    pub(crate) async fn tell(&self, session: &Session) -> u32 {
        let (handled, runs_ahead) = {
            let counts = self.counts();
            (counts.handled, counts.has_row && counts.handled > counts.on_disk && !counts.is_behind)
        };
        if runs_ahead && let Some(id) = &self.id {
            match self.router.shared().sm.engine.write(table::behind(id)).await {
                Ok(_) => self.counts().is_behind = true,
                // What is not durable was handled all the same. Only a crash before the disk takes writes again could tell.
                Err(error @ StoreError::Disk { .. }) => {
                    tracing::debug!(%error, "A count could not be noted on the disk.")
                }
                Err(error) => tracing::warn!(%error, session = %session.jid, "A count could not be noted on the disk."),
            }
        }
        let mut counts = self.counts();
        counts.told = counts.told.max(handled);
        on_the_wire(handled)
    }

    /// The client has handled so many stanzas.
    ///
    /// # Errors
    /// The stream error if so many were never sent (XEP-0198 §6).
    pub(crate) fn acknowledged(&self, session: &Arc<Session>, h: u32) -> Result<(), StreamError> {
        match session.queue.acknowledge(h) {
            Acked::Until(Some(number)) => self.delete(session, number),
            Acked::Until(None) | Acked::Old => {}
            Acked::TooHigh(sent) => return Err(sm::too_high(h, sent)),
        }
        self.router.carry_on_introduction(session);
        if session.queue.is_idle() && session.queue.take_overflow() {
            self.router.drain_offline(session);
        }
        Ok(())
    }

    /// Whether the session is on the disk, for the next process.
    pub(crate) fn has_row(&self) -> bool {
        self.counts().has_row
    }

    /// Waits for the last row of a session that takes nothing more.
    pub(crate) async fn last_write(&self, session: &Session) {
        let _writing = self.writing.lock().await;
        session.queue.seal();
    }

    /// The broker stops, and the next process is to know all that the client has been told. If some of its messages find nobody to take
    /// them in time, the disk knows less, as after a crash.
    pub(crate) async fn suspend(&self, session: &Session) {
        if timeout(SETTLE_TIME, self.settled(None)).await.is_err() {
            return;
        }
        let handled = self.counts().handled;
        if let Err(error) = self.router.shared().sm.engine.write(table::count(Batch::new(), session, handled)).await {
            tracing::error!(%error, session = %session.jid, "A session could not be kept for the next start.");
        }
    }

    /// The session has ended, and so do its rows.
    pub(crate) async fn end(&self) {
        let Some(id) = self.id.as_deref().filter(|_| self.has_row()) else { return };
        match self.router.shared().sm.engine.write(table::drop_session(Batch::new(), id)).await {
            Ok(_) => self.counts().has_row = false,
            Err(error) => tracing::error!(%error, "A session that has ended could not be deleted."),
        }
    }
}

/// The lease of a session that no connection holds.
pub(super) fn lease(sm: &Sm, connection: u64) -> Option<Lease> {
    Arc::clone(&sm.lease).try_lock_owned().ok().map(|held| Lease { connection, _held: held })
}

fn new_id() -> Result<String, getrandom::Error> {
    let mut bytes = [0; ID_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
