//! slixmpp's external component (XEP-0114) against the running appliance: messages, service discovery both ways, and how it is turned
//! away.

use std::process::Command;

use serde_json::json;

use crate::{
    clients::{Foreign, Library, Tls},
    resume::client,
    support::{
        child::Child,
        peer, repository,
        site::{DOMAIN, Site, password},
    },
};

const ROOMS: &str = "rooms.localhost";

/// A component that says what happens to it, see the script.
fn start(domain: &str, secret: &str, port: u16) -> Child {
    let mut command = Command::new(peer("venv/bin/python"));
    let mut child = Child::start(domain, command.arg(repository("tests/peers/slix_component.py")));
    let order = json!({"domain": domain, "secret": secret, "host": "127.0.0.1", "port": port});
    child.write(&format!("{order}\n"));
    child
}

/// One whose secret is the [`password`] of its domain, connected.
pub(crate) fn connect(domain: &str, port: u16) -> Child {
    let child = start(domain, &password(domain), port);
    child.line("its handshake", |line| line == "ONLINE");
    child
}

fn component(site: &Site, secret: &str) -> Child {
    start(ROOMS, secret, site.port("component"))
}

fn online(site: &Site) -> Child {
    connect(ROOMS, site.port("component"))
}

fn says(child: &Child, line: &str) {
    child.line(line, |found| found == line);
}

#[test]
fn slixmpp_s_component_and_a_client_write_to_each_other() {
    let site = Site::start_with_components(&[ROOMS], &["reader"]);
    let (mut rooms, mut reader) = (online(&site), client(&site, "reader"));
    reader.write(&format!("send hall@{ROOMS} hello\n"));
    says(&rooms, &format!("GOT reader@{DOMAIN}/slix hall@{ROOMS} hello"));
    rooms.write(&format!("send hall@{ROOMS}/bob reader@{DOMAIN}/slix welcome\n"));
    says(&reader, "GOT welcome");
    reader.write("end\n");
    rooms.write("end\n");
    says(&rooms, "CLOSED");
}

#[test]
fn slixmpp_s_component_is_found_and_finds_the_server() {
    let site = Site::start_with_components(&[ROOMS], &["reader"]);
    let mut rooms = online(&site);
    let slixmpp = Foreign(Library::Slixmpp, Tls::Direct, "nfi");
    let steps = [json!({"do": "items", "to": DOMAIN}), json!({"do": "disco", "to": ROOMS})];
    let results = slixmpp.run(&site, "reader", &steps);
    let [items, disco] = &results[..] else { panic!("{results:?}") };
    assert!(items["items"].as_array().expect("items").contains(&json!(ROOMS)), "{items}");
    assert!(disco["features"].as_array().expect("features").contains(&json!("urn:test:rooms")), "{disco}");
    assert_eq!(disco["identities"], json!([["conference", "text"]]));

    rooms.write(&format!("info {DOMAIN}\n"));
    let info = rooms.line("what the server is", |line| line.starts_with("INFO "));
    assert!(info.contains(" urn:xmpp:ping"), "{info}");
    rooms.write(&format!("info reader@{DOMAIN}\n"));
    rooms.line("the answer to a stranger", |line| line == "ERROR service-unavailable");
}

#[test]
fn slixmpp_s_component_is_turned_away_with_a_wrong_secret() {
    let site = Site::start_with_components(&[ROOMS], &[]);
    let wrong = component(&site, "not-the-right-one");
    says(&wrong, "FAULT not-authorized");
    assert_eq!(wrong.count("ONLINE"), 0);
    online(&site);
}

#[test]
fn slixmpp_s_component_that_speaks_for_another_domain_loses_its_stream() {
    let site = Site::start_with_components(&[ROOMS], &["reader"]);
    let (mut rooms, mut reader) = (online(&site), client(&site, "reader"));
    rooms.write(&format!("send admin@{DOMAIN} reader@{DOMAIN}/slix trust-me\n"));
    says(&rooms, "FAULT invalid-from");
    let mut again = online(&site);
    again.write(&format!("send {ROOMS} reader@{DOMAIN}/slix after\n"));
    says(&reader, "GOT after");
    assert_eq!(reader.count("trust-me"), 0);
    reader.write("end\n");
}

#[test]
fn a_client_hears_that_a_component_is_away() {
    let site = Site::start_with_components(&[ROOMS], &["reader"]);
    let slixmpp = Foreign(Library::Slixmpp, Tls::Direct, "nfi");
    let results = slixmpp.run(&site, "reader", &[json!({"do": "disco", "to": ROOMS})]);
    assert_eq!((&results[0]["error"], &results[0]["type"]), (&json!("remote-server-timeout"), &json!("wait")));
}
