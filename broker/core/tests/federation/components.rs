//! External components of one server and users of another: they reach each other once the component's domain is proven, and nobody else
//! gets that domain.

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::timeout;
use torg_core::peers::Policy;
use torg_core::{Broker, pipe};
use torg_wire::jid::DomainPart;
use torg_wire::ns;
use torg_wire::secret::Secret;
use torg_wire::stream::component::proof;

use crate::network::{Actor, Network, PATIENCE, Site, jid};

const ROOMS: &str = "rooms.two.example";

fn secret() -> Secret<String> {
    Secret::new("the secret of the rooms".into())
}

/// The component's side of its stream.
struct Component(DuplexStream);

impl Component {
    async fn connect(broker: &Broker) -> Component {
        let (connector, listener) = pipe();
        broker.listen_component(listener);
        let mut component = Component(connector.connect().await.unwrap());
        let header = format!("<stream:stream xmlns='{}' xmlns:stream='{}' to='{ROOMS}'>", ns::COMPONENT, ns::STREAMS);
        component.say(&header).await;
        let said = component.until("' id='").await; // our header is written at once
        let id = said.split_once(" id='").unwrap().1.split_once('\'').unwrap().0.to_owned();
        component.say(&format!("<handshake>{}</handshake>", proof(&id, &secret()))).await;
        component.until("<handshake/>").await;
        component
    }

    async fn say(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    async fn until(&mut self, text: &str) -> String {
        let mut said = String::new();
        let mut bytes = [0; 4096];
        while !said.contains(text) {
            let count = timeout(PATIENCE, self.0.read(&mut bytes)).await.expect("an answer").unwrap();
            assert!(count > 0, "{said}");
            said.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
        }
        said
    }
}

/// Two servers, the second with a component, which its certificate names if the links are proven by that.
async fn scene(policy: Policy) -> (Broker, Broker, Actor, Component, std::sync::Arc<Network>) {
    let network = Network::new();
    let named: &[&str] = if policy == Policy::Pkix { &[ROOMS] } else { &[] };
    let (one, two) = (Site::new(&network, "one.example", 1), Site::naming(&network, "two.example", 2, named));
    let here = one.start(&[two.view(policy, true)]).await;
    let with_rooms = |builder: torg_core::Builder| builder.component(DomainPart::parse(ROOMS).unwrap(), secret());
    let there = two.start_changed(&[one.view(policy, true)], with_rooms).await;
    let anna = Actor::new(&here, "anna@one.example/phone").await;
    let rooms = Component::connect(&there).await;
    (here, there, anna, rooms, network)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_of_another_server_and_a_component_reach_each_other() {
    for policy in [Policy::Dialback, Policy::Pkix] {
        let (_here, _there, mut anna, mut rooms, _network) = scene(policy).await;
        anna.chat(&jid("hall@rooms.two.example"), "hello").await;
        let heard = rooms.until("</message>").await;
        assert!(heard.contains("<body>hello</body>") && heard.contains(" from='anna@one.example/phone'"), "{heard}");
        rooms
            .say("<message from='hall@rooms.two.example/x' to='anna@one.example/phone'><body>welcome</body></message>")
            .await;
        let heard = anna.recv().await;
        assert_eq!(
            (heard.from().unwrap().as_str(), heard.body().as_deref()),
            ("hall@rooms.two.example/x", Some("welcome"))
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_may_speak_first() {
    for policy in [Policy::Dialback, Policy::Pkix] {
        let (_here, _there, mut anna, mut rooms, _network) = scene(policy).await;
        rooms.say("<message from='rooms.two.example' to='anna@one.example/phone'><body>news</body></message>").await;
        assert_eq!(anna.recv().await.from().unwrap().as_str(), ROOMS);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_server_does_not_get_the_component_s_domain() {
    let network = Network::new();
    // The thief's certificate even names it, and its policy would believe that.
    let (thief, two) = (Site::new(&network, ROOMS, 1), Site::new(&network, "two.example", 2));
    let with_rooms = |builder: torg_core::Builder| builder.component(DomainPart::parse(ROOMS).unwrap(), secret());
    let there = two.start_changed(&[thief.view(Policy::Pkix, true)], with_rooms).await;
    let here = thief.start(&[two.view(Policy::Pkix, true)]).await;
    let mut bob = Actor::new(&there, "bob@two.example/desk").await;
    let mut mallory = Actor::new(&here, "mallory@rooms.two.example/x").await;
    mallory.chat(&bob.jid(), "trust me").await;
    assert!(mallory.recv().await.kind().is_error());
    bob.chat(&bob.jid(), "to myself").await;
    assert_eq!(bob.recv().await.body().as_deref(), Some("to myself"));
}
