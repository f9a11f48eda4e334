//! The items of nodes: in the order they were published, no more than the node keeps, no more bytes than its payer may have.

use torg_store::{Batch, Row, StoreError, Value};
use torg_wire::jid::BareJid;
use torg_wire::xep::pubsub::Refusal;

use super::super::decision::Failure;
use super::super::limits::BYTES_MAX;
use super::super::node::Node;
use super::{DELETE_ITEMS, Table, advance, bare};

const ENTRIES: &str = "SELECT item, number, size FROM pubsub_item WHERE node = ?1 ORDER BY number";
const BETWEEN: &str = "SELECT item, number, published, publisher, payload FROM pubsub_item
    WHERE node = ?1 AND number >= ?2 AND number <= ?3 ORDER BY number";
const ONE: &str = "SELECT item, number, published, publisher, payload FROM pubsub_item WHERE node = ?1 AND item = ?2";
const LAST: &str = "SELECT item, number, published, publisher, payload FROM pubsub_item
    WHERE node = ?1 ORDER BY number DESC LIMIT 1";
const TAKE_NUMBER: &str = "UPDATE pubsub_node SET last = last + 1 WHERE id = ?1 AND version = ?2 AND last = ?3";
const UNCHANGED: &str = "UPDATE pubsub_node SET bytes = bytes WHERE id = ?1 AND version = ?2";
const PUT: &str = "INSERT INTO pubsub_item (node, item, number, size, published, publisher, payload)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
    ON CONFLICT (node, item) DO UPDATE SET number = ?3, size = ?4, published = ?5, publisher = ?6, payload = ?7";
const DROP_THROUGH: &str = "DELETE FROM pubsub_item WHERE node = ?1 AND number <= ?2";
const DROP_ONE: &str = "DELETE FROM pubsub_item WHERE node = ?1 AND item = ?2";
const COUNT_BYTES: &str = "UPDATE pubsub_node
    SET bytes = (SELECT COALESCE(SUM(size), 0) FROM pubsub_item WHERE node = ?1) WHERE id = ?1";
/// Changes its one row only if the payer has not too many bytes now.
const WITHIN_QUOTA: &str = "UPDATE pubsub_node SET bytes = bytes
    WHERE id = ?1 AND (SELECT COALESCE(SUM(bytes), 0) FROM pubsub_node WHERE payer = ?2) <= ?3";

/// An item without its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: String,
    /// Grows with each publication at the node.
    pub(crate) number: i64,
    /// Bytes of id and payload.
    pub(crate) size: usize,
}

/// An item on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) id: String,
    pub(crate) number: i64,
    /// Microseconds since 1970.
    pub(crate) published: i64,
    pub(crate) publisher: BareJid,
    /// As a document of its own.
    pub(crate) payload: Option<String>,
}

/// An item to be written.
#[derive(Clone, Debug)]
pub(crate) struct Publishing<'a> {
    pub(crate) id: &'a str,
    pub(crate) payload: Option<String>,
    pub(crate) publisher: &'a BareJid,
    /// Microseconds since 1970.
    pub(crate) published: i64,
    /// Items up to this number make room.
    pub(crate) drop_through: Option<i64>,
}

impl Table {
    /// All items of a node, oldest first: never more than a node keeps.
    pub(crate) async fn entries(&self, node: i64) -> Result<Vec<Entry>, StoreError> {
        let rows = self.engine.query(ENTRIES, vec![Value::from(node)]).await?;
        let entry = |row: &Row| {
            let size = usize::try_from(row.integer(2)?).unwrap_or(usize::MAX);
            Ok(Entry { id: row.text(0)?.to_owned(), number: row.integer(1)?, size })
        };
        rows.iter().map(entry).collect()
    }

    pub(crate) async fn between(&self, node: i64, first: i64, last: i64) -> Result<Vec<Stored>, StoreError> {
        let rows = self.engine.query(BETWEEN, vec![Value::from(node), Value::from(first), Value::from(last)]).await?;
        rows.iter().map(stored).collect()
    }

    pub(crate) async fn item(&self, node: i64, id: &str) -> Result<Option<Stored>, StoreError> {
        let rows = self.engine.query(ONE, vec![Value::from(node), Value::from(id)]).await?;
        rows.first().map(stored).transpose()
    }

    pub(crate) async fn last_item(&self, node: i64) -> Result<Option<Stored>, StoreError> {
        let rows = self.engine.query(LAST, vec![Value::from(node)]).await?;
        rows.first().map(stored).transpose()
    }

    /// The number through which items have to go so that `keep` are left; `None` if none has to.
    pub(super) async fn surplus(&self, node: i64, keep: usize) -> Result<Option<i64>, StoreError> {
        let entries = self.entries(node).await?;
        let surplus = entries.len().saturating_sub(keep);
        Ok(surplus.checked_sub(1).and_then(|last| entries.get(last)).map(|entry| entry.number))
    }

    /// Writes an item as the newest of a node that is as it was read. [`StoreError::Conflict`] if it is not.
    pub(crate) async fn publish(&self, node: &Node, item: Publishing<'_>) -> Result<(), Failure> {
        let id = Value::from(node.id);
        let size = item.id.len() + item.payload.as_ref().map_or(0, String::len);
        let put = vec![
            id.clone(),
            Value::from(item.id),
            Value::from(node.last + 1),
            Value::from(i64::try_from(size).unwrap_or(i64::MAX)),
            Value::from(item.published),
            Value::from(item.publisher.as_str()),
            Value::from(item.payload),
        ];
        let batch = Batch::new()
            .guard(1, TAKE_NUMBER, [id.clone(), Value::from(node.version), Value::from(node.last)])
            .run(PUT, put);
        let batch = drop_through(batch, node.id, item.drop_through);
        let quota = [id, Value::from(node.payer.as_str()), Value::from(BYTES_MAX)];
        match self.engine.write(batch.guard(1, WITHIN_QUOTA, quota)).await {
            Ok(_) => Ok(()),
            Err(StoreError::Conflict { statement, .. }) if statement > 0 => Err(Refusal::Quota.into()),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes an item of a node that is as it was read.
    pub(crate) async fn retract(&self, node: &Node, item: &str) -> Result<(), StoreError> {
        let id = Value::from(node.id);
        let unchanged = [id.clone(), Value::from(node.version)];
        let batch = Batch::new().guard(1, UNCHANGED, unchanged).run(DROP_ONE, [id.clone(), Value::from(item)]);
        self.engine.write(batch.run(COUNT_BYTES, [id])).await.map(drop)
    }

    /// An item that is gone for good, whether it was there or not.
    pub(crate) async fn drop_if_any(&self, node: &Node, item: &str) -> Result<(), StoreError> {
        let id = Value::from(node.id);
        let batch = Batch::new().run(DROP_ONE, [id.clone(), Value::from(item)]).run(COUNT_BYTES, [id]);
        self.engine.write(batch).await.map(drop)
    }

    pub(crate) async fn purge(&self, node: &Node) -> Result<(), StoreError> {
        let id = Value::from(node.id);
        let batch = advance(node).run(DELETE_ITEMS, [id.clone()]).run(COUNT_BYTES, [id]);
        self.engine.write(batch).await.map(drop)
    }
}

/// Deletes the items of a node through that number, and counts what is left.
pub(super) fn drop_through(batch: Batch, node: i64, number: Option<i64>) -> Batch {
    let batch = match number {
        Some(number) => batch.run(DROP_THROUGH, [Value::from(node), Value::from(number)]),
        None => batch,
    };
    batch.run(COUNT_BYTES, [Value::from(node)])
}

fn stored(row: &Row) -> Result<Stored, StoreError> {
    Ok(Stored {
        id: row.text(0)?.to_owned(),
        number: row.integer(1)?,
        published: row.integer(2)?,
        publisher: bare(row, 3)?,
        payload: row.text_if_any(4)?.map(str::to_owned),
    })
}
