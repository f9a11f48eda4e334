//! Subscribers of nodes that went with their account, until they have been told.

use torg_store::{Batch, Row, StoreError, Value};
use torg_wire::jid::{BareJid, Jid};
use torg_wire::xep::pubsub::Config;

use super::{Table, bare, damaged};
use crate::pubsub::node::unpack;

/// Rows read and deleted at once.
const PAGE: i64 = 200;

const READ: &str = "SELECT service, node, reader, config FROM pubsub_farewell ORDER BY service, node, reader LIMIT ?1";
const TOLD: &str = "DELETE FROM pubsub_farewell WHERE service = ?1 AND node = ?2 AND reader = ?3";

/// A subscriber that has not been told of the end of a node.
#[derive(Debug)]
pub(crate) struct Farewell {
    pub(crate) service: BareJid,
    pub(crate) node: String,
    pub(crate) reader: Jid,
    pub(crate) config: Config,
}

impl Table {
    /// Some of those who have not been told.
    pub(crate) async fn farewells(&self) -> Result<Vec<Farewell>, StoreError> {
        let rows = self.engine.query(READ, vec![Value::from(PAGE)]).await?;
        let farewell = |row: &Row| {
            let (reader, config) = (row.text(2)?, row.text(3)?);
            Ok(Farewell {
                service: bare(row, 0)?,
                node: row.text(1)?.to_owned(),
                reader: Jid::parse(reader).map_err(|_| damaged("address", reader))?,
                config: unpack(config).ok_or_else(|| damaged("configuration", config))?,
            })
        };
        rows.iter().map(farewell).collect()
    }

    /// They have been told.
    pub(crate) async fn said_farewell(&self, told: &[Farewell]) -> Result<(), StoreError> {
        let batch = told.iter().fold(Batch::new(), |batch, farewell| {
            let Farewell { service, node, reader, .. } = farewell;
            batch.run(TOLD, [service.as_str(), node, reader.as_str()].map(Value::from))
        });
        self.engine.write(batch).await.map(drop)
    }
}
