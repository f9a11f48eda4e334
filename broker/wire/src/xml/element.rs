//! The owned XML tree every stanza and payload is made of: expanded names, attributes, elements and text.
//! It remembers no prefixes, comments or entity spellings; what XML cannot carry cannot be put in.
//!
//! # Why
//! Names, attribute values and texts are `CompactString`: most are at most 24 bytes, which it holds without an allocation, and a
//! name written in the program is never copied. Names come from the program or through a check, so that no text of a peer can
//! become markup.

use std::borrow::Cow;
use std::fmt;

use compact_str::CompactString;

use super::{Namespace, Scope, chars};
use crate::ns;

/// An element with an expanded name (namespace and local name), attributes and content.
///
/// Equality ignores the order of attributes, as XML does, and nothing else.
#[derive(Clone)]
pub struct Element {
    namespace: Namespace,
    name: CompactString,
    attributes: Vec<Attribute>,
    content: Vec<Content>,
}

/// One attribute. Unprefixed attributes have no namespace.
#[derive(Clone, PartialEq, Eq)]
pub struct Attribute {
    namespace: Namespace,
    name: CompactString,
    value: CompactString,
}

/// What stands between a start tag and its end tag. Two texts never follow each other and none is empty.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// A child element.
    Element(Element),
    /// Character data, with references resolved.
    Text(CompactString),
}

impl Attribute {
    /// Namespace of the name; [`Namespace::NONE`] for unprefixed attributes.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Local name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Value, with references resolved and white space normalised (XML 1.0 §3.3.3).
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The value, taken out.
    pub(crate) fn into_value(self) -> CompactString {
        self.value
    }

    pub(crate) fn from_parsed(namespace: Namespace, name: &str, value: CompactString) -> Self {
        Attribute { namespace, name: CompactString::new(name), value }
    }

    fn is(&self, namespace: &str, name: &str) -> bool {
        self.name == name && self.namespace == *namespace
    }
}

impl Element {
    /// An empty element. Names are part of the program; foreign names go through [`Element::try_new`].
    pub fn new(namespace: impl Into<Namespace>, name: &'static str) -> Self {
        debug_assert!(chars::is_ncname(name), "element name {name:?}");
        Self::from_parts(namespace.into(), CompactString::const_new(name))
    }

    /// An empty element with a name from outside; `None` if it is no `NCName` or its namespace is reserved.
    pub fn try_new(namespace: impl Into<Namespace>, name: &str) -> Option<Self> {
        let namespace = namespace.into();
        (chars::is_ncname(name) && namespace != ns::XMLNS)
            .then(|| Self::from_parts(namespace, CompactString::new(name)))
    }

    /// The parser's constructor: name already checked.
    pub(crate) fn from_parts(namespace: Namespace, name: CompactString) -> Self {
        Element { namespace, name, attributes: Vec::new(), content: Vec::new() }
    }

    /// Namespace of the name.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Local name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// True if this is the element of that expanded name.
    pub fn is(&self, namespace: &str, name: &str) -> bool {
        self.name == name && self.namespace == *namespace
    }

    /// The same element in another namespace. Children keep theirs.
    pub fn set_namespace(&mut self, namespace: impl Into<Namespace>) {
        self.namespace = namespace.into();
    }

    // -- attributes

    /// Value of an unprefixed attribute.
    pub fn attr(&self, name: &str) -> Option<&str> {
        self.attr_ns("", name)
    }

    /// Value of an attribute by its expanded name.
    pub fn attr_ns(&self, namespace: &str, name: &str) -> Option<&str> {
        self.attributes.iter().find(|a| a.is(namespace, name)).map(Attribute::value)
    }

    /// `xml:lang` of this very element.
    pub fn lang(&self) -> Option<&str> {
        self.attr_ns(ns::XML, "lang")
    }

    /// All attributes. Their order means nothing in XML.
    pub fn attributes(&self) -> &[Attribute] {
        &self.attributes
    }

    /// Adds or replaces an unprefixed attribute.
    pub fn set_attr(&mut self, name: &'static str, value: impl AsRef<str>) {
        self.set_attr_ns(Namespace::NONE, name, value);
    }

    /// Adds or replaces an attribute by its expanded name.
    pub fn set_attr_ns(&mut self, namespace: impl Into<Namespace>, name: &'static str, value: impl AsRef<str>) {
        debug_assert!(chars::is_ncname(name), "attribute name {name:?}");
        debug_assert!(name != "xmlns", "declarations are the serialiser's business");
        let namespace = namespace.into();
        let value = CompactString::from(chars::sanitised(value.as_ref()));
        match self.attributes.iter_mut().find(|a| a.is(namespace.as_str(), name)) {
            Some(attribute) => attribute.value = value,
            None => self.attributes.push(Attribute { namespace, name: CompactString::const_new(name), value }),
        }
    }

    /// Removes an unprefixed attribute and returns its value.
    pub fn remove_attr(&mut self, name: &str) -> Option<CompactString> {
        self.remove_attr_ns("", name)
    }

    /// Removes an attribute by its expanded name and returns its value.
    pub fn remove_attr_ns(&mut self, namespace: &str, name: &str) -> Option<CompactString> {
        let at = self.attributes.iter().position(|a| a.is(namespace, name))?;
        Some(self.attributes.remove(at).value)
    }

    /// Builder form of [`Element::set_attr`].
    #[must_use]
    pub fn with_attr(mut self, name: &'static str, value: impl AsRef<str>) -> Self {
        self.set_attr(name, value);
        self
    }

    /// [`Element::with_attr`] if there is a value, else the element as it is.
    #[must_use]
    pub fn with_attr_opt(self, name: &'static str, value: Option<impl AsRef<str>>) -> Self {
        match value {
            Some(value) => self.with_attr(name, value),
            None => self,
        }
    }

    /// Builder form for `xml:lang`.
    #[must_use]
    pub fn with_lang(mut self, lang: impl AsRef<str>) -> Self {
        self.set_attr_ns(ns::XML, "lang", lang);
        self
    }

    /// All attributes, taken out.
    pub(crate) fn take_attributes(&mut self) -> Vec<Attribute> {
        std::mem::take(&mut self.attributes)
    }

    /// Room for so many attributes, within reason: the number is a guess about foreign bytes.
    pub(crate) fn reserve_attributes(&mut self, count: usize) {
        const RESERVED_MAX: usize = 8;
        self.attributes.reserve_exact(count.min(RESERVED_MAX));
    }

    /// The parser's setter: name and value already checked, uniqueness already proven.
    pub(crate) fn push_attribute(&mut self, attribute: Attribute) {
        self.attributes.push(attribute);
    }

    // -- content

    /// Child elements in document order.
    pub fn children(&self) -> impl DoubleEndedIterator<Item = &Element> {
        self.content.iter().filter_map(Content::as_element)
    }

    /// Child elements in document order, for changes in place.
    pub fn children_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut Element> {
        self.content.iter_mut().filter_map(|c| match c {
            Content::Element(child) => Some(child),
            Content::Text(_) => None,
        })
    }

    /// Child elements of one expanded name.
    pub fn children_named<'a>(&'a self, namespace: &'a str, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children().filter(move |c| c.is(namespace, name))
    }

    /// First child of that expanded name.
    pub fn child(&self, namespace: &str, name: &str) -> Option<&Element> {
        self.children().find(|c| c.is(namespace, name))
    }

    /// First child element, whatever its name.
    pub fn first_child(&self) -> Option<&Element> {
        self.children().next()
    }

    /// Elements and texts in document order.
    pub fn content(&self) -> &[Content] {
        &self.content
    }

    /// Elements and texts in document order, taken out.
    pub fn into_content(self) -> Vec<Content> {
        self.content
    }

    /// Child elements, taken out; text between them is dropped.
    pub fn into_children(self) -> impl Iterator<Item = Element> {
        self.content.into_iter().filter_map(Content::into_element)
    }

    /// The element's own text, without that of its children.
    pub fn text(&self) -> Cow<'_, str> {
        let mut texts = self.content.iter().filter_map(Content::as_text);
        let Some(first) = texts.next() else {
            return Cow::Borrowed("");
        };
        match texts.next() {
            None => Cow::Borrowed(first),
            Some(second) => {
                let mut all = String::from(first);
                all.push_str(second);
                all.extend(texts);
                Cow::Owned(all)
            }
        }
    }

    /// Text of the first child of that name, if there is one.
    pub fn child_text(&self, namespace: &str, name: &str) -> Option<Cow<'_, str>> {
        self.child(namespace, name).map(Element::text)
    }

    /// Neither text nor children.
    pub fn is_empty(&self) -> bool {
        self.content.is_empty()
    }

    /// Appends a child element.
    pub fn push(&mut self, child: Element) {
        self.push_content(Content::Element(child));
    }

    /// Most elements have one child or one text; room for more is made when more come.
    fn push_content(&mut self, content: Content) {
        if self.content.is_empty() {
            self.content.reserve_exact(1);
        }
        self.content.push(content);
    }

    /// Appends text; it joins a text that stands last. What XML cannot carry becomes U+FFFD.
    pub fn push_text(&mut self, text: impl AsRef<str>) {
        self.push_checked_text(&chars::sanitised(text.as_ref()));
    }

    /// The parser's form of [`Element::push_text`]: characters already checked.
    pub(crate) fn push_checked_text(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        match self.content.last_mut() {
            Some(Content::Text(last)) => last.push_str(text),
            _ => self.push_content(Content::Text(CompactString::new(text))),
        }
    }

    /// Keeps the child elements for which `keep` is true, and all text.
    pub fn retain_children(&mut self, mut keep: impl FnMut(&Element) -> bool) {
        let content = std::mem::take(&mut self.content);
        for item in content {
            match item {
                Content::Element(child) if keep(&child) => self.push(child),
                Content::Element(_) => {}
                Content::Text(text) => self.push_checked_text(&text),
            }
        }
    }

    /// Takes the first child of that name out of the tree.
    pub fn take_child(&mut self, namespace: &str, name: &str) -> Option<Element> {
        let at = self.content.iter().position(|c| c.as_element().is_some_and(|e| e.is(namespace, name)))?;
        let taken = self.content.remove(at);
        // Two texts may have become neighbours.
        self.retain_children(|_| true);
        taken.into_element()
    }

    /// Builder form of [`Element::push`].
    #[must_use]
    pub fn with_child(mut self, child: Element) -> Self {
        self.push(child);
        self
    }

    /// [`Element::with_child`] if there is one, else the element as it is.
    #[must_use]
    pub fn with_child_opt(self, child: Option<Element>) -> Self {
        match child {
            Some(child) => self.with_child(child),
            None => self,
        }
    }

    /// Appends all the children.
    #[must_use]
    pub fn with_children(mut self, children: impl IntoIterator<Item = Element>) -> Self {
        self.content.extend(children.into_iter().map(Content::Element));
        self
    }

    /// Builder form of [`Element::push_text`].
    #[must_use]
    pub fn with_text(mut self, text: impl AsRef<str>) -> Self {
        self.push_text(text);
        self
    }
}

impl Content {
    /// The child element, if it is one.
    pub fn as_element(&self) -> Option<&Element> {
        match self {
            Content::Element(element) => Some(element),
            Content::Text(_) => None,
        }
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Content::Element(_) => None,
            Content::Text(text) => Some(text),
        }
    }

    /// The child element, if it is one, taken out.
    pub fn into_element(self) -> Option<Element> {
        match self {
            Content::Element(element) => Some(element),
            Content::Text(_) => None,
        }
    }
}

impl PartialEq for Element {
    fn eq(&self, other: &Self) -> bool {
        // Names are unique within an element, so equal length and inclusion is equality of sets.
        self.name == other.name
            && self.namespace == other.namespace
            && self.attributes.len() == other.attributes.len()
            && self.attributes.iter().all(|a| other.attributes.contains(a))
            && self.content == other.content
    }
}

impl Eq for Element {}

/// The canonical document form, as if nothing were declared around it.
impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.write_to(&mut text, &Scope::DOCUMENT);
        f.write_str(&text)
    }
}

impl fmt::Debug for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Content::Element(element) => fmt::Debug::fmt(element, f),
            Content::Text(text) => fmt::Debug::fmt(text, f),
        }
    }
}

impl fmt::Debug for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{}}}{}={:?}", self.namespace, self.name, self.value)
    }
}
