//! The rows of all rosters. Every change of an owner's roster is guarded by the roster's version, so a decision is always made on
//! the state it changes (RFC 6121 §2.6 uses the same number towards clients).

use std::sync::Arc;
use std::time::Duration;

use torg_store::{Batch, Engine, Migration, Migrations, Row, StoreError, Value};
use torg_wire::jid::BareJid;

use super::state::Subscription;
use crate::columns;

/// Roster items of one account; 1,000 covers a large site and bounds what a login has to send.
pub(crate) const ITEMS_MAX: usize = 1_000;
/// Requests of strangers waiting for one account; a newer one replaces the oldest, so a flood cannot grow the table.
pub(crate) const PENDING_MAX: usize = 100;
/// Bytes kept of a request as it came, for a greeting and a picture's hash; of a longer one the fact alone is kept.
pub(crate) const REQUEST_BYTES_MAX: usize = 4 * 1024;
/// Times a guarded change is decided anew before giving up: only as many writers compete as the account has sessions and contacts.
pub(crate) const ATTEMPTS_MAX: usize = 16;

pub(crate) const MIGRATIONS: Migrations = Migrations {
    service: "roster",
    steps: &[Migration {
        number: 1,
        about: "Rosters",
        sqlite: &[
            "CREATE TABLE roster_owner (owner TEXT NOT NULL PRIMARY KEY, version INTEGER NOT NULL)",
            "CREATE TABLE roster_item (
                owner TEXT NOT NULL, contact TEXT NOT NULL, name TEXT, groups TEXT NOT NULL, state INTEGER NOT NULL,
                approved INTEGER NOT NULL, listed INTEGER NOT NULL, request TEXT, changed INTEGER NOT NULL,
                PRIMARY KEY (owner, contact))",
            "CREATE INDEX roster_contact ON roster_item (contact, state)",
        ],
    }],
};

const COLUMNS_OF_ONE: &str = "SELECT contact, name, groups, state, approved, listed, request FROM roster_item
    WHERE owner = ?1 AND contact = ?2";
const COLUMNS_OF_ALL: &str = "SELECT contact, name, groups, state, approved, listed, request FROM roster_item
    WHERE owner = ?1 ORDER BY contact";
const VERSION: &str = "SELECT version FROM roster_owner WHERE owner = ?1";
const BEGIN: &str = "INSERT INTO roster_owner (owner, version) VALUES (?1, 0) ON CONFLICT (owner) DO NOTHING";
const ADVANCE: &str = "UPDATE roster_owner SET version = version + 1 WHERE owner = ?1 AND version = ?2";
const STEP: &str = "UPDATE roster_owner SET version = version + 1 WHERE owner = ?1";
const MOVE_ON: &str = "UPDATE roster_owner SET version = version + ?1";
const PUT: &str = "INSERT INTO roster_item (owner, contact, name, groups, state, approved, listed, request, changed)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
    ON CONFLICT (owner, contact) DO UPDATE SET name = ?3, groups = ?4, state = ?5, approved = ?6, listed = ?7, request = ?8,
    changed = ?9";
const REMOVE: &str = "DELETE FROM roster_item WHERE owner = ?1 AND contact = ?2";
const COUNT_LISTED: &str = "SELECT COUNT(*) FROM roster_item WHERE owner = ?1 AND listed = 1";
/// States 2, 3 and 5 wait for the owner's answer (see `Subscription::code`).
const PENDING: &str = "SELECT contact, name, groups, state, approved, listed, request FROM roster_item
    WHERE owner = ?1 AND state IN (2, 3, 5) ORDER BY changed, contact";
/// States from 4 on let presence flow one way or the other.
const PEERS: &str = "SELECT contact, state FROM roster_item WHERE owner = ?1 AND state >= 4 ORDER BY contact";
/// States 6, 7 and 8: whose presence the contact sees.
const SEEN_BY: &str = "SELECT owner FROM roster_item WHERE contact = ?1 AND state >= 6 ORDER BY owner";
const STATE: &str = "SELECT state FROM roster_item WHERE owner = ?1 AND contact = ?2";
/// Rosters that name an account which is being removed: what it was granted must not pass to the next one of that name.
const ADVANCE_WATCHERS: &str = "UPDATE roster_owner SET version = version + 1
    WHERE owner IN (SELECT owner FROM roster_item WHERE contact = ?1)";
const PART: &str = "UPDATE roster_item SET state = 0, approved = 0, request = NULL,
    changed = (SELECT version FROM roster_owner WHERE roster_owner.owner = roster_item.owner) WHERE contact = ?1";
const DROP_UNLISTED: &str = "DELETE FROM roster_item WHERE contact = ?1 AND listed = 0";
const FORGET_ITEMS: &str = "DELETE FROM roster_item WHERE owner = ?1";
const FORGET_OWNER: &str = "DELETE FROM roster_owner WHERE owner = ?1";

/// Group names are joined by a character that XML cannot carry, so none can contain it.
const GROUP_SEPARATOR: char = '\u{1F}';

/// One contact of one owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) contact: BareJid,
    pub(crate) name: Option<String>,
    pub(crate) groups: Vec<String>,
    pub(crate) state: Subscription,
    /// The owner has granted a subscription before it is asked for (RFC 6121 §3.4).
    pub(crate) approved: bool,
    /// Shown to the owner; a mere request of a stranger is not (RFC 6121 §3.1.3).
    pub(crate) listed: bool,
    /// The request as it came, to be shown again at each login until it is answered.
    pub(crate) request: Option<String>,
}

impl Item {
    pub(crate) fn new(contact: BareJid) -> Self {
        Item {
            contact,
            name: None,
            groups: Vec::new(),
            state: Subscription::None,
            approved: false,
            listed: false,
            request: None,
        }
    }

    /// Nothing worth a row.
    fn is_void(&self) -> bool {
        !self.listed && !self.approved && self.state == Subscription::None
    }
}

/// All rosters.
#[derive(Clone)]
pub(crate) struct Rosters {
    engine: Arc<dyn Engine>,
}

/// Whose presence goes where for one account.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peers {
    /// Contacts that receive the owner's presence.
    pub(crate) watchers: Vec<BareJid>,
    /// Contacts whose presence the owner receives.
    pub(crate) watched: Vec<BareJid>,
}

impl Rosters {
    pub(crate) fn new(engine: Arc<dyn Engine>) -> Self {
        Rosters { engine }
    }

    /// The version, 0 for a roster never changed.
    pub(crate) async fn version(&self, owner: &BareJid) -> Result<i64, StoreError> {
        let rows = self.engine.query_key(VERSION, vec![text(owner)]).await?;
        Ok(rows.first().map(|row| row.integer(0)).transpose()?.unwrap_or(0))
    }

    /// The version first, then the items: a change in between makes the version too old, never too new.
    pub(crate) async fn load(&self, owner: &BareJid) -> Result<(i64, Vec<Item>), StoreError> {
        let version = self.version(owner).await?;
        let rows = self.engine.query_key(COLUMNS_OF_ALL, vec![text(owner)]).await?;
        Ok((version, rows.iter().map(item).collect::<Result<_, _>>()?))
    }

    /// One item and the version it was read at or after.
    pub(crate) async fn find(&self, owner: &BareJid, contact: &BareJid) -> Result<(i64, Option<Item>), StoreError> {
        let version = self.version(owner).await?;
        let rows = self.engine.query_key(COLUMNS_OF_ONE, vec![text(owner), text(contact)]).await?;
        Ok((version, rows.first().map(item).transpose()?))
    }

    pub(crate) async fn state(&self, owner: &BareJid, contact: &BareJid) -> Result<Subscription, StoreError> {
        let rows = self.engine.query_key(STATE, vec![text(owner), text(contact)]).await?;
        rows.first().map_or(Ok(Subscription::None), |row| columns::subscription(row, 0))
    }

    pub(crate) async fn listed(&self, owner: &BareJid) -> Result<usize, StoreError> {
        let rows = self.engine.query(COUNT_LISTED, vec![text(owner)]).await?;
        let count = rows.first().map(|row| row.integer(0)).transpose()?.unwrap_or(0);
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// Requests waiting for the owner, oldest first.
    pub(crate) async fn pending(&self, owner: &BareJid) -> Result<Vec<Item>, StoreError> {
        let rows = self.engine.query_key(PENDING, vec![text(owner)]).await?;
        rows.iter().map(item).collect()
    }

    pub(crate) async fn peers(&self, owner: &BareJid) -> Result<Peers, StoreError> {
        let mut peers = Peers::default();
        for row in &self.engine.query_key(PEERS, vec![text(owner)]).await? {
            let contact = columns::jid(row, 0)?;
            let state = columns::subscription(row, 1)?;
            if state.contact_sees_user() {
                peers.watchers.push(contact.clone());
            }
            if state.user_sees_contact() {
                peers.watched.push(contact);
            }
        }
        Ok(peers)
    }

    /// Local accounts that let `contact` see their presence, by their own rosters.
    pub(crate) async fn seen_by(&self, contact: &BareJid) -> Result<Vec<BareJid>, StoreError> {
        let rows = self.engine.query_key(SEEN_BY, vec![text(contact)]).await?;
        rows.iter().map(|row| columns::jid(row, 0)).collect()
    }

    /// Writes the items (or removes those that have become void) if the roster is still at `version`; answers the new version.
    pub(crate) async fn change(&self, owner: &BareJid, version: i64, items: &[Item]) -> Result<i64, StoreError> {
        let next = version + 1;
        let mut batch = Batch::new().run(BEGIN, [text(owner)]).guard(1, ADVANCE, [text(owner), Value::from(version)]);
        for item in items {
            batch = if item.is_void() {
                batch.run(REMOVE, [text(owner), text(&item.contact)])
            } else {
                batch.run(PUT, row(owner, item, next))
            };
        }
        self.engine.write(batch).await?;
        Ok(next)
    }

    /// Removes the owner's roster, and the owner's subscriptions, approvals and requests from the rosters of others.
    pub(crate) fn forget(batch: Batch, owner: &BareJid) -> Batch {
        [ADVANCE_WATCHERS, PART, DROP_UNLISTED, FORGET_ITEMS, FORGET_OWNER]
            .into_iter()
            .fold(batch, |batch, statement| batch.run(statement, [text(owner)]))
    }
}

/// Gives an account a roster, empty, if it has none, so that it has a version to be moved on.
pub(crate) fn begin(batch: Batch, owner: &BareJid) -> Batch {
    batch.run(BEGIN, [text(owner)])
}

/// Removes the owner's items; the version goes on from where it was.
pub(crate) fn clear(batch: Batch, owner: &BareJid) -> Batch {
    batch.run(FORGET_ITEMS, [text(owner)])
}

/// Puts items in a roster that has none, as its next version.
pub(crate) fn place(batch: Batch, owner: &BareJid, items: &[Item]) -> Batch {
    let batch = batch.run(BEGIN, [text(owner)]).run(STEP, [text(owner)]);
    items.iter().filter(|item| !item.is_void()).fold(batch, |batch, item| batch.run(PUT, row(owner, item, 1)))
}

/// Gives all rosters versions that none of them can have had: a copy of `age` takes the place of what it has become since.
///
/// Microseconds, because no roster changes as often; a second more for a clock that was set back.
pub(crate) fn move_versions_on(batch: Batch, age: Duration) -> Batch {
    let steps = age.saturating_add(Duration::from_secs(1)).as_micros();
    batch.run(MOVE_ON, [Value::from(i64::try_from(steps).unwrap_or(i64::MAX / 2))])
}

fn text(jid: &BareJid) -> Value {
    Value::from(jid.as_str())
}

fn row(owner: &BareJid, item: &Item, version: i64) -> Vec<Value> {
    let groups = item.groups.join(&GROUP_SEPARATOR.to_string());
    vec![
        text(owner),
        text(&item.contact),
        Value::from(item.name.as_deref()),
        Value::from(groups),
        Value::from(item.state.code()),
        Value::from(item.approved),
        Value::from(item.listed),
        Value::from(item.request.as_deref()),
        Value::from(version),
    ]
}

fn item(row: &Row) -> Result<Item, StoreError> {
    let groups = row.text(2)?;
    Ok(Item {
        contact: columns::jid(row, 0)?,
        name: row.text_if_any(1)?.map(str::to_owned),
        groups: groups.split(GROUP_SEPARATOR).filter(|group| !group.is_empty()).map(str::to_owned).collect(),
        state: columns::subscription(row, 3)?,
        approved: row.boolean(4)?,
        listed: row.boolean(5)?,
        request: row.text_if_any(6)?.map(str::to_owned),
    })
}
