//! What Torg says over HTTP: XMPP over WebSocket (RFC 7395) and where to find it (XEP-0156) on the listener `https`, the way there and
//! answers to certificate authorities on `http`, metrics, health and status on `admin` and on a socket beside the store.
//!
//! Nothing here is a file server, and no request has a body: what is not in the short table of `http` does not exist.
//!
//! # Why
//! - `hyper` (HTTP/1 only): its parser is the most used one in Rust, and bounded before a request is whole. A WebSocket is a stream of
//!   its own for hours, so HTTP/2 would gain nothing.
//! - One request for each connection: no state between requests means no smuggling between them, and a proxy in front keeps its own.

mod admin;
mod host_meta;
mod http;
mod listen;
mod metrics;
pub mod status;
mod websocket;

use std::collections::BTreeSet;
use std::sync::Arc;

use torg_core::Entrance;
use torg_wire::jid::BareJid;
use torg_wire::secret::Secret;

pub use self::listen::{admin, https, plain, socket};
use self::status::Vitals;

/// Path of XMPP over WebSocket.
pub const WEBSOCKET_PATH: &str = "/xmpp-websocket";

/// What all listeners of the web share.
pub struct Console {
    /// The domain we serve; redirects lead there and nowhere else, whatever a request says.
    pub domain: BareJid,
    /// The way into the broker.
    pub entrance: Entrance,
    /// Port of `https` as clients see it; `None` without such a listener.
    pub https_port: Option<u16>,
    /// Address of the WebSocket as clients see it; `None` if there is none.
    pub websocket: Option<String>,
    /// Web pages whose scripts may connect, by origin; empty means any. The login protects accounts, not the origin: no cookie or other
    /// authority of the browser is used, so a foreign page gains nothing that a foreign program would not have.
    pub origins: BTreeSet<String>,
    /// Channel binding is offered over WebSocket too.
    pub channel_binding: bool,
    /// What the admin listener demands beyond the loopback.
    pub admin_token: Option<Secret<String>>,
    /// What health, metrics and status are taken from.
    pub vitals: Arc<Vitals>,
    /// Answers that certificate authorities come for.
    pub challenges: Arc<crate::acme::Challenges>,
}

impl Console {
    /// Address of the WebSocket on our own `https` listener.
    #[must_use]
    pub fn own_websocket(domain: &BareJid, port: u16) -> String {
        match port {
            443 => format!("wss://{domain}{WEBSOCKET_PATH}"),
            port => format!("wss://{domain}:{port}{WEBSOCKET_PATH}"),
        }
    }
}
