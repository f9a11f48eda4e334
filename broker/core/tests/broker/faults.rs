//! The store fails at the n-th write, for every n of a story: whatever was acknowledged arrives.

use std::collections::BTreeSet;
use std::sync::Arc;

use torg_store::testing::{Fault, Flaky};
use torg_store::{Sqlite, StoreError};
use torg_wire::ns;
use torg_wire::stanza::{ErrorType, MessageType, PresenceType, Stanza, StanzaCondition, StanzaKind};
use torg_wire::xml::Element;

use crate::world::{World, jid};

const MESSAGES: usize = 5;

/// Anna writes to bob, who is away and comes twice. Answers which messages anna may believe in and which bob got, duplicates included.
async fn story(store: &Arc<Flaky>, nth: u64) -> (BTreeSet<String>, Vec<String>) {
    let world = World::with_store(store.clone()).await;
    let mut anna = world.client("anna@site.example/phone").await;
    store.fail_at(nth);
    let mut believed = BTreeSet::new();
    for n in 0..MESSAGES {
        let id = format!("m{n}");
        let message = Stanza::message(MessageType::Chat).with_to(jid("bob@site.example")).with_body("hello");
        anna.send(&message.with_id(&id)).await;
        let refused = anna.pending().await.iter().any(|stanza| stanza.kind().is_error() && stanza.id() == Some(&id));
        if !refused {
            believed.insert(id);
        }
    }
    let mut arrived = Vec::new();
    // A failed delivery leaves its messages in the table; the next login gets them.
    for _ in 0..3 {
        let mut bob = world.client("bob@site.example/desk").await;
        bob.say(&Stanza::presence(PresenceType::Available)).await;
        loop {
            let stored = world.store.query("SELECT COUNT(*) FROM offline_message", vec![]).await.unwrap();
            let left = stored.first().unwrap().integer(0).unwrap();
            for stanza in bob.pending().await {
                if let (StanzaKind::Message(_), Some(id)) = (stanza.kind(), stanza.id()) {
                    arrived.push(id.to_owned());
                }
            }
            let all: BTreeSet<String> = arrived.iter().cloned().collect();
            if left == 0 || believed.is_subset(&all) {
                break;
            }
            tokio::task::yield_now().await;
        }
        bob.close().await;
    }
    (believed, arrived)
}

#[tokio::test]
async fn no_acknowledged_message_is_lost_whichever_write_fails() {
    for fault in [Fault::Refused, Fault::AnswerLost] {
        // More than the story has: keeping, delivering and deleting, each batch a write.
        for nth in 1..=(2 * u64::try_from(MESSAGES).unwrap() + 2) {
            let store = Arc::new(Flaky::new(Arc::new(Sqlite::in_memory().unwrap()), fault));
            let (believed, arrived) = story(&store, nth).await;
            let arrived_once: BTreeSet<String> = arrived.iter().cloned().collect();
            assert!(believed.is_subset(&arrived_once), "{fault:?} at {nth}: {believed:?} but {arrived:?}");
            assert!(believed.len() >= MESSAGES - 1, "one failing write refuses one message at most");
        }
    }
}

#[tokio::test]
async fn without_faults_every_message_arrives_once_and_in_order() {
    let store = Arc::new(Flaky::new(Arc::new(Sqlite::in_memory().unwrap()), Fault::Refused));
    let (believed, arrived) = story(&store, 0).await;
    assert_eq!(believed.len(), MESSAGES);
    assert_eq!(arrived, ["m0", "m1", "m2", "m3", "m4"]);
}

#[tokio::test]
async fn a_failing_store_refuses_a_message_but_the_session_goes_on() {
    let store = Arc::new(Flaky::new(Arc::new(Sqlite::in_memory().unwrap()), Fault::Refused));
    let world = World::with_store(store.clone()).await;
    let mut anna = world.client("anna@site.example/phone").await;
    store.fail_at(1);
    let message = Stanza::message(MessageType::Chat).with_to(jid("bob@site.example")).with_body("hello");
    anna.send(&message.with_id("m")).await;
    let found = anna.pending().await;
    assert_eq!(found.len(), 1);
    let error = found[0].error().unwrap();
    assert_eq!((error.condition(), error.kind()), (StanzaCondition::ResourceConstraint, ErrorType::Wait));
    let refused: Result<_, StoreError> = world.store.query("SELECT 1", vec![]).await;
    assert!(refused.is_ok());
}

#[tokio::test]
async fn a_subscription_whose_second_half_fails_can_be_asked_for_again() {
    for nth in 1..=4 {
        let store = Arc::new(Flaky::new(Arc::new(Sqlite::in_memory().unwrap()), Fault::Refused));
        let world = World::with_store(store.clone()).await;
        let mut anna = world.client("anna@site.example/phone").await;
        let mut bob = world.client("bob@site.example/desk").await;
        store.fail_at(nth);
        let subscription = |kind, to: &str| Stanza::presence(kind).with_to(jid(to));
        for _ in 0..2 {
            anna.send(&subscription(PresenceType::Subscribe, "bob@site.example")).await;
            bob.send(&subscription(PresenceType::Subscribed, "anna@site.example")).await;
        }
        anna.online().await;
        bob.send(&Stanza::presence(PresenceType::Available)).await;
        let seen = anna.pending().await;
        assert!(
            seen.iter().any(|stanza| stanza.from().is_some_and(|from| from.as_str() == "bob@site.example/desk")),
            "{nth}"
        );
    }
}

#[tokio::test]
async fn whatever_a_full_disk_refuses_is_answered_with_a_wish_to_wait() {
    let item = |namespace, name| Element::new(namespace, name).with_attr("jid", "bob@site.example");
    for payload in [
        Element::new(ns::ROSTER, "query").with_child(item(ns::ROSTER, "item")),
        Element::new(ns::BLOCKING, "block").with_child(item(ns::BLOCKING, "item")),
        Element::new(ns::PRIVATE, "query").with_child(Element::new("urn:example", "note").with_text("x")),
        Element::new(ns::VCARD, "vCard").with_child(Element::new(ns::VCARD, "FN").with_text("Anna")),
    ] {
        let store = Arc::new(Flaky::new(Arc::new(Sqlite::in_memory().unwrap()), Fault::Refused));
        let world = World::with_store(store.clone()).await;
        let mut anna = world.client("anna@site.example/phone").await;
        store.fail_at(1);
        let answer = anna.ask(&Stanza::iq_set("s", payload.clone())).await;
        let error = answer.error().unwrap();
        assert_eq!(
            (error.condition(), error.kind()),
            (StanzaCondition::ResourceConstraint, ErrorType::Wait),
            "{payload}"
        );
    }
}
