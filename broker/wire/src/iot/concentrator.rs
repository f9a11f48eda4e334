//! The concentrator interface as far as browsing goes: data sources, nodes and their order (nfi Concentrator, "Data
//! sources" and "Nodes"). Editing, commands, source events and sniffers are not here yet.
//!
//! `xml:lang` is read from the request element, where deployed clients write it; the stanza's own is the caller's
//! business and counts less.

use torg_thing::{NodeRef, SourceId};

use super::codec::{self, DecodeError, Tokens};
use super::node_info::{DataSource, NodeInfo};
use super::{Generation, Interface};
use crate::xml::Element;

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

/// The browsing operations. Each is named like its element, without the `get`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// All nodes of a source, breadth first.
    AllNodes {
        /// The source.
        source: SourceId,
        /// Only nodes of these types or types derived from them; empty means any type.
        derived_from: Vec<String>,
        /// What to tell of each.
        detail: Detail,
    },
    /// All data sources, flat.
    AllDataSources,
    /// The node, its parent, and so on to the root.
    Ancestors(NodeRef, Detail),
    /// Names of the operations that are supported.
    Capabilities,
    /// The children of a data source.
    ChildDataSources(SourceId),
    /// The children of a node.
    ChildNodes(NodeRef, Detail),
    /// Whether a node exists.
    ContainsNode(NodeRef),
    /// Whether nodes exist, each.
    ContainsNodes(Vec<NodeRef>),
    /// One node.
    Node(NodeRef, Detail),
    /// The types a node is derived from.
    NodeInheritance(NodeRef),
    /// Several nodes.
    Nodes(Vec<NodeRef>, Detail),
    /// Data sources without a parent.
    RootDataSources,
    /// Nodes of a source without a parent.
    RootNodes(SourceId, Detail),
}

/// How much is told of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Detail {
    /// Its displayable parameters.
    pub parameters: bool,
    /// Its messages.
    pub messages: bool,
}

/// An answer of a concentrator.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// One truth value.
    Bool(bool),
    /// Truth values in the order of the nodes asked about.
    Bools(Vec<bool>),
    /// Data sources.
    DataSources(Vec<DataSource>),
    /// What a node is derived from.
    Inheritance {
        /// Types from the direct base up.
        base_classes: Vec<String>,
        /// Interfaces it implements.
        interfaces: Vec<String>,
    },
    /// One node.
    NodeInfo(Box<NodeInfo>),
    /// Several nodes.
    NodeInfos(Vec<NodeInfo>),
    /// Strings.
    Strings(Vec<String>),
}

impl Detail {
    /// Parameters and messages.
    pub const FULL: Self = Self { parameters: true, messages: true };

    fn decode(element: &Element) -> Result<Self, DecodeError> {
        Ok(Self { parameters: codec::flag(element, "parameters")?, messages: codec::flag(element, "messages")? })
    }

    fn encode(self, element: &mut Element) {
        codec::set_flag(element, "parameters", self.parameters);
        codec::set_flag(element, "messages", self.messages);
    }
}

impl Question {
    /// A question without tokens, in no particular language.
    pub fn of(operation: Operation) -> Self {
        Self { operation, tokens: Tokens::default(), lang: None }
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
            Self::AllDataSources => "getAllDataSources",
            Self::AllNodes { .. } => "getAllNodes",
            Self::Ancestors(..) => "getAncestors",
            Self::Capabilities => "getCapabilities",
            Self::ChildDataSources(_) => "getChildDataSources",
            Self::ChildNodes(..) => "getChildNodes",
            Self::ContainsNode(_) => "containsNode",
            Self::ContainsNodes(_) => "containsNodes",
            Self::Node(..) => "getNode",
            Self::NodeInheritance(_) => "getNodeInheritance",
            Self::Nodes(..) => "getNodes",
            Self::RootDataSources => "getRootDataSources",
            Self::RootNodes(..) => "getRootNodes",
        }
    }

    /// Names of all operations, in alphabetical order.
    pub const NAMES: [&'static str; 13] = [
        "containsNode",
        "containsNodes",
        "getAllDataSources",
        "getAllNodes",
        "getAncestors",
        "getCapabilities",
        "getChildDataSources",
        "getChildNodes",
        "getNode",
        "getNodeInheritance",
        "getNodes",
        "getRootDataSources",
        "getRootNodes",
    ];

    fn decode(element: &Element) -> Result<Self, DecodeError> {
        let node = || codec::node(element);
        let detail = || Detail::decode(element);
        Ok(match element.name() {
            "containsNode" => Self::ContainsNode(node()?),
            "containsNodes" => Self::ContainsNodes(codec::nodes(element)?),
            "getAllDataSources" => Self::AllDataSources,
            "getAllNodes" => Self::AllNodes {
                source: codec::source(element)?,
                derived_from: codec::texts(element, "onlyIfDerivedFrom"),
                detail: detail()?,
            },
            "getAncestors" => Self::Ancestors(node()?, detail()?),
            "getCapabilities" => Self::Capabilities,
            "getChildDataSources" => Self::ChildDataSources(codec::source(element)?),
            "getChildNodes" => Self::ChildNodes(node()?, detail()?),
            "getNode" => Self::Node(node()?, detail()?),
            "getNodeInheritance" => Self::NodeInheritance(node()?),
            "getNodes" => Self::Nodes(codec::nodes(element)?, detail()?),
            "getRootDataSources" => Self::RootDataSources,
            "getRootNodes" => Self::RootNodes(codec::source(element)?, detail()?),
            _ => return Err(codec::unknown(element)),
        })
    }

    fn encode(&self, ns: &'static str) -> Element {
        let mut element = Element::new(ns, self.name());
        match self {
            Self::AllDataSources | Self::Capabilities | Self::RootDataSources => {}
            Self::AllNodes { source, derived_from, detail } => {
                codec::set_source(&mut element, source);
                detail.encode(&mut element);
                for kind in derived_from {
                    element.push(Element::new(ns, "onlyIfDerivedFrom").with_text(kind));
                }
            }
            Self::Ancestors(node, detail) | Self::ChildNodes(node, detail) | Self::Node(node, detail) => {
                codec::set_node(&mut element, node);
                detail.encode(&mut element);
            }
            Self::ChildDataSources(source) => element.set_attr("src", source.as_str()),
            Self::ContainsNode(node) | Self::NodeInheritance(node) => codec::set_node(&mut element, node),
            Self::ContainsNodes(nodes) => codec::push_nodes(&mut element, ns, nodes),
            Self::Nodes(nodes, detail) => {
                detail.encode(&mut element);
                codec::push_nodes(&mut element, ns, nodes);
            }
            Self::RootNodes(source, detail) => {
                codec::set_source(&mut element, source);
                detail.encode(&mut element);
            }
        }
        element
    }
}

impl Answer {
    /// Reads an answer, in whichever generation it is.
    ///
    /// # Errors
    /// [`DecodeError::Unknown`] if it is no answer we know, the others if it is malformed.
    pub fn decode(element: &Element) -> Result<(Self, Generation), DecodeError> {
        let generation = codec::generation(element, Interface::Concentrator)?;
        let ns = element.namespace().as_str();
        let list =
            |name: &'static str| element.child(ns, name).map(|list| codec::texts(list, "value")).unwrap_or_default();
        let answer = match element.name() {
            "bool" => Self::Bool(boolean_text(element)?),
            "bools" => Self::Bools(element.children_named(ns, "bool").map(boolean_text).collect::<Result<_, _>>()?),
            "dataSources" => Self::DataSources(
                element.children_named(ns, "dataSource").map(DataSource::decode).collect::<Result<_, _>>()?,
            ),
            "inheritance" => Self::Inheritance { base_classes: list("baseClasses"), interfaces: list("interfaces") },
            "nodeInfo" => Self::NodeInfo(Box::new(NodeInfo::decode(element)?)),
            "nodeInfos" => {
                Self::NodeInfos(element.children_named(ns, "nodeInfo").map(NodeInfo::decode).collect::<Result<_, _>>()?)
            }
            "strings" => Self::Strings(codec::texts(element, "value")),
            _ => return Err(codec::unknown(element)),
        };
        Ok((answer, generation))
    }

    /// Writes the answer in the given generation.
    pub fn encode(&self, generation: Generation) -> Element {
        let ns = generation.namespace(Interface::Concentrator);
        let boolean = |value: bool| Element::new(ns, "bool").with_text(if value { "true" } else { "false" });
        let strings = |name: &'static str, values: &[String]| {
            let values = values.iter().map(|value| Element::new(ns, "value").with_text(value));
            Element::new(ns, name).with_children(values)
        };
        match self {
            Self::Bool(value) => boolean(*value),
            Self::Bools(values) => Element::new(ns, "bools").with_children(values.iter().map(|value| boolean(*value))),
            Self::DataSources(sources) => {
                Element::new(ns, "dataSources").with_children(sources.iter().map(|source| source.encode(ns)))
            }
            Self::Inheritance { base_classes, interfaces } => Element::new(ns, "inheritance")
                .with_child(strings("baseClasses", base_classes))
                .with_child(strings("interfaces", interfaces)),
            Self::NodeInfo(info) => info.encode(ns),
            Self::NodeInfos(infos) => {
                Element::new(ns, "nodeInfos").with_children(infos.iter().map(|info| info.encode(ns)))
            }
            Self::Strings(values) => strings("strings", values),
        }
    }
}

fn boolean_text(element: &Element) -> Result<bool, DecodeError> {
    codec::parse_boolean(&element.text()).ok_or_else(|| codec::invalid(element, "text", "boolean"))
}
