//! Publish and subscribe under stress and ill will: quotas, device payload, capabilities that lie, accounts that go.

use std::sync::Arc;

use torg_core::forget_account;
use torg_core::limits::{PUBSUB_ITEMS, PUBSUB_PAYLOAD_BYTES};
use torg_store::{Batch, Sqlite, Value};
use torg_wire::jid::Jid;
use torg_wire::ns;
use torg_wire::stanza::{PresenceType, Stanza, StanzaCondition, StanzaKind};
use torg_wire::xep::disco::{Identity, Info};
use torg_wire::xml::Element;

use crate::client::Client;
use crate::world::{World, jid};

const TUNE: &str = "urn:example:tune";
/// Found nowhere but in what a device says.
const SECRET: &str = "73.91837465";

fn payload(text: &str) -> Element {
    Element::new(TUNE, "tune").with_text(text)
}

fn publish(id: &str, node: &str, item: Option<&str>, payload: Element) -> Stanza {
    let item = Element::new(ns::PUBSUB, "item").with_attr_opt("id", item).with_child(payload);
    let publish = Element::new(ns::PUBSUB, "publish").with_attr("node", node).with_child(item);
    Stanza::iq_set(id, Element::new(ns::PUBSUB, "pubsub").with_child(publish))
}

fn items(id: &str, node: &str) -> Stanza {
    let items = Element::new(ns::PUBSUB, "items").with_attr("node", node);
    Stanza::iq_get(id, Element::new(ns::PUBSUB, "pubsub").with_child(items))
}

fn create(id: &str, node: &str) -> Stanza {
    let create = Element::new(ns::PUBSUB, "create").with_attr("node", node);
    Stanza::iq_set(id, Element::new(ns::PUBSUB, "pubsub").with_child(create))
}

fn condition(answer: &Stanza) -> Option<StanzaCondition> {
    answer.error().map(|error| error.condition())
}

fn wishes(node: &str) -> Info {
    let identity = Identity::new("client", "pc", "T");
    Info { identities: vec![identity], ..Info::default() }.with_features([format!("{node}+notify").as_str()])
}

/// Becomes available with the capabilities that `info` has, and gives `answer` when it is asked for them.
async fn shows(client: &mut Client, info: &Info, answer: Option<&Info>) {
    let presence = Stanza::presence(PresenceType::Available).with_child(info.capabilities("urn:example:client"));
    client.send(&presence).await;
    let question = |stanza: &&Stanza| stanza.kind().is_request() && stanza.payload().is_some();
    let found = client.pending().await;
    match (found.iter().find(question), answer) {
        (Some(asked), Some(answer)) => client.send(&Stanza::result_for(asked).with_child(answer.encode())).await,
        (Some(_), None) => panic!("asked again"),
        (None, Some(_)) => panic!("not asked"),
        (None, None) => {}
    }
}

async fn befriend(seen: &mut Client, sees: &mut Client) {
    let subscription = |kind, to: &Client| Stanza::presence(kind).with_to(to.jid.to_bare());
    seen.send(&subscription(PresenceType::Subscribed, sees)).await;
    sees.send(&subscription(PresenceType::Subscribe, seen)).await;
}

fn events(stanzas: &[Stanza]) -> usize {
    stanzas.iter().filter(|stanza| stanza.child(ns::PUBSUB_EVENT, "event").is_some()).count()
}

#[tokio::test]
async fn device_payload_is_told_and_read_but_never_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("torg.db");
    let world = World::with_store(Arc::new(Sqlite::open(&file).unwrap())).await;
    let mut anna = world.client("anna@site.example/phone").await;
    anna.online().await;
    let reading = Element::new("urn:nf:iot:sd:1.0", "resp").with_text(SECRET);
    let hidden = Element::new("urn:example:wrapped", "x").with_child(reading.clone());
    let service = jid("pubsub.site.example");
    let subscribe =
        Element::new(ns::PUBSUB, "subscribe").with_attr("node", "shared").with_attr("jid", anna.jid.as_str());
    let subscribe = Stanza::iq_set("s", Element::new(ns::PUBSUB, "pubsub").with_child(subscribe));
    assert_eq!(condition(&anna.ask(&create("c", "shared").with_to(service.clone())).await), None);
    assert_eq!(condition(&anna.ask(&subscribe.with_to(service.clone())).await), None);
    for (n, payload) in [reading, hidden].into_iter().enumerate() {
        let id = format!("{SECRET}-{n}");
        let own = publish("own", "personal", Some(&id), payload.clone());
        let shared = publish("shared", "shared", Some(&id), payload.clone()).with_to(service.clone());
        assert_eq!(condition(&anna.ask(&own).await), None);
        assert_eq!(condition(&anna.ask(&shared).await), None);
        let told = anna.recv().await;
        assert!(told.to_string().contains(SECRET), "{told}");
        for question in [items("i", "personal"), items("j", "shared").with_to(service.clone())] {
            let answer = anna.ask(&question).await.to_string();
            assert!(answer.contains(&id) && answer.contains("urn:nf:iot:sd:1.0"), "{answer}");
        }
    }
    // Beside it, what may be kept is kept, and is there after a restart.
    assert_eq!(condition(&anna.ask(&publish("kept", "kept", Some("a"), payload("keep me"))).await), None);
    anna.close().await;
    let folder_has = |text: &str| {
        std::fs::read_dir(folder.path()).unwrap().any(|entry| {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            bytes.windows(text.len()).any(|window| window == text.as_bytes())
        })
    };
    assert!(folder_has("keep me"), "the search finds what is there");
    assert!(!folder_has(SECRET));
}

#[tokio::test]
async fn a_device_item_takes_the_place_of_one_on_disk_with_its_id() {
    let world = World::new().await;
    let mut anna = world.client("anna@site.example/phone").await;
    let reading = Element::new("urn:xmpp:iot:sensordata", "fields").with_text(SECRET);
    anna.ask(&publish("a", "n", Some("current"), payload("old"))).await;
    anna.ask(&publish("b", "n", Some("current"), reading)).await;
    let answer = anna.ask(&items("i", "n")).await.to_string();
    assert!(answer.contains(SECRET) && !answer.contains("old"), "{answer}");
    anna.ask(&publish("c", "n", Some("current"), payload("new"))).await;
    let answer = anna.ask(&items("i", "n")).await.to_string();
    assert!(!answer.contains(SECRET) && answer.contains("new"), "{answer}");
}

#[tokio::test]
async fn a_node_keeps_as_many_items_as_the_limit_and_no_more() {
    let world = World::new().await;
    let mut anna = world.client("anna@site.example/phone").await;
    let service = jid("pubsub.site.example");
    anna.ask(&create("c", "n").with_to(service.clone())).await;
    anna.ask(&publish("p", "n", Some("i1"), payload("x")).with_to(service.clone())).await;
    // As if it had published all but one of the others before.
    let most = i64::try_from(PUBSUB_ITEMS).unwrap();
    let mut batch = Batch::new();
    for n in 2..most {
        let copy = "INSERT INTO pubsub_item (node, item, number, size, published, publisher, payload)
            SELECT node, ?1, ?2, size, published, publisher, payload FROM pubsub_item WHERE item = 'i1'";
        batch = batch.run(copy, [Value::from(format!("i{n}")), Value::from(n)]);
    }
    world.store.write(batch.run("UPDATE pubsub_node SET last = ?1", [Value::from(most - 1)])).await.unwrap();
    let mut expected = PUBSUB_ITEMS - 1;
    for n in [most, most + 1, most + 2] {
        let count = |answer: &Stanza| answer.payload().unwrap().child(ns::PUBSUB, "items").unwrap().children().count();
        let answer = anna.ask(&items("q", "n").with_to(service.clone())).await;
        assert_eq!(count(&answer), expected);
        assert_eq!(answer.to_string().contains("id='i1'"), n <= most + 1);
        let next = publish("p", "n", Some(&format!("i{n}")), payload("x")).with_to(service.clone());
        assert_eq!(condition(&anna.ask(&next).await), None);
        expected = (expected + 1).min(PUBSUB_ITEMS);
    }
}

#[tokio::test]
async fn a_payload_may_be_as_long_as_the_limit_and_no_longer() {
    let world = World::new().await;
    let mut admin = world.client("admin@site.example/x").await;
    let frame = payload("x").to_string().len() - 1;
    let most = PUBSUB_PAYLOAD_BYTES - frame;
    for (length, fits) in [(most - 1, true), (most, true), (most + 1, false)] {
        let answer = admin.ask(&publish("p", "big", Some("i"), payload(&"x".repeat(length)))).await;
        let expected = (!fits).then_some(StanzaCondition::NotAcceptable);
        assert_eq!(condition(&answer), expected, "{length}");
    }
}

#[tokio::test]
async fn a_lie_about_a_hash_is_believed_of_the_liar_alone() {
    let world = World::new().await;
    let mut anna = world.client("anna@site.example/phone").await;
    let mut bob = world.client("bob@site.example/desk").await;
    let mut carla = world.client("carla@site.example/x").await;
    befriend(&mut anna, &mut bob).await;
    befriend(&mut anna, &mut carla).await;
    let (honest, lie) = (wishes(TUNE), wishes("urn:example:mood"));
    // Bob shows the hash of honest clients, and answers with something else.
    shows(&mut bob, &honest, Some(&lie)).await;
    // So carla, who shows the same hash, is asked herself.
    shows(&mut carla, &honest, Some(&honest)).await;
    for node in [TUNE, "urn:example:mood"] {
        anna.ask(&publish(node, node, None, payload("x"))).await;
    }
    let node = |stanza: &Stanza| {
        let event = stanza.child(ns::PUBSUB_EVENT, "event")?;
        Some(event.first_child()?.attr("node")?.to_owned())
    };
    let heard = |found: Vec<Stanza>| found.iter().filter_map(node).collect::<Vec<_>>();
    assert_eq!(heard(carla.pending().await), [TUNE]);
    assert_eq!(heard(bob.pending().await), ["urn:example:mood"], "it is what he says himself");
    // The truth is known now: nobody is asked again, and the liar's other session is told what honest ones are.
    let mut other = world.client("bob@site.example/other").await;
    shows(&mut other, &honest, None).await;
    anna.ask(&publish("again", TUNE, None, payload("y"))).await;
    assert_eq!(heard(other.pending().await), [TUNE]);
}

#[tokio::test]
async fn an_answer_of_somebody_else_is_no_answer() {
    let world = World::new().await;
    let mut anna = world.client("anna@site.example/phone").await;
    let mut bob = world.client("bob@site.example/desk").await;
    befriend(&mut anna, &mut bob).await;
    let info = wishes(TUNE);
    bob.send(&Stanza::presence(PresenceType::Available).with_child(info.capabilities("urn:example:client"))).await;
    let found = bob.pending().await;
    let asked = found.iter().find(|stanza| matches!(stanza.kind(), StanzaKind::Iq(_))).unwrap();
    // Carla guesses the id and answers for bob.
    let mut carla = world.client("carla@site.example/x").await;
    let forged = Stanza::result_for(asked).with_from(carla.jid.clone()).with_to(jid("bob@site.example"));
    carla.send(&forged.with_child(info.encode())).await;
    anna.ask(&publish("p", TUNE, None, payload("x"))).await;
    assert_eq!(events(&bob.pending().await), 0);
    bob.send(&Stanza::result_for(asked).with_child(info.encode())).await;
    assert_eq!(events(&bob.pending().await), 1, "the last item, once he has answered himself");
}

#[tokio::test]
async fn a_blocked_friend_hears_nothing() {
    let world = World::new().await;
    let mut anna = world.client("anna@site.example/phone").await;
    let mut bob = world.client("bob@site.example/desk").await;
    befriend(&mut anna, &mut bob).await;
    let info = wishes(TUNE);
    shows(&mut bob, &info, Some(&info)).await;
    let block = Element::new(ns::BLOCKING, "block")
        .with_child(Element::new(ns::BLOCKING, "item").with_attr("jid", "bob@site.example"));
    anna.ask(&Stanza::iq_set("b", block)).await;
    anna.ask(&publish("p", TUNE, None, payload("x"))).await;
    assert_eq!(events(&bob.pending().await), 0);
}

#[tokio::test]
async fn a_removed_account_leaves_no_node_and_no_subscription() {
    let world = World::new().await;
    let mut anna = world.client("anna@site.example/phone").await;
    let mut bob = world.client("bob@site.example/desk").await;
    let service = jid("pubsub.site.example");
    anna.ask(&publish("p", TUNE, Some("a"), payload("x"))).await;
    anna.ask(&create("c", "hers").with_to(service.clone())).await;
    bob.ask(&create("c", "his").with_to(service.clone())).await;
    let subscribe = Element::new(ns::PUBSUB, "subscribe").with_attr("node", "his").with_attr("jid", anna.jid.as_str());
    let subscribe = Stanza::iq_set("s", Element::new(ns::PUBSUB, "pubsub").with_child(subscribe));
    anna.ask(&subscribe.with_to(service)).await;
    anna.close().await;
    forget_account(&*world.store, &jid("anna@site.example")).await.unwrap();
    for (table, left) in [("node", 1), ("item", 0), ("affiliation", 1), ("subscription", 0)] {
        let sql = match table {
            "node" => "SELECT COUNT(*) FROM pubsub_node",
            "item" => "SELECT COUNT(*) FROM pubsub_item",
            "affiliation" => "SELECT COUNT(*) FROM pubsub_affiliation",
            _ => "SELECT COUNT(*) FROM pubsub_subscription",
        };
        let rows = world.store.query(sql, vec![]).await.unwrap();
        assert_eq!(rows.first().unwrap().integer(0).unwrap(), left, "{table}");
    }
}

#[tokio::test]
async fn who_publishes_at_once_to_one_node_is_heard_each_time() {
    let world = World::new().await;
    let service = jid("pubsub.site.example");
    let mut sessions = Vec::new();
    for n in 0..4 {
        sessions.push(world.client(&format!("anna@site.example/{n}")).await);
    }
    sessions[0].ask(&create("c", "n").with_to(service.clone())).await;
    let to = Jid::from(service.clone());
    for round in 0..5 {
        for (n, session) in sessions.iter_mut().enumerate() {
            session
                .say(
                    &publish(&format!("p{round}"), "n", Some(&format!("{n}-{round}")), payload("x"))
                        .with_to(to.clone()),
                )
                .await;
        }
    }
    for session in &mut sessions {
        for _ in 0..5 {
            assert_eq!(condition(&session.recv().await), None);
        }
    }
    let answer = sessions[0].ask(&items("i", "n").with_to(service)).await;
    assert_eq!(answer.payload().unwrap().child(ns::PUBSUB, "items").unwrap().children().count(), 20);
}

#[tokio::test]
async fn a_friend_who_is_let_in_later_gets_the_last_items_then() {
    let world = World::new().await;
    let mut anna = world.client("anna@site.example/phone").await;
    let mut bob = world.client("bob@site.example/desk").await;
    anna.online().await;
    shows(&mut bob, &wishes(TUNE), Some(&wishes(TUNE))).await;
    assert_eq!(condition(&anna.ask(&publish("p", TUNE, Some("last"), payload("x"))).await), None);
    assert_eq!(events(&bob.pending().await), 0, "not yet a friend");
    befriend(&mut anna, &mut bob).await;
    let found = bob.pending().await;
    assert_eq!(events(&found), 1, "{found:?}");
}
