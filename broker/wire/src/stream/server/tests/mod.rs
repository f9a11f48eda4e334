//! Scripts of the server's machine: the order of negotiation, and the answer to everything that breaks it.

mod flights;
mod login;
mod management;
mod messages;
mod negotiation;
mod sasl2;
mod session;

use std::time::Duration;

use super::*;
use crate::sasl::{AccountClass, Mechanism};
use crate::stanza::{StanzaCondition, StanzaError};
use crate::stream::TRIES_MAX;
use crate::stream::testing::{BIND, HEADER, LOGIN, World, bare, secured};

const STARTTLS: &str = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
const SASL: &str = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'";

fn auth(mechanism: &str, message: &str) -> String {
    format!("<auth {SASL} mechanism='{mechanism}'>{message}</auth>")
}

fn plain(text: &str) -> String {
    auth("PLAIN", &crate::sasl::base64_encode(text.as_bytes()))
}

/// Asserts that the stream ended with this stream error, said to the peer in a whole stream.
#[track_caller]
fn ended(world: &World, condition: &str) {
    assert_eq!(world.fault(), condition);
    let said = &world.said;
    assert!(
        said.contains(&format!("<stream:error><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'")),
        "{said}"
    );
    assert!(said.ends_with("</stream:stream>"), "{said}");
}
