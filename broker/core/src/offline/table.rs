//! The rows of all offline messages: kept until they were written to a session (XEP-0160).

use std::sync::Arc;

use torg_store::{Batch, Engine, Migration, Migrations, StoreError, Value};
use torg_wire::jid::BareJid;

use crate::sm::Origin;

/// Messages kept for one account.
pub(crate) const MESSAGES_MAX: i64 = 1_000;
/// Bytes kept for one account, whichever limit comes first.
pub(crate) const BYTES_MAX: i64 = 5 * 1024 * 1024;
/// Messages read at once while they are delivered: a quarter of a session's queue, so that live traffic finds room beside them.
pub(crate) const PAGE: usize = 64;

pub(crate) const MIGRATIONS: Migrations = Migrations {
    service: "offline",
    steps: &[Migration {
        number: 1,
        about: "Offline messages",
        sqlite: &[
            "CREATE TABLE offline_owner (owner TEXT NOT NULL PRIMARY KEY, last INTEGER NOT NULL, messages INTEGER NOT NULL,
                bytes INTEGER NOT NULL)",
            "CREATE TABLE offline_message (owner TEXT NOT NULL, number INTEGER NOT NULL, stanza TEXT NOT NULL,
                size INTEGER NOT NULL, PRIMARY KEY (owner, number))",
        ],
    }],
};

const BEGIN: &str =
    "INSERT INTO offline_owner (owner, last, messages, bytes) VALUES (?1, 0, 0, 0) ON CONFLICT (owner) DO NOTHING";
const TAKE_ROOM: &str = "UPDATE offline_owner SET last = last + 1, messages = messages + 1, bytes = bytes + ?2
    WHERE owner = ?1 AND messages < ?3 AND bytes + ?2 <= ?4";
const PUT: &str = "INSERT INTO offline_message (owner, number, stanza, size)
    SELECT owner, last, ?2, ?3 FROM offline_owner WHERE owner = ?1";
const TAKE_ROOM_FOR: &str = "UPDATE offline_owner SET last = last + ?2, messages = messages + ?2, bytes = bytes + ?3
    WHERE owner = ?1";
/// So many places before the last one.
const PUT_BEFORE: &str = "INSERT INTO offline_message (owner, number, stanza, size)
    SELECT owner, last - ?4, ?2, ?3 FROM offline_owner WHERE owner = ?1";
const READ: &str =
    "SELECT number, stanza FROM offline_message WHERE owner = ?1 AND number > ?2 ORDER BY number LIMIT ?3";
const GIVE_ROOM: &str = "UPDATE offline_owner SET messages = messages - 1,
    bytes = bytes - (SELECT size FROM offline_message WHERE owner = ?1 AND number = ?2)
    WHERE owner = ?1 AND EXISTS (SELECT 1 FROM offline_message WHERE owner = ?1 AND number = ?2)";
const DELETE: &str = "DELETE FROM offline_message WHERE owner = ?1 AND number = ?2";
const FORGET_MESSAGES: &str = "DELETE FROM offline_message WHERE owner = ?1";
const FORGET_OWNER: &str = "DELETE FROM offline_owner WHERE owner = ?1";

/// A stored message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Grows by one per message of the account; never used again.
    pub(crate) number: i64,
    /// The whole stanza with its delay stamp, as a document of its own.
    pub(crate) stanza: String,
}

/// Why a message was not stored.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The account's share is used up.
    Full,
    Store(StoreError),
}

/// All offline messages.
#[derive(Clone)]
pub(crate) struct Offline {
    engine: Arc<dyn Engine>,
}

impl Offline {
    pub(crate) fn new(engine: Arc<dyn Engine>) -> Self {
        Offline { engine }
    }

    /// Keeps the message, together with the count of its sender; it is durable when this answers.
    pub(crate) async fn keep(&self, owner: &BareJid, stanza: String, origin: Option<&Origin>) -> Result<(), Refused> {
        let size = i64::try_from(stanza.len()).unwrap_or(i64::MAX);
        if size > BYTES_MAX {
            return Err(Refused::Full);
        }
        let batch = put(Batch::new(), owner, stanza, MESSAGES_MAX, BYTES_MAX);
        let batch = match origin {
            Some(origin) => origin.write(batch),
            None => batch,
        };
        match self.engine.write(batch).await {
            Ok(_) => {
                if let Some(origin) = origin {
                    origin.written();
                }
                Ok(())
            }
            Err(StoreError::Conflict { .. }) => Err(Refused::Full),
            Err(error) => Err(Refused::Store(error)),
        }
    }

    /// At most [`PAGE`] messages after `number`, oldest first.
    pub(crate) async fn after(&self, owner: &BareJid, number: i64) -> Result<Vec<Stored>, StoreError> {
        let page = i64::try_from(PAGE).unwrap_or(i64::MAX);
        let rows = self
            .engine
            .query_key(READ, vec![Value::from(owner.as_str()), Value::from(number), Value::from(page)])
            .await?;
        rows.iter().map(|row| Ok(Stored { number: row.integer(0)?, stanza: row.text(1)?.to_owned() })).collect()
    }

    /// Deletes messages that were written to a session.
    pub(crate) async fn delete(&self, owner: &BareJid, numbers: &[i64]) -> Result<(), StoreError> {
        let batch = numbers.iter().fold(Batch::new(), |batch, number| Offline::remove(batch, owner, *number));
        self.engine.write(batch).await.map(drop)
    }

    /// Deletes a message, as part of a batch; no harm if it is deleted already.
    pub(crate) fn remove(batch: Batch, owner: &BareJid, number: i64) -> Batch {
        let args = [Value::from(owner.as_str()), Value::from(number)];
        batch.run(GIVE_ROOM, args.clone()).run(DELETE, args)
    }

    /// Keeps a message that was accepted before, as part of a batch, however many there are: they were bounded where they come from.
    pub(crate) fn take_in(batch: Batch, owner: &BareJid, stanza: String) -> Batch {
        put(batch, owner, stanza, i64::MAX, i64::MAX)
    }

    /// As [`Offline::take_in`], of many at once, with a statement for each.
    pub(crate) fn take_in_all(batch: Batch, owner: &BareJid, stanzas: Vec<String>) -> Batch {
        let number = |count: usize| Value::from(i64::try_from(count).unwrap_or(i64::MAX));
        let (count, bytes) = (stanzas.len(), stanzas.iter().map(String::len).sum());
        let owner = Value::from(owner.as_str());
        let batch =
            batch.run(BEGIN, [owner.clone()]).guard(1, TAKE_ROOM_FOR, [owner.clone(), number(count), number(bytes)]);
        stanzas.into_iter().zip((0..count).rev()).fold(batch, |batch, (stanza, behind)| {
            let size = number(stanza.len());
            batch.guard(1, PUT_BEFORE, [owner.clone(), Value::from(stanza), size, number(behind)])
        })
    }

    pub(crate) fn forget(batch: Batch, owner: &BareJid) -> Batch {
        let owner = Value::from(owner.as_str());
        batch.run(FORGET_MESSAGES, [owner.clone()]).run(FORGET_OWNER, [owner])
    }
}

fn put(batch: Batch, owner: &BareJid, stanza: String, messages_max: i64, bytes_max: i64) -> Batch {
    let size = i64::try_from(stanza.len()).unwrap_or(i64::MAX);
    let owner = Value::from(owner.as_str());
    let room = [owner.clone(), Value::from(size), Value::from(messages_max), Value::from(bytes_max)];
    let message = [owner.clone(), Value::from(stanza), Value::from(size)];
    batch.run(BEGIN, [owner]).guard(1, TAKE_ROOM, room).guard(1, PUT, message)
}

#[cfg(test)]
mod tests {
    use torg_store::{Sqlite, migrate};

    use super::*;

    async fn offline() -> Offline {
        let engine = Arc::new(Sqlite::in_memory().unwrap());
        migrate(&*engine, &[MIGRATIONS]).await.unwrap();
        Offline::new(engine)
    }

    fn owner() -> BareJid {
        BareJid::parse("anna@site.example").unwrap()
    }

    #[tokio::test]
    async fn messages_come_back_in_order_and_in_pages() {
        let offline = offline().await;
        for n in 0..=PAGE {
            offline.keep(&owner(), n.to_string(), None).await.unwrap();
        }
        let page = offline.after(&owner(), 0).await.unwrap();
        assert_eq!(page.len(), PAGE);
        assert_eq!(page[0], Stored { number: 1, stanza: "0".to_owned() });
        let rest = offline.after(&owner(), page[PAGE - 1].number).await.unwrap();
        assert_eq!(rest, [Stored { number: 65, stanza: "64".to_owned() }]);
    }

    #[tokio::test]
    async fn the_thousandth_message_is_kept_and_the_next_refused() {
        let offline = offline().await;
        for n in 0..MESSAGES_MAX {
            offline.keep(&owner(), n.to_string(), None).await.unwrap();
        }
        assert!(matches!(offline.keep(&owner(), "one more".to_owned(), None).await, Err(Refused::Full)));
    }

    #[tokio::test]
    async fn bytes_are_counted_and_given_back() {
        let offline = offline().await;
        let most = "x".repeat(usize::try_from(BYTES_MAX).unwrap());
        offline.keep(&owner(), most.clone(), None).await.unwrap();
        assert!(matches!(offline.keep(&owner(), "x".to_owned(), None).await, Err(Refused::Full)));
        offline.delete(&owner(), &[1, 1, 7]).await.unwrap();
        offline.keep(&owner(), most.clone(), None).await.unwrap();
        assert!(matches!(offline.keep(&owner(), most + "x", None).await, Err(Refused::Full)));
    }

    #[tokio::test]
    async fn a_number_is_never_used_again() {
        let offline = offline().await;
        offline.keep(&owner(), "a".to_owned(), None).await.unwrap();
        offline.delete(&owner(), &[1]).await.unwrap();
        offline.keep(&owner(), "b".to_owned(), None).await.unwrap();
        assert_eq!(offline.after(&owner(), 0).await.unwrap()[0].number, 2);
    }
}
