//! Browsing: data sources, nodes and their order (nfi Concentrator, "Data sources" and "Nodes").

use torg_thing::{NodeRef, SourceId};

use crate::iot::codec::{self, DecodeError};
use crate::xml::Element;

/// The browsing operations. Each is named like its element, without the `get`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Browse {
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

impl Detail {
    /// Parameters and messages.
    pub const FULL: Self = Self { parameters: true, messages: true };

    pub(super) fn decode(element: &Element) -> Result<Self, DecodeError> {
        Ok(Self { parameters: codec::flag(element, "parameters")?, messages: codec::flag(element, "messages")? })
    }

    pub(super) fn encode(self, element: &mut Element) {
        codec::set_flag(element, "parameters", self.parameters);
        codec::set_flag(element, "messages", self.messages);
    }
}

impl Browse {
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

    /// `None` if the element is no browsing operation.
    pub(super) fn decode(element: &Element) -> Result<Option<Self>, DecodeError> {
        let node = || codec::node(element);
        let detail = || Detail::decode(element);
        Ok(Some(match element.name() {
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
            _ => return Ok(None),
        }))
    }

    pub(super) fn encode(&self, ns: &'static str) -> Element {
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
