//! In which generation of the IoT namespaces somebody last spoke to a service here: what the service speaks when it writes first (nfi
//! "Interoperability" leaves no other way to know).
//!
//! # Why
//! - Accounts of this domain are remembered on disk, since a thing that registered once may say nothing for months. Strangers are
//!   remembered in memory only, or they could fill the disk with names; a service that keeps a row for one keeps its generation there.
//! - Rows are written once a minute, so that who changes its mind with every request costs no more than who does not.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use torg_store::{Batch, Engine, Migration, Migrations, StoreError};
use torg_wire::iot::{Generation, Named, Service};
use torg_wire::jid::{BareJid, Jid};
use torg_wire::stanza::Stanza;

use crate::router::Router;

/// What most deployed software speaks, and so what is spoken to those of whom nothing is known.
pub const DEFAULT_GENERATION: Generation = Generation::Nf;
/// Correspondents kept in memory; the one known longest gives way.
const KEPT_MAX: usize = 10_000;
/// Rows written at once; the rest waits for the next minute.
const FLUSHED_AT_ONCE: usize = 500;

pub(crate) const MIGRATIONS: Migrations = Migrations {
    service: "generations",
    steps: &[Migration {
        number: 1,
        about: "Which generation of the IoT namespaces an account speaks to a service",
        sqlite: &[
            "CREATE TABLE generations_spoken (jid TEXT NOT NULL, service TEXT NOT NULL, generation TEXT NOT NULL,
            PRIMARY KEY (jid, service))",
        ],
    }],
};

const GET: &str = "SELECT generation FROM generations_spoken WHERE jid = ?1 AND service = ?2";
const PUT: &str = "INSERT INTO generations_spoken (jid, service, generation) VALUES (?1, ?2, ?3)
    ON CONFLICT (jid, service) DO UPDATE SET generation = ?3";
const FORGET: &str = "DELETE FROM generations_spoken WHERE jid = ?1";

type Key = (BareJid, Service);

/// What is remembered.
pub(crate) struct Generations {
    engine: Arc<dyn Engine>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    spoken: HashMap<Key, Generation>,
    /// The keys, the one known longest first.
    order: VecDeque<Key>,
    /// Not yet written. Never more than what is kept in memory.
    pending: HashMap<Key, Generation>,
}

impl Generations {
    pub(crate) fn new(engine: Arc<dyn Engine>) -> Self {
        Generations { engine, inner: Mutex::default() }
    }

    /// Somebody speaks so to a service; `lasting` if that is to outlive the process.
    fn note(&self, key: Key, generation: Generation, lasting: bool) {
        let mut inner = self.lock();
        match inner.spoken.insert(key.clone(), generation) {
            Some(before) if before == generation => return,
            Some(_) => {}
            None => inner.order.push_back(key.clone()),
        }
        if lasting && inner.pending.len() < KEPT_MAX {
            inner.pending.insert(key, generation);
        }
        if inner.order.len() > KEPT_MAX
            && let Some(oldest) = inner.order.pop_front()
        {
            inner.spoken.remove(&oldest);
        }
    }

    async fn find(&self, key: &Key, lasting: bool) -> Result<Option<Generation>, StoreError> {
        let known = {
            let inner = self.lock();
            inner.spoken.get(key).or_else(|| inner.pending.get(key)).copied()
        };
        if known.is_some() || !lasting {
            return Ok(known);
        }
        let rows = self.engine.query(GET, vec![key.0.as_str().into(), key.1.token().into()]).await?;
        Ok(rows.first().map(|row| row.text(0)).transpose()?.and_then(Generation::of_prefix))
    }

    /// Writes what has changed. What the store does not take now is written the next time.
    pub(crate) async fn flush(&self) {
        let pending: Vec<(Key, Generation)> = {
            let mut inner = self.lock();
            let keys: Vec<Key> = inner.pending.keys().take(FLUSHED_AT_ONCE).cloned().collect();
            keys.into_iter().filter_map(|key| inner.pending.remove_entry(&key)).collect()
        };
        if pending.is_empty() {
            return;
        }
        let batch = pending.iter().fold(Batch::new(), |batch, ((jid, service), generation)| {
            batch.run(PUT, [jid.as_str().into(), service.token().into(), generation.to_string().into()])
        });
        if let Err(error) = self.engine.write(batch).await {
            tracing::warn!(%error, "It could not be written which dialects accounts speak.");
            let mut inner = self.lock();
            for (key, generation) in pending {
                inner.pending.entry(key).or_insert(generation);
            }
        }
    }

    /// An account is gone: what is in memory must not be written any more.
    pub(crate) fn removed(&self, account: &BareJid) {
        let mut inner = self.lock();
        for service in Service::ALL {
            let key = (account.clone(), service);
            inner.spoken.remove(&key);
            inner.pending.remove(&key);
        }
        inner.order.retain(|(jid, _)| jid != account);
    }

    /// Forgets an account.
    pub(crate) fn forget(batch: Batch, account: &BareJid) -> Batch {
        batch.run(FORGET, [account.as_str().into()])
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Router {
    /// A service here has been spoken to.
    pub(crate) fn note_generation(&self, from: &Jid, stanza: &Stanza) {
        let named = stanza.children().iter().find_map(|child| Named::parse(child.namespace().as_str()));
        if let Some(Named { service, generation: Some(generation) }) = named {
            let from = from.to_bare();
            let lasting = self.is_own_account(&from);
            self.shared().generations.note((from, service), generation, lasting);
        }
    }

    /// In which generation a service writes to somebody first: the one they last spoke to it, else [`DEFAULT_GENERATION`].
    pub async fn generation_of(&self, jid: &BareJid, service: Service) -> Generation {
        let found = self.shared().generations.find(&(jid.clone(), service), self.is_own_account(jid)).await;
        let found = found.unwrap_or_else(|error| {
            tracing::warn!(%error, %jid, "It could not be read which dialect an account speaks.");
            None
        });
        found.unwrap_or(DEFAULT_GENERATION)
    }

    fn is_own_account(&self, jid: &BareJid) -> bool {
        jid.local().is_some() && jid.domain() == self.domain().as_str()
    }
}

#[cfg(test)]
mod tests {
    use torg_store::{Sqlite, migrate};

    use super::*;

    async fn generations() -> Generations {
        let engine = Arc::new(Sqlite::in_memory().unwrap());
        migrate(&*engine, &[MIGRATIONS]).await.unwrap();
        Generations::new(engine)
    }

    fn key(n: usize) -> Key {
        (BareJid::parse(&format!("thing{n}@site.example")).unwrap(), Service::Discovery)
    }

    #[tokio::test]
    async fn the_last_generation_counts_for_each_service_by_itself() {
        let generations = generations().await;
        let other = (key(1).0, Service::Owners);
        generations.note(key(1), Generation::Ieee, true);
        generations.note(key(1), Generation::Nfi, true);
        generations.note(other.clone(), Generation::Nf, true);
        assert_eq!(generations.find(&key(1), true).await.unwrap(), Some(Generation::Nfi));
        assert_eq!(generations.find(&other, true).await.unwrap(), Some(Generation::Nf));
        assert_eq!(generations.find(&key(2), true).await.unwrap(), None);
    }

    #[tokio::test]
    async fn accounts_here_outlive_the_process_and_strangers_do_not() {
        let before = generations().await;
        before.note(key(1), Generation::Ieee, true);
        before.note(key(1), Generation::Nfi, true);
        before.note(key(2), Generation::Nfi, false);
        before.flush().await;
        let after = Generations::new(Arc::clone(&before.engine));
        assert_eq!(after.find(&key(1), true).await.unwrap(), Some(Generation::Nfi));
        assert_eq!(after.find(&key(2), true).await.unwrap(), None);
        before.engine.write(Generations::forget(Batch::new(), &key(1).0)).await.unwrap();
        assert_eq!(after.find(&key(1), true).await.unwrap(), None);
    }

    #[tokio::test]
    async fn nothing_of_a_removed_account_is_written_any_more() {
        let generations = generations().await;
        generations.note(key(1), Generation::Nfi, true);
        generations.removed(&key(1).0);
        generations.flush().await;
        assert_eq!(generations.find(&key(1), true).await.unwrap(), None);
        assert!(generations.lock().order.is_empty());
    }

    #[tokio::test]
    async fn memory_is_bounded_and_the_store_knows_the_rest() {
        let generations = generations().await;
        generations.note(key(0), Generation::Nfi, true);
        generations.flush().await;
        for n in 1..=KEPT_MAX {
            generations.note(key(n), Generation::Ieee, false);
        }
        assert_eq!(generations.lock().spoken.len(), KEPT_MAX);
        assert_eq!(generations.find(&key(0), true).await.unwrap(), Some(Generation::Nfi));
    }

    #[tokio::test]
    async fn what_the_store_does_not_take_is_written_later() {
        let generations = Generations::new(Arc::new(Sqlite::in_memory().unwrap()));
        generations.note(key(1), Generation::Nfi, true);
        generations.flush().await; // no table yet
        migrate(&*generations.engine, &[MIGRATIONS]).await.unwrap();
        generations.flush().await;
        assert!(generations.lock().pending.is_empty());
        let rows = generations.engine.query(GET, vec![key(1).0.as_str().into(), "disco".into()]).await.unwrap();
        assert_eq!(rows.first().unwrap().text(0).unwrap(), "nfi");
    }
}
