//! In-band registration (XEP-0077): before login where it is open, and for those who are logged in.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use torg_wire::ns;
use torg_wire::stanza::{Stanza, StanzaCondition};
use torg_wire::xml::Element;

use crate::client::{Client, secure};
use crate::world::{World, certificate, jid};

/// A client that has not logged in, as bytes.
struct Stranger(TlsStream<DuplexStream>);

impl Stranger {
    /// Connects and answers the features it was offered.
    async fn new(world: &World) -> (Stranger, String) {
        let socket = world.direct.connect().await.unwrap();
        let mut stranger = Stranger(secure(socket, certificate().1.direct()).await);
        let header = "<stream:stream to='site.example' version='1.0' xmlns='jabber:client' \
            xmlns:stream='http://etherx.jabber.org/streams'>";
        let features = stranger.say(header, "</stream:features>").await;
        (stranger, features)
    }

    /// Sends, and reads until `end` has come or nothing more does.
    async fn say(&mut self, text: &str, end: &str) -> String {
        self.0.write_all(text.as_bytes()).await.unwrap();
        self.0.flush().await.unwrap();
        let mut found = String::new();
        while !found.contains(end) {
            let mut bytes = [0; 4096];
            let read = timeout(Duration::from_secs(20), self.0.read(&mut bytes)).await.unwrap().unwrap_or(0);
            if read == 0 {
                break;
            }
            found.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
        }
        found
    }

    async fn register(&mut self, name: &str, password: &str) -> String {
        let fields = format!("<username>{name}</username><password>{password}</password>");
        let iq = format!("<iq type='set' id='r'><query xmlns='jabber:iq:register'>{fields}</query></iq>");
        let answer = self.say(&iq, "id='r'").await;
        if answer.contains("type='error'") && !answer.contains("</iq>") {
            return answer + &self.say("", "</iq>").await;
        }
        answer
    }
}

#[tokio::test]
async fn an_open_server_says_so_names_its_fields_and_makes_the_account() {
    let world = World::open().await;
    let (mut stranger, features) = Stranger::new(&world).await;
    assert!(features.contains("http://jabber.org/features/iq-register"), "{features}");
    let fields = stranger.say("<iq type='get' id='f'><query xmlns='jabber:iq:register'/></iq>", "</iq>").await;
    assert!(fields.contains("<username/>") && fields.contains("<password/>") && fields.contains("jabber:x:data"));
    let made = stranger.register("dora", "secret").await;
    assert!(made.contains("type='result'"), "{made}");
    world.client("dora@site.example/phone").await;
}

#[tokio::test]
async fn names_that_are_taken_reserved_or_none_are_refused() {
    let world = World::open().await;
    let _gateway = world.broker.attach("gateway@site.example/torg".parse().unwrap(), "test").await;
    let (mut stranger, _) = Stranger::new(&world).await;
    for name in ["anna", "admin", "postmaster", "gateway"] {
        let answer = stranger.register(name, "secret").await;
        assert!(answer.contains("<conflict"), "{name}: {answer}");
    }
    for name in ["a b", "x@elsewhere.example", ""] {
        let answer = stranger.register(name, "secret").await;
        assert!(answer.contains("<not-acceptable"), "{name}: {answer}");
    }
}

#[tokio::test]
async fn the_stream_goes_on_after_a_failed_login_and_ends_after_too_many_questions() {
    let world = World::open().await;
    let (mut stranger, _) = Stranger::new(&world).await;
    let failure =
        stranger.say("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='UNKNOWN'/>", "</failure>").await;
    assert!(failure.contains("invalid-mechanism"));
    for n in 0..10 {
        let answer = stranger.register("anna", "secret").await;
        // After some tries it does not even hear whether the name is taken.
        let refusal = if n < 5 { "<conflict" } else { "<resource-constraint" };
        assert!(answer.contains(refusal), "{n}: {answer}");
    }
    let end = stranger.register("anna", "secret").await;
    assert!(end.contains("policy-violation"), "{end}");
}

#[tokio::test]
async fn one_address_makes_few_accounts() {
    let world = World::open().await;
    let (mut stranger, _) = Stranger::new(&world).await;
    for n in 0..5 {
        assert!(stranger.register(&format!("n{n}"), "secret").await.contains("type='result'"));
    }
    assert!(stranger.register("n5", "secret").await.contains("<resource-constraint"));
    let (mut another, _) = Stranger::new(&world).await;
    assert!(another.register("n6", "secret").await.contains("<resource-constraint"), "a new stream is no new address");
}

#[tokio::test]
async fn a_closed_server_offers_nothing_and_ends_the_stream() {
    let world = World::new().await;
    let (mut stranger, features) = Stranger::new(&world).await;
    assert!(!features.contains("iq-register"));
    let end = stranger.register("dora", "secret").await;
    assert!(end.contains("not-authorized"), "{end}");
    assert!(Client::login(&world, "dora@site.example/x").await.is_err());
}

fn query(children: impl IntoIterator<Item = (&'static str, &'static str)>) -> Element {
    let text = |(name, text): (&'static str, &str)| Element::new(ns::REGISTER, name).with_text(text);
    Element::new(ns::REGISTER, "query").with_children(children.into_iter().map(text))
}

#[tokio::test]
async fn whoever_is_logged_in_learns_its_name_and_changes_its_own_password_only() {
    let world = World::new().await;
    let mut anna = world.client("anna@site.example/phone").await;
    let known = anna.ask(&Stanza::iq_get("g", query([])).with_to(jid("site.example"))).await;
    let known = known.payload().unwrap();
    assert!(known.child(ns::REGISTER, "registered").is_some());
    assert_eq!(known.child_text(ns::REGISTER, "username").as_deref(), Some("anna"));
    let change = |name| Stanza::iq_set("s", query([("username", name), ("password", "another")]));
    assert!(anna.ask(&change("anna")).await.error().is_none());
    assert_eq!(anna.ask(&change("bob")).await.error().unwrap().condition(), StanzaCondition::NotAllowed);
    let short = Stanza::iq_set("s", query([("username", "anna"), ("password", "x")]));
    assert_eq!(anna.ask(&short).await.error().unwrap().condition(), StanzaCondition::NotAcceptable);
}

#[tokio::test]
async fn whoever_is_logged_in_may_end_its_account() {
    let world = World::new().await;
    let mut anna = world.client("anna@site.example/phone").await;
    assert!(anna.ask(&Stanza::iq_set("s", query([("remove", "")]))).await.error().is_none());
    assert!(Client::login(&world, "anna@site.example/desk").await.is_err());
}
