//! The concentrator interface: data sources and nodes, editing, commands and queries, source events, sniffers (nfi
//! Concentrator).
//!
//! A client asks a [`Question`] and gets an [`Answer`], a data form or nothing; what comes later comes as a [`Notice`] in
//! a message. Forms are ordinary data forms that stand directly in the result. Which operations are carried out, and for
//! whom, is not decided here.
//!
//! `xml:lang` is read from the request element, where deployed clients write it; the stanza's own is the caller's
//! business and counts less.

mod answer;
mod browse;
mod commands;
mod edit;
mod progress;
mod sniffers;
mod source_events;
mod tables;

#[cfg(test)]
mod tests;

use torg_thing::NodeRef;

use super::codec::{self, DecodeError, Tokens};
use super::{Generation, Interface};
use crate::xep::data_forms::{DataForm, FormKind};
use crate::xml::Element;

pub use answer::{Answer, CommandInfo, NodeType};
pub use browse::{Browse, Detail};
pub use commands::Commands;
pub use edit::{Direction, Edit};
pub use progress::{Progress, QueryProgress};
pub use sniffers::{Sniff, Sniffed, Sniffers};
pub use source_events::{EventKind, EventKinds, NodeEvent, SourceEvent, SourceEvents, Subscribe};

/// A question to a concentrator.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// What is asked.
    pub operation: Operation,
    /// Who asks, besides the sender.
    pub tokens: Tokens,
    /// Language wanted for names.
    pub lang: Option<String>,
}

/// What can be asked of a concentrator, by family.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Sources and nodes.
    Browse(Browse),
    /// Commands and queries.
    Commands(Commands),
    /// Parameters, types and order of nodes.
    Edit(Edit),
    /// Traffic of a line.
    Sniffers(Sniffers),
    /// Subscriptions to changes in a source.
    SourceEvents(SourceEvents),
}

/// The kind of iq an operation comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// A set by the standard, a get by what deployed clients do; both are taken.
    Either,
    /// It changes nothing.
    Get,
    /// It changes something.
    Set,
}

/// What a concentrator tells in a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// A change in a source.
    Event(SourceEvent),
    /// How a query goes.
    Query(QueryProgress),
    /// What was seen on a line.
    Sniff(Sniff),
}

/// The nodes an operation is about: one by the operation for single nodes, or a list by the one for several.
///
/// The two are different elements and have different answers, so a list of one node is not the same as one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nodes {
    /// One node, in the attributes of the request.
    One(NodeRef),
    /// Nodes in `nd` children.
    Several(Vec<NodeRef>),
}

impl Nodes {
    /// The nodes in order.
    pub fn as_slice(&self) -> &[NodeRef] {
        match self {
            Self::One(node) => std::slice::from_ref(node),
            Self::Several(nodes) => nodes,
        }
    }

    fn one(element: &Element) -> Result<Self, DecodeError> {
        codec::node(element).map(Self::One)
    }

    fn several(element: &Element) -> Result<Self, DecodeError> {
        codec::nodes(element).map(Self::Several)
    }

    /// The name of an operation that has one name for a single node and one for several.
    const fn choose(&self, one: &'static str, several: &'static str) -> &'static str {
        match self {
            Self::One(_) => one,
            Self::Several(_) => several,
        }
    }

    fn encode(&self, element: &mut Element, ns: &'static str) {
        match self {
            Self::One(node) => codec::set_node(element, node),
            Self::Several(nodes) => codec::push_nodes(element, ns, nodes),
        }
    }
}

impl Question {
    /// A question without tokens, in no particular language.
    pub fn of(operation: impl Into<Operation>) -> Self {
        Self { operation: operation.into(), tokens: Tokens::default(), lang: None }
    }

    /// Reads an element of the concentrator namespace, in whichever generation it is.
    ///
    /// # Errors
    /// [`DecodeError::Unknown`] if it is no operation we know, the others if it is malformed.
    pub fn decode(element: &Element) -> Result<(Self, Generation), DecodeError> {
        let generation = codec::generation(element, Interface::Concentrator)?;
        let question = Self {
            operation: Operation::decode(element)?,
            tokens: Tokens::decode(element),
            lang: element.lang().map(str::to_owned),
        };
        Ok((question, generation))
    }

    /// Writes the element in the given generation.
    pub fn encode(&self, generation: Generation) -> Element {
        let mut element = self.operation.encode(generation.namespace(Interface::Concentrator));
        self.tokens.encode(&mut element);
        match &self.lang {
            Some(lang) => element.with_lang(lang),
            None => element,
        }
    }
}

impl Operation {
    /// The name of the element, which is also the name in the list of capabilities.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Browse(operation) => operation.name(),
            Self::Commands(operation) => operation.name(),
            Self::Edit(operation) => operation.name(),
            Self::Sniffers(operation) => operation.name(),
            Self::SourceEvents(operation) => operation.name(),
        }
    }

    /// The kind of iq it comes in.
    pub const fn method(&self) -> Method {
        match self {
            Self::Browse(_) => Method::Get,
            Self::Commands(operation) => operation.method(),
            Self::Edit(operation) => operation.method(),
            Self::Sniffers(_) | Self::SourceEvents(_) => Method::Set,
        }
    }

    fn decode(element: &Element) -> Result<Self, DecodeError> {
        if let Some(operation) = Browse::decode(element)? {
            return Ok(Self::Browse(operation));
        }
        if let Some(operation) = Commands::decode(element)? {
            return Ok(Self::Commands(operation));
        }
        if let Some(operation) = Edit::decode(element)? {
            return Ok(Self::Edit(operation));
        }
        if let Some(operation) = SourceEvents::decode(element)? {
            return Ok(Self::SourceEvents(operation));
        }
        Sniffers::decode(element)?.map(Self::Sniffers).ok_or_else(|| codec::unknown(element))
    }

    fn encode(&self, ns: &'static str) -> Element {
        match self {
            Self::Browse(operation) => operation.encode(ns),
            Self::Commands(operation) => operation.encode(ns),
            Self::Edit(operation) => operation.encode(ns),
            Self::Sniffers(operation) => operation.encode(ns),
            Self::SourceEvents(operation) => operation.encode(ns),
        }
    }
}

impl From<Browse> for Operation {
    fn from(operation: Browse) -> Self {
        Self::Browse(operation)
    }
}

impl From<Commands> for Operation {
    fn from(operation: Commands) -> Self {
        Self::Commands(operation)
    }
}

impl From<Edit> for Operation {
    fn from(operation: Edit) -> Self {
        Self::Edit(operation)
    }
}

impl From<Sniffers> for Operation {
    fn from(operation: Sniffers) -> Self {
        Self::Sniffers(operation)
    }
}

impl From<SourceEvents> for Operation {
    fn from(operation: SourceEvents) -> Self {
        Self::SourceEvents(operation)
    }
}

impl Notice {
    /// Reads the payload of a message, in whichever generation it is.
    ///
    /// # Errors
    /// [`DecodeError::Unknown`] if a concentrator tells no such thing, the others if it is malformed.
    pub fn decode(element: &Element) -> Result<(Self, Generation), DecodeError> {
        let generation = codec::generation(element, Interface::Concentrator)?;
        let notice = match element.name() {
            "queryProgress" => Self::Query(QueryProgress::decode(element)?),
            "sniff" => Self::Sniff(Sniff::decode(element)?),
            _ => Self::Event(SourceEvent::decode(element)?),
        };
        Ok((notice, generation))
    }

    /// Writes the payload in the given generation.
    pub fn encode(&self, generation: Generation) -> Element {
        let ns = generation.namespace(Interface::Concentrator);
        match self {
            Self::Event(event) => event.encode(ns),
            Self::Query(progress) => progress.encode(ns),
            Self::Sniff(sniff) => sniff.encode(ns),
        }
    }
}

/// The form a request carries, if it does.
fn submitted(element: &Element) -> Result<Option<DataForm>, DecodeError> {
    match element.children().find_map(DataForm::decode) {
        Some(form) if form.kind != FormKind::Submit => Err(codec::invalid(element, "x", "form of type submit")),
        form => Ok(form),
    }
}

/// The form a request must carry.
fn required_form(element: &Element) -> Result<DataForm, DecodeError> {
    submitted(element)?.ok_or_else(|| codec::invalid(element, "x", "form of type submit"))
}

fn required_text(element: &Element, name: &'static str) -> Result<String, DecodeError> {
    codec::required(element, name).map(str::to_owned)
}

fn optional_text(element: &Element, name: &'static str) -> Option<String> {
    element.attr(name).map(str::to_owned)
}
