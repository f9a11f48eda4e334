//! What an operator does to a running appliance: edit the file and reload, stop it in the middle of things.

use std::time::Duration;

use serde_json::json;

use crate::{
    clients::{Foreign, Library, Tls},
    plant::{FRIEND, STRANGER},
    support::{
        child::Child,
        devices::{Devices, Unit},
        site::{DOMAIN, Site},
    },
};

/// Longest accepted time from SIGTERM to the end.
const DRAIN_MAX: Duration = Duration::from_secs(20);
const READER: Foreign = Foreign(Library::Slixmpp, Tls::Direct, "nfi");

/// A relay at unit 1 behind a line of its own.
fn relay() -> Devices {
    Devices::start(&[Unit { unit: 1, coils: 8, ..Unit::default() }])
}

fn line(name: &str, devices: &Devices, node: &str) -> String {
    format!(
        "[[bridge.line]]\nname = \"{name}\"\ntcp = \"{}\"\n\
         [[bridge.line.device]]\nnode = \"{node}\"\nunit = 1\nprofile = \"waveshare.relay-8ch\"\n",
        devices.address()
    )
}

fn bridge(lines: &[String]) -> String {
    format!("[[bridge]]\nkind = \"modbus\"\nname = \"plant\"\n{}", lines.concat())
}

/// A client that follows `node` every second, once it has its first value.
fn follow(site: &Site, node: &str) -> Child {
    let watch = site.start_node(FRIEND, &["watch", node, "--every", "1"]);
    watch.line("the first value", |line| line.contains(node));
    watch
}

#[test]
fn a_reload_renames_one_device_and_nothing_else_notices() {
    let (kept, edited) = (relay(), relay());
    let lines = |name: &str| bridge(&[line("kept", &kept, "relay-a"), line("edited", &edited, name)]);
    let site = Site::start(&lines("relay-b"), &[FRIEND], &[FRIEND]);
    let watch = follow(&site, "relay-a");
    let _load = follow(&site, "relay-b");
    let before = kept.connections();
    assert_eq!(before, (1, 0), "one line, one socket");

    site.rewrite(&lines("relay-c"), &[FRIEND]);
    site.torg.signal("HUP");
    let renamed = |answer: &serde_json::Value| answer.to_string().contains("relay-c");
    // Each question is a login and a walk over XMPP, so this does not spin.
    assert!((0..100).any(|_| renamed(&site.node(FRIEND, &["ls"]))), "the new name never came");
    assert!(!site.node(FRIEND, &["ls"]).to_string().contains("relay-b"), "the old name is gone");

    let seen = watch.count("relay-a");
    watch.line_after(seen, "another value on the same session", |line| line.contains("relay-a"));
    assert_eq!(kept.connections(), before, "the other line kept its socket");
}

#[test]
fn a_faulty_file_changes_nothing_at_a_reload() {
    let devices = relay();
    let site = Site::start(&bridge(&[line("only", &devices, "relay-a")]), &[FRIEND], &[FRIEND]);
    let watch = follow(&site, "relay-a");
    site.rewrite("[[bridge]]\nkind = \"modbas\"\nname = \"plant\"\n", &[FRIEND]);
    site.torg.signal("HUP");
    site.torg.log("the refusal, with a suggestion", |line| line.contains("modbas"));
    let seen = watch.count("relay-a");
    watch.line_after(seen, "another value", |line| line.contains("relay-a"));
    assert!(site.node(FRIEND, &["ls"]).to_string().contains("relay-a"));
}

#[test]
fn sigterm_in_a_flood_ends_in_time_and_loses_no_message_that_was_acknowledged() {
    let site = Site::start("", &[], &[FRIEND, STRANGER]);
    let peer = format!("{STRANGER}@{DOMAIN}");
    // The peer is away, so what is acknowledged must be in the store. 900 stays below its limit of 1,000.
    let pour = READER.start(&site, FRIEND, &[json!({"do": "pour", "peer": peer, "most": 900})]);
    pour.line("a hundred acknowledged messages", |line| line == "ACKNOWLEDGED 100");
    let (took, stopped) = site.stop();
    assert!(took < DRAIN_MAX, "{took:?}");

    let acknowledged = READER.results(pour, 1)[0]["acknowledged"].as_u64().expect("a number");
    assert!(acknowledged >= 100, "{acknowledged}");
    let site = stopped.start();
    let collected = READER.run(&site, STRANGER, &[json!({"do": "collect", "last": acknowledged})]);
    assert_eq!(collected[0]["missing"], json!([]), "of {acknowledged}");
}
