//! Source events: nodes that come, go and change their state.

use super::*;
use crate::concentrator::source_events::PER_ACCOUNT_MAX;
use torg_thing::{NodeMessage, Severity};

const NS: &str = "urn:nfi:iot:concentrator:1.0";

async fn world() -> World {
    let world = World::new().await;
    world.add(Fake::new("a", Vec::new()));
    tokio::time::sleep(Duration::from_secs(10)).await;
    world
}

async fn subscribe(world: &mut World, attributes: &str) {
    world.ask("set", &format!("<subscribe xmlns='{NS}' src='plant' {attributes}/>")).await;
    world.expect_result("").await;
}

fn late(world: &World, severity: Severity) {
    let message = NodeMessage { at: at(0), severity, event: "Clock", text: "Late.".to_owned() };
    world.tree.report(&address("a"), message);
}

fn added(id: &str, rest: &str) -> String {
    format!(
        "<nodeAdded xmlns='{NS}' id='{id}' src='plant' nodeType='fake.device' displayName='{id}' state='None' \
         hasChildren='false' isReadable='true' {rest}/>"
    )
}

fn removed(id: &str, seconds: u64) -> String {
    format!("<nodeRemoved xmlns='{NS}' id='{id}' src='plant' ts='{}'/>", at(seconds))
}

#[tokio::test(start_paused = true)]
async fn nodes_that_come_and_go_are_told() {
    let mut world = world().await;
    subscribe(&mut world, "ttl='600'").await;
    let child = |id: &str| {
        let mut node = Fake::new(id, Vec::new());
        node.about_mut().parent = Some(NodeId::parse("a").unwrap());
        world.add(node);
    };
    child("b");
    child("c");
    world.tree.retire(&address("b"));
    let (rest, ts) = (format!("parentId='a' lastChanged='{0}'", at(10)), at(10));
    // The first is told after it has gone, since the teller did not come to it before.
    let first = format!("<nodeAdded xmlns='{NS}' id='b' src='plant' state='None' hasChildren='false' ts='{ts}'/>");
    world.expect_message(&first).await;
    world.expect_message(&added("c", &format!("{rest} aid='b' ts='{ts}'"))).await;
    world.expect_message(&removed("b", 10)).await;
}

#[tokio::test(start_paused = true)]
async fn a_change_of_state_is_told_once_with_the_messages_if_they_are_wanted() {
    for (wanted, inside) in [
        ("", ""),
        ("messages='true'", "<message timestamp='2026-03-01T10:15:00Z' type='Warning' eventId='Clock'>Late.</message>"),
    ] {
        let mut world = world().await;
        subscribe(&mut world, &format!("ttl='600' {wanted}")).await;
        late(&world, Severity::Warning);
        late(&world, Severity::Warning);
        let ts = at(10);
        let state = format!("<nodeStatusChanged xmlns='{NS}' id='a' src='plant' ts='{ts}' state='WarningUnsigned'");
        world.expect_message(&format!("{state}>{inside}</nodeStatusChanged>")).await;
        world.expect_silence().await;
    }
}

#[tokio::test(start_paused = true)]
async fn only_what_is_wanted_is_told_and_a_second_wish_adds_to_the_first() {
    let mut world = world().await;
    let others = "nodeUpdated='false' nodeRemoved='false' nodeMovedUp='false' nodeMovedDown='false'";
    subscribe(&mut world, &format!("ttl='9000' nodeStatusChanged='false' {others}")).await;
    late(&world, Severity::Warning);
    world.expect_silence().await;
    subscribe(&mut world, &format!("ttl='9000' nodeAdded='false' {others}")).await;
    late(&world, Severity::Error);
    assert_eq!(world.next().await.payload().unwrap().name(), "nodeStatusChanged");
    world.add(Fake::new("b", Vec::new()));
    assert_eq!(world.next().await.payload().unwrap().name(), "nodeAdded");
}

#[tokio::test(start_paused = true)]
async fn a_subscription_ends_when_its_time_is_over() {
    for (seconds, told) in [(59, true), (60, false)] {
        let mut world = world().await;
        subscribe(&mut world, "ttl='60'").await;
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        world.tree.retire(&address("a"));
        match told {
            true => world.expect_message(&removed("a", 10 + seconds)).await,
            false => world.expect_silence().await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscription_ends_when_no_kind_is_left_or_the_client_has_gone() {
    let mut world = world().await;
    subscribe(&mut world, "ttl='600'").await;
    world.ask("set", &format!("<unsubscribe xmlns='{NS}' src='plant' nodeRemoved='false'/>")).await;
    world.expect_result("").await;
    late(&world, Severity::Error);
    world.tree.retire(&address("a"));
    world.expect_message(&removed("a", 10)).await;
    world.send("<presence type='unavailable' from='anna@a.example/x' to='gw@a.example/1'/>").await;
    world.expect_silence().await;
    world.add(Fake::new("a", Vec::new()));
    world.tree.retire(&address("a"));
    world.expect_silence().await;
    world.ask("set", &format!("<unsubscribe xmlns='{NS}' src='plant'/>")).await;
    world.expect_result("").await;
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_is_told_again() {
    for (since, told) in [(10, true), (11, false)] {
        let mut world = world().await;
        world.tree.retire(&address("a"));
        let house = Fake::new("other", Vec::new());
        world.add(house);
        world.tree.retire(&address("other"));
        tokio::time::sleep(Duration::from_secs(5)).await;
        let only = "nodeAdded='false'";
        subscribe(&mut world, &format!("ttl='600' getEventsSince='{}' {only}", at(since))).await;
        if told {
            world.expect_message(&removed("a", 10)).await;
            world.expect_message(&removed("other", 10)).await;
        }
        world.expect_silence().await;
    }
}

#[tokio::test(start_paused = true)]
async fn events_come_in_the_generation_asked() {
    for space in ["nfi", "nf", "ieee"] {
        let mut world = world().await;
        let namespace = format!("urn:{space}:iot:concentrator:1.0");
        world.ask("set", &format!("<subscribe xmlns='{namespace}' src='plant' ttl='60'/>")).await;
        world.expect_result("").await;
        world.tree.retire(&address("a"));
        world.expect_message(&removed("a", 10).replace(NS, &namespace)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_followed_is_refused() {
    let mut world = world().await;
    let subscribe = |source: &str, ttl: &str| format!("<subscribe xmlns='{NS}' src='{source}' ttl='{ttl}'/>");
    world.ask("set", &subscribe("nowhere", "60")).await;
    world.expect_error("item-not-found", "cancel").await;
    world.ask("set", &subscribe("plant", "0")).await;
    world.expect_error("bad-request", "modify").await;
    world.ask("get", &subscribe("plant", "60")).await;
    world.expect_error("bad-request", "modify").await;
    world.ask_as("stranger@s.example/x", "set", &subscribe("plant", "60")).await;
    world.expect_error("forbidden", "auth").await;
}

#[tokio::test(start_paused = true)]
async fn one_account_has_its_places_and_no_more() {
    let mut world = world().await;
    for index in 0..=PER_ACCOUNT_MAX {
        let who = format!("anna@a.example/{index}");
        world.ask_as(&who, "set", &format!("<subscribe xmlns='{NS}' src='plant' ttl='60'/>")).await;
    }
    let mut refused = 0;
    for _ in 0..=PER_ACCOUNT_MAX {
        refused += usize::from(world.next().await.error().is_some());
    }
    assert_eq!(refused, 1);
}
