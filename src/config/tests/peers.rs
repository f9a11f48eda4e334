//! Other servers: what may be said about them, and every mistake in it.

use torg_core::peers::{Address, Others, Policy};

use super::*;

const OPEN: &str = "[broker]\ndomain = \"site.example\"\n[broker.listen]\ns2s = [\"127.0.0.1:0\"]\n";
const KEY: &str = "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

fn federation(more: &str) -> FederationConfig {
    let config = parse("torg.toml", &format!("{OPEN}{more}"), KINDS).unwrap();
    config.settings.broker.federation.unwrap()
}

fn peer_errors(more: &str) -> Vec<String> {
    errors(&format!("{OPEN}{more}"))
}

#[test]
fn without_a_listener_for_servers_federation_is_off() {
    assert_eq!(parse("torg.toml", SMALL, KINDS).unwrap().settings.broker.federation, None);
}

#[test]
fn an_empty_list_of_listeners_is_a_server_that_only_connects() {
    let text = "[broker]\ndomain = \"site.example\"\n[broker.listen]\ns2s = []\n";
    let federation = parse("torg.toml", text, KINDS).unwrap().settings.broker.federation.unwrap();
    assert!(federation.s2s.is_empty() && federation.s2s_tls.is_empty());
    assert_eq!(federation.peers.others, Others::Welcome(Policy::Pkix));
}

#[test]
fn peers_without_federation_are_told_as_having_no_effect() {
    let found = errors("[broker]\ndomain = \"site.example\"\n[[broker.peer]]\ndomain = \"other.example\"\n");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("torg.toml:3:") && found[0].contains("has no effect"), "{found:?}");
}

#[test]
fn a_peer_has_its_domain_address_and_policy() {
    let federation = federation(
        "[[broker.peer]]\ndomain = \"other.example\"\naddress = \"[::1]:15270\"\ndirect_tls = true\npolicy = \"dialback\"\n",
    );
    let peer = &federation.peers.peers[0];
    assert_eq!(peer.domain, "other.example");
    assert_eq!(peer.address, Some(Address { host: "::1".into(), port: 15270, direct_tls: true }));
    assert_eq!(peer.policy, Policy::Dialback);
}

#[test]
fn pins_without_a_policy_mean_pin() {
    let federation = federation(&format!("[[broker.peer]]\ndomain = \"other.example\"\npin = [\"{KEY}\"]\n"));
    assert_eq!(federation.peers.peers[0].policy, Policy::Pin);
    assert_eq!(federation.peers.peers[0].pins[0].to_string(), KEY);
}

#[test]
fn a_digest_in_hexadecimal_is_answered_with_the_pin_it_means() {
    let digits = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let found = peer_errors(&format!("[[broker.peer]]\ndomain = \"other.example\"\npin = [\"{digits}\"]\n"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("is no pin") && found[0].contains(KEY), "{found:?}");
}

#[test]
fn every_mistake_about_a_peer_has_its_place() {
    for (section, line, expected) in [
        ("domain = \"anna@other.example\"", 6, "is an account"),
        ("domain = \"site.example\"", 6, "this server's own domain"),
        ("domain = \"192.0.2.7\"", 6, "is an address, not a domain"),
        ("domain = \"other.example\"\naddress = \"host\"", 7, "is no host with a port"),
        ("domain = \"other.example\"\naddress = \"host:0\"", 7, "is no host with a port"),
        ("domain = \"other.example\"\naddress = \"::1\"", 7, "is no host with a port"),
        ("domain = \"other.example\"\ndirect_tls = true", 7, "is for a given address"),
        ("domain = \"other.example\"\npolicy = \"pin\"", 7, "no pin is given"),
        ("domain = \"other.example\"\npolicy = \"pkix\"\npin = [\"x\"]", 8, "is not looked at"),
        ("domain = \"other.example\"\npolicy = \"dialback\"\nca = \"x\"", 8, "is not looked at"),
        ("domain = \"other.example\"\nca = \"missing.pem\"", 7, "cannot read"),
        ("domain = \"other.example\"\npolicy = \"tofu\"", 7, "pkix"),
        ("domain = \"other.example\"\nadress = \"a:1\"", 7, "address"),
    ] {
        let found = peer_errors(&format!("[[broker.peer]]\n{section}\n"));
        let place = format!("torg.toml:{line}:");
        assert!(
            found.iter().any(|error| error.starts_with(&place) && error.contains(expected)),
            "{section}: expected {place} {expected}, found {found:?}"
        );
    }
}

#[test]
fn a_domain_has_one_section() {
    let twice = "[[broker.peer]]\ndomain = \"other.example\"\n[[broker.peer]]\ndomain = \"Other.example\"\n";
    let found = peer_errors(twice);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("has a section already, the first"), "{found:?}");
}

#[test]
fn dane_needs_a_dns_server_on_this_machine() {
    let section = |dns: &str| format!("[broker.federation]\nothers = \"dane\"\ndns = [\"{dns}\"]\n");
    assert!(peer_errors(&section("127.0.0.1:53")).is_empty());
    let found = peer_errors(&section("192.0.2.53:53"));
    assert!(found.len() == 1 && found[0].contains("dane needs a validating DNS server"), "{found:?}");
}

#[test]
fn changed_peers_need_no_restart_and_changed_listeners_do() {
    let settings = |more: &str| parse("torg.toml", &format!("{OPEN}{more}"), KINDS).unwrap().settings;
    let (none, one) = (settings(""), settings("[[broker.peer]]\ndomain = \"other.example\"\n"));
    assert!(needs_restart(&none, &one).is_empty());
    let off = parse("torg.toml", SMALL, KINDS).unwrap().settings;
    assert!(needs_restart(&off, &none).iter().any(|needed| needed.key == "broker.listen.s2s"));
}
