//! What a concentrator tells of its data sources and nodes: `dataSource`, `nodeInfo`, displayable parameters and
//! messages (nfi Concentrator).

use std::fmt;

use torg_thing::{
    Color, Decimal, FieldValue, NodeId, NodeRef, NodeState, Partition, Severity, SourceId, Span, TimeOfDay, Timestamp,
};

use super::codec::{self, DecodeError};
use crate::xml::Element;

/// `dataSource`: a tree of nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataSource {
    /// Identity, used in node references.
    pub source: SourceId,
    /// Name for people.
    pub name: String,
    /// Other sources hang below it.
    pub has_children: bool,
    /// When it last changed.
    pub last_changed: Option<Timestamp>,
}

/// `nodeInfo`: a node without its data.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeInfo {
    /// Its address.
    pub node: NodeRef,
    /// Machine name of its type.
    pub kind: Option<String>,
    /// Name for people.
    pub display_name: Option<String>,
    /// The worst of its messages.
    pub state: NodeState,
    /// Nodes hang below it.
    pub has_children: bool,
    /// Its children have an order that can be changed.
    pub children_ordered: bool,
    /// It can be read.
    pub is_readable: bool,
    /// It has control parameters.
    pub is_controllable: bool,
    /// It has commands.
    pub has_commands: bool,
    /// Bytes of its line can be shown live.
    pub sniffable: bool,
    /// Identity among its siblings.
    pub local_id: Option<String>,
    /// Identity in logs, if another than the node's.
    pub log_id: Option<String>,
    /// Parent in the same source.
    pub parent: Option<Parent>,
    /// When it last changed.
    pub last_changed: Option<Timestamp>,
    /// Displayable parameters, if they were asked for.
    pub parameters: Vec<Parameter>,
    /// Messages, if they were asked for.
    pub messages: Vec<Message>,
}

/// The parent of a node, or another relative of it, in the source of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    /// Its identity.
    pub id: NodeId,
    /// Its partition.
    pub partition: Partition,
}

/// A value shown with a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Identity for programs.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// The value.
    pub value: ParameterValue,
}

/// What a displayable parameter may hold. The standard has no date here.
#[derive(Clone, Debug, PartialEq)]
pub enum ParameterValue {
    /// `boolean`
    Boolean(bool),
    /// `color`
    Color(Color),
    /// `dateTime`
    DateTime(Timestamp),
    /// `double`
    Double(Decimal),
    /// `duration`
    Duration(Span),
    /// `int`
    Int32(i32),
    /// `long`
    Int64(i64),
    /// `string`
    Text(String),
    /// `time`
    Time(TimeOfDay),
}

/// A message logged on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// When it was logged.
    pub at: Timestamp,
    /// How bad it is.
    pub severity: Severity,
    /// Identity of the event for programs.
    pub event_id: Option<String>,
    /// The message.
    pub text: String,
}

impl DataSource {
    pub(super) fn decode(element: &Element) -> Result<Self, DecodeError> {
        codec::required(element, "src")?;
        Ok(Self {
            source: codec::source(element)?,
            name: codec::required(element, "name")?.to_owned(),
            has_children: codec::flag(element, "hasChildren")?,
            last_changed: codec::optional(element, "lastChanged", "dateTime")?,
        })
    }

    pub(super) fn encode(&self, ns: &'static str) -> Element {
        let mut element =
            Element::new(ns, "dataSource").with_attr("src", self.source.as_str()).with_attr("name", &self.name);
        codec::set_flag(&mut element, "hasChildren", self.has_children);
        element.with_attr_opt("lastChanged", self.last_changed.map(|at| at.to_string()))
    }
}

impl NodeInfo {
    /// A node of which nothing but its address is known.
    pub fn new(node: NodeRef) -> Self {
        Self {
            node,
            kind: None,
            display_name: None,
            state: NodeState::None,
            has_children: false,
            children_ordered: false,
            is_readable: false,
            is_controllable: false,
            has_commands: false,
            sniffable: false,
            local_id: None,
            log_id: None,
            parent: None,
            last_changed: None,
            parameters: Vec::new(),
            messages: Vec::new(),
        }
    }

    pub(super) fn decode(element: &Element) -> Result<Self, DecodeError> {
        let text = |name: &'static str| element.attr(name).map(str::to_owned);
        let mut info = Self {
            kind: text("nodeType"),
            display_name: text("displayName"),
            state: state(element)?,
            has_children: codec::flag(element, "hasChildren")?,
            children_ordered: codec::flag(element, "childrenOrdered")?,
            is_readable: codec::flag(element, "isReadable")?,
            is_controllable: codec::flag(element, "isControllable")?,
            has_commands: codec::flag(element, "hasCommands")?,
            sniffable: codec::flag(element, "sniffable")?,
            local_id: text("localId"),
            log_id: text("logId"),
            parent: reference(element, "parentId", "parentPartition")?,
            last_changed: codec::optional(element, "lastChanged", "dateTime")?,
            ..Self::new(codec::node(element)?)
        };
        for child in element.children().filter(|child| child.namespace() == element.namespace()) {
            if child.name() == "message" {
                info.messages.push(Message::decode(child)?);
            } else {
                info.parameters.extend(Parameter::decode(child)?);
            }
        }
        Ok(info)
    }

    pub(super) fn encode(&self, ns: &'static str) -> Element {
        self.encode_as(ns, "nodeInfo")
    }

    /// Writes the element under another name: source events tell of a node in the same words.
    pub(super) fn encode_as(&self, ns: &'static str, name: &'static str) -> Element {
        let mut element = Element::new(ns, name);
        codec::set_node(&mut element, &self.node);
        for (name, text) in [("nodeType", &self.kind), ("displayName", &self.display_name)] {
            if let Some(text) = text {
                element.set_attr(name, text);
            }
        }
        element.set_attr("state", state_name(self.state));
        // Required by the schema, so also written when false.
        element.set_attr("hasChildren", if self.has_children { "true" } else { "false" });
        for (name, flag) in [
            ("childrenOrdered", self.children_ordered),
            ("isReadable", self.is_readable),
            ("isControllable", self.is_controllable),
            ("hasCommands", self.has_commands),
            ("sniffable", self.sniffable),
        ] {
            codec::set_flag(&mut element, name, flag);
        }
        for (name, text) in [("localId", &self.local_id), ("logId", &self.log_id)] {
            if let Some(text) = text {
                element.set_attr(name, text);
            }
        }
        if let Some(parent) = &self.parent {
            set_reference(&mut element, "parentId", "parentPartition", parent);
        }
        element
            .with_attr_opt("lastChanged", self.last_changed.map(|at| at.to_string()))
            .with_children(self.parameters.iter().map(|parameter| parameter.encode(ns)))
            .with_children(self.messages.iter().map(|message| message.encode(ns)))
    }
}

/// A node of the same source, addressed by two attributes; `None` if the first is absent.
pub(super) fn reference(
    element: &Element,
    id_name: &'static str,
    partition_name: &'static str,
) -> Result<Option<Parent>, DecodeError> {
    let Some(id) = element.attr(id_name).filter(|id| !id.is_empty()) else { return Ok(None) };
    let id = NodeId::parse(id).map_err(|_| codec::invalid(element, id_name, "node identity"))?;
    let partition = Partition::parse(element.attr(partition_name).unwrap_or_default())
        .map_err(|_| codec::invalid(element, partition_name, "partition"))?;
    Ok(Some(Parent { id, partition }))
}

pub(super) fn set_reference(element: &mut Element, id_name: &'static str, partition_name: &'static str, node: &Parent) {
    element.set_attr(id_name, node.id.as_str());
    if !node.partition.is_empty() {
        element.set_attr(partition_name, node.partition.as_str());
    }
}

/// The messages among the children.
pub(super) fn messages(element: &Element) -> Result<Vec<Message>, DecodeError> {
    element.children_named(element.namespace().as_str(), "message").map(Message::decode).collect()
}

const STATES: [(NodeState, &str); 6] = [
    (NodeState::None, "None"),
    (NodeState::Information, "Information"),
    (NodeState::WarningSigned, "WarningSigned"),
    (NodeState::WarningUnsigned, "WarningUnsigned"),
    (NodeState::ErrorSigned, "ErrorSigned"),
    (NodeState::ErrorUnsigned, "ErrorUnsigned"),
];

pub(super) fn state(element: &Element) -> Result<NodeState, DecodeError> {
    let text = codec::required(element, "state")?;
    STATES
        .into_iter()
        .find_map(|(state, name)| (name == text).then_some(state))
        .ok_or_else(|| codec::invalid(element, "state", "node state"))
}

/// The name of a node state on the wire.
pub fn state_name(state: NodeState) -> &'static str {
    STATES.into_iter().find_map(|(found, name)| (found == state).then_some(name)).unwrap_or("None")
}

impl Parameter {
    /// `None` if the element is no parameter that we know.
    fn decode(element: &Element) -> Result<Option<Self>, DecodeError> {
        let value = "value";
        let value = match element.name() {
            "boolean" => ParameterValue::Boolean(
                codec::parse_boolean(codec::required(element, value)?)
                    .ok_or_else(|| codec::invalid(element, value, "boolean"))?,
            ),
            "color" => ParameterValue::Color(codec::parsed(element, value, "color")?),
            "dateTime" => ParameterValue::DateTime(codec::parsed(element, value, "dateTime")?),
            "double" => ParameterValue::Double(codec::parsed(element, value, "number")?),
            "duration" => ParameterValue::Duration(codec::parsed(element, value, "duration")?),
            "int" => ParameterValue::Int32(codec::parsed(element, value, "32-bit integer")?),
            "long" => ParameterValue::Int64(codec::parsed(element, value, "64-bit integer")?),
            "string" => ParameterValue::Text(codec::required(element, value)?.to_owned()),
            "time" => ParameterValue::Time(codec::parsed(element, value, "time")?),
            _ => return Ok(None),
        };
        Ok(Some(Self {
            id: codec::required(element, "id")?.to_owned(),
            name: codec::required(element, "name")?.to_owned(),
            value,
        }))
    }

    fn encode(&self, ns: &'static str) -> Element {
        let element = |tag: &'static str, value: &dyn fmt::Display| {
            Element::new(ns, tag)
                .with_attr("id", &self.id)
                .with_attr("name", &self.name)
                .with_attr("value", value.to_string())
        };
        match &self.value {
            ParameterValue::Boolean(value) => element("boolean", value),
            // Six digits only: the concentrator's colour has no opacity.
            ParameterValue::Color(value) => element("color", &Color { alpha: u8::MAX, ..*value }),
            ParameterValue::DateTime(value) => element("dateTime", value),
            ParameterValue::Double(value) => element("double", value),
            ParameterValue::Duration(value) => element("duration", value),
            ParameterValue::Int32(value) => element("int", value),
            ParameterValue::Int64(value) => element("long", value),
            ParameterValue::Text(value) => element("string", value),
            ParameterValue::Time(value) => element("time", value),
        }
    }
}

/// What has no kind of its own among displayable parameters becomes text.
impl From<&FieldValue> for ParameterValue {
    fn from(value: &FieldValue) -> Self {
        match value {
            FieldValue::Boolean(value) => Self::Boolean(*value),
            FieldValue::DateTime(value) => Self::DateTime(*value),
            FieldValue::Duration(value) => Self::Duration(*value),
            FieldValue::Int32(value) => Self::Int32(*value),
            FieldValue::Int64(value) => Self::Int64(*value),
            FieldValue::Quantity(quantity) if quantity.unit.is_empty() => Self::Double(quantity.value),
            FieldValue::Time(value) => Self::Time(*value),
            other => Self::Text(other.to_string()),
        }
    }
}

impl fmt::Display for ParameterValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => value.fmt(f),
            Self::Color(value) => value.fmt(f),
            Self::DateTime(value) => value.fmt(f),
            Self::Double(value) => value.fmt(f),
            Self::Duration(value) => value.fmt(f),
            Self::Int32(value) => value.fmt(f),
            Self::Int64(value) => value.fmt(f),
            Self::Text(value) => value.fmt(f),
            Self::Time(value) => value.fmt(f),
        }
    }
}

impl Message {
    fn decode(element: &Element) -> Result<Self, DecodeError> {
        Ok(Self {
            at: codec::parsed(element, "timestamp", "dateTime")?,
            severity: severity(element)?,
            event_id: element.attr("eventId").map(str::to_owned),
            text: element.text().into_owned(),
        })
    }

    pub(super) fn encode(&self, ns: &'static str) -> Element {
        Element::new(ns, "message")
            .with_attr("timestamp", self.at.to_string())
            .with_attr("type", severity_name(self.severity))
            .with_attr_opt("eventId", self.event_id.as_deref())
            .with_text(&self.text)
    }
}

const SEVERITIES: [(Severity, &str); 3] =
    [(Severity::Error, "Error"), (Severity::Warning, "Warning"), (Severity::Information, "Information")];

fn severity(element: &Element) -> Result<Severity, DecodeError> {
    let text = codec::required(element, "type")?;
    SEVERITIES
        .into_iter()
        .find_map(|(severity, name)| (name == text).then_some(severity))
        .ok_or_else(|| codec::invalid(element, "type", "message type"))
}

fn severity_name(severity: Severity) -> &'static str {
    SEVERITIES.into_iter().find_map(|(found, name)| (found == severity).then_some(name)).unwrap_or("Information")
}
