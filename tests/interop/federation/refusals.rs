//! Servers that do not prove who they are: nothing of theirs comes in and nothing goes out to them; `torg peer check` says why.

use serde_json::Value;

use super::{
    OURS, THEIRS,
    servers::{Program, Proof, Server, peer_section},
    world::{Files, Kind, World},
};
use crate::support::{child::Child, site::torg_command};

/// Their server has this certificate, ours believes in certificates; nobody gets through. Returns what `peer check` says.
fn refused(certificate: impl Fn(&World) -> Files) -> Value {
    let world = World::new();
    // They believe anybody, so that it is we who refuse.
    let theirs = Server::start(&world, Program::Prosody, THEIRS, "eva", &certificate(&world), Proof::Dialback, "");
    let peer = peer_section(THEIRS, &world.ca(), Proof::Certificate);
    let own = world.certificate(OURS, Kind::Good);
    let ours = Server::start(&world, Program::Torg, OURS, "anna", &own, Proof::Certificate, &peer);
    world.dns.server(THEIRS, theirs.s2s, 0);
    world.dns.server(OURS, ours.s2s, 0);
    let mut anna = ours.user("anna");
    let to_eva = format!("eva@{THEIRS}");
    anna.message(&to_eva, "out");
    let condition = anna.bounced(&to_eva);
    assert!(condition.starts_with("remote-server-"), "{condition}");
    check(&ours, THEIRS)
}

/// What `torg peer check` says about a domain.
fn check(ours: &Server, domain: &str) -> Value {
    let mut command = torg_command();
    command.args(["peer", "check", domain, "--json", "--config"]).arg(ours.configuration());
    let (_, text) = Child::start("torg peer check", &mut command).finish();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn a_certificate_for_another_domain_is_refused() {
    let report = refused(|world| world.certificate("evil.example", Kind::Good));
    assert_eq!(report["ok"], false, "{report}");
    assert_eq!(report["cause"], "certificate", "{report}");
    assert!(
        report["text"].as_str().is_some_and(|text| text.contains("its certificate is for evil.example")),
        "{report}"
    );
}

#[test]
fn an_expired_certificate_is_refused() {
    let report = refused(|world| world.certificate(THEIRS, Kind::Expired));
    assert!(report["text"].as_str().is_some_and(|text| text.contains("ended on 2021-01-01")), "{report}");
}

#[test]
fn a_certificate_of_an_unknown_authority_is_refused() {
    let report = refused(|world| world.certificate(THEIRS, Kind::Unknown));
    assert!(report["text"].as_str().is_some_and(|text| text.contains("Authority of nobody")), "{report}");
}

#[test]
fn a_server_that_federates_is_checked_as_good() {
    let world = World::new();
    let good = |domain: &str| world.certificate(domain, Kind::Good);
    let theirs = Server::start(&world, Program::Prosody, THEIRS, "eva", &good(THEIRS), Proof::Certificate, "");
    let peer = peer_section(THEIRS, &world.ca(), Proof::Certificate);
    let ours = Server::start(&world, Program::Torg, OURS, "anna", &good(OURS), Proof::Certificate, &peer);
    world.dns.server(THEIRS, theirs.s2s, 0);
    let report = check(&ours, THEIRS);
    assert_eq!(report["ok"], true, "{report}");
    assert_eq!(report["offered"]["external"], true, "{report}");
}

#[test]
fn a_server_that_does_not_run_is_told_as_such() {
    let world = World::new();
    let peer = peer_section(THEIRS, &world.ca(), Proof::Certificate);
    let own = world.certificate(OURS, Kind::Good);
    let ours = Server::start(&world, Program::Torg, OURS, "anna", &own, Proof::Certificate, &peer);
    world.dns.server(THEIRS, super::world::free_port(), 0);
    assert_eq!(check(&ours, THEIRS)["cause"], "connection");
    assert_eq!(check(&ours, "unknown.example")["cause"], "policy");
}
