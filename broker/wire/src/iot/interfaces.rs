//! Harmonized interfaces of a node: `getInterfaces` in its two dialects (nfi HarmonizedInterfaces; the older one is what
//! deployed clients send).

use torg_thing::NodeRef;

use super::codec::{self, DecodeError};
use super::generation::{NS_HARMONIZED, NS_INTEROPERABILITY};
use crate::xml::Element;

/// In which words the interfaces are asked and told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `urn:nfi:iot:hi:1.0`: `interfaces/interface ref`.
    Harmonized,
    /// `urn:xmpp:iot:interoperability`: `getInterfacesResponse/interface name`.
    Interoperability,
}

impl Dialect {
    /// Both, newest first.
    pub const ALL: [Self; 2] = [Self::Harmonized, Self::Interoperability];

    /// The namespace.
    pub const fn namespace(self) -> &'static str {
        match self {
            Self::Harmonized => NS_HARMONIZED,
            Self::Interoperability => NS_INTEROPERABILITY,
        }
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Harmonized => ("interfaces", "ref"),
            Self::Interoperability => ("getInterfacesResponse", "name"),
        }
    }

    fn of(element: &Element) -> Result<Self, DecodeError> {
        Self::ALL
            .into_iter()
            .find(|dialect| *element.namespace() == *dialect.namespace())
            .ok_or_else(|| codec::unknown(element))
    }
}

/// Reads `getInterfaces`: the node asked about, or `None` for the device itself.
///
/// # Errors
/// [`DecodeError::Unknown`] if it is no such element, the others if it is malformed.
pub fn decode_request(element: &Element) -> Result<(Option<NodeRef>, Dialect), DecodeError> {
    let dialect = Dialect::of(element)?;
    if element.name() != "getInterfaces" {
        return Err(codec::unknown(element));
    }
    let asked = element.attr("id").is_some_and(|id| !id.is_empty());
    let node = asked.then(|| codec::node(element)).transpose()?;
    Ok((node, dialect))
}

/// Writes `getInterfaces`.
pub fn request(dialect: Dialect, node: Option<&NodeRef>) -> Element {
    let mut element = Element::new(dialect.namespace(), "getInterfaces");
    if let Some(node) = node {
        codec::set_node(&mut element, node);
    }
    element
}

/// Reads the answer: URIs of interfaces.
///
/// # Errors
/// [`DecodeError::Unknown`] if it is no such element.
pub fn decode_answer(element: &Element) -> Result<Vec<String>, DecodeError> {
    let dialect = Dialect::of(element)?;
    let (name, attribute) = dialect.words();
    if element.name() != name {
        return Err(codec::unknown(element));
    }
    let interfaces = element.children_named(dialect.namespace(), "interface");
    Ok(interfaces.filter_map(|interface| interface.attr(attribute)).map(str::to_owned).collect())
}

/// Writes the answer.
pub fn answer<'a>(dialect: Dialect, interfaces: impl IntoIterator<Item = &'a str>) -> Element {
    let (name, attribute) = dialect.words();
    let interfaces =
        interfaces.into_iter().map(|uri| Element::new(dialect.namespace(), "interface").with_attr(attribute, uri));
    Element::new(dialect.namespace(), name).with_children(interfaces)
}
