//! The rows of what accounts keep at the server: documents under a name, and when each was last there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use torg_store::{Batch, Engine, Migration, Migrations, StoreError, Value};
use torg_thing::Timestamp;
use torg_wire::jid::BareJid;

/// Bytes of all documents of an account: a card with a small picture and the settings of some clients.
pub(crate) const BYTES_MAX: i64 = 256 * 1024;
/// Documents of an account, one for each kind of setting of each client.
pub(crate) const DOCUMENTS_MAX: i64 = 100;
/// Departures that wait to be written; more than leave within a minute. Beyond it the newest are not noted.
const PENDING_MAX: usize = 10_000;
/// Departures written at once.
const FLUSHED_AT_ONCE: usize = 500;

pub(crate) const MIGRATIONS: Migrations = Migrations {
    service: "personal",
    steps: &[Migration {
        number: 1,
        about: "Private data, business cards, last activity",
        sqlite: &[
            "CREATE TABLE personal_document (owner TEXT NOT NULL, name TEXT NOT NULL, document TEXT NOT NULL,
                size INTEGER NOT NULL, PRIMARY KEY (owner, name))",
            "CREATE TABLE personal_activity (owner TEXT NOT NULL PRIMARY KEY, at INTEGER NOT NULL, status TEXT)",
        ],
    }],
};

const GET: &str = "SELECT document FROM personal_document WHERE owner = ?1 AND name = ?2";
const PUT: &str = "INSERT INTO personal_document (owner, name, document, size) SELECT ?1, ?2, ?3, ?4
    WHERE (SELECT COALESCE(SUM(size), 0) FROM personal_document WHERE owner = ?1 AND name <> ?2) + ?4 <= ?5
    AND (SELECT COUNT(*) FROM personal_document WHERE owner = ?1 AND name <> ?2) < ?6
    ON CONFLICT (owner, name) DO UPDATE SET document = ?3, size = ?4";
const DROP: &str = "DELETE FROM personal_document WHERE owner = ?1 AND name = ?2";
const FORGET_DOCUMENTS: &str = "DELETE FROM personal_document WHERE owner = ?1";
const SEEN: &str = "SELECT at, status FROM personal_activity WHERE owner = ?1";
const LEFT: &str = "INSERT INTO personal_activity (owner, at, status) VALUES (?1, ?2, ?3)
    ON CONFLICT (owner) DO UPDATE SET at = ?2, status = ?3";
const FORGET_ACTIVITY: &str = "DELETE FROM personal_activity WHERE owner = ?1";

/// Why a document was not kept.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The account's share is used up.
    Full,
    Store(StoreError),
}

/// When an account was last there, and what it said when it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Departure {
    pub(crate) at: Timestamp,
    pub(crate) status: Option<String>,
}

/// What accounts keep at the server.
pub(crate) struct Personal {
    engine: Arc<dyn Engine>,
    /// When this broker started.
    pub(crate) started: Timestamp,
    /// Not yet written: a site that loses its power and comes back must not write a row for each session that it lost.
    pending: Mutex<HashMap<BareJid, Departure>>,
}

impl Personal {
    pub(crate) fn new(engine: Arc<dyn Engine>, started: Timestamp) -> Self {
        Personal { engine, started, pending: Mutex::default() }
    }

    pub(crate) async fn document(&self, owner: &BareJid, name: &str) -> Result<Option<String>, StoreError> {
        let rows = self.engine.query(GET, vec![owner.as_str().into(), name.into()]).await?;
        Ok(rows.first().map(|row| row.text(0)).transpose()?.map(str::to_owned))
    }

    /// Keeps a document under this name in place of the one before.
    pub(crate) async fn keep(&self, owner: &BareJid, name: &str, document: String) -> Result<(), Refused> {
        match self.engine.write(Self::keeping(Batch::new(), owner, name, document)).await {
            Ok(_) => Ok(()),
            Err(StoreError::Conflict { .. }) => Err(Refused::Full),
            Err(error) => Err(Refused::Store(error)),
        }
    }

    /// As [`Personal::keep`], as part of a batch.
    pub(crate) fn keeping(batch: Batch, owner: &BareJid, name: &str, document: String) -> Batch {
        let size = i64::try_from(name.len().saturating_add(document.len())).unwrap_or(i64::MAX);
        let limits = [Value::from(BYTES_MAX), Value::from(DOCUMENTS_MAX)];
        let row = [Value::from(owner.as_str()), Value::from(name), Value::from(document), Value::from(size)];
        batch.guard(1, PUT, row.into_iter().chain(limits).collect::<Vec<_>>())
    }

    pub(crate) async fn drop_document(&self, owner: &BareJid, name: &str) -> Result<(), StoreError> {
        self.engine.write(Batch::new().run(DROP, [Value::from(owner.as_str()), Value::from(name)])).await.map(drop)
    }

    /// Notes that the last session of an account went; it is written within a minute.
    pub(crate) fn left(&self, owner: &BareJid, departure: Departure) {
        let mut pending = self.lock();
        if pending.len() < PENDING_MAX || pending.contains_key(owner) {
            pending.insert(owner.clone(), departure);
        }
    }

    pub(crate) async fn last_seen(&self, owner: &BareJid) -> Result<Option<Departure>, StoreError> {
        if let Some(departure) = self.lock().get(owner) {
            return Ok(Some(departure.clone()));
        }
        let rows = self.engine.query(SEEN, vec![owner.as_str().into()]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let status = row.text_if_any(1)?.map(str::to_owned);
        Ok(Some(Departure { at: Timestamp::from_micros(row.integer(0)?), status }))
    }

    /// Writes the departures that wait. Those of a write that fails are lost: they tell when somebody was last there, nothing more.
    pub(crate) async fn flush(&self) -> Result<(), StoreError> {
        let mut pending: Vec<_> = std::mem::take(&mut *self.lock()).into_iter().collect();
        while !pending.is_empty() {
            let rest = pending.split_off(pending.len().min(FLUSHED_AT_ONCE));
            let batch = pending.into_iter().fold(Batch::new(), |batch, (owner, departure)| {
                let at = Value::from(departure.at.micros());
                batch.run(LEFT, [Value::from(owner.as_str()), at, Value::from(departure.status.as_deref())])
            });
            self.engine.write(batch).await?;
            pending = rest;
        }
        Ok(())
    }

    /// The account was removed, perhaps by another process: what waits to be written for it is dropped.
    pub(crate) fn removed(&self, owner: &BareJid) {
        self.lock().remove(owner);
    }

    pub(crate) fn forget(batch: Batch, owner: &BareJid) -> Batch {
        let owner = Value::from(owner.as_str());
        batch.run(FORGET_DOCUMENTS, [owner.clone()]).run(FORGET_ACTIVITY, [owner])
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<BareJid, Departure>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use torg_store::{Sqlite, migrate};

    use super::*;

    async fn personal() -> Personal {
        let engine = Sqlite::in_memory().unwrap();
        migrate(&engine, &[MIGRATIONS]).await.unwrap();
        Personal::new(Arc::new(engine), Timestamp::from_micros(0))
    }

    fn anna() -> BareJid {
        BareJid::parse("anna@site.example").unwrap()
    }

    #[tokio::test]
    async fn a_document_takes_the_place_of_the_one_before() {
        let personal = personal().await;
        assert_eq!(personal.document(&anna(), "a").await.unwrap(), None);
        for text in ["one", "two"] {
            personal.keep(&anna(), "a", text.into()).await.unwrap();
            assert_eq!(personal.document(&anna(), "a").await.unwrap().as_deref(), Some(text));
        }
        personal.drop_document(&anna(), "a").await.unwrap();
        assert_eq!(personal.document(&anna(), "a").await.unwrap(), None);
    }

    #[tokio::test]
    async fn an_account_keeps_as_many_bytes_as_it_may_and_no_more() {
        let personal = personal().await;
        let half = usize::try_from(BYTES_MAX / 2).unwrap() - 1;
        personal.keep(&anna(), "a", "x".repeat(half)).await.unwrap();
        personal.keep(&anna(), "b", "x".repeat(half)).await.unwrap();
        assert!(matches!(personal.keep(&anna(), "b", "x".repeat(half + 1)).await, Err(Refused::Full)));
        assert!(matches!(personal.keep(&anna(), "c", String::new()).await, Err(Refused::Full)));
        personal.keep(&BareJid::parse("bob@site.example").unwrap(), "c", "x".into()).await.unwrap();
        personal.keep(&anna(), "b", "x".repeat(half - 1)).await.unwrap();
    }

    #[tokio::test]
    async fn an_account_keeps_as_many_documents_as_it_may_and_no_more() {
        let personal = personal().await;
        for n in 0..DOCUMENTS_MAX {
            personal.keep(&anna(), &n.to_string(), String::new()).await.unwrap();
        }
        assert!(matches!(personal.keep(&anna(), "more", String::new()).await, Err(Refused::Full)));
        personal.keep(&anna(), "0", "again".into()).await.unwrap();
    }

    #[tokio::test]
    async fn a_departure_is_known_at_once_and_after_it_was_written() {
        let personal = personal().await;
        let departure = Departure { at: Timestamp::from_micros(7), status: Some("Home".into()) };
        personal.left(&anna(), departure.clone());
        assert_eq!(personal.last_seen(&anna()).await.unwrap(), Some(departure.clone()));
        personal.flush().await.unwrap();
        assert!(personal.lock().is_empty());
        assert_eq!(personal.last_seen(&anna()).await.unwrap(), Some(departure));
    }
}
