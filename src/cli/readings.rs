//! What was read from nodes, as a table for people.

use super::Table;
use crate::client::{NodeReadings, Readings};

/// One row per field, and one per reason why something could not be read. Times are cut to the second.
#[must_use]
pub fn table(readings: &Readings) -> String {
    let mut table = Table::new(&["node", "field", ">value", "unit", "time", "quality"]);
    for node in &readings.nodes {
        let name = place(node);
        for field in &node.fields {
            let value = field.value.to_string();
            table.row([&name, &field.name, &value, &field.unit, &to_the_second(&field.time), &field.quality.join(" ")]);
        }
        for reason in node.error.iter().flat_map(|error| error.lines()) {
            table.sentence([name.as_str(), &format!("error: {reason}")]);
        }
        if node.fields.is_empty() && node.error.is_none() {
            table.sentence([name.as_str(), "(no fields)"]);
        }
    }
    table.render()
}

/// `2026-03-01T10:15:00.123Z` without its fraction.
fn to_the_second(time: &str) -> String {
    match time.split_once('.') {
        Some((whole, fraction)) => format!("{whole}{}", fraction.trim_start_matches(|c: char| c.is_ascii_digit())),
        None => time.to_owned(),
    }
}

/// The node as people name it: with its partition if it has one.
fn place(node: &NodeReadings) -> String {
    if node.partition.is_empty() { node.node.clone() } else { format!("{}/{}", node.node, node.partition) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{FieldReading, Value};

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
                        value: Value::Text("230.10".into()),
                        unit: "V".into(),
                        time: "2026-03-01T10:15:00.5Z".into(),
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
            table(&sample()),
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
                    {"name": "Voltage L1", "value": "230.10", "unit": "V", "time": "2026-03-01T10:15:00.5Z",
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
}
