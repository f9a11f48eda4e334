//! Torg among other people's servers: Prosody and ejabberd from Debian, each with users of its own, found through a small
//! DNS. Both ways, by certificate and by dialback, STARTTLS and direct TLS; a server that dies comes back into the conversation;
//! whose certificate is wrong, expired or of nobody is refused.

mod components;
mod events;
mod intruders;
mod refusals;
mod servers;
mod survival;
pub(crate) mod world;

use serde_json::json;

use self::{
    servers::{Program, Proof, Server, peer_section},
    world::{Kind, User, World},
};

const OURS: &str = "torg.example";
const THEIRS: &str = "theirs.example";

/// Which port DNS names.
#[derive(Clone, Copy, PartialEq)]
enum Tls {
    Direct,
    Starttls,
}

/// Two servers that know each other, each with a user.
struct Pair {
    world: World,
    ours: Server,
    theirs: Server,
}

impl Pair {
    fn start(program: Program, proof: Proof, tls: Tls) -> Self {
        let world = World::new();
        // Where certificates do not count, nobody could check them either.
        let kind = if proof == Proof::Dialback { Kind::Unknown } else { Kind::Good };
        let theirs = Server::start(&world, program, THEIRS, "eva", &world.certificate(THEIRS, kind), proof, "");
        let peer = peer_section(THEIRS, &world.ca(), proof);
        let ours = Server::start(&world, Program::Torg, OURS, "anna", &world.certificate(OURS, kind), proof, &peer);
        for server in [&ours, &theirs] {
            match tls {
                Tls::Starttls => world.dns.server(&server.domain, server.s2s, 0),
                Tls::Direct => world.dns.server(&server.domain, 0, server.s2s_tls),
            }
        }
        Self { world, ours, theirs }
    }

    fn users(&self) -> (User, User) {
        (self.ours.user("anna"), self.theirs.user("eva"))
    }
}

/// Everything that people do with each other across servers.
fn converse(anna: &mut User, eva: &mut User) {
    let (ours, theirs) = (format!("anna@{OURS}"), format!("eva@{THEIRS}"));
    anna.message(&theirs, "Good morning");
    eva.hears(&ours, "Good morning");
    eva.message(&ours, "Good morning to you");
    anna.hears(&theirs, "Good morning to you");

    for (user, server) in [(&mut *anna, THEIRS), (&mut *eva, OURS)] {
        user.order(json!({"do": "ping", "to": server})).expect("an answer to a ping");
        user.order(json!({"do": "version", "to": server})).expect("an answer about the version");
        let identities = user.order(json!({"do": "disco", "to": server})).expect("an answer about features");
        assert!(identities.to_string().contains("server/im"), "{identities}");
    }

    befriend(anna, &ours, eva, &theirs);
    befriend(eva, &theirs, anna, &ours);

    let nobody = format!("nobody@{THEIRS}");
    anna.message(&nobody, "Is anybody there?");
    assert_eq!(anna.bounced(&nobody), "service-unavailable");
}

/// One asks to see the other's presence, and may.
fn befriend(asking: &mut User, asking_jid: &str, asked: &mut User, asked_jid: &str) {
    asking.order(json!({"do": "presence", "to": asked_jid, "type": "subscribe"})).expect("sent");
    asked.sees(asking_jid, "subscribe");
    asked.order(json!({"do": "presence", "to": asking_jid, "type": "subscribed"})).expect("sent");
    asking.sees(asked_jid, "subscribed");
    asking.sees(asked_jid, "available");
}

fn both_ways(program: Program, proof: Proof, tls: Tls) -> Pair {
    let pair = Pair::start(program, proof, tls);
    let (mut anna, mut eva) = pair.users();
    converse(&mut anna, &mut eva);
    pair
}

#[test]
fn prosody_and_ejabberd_federate_with_each_other_in_this_harness() {
    let world = World::new();
    let certificate = |domain: &str| world.certificate(domain, Kind::Good);
    let (prosody, ejabberd) = (Program::Prosody, Program::Ejabberd);
    let first = Server::start(&world, prosody, OURS, "anna", &certificate(OURS), Proof::Certificate, "");
    let second = Server::start(&world, ejabberd, THEIRS, "eva", &certificate(THEIRS), Proof::Certificate, "");
    world.dns.server(OURS, first.s2s, 0);
    world.dns.server(THEIRS, second.s2s, 0);
    converse(&mut first.user("anna"), &mut second.user("eva"));
}

#[test]
fn prosody_by_certificate_with_starttls() {
    let pair = both_ways(Program::Prosody, Proof::Certificate, Tls::Starttls);
    pair.theirs
        .process()
        .line("EXTERNAL from us", |line| line.contains("Accepting SASL EXTERNAL identity from torg.example"));
}

#[test]
fn prosody_by_certificate_with_direct_tls() {
    both_ways(Program::Prosody, Proof::Certificate, Tls::Direct);
}

#[test]
fn prosody_by_dialback() {
    both_ways(Program::Prosody, Proof::Dialback, Tls::Starttls);
}

#[test]
fn ejabberd_by_certificate_with_starttls() {
    let pair = both_ways(Program::Ejabberd, Proof::Certificate, Tls::Starttls);
    let accepted = |way: &str| {
        pair.theirs.process().line(way, |line| line.contains(way) && line.contains("s2s EXTERNAL authentication"));
    };
    accepted("Accepted inbound");
    accepted("Accepted outbound");
}

#[test]
fn ejabberd_by_certificate_with_direct_tls() {
    both_ways(Program::Ejabberd, Proof::Certificate, Tls::Direct);
}

#[test]
fn ejabberd_by_dialback() {
    both_ways(Program::Ejabberd, Proof::Dialback, Tls::Starttls);
}

#[test]
fn a_peer_at_a_configured_address_needs_no_dns() {
    let world = World::new();
    let certificate = |domain: &str| world.certificate(domain, Kind::Good);
    let theirs = Server::start(&world, Program::Prosody, THEIRS, "eva", &certificate(THEIRS), Proof::Certificate, "");
    let section = peer_section(THEIRS, &world.ca(), Proof::Certificate);
    let section = format!("{section}address = \"127.0.0.1:{}\"\n", theirs.s2s);
    let ours = Server::start(&world, Program::Torg, OURS, "anna", &certificate(OURS), Proof::Certificate, &section);
    // Only they ask DNS.
    world.dns.server(OURS, ours.s2s, 0);
    converse(&mut ours.user("anna"), &mut theirs.user("eva"));
}

#[test]
fn a_message_across_servers_waits_for_who_is_away() {
    let pair = Pair::start(Program::Prosody, Proof::Certificate, Tls::Starttls);
    let mut eva = pair.theirs.user("eva");
    let to_anna = format!("anna@{OURS}");
    eva.message(&to_anna, "for later");
    eva.order(json!({"do": "ping", "to": OURS})).expect("what was sent before has arrived");
    let anna = pair.ours.user("anna");
    assert!(anna.hears(&format!("eva@{THEIRS}"), "for later"), "it was kept, and says so");
}
