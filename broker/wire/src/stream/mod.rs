//! Stream negotiation for both ends, without input or output: STARTTLS or direct TLS, SASL, resource binding, then stanzas
//! (RFC 6120 §4 to §8, RFC 7590, XEP-0368, XEP-0440).
//!
//! Both machines have the same face: feed `receive`, then take `output` until it is empty, answer what it asks, call `wake`
//! when `deadline` has passed. A machine that asks for something (TLS, keys, a resource) waits for the answer: the shell
//! answers before it feeds more. What they do not do: routing, presence, idle timeouts, name resolution.
//!
//! # Why
//! - Asking through `output` instead of calling a port: the machine stays free of `async`, and a test answers as it likes.
//! - The negotiation lives in a box that is dropped with the last step: an idle session keeps its address and little more.
//! - An element is taken from the reader only when the one before is dealt with; so what follows `<starttls/>` in the same
//!   segment is seen as such, and a slow store holds back the peer instead of filling a queue.

mod client;
pub mod component;
mod foreign;
mod framing;
pub mod peer;
mod server;
mod talk;
#[cfg(test)]
mod testing;

use std::time::Duration;

pub use client::{ClientFault, ClientOutput, ClientSettings, ClientStream};
pub use framing::{Framing, MESSAGE_END};
pub use server::{Output, ServerSettings, ServerStream};

use crate::jid::BareJid;
use crate::sasl::ChannelBindings;
use crate::stream_error::StreamError;

/// Time from connecting to the end of authentication (RFC 6120 §13.12 leaves it to us): a phone on a bad radio link needs
/// ten seconds, an idler takes a place for no longer than this.
pub const LOGIN_TIME: Duration = Duration::from_secs(30);

/// Time from authentication to a bound resource.
pub const BIND_TIME: Duration = Duration::from_secs(30);

/// Time a peer has to close its side after we closed ours (RFC 6120 §4.4).
pub const CLOSE_TIME: Duration = Duration::from_secs(5);

/// Failed logins on one stream; RFC 6120 §6.4.5 recommends 2 to 5.
pub const TRIES_MAX: u8 = 3;

/// What the TLS layer knows of a connection once it is secured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secured {
    /// Channel bindings of this very connection.
    pub bindings: ChannelBindings,
    /// Addresses that the client's certificate proves, for EXTERNAL. Empty without such a certificate.
    pub proven: Vec<BareJid>,
}

/// Why a stream ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Why {
    /// The peer closed it in order.
    #[error("closed by the peer")]
    ByPeer,
    /// We closed it in order.
    #[error("closed by us")]
    ByUs,
    /// The connection ended without a closing tag.
    #[error("the connection was lost")]
    Lost,
    /// The peer broke a rule; the error was sent to it.
    #[error("stream error: {0}")]
    Fault(StreamError),
    /// The peer sent us a stream error.
    #[error("the peer reports a stream error: {0}")]
    PeerFault(StreamError),
    /// Bytes came between `<starttls/>` or `<proceed/>` and TLS: an injection (CVE-2011-0411), or a broken peer.
    #[error("unprotected bytes arrived where TLS had to begin")]
    Injected,
    /// Too slow, and nothing could be said any more: the TLS handshake was under way, or the closing tag never came.
    #[error("the peer was too slow")]
    Slow,
}
