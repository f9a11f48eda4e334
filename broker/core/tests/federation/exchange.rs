//! Two brokers, and stanzas of every kind in both directions, over every way to open and prove a link.

use std::sync::Arc;

use async_trait::async_trait;
use torg_core::peers::Policy;
use torg_core::{Broker, Envelope, Proof, Reply, Route, Service};
use torg_wire::jid::{BareJid, Jid};
use torg_wire::ns;
use torg_wire::stanza::{IqType, MessageType, Stanza, StanzaCondition, StanzaKind};
use torg_wire::stream::peer::PeerProof;
use torg_wire::xml::Element;

use crate::network::{Actor, Network, Site, jid};

/// Two brokers that know each other, and one actor on each.
pub(crate) struct Two {
    pub(crate) network: Arc<Network>,
    pub(crate) one: Site,
    pub(crate) two: Site,
    pub(crate) here: Broker,
    pub(crate) there: Broker,
    pub(crate) anna: Actor,
    pub(crate) bob: Actor,
}

impl Two {
    pub(crate) async fn new(policy: Policy, direct_tls: bool) -> Two {
        let network = Network::new();
        let (one, two) = (Site::new(&network, "one.example", 1), Site::new(&network, "two.example", 2));
        let here = one.start(&[two.view(policy, direct_tls)]).await;
        let there = two.start(&[one.view(policy, direct_tls)]).await;
        let anna = Actor::new(&here, "anna@one.example/phone").await;
        let bob = Actor::new(&there, "bob@two.example/desk").await;
        Two { network, one, two, here, there, anna, bob }
    }
}

/// Messages go there and back.
async fn talk(policy: Policy, direct_tls: bool) -> Two {
    let mut two = Two::new(policy, direct_tls).await;
    for n in 0..3 {
        two.anna.chat(&two.bob.jid(), &format!("to bob {n}")).await;
        let found = two.bob.recv().await;
        assert_eq!(found.body().unwrap(), format!("to bob {n}"));
        assert_eq!(found.from().unwrap(), &two.anna.jid());
        two.bob.chat(&two.anna.jid(), &format!("to anna {n}")).await;
        assert_eq!(two.anna.recv().await.body().unwrap(), format!("to anna {n}"));
    }
    two
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_pass_over_direct_tls_with_certificates_and_share_one_connection() {
    assert_eq!(talk(Policy::Pkix, true).await.network.connects(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_pass_over_starttls_with_certificates_and_share_one_connection() {
    assert_eq!(talk(Policy::Pkix, false).await.network.connects(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_pass_with_dialback_inside_tls_and_one_call_back() {
    assert_eq!(talk(Policy::Dialback, false).await.network.connects(), 2);
    assert_eq!(talk(Policy::Dialback, true).await.network.connects(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_may_call_at_the_same_time() {
    let mut two = Two::new(Policy::Pkix, true).await;
    let (to_bob, to_anna) = (two.bob.jid(), two.anna.jid());
    tokio::join!(two.anna.chat(&to_bob, "hello"), two.bob.chat(&to_anna, "hello"));
    assert_eq!(two.anna.recv().await.body().unwrap(), "hello");
    assert_eq!(two.bob.recv().await.body().unwrap(), "hello");
}

fn disco(to: &Jid) -> Stanza {
    Stanza::iq_get("d1", Element::new(ns::DISCO_INFO, "query")).with_to(to.clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_and_their_answers_pass() {
    let mut two = Two::new(Policy::Pkix, true).await;
    two.anna.send(disco(&jid("two.example"))).await;
    let answer = two.anna.recv().await;
    assert_eq!(answer.kind(), StanzaKind::Iq(IqType::Result));
    assert_eq!(answer.from().unwrap(), &jid("two.example"));
    assert!(answer.child(ns::DISCO_INFO, "query").is_some());

    two.bob.send(Stanza::iq_get("p1", Element::new(ns::PING, "ping")).with_to(two.anna.jid())).await;
    let request = two.anna.recv().await;
    two.anna.send(Stanza::result_for(&request)).await;
    assert_eq!(two.bob.recv().await.kind(), StanzaKind::Iq(IqType::Result));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_find_their_way_back() {
    let mut two = Two::new(Policy::Pkix, true).await;
    let ping = |to: &str| Stanza::iq_get("p1", Element::new(ns::PING, "ping")).with_to(jid(to));
    for to in ["bob@two.example/none", "nobody@two.example/x", "nobody@two.example"] {
        two.anna.send(ping(to)).await;
        let answer = two.anna.recv().await;
        assert_eq!(answer.error().unwrap().condition(), StanzaCondition::ServiceUnavailable, "{to}");
        assert_eq!(answer.from().unwrap(), &jid(to));
    }
    let groupchat = Stanza::message(MessageType::Groupchat).with_id("g").with_to(jid("bob@two.example")).with_body("x");
    two.anna.send(groupchat).await;
    let bounced = two.anna.recv().await;
    assert!(bounced.kind().is_error());
    assert_eq!(bounced.id(), Some("g"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_domain_we_know_nothing_of_is_not_found() {
    let mut two = Two::new(Policy::Pkix, true).await;
    two.anna.chat(&jid("eve@elsewhere.example/x"), "hello").await;
    let bounced = two.anna.recv().await;
    assert_eq!(bounced.error().unwrap().condition(), StanzaCondition::RemoteServerNotFound);
    assert_eq!(bounced.id(), Some("hello"));
    assert_eq!(two.network.connects(), 0);
}

/// Tells who asked, and how that is known.
struct Mirror;

#[async_trait]
impl Service for Mirror {
    fn routes(&self) -> &'static [Route] {
        const ROUTES: &[Route] = &[Route::get("urn:test:mirror", "who")];
        ROUTES
    }

    async fn handle(&self, envelope: Envelope, reply: Reply) {
        let proof = match envelope.identity().proof() {
            Proof::Server(PeerProof::Certificate) => "certificate",
            Proof::Server(PeerProof::Dialback) => "dialback",
            _ => "local",
        };
        let who = Element::new("urn:test:mirror", "you").with_attr("proof", proof);
        reply.result(Some(who.with_text(envelope.identity().jid().as_str())));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_learns_who_asks_and_by_what_the_peer_is_proven() {
    for (policy, proof) in [(Policy::Pkix, "certificate"), (Policy::Dialback, "dialback")] {
        let mut two = Two::new(policy, true).await;
        two.there.add_service(BareJid::parse("two.example").unwrap(), Arc::new(Mirror));
        two.anna.send(Stanza::iq_get("1", Element::new("urn:test:mirror", "who")).with_to(jid("two.example"))).await;
        let answer = two.anna.recv().await;
        let you = answer.child("urn:test:mirror", "you").unwrap();
        assert_eq!((you.text().as_ref(), you.attr("proof")), ("anna@one.example/phone", Some(proof)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_at_a_subdomain_is_reached_once_the_subdomain_is_proven() {
    // The certificates do not name the subdomain, so only dialback proves it.
    let mut two = Two::new(Policy::Dialback, true).await;
    two.there.add_service(BareJid::parse("mirror.two.example").unwrap(), Arc::new(Mirror));
    let who = Stanza::iq_get("1", Element::new("urn:test:mirror", "who"));
    two.anna.send(who.with_to(jid("mirror.two.example"))).await;
    let answer = two.anna.recv().await;
    assert_eq!(answer.kind(), StanzaKind::Iq(IqType::Result), "{answer}");
    assert_eq!(answer.from().unwrap(), &jid("mirror.two.example"));
    two.anna.chat(&two.bob.jid(), "the other pair").await;
    assert_eq!(two.bob.recv().await.body().unwrap(), "the other pair");
}
