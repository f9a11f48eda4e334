//! Sessions and messages that outlive the process (XEP-0198). A crash is a runtime that is dropped with all its tasks where they stand, and
//! another broker on the same store.

use std::sync::Arc;
use std::time::Duration;

use torg_core::limits::{RESUME_TIME, SESSIONS_PER_ACCOUNT};
use torg_store::{Engine, Sqlite};
use torg_wire::stanza::{PresenceType, Stanza};

use crate::managed::{MESSAGES, OFFLINE, SESSIONS, pass, rows, send_all, until};
use crate::raw::{Raw, chat};
use crate::world::{World, jid, life};

const ANNA: &str = "anna@site.example";
const BOB: &str = "bob@site.example";
const DESK: &str = "bob@site.example/desk";

fn store() -> Arc<dyn Engine> {
    Arc::new(Sqlite::in_memory().unwrap())
}

struct Story {
    store: Arc<dyn Engine>,
    anna: (u32, String),
    bob: (u32, String),
}

/// Anna has sent bob "1", "2", which he has got, and "3", "4", which he has not; then the process is gone.
fn crash() -> Story {
    let store = store();
    let (anna, bob) = life(&store, async |world| {
        let (mut anna, anna_id) = Raw::managed(&world, ANNA, "phone").await;
        let (mut bob, bob_id) = Raw::managed(&world, BOB, "desk").await;
        bob.say("<presence><priority>3</priority></presence>").await;
        bob.pending().await;
        send_all(&mut anna, DESK, &["1", "2"]).await;
        assert_eq!(bob.messages().await, ["1", "2"]);
        let handled = bob.handled;
        send_all(&mut anna, DESK, &["3", "4"]).await;
        ((anna.handled, anna_id), (handled, bob_id))
    });
    Story { store, anna, bob }
}

#[tokio::test]
async fn after_a_crash_a_session_goes_on_with_what_its_client_has_not_got() {
    let Story { store, anna, bob } = crash();
    let (handled, id) = life(&store, async move |world| {
        let (mut to, answer) = Raw::resume(&world, BOB, &bob.1, bob.0).await;
        assert_eq!(answer.name(), "resumed", "{answer}");
        let (mut from, answer) = Raw::resume(&world, ANNA, &anna.1, anna.0).await;
        assert_eq!((answer.name(), answer.attr("h")), ("resumed", Some("4")), "nothing is to be sent again");
        send_all(&mut from, DESK, &["5"]).await;
        assert_eq!(to.messages().await, ["3", "4", "5"]);
        // The numbers are right, too: another crash, with all acknowledged but the last.
        let handled = to.handled;
        send_all(&mut from, DESK, &["6"]).await;
        (handled, bob.1)
    });
    let world = World::with_store(store).await;
    let (mut bob, answer) = Raw::resume(&world, BOB, &id, handled).await;
    assert_eq!(answer.name(), "resumed", "{answer}");
    assert_eq!(bob.messages().await, ["6"]);
}

#[tokio::test]
async fn a_message_that_was_not_acknowledged_is_sent_again_and_comes_once() {
    let story = crash();
    let world = World::with_store(story.store).await;
    let (mut bob, _) = Raw::resume(&world, BOB, &story.bob.1, story.bob.0).await;
    // Anna has sent "5", of which the broker knows nothing: her client sends what is beyond the count.
    let (mut anna, answer) = Raw::resume(&world, ANNA, &story.anna.1, story.anna.0).await;
    let known: usize = answer.attr("h").unwrap().parse().unwrap();
    let sent = ["1", "2", "3", "4", "5"];
    send_all(&mut anna, DESK, &sent[known..]).await;
    assert_eq!(bob.messages().await, ["3", "4", "5"]);
}

#[tokio::test]
async fn a_resumed_session_is_there_for_its_contacts_again_with_its_priority() {
    let story = crash();
    let world = World::with_store(story.store).await;
    let mut phone = world.client("bob@site.example/phone").await;
    phone.say(&Stanza::presence(PresenceType::Available)).await;
    phone.pending().await;
    let (mut bob, _) = Raw::resume(&world, BOB, &story.bob.1, story.bob.0).await;
    bob.pending().await;
    let seen = phone.pending().await;
    assert!(seen.iter().any(|stanza| stanza.from().is_some_and(|from| from.as_str() == DESK)), "{seen:?}");
    let mut anna = world.client("anna@site.example/x").await;
    anna.raw(&chat(BOB, "higher priority")).await;
    anna.sync().await;
    assert_eq!(bob.messages().await, ["higher priority"]);
}

#[tokio::test]
async fn a_session_that_finds_no_place_any_more_leaves_its_messages_to_the_account() {
    let story = crash();
    let world = World::with_store(story.store).await;
    let mut sessions = Vec::new();
    for n in 0..SESSIONS_PER_ACCOUNT {
        sessions.push(world.client(&format!("{BOB}/{n}")).await);
    }
    let (_, answer) = Raw::resume(&world, BOB, &story.bob.1, story.bob.0).await;
    assert_eq!(answer.name(), "failed", "{answer}");
    let bob = &mut sessions[0];
    bob.raw("<presence/>").await;
    assert_eq!(bob.next_messages(2).await, ["3", "4"]);
}

#[tokio::test]
async fn a_session_whose_client_was_told_more_than_the_disk_knows_is_not_resumed_but_loses_nothing() {
    let store = store();
    let (handled, id) = life(&store, async |world| {
        let (mut anna, _) = Raw::managed(&world, ANNA, "phone").await;
        let (mut bob, id) = Raw::managed(&world, BOB, "desk").await;
        send_all(&mut anna, DESK, &["1"]).await;
        assert_eq!(bob.messages().await, ["1"]); // a ping of bob's: it is not durable
        let handled = bob.handled;
        assert_eq!(bob.acknowledged().await, 1);
        let behind = "SELECT behind FROM sm_session WHERE account = 'bob@site.example'";
        assert_eq!(rows(&world.store, behind).await, 1);
        send_all(&mut anna, DESK, &["2"]).await;
        (handled, id)
    });
    let world = World::with_store(store.clone()).await;
    let (mut bob, answer) = Raw::resume(&world, BOB, &id, handled).await;
    assert_eq!((answer.name(), answer.attr("h")), ("failed", Some("0")), "{answer}");
    bob.bind("desk").await;
    bob.say("<presence/>").await;
    assert_eq!(bob.next_messages(1).await, ["2"], "what it has handled does not come again, the rest does");
}

#[tokio::test]
async fn messages_of_a_session_that_nobody_resumes_become_offline_messages() {
    let story = crash();
    let world = World::with_store(story.store).await;
    assert_eq!(rows(&world.store, OFFLINE).await, 0);
    pass(RESUME_TIME + Duration::from_secs(1)).await;
    until(&world.store, SESSIONS, |count| count == 0).await;
    // The broker does not know what he has got: nothing is lost, and some of it comes twice, marked with ids of its own.
    assert_eq!((rows(&world.store, OFFLINE).await, rows(&world.store, MESSAGES).await), (4, 0));
    let (_, answer) = Raw::resume(&world, BOB, &story.bob.1, story.bob.0).await;
    assert_eq!(answer.name(), "failed");
}

#[tokio::test]
async fn a_login_with_the_address_of_a_sleeping_session_gets_its_messages_at_once() {
    let story = crash();
    let world = World::with_store(story.store).await;
    let mut bob = world.client(DESK).await;
    bob.say(&Stanza::presence(PresenceType::Available)).await;
    assert_eq!(bob.next_messages(4).await, ["1", "2", "3", "4"]);
    let (_, answer) = Raw::resume(&world, BOB, &story.bob.1, story.bob.0).await;
    assert_eq!(answer.name(), "failed");
}

#[tokio::test]
async fn nobody_else_resumes_a_sleeping_session() {
    let story = crash();
    let world = World::with_store(story.store).await;
    let (_, answer) = Raw::resume(&world, ANNA, &story.bob.1, 0).await;
    assert_eq!(answer.name(), "failed");
    let (_, answer) = Raw::resume(&world, BOB, &story.bob.1, story.bob.0).await;
    assert_eq!(answer.name(), "resumed");
}

#[tokio::test]
async fn a_stop_in_good_order_is_no_worse_than_a_crash() {
    let store = store();
    let world = World::with_store(store.clone()).await;
    let (mut anna, anna_id) = Raw::managed(&world, ANNA, "phone").await;
    let (mut bob, id) = Raw::managed(&world, BOB, "desk").await;
    bob.say("<presence/>").await;
    send_all(&mut anna, DESK, &["1"]).await;
    assert_eq!(bob.messages().await, ["1"]);
    let handled = bob.handled;
    bob.acknowledged().await; // the ping is not on the disk, but a good order is not taken by surprise
    send_all(&mut anna, DESK, &["2"]).await;
    let stopping = tokio::spawn(world.broker.shutdown(Duration::from_secs(20)));
    assert!(anna.fault().await.contains("<system-shutdown "));
    assert!(stopping.await.unwrap(), "in time");
    let world = World::with_store(store).await;
    let (mut bob, answer) = Raw::resume(&world, BOB, &id, handled).await;
    assert_eq!((answer.name(), answer.attr("h")), ("resumed", Some("2")), "{answer}");
    assert_eq!(bob.messages().await, ["2"]);
    let (_, answer) = Raw::resume(&world, ANNA, &anna_id, anna.handled).await;
    assert_eq!((answer.name(), answer.attr("h")), ("resumed", Some("2")), "{answer}");
}

#[tokio::test]
async fn a_session_without_durable_messages_writes_nothing() {
    let world = World::new().await;
    let (mut anna, _) = Raw::managed(&world, ANNA, "phone").await;
    let (mut bob, _) = Raw::managed(&world, BOB, "desk").await;
    anna.say("<presence/>").await;
    anna.say(&format!("<message to='{DESK}' id='1'><resp xmlns='urn:nf:iot:sd:1.0'/></message>")).await;
    assert_eq!(anna.acknowledged().await, 2);
    assert_eq!(bob.messages().await, ["1"]);
    assert_eq!((rows(&world.store, SESSIONS).await, rows(&world.store, MESSAGES).await), (0, 0));
}

#[tokio::test]
async fn a_removed_account_leaves_no_session_on_the_disk() {
    let story = crash();
    torg_core::forget_account(&*story.store, &jid(BOB)).await.unwrap();
    assert_eq!(rows(&story.store, MESSAGES).await, 0);
    assert_eq!(rows(&story.store, "SELECT COUNT(*) FROM sm_session WHERE account = 'bob@site.example'").await, 0);
}

#[tokio::test]
async fn a_message_for_an_account_that_is_away_is_counted_with_its_row() {
    let store = store();
    let id = life(&store, async |world| {
        let (mut anna, id) = Raw::managed(&world, ANNA, "phone").await;
        send_all(&mut anna, BOB, &["1", "2"]).await;
        id
    });
    let world = World::with_store(store.clone()).await;
    let (_, answer) = Raw::resume(&world, ANNA, &id, 0).await;
    assert_eq!((answer.name(), answer.attr("h")), ("resumed", Some("2")));
    assert_eq!(rows(&store, OFFLINE).await, 2);
}
