//! Stopping: everyone hears of it, and what was accepted is delivered or kept.

use std::sync::Arc;
use std::time::Duration;

use torg_store::Sqlite;
use torg_wire::stanza::{MessageType, PresenceType, Stanza};

use crate::world::{World, jid};

#[tokio::test]
async fn sessions_end_with_system_shutdown() {
    let world = World::new().await;
    let mut anna = world.client("anna@site.example/phone").await;
    let stopping = tokio::spawn(world.broker.shutdown(Duration::from_secs(20)));
    assert!(anna.end().await.to_string().contains("system-shutdown"));
    assert!(stopping.await.unwrap(), "in time");
}

#[tokio::test]
async fn connections_that_have_not_logged_in_end_too() {
    let world = World::new().await;
    let _idle = world.direct.connect().await.unwrap();
    let _other = world.starttls.connect().await.unwrap();
    assert!(world.broker.shutdown(Duration::from_secs(20)).await);
}

#[tokio::test]
async fn what_waits_for_a_session_is_written_before_it_ends() {
    let world = World::new().await;
    let mut anna = world.client("anna@site.example/phone").await;
    let mut bob = world.client("bob@site.example/desk").await;
    bob.online().await;
    let message = Stanza::message(MessageType::Chat).with_to(jid("bob@site.example")).with_body("hello");
    for n in 0..100 {
        anna.say(&message.clone().with_id(n.to_string())).await;
    }
    anna.sync().await;
    let stopping = tokio::spawn(world.broker.shutdown(Duration::from_secs(20)));
    for n in 0..100 {
        assert_eq!(bob.recv().await.id(), Some(n.to_string().as_str()));
    }
    assert!(bob.end().await.to_string().contains("system-shutdown"));
    stopping.await.unwrap();
}

#[tokio::test]
async fn what_a_stuck_session_does_not_take_is_kept_for_later() {
    let store = Arc::new(Sqlite::in_memory().unwrap());
    let world = World::with_store(store.clone()).await;
    let mut admin = world.client("admin@site.example/x").await; // not slowed down
    let mut bob = world.client("bob@site.example/desk").await;
    bob.online().await;
    // Bob reads nothing from now on: the pipe fills, then his queue, then the offline store.
    let big = "x".repeat(20_000);
    let message = Stanza::message(MessageType::Chat).with_to(jid("bob@site.example")).with_body(big);
    for n in 0..40 {
        admin.send(&message.clone().with_id(n.to_string())).await;
    }
    assert!(!world.broker.shutdown(Duration::ZERO).await, "bob is stuck");

    let world = World::with_store(store).await;
    let mut again = world.client("bob@site.example/desk").await;
    again.say(&Stanza::presence(PresenceType::Available)).await;
    let mut kept = Vec::new();
    while kept.last().map(String::as_str) != Some("39") {
        kept.extend(again.recv().await.id().map(str::to_owned));
    }
    // What the pipe had taken was written; everything behind it is here, in order.
    let first: usize = kept.iter().find_map(|id| id.parse().ok()).unwrap();
    let expected: Vec<String> = (first..40).map(|n| n.to_string()).collect();
    assert_eq!(kept.into_iter().filter(|id| id.parse::<usize>().is_ok()).collect::<Vec<_>>(), expected);
    assert!(first <= 4, "a pipe of 64 KiB holds no more than three messages of 20 kB: {first}");
}
