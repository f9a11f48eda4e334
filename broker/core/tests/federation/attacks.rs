//! What hostile servers try over real connections: each attempt ends their stream, and nobody here gets to read it.

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use torg_core::Broker;
use torg_core::limits::Limits;
use torg_core::peers::Policy;
use torg_core::tls::ClientTls;

use crate::network::{Actor, DIRECT, Network, PATIENCE, STARTTLS, Site};

const NS: &str =
    "xmlns='jabber:server' xmlns:db='jabber:server:dialback' xmlns:stream='http://etherx.jabber.org/streams'";
const EXTERNAL: &str = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>";

fn header(from: &str) -> String {
    format!("<?xml version='1.0'?><stream:stream {NS} from='{from}' to='two.example' version='1.0'>")
}

/// A broker with bob, an honest peer of it, and a hostile server whose certificate names only itself.
struct Scene {
    _there: Broker,
    _honest: Broker,
    bob: Actor,
    network: std::sync::Arc<Network>,
    two: Site,
    evil: Site,
}

impl Scene {
    async fn new(honest: Policy) -> Scene {
        Scene::limited(honest, Limits::default()).await
    }

    async fn limited(honest: Policy, limits: Limits) -> Scene {
        let network = Network::new();
        let (one, two) = (Site::new(&network, "one.example", 1), Site::new(&network, "two.example", 2));
        let evil = Site::new(&network, "evil.example", 66);
        let there = two
            .start_changed(&[one.view(honest, true), evil.view(Policy::Pkix, true)], |builder| builder.limits(limits))
            .await;
        let honest = one.start(&[two.view(Policy::Pkix, true)]).await;
        let bob = Actor::new(&there, "bob@two.example/desk").await;
        Scene { _there: there, _honest: honest, bob, network, two, evil }
    }

    /// A connection of the hostile server.
    async fn enter(&self) -> Hostile {
        let socket = self.network.dial(&self.two, DIRECT).await;
        let config = self.evil.tls().current().peer_connecting(true);
        let name = ClientTls::server_name("two.example").unwrap();
        Hostile(TlsConnector::from(config).connect(name, socket).await.unwrap())
    }

    /// Bob has heard nothing: what he writes to himself is the first thing he hears.
    async fn bob_heard_nothing(mut self) {
        self.bob.chat(&self.bob.jid(), "to myself").await;
        assert_eq!(self.bob.recv().await.body().as_deref(), Some("to myself"));
    }
}

struct Hostile(TlsStream<DuplexStream>);

impl Hostile {
    async fn say(&mut self, text: &str) {
        // The other side may have hung up already, which is what we are after.
        drop(self.0.write_all(text.as_bytes()).await);
        drop(self.0.flush().await);
    }

    /// What is said until that text comes, or the end.
    async fn until(&mut self, text: &str) -> String {
        let mut said = String::new();
        let mut bytes = [0; 4096];
        while !said.contains(text) {
            match timeout(PATIENCE, self.0.read(&mut bytes)).await.expect("an answer") {
                Ok(0) | Err(_) => break,
                Ok(count) => said.push_str(std::str::from_utf8(&bytes[..count]).unwrap()),
            }
        }
        said
    }

    /// As itself, rightly.
    async fn authenticate(&mut self) {
        self.prove().await;
        self.until("</stream:features>").await;
    }

    /// As far as the last header.
    async fn prove(&mut self) {
        self.say(&header("evil.example")).await;
        self.until("</stream:features>").await;
        self.say(EXTERNAL).await;
        assert!(self.until("<success").await.contains("<success"));
        self.say(&header("evil.example")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_sender_ends_the_stream_with_invalid_from() {
    let scene = Scene::new(Policy::Pkix).await;
    let mut hostile = scene.enter().await;
    hostile.authenticate().await;
    hostile.say("<message from='anna@one.example/x' to='bob@two.example/desk'><body>trust me</body></message>").await;
    assert!(hostile.until("</stream:stream>").await.contains("<invalid-from "));
    scene.bob_heard_nothing().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_one_does_not_speak_for_another() {
    let scene = Scene::new(Policy::Pkix).await;
    let mut hostile = scene.enter().await;
    hostile.say(&header("one.example")).await;
    assert!(!hostile.until("</stream:features>").await.contains("EXTERNAL"));
    hostile.say("<db:result from='one.example' to='two.example'>key</db:result>").await;
    assert!(hostile.until("</db:result>").await.contains("<not-authorized "), "the policy demands a certificate");
    hostile.say("<message from='anna@one.example/x' to='bob@two.example/desk'><body>x</body></message>").await;
    assert!(hostile.until("</stream:stream>").await.contains("<invalid-from "));
    scene.bob_heard_nothing().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_dialback_key_is_checked_with_the_true_server_and_refused() {
    let scene = Scene::new(Policy::Dialback).await;
    let mut hostile = scene.enter().await;
    hostile.say(&header("one.example")).await;
    hostile.until("</stream:features>").await;
    hostile.say("<db:result from='one.example' to='two.example'>forged</db:result>").await;
    let said = hostile.until("</stream:stream>").await;
    assert!(said.contains("type='invalid'") && said.contains("<not-authorized "), "{said}");
    assert_eq!(scene.network.connects(), 1, "the true server was asked");
    scene.bob_heard_nothing().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dialback_without_dialback_proves_nothing() {
    for element in [
        "<db:result from='one.example' to='two.example' type='valid'/>",
        "<db:verify from='one.example' to='two.example' id='1' type='valid'/>",
    ] {
        let scene = Scene::new(Policy::Dialback).await;
        let mut hostile = scene.enter().await;
        hostile.say(&header("one.example")).await;
        hostile.until("</stream:features>").await;
        let message = "<message from='anna@one.example/x' to='bob@two.example/desk'><body>x</body></message>";
        hostile.say(&format!("{element}{message}")).await;
        assert!(hostile.until("</stream:stream>").await.contains("<policy-violation "), "{element}");
        scene.bob_heard_nothing().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entity_bombs_end_the_stream() {
    let scene = Scene::new(Policy::Pkix).await;
    let mut hostile = scene.enter().await;
    hostile.say("<?xml version='1.0'?><!DOCTYPE b [<!ENTITY a 'aaaaaaaa'><!ENTITY b '&a;&a;&a;&a;'>]>").await;
    assert!(hostile.until("</stream:stream>").await.contains("<restricted-xml "));
    scene.bob_heard_nothing().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_smuggled_body_is_refused() {
    let scene = Scene::new(Policy::Pkix).await;
    let mut hostile = scene.enter().await;
    hostile.authenticate().await;
    let message = "<message id='s' type='chat' from='eve@evil.example/x' to='bob@two.example/desk'>\
                   <body>seen by one</body><body xmlns='jabber:client'>seen by another</body></message>";
    hostile.say(message).await;
    // The answer goes to where that domain is, which here nobody serves; the stream goes on.
    hostile.say("<db:verify from='evil.example' to='two.example' id='1'>k</db:verify>").await;
    assert!(hostile.until("type='invalid'").await.contains("type='invalid'"));
    scene.bob_heard_nothing().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_put_behind_starttls_is_never_read() {
    let scene = Scene::new(Policy::Pkix).await;
    let mut socket = scene.network.dial(&scene.two, STARTTLS).await;
    let starttls = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
    let injected = "<db:result from='one.example' to='two.example'>key</db:result>";
    socket.write_all(format!("{}{starttls}{injected}", header("one.example")).as_bytes()).await.unwrap();
    let mut said = String::new();
    timeout(PATIENCE, socket.read_to_string(&mut said)).await.unwrap().unwrap();
    assert!(said.contains("<failure ") && !said.contains("<proceed"), "{said}");
    scene.bob_heard_nothing().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_header_for_another_host_ends_the_stream() {
    let scene = Scene::new(Policy::Pkix).await;
    let mut hostile = scene.enter().await;
    hostile.say(&header("evil.example")).await;
    hostile.until("</stream:features>").await;
    hostile.say(EXTERNAL).await;
    hostile.until("<success").await;
    hostile.say(&header("one.example")).await;
    assert!(hostile.until("</stream:stream>").await.contains("<invalid-from "));
    scene.bob_heard_nothing().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_servers_have_opened_have_a_limit_all_names_together() {
    let scene = Scene::limited(Policy::Pkix, Limits { peer_streams: 2, ..Limits::default() }).await;
    let mut first = scene.enter().await;
    first.authenticate().await;
    let mut second = scene.enter().await;
    second.authenticate().await;
    let mut third = scene.enter().await;
    third.prove().await;
    assert!(third.until("</stream:stream>").await.contains("<resource-constraint "));
    for stream in [&mut first, &mut second] {
        stream.say("<db:verify from='evil.example' to='two.example' id='1'>k</db:verify>").await;
        assert!(stream.until("type='invalid'").await.contains("type='invalid'"), "those before it go on");
    }
    scene.bob_heard_nothing().await;
}
