//! The rows of all block lists, and those of accounts that something was asked about lately, in memory.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use torg_store::{Batch, Engine, Migration, Migrations, StoreError, Value};
use torg_wire::jid::{BareJid, Jid};
use torg_wire::xep::blocking::matching;

use crate::columns;

/// Addresses one account may block: more than a person comes to, and what a session's list costs at most (some 50 KiB).
pub(crate) const ITEMS_MAX: usize = 500;
/// Lists in memory; beyond it those of accounts without a session are forgotten at once, and else by the sweep.
const CACHED_MAX: usize = 20_000;

pub(crate) const MIGRATIONS: Migrations = Migrations {
    service: "blocking",
    steps: &[Migration {
        number: 1,
        about: "Block lists",
        sqlite: &[
            "CREATE TABLE blocking_item (owner TEXT NOT NULL, jid TEXT NOT NULL, PRIMARY KEY (owner, jid))",
            "CREATE INDEX blocking_jid ON blocking_item (jid)",
        ],
    }],
};

const ANY: &str = "SELECT owner FROM blocking_item LIMIT 1";
const LIST: &str = "SELECT jid FROM blocking_item WHERE owner = ?1 ORDER BY jid";
const ADD: &str = "INSERT INTO blocking_item (owner, jid) VALUES (?1, ?2) ON CONFLICT (owner, jid) DO NOTHING";
const REMOVE: &str = "DELETE FROM blocking_item WHERE owner = ?1 AND jid = ?2";
const CLEAR: &str = "DELETE FROM blocking_item WHERE owner = ?1";
/// Who blocks a session: by its full address, its account or its domain.
const BLOCKERS: &str = "SELECT DISTINCT owner FROM blocking_item WHERE jid IN (?1, ?2, ?3)";

/// The addresses one account has blocked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Blocklist(BTreeSet<Jid>);

impl Blocklist {
    pub(crate) fn new(jids: impl IntoIterator<Item = Jid>) -> Self {
        Blocklist(jids.into_iter().collect())
    }

    /// Whether an entry matches the address (XEP-0191 §5).
    pub(crate) fn blocks(&self, jid: &Jid) -> bool {
        !self.0.is_empty() && matching(jid).any(|entry| self.0.contains(entry))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Jid> {
        self.0.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn contains(&self, jid: &Jid) -> bool {
        self.0.contains(jid)
    }
}

/// All block lists.
pub(crate) struct Blocklists {
    engine: Arc<dyn Engine>,
    /// Whether anybody blocks anybody; while nobody does, no stanza costs a look.
    any: AtomicBool,
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    /// Grows with every change, so that what was read before a change is not kept after it.
    generation: u64,
    lists: HashMap<BareJid, Arc<Blocklist>>,
}

impl Blocklists {
    pub(crate) async fn open(engine: Arc<dyn Engine>) -> Result<Self, StoreError> {
        let any = !engine.query(ANY, Vec::new()).await?.is_empty();
        Ok(Blocklists { engine, any: AtomicBool::new(any), cache: Mutex::default() })
    }

    /// False while nobody blocks anybody.
    pub(crate) fn any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// The list of an account if it is in memory.
    pub(crate) fn cached(&self, owner: &str) -> Option<Arc<Blocklist>> {
        self.lock().lists.get(owner).cloned()
    }

    /// The list of an account, empty for one that has none.
    pub(crate) async fn of(&self, owner: &BareJid) -> Result<Arc<Blocklist>, StoreError> {
        if let Some(list) = self.cached(owner.as_str()) {
            return Ok(list);
        }
        let generation = self.lock().generation;
        let mut jids = BTreeSet::new();
        for row in &self.engine.query_key(LIST, vec![Value::from(owner.as_str())]).await? {
            let text = row.text(0)?;
            // An entry that no longer reads blocks nothing, which is better than refusing all stanzas of the account.
            match Jid::parse(text) {
                Ok(jid) => drop(jids.insert(jid)),
                Err(error) => tracing::error!(%owner, %error, "An entry of a block list is no address."),
            }
        }
        let list = Arc::new(Blocklist(jids));
        let mut cache = self.lock();
        if cache.generation == generation && cache.lists.len() < CACHED_MAX {
            cache.lists.insert(owner.clone(), Arc::clone(&list));
        }
        Ok(list)
    }

    /// Accounts of ours that block a session.
    pub(crate) async fn blockers_of(&self, jid: &Jid) -> Result<BTreeSet<BareJid>, StoreError> {
        let args = [jid.as_str(), jid.bare_str(), jid.domain()].map(Value::from);
        let rows = self.engine.query(BLOCKERS, args.to_vec()).await?;
        rows.iter().map(|row| columns::jid(row, 0)).collect()
    }

    pub(crate) async fn add(&self, owner: &BareJid, jids: &[Jid]) -> Result<(), StoreError> {
        // Before the rows: a stanza that comes meanwhile looks, and finds them or not.
        self.any.store(true, Ordering::Relaxed);
        self.write(owner, jids.iter().fold(Batch::new(), |batch, jid| Self::adding(batch, owner, jid))).await
    }

    pub(crate) async fn remove(&self, owner: &BareJid, jids: &[Jid]) -> Result<(), StoreError> {
        let pair = |jid: &Jid| [Value::from(owner.as_str()), Value::from(jid.as_str())];
        self.write(owner, jids.iter().fold(Batch::new(), |batch, jid| batch.run(REMOVE, pair(jid)))).await
    }

    pub(crate) async fn clear(&self, owner: &BareJid) -> Result<(), StoreError> {
        self.write(owner, Self::forget(Batch::new(), owner)).await
    }

    async fn write(&self, owner: &BareJid, batch: Batch) -> Result<(), StoreError> {
        let written = self.engine.write(batch).await;
        // Even after a failure: what is on the disk then is for the next reader to find out.
        self.changed(owner);
        written.map(drop)
    }

    /// The rows of an account have changed, perhaps by another process.
    pub(crate) fn changed(&self, owner: &BareJid) {
        self.any.store(true, Ordering::Relaxed);
        let mut cache = self.lock();
        cache.generation = cache.generation.wrapping_add(1);
        cache.lists.remove(owner);
    }

    /// Forgets the lists of accounts for which `in_use` is false.
    pub(crate) fn sweep(&self, in_use: impl Fn(&BareJid) -> bool) {
        self.lock().lists.retain(|owner, _| in_use(owner));
    }

    pub(crate) fn adding(batch: Batch, owner: &BareJid, jid: &Jid) -> Batch {
        batch.run(ADD, [Value::from(owner.as_str()), Value::from(jid.as_str())])
    }

    pub(crate) fn forget(batch: Batch, owner: &BareJid) -> Batch {
        batch.run(CLEAR, [Value::from(owner.as_str())])
    }

    fn lock(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use torg_store::{Sqlite, migrate};

    use super::*;

    async fn engine() -> Arc<dyn Engine> {
        let engine = Sqlite::in_memory().unwrap();
        migrate(&engine, &[MIGRATIONS]).await.unwrap();
        Arc::new(engine)
    }

    fn jid(text: &str) -> Jid {
        Jid::parse(text).unwrap()
    }

    fn anna() -> BareJid {
        BareJid::parse("anna@site.example").unwrap()
    }

    #[test]
    fn each_form_of_an_entry_blocks_what_the_standard_says() {
        let blocks = |entry: &str, address: &str| Blocklist::new([jid(entry)]).blocks(&jid(address));
        assert!(blocks("user@x/phone", "user@x/phone"));
        assert!(!blocks("user@x/phone", "user@x/desk"));
        assert!(!blocks("user@x/phone", "user@x"));
        assert!(blocks("user@x", "user@x/desk") && blocks("user@x", "user@x"));
        assert!(!blocks("user@x", "other@x/desk"));
        assert!(blocks("x/resource", "x/resource") && !blocks("x/resource", "x"));
        assert!(blocks("x", "x") && blocks("x", "user@x/desk") && blocks("x", "x/resource"));
        assert!(!blocks("x", "user@sub.x"));
        assert!(!Blocklist::default().blocks(&jid("x")));
    }

    #[tokio::test]
    async fn what_is_blocked_is_found_again_by_another_start() {
        let engine = engine().await;
        let lists = Blocklists::open(Arc::clone(&engine)).await.unwrap();
        assert!(!lists.any());
        lists.add(&anna(), &[jid("bob@x"), jid("spam.example")]).await.unwrap();
        let again = Blocklists::open(engine).await.unwrap();
        assert!(again.any());
        assert!(again.cached("anna@site.example").is_none());
        assert_eq!(*again.of(&anna()).await.unwrap(), Blocklist::new([jid("bob@x"), jid("spam.example")]));
        assert!(again.cached("anna@site.example").is_some());
    }

    #[tokio::test]
    async fn a_change_is_seen_at_once() {
        let lists = Blocklists::open(engine().await).await.unwrap();
        assert_eq!(lists.of(&anna()).await.unwrap().len(), 0);
        lists.add(&anna(), &[jid("bob@x"), jid("carl@x")]).await.unwrap();
        lists.remove(&anna(), &[jid("bob@x")]).await.unwrap();
        assert_eq!(*lists.of(&anna()).await.unwrap(), Blocklist::new([jid("carl@x")]));
        lists.clear(&anna()).await.unwrap();
        assert_eq!(lists.of(&anna()).await.unwrap().len(), 0);
    }

    #[tokio::test]
    async fn blockers_are_found_by_address_account_and_domain() {
        let lists = Blocklists::open(engine().await).await.unwrap();
        for (owner, entry) in [("a@x", "bob@y/desk"), ("b@x", "bob@y"), ("c@x", "y"), ("d@x", "carl@y")] {
            lists.add(&BareJid::parse(owner).unwrap(), &[jid(entry)]).await.unwrap();
        }
        let found = lists.blockers_of(&jid("bob@y/desk")).await.unwrap();
        assert_eq!(found.iter().map(BareJid::as_str).collect::<Vec<_>>(), ["a@x", "b@x", "c@x"]);
    }

    #[tokio::test]
    async fn the_sweep_forgets_who_is_not_in_use() {
        let lists = Blocklists::open(engine().await).await.unwrap();
        lists.of(&anna()).await.unwrap();
        lists.sweep(|_| true);
        assert!(lists.cached("anna@site.example").is_some());
        lists.sweep(|_| false);
        assert!(lists.cached("anna@site.example").is_none());
    }
}
