//! Sessions of the process before this one. They sleep on the disk until their client resumes them; the messages of those that nobody
//! resumes become offline messages.

use std::sync::Arc;

use bytes::Bytes;
use torg_store::{Batch, Engine, StoreError};
use torg_thing::Timestamp;
use torg_wire::jid::{BareJid, FullJid};
use torg_wire::sasl::Authenticated;
use torg_wire::stanza::{Stanza, StanzaCondition};
use torg_wire::xep::sm::{self, Failed, full_count, on_the_wire};
use torg_wire::xml::{Limits, Scope, parse_document};

use super::resume::lease;
use super::table::{self, Message, Sleeper};
use super::{Counts, NotResumed, Resumption, Sm};
use crate::identity::Proof;
use crate::limits::RESUME_TIME;
use crate::offline::{Offline, with_marks_of};
use crate::router::Router;
use crate::session::Session;

/// How far behind the disk may be in what a client has acknowledged: half of what a count can tell apart (XEP-0198 §4).
const BEHIND_MAX: u64 = 1 << 31;

/// All sessions that are on the disk sleep; they wait for their clients as long as any other.
pub(crate) async fn fall_asleep(router: &Router) -> Result<(), StoreError> {
    let kept = &router.shared().sm;
    match kept.engine.write(table::all_sleep()).await {
        Ok(_) => {}
        // Those that were asleep before still are; the others wait for the next start, which has room to wake them.
        Err(error @ StoreError::Disk { .. }) => {
            tracing::error!(%error, "The disk takes nothing: sessions of the last run cannot be resumed until the next start.");
        }
        Err(error) => return Err(error),
    }
    let all = table::all_asleep(&*kept.engine).await?;
    if all.is_empty() {
        return Ok(());
    }
    tracing::info!(sessions = all.len(), "Sessions of the last run may be resumed.");
    for (id, jid) in all {
        kept.asleep().entry(jid).or_default().push(id);
    }
    let (router, end) = (router.clone(), tokio::time::Instant::now() + RESUME_TIME);
    router.clone().spawn(async move {
        let stop = router.shared().stop.clone();
        tokio::select! {
            () = tokio::time::sleep_until(end) => {}
            () = stop.cancelled() => return, // they go on sleeping
        }
        let left: Vec<String> = router.shared().sm.asleep().drain().flat_map(|(_, ids)| ids).collect();
        for id in left {
            router.bury_or_say(&id).await;
        }
    });
    Ok(())
}

impl Router {
    /// Another session takes the address: the sleeping one has no future.
    pub(crate) async fn sleeps_no_more(&self, session: &Session) {
        for id in self.shared().sm.take_asleep(session.jid.as_str()) {
            self.bury_or_say(&id).await;
        }
    }

    /// Resumes a session of the process before this one.
    pub(super) async fn wake(
        &self,
        who: &Authenticated,
        request: &sm::Resume,
        since: i64,
    ) -> Result<Resumption, NotResumed> {
        let not_found = |h| NotResumed::Failed(Failed { condition: StanzaCondition::ItemNotFound, h });
        let failed = |error: StoreError| {
            tracing::error!(%error, "A session could not be resumed.");
            NotResumed::Failed(Failed::new(StanzaCondition::InternalServerError))
        };
        if self.shared().sm.asleep().is_empty() {
            return Err(not_found(None));
        }
        let engine = &*self.shared().sm.engine;
        let sleeper = table::sleeper(engine, &request.previd).await.map_err(failed)?;
        let Some(sleeper) = sleeper.filter(|sleeper| sleeper.account == who.account.as_str()) else {
            return Err(not_found(None));
        };
        if !self.shared().sm.claim_asleep(&sleeper.jid, &request.previd) {
            return Err(not_found(None)); // somebody else is at it
        }
        match self.rise_or_bury(who, request, &sleeper, since).await {
            Ok(Some(resumption)) => Ok(resumption),
            Ok(None) => Err(not_found(Some(on_the_wire(sleeper.handled)))),
            Err(error) => {
                // It goes on sleeping: the next attempt may find a disk that takes it.
                self.shared().sm.asleep().entry(sleeper.jid).or_default().push(request.previd.clone());
                Err(failed(error))
            }
        }
    }

    /// The session with the messages that its client has not had, or `None` if there cannot be one: then they wait for the account.
    async fn rise_or_bury(
        &self,
        who: &Authenticated,
        request: &sm::Resume,
        sleeper: &Sleeper,
        since: i64,
    ) -> Result<Option<Resumption>, StoreError> {
        let messages = table::messages(&*self.shared().sm.engine, &request.previd).await?;
        let sent = sleeper.acked.saturating_add(BEHIND_MAX);
        let acked = full_count(request.h, sleeper.acked, sent).unwrap_or(sleeper.acked);
        let left: Vec<Message> = messages.into_iter().filter(|message| message.number > acked).collect();
        if let Some(jid) = FullJid::parse(&sleeper.jid).ok().filter(|_| !sleeper.is_behind)
            && let Some(resumption) = self.rise(who, jid, &request.previd, sleeper, acked, &left, since).await?
        {
            return Ok(Some(resumption));
        }
        self.bury(&request.previd, &who.account, left).await?;
        Ok(None)
    }

    /// The session as it was, as far as the disk knows; `None` if the account has no place for it any more.
    #[expect(clippy::too_many_arguments, reason = "what was read is handed over once")]
    async fn rise(
        &self,
        who: &Authenticated,
        jid: FullJid,
        id: &str,
        sleeper: &Sleeper,
        acked: u64,
        left: &[Message],
        since: i64,
    ) -> Result<Option<Resumption>, StoreError> {
        // The client counts what it gets from now on: numbers follow each other again, in place of what is lost.
        let mut batch = table::delete_until(table::wake(Batch::new(), id, acked), id, acked);
        for (message, number) in left.iter().zip(acked + 1..) {
            batch = table::renumber(batch, id, message.number, number);
        }
        self.shared().sm.engine.write(batch).await?;
        let counts = Counts {
            handled: sleeper.handled,
            told: sleeper.handled,
            on_disk: sleeper.handled,
            has_row: true,
            ..Counts::default()
        };
        let allowance = self.allowance(&who.account, who.class);
        let proof = Proof::Client(who.mechanism.name());
        let session = Arc::new(Session::new(jid, proof, true, since, allowance));
        let sm = Sm::new(self.clone(), Some(id.to_owned()), RESUME_TIME, counts);
        let Some(lease) = lease(&sm, 0) else { return Ok(None) };
        table::wish(&session, sleeper.wishes);
        session.manage(sm);
        let stanzas = left.iter().filter_map(|message| stanza(&message.stanza));
        session.queue.manage_restored(
            acked,
            stanzas.map(|stanza| {
                let text = Bytes::from(stanza.to_bytes(&Scope::CLIENT));
                (Arc::new(stanza), text)
            }),
        );
        if self.bind(&session).await.is_err() {
            return Ok(None);
        }
        tracing::debug!(session = %session.jid, messages = left.len(), "Session of the last run resumed.");
        Ok(Some(Resumption { session, lease, handled: on_the_wire(sleeper.handled), returns: sleeper.priority }))
    }

    async fn bury_or_say(&self, id: &str) {
        let engine = &*self.shared().sm.engine;
        let done = async {
            let Some(sleeper) = table::sleeper(engine, id).await? else { return Ok(()) };
            let Ok(account) = BareJid::parse(&sleeper.account) else { return Ok(()) };
            let messages = table::messages(engine, id).await?;
            self.bury(id, &account, messages).await
        };
        let done: Result<(), StoreError> = done.await;
        if let Err(error) = done {
            tracing::error!(%error, "Messages of a session of the last run could not be moved; the next start tries again.");
        }
    }

    /// Nobody resumes the session: its messages wait for the account.
    async fn bury(&self, id: &str, account: &BareJid, messages: Vec<Message>) -> Result<(), StoreError> {
        let now = self.shared().clock.now();
        let batch = burial(table::drop_session(Batch::new(), id), self.domain(), account, messages, now);
        self.shared().sm.engine.write(batch).await?;
        if let Some(session) = self.most_available(account) {
            self.drain_offline(&session);
        }
        Ok(())
    }
}

/// Messages of a session become offline messages of its account.
fn burial(batch: Batch, domain: &BareJid, account: &BareJid, messages: Vec<Message>, now: Timestamp) -> Batch {
    messages.into_iter().fold(batch, |batch, message| {
        let Some(stanza) = stanza(&message.stanza) else {
            tracing::error!(%account, "A message of a session cannot be read; deleted.");
            return batch;
        };
        let came = message.came.parse().unwrap_or(now);
        let mut document = String::with_capacity(512);
        with_marks_of(domain, stanza, account, came).to_element().write_to(&mut document, &Scope::DOCUMENT);
        Offline::take_in(batch, account, document)
    })
}

/// Buries every session of a store on which no broker runs. Answers how many messages became offline messages.
pub(crate) async fn bury_all(engine: &dyn Engine, domain: &BareJid, now: Timestamp) -> Result<u64, StoreError> {
    let (mut last, mut buried) = (String::new(), 0u64);
    while let Some((id, account, acked)) = table::next(engine, &last).await? {
        let mut messages = table::messages(engine, &id).await?;
        messages.retain(|message| message.number > acked);
        let mut batch = table::drop_session(Batch::new(), &id);
        if let Ok(account) = BareJid::parse(&account) {
            buried = buried.saturating_add(u64::try_from(messages.len()).unwrap_or(u64::MAX));
            batch = burial(batch, domain, &account, messages, now);
        }
        engine.write(batch).await?;
        last = id;
    }
    Ok(buried)
}

fn stanza(document: &str) -> Option<Stanza> {
    Stanza::from_element(parse_document(document, &Limits::SERVER).ok()?).ok()
}
