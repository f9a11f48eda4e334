//! Servers that die in the middle of a conversation, however they prove themselves: it goes on when they are back, and what was acknowledged
//! is not lost.

use serde_json::json;

use super::{
    OURS, Pair, THEIRS, Tls,
    servers::{Program, Proof, Server},
    world::User,
};

/// They find each other again without help, whichever of them was killed.
fn heals(program: Program, proof: Proof, tls: Tls) {
    let Pair { world: _world, mut ours, mut theirs } = Pair::start(program, proof, tls);
    let (mut anna, mut eva) = (ours.user("anna"), theirs.user("eva"));
    talk(&mut anna, &mut eva, "before");

    die(&mut theirs);
    let mut eva = theirs.user("eva");
    reach(&mut anna, THEIRS);
    talk(&mut anna, &mut eva, "after theirs was killed");

    die(&mut ours);
    let mut anna = ours.user("anna");
    reach(&mut eva, OURS);
    talk(&mut anna, &mut eva, "after ours was killed");
}

fn die(server: &mut Server) {
    server.kill();
    server.restart();
}

/// A dead stream may be noticed only by writing to it, and the stanza that notices may be lost with it.
fn reach(user: &mut User, server: &str) {
    let reached = (0..30).any(|_| user.order(json!({"do": "ping", "to": server, "within": 10})).is_ok());
    assert!(reached, "the restarted server is never reached again");
}

fn talk(anna: &mut User, eva: &mut User, when: &str) {
    let (there, back) = (format!("there, {when}"), format!("back, {when}"));
    anna.message(&format!("eva@{THEIRS}"), &there);
    eva.hears(&format!("anna@{OURS}"), &there);
    eva.message(&format!("anna@{OURS}"), &back);
    anna.hears(&format!("eva@{THEIRS}"), &back);
}

#[test]
fn prosody_by_certificate_with_starttls() {
    heals(Program::Prosody, Proof::Certificate, Tls::Starttls);
}

#[test]
fn prosody_by_certificate_with_direct_tls() {
    heals(Program::Prosody, Proof::Certificate, Tls::Direct);
}

#[test]
fn prosody_by_dialback() {
    heals(Program::Prosody, Proof::Dialback, Tls::Starttls);
}

#[test]
fn ejabberd_by_certificate_with_starttls() {
    heals(Program::Ejabberd, Proof::Certificate, Tls::Starttls);
}

#[test]
fn ejabberd_by_certificate_with_direct_tls() {
    heals(Program::Ejabberd, Proof::Certificate, Tls::Direct);
}

#[test]
fn ejabberd_by_dialback() {
    heals(Program::Ejabberd, Proof::Dialback, Tls::Starttls);
}

#[test]
fn an_acknowledged_message_to_a_server_that_is_away_outlives_a_kill_of_ours() {
    let Pair { world: _world, mut ours, mut theirs } = Pair::start(Program::Prosody, Proof::Certificate, Tls::Starttls);
    // It listens and never answers, so that the message waits.
    theirs.kill();
    let silent = std::net::TcpListener::bind(("127.0.0.1", theirs.s2s)).expect("its port is free now");
    let mut anna = ours.user_at("anna", "desk", true);
    anna.message(&format!("eva@{THEIRS}"), "kept on the disk");
    anna.order(json!({"do": "acknowledged"})).expect("an acknowledgement while the message waits");
    ours.kill();
    drop(silent);
    theirs.restart();
    let eva = theirs.user("eva");
    ours.restart();
    assert!(eva.hears(&format!("anna@{OURS}"), "kept on the disk"), "it says that it is late");
    assert_eq!(eva.heard("kept on the disk"), 1);
}
