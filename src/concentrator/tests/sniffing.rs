//! Sniffers: the traffic of a line, live.

use super::*;
use crate::concentrator::sniffers::PER_ACCOUNT_MAX;
use torg_thing::{Sniffed, Sniffer as _};

const NS: &str = "urn:nfi:iot:concentrator:1.0";

async fn world() -> World {
    let world = World::new().await;
    for (id, sniffable) in [("a", true), ("b", true), ("deaf", false)] {
        let mut node = Fake::new(id, Vec::new());
        node.about_mut().sniffable = sniffable;
        world.add(node);
    }
    world
}

async fn register(world: &mut World, id: &str, rest: &str, ends: u64) {
    world.ask("set", &format!("<registerSniffer xmlns='{NS}' id='a' {rest}/>")).await;
    world.expect_result(&format!("<sniffer xmlns='{NS}' snifferId='{id}' expires='{}'/>", at(ends))).await;
}

async fn expect_sniff(world: &mut World, id: &str, seconds: u64, inside: &str) {
    world
        .expect_message(&format!("<sniff xmlns='{NS}' snifferId='{id}' timestamp='{}'>{inside}</sniff>", at(seconds)))
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_seen_on_the_line_is_told_in_order() {
    let mut world = world().await;
    register(&mut world, "1", "", 3600).await;
    world.tree.seen(&address("a"), Sniffed::Sent(&[1, 3]));
    world.tree.seen(&address("b"), Sniffed::Sent(&[9]));
    world.tree.seen(&address("a"), Sniffed::Received(&[0, 1, 255]));
    world.tree.seen(&address("a"), Sniffed::Remark("Late."));
    expect_sniff(&mut world, "1", 0, "<txBin>AQM=</txBin>").await;
    expect_sniff(&mut world, "1", 0, "<rxBin>AAH/</rxBin>").await;
    expect_sniff(&mut world, "1", 0, "<info>Late.</info>").await;
}

#[tokio::test(start_paused = true)]
async fn a_sniffer_ends_at_its_time_and_says_so() {
    for (wanted, ends) in
        [("", 3600), ("expires='2026-03-01T10:16:00Z'", 60), ("expires='2026-03-09T00:00:00Z'", 86400)]
    {
        let mut world = world().await;
        register(&mut world, "1", wanted, ends).await;
        let begin = Instant::now();
        let end = timeout(Duration::from_secs(100_000), world.outbound.recv()).await.unwrap().unwrap();
        assert_eq!(begin.elapsed().as_secs(), ends);
        assert!(end.payload().unwrap().child(NS, "expired").is_some(), "{end}");
        world.tree.seen(&address("a"), Sniffed::Sent(&[1]));
        world.expect_silence().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_sniffer_ends_when_its_client_says_so_or_goes() {
    let mut world = world().await;
    register(&mut world, "1", "", 3600).await;
    let unregister = format!("<unregisterSniffer xmlns='{NS}' id='a' snifferId='1'/>");
    world.ask_as("anna@a.example/other", "set", &unregister).await;
    world.expect_error("item-not-found", "cancel").await;
    world.ask("set", &unregister.replace("id='a'", "id='b'")).await;
    world.expect_error("item-not-found", "cancel").await;
    world.ask("set", &unregister).await;
    world.expect_result("").await;
    world.tree.seen(&address("a"), Sniffed::Sent(&[1]));
    register(&mut world, "2", "", 3600).await;
    world.send("<presence type='unavailable' from='anna@a.example/x' to='gw@a.example/1'/>").await;
    world.expect_silence().await;
    world.tree.seen(&address("a"), Sniffed::Sent(&[1]));
    world.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_shown_is_refused() {
    let mut world = world().await;
    let register = |id: &str, rest: &str| format!("<registerSniffer xmlns='{NS}' id='{id}' {rest}/>");
    for (kind, request, condition) in [
        ("set", register("deaf", ""), "not-acceptable"),
        ("set", register("nobody", ""), "item-not-found"),
        ("set", register("a", "expires='2026-03-01T10:15:00Z'"), "bad-request"),
        ("get", register("a", ""), "bad-request"),
    ] {
        world.ask(kind, &request).await;
        assert_eq!(world.next().await.error().map(|error| error.condition().name()), Some(condition), "{request}");
    }
    world.ask_as("stranger@s.example/x", "set", &register("a", "")).await;
    world.expect_error("forbidden", "auth").await;
}

#[tokio::test(start_paused = true)]
async fn one_account_has_its_places_and_no_more() {
    let mut world = world().await;
    for index in 1..=PER_ACCOUNT_MAX {
        register(&mut world, &index.to_string(), "", 3600).await;
    }
    world.ask_as("anna@a.example/other", "set", &format!("<registerSniffer xmlns='{NS}' id='a'/>")).await;
    world.expect_error("resource-constraint", "wait").await;
}
