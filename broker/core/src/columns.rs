//! Columns that hold types of ours; one that no longer reads is damage, which the one who asked is told as a failure of the store.

use torg_store::{Row, StoreError};
use torg_wire::jid::BareJid;

use crate::roster::state::Subscription;

/// The account or contact in a column.
pub(crate) fn jid(row: &Row, column: usize) -> Result<BareJid, StoreError> {
    let text = row.text(column)?;
    BareJid::parse(text).map_err(|error| StoreError::Sql { message: format!("address {text:?}: {error}") })
}

/// The state of a subscription in a column.
pub(crate) fn subscription(row: &Row, column: usize) -> Result<Subscription, StoreError> {
    let code = row.integer(column)?;
    Subscription::from_code(code).ok_or_else(|| StoreError::Sql { message: format!("subscription state {code}") })
}
