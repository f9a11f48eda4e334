//! `torg node ls|read|set|watch`: our own client, over XMPP like any other.

use serde_json::Value;

use crate::{
    plant::{FRIEND, METER, Plant, RELAY, STRANGER},
    support::site::GATEWAY,
};

fn node<'all>(answer: &'all Value, id: &str) -> &'all Value {
    let nodes = answer["nodes"].as_array().unwrap_or_else(|| panic!("no nodes: {answer}"));
    nodes.iter().find(|node| node["node"] == id).unwrap_or_else(|| panic!("no {id}: {answer}"))
}

fn field<'all>(node: &'all Value, name: &str) -> &'all Value {
    let fields = node["fields"].as_array().unwrap_or_else(|| panic!("no fields: {node}"));
    fields.iter().find(|field| field["name"] == name).unwrap_or_else(|| panic!("no {name}: {node}"))
}

#[test]
fn node_ls_shows_both_devices() {
    let plant = Plant::start();
    let answer = plant.site.node(FRIEND, &["ls"]);
    assert_eq!(node(&answer, METER)["source"], "plant");
    assert_eq!(node(&answer, RELAY)["jid"], GATEWAY);
}

#[test]
fn node_read_shows_every_field_exactly() {
    let plant = Plant::start();
    let answer = plant.site.node(FRIEND, &["read", METER]);
    let meter = node(&answer, METER);
    for (name, expected) in &plant.meter {
        let found = field(meter, name);
        assert_eq!(found["value"], expected.value, "{name}");
        assert_eq!(found["unit"].as_str().unwrap_or_default(), expected.unit, "{name}");
    }
}

#[test]
fn node_set_switches_a_relay() {
    let plant = Plant::start();
    plant.site.start_node(FRIEND, &["set", RELAY, "Digital Output 8=true"]).succeed();
    assert!(plant.coil(7), "the relay itself");
    let answer = plant.site.node(FRIEND, &["read", RELAY, "--field", "Digital Output 8"]);
    assert_eq!(field(node(&answer, RELAY), "Digital Output 8")["value"], true);
}

#[test]
fn node_watch_follows_a_value() {
    let mut plant = Plant::start();
    let watch = plant.site.start_node(FRIEND, &["watch", METER, "--field", "Voltage L1", "--every", "1"]);
    let first = plant.meter["Voltage L1"].value.clone();
    watch.line("the first value", |line| line.contains(&format!("\"{first}\"")));
    plant.measure("Voltage L1", "241.7");
    watch.line("the new value", |line| line.contains("\"241.7\""));
}

#[test]
fn node_read_by_a_stranger_fails() {
    let plant = Plant::start();
    let (status, text) = plant.site.start_node(STRANGER, &["read", METER, "--timeout", "5"]).finish();
    assert!(!status.success(), "{text}");
}
