//! Stream management (XEP-0198) and client state (XEP-0352) in one life of the broker.

use std::sync::Arc;
use std::time::Duration;

use torg_core::limits::{
    ANSWER_TIME, ASK_AFTER, ASK_DELAY, ASK_PAUSE, DETACHED_PER_ACCOUNT, DETACHED_STANZAS, IDLE_TIME, MANAGED_STANZAS,
    RESUME_TIME,
};
use torg_store::testing::{Fault, Flaky};
use torg_store::{Engine, Sqlite};
use torg_wire::ns;

use crate::raw::{Raw, chat};
use crate::world::World;

const ANNA: &str = "anna@site.example";
const BOB: &str = "bob@site.example";
const DESK: &str = "bob@site.example/desk";
const PRESENCE: &str = "<presence/>";

/// Seconds go by. Only a jump: a paused clock runs ahead while the store's thread works.
pub(crate) async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// Sends messages and waits until the server is responsible for them.
pub(crate) async fn send_all(from: &mut Raw, to: &str, ids: &[&str]) {
    for id in ids {
        from.say(&chat(to, id)).await;
    }
    from.acknowledged().await;
}

pub(crate) async fn rows(store: &Arc<dyn Engine>, sql: &'static str) -> i64 {
    store.query(sql, vec![]).await.unwrap().first().unwrap().integer(0).unwrap()
}

/// Waits until the query answers so.
pub(crate) async fn until(store: &Arc<dyn Engine>, sql: &'static str, wanted: impl Fn(i64) -> bool) {
    let waiting = async {
        while !wanted(rows(store, sql).await) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("the store gets there");
}

pub(crate) const MESSAGES: &str = "SELECT COUNT(*) FROM sm_message";
pub(crate) const SESSIONS: &str = "SELECT COUNT(*) FROM sm_session";
pub(crate) const OFFLINE: &str = "SELECT COUNT(*) FROM offline_message";
pub(crate) const UNDER_WAY: &str = "SELECT COUNT(*) FROM transit_message";

#[tokio::test]
async fn a_lost_session_gets_what_came_meanwhile_in_order_and_nothing_twice() {
    let world = World::new().await;
    let (mut anna, _) = Raw::managed(&world, ANNA, "phone").await;
    let (mut bob, id) = Raw::managed(&world, BOB, "desk").await;
    send_all(&mut anna, DESK, &["1", "2"]).await;
    assert_eq!(bob.messages().await, ["1", "2"]);
    let handled = bob.handled;
    send_all(&mut anna, DESK, &["3"]).await; // on its way when the connection breaks
    drop(bob);
    send_all(&mut anna, DESK, &["4", "5"]).await;
    let (mut bob, answer) = Raw::resume(&world, BOB, &id, handled).await;
    assert_eq!((answer.name(), answer.attr("h"), answer.attr("previd")), ("resumed", Some("1"), Some(id.as_str())));
    assert_eq!(bob.messages().await, ["3", "4", "5"]);
    send_all(&mut anna, DESK, &["6"]).await;
    assert_eq!(bob.messages().await, ["6"]);
}

#[tokio::test]
async fn the_server_counts_what_it_has_handled_and_what_it_has_refused() {
    let world = World::new().await;
    let (mut anna, _) = Raw::managed(&world, ANNA, "phone").await;
    assert_eq!(anna.acknowledged().await, 0);
    anna.say(PRESENCE).await;
    anna.say(&chat(BOB, "1")).await;
    anna.say(&chat("nobody@elsewhere.example", "2")).await;
    anna.say("<iq type='get' id='malformed'/>").await;
    assert_eq!(anna.acknowledged().await, 4);
}

#[tokio::test]
async fn acknowledging_more_than_was_sent_ends_the_stream() {
    let world = World::new().await;
    let (mut anna, id) = Raw::managed(&world, ANNA, "phone").await;
    anna.pending().await;
    anna.acknowledge().await;
    anna.pending().await;
    anna.handled += 1;
    anna.acknowledge().await;
    let fault = anna.fault().await;
    assert!(fault.contains("<handled-count-too-high xmlns='urn:xmpp:sm:3' h='3' send-count='2'/>"), "{fault}");
    let (_, answer) = Raw::resume(&world, ANNA, &id, 2).await;
    assert_eq!(answer.name(), "failed", "the session went with the stream");
}

#[tokio::test]
async fn a_session_is_resumed_by_its_own_account_alone() {
    let world = World::new().await;
    let (anna, id) = Raw::managed(&world, ANNA, "phone").await;
    drop(anna);
    let (mut bob, answer) = Raw::resume(&world, BOB, &id, 0).await;
    assert!(answer.is(ns::STREAM_MANAGEMENT, "failed") && answer.child(ns::STANZA_ERRORS, "item-not-found").is_some());
    bob.bind("desk").await;
    let (_, answer) = Raw::resume(&world, ANNA, &id, 0).await;
    assert_eq!(answer.name(), "resumed");
}

#[tokio::test]
async fn a_connection_that_hangs_loses_its_session_to_the_next() {
    let world = World::new().await;
    let (mut old, id) = Raw::managed(&world, ANNA, "phone").await;
    old.say(PRESENCE).await;
    old.pending().await;
    let handled = old.handled;
    let (mut new, answer) = Raw::resume(&world, ANNA, &id, handled).await;
    assert_eq!((answer.name(), answer.attr("h")), ("resumed", Some("2")));
    assert!(old.fault().await.contains("<conflict "));
    assert!(new.pending().await.is_empty(), "nobody saw it go");
    // And again, by the same id.
    let (mut newest, answer) = Raw::resume(&world, ANNA, &id, new.handled).await;
    assert_eq!(answer.name(), "resumed");
    assert!(new.fault().await.contains("<conflict "));
    newest.pending().await;
}

#[tokio::test]
async fn a_session_that_another_connection_took_and_could_not_resume_waits_no_longer_than_a_lost_one() {
    let world = World::new().await;
    let (mut old, id) = Raw::managed(&world, ANNA, "phone").await;
    old.pending().await;
    let mut new = Raw::login(&world, ANNA).await;
    new.say(&format!("<resume xmlns='urn:xmpp:sm:3' previd='{id}' h='1000'/>")).await;
    assert!(new.fault().await.contains("<handled-count-too-high "));
    assert!(old.fault().await.contains("<conflict "));
    assert_eq!(world.broker.router().sessions(), 1);
    pass(RESUME_TIME).await;
    world.left(0).await;
}

#[tokio::test]
async fn presence_stays_until_the_time_to_resume_is_over() {
    let world = World::new().await;
    let (mut desk, _) = Raw::managed(&world, BOB, "desk").await;
    let (mut phone, id) = Raw::managed(&world, BOB, "phone").await;
    desk.say(PRESENCE).await;
    phone.say("<presence><priority>5</priority></presence>").await;
    phone.pending().await;
    desk.pending().await;
    desk.acknowledge().await;
    phone.acknowledge().await;
    phone.pending().await;
    drop(phone);
    let mut anna = world.client("anna@site.example/phone").await;
    for id in ["1", "2"] {
        anna.raw(&chat(BOB, id)).await;
    }
    anna.sync().await;
    pass(RESUME_TIME - Duration::from_secs(5)).await;
    assert!(desk.pending().await.is_empty(), "the phone is still there, and has the higher priority");
    pass(Duration::from_secs(6)).await;
    let gone = desk.next().await;
    assert_eq!((gone.name(), gone.attr("type")), ("presence", Some("unavailable")));
    let found = [desk.next().await, desk.next().await];
    assert_eq!(found.map(|message| message.attr("id").unwrap().to_owned()), ["1", "2"], "they go to the other session");
    let (_, answer) = Raw::resume(&world, BOB, &id, 0).await;
    assert_eq!(answer.name(), "failed");
    assert_eq!(rows(&world.store, "SELECT COUNT(*) FROM sm_session WHERE jid = 'bob@site.example/phone'").await, 0);
}

#[tokio::test]
async fn a_farewell_ends_the_session_and_what_was_not_acknowledged_waits_for_the_account() {
    let world = World::new().await;
    let (mut anna, _) = Raw::managed(&world, ANNA, "phone").await;
    let (mut bob, id) = Raw::managed(&world, BOB, "desk").await;
    send_all(&mut anna, DESK, &["1"]).await;
    assert_eq!(bob.messages().await, ["1"]);
    bob.acknowledge().await;
    bob.pending().await;
    send_all(&mut anna, DESK, &["2"]).await;
    bob.say("</stream:stream>").await;
    while bob.hear().await.is_some() {}
    let (mut bob, answer) = Raw::resume(&world, BOB, &id, 2).await;
    assert_eq!(answer.name(), "failed");
    bob.bind("desk").await;
    bob.say(PRESENCE).await;
    assert_eq!(bob.next_messages(1).await, ["2"]);
    assert_eq!(rows(&world.store, MESSAGES).await, 0);
}

#[tokio::test]
async fn without_resumption_what_was_not_acknowledged_goes_on_as_if_nobody_had_been_there() {
    let world = World::new().await;
    let mut bob = Raw::login(&world, BOB).await;
    bob.bind("desk").await;
    bob.say("<enable xmlns='urn:xmpp:sm:3'/>").await;
    let enabled = bob.next().await;
    assert_eq!((enabled.name(), enabled.attr("resume"), enabled.attr("id")), ("enabled", None, None));
    let mut anna = world.client("anna@site.example/phone").await;
    anna.raw(&chat(DESK, "1")).await;
    anna.raw(&chat(DESK, "2")).await;
    anna.sync().await;
    assert_eq!(bob.next().await.attr("id"), Some("1"));
    bob.say("<a xmlns='urn:xmpp:sm:3' h='1'/>").await;
    assert_eq!(bob.messages().await, ["2"]);
    drop(bob);
    until(&world.store, OFFLINE, |count| count == 1).await;
    let mut bob = world.client(DESK).await;
    bob.raw(PRESENCE).await;
    assert_eq!(bob.next_messages(1).await, ["2"]);
}

#[tokio::test]
async fn what_waited_before_management_is_counted_and_what_is_durable_behind_it_is_on_the_disk() {
    let world = World::new().await;
    let mut bob = Raw::login(&world, BOB).await;
    bob.bind("desk").await;
    let mut anna = world.client("anna@site.example/phone").await;
    bob.say("<inactive xmlns='urn:xmpp:csi:0'/>").await; // so that it waits, as it does for a slow client
    bob.say("<iq type='get' to='site.example' id='x'><ping xmlns='urn:xmpp:ping'/></iq>").await;
    assert_eq!(bob.next().await.attr("id"), Some("x"));
    let state = format!("<message type='chat' to='{DESK}' id='s'><composing xmlns='{}'/></message>", ns::CHAT_STATES);
    anna.raw(&state).await;
    anna.sync().await;
    bob.say("<enable xmlns='urn:xmpp:sm:3' resume='true'/>").await;
    assert_eq!(bob.next().await.name(), "enabled");
    anna.raw(&chat(DESK, "1")).await;
    anna.sync().await;
    assert_eq!([bob.next().await, bob.next().await].map(|element| element.attr("id").unwrap().to_owned()), ["s", "1"]);
    assert_eq!(rows(&world.store, MESSAGES).await, 1, "what only tells a state is not durable");
}

#[tokio::test]
async fn an_offline_message_leaves_its_table_when_the_session_has_it_on_disk() {
    let world = World::new().await;
    let mut anna = world.client("anna@site.example/phone").await;
    anna.raw(&chat(BOB, "1")).await;
    anna.sync().await;
    let (mut bob, id) = Raw::managed(&world, BOB, "desk").await;
    bob.say(PRESENCE).await;
    assert_eq!(bob.next_messages(1).await, ["1"]);
    assert_eq!((rows(&world.store, OFFLINE).await, rows(&world.store, MESSAGES).await), (0, 1));
    drop(bob);
    let (mut bob, _) = Raw::resume(&world, BOB, &id, 0).await;
    assert_eq!(bob.messages().await, ["1"], "it was not acknowledged");
    bob.acknowledge().await;
    bob.pending().await;
    pass(Duration::from_secs(2)).await;
    until(&world.store, MESSAGES, |count| count == 0).await;
}

#[tokio::test]
async fn the_server_asks_along_with_a_stanza_then_after_a_batch_and_in_time_after_a_single_one() {
    let world = World::new().await;
    let (mut bob, _) = Raw::managed(&world, BOB, "desk").await;
    let mut anna = world.client("anna@site.example/phone").await;
    anna.raw(&chat(DESK, "first")).await;
    assert_eq!(bob.hear().await.unwrap().attr("id"), Some("first"));
    assert!(bob.hear().await.unwrap().is(ns::STREAM_MANAGEMENT, "r"));
    bob.acknowledge().await;
    bob.acknowledged().await;
    for n in 0..ASK_AFTER {
        anna.raw(&chat(DESK, &n.to_string())).await;
    }
    let mut stanzas = 0;
    while !bob.hear().await.unwrap().is(ns::STREAM_MANAGEMENT, "r") {
        stanzas += 1;
    }
    assert_eq!(stanzas, ASK_AFTER);
    bob.acknowledge().await;
    bob.acknowledged().await;
    anna.raw(&chat(DESK, "single")).await;
    assert_eq!(bob.hear().await.unwrap().attr("id"), Some("single"));
    pass(ASK_DELAY).await;
    assert!(bob.hear().await.unwrap().is(ns::STREAM_MANAGEMENT, "r"));
}

#[tokio::test]
async fn after_the_pause_the_server_asks_along_with_a_stanza_again() {
    let world = World::new().await;
    let (mut bob, _) = Raw::managed(&world, BOB, "desk").await;
    let mut anna = world.client("anna@site.example/phone").await;
    for (id, asks) in [("1", true), ("2", false), ("3", true)] {
        anna.raw(&chat(DESK, id)).await;
        assert_eq!(bob.hear().await.unwrap().attr("id"), Some(id));
        if asks {
            assert!(bob.hear().await.unwrap().is(ns::STREAM_MANAGEMENT, "r"));
            bob.acknowledge().await;
            bob.acknowledged().await;
        } else {
            pass(ASK_PAUSE).await;
        }
    }
}

#[tokio::test]
async fn a_client_that_does_not_acknowledge_loses_its_connection_but_not_its_session() {
    let world = World::new().await;
    let (mut bob, id) = Raw::managed(&world, BOB, "desk").await;
    let mut anna = world.client("anna@site.example/phone").await;
    anna.raw(&chat(DESK, "1")).await;
    assert_eq!(bob.next().await.attr("id"), Some("1"));
    assert!(bob.hear().await.unwrap().is(ns::STREAM_MANAGEMENT, "r"));
    pass(ANSWER_TIME + Duration::from_secs(1)).await;
    assert!(bob.fault().await.contains("<connection-timeout "));
    let (mut bob, answer) = Raw::resume(&world, BOB, &id, 0).await;
    assert_eq!(answer.name(), "resumed");
    assert_eq!(bob.messages().await, ["1"]);
}

#[tokio::test]
async fn a_silent_client_is_asked_whether_it_is_there() {
    let world = World::new().await;
    let mut bob = Raw::login(&world, BOB).await;
    bob.bind("desk").await;
    pass(IDLE_TIME - Duration::from_secs(1)).await;
    assert!(bob.pending().await.is_empty(), "not before the time that is advertised");
    pass(IDLE_TIME + Duration::from_secs(1)).await;
    let ping = bob.next().await;
    assert!(ping.child(ns::PING, "ping").is_some(), "{ping}");
    bob.say("<iq type='result' id='are-you-there' to='site.example'/>").await;
    assert!(bob.pending().await.is_empty());
    pass(IDLE_TIME + Duration::from_secs(1)).await;
    assert!(bob.next().await.child(ns::PING, "ping").is_some());
    pass(ANSWER_TIME + Duration::from_secs(1)).await;
    assert!(bob.fault().await.contains("<connection-timeout "));
}

#[tokio::test]
async fn what_a_lost_session_has_no_room_for_waits_in_the_table_and_comes_behind_the_rest() {
    let world = World::new().await;
    let (mut bob, id) = Raw::managed(&world, BOB, "desk").await;
    bob.say(PRESENCE).await;
    bob.pending().await;
    bob.acknowledge().await;
    bob.pending().await;
    let handled = bob.handled;
    drop(bob);
    let mut admin = world.client("admin@site.example/x").await;
    let all = DETACHED_STANZAS + 3;
    for n in 0..all {
        admin.raw(&chat(DESK, &n.to_string())).await;
    }
    admin.sync().await;
    assert!(rows(&world.store, OFFLINE).await >= 3);
    let (mut bob, _) = Raw::resume(&world, BOB, &id, handled).await;
    let mut found = Vec::new();
    while found.len() < all {
        found.extend(bob.next_messages(1).await);
        bob.acknowledge().await;
    }
    let expected: Vec<String> = (0..all).map(|n| n.to_string()).collect();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn of_too_many_lost_sessions_the_oldest_ends() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for n in 0..=DETACHED_PER_ACCOUNT {
        let (session, id) = Raw::managed(&world, ANNA, &n.to_string()).await;
        drop(session);
        ids.push(id);
        // The server has noticed when another login is through.
        Raw::login(&world, BOB).await.bind("x").await;
    }
    let mut found = Vec::new();
    for id in &ids {
        found.push(Raw::resume(&world, ANNA, id, 0).await.1.name().to_owned());
    }
    assert_eq!(found[0], "failed");
    assert!(found[1..].iter().all(|answer| answer == "resumed"), "{found:?}");
}

#[tokio::test]
async fn a_lost_session_makes_room_for_a_login() {
    let world = World::new().await;
    let mut others = Vec::new();
    for n in 0..9 {
        others.push(world.client(&format!("anna@site.example/{n}")).await);
    }
    let (lost, id) = Raw::managed(&world, ANNA, "lost").await;
    drop(lost);
    // The server has noticed when another login is through.
    world.client("bob@site.example/x").await;
    others.push(world.client("anna@site.example/new").await);
    assert_eq!(Raw::resume(&world, ANNA, &id, 0).await.1.name(), "failed");
}

#[tokio::test]
async fn what_waits_for_an_inactive_client_does_not_hold_up_the_messages_that_found_no_room() {
    let world = World::new().await;
    let mut bob = Raw::login(&world, BOB).await;
    bob.bind("desk").await;
    bob.say("<enable xmlns='urn:xmpp:sm:3'/><inactive xmlns='urn:xmpp:csi:0'/>").await;
    assert_eq!(bob.next().await.name(), "enabled");
    let mut admin = world.client("admin@site.example/x").await;
    let all = MANAGED_STANZAS + 1;
    for n in 0..all {
        admin.raw(&chat(DESK, &n.to_string())).await;
    }
    until(&world.store, OFFLINE, |count| count == 1).await;
    let mut come = 0;
    while come < MANAGED_STANZAS {
        come += usize::from(bob.next().await.name() == "message");
    }
    bob.say("<a xmlns='urn:xmpp:sm:3' h='1'/>").await;
    bob.acknowledged().await;
    admin.raw(&format!("<presence to='{DESK}'/>")).await;
    admin.sync().await;
    bob.say(&format!("<a xmlns='urn:xmpp:sm:3' h='{MANAGED_STANZAS}'/>")).await;
    assert_eq!([bob.next().await, bob.next().await].map(|it| it.name().to_owned()), ["presence", "message"]);
}

#[tokio::test]
async fn an_inactive_client_gets_the_newest_presence_when_something_else_comes() {
    let world = World::new().await;
    let mut desk = Raw::login(&world, BOB).await;
    desk.bind("desk").await;
    desk.say("<presence/><inactive xmlns='urn:xmpp:csi:0'/>").await;
    let mut phone = world.client("bob@site.example/phone").await;
    desk.pending().await; // its own presence; the answer to a ping cannot wait
    for show in ["away", "dnd", "xa"] {
        phone.raw(&format!("<presence><show>{show}</show></presence>")).await;
    }
    phone.raw(&format!("<message type='chat' to='{DESK}'><composing xmlns='{}'/></message>", ns::CHAT_STATES)).await;
    phone.sync().await;
    phone.raw(&chat(DESK, "1")).await;
    let presence = desk.next().await;
    assert_eq!(presence.child_text(ns::CLIENT, "show").as_deref(), Some("xa"));
    assert!(desk.next().await.child(ns::CHAT_STATES, "composing").is_some());
    assert_eq!(desk.next().await.attr("id"), Some("1"));
    phone.raw("<presence/>").await;
    phone.sync().await;
    desk.say("<active xmlns='urn:xmpp:csi:0'/>").await;
    assert_eq!(desk.next().await.name(), "presence", "what waited comes when somebody looks");
}

#[tokio::test]
async fn a_write_that_the_disk_refuses_leaves_the_counts_of_both_sides_right() {
    let store = Arc::new(Flaky::new(Arc::new(Sqlite::in_memory().unwrap()), Fault::Refused));
    let world = World::with_store(store.clone()).await;
    let (mut anna, _) = Raw::managed(&world, ANNA, "phone").await;
    let (mut bob, id) = Raw::managed(&world, BOB, "desk").await;
    store.fail_at(1);
    anna.say(&chat(DESK, "from memory")).await;
    assert_eq!(bob.next().await.attr("id"), Some("from memory"), "he is there, so he gets it");
    anna.say(&format!("<message type='headline' to='{DESK}' id='live'><body>x</body></message>")).await;
    assert_eq!(bob.next().await.attr("id"), Some("live"));
    send_all(&mut anna, DESK, &["1"]).await;
    assert_eq!(bob.messages().await, ["1"]);
    let handled = bob.handled;
    send_all(&mut anna, DESK, &["2"]).await;
    drop(bob);
    let (mut bob, _) = Raw::resume(&world, BOB, &id, handled).await;
    assert_eq!(bob.messages().await, ["2"], "the counts are still right");
}
