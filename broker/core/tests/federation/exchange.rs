//! Two brokers, and stanzas of every kind in both directions, over every way to open and prove a link.

use torg_core::peers::Policy;
use torg_wire::ns;
use torg_wire::stanza::{IqType, PresenceType, Stanza, StanzaCondition, StanzaKind};
use torg_wire::xml::Element;

use crate::network::{Actor, Network, Site, jid};

/// Messages go there and back.
async fn talk(policy: Policy, direct_tls: bool) {
    let network = Network::new();
    let (one, two) = (Site::new(&network, "one.example", 1), Site::new(&network, "two.example", 2));
    let here = one.start(&[two.view(policy, direct_tls)]).await;
    let there = two.start(&[one.view(policy, direct_tls)]).await;
    let (mut anna, mut bob) =
        (Actor::new(&here, "anna@one.example/phone").await, Actor::new(&there, "bob@two.example/desk").await);
    for n in 0..3 {
        anna.chat(&bob.jid(), &format!("to bob {n}")).await;
        bob.chat(&anna.jid(), &format!("to anna {n}")).await;
    }
    for n in 0..3 {
        let found = bob.recv().await;
        assert_eq!(found.body().unwrap(), format!("to bob {n}"));
        assert_eq!(found.from().unwrap(), &anna.jid());
        assert_eq!(anna.recv().await.body().unwrap(), format!("to anna {n}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_pass_over_direct_tls_with_certificates() {
    talk(Policy::Pkix, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_pass_over_starttls_with_certificates() {
    talk(Policy::Pkix, false).await;
}
