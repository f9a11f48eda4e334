//! What the concentrator says of itself.

use super::*;
use crate::concentrator::lanes::WAITING_MAX;
use torg_wire::iot::{Generation, Interface};
use torg_wire::ns;
use torg_wire::xep::disco::Info;

#[tokio::test(start_paused = true)]
async fn every_interface_is_listed_in_every_generation() {
    let mut world = World::new().await;
    world.ask("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>").await;
    let info = Info::decode(world.next().await.payload().unwrap()).unwrap();
    for interface in Interface::ALL {
        for generation in Generation::ALL {
            assert!(info.has(generation.namespace(interface)), "{interface:?} {generation}");
        }
    }
    for feature in ["urn:nfi:iot:hi:1.0", "urn:xmpp:iot:interoperability", ns::DISCO_INFO, ns::PING, ns::VERSION] {
        assert!(info.has(feature), "{feature}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_hash_in_presence_stands_for_what_is_listed() {
    let mut world = World::before_roster(Config::default()).await;
    world.send("<iq type='result' id='roster' to='gw@a.example/1'><query xmlns='jabber:iq:roster'/></iq>").await;
    let presence = world.next().await;
    let caps = presence.child(ns::CAPS, "c").unwrap();
    let node = format!("{}#{}", caps.attr("node").unwrap(), caps.attr("ver").unwrap());
    world.ask("get", &format!("<query xmlns='http://jabber.org/protocol/disco#info' node='{node}'/>")).await;
    let info = Info::decode(world.next().await.payload().unwrap()).unwrap();
    assert_eq!(info.node.as_deref(), Some(node.as_str()));
    assert_eq!(Some(info.verification().as_str()), caps.attr("ver"));
    world.ask("get", "<query xmlns='http://jabber.org/protocol/disco#info' node='other'/>").await;
    world.expect_error("item-not-found", "cancel").await;
}

#[tokio::test(start_paused = true)]
async fn ping_version_and_time_are_answered() {
    let mut world = World::new().await;
    world.ask("get", "<ping xmlns='urn:xmpp:ping'/>").await;
    world.expect_result("").await;
    world.ask("get", "<query xmlns='jabber:iq:version'/>").await;
    let version = env!("CARGO_PKG_VERSION");
    world
        .expect_result(&format!(
            "<query xmlns='jabber:iq:version'><name>Torg</name><version>{version}</version></query>"
        ))
        .await;
    world.ask("get", "<time xmlns='urn:xmpp:time'/>").await;
    world.expect_result("<time xmlns='urn:xmpp:time'><tzo>+00:00</tzo><utc>2026-03-01T10:15:00Z</utc></time>").await;
    world.ask("set", "<ping xmlns='urn:xmpp:ping'/>").await;
    world.expect_error("bad-request", "modify").await;
}

#[tokio::test(start_paused = true)]
async fn the_clock_is_told_in_the_generation_asked() {
    for generation in Generation::ALL {
        let namespace = generation.namespace(Interface::Synchronization);
        let mut world = World::new().await;
        world.ask("get", &format!("<req xmlns='{namespace}'/>")).await;
        world.expect_result(&format!("<resp xmlns='{namespace}'>2026-03-01T10:15:00Z</resp>")).await;
        world.ask("get", &format!("<sourceReq xmlns='{namespace}'/>")).await;
        world.expect_error("item-not-found", "cancel").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_burst_is_answered_to_the_last_request_and_what_is_too_much_is_turned_away() {
    for (burst, turned_away) in [(WAITING_MAX, false), (2 * WAITING_MAX, true)] {
        let mut world = World::new().await;
        for _ in 0..burst {
            world.ask("get", "<ping xmlns='urn:xmpp:ping'/>").await;
        }
        let mut refused = 0;
        for _ in 0..burst {
            if let Some(error) = world.next().await.error() {
                assert_eq!(error.condition().name(), "resource-constraint");
                refused += 1;
            }
        }
        assert_eq!(refused > 0, turned_away, "{refused} of {burst}");
        world.expect_silence().await;
    }
}
