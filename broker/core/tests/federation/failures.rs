//! Peers that are away, come back, say nothing or are slow: what senders hear, what is remembered, and that it heals.

use std::time::Duration;

use torg_core::peers::Policy;
use torg_core::s2s::{IDLE, PAUSE_MAX, RESOLVE_TIME, UNRESOLVED_STANZAS};
use torg_wire::stanza::{Stanza, StanzaCondition};

use crate::exchange::Two;
use crate::network::Actor;

/// The clock is that much later, and everything due has happened.
async fn later(time: Duration) {
    settled().await;
    tokio::time::pause();
    tokio::time::advance(time).await;
    settled().await;
    tokio::time::resume();
}

/// Every task has had its turns.
async fn settled() {
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
}

fn condition(stanza: &Stanza) -> Option<StanzaCondition> {
    stanza.error().map(|error| error.condition())
}

#[tokio::test]
async fn a_peer_that_goes_is_told_of_and_found_again_once_it_is_back() {
    let mut two = Two::new(Policy::Pkix, true).await;
    let bob = two.bob.jid();
    two.anna.chat(&bob, "before").await;
    assert_eq!(two.bob.recv().await.body().unwrap(), "before");

    two.bob.0.close().await;
    two.two.vanish();
    two.there.shutdown(Duration::from_secs(5)).await;
    let back = loop {
        // The end of the stream may be noticed a moment later; what is written until then is lost with it, as on any link.
        two.anna.chat(&bob, "while away").await;
        let bounced = tokio::time::timeout(Duration::from_millis(100), two.anna.0.recv()).await;
        if let Ok(Some(bounced)) = bounced {
            break bounced;
        }
    };
    assert_eq!(condition(&back), Some(StanzaCondition::RemoteServerTimeout));

    let connects = two.network.connects();
    two.anna.chat(&bob, "within the pause").await;
    assert_eq!(condition(&two.anna.recv().await), Some(StanzaCondition::RemoteServerTimeout));
    assert_eq!(two.network.connects(), connects, "a failure is remembered, and the peer left alone");

    let there = two.two.start(&[two.one.view(Policy::Pkix, true)]).await;
    let mut bob = Actor::new(&there, "bob@two.example/desk").await;
    later(PAUSE_MAX).await;
    two.anna.chat(&bob.jid(), "after").await;
    assert_eq!(bob.recv().await.body().unwrap(), "after");
    bob.chat(&two.anna.jid(), "and back").await;
    assert_eq!(two.anna.recv().await.body().unwrap(), "and back");
}

#[tokio::test]
async fn an_idle_link_is_closed_and_opens_again_when_it_is_needed() {
    let mut two = Two::new(Policy::Pkix, true).await;
    two.anna.chat(&two.bob.jid(), "one").await;
    two.bob.recv().await;
    later(IDLE - Duration::from_secs(5)).await;
    two.anna.chat(&two.bob.jid(), "two").await;
    two.bob.recv().await;
    assert_eq!(two.network.connects(), 1, "not idle yet");
    later(IDLE + Duration::from_secs(1)).await;
    two.anna.chat(&two.bob.jid(), "three").await;
    assert_eq!(two.bob.recv().await.body().unwrap(), "three");
    assert_eq!(two.network.connects(), 2);
}

#[tokio::test]
async fn two_hundred_stanzas_wait_for_a_peer_that_says_nothing_and_come_back_in_time() {
    let mut two = Two::new(Policy::Pkix, true).await;
    two.two.stall();
    for n in 0..UNRESOLVED_STANZAS {
        two.anna.chat(&two.bob.jid(), &format!("{n}")).await;
    }
    two.anna.chat(&two.bob.jid(), "one too many").await;
    let refused = two.anna.recv().await;
    assert_eq!((condition(&refused), refused.id()), (Some(StanzaCondition::ResourceConstraint), Some("one too many")));
    later(RESOLVE_TIME).await;
    for n in 0..UNRESOLVED_STANZAS {
        let bounced = two.anna.recv().await;
        assert_eq!(condition(&bounced), Some(StanzaCondition::RemoteServerTimeout));
        assert_eq!(bounced.id(), Some(format!("{n}").as_str()), "in order");
    }
}

#[tokio::test]
async fn a_server_that_is_not_who_it_should_be_gets_nothing() {
    let mut two = Two::new(Policy::Pkix, true).await;
    // Another server with a certificate of its own stands at the address of the peer.
    two.two.vanish();
    let evil = crate::network::Site::new(&two.network, "two.example", 2);
    let there = evil.start(&[two.one.view(Policy::Pkix, true)]).await;
    let mut eve = Actor::new(&there, "bob@two.example/desk").await;
    two.anna.chat(&eve.jid(), "for bob's eyes").await;
    let bounced = two.anna.recv().await;
    assert_eq!(condition(&bounced), Some(StanzaCondition::RemoteServerNotFound));
    // And it may not write to us either.
    eve.chat(&two.anna.jid(), "from bob").await;
    assert!(eve.recv().await.kind().is_error());
}

#[tokio::test]
async fn three_brokers_keep_apart_what_each_may_say() {
    let network = crate::network::Network::new();
    let site = |domain, number| crate::network::Site::new(&network, domain, number);
    let (one, two, three) = (site("one.example", 1), site("two.example", 2), site("three.example", 3));
    let view = |site| crate::network::View { of: site, policy: Policy::Pkix, direct_tls: false };
    let brokers = [
        one.start(&[view(&two), view(&three)]).await,
        two.start(&[view(&one), view(&three)]).await,
        three.start(&[view(&one)]).await,
    ];
    let mut anna = Actor::new(&brokers[0], "anna@one.example/a").await;
    let mut bob = Actor::new(&brokers[1], "bob@two.example/b").await;
    let mut carla = Actor::new(&brokers[2], "carla@three.example/c").await;
    bob.chat(&anna.jid(), "hello").await;
    assert_eq!(anna.recv().await.body().unwrap(), "hello");
    carla.chat(&anna.jid(), "hello too").await;
    assert_eq!(anna.recv().await.from().unwrap(), &carla.jid());
    // The third one does not want to talk to the second.
    carla.chat(&bob.jid(), "?").await;
    assert_eq!(condition(&carla.recv().await), Some(StanzaCondition::RemoteServerNotFound));
    bob.chat(&carla.jid(), "?").await;
    assert!(bob.recv().await.kind().is_error());
}

#[tokio::test]
async fn a_stop_takes_presence_back_before_it_ends_the_links() {
    let mut two = Two::new(Policy::Pkix, true).await;
    two.bob.available().await;
    let there = "bob@two.example/desk";
    two.anna.presence(torg_wire::stanza::PresenceType::Available, there).await;
    two.bob.sees(torg_wire::stanza::PresenceType::Available).await;
    assert!(two.here.shutdown(Duration::from_secs(5)).await);
    let gone = two.bob.sees(torg_wire::stanza::PresenceType::Unavailable).await;
    assert_eq!(gone.from().unwrap().as_str(), "anna@one.example/phone");
}
