//! Commands and queries of nodes (nfi Concentrator, "Commands" and "Queries").
//!
//! A query is a command that answers with a report; its client invents the id by which reports and abortion find it.

use super::{Method, Nodes, required_text, submitted};
use crate::iot::codec::DecodeError;
use crate::xep::data_forms::DataForm;
use crate::xml::Element;

/// The operations on commands.
#[derive(Clone, Debug, PartialEq)]
pub enum Commands {
    /// Ends a query before it is done.
    Abort {
        /// Where it runs.
        nodes: Nodes,
        /// The command it was started with.
        command: String,
        /// Its id.
        query: String,
    },
    /// Runs a command.
    Execute {
        /// Where.
        nodes: Nodes,
        /// The command.
        command: String,
        /// Its parameters, if it has any.
        form: Option<DataForm>,
    },
    /// Which commands nodes have; of several nodes those they share.
    List(Nodes),
    /// The form with the parameters of a command.
    Parameters {
        /// The nodes it would run on.
        nodes: Nodes,
        /// The command.
        command: String,
    },
    /// Starts a query.
    Query {
        /// Where.
        nodes: Nodes,
        /// The command.
        command: String,
        /// The id chosen for it.
        query: String,
        /// Its parameters, if it has any.
        form: Option<DataForm>,
    },
}

impl Commands {
    /// Names of all operations, in alphabetical order.
    pub const NAMES: [&'static str; 10] = [
        "abortCommonNodeQuery",
        "abortNodeQuery",
        "executeCommonNodeCommand",
        "executeCommonNodeQuery",
        "executeNodeCommand",
        "executeNodeQuery",
        "getCommandParameters",
        "getCommonCommandParameters",
        "getCommonNodeCommands",
        "getNodeCommands",
    ];

    /// The name of the element.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Abort { nodes, .. } => nodes.choose("abortNodeQuery", "abortCommonNodeQuery"),
            Self::Execute { nodes, .. } => nodes.choose("executeNodeCommand", "executeCommonNodeCommand"),
            Self::List(nodes) => nodes.choose("getNodeCommands", "getCommonNodeCommands"),
            Self::Parameters { nodes, .. } => nodes.choose("getCommandParameters", "getCommonCommandParameters"),
            Self::Query { nodes, .. } => nodes.choose("executeNodeQuery", "executeCommonNodeQuery"),
        }
    }

    /// The nodes it is about.
    pub const fn nodes(&self) -> &Nodes {
        match self {
            Self::Abort { nodes, .. }
            | Self::Execute { nodes, .. }
            | Self::List(nodes)
            | Self::Parameters { nodes, .. }
            | Self::Query { nodes, .. } => nodes,
        }
    }

    pub(super) const fn method(&self) -> Method {
        match self {
            Self::List(_) | Self::Parameters { .. } => Method::Get,
            Self::Execute { nodes: Nodes::Several(_), .. } | Self::Query { nodes: Nodes::Several(_), .. } => {
                Method::Either
            }
            Self::Abort { .. } | Self::Execute { .. } | Self::Query { .. } => Method::Set,
        }
    }

    /// `None` if the element is no operation on commands.
    pub(super) fn decode(element: &Element) -> Result<Option<Self>, DecodeError> {
        let command = || required_text(element, "command");
        let query = || required_text(element, "queryId");
        let form = || submitted(element);
        let one = || Nodes::one(element);
        let several = || Nodes::several(element);
        Ok(Some(match element.name() {
            "abortCommonNodeQuery" => Self::Abort { nodes: several()?, command: command()?, query: query()? },
            "abortNodeQuery" => Self::Abort { nodes: one()?, command: command()?, query: query()? },
            "executeCommonNodeCommand" => Self::Execute { nodes: several()?, command: command()?, form: form()? },
            "executeCommonNodeQuery" => {
                Self::Query { nodes: several()?, command: command()?, query: query()?, form: form()? }
            }
            "executeNodeCommand" => Self::Execute { nodes: one()?, command: command()?, form: form()? },
            "executeNodeQuery" => Self::Query { nodes: one()?, command: command()?, query: query()?, form: form()? },
            "getCommandParameters" => Self::Parameters { nodes: one()?, command: command()? },
            "getCommonCommandParameters" => Self::Parameters { nodes: several()?, command: command()? },
            "getCommonNodeCommands" => Self::List(several()?),
            "getNodeCommands" => Self::List(one()?),
            _ => return Ok(None),
        }))
    }

    pub(super) fn encode(&self, ns: &'static str) -> Element {
        let mut element = Element::new(ns, self.name());
        let form = match self {
            Self::List(_) => None,
            Self::Parameters { command, .. } => {
                element.set_attr("command", command);
                None
            }
            Self::Abort { command, query, .. } => {
                element.set_attr("command", command);
                element.set_attr("queryId", query);
                None
            }
            Self::Execute { command, form, .. } => {
                element.set_attr("command", command);
                form.as_ref()
            }
            Self::Query { command, query, form, .. } => {
                element.set_attr("command", command);
                element.set_attr("queryId", query);
                form.as_ref()
            }
        };
        self.nodes().encode(&mut element, ns);
        element.with_children(form.map(DataForm::encode))
    }
}
