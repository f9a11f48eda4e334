//! The rows of all nodes. Every change is guarded by the node's version, so a decision is always made on the state it changes.

mod farewell;
mod items;
mod people;
mod place;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use torg_store::{Batch, Engine, Migration, Migrations, Row, StoreError, Value};
use torg_wire::jid::{BareJid, Jid};
use torg_wire::xep::pubsub::{Config, Refusal, SendLast};

pub(crate) use items::{Entry, Publishing, Stored};
pub(crate) use people::Standing;
pub(crate) use place::Placing;

use super::decision::Failure;
use super::limits::{LIST_MAX, NODES_MAX};
use super::node::{Node, pack, unpack};

pub(crate) const MIGRATIONS: Migrations = Migrations {
    service: "pubsub",
    steps: &[
        Migration {
            number: 1,
            about: "Nodes, their items and who has to do with them",
            sqlite: &[
                "CREATE TABLE pubsub_counter (name TEXT NOT NULL PRIMARY KEY, last INTEGER NOT NULL)",
                "INSERT INTO pubsub_counter (name, last) VALUES ('node', 0)",
                "CREATE TABLE pubsub_node (id INTEGER NOT NULL PRIMARY KEY, service TEXT NOT NULL, name TEXT NOT NULL,
                payer TEXT NOT NULL, version INTEGER NOT NULL, last INTEGER NOT NULL, bytes INTEGER NOT NULL,
                created INTEGER NOT NULL, on_presence INTEGER NOT NULL, config TEXT NOT NULL, UNIQUE (service, name))",
                "CREATE INDEX pubsub_payer ON pubsub_node (payer)",
                "CREATE TABLE pubsub_item (node INTEGER NOT NULL, item TEXT NOT NULL, number INTEGER NOT NULL,
                size INTEGER NOT NULL, published INTEGER NOT NULL, publisher TEXT NOT NULL, payload TEXT,
                PRIMARY KEY (node, item))",
                "CREATE UNIQUE INDEX pubsub_item_number ON pubsub_item (node, number)",
                "CREATE TABLE pubsub_affiliation (node INTEGER NOT NULL, jid TEXT NOT NULL, affiliation TEXT NOT NULL,
                PRIMARY KEY (node, jid))",
                "CREATE INDEX pubsub_affiliated ON pubsub_affiliation (jid)",
                "CREATE TABLE pubsub_subscription (node INTEGER NOT NULL, jid TEXT NOT NULL, bare TEXT NOT NULL,
                state TEXT NOT NULL, PRIMARY KEY (node, jid))",
                "CREATE INDEX pubsub_subscriber ON pubsub_subscription (bare)",
            ],
        },
        Migration {
            number: 2,
            about: "Subscribers that must hear of nodes which went with their account",
            sqlite: &["CREATE TABLE pubsub_farewell (service TEXT NOT NULL, node TEXT NOT NULL, reader TEXT NOT NULL,
            config TEXT NOT NULL, PRIMARY KEY (service, node, reader))"],
        },
    ],
};

const FIND: &str = "SELECT id, version, last, service, name, payer, created, config FROM pubsub_node
    WHERE service = ?1 AND name = ?2";
const PAGE: &str = "SELECT id, version, last, service, name, payer, created, config FROM pubsub_node
    WHERE service = ?1 AND name > ?2 ORDER BY name LIMIT ?3";
/// Personal nodes whose last item goes to an account that comes on line: its own, and those of accounts that show it their presence
/// (states 6 to 8 of a roster).
const TOLD_ON_PRESENCE: &str = "SELECT id, version, last, service, name, payer, created, config FROM pubsub_node
    WHERE on_presence = 1 AND (service = ?1 OR service IN (SELECT owner FROM roster_item WHERE contact = ?1 AND state >= 6))
    ORDER BY id LIMIT ?2";
const OF_ONE_ON_PRESENCE: &str = "SELECT id, version, last, service, name, payer, created, config FROM pubsub_node
    WHERE service = ?1 AND on_presence = 1 ORDER BY id LIMIT ?2";
const NEXT_ID: &str = "UPDATE pubsub_counter SET last = last + 1 WHERE name = 'node'";
const CREATE: &str =
    "INSERT INTO pubsub_node (id, service, name, payer, version, last, bytes, created, on_presence, config)
    SELECT last, ?1, ?2, ?3, 1, 0, 0, ?4, ?5, ?6 FROM pubsub_counter
    WHERE name = 'node' AND (SELECT COUNT(*) FROM pubsub_node WHERE payer = ?3) < ?7";
const FIRST_OWNER: &str = "INSERT INTO pubsub_affiliation (node, jid, affiliation)
    SELECT last, ?1, 'owner' FROM pubsub_counter WHERE name = 'node'";
const ADVANCE: &str = "UPDATE pubsub_node SET version = version + 1 WHERE id = ?1 AND version = ?2";
const CONFIGURE: &str = "UPDATE pubsub_node SET version = version + 1, config = ?3, on_presence = ?4
    WHERE id = ?1 AND version = ?2";
const DELETE: &str = "DELETE FROM pubsub_node WHERE id = ?1 AND version = ?2";
const DELETE_ITEMS: &str = "DELETE FROM pubsub_item WHERE node = ?1";
const DELETE_AFFILIATIONS: &str = "DELETE FROM pubsub_affiliation WHERE node = ?1";
const DELETE_SUBSCRIPTIONS: &str = "DELETE FROM pubsub_subscription WHERE node = ?1";
/// What goes with an account: its nodes, and what it was to the nodes of others.
const FORGET: [&str; 8] = [
    "INSERT INTO pubsub_farewell (service, node, reader, config)
        SELECT pubsub_node.service, pubsub_node.name, pubsub_subscription.jid, pubsub_node.config
        FROM pubsub_subscription JOIN pubsub_node ON pubsub_node.id = pubsub_subscription.node
        WHERE (pubsub_node.service = ?1 OR pubsub_node.payer = ?1) AND pubsub_subscription.bare <> ?1
        AND pubsub_subscription.state = 'subscribed' ON CONFLICT (service, node, reader) DO NOTHING",
    "DELETE FROM pubsub_item WHERE node IN (SELECT id FROM pubsub_node WHERE service = ?1 OR payer = ?1)",
    "DELETE FROM pubsub_affiliation WHERE node IN (SELECT id FROM pubsub_node WHERE service = ?1 OR payer = ?1)",
    "DELETE FROM pubsub_subscription WHERE node IN (SELECT id FROM pubsub_node WHERE service = ?1 OR payer = ?1)",
    "DELETE FROM pubsub_node WHERE service = ?1 OR payer = ?1",
    "UPDATE pubsub_node SET version = version + 1 WHERE id IN (SELECT node FROM pubsub_affiliation WHERE jid = ?1)
        OR id IN (SELECT node FROM pubsub_subscription WHERE bare = ?1)",
    "DELETE FROM pubsub_affiliation WHERE jid = ?1",
    "DELETE FROM pubsub_subscription WHERE bare = ?1",
];

/// Nodes looked at when somebody comes on line: 40 for each contact of a large roster. The rest is asked for by its readers.
const ON_PRESENCE_MAX: i64 = 40_000;

/// All nodes.
#[derive(Clone)]
pub(crate) struct Table {
    engine: Arc<dyn Engine>,
}

impl Table {
    pub(crate) fn new(engine: Arc<dyn Engine>) -> Self {
        Table { engine }
    }

    pub(crate) async fn find(&self, service: &BareJid, name: &str) -> Result<Option<Node>, StoreError> {
        let rows = self.engine.query(FIND, vec![text(service), Value::from(name)]).await?;
        rows.first().map(node).transpose()
    }

    /// The nodes of a service after that name, by name: one more than [`LIST_MAX`], if there are so many.
    pub(crate) async fn page(&self, service: &BareJid, after: &str) -> Result<Vec<Node>, StoreError> {
        let limit = Value::from(i64::try_from(LIST_MAX + 1).unwrap_or(i64::MAX));
        let rows = self.engine.query(PAGE, vec![text(service), Value::from(after), limit]).await?;
        rows.iter().map(node).collect()
    }

    /// See [`TOLD_ON_PRESENCE`].
    pub(crate) async fn told_on_presence(&self, account: &BareJid) -> Result<Vec<Node>, StoreError> {
        self.nodes(TOLD_ON_PRESENCE, account).await
    }

    /// As [`Table::told_on_presence`], of one account alone.
    pub(crate) async fn of_one_on_presence(&self, owner: &BareJid) -> Result<Vec<Node>, StoreError> {
        self.nodes(OF_ONE_ON_PRESENCE, owner).await
    }

    async fn nodes(&self, sql: &'static str, account: &BareJid) -> Result<Vec<Node>, StoreError> {
        let rows = self.engine.query(sql, vec![text(account), Value::from(ON_PRESENCE_MAX)]).await?;
        rows.iter().map(node).collect()
    }

    /// A new node; `owner` is written down where it is not the account itself. Refused if it is there already or one too many.
    pub(crate) async fn create(
        &self,
        service: &BareJid,
        name: &str,
        owner: &BareJid,
        config: &Config,
        now: i64,
    ) -> Result<(), Failure> {
        let args = vec![
            text(service),
            Value::from(name),
            text(owner),
            Value::from(now),
            Value::from(is_told_on_presence(service, config)),
            Value::from(pack(config)),
            Value::from(NODES_MAX),
        ];
        let mut batch = Batch::new().run(NEXT_ID, []).guard(1, CREATE, args);
        if service != owner {
            batch = batch.run(FIRST_OWNER, [text(owner)]);
        }
        match self.engine.write(batch).await {
            Ok(_) => Ok(()),
            Err(StoreError::Constraint { .. }) => Err(Refusal::Exists.into()),
            Err(StoreError::Conflict { .. }) => Err(Refusal::MaxNodes.into()),
            Err(error) => Err(error.into()),
        }
    }

    /// Another configuration. Items that it does not keep go: all of them, or those up to a number.
    pub(crate) async fn configure(&self, node: &Node, config: &Config) -> Result<(), StoreError> {
        let drop_through = if config.persist { self.surplus(node.id, config.items).await? } else { Some(i64::MAX) };
        let told = Value::from(is_told_on_presence(&node.service, config));
        let args = vec![Value::from(node.id), Value::from(node.version), Value::from(pack(config)), told];
        let batch = Batch::new().guard(1, CONFIGURE, args);
        self.engine.write(items::drop_through(batch, node.id, drop_through)).await.map(drop)
    }

    pub(crate) async fn delete(&self, node: &Node) -> Result<(), StoreError> {
        let mut batch = Batch::new().guard(1, DELETE, [Value::from(node.id), Value::from(node.version)]);
        for statement in [DELETE_ITEMS, DELETE_AFFILIATIONS, DELETE_SUBSCRIPTIONS] {
            batch = batch.run(statement, [Value::from(node.id)]);
        }
        self.engine.write(batch).await.map(drop)
    }

    /// Removes an account's nodes, affiliations and subscriptions.
    pub(crate) fn forget(batch: Batch, account: &BareJid) -> Batch {
        FORGET.into_iter().fold(batch, |batch, statement| batch.run(statement, [text(account)]))
    }

    async fn count(&self, sql: &'static str, args: Vec<Value>) -> Result<i64, StoreError> {
        let rows = self.engine.query(sql, args).await?;
        Ok(rows.first().map(|row| row.integer(0)).transpose()?.unwrap_or(0))
    }
}

fn advance(node: &Node) -> Batch {
    Batch::new().guard(1, ADVANCE, [Value::from(node.id), Value::from(node.version)])
}

/// Only personal nodes follow presence by themselves (XEP-0163 §4.3.2).
fn is_told_on_presence(service: &BareJid, config: &Config) -> bool {
    service.local().is_some() && config.send_last == SendLast::OnPresence && config.notify
}

fn text(jid: &BareJid) -> Value {
    Value::from(jid.as_str())
}

fn node(row: &Row) -> Result<Node, StoreError> {
    let config = row.text(7)?;
    Ok(Node {
        id: row.integer(0)?,
        version: row.integer(1)?,
        last: row.integer(2)?,
        service: bare(row, 3)?,
        name: row.text(4)?.to_owned(),
        payer: bare(row, 5)?,
        created: row.integer(6)?,
        config: unpack(config).ok_or_else(|| damaged("configuration", config))?,
    })
}

fn bare(row: &Row, column: usize) -> Result<BareJid, StoreError> {
    let text = row.text(column)?;
    BareJid::parse(text).map_err(|_| damaged("address", text))
}

fn jid(row: &Row, column: usize) -> Result<Jid, StoreError> {
    let text = row.text(column)?;
    Jid::parse(text).map_err(|_| damaged("address", text))
}

fn damaged(what: &str, text: &str) -> StoreError {
    StoreError::Sql { message: format!("{what} {text:?} of a node") }
}
