//! Answers of a concentrator, as far as they are not data forms.

use torg_thing::{CommandKind, Timestamp};

use super::{optional_text, required_text};
use crate::iot::codec::{self, DecodeError};
use crate::iot::node_info::{DataSource, NodeInfo};
use crate::iot::{Generation, Interface};
use crate::xml::Element;

/// An answer of a concentrator.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// One truth value.
    Bool(bool),
    /// Truth values in the order of the nodes asked about.
    Bools(Vec<bool>),
    /// Commands.
    Commands(Vec<CommandInfo>),
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
    /// Types of nodes.
    NodeTypes(Vec<NodeType>),
    /// What came of a command on several nodes, in the order of the nodes: done, or why not.
    PartialExecution(Vec<Result<(), String>>),
    /// A sniffer that was registered.
    Sniffer {
        /// Its name.
        id: String,
        /// When it ends by itself.
        expires: Timestamp,
    },
    /// Strings.
    Strings(Vec<String>),
}

/// `command`: a command as listed to those who may run it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandInfo {
    /// Identity of the command.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// What running it means.
    pub kind: CommandKind,
    /// Commands of one category stand together.
    pub category: Option<String>,
    /// Order within the category.
    pub sort_key: Option<String>,
    /// A question to ask before it is run.
    pub confirmation: Option<String>,
    /// What to say when it failed.
    pub failure: Option<String>,
    /// What to say when it is done.
    pub success: Option<String>,
}

/// `nodeType`: a type of nodes that can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeType {
    /// Machine name.
    pub kind: String,
    /// Name for people.
    pub name: String,
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
            "commands" => Self::Commands(
                element.children_named(ns, "command").map(CommandInfo::decode).collect::<Result<_, _>>()?,
            ),
            "dataSources" => Self::DataSources(
                element.children_named(ns, "dataSource").map(DataSource::decode).collect::<Result<_, _>>()?,
            ),
            "inheritance" => Self::Inheritance { base_classes: list("baseClasses"), interfaces: list("interfaces") },
            "nodeInfo" => Self::NodeInfo(Box::new(NodeInfo::decode(element)?)),
            "nodeInfos" => {
                Self::NodeInfos(element.children_named(ns, "nodeInfo").map(NodeInfo::decode).collect::<Result<_, _>>()?)
            }
            "nodeTypes" => {
                Self::NodeTypes(element.children_named(ns, "nodeType").map(NodeType::decode).collect::<Result<_, _>>()?)
            }
            "partialExecution" => {
                Self::PartialExecution(element.children_named(ns, "result").map(outcome).collect::<Result<_, _>>()?)
            }
            "sniffer" => Self::Sniffer {
                id: required_text(element, "snifferId")?,
                expires: codec::parsed(element, "expires", "dateTime")?,
            },
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
            Self::Commands(commands) => {
                let commands = commands.iter().map(|command| command.encode(ns, generation));
                Element::new(ns, "commands").with_children(commands)
            }
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
            Self::NodeTypes(types) => {
                Element::new(ns, "nodeTypes").with_children(types.iter().map(|kind| kind.encode(ns)))
            }
            Self::PartialExecution(outcomes) => {
                let outcomes = outcomes.iter().map(|outcome| outcome_element(outcome, ns));
                Element::new(ns, "partialExecution").with_children(outcomes)
            }
            Self::Sniffer { id, expires } => {
                Element::new(ns, "sniffer").with_attr("snifferId", id).with_attr("expires", expires.to_string())
            }
            Self::Strings(values) => strings("strings", values),
        }
    }
}

fn boolean_text(element: &Element) -> Result<bool, DecodeError> {
    codec::parse_boolean(&element.text()).ok_or_else(|| codec::invalid(element, "text", "boolean"))
}

fn outcome(element: &Element) -> Result<Result<(), String>, DecodeError> {
    if boolean_text(element)? { Ok(Ok(())) } else { Ok(Err(optional_text(element, "error").unwrap_or_default())) }
}

fn outcome_element(outcome: &Result<(), String>, ns: &'static str) -> Element {
    let element = Element::new(ns, "result");
    match outcome {
        Ok(()) => element.with_text("true"),
        Err(problem) => {
            let problem = Some(problem).filter(|problem| !problem.is_empty());
            element.with_attr_opt("error", problem).with_text("false")
        }
    }
}

impl NodeType {
    fn decode(element: &Element) -> Result<Self, DecodeError> {
        Ok(Self { kind: required_text(element, "type")?, name: required_text(element, "name")? })
    }

    fn encode(&self, ns: &'static str) -> Element {
        Element::new(ns, "nodeType").with_attr("type", &self.kind).with_attr("name", &self.name)
    }
}

impl CommandInfo {
    /// A command of which no more is known.
    pub fn new(id: impl Into<String>, name: impl Into<String>, kind: CommandKind) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            kind,
            category: None,
            sort_key: None,
            confirmation: None,
            failure: None,
            success: None,
        }
    }

    fn decode(element: &Element) -> Result<Self, DecodeError> {
        let kind = match codec::required(element, "type")? {
            "Parameterized" | "Parametrized" => CommandKind::Parametrized,
            "Query" => CommandKind::Query,
            "Simple" => CommandKind::Simple,
            _ => return Err(codec::invalid(element, "type", "command type")),
        };
        Ok(Self {
            category: optional_text(element, "sortCategory"),
            sort_key: optional_text(element, "sortKey"),
            confirmation: optional_text(element, "confirmationString"),
            failure: optional_text(element, "failureString"),
            success: optional_text(element, "successString"),
            ..Self::new(required_text(element, "command")?, required_text(element, "name")?, kind)
        })
    }

    fn encode(&self, ns: &'static str, generation: Generation) -> Element {
        Element::new(ns, "command")
            .with_attr("command", &self.id)
            .with_attr("name", &self.name)
            .with_attr("type", kind_name(self.kind, generation))
            .with_attr_opt("sortCategory", self.category.as_deref())
            .with_attr_opt("sortKey", self.sort_key.as_deref())
            .with_attr_opt("confirmationString", self.confirmation.as_deref())
            .with_attr_opt("failureString", self.failure.as_deref())
            .with_attr_opt("successString", self.success.as_deref())
    }
}

/// Who speaks the older generations knows one spelling, the published schema the other; a client that does not know the
/// spelling takes the command for a simple one and runs it without its parameters.
const fn kind_name(kind: CommandKind, generation: Generation) -> &'static str {
    match (kind, generation) {
        (CommandKind::Parametrized, Generation::Nfi) => "Parameterized",
        (CommandKind::Parametrized, Generation::Ieee | Generation::Nf | Generation::Xmpp) => "Parametrized",
        (CommandKind::Query, _) => "Query",
        (CommandKind::Simple, _) => "Simple",
    }
}
