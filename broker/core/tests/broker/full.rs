//! A disk that takes nothing (XEP-0198 sessions go on in memory), and a store that comes back from a backup.

use std::sync::Arc;
use std::time::Duration;

use torg_core::{after_restore, begin_rosters};
use torg_store::testing::{Fault, Flaky};
use torg_store::{Engine, Sqlite};
use torg_thing::Timestamp;

use crate::managed::{MESSAGES, OFFLINE, SESSIONS, rows, send_all};
use crate::raw::{Raw, chat};
use crate::world::{World, jid, life};

const ANNA: &str = "anna@site.example";
const BOB: &str = "bob@site.example";
const DESK: &str = "bob@site.example/desk";

fn flaky() -> (Arc<Flaky>, Arc<dyn Engine>) {
    let disk = Arc::new(Flaky::new(Arc::new(Sqlite::in_memory().unwrap()), Fault::Refused));
    (Arc::clone(&disk), disk)
}

#[tokio::test]
async fn while_the_disk_takes_nothing_a_client_that_is_there_gets_its_messages_once() {
    let (disk, store) = flaky();
    let (handled, id) = life(&store, async move |world| {
        let (mut anna, _) = Raw::managed(&world, ANNA, "phone").await;
        let (mut bob, id) = Raw::managed(&world, BOB, "desk").await;
        send_all(&mut anna, DESK, &["1"]).await;
        disk.set_full(true);
        send_all(&mut anna, DESK, &["2", "3"]).await;
        assert_eq!(bob.messages().await, ["1", "2", "3"]);
        assert_eq!(anna.acknowledged().await, 3, "they were taken");
        disk.set_full(false);
        send_all(&mut anna, DESK, &["4"]).await;
        assert_eq!(bob.messages().await, ["4"]);
        bob.acknowledge().await;
        (bob.handled, id)
    });
    // What is on the disk fits what the client counts, although the disk has not seen everything.
    let world = World::with_store(store).await;
    let (mut bob, answer) = Raw::resume(&world, BOB, &id, handled).await;
    assert_eq!(answer.name(), "resumed", "{answer}");
    assert_eq!(bob.messages().await, Vec::<String>::new());
}

#[tokio::test]
async fn while_the_disk_takes_nothing_a_message_to_a_client_that_is_away_is_refused() {
    let (disk, store) = flaky();
    let world = World::with_store(store).await;
    let (mut anna, _) = Raw::managed(&world, ANNA, "phone").await;
    let (bob, _) = Raw::managed(&world, BOB, "desk").await;
    drop(bob);
    until_detached(&world).await;
    disk.set_full(true);
    anna.say(&chat(DESK, "1")).await;
    let answer = loop {
        let element = anna.next().await;
        if element.name() == "message" {
            break element;
        }
    };
    assert_eq!((answer.attr("type"), answer.attr("id")), (Some("error"), Some("1")), "{answer}");
    assert!(answer.to_string().contains("resource-constraint"), "{answer}");
}

/// Bob's connection has ended, and his session waits for another one.
async fn until_detached(world: &World) {
    for _ in 0..1_000 {
        if world.broker.entrance().numbers().sessions == 2 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_store_that_comes_back_has_no_sessions_and_keeps_their_messages() {
    let store: Arc<dyn Engine> = Arc::new(Sqlite::in_memory().unwrap());
    let id = life(&store, async |world| {
        let (mut anna, _) = Raw::managed(&world, ANNA, "phone").await;
        let (mut bob, id) = Raw::managed(&world, BOB, "desk").await;
        send_all(&mut anna, DESK, &["1", "2"]).await;
        assert_eq!(bob.messages().await, ["1", "2"]);
        bob.acknowledge().await;
        send_all(&mut anna, DESK, &["3"]).await;
        id
    });
    let before = rows(&store, MESSAGES).await;
    let now: Timestamp = "2026-03-01T10:15:00Z".parse().unwrap();
    let buried = after_restore(&*store, &jid("site.example"), now, now).await.unwrap();
    assert!((1..=before).contains(&i64::try_from(buried).unwrap()), "{buried} of {before}");
    let left = [rows(&store, SESSIONS).await, rows(&store, MESSAGES).await];
    assert_eq!(left, [0, 0]);
    assert_eq!(rows(&store, OFFLINE).await, i64::try_from(buried).unwrap());

    let world = World::with_store(store).await;
    let (mut bob, answer) = Raw::resume(&world, BOB, &id, 0).await;
    assert_eq!(answer.name(), "failed", "{answer}");
    bob.bind("desk").await;
    bob.say("<presence/>").await;
    let mut got = Vec::new();
    while got.last().map(String::as_str) != Some("3") {
        got.extend(bob.messages().await);
    }
}

#[tokio::test]
async fn no_client_has_seen_the_version_of_a_roster_that_comes_back() {
    const VERSIONS: &str = "SELECT MIN(version) FROM roster_owner";
    let store: Arc<dyn Engine> = Arc::new(Sqlite::in_memory().unwrap());
    torg_store::migrate(&*store, torg_core::MIGRATIONS).await.unwrap();
    begin_rosters(&*store, &[jid(ANNA), jid(BOB)]).await.unwrap();
    assert_eq!(rows(&store, VERSIONS).await, 0);
    let made: Timestamp = "2026-03-01T10:15:00Z".parse().unwrap();
    after_restore(&*store, &jid("site.example"), made, made.plus(Duration::from_secs(3_600))).await.unwrap();
    assert_eq!(rows(&store, VERSIONS).await, 3_601_000_000, "as many microseconds as have passed, and a second");
    // A second restore of the same copy, a minute later: beyond what the first has become.
    begin_rosters(&*store, &[jid(ANNA)]).await.unwrap();
    assert_eq!(rows(&store, VERSIONS).await, 3_601_000_000, "a roster that is there stays");
}
