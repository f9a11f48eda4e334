//! What was read from nodes, as a table for people and as JSON for machines.
//!
//! The JSON shape is a contract with outside tooling: members are added, never renamed or removed.

use serde::Serialize;

use super::Table;

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

/// One field of a node.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FieldReading {
    /// Name of the field.
    pub name: String,
    /// Value as on the wire: a quantity with all its decimals, a boolean as `true` or `false`.
    pub value: String,
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

impl Readings {
    /// True if there is a node, every node has a field, and nothing failed.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !self.nodes.is_empty() && self.nodes.iter().all(|node| node.error.is_none() && !node.fields.is_empty())
    }

    /// The table for people: one row per field, and one per reason why a node could not be read.
    #[must_use]
    pub fn table(&self) -> String {
        let mut table = Table::new(&["node", "field", ">value", "unit", "time", "quality"]);
        for node in &self.nodes {
            let name = node.place();
            for field in &node.fields {
                table.row([&name, &field.name, &field.value, &field.unit, &field.time, &field.quality.join(" ")]);
            }
            for reason in node.error.iter().flat_map(|error| error.lines()) {
                table.sentence([name.as_str(), &format!("error: {reason}")]);
            }
            if node.fields.is_empty() && node.error.is_none() {
                table.row([name.as_str(), "(no fields)"]);
            }
        }
        table.render()
    }
}

impl NodeReadings {
    /// The node as people name it: with its partition if it has one.
    fn place(&self) -> String {
        if self.partition.is_empty() { self.node.clone() } else { format!("{}/{}", self.node, self.partition) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Readings {
        Readings {
            nodes: vec![
                NodeReadings {
                    jid: "gateway@site.example".into(),
                    node: "meter-7".into(),
                    source: "plant".into(),
                    partition: String::new(),
                    fields: vec![FieldReading {
                        name: "Voltage L1".into(),
                        value: "230.10".into(),
                        unit: "V".into(),
                        time: "2026-03-01T10:15:00Z".into(),
                        quality: vec!["ar".into()],
                        categories: vec!["m".into()],
                    }],
                    error: None,
                },
                NodeReadings {
                    jid: "gateway@site.example".into(),
                    node: "meter-8".into(),
                    source: "plant".into(),
                    error: Some("The unit did not answer within 500 ms.".into()),
                    ..NodeReadings::default()
                },
            ],
        }
    }

    #[test]
    fn the_table_has_a_row_for_each_field_and_each_failure() {
        assert_eq!(
            sample().table(),
            "node     field        value  unit  time                  quality\n\
             meter-7  Voltage L1  230.10  V     2026-03-01T10:15:00Z  ar\n\
             meter-8  error: The unit did not answer within 500 ms.\n"
        );
    }

    #[test]
    fn the_json_has_the_members_of_the_contract() {
        assert_eq!(
            serde_json::to_value(sample()).unwrap(),
            serde_json::json!({"nodes": [
                {"jid": "gateway@site.example", "node": "meter-7", "source": "plant", "partition": "", "fields": [
                    {"name": "Voltage L1", "value": "230.10", "unit": "V", "time": "2026-03-01T10:15:00Z",
                     "quality": ["ar"], "categories": ["m"]}]},
                {"jid": "gateway@site.example", "node": "meter-8", "source": "plant", "partition": "", "fields": [],
                 "error": "The unit did not answer within 500 ms."},
            ]})
        );
    }

    #[test]
    fn a_readout_is_complete_only_if_every_node_answered() {
        let mut readings = sample();
        assert!(!readings.is_complete());
        readings.nodes.pop();
        assert!(readings.is_complete());
        assert!(!Readings::default().is_complete());
    }

    #[test]
    fn several_reasons_of_one_node_are_kept() {
        let mut node = NodeReadings::default();
        node.fail("one");
        node.fail("two");
        assert_eq!(node.error.as_deref(), Some("one\ntwo"));
    }
}
