//! The canonical serialiser: one way to write a tree, and re-parsing it gives an equal tree.
//! Default-namespace declarations where the namespace changes, prefixes only for attributes and for names the stream already declared.
//!
//! # Why
//! Every routed stanza is written from its tree and never forwarded as bytes, so a peer's parser sees only what ours understood
//! (the stanza smuggling family of CVE-2022-25235 and CVE-2022-22784).

use bytes::BytesMut;

use super::{Attribute, Content, Element};
use crate::ns;

/// Something text can be appended to.
pub trait Sink {
    /// Appends the text.
    fn put(&mut self, text: &str);
}

impl Sink for String {
    fn put(&mut self, text: &str) {
        self.push_str(text);
    }
}

impl Sink for Vec<u8> {
    fn put(&mut self, text: &str) {
        self.extend_from_slice(text.as_bytes());
    }
}

impl Sink for BytesMut {
    fn put(&mut self, text: &str) {
        self.extend_from_slice(text.as_bytes());
    }
}

/// The declarations already in force where an element will stand.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    default: &'a str,
    prefixes: &'a [(&'a str, &'a str)],
    content: &'a str,
}

impl Scope<'static> {
    /// Nothing declared: a whole document, or a payload on its own.
    pub const DOCUMENT: Self = Scope { default: "", prefixes: &[], content: ns::CLIENT };
    /// Inside a client stream: `jabber:client` by default, `stream:` as RFC 6120 §4.8.5 wants it spelled.
    pub const CLIENT: Self = Scope { default: ns::CLIENT, prefixes: &[("stream", ns::STREAMS)], content: ns::CLIENT };
    /// Inside a server stream: stanzas change to `jabber:server`, dialback keeps its `db:` (XEP-0220 §2).
    pub const SERVER: Self =
        Scope { default: ns::SERVER, prefixes: &[("stream", ns::STREAMS), ("db", ns::DIALBACK)], content: ns::SERVER };
    /// Inside a component stream (XEP-0114).
    pub const COMPONENT: Self =
        Scope { default: ns::COMPONENT, prefixes: &[("stream", ns::STREAMS)], content: ns::COMPONENT };
}

impl<'a> Scope<'a> {
    /// Only a default namespace declared.
    pub const fn with_default(default: &'a str) -> Self {
        Scope { default, prefixes: &[], content: ns::CLIENT }
    }

    /// The default namespace in force.
    pub const fn default_namespace(&self) -> &'a str {
        self.default
    }

    /// The namespace of stanzas here.
    pub(crate) const fn content_namespace(&self) -> &'a str {
        self.content
    }

    /// Declared prefixes with their namespaces.
    pub const fn prefixes(&self) -> &'a [(&'a str, &'a str)] {
        self.prefixes
    }

    fn prefix_of(&self, namespace: &str) -> Option<&'a str> {
        self.prefixes.iter().find(|(_, name)| *name == namespace).map(|(prefix, _)| *prefix)
    }
}

impl Element {
    /// Writes the canonical form for a place where `scope` is in force.
    ///
    /// Stanzas are `jabber:client` in memory; a scope of another content namespace renames the stanza and those
    /// of its descendants that are reached through that namespace only.
    pub fn write_to(&self, out: &mut impl Sink, scope: &Scope<'_>) {
        write_element(out, self, scope, scope.default, true);
    }

    /// The canonical form as bytes, ready for a stream.
    pub fn to_bytes(&self, scope: &Scope<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        self.write_to(&mut out, scope);
        out
    }
}

/// Writes an element where `default` is the default namespace; `stanza` if only the content namespace lies around it.
pub(crate) fn write_element(out: &mut impl Sink, element: &Element, scope: &Scope<'_>, default: &str, stanza: bool) {
    let own = element.namespace().as_str();
    let stanza = stanza && own == ns::CLIENT;
    let namespace = if stanza { scope.content } else { own };
    let prefix = match namespace {
        same if same == default => None,
        ns::XML => Some("xml"),
        other => scope.prefix_of(other),
    };
    out.put("<");
    write_name(out, prefix, element.name());
    let default = match prefix {
        None if namespace != default => {
            write_attribute(out, "xmlns", namespace);
            namespace
        }
        _ => default,
    };
    write_attributes(out, element.attributes(), scope);
    if element.content().is_empty() {
        out.put("/>");
        return;
    }
    out.put(">");
    for content in element.content() {
        match content {
            Content::Element(child) => write_element(out, child, scope, default, stanza),
            Content::Text(text) => escape(out, text, Place::Text),
        }
    }
    out.put("</");
    write_name(out, prefix, element.name());
    out.put(">");
}

/// Prefixes for attributes are declared on the element that uses them: `n0`, `n1`, in order of appearance.
pub(crate) fn write_attributes(out: &mut impl Sink, attributes: &[Attribute], scope: &Scope<'_>) {
    let mut local: Vec<&str> = Vec::new();
    for attribute in attributes {
        let namespace = attribute.namespace().as_str();
        out.put(" ");
        match namespace {
            "" => out.put(attribute.name()),
            ns::XML => write_name(out, Some("xml"), attribute.name()),
            _ => match scope.prefix_of(namespace) {
                Some(prefix) => write_name(out, Some(prefix), attribute.name()),
                None => {
                    let known = local.iter().position(|name| *name == namespace);
                    let prefix = format!("n{}", known.unwrap_or(local.len()));
                    if known.is_none() {
                        local.push(namespace);
                        write_declaration(out, &prefix, namespace);
                    }
                    write_name(out, Some(&prefix), attribute.name());
                }
            },
        }
        write_value(out, attribute.value());
    }
}

fn write_declaration(out: &mut impl Sink, prefix: &str, namespace: &str) {
    write_name(out, Some("xmlns"), prefix);
    write_value(out, namespace);
    out.put(" ");
}

fn write_name(out: &mut impl Sink, prefix: Option<&str>, name: &str) {
    if let Some(prefix) = prefix {
        out.put(prefix);
        out.put(":");
    }
    out.put(name);
}

/// Writes ` name='value'`.
pub(crate) fn write_attribute(out: &mut impl Sink, name: &str, value: &str) {
    out.put(" ");
    out.put(name);
    write_value(out, value);
}

fn write_value(out: &mut impl Sink, value: &str) {
    out.put("='");
    escape(out, value, Place::Attribute);
    out.put("'");
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Attribute,
    Text,
}

/// Copies the text, replacing what would be read back differently.
fn escape(out: &mut impl Sink, text: &str, place: Place) {
    let mut rest = text;
    while let Some((at, reference)) = next_escape(rest, place) {
        let (plain, special) = rest.split_at(at);
        out.put(plain);
        out.put(reference);
        rest = special.get(1..).unwrap_or_default();
    }
    out.put(rest);
}

/// Position and replacement of the first byte that must not be written as it is. All of them are ASCII.
fn next_escape(text: &str, place: Place) -> Option<(usize, &'static str)> {
    text.bytes().enumerate().find_map(|(at, byte)| {
        let reference = match byte {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            // A raw carriage return is read back as a line feed (XML 1.0 §2.11).
            b'\r' => "&#13;",
            b'\'' if place == Place::Attribute => "&apos;",
            // Raw white space in a value is read back as a space (XML 1.0 §3.3.3).
            b'\t' if place == Place::Attribute => "&#9;",
            b'\n' if place == Place::Attribute => "&#10;",
            _ => return None,
        };
        Some((at, reference))
    })
}
