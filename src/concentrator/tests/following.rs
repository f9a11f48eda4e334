//! Event subscriptions.

use super::*;
use crate::concentrator::subscription::PER_ACCOUNT_MAX;
use torg_thing::{Host, NoSniffer, NodeMessage, Severity};
use torg_wire::iot::{Generation, Interface, SensorData};

fn meter() -> Fake {
    Fake::new("meter-7", vec![Step::Fields(vec![power("1.0")])])
}

fn host(world: &World) -> Host {
    world.tree.host(SourceId::parse("plant").unwrap(), Arc::new(NoSniffer), CancellationToken::new())
}

/// The bridge sees a power, and time passes until the concentrator has noticed.
async fn see(world: &World, watts: &str) {
    see_on(world, "meter-7", vec![power(watts)]).await;
}

async fn see_on(world: &World, id: &str, fields: Vec<Field>) {
    host(world).observations.push(&address(id), fields);
    tokio::time::sleep(Duration::from_millis(1)).await;
}

async fn subscribe(world: &mut World, attributes: &str, children: &str) {
    let payload = format!(
        "<subscribe xmlns='urn:nfi:iot:events:1.0' id='s' {attributes}><nd id='meter-7'/>{children}</subscribe>"
    );
    world.ask("set", &payload).await;
    world.expect_result("<accepted xmlns='urn:nfi:iot:sd:1.0' id='s'/>").await;
}

fn event(watts: &str) -> String {
    format!(
        "<resp xmlns='urn:nfi:iot:sd:1.0' id='s'><nd id='meter-7'><ts v='2026-03-01T10:15:00Z'>\
         <q n='Power' v='{watts}' u='W' m='true' ar='true'/></ts></nd></resp>"
    )
}

/// Nothing is sent for `time`.
async fn quiet(world: &mut World, time: Duration) {
    if let Ok(sent) = timeout(time, world.outbound.recv()).await {
        panic!("was sent: {sent:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_is_told_and_the_first_value_is_not() {
    let mut world = World::new().await;
    world.add(meter());
    subscribe(&mut world, "", "").await;
    see(&world, "1.0").await;
    see(&world, "1.00").await;
    quiet(&mut world, Duration::from_secs(60)).await;
    see(&world, "1.1").await;
    world.expect_message(&event("1.1")).await;
    world.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn every_generation_gets_its_events_in_its_own_namespace() {
    for (kind, generation) in ["set", "get", "set"].into_iter().zip(Generation::ALL) {
        let (events, data) = (generation.namespace(Interface::Events), generation.namespace(Interface::SensorData));
        let mut world = World::new().await;
        world.add(meter());
        world.ask(kind, &format!("<subscribe xmlns='{events}' id='s'><nd id='meter-7'/></subscribe>")).await;
        world.expect_result(&format!("<accepted xmlns='{data}' id='s'/>")).await;
        see(&world, "1.0").await;
        see(&world, "2.0").await;
        world.expect_message(&event("2.0").replace("urn:nfi:iot:sd:1.0", data)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_threshold_holds_back_small_changes() {
    let mut world = World::new().await;
    world.add(meter());
    subscribe(&mut world, "", "<f n='Power' up='1'/>").await;
    for watts in ["1.0", "1.9", "0.5", "1.9"] {
        see(&world, watts).await;
    }
    quiet(&mut world, Duration::from_secs(60)).await;
    see(&world, "2.0").await;
    world.expect_message(&event("2.0")).await;
}

#[tokio::test(start_paused = true)]
async fn events_keep_the_least_interval_and_carry_the_newest_value() {
    let mut world = World::new().await;
    world.add(meter());
    subscribe(&mut world, "minInt='PT10S'", "").await;
    see(&world, "1.0").await;
    see(&world, "2.0").await;
    world.expect_message(&event("2.0")).await;
    let begin = Instant::now();
    see(&world, "3.0").await;
    see(&world, "4.0").await;
    world.expect_message(&event("4.0")).await;
    assert!(begin.elapsed() >= Duration::from_millis(9990), "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_comes_after_the_greatest_interval() {
    let mut world = World::new().await;
    world.add(meter());
    subscribe(&mut world, "maxInt='PT1M'", "").await;
    let begin = Instant::now();
    world.expect_message("<done xmlns='urn:nfi:iot:sd:1.0' id='s'/>").await;
    assert!(begin.elapsed() >= Duration::from_secs(59));
    see(&world, "1.0").await;
    world.expect_message(&event("1.0")).await;
    world.expect_message(&event("1.0")).await;
    assert!(begin.elapsed() >= Duration::from_secs(179));
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_of_a_dead_node_says_that_it_is_dead() {
    let mut world = World::new().await;
    world.add(meter());
    subscribe(&mut world, "maxInt='PT1M'", "").await;
    let text = "no answer within 500 ms".to_owned();
    let message = |severity, event| NodeMessage { at: at(5), severity, event, text: text.clone() };
    world.tree.report(&address("meter-7"), message(Severity::Warning, "DeviceSilent"));
    world.tree.report(&address("meter-7"), message(Severity::Information, "Other"));
    world
        .expect_message(
            "<resp xmlns='urn:nfi:iot:sd:1.0' id='s'><nd id='meter-7'><ts v='2026-03-01T10:15:05Z'>\
             <err>No answer within 500 ms.</err></ts></nd></resp>",
        )
        .await;
    world.tree.retire(&address("meter-7"));
    let gone = world.next().await;
    assert!(gone.to_string().contains("<err>The node is not available.</err>"), "{gone}");
}

#[tokio::test(start_paused = true)]
async fn a_readout_can_be_asked_for_at_once() {
    let mut world = World::new().await;
    world.add(meter());
    subscribe(&mut world, "req='true'", "").await;
    world.expect_message(&event("1.0")).await;
    see(&world, "1.0").await;
    quiet(&mut world, Duration::from_secs(60)).await;
    see(&world, "2.0").await;
    world.expect_message(&event("2.0")).await;
}

#[tokio::test(start_paused = true)]
async fn only_the_categories_asked_for_are_told() {
    let mut world = World::new().await;
    world.add(meter());
    subscribe(&mut world, "m='true'", "").await;
    for value in ["1", "2"] {
        see_on(&world, "meter-7", vec![field("Battery", value, "%", Categories::STATUS)]).await;
    }
    quiet(&mut world, Duration::from_secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn a_readout_of_somebody_else_feeds_subscriptions_and_ones_own_does_not() {
    let mut world = World::new().await;
    world.add(meter());
    subscribe(&mut world, "", "").await;
    see(&world, "0.5").await;
    world.ask("get", "<req xmlns='urn:nfi:iot:sd:1.0' id='r'><nd id='meter-7'/></req>").await;
    assert_eq!(world.next().await.kind().name(), "iq");
    quiet(&mut world, Duration::from_secs(60)).await;
    world.ask_as("anna@a.example/y", "get", "<req xmlns='urn:nfi:iot:sd:1.0' id='r'><nd id='meter-7'/></req>").await;
    let mut sent = [world.next().await, world.next().await].map(|stanza| stanza.kind().name());
    sent.sort_unstable();
    assert_eq!(sent, ["iq", "message"]);
}

#[tokio::test(start_paused = true)]
async fn demand_on_a_node_lasts_as_long_as_the_subscription() {
    let mut world = World::new().await;
    let node = world.add(meter());
    subscribe(&mut world, "minInt='PT2S'", "<f n='Power'/>").await;
    let interest = node.watches.lock().unwrap()[0].clone();
    assert_eq!(interest.interval, Duration::from_secs(2));
    assert!(interest.selection.fields.unwrap().contains(&name("Power")));
    world.ask("set", "<unsubscribe xmlns='urn:nfi:iot:events:1.0' id='s'/>").await;
    world.expect_result("").await;
    assert!(node.watches.lock().unwrap().is_empty());
    see(&world, "1").await;
    see(&world, "2").await;
    world.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn the_same_id_replaces_a_subscription_and_another_adds_one() {
    let mut world = World::new().await;
    let node = world.add(meter());
    subscribe(&mut world, "", "").await;
    subscribe(&mut world, "minInt='PT2S'", "").await;
    assert_eq!(node.watches.lock().unwrap().len(), 1);
    world.ask("set", "<subscribe xmlns='urn:nfi:iot:events:1.0' id='t'><nd id='meter-7'/></subscribe>").await;
    world.expect_result("<accepted xmlns='urn:nfi:iot:sd:1.0' id='t'/>").await;
    assert_eq!(node.watches.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_unknown_cannot_be_unsubscribed() {
    let mut world = World::new().await;
    world.add(meter());
    subscribe(&mut world, "", "").await;
    world.ask_as("anna@a.example/y", "set", "<unsubscribe xmlns='urn:nfi:iot:events:1.0' id='s'/>").await;
    world.expect_error("item-not-found", "modify").await;
}

#[tokio::test(start_paused = true)]
async fn a_subscription_ends_with_its_subscriber() {
    for end in [
        "<presence type='unavailable' from='anna@a.example/x' to='gw@a.example/1'/>",
        "<message type='error' from='anna@a.example/x' to='gw@a.example/1'/>",
        "<iq type='set' id='p' to='gw@a.example/1'><query xmlns='jabber:iq:roster'>\
         <item jid='anna@a.example' subscription='none'/></query></iq>",
    ] {
        let mut world = World::new().await;
        let node = world.add(meter());
        subscribe(&mut world, "", "").await;
        world.send(end).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(node.watches.lock().unwrap().is_empty(), "{end}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_address_of_the_subscriber_may_go() {
    let mut world = World::new().await;
    let node = world.add(meter());
    subscribe(&mut world, "", "").await;
    world.send("<presence type='unavailable' from='anna@a.example/y' to='gw@a.example/1'/>").await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(node.watches.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn demand_follows_a_node_that_is_announced_anew() {
    let mut world = World::new().await;
    let old = world.add(meter());
    subscribe(&mut world, "", "").await;
    world.tree.retire(&address("meter-7"));
    let new = world.add(meter());
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!((old.watches.lock().unwrap().len(), new.watches.lock().unwrap().len()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_stranger_is_told_the_same_of_every_node() {
    let mut world = World::new().await;
    world.add(meter());
    let mut answers = BTreeSet::new();
    for payload in [
        "<subscribe xmlns='urn:nfi:iot:events:1.0' id='s'><nd id='meter-7'/></subscribe>",
        "<subscribe xmlns='urn:nfi:iot:events:1.0' id='s'><nd id='none'/></subscribe>",
        "<subscribe xmlns='urn:nfi:iot:events:1.0'/>",
        "<unsubscribe xmlns='urn:nfi:iot:events:1.0' id='s'/>",
    ] {
        world.ask_as("eve@e.example/x", "set", payload).await;
        answers.insert(world.next().await.to_string());
    }
    assert_eq!(answers.len(), 1);
    assert!(answers.first().unwrap().contains("<forbidden "));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_node_and_no_node_are_refused() {
    let mut world = World::new().await;
    world.ask("set", "<subscribe xmlns='urn:nfi:iot:events:1.0' id='s'><nd id='none'/></subscribe>").await;
    world.expect_error("item-not-found", "cancel").await;
    world.ask("set", "<subscribe xmlns='urn:nfi:iot:events:1.0' id='s'/>").await;
    world.expect_error("bad-request", "modify").await;
}

#[tokio::test(start_paused = true)]
async fn one_subscription_more_than_an_account_may_have_is_turned_away() {
    let mut world = World::new().await;
    world.add(meter());
    for id in 0..=PER_ACCOUNT_MAX {
        let who = format!("anna@a.example/{}", id % 3);
        let payload = format!("<subscribe xmlns='urn:nfi:iot:events:1.0' id='{id}'><nd id='meter-7'/></subscribe>");
        world.ask_as(&who, "set", &payload).await;
        assert!(id == PER_ACCOUNT_MAX || world.next().await.error().is_none());
    }
    world.expect_error("resource-constraint", "wait").await;
}

#[tokio::test(start_paused = true)]
async fn events_of_several_nodes_come_together() {
    let mut world = World::new().await;
    world.add(meter());
    world.add(Fake::new("meter-8", Vec::new()));
    subscribe(&mut world, "minInt='PT5S'", "<nd id='meter-8' src='plant'/>").await;
    for watts in ["1", "2"] {
        see_on(&world, "meter-7", vec![power(watts)]).await;
    }
    assert_eq!(world.next().await.kind().name(), "message");
    for watts in ["3", "4"] {
        see_on(&world, "meter-7", vec![power(watts)]).await;
        see_on(&world, "meter-8", vec![power(watts)]).await;
    }
    let both = world.next().await;
    let Ok((SensorData::Response(response), _)) = SensorData::decode(both.payload().unwrap()) else { panic!("{both}") };
    let told: Vec<_> = response.fields().map(|(node, _)| node.unwrap().to_string()).collect();
    assert_eq!(told, ["meter-7", "plant/meter-8"]);
}
