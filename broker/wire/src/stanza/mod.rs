//! Stanzas: iq, message and presence with their addresses (RFC 6120 §8). Payloads stay XML and pass through untouched.
//! Knows nothing of routing; who may send what to whom is decided elsewhere.

mod error;
mod kind;
#[cfg(test)]
mod tests;

use std::fmt;

use compact_str::CompactString;

pub use error::{ErrorType, StanzaCondition, StanzaError};
pub use kind::{IqType, MessageType, PresenceType, StanzaKind};

use crate::jid::{Jid, JidError};
use crate::ns;
use crate::stream_error::{StreamCondition, StreamError};
use crate::xml::{Attribute, Element, Namespace, Scope, Sink, write_attribute, write_attributes, write_element};

/// One iq, message or presence. In memory its own elements are in `jabber:client`, whatever stream it came from.
#[derive(Clone, PartialEq, Eq)]
pub struct Stanza {
    kind: StanzaKind,
    id: Option<CompactString>,
    from: Option<Jid>,
    to: Option<Jid>,
    lang: Option<CompactString>,
    /// Attributes of other namespaces, or that RFC 6120 does not define.
    other: Vec<Attribute>,
    children: Vec<Element>,
}

/// Why an element of a stream is no usable stanza.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StanzaFault {
    /// It is not a stanza, or its `from` is no address: the stream ends with this error.
    Fatal(StreamError),
    /// A stanza that breaks the rules; the sender may be told by [`StanzaFault::reply`].
    Refused {
        /// What is wrong.
        error: StanzaError,
        /// As much of the stanza as could be read, to be answered.
        stanza: Box<Stanza>,
    },
}

impl Stanza {
    /// A stanza of that kind, with nothing in it.
    pub const fn new(kind: StanzaKind) -> Self {
        Stanza { kind, id: None, from: None, to: None, lang: None, other: Vec::new(), children: Vec::new() }
    }

    /// An iq of type `get`.
    pub fn iq_get(id: impl AsRef<str>, payload: Element) -> Self {
        Self::new(StanzaKind::Iq(IqType::Get)).with_id(id).with_child(payload)
    }

    /// An iq of type `set`.
    pub fn iq_set(id: impl AsRef<str>, payload: Element) -> Self {
        Self::new(StanzaKind::Iq(IqType::Set)).with_id(id).with_child(payload)
    }

    /// A message.
    pub const fn message(kind: MessageType) -> Self {
        Self::new(StanzaKind::Message(kind))
    }

    /// A presence.
    pub const fn presence(kind: PresenceType) -> Self {
        Self::new(StanzaKind::Presence(kind))
    }

    /// The empty result of a request: addresses swapped, same id. Add the payload with [`Stanza::with_child`].
    pub fn result_for(request: &Stanza) -> Self {
        Self::new(StanzaKind::Iq(IqType::Result)).answering(request)
    }

    /// The error for any stanza: addresses swapped, same id, only the error inside (RFC 6120 §8.3.1 makes the rest optional).
    ///
    /// Never send it for a stanza that [is an error](StanzaKind::is_error) or an iq result.
    pub fn error_for(stanza: &Stanza, error: impl Into<StanzaError>) -> Self {
        Self::new(stanza.kind.to_error()).answering(stanza).with_child(error.into().to_element())
    }

    fn answering(mut self, request: &Stanza) -> Self {
        self.id.clone_from(&request.id);
        self.from.clone_from(&request.to);
        self.to.clone_from(&request.from);
        self
    }

    // -- reading

    /// Which stanza it is, and its type.
    pub const fn kind(&self) -> StanzaKind {
        self.kind
    }

    /// The `id`, if any. Every iq has one.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The sender as written; whether it is true is for the router to say.
    pub const fn from(&self) -> Option<&Jid> {
        self.from.as_ref()
    }

    /// The recipient.
    pub const fn to(&self) -> Option<&Jid> {
        self.to.as_ref()
    }

    /// `xml:lang`, if any.
    pub fn lang(&self) -> Option<&str> {
        self.lang.as_deref()
    }

    /// Child elements in document order.
    pub fn children(&self) -> &[Element] {
        &self.children
    }

    /// First child of that expanded name.
    pub fn child(&self, namespace: &str, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.is(namespace, name))
    }

    /// The payload of an iq: its first child that is no `<error/>`.
    pub fn payload(&self) -> Option<&Element> {
        self.children.iter().find(|child| !child.is(ns::CLIENT, "error"))
    }

    /// The error inside, if the stanza is of type `error`. One without a readable `<error/>` is `undefined-condition`.
    pub fn error(&self) -> Option<StanzaError> {
        self.kind.is_error().then(|| {
            let found = self.children.iter().find_map(StanzaError::from_element);
            found.unwrap_or_else(|| StanzaError::new(StanzaCondition::UndefinedCondition))
        })
    }

    /// Text of the first `<body/>`, for messages.
    pub fn body(&self) -> Option<String> {
        self.child(ns::CLIENT, "body").map(|body| body.text().into_owned())
    }

    // -- writing

    /// Sets the `id`.
    pub fn set_id(&mut self, id: impl AsRef<str>) {
        self.id = Some(sanitised(id.as_ref()));
    }

    /// Sets or removes the sender.
    pub fn set_from(&mut self, from: Option<Jid>) {
        self.from = from;
    }

    /// Sets or removes the recipient.
    pub fn set_to(&mut self, to: Option<Jid>) {
        self.to = to;
    }

    /// Sets or removes `xml:lang`.
    pub fn set_lang(&mut self, lang: Option<&str>) {
        self.lang = lang.map(sanitised);
    }

    /// Appends a child.
    pub fn push(&mut self, child: Element) {
        self.children.push(child);
    }

    /// Keeps the children for which `keep` is true.
    pub fn retain_children(&mut self, keep: impl FnMut(&Element) -> bool) {
        self.children.retain(keep);
    }

    /// Takes all children out.
    pub fn into_children(self) -> Vec<Element> {
        self.children
    }

    /// Builder form of [`Stanza::set_id`].
    #[must_use]
    pub fn with_id(mut self, id: impl AsRef<str>) -> Self {
        self.set_id(id);
        self
    }

    /// Sets the sender.
    #[must_use]
    pub fn with_from(mut self, from: impl Into<Jid>) -> Self {
        self.from = Some(from.into());
        self
    }

    /// Sets the recipient.
    #[must_use]
    pub fn with_to(mut self, to: impl Into<Jid>) -> Self {
        self.to = Some(to.into());
        self
    }

    /// Appends a child.
    #[must_use]
    pub fn with_child(mut self, child: Element) -> Self {
        self.push(child);
        self
    }

    /// Appends children.
    #[must_use]
    pub fn with_children(mut self, children: impl IntoIterator<Item = Element>) -> Self {
        self.children.extend(children);
        self
    }

    /// Appends a `<body/>`.
    #[must_use]
    pub fn with_body(self, text: impl AsRef<str>) -> Self {
        self.with_child(Element::new(ns::CLIENT, "body").with_text(text))
    }

    // -- XML

    /// Reads a first-level element of a client, server or component stream.
    ///
    /// Unknown children and attributes stay; text directly inside the stanza means nothing and is dropped.
    ///
    /// # Errors
    /// See [`StanzaFault`].
    pub fn from_element(mut element: Element) -> Result<Self, StanzaFault> {
        let content = element.namespace().clone();
        if content != ns::CLIENT {
            if content != ns::SERVER && content != ns::COMPONENT {
                return Err(StanzaFault::Fatal(StreamError::new(StreamCondition::UnsupportedStanzaType)));
            }
            rename(&mut element, &content);
        }
        let Some(kind) = StanzaKind::from_names(element.name(), element.attr("type")) else {
            return Err(StanzaFault::Fatal(StreamError::new(StreamCondition::UnsupportedStanzaType)));
        };
        let fallback = kind.unwrap_or(match element.name() {
            "presence" => StanzaKind::Presence(PresenceType::Subscribe),
            _ => StanzaKind::Iq(IqType::Get),
        });
        let mut stanza = Stanza::new(fallback);
        let (mut from, mut to) = (None, None);
        for attribute in element.take_attributes() {
            match (attribute.namespace().as_str(), attribute.name()) {
                ("", "type") => {}
                ("", "id") => stanza.id = Some(attribute.into_value()),
                ("", "from") => from = Some(attribute.into_value()),
                ("", "to") => to = Some(attribute.into_value()),
                (ns::XML, "lang") => stanza.lang = Some(attribute.into_value()),
                _ => stanza.other.push(attribute),
            }
        }
        stanza.children = element.into_children().collect();
        let address = |text: Option<CompactString>| text.map(|text| Jid::parse(&text)).transpose();
        let invalid_from = |_: JidError| StanzaFault::Fatal(StreamError::new(StreamCondition::InvalidFrom));
        stanza.from = address(from).map_err(invalid_from)?;
        let to = address(to);
        match to {
            Ok(to) => stanza.to = to,
            Err(_) => return Err(stanza.refused(StanzaCondition::JidMalformed)),
        }
        if kind.is_none() || !stanza.has_iq_form() {
            return Err(stanza.refused(StanzaCondition::BadRequest));
        }
        Ok(stanza)
    }

    /// RFC 6120 §8.2.3: an iq has an id; a request has one child, a result at most one.
    fn has_iq_form(&self) -> bool {
        let StanzaKind::Iq(kind) = self.kind else {
            return true;
        };
        let children = self.children.len();
        self.id.is_some()
            && match kind {
                IqType::Get | IqType::Set => children == 1,
                IqType::Result => children <= 1,
                IqType::Error => true,
            }
    }

    fn refused(self, condition: StanzaCondition) -> StanzaFault {
        StanzaFault::Refused { error: StanzaError::new(condition), stanza: Box::new(self) }
    }

    /// As an element in `jabber:client`.
    pub fn to_element(&self) -> Element {
        self.clone().into_element()
    }

    /// As an element in `jabber:client`, without copying the children.
    pub fn into_element(self) -> Element {
        let mut element = Element::new(ns::CLIENT, self.kind.name())
            .with_attr_opt("type", self.kind.type_name())
            .with_attr_opt("id", self.id)
            .with_attr_opt("from", self.from)
            .with_attr_opt("to", self.to);
        if let Some(lang) = self.lang {
            element.set_attr_ns(Namespace::from_static(ns::XML), "lang", lang);
        }
        for attribute in self.other {
            element.push_attribute(attribute);
        }
        element.with_children(self.children)
    }

    /// Writes the stanza for a place where `scope` is in force; see [`Element::write_to`].
    pub fn write_to(&self, out: &mut impl Sink, scope: &Scope<'_>) {
        let (name, content) = (self.kind.name(), scope.content_namespace());
        out.put("<");
        out.put(name);
        if content != scope.default_namespace() {
            write_attribute(out, "xmlns", content);
        }
        let own = [
            ("type", self.kind.type_name()),
            ("id", self.id()),
            ("from", self.from.as_ref().map(Jid::as_str)),
            ("to", self.to.as_ref().map(Jid::as_str)),
            ("xml:lang", self.lang()),
        ];
        for (name, value) in own {
            if let Some(value) = value {
                write_attribute(out, name, value);
            }
        }
        write_attributes(out, &self.other, scope);
        if self.children.is_empty() {
            out.put("/>");
            return;
        }
        out.put(">");
        for child in &self.children {
            write_element(out, child, scope, content, true);
        }
        out.put("</");
        out.put(name);
        out.put(">");
    }

    /// The stanza as bytes, ready for a stream.
    pub fn to_bytes(&self, scope: &Scope<'_>) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        self.write_to(&mut out, scope);
        out
    }
}

fn sanitised(text: &str) -> CompactString {
    CompactString::from(crate::xml::sanitised(text))
}

/// Moves the stanza's own elements from a stream's content namespace to `jabber:client`.
fn rename(element: &mut Element, content: &Namespace) {
    element.set_namespace(ns::CLIENT);
    for child in element.children_mut().filter(|child| child.namespace() == content) {
        rename(child, content);
    }
}

impl StanzaFault {
    /// The stanza to answer with, or `None` if an answer would be against the rules (errors and results get none).
    pub fn reply(&self) -> Option<Stanza> {
        match self {
            StanzaFault::Fatal(_) => None,
            StanzaFault::Refused { error, stanza } => {
                let answerable = !stanza.kind.is_error() && stanza.kind != StanzaKind::Iq(IqType::Result);
                answerable.then(|| Stanza::error_for(stanza, error.clone()))
            }
        }
    }
}

impl fmt::Display for StanzaFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StanzaFault::Fatal(error) => fmt::Display::fmt(error, f),
            StanzaFault::Refused { error, .. } => fmt::Display::fmt(error, f),
        }
    }
}

impl std::error::Error for StanzaFault {}

impl fmt::Debug for Stanza {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Stanza {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.write_to(&mut text, &Scope::DOCUMENT);
        f.write_str(&text)
    }
}
