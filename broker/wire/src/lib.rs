//! XMPP syntax without input or output: framing, XML, addresses, stanzas, streams, SASL, payloads.
