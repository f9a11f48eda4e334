//! Messages that were acknowledged and are still under way when the process dies: to another server, or to a session that cannot be resumed.

use std::sync::Arc;
use std::time::Duration;

use torg_core::limits::RESUME_TIME;
use torg_core::s2s::RESOLVE_TIME;
use torg_store::{Engine, Sqlite};
use torg_wire::ns;

use crate::managed::{OFFLINE, UNDER_WAY, pass, rows, send_all, until};
use crate::raw::{Raw, chat};
use crate::world::{World, jid, life_beside_silence};

const ANNA: &str = "anna@site.example";
const BOB: &str = "bob@site.example";
const EVE: &str = "eve@far.example";

fn store() -> Arc<dyn Engine> {
    Arc::new(Sqlite::in_memory().unwrap())
}

/// Anna has sent a message to another server, which is away, and was told that it is in good hands; then the process is gone.
fn crash(store: &Arc<dyn Engine>) -> (u32, String) {
    life_beside_silence(store, async |world| {
        let (mut anna, id) = Raw::managed(&world, ANNA, "phone").await;
        send_all(&mut anna, EVE, &["1", "2"]).await;
        assert_eq!(rows(&world.store, UNDER_WAY).await, 2);
        (anna.handled, id)
    })
}

/// Whether there is an error to the message with this id.
fn bounced(elements: &[torg_wire::xml::Element], id: &str) -> bool {
    let is_error = |element: &&torg_wire::xml::Element| element.attr("type") == Some("error");
    elements.iter().filter(is_error).any(|element| element.attr("id") == Some(id))
}

async fn wait_for_bounce(raw: &mut Raw, id: &str) {
    while !bounced(&raw.pending().await, id) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_sender_hears_after_a_crash_that_a_server_stays_away() {
    let store = store();
    let (handled, id) = crash(&store);
    let world = World::federated(store.clone()).await;
    let (mut anna, answer) = Raw::resume(&world, ANNA, &id, handled).await;
    assert_eq!((answer.name(), answer.attr("h")), ("resumed", Some("2")), "nothing is to be sent again");
    pass(RESOLVE_TIME + Duration::from_secs(1)).await;
    wait_for_bounce(&mut anna, "1").await;
    until(&store, UNDER_WAY, |count| count == 0).await;
}

#[tokio::test]
async fn a_message_waits_for_its_sender_to_be_back_before_it_is_given_up() {
    let store = store();
    let (handled, id) = crash(&store);
    let world = World::federated(store.clone()).await;
    // Too long for the peer, and nobody there to hear of it.
    pass(RESOLVE_TIME + Duration::from_secs(1)).await;
    world.client("carla@site.example/x").await; // some time for the broker
    assert_eq!(rows(&store, UNDER_WAY).await, 2);
    let (mut anna, _) = Raw::resume(&world, ANNA, &id, handled).await;
    // Tried again once a minute; meanwhile anna shows that she is there.
    let mut heard = Vec::new();
    while !bounced(&heard, "2") {
        pass(RESOLVE_TIME).await;
        anna.acknowledge().await;
        heard = anna.pending().await;
    }
    until(&store, UNDER_WAY, |count| count == 0).await;
}

#[tokio::test]
async fn a_stop_in_good_order_keeps_what_waits_for_another_server() {
    let store = store();
    life_beside_silence(&store, async |world| {
        let (mut anna, _) = Raw::managed(&world, ANNA, "phone").await;
        anna.say(&chat(EVE, "1")).await;
        anna.pending().await;
        world.broker.shutdown(Duration::from_secs(5)).await;
    });
    assert_eq!(rows(&store, UNDER_WAY).await, 1);
}

#[tokio::test]
async fn who_needs_no_acknowledgement_costs_no_row() {
    let store = store();
    life_beside_silence(&store, async |world| {
        let mut anna = Raw::login(&world, ANNA).await;
        anna.bind("phone").await;
        anna.say(&chat(EVE, "1")).await;
        anna.pending().await;
        world.broker.shutdown(Duration::from_secs(5)).await;
    });
    assert_eq!(rows(&store, UNDER_WAY).await, 0);
}

#[tokio::test]
async fn a_removed_account_leaves_no_message_under_way() {
    for account in [ANNA, EVE] {
        let store = store();
        crash(&store);
        torg_core::forget_account(&*store, &jid(account)).await.unwrap();
        assert_eq!(rows(&store, UNDER_WAY).await, 0, "{account}");
    }
}

/// More than the pipe between the broker and a client takes that does not read.
const MANY: usize = 200;

/// Many messages go to a session of bob's that reads nothing and is not managed (yet), and are acknowledged.
async fn stuck(world: &World) -> Raw {
    let (mut admin, _) = Raw::managed(world, "admin@site.example", "x").await; // not slowed down
    let mut bob = Raw::login(world, BOB).await;
    bob.bind("desk").await;
    let body = "x".repeat(1_000);
    for n in 0..MANY {
        let to = "bob@site.example/desk";
        admin.say(&format!("<message type='chat' to='{to}' id='{n}'><body>{body}</body></message>")).await;
    }
    assert_eq!(admin.acknowledged().await, u32::try_from(MANY).unwrap());
    assert!(rows(&world.store, UNDER_WAY).await > 0);
    bob
}

#[tokio::test]
async fn what_a_session_had_not_taken_before_it_was_managed_waits_for_its_account() {
    let store = store();
    life_beside_silence(&store, async |world| drop(stuck(&world).await));
    let under_way = rows(&store, UNDER_WAY).await;
    let world = World::federated(store.clone()).await;
    until(&store, UNDER_WAY, |count| count == 0).await;
    assert_eq!(rows(&store, OFFLINE).await, under_way);
    let mut bob = Raw::login(&world, BOB).await;
    bob.bind("desk").await;
    bob.say("<presence/>").await;
    let mut found = Vec::new();
    while found.len() < usize::try_from(under_way).unwrap() {
        found.extend(bob.pending().await.into_iter().filter(|element| element.name() == "message"));
    }
    assert!(found.iter().all(|message| message.child(ns::DELAY, "delay").is_some()), "they say that they are late");
    assert_eq!(found.last().and_then(|message| message.attr("id")), Some((MANY - 1).to_string().as_str()), "in order");
}

#[tokio::test]
async fn after_a_while_a_message_is_given_up_even_if_its_sender_is_not_back() {
    let store = store();
    crash(&store);
    let world = World::federated(store.clone()).await;
    until(&store, "SELECT COUNT(*) FROM sm_session", |count| count == 1).await;
    // Until the end of the time in which sessions are resumed, and once more.
    for _ in 0..8 {
        pass(RESUME_TIME / 4).await;
        world.client("carla@site.example/x").await; // some time for the broker
    }
    until(&store, UNDER_WAY, |count| count == 0).await;
}
