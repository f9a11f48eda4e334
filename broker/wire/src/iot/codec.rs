//! Reading attributes and the lexical forms that all interfaces share.
//!
//! Inbound forms are lenient where deployed peers are sloppy (booleans, dateTimes without a zone); outbound forms are
//! exactly the ones of the schemas.

use std::str::FromStr;

use torg_thing::{FieldName, NodeId, NodeRef, Partition, SourceId};

use super::{Generation, Interface};
use crate::xml::Element;

/// Why a payload could not be read. The blame is always the peer's; the answer is `bad-request`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// An attribute or text does not have the form its type demands.
    #[error("The {name} of {element} is not a valid {expected}.")]
    Invalid {
        /// Element that carries it.
        element: String,
        /// Attribute name, or `text`.
        name: &'static str,
        /// What was expected.
        expected: &'static str,
    },
    /// A required attribute is absent.
    #[error("The attribute {name} of {element} is missing.")]
    Missing {
        /// Element that lacks it.
        element: String,
        /// Attribute name.
        name: &'static str,
    },
    /// The element is not one of this interface.
    #[error("The element {element} is not known here.")]
    Unknown {
        /// Name of the element.
        element: String,
    },
}

/// Tokens by which the originators of a request are identified, each a space-separated list.
///
/// They are passed on to the decision unread.
#[derive(Clone, Debug, PartialEq, Eq, Default, Hash)]
pub struct Tokens {
    /// `st`: the service.
    pub service: Option<String>,
    /// `dt`: the device.
    pub device: Option<String>,
    /// `ut`: the user.
    pub user: Option<String>,
}

impl Tokens {
    pub(super) fn decode(element: &Element) -> Self {
        let token = |name| element.attr(name).filter(|text| !text.is_empty()).map(str::to_owned);
        Self { service: token("st"), device: token("dt"), user: token("ut") }
    }

    pub(super) fn encode(&self, element: &mut Element) {
        for (name, token) in [("st", &self.service), ("dt", &self.device), ("ut", &self.user)] {
            if let Some(token) = token {
                element.set_attr(name, token);
            }
        }
    }
}

/// Reads a boolean as leniently as deployed peers write it: `true 1 yes on`, `false 0 no off`, in any case.
pub fn parse_boolean(text: &str) -> Option<bool> {
    let is_any = |words: &[&str]| words.iter().any(|word| text.trim().eq_ignore_ascii_case(word));
    if is_any(&["true", "1", "yes", "on"]) {
        Some(true)
    } else if is_any(&["false", "0", "no", "off"]) {
        Some(false)
    } else {
        None
    }
}

pub(super) fn required<'a>(element: &'a Element, name: &'static str) -> Result<&'a str, DecodeError> {
    element.attr(name).ok_or_else(|| DecodeError::Missing { element: element.name().to_owned(), name })
}

pub(super) fn invalid(element: &Element, name: &'static str, expected: &'static str) -> DecodeError {
    DecodeError::Invalid { element: element.name().to_owned(), name, expected }
}

/// A boolean attribute; absent means false.
pub(super) fn flag(element: &Element, name: &'static str) -> Result<bool, DecodeError> {
    match element.attr(name) {
        None => Ok(false),
        Some(text) => parse_boolean(text).ok_or_else(|| invalid(element, name, "boolean")),
    }
}

/// Sets a boolean attribute if it is true, since false is every flag's default.
pub(super) fn set_flag(element: &mut Element, name: &'static str, value: bool) {
    if value {
        element.set_attr(name, "true");
    }
}

/// An optional attribute of a type that reads itself from text.
pub(super) fn optional<T: FromStr>(
    element: &Element,
    name: &'static str,
    expected: &'static str,
) -> Result<Option<T>, DecodeError> {
    element.attr(name).map(|text| text.trim().parse().map_err(|_| invalid(element, name, expected))).transpose()
}

/// A required attribute of a type that reads itself from text.
pub(super) fn parsed<T: FromStr>(
    element: &Element,
    name: &'static str,
    expected: &'static str,
) -> Result<T, DecodeError> {
    required(element, name)?.trim().parse().map_err(|_| invalid(element, name, expected))
}

/// The node addressed by the attributes `id`, `src` and `pt`; an absent source or partition is the empty one.
pub(super) fn node(element: &Element) -> Result<NodeRef, DecodeError> {
    let id = NodeId::parse(required(element, "id")?).map_err(|_| invalid(element, "id", "node identity"))?;
    let partition =
        Partition::parse(element.attr("pt").unwrap_or_default()).map_err(|_| invalid(element, "pt", "partition"))?;
    Ok(NodeRef { source: source(element)?, partition, id })
}

/// Writes the attributes `id`, `src` and `pt`, leaving out empty ones.
pub(super) fn set_node(element: &mut Element, node: &NodeRef) {
    element.set_attr("id", node.id.as_str());
    set_source(element, &node.source);
    if !node.partition.is_empty() {
        element.set_attr("pt", node.partition.as_str());
    }
}

/// An `nd` element.
pub(super) fn node_element(ns: &'static str, node: &NodeRef) -> Element {
    let mut element = Element::new(ns, "nd");
    set_node(&mut element, node);
    element
}

pub(super) fn unknown(element: &Element) -> DecodeError {
    DecodeError::Unknown { element: element.name().to_owned() }
}

/// The generation of an element that must belong to `interface`.
pub(super) fn generation(element: &Element, interface: Interface) -> Result<Generation, DecodeError> {
    match Interface::of_namespace(element.namespace().as_str()) {
        Some((found, generation)) if found == interface => Ok(generation),
        _ => Err(unknown(element)),
    }
}

/// The name `n` of a field or parameter.
pub(super) fn field_name(element: &Element) -> Result<FieldName, DecodeError> {
    FieldName::parse(required(element, "n")?).map_err(|_| invalid(element, "n", "name"))
}

/// The source addressed by the attribute `src`; absent means the empty one.
pub(super) fn source(element: &Element) -> Result<SourceId, DecodeError> {
    SourceId::parse(element.attr("src").unwrap_or_default()).map_err(|_| invalid(element, "src", "source identity"))
}

/// Writes the attribute `src` unless it is empty.
pub(super) fn set_source(element: &mut Element, source: &SourceId) {
    if !source.is_empty() {
        element.set_attr("src", source.as_str());
    }
}

/// The nodes of the `nd` children.
pub(super) fn nodes(element: &Element) -> Result<Vec<NodeRef>, DecodeError> {
    element.children_named(element.namespace().as_str(), "nd").map(node).collect()
}

pub(super) fn push_nodes(element: &mut Element, ns: &'static str, nodes: &[NodeRef]) {
    for node in nodes {
        element.push(node_element(ns, node));
    }
}

/// Texts of the children of one name.
pub(super) fn texts(element: &Element, name: &str) -> Vec<String> {
    element.children_named(element.namespace().as_str(), name).map(|child| child.text().into_owned()).collect()
}
