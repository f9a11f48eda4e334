//! XMPP over WebSocket (RFC 7395) with clients that other people wrote: Strophe.js, Stanza and @xmpp/client, each with a WebSocket of
//! its own library or of Node. They find the address by host-meta, log in, keep contacts, write to each other, read a meter, and come
//! back into their session after the connection broke.

use std::process::Command;

use serde_json::{Value, json};

use crate::{
    federation::world::User,
    plant::{FRIEND, METER, Plant, SOURCE, STRANGER, fields},
    support::{
        peer, repository,
        site::{DOMAIN, GATEWAY, Site, password},
    },
};

/// A library, and the mechanism it takes of those it is offered.
#[derive(Clone, Copy, Debug)]
struct Library {
    name: &'static str,
    mechanism: &'static str,
}

const STROPHE: Library = Library { name: "strophe", mechanism: "SCRAM-SHA-256" };
const STANZA: Library = Library { name: "stanza", mechanism: "SCRAM-SHA-256" };
const XMPP_JS: Library = Library { name: "xmppjs", mechanism: "SCRAM-SHA-1" };

/// The listener of the appliance itself, and the one for a proxy on the same machine.
fn url(site: &Site, scheme: &str) -> String {
    let kind = if scheme == "wss" { "https" } else { "http" };
    format!("{scheme}://{DOMAIN}:{}/xmpp-websocket", site.port(kind))
}

impl Library {
    /// Logs in, and checks that it is what it should be: by the best mechanism the library has, with a managed stream.
    fn log_in(self, site: &Site, account: &str, url: &str) -> User {
        let mut command = Command::new(peer("bin/node"));
        command.env("NODE_EXTRA_CA_CERTS", site.authority()).arg(repository("tests/peers/web/main.mjs"));
        let jid = format!("{account}@{DOMAIN}");
        let order = json!({"library": self.name, "url": url, "jid": jid, "password": password(account)});
        let (user, ready) = User::start(&mut command, &order);
        assert!(ready["jid"].as_str().is_some_and(|full| full.starts_with(&format!("{jid}/"))), "{ready}");
        assert_eq!((&ready["mechanism"], &ready["managed"]), (&json!(self.mechanism), &json!(true)), "{ready}");
        user
    }

    /// All that a client does in a day.
    fn lives(self, scheme: &str) {
        let plant = Plant::start();
        let url = url(&plant.site, scheme);
        let mut anna = self.log_in(&plant.site, FRIEND, &url);
        let mut mallory = self.log_in(&plant.site, STRANGER, &url);
        let (annas, mallorys) = (format!("{FRIEND}@{DOMAIN}"), format!("{STRANGER}@{DOMAIN}"));

        let text = "5 < 7 & \"\u{e9}\u{1f50c}\"";
        anna.message(&mallorys, text);
        mallory.hears(&annas, text);
        mallory.message(&annas, "I see");
        anna.hears(&mallorys, "I see");

        let server = anna.order(json!({"do": "disco", "to": DOMAIN})).expect("an answer");
        assert!(lists(&server["identities"], "server/im"), "{server}");
        assert!(lists(&server["features"], "urn:xmpp:ping"), "{server}");
        anna.order(json!({"do": "contact", "jid": mallorys, "name": "M."})).expect("a contact is kept");
        let roster = anna.order(json!({"do": "roster"})).expect("a roster");
        let kept = json!({"jid": mallorys, "name": "M.", "subscription": "none"});
        assert!(roster.as_array().is_some_and(|items| items.contains(&kept)), "{roster}");

        anna.order(json!({"do": "presence", "to": GATEWAY, "type": "subscribe"})).expect("sent");
        let here = anna.event("the gateway", |event| event["by"] == GATEWAY && event["type"] == "available");
        let read = json!({"do": "read", "to": here["full"], "node": METER, "source": SOURCE});
        let meter = anna.order(read.clone()).expect("a readout");
        assert_eq!(meter["errors"], json!([]), "{meter}");
        assert_eq!(fields(&meter), plant.expected());
        assert_eq!(mallory.order(read).expect_err("a stranger reads nothing"), "forbidden");

        for user in [&mut anna, &mut mallory] {
            user.order(json!({"do": "close"})).expect("closed in order");
            user.event("the end", |event| event["event"] == "disconnected");
        }
    }

    /// A connection that breaks costs no message.
    fn resumes(self) {
        let site = Site::start("", &[], &[FRIEND, STRANGER]);
        let url = url(&site, "wss");
        let mut reader = self.log_in(&site, FRIEND, &url);
        let mut writer = self.log_in(&site, STRANGER, &url);
        let (readers, writers) = (format!("{FRIEND}@{DOMAIN}"), format!("{STRANGER}@{DOMAIN}"));
        writer.message(&readers, "one");
        reader.hears(&writers, "one");
        reader.order(json!({"do": "break"})).expect("broken");
        reader.event("the break", |event| event["event"] == "disconnected");
        writer.message(&readers, "two");
        writer.order(json!({"do": "ping", "to": DOMAIN})).expect("the server has the message");
        let back = reader.order(json!({"do": "back"})).expect("back");
        assert_eq!(back["resumed"], true, "{back}");
        reader.hears(&writers, "two");
        writer.message(&readers, "three");
        reader.hears(&writers, "three");
    }

    /// host-meta leads to the WebSocket.
    fn discovers(self) {
        let site = Site::start("", &[], &[FRIEND]);
        let expected = url(&site, "wss");
        let mut anna = self.log_in(&site, FRIEND, &expected);
        let authority = format!("{DOMAIN}:{}", site.port("https"));
        let found = anna.order(json!({"do": "discover", "authority": authority})).expect("an answer");
        assert_eq!(found, json!([["websocket", expected]]));
    }
}

fn lists(list: &Value, wanted: &str) -> bool {
    list.as_array().is_some_and(|list| list.iter().any(|one| one == wanted))
}

#[test]
fn strophe_lives_over_wss() {
    STROPHE.lives("wss");
}

#[test]
fn stanza_lives_over_wss() {
    STANZA.lives("wss");
}

#[test]
fn xmpp_js_lives_over_wss() {
    XMPP_JS.lives("wss");
}

#[test]
fn strophe_lives_over_ws_where_a_proxy_would_be() {
    STROPHE.lives("ws");
}

#[test]
fn xmpp_js_lives_over_ws_where_a_proxy_would_be() {
    XMPP_JS.lives("ws");
}

#[test]
fn strophe_resumes_after_a_broken_websocket_and_misses_nothing() {
    STROPHE.resumes();
}

#[test]
fn stanza_resumes_after_a_broken_websocket_and_misses_nothing() {
    STANZA.resumes();
}

#[test]
fn xmpp_js_resumes_after_a_broken_websocket_and_misses_nothing() {
    XMPP_JS.resumes();
}

#[test]
fn xmpp_js_comes_back_with_a_token_over_wss() {
    let site = Site::start("", &[], &[FRIEND]);
    let mut anna = XMPP_JS.log_in(&site, FRIEND, &url(&site, "wss"));
    for _ in 0..2 {
        let back = anna.order(json!({"do": "again"})).expect("a login");
        assert_eq!((&back["mechanism"], &back["managed"]), (&json!("HT-SHA-256-NONE"), &json!(true)), "{back}");
    }
}

#[test]
fn stanza_finds_the_websocket_by_host_meta_in_json_or_xml() {
    STANZA.discovers();
}

#[test]
fn xmpp_js_finds_the_websocket_by_host_meta_in_xml() {
    XMPP_JS.discovers();
}
