//! Clients beside those that read and control: aioxmpp, whose parser and types are strict, and go-sendxmpp, which scripts of
//! administrators use.

use std::process::Command;

use serde_json::{Value, json};
use torg_wire::ns;

use crate::support::{
    child::Child,
    peer, repository,
    site::{DOMAIN, Site, password},
};

const ANNA: &str = "anna";
const BOB: &str = "bob";
const TEXT: &str = "the meter room is flooded";

#[test]
fn aioxmpp_logs_in_writes_asks_and_keeps_a_contact() {
    let site = Site::start("", &[], &[ANNA]);
    let mut child = Child::start(
        "aioxmpp",
        Command::new(peer("venv/bin/python")).args(["-W", "ignore"]).arg(repository("tests/peers/aio.py")),
    );
    let order = json!({
        "jid": format!("{ANNA}@{DOMAIN}/desk"), "password": password(ANNA), "port": site.c2s, "ca": site.authority(),
    });
    child.write(&order.to_string());
    child.close_stdin();
    let text = child.succeed();
    let seen: Value = serde_json::from_str(text.trim()).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(seen["texts"], json!(["<hello> & \u{e9}\u{1f50c}"]));
    assert!(seen["identities"].as_array().is_some_and(|all| all.contains(&json!("server/im"))), "{seen}");
    assert!(seen["features"].as_array().is_some_and(|all| all.contains(&json!(ns::PING))), "{seen}");
    assert_eq!(seen["managed"], true, "it asks for stream management and gets it");
}

/// Debian's go-sendxmpp knows PLAIN only.
fn sends(tls: &[&str], port: impl Fn(&Site) -> u16) {
    let site = Site::start_plain(&[ANNA, BOB]);
    let mut command = Command::new("go-sendxmpp");
    command.env("SSL_CERT_FILE", site.authority()).args(tls);
    command.args(["-u", &format!("{ANNA}@{DOMAIN}"), "-p", &password(ANNA)]);
    command.args(["-j", &format!("{DOMAIN}:{}", port(&site)), &format!("{BOB}@{DOMAIN}")]);
    let mut child = Child::start("go-sendxmpp", &mut command);
    child.write(&format!("{TEXT}\n"));
    child.close_stdin();
    child.succeed();

    // Bob was away, or comes just now: he gets it.
    let mut reader = Child::start(
        "aioxmpp",
        Command::new(peer("venv/bin/python")).args(["-W", "ignore"]).arg(repository("tests/peers/aio.py")),
    );
    let order = json!({
        "jid": format!("{BOB}@{DOMAIN}/desk"), "password": password(BOB), "port": site.c2s, "ca": site.authority(),
        "until": TEXT,
    });
    reader.write(&order.to_string());
    reader.close_stdin();
    let text = reader.succeed();
    assert!(text.contains(TEXT), "{text}");
}

#[test]
fn go_sendxmpp_sends_over_starttls() {
    sends(&[], |site| site.c2s);
}

#[test]
fn go_sendxmpp_sends_over_direct_tls() {
    sends(&["-t"], |site| site.c2s_tls);
}
