//! A store that comes back from a backup: what must not come back with it is taken out before anybody is served from it.
//!
//! Sessions that could have been resumed (XEP-0198) are buried: their counts are those of another day, so a client that resumed one would
//! send again what was handled since and be told that it had what it never got. Messages they had not acknowledged become offline
//! messages, twice rather than never. Rosters get versions that no client can have seen (RFC 6121 §2.6.1).

use torg_store::{Batch, Engine, StoreError};
use torg_thing::Timestamp;
use torg_wire::jid::BareJid;

use crate::{roster, sm};

/// Gives these accounts, of a store that comes back, a roster if they have none: its version is then moved on like the others'.
///
/// # Errors
/// If the store fails, or there are more accounts than a batch has statements.
pub async fn begin_rosters(store: &dyn Engine, accounts: &[BareJid]) -> Result<(), StoreError> {
    store.write(accounts.iter().fold(Batch::new(), roster::begin)).await.map(drop)
}

/// Prepares the store of this domain, copied at `made` and restored at `now`; no broker may run on it. Answers how many messages of
/// resumable sessions now wait as offline messages.
///
/// # Errors
/// If the store fails; then it is to be thrown away.
pub async fn after_restore(
    store: &dyn Engine,
    domain: &BareJid,
    made: Timestamp,
    now: Timestamp,
) -> Result<u64, StoreError> {
    store.write(roster::move_versions_on(Batch::new(), now.since(made))).await?;
    sm::bury_all(store, domain, now).await
}
