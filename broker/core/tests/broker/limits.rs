//! What a logged-in account may ask of the broker: at the limit it works, above it does not.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use torg_core::limits::{
    DIRECTED_MAX, Limits, QUEUE_STANZAS, REQUESTS_PER_SECOND, Rate, SESSIONS_PER_ACCOUNT, STUCK,
    SUBSCRIPTIONS_PER_MINUTE,
};
use torg_store::{Batch, Sqlite, Value};
use torg_wire::jid::Jid;
use torg_wire::ns;
use torg_wire::stanza::{MessageType, PresenceType, Stanza, StanzaCondition, StanzaKind};
use torg_wire::xml::Element;

use crate::client::Client;
use crate::managed::pass;
use crate::world::{World, jid};

#[tokio::test]
async fn the_tenth_session_of_an_account_is_bound_and_the_next_is_not() {
    let world = World::new().await;
    let mut sessions = Vec::new();
    for n in 0..SESSIONS_PER_ACCOUNT {
        sessions.push(world.client(&format!("anna@site.example/{n}")).await);
    }
    let refused = Client::login(&world, "anna@site.example/more").await.map(|client| client.jid).unwrap_err();
    assert!(refused.to_string().contains("resource-constraint"), "{refused}");
    // Taking the place of one of them is no further session.
    world.client("anna@site.example/0").await;
}

#[tokio::test]
async fn subscription_requests_are_limited_by_the_minute() {
    let world = World::new().await;
    let mut anna = world.client("anna@site.example/phone").await;
    let request = |n: u32| Stanza::presence(PresenceType::Subscribe).with_to(jid(&format!("c{n}@site.example")));
    for n in 0..SUBSCRIPTIONS_PER_MINUTE {
        anna.send(&request(n)).await;
    }
    assert!(anna.pending().await.is_empty());
    anna.send(&request(99)).await;
    let refused = anna.pending().await;
    assert_eq!(refused[0].error().unwrap().condition(), StanzaCondition::ResourceConstraint);
    pass(Duration::from_secs(61)).await;
    anna.send(&request(99)).await;
    assert!(anna.pending().await.is_empty());
}

#[tokio::test]
async fn a_second_session_or_a_new_one_finds_the_allowance_of_its_account_used_up() {
    let world = World::new().await;
    let mut phone = world.client("anna@site.example/phone").await;
    let mut desk = world.client("anna@site.example/desk").await;
    let request = |n: u32| Stanza::presence(PresenceType::Subscribe).with_to(jid(&format!("c{n}@site.example")));
    for n in 0..SUBSCRIPTIONS_PER_MINUTE / 2 {
        phone.say(&request(n)).await;
        desk.say(&request(n)).await;
    }
    assert!(phone.pending().await.is_empty());
    assert!(desk.pending().await.is_empty());
    phone.close().await;
    desk.close().await;
    let mut again = world.client("anna@site.example/phone").await;
    again.send(&request(98)).await;
    assert_eq!(again.pending().await[0].error().unwrap().condition(), StanzaCondition::ResourceConstraint);
    let mut bob = world.client("bob@site.example/phone").await;
    bob.send(&request(99)).await;
    assert!(bob.pending().await.is_empty(), "another account has its own");
}

#[tokio::test]
async fn requests_to_the_broker_are_limited_by_the_second() {
    let world = World::new().await;
    let mut anna = world.client("anna@site.example/phone").await;
    tokio::time::pause(); // not before the login: a paused clock runs ahead while the store's thread works
    let ping = |n: u32| Stanza::iq_get(n.to_string(), Element::new(ns::PING, "ping"));
    let burst = 2 * REQUESTS_PER_SECOND;
    for n in 0..burst {
        assert!(anna.ask(&ping(n)).await.error().is_none(), "{n}");
    }
    let refused = anna.ask(&ping(burst)).await;
    assert_eq!(refused.error().unwrap().condition(), StanzaCondition::ResourceConstraint);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(anna.ask(&ping(burst + 1)).await.error().is_none());
}

#[tokio::test]
async fn directed_presence_is_remembered_for_so_many_and_no_more() {
    let world = World::new().await;
    let mut anna = world.client("anna@site.example/phone").await;
    let presence = |n: usize| Stanza::presence(PresenceType::Available).with_to(jid(&format!("c{n}@site.example")));
    for n in 0..DIRECTED_MAX {
        anna.say(&presence(n)).await;
    }
    anna.send(&presence(0)).await; // known already
    assert!(anna.pending().await.is_empty());
    anna.send(&presence(DIRECTED_MAX)).await;
    assert_eq!(anna.pending().await[0].error().unwrap().condition(), StanzaCondition::ResourceConstraint);
}

#[tokio::test]
async fn the_roster_takes_its_thousand_and_no_more() {
    let world = World::new().await;
    // The rows of 999 contacts, without a thousand round trips.
    let mut batch =
        torg_store::Batch::new().run("INSERT INTO roster_owner (owner, version) VALUES ('anna@site.example', 1)", []);
    for n in 0..999 {
        batch = batch.run(
            "INSERT INTO roster_item (owner, contact, name, groups, state, approved, listed, request, changed)
             VALUES ('anna@site.example', ?1, NULL, '', 0, 0, 1, NULL, 1)",
            [torg_store::Value::from(format!("c{n}@site.example"))],
        );
    }
    world.store.write(batch).await.unwrap();
    let mut anna = world.client("anna@site.example/phone").await;
    let set = |contact: &str| {
        let item = Element::new(ns::ROSTER, "item").with_attr("jid", contact);
        Stanza::iq_set(contact, Element::new(ns::ROSTER, "query").with_child(item))
    };
    assert!(anna.ask(&set("last@site.example")).await.error().is_none());
    let refused = anna.ask(&set("more@site.example")).await;
    assert_eq!(refused.error().unwrap().condition(), StanzaCondition::ResourceConstraint);
    assert!(anna.ask(&set("c7@site.example")).await.error().is_none(), "a present one may be changed");
    anna.send(&Stanza::presence(PresenceType::Subscribe).with_to(jid("more@site.example"))).await;
    assert_eq!(anna.pending().await[0].error().unwrap().condition(), StanzaCondition::ResourceConstraint);
}

#[tokio::test]
async fn of_a_hundred_and_one_requests_the_oldest_is_dropped() {
    let world = World::new().await;
    let mut anna = world.client("anna@site.example/phone").await;
    anna.send(&Stanza::presence(PresenceType::Subscribe).with_to(jid("bob@site.example"))).await;
    let waiting = "SELECT contact FROM roster_item WHERE owner = 'bob@site.example' ORDER BY contact";
    let mut batch = torg_store::Batch::new();
    for n in 0..99 {
        batch = batch.run(
            "INSERT INTO roster_item (owner, contact, name, groups, state, approved, listed, request, changed)
             VALUES ('bob@site.example', ?1, NULL, '', 2, 0, 0, '<presence/>', 2)",
            [torg_store::Value::from(format!("x{n}@site.example"))],
        );
    }
    world.store.write(batch).await.unwrap();
    assert_eq!(world.store.query(waiting, vec![]).await.unwrap().len(), 100);
    let mut carla = world.client("carla@site.example/x").await;
    carla.send(&Stanza::presence(PresenceType::Subscribe).with_to(jid("bob@site.example"))).await;
    let rows = world.store.query(waiting, vec![]).await.unwrap();
    assert_eq!(rows.len(), 100);
    assert_eq!(rows.first().unwrap().text(0), Ok("carla@site.example"), "anna, the oldest, is gone");
}

#[tokio::test]
async fn a_thing_that_sends_too_fast_is_slowed_down_and_loses_nothing() {
    let rate = Rate { per_second: 10_000, burst: 20_000 };
    let mut limits = Limits::default();
    limits.person.rate = rate;
    limits.admin.rate = Rate { per_second: 1_000_000, burst: 10_000_000 };
    let world = World::with(Arc::new(Sqlite::in_memory().unwrap()), limits).await;
    let mut bob = world.client("bob@site.example/desk").await;
    let message = |n: u32| {
        let message = Stanza::message(MessageType::Normal).with_to(Jid::from(&bob.jid));
        message.with_id(n.to_string()).with_body("x".repeat(1_000))
    };
    let messages: Vec<Stanza> = (0..60).map(message).collect();
    let anna = world.client("anna@site.example/phone").await;
    let admin = world.client("admin@site.example/phone").await;
    tokio::time::pause(); // not before the logins: a paused clock runs ahead while the store's thread works
    for (mut sender, slow) in [(anna, true), (admin, false)] {
        let account = sender.jid.clone();
        let begun = tokio::time::Instant::now();
        for message in &messages {
            sender.say(message).await;
        }
        for n in 0..60 {
            assert_eq!(bob.recv().await.id(), Some(n.to_string().as_str()));
        }
        // Some 66 kB: 20 at once and the last read of up to 16 before it is paid for, the rest at 10 a second.
        let took = begun.elapsed();
        assert_eq!(took >= Duration::from_millis(2_500), slow, "{account}: {took:?}");
        assert!(took < Duration::from_secs(6));
    }
}

#[tokio::test]
async fn a_client_that_takes_nothing_for_half_a_minute_is_cut_off_and_loses_no_message() {
    let world = World::new().await;
    let mut bob = world.client("bob@site.example/desk").await;
    bob.online().await;
    let mut admin = world.client("admin@site.example/x").await;
    let message = Stanza::message(MessageType::Chat).with_to(jid("bob@site.example")).with_body("x".repeat(20_000));
    for n in 0..20 {
        admin.send(&message.clone().with_id(n.to_string())).await;
    }
    assert_eq!(world.broker.router().sessions(), 2);
    pass(STUCK + Duration::from_secs(1)).await;
    world.left(1).await;
    // What was in the pipe he has; the rest comes at his next login, in order.
    let mut again = world.client("bob@site.example/desk").await;
    again.say(&Stanza::presence(PresenceType::Available)).await;
    let mut kept = Vec::new();
    while kept.last() != Some(&19) {
        kept.extend(again.recv().await.id().and_then(|id| id.parse::<u32>().ok()));
    }
    let first = kept[0];
    assert!(first <= 4, "a pipe holds three such messages, not {first}");
    assert_eq!(kept, (first..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_session_that_takes_nothing_gets_no_more_than_its_queue() {
    let world = World::new().await;
    let gateway =
        world.broker.attach(torg_wire::jid::FullJid::parse("gateway@site.example/torg").unwrap(), "test").await;
    let mut admin = world.client("admin@site.example/x").await;
    let to = Jid::from(gateway.jid());
    let iq = |n: usize| Stanza::iq_get(n.to_string(), Element::new("urn:example", "query")).with_to(to.clone());
    for n in 0..QUEUE_STANZAS {
        admin.say(&iq(n)).await;
    }
    assert!(admin.pending().await.is_empty());
    let refused = admin.ask(&iq(QUEUE_STANZAS)).await;
    assert_eq!(refused.error().unwrap().condition(), StanzaCondition::ResourceConstraint);
    let payload = Element::new("urn:nf:iot:sd:1.0", "resp");
    let volatile = Stanza::message(MessageType::Normal).with_id("v").with_to(to).with_child(payload);
    admin.send(&volatile).await;
    assert_eq!(admin.pending().await[0].error().unwrap().condition(), StanzaCondition::ResourceConstraint);
}

#[tokio::test]
async fn a_message_that_finds_the_queue_full_comes_when_there_is_room() {
    let world = World::new().await;
    let jid = torg_wire::jid::FullJid::parse("gateway@site.example/torg").unwrap();
    let mut gateway = world.broker.attach(jid, "test").await;
    gateway.send(Stanza::presence(PresenceType::Available)).await;
    gateway.recv().await;
    let mut admin = world.client("admin@site.example/x").await;
    for n in 0..QUEUE_STANZAS + 3 {
        let message = Stanza::message(MessageType::Chat).with_id(n.to_string()).with_body("hello");
        admin.say(&message.with_to(Jid::from(gateway.jid()))).await;
    }
    assert!(admin.pending().await.is_empty(), "none is refused");
    for n in 0..QUEUE_STANZAS + 3 {
        assert_eq!(gateway.recv().await.unwrap().id(), Some(n.to_string().as_str()));
    }
}

#[tokio::test]
async fn a_login_sees_every_contact_on_line_and_then_who_asks_however_many_there_are() {
    const CONTACTS: usize = 300;
    const STRANGERS: usize = 100;
    const ITEM: &str = "INSERT INTO roster_item (owner, contact, groups, state, approved, listed, changed)
        VALUES (?1, ?2, '', ?3, 0, 1, 1)";
    const PENDING_IN: i64 = 2;
    const FROM: i64 = 6;
    let world = World::new().await;
    let anna = || Value::from("anna@site.example");
    let shown = |n| [Value::from(format!("c{n}@site.example")), anna(), Value::from(FROM)];
    let asking = |n| [anna(), Value::from(format!("s{n}@site.example")), Value::from(PENDING_IN)];
    let batch = (0..CONTACTS).fold(Batch::new(), |batch, n| batch.run(ITEM, shown(n)));
    let batch = (0..STRANGERS).fold(batch, |batch, n| batch.run(ITEM, asking(n)));
    world.store.write(batch).await.unwrap();
    let mut contacts = Vec::new();
    for n in 0..CONTACTS {
        let jid = torg_wire::jid::FullJid::parse(&format!("c{n}@site.example/r")).unwrap();
        let contact = world.broker.attach(jid, "test").await;
        contact.send(Stanza::presence(PresenceType::Available)).await;
        contacts.push(contact);
    }

    let mut client = world.client("anna@site.example/phone").await;
    client.say(&Stanza::presence(PresenceType::Available)).await;
    let mut attached =
        world.broker.attach(torg_wire::jid::FullJid::parse("anna@site.example/part").unwrap(), "test").await;
    attached.send(Stanza::presence(PresenceType::Available)).await;
    for wire in [true, false] {
        let mut seen = HashSet::new();
        let mut asked = 0;
        while asked < STRANGERS {
            let stanza = if wire { client.recv().await } else { attached.recv().await.unwrap() };
            match stanza.kind() {
                StanzaKind::Presence(PresenceType::Available) => drop(seen.insert(stanza.from().unwrap().to_string())),
                StanzaKind::Presence(PresenceType::Subscribe) => asked += 1,
                other => panic!("{other:?}"),
            }
        }
        seen.retain(|from| from.starts_with('c'));
        assert_eq!(seen.len(), CONTACTS, "before the last request");
    }
}

#[tokio::test]
async fn a_long_request_is_kept_as_a_mere_fact() {
    for (length, kept) in [(10, true), (4 * 1024, false)] {
        let world = World::new().await;
        let mut anna = world.client("anna@site.example/phone").await;
        let status = Element::new(ns::CLIENT, "status").with_text("x".repeat(length));
        anna.send(&Stanza::presence(PresenceType::Subscribe).with_to(jid("bob@site.example")).with_child(status)).await;
        let mut bob = world.client("bob@site.example/desk").await;
        bob.send(&Stanza::presence(PresenceType::Available)).await;
        let come = bob.pending().await;
        let request =
            come.iter().find(|it| it.kind() == StanzaKind::Presence(PresenceType::Subscribe)).expect("a request");
        assert_eq!(request.child(ns::CLIENT, "status").is_some(), kept, "{length}");
    }
}
