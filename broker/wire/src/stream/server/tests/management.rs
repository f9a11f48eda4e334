//! Stream management and client state on the server's machine: the order that XEP-0198 §3 and §5 demand, and what breaks it.

use super::*;
use crate::stream::testing::{BIND, HEADER, LOGIN, World};
use crate::xep::csi::ClientState;

const ENABLE: &str = "<enable xmlns='urn:xmpp:sm:3' resume='true'/>";
const ENABLED: &str = "<enabled xmlns='urn:xmpp:sm:3' resume='true' id='the-id' max='600'/>";
const RESUME: &str = "<resume xmlns='urn:xmpp:sm:3' previd='the-id' h='2'/>";

/// Logged in, nothing bound.
fn logged_in() -> World {
    let mut world = World::tls();
    world.hears(&[HEADER, LOGIN, HEADER].concat());
    world
}

fn managed() -> World {
    let mut world = World::ready();
    assert_eq!(world.hears(ENABLE), ENABLED);
    world
}

#[test]
fn a_managed_stream_acknowledges_and_is_acknowledged() {
    let mut world = managed();
    assert_eq!(world.hears("<r xmlns='urn:xmpp:sm:3'/>"), "<a xmlns='urn:xmpp:sm:3' h='7'/>");
    world.hears("<a xmlns='urn:xmpp:sm:3' h='4294967295'/>");
    assert_eq!(world.acked, [u32::MAX]);
    world.said.clear();
    world.stream.request_ack();
    world.pump();
    assert_eq!(world.said, "<r xmlns='urn:xmpp:sm:3'/>");
}

#[test]
fn without_management_nothing_is_said_about_it() {
    let mut world = World::ready();
    world.stream.request_ack();
    world.stream.acknowledge(1);
    world.pump();
    assert_eq!(world.said, "");
}

#[test]
fn what_follows_enable_waits_for_the_answer() {
    let mut world = World::ready();
    world.silent = true;
    world.hears(&[ENABLE, "<message><body>Hi</body></message>"].concat());
    assert!(world.stanzas.is_empty());
    world.silent = false;
    world.stream.enabled(Err(&sm::Failed::new(crate::stanza::StanzaCondition::ResourceConstraint)), world.now);
    world.pump();
    assert!(world.said.starts_with("<failed xmlns='urn:xmpp:sm:3'><resource-constraint"), "{}", world.said);
    assert_eq!(world.stanzas.len(), 1);
    assert_eq!(world.hears(ENABLE), ENABLED, "a refusal is not final");
}

#[test]
fn before_bind_enable_is_unexpected_and_the_stream_goes_on() {
    let mut world = logged_in();
    let said = world.hears(ENABLE);
    let failed =
        "<failed xmlns='urn:xmpp:sm:3'><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>";
    assert_eq!(said, failed);
    assert!(world.hears(BIND).contains("<jid>anna@site.example/phone</jid>"));
}

#[test]
fn a_second_enable_ends_the_stream() {
    let mut world = managed();
    let said = world.hears(ENABLE);
    assert!(said.starts_with("<failed xmlns='urn:xmpp:sm:3'><unexpected-request"), "{said}");
    assert_eq!(world.fault(), "policy-violation");
}

#[test]
fn acknowledging_what_is_not_counted_ends_the_stream() {
    for bad in ["<a xmlns='urn:xmpp:sm:3' h='0'/>", "<r xmlns='urn:xmpp:sm:3'/>"] {
        let mut world = World::ready();
        world.hears(bad);
        assert_eq!(world.fault(), "policy-violation", "{bad}");
    }
    let mut world = managed();
    world.hears("<a xmlns='urn:xmpp:sm:3' h='many'/>");
    assert_eq!(world.fault(), "policy-violation");
}

#[test]
fn a_session_is_resumed_instead_of_bound() {
    let mut world = logged_in();
    assert_eq!(world.hears(RESUME), "<resumed xmlns='urn:xmpp:sm:3' previd='the-id' h='5'/>");
    assert_eq!(world.stream.jid().map(|jid| jid.as_str()), Some("anna@site.example/phone"));
    assert_eq!(world.stream.deadline(), None);
    assert_eq!(world.hears("<r xmlns='urn:xmpp:sm:3'/>"), "<a xmlns='urn:xmpp:sm:3' h='7'/>", "managed already");
}

#[test]
fn a_session_that_is_gone_is_replaced_by_binding() {
    let mut world = logged_in();
    let said = world.hears("<resume xmlns='urn:xmpp:sm:3' previd='other' h='2'/>");
    assert!(said.starts_with("<failed xmlns='urn:xmpp:sm:3' h='3'><item-not-found"), "{said}");
    assert!(world.hears(BIND).contains("<jid>anna@site.example/phone</jid>"));
}

#[test]
fn guessing_ids_comes_to_an_end() {
    let mut world = logged_in();
    for n in 0..crate::stream::TRIES_MAX {
        world.hears(&format!("<resume xmlns='urn:xmpp:sm:3' previd='guess{n}' h='0'/>"));
    }
    assert_eq!(world.fault(), "policy-violation");
}

#[test]
fn after_bind_it_is_too_late_to_resume() {
    let mut world = World::ready();
    assert!(world.hears(RESUME).starts_with("<failed xmlns='urn:xmpp:sm:3'><unexpected-request"));
    let mut world = managed();
    world.hears(RESUME);
    assert_eq!(world.fault(), "policy-violation");
}

#[test]
fn before_login_there_is_nothing_to_manage() {
    let mut world = World::tls();
    world.hears(HEADER);
    world.hears(RESUME);
    assert_eq!(world.fault(), "not-authorized");
}

#[test]
fn what_the_machine_refuses_itself_is_handed_out_to_be_counted() {
    let mut world = managed();
    world.silent = true;
    world.stream.receive(b"<iq type='get' id='x'/>");
    let refused = std::iter::from_fn(|| world.stream.output(world.now)).find(|o| matches!(o, Output::Refused(_)));
    assert!(matches!(refused, Some(Output::Refused(Some(_)))));
}

#[test]
fn a_client_says_whether_somebody_looks_at_it() {
    let mut world = World::ready();
    world.hears("<inactive xmlns='urn:xmpp:csi:0'/><active xmlns='urn:xmpp:csi:0'/>");
    assert_eq!(world.states, [ClientState::Inactive, ClientState::Active]);
}
