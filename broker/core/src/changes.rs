//! A log of changes to accounts that another process may have made: the running broker reads it, ends the sessions such a change makes
//! invalid and tells contacts what they have lost (RFC 6121 §3.2, §3.3). It does not change accounts itself.
//!
//! # Why
//! The command line writes straight to the store, so a table is the one way to the running broker that needs no socket and no signal,
//! and that cannot be missed: the row and the change are written together.

use std::sync::Arc;
use std::time::Duration;

use torg_store::{Batch, Engine, Migration, Migrations, Row, StoreError, Value};
use torg_wire::jid::BareJid;
use torg_wire::stream_error::{StreamCondition, StreamError};

use crate::columns;
use crate::identity::Proof;
use crate::roster::state::Subscription;
use crate::router::Router;
use crate::session::Ending;

/// How often the log is read: a removed account keeps its sessions no longer, and one indexed query costs next to nothing.
const EVERY: Duration = Duration::from_secs(2);
/// Rows kept: far more than anybody changes between two readings. The rest is found by the sweep of all sessions.
const KEPT: i64 = 1_000;
/// Rows read at once; what is left is read at once after them.
const PAGE: usize = 100;

pub(crate) const MIGRATIONS: Migrations = Migrations {
    service: "change",
    steps: &[
        Migration {
            number: 1,
            about: "Changes to accounts that a running broker must hear of",
            sqlite: &[
                "CREATE TABLE change_account (number INTEGER NOT NULL PRIMARY KEY, account TEXT NOT NULL, kind INTEGER NOT NULL)",
                "CREATE TABLE change_contact (number INTEGER NOT NULL, contact TEXT NOT NULL, state INTEGER NOT NULL,
                PRIMARY KEY (number, contact))",
            ],
        },
        Migration {
            number: 2,
            about: "Contacts elsewhere that must hear of a removed account",
            sqlite: &[
                "CREATE TABLE change_elsewhere (number INTEGER NOT NULL, account TEXT NOT NULL, contact TEXT NOT NULL,
                state INTEGER NOT NULL, PRIMARY KEY (number, contact))",
            ],
        },
    ],
};

const LOG: &str = "INSERT INTO change_account (number, account, kind)
    SELECT COALESCE(MAX(number), 0) + 1, ?1, ?2 FROM change_account";
/// Those who shared presence with a removed account, or were about to, as their own rosters have it.
const LOG_CONTACTS: &str = "INSERT INTO change_contact (number, contact, state)
    SELECT (SELECT MAX(number) FROM change_account), owner, state FROM roster_item
    WHERE contact = ?1 AND state > 0 AND owner <> ?1";
/// Those with whom a removed account shared presence, as its own roster has them: the rosters of those elsewhere are not here. They stay
/// until they have been told, also if no broker runs meanwhile.
const LOG_ELSEWHERE: &str = "INSERT INTO change_elsewhere (number, account, contact, state)
    SELECT (SELECT MAX(number) FROM change_account), owner, contact, state FROM roster_item
    WHERE owner = ?1 AND state > 0 AND contact <> ?1";
const ELSEWHERE: &str = "SELECT number, account, contact, state FROM change_elsewhere WHERE number <= ?1
    ORDER BY number, contact LIMIT ?2";
const TOLD: &str = "DELETE FROM change_elsewhere WHERE number = ?1 AND contact = ?2";
const PRUNE: &str = "DELETE FROM change_account WHERE number <= (SELECT MAX(number) FROM change_account) - ?1";
const PRUNE_CONTACTS: &str = "DELETE FROM change_contact WHERE number <= (SELECT MAX(number) FROM change_account) - ?1";
const LATEST: &str = "SELECT COALESCE(MAX(number), 0) FROM change_account";
const UNCHANGED: &str = "UPDATE change_account SET kind = kind WHERE account = ?1 AND number > ?2";
const NEWER: &str = "SELECT number, account, kind FROM change_account WHERE number > ?1 ORDER BY number LIMIT ?2";
const CONTACTS: &str = "SELECT contact, state FROM change_contact WHERE number = ?1 ORDER BY contact";

/// What happened to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Removed = 1,
    Password = 2,
}

/// Notes in `batch`, before the rosters are changed, that the account is removed and who loses it as a contact.
pub(crate) fn removed(batch: Batch, account: &BareJid) -> Batch {
    let account_arg = || [Value::from(account.as_str())];
    prune(log(batch, account, Kind::Removed).run(LOG_CONTACTS, account_arg()).run(LOG_ELSEWHERE, account_arg()))
}

/// Notes in `batch` that the account's password changes, so that a running broker ends the sessions opened with the old one.
#[must_use]
pub fn password_changed(batch: Batch, account: &BareJid) -> Batch {
    prune(log(batch, account, Kind::Password))
}

/// Lets `batch` happen only if nothing has happened to the account after change number `since`: what a login decides on holds no longer
/// than that.
#[must_use]
pub fn unchanged(batch: Batch, account: &BareJid, since: i64) -> Batch {
    batch.guard(0, UNCHANGED, [Value::from(account.as_str()), Value::from(since)])
}

fn log(batch: Batch, account: &BareJid, kind: Kind) -> Batch {
    batch.run(LOG, [Value::from(account.as_str()), Value::from(kind as i64)])
}

fn prune(batch: Batch) -> Batch {
    batch.run(PRUNE, [Value::from(KEPT)]).run(PRUNE_CONTACTS, [Value::from(KEPT)])
}

/// The log, for reading.
#[derive(Clone)]
pub(crate) struct Changes {
    engine: Arc<dyn Engine>,
}

struct Change {
    number: i64,
    account: BareJid,
    kind: i64,
}

/// A contact of a removed account.
struct Elsewhere {
    number: i64,
    account: BareJid,
    contact: BareJid,
    /// As the account had it.
    state: Subscription,
}

impl Changes {
    pub(crate) fn new(engine: Arc<dyn Engine>) -> Self {
        Changes { engine }
    }

    /// The number of the newest change, 0 if there has been none.
    pub(crate) async fn latest(&self) -> Result<i64, StoreError> {
        let rows = self.engine.query_key(LATEST, Vec::new()).await?;
        Ok(rows.first().map(|row| row.integer(0)).transpose()?.unwrap_or(0))
    }

    async fn after(&self, number: i64) -> Result<Vec<Change>, StoreError> {
        let limit = i64::try_from(PAGE).unwrap_or(i64::MAX);
        let rows = self.engine.query(NEWER, vec![Value::from(number), Value::from(limit)]).await?;
        let change =
            |row: &Row| Ok(Change { number: row.integer(0)?, account: columns::jid(row, 1)?, kind: row.integer(2)? });
        rows.iter().map(change).collect()
    }

    async fn contacts(&self, number: i64) -> Result<Vec<(BareJid, Subscription)>, StoreError> {
        let rows = self.engine.query(CONTACTS, vec![Value::from(number)]).await?;
        rows.iter().map(|row| Ok((columns::jid(row, 0)?, columns::subscription(row, 1)?))).collect()
    }

    /// Some of those who have not been told of changes up to this number.
    async fn elsewhere(&self, until: i64) -> Result<Vec<Elsewhere>, StoreError> {
        let limit = i64::try_from(PAGE).unwrap_or(i64::MAX);
        let rows = self.engine.query(ELSEWHERE, vec![Value::from(until), Value::from(limit)]).await?;
        let elsewhere = |row: &Row| {
            let (account, contact) = (columns::jid(row, 1)?, columns::jid(row, 2)?);
            Ok(Elsewhere { number: row.integer(0)?, account, contact, state: columns::subscription(row, 3)? })
        };
        rows.iter().map(elsewhere).collect()
    }
}

/// Runs until the broker stops; `seen` is the newest change of the time before it started.
pub(crate) async fn run(router: Router, mut seen: i64) {
    let stop = router.shared().stop.clone();
    let mut failing = false;
    // Accounts that were removed while no broker ran.
    if let Err(error) = tell_all(&router, seen).await {
        tracing::error!(%error, "Contacts and subscribers of removed accounts could not be told.");
    }
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = stop.cancelled() => return,
        }
        match follow(&router, &mut seen).await {
            Ok(()) => failing = false,
            // Said once, not every other second; what was not seen is read again.
            Err(error) if !failing => {
                failing = true;
                tracing::warn!(%error, "Changes to accounts could not be read.");
            }
            Err(_) => {}
        }
    }
}

async fn follow(router: &Router, seen: &mut i64) -> Result<(), StoreError> {
    loop {
        let changes = router.shared().changes.after(*seen).await?;
        for change in &changes {
            apply(router, change).await?;
            *seen = change.number;
        }
        if changes.len() < PAGE {
            return Ok(());
        }
    }
}

/// Everybody who must hear of removed accounts.
async fn tell_all(router: &Router, until: i64) -> Result<(), StoreError> {
    tell_elsewhere(router, until).await?;
    router.end_nodes().await
}

/// Contacts elsewhere hear what they have lost (RFC 6121 §3.2.2, §3.3.2), and see the sessions of the account go.
async fn tell_elsewhere(router: &Router, until: i64) -> Result<(), StoreError> {
    let changes = &router.shared().changes;
    loop {
        let page = changes.elsewhere(until).await?;
        let mut batch = Batch::new();
        for Elsewhere { number, account, contact, state } in &page {
            // The name may have a new account, and even a new subscription, already.
            let is_free = router.shared().rosters.state(account, contact).await? == Subscription::None;
            if !router.is_local(contact.as_jid()) && is_free {
                router.part_elsewhere(account, contact, *state);
            }
            batch = batch.run(TOLD, [Value::from(*number), Value::from(contact.as_str())]);
        }
        if page.is_empty() {
            return Ok(());
        }
        changes.engine.write(batch).await?;
    }
}

async fn apply(router: &Router, change: &Change) -> Result<(), StoreError> {
    if change.kind == Kind::Removed as i64 {
        tell_all(router, change.number).await?;
        router.shared().pubsub.removed(&change.account);
        for (contact, state) in router.shared().changes.contacts(change.number).await? {
            router.lost_contact(&contact, &change.account, state).await?;
        }
    }
    router.shared().blocking.changed(&change.account);
    if change.kind == Kind::Removed as i64 {
        router.shared().personal.removed(&change.account);
        router.shared().generations.removed(&change.account);
    }
    for session in router.shared().sessions.of(change.account.as_str()).iter() {
        // One that logged in afterwards has proven what holds now.
        if session.since().max(session.trusted_until()) < change.number && matches!(session.proof, Proof::Client(_)) {
            tracing::info!(session = %session.jid, "Session ended: its account was removed or has a new password.");
            session.queue.end(Ending::Now(StreamError::new(StreamCondition::NotAuthorized)));
            router.end_session(session).await;
        }
    }
    Ok(())
}
