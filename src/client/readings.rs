//! What was read from nodes, in the shape in which it is printed as JSON.
//!
//! That shape is a contract with outside tooling: members are added, never renamed or removed.

use std::fmt;

use serde::Serialize;
use torg_thing::{Field, FieldValue, NodeRef};
use torg_wire::jid::BareJid;

/// One readout of some nodes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Readings {
    /// The nodes, in the order of the concentrator.
    pub nodes: Vec<NodeReadings>,
}

/// What one node said.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct NodeReadings {
    /// Bare JID of the concentrator.
    pub jid: String,
    /// Node id.
    pub node: String,
    /// Source id; empty if the node has none.
    pub source: String,
    /// Partition; empty if the node has none.
    pub partition: String,
    /// Fields in the order in which they came.
    pub fields: Vec<FieldReading>,
    /// Why the node, or a part of it, could not be read; lines if there are several reasons.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A value as it is printed.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// Yes or no.
    Boolean(bool),
    /// The device has none at present.
    #[default]
    Missing,
    /// A count without unit.
    Integer(i64),
    /// A quantity with all its decimals as on the wire, or whatever else has a text.
    Text(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => value.fmt(f),
            Self::Missing => Ok(()),
            Self::Integer(value) => value.fmt(f),
            Self::Text(value) => f.write_str(value),
        }
    }
}

/// One field of a node.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FieldReading {
    /// Name of the field.
    pub name: String,
    /// What was read.
    pub value: Value,
    /// Unit of a quantity; empty for everything else.
    pub unit: String,
    /// When the value was valid, UTC.
    pub time: String,
    /// Quality of service flags by the names of the standard, such as `ar`.
    pub quality: Vec<String>,
    /// Categories by the names of the standard, such as `m`.
    pub categories: Vec<String>,
}

impl NodeReadings {
    /// Nothing read yet from that node.
    #[must_use]
    pub fn new(jid: &BareJid, node: &NodeRef) -> Self {
        Self {
            jid: jid.to_string(),
            node: node.id.to_string(),
            source: node.source.to_string(),
            partition: node.partition.to_string(),
            ..Self::default()
        }
    }

    /// Adds a reason why something could not be read.
    pub fn fail(&mut self, reason: &str) {
        match &mut self.error {
            Some(error) => {
                error.push('\n');
                error.push_str(reason);
            }
            None => self.error = Some(reason.to_owned()),
        }
    }
}

impl FieldReading {
    /// The field as it is printed.
    #[must_use]
    pub fn new(field: &Field) -> Self {
        let (value, unit) = match &field.value {
            Some(FieldValue::Quantity(quantity)) => {
                (Value::Text(quantity.value.to_string()), quantity.unit.to_string())
            }
            Some(FieldValue::Boolean(value)) => (Value::Boolean(*value), String::new()),
            Some(FieldValue::Int32(value)) => (Value::Integer((*value).into()), String::new()),
            Some(FieldValue::Int64(value)) => (Value::Integer(*value), String::new()),
            Some(value) => (Value::Text(value.to_string()), String::new()),
            None => (Value::Missing, String::new()),
        };
        Self {
            name: field.name.to_string(),
            value,
            unit,
            time: field.at.to_string(),
            quality: field.qos.flags().map(str::to_owned).collect(),
            categories: field.categories.flags().map(str::to_owned).collect(),
        }
    }
}

impl Readings {
    /// True if there is a node, every node has a field, and nothing failed.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !self.nodes.is_empty() && self.nodes.iter().all(|node| node.error.is_none() && !node.fields.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_reasons_of_one_node_are_kept() {
        let mut node = NodeReadings::default();
        node.fail("one");
        node.fail("two");
        assert_eq!(node.error.as_deref(), Some("one\ntwo"));
    }
}
