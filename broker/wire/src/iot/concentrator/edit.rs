//! Editing: parameters of nodes, new nodes, their order and their end (nfi Concentrator, "Editing" and "Node ordering").
//!
//! The form with the parameters of several nodes holds what they share; fields whose values differ are marked in it.

use torg_thing::NodeRef;

use super::{Method, Nodes, required_form, required_text};
use crate::iot::codec::{self, DecodeError};
use crate::xep::data_forms::DataForm;
use crate::xml::Element;

/// The editing operations.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// Which types of nodes can be added below a node.
    AddableTypes(NodeRef),
    /// Makes a node.
    Create {
        /// Its future parent.
        parent: NodeRef,
        /// Its type, one of those that can be added there.
        kind: String,
        /// Its parameters.
        form: DataForm,
    },
    /// Ends a node, with all below it.
    Destroy(NodeRef),
    /// Moves nodes one step among their siblings.
    Move(Nodes, Direction),
    /// The form for a node that could be made.
    NewNodeForm {
        /// Its future parent.
        parent: NodeRef,
        /// Its type.
        kind: String,
    },
    /// The form with the parameters of nodes.
    ParametersForEdit(Nodes),
    /// Gives nodes the parameters of a form; what the form leaves out stays as it is.
    SetParameters(Nodes, DataForm),
}

/// Where a node moves among its siblings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Towards the end.
    Down,
    /// Towards the beginning.
    Up,
}

impl Edit {
    /// Names of all operations, in alphabetical order.
    pub const NAMES: [&'static str; 12] = [
        "createNewNode",
        "destroyNode",
        "getAddableNodeTypes",
        "getCommonNodeParametersForEdit",
        "getNodeParametersForEdit",
        "getParametersForNewNode",
        "moveNodeDown",
        "moveNodeUp",
        "moveNodesDown",
        "moveNodesUp",
        "setCommonNodeParametersAfterEdit",
        "setNodeParametersAfterEdit",
    ];

    /// The name of the element.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::AddableTypes(_) => "getAddableNodeTypes",
            Self::Create { .. } => "createNewNode",
            Self::Destroy(_) => "destroyNode",
            Self::Move(nodes, Direction::Down) => nodes.choose("moveNodeDown", "moveNodesDown"),
            Self::Move(nodes, Direction::Up) => nodes.choose("moveNodeUp", "moveNodesUp"),
            Self::NewNodeForm { .. } => "getParametersForNewNode",
            Self::ParametersForEdit(nodes) => {
                nodes.choose("getNodeParametersForEdit", "getCommonNodeParametersForEdit")
            }
            Self::SetParameters(nodes, _) => {
                nodes.choose("setNodeParametersAfterEdit", "setCommonNodeParametersAfterEdit")
            }
        }
    }

    pub(super) const fn method(&self) -> Method {
        match self {
            Self::AddableTypes(_) | Self::NewNodeForm { .. } | Self::ParametersForEdit(_) => Method::Get,
            Self::Create { .. } | Self::Destroy(_) | Self::Move(..) | Self::SetParameters(..) => Method::Set,
        }
    }

    /// `None` if the element is no editing operation.
    pub(super) fn decode(element: &Element) -> Result<Option<Self>, DecodeError> {
        let node = || codec::node(element);
        let one = || Nodes::one(element);
        let several = || Nodes::several(element);
        let kind = || required_text(element, "type");
        Ok(Some(match element.name() {
            "createNewNode" => Self::Create { parent: node()?, kind: kind()?, form: required_form(element)? },
            "destroyNode" => Self::Destroy(node()?),
            "getAddableNodeTypes" => Self::AddableTypes(node()?),
            "getCommonNodeParametersForEdit" => Self::ParametersForEdit(several()?),
            "getNodeParametersForEdit" => Self::ParametersForEdit(one()?),
            "getParametersForNewNode" => Self::NewNodeForm { parent: node()?, kind: kind()? },
            "moveNodeDown" => Self::Move(one()?, Direction::Down),
            "moveNodeUp" => Self::Move(one()?, Direction::Up),
            "moveNodesDown" => Self::Move(several()?, Direction::Down),
            "moveNodesUp" => Self::Move(several()?, Direction::Up),
            "setCommonNodeParametersAfterEdit" => Self::SetParameters(several()?, required_form(element)?),
            "setNodeParametersAfterEdit" => Self::SetParameters(one()?, required_form(element)?),
            _ => return Ok(None),
        }))
    }

    pub(super) fn encode(&self, ns: &'static str) -> Element {
        let mut element = Element::new(ns, self.name());
        match self {
            Self::AddableTypes(node) | Self::Destroy(node) => codec::set_node(&mut element, node),
            Self::Create { parent, kind, form } => {
                codec::set_node(&mut element, parent);
                element.set_attr("type", kind);
                element.push(form.encode());
            }
            Self::Move(nodes, _) | Self::ParametersForEdit(nodes) => nodes.encode(&mut element, ns),
            Self::NewNodeForm { parent, kind } => {
                codec::set_node(&mut element, parent);
                element.set_attr("type", kind);
            }
            Self::SetParameters(nodes, form) => {
                nodes.encode(&mut element, ns);
                element.push(form.encode());
            }
        }
        element
    }
}
