//! Publish and subscribe with foreign clients: slixmpp's own implementations of it publish, hear and find, at accounts and at the service.

use std::process::Command;

use serde_json::{Value, json};

use crate::{
    plant::{FRIEND, Plant, STRANGER},
    support::{
        child::Child,
        peer, repository,
        site::{DOMAIN, password},
    },
};

/// What the two clients have seen.
fn seen(plant: &Plant) -> Value {
    let order = json!({
        "publisher": format!("{FRIEND}@{DOMAIN}"), "listener": format!("{STRANGER}@{DOMAIN}"),
        "passwords": [password(FRIEND), password(STRANGER)],
        "host": DOMAIN, "port": plant.site.c2s_tls, "ca": plant.site.authority(),
    });
    let mut command = Command::new(peer("venv/bin/python"));
    command.arg(repository("tests/peers/events.py"));
    let mut child = Child::start("slixmpp", &mut command);
    child.write(&order.to_string());
    child.close_stdin();
    let text = child.succeed();
    serde_json::from_str(text.lines().last().unwrap_or_default()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn slixmpp_publishes_hears_and_finds_at_accounts_and_at_the_service() {
    let seen = seen(&Plant::start());
    let event = |from: &str, text: &str| json!({"event": "publish", "from": from, "type": "headline", "text": text});
    let publisher = format!("{FRIEND}@{DOMAIN}");
    let service = format!("pubsub.{DOMAIN}");
    assert_eq!(
        seen["personal"],
        json!({
            "stranger": "item-not-found",
            "let in": event(&publisher, "first"),
            "last": event(&publisher, "first"),
            "next": event(&publisher, "second"),
            "items": ["second"],
            "identities": ["account/registered", "pubsub/pep"],
        })
    );
    assert_eq!(seen["private"], json!({"conflict": "conflict"}));
    assert_eq!(
        seen["shared"],
        json!({
            "again": "conflict",
            "identities": ["pubsub/service"],
            "nodes": ["news"],
            "subscribed": "subscribed",
            "published": [event(&service, "one"), event(&service, "two")],
            "forbidden": "forbidden",
            "newest": ["two"],
            "pages": ["a", "b"],
            "ended": ["retract", "purge", "delete"],
        })
    );
}
