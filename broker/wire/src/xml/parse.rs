//! The strict filter: quick-xml finds the tags of one complete element, everything it lets through is checked here
//! (XML 1.0 5th edition, Namespaces in XML 1.0, and the XMPP subset of RFC 6120 §11).
//!
//! # Why
//! quick-xml is fast but accepts what a conforming parser must refuse: undeclared prefixes, equal expanded names, raw control
//! characters, `<` in values, missing white space, `]]>` in text, several roots. Two parsers that disagree are a smuggling
//! hole, so the filter is strict and a fuzz target compares it with `rxml`.
#![warn(clippy::indexing_slicing, clippy::as_conversions, clippy::arithmetic_side_effects)]

use compact_str::CompactString;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

use super::attributes::{RawAttributes, normalised_value, split_once};
use super::bindings::{Bindings, Declarations};
use super::element::Attribute;
use super::refs::push_reference;
use super::{Element, Limits, Namespace, chars};
use crate::ns;
use crate::stream_error::{StreamCondition, StreamError};

/// Parses exactly one element, with nothing around it but white space.
///
/// # Errors
/// The stream error a peer would get for sending it.
pub fn parse_document(bytes: impl AsRef<[u8]>, limits: &Limits) -> Result<Element, StreamError> {
    let text = checked_text(bytes.as_ref())?;
    parse_element(text.trim_ascii(), &Declarations::new(), limits)
}

/// The bytes as text, if they are UTF-8 and every character is allowed in XML.
pub(crate) fn checked_text(bytes: &[u8]) -> Result<&str, StreamError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| StreamError::new(StreamCondition::UnsupportedEncoding).with_text("Not UTF-8."))?;
    if chars::is_xml_text(text) { Ok(text) } else { Err(malformed("Character not allowed in XML.")) }
}

/// Parses one element that starts at the first byte and ends at the last, with the stream's bindings in scope.
pub(crate) fn parse_element(text: &str, scope: &Declarations, limits: &Limits) -> Result<Element, StreamError> {
    if text.len() > limits.bytes {
        return Err(exceeded("Too many bytes in one element."));
    }
    Tree::new(scope, *limits).build(text)
}

/// Parses a start tag that is not closed yet: the stream header. Returns the element and the bindings it leaves in force.
pub(crate) fn parse_open_tag(text: &str, limits: &Limits) -> Result<(Element, Declarations), StreamError> {
    parse_open_tag_within(text, &Declarations::new(), limits)
}

/// As [`parse_open_tag`], inside of another element that is not closed yet: its bindings stay in force.
pub(crate) fn parse_open_tag_within(
    text: &str,
    outer: &Declarations,
    limits: &Limits,
) -> Result<(Element, Declarations), StreamError> {
    if text.len() > limits.bytes {
        return Err(exceeded("Too many bytes in the stream header."));
    }
    let mut reader = strict_reader(text);
    let mut tree = Tree::new(outer, *limits);
    match reader.read_event() {
        Ok(Event::Start(tag) | Event::Empty(tag)) if usize::try_from(reader.buffer_position()) == Ok(text.len()) => {
            let element = tree.start(&tag)?;
            Ok((element, tree.bindings.into_all()))
        }
        _ => Err(malformed("Not a stream header.")),
    }
}

fn strict_reader(text: &str) -> Reader<&[u8]> {
    let mut reader = Reader::from_str(text);
    let config = reader.config_mut();
    // The tree compares end tags itself, in the same step in which it closes the element.
    config.check_end_names = false;
    config.allow_unmatched_ends = true;
    reader
}

/// Elements that were opened and not yet closed, innermost last.
struct Tree<'a> {
    bindings: Bindings<'a>,
    open: Vec<Open>,
    limits: Limits,
    elements: usize,
    declared_bytes: usize,
    root: Option<Element>,
}

struct Open {
    element: Element,
    /// The name as written, prefix included: an end tag must repeat it.
    written: CompactString,
    /// Bindings in force before the start tag.
    outer: usize,
}

impl<'a> Tree<'a> {
    fn new(stream: &'a Declarations, limits: Limits) -> Self {
        let bindings = Bindings::new(stream);
        Tree { bindings, open: Vec::new(), limits, elements: 0, declared_bytes: 0, root: None }
    }

    fn build(mut self, text: &str) -> Result<Element, StreamError> {
        // quick-xml would skip a byte order mark.
        if !text.starts_with('<') {
            return Err(malformed("Text outside the element."));
        }
        let mut reader = strict_reader(text);
        loop {
            match reader.read_event() {
                Ok(Event::Start(tag)) => {
                    let outer = self.bindings.len();
                    let element = self.start(&tag)?;
                    self.open.push(Open { element, written: CompactString::new(tag.name().as_ref()), outer });
                }
                Ok(Event::Empty(tag)) => {
                    let outer = self.bindings.len();
                    let element = self.start(&tag)?;
                    self.close(element, outer);
                }
                Ok(Event::End(tag)) => self.end(tag.name().as_ref())?,
                Ok(Event::Text(text)) => {
                    if text.contains("]]>") {
                        return Err(malformed("]]> in text."));
                    }
                    self.text(&text)?;
                }
                Ok(Event::CData(text)) => self.text(&text)?,
                Ok(Event::GeneralRef(reference)) => {
                    let mut resolved = CompactString::default();
                    push_reference(&mut resolved, &reference)?;
                    self.innermost()?.push_checked_text(&resolved);
                }
                Ok(Event::Comment(_)) => return Err(restricted("Comment.")),
                Ok(Event::DocType(_)) => return Err(restricted("Document type declaration.")),
                Ok(Event::PI(_)) => return Err(restricted("Processing instruction.")),
                Ok(Event::Decl(_)) => return Err(restricted("XML declaration inside the stream.")),
                Ok(Event::Eof) => break,
                Err(_) => return Err(malformed("Broken tag.")),
            }
        }
        if !self.open.is_empty() {
            return Err(malformed("Element not closed."));
        }
        self.root.ok_or_else(|| malformed("No element."))
    }

    fn start(&mut self, tag: &BytesStart<'_>) -> Result<Element, StreamError> {
        if self.root.is_some() {
            return Err(malformed("Second root element."));
        }
        self.elements = self.elements.saturating_add(1);
        if self.elements > self.limits.elements {
            return Err(exceeded("Too many elements."));
        }
        if self.open.len() >= self.limits.depth {
            return Err(exceeded("Elements nested too deeply."));
        }
        let name = tag.name();
        let (prefix, local) = split_name(name.as_ref())?;
        let mut element = Element::from_parts(Namespace::NONE, CompactString::new(local));
        self.attributes(&mut element, tag.attributes_raw())?;
        let namespace = self.bindings.resolve(prefix)?;
        self.count_declaration(&namespace)?;
        element.set_namespace(namespace);
        Ok(element)
    }

    /// Reads declarations and attributes in one pass; prefixes can be resolved when all declarations are known.
    fn attributes(&mut self, element: &mut Element, raw: &str) -> Result<(), StreamError> {
        let outer = self.bindings.len();
        let mut prefixed: Vec<(&str, &str, &str)> = Vec::new();
        element.reserve_attributes(raw.bytes().filter(|b| *b == b'=').count());
        for attribute in RawAttributes::new(raw) {
            let (name, value) = attribute?;
            if let Some(prefix) = declared_prefix(name) {
                self.bindings.declare(outer, prefix, &normalised_value(value)?, self.limits.bindings)?;
                continue;
            }
            if element.attributes().len().saturating_add(prefixed.len()) >= self.limits.attributes {
                return Err(exceeded("Too many attributes."));
            }
            match split_name(name)? {
                (None, local) => push_attribute(element, Namespace::NONE, local, value)?,
                (Some("xml"), local) => push_attribute(element, Namespace::from_static(ns::XML), local, value)?,
                (Some(prefix), local) => prefixed.push((prefix, local, value)),
            }
        }
        for (prefix, local, value) in prefixed {
            let namespace = self.bindings.resolve(Some(prefix))?;
            self.declared_bytes = self.declared_bytes.saturating_add(namespace.as_str().len());
            push_attribute(element, namespace, local, value)?;
        }
        Ok(())
    }

    /// Counts the declaration our serialiser will write for an element whose namespace is not its parent's.
    ///
    /// A short prefix may stand for a long name in thousands of places; the canonical form repeats the name in each. The sum
    /// is held to the byte limit, so that writing a stanza never multiplies it.
    fn count_declaration(&mut self, namespace: &Namespace) -> Result<(), StreamError> {
        let changed = self.open.last().is_none_or(|parent| parent.element.namespace() != namespace);
        if changed {
            self.declared_bytes = self.declared_bytes.saturating_add(namespace.as_str().len());
        }
        self.check_declared_bytes()
    }

    fn check_declared_bytes(&self) -> Result<(), StreamError> {
        if self.declared_bytes > self.limits.bytes { Err(exceeded("Namespace names too long.")) } else { Ok(()) }
    }

    fn end(&mut self, name: &str) -> Result<(), StreamError> {
        match self.open.pop() {
            Some(open) if open.written == name.trim_ascii_end() => {
                self.close(open.element, open.outer);
                Ok(())
            }
            _ => Err(malformed("End tag without its start tag.")),
        }
    }

    fn close(&mut self, element: Element, outer: usize) {
        self.bindings.truncate(outer);
        match self.open.last_mut() {
            Some(parent) => parent.element.push(element),
            None => self.root = Some(element),
        }
    }

    fn text(&mut self, text: &str) -> Result<(), StreamError> {
        let innermost = self.innermost()?;
        if !text.contains('\r') {
            innermost.push_checked_text(text);
            return Ok(());
        }
        // Line ends are one line feed (XML 1.0 §2.11).
        let mut pieces = text.split("\r\n").flat_map(|piece| piece.split('\r'));
        if let Some(first) = pieces.next() {
            innermost.push_checked_text(first);
        }
        for piece in pieces {
            innermost.push_checked_text("\n");
            innermost.push_checked_text(piece);
        }
        Ok(())
    }

    fn innermost(&mut self) -> Result<&mut Element, StreamError> {
        match self.open.last_mut() {
            Some(open) => Ok(&mut open.element),
            None => Err(malformed("Text outside the element.")),
        }
    }
}

fn push_attribute(element: &mut Element, namespace: Namespace, local: &str, raw: &str) -> Result<(), StreamError> {
    if element.attr_ns(namespace.as_str(), local).is_some() {
        return Err(malformed("Attribute given twice."));
    }
    element.push_attribute(Attribute::from_parsed(namespace, local, normalised_value(raw)?));
    Ok(())
}

/// The prefix a `xmlns` attribute declares; the empty one is the default namespace. `xmlns:` declares nothing and is no name.
fn declared_prefix(name: &str) -> Option<&str> {
    match name.strip_prefix("xmlns")? {
        "" => Some(""),
        rest => rest.strip_prefix(':').filter(|prefix| !prefix.is_empty()),
    }
}

/// Splits a qualified name and checks both halves (Namespaces in XML §4).
fn split_name(name: &str) -> Result<(Option<&str>, &str), StreamError> {
    let (prefix, local) = match split_once(name, |b| b == b':') {
        Some((prefix, local)) => (Some(prefix), local),
        None => (None, name),
    };
    if prefix.is_none_or(chars::is_ncname) && chars::is_ncname(local) {
        Ok((prefix, local))
    } else {
        Err(malformed("Not a name."))
    }
}

pub(crate) fn malformed(text: &'static str) -> StreamError {
    StreamError::new(StreamCondition::NotWellFormed).with_text(text)
}

pub(crate) fn restricted(text: &'static str) -> StreamError {
    StreamError::new(StreamCondition::RestrictedXml).with_text(text)
}

pub(crate) fn exceeded(text: &'static str) -> StreamError {
    StreamError::new(StreamCondition::PolicyViolation).with_text(text)
}
