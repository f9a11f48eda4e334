//! The rows of resumable sessions and of the messages their clients have not acknowledged.

use torg_store::{Batch, Engine, Migration, Migrations, Row, StoreError, Value};
use torg_wire::jid::BareJid;

use super::Sm;
use crate::session::Session;

pub(crate) const MIGRATIONS: Migrations = Migrations {
    service: "sm",
    steps: &[Migration {
        number: 1,
        about: "Sessions that outlive the process, and their messages",
        sqlite: &[
            "CREATE TABLE sm_session (id TEXT NOT NULL PRIMARY KEY, account TEXT NOT NULL, jid TEXT NOT NULL,
                handled INTEGER NOT NULL, behind INTEGER NOT NULL, acked INTEGER NOT NULL, priority INTEGER,
                wishes INTEGER NOT NULL, asleep INTEGER NOT NULL)",
            "CREATE INDEX sm_session_account ON sm_session (account)",
            "CREATE TABLE sm_message (session TEXT NOT NULL, number INTEGER NOT NULL, came TEXT NOT NULL, stanza TEXT NOT NULL,
                PRIMARY KEY (session, number))",
        ],
    }],
};

/// Kept as it is if it is there: its counts are newer.
const SESSION: &str = "INSERT INTO sm_session (id, account, jid, handled, behind, acked, priority, wishes, asleep)
    VALUES (?1, ?2, ?3, ?4, 0, 0, ?5, ?6, 0)
    ON CONFLICT (id) DO UPDATE SET priority = excluded.priority, wishes = excluded.wishes";
const COUNT: &str = "INSERT INTO sm_session (id, account, jid, handled, behind, acked, priority, wishes, asleep)
    VALUES (?1, ?2, ?3, ?4, 0, 0, ?5, ?6, 0)
    ON CONFLICT (id) DO UPDATE SET handled = excluded.handled, behind = 0, priority = excluded.priority,
    wishes = excluded.wishes";
const BEHIND: &str = "UPDATE sm_session SET behind = 1 WHERE id = ?1";
const PUT: &str = "INSERT INTO sm_message (session, number, came, stanza) VALUES (?1, ?2, ?3, ?4)";
const DELETE_FROM: &str = "DELETE FROM sm_message WHERE session = ?1 AND number >= ?2";
const DELETE_UNTIL: &str = "DELETE FROM sm_message WHERE session = ?1 AND number <= ?2";
const RENUMBER: &str = "UPDATE sm_message SET number = ?3 WHERE session = ?1 AND number = ?2";
const ACKED: &str = "UPDATE sm_session SET acked = ?2 WHERE id = ?1";
const DROP_MESSAGES: &str = "DELETE FROM sm_message WHERE session = ?1";
const DROP_SESSION: &str = "DELETE FROM sm_session WHERE id = ?1";
const FORGET_MESSAGES: &str = "DELETE FROM sm_message WHERE session IN (SELECT id FROM sm_session WHERE account = ?1)";
const FORGET_SESSIONS: &str = "DELETE FROM sm_session WHERE account = ?1";
const ALL_SLEEP: &str = "UPDATE sm_session SET asleep = 1";
const WAKE: &str = "UPDATE sm_session SET asleep = 0, acked = ?2 WHERE id = ?1 AND asleep = 1";
const ASLEEP: &str = "SELECT id, jid FROM sm_session WHERE id > ?1 AND asleep = 1 ORDER BY id LIMIT ?2";
const SLEEPER: &str =
    "SELECT account, jid, handled, behind, acked, priority, wishes FROM sm_session WHERE id = ?1 AND asleep = 1";
const ANY: &str = "SELECT id, account, acked FROM sm_session WHERE id > ?1 ORDER BY id LIMIT 1";
const MESSAGES: &str = "SELECT number, came, stanza FROM sm_message WHERE session = ?1 ORDER BY number";

/// Sessions read at once.
const PAGE: i64 = 500;

/// A session of the process before this one.
#[derive(Debug)]
pub(super) struct Sleeper {
    pub(super) account: String,
    pub(super) jid: String,
    pub(super) handled: u64,
    pub(super) is_behind: bool,
    pub(super) acked: u64,
    /// `None` if it was not available.
    pub(super) priority: Option<i8>,
    /// What the session had asked for, see [`wish`].
    pub(super) wishes: i64,
}

const ROSTER: i64 = 1;
const CARBONS: i64 = 2;
const BLOCKLIST: i64 = 4;

/// What the session has asked for: its client will not ask again when it resumes.
fn wishes(session: &Session) -> i64 {
    let bit = |bit, is_set| if is_set { bit } else { 0 };
    bit(ROSTER, session.is_interested())
        | bit(CARBONS, session.has_carbons())
        | bit(BLOCKLIST, session.wants_blocklist())
}

/// The session has asked for what it had asked for before.
pub(super) fn wish(session: &Session, wishes: i64) {
    if wishes & ROSTER != 0 {
        session.set_interested();
    }
    session.set_carbons(wishes & CARBONS != 0);
    if wishes & BLOCKLIST != 0 {
        session.want_blocklist();
    }
}

/// The arguments that say what a session is; `None` if it has no id.
fn session_args(session: &Session, sm: &Sm, handled: u64) -> Option<[Value; 6]> {
    Some([
        Value::from(sm.id.as_deref()?),
        Value::from(session.account.as_str()),
        Value::from(session.jid.as_str()),
        integer(handled),
        Value::from(session.priority().map(i64::from)),
        Value::from(wishes(session)),
    ])
}

/// The session gets a row if it has none, with this count.
pub(super) fn session(batch: Batch, session: &Session, sm: &Sm, handled: u64) -> Batch {
    match session_args(session, sm, handled) {
        Some(args) => batch.run(SESSION, args),
        None => batch,
    }
}

/// The session has handled so many stanzas, and all of them have been taken.
pub(super) fn count(batch: Batch, session: &Session, handled: u64) -> Batch {
    match session.sm().and_then(|sm| session_args(session, sm, handled)) {
        Some(args) => batch.run(COUNT, args),
        None => batch,
    }
}

pub(super) fn put(batch: Batch, id: &str, number: u64, came: &str, stanza: String) -> Batch {
    batch.run(PUT, [Value::from(id), integer(number), Value::from(came), Value::from(stanza)])
}

pub(super) fn delete_from(batch: Batch, id: &str, number: u64) -> Batch {
    batch.run(DELETE_FROM, [Value::from(id), integer(number)])
}

pub(super) fn delete_until(batch: Batch, id: &str, number: u64) -> Batch {
    let args = [Value::from(id), integer(number)];
    batch.run(DELETE_UNTIL, args.clone()).run(ACKED, args)
}

pub(super) fn renumber(batch: Batch, id: &str, from: u64, to: u64) -> Batch {
    batch.run(RENUMBER, [Value::from(id), integer(from), integer(to)])
}

/// The session is resumed; a guard, so that only one can do it.
pub(super) fn wake(batch: Batch, id: &str, acked: u64) -> Batch {
    batch.guard(1, WAKE, [Value::from(id), integer(acked)])
}

pub(super) fn behind(id: &str) -> Batch {
    Batch::new().run(BEHIND, [Value::from(id)])
}

pub(super) fn drop_session(batch: Batch, id: &str) -> Batch {
    batch.run(DROP_MESSAGES, [Value::from(id)]).run(DROP_SESSION, [Value::from(id)])
}

/// Forgets the sessions of an account that is removed.
pub(crate) fn forget(batch: Batch, account: &BareJid) -> Batch {
    batch.run(FORGET_MESSAGES, [Value::from(account.as_str())]).run(FORGET_SESSIONS, [Value::from(account.as_str())])
}

/// Ids and addresses of all sessions that were not ended in the process before this one; all sleep now.
pub(super) async fn all_asleep(engine: &dyn Engine) -> Result<Vec<(String, String)>, StoreError> {
    let mut all: Vec<(String, String)> = Vec::new();
    loop {
        let last = all.last().map_or("", |(id, _)| id.as_str()).to_owned();
        let rows = engine.query(ASLEEP, vec![Value::from(last), Value::from(PAGE)]).await?;
        if rows.is_empty() {
            return Ok(all);
        }
        for row in rows.iter() {
            all.push((row.text(0)?.to_owned(), row.text(1)?.to_owned()));
        }
    }
}

pub(super) fn all_sleep() -> Batch {
    Batch::new().run(ALL_SLEEP, [])
}

pub(super) async fn sleeper(engine: &dyn Engine, id: &str) -> Result<Option<Sleeper>, StoreError> {
    let rows = engine.query(SLEEPER, vec![Value::from(id)]).await?;
    let sleeper = |row: &Row| {
        let priority = row.value(5)?;
        let priority = match priority {
            Value::Integer(priority) => i8::try_from(*priority).ok(),
            _ => None,
        };
        Ok(Sleeper {
            account: row.text(0)?.to_owned(),
            jid: row.text(1)?.to_owned(),
            handled: count_of(row.integer(2)?),
            is_behind: row.integer(3)? != 0,
            acked: count_of(row.integer(4)?),
            priority,
            wishes: row.integer(6)?,
        })
    };
    rows.first().map(sleeper).transpose()
}

/// Id, account and acknowledged messages of the first session after that id.
pub(super) async fn next(engine: &dyn Engine, after: &str) -> Result<Option<(String, String, u64)>, StoreError> {
    let rows = engine.query(ANY, vec![Value::from(after)]).await?;
    let session = |row: &Row| Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned(), count_of(row.integer(2)?)));
    rows.first().map(session).transpose()
}

/// A message that was not acknowledged.
pub(super) struct Message {
    pub(super) number: u64,
    /// When it came, as in a delay (XEP-0203).
    pub(super) came: String,
    pub(super) stanza: String,
}

/// The messages of a session, in order.
pub(super) async fn messages(engine: &dyn Engine, id: &str) -> Result<Vec<Message>, StoreError> {
    let rows = engine.query(MESSAGES, vec![Value::from(id)]).await?;
    let message = |row: &Row| {
        Ok(Message {
            number: count_of(row.integer(0)?),
            came: row.text(1)?.to_owned(),
            stanza: row.text(2)?.to_owned(),
        })
    };
    rows.iter().map(message).collect()
}

fn integer(count: u64) -> Value {
    Value::from(i64::try_from(count).unwrap_or(i64::MAX))
}

fn count_of(integer: i64) -> u64 {
    u64::try_from(integer).unwrap_or_default()
}
