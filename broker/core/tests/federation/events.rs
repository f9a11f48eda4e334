//! Events across servers: personal ones for friends elsewhere, and a service used from elsewhere (XEP-0163, XEP-0060).

use torg_core::peers::Policy;
use torg_wire::ns;
use torg_wire::stanza::{PresenceType, Stanza, StanzaKind};
use torg_wire::xep::disco::{Identity, Info};
use torg_wire::xml::Element;

use crate::exchange::Two;
use crate::network::{Actor, jid};
use crate::subscription::befriended;

const TUNE: &str = "urn:example:tune";

fn pubsub(id: &str, child: Element) -> Stanza {
    Stanza::iq_set(id, Element::new(ns::PUBSUB, "pubsub").with_child(child))
}

fn publish(id: &str, node: &str) -> Stanza {
    let item = Element::new(ns::PUBSUB, "item").with_attr("id", id).with_child(Element::new(TUNE, "tune"));
    pubsub(id, Element::new(ns::PUBSUB, "publish").with_attr("node", node).with_child(item))
}

fn info() -> Info {
    let identities = vec![Identity::new("client", "pc", "T")];
    Info { identities, ..Info::default() }.with_features([format!("{TUNE}+notify").as_str()])
}

async fn shows_wishes(actor: &Actor) {
    let caps = info().capabilities("urn:example:client");
    actor.send(Stanza::presence(PresenceType::Available).with_child(caps)).await;
}

/// Answers the question that `server` puts in the name of one of its accounts.
async fn answers(actor: &mut Actor, asker: &str) {
    let asker = jid(asker);
    let asks = |stanza: &Stanza| stanza.kind().is_request() && stanza.from() == Some(&asker);
    let question = actor.until(asks).await;
    actor.send(Stanza::result_for(&question).with_child(info().encode())).await;
}

/// The sender of the next event and the id of its item.
async fn event(actor: &mut Actor) -> (String, String) {
    let message = actor.until(|stanza| stanza.child(ns::PUBSUB_EVENT, "event").is_some()).await;
    let items = message.child(ns::PUBSUB_EVENT, "event").and_then(|event| event.child(ns::PUBSUB_EVENT, "items"));
    let id = items.and_then(Element::first_child).and_then(|item| item.attr("id")).unwrap_or_default();
    (message.from().unwrap().to_string(), id.to_owned())
}

async fn done(actor: &mut Actor, request: Stanza) -> Stanza {
    let id = request.id().unwrap().to_owned();
    actor.send(request).await;
    let answer = actor.until(|it| matches!(it.kind(), StanzaKind::Iq(_)) && it.id() == Some(id.as_str())).await;
    assert!(!answer.kind().is_error(), "{answer}");
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_friend_elsewhere_whose_client_asks_for_it_hears_of_what_is_published() {
    let Two { mut anna, mut bob, here: _here, there: _there, .. } = befriended().await;
    done(&mut anna, publish("before", TUNE)).await;
    shows_wishes(&bob).await;
    answers(&mut bob, "anna@one.example").await;
    assert_eq!(event(&mut bob).await, ("anna@one.example".to_owned(), "before".to_owned()), "the last item");
    done(&mut anna, publish("other", "urn:example:mood")).await;
    done(&mut anna, publish("now", TUNE)).await;
    assert_eq!(event(&mut bob).await, ("anna@one.example".to_owned(), "now".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contact_whose_wishes_were_known_before_it_became_a_friend_hears_of_what_is_published() {
    let Two { mut anna, mut bob, here: _here, there: _there, .. } = Two::new(Policy::Pkix, true).await;
    anna.available().await;
    done(&mut anna, publish("before", TUNE)).await;
    shows_wishes(&bob).await;
    anna.presence(PresenceType::Subscribe, "bob@two.example").await;
    bob.sees(PresenceType::Subscribe).await;
    bob.presence(PresenceType::Subscribed, "anna@one.example").await;
    answers(&mut bob, "anna@one.example").await;
    bob.presence(PresenceType::Subscribe, "anna@one.example").await;
    anna.sees(PresenceType::Subscribe).await;
    anna.presence(PresenceType::Subscribed, "bob@two.example").await;
    bob.sees(PresenceType::Subscribed).await;
    assert_eq!(event(&mut bob).await, ("anna@one.example".to_owned(), "before".to_owned()), "the last item");
    done(&mut anna, publish("now", TUNE)).await;
    assert_eq!(event(&mut bob).await, ("anna@one.example".to_owned(), "now".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_of_another_server_takes_subscribers_and_publishers() {
    let Two { mut anna, mut bob, here: _here, there: _there, .. } = Two::new(Policy::Dialback, true).await;
    let service = jid("pubsub.one.example");
    let create = pubsub("c", Element::new(ns::PUBSUB, "create").with_attr("node", "n"));
    done(&mut anna, create.clone().with_to(service.clone())).await;
    bob.send(create.with_to(service.clone())).await;
    let refused = bob.until(|stanza| stanza.kind().is_error()).await;
    assert_eq!(refused.error().unwrap().condition(), torg_wire::stanza::StanzaCondition::Forbidden);
    let subscribe = Element::new(ns::PUBSUB, "subscribe").with_attr("node", "n").with_attr("jid", bob.jid().as_str());
    done(&mut bob, pubsub("s", subscribe).with_to(service.clone())).await;
    let publisher = Element::new(ns::PUBSUB_OWNER, "affiliation").with_attr("jid", "bob@two.example");
    let list = Element::new(ns::PUBSUB_OWNER, "affiliations").with_attr("node", "n");
    let list = list.with_child(publisher.with_attr("affiliation", "publisher"));
    let owner = Stanza::iq_set("a", Element::new(ns::PUBSUB_OWNER, "pubsub").with_child(list));
    done(&mut anna, owner.with_to(service.clone())).await;
    done(&mut bob, publish("one", "n").with_to(service.clone())).await;
    assert_eq!(event(&mut bob).await, ("pubsub.one.example".to_owned(), "one".to_owned()));
    done(&mut anna, publish("two", "n").with_to(service)).await;
    assert_eq!(event(&mut bob).await, ("pubsub.one.example".to_owned(), "two".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribers_elsewhere_hear_of_the_end_of_nodes_that_go_with_their_account() {
    let Two { mut anna, mut bob, one, here: _here, there: _there, .. } = befriended().await;
    done(&mut anna, publish("one", TUNE)).await;
    let subscribe = Element::new(ns::PUBSUB, "subscribe").with_attr("node", TUNE).with_attr("jid", "bob@two.example");
    done(&mut bob, pubsub("s", subscribe).with_to(jid("anna@one.example"))).await;
    torg_core::forget_account(&*one.store, &jid("anna@one.example").to_bare()).await.unwrap();
    let deleted = |stanza: &Stanza| {
        let event = stanza.child(ns::PUBSUB_EVENT, "event")?;
        event.child(ns::PUBSUB_EVENT, "delete")?.attr("node").map(str::to_owned)
    };
    let message = bob.until(|stanza| deleted(stanza).is_some()).await;
    assert_eq!((message.from(), deleted(&message).as_deref()), (Some(&jid("anna@one.example")), Some(TUNE)));
}
