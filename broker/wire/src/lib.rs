//! XMPP syntax without input or output: framing, XML, addresses, stanzas, streams, SASL, payloads.

pub mod framer;
pub mod iot;
pub mod jid;
pub mod ns;
pub mod reader;
pub mod sasl;
pub mod secret;
pub mod seed;
pub mod stanza;
pub mod stream;
pub mod stream_error;
pub mod xep;
pub mod xml;
