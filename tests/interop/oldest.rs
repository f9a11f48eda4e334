//! slixmpp's plug-ins for XEP-0323 and XEP-0325 against the running appliance: what was written for things of ten years
//! ago reads the same meter and switches the same relay.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::{
    clients::{Foreign, Library, Tls},
    plant::{FRIEND, METER, Plant, RELAY},
};

const PLUGINS: Foreign = Foreign(Library::Slixmpp, Tls::Starttls, "xmpp");

fn run(plant: &Plant, steps: &[Value]) -> Vec<Value> {
    let steps = [&[json!({"do": "subscribe"})], steps].concat();
    PLUGINS.run(&plant.site, FRIEND, &steps).split_off(1)
}

fn switch(step: &str, on: bool) -> Value {
    json!({"do": step, "node": RELAY, "type": "boolean", "name": "Digital Output 3", "value": on.to_string()})
}

#[test]
fn slixmpp_reads_a_meter_in_the_words_of_xep_0323() {
    let plant = Plant::start();
    let results = run(&plant, &[json!({"do": "plugin_read", "node": METER})]);
    let told = results[0]["results"].as_array().unwrap_or_else(|| panic!("{results:?}"));
    assert_eq!((&told[0], &told[told.len() - 1]), (&json!("accepted"), &json!("done")), "{results:?}");
    assert_eq!(results[0]["errors"], json!([]));
    let fields = results[0]["fields"].as_array().expect("fields");
    // The plug-in knows no other number than this one.
    let numbers = plant.meter.iter().filter(|(_, expected)| expected.element == "q");
    for (name, expected) in numbers {
        let field = fields.iter().find(|field| field["name"] == json!(name));
        let field = field.unwrap_or_else(|| panic!("no {name} among {fields:?}"));
        let seen = (&field["typename"], &field["value"], &field["unit"], &field["node"]);
        let unit = if expected.unit.is_empty() { json!("None") } else { json!(expected.unit) };
        assert_eq!(seen, (&json!("numeric"), &json!(expected.value), &unit, &json!(METER)));
    }
}

#[test]
fn slixmpp_gives_up_a_readout_in_the_words_of_xep_0323() {
    let plant = Plant::start();
    let later = SystemTime::now() + Duration::from_secs(3600);
    let when = torg_thing::Timestamp::from_micros(
        later.duration_since(UNIX_EPOCH).ok().and_then(|age| i64::try_from(age.as_micros()).ok()).expect("a time"),
    );
    let read = json!({"do": "plugin_read", "node": METER, "when": when.to_string(), "cancel": true});
    assert_eq!(run(&plant, &[read])[0]["results"], json!(["queued", "cancelled"]));
}

#[test]
fn slixmpp_switches_a_relay_in_the_words_of_xep_0325() {
    let plant = Plant::start();
    let results = run(&plant, &[switch("plugin_set", true)]);
    assert_eq!(results[0]["result"], "OK", "{results:?}");
    assert!(plant.coil(2), "the relay itself");
    // Orders of one sender are carried out one after the other, so the answer to the second says that of the first too.
    let other =
        json!({"do": "plugin_set", "node": RELAY, "type": "boolean", "name": "Digital Output 4", "value": "true"});
    run(&plant, &[switch("plugin_order", false), other]);
    assert_eq!((plant.coil(2), plant.coil(3)), (false, true), "the relays themselves");
}
