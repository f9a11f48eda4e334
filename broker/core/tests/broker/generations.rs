//! The generations of the IoT namespaces at the broker's own services: each is answered in itself, and the last one is remembered.

use std::sync::Arc;

use torg_core::DEFAULT_GENERATION;
use torg_store::{Engine, Sqlite};
use torg_wire::iot::{Generation, Interface, Service};
use torg_wire::stanza::{Stanza, StanzaCondition};
use torg_wire::xml::Element;

use crate::client::Client;
use crate::world::{World, jid, life};

/// The two places of the broker that tell the time.
const PLACES: [&str; 2] = ["site.example", "pubsub.site.example"];

async fn ask(client: &mut Client, to: &str, namespace: &'static str) -> Stanza {
    let request = Stanza::iq_get("1", Element::new(namespace, "req")).with_to(jid(to));
    client.ask(&request).await
}

fn clock(generation: Generation) -> &'static str {
    generation.namespace(Interface::Synchronization)
}

#[tokio::test]
async fn each_generation_is_answered_in_its_own() {
    let world = World::new().await;
    let mut anna = world.client("anna@site.example/phone").await;
    for to in PLACES {
        for generation in Generation::ALL {
            let answer = ask(&mut anna, to, clock(generation)).await;
            let payload = answer.payload().unwrap_or_else(|| panic!("{answer}"));
            assert!(payload.is(clock(generation), "resp"), "{to}: {answer}");
        }
    }
}

#[tokio::test]
async fn what_is_no_generation_of_a_service_here_is_refused_and_not_met_with_silence() {
    let world = World::new().await;
    let mut anna = world.client("anna@site.example/phone").await;
    for namespace in
        ["urn:xmpp:iot:sensordata", "urn:nf:iot:synchronization:2.0", "urn:nf:iot:disco:1.0", "urn:nf:iot:x"]
    {
        let answer = ask(&mut anna, "site.example", namespace).await;
        let condition = answer.error().unwrap_or_else(|| panic!("{answer}")).condition();
        assert_eq!(condition, StanzaCondition::ServiceUnavailable, "{namespace}");
    }
}

#[tokio::test]
async fn the_generation_that_was_last_spoken_is_remembered_by_service() {
    let world = World::new().await;
    let mut bob = world.client("bob@site.example/desk").await;
    let (anna, router) = (jid("anna@site.example"), world.broker.router().clone());
    assert_eq!(router.generation_of(&anna, Service::Clock).await, DEFAULT_GENERATION);
    let mut phone = world.client("anna@site.example/phone").await;
    for generation in [Generation::Ieee, Generation::Nfi] {
        ask(&mut phone, "site.example", clock(generation)).await;
        assert_eq!(router.generation_of(&anna, Service::Clock).await, generation);
    }
    ask(&mut bob, "site.example", clock(Generation::Ieee)).await;
    assert_eq!(router.generation_of(&anna, Service::Clock).await, Generation::Nfi, "not what others speak");
    assert_eq!(router.generation_of(&anna, Service::Discovery).await, DEFAULT_GENERATION, "nor to other services");
}

#[test]
fn what_an_account_speaks_is_known_after_a_restart() {
    let store: Arc<dyn Engine> = Arc::new(Sqlite::in_memory().unwrap());
    life(&store, async |world| {
        let mut anna = world.client("anna@site.example/phone").await;
        ask(&mut anna, "site.example", clock(Generation::Nfi)).await;
        drop(anna);
        world.broker.shutdown(std::time::Duration::from_secs(5)).await;
    });
    let found = life(&store, async |world| {
        world.broker.router().generation_of(&jid("anna@site.example"), Service::Clock).await
    });
    assert_eq!(found, Generation::Nfi);
}
