//! Quick logins of a foreign client: @xmpp/client logs in by the second SASL profile with a resource in the same breath, gets a token,
//! and comes back with it (XEP-0388, XEP-0386, XEP-0484). Over both ways to TLS, against the running appliance.

use serde_json::{Value, json};

use crate::{
    clients::{Foreign, Library, Tls},
    plant::{FRIEND, Plant},
};

const SASL2: &str = "urn:xmpp:sasl:2";

fn comes_back_with_a_token(tls: Tls) {
    let plant = Plant::start();
    let child = Foreign(Library::XmppJs, tls, "nfi").start(
        &plant.site,
        FRIEND,
        &[json!({"do": "again"}), json!({"do": "again"})],
    );
    let text = child.succeed();
    let answer: Value = serde_json::from_str(text.lines().last().unwrap_or_default()).expect("an answer");
    let logins = answer["steps"].as_array().expect("steps");
    let [first, second, third] = &logins[..] else { panic!("{answer}") };
    for login in logins {
        assert_eq!((&login["profile"], &login["tls"]), (&json!(SASL2), &json!("TLSv1.3")), "{answer}");
    }
    assert_eq!((&first["mechanism"], &first["token"]), (&json!("SCRAM-SHA-1"), &json!(true)), "{answer}");
    for login in [second, third] {
        assert_eq!((&login["mechanism"], &login["token"]), (&json!("HT-SHA-256-NONE"), &json!(false)), "{answer}");
    }
    let resource =
        |login: &Value| login["jid"].as_str().and_then(|jid| jid.split_once('/')).expect("a resource").1.to_owned();
    assert_ne!(resource(first), resource(second), "the server draws another one each time");
    assert!(resource(first).len() >= 24);
}

#[test]
fn xmpp_js_comes_back_with_a_token_over_starttls() {
    comes_back_with_a_token(Tls::Starttls);
}

#[test]
fn xmpp_js_comes_back_with_a_token_over_direct_tls() {
    comes_back_with_a_token(Tls::Direct);
}
