//! Event subscription: `subscribe` and `unsubscribe` (nfi EventSubscription). Events themselves, and the answer
//! `accepted`, are sensor data of the same generation.

use torg_thing::{Categories, Decimal, FieldName, NodeRef, Span};

use super::codec::{self, DecodeError, Tokens};
use super::{Generation, Interface, field};
use crate::xml::Element;

/// Anything that travels in the events namespace.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one per request, made and taken apart at once")]
pub enum Events {
    /// Creates a subscription, or replaces the one with the same id.
    Subscribe(Subscribe),
    /// Removes a subscription, by its id.
    Unsubscribe(String),
}

/// `subscribe`: a standing wish for sensor data.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscribe {
    /// Chosen by the subscriber; every event carries it.
    pub id: String,
    /// Categories to include in events; never empty after decoding, none means all.
    pub categories: Categories,
    /// Shortest time between events; a trigger that comes earlier waits.
    pub min_interval: Option<Span>,
    /// Longest time without an event.
    pub max_interval: Option<Span>,
    /// Oldest historical value to include in an event.
    pub max_age: Option<Span>,
    /// A readout is wanted at once.
    pub request: bool,
    /// Nodes to follow.
    pub nodes: Vec<NodeRef>,
    /// What triggers an event; empty means any change of any included field.
    pub rules: Vec<FieldRule>,
    /// Who asks, besides the sender.
    pub tokens: Tokens,
}

/// `f`: one field and how far it must move to trigger an event. Without thresholds any change triggers.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldRule {
    /// The field.
    pub name: FieldName,
    /// The value the subscriber believes to be current.
    pub current: Option<Decimal>,
    /// Change in either direction, positive.
    pub by: Option<Decimal>,
    /// Rise, positive.
    pub up: Option<Decimal>,
    /// Fall, positive.
    pub down: Option<Decimal>,
}

impl FieldRule {
    /// Triggers on any change.
    pub fn any_change(name: FieldName) -> Self {
        Self { name, current: None, by: None, up: None, down: None }
    }
}

impl Events {
    /// Reads an element of the events namespace, in whichever generation it is.
    ///
    /// # Errors
    /// [`DecodeError::Unknown`] if it is no such element, the others if it is malformed.
    pub fn decode(element: &Element) -> Result<(Self, Generation), DecodeError> {
        let generation = codec::generation(element, Interface::Events)?;
        let payload = match element.name() {
            "subscribe" => Self::Subscribe(Subscribe::decode(element)?),
            "unsubscribe" => Self::Unsubscribe(codec::required(element, "id")?.to_owned()),
            _ => return Err(codec::unknown(element)),
        };
        Ok((payload, generation))
    }

    /// Writes the element in the given generation.
    pub fn encode(&self, generation: Generation) -> Element {
        let ns = generation.namespace(Interface::Events);
        match self {
            Self::Subscribe(subscribe) => subscribe.encode(ns),
            Self::Unsubscribe(id) => Element::new(ns, "unsubscribe").with_attr("id", id),
        }
    }
}

impl Subscribe {
    /// A subscription to any change of the given nodes.
    pub fn to(id: impl Into<String>, nodes: Vec<NodeRef>) -> Self {
        Self {
            id: id.into(),
            categories: Categories::ALL,
            min_interval: None,
            max_interval: None,
            max_age: None,
            request: false,
            nodes,
            rules: Vec::new(),
            tokens: Tokens::default(),
        }
    }

    fn decode(element: &Element) -> Result<Self, DecodeError> {
        let (mut nodes, mut rules) = (Vec::new(), Vec::new());
        for child in element.children().filter(|child| child.namespace() == element.namespace()) {
            match child.name() {
                "nd" => nodes.push(codec::node(child)?),
                "f" => rules.push(FieldRule::decode(child)?),
                _ => {}
            }
        }
        Ok(Self {
            id: codec::required(element, "id")?.to_owned(),
            categories: field::wanted_categories(element)?,
            min_interval: codec::optional(element, "minInt", "duration")?,
            max_interval: codec::optional(element, "maxInt", "duration")?,
            max_age: codec::optional(element, "maxAge", "duration")?,
            request: codec::flag(element, "req")?,
            nodes,
            rules,
            tokens: Tokens::decode(element),
        })
    }

    fn encode(&self, ns: &'static str) -> Element {
        let mut element = Element::new(ns, "subscribe").with_attr("id", &self.id);
        field::set_wanted_categories(&mut element, self.categories);
        for (name, span) in [("minInt", &self.min_interval), ("maxInt", &self.max_interval), ("maxAge", &self.max_age)]
        {
            if let Some(span) = span {
                element.set_attr(name, span.to_string());
            }
        }
        codec::set_flag(&mut element, "req", self.request);
        self.tokens.encode(&mut element);
        for node in &self.nodes {
            element.push(codec::node_element(ns, node));
        }
        for rule in &self.rules {
            element.push(rule.encode(ns));
        }
        element
    }
}

impl FieldRule {
    fn decode(element: &Element) -> Result<Self, DecodeError> {
        let threshold = |name: &'static str| match codec::optional::<Decimal>(element, name, "number")? {
            Some(value) if value.mantissa() <= 0 => Err(codec::invalid(element, name, "positive number")),
            value => Ok(value),
        };
        Ok(Self {
            name: codec::field_name(element)?,
            current: codec::optional(element, "v", "number")?,
            by: threshold("by")?,
            up: threshold("up")?,
            down: threshold("dn")?,
        })
    }

    fn encode(&self, ns: &'static str) -> Element {
        let mut element = Element::new(ns, "f").with_attr("n", self.name.as_str());
        for (name, value) in [("v", &self.current), ("by", &self.by), ("up", &self.up), ("dn", &self.down)] {
            if let Some(value) = value {
                element.set_attr(name, value.to_string());
            }
        }
        element
    }
}
