//! How the concentrator reaches a broker: an address, a way to send and a way to receive, nothing but stanzas.
//!
//! The broker at the other end, in this process or far away, proves senders and stamps `from`; the concentrator believes
//! it. When an uplink ends, so does the concentrator that used it; whoever owns both makes new ones.

use std::sync::Arc;

use async_trait::async_trait;
use torg_wire::jid::FullJid;
use torg_wire::stanza::Stanza;

/// The connection to the broker is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection to the broker is gone")]
pub struct UplinkClosed;

/// The receiving end of a connection to a broker, bound to one full address for as long as it lives.
#[async_trait]
pub trait Uplink: Send {
    /// The address that the broker bound.
    fn address(&self) -> &FullJid;

    /// The sending end.
    fn outlet(&self) -> Arc<dyn Outlet>;

    /// The next stanza, with a `from` that the broker answers for. `None` when the connection has ended.
    ///
    /// Must be cancellation safe: a stanza is either returned or still there.
    async fn next(&mut self) -> Option<Stanza>;
}

/// The sending end of a connection to a broker. Stanzas of one task keep their order.
#[async_trait]
pub trait Outlet: Send + Sync {
    /// Hands a stanza to the broker, waiting while it is behind. The broker adds `from`.
    ///
    /// # Errors
    /// [`UplinkClosed`] if nothing can be sent any more.
    async fn send(&self, stanza: Stanza) -> Result<(), UplinkClosed>;
}
