//! How elements are put on the transport below: one endless document on a byte stream (RFC 6120 §4), or one message each on a
//! WebSocket (RFC 7395 §3.3).
//!
//! # Why
//! A WebSocket message is a document of its own, so it declares the namespaces that a stream header would have declared. Stanzas are
//! written once for all their receivers and both framings; what a message needs on top is put into its first tag here, without
//! parsing. In a buffer a message ends with a zero byte, which XML cannot contain: so buffers stay plain bytes, the machine and its
//! shell need no second kind of output, and only the transport cuts.

use crate::ns;
use crate::reader::{STREAM_END, StreamHeader};
use crate::xml::{Element, Sink as _};

/// What ends a message in a buffer of [`Framing::Messages`].
pub const MESSAGE_END: u8 = 0;

/// How elements follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// One element in each message, ended by [`MESSAGE_END`] in buffers (RFC 7395).
    Messages,
    /// One after another inside a stream element.
    Stream,
}

impl Framing {
    /// Appends an element or stanza that was written with [`crate::xml::Scope::CLIENT`].
    pub fn put(self, out: &mut Vec<u8>, written: &[u8]) {
        match self {
            Framing::Stream => out.extend_from_slice(written),
            Framing::Messages => {
                put_declared(out, written);
                out.push(MESSAGE_END);
            }
        }
    }

    pub(super) fn put_header(self, out: &mut Vec<u8>, header: &StreamHeader) {
        match self {
            Framing::Stream => header.write_to(out),
            Framing::Messages => self.put_own(out, open(header)),
        }
    }

    pub(super) fn put_end(self, out: &mut Vec<u8>) {
        match self {
            Framing::Stream => out.put(STREAM_END),
            Framing::Messages => self.put_own(out, Element::new(ns::FRAMING, "close")),
        }
    }

    fn put_own(self, out: &mut Vec<u8>, element: Element) {
        element.write_to(out, &crate::xml::Scope::DOCUMENT);
        out.push(MESSAGE_END);
    }
}

/// The header as the element that takes its place (RFC 7395 §3.4).
fn open(header: &StreamHeader) -> Element {
    let attributes = [("from", &header.from), ("to", &header.to), ("id", &header.id), ("version", &header.version)];
    let mut open = Element::new(ns::FRAMING, "open");
    for (name, value) in attributes {
        if let Some(value) = value {
            open.set_attr(name, value.clone());
        }
    }
    match &header.lang {
        Some(lang) => open.with_lang(lang),
        None => open,
    }
}

/// Copies the element with the declarations that the header of a client stream would have had in force.
fn put_declared(out: &mut Vec<u8>, written: &[u8]) {
    let ends = |byte: &u8| matches!(byte, b' ' | b'/' | b'>');
    let (name, rest) = written.split_at(written.iter().position(ends).unwrap_or(written.len()));
    out.extend_from_slice(name);
    // The writer puts a declaration of the element's own first.
    if !rest.starts_with(b" xmlns='") {
        out.extend_from_slice(b" xmlns='jabber:client'");
    }
    // Only a writer that uses the prefix needs it; a text that merely mentions it does no harm.
    if memchr::memmem::find(written, b"stream:").is_some() {
        out.extend_from_slice(b" xmlns:stream='http://etherx.jabber.org/streams'");
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::{Limits, Scope, parse_document};

    /// What a stranger reads from the message, its end cut off.
    fn read_back(element: &Element) -> Element {
        let mut out = Vec::new();
        Framing::Messages.put(&mut out, &element.to_bytes(&Scope::CLIENT));
        let message = out.strip_suffix(&[MESSAGE_END]).expect("an end");
        parse_document(message, &Limits::CLIENT).expect("a document of its own")
    }

    #[test]
    fn a_message_is_a_document_that_says_the_same() {
        let inner =
            Element::new(ns::STREAMS, "inner").with_child(Element::new(ns::CLIENT, "body").with_text("stream:"));
        for element in [
            Element::new(ns::CLIENT, "presence"),
            Element::new(ns::CLIENT, "message").with_attr("to", "a@b").with_child(inner.clone()),
            Element::new(ns::STREAMS, "features").with_child(Element::new(ns::BIND, "bind")),
            Element::new(ns::STREAMS, "error").with_child(Element::new(ns::CLIENT, "odd")),
            Element::new(ns::SASL, "success").with_text("dj0="),
            Element::new(ns::SASL, "success").with_child(inner),
            Element::new("", "nothing"),
        ] {
            assert_eq!(read_back(&element), element);
        }
    }

    #[test]
    fn features_keep_the_prefix_that_clients_look_for() {
        let mut out = Vec::new();
        Framing::Messages.put(&mut out, &Element::new(ns::STREAMS, "features").to_bytes(&Scope::CLIENT));
        assert!(out.starts_with(b"<stream:features xmlns='jabber:client' xmlns:stream='"));
    }

    #[test]
    fn the_header_becomes_open_and_the_end_close() {
        let mut header = StreamHeader::new(ns::CLIENT);
        (header.from, header.lang) = (Some("a.example".into()), Some("en".into()));
        let mut out = Vec::new();
        Framing::Messages.put_header(&mut out, &header);
        Framing::Messages.put_end(&mut out);
        let space = ns::FRAMING;
        let text =
            format!("<open xmlns='{space}' from='a.example' version='1.0' xml:lang='en'/>\0<close xmlns='{space}'/>\0");
        assert_eq!(String::from_utf8_lossy(&out), text);
    }
}
