//! An XMPP client as any stranger's would be: logs in over TLS, asks, answers, follows.
//!
//! [`Session`] matches answers to requests (RFC 6120 §8.2.3) and keeps what comes unasked; [`Gateway`] speaks to a
//! concentrator through it. The command line, the demo and the uplink to a remote broker use the same code.
//! There is no message archive, no roster cache and no resumption of streams here.

mod connection;
mod discover;
mod gateway;
mod readings;
mod session;
mod uplink;
mod watching;

pub use connection::{ConnectError, ConnectOptions, Connection, connect};
pub use gateway::{Gateway, GatewayError, Wanted};
pub use readings::{FieldReading, NodeReadings, Readings, Value};
pub use session::{Driver, INBOX_STANZAS_MAX, Inbox, RequestError, Session};
pub use uplink::RemoteUplink;
pub use watching::Watching;
