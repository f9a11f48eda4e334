//! Added services: routes, lanes, replies, discovery.

use std::sync::Arc;

use async_trait::async_trait;
use torg_core::{DiscoIdentity, Envelope, Proof, Reply, Route, Service};
use torg_wire::jid::Jid;
use torg_wire::ns;
use torg_wire::stanza::{MessageType, Stanza, StanzaCondition};
use torg_wire::xml::Element;

use crate::world::{World, jid};

const ECHO: &str = "urn:example:echo";

/// Answers `echo` with what it was sent and by whom, forgets to answer `forget`, panics at `panic`.
struct Echo;

#[async_trait]
impl Service for Echo {
    fn routes(&self) -> &'static [Route] {
        const ROUTES: &[Route] = &[
            Route::get(ECHO, "echo"),
            Route::get(ECHO, "forget"),
            Route::get(ECHO, "panic"),
            Route::message(ECHO, "note"),
        ];
        ROUTES
    }

    fn identities(&self) -> &'static [DiscoIdentity] {
        &[DiscoIdentity { category: "component", kind: "generic", name: "Echo" }]
    }

    async fn handle(&self, envelope: Envelope, reply: Reply) {
        let proof = match envelope.identity().proof() {
            Proof::Client(mechanism) => mechanism,
            _ => "other",
        };
        let payload = envelope.stanza().children().first().unwrap();
        match payload.name() {
            "echo" => {
                let from = envelope.identity().jid().to_string();
                reply.result(Some(payload.clone().with_attr("from", from).with_attr("proof", proof)));
            }
            "note" => reply.error(StanzaCondition::NotAcceptable),
            "panic" => panic!("on purpose"),
            _ => {}
        }
    }
}

async fn world() -> World {
    let world = World::new().await;
    world.broker.add_service(jid("echo.site.example"), Arc::new(Echo));
    world
}

fn request(id: &str, name: &'static str) -> Stanza {
    Stanza::iq_get(id, Element::new(ECHO, name)).with_to(jid("echo.site.example"))
}

#[tokio::test]
async fn a_service_is_told_the_proven_sender() {
    let world = world().await;
    let mut anna = world.client("anna@site.example/phone").await;
    let answer = anna.ask(&request("e1", "echo")).await;
    let payload = answer.payload().unwrap();
    assert_eq!(payload.attr("from"), Some("anna@site.example/phone"));
    assert_eq!(payload.attr("proof"), Some("SCRAM-SHA-256-PLUS"));
    assert_eq!(answer.from().map(Jid::as_str), Some("echo.site.example"));
}

#[tokio::test]
async fn a_reply_that_is_dropped_answers_internal_server_error() {
    let world = world().await;
    let mut anna = world.client("anna@site.example/phone").await;
    for name in ["forget", "panic"] {
        let answer = anna.ask(&request(name, name)).await;
        assert_eq!(answer.error().unwrap().condition(), StanzaCondition::InternalServerError, "{name}");
    }
    let answer = anna.ask(&request("after", "echo")).await;
    assert!(answer.error().is_none(), "the lane goes on after a panic");
}

#[tokio::test]
async fn what_no_route_takes_is_unavailable() {
    let world = world().await;
    let mut anna = world.client("anna@site.example/phone").await;
    let set = Stanza::iq_set("s", Element::new(ECHO, "echo")).with_to(jid("echo.site.example"));
    for stanza in [set, request("o", "other")] {
        let answer = anna.ask(&stanza).await;
        assert_eq!(answer.error().unwrap().condition(), StanzaCondition::ServiceUnavailable);
    }
}

#[tokio::test]
async fn a_message_reaches_its_service_and_may_be_refused() {
    let world = world().await;
    let mut anna = world.client("anna@site.example/phone").await;
    let note = Stanza::message(MessageType::Normal).with_id("n").with_child(Element::new(ECHO, "note"));
    anna.say(&note.with_to(jid("echo.site.example"))).await;
    let answer = anna.recv().await;
    assert_eq!(answer.error().unwrap().condition(), StanzaCondition::NotAcceptable);
}

#[tokio::test]
async fn stanzas_of_one_sender_stay_in_order() {
    let world = world().await;
    let mut anna = world.client("anna@site.example/phone").await;
    for n in 0..20 {
        anna.say(&request(&n.to_string(), "echo")).await;
    }
    for n in 0..20 {
        assert_eq!(anna.recv().await.id(), Some(n.to_string().as_str()));
    }
}

#[tokio::test]
async fn discovery_lists_the_service_and_its_routes() {
    let world = world().await;
    world.broker.publish(&Jid::parse("gateway@site.example/torg").unwrap(), "Gateway");
    let mut anna = world.client("anna@site.example/phone").await;
    let query = |namespace, to: &str| Stanza::iq_get(to, Element::new(namespace, "query")).with_to(jid(to));
    let items = anna.ask(&query(ns::DISCO_ITEMS, "site.example")).await;
    let items: Vec<_> =
        items.payload().unwrap().children().filter_map(|item| item.attr("jid").map(str::to_owned)).collect();
    assert_eq!(items, ["echo.site.example", "pubsub.site.example", "gateway@site.example/torg"]);
    let info = anna.ask(&query(ns::DISCO_INFO, "echo.site.example")).await;
    let info = info.payload().unwrap();
    assert_eq!(info.child(ns::DISCO_INFO, "identity").unwrap().attr("name"), Some("Echo"));
    assert!(info.children().any(|feature| feature.attr("var") == Some(ECHO)));
}

#[tokio::test]
async fn an_account_tells_its_owner_what_it_serves_and_who_gives_ids_in_its_name() {
    let world = World::new().await;
    let mut anna = world.client("anna@site.example/phone").await;
    let query = Stanza::iq_get("d", Element::new(ns::DISCO_INFO, "query")).with_to(jid("anna@site.example"));
    let answer = anna.ask(&query).await;
    let info = answer.payload().unwrap();
    let features: Vec<_> = info.children_named(ns::DISCO_INFO, "feature").filter_map(|it| it.attr("var")).collect();
    for feature in [ns::STANZA_ID, ns::BLOCKING, ns::CARBONS, ns::ROSTER] {
        assert!(features.contains(&feature), "{feature} in {features:?}");
    }
}
