//! Presence across servers (RFC 6121 §3 and §4): subscriptions, broadcasts, probes, directed presence, and the end of it all.

use torg_core::peers::Policy;
use torg_wire::ns;
use torg_wire::stanza::{IqType, PresenceType, Stanza, StanzaCondition, StanzaKind};
use torg_wire::xml::Element;

use crate::exchange::Two;
use crate::network::{Actor, jid};

async fn roster(actor: &mut Actor) -> Vec<(String, String)> {
    actor.send(Stanza::iq_get("roster", Element::new(ns::ROSTER, "query"))).await;
    let answer = actor.until(|stanza| stanza.id() == Some("roster")).await;
    assert_eq!(answer.kind(), StanzaKind::Iq(IqType::Result));
    let query = answer.child(ns::ROSTER, "query").unwrap();
    let text = |item: &Element, name| item.attr(name).unwrap_or_default().to_owned();
    query.children().map(|item| (text(item, "jid"), text(item, "subscription"))).collect()
}

/// Anna and bob are on line and see each other.
pub(crate) async fn befriended() -> Two {
    let mut two = Two::new(Policy::Pkix, true).await;
    two.anna.available().await;
    two.bob.available().await;
    two.anna.presence(PresenceType::Subscribe, "bob@two.example").await;
    let request = two.bob.sees(PresenceType::Subscribe).await;
    assert_eq!(request.from().unwrap(), &jid("anna@one.example"));
    two.bob.presence(PresenceType::Subscribed, "anna@one.example").await;
    two.anna.sees(PresenceType::Subscribed).await;
    let presence = two.anna.sees(PresenceType::Available).await;
    assert_eq!(presence.from().unwrap(), &two.bob.jid());
    two.bob.presence(PresenceType::Subscribe, "anna@one.example").await;
    two.anna.sees(PresenceType::Subscribe).await;
    two.anna.presence(PresenceType::Subscribed, "bob@two.example").await;
    assert_eq!(two.bob.sees(PresenceType::Available).await.from().unwrap(), &two.anna.jid());
    two
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_is_asked_for_granted_and_kept_by_both_servers() {
    let mut two = befriended().await;
    assert_eq!(roster(&mut two.anna).await, [("bob@two.example".to_owned(), "both".to_owned())]);
    assert_eq!(roster(&mut two.bob).await, [("anna@one.example".to_owned(), "both".to_owned())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contact_sees_changes_and_the_end_of_a_session() {
    let mut two = befriended().await;
    let status = Element::new(ns::CLIENT, "status").with_text("busy");
    two.bob.send(Stanza::presence(PresenceType::Available).with_child(status)).await;
    two.anna.until(|stanza| stanza.child(ns::CLIENT, "status").is_some_and(|it| it.text() == "busy")).await;
    two.bob.0.close().await;
    assert_eq!(two.anna.sees(PresenceType::Unavailable).await.from().unwrap(), &jid("bob@two.example/desk"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_on_line_learns_how_remote_contacts_are() {
    let two = befriended().await;
    let mut tablet = Actor::new(&two.here, "anna@one.example/tablet").await;
    tablet.available().await;
    assert_eq!(tablet.sees(PresenceType::Available).await.from().unwrap(), &two.bob.jid());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probe_for_a_contact_that_is_away_is_answered_with_unavailable() {
    let mut two = befriended().await;
    two.bob.0.close().await;
    two.anna.sees(PresenceType::Unavailable).await;
    let mut tablet = Actor::new(&two.here, "anna@one.example/tablet").await;
    tablet.available().await;
    assert_eq!(tablet.sees(PresenceType::Unavailable).await.from().unwrap(), &jid("bob@two.example"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_s_probe_is_answered_alike_whether_the_account_exists() {
    let mut two = Two::new(Policy::Pkix, true).await;
    two.anna.available().await;
    two.bob.available().await;
    for account in ["bob@two.example", "nobody@two.example"] {
        two.anna.presence(PresenceType::Probe, account).await;
        two.anna.chat(&two.bob.jid(), "after it").await;
        two.bob.until(|stanza| stanza.body().is_some()).await;
        two.bob.chat(&two.anna.jid(), "and back").await;
        // An answer to somebody without a subscription changes nothing and so is not even shown (RFC 6121 §A.3.4).
        let own = two.anna.jid();
        let next = two.anna.until(|stanza| stanza.from() != Some(&own)).await;
        assert_eq!(next.body().as_deref(), Some("and back"), "{next}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_ends_from_either_side() {
    let mut two = befriended().await;
    two.bob.presence(PresenceType::Unsubscribed, "anna@one.example").await;
    two.anna.sees(PresenceType::Unavailable).await;
    assert_eq!(roster(&mut two.anna).await, [("bob@two.example".to_owned(), "from".to_owned())]);
    two.bob.presence(PresenceType::Unsubscribe, "anna@one.example").await;
    two.anna.sees(PresenceType::Unsubscribe).await;
    assert_eq!(roster(&mut two.anna).await, [("bob@two.example".to_owned(), "none".to_owned())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contact_taken_off_the_roster_loses_what_it_had() {
    let mut two = befriended().await;
    let item = Element::new(ns::ROSTER, "item").with_attr("jid", "bob@two.example").with_attr("subscription", "remove");
    two.anna.send(Stanza::iq_set("r", Element::new(ns::ROSTER, "query").with_child(item))).await;
    two.bob.sees(PresenceType::Unsubscribe).await;
    two.bob.sees(PresenceType::Unsubscribed).await;
    two.bob.sees(PresenceType::Unavailable).await;
    assert_eq!(roster(&mut two.bob).await, [("anna@one.example".to_owned(), "none".to_owned())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn directed_presence_arrives_and_its_end_too() {
    let mut two = Two::new(Policy::Pkix, true).await;
    two.bob.available().await;
    two.anna.presence(PresenceType::Available, "bob@two.example/desk").await;
    assert_eq!(two.bob.sees(PresenceType::Available).await.from().unwrap(), &two.anna.jid());
    two.anna.0.close().await;
    assert_eq!(two.bob.sees(PresenceType::Unavailable).await.from().unwrap(), &jid("anna@one.example/phone"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_to_a_peer_that_cannot_be_found_comes_back() {
    let mut two = Two::new(Policy::Pkix, true).await;
    two.anna.available().await;
    two.anna.presence(PresenceType::Subscribe, "eve@elsewhere.example").await;
    let bounced = two.anna.sees(PresenceType::Error).await;
    assert_eq!(bounced.from().unwrap(), &jid("eve@elsewhere.example"));
    assert_eq!(bounced.error().unwrap().condition(), StanzaCondition::RemoteServerNotFound);
}

/// Bob at the other server hears that anna is gone, and that neither sees the other any more.
async fn hears_the_end(bob: &mut Actor, was_there: bool) {
    if was_there {
        let gone = bob.sees(PresenceType::Unavailable).await;
        assert_eq!(gone.from().unwrap().as_str(), "anna@one.example/phone");
    }
    bob.sees(PresenceType::Unsubscribed).await;
    bob.sees(PresenceType::Unsubscribe).await;
    assert_eq!(roster(bob).await, [("anna@one.example".to_owned(), "none".to_owned())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contacts_elsewhere_hear_that_an_account_was_removed() {
    let mut two = befriended().await;
    torg_core::forget_account(&*two.one.store, &jid("anna@one.example").to_bare()).await.unwrap();
    hears_the_end(&mut two.bob, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contacts_elsewhere_hear_of_an_account_that_was_removed_while_the_broker_was_off() {
    let Two { one, two, here, mut bob, there: _there, network: _network, .. } = befriended().await;
    assert!(here.shutdown(std::time::Duration::from_secs(5)).await);
    bob.sees(PresenceType::Unavailable).await;
    torg_core::forget_account(&*one.store, &jid("anna@one.example").to_bare()).await.unwrap();
    let _here = one.start(&[two.view(Policy::Pkix, true)]).await;
    hears_the_end(&mut bob, false).await;
}
