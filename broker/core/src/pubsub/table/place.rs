//! Whole nodes put in place at once, as an import brings them.

use torg_store::{Batch, Value};
use torg_wire::jid::{BareJid, Jid};
use torg_wire::xep::pubsub::{Affiliation, Config, SubscriptionState};

use super::super::limits::NODES_MAX;
use super::super::node::pack;
use super::{CREATE, NEXT_ID, Table, is_told_on_presence, text};

/// Nodes of an account, and what hangs on them.
const CLEAR: [&str; 4] = [
    "DELETE FROM pubsub_item WHERE node IN (SELECT id FROM pubsub_node WHERE service = ?1)",
    "DELETE FROM pubsub_affiliation WHERE node IN (SELECT id FROM pubsub_node WHERE service = ?1)",
    "DELETE FROM pubsub_subscription WHERE node IN (SELECT id FROM pubsub_node WHERE service = ?1)",
    "DELETE FROM pubsub_node WHERE service = ?1",
];
const ITEM: &str = "INSERT INTO pubsub_item (node, item, number, size, published, publisher, payload)
    SELECT last, ?1, ?2, ?3, ?4, ?5, ?6 FROM pubsub_counter WHERE name = 'node'";
const COUNT: &str = "UPDATE pubsub_node SET last = ?1, bytes = ?2
    WHERE id = (SELECT last FROM pubsub_counter WHERE name = 'node')";
const AFFILIATION: &str = "INSERT INTO pubsub_affiliation (node, jid, affiliation)
    SELECT last, ?1, ?2 FROM pubsub_counter WHERE name = 'node' ON CONFLICT (node, jid) DO NOTHING";
const SUBSCRIPTION: &str = "INSERT INTO pubsub_subscription (node, jid, bare, state)
    SELECT last, ?1, ?2, ?3 FROM pubsub_counter WHERE name = 'node' ON CONFLICT (node, jid) DO NOTHING";

/// A node with all that belongs to it; within the limits, which the caller has seen to.
pub(crate) struct Placing<'a> {
    pub(crate) name: &'a str,
    pub(crate) config: &'a Config,
    /// Id, payload as a document, publisher; oldest first.
    pub(crate) items: &'a [(String, Option<String>, BareJid)],
    pub(crate) affiliations: &'a [(BareJid, Affiliation)],
    pub(crate) subscriptions: &'a [(Jid, SubscriptionState)],
}

impl Table {
    /// Removes the nodes of an account, and not what it is to the nodes of others.
    pub(crate) fn clear(batch: Batch, account: &BareJid) -> Batch {
        CLEAR.into_iter().fold(batch, |batch, statement| batch.run(statement, [text(account)]))
    }

    /// A new personal node, as part of a batch, which fails if it is there already.
    pub(crate) fn place(batch: Batch, account: &BareJid, node: &Placing<'_>, now: i64) -> Batch {
        let create = vec![
            text(account),
            Value::from(node.name),
            text(account),
            Value::from(now),
            Value::from(is_told_on_presence(account, node.config)),
            Value::from(pack(node.config)),
            Value::from(NODES_MAX),
        ];
        let mut batch = batch.run(NEXT_ID, []).guard(1, CREATE, create);
        let (mut last, mut bytes) = (0i64, 0i64);
        for (id, payload, publisher) in node.items {
            last = last.saturating_add(1);
            let size = id.len().saturating_add(payload.as_ref().map_or(0, String::len));
            let size = i64::try_from(size).unwrap_or(i64::MAX);
            bytes = bytes.saturating_add(size);
            let item = [
                Value::from(id.as_str()),
                Value::from(last),
                Value::from(size),
                Value::from(now.saturating_add(last)),
                text(publisher),
                Value::from(payload.as_deref()),
            ];
            batch = batch.guard(1, ITEM, item);
        }
        batch = batch.guard(1, COUNT, [Value::from(last), Value::from(bytes)]);
        for (jid, affiliation) in node.affiliations {
            batch = batch.run(AFFILIATION, [text(jid), Value::from(affiliation.name())]);
        }
        for (jid, state) in node.subscriptions {
            let bare = Value::from(jid.bare_str());
            batch = batch.run(SUBSCRIPTION, [Value::from(jid.as_str()), bare, Value::from(state.name())]);
        }
        batch
    }
}
