//! Getting in: both ways of TLS, wrong passwords, time, places.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use torg_core::forget_account;
use torg_core::limits::{LOGIN_TIME, Limits};
use torg_core::tls::ClientTls;
use torg_store::{Batch, Sqlite};
use torg_wire::ns;
use torg_wire::stanza::{IqType, PresenceType, Stanza, StanzaKind};
use torg_wire::xml::Element;

use crate::client::Client;
use crate::managed::pass;
use crate::world::{DOMAIN, World, certificate, jid, make_certificate};

#[tokio::test]
async fn both_ways_of_tls_lead_in() {
    let world = World::new().await;
    let direct = Client::login(&world, "anna@site.example/a").await.unwrap();
    let starttls = Client::login_starttls(&world, "anna@site.example/b").await.unwrap();
    assert_eq!([direct.jid.as_str(), starttls.jid.as_str()], ["anna@site.example/a", "anna@site.example/b"]);
}

#[tokio::test]
async fn a_certificate_is_exchanged_for_new_connections_only() {
    let world = World::new().await;
    let mut anna = world.client("anna@site.example/phone").await;
    let (other, trust_other) = make_certificate();
    world.broker.reload_tls(&other).unwrap();
    assert!(anna.pending().await.is_empty(), "the present session goes on");
    let connect = async |trust: &ClientTls| {
        let name = ClientTls::server_name(DOMAIN).unwrap();
        let socket = world.direct.connect().await.unwrap();
        tokio_rustls::TlsConnector::from(trust.direct()).connect(name, socket).await
    };
    assert!(connect(&certificate().1).await.is_err());
    assert!(connect(&trust_other).await.is_ok());
}

#[tokio::test]
async fn a_client_without_a_wish_gets_a_resource() {
    let world = World::new().await;
    let anna = Client::login(&world, "anna@site.example").await.unwrap();
    assert_eq!(anna.jid.bare_str(), "anna@site.example");
    assert!(anna.jid.resource().len() >= 16, "not to be guessed");
}

#[tokio::test]
async fn an_account_that_does_not_exist_is_refused_like_a_wrong_password() {
    let world = World::new().await;
    let refused = Client::login(&world, "nobody@site.example").await.map(|client| client.jid).unwrap_err();
    assert!(refused.to_string().contains("not-authorized"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn whoever_does_not_log_in_is_cut_off_after_the_time_for_it() {
    let world = World::new().await;
    let mut idle = world.starttls.connect().await.unwrap();
    let begun = tokio::time::Instant::now();
    let mut said = String::new();
    idle.read_to_string(&mut said).await.unwrap();
    assert!(said.contains("connection-timeout"), "{said}");
    assert!(begun.elapsed() >= LOGIN_TIME && begun.elapsed() < LOGIN_TIME + Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_never_begins_is_cut_off_too() {
    let world = World::new().await;
    let mut idle = world.direct.connect().await.unwrap();
    let begun = tokio::time::Instant::now();
    let mut said = Vec::new();
    idle.read_to_end(&mut said).await.unwrap();
    assert!(begun.elapsed() >= LOGIN_TIME && begun.elapsed() < LOGIN_TIME + Duration::from_secs(1));
}

#[tokio::test]
async fn a_session_whose_account_is_removed_ends_within_a_minute() {
    let world = World::new().await;
    let mut anna = world.client("anna@site.example/phone").await;
    let bob = world.client("bob@site.example/desk").await;
    world.accounts.remove("anna");
    pass(Duration::from_secs(61)).await;
    assert!(anna.end().await.to_string().contains("not-authorized"));
    assert_eq!(world.broker.router().sessions(), 1, "{} stays", bob.jid);
}

#[tokio::test]
async fn a_new_account_of_an_old_name_starts_with_nobodys_consent() {
    const GRANT: &str = "<presence type='subscribed' to='anna@site.example'/>";
    const REQUEST: &str = "<presence type='subscribe' to='bob@site.example'/>";
    let from_bob = |stanza: &Stanza| stanza.from().is_some_and(|from| from.bare_str() == "bob@site.example");
    let world = World::new().await;
    let mut bob = world.client("bob@site.example/desk").await;
    bob.online().await;
    bob.raw(GRANT).await;
    bob.sync().await;
    let mut anna = world.client("anna@site.example/phone").await;
    anna.online().await;
    anna.raw(REQUEST).await;
    assert!(anna.pending().await.iter().any(from_bob), "consent was given");
    anna.close().await;

    forget_account(&*world.store, &jid("anna@site.example")).await.unwrap();
    let mut next = world.client("anna@site.example/other").await;
    next.send(&Stanza::presence(PresenceType::Available)).await;
    next.raw(REQUEST).await;
    next.raw("<presence type='probe' to='bob@site.example'/>").await;
    assert!(!next.pending().await.iter().any(from_bob));
    let roster = bob.ask(&Stanza::iq_get("roster", Element::new(ns::ROSTER, "query").with_attr("ver", "1"))).await;
    let items: Vec<_> = roster.payload().unwrap().children().map(|item| item.attr("subscription")).collect();
    assert_eq!(items, [Some("none")], "anna stays in the list, without a subscription");
}

#[tokio::test]
async fn a_session_of_a_removed_account_ends_although_the_name_is_taken_again() {
    let world = World::new().await;
    let mut old = world.client("anna@site.example/old").await;
    forget_account(&*world.store, &jid("anna@site.example")).await.unwrap();
    let mut new = world.client("anna@site.example/new").await;
    pass(Duration::from_secs(3)).await;
    assert!(old.end().await.to_string().contains("not-authorized"));
    new.sync().await;
}

#[tokio::test]
async fn a_session_opened_with_an_old_password_ends() {
    let world = World::new().await;
    let mut anna = world.client("anna@site.example/phone").await;
    let mut bob = world.client("bob@site.example/desk").await;
    let change = torg_core::password_changed(Batch::new(), &jid("anna@site.example"));
    world.store.write(change).await.unwrap();
    pass(Duration::from_secs(3)).await;
    assert!(anna.end().await.to_string().contains("not-authorized"));
    bob.sync().await;
}

/// `one` may see the presence of `other` from now on.
async fn subscribe(one: &mut Client, other: &mut Client) {
    one.raw(&format!("<presence type='subscribe' to='{}'/>", other.jid.to_bare())).await;
    one.sync().await;
    other.raw(&format!("<presence type='subscribed' to='{}'/>", one.jid.to_bare())).await;
    other.sync().await;
}

#[tokio::test]
async fn contacts_on_line_hear_of_the_removal_of_an_account() {
    let world = World::new().await;
    let mut bob = world.client("bob@site.example/desk").await;
    bob.online().await;
    let mut anna = world.client("anna@site.example/phone").await;
    anna.online().await;
    subscribe(&mut anna, &mut bob).await;
    subscribe(&mut bob, &mut anna).await;
    bob.pending().await;

    forget_account(&*world.store, &jid("anna@site.example")).await.unwrap();
    pass(Duration::from_secs(3)).await;
    anna.end().await;
    let heard = bob.pending().await;
    let kinds: Vec<_> = heard.iter().map(Stanza::kind).collect();
    let presences = [PresenceType::Unsubscribe, PresenceType::Unsubscribed, PresenceType::Unavailable];
    let expected: Vec<_> =
        std::iter::once(StanzaKind::Iq(IqType::Set)).chain(presences.map(StanzaKind::Presence)).collect();
    assert_eq!(kinds, expected);
    let item = heard[0].payload().unwrap().children().next().unwrap();
    assert_eq!((item.attr("jid"), item.attr("subscription")), (Some("anna@site.example"), Some("none")));
    assert_eq!(heard[3].from().unwrap().as_str(), "anna@site.example/phone");
}

#[tokio::test]
async fn a_login_gives_its_place_back() {
    let limits = Limits { unauthenticated: 1, ..Limits::default() };
    let world = World::with(Arc::new(Sqlite::in_memory().unwrap()), limits).await;
    let _anna = world.client("anna@site.example/a").await;
    let _bob = world.client("bob@site.example/b").await;
}
