//! All bound sessions by account. Readers take a snapshot of one account; nothing is locked while they use it.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, PoisonError, RwLock};

use torg_wire::jid::BareJid;

use super::Session;

/// Parts of the table that are locked apart from each other: more than any machine we run on has cores.
const SHARDS: usize = 64;

type Sessions = Arc<[Arc<Session>]>;

#[derive(Debug)]
pub(crate) struct Table {
    shards: Vec<RwLock<HashMap<BareJid, Sessions>>>,
    hasher: RandomState,
}

/// Why a session was not bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BindError {
    /// The account has as many sessions as it may have.
    TooMany,
}

impl Table {
    pub(crate) fn new() -> Self {
        Table { shards: (0..SHARDS).map(|_| RwLock::default()).collect(), hasher: RandomState::new() }
    }

    /// Adds a session; answers the older one of the same resource, which has lost its place to it.
    pub(crate) fn bind(&self, session: &Arc<Session>, most: usize) -> Result<Option<Arc<Session>>, BindError> {
        let Some(shard) = self.shard(session.account.as_str()) else { return Ok(None) };
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        let present = shard.get(session.account.as_str()).cloned().unwrap_or_default();
        let older = present.iter().find(|other| other.jid == session.jid).cloned();
        if older.is_none() && present.len() >= most {
            return Err(BindError::TooMany);
        }
        let others = present.iter().filter(|other| other.jid != session.jid).cloned();
        let now: Sessions = others.chain(std::iter::once(Arc::clone(session))).collect();
        introduce(&now);
        shard.insert(session.account.clone(), now);
        Ok(older)
    }

    /// Removes this very session; one that has taken its place stays.
    pub(crate) fn remove(&self, session: &Arc<Session>) {
        let Some(shard) = self.shard(session.account.as_str()) else { return };
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        let Some(present) = shard.get(session.account.as_str()) else { return };
        let others: Sessions = present.iter().filter(|other| !Arc::ptr_eq(other, session)).cloned().collect();
        if others.is_empty() {
            shard.remove(session.account.as_str());
        } else {
            introduce(&others);
            shard.insert(session.account.clone(), others);
        }
    }

    /// The sessions of an account, oldest first.
    pub(crate) fn of(&self, account: &str) -> Sessions {
        let Some(shard) = self.shard(account) else { return Sessions::default() };
        shard.read().unwrap_or_else(PoisonError::into_inner).get(account).cloned().unwrap_or_default()
    }

    /// The session of that resource.
    pub(crate) fn find(&self, account: &str, resource: &str) -> Option<Arc<Session>> {
        let shard = self.shard(account)?;
        let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
        shard.get(account)?.iter().find(|session| session.jid.resource() == resource).cloned()
    }

    /// Every session there is.
    pub(crate) fn all(&self) -> Vec<Arc<Session>> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            all.extend(shard.values().flat_map(|sessions| sessions.iter().cloned()));
        }
        all
    }

    fn shard(&self, account: &str) -> Option<&RwLock<HashMap<BareJid, Sessions>>> {
        let count = u64::try_from(self.shards.len()).unwrap_or(u64::MAX).max(1);
        let index = self.hasher.hash_one(account) % count;
        self.shards.get(usize::try_from(index).unwrap_or(0))
    }
}

/// Each of an account's sessions learns whether there are others.
fn introduce(sessions: &Sessions) {
    for session in sessions.iter() {
        session.set_company(sessions.len() > 1);
    }
}
