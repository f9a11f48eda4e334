//! The rows of messages that are under way.

use torg_store::{Batch, Engine, Migration, Migrations, Row, StoreError, Value};
use torg_wire::jid::BareJid;
use torg_wire::stanza::Stanza;
use torg_wire::xml::Scope;

pub(crate) const MIGRATIONS: Migrations = Migrations {
    service: "transit",
    steps: &[Migration {
        number: 1,
        about: "Messages that are acknowledged and still under way",
        sqlite: &[
            "CREATE TABLE transit_message (number INTEGER NOT NULL PRIMARY KEY, sender TEXT NOT NULL, recipient TEXT NOT NULL,
                came TEXT NOT NULL, size INTEGER NOT NULL, stanza TEXT NOT NULL)",
            "CREATE INDEX transit_message_sender ON transit_message (sender)",
            "CREATE INDEX transit_message_recipient ON transit_message (recipient)",
        ],
    }],
};

const EXTENT: &str = "SELECT COALESCE(MAX(number), 0), COUNT(*), COALESCE(SUM(size), 0) FROM transit_message";
/// Kept as it is if it is there: the answer to an earlier write was lost.
const PUT: &str = "INSERT INTO transit_message (number, sender, recipient, came, size, stanza)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (number) DO NOTHING";
const DELETE: &str = "DELETE FROM transit_message WHERE number = ?1";
const READ: &str = "SELECT number, came, size, stanza FROM transit_message WHERE number > ?1 AND number <= ?2
    ORDER BY number LIMIT ?3";
const FORGET_SENT: &str = "DELETE FROM transit_message WHERE sender = ?1";
const FORGET_RECEIVED: &str = "DELETE FROM transit_message WHERE recipient = ?1";

/// What is in the table.
#[derive(Debug, Default)]
pub(super) struct Extent {
    /// The highest number; 0 if there is none.
    pub(super) last: i64,
    pub(super) rows: usize,
    pub(super) bytes: usize,
}

/// A message of the last run.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) number: i64,
    pub(super) came: String,
    pub(super) size: usize,
    pub(super) stanza: String,
}

pub(super) async fn extent(engine: &dyn Engine) -> Result<Extent, StoreError> {
    let rows = engine.query(EXTENT, Vec::new()).await?;
    let Some(row) = rows.first() else { return Ok(Extent::default()) };
    Ok(Extent { last: row.integer(0)?, rows: count(row.integer(1)?), bytes: count(row.integer(2)?) })
}

/// Messages after `number`, up to `last`, oldest first, `limit` at most.
pub(super) async fn after(engine: &dyn Engine, number: i64, last: i64, limit: i64) -> Result<Vec<Stored>, StoreError> {
    let rows = engine.query(READ, vec![Value::from(number), Value::from(last), Value::from(limit)]).await?;
    let stored = |row: &Row| {
        let (came, stanza) = (row.text(1)?.to_owned(), row.text(3)?.to_owned());
        Ok(Stored { number: row.integer(0)?, came, size: count(row.integer(2)?), stanza })
    };
    rows.iter().map(stored).collect()
}

/// Writes a message, and answers its size.
pub(super) fn put(batch: Batch, number: i64, came: &str, stanza: &Stanza) -> (Batch, usize) {
    let bare = |jid: Option<&torg_wire::jid::Jid>| Value::from(jid.map(|jid| jid.bare_str()).unwrap_or_default());
    let mut document = String::with_capacity(512);
    stanza.to_element().write_to(&mut document, &Scope::DOCUMENT);
    let size = document.len();
    let args = [
        Value::from(number),
        bare(stanza.from()),
        bare(stanza.to()),
        Value::from(came),
        Value::from(i64::try_from(size).unwrap_or(i64::MAX)),
        Value::from(document),
    ];
    (batch.run(PUT, args), size)
}

pub(super) fn delete(batch: Batch, number: i64) -> Batch {
    batch.run(DELETE, [Value::from(number)])
}

/// Nothing of a removed account stays.
pub(crate) fn forget(batch: Batch, account: &BareJid) -> Batch {
    let account = Value::from(account.as_str());
    batch.run(FORGET_SENT, [account.clone()]).run(FORGET_RECEIVED, [account])
}

fn count(integer: i64) -> usize {
    usize::try_from(integer).unwrap_or_default()
}
