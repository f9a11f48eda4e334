//! What a server tells strangers of the servers it talks to (XEP-0485): nothing by default, and nobody who has not agreed.

use torg_core::peers::Policy;
use torg_core::{Broker, Builder};
use torg_wire::ns;
use torg_wire::stanza::{IqType, MessageType, Stanza, StanzaCondition, StanzaKind};
use torg_wire::xml::Element;

use crate::network::{Actor, Network, Site, jid};

const NODE: &str = "serverinfo";

fn public(builder: Builder) -> Builder {
    builder.public_server_info(true)
}

fn pubsub(id: &str, kind: IqType, of: &str, child: Element) -> Stanza {
    let payload = Element::new(ns::PUBSUB, "pubsub").with_child(child.with_attr("node", NODE));
    let iq = if kind == IqType::Get { Stanza::iq_get(id, payload) } else { Stanza::iq_set(id, payload) };
    iq.with_to(jid(&format!("pubsub.{of}")))
}

async fn ask(actor: &mut Actor, request: Stanza) -> Stanza {
    let id = request.id().unwrap().to_owned();
    actor.send(request).await;
    actor.until(|stanza| stanza.id() == Some(&id)).await
}

async fn info(actor: &mut Actor, of: &str) -> String {
    ask(actor, Stanza::iq_get("info", Element::new(ns::DISCO_INFO, "query")).with_to(jid(of))).await.to_string()
}

async fn items(actor: &mut Actor, of: &str) -> Stanza {
    ask(actor, pubsub("items", IqType::Get, of, Element::new(ns::PUBSUB, "items"))).await
}

/// An actor that hears of each publication of its server.
async fn listener(broker: &Broker, address: &str, of: &str) -> Actor {
    let mut actor = Actor::new(broker, address).await;
    // The node is made by a task of the broker's own.
    loop {
        let wish = Element::new(ns::PUBSUB, "subscribe").with_attr("jid", actor.jid().bare_str());
        let answer = ask(&mut actor, pubsub("sub", IqType::Set, of, wish)).await;
        if answer.kind() == StanzaKind::Iq(IqType::Result) {
            break;
        }
        tokio::task::yield_now().await;
    }
    actor.available().await;
    actor
}

/// Waits for an event that names the server.
async fn names(actor: &mut Actor, server: &str) -> String {
    let named = format!("<remote-domain name='{server}'>");
    let event = |stanza: &Stanza| stanza.kind() == StanzaKind::Message(MessageType::Headline);
    actor.until(|stanza| event(stanza) && stanza.to_string().contains(&named)).await.to_string()
}

async fn greet(from: &Actor, to: &mut Actor) {
    from.chat(&to.jid(), "hello").await;
    to.until(|stanza| stanza.body().as_deref() == Some("hello")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_tell_of_themselves_are_named_and_others_are_not() {
    let network = Network::new();
    let [one, two, three] = [("one.example", 1), ("two.example", 2), ("three.example", 3)]
        .map(|(domain, number)| Site::new(&network, domain, number));
    let pkix = |site| Site::view(site, Policy::Pkix, true);
    let here = one.start_changed(&[pkix(&two), pkix(&three)], public).await;
    let private = two.start(&[pkix(&one)]).await;
    let open = three.start_changed(&[pkix(&one)], public).await;
    let mut anna = listener(&here, "anna@one.example/phone", "one.example").await;
    let mut bob = Actor::new(&private, "bob@two.example/desk").await;
    let mut carla = Actor::new(&open, "carla@three.example/desk").await;

    greet(&anna, &mut bob).await;
    greet(&anna, &mut carla).await;
    let event = names(&mut anna, "three.example").await;
    assert!(event.contains("<domain name='one.example'>") && event.contains("<connection type='bidi'/>"), "{event}");
    assert!(!event.contains("two.example"), "{event}");

    let told = info(&mut bob, "one.example").await;
    assert!(told.contains("<feature var='urn:xmpp:serverinfo:0'/>"), "{told}");
    assert!(told.contains("<value>xmpp:pubsub.one.example?;node=serverinfo</value>"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_told_unless_the_operator_wants_it() {
    let network = Network::new();
    let (one, two) = (Site::new(&network, "one.example", 1), Site::new(&network, "two.example", 2));
    let here = one.start(&[two.view(Policy::Pkix, true)]).await;
    let _there = two.start_changed(&[one.view(Policy::Pkix, true)], public).await;
    let mut anna = Actor::new(&here, "anna@one.example/phone").await;
    let told = info(&mut anna, "one.example").await;
    assert!(!told.contains("serverinfo"), "{told}");
    let answer = items(&mut anna, "one.example").await;
    assert_eq!(answer.error().unwrap().condition(), StanzaCondition::ItemNotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_told_is_taken_back_when_the_operator_changes_the_mind() {
    let network = Network::new();
    let one = Site::new(&network, "one.example", 1);
    let here = one.start_changed(&[], public).await;
    let mut anna = listener(&here, "anna@one.example/phone", "one.example").await;
    assert_eq!(items(&mut anna, "one.example").await.kind(), StanzaKind::Iq(IqType::Result));
    drop(anna);
    here.shutdown(crate::network::PATIENCE).await;
    let here = one.start(&[]).await;
    let mut anna = Actor::new(&here, "anna@one.example/phone").await;
    loop {
        let answer = items(&mut anna, "one.example").await;
        if answer.error().is_some_and(|error| error.condition() == StanzaCondition::ItemNotFound) {
            break;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_account_speaks_at_the_server_s_node() {
    let network = Network::new();
    let one = Site::new(&network, "one.example", 1);
    for change in [public as fn(Builder) -> Builder, |builder| builder] {
        let here = one.start_changed(&[], change).await;
        let mut anna = Actor::new(&here, "anna@one.example/phone").await;
        let create = ask(&mut anna, pubsub("c", IqType::Set, "one.example", Element::new(ns::PUBSUB, "create"))).await;
        assert!(create.kind().is_error(), "{create}");
        let item = Element::new(ns::PUBSUB, "item").with_child(Element::new(ns::FEDERATION_INFO, "serverinfo"));
        let publish = Element::new(ns::PUBSUB, "publish").with_child(item);
        let publish = ask(&mut anna, pubsub("p", IqType::Set, "one.example", publish)).await;
        assert!(publish.kind().is_error(), "{publish}");
        here.shutdown(crate::network::PATIENCE).await;
    }
}
