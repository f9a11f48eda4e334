//! slixmpp and @xmpp/client against the running appliance: they log in, become friends, find the gateway, list its
//! nodes, read a meter and switch a relay; who is no friend is refused. Between them they use both ways to TLS and
//! all three short namespace dialects.

use std::{collections::BTreeMap, process::Command};

use serde_json::{Value, json};

use crate::{
    plant::{FRIEND, METER, Plant, RELAY, SOURCE, STRANGER, fields},
    support::{
        child::Child,
        peer, repository,
        site::{DOMAIN, GATEWAY, Site, password},
    },
};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Library {
    Slixmpp,
    XmppJs,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Tls {
    Direct,
    Starttls,
}

/// A foreign client: which library, how it comes to TLS, which dialect it speaks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Foreign(pub(crate) Library, pub(crate) Tls, pub(crate) &'static str);

impl Foreign {
    /// Logs in as `account`, does `steps`, and returns one result for each.
    pub(crate) fn run(self, site: &Site, account: &str, steps: &[Value]) -> Vec<Value> {
        self.results(self.start(site, account, steps), steps.len())
    }

    /// Has it begin to do that.
    pub(crate) fn start(self, site: &Site, account: &str, steps: &[Value]) -> Child {
        let Self(library, tls, dialect) = self;
        let (tls, port) = match tls {
            Tls::Direct => ("direct", site.c2s_tls),
            Tls::Starttls => ("starttls", site.c2s),
        };
        let steps = [&[json!({"do": "login"})], steps].concat();
        let order = json!({
            "jid": format!("{account}@{DOMAIN}"), "password": password(account), "host": DOMAIN, "port": port,
            "tls": tls, "ca": site.authority(), "gateway": GATEWAY, "dialect": dialect, "steps": steps,
        });
        let (interpreter, script) = match library {
            Library::Slixmpp => ("venv/bin/python", "tests/peers/slix.py"),
            Library::XmppJs => ("bin/node", "tests/peers/xmppjs.mjs"),
        };
        let mut command = Command::new(peer(interpreter));
        command.env("NODE_EXTRA_CA_CERTS", site.authority()).arg(repository(script));
        let mut child = Child::start(&format!("{self:?}"), &mut command);
        child.write(&order.to_string());
        child.close_stdin();
        child
    }

    /// The results of the steps that came after its login, which must have been over TLS 1.3 and with the best
    /// mechanism that the library knows.
    pub(crate) fn results(self, child: Child, steps: usize) -> Vec<Value> {
        let text = child.succeed();
        let last = text.lines().last().unwrap_or_default();
        let answer: Value = serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {text}"));
        let results = answer["steps"].as_array().expect("steps").clone();
        let mechanism = match self.0 {
            Library::Slixmpp => "SCRAM-SHA-256",
            Library::XmppJs => "SCRAM-SHA-1",
        };
        assert_eq!((&results[0]["tls"], &results[0]["mechanism"]), (&json!("TLSv1.3"), &json!(mechanism)), "{answer}");
        assert_eq!(results.len(), steps + 1, "{answer}");
        results[1..].to_vec()
    }
}

fn read(node: &str) -> Value {
    json!({"do": "read", "node": node, "source": SOURCE})
}

fn switch(name: &str, on: bool) -> Value {
    json!({"do": "set", "node": RELAY, "source": SOURCE, "element": "b", "name": name, "value": on.to_string()})
}

/// The whole of it, by one client.
fn reads_and_controls(client: Foreign) {
    let plant = Plant::start();
    let dialect = client.2;
    let space = |interface: &str| format!("urn:{dialect}:iot:{interface}:1.0");
    let relay = "Digital Output 3";
    let steps = [
        json!({"do": "subscribe"}),
        json!({"do": "disco"}),
        json!({"do": "nodes"}),
        read(METER),
        read(RELAY),
        switch(relay, true),
        read(RELAY),
    ];
    let results = client.run(&plant.site, FRIEND, &steps);
    let [subscribed, disco, nodes, meter, before, set, after] = &results[..] else { panic!("{results:?}") };

    let full = subscribed["gateway"].as_str().unwrap_or_else(|| panic!("no presence: {subscribed}"));
    assert!(full.starts_with(&format!("{GATEWAY}/")), "{full}");

    let features = disco["features"].as_array().unwrap_or_else(|| panic!("no disco: {disco}"));
    for interface in ["sd", "ctr", "concentrator"] {
        assert!(features.contains(&json!(space(interface))), "{interface} is not among {features:?}");
    }

    let found: BTreeMap<_, _> = nodes["nodes"]
        .as_array()
        .unwrap_or_else(|| panic!("no nodes: {nodes}"))
        .iter()
        .map(|node| (node["id"].as_str().unwrap_or_default(), node))
        .collect();
    assert_eq!(nodes["answered"], format!("{{{}}}dataSources", space("concentrator")));
    assert_eq!(found[METER]["source"], SOURCE);
    assert_eq!(found[METER]["isReadable"], "true");
    assert_eq!(found[RELAY]["isControllable"], "true");

    assert_eq!(meter["errors"], json!([]), "{meter}");
    assert!(meter["answered"].as_str().unwrap_or_default().starts_with(&format!("{{{}}}", space("sd"))), "{meter}");
    assert_eq!(fields(meter), plant.expected());

    let state = |readout: &Value| -> Value {
        let fields = readout["fields"].as_array().unwrap_or_else(|| panic!("no fields: {readout}"));
        fields.iter().find(|field| field["n"] == relay).unwrap_or_else(|| panic!("no {relay}: {readout}"))["v"].clone()
    };
    assert_eq!(state(before), "false");
    assert_eq!(set["parameters"], json!([relay]), "{set}");
    assert_eq!(state(after), "true");
    assert!(plant.coil(2), "the relay itself");
    assert!(!plant.coil(1), "the relay's neighbour");
}

#[test]
fn slixmpp_reads_and_controls_over_starttls_in_the_nfi_dialect() {
    reads_and_controls(Foreign(Library::Slixmpp, Tls::Starttls, "nfi"));
}

#[test]
fn slixmpp_reads_and_controls_over_direct_tls_in_the_nf_dialect() {
    reads_and_controls(Foreign(Library::Slixmpp, Tls::Direct, "nf"));
}

#[test]
fn xmpp_js_reads_and_controls_over_starttls_in_the_ieee_dialect() {
    reads_and_controls(Foreign(Library::XmppJs, Tls::Starttls, "ieee"));
}

#[test]
fn xmpp_js_reads_and_controls_over_direct_tls_in_the_nfi_dialect() {
    reads_and_controls(Foreign(Library::XmppJs, Tls::Direct, "nfi"));
}

/// Who is no friend gets the same answer for a node that is there and one that is not.
fn refuses_a_stranger(client: Foreign) {
    let plant = Plant::start();
    let friend = client.run(&plant.site, FRIEND, &[json!({"do": "subscribe"}), read("no-such-node")]);
    let full = friend[0]["gateway"].as_str().expect("the friend sees the gateway");
    assert_eq!(friend[1]["error"], "item-not-found", "only a friend learns that there is no such node");

    let to = |mut step: Value| {
        step["to"] = json!(full);
        step
    };
    let steps =
        [to(read(METER)), to(read("no-such-node")), to(switch("Digital Output 1", true)), to(json!({"do": "nodes"}))];
    for (step, result) in steps.iter().zip(client.run(&plant.site, STRANGER, &steps)) {
        assert_eq!(result["error"], "forbidden", "{step}");
    }
    assert!(!plant.coil(0), "nothing reached the bus");
}

#[test]
fn slixmpp_is_refused_if_it_is_no_friend() {
    refuses_a_stranger(Foreign(Library::Slixmpp, Tls::Starttls, "nfi"));
}

#[test]
fn xmpp_js_is_refused_if_it_is_no_friend() {
    refuses_a_stranger(Foreign(Library::XmppJs, Tls::Direct, "nf"));
}

#[test]
fn a_value_that_mbpoll_writes_is_in_the_next_readout_to_the_last_decimal() {
    let mut plant = Plant::start();
    let client = Foreign(Library::Slixmpp, Tls::Direct, "nfi");
    for value in ["231.4", "0.3", "1234.5"] {
        plant.measure("Voltage L1", value);
        let results = client.run(&plant.site, FRIEND, &[json!({"do": "subscribe"}), read(METER)]);
        assert_eq!(fields(&results[1])["Voltage L1"], ("q".to_owned(), value.to_owned(), "V".to_owned()));
    }
}
