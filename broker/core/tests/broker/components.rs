//! External components: what they and the accounts here can say to each other, and what hostile ones cannot.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::timeout;
use torg_core::component::{COMPONENT_STANZAS, COMPONENTS_UNPROVEN};
use torg_core::{Broker, Envelope, PipeConnector, Reply, Route, Service, pipe};
use torg_store::Sqlite;
use torg_wire::jid::{DomainPart, Jid};
use torg_wire::ns;
use torg_wire::reader::{StreamEvent, StreamReader};
use torg_wire::secret::Secret;
use torg_wire::stanza::{IqType, MessageType, PresenceType, Stanza, StanzaCondition, StanzaKind};
use torg_wire::stream::component::proof;
use torg_wire::xml::{Element, Limits};

use crate::world::World;

const ROOMS: &str = "rooms.site.example";
const BOTS: &str = "bots.site.example";
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

fn secret(domain: &str) -> Secret<String> {
    Secret::new(format!("the secret of {domain}"))
}

/// A broker with two components that may connect.
async fn world() -> (World, PipeConnector) {
    let domain = |name| DomainPart::parse(name).unwrap();
    let world =
        World::changed(|builder| builder.component(domain(ROOMS), secret(ROOMS)).component(domain(BOTS), secret(BOTS)))
            .await;
    let (connector, listener) = pipe();
    world.broker.listen_component(listener);
    (world, connector)
}

/// A component that speaks for itself.
struct Component {
    socket: DuplexStream,
    reader: StreamReader,
    said: String,
}

impl Component {
    /// Connected and not yet believed; with what its handshake must be.
    async fn begin(connector: &PipeConnector, domain: &str) -> (Component, String) {
        let socket = connector.connect().await.unwrap();
        let reader = StreamReader::new(Limits::SERVER);
        let mut component = Component { socket, reader, said: String::new() };
        let header = format!("<stream:stream xmlns='{}' xmlns:stream='{}' to='{domain}'>", ns::COMPONENT, ns::STREAMS);
        component.say(&header).await;
        let id = match component.event().await {
            Some(StreamEvent::Open(header)) => header.id.unwrap(),
            other => panic!("{other:?}: {}", component.said),
        };
        (component, proof(&id, &secret(domain)))
    }

    async fn connect(connector: &PipeConnector, domain: &str) -> Component {
        let (mut component, proof) = Component::begin(connector, domain).await;
        component.say(&format!("<handshake>{proof}</handshake>")).await;
        let answer = component.event().await;
        assert!(matches!(&answer, Some(StreamEvent::Element(it)) if it.is(ns::COMPONENT, "handshake")), "{answer:?}");
        component
    }

    async fn say(&mut self, text: &str) {
        // The other side may have hung up already.
        drop(self.socket.write_all(text.as_bytes()).await);
    }

    /// What it hears next; nothing once the connection is over.
    async fn event(&mut self) -> Option<StreamEvent> {
        let mut bytes = [0; 4096];
        loop {
            if let Some(event) = self.reader.next_event().unwrap() {
                return Some(event);
            }
            match timeout(PATIENCE, self.socket.read(&mut bytes)).await.expect("the broker says something") {
                Ok(0) | Err(_) => return None,
                Ok(count) => {
                    self.said.push_str(&String::from_utf8_lossy(&bytes[..count]));
                    self.reader.feed(&bytes[..count]);
                }
            }
        }
    }

    async fn recv(&mut self) -> Stanza {
        match self.event().await {
            Some(StreamEvent::Element(element)) => Stanza::from_element(element).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// All that it hears until the end.
    async fn end(mut self) -> String {
        while self.event().await.is_some() {}
        self.said
    }
}

fn jid(text: &str) -> Jid {
    Jid::parse(text).unwrap()
}

fn chat(to: &str, body: &str) -> Stanza {
    Stanza::message(MessageType::Chat).with_to(jid(to)).with_id(body).with_body(body)
}

fn ping(to: &str) -> Stanza {
    Stanza::iq_get("p", Element::new(ns::PING, "ping")).with_to(jid(to))
}

fn refusal(stanza: &Stanza) -> Option<StanzaCondition> {
    stanza.error().map(|error| error.condition())
}

#[tokio::test]
async fn a_component_and_a_client_exchange_messages_and_requests() {
    let (world, connector) = world().await;
    let mut rooms = Component::connect(&connector, ROOMS).await;
    let mut anna = world.client("anna@site.example/phone").await;
    for to in [ROOMS, "hall@rooms.site.example", "hall@rooms.site.example/nick"] {
        anna.send(&chat(to, "hello")).await;
        let heard = rooms.recv().await;
        assert_eq!((heard.from().unwrap(), heard.to().unwrap()), (&jid("anna@site.example/phone"), &jid(to)));
        assert_eq!(heard.body().as_deref(), Some("hello"));
    }
    rooms
        .say("<message from='hall@rooms.site.example/bob' to='anna@site.example/phone'><body>hi</body></message>")
        .await;
    let heard = anna.recv().await;
    assert_eq!((heard.from().unwrap().as_str(), heard.body().as_deref()), ("hall@rooms.site.example/bob", Some("hi")));

    anna.say(&ping(ROOMS)).await;
    let asked = rooms.recv().await;
    rooms.say(&format!("<iq type='result' id='p' from='{ROOMS}' to='{}'/>", asked.from().unwrap())).await;
    assert_eq!(anna.recv().await.kind(), StanzaKind::Iq(IqType::Result));

    rooms
        .say(&format!("<iq type='get' id='v' from='{ROOMS}' to='site.example'><query xmlns='{}'/></iq>", ns::VERSION))
        .await;
    let answer = rooms.recv().await;
    assert_eq!((answer.kind(), answer.to().unwrap()), (StanzaKind::Iq(IqType::Result), &jid(ROOMS)));
}

#[tokio::test]
async fn the_server_lists_its_components_and_they_answer_for_themselves() {
    let (world, connector) = world().await;
    let mut rooms = Component::connect(&connector, ROOMS).await;
    let mut anna = world.client("anna@site.example/phone").await;
    let items =
        anna.ask(&Stanza::iq_get("i", Element::new(ns::DISCO_ITEMS, "query")).with_to(jid("site.example"))).await;
    let items = items.to_string();
    assert!(items.contains(ROOMS) && items.contains(BOTS), "{items}");
    anna.say(&Stanza::iq_get("d", Element::new(ns::DISCO_INFO, "query")).with_to(jid(ROOMS))).await;
    let asked = rooms.recv().await;
    assert!(asked.child(ns::DISCO_INFO, "query").is_some());
}

#[tokio::test]
async fn components_talk_to_each_other() {
    let (_world, connector) = world().await;
    let mut rooms = Component::connect(&connector, ROOMS).await;
    let mut bots = Component::connect(&connector, BOTS).await;
    bots.say("<message from='b@bots.site.example' to='hall@rooms.site.example' id='1'><body>x</body></message>").await;
    assert_eq!(rooms.recv().await.from().unwrap().as_str(), "b@bots.site.example");
}

#[tokio::test]
async fn a_component_that_is_away_is_told_as_a_server_that_does_not_answer() {
    let (world, connector) = world().await;
    let mut anna = world.client("anna@site.example/phone").await;
    anna.say(&chat("hall@rooms.site.example", "1")).await;
    assert_eq!(refusal(&anna.recv().await), Some(StanzaCondition::RemoteServerTimeout));
    anna.say(&ping(ROOMS)).await;
    assert_eq!(refusal(&anna.recv().await), Some(StanzaCondition::RemoteServerTimeout));
    let rooms = Component::connect(&connector, ROOMS).await;
    drop(rooms);
    // The broker hears of the end in its own time: until then what it sends is answered when it does.
    anna.say(&ping(ROOMS)).await;
    assert_eq!(refusal(&anna.recv().await), Some(StanzaCondition::RemoteServerTimeout));
    let mut bots = Component::connect(&connector, BOTS).await;
    bots.say(&format!("<iq type='get' id='1' from='{BOTS}' to='{ROOMS}'><ping xmlns='urn:xmpp:ping'/></iq>")).await;
    assert_eq!(refusal(&bots.recv().await), Some(StanzaCondition::RemoteServerTimeout));
}

#[tokio::test]
async fn a_newer_connection_takes_the_place_of_the_older_one() {
    let (world, connector) = world().await;
    let older = Component::connect(&connector, ROOMS).await;
    let mut newer = Component::connect(&connector, ROOMS).await;
    let said = older.end().await;
    assert!(said.contains("<conflict ") && said.ends_with("</stream:stream>"), "{said}");
    let mut anna = world.client("anna@site.example/phone").await;
    anna.say(&chat(ROOMS, "1")).await;
    assert_eq!(newer.recv().await.id(), Some("1"));
}

#[tokio::test]
async fn a_wrong_secret_ends_the_stream_and_leaves_the_right_component_alone() {
    let (world, connector) = world().await;
    let mut rooms = Component::connect(&connector, ROOMS).await;
    let (mut thief, _) = Component::begin(&connector, ROOMS).await;
    thief.say("<handshake>0000000000000000000000000000000000000000</handshake>").await;
    assert!(thief.end().await.contains("<not-authorized "));
    let (mut liar, _) = Component::begin(&connector, ROOMS).await;
    let (_other, proof) = Component::begin(&connector, BOTS).await;
    liar.say(&format!("<handshake>{proof}</handshake>")).await;
    assert!(liar.end().await.contains("<not-authorized "));
    let mut anna = world.client("anna@site.example/phone").await;
    anna.say(&chat(ROOMS, "1")).await;
    assert_eq!(rooms.recv().await.id(), Some("1"));
}

#[tokio::test]
async fn a_foreign_sender_ends_the_stream_and_reaches_nobody() {
    let (world, connector) = world().await;
    let mut anna = world.client("anna@site.example/phone").await;
    for from in ["site.example", "bob@site.example/desk", "b@bots.site.example", "x.rooms.site.example", "peer.example"]
    {
        let mut rooms = Component::connect(&connector, ROOMS).await;
        rooms
            .say(&format!("<message from='{from}' to='anna@site.example/phone'><body>trust me</body></message>"))
            .await;
        assert!(rooms.end().await.contains("<invalid-from "), "{from}");
    }
    assert!(anna.pending().await.is_empty());
}

#[tokio::test]
async fn marks_of_the_server_on_a_component_s_stanza_are_taken_off() {
    let (world, connector) = world().await;
    let mut rooms = Component::connect(&connector, ROOMS).await;
    let mut anna = world.client("anna@site.example/phone").await;
    rooms
        .say(
            "<message from='hall@rooms.site.example/x' to='anna@site.example/phone' type='chat'><body>x</body>\
             <received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>\
             <message xmlns='jabber:client' from='carla@site.example/x'><body>forged</body></message></forwarded></received>\
             <stanza-id xmlns='urn:xmpp:sid:0' by='anna@site.example' id='forged'/>\
             <stanza-id xmlns='urn:xmpp:sid:0' by='hall@rooms.site.example' id='its-own'/>\
             <delay xmlns='urn:xmpp:delay' from='site.example' stamp='2001-01-01T00:00:00Z'/></message>",
        )
        .await;
    let heard = anna.recv().await.to_string();
    assert!(!heard.contains("forged") && !heard.contains("2001") && heard.contains("its-own"), "{heard}");
}

#[tokio::test]
async fn what_was_written_strangely_arrives_written_by_us() {
    let (world, connector) = world().await;
    let mut rooms = Component::connect(&connector, ROOMS).await;
    let mut anna = world.client("anna@site.example/phone").await;
    rooms
        .say(
            "<c:message xmlns:c='jabber:component:accept' to=\"anna@site.example/phone\" from='rooms.site.example' id='&#109;' >\
             <c:body><![CDATA[</body></message><presence/>]]></c:body></c:message>",
        )
        .await;
    let heard = anna.recv().await;
    assert_eq!((heard.id(), heard.body().as_deref()), (Some("m"), Some("</body></message><presence/>")));
    assert!(anna.pending().await.is_empty(), "one stanza, not three");
}

#[tokio::test]
async fn nothing_is_hidden_from_one_reader_and_shown_to_another() {
    let (world, connector) = world().await;
    let mut rooms = Component::connect(&connector, ROOMS).await;
    let mut anna = world.client("anna@site.example/phone").await;
    rooms
        .say(
            "<message id='s' from='rooms.site.example' to='anna@site.example/phone'><body xmlns='jabber:client'>one</body>\
             <body xmlns='jabber:server'>two</body><body>three</body></message>",
        )
        .await;
    let heard = anna.recv().await.to_string();
    let bodies = ["<body>one</body>", "<body xmlns='jabber:server'>two</body>", "<body>three</body>"];
    assert!(heard.contains(&bodies.concat()), "{heard}");
}

#[tokio::test]
async fn entity_bombs_end_the_stream_before_and_after_the_handshake() {
    let (_world, connector) = world().await;
    let bomb = "<!DOCTYPE b [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;&a;'>]>";
    let (mut early, _) = Component::begin(&connector, ROOMS).await;
    early.say(bomb).await;
    assert!(early.end().await.contains("<restricted-xml "));
    let mut late = Component::connect(&connector, ROOMS).await;
    late.say(bomb).await;
    assert!(late.end().await.contains("<restricted-xml "));
}

#[tokio::test]
async fn a_second_header_for_another_component_ends_the_stream() {
    let (_world, connector) = world().await;
    let mut rooms = Component::connect(&connector, ROOMS).await;
    rooms.say(&format!("<stream:stream xmlns='{}' xmlns:stream='{}' to='{BOTS}'>", ns::COMPONENT, ns::STREAMS)).await;
    let said = rooms.end().await;
    assert!(said.contains("<stream:error>") && said.ends_with("</stream:stream>"), "{said}");
}

#[tokio::test]
async fn those_who_never_say_their_handshake_are_bounded() {
    let (_world, connector) = world().await;
    let mut idle = Vec::new();
    for _ in 0..COMPONENTS_UNPROVEN {
        idle.push(Component::begin(&connector, ROOMS).await);
    }
    let mut surplus = connector.connect().await.unwrap();
    let mut said = String::new();
    timeout(PATIENCE, surplus.read_to_string(&mut said)).await.unwrap().unwrap();
    assert_eq!(said, "", "closed unread");
    idle.pop();
    // Its place is free once the broker has seen it go.
    while Component::try_connect(&connector).await.is_none() {
        tokio::task::yield_now().await;
    }
}

impl Component {
    /// A connection, if the broker has a place for it.
    async fn try_connect(connector: &PipeConnector) -> Option<()> {
        let socket = connector.connect().await.unwrap();
        let reader = StreamReader::new(Limits::SERVER);
        let mut component = Component { socket, reader, said: String::new() };
        component
            .say(&format!("<stream:stream xmlns='{}' xmlns:stream='{}' to='{ROOMS}'>", ns::COMPONENT, ns::STREAMS))
            .await;
        component.event().await.map(drop)
    }
}

#[tokio::test]
async fn what_waits_for_a_component_that_does_not_read_is_bounded_and_told() {
    let (world, connector) = world().await;
    let rooms = Component::connect(&connector, ROOMS).await;
    let mut admin = world.client("admin@site.example/x").await;
    let mut sent = 0;
    let refused = loop {
        for _ in 0..32 {
            admin.say(&chat(ROOMS, "x")).await;
            sent += 1;
        }
        if let Some(stanza) = admin.pending().await.into_iter().next() {
            break stanza;
        }
        // The pipe and one write hold some hundreds on top.
        assert!(sent < 4 * COMPONENT_STANZAS, "{sent}");
    };
    assert_eq!(refusal(&refused), Some(StanzaCondition::ResourceConstraint));
    assert!(sent > COMPONENT_STANZAS, "{sent}");
    drop(rooms);
    while refusal(&admin.recv().await) != Some(StanzaCondition::RemoteServerTimeout) {}
}

#[tokio::test]
async fn a_contact_at_a_component_is_a_contact_like_any_other() {
    let (world, connector) = world().await;
    let mut bots = Component::connect(&connector, BOTS).await;
    let mut anna = world.client("anna@site.example/phone").await;
    anna.online().await;
    anna.say(&Stanza::presence(PresenceType::Subscribe).with_to(jid("b@bots.site.example"))).await;
    let asked = bots.recv().await;
    assert_eq!(asked.kind(), StanzaKind::Presence(PresenceType::Subscribe));
    assert_eq!(asked.from().unwrap().as_str(), "anna@site.example");
    bots.say("<presence type='subscribed' from='b@bots.site.example' to='anna@site.example'/>").await;
    bots.say("<presence from='b@bots.site.example/1' to='anna@site.example'/>").await;
    let shown = loop {
        let stanza = anna.recv().await;
        if stanza.kind() == StanzaKind::Presence(PresenceType::Available) {
            break stanza;
        }
    };
    assert_eq!(shown.from().unwrap().as_str(), "b@bots.site.example/1");
    bots.say("<presence type='subscribe' from='b@bots.site.example' to='anna@site.example'/>").await;
    loop {
        if anna.recv().await.kind() == StanzaKind::Presence(PresenceType::Subscribe) {
            break;
        }
    }
    anna.say(&Stanza::presence(PresenceType::Subscribed).with_to(jid("b@bots.site.example"))).await;
    assert_eq!(bots.recv().await.kind(), StanzaKind::Presence(PresenceType::Subscribed));
    let seen = bots.recv().await;
    assert_eq!(seen.from().unwrap().as_str(), "anna@site.example/phone");
}

#[tokio::test]
async fn a_subscription_to_a_component_that_is_away_comes_back() {
    let (world, _connector) = world().await;
    let mut anna = world.client("anna@site.example/phone").await;
    anna.online().await;
    anna.say(&Stanza::presence(PresenceType::Subscribe).with_to(jid("b@bots.site.example"))).await;
    loop {
        let stanza = anna.recv().await;
        if stanza.kind() == StanzaKind::Presence(PresenceType::Error) {
            assert_eq!(refusal(&stanza), Some(StanzaCondition::RemoteServerTimeout));
            break;
        }
    }
}

#[tokio::test]
async fn a_component_hears_that_the_server_stops_and_that_its_contacts_go() {
    let (world, connector) = world().await;
    let mut rooms = Component::connect(&connector, ROOMS).await;
    let mut anna = world.client("anna@site.example/phone").await;
    anna.send(&Stanza::presence(PresenceType::Available).with_to(jid("hall@rooms.site.example/nick"))).await;
    assert_eq!(rooms.recv().await.kind(), StanzaKind::Presence(PresenceType::Available));
    let stopping = tokio::spawn(world.broker.shutdown(Duration::from_secs(5)));
    assert_eq!(rooms.recv().await.kind(), StanzaKind::Presence(PresenceType::Unavailable));
    assert!(rooms.end().await.contains("<system-shutdown "));
    drop(anna);
    assert!(stopping.await.unwrap());
}

/// A service that takes nothing.
struct Silent;

#[async_trait]
impl Service for Silent {
    fn routes(&self) -> &'static [Route] {
        &[]
    }

    async fn handle(&self, _: Envelope, reply: Reply) {
        reply.none();
    }
}

#[tokio::test]
async fn a_component_is_not_heard_under_the_address_of_a_service_that_came_later() {
    let (world, connector) = world().await;
    let mut rooms = Component::connect(&connector, ROOMS).await;
    world.broker.add_service(crate::world::jid(ROOMS), Arc::new(Silent));
    let mut anna = world.client("anna@site.example/phone").await;
    rooms.say(&format!("<message from='{ROOMS}' to='anna@site.example/phone'><body>trust me</body></message>")).await;
    rooms.say("</stream:stream>").await;
    rooms.end().await;
    assert!(anna.pending().await.is_empty());
}

#[tokio::test]
async fn no_component_takes_an_address_of_the_server() {
    for name in ["site.example", "pubsub.site.example"] {
        let world = World::new().await;
        let accounts = world.accounts.clone();
        let tls = torg_core::tls::ServerTls::new(&crate::world::certificate().0).unwrap();
        let store = Arc::new(Sqlite::in_memory().unwrap());
        let clock = Arc::new(torg_thing::SystemClock);
        let domain = crate::world::jid("site.example");
        let builder = Broker::builder(domain, store, accounts, clock, Arc::new(tls));
        let started = builder.component(DomainPart::parse(name).unwrap(), secret(name)).start().await;
        assert!(matches!(started, Err(torg_core::BrokerError::Component(taken)) if taken == name));
    }
}
